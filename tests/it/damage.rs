//! A database too large to be read whole before the start: it is read beside the service, and what
//! is found in it decides whether anything is launched.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::world::{Setup, World};

/// A service that was killed with an agent at work, and with a database that has grown; its task.
fn grown() -> (World, String) {
    let agents = toml::from_str("[developer]\ndo = [\"hang\"]").expect("agents");
    let mut world = World::new(&Setup {
        agents,
        ..Setup::default()
    });
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    world.kill();
    let conn = rusqlite::Connection::open(world.data().join("signalbox.db")).expect("the database");
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 192) \
               INSERT INTO deliveries (peer, event, projects, body, digest, at, state, attempts, due, why) \
               SELECT 'plane', 'e', '[]', zeroblob(131072), 'd' || i, 0, 'pending', 0, 9999999999999, '' FROM n";
    conn.execute(sql, []).expect("rows");
    // Closing it moves the log into the database in good order.
    drop(conn);
    let _ = fs::remove_file(world.data().join("signalbox.open"));
    (world, item)
}

#[test]
fn p9_a_large_database_is_read_whole_beside_the_service() {
    let (mut world, item) = grown();
    world.start();
    world.until("the database read whole", || {
        world.log().contains("the database was read whole and is sound")
    });
    assert_eq!(world.get("/health")["database"], "ok");
    assert_eq!(world.begun().len(), 1, "the run that was at work was adopted");
    let second = world.new_task("Add another");
    world.wait_blocker(&second, "LANE_HELD");
    let answer = world.post(&format!("/api/tasks/{item}/stop"), &json!({})).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    world.wait_agent(&second, "developer", 1);
}

#[test]
fn p9_damage_that_is_found_later_stops_everything_and_no_work_is_done_again() {
    let (mut world, item) = grown();
    // What was at work is gone: a service that trusts its database would run it again.
    for (pid, line) in world.processes() {
        if line.contains("run-shim") || line.contains("scripted-agent") {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    let path = world.data().join("signalbox.db");
    let mut bytes = fs::read(&path).expect("the database");
    let (from, to) = (bytes.len() / 2, bytes.len() * 2 / 3);
    bytes[from..to].fill(0x5a);
    fs::write(&path, &bytes).expect("the database");
    world.start();
    world.until("the damage found", || world.log().contains("the database cannot be relied on"));
    let health = world.get("/health");
    assert_eq!(health["status"], 503, "whoever watches the service is told: {health}");
    let status = world.get("/status");
    // Where the damage lies in what is shown, that is the whole answer.
    assert!(status.to_string().contains("signalbox restore"), "{status}");
    let refused = world
        .post("/api/tasks", &json!({"title": "More", "text": "Please."}))
        .expect("an answer");
    assert!(!refused.ok() && refused.refusal().contains("signalbox restore"), "{refused:?}");
    assert_eq!(world.begun().len(), 1, "{item} was not run again");
    world.stop();
}
