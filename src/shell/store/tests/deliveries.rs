//! B-REC 1: what was told is on disk before the answer, and told twice is told once.

use super::super::{NewDelivery, Peer};
use super::*;
use crate::engine::model::Name;

fn told(digest: &str, at: i64) -> NewDelivery {
    NewDelivery {
        peer: Peer::Plane,
        event: "issue".to_owned(),
        projects: vec![Name::new("shop")],
        body: b"{\"a\": \xff}".to_vec(),
        digest: digest.to_owned(),
        again: false,
        at: Millis(at),
    }
}

#[tokio::test]
async fn b_rec_1_the_same_content_is_recorded_once() {
    let world = World::new().await;
    let first = world.store.record_delivery(told("a", 1)).await.unwrap();
    assert!(first.is_some());
    assert_eq!(world.store.record_delivery(told("a", 2)).await.unwrap(), None);
    let other = NewDelivery {
        peer: Peer::Gitea,
        ..told("a", 3)
    };
    assert!(world.store.record_delivery(other).await.unwrap().is_some());
    let due = world.store.deliveries_due(Millis(3), 10).await.unwrap();
    assert_eq!(due.len(), 2);
    assert_eq!(
        (due[0].body.clone(), due[0].projects.clone()),
        (told("a", 1).body, told("a", 1).projects)
    );
    world.store.delivery_closed(&due[0], true, "nothing new", Millis(4)).await.unwrap();
    assert_eq!(
        world.store.record_delivery(told("a", 5)).await.unwrap(),
        None,
        "closed is known as well"
    );
}

#[tokio::test]
async fn one_that_was_dealt_with_since_it_was_listed_waits_no_longer() {
    let world = World::new().await;
    world.store.record_delivery(told("a", 1)).await.unwrap();
    let listed = world.store.deliveries_due(Millis(1), 1).await.unwrap().remove(0);
    assert!(world.store.delivery_waits(&listed).await.unwrap());
    world.store.delivery_later(listed.id, "later", Millis(9)).await.unwrap();
    assert!(!world.store.delivery_waits(&listed).await.unwrap(), "put off");
    let listed = world.store.deliveries_due(Millis(9), 1).await.unwrap().remove(0);
    world.store.delivery_closed(&listed, true, "done", Millis(9)).await.unwrap();
    assert!(!world.store.delivery_waits(&listed).await.unwrap(), "closed");
}

#[tokio::test]
async fn one_that_has_to_wait_is_looked_at_again_when_it_is_due() {
    let world = World::new().await;
    let id = world.store.record_delivery(told("a", 1)).await.unwrap().unwrap();
    world
        .store
        .delivery_later(id, "the tracker does not answer", Millis(100))
        .await
        .unwrap();
    assert_eq!(world.store.deliveries_due(Millis(99), 10).await.unwrap(), []);
    assert_eq!(world.store.next_delivery().await.unwrap(), Some(Millis(100)));
    let due = world.store.deliveries_due(Millis(100), 10).await.unwrap();
    assert_eq!((due.len(), due[0].attempts), (1, 1));
}

#[tokio::test]
async fn one_that_was_dealt_with_is_forgotten_after_a_week_and_one_that_waits_is_not() {
    let world = World::new().await;
    let week = 7 * 24 * 3_600_000;
    world.store.record_delivery(told("a", 1)).await.unwrap().unwrap();
    let done = world.store.deliveries_due(Millis(1), 1).await.unwrap().remove(0);
    world.store.record_delivery(told("b", 1)).await.unwrap();
    world
        .store
        .delivery_closed(&done, false, "no such project", Millis(2))
        .await
        .unwrap();
    world.store.record_delivery(told("c", week + 3)).await.unwrap();
    let kept = world.store.deliveries_due(Millis(week + 3), 10).await.unwrap();
    assert_eq!(kept.len(), 2);
    assert!(world.store.record_delivery(told("a", week + 4)).await.unwrap().is_some());
    assert_eq!(world.store.record_delivery(told("b", week + 4)).await.unwrap(), None);
}

async fn heard(world: &World, project: &Name) -> Option<Millis> {
    world.store.board(project).await.unwrap().unwrap().heard
}

/// What was missed is looked for since then, however long ago that is, and however much others have told since.
#[tokio::test]
async fn when_a_board_was_last_heard_of_is_never_forgotten() {
    let world = World::new().await;
    let (minute, week) = (60_002, 7 * 24 * 3_600_000);
    let (shop, other) = (Name::new("shop"), Name::new("other"));
    for project in [&shop, &other] {
        world.store.follow_board(project, "https://plane", "b1", T0).await.unwrap();
    }
    for (digest, at) in [("a", 1), ("b", minute), ("c", minute + 1)] {
        world.store.record_delivery(told(digest, at)).await.unwrap();
    }
    let others = |n: i64, at: i64| NewDelivery {
        peer: Peer::Gitea,
        ..told(&format!("{n}"), at)
    };
    for n in 0..3 {
        world.store.record_delivery(others(n, 3)).await.unwrap();
    }
    for done in world.store.deliveries_due(Millis(minute + 1), 9).await.unwrap() {
        world.store.delivery_closed(&done, true, "done", Millis(3)).await.unwrap();
    }
    assert_eq!(heard(&world, &shop).await, Some(Millis(minute)), "to the minute");
    for n in 3..40 {
        world.store.record_delivery(others(n, week + 4)).await.unwrap();
    }
    let world = world.reopen().await;
    assert_eq!(heard(&world, &shop).await, Some(Millis(minute)), "a forge is no board");
    assert_eq!(heard(&world, &other).await, None, "another project's board told it");
    assert!(
        world.store.record_delivery(told("a", week + 5)).await.unwrap().is_some(),
        "what was dealt with is forgotten"
    );
}

