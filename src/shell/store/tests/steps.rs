//! Steps: all of it or nothing, and only on what was read.

use super::*;
use crate::engine::model::{Fact, FactKey, Value};

#[tokio::test]
async fn a_birth_gives_id_and_seat() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    assert_eq!(
        (task.version, task.control.at.clone(), task.rules.as_str()),
        (1, At::default(), "rules-1")
    );
    let repo = world.repo_now().await;
    assert_eq!((repo.version, repo.lane.len(), repo.lane[0].task), (1, 1, task.id));
    assert_eq!(world.only_job(&task).await.state, JobState::Queued);
    assert_eq!(world.store.live_task_by_issue(PROJECT, "i1").await.unwrap(), Some(task.clone()));
    assert_eq!(world.store.tasks(false).await.unwrap(), vec![task]);
    assert_eq!(world.store.pending().await.unwrap(), vec![]);
    assert_eq!(world.store.next_item_number(PROJECT).await, Ok(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_starts_of_one_issue_make_one_task() {
    let world = std::sync::Arc::new(World::new().await);
    let mut calls = Vec::new();
    for _ in 0..50 {
        let world = std::sync::Arc::clone(&world);
        calls.push(tokio::spawn(async move {
            let seq = world.signal(world.issue("i1"), "start").await;
            world.store.commit_step(world.birth(seq, "i1", 1).await).await
        }));
    }
    let mut made = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => made += 1,
            Err(e) => assert_eq!(e, StoreError::Conflict),
        }
    }
    assert_eq!(
        (
            made,
            world.store.tasks(true).await.unwrap().len(),
            world.store.queue(T0).await.unwrap().waiting.len()
        ),
        (1, 1, 1)
    );
    // The other starts are the task's now, one after the other.
    assert_eq!(world.store.pending().await.unwrap().len(), 1);
    assert_eq!(
        glance::<i64>(world.dir.path(), "SELECT COUNT(*) FROM inbox WHERE state = 'pending' AND task = 1"),
        49
    );
}

#[tokio::test]
async fn what_was_decided_on_old_state_is_refused() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let (first, second) = (world.poke(&task).await, world.poke(&task).await);
    let alert = || {
        vec![Decision::Alert {
            key: "k".to_owned(),
            text: "t".to_owned(),
        }]
    };
    let one = world.step(&task, first, alert()).await;
    let two = world.step(&task, second, alert()).await;
    world.store.commit_step(one.clone()).await.unwrap();
    assert_eq!(
        world.store.commit_step(one.clone()).await,
        Err(StoreError::Conflict),
        "the event was applied"
    );
    assert_eq!(
        world.store.commit_step(two.clone()).await,
        Err(StoreError::Conflict),
        "the task has moved"
    );
    let now = world.store.task(task.id).await.unwrap().unwrap();
    let mut late = world.step(&now, second, alert()).await;
    late.before.1 -= 1;
    assert_eq!(
        world.store.commit_step(late).await,
        Err(StoreError::Conflict),
        "the repository has moved"
    );
    assert_eq!(
        world.store.outbox_open().await.unwrap().len(),
        1,
        "nothing of a refused step is left"
    );
    assert_eq!(world.store.history(task.id).await.unwrap().len(), 2);
    let lost = StepCommit { seq: Seq(999), ..two };
    assert_eq!(world.store.commit_step(lost).await, Err(StoreError::Gone));
    world.store.commit_step(world.step(&now, second, alert()).await).await.unwrap();
}

#[tokio::test]
async fn an_event_of_another_task_is_refused() {
    let world = World::new().await;
    let (one, two) = (world.task("i1", 1).await, world.task("i2", 2).await);
    let seq = world.poke(&one).await;
    assert_eq!(
        world.store.commit_step(world.step(&two, seq, vec![]).await).await,
        Err(StoreError::Conflict)
    );
}

#[tokio::test]
async fn keys_are_free_again_when_a_task_is_cancelled_and_only_then() {
    let world = World::new().await;
    let first = world.task("i1", 1).await;
    let done = world.phase(&first, Phase::Done, vec![]).await;
    // The event goes to the task that is done; the step of someone who has not seen it is refused.
    let seq = world.signal(world.issue("i1"), "start").await;
    assert_eq!(
        world.store.commit_step(world.birth(seq, "i1", 5).await).await,
        Err(StoreError::Conflict)
    );
    for (issue, number) in [("i2", 1), ("i2", 7)] {
        let seq = world.signal(world.issue(issue), "start").await;
        let mut birth = world.birth(seq, issue, number).await;
        if number == 7 {
            birth.task.branch = done.branch.clone();
        }
        assert_eq!(world.store.commit_step(birth).await, Err(StoreError::Conflict), "{issue} {number}");
    }
    world.phase(&done, Phase::Cancelled, vec![]).await;
    let second = world.task("i1", 1).await;
    world.phase(&second, Phase::Cancelled, vec![]).await;
    let third = world.task("i1", 1).await;
    let id = |item: &'static str| {
        let store = world.store.clone();
        async move { store.task_by_item(item).await.unwrap().map(|t| t.id) }
    };
    assert_eq!(id("ORCH-001").await, Some(third.id));
    assert_eq!(
        (id("ORCH-001~1").await, id("ORCH-001~2").await, id("ORCH-001~3").await),
        (Some(first.id), Some(second.id), None)
    );
    world.phase(&third, Phase::Cancelled, vec![]).await;
    assert_eq!(id("ORCH-001").await, Some(third.id), "the latest, where none is live");
    assert_eq!(world.store.item_label(second.id).await.unwrap().as_deref(), Some("ORCH-001~2"));
    assert_eq!(world.store.tasks(false).await.unwrap(), vec![]);
}

