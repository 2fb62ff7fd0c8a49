//! No committed change leaves the loop asleep.
//!
//! Real: the waking logic (`shell::wake`), who holds a target (`shell::run::Busy`), and tokio's
//! `watch` and `Notify` themselves. Simulated: the database (a list of events), the writer and the
//! workers, in the order in which `store/writer.rs` and `run.rs` do things — commit, count up,
//! answer; work off, give back, ring. shuttle decides who goes on at every point between two of
//! these acts. tokio's primitives are atomic to it: what is tried is how we use them, not they.
//!
//! Nothing but an event ends a sleep here, so that a lost wake-up is a deadlock, which shuttle reports.

use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::Duration;

use shuttle::future::{block_on, spawn, yield_now};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicU32, Ordering};
use shuttle::{Config, Runner};
use signalbox::shell::run::Busy;
use signalbox::shell::wake::{Bell, Next};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Committed events that somebody has to work off.
const EVENTS: u32 = 3;
/// Interleavings of each kind that are tried.
const TRIES: usize = 2_000;

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Twin {
    /// Nothing.
    Sound,
    /// What was seen is marked after it was looked at: look, then wait, with nothing between.
    MarkedLate,
    /// The writer tells of a commit before it is there.
    ToldEarly,
    /// A worker gives its target back and rings nobody.
    Silent,
    /// A worker rings before it has given its target back.
    RungEarly,
    /// A ring that comes while nobody sleeps is not kept.
    Forgotten,
}

struct House {
    twin: Twin,
    /// The inbox: how many events wait.
    inbox: Mutex<u32>,
    done: AtomicU32,
    busy: Arc<Busy>,
    commits: watch::Sender<u64>,
    ring: Arc<Notify>,
    stop: CancellationToken,
}

impl House {
    fn new(twin: Twin) -> Arc<Self> {
        Arc::new(Self {
            twin,
            inbox: Mutex::new(0),
            done: AtomicU32::new(0),
            busy: Arc::default(),
            commits: watch::channel(0).0,
            ring: Arc::default(),
            stop: CancellationToken::new(),
        })
    }

    fn ring(&self) {
        match self.twin {
            Twin::Forgotten => self.ring.notify_waiters(),
            _ => self.ring.notify_one(),
        }
    }

    /// The writer thread: one commit.
    async fn commit(&self) {
        if self.twin == Twin::ToldEarly {
            self.commits.send_modify(|count| *count += 1);
            // The disk is slow.
            for _ in 0..6 {
                yield_now().await;
            }
        }
        *self.inbox.lock().unwrap() += 1;
        yield_now().await;
        if self.twin != Twin::ToldEarly {
            self.commits.send_modify(|count| *count += 1);
        }
    }

    /// One look of the loop: whoever has the target is left alone, as in `run.rs`.
    fn look(self: &Arc<Self>) {
        if *self.inbox.lock().unwrap() == 0 {
            return;
        }
        let Some(held) = self.busy.take("target".to_owned()) else { return };
        let house = Arc::clone(self);
        spawn(async move {
            while house.work_off() {
                yield_now().await;
            }
            // Its answer from the database is on its way: time enough for a commit that it has not seen.
            for _ in 0..6 {
                yield_now().await;
            }
            if house.twin == Twin::RungEarly {
                house.ring();
                for _ in 0..6 {
                    yield_now().await;
                }
            }
            drop(held);
            yield_now().await;
            if !matches!(house.twin, Twin::Silent | Twin::RungEarly) {
                house.ring();
            }
        });
    }

    /// Takes one event; whether there was one.
    fn work_off(&self) -> bool {
        let mut inbox = self.inbox.lock().unwrap();
        if *inbox == 0 {
            return false;
        }
        *inbox -= 1;
        if self.done.fetch_add(1, Ordering::SeqCst) + 1 == EVENTS {
            self.stop.cancel();
        }
        true
    }
}

/// The loop itself: the service's own, except in the twin that has another.
async fn attend(house: Arc<House>, mut commits: watch::Receiver<u64>) {
    let look = || async {
        yield_now().await;
        house.look();
        // How long to sleep is asked of the database.
        for _ in 0..6 {
            yield_now().await;
        }
        Next::Within(Duration::MAX)
    };
    if house.twin != Twin::MarkedLate {
        let ring = Arc::clone(&house.ring);
        let never = |_| std::future::pending();
        return Bell { commits, ring }.attend(&house.stop, look, never).await;
    }
    while !house.stop.is_cancelled() {
        look().await;
        commits.borrow_and_update();
        tokio::select! {
            biased;
            () = house.stop.cancelled() => {}
            _ = commits.changed() => {}
            () = house.ring.notified() => {}
        }
    }
}

/// Two doors commit while the loop looks, works and falls asleep; it must come to an end.
fn life(twin: Twin) {
    let house = House::new(twin);
    let commits = house.commits.subscribe();
    let looping = spawn(attend(Arc::clone(&house), commits));
    let (one, two) = (Arc::clone(&house), Arc::clone(&house));
    spawn(async move { one.commit().await });
    spawn(async move {
        for _ in 1..EVENTS {
            two.commit().await;
        }
    });
    block_on(looping).unwrap();
    assert_eq!(house.done.load(Ordering::SeqCst), EVENTS);
}

/// Tries interleavings, the same ones each time: by chance, and with one task left lying for long.
fn tried(twin: Twin) {
    Runner::new(RandomScheduler::new_from_seed(1, TRIES), Config::new()).run(move || life(twin));
    Runner::new(PctScheduler::new_from_seed(1, 3, TRIES), Config::new()).run(move || life(twin));
}

#[test]
fn no_commit_leaves_the_loop_asleep() {
    tried(Twin::Sound);
}

#[test]
fn each_broken_waking_is_caught() {
    for twin in [Twin::MarkedLate, Twin::ToldEarly, Twin::Silent, Twin::RungEarly, Twin::Forgotten] {
        let caught = catch_unwind(|| tried(twin));
        let why = caught.expect_err(&format!("{twin:?} was not caught"));
        let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(why.contains("deadlock"), "{twin:?}: {why}");
    }
}
