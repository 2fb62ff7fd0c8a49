//! Runs: the id fences, and what ends late changes nothing.

use super::*;

async fn pending_kinds(world: &World, task: &Task) -> Vec<&'static str> {
    let target = world.aimed(task);
    let mut kinds = Vec::new();
    while let Some(event) = world.store.next_event(&target, false).await.unwrap() {
        kinds.push(event.body.kind());
        world.store.drop_event(event.seq, "counted", T0).await.unwrap();
    }
    kinds
}

#[tokio::test]
async fn a_run_goes_through_its_life_once() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let run = world.running(&task).await;
    let store = &world.store;
    store
        .run_started(run.id, process(4242), Some("abc".to_owned()), at(20))
        .await
        .unwrap();
    assert_eq!(
        store.run_started(run.id, process(4243), None, at(21)).await,
        Err(StoreError::Conflict)
    );
    assert_eq!(store.run_started(RunId(99), process(1), None, at(21)).await, Err(StoreError::Gone));
    let exit = serde_json::json!({"code": 0});
    store.run_exited(run.id, exit.clone(), at(30)).await.unwrap();
    store.run_exited(run.id, serde_json::json!({"code": 9}), at(31)).await.unwrap();
    let settle = store.due_effects(at(30), 10).await.unwrap();
    assert_eq!(settle.len(), 1, "one effect however often the exit is told");
    assert_eq!(
        (&settle[0].effect, settle[0].lane, settle[0].class),
        (&Effect::Settle { run: run.id }, Lane::Work, Class::Lookup)
    );
    assert_eq!(settle[0].target, world.aimed(&task));
    let told = report(&run, RunEnd::Ok);
    assert_eq!(
        store
            .end_run(run.id, RunEnd::Ok, Some(told.clone()), Some(settle[0].id), at(40))
            .await,
        Ok(true)
    );
    assert_eq!(store.outbox_open().await.unwrap(), vec![]);
    let ended = store.run(run.id).await.unwrap().unwrap();
    assert_eq!(ended.process(), Some(process(4242)));
    assert_eq!(
        (ended.state, ended.exit, ended.end),
        (RunState::Ended, Some(exit), Some(RunEnd::Ok))
    );
    assert_eq!(
        (ended.start_sha.as_deref(), ended.started_at, ended.exited_at, ended.ended_at),
        (Some("abc"), Some(at(20)), Some(at(30)), Some(at(40)))
    );
    let event = store.next_event(&world.aimed(&task), false).await.unwrap().unwrap();
    assert_eq!((event.body, event.actor), (Body::RunEnded(told), Actor::Agent(run.id.0)));
    assert_eq!(
        store.usage(Some(task.id), None, T0).await.unwrap(),
        Usage {
            input_tokens: 10,
            output_tokens: 5,
            cost_usd: 0.25
        }
    );
    assert_eq!(store.usage(None, Some("other"), T0).await.unwrap(), Usage::default());
    assert_eq!(store.runs(task.id).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_endings_one_counts() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let run = world.running(&task).await;
    let calls: Vec<_> = (0..24)
        .map(|n| {
            let (store, id, told) = (world.store.clone(), run.id, report(&run, RunEnd::Ok));
            tokio::spawn(async move { store.end_run(id, RunEnd::Ok, Some(told), None, at(n)).await.unwrap() })
        })
        .collect();
    let mut counted = 0;
    for call in calls {
        counted += i32::from(call.await.unwrap());
    }
    assert_eq!(counted, 1);
    assert_eq!(pending_kinds(&world, &task).await, vec!["run_ended"]);
}

#[tokio::test]
async fn a_late_ending_of_a_superseded_run_changes_nothing() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let old = world.running(&task).await;
    assert_eq!(world.store.end_run(old.id, RunEnd::Lost, None, None, T0).await, Ok(true));
    assert_eq!(
        pending_kinds(&world, &task).await,
        vec!["run_ended"],
        "made up from the run where no report is given"
    );
    let again = Decision::Requeue {
        visit: 1,
        slot: "analyst".into(),
        available_at: T0,
        why: "lost".to_owned(),
    };
    let task = world.decide(&task, vec![again]).await;
    let new = world.running(&task).await;
    let before = (world.store.queue(T0).await.unwrap(), world.store.runs(task.id).await.unwrap());
    assert_eq!(
        world
            .store
            .end_run(old.id, RunEnd::Ok, Some(report(&old, RunEnd::Ok)), None, at(9))
            .await,
        Ok(false)
    );
    world.store.run_exited(old.id, serde_json::json!({}), at(9)).await.unwrap();
    assert_eq!(
        world.store.run_started(old.id, process(1), None, at(9)).await,
        Err(StoreError::Conflict)
    );
    assert_eq!(
        (world.store.queue(T0).await.unwrap(), world.store.runs(task.id).await.unwrap()),
        before
    );
    assert_eq!(pending_kinds(&world, &task).await, Vec::<&str>::new());
    let foreign = world
        .store
        .end_run(new.id, RunEnd::Ok, Some(report(&old, RunEnd::Ok)), None, T0)
        .await;
    assert!(matches!(foreign, Err(StoreError::Refused { .. })), "{foreign:?}");
    assert_eq!(
        world.store.run(new.id).await.unwrap().unwrap().state,
        RunState::Starting,
        "another run's report is refused"
    );
    assert_eq!(
        world.store.end_run(RunId(77), RunEnd::Ok, None, None, T0).await,
        Err(StoreError::Gone)
    );
}

#[tokio::test]
async fn a_withdrawn_run_ends_in_silence() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let run = world.running(&task).await;
    let task = world
        .decide(
            &task,
            vec![Decision::Withdraw {
                visit: None,
                why: Kill::Stop,
            }],
        )
        .await;
    assert_eq!(world.store.run(run.id).await.unwrap().unwrap().kill, Some(Kill::Stop));
    assert_eq!(
        world.store.end_run(run.id, RunEnd::Killed(Kill::Stop), None, None, T0).await,
        Ok(true)
    );
    assert_eq!(pending_kinds(&world, &task).await, Vec::<&str>::new());
    assert_eq!(world.only_job(&task).await.state, JobState::Cancelled);
}

#[tokio::test]
async fn an_effect_of_a_run_that_ended_before_is_closed_all_the_same() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let run = world.running(&task).await;
    world.store.run_exited(run.id, serde_json::json!({}), T0).await.unwrap();
    let settle = world.store.due_effects(T0, 1).await.unwrap().remove(0);
    assert_eq!(world.store.end_run(run.id, RunEnd::Lost, None, None, T0).await, Ok(true));
    assert_eq!(world.store.end_run(run.id, RunEnd::Ok, None, Some(settle.id), T0).await, Ok(false));
    assert_eq!(world.store.outbox_open().await.unwrap(), vec![]);
}