#[tokio::test]
async fn a_step_without_a_task_may_only_speak() {
    let world = World::new().await;
    let seq = world.signal(world.issue("i1"), "start").await;
    let mut step = world.birth(seq, "i1", 1).await;
    step.repo = world.repo_now().await;
    step.task = Task::unborn(PROJECT.into(), world.repo, "i1", "rules-1");
    step.decisions = vec![Decision::Enqueue(spec(1, "analyst"))];
    assert!(matches!(
        world.store.commit_step(step.clone()).await,
        Err(StoreError::Refused { .. })
    ));
    step.decisions = vec![
        Decision::Comment {
            key: "qg0".to_owned(),
            text: "no title".to_owned(),
            agent: None,
        },
        Decision::ShowStatus {
            status: "Needs Input".to_owned(),
        },
    ];
    assert_eq!(world.store.commit_step(step).await, Ok(Committed { task: TaskId(0) }));
    assert_eq!(world.store.tasks(true).await.unwrap(), vec![]);
    let effects = world.store.outbox_open().await.unwrap();
    assert!(
        effects.len() == 2 && effects.iter().all(|e| e.target == world.issue("i1")),
        "{effects:?}"
    );
    let told = world.store.history_since(0, 10).await.unwrap();
    assert_eq!((told.len(), told[0].task, told[0].issue.as_deref()), (1, None, Some("i1")));
}

#[tokio::test]
async fn what_follows_is_recorded_with_its_cause() {
    let world = World::new().await;
    let (one, two) = (world.task("i1", 1).await, world.task("i2", 2).await);
    let seq = world.poke(&one).await;
    let mut step = world
        .step(
            &one,
            seq,
            vec![
                Decision::Wake {
                    task: two.id,
                    by: "lane".into(),
                },
                Decision::Wake {
                    task: TaskId(99),
                    by: "x".into(),
                },
            ],
        )
        .await;
    step.follow = Some(Body::Entered { visit: 1 });
    world.store.commit_step(step).await.unwrap();
    let entered = world.store.next_event(&world.aimed(&one), false).await.unwrap().unwrap();
    assert_eq!(
        (entered.body, entered.cause, entered.actor, entered.at),
        (Body::Entered { visit: 1 }, Some(seq), Actor::Service, at(1000))
    );
    let woken = world.store.next_event(&world.aimed(&two), false).await.unwrap().unwrap();
    assert_eq!((woken.body, woken.cause), (Body::Poked { by: "lane".into() }, Some(seq)));
}

#[tokio::test]
async fn the_repository_moves_only_when_it_says_something_new() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let before = world.repo_now().await;
    let task = world.decide(&task, vec![]).await;
    assert_eq!(world.repo_now().await, before);
    let seq = world.poke(&task).await;
    let mut step = world.step(&task, seq, vec![]).await;
    step.repo.lane.clear();
    world.store.commit_step(step).await.unwrap();
    assert_eq!(world.repo_now().await.version, before.version + 1);
    assert_eq!(world.repo_now().await.lane, vec![]);
}

#[tokio::test]
async fn history_tells_all_in_order_of_commits() {
    let world = World::new().await;
    let (one, two) = (world.task("i1", 1).await, world.task("i2", 2).await);
    let (early, late) = (world.poke(&one).await, world.poke(&two).await);
    let mut step = world
        .step(
            &two,
            late,
            vec![Decision::CleanUp(CleanUp {
                archive: true,
                checkout: true,
                branch: false,
                sha: None,
                report: false,
            })],
        )
        .await;
    let issue = Fact::Known(Value::Issue(Issue {
        title: "t".to_owned(),
        ..Issue::default()
    }));
    let mut deep = serde_json::json!(1);
    for _ in 0..200 {
        deep = serde_json::json!([deep]);
    }
    step.facts = Facts(
        [
            (FactKey::Issue, issue.clone()),
            (FactKey::Json("deep.json".to_owned()), Fact::Known(Value::Json(deep))),
        ]
        .into(),
    );
    world.store.commit_step(step.clone()).await.unwrap();
    world.store.commit_step(world.step(&one, early, vec![]).await).await.unwrap();
    let all = world.store.history_since(0, 100).await.unwrap();
    assert_eq!(
        all.iter().map(|s| s.task).collect::<Vec<_>>(),
        vec![Some(one.id), Some(two.id), Some(two.id), Some(one.id)]
    );
    assert!(all[2].seq > all[3].seq, "an older event that was applied later comes later");
    assert_eq!(world.store.history_since(all[2].place, 100).await.unwrap(), all[3..]);
    let told = &world.store.history(two.id).await.unwrap()[1];
    assert_eq!((told.seq, &told.body, told.at, told.decided_at), (late, &poked(), T0, at(1000)));
    assert_eq!((&told.decisions, &told.because), (&step.decisions, &step.because));
    assert_eq!(
        (told.stage_before.as_str(), told.stage_after.as_str(), told.visit),
        ("analysis", "analysis", 1)
    );
    assert_eq!((told.rules.as_str(), told.semantics, &told.actor), ("rules-1", 1, &Actor::Service));
    assert_eq!(told.facts.get(&FactKey::Issue), Some(&issue));
    let unreadable = told.facts.get(&FactKey::Json("deep.json".to_owned()));
    assert!(matches!(unreadable, Some(Fact::Unreadable { .. })), "{unreadable:?}");
}

#[tokio::test]
async fn a_dropped_event_is_not_applied() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let seq = world.poke(&task).await;
    world.store.drop_event(seq, "an operator said so", T0).await.unwrap();
    let step = world.step(&task, seq, vec![]).await;
    assert_eq!(world.store.commit_step(step).await, Err(StoreError::Conflict));
}
