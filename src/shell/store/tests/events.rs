//! The inbox: what is pending, in which order, for whom; timers; projections; rulesets.

use super::*;

#[tokio::test]
async fn targets_come_once_each_and_stops_are_flagged() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let first = world.poke(&task).await;
    world.poke(&task).await;
    let stop = world.signal(world.aimed(&task), "stop").await;
    let other = world.signal(world.issue("i2"), "start").await;
    let pending = world.store.pending().await.unwrap();
    assert_eq!(
        pending,
        vec![
            Pending {
                target: world.aimed(&task),
                seq: first,
                stop: true
            },
            Pending {
                target: world.issue("i2"),
                seq: other,
                stop: false
            },
        ]
    );
    let next = |stop_first| world.store.next_event(&pending[0].target, stop_first);
    assert_eq!(next(false).await.unwrap().unwrap().seq, first);
    assert_eq!(next(true).await.unwrap().unwrap().seq, stop);
    assert_eq!(world.store.next_event(&pending[1].target, true).await.unwrap().unwrap().seq, other);
}

#[tokio::test]
async fn a_dropped_event_is_kept_and_not_pending() {
    let world = World::new().await;
    let seq = world.signal(world.issue("i1"), "start").await;
    world.store.drop_event(seq, "nobody knows the project", at(5)).await.unwrap();
    assert_eq!(world.store.pending().await.unwrap(), vec![]);
    assert_eq!(world.store.drop_event(seq, "again", at(6)).await, Err(StoreError::Conflict));
    assert_eq!(world.store.drop_event(Seq(999), "none", at(6)).await, Err(StoreError::Gone));
    assert_eq!(
        glance::<String>(world.dir.path(), "SELECT why FROM inbox"),
        "nobody knows the project"
    );
}

#[tokio::test]
async fn events_of_an_issue_go_to_its_task_once_there_is_one() {
    let world = World::new().await;
    let start = world.signal(world.issue("i1"), "start").await;
    let early = world.signal(world.issue("i1"), "answer").await;
    let made = world.store.commit_step(world.birth(start, "i1", 1).await).await.unwrap().task;
    let task = world.store.task(made).await.unwrap().unwrap();
    let late = world.signal(world.issue("i1"), "approve").await;
    let pending = world.store.pending().await.unwrap();
    assert_eq!(
        pending,
        vec![Pending {
            target: world.aimed(&task),
            seq: early,
            stop: false
        }]
    );
    world.store.drop_event(early, "test", T0).await.unwrap();
    assert_eq!(world.store.next_event(&world.aimed(&task), true).await.unwrap().unwrap().seq, late);
}

#[tokio::test]
async fn a_start_during_the_clean_up_waits_for_the_old_task_to_be_cancelled() {
    let world = World::new().await;
    let mut task = world.task("i1", 1).await;
    task.control.stop = StopState::Cleaning;
    let task = world.decide(&task, vec![]).await;
    let start = world.signal(world.issue("i1"), "start").await;
    assert_eq!(world.store.pending().await.unwrap(), vec![]);
    assert_eq!(world.store.next_event(&world.issue("i1"), true).await.unwrap(), None);
    assert_eq!(
        world.store.held().await.unwrap(),
        vec![Pending {
            target: world.issue("i1"),
            seq: start,
            stop: false
        }]
    );
    let old = world.phase(&task, Phase::Cancelled, vec![]).await;
    assert_eq!(
        world.store.pending().await.unwrap(),
        vec![Pending {
            target: world.issue("i1"),
            seq: start,
            stop: false
        }]
    );
    let made = world.store.commit_step(world.birth(start, "i1", 1).await).await.unwrap().task;
    assert!(made > old.id);
}

#[tokio::test]
async fn an_event_for_what_is_not_there_is_refused() {
    let world = World::new().await;
    let nobody = Target {
        task: Some(TaskId(7)),
        ..world.issue("i1")
    };
    assert_eq!(world.store.record(event(nobody, poked())).await, Err(StoreError::Gone));
    let nowhere = Target {
        repo: RepoId(7),
        ..world.issue("i1")
    };
    assert_eq!(world.store.record(event(nowhere, poked())).await, Err(StoreError::Gone));
}

