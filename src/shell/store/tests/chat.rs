//! What is kept about the chat.

use super::*;
use crate::shell::store::CardRow;

async fn shows_something_else(world: &World, task: &Task) -> Task {
    let seq = world.poke(task).await;
    let step = StepCommit {
        card: true,
        ..world.step(task, seq, vec![]).await
    };
    world.store.commit_step(step).await.unwrap();
    world.store.task(task.id).await.unwrap().unwrap()
}

fn kinds(rows: &[OutboxRow]) -> Vec<&'static str> {
    rows.iter().map(|r| r.effect.kind()).collect()
}

#[tokio::test]
async fn the_newest_card_takes_the_place_of_older_ones_and_of_no_alert() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let alert = |key: &str| Decision::Alert {
        key: key.to_owned(),
        text: "t".to_owned(),
    };
    let task = shows_something_else(&world, &task).await;
    let task = world.decide(&task, vec![alert("a"), alert("b")]).await;
    shows_something_else(&world, &task).await;
    assert_eq!(kinds(&world.store.outbox_open().await.unwrap()), ["alert", "alert", "card"]);
}

#[tokio::test]
async fn what_waits_for_the_chat_is_postponed_without_counting_and_hastened() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    shows_something_else(&world, &task).await;
    let row = world.store.due_effects(at(1000), 1).await.unwrap().remove(0);
    world.store.effect_postpone(row.id, "closed", at(900_000)).await.unwrap();
    assert_eq!(world.store.due_effects(at(2000), 1).await.unwrap(), vec![]);
    world.store.hasten_chat(at(3000)).await.unwrap();
    let again = world.store.due_effects(at(3000), 1).await.unwrap().remove(0);
    assert_eq!((again.attempts, again.last_error.as_deref()), (0, Some("closed")));
    assert_eq!(world.store.effect_postpone(999, "x", T0).await, Err(StoreError::Gone));
}

#[tokio::test]
async fn cards_and_rooms_are_remembered() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let card = |message: i64| CardRow {
        message,
        shown: "x".to_owned(),
    };
    let store = &world.store;
    assert_eq!(store.cards_due("-5", T0).await.unwrap(), 1, "a task under way has no card yet");
    store.save_card(task.id, "-5", card(7), T0).await.unwrap();
    store.save_card(task.id, "-5", card(8), T0).await.unwrap();
    assert_eq!(store.card(task.id, "-5").await.unwrap(), Some(card(8)));
    assert_eq!(store.card(task.id, "-6").await.unwrap(), None, "another room, another message");
    assert_eq!(store.cards_due("-5", T0).await.unwrap(), 0);
    assert_eq!(store.room_moved("-5").await.unwrap(), None);
    store.save_room_moved("-5", "-6", T0).await.unwrap();
    store.save_room_moved("-5", "-7", T0).await.unwrap();
    let world = world.reopen().await;
    assert_eq!(world.store.room_moved("-5").await.unwrap().as_deref(), Some("-7"));
}
