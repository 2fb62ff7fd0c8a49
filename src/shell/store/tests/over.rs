//! What is withdrawn, superseded or over: nothing of it is queued again.

use std::collections::BTreeMap;

use super::*;

#[tokio::test]
async fn withdrawing_takes_jobs_and_runs_of_the_visit() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let run = world.running(&task).await;
    let later = JobSpec {
        available_at: at(99_000),
        ..spec(1, "later")
    };
    let task = world
        .decide(&task, vec![Decision::Enqueue(spec(2, "dev")), Decision::Enqueue(later)])
        .await;
    let task = world
        .decide(
            &task,
            vec![Decision::Withdraw {
                visit: Some(1),
                why: Kill::Superseded,
            }],
        )
        .await;
    let states: BTreeMap<_, _> = world
        .store
        .jobs(task.id)
        .await
        .unwrap()
        .into_iter()
        .map(|j| (j.slot.to_string(), j.state))
        .collect();
    let expected = [
        ("analyst", JobState::Cancelled),
        ("dev", JobState::Queued),
        ("later", JobState::Cancelled),
    ];
    assert_eq!(states, expected.map(|(slot, state)| (slot.to_owned(), state)).into());
    let kill = Effect::Kill {
        run: run.id,
        why: Kill::Superseded,
    };
    assert_eq!(
        world
            .store
            .outbox_open()
            .await
            .unwrap()
            .into_iter()
            .map(|e| e.effect)
            .collect::<Vec<_>>(),
        vec![kill.clone()]
    );
    // A second withdrawal finds the run doomed already.
    let task = world
        .decide(
            &task,
            vec![Decision::Withdraw {
                visit: None,
                why: Kill::Stop,
            }],
        )
        .await;
    assert_eq!(
        world
            .store
            .outbox_open()
            .await
            .unwrap()
            .into_iter()
            .map(|e| e.effect)
            .collect::<Vec<_>>(),
        vec![kill]
    );
    assert!(
        world
            .store
            .jobs(task.id)
            .await
            .unwrap()
            .iter()
            .all(|j| j.state == JobState::Cancelled)
    );
}

#[tokio::test]
async fn a_withdrawn_job_is_not_put_back() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let withdraw = Decision::Withdraw {
        visit: None,
        why: Kill::Superseded,
    };
    let back = Decision::Requeue {
        visit: 1,
        slot: "analyst".into(),
        available_at: T0,
        why: "x".to_owned(),
    };
    let task = world.decide(&task, vec![withdraw]).await;
    let task = world.decide(&task, vec![back]).await;
    assert_eq!(world.only_job(&task).await.state, JobState::Cancelled);
}

#[tokio::test]
async fn a_slot_queued_anew_supersedes_its_open_job() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let run = world.running(&task).await;
    let task = world.decide(&task, vec![Decision::Enqueue(spec(1, "analyst"))]).await;
    let jobs = world.store.jobs(task.id).await.unwrap();
    assert_eq!(
        jobs.iter().map(|j| j.state).collect::<Vec<_>>(),
        vec![JobState::Cancelled, JobState::Queued]
    );
    assert_eq!(
        world.store.outbox_open().await.unwrap()[0].effect,
        Effect::Kill {
            run: run.id,
            why: Kill::Superseded
        }
    );
}

#[tokio::test]
async fn a_task_that_is_over_keeps_no_job_and_no_timer() {
    for phase in [Phase::Done, Phase::Cancelled] {
        let world = World::new().await;
        let task = world.task("i1", 1).await;
        let run = world.running(&task).await;
        let timer = || Decision::SetTimer {
            visit: 1,
            timer: "t".into(),
            due: at(1),
        };
        let later = || {
            Decision::Enqueue(JobSpec {
                available_at: at(99_000),
                ..spec(1, "later")
            })
        };
        let task = world.decide(&task, vec![Decision::Enqueue(spec(1, "dev")), later(), timer()]).await;
        let back = Decision::Requeue {
            visit: 1,
            slot: "dev".into(),
            available_at: T0,
            why: "x".to_owned(),
        };
        // Even when the step says otherwise.
        let over = world
            .phase(
                &task,
                phase,
                vec![back.clone(), later(), Decision::Enqueue(spec(3, "new")), timer()],
            )
            .await;
        let jobs = world.store.jobs(task.id).await.unwrap();
        assert!(jobs.iter().all(|j| j.state == JobState::Cancelled), "{jobs:?}");
        assert_eq!(world.store.fire_timers(at(1_000_000)).await, Ok(0));
        assert!(world.store.run(run.id).await.unwrap().unwrap().kill.is_some());
        // And afterwards.
        world.decide(&over, vec![back, Decision::Enqueue(spec(4, "new")), timer()]).await;
        assert_eq!(world.store.queue(T0).await.unwrap().waiting, vec![]);
        let sql = "UPDATE jobs SET state = 'queued' WHERE id = 1";
        let refused = world.store.write(move |conn| codec::exec(conn, sql, [])).await;
        assert!(
            matches!(refused, Err(StoreError::Refused { .. })),
            "the schema itself refuses: {refused:?}"
        );
    }
}

#[tokio::test]
async fn an_issue_remembers_when_its_last_task_was_stopped() {
    let world = World::new().await;
    assert_eq!(world.store.last_stop(PROJECT, "i1").await.unwrap(), None, "there was never a task");
    let mut first = world.task("i1", 1).await;
    assert_eq!(world.store.last_stop(PROJECT, "i1").await.unwrap(), None, "it is alive");
    first.ledger.stop = Some(("alice".to_owned(), at(300), None));
    world.phase(&first, Phase::Cancelled, Vec::new()).await;
    assert_eq!(
        world.store.last_stop(PROJECT, "i1").await.unwrap(),
        Some(at(300)),
        "when it was asked for, not when the clean-up was done"
    );
    let mut second = world.task("i1", 1).await;
    second.ledger.stop = Some(("bob".to_owned(), at(700), None));
    world.phase(&second, Phase::Cancelled, Vec::new()).await;
    assert_eq!(
        world.store.last_stop(PROJECT, "i1").await.unwrap(),
        Some(at(700)),
        "the latest counts"
    );
    assert_eq!(world.store.last_stop(PROJECT, "i2").await.unwrap(), None);
    assert_eq!(world.store.last_stop("other", "i1").await.unwrap(), None);
    let done = world.task("i3", 3).await;
    world.phase(&done, Phase::Done, Vec::new()).await;
    assert_eq!(
        world.store.last_stop(PROJECT, "i3").await.unwrap(),
        None,
        "what is done was not stopped"
    );
}
