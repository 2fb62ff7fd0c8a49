//! Runs that have exited and whose end cannot be taken over or written down.

use std::fs;

use super::{begun, done, ends, world};
use crate::world::World;

/// Alerts that were ever to go out and hold these words.
fn alerts(world: &World, words: &str) -> i64 {
    world.count(&format!(
        "SELECT COUNT(*) FROM outbox WHERE kind = 'alert' AND effect LIKE '%{words}%'"
    ))
}

/// Whatever an agent puts into its own folder: its work is taken over elsewhere.
#[test]
fn what_an_agent_does_to_its_runs_folder_does_not_hold_up_its_end() {
    let mut world = world("[developer]\ndo = [\"held\"]", "");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    std::os::unix::fs::symlink("/nowhere/at/all", world.data().join("runs/1/scratch")).expect("a link");
    // Nor is it held up by what lies in the place of ours.
    fs::write(world.data().join("scratch"), "in the way").expect("written");
    world.let_go();
    let seen = done(&mut world, &item);
    assert_eq!(ends(&seen)[0], "ok", "{}", seen["runs"]);
    assert_eq!(begun(&world, &item, "developer"), 1);
    let left = fs::read_dir(world.data().join("scratch")).expect("a folder").count();
    assert_eq!(left, 0, "nothing is left of it");
    world.nothing_is_left();
}

/// How a run ended cannot be written down: people are told, `why` says it, and a stop does not wait for it.
#[test]
fn an_end_that_cannot_be_written_down_is_told_and_a_stop_goes_on() {
    let mut world = world("[developer]\ndo = [\"held\"]", "");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    // What stops root, too: a folder that leads to itself.
    let dir = world.data().join("runs/1");
    fs::rename(&dir, world.path("run-1")).expect("away");
    std::os::unix::fs::symlink(&dir, &dir).expect("a link");
    world.let_go();
    world.until("the alert", || alerts(&world, "cannot be written down") == 1);
    let why = world.get(&format!("/api/tasks/{item}/why"));
    let text = why["blockers"][0]["text"].as_str().unwrap_or_default();
    assert!(
        text.contains("cannot be written down: ") && text.contains("signalbox stop"),
        "{why}"
    );
    assert_eq!(why["blockers"][0]["who"], "operator", "{why}");
    let answer = world
        .post(&format!("/api/tasks/{item}/stop"), &serde_json::json!({}))
        .expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    world.wait_mode(&format!("{item}~1"), "cancelled");
    assert_eq!(alerts(&world, "cannot be written down"), 1, "told once");
    assert_eq!(world.count("SELECT COUNT(*) FROM notices"), 0);
    fs::remove_file(&dir).expect("the link");
    world.nothing_is_left();
}

/// What a run left cannot be taken over, again and again: people are told once, `why` says it, and both are taken back when it can be.
#[test]
fn work_that_cannot_be_taken_over_is_told_once_and_taken_back() {
    let mut world = world("[developer]\ndo = [\"held\"]", "");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    let (forge, away) = (world.forge(), world.path("forge-away"));
    fs::rename(&forge, &away).expect("away");
    world.let_go();
    world.until("the alert", || alerts(&world, "cannot be taken over") == 1);
    let why = world.get(&format!("/api/tasks/{item}/why"));
    let text = why["blockers"][0]["text"].as_str().unwrap_or_default();
    assert!(text.contains("run 1 has exited, but what it left cannot be taken over"), "{why}");
    assert!(text.contains("the next try is in"), "{why}");
    assert_eq!(why["blockers"][0]["who"], "operator", "{why}");
    assert_eq!(alerts(&world, "cannot be taken over"), 1, "told once");
    fs::rename(&away, &forge).expect("back");
    let seen = done(&mut world, &item);
    assert_eq!(ends(&seen)[0], "ok", "{}", seen["runs"]);
    assert_eq!(begun(&world, &item, "developer"), 1, "paid once");
    assert_eq!(alerts(&world, "is on record now; it goes on"), 1, "{}", world.tail());
    assert_eq!(world.count("SELECT COUNT(*) FROM notices"), 0);
    world.nothing_is_left();
}

/// A git that was killed leaves the lock of a ref: whoever comes later waits for nobody.
#[test]
fn b_run_4_locks_that_a_killed_git_left_wedge_nothing() {
    let mut world = world("[developer]\ndo = [\"held\"]", "");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    let branch = world.show(&item)["branch"].as_str().expect("a branch").to_owned();
    let vault = world.data().join("vaults/1.git");
    let old = std::time::SystemTime::now() - std::time::Duration::from_mins(2);
    let locks = [
        vault.join("refs/runs/1.lock"),
        vault.join(format!("refs/remotes/origin/{branch}.lock")),
        world.forge().join(format!("refs/heads/{branch}.lock")),
        world.forge().join("refs/heads/main.lock"),
    ];
    for lock in &locks {
        fs::create_dir_all(lock.parent().expect("a folder")).expect("a folder");
        fs::File::create(lock).and_then(|file| file.set_modified(old)).expect("a lock");
    }
    world.let_go();
    let seen = done(&mut world, &item);
    assert!(
        !ends(&seen).iter().any(|end| end == "failed" || end == "transient"),
        "{}",
        seen["runs"]
    );
    assert_eq!(begun(&world, &item, "developer"), 1);
    for lock in locks {
        assert!(!lock.exists(), "{}", lock.display());
    }
    world.nothing_is_left();
}
