//! Runs whose start, end or withdrawal comes at the worst moment.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};

use super::{begun, done, ends, world};
use crate::world::{World, executable};

/// Ends the service and everything that it started, as a power cut does.
fn all_gone(world: &mut World) {
    world.kill();
    for (pid, _) in world.processes() {
        match kill(Pid::from_raw(pid), Signal::SIGKILL) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(error) => panic!("kill: {error}"),
        }
    }
    world.until("the end of all processes", || world.processes().is_empty());
}

/// A record of run 1.
fn record(world: &World, name: &str) -> Json {
    let text = fs::read(world.data().join("runs/1").join(name)).expect("a record");
    serde_json::from_slice(&text).expect("json")
}

fn rewrite(world: &World, name: &str, record: &Json) {
    fs::write(world.data().join("runs/1").join(name), record.to_string()).expect("written");
}

/// What `why` says first.
fn first(world: &mut World, item: &str) -> String {
    let why = world.get(&format!("/api/tasks/{item}/why"));
    why["blockers"][0]["text"].as_str().unwrap_or_default().to_owned()
}

/// ★ I6: a STOP between the start of a process and its being on record, on a disk that is full just then.
#[test]
fn a_stop_is_carried_out_though_the_start_could_not_be_recorded() {
    let mut world = world("[developer]\ndo = [\"hang\"]", "");
    world.hold("spawned");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_held("spawned");
    let answer = world.post(&format!("/api/tasks/{item}/stop"), &json!({})).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    // The order finds no process to end, and is closed.
    world.until("the order", || {
        world.count("SELECT COUNT(*) FROM outbox WHERE kind = 'kill' AND state <> 'open'") == 1
    });
    world.fault("full:1");
    world.pass("spawned");
    world.until("a start that is not recorded", || {
        world.log().contains("a run could not be launched")
    });
    world.fault("");
    world.wait_mode(&format!("{item}~1"), "cancelled");
    assert_eq!(world.starts, 1, "{}", world.tail());
    world.nothing_is_left();
}

/// A folder of the service's own that keeps it out costs no attempt: the launch waits, says where and what is to be done, and
/// goes on by itself. Rights say nothing to root; a file in the folder's place says it to everybody.
#[test]
fn a_folder_that_keeps_the_service_out_is_waited_for() {
    let mut world = world("[developer]\ndo = [\"ok\"]", "");
    world.start();
    let runs = world.data().join("runs");
    match fs::remove_dir(&runs) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => fs::write(&runs, "").expect("a file"),
    }
    let item = world.new_task("Add a greeting");
    let path = runs.display().to_string();
    let says = |text: &str| {
        ["could not be launched yet", &path, "mend its rights"]
            .iter()
            .all(|part| text.contains(part))
    };
    let told = || {
        let why = world.ask(&format!("/api/tasks/{item}/why")).body;
        let blockers = why["blockers"].as_array().cloned().unwrap_or_default();
        blockers.iter().any(|b| says(b["text"].as_str().unwrap_or_default()))
    };
    for times in [1, 2] {
        world.until("a launch that was put back", || {
            world.count("SELECT COUNT(*) FROM runs WHERE state = 'ended' AND started_at IS NULL") >= times
        });
        world.until("the reason, the place and the remedy", told);
    }
    fs::remove_file(&runs).expect("the file");
    world.wait_blocker(&item, "APPROVAL_WAIT");
    assert_eq!(begun(&world, &item, "developer"), 1, "{}", world.tail());
    let jobs = "SELECT COUNT(*) FROM jobs WHERE attempts > 1";
    assert_eq!(world.count(jobs), 0, "nothing was used up");
}

