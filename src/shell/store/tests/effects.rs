//! The outbox: one after the other, newest status only, until done or given up.

use super::*;

fn comment(key: &str) -> Decision {
    Decision::Comment {
        key: key.to_owned(),
        text: "text".to_owned(),
        agent: None,
    }
}

fn status(status: &str) -> Decision {
    Decision::ShowStatus { status: status.to_owned() }
}

fn keys(rows: &[OutboxRow]) -> Vec<String> {
    let key = |row: &OutboxRow| match &row.effect {
        Effect::Comment { key, .. } | Effect::Alert { key, .. } => key.clone(),
        Effect::Status { status } => status.clone(),
        other => other.kind().to_owned(),
    };
    rows.iter().map(key).collect()
}

#[tokio::test]
async fn effects_of_one_lane_come_one_after_the_other() {
    let world = World::new().await;
    let (one, two) = (world.task("i1", 1).await, world.task("i2", 2).await);
    world
        .decide(
            &one,
            vec![
                comment("a1"),
                comment("a2"),
                Decision::Alert {
                    key: "chat".to_owned(),
                    text: "t".to_owned(),
                },
            ],
        )
        .await;
    world.decide(&two, vec![comment("b1")]).await;
    let store = &world.store;
    let due = store.due_effects(at(1000), 10).await.unwrap();
    assert_eq!(keys(&due), ["a1", "chat", "b1"]);
    assert_eq!(store.due_effects(at(1000), 10).await.unwrap(), vec![], "they are being carried out");
    assert_eq!(store.next_due().await.unwrap(), None);
    store.effect_retry(due[0].id, "503", at(5000)).await.unwrap();
    assert_eq!(
        store.due_effects(at(1000), 10).await.unwrap(),
        vec![],
        "what comes after it waits with it"
    );
    assert_eq!(store.next_due().await.unwrap(), Some(at(5000)));
    let again = store.due_effects(at(5000), 10).await.unwrap();
    assert_eq!(
        (keys(&again), again[0].attempts, again[0].last_error.as_deref()),
        (vec!["a1".to_owned()], 1, Some("503"))
    );
    store.effect_given_up(again[0].id, "404", None, at(5000)).await.unwrap();
    assert_eq!(keys(&store.due_effects(at(5000), 10).await.unwrap()), ["a2"]);
    assert_eq!(keys(&store.outbox_given_up(10).await.unwrap()), ["a1"]);
    assert_eq!(store.due_effects(at(5000), 0).await.unwrap(), vec![]);
}

#[tokio::test]
async fn a_newer_status_takes_the_place_of_older_ones() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let task = world.decide(&task, vec![status("Analysis"), comment("c"), status("Review")]).await;
    assert_eq!(keys(&world.store.outbox_open().await.unwrap()), ["c", "Review"]);
    let due = world.store.due_effects(at(1000), 10).await.unwrap();
    assert_eq!(keys(&due), ["c"]);
    world.store.effect_done(due[0].id, None, T0).await.unwrap();
    let review = world.store.due_effects(at(1000), 10).await.unwrap().remove(0);
    // A newer one comes while the older is being written.
    world.decide(&task, vec![status("Testing")]).await;
    assert_eq!(
        world.store.effect_progress(review.id, serde_json::json!(1)).await,
        Err(StoreError::Conflict)
    );
    assert_eq!(
        world.store.due_effects(at(1000), 10).await.unwrap(),
        vec![],
        "two at once might land in either order"
    );
    world.store.effect_retry(review.id, "timeout", at(9000)).await.unwrap();
    assert_eq!(keys(&world.store.due_effects(at(1000), 10).await.unwrap()), ["Testing"]);
}

#[tokio::test]
async fn done_is_said_once_with_its_event() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    world.decide(&task, vec![comment("c")]).await;
    let row = world.store.due_effects(at(1000), 1).await.unwrap().remove(0);
    let progress = serde_json::json!({"id": "x"});
    world.store.effect_progress(row.id, progress.clone()).await.unwrap();
    assert_eq!(world.store.outbox_open().await.unwrap()[0].progress, Some(progress));
    let outcome = || Some(event(world.aimed(&task), poked()));
    world.store.effect_done(row.id, outcome(), T0).await.unwrap();
    world.store.effect_done(row.id, outcome(), T0).await.unwrap();
    assert_eq!(
        glance::<i64>(world.dir.path(), "SELECT COUNT(*) FROM inbox WHERE state = 'pending'"),
        1
    );
    assert_eq!(world.store.effect_done(999, None, T0).await, Err(StoreError::Gone));
    assert_eq!(world.store.effect_retry(999, "x", T0).await, Err(StoreError::Gone));
    assert_eq!(world.store.effect_progress(999, serde_json::json!(1)).await, Err(StoreError::Gone));
}