#[tokio::test]
async fn to_wait_for_room_is_no_try() {
    let world = World::new().await;
    let id = world.store.record_delivery(told("a", 1)).await.unwrap().unwrap();
    let mut read = world.store.deliveries_due(Millis(1), 1).await.unwrap().remove(0);
    for (n, due) in [(1, 10), (1, 20), (1, 30)] {
        world.store.delivery_held(id, "no room", Millis(due)).await.unwrap();
        assert!(!world.store.delivery_waits(&read).await.unwrap(), "it was put off");
        read = world.store.deliveries_due(Millis(due), 1).await.unwrap().remove(0);
        assert_eq!((read.attempts, read.due), (n, Millis(due)), "it is told that it waits");
        assert!(world.store.delivery_waits(&read).await.unwrap());
    }
    assert_eq!(world.store.deliveries_held().await.unwrap().len(), 1);
    world.store.delivery_later(id, "it does not answer", Millis(40)).await.unwrap();
    world.store.delivery_held(id, "no room", Millis(50)).await.unwrap();
    assert_eq!(world.store.deliveries_due(Millis(50), 1).await.unwrap()[0].attempts, 2);
}

/// Where two events may have the same body, a repetition is no second delivery, and is looked at all the same.
#[tokio::test]
async fn b_rec_1_the_same_content_may_be_news_again() {
    let world = World::new().await;
    let again = |at| NewDelivery {
        again: true,
        ..told("a", at)
    };
    let id = world.store.record_delivery(again(1)).await.unwrap().unwrap();
    let read = world.store.deliveries_due(Millis(1), 9).await.unwrap().remove(0);
    // While it is looked at: what was seen may be older.
    assert_eq!(world.store.record_delivery(again(1)).await.unwrap(), None);
    world.store.delivery_closed(&read, true, "looked", Millis(2)).await.unwrap();
    let second = world.store.deliveries_due(Millis(2), 9).await.unwrap();
    assert_eq!((second.len(), second[0].id, second[0].at), (1, id, Millis(2)));
    world
        .store
        .delivery_closed(&second[0], true, "looked again", Millis(3))
        .await
        .unwrap();
    assert_eq!(world.store.deliveries_due(Millis(9), 9).await.unwrap(), []);
    // Long after.
    assert_eq!(world.store.record_delivery(again(50)).await.unwrap(), None);
    let third = world.store.deliveries_due(Millis(50), 9).await.unwrap();
    assert_eq!((third.len(), third[0].id, third[0].at, third[0].attempts), (1, id, Millis(50), 0));
    // One that waits for its source goes on waiting.
    world.store.delivery_later(id, "it does not answer", Millis(500)).await.unwrap();
    world.store.record_delivery(again(60)).await.unwrap();
    assert_eq!(world.store.next_delivery().await.unwrap(), Some(Millis(500)));
}

/// Since when a board is known outlives restarts, and its being left for another for a while.
#[tokio::test]
async fn a_board_is_known_since_it_was_first_followed() {
    let world = World::new().await;
    let shop = Name::new("shop");
    let follow = |world: &World, board: &'static str, at: i64| {
        let (store, shop) = (world.store.clone(), shop.clone());
        async move {
            store
                .follow_board(&shop, "https://plane/acme", board, Millis(at))
                .await
                .unwrap()
                .since
        }
    };
    assert_eq!(follow(&world, "B1", 5).await, Millis(5));
    assert_eq!(follow(&world, "b1", 9).await, Millis(5));
    world.store.record_delivery(told("a", 9)).await.unwrap();
    assert_eq!(follow(&world, "b2", 11).await, Millis(11), "another board");
    assert_eq!(heard(&world, &shop).await, None);
    let world = world.reopen().await;
    assert_eq!(follow(&world, "b1", 15).await, Millis(5));
    assert_eq!(heard(&world, &shop).await, Some(Millis(9)));
    // The clock by which that was written down was wrong.
    world.store.shift(Millis(-3), T0, "boot", 0).await.unwrap();
    assert_eq!(follow(&world, "b1", 15).await, Millis(2));
}

/// Tasks that began on a board that is followed no longer are known, until it is brought back or they are over.
#[tokio::test]
async fn open_tasks_of_a_board_that_was_left_are_counted() {
    let world = World::new().await;
    let project = Name::new(PROJECT);
    let follow = async |server: &str, board: &str, now: Millis| world.store.follow_board(&project, server, board, now).await.unwrap();
    follow("https://plane/acme", "b1", Millis(0)).await;
    world.task("i1", 1).await;
    world.task("i2", 2).await;
    follow("https://plane.new/acme", "B1", at(1_000_000)).await;
    let left = async || world.store.boards_left(&project).await.unwrap();
    assert_eq!(left().await, [], "another address of the same");
    follow("https://plane.new/acme", "b2", at(2_000_000)).await;
    let found = left().await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].server.as_str(), found[0].board.as_str(), found[0].tasks),
        ("https://plane/acme", "b1", 2)
    );
    assert_eq!(found[0].since, at(2_000_000));
    follow("https://plane.new/acme", "b1", at(3_000_000)).await;
    assert_eq!(left().await, [], "brought back");
}