/// ★ I2, I6: while something of a run cannot be ended the run is not over: nothing else begins in its checkout, a stop is
/// not done, people are told once and by `why`. When it is gone all goes on.
#[test]
fn a_run_of_which_something_is_left_is_not_over() {
    let mut world = world("[developer]\ndo = [\"held\"]", "");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    all_gone(&mut world);
    // What the kernel would say of a process that hangs in it.
    let events = world.path("held/cgroup.events");
    fs::create_dir_all(world.path("held")).expect("a folder");
    fs::write(&events, "populated 1\n").expect("written");
    let mut shim = record(&world, "shim.json");
    shim["cgroup"] = json!(world.path("held"));
    rewrite(&world, "shim.json", &shim);
    world.start();
    world.until("the notice", || {
        world.count("SELECT COUNT(*) FROM notices WHERE key LIKE 'left over%'") == 1
    });
    let said = first(&mut world, &item);
    assert!(
        said.contains("run 1 (developer) has ended, but 1 process(es) of it live on"),
        "{said}"
    );
    let answer = world.post(&format!("/api/tasks/{item}/stop"), &json!({})).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    world.wait_blocker(&item, "STOPPING");
    world.kill();
    world.start();
    world.until("a second sweep", || {
        world.log().matches("what is left of a run cannot be ended").count() >= 2
    });
    assert_eq!(
        world.count("SELECT COUNT(*) FROM runs WHERE state = 'ended'"),
        0,
        "{}",
        world.tail()
    );
    assert_eq!(begun(&world, &item, "developer"), 1);
    assert!(world.data().join("checkouts").join("t1").is_dir(), "its checkout stays");
    let alerts = "SELECT COUNT(*) FROM outbox WHERE kind = 'alert' AND effect LIKE '%live on%'";
    assert_eq!(world.count(alerts), 1, "told once");
    fs::write(&events, "populated 0\n").expect("written");
    world.kill();
    world.start();
    world.wait_mode(&format!("{item}~1"), "cancelled");
    assert_eq!(world.count("SELECT COUNT(*) FROM notices"), 0);
    world.nothing_is_left();
}

/// ★ I2: the same of a run whose shim recorded that it could not end one: another user's, at the weakest containment.
#[test]
fn a_run_whose_shim_could_not_end_all_of_it_is_not_over() {
    let mut world = world("[developer]\ndo = [\"held\"]", "");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    all_gone(&mut world);
    let mut stranger = std::process::Command::new("sleep").arg("600").spawn().expect("sleep");
    let pid = i32::try_from(stranger.id()).expect("a pid");
    let start = signalbox::shell::process::start_time(pid).expect("it lives");
    let boot = record(&world, "shim.json")["boot_id"].clone();
    let exit = json!({"code": 1, "started_at": 1, "ended_at": 2, "log_bytes": 0, "log_truncated": false, "survivors": 0, "signal": null,
        "killed": null, "launch_error": null, "unkillable": 1, "refused": [{"pid": pid, "start": start, "boot_id": boot}]});
    rewrite(&world, "exit.json", &exit);
    world.start();
    world.until("the notice", || {
        world.count("SELECT COUNT(*) FROM notices WHERE key LIKE 'left over%'") == 1
    });
    let said = first(&mut world, &item);
    assert!(said.contains("1 process(es) of it live on"), "{said}");
    assert_eq!(world.count("SELECT COUNT(*) FROM runs WHERE state IN ('exited', 'ended')"), 0);
    assert!(
        stranger.try_wait().expect("status").is_none(),
        "whoever the record names is looked at, and no more"
    );
    stranger.kill().expect("killed");
    stranger.wait().expect("reaped");
    world.let_go();
    world.kill();
    world.start();
    let seen = done(&mut world, &item);
    assert_eq!(ends(&seen)[..2], ["failed", "ok"], "its own exit counts: {}", seen["runs"]);
    world.nothing_is_left();
}

/// A service that may not read what is another user's, though it is root; `None`, with the reason told, where that cannot be had.
fn confined(world: &World) -> Option<PathBuf> {
    let here = std::process::Command::new("setpriv").arg("--version").output().is_ok();
    if !here || !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: it takes root and setpriv");
        return None;
    }
    let (path, exe) = (world.path("confined"), env!("CARGO_BIN_EXE_signalbox"));
    let text = format!("#!/bin/sh\nexec setpriv --bounding-set=-dac_override,-dac_read_search {exe} \"$@\"\n");
    executable(&path, &text);
    Some(path)
}

