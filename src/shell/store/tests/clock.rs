//! The wall clock was set: what is due moves along, and nothing else does.

use super::*;

const HOUR: i64 = 3_600_000;

#[tokio::test]
async fn what_is_due_is_due_as_long_from_now_whichever_way_the_clock_was_set() {
    for by in [HOUR, -HOUR] {
        let world = World::new().await;
        let waits = world.task("i1", 1).await;
        let visit = waits.ledger.visit.number;
        let timer = Decision::SetTimer {
            visit,
            timer: "look".into(),
            due: at(60_000),
        };
        let waits = world.decide(&waits, vec![timer]).await;
        let works = world.task("i2", 2).await;
        let run = world.running(&works).await;
        let due = world.store.next_due().await.unwrap().unwrap();
        assert_eq!(world.store.clock().await.unwrap(), None);
        world.store.save_clock("boot", 7).await.unwrap();
        world.store.shift(Millis(by), T0, "boot", 7 + by).await.unwrap();
        assert_eq!(world.store.clock().await.unwrap(), Some(("boot".to_owned(), 7 + by)));
        assert_eq!(world.store.timers(waits.id).await.unwrap(), [("look".into(), at(60_000 + by))]);
        assert_eq!(world.store.next_due().await.unwrap().unwrap(), due.plus(Millis(by)));
        let after = world.store.run(run.id).await.unwrap().unwrap();
        assert_eq!(after.claimed_at, run.claimed_at.plus(Millis(by)));
        assert_eq!(after.state, run.state, "a lease is no matter of the wall clock");
        let moved = world.store.task(waits.id).await.unwrap().unwrap();
        let entered = waits.ledger.visit.entered_at.plus(Millis(by));
        assert_eq!((moved.ledger.visit.entered_at, moved.version), (entered, waits.version + 1));
        assert_eq!(moved.ledger.subject_since, waits.ledger.subject_since.plus(Millis(by)));
        assert_eq!(moved.control, waits.control);
        // What was decided on the old times comes too late.
        let seq = world.poke(&waits).await;
        let stale = world.step(&waits, seq, vec![]).await;
        assert_eq!(world.store.commit_step(stale).await.err(), Some(StoreError::Conflict));
    }
}