#[tokio::test]
async fn what_was_under_way_is_due_again_after_a_restart_or_when_given_back() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    world.decide(&task, vec![comment("c")]).await;
    let taken = world.store.due_effects(at(1000), 10).await.unwrap();
    world.store.effect_release(taken[0].id);
    assert_eq!(world.store.due_effects(at(1000), 10).await.unwrap(), taken);
    let world = world.reopen().await;
    assert_eq!(world.store.due_effects(at(1000), 10).await.unwrap(), taken);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing_taken() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    world.decide(&task, vec![comment("c")]).await;
    // The writer is at something else, so that the request is queued for certain and nobody waits for the answer.
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    let mut busy = Box::pin(world.store.write(move |_| {
        let _ = held.recv();
        Ok(())
    }));
    assert!(futures_util::poll!(busy.as_mut()).is_pending());
    let mut call = Box::pin(world.store.due_effects(at(1000), 10));
    assert!(futures_util::poll!(call.as_mut()).is_pending());
    drop(call);
    drop(go_on);
    busy.await.unwrap();
    world.store.probe().await.unwrap();
    assert_eq!(world.store.due_effects(at(1000), 10).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_effect_is_taken_by_two() {
    let world = World::new().await;
    for n in 1..=10 {
        let task = world.task(&format!("i{n}"), n).await;
        world.decide(&task, (0..3).map(|k| comment(&format!("{n}-{k}"))).collect()).await;
    }
    let workers: Vec<_> = (0..6)
        .map(|_| {
            let store = world.store.clone();
            tokio::spawn(async move {
                let mut done = Vec::new();
                while !store.outbox_open().await.unwrap().is_empty() {
                    for row in store.due_effects(at(1000), 3).await.unwrap() {
                        done.extend(keys(std::slice::from_ref(&row)));
                        store.effect_done(row.id, None, T0).await.unwrap();
                    }
                }
                done
            })
        })
        .collect();
    let mut done = Vec::new();
    for worker in workers {
        done.extend(worker.await.unwrap());
    }
    let many = done.len();
    done.sort();
    done.dedup();
    assert_eq!((many, done.len()), (30, 30));
}

/// ★ Another program holds the database: nothing can be written, and orders to end a run are found all the same.
#[tokio::test]
async fn orders_to_end_a_run_are_found_though_nothing_can_be_written() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let run = world.running(&task).await;
    let why = Kill::Stop;
    let withdraw = Decision::Withdraw { visit: None, why };
    world.decide(&task, vec![withdraw]).await;
    let other = rusqlite::Connection::open(world.dir.path().join("signalbox.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let due = world.store.due_kills(at(9_000_000)).await.unwrap();
    let effects: Vec<_> = due.iter().map(|row| &row.effect).collect();
    assert_eq!(effects, [&Effect::Kill { run: run.id, why }]);
    assert_eq!(world.store.due_kills(at(9_000_000)).await, Ok(vec![]), "it is being carried out");
}

/// Operators are told of what was given up in the same transaction, of one thing once.
#[tokio::test]
async fn what_was_given_up_is_told_once() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    world.decide(&task, vec![comment("c1"), comment("c2"), comment("c3")]).await;
    let told = |key: &str| {
        Some(GivenUp {
            key: key.to_owned(),
            text: "a comment was given up".to_owned(),
        })
    };
    for key in ["nowhere", "nowhere", "7"] {
        let row = world.store.due_effects(at(1000), 1).await.unwrap().remove(0);
        world.store.effect_given_up(row.id, "400", told(key), at(1000)).await.unwrap();
        world.store.effect_given_up(row.id, "400", told("late"), at(1000)).await.unwrap();
    }
    let open = world.store.outbox_open().await.unwrap();
    assert_eq!(keys(&open), ["nowhere", "7"]);
    assert!(open.iter().all(|row| row.target.task == Some(task.id)));
}