/// Gives the records of run 1 to a user.
fn give(world: &World, user: u32) {
    let dir = world.data().join("runs/1");
    for entry in fs::read_dir(&dir).expect("a folder") {
        chown(entry.expect("an entry").path(), Some(user), None).expect("given");
    }
    chown(&dir, Some(user), None).expect("given");
}

/// ★ I2: what may not be read is no evidence of an end: the run stays open, nobody works beside its agent, people are told once
/// and by `why`. Once it can be read it goes on.
#[test]
fn a_run_whose_records_may_not_be_read_is_not_over() {
    let mut world = world("[developer]\ndo = [\"held\"]", "");
    let Some(confined) = confined(&world) else { return };
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    world.kill();
    give(&world, 65_534);
    world.exe = Some(confined);
    let notices = "SELECT COUNT(*) FROM notices WHERE key LIKE 'unreadable%'";
    for _ in 0..2 {
        world.start();
        world.until("a look", || {
            world.log().contains("cannot be found out: it stays open") && world.count(notices) == 1
        });
        let said = first(&mut world, &item);
        assert!(said.contains("what became of run 1 (developer) cannot be found out"), "{said}");
        assert!(
            said.contains("runs/1/owner: Permission denied") && said.contains("chown -R 0 "),
            "{said}"
        );
        world.kill();
    }
    assert_eq!(world.count("SELECT COUNT(*) FROM runs WHERE state IN ('exited', 'ended')"), 0);
    let alerts = "SELECT COUNT(*) FROM outbox WHERE kind = 'alert' AND effect LIKE '%cannot be found out%'";
    assert_eq!(world.count(alerts), 1, "told once");
    give(&world, 0);
    world.start();
    world.until("adoption", || world.log().contains(" adopted"));
    world.until("that it is over", || world.count("SELECT COUNT(*) FROM notices") == 0);
    world.let_go();
    done(&mut world, &item);
    assert_eq!(begun(&world, &item, "developer"), 1, "paid once");
    world.nothing_is_left();
}

/// What is left of one run is being ended, however long that takes: others begin meanwhile.
#[test]
fn a_sweep_holds_up_nobody_else() {
    let mut world = world(
        "[developer]\ndo = [\"held\"]",
        "\"serial_gate.enabled\" = false\n[config]\nmax_concurrency = 2",
    );
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    all_gone(&mut world);
    world.hold("sweeping");
    world.start();
    world.wait_held("sweeping");
    let other = world.new_task("Another");
    world.wait_agent(&other, "developer", 1);
    let answer = world.post(&format!("/api/tasks/{other}/stop"), &json!({})).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    world.wait_mode(&format!("{other}~1"), "cancelled");
    world.pass("sweeping");
    world.let_go();
    let seen = done(&mut world, &item);
    assert_eq!(ends(&seen)[0], "lost", "{}", seen["runs"]);
    world.nothing_is_left();
}

/// ★ I3: work that was withdrawn while it was being taken over is not pushed, and the run that follows does not begin from it.
#[test]
fn a_run_that_is_superseded_while_it_is_settled_pushes_nothing() {
    let mut world = world("[developer]\ndo = [\"ok\", \"held\"]", "");
    world.hold("before-push");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_held("before-push");
    let answer = world
        .post(&format!("/api/tasks/{item}/reject"), &json!({"text": "not like this"}))
        .expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    world.until("the order", || {
        world.count("SELECT COUNT(*) FROM runs WHERE id = 1 AND kill IS NOT NULL") == 1
    });
    world.pass("before-push");
    world.wait_agent(&item, "developer", 2);
    assert_eq!(world.count("SELECT COUNT(*) FROM pushes"), 1, "the branch alone: {}", world.tail());
    let starts = world.count("SELECT COUNT(DISTINCT start_sha) FROM runs");
    assert_eq!(starts, 1, "both began from the same commit");
    world.let_go();
    let seen = done(&mut world, &item);
    assert_eq!(ends(&seen)[..2], ["killed", "ok"], "{}", seen["runs"]);
    world.nothing_is_left();
}

