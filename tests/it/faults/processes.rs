//! Services that die of a job, programs that are replaced, runs that are not what they seem.

use std::fs;

use serde_json::{Value as Json, json};

use super::{begun, done, ends, world};
use crate::world::{EXE, copied};

/// ★ I4: three rescues, then it is parked as poison, told once; others are not held up, and a person may try again.
#[test]
fn a_job_that_ends_the_service_each_time_is_parked_as_poison() {
    let mut world = world("[developer]\ndo = [\"ok\"]", "\"serial_gate.enabled\" = false");
    world.crash = Some("claimed:1".to_owned());
    world.start();
    let posted = world.post("/api/tasks", &json!({"title": "Poison", "text": "Please."}));
    // It may have died of it before it could answer.
    let item = posted
        .ok()
        .and_then(|a| a.body["item"].as_str().map(str::to_owned))
        .unwrap_or_else(|| "LOC-001".to_owned());
    let seen = world.wait_blocker(&item, "ESCALATED");
    let all = seen["blockers"].as_array().expect("blockers");
    let said = all.iter().find(|b| b["code"] == "ESCALATED").expect("it is parked");
    let text = said["text"].as_str().unwrap_or_default();
    assert!(text.contains("poison: 4 runs of developer"), "{said}");
    assert!(
        text.contains("before any process of it began") && !text.contains("killed"),
        "{said}"
    );
    assert!(said["clear"].as_str().is_some_and(|c| c.contains("retry")), "{said}");
    assert_eq!(ends(&seen), ["lost"; 4]);
    assert_eq!(world.starts, 5, "four deaths, and no more");
    let alerts = world.count("SELECT COUNT(*) FROM outbox WHERE kind = 'alert' AND effect LIKE '%poison%'");
    assert_eq!(alerts, 1, "told once");
    assert_eq!(begun(&world, &item, "developer"), 0);
    // Parked, it ends nobody any more: the service lives, and takes others on once its own cause is gone.
    world.crash = None;
    world.stop();
    world.start();
    let other = world.new_task("Something else");
    done(&mut world, &other);
    let answer = world.post(&format!("/api/tasks/{item}/retry"), &json!({})).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    done(&mut world, &item);
    world.nothing_is_left();
}

/// ★ I4: the same for what a run leaves behind: it is given up in the end, and another's, settled beside it, is taken over.
#[test]
fn what_a_run_leaves_that_ends_the_service_each_time_is_given_up() {
    let mut world = world(
        "[developer]\ndo = [\"held\"]",
        "\"serial_gate.enabled\" = false\n[config]\nmax_concurrency = 2",
    );
    world.start();
    let poison = world.new_task("Poison");
    world.wait_agent(&poison, "developer", 1);
    let other = world.new_task("Something else");
    world.wait_agent(&other, "developer", 1);
    world.kill();
    world.crash = Some("settling-1:1".to_owned());
    world.let_go();
    world.start();
    let seen = done(&mut world, &poison);
    assert_eq!(ends(&seen)[..2], ["failed", "ok"], "tried again");
    let detail = seen["runs"][0]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("poison: the service fell over 5 times"), "{detail}");
    assert!(detail.contains("runs/1.log"), "{detail}");
    assert_eq!(world.starts, 2 + 5, "five deaths, and no more");
    done(&mut world, &other);
    assert_eq!((begun(&world, &poison, "developer"), begun(&world, &other, "developer")), (2, 1));
    world.nothing_is_left();
}

/// ★ An upgrade: the file is replaced under the running service, which is told to end; its successor adopts.
#[test]
fn an_upgrade_in_place_leaves_runs_alone_and_the_new_program_adopts_them() {
    let mut world = world("[developer]\ndo = [\"held\"]", "");
    let program = world.path("bin/signalbox");
    fs::create_dir_all(world.path("bin")).expect("a folder");
    let install = || {
        let fresh = program.with_extension("new");
        copied(EXE, &fresh);
        fs::rename(&fresh, &program).expect("in place");
    };
    install();
    world.exe = Some(program.clone());
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    let shims = |world: &crate::world::World| world.processes().iter().filter(|(_, l)| l.contains("run-shim")).count();
    let before = shims(&world);
    install();
    // Replaced, and still at work: what it starts now is what it is itself.
    let second = world.new_task("Another");
    assert_eq!(world.ask("/health").status, 200);
    world.stop();
    assert_eq!(shims(&world), before, "runs outlive it");
    world.start();
    world.until("adoption", || world.log().contains(" adopted"));
    let path = format!("/proc/{}/exe", world.pid().expect("a service"));
    assert_eq!(
        fs::read_link(path).expect("its program"),
        fs::canonicalize(&program).expect("a path"),
        "the new one"
    );
    world.let_go();
    for item in [&item, &second] {
        done(&mut world, item);
        assert_eq!(begun(&world, item, "developer"), 1, "paid once");
    }
    world.nothing_is_left();
}

/// ★ A shim's number is another process's by now: that one is left alone, and the run is rescued.
/// ★ What the replaced run comes to later changes 0 rows.
#[test]
fn a_pid_that_was_used_again_and_the_end_of_a_run_that_was_replaced_change_nothing() {
    let mut world = world("[developer]\ndo = [\"held\"]", "");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    world.kill();
    let mut bystander = std::process::Command::new("sleep").arg("300").spawn().expect("sleep");
    let owner = world.data().join("runs/1/owner");
    let mut record: Json = serde_json::from_slice(&fs::read(&owner).expect("an owner")).expect("json");
    record["shim"]["pid"] = json!(bystander.id());
    fs::write(&owner, record.to_string()).expect("written");
    world.start();
    world.wait_agent(&item, "developer", 2);
    assert!(bystander.try_wait().expect("status").is_none(), "a bystander was killed");
    bystander.kill().expect("killed");
    bystander.wait().expect("reaped");
    // The run that was given up says after all how it ended, well even.
    let exit = json!({"code": 0, "started_at": 1, "ended_at": 2, "log_bytes": 0, "log_truncated": false, "survivors": 0,
        "signal": null, "killed": null, "launch_error": null});
    fs::write(world.data().join("runs/1/exit.json"), exit.to_string()).expect("written");
    let rows = "SELECT COUNT(*) FROM inbox WHERE kind = 'run_ended'";
    let before = world.count(rows);
    world.kill();
    world.start();
    world.until("adoption", || world.log().contains(" adopted"));
    assert_eq!(world.count(rows), before, "0 rows");
    world.let_go();
    let seen = done(&mut world, &item);
    assert_eq!(ends(&seen)[..2], ["lost", "ok"], "{}", seen["runs"]);
    world.nothing_is_left();
}