#[tokio::test]
async fn a_report_with_a_cost_that_is_no_number_is_refused_at_the_door() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let run = world.running(&task).await;
    let mut bad = report(&run, RunEnd::Ok);
    bad.usage.cost_usd = f64::NAN;
    assert!(matches!(
        world.store.end_run(run.id, RunEnd::Ok, Some(bad), None, T0).await,
        Err(StoreError::Refused { .. })
    ));
    assert_eq!(
        world.store.run(run.id).await.unwrap().unwrap().state,
        RunState::Starting,
        "and nothing was written"
    );
}

#[tokio::test]
async fn timers_fire_once_in_order_and_can_be_moved() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let timer = |timer: &str, due| Decision::SetTimer {
        visit: 1,
        timer: timer.into(),
        due,
    };
    let task = world
        .decide(
            &task,
            vec![
                timer("later", at(500)),
                timer("soon", at(900)),
                timer("soon", at(300)),
                timer("far", at(9000)),
            ],
        )
        .await;
    assert_eq!(world.store.next_due().await.unwrap(), Some(at(300)));
    assert_eq!(world.store.fire_timers(at(299)).await, Ok(0));
    assert_eq!(world.store.fire_timers(at(500)).await, Ok(2));
    assert_eq!(world.store.fire_timers(at(500)).await, Ok(0));
    let target = world.aimed(&task);
    for name in ["soon", "later"] {
        let fired = world.store.next_event(&target, false).await.unwrap().unwrap();
        assert_eq!(
            (fired.at, &fired.body),
            (
                at(500),
                &Body::TimerFired {
                    visit: 1,
                    timer: name.into()
                }
            )
        );
        world.store.drop_event(fired.seq, "test", T0).await.unwrap();
    }
    assert_eq!(world.store.next_due().await.unwrap(), Some(at(9000)));
    world.decide(&task, vec![Decision::DropTimers]).await;
    assert_eq!(world.store.next_due().await.unwrap(), None);
}

#[tokio::test]
async fn projections_remember_what_was_written_and_what_was_taken() {
    let world = World::new().await;
    let store = &world.store;
    assert_eq!(store.projection(PROJECT, "i1").await.unwrap(), Projection::default());
    store.save_projection(PROJECT, "i1", "Review", T0).await.unwrap();
    let event = NewEvent {
        dedupe: Some("a1".to_owned()),
        ..event(world.issue("i1"), signalled("approve"))
    };
    assert!(store.record_consuming(event.clone(), "Approved").await.unwrap().is_some());
    assert_eq!(store.record_consuming(event, "Approved").await, Ok(None));
    store.save_projection(PROJECT, "i1", "Testing", T0).await.unwrap();
    let expected = Projection {
        written: Some("Testing".to_owned()),
        consumed: Some("Approved".to_owned()),
        stands: Some("Testing".to_owned()),
        ..Projection::default()
    };
    assert_eq!(store.projection(PROJECT, "i1").await.unwrap(), expected);
    store.save_consumed(PROJECT, "i1", "Backlog", T0).await.unwrap();
    assert_eq!(store.projection(PROJECT, "i1").await.unwrap().consumed.as_deref(), Some("Backlog"));
}

#[tokio::test]
async fn a_ruleset_is_kept_under_its_hash() {
    let world = World::new().await;
    let files = serde_json::json!({"orch.toml": "x = 1"});
    world.store.save_ruleset("h1", files.clone(), T0).await.unwrap();
    world.store.save_ruleset("h1", serde_json::json!({}), T0).await.unwrap();
    assert_eq!(world.store.ruleset("h1").await.unwrap(), Some(files));
    assert_eq!(world.store.ruleset("h2").await.unwrap(), None);
}