/// B-Q 9: an end in good order uses up neither an attempt nor a rescue, whatever it cuts off.
#[test]
fn b_q_9_planned_ends_between_claim_and_start_use_up_nothing() {
    let mut world = world("[developer]\ndo = [\"ok\"]", "");
    world.hold("claimed");
    world.start();
    let item = world.new_task("Add a greeting");
    for _ in 0..5 {
        world.wait_held("claimed");
        world.stop();
        world.hold("claimed");
        world.start();
    }
    world.wait_held("claimed");
    world.pass("claimed");
    let seen = done(&mut world, &item);
    let all = ends(&seen);
    assert_eq!(all[..5], ["transient"; 5], "{}", seen["runs"]);
    assert!(!all.contains(&"lost".to_owned()) && all[5] == "ok", "{all:?}");
    assert_eq!(begun(&world, &item, "developer"), 1, "paid once");
    world.nothing_is_left();
}

/// B-RUN 5: what an agent told that it cost was paid, whatever became of its run.
#[test]
fn b_run_5_what_killed_and_lost_runs_cost_is_counted() {
    let result =
        r#"{"type":"result","subtype":"success","is_error":false,"total_cost_usd":0.01,"usage":{"input_tokens":12,"output_tokens":3}}"#;
    let script = format!("printf '%s\\n' '{result}'; exec sleep 600");
    let run = toml::Value::from(vec!["bash".to_owned(), "-c".to_owned(), script]);
    let mut world = world("", &format!("\"agents.*.run\" = {run}"));
    world.start();
    let item = world.new_task("Add a greeting");
    let told = |world: &World, n: u32| {
        world.until("its words", || {
            fs::read_to_string(world.data().join(format!("runs/{n}.log"))).is_ok_and(|log| log.contains("total_cost_usd"))
        });
    };
    told(&world, 1);
    all_gone(&mut world);
    world.start();
    told(&world, 2);
    let answer = world.post(&format!("/api/tasks/{item}/stop"), &json!({})).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    let seen = world.wait_mode(&format!("{item}~1"), "cancelled");
    assert_eq!(ends(&seen), ["lost", "killed"], "{}", seen["runs"]);
    let out = world.command(&["cost", "--json"]).output().expect("a command");
    let cost: Json = serde_json::from_slice(&out.stdout).expect("json");
    assert_eq!((&cost["cost_usd"], &cost["lines"][0]["runs"]), (&json!(0.02), &json!(2)), "{cost}");
    world.nothing_is_left();
}

/// ★ SIGSTOP in the running service: a shim that was told to end its run and is stopped is made to go on, and the STOP comes to its end.
#[test]
fn a_shim_that_is_stopped_in_the_middle_of_a_stop_is_made_to_go_on() {
    let mut world = world("[developer]\ndo = [\"deaf\"]", "\"agents.*.grace\" = \"8s\"");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    let answer = world.post(&format!("/api/tasks/{item}/stop"), &json!({})).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    // It has the order, and its agent does not hear of it for as long as the grace lasts.
    let taken = world.data().join("runs/1/kill.taken");
    world.until("the order", || taken.exists());
    let shim = i32::try_from(world.count("SELECT pid FROM runs WHERE id = 1")).expect("a pid");
    kill(Pid::from_raw(shim), Signal::SIGSTOP).expect("stopped");
    world.wait_mode(&format!("{item}~1"), "cancelled");
    assert!(
        world.log().contains("its shim does nothing: it is made to go on"),
        "{}",
        world.tail()
    );
    world.nothing_is_left();
}
