//! What nobody tells of is looked for (B-Q 10), without a restart.

use std::process::{Child, Command};

use super::*;
use crate::engine::model::{RunEnd, RunId, Task};
use crate::shell::door::tests::World;
use crate::shell::process::{Alive, Exit, Owner, boot_id, files, names, own, start_time};
use crate::shell::store::{Claim, ProcessId, RunRow, RunState};

/// Longest wait for anything.
const LONG: Duration = Duration::from_secs(300);

/// A process in the place of a shim. Dropped, it is ended.
struct Shim(Child);

impl Shim {
    fn new() -> Self {
        Self(Command::new("sleep").arg("600").spawn().unwrap())
    }

    fn alive(&self) -> Alive {
        alive(self.0.id())
    }

    fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn alive(pid: u32) -> Alive {
    let pid = i32::try_from(pid).unwrap();
    Alive {
        pid,
        start: start_time(pid).unwrap(),
        boot_id: boot_id(),
    }
}

/// A run on record as started, which this shim has taken and nobody follows.
async fn unfollowed(world: &World, task: &Task, shim: Alive) -> RunId {
    let store = &world.service.store;
    let view = store.queue(clock::now()).await.unwrap();
    let claim = Claim {
        job: view.waiting.iter().find(|job| job.task == task.id).unwrap().id,
        nonce: "n".to_owned(),
        checkout: format!("t{}/developer", task.id),
        guard: None,
        seen: view.newest,
        repo: None,
        now: clock::now(),
    };
    let run = store.claim(claim).await.unwrap().id;
    let process = ProcessId {
        pid: shim.pid,
        start: shim.start,
        boot_id: shim.boot_id.clone(),
        containment: None,
    };
    store.run_started(run, process, None, clock::now()).await.unwrap();
    let dir = world.service.run_dir(run);
    std::fs::create_dir_all(&dir).unwrap();
    assert!(own(&dir, &Owner::Shim(shim)).unwrap());
    run
}

/// What a shim writes last.
fn exit(world: &World, run: RunId, code: i32) {
    let exit = Exit {
        code: Some(code),
        ..Exit::default()
    };
    files::write_json(&world.service.run_dir(run).join(names::EXIT), &exit).unwrap();
}

/// Waits until the run is as it should be.
async fn until(world: &World, run: RunId, holds: impl Fn(&RunRow) -> bool) -> RunRow {
    let mut commits = world.service.store.commits();
    let deadline = tokio::time::Instant::now() + LONG;
    loop {
        commits.borrow_and_update();
        let row = world.service.store.run(run).await.unwrap().unwrap();
        if holds(&row) {
            return row;
        }
        let changed = tokio::time::timeout_at(deadline, commits.changed()).await;
        assert!(changed.is_ok(), "run {run} does not come to it: {row:?}");
    }
}

fn code(row: &RunRow) -> Option<i64> {
    row.exit.as_ref().and_then(|exit| exit["code"].as_i64())
}

#[tokio::test]
async fn b_q_10_a_run_that_nobody_follows_is_finished_or_followed_again_without_a_restart() {
    let set = "\"preflight.enabled\" = false\n\"serial_gate.enabled\" = false";
    let world = World::with("max_concurrency = 9", set, "").await;
    let (mut at_work, mut ended) = (Shim::new(), Shim::new());
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(world.queued("developer").await);
    }
    let lives = unfollowed(&world, &tasks[0], at_work.alive()).await;
    let exited = unfollowed(&world, &tasks[1], ended.alive()).await;
    // Its pid is in use, by whoever came after it.
    let another = Alive {
        start: alive(std::process::id()).start + 1,
        ..alive(std::process::id())
    };
    let gone = unfollowed(&world, &tasks[2], another).await;
    exit(&world, exited, 3);
    ended.end();

    let now = tokio::time::Instant::now();
    let mut looks = Looks {
        begun: now,
        reaped: now - SAFETY_POLL,
        trouble: world.service.store.trouble(),
        told: None,
    };
    assert!(matches!(looks.next(&world.service).await, Next::Within(_)));
    let row = until(&world, gone, |row| row.state == RunState::Ended).await;
    assert_eq!(
        (row.end, row.kill),
        (Some(RunEnd::Lost), None),
        "no exit record, and that pid is another's"
    );
    let row = until(&world, exited, |row| matches!(row.state, RunState::Exited | RunState::Ended)).await;
    assert_eq!((code(&row), row.kill), (Some(3), None), "by its own record");
    let key = format!("run {lives}");
    let row = until(&world, lives, |row| row.state == RunState::Running).await;
    assert!(world.service.busy.has(&key) && row.exit.is_none(), "somebody waits for it: {row:?}");

    // Whoever is followed is not taken up again: his follower alone says how he ended.
    looks.reaped -= SAFETY_POLL;
    looks.next(&world.service).await;
    let row = until(&world, lives, |row| row.state == RunState::Running).await;
    assert!(world.service.busy.has(&key) && row.exit.is_none());
    exit(&world, lives, 7);
    at_work.end();
    let row = until(&world, lives, |row| matches!(row.state, RunState::Exited | RunState::Ended)).await;
    assert_eq!((code(&row), row.kill), (Some(7), None), "nobody had to look for it");
}
