//! ★ A full or failing disk: nothing new is started, nothing acknowledged is lost, nothing is done twice.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use signalbox::engine::model::RunId;
use signalbox::shell::process::{Containment, Outcome, RunSpec, Supervisor};

use super::{begun, done, ends, world};
use crate::world::{World, blocked, end_of, executable, skipped};

/// A task from its issue to its merge while commits fail from the `nth` on, until that is noticed;
/// its end, and whether the fault was met at all.
fn task(world: &mut World, kind: &str, nth: u32) -> (Json, bool) {
    world.fault(&format!("{kind}:{nth}"));
    let mut met = false;
    let mut mend = |world: &World| {
        let health = world.ask("/health");
        if health.status != 503 {
            return;
        }
        met = true;
        let said = health.body["database"].as_str().unwrap_or_default();
        let remedy = if kind == "full" { "free some space" } else { "" };
        assert!(health.body["status"] == "degraded" && said.contains(remedy), "{health:?}");
        assert!(health.body["since"].is_string(), "{health:?}");
        world.fault("");
    };
    let item = loop {
        let answer = world
            .post("/api/tasks", &json!({"title": "Add a greeting", "text": "Please."}))
            .expect("an answer");
        if answer.ok() {
            break answer.body["item"].as_str().expect("an item").to_owned();
        }
        assert_eq!(answer.status, 503, "refused, not lost: {answer:?}");
        mend(world);
    };
    let mut place = 0;
    loop {
        mend(world);
        let seen = world.show(&item);
        if seen["task"]["mode"] == "done" {
            break;
        }
        if blocked(&seen, "APPROVAL_WAIT") {
            let answer = world.post(&format!("/api/tasks/{item}/approve"), &json!({})).expect("an answer");
            assert!(answer.ok() || answer.status == 503 || answer.status == 409, "{answer:?}");
        }
        let news = world.get(&format!("/api/timeline?after={place}&wait=1"));
        place = news["next"].as_i64().unwrap_or(place);
    }
    world.fault("");
    world.until("the last effect", || {
        world.count("SELECT COUNT(*) FROM outbox WHERE state = 'open'") == 0
    });
    let seen = world.show(&item);
    for agent in ["developer", "reviewer", "tester"] {
        assert_eq!(begun(world, &item, agent), 1, "{agent} with {kind}:{nth}\n{}", world.tail());
    }
    let end = end_of(&seen).to_string().replace(&item, "ITEM");
    (serde_json::from_str(&end).expect("json"), met)
}

fn small() -> World {
    world(
        "[developer]\ndo = [\"ok\"]",
        "\"serial_gate.enabled\" = false\n\"retry.base\" = \"10ms\"\n\"retry.max\" = \"10ms\"\n\"breaker.enabled\" = false",
    )
}

/// Developers are at work until they are let go on, three of them at the same time.
fn held() -> World {
    world(
        "[developer]\ndo = [\"held\"]",
        "\"serial_gate.enabled\" = false\n[config]\nmax_concurrency = 3",
    )
}

/// The same with one of them at work on a task.
fn at_work() -> (World, String) {
    let mut world = held();
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    (world, item)
}

/// Agents that are at work.
fn agents(world: &World) -> usize {
    world.processes().iter().filter(|(_, l)| l.contains("scripted-agent")).count()
}

#[test]
fn a_commit_that_fails_costs_nothing_wherever_it_comes() {
    let mut world = small();
    world.start();
    let (plain, met) = task(&mut world, "full", 1_000_000);
    assert!(!met);
    for (kind, nth) in [("full", 1), ("ioerr", 7), ("corrupt", 13), ("nomem", 19)] {
        let (end, met) = task(&mut world, kind, nth);
        assert!(met, "{kind}:{nth} was met");
        assert_eq!(end, plain, "{kind}:{nth}");
    }
    assert_eq!(world.starts, 1, "it never ends because of it");
    world.nothing_is_left();
}

#[test]
#[ignore = "minutes: the disk is full at each write of a task in turn"]
fn the_disk_is_full_at_every_write_of_a_task() {
    let mut world = small();
    world.start();
    let (plain, _) = task(&mut world, "full", 1_000_000);
    let mut nth = 1;
    loop {
        let (end, met) = task(&mut world, "full", nth);
        assert_eq!(end, plain, "full:{nth}");
        if !met {
            break;
        }
        nth += 1;
    }
    println!("the disk was full at each of {} writes of a task: the same end each time", nth - 1);
    assert!(nth > 20, "only {nth} writes");
    world.nothing_is_left();
}

/// Agents go on, the shim keeps what they came to, a restart changes nothing; everyone is told.
#[test]
fn while_the_database_cannot_be_written_agents_go_on_and_nothing_is_claimed() {
    let (mut world, item) = at_work();
    let waits = world.new_task("Another");
    world.wait_agent(&waits, "developer", 1);
    let stopped = world.new_task("A third");
    world.wait_agent(&stopped, "developer", 1);
    // The order to stop is on record; what follows of it is not yet.
    world.fault("full:1");
    let refused = world
        .post(&format!("/api/tasks/{item}/comment"), &json!({"text": "hello"}))
        .expect("an answer");
    assert_eq!(refused.status, 503, "{refused:?}");
    world.until("degraded", || world.ask("/health").status == 503);
    let why = world.get(&format!("/api/tasks/{item}/why"));
    assert_eq!(why["blockers"][0]["code"], "DEGRADED", "{why}");
    let status = world.get("/status");
    let told = status["problems"][0]["text"].as_str().unwrap_or_default();
    assert!(
        told.contains("free some space") && told.contains("agents at work go on"),
        "{status}"
    );
    let queue = world.get("/queue");
    assert!(queue["held"]["since"].is_string() && queue["held"]["text"] == told, "{queue}");
    let shown = world.command(&["queue"]).output().expect("a command");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.starts_with("Nothing is started: ") && shown.contains("free some space"),
        "{shown}"
    );
    assert!(agents(&world) >= 3, "{:?}", world.processes());
    world.let_go();
    world.until("the end of the agents", || {
        agents(&world) == 0 && (1..=3).all(|n| world.data().join(format!("runs/{n}/exit.json")).exists())
    });
    // Started anew in the middle of it, it waits as well.
    world.kill();
    world.start();
    world.until("degraded again", || world.ask("/health").status == 503);
    assert_eq!(world.begun().len(), 3, "nothing is claimed");
    world.fault("");
    for item in [&item, &waits, &stopped] {
        done(&mut world, item);
        assert_eq!(begun(&world, item, "developer"), 1, "paid once");
    }
    assert!(world.log().contains("in order again"), "{}", world.tail());
    assert_eq!(world.ask("/health").status, 200);
    assert!(world.get("/queue")["held"].is_null());
    world.nothing_is_left();
}

/// A stop needs no disk to end what runs: neither one that cannot be recorded nor one that can, and no more.
#[test]
fn a_stop_ends_the_agents_while_the_database_cannot_be_written() {
    for fault in ["full:1", "full:2"] {
        let (mut world, item) = at_work();
        let other = world.new_task("Another");
        world.wait_agent(&other, "developer", 1);
        world.fault(fault);
        let answer = world.post(&format!("/api/tasks/{item}/stop"), &json!({})).expect("an answer");
        if !answer.ok() {
            assert_eq!(answer.status, 503, "{answer:?}");
            let help = answer.body["help"].as_str().unwrap_or_default();
            assert!(help.contains(&format!("the agents of {item} are ended all the same")), "{answer:?}");
        }
        world.until("the end of its agent", || agents(&world) == 1);
        assert_eq!(world.ask("/health").status, 503, "it is ended before anything can be recorded");
        let status = world.get("/status");
        assert!(
            status.to_string().contains("asked for a stop: its agents are ended now"),
            "{fault}: {status}"
        );
        world.fault("");
        world.wait_mode(&item, "cancelled");
        assert_eq!(begun(&world, &item, "developer"), 1, "nobody began again");
        world.let_go();
        done(&mut world, &other);
        assert_eq!(begun(&world, &other, "developer"), 1, "the other's went on");
        world.nothing_is_left();
    }
}

/// A stop that could not be recorded is lost with the service: what its agent did is not paid for again before somebody has said
/// what is wanted, and the task says so.
#[test]
fn a_stop_that_was_lost_with_the_service_leaves_nothing_stuck() {
    for again in ["stop", "retry"] {
        let (mut world, item) = at_work();
        world.fault("full:1");
        let answer = world.post(&format!("/api/tasks/{item}/stop"), &json!({})).expect("an answer");
        assert_eq!(answer.status, 503, "{answer:?}");
        world.until("the end of its agent", || agents(&world) == 0);
        world.kill();
        world.fault("");
        world.let_go();
        world.start();
        let seen = world.wait_blocker(&item, "ESCALATED");
        let said = "was ended by an order (the task was stopped) that is not on record";
        assert!(seen.to_string().contains(said), "{seen}");
        assert_eq!(begun(&world, &item, "developer"), 1, "nobody began again");
        let answer = world.post(&format!("/api/tasks/{item}/{again}"), &json!({})).expect("an answer");
        assert!(answer.ok(), "{answer:?}");
        if again == "stop" {
            world.wait_mode(&item, "cancelled");
        } else {
            done(&mut world, &item);
        }
        assert_eq!(begun(&world, &item, "developer"), if again == "stop" { 1 } else { 2 });
        world.nothing_is_left();
    }
}

/// ★ Another program reads for as long as it likes, and holds the database against writers for longer than is waited.
#[test]
fn another_program_that_holds_the_database_is_waited_for() {
    let mut world = small();
    world.start();
    let path = world.data().join("signalbox.db");
    let reader = rusqlite::Connection::open(&path).expect("the database");
    reader.execute_batch("BEGIN; SELECT COUNT(*) FROM tasks").expect("a reading");
    let writer = rusqlite::Connection::open(&path).expect("the database");
    writer.execute_batch("BEGIN IMMEDIATE").expect("held");
    let refused = world
        .post("/api/tasks", &json!({"title": "Add a greeting", "text": "Please."}))
        .expect("an answer");
    assert_eq!(refused.status, 503, "{refused:?}");
    let health = world.ask("/health").body;
    assert!(
        health["database"].as_str().is_some_and(|d| d.contains("another program holds")),
        "{health}"
    );
    writer.execute_batch("ROLLBACK").expect("let go");
    world.until("in order again", || world.ask("/health").status == 200);
    let item = world.new_task("Add a greeting");
    done(&mut world, &item);
    reader.execute_batch("COMMIT").expect("read");
    assert_eq!(world.count("SELECT COUNT(*) FROM tasks"), 1, "what was refused was not recorded");
    drop((reader, writer));
    world.nothing_is_left();
}

/// ★ A stop does not wait for another program that holds the database: the agents are ended before it is answered, and the stop is
/// complete once the database is let go.
#[test]
fn a_stop_does_not_wait_for_another_program_that_holds_the_database() {
    let (mut world, item) = at_work();
    let other = rusqlite::Connection::open(world.data().join("signalbox.db")).expect("the database");
    other.execute_batch("BEGIN IMMEDIATE").expect("held");
    let answer = world.post(&format!("/api/tasks/{item}/stop"), &json!({})).expect("an answer");
    // It was given before the recording was given up; who takes it, and when, is the shim's.
    let ordered = ["kill", "kill.taken"].map(|name| world.data().join("runs/1").join(name).exists());
    assert!(ordered.contains(&true), "its agent is told to end before the stop is answered");
    world.until("the end of its agent", || agents(&world) == 0);
    assert_eq!(answer.status, 503, "{answer:?}");
    other.execute_batch("ROLLBACK").expect("let go");
    world.wait_mode(&item, "cancelled");
    assert_eq!(begun(&world, &item, "developer"), 1, "nobody began again");
    world.nothing_is_left();
}

/// A file system of its own; unmounted when dropped.
struct Small(PathBuf);

impl Small {
    /// `None`, with the reason told, where this user may not mount.
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).expect("a folder");
        let flags = nix::mount::MsFlags::empty();
        match nix::mount::mount(Some("none"), at, Some("tmpfs"), flags, Some("size=48m")) {
            Ok(()) => Some(Self(at.to_owned())),
            Err(error) => {
                skipped(&format!("a small file system cannot be mounted here: {error}"));
                None
            }
        }
    }

    /// Leaves no byte free.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("fill")).expect("a file");
        for chunk in [1 << 20, 4096, 1] {
            while file.write_all(&vec![1; chunk]).is_ok() {}
        }
    }

    /// Makes so many bytes free again.
    fn spare(&self, bytes: u64) {
        let file = fs::File::options().write(true).open(self.0.join("fill")).expect("the file");
        let size = file.metadata().expect("its size").len();
        file.set_len(size.saturating_sub(bytes)).expect("cut");
    }

    fn free(&self) {
        fs::remove_file(self.0.join("fill")).expect("removed");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
        let _ = fs::remove_dir_all(self.0.parent().expect("a folder"));
    }
}

/// A real one: the agent meets it as well, its log and its exit record have no room.
#[test]
fn a_real_disk_without_room_is_got_over_when_there_is_room_again() {
    let mut world = small();
    let script = world.path("script.toml");
    let text = fs::read_to_string(&script).expect("a script").replace("\"ok\"", "\"held\"");
    fs::write(&script, text).expect("a script");
    let mounted = Small::mount(&world.data());
    let Some(disk) = &mounted else { return };
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    disk.fill();
    let long = "long ".repeat(20_000);
    world.until("a refusal", || {
        let comment = json!({"text": long});
        let answer = world.post(&format!("/api/tasks/{item}/comment"), &comment).expect("an answer");
        assert!(answer.ok() || answer.status == 503, "{answer:?}");
        answer.status == 503
    });
    world.until("degraded", || world.ask("/health").status == 503);
    world.let_go();
    world.until("the end of the agent", || agents(&world) == 0);
    assert!(!world.data().join("runs/1/exit.json").exists(), "there is no room for it");
    assert!(world.processes().iter().any(|(_, l)| l.contains("run-shim")), "its shim keeps it");
    disk.free();
    let seen = done(&mut world, &item);
    let ends: BTreeMap<String, usize> = ends(&seen).into_iter().fold(BTreeMap::new(), |mut all, end| {
        *all.entry(end).or_default() += 1;
        all
    });
    assert!(
        !ends.contains_key("failed") && !ends.contains_key("lost"),
        "it is weather: {}",
        seen["runs"]
    );
    assert_eq!(world.starts, 1, "{}", world.tail());
    world.nothing_is_left();
    drop(world);
    drop(mounted);
}

/// An agent that fills the disk is ended by a stop, and the stop is complete once there is room. Why it ended is on record though
/// there was no room for a file that says so; lost with the service, the stop is not taken for a failure that wants another try.
#[test]
fn a_stop_ends_an_agent_on_a_real_disk_without_room() {
    for lost in [false, true] {
        let mut world = held();
        let mounted = Small::mount(&world.data());
        let Some(disk) = &mounted else { return };
        world.start();
        let item = world.new_task("Add a greeting");
        world.wait_agent(&item, "developer", 1);
        disk.fill();
        world.post(&format!("/api/tasks/{item}/stop"), &json!({})).expect("an answer");
        world.until("the end of its agent", || agents(&world) == 0);
        if lost {
            world.kill();
        }
        disk.free();
        if lost {
            world.start();
            world.wait_blocker(&item, "ESCALATED");
            let answer = world.post(&format!("/api/tasks/{item}/stop"), &json!({})).expect("an answer");
            assert!(answer.ok(), "{answer:?}");
        }
        let seen = world.wait_mode(&item, "cancelled");
        assert_eq!(seen["runs"][0]["detail"], "killed: the task was stopped", "{seen}");
        assert_eq!(begun(&world, &item, "developer"), 1, "nobody began again");
        world.nothing_is_left();
        drop(world);
        drop(mounted);
    }
}

/// ★ What an agent prints at its end while the disk is full is in its log before its exit is on record; where that is too much, the
/// end of it is, behind a notice.
#[tokio::test]
async fn the_end_of_a_log_waits_for_room_and_the_exit_record_for_the_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let (run, log, go) = (dir.path().join("runs/7"), dir.path().join("data/7.log"), dir.path().join("go"));
    // Of all files of the run only the log lies there.
    let mounted = Small::mount(&dir.path().join("data"));
    let Some(disk) = &mounted else { return };
    let wait = format!("echo begun; while ! test -e {}; do sleep 0.02; done", go.display());
    let spec = RunSpec {
        run: RunId(7),
        program: ["sh", "-c", &format!("{wait}; seq 200000; echo the result")]
            .map(str::to_owned)
            .into(),
        cwd: dir.path().to_owned(),
        env: [("PATH".to_owned(), std::env::var("PATH").unwrap_or_default())].into(),
        stdin: None,
        log: log.clone(),
        log_max_bytes: 64 << 20,
        deadline_ms: 600_000,
        grace_ms: 1_000,
        containment: Containment::Tagged,
    };
    let supervisor = Supervisor::new(env!("CARGO_BIN_EXE_signalbox").into(), Containment::Tagged);
    let alive = supervisor.spawn(&run, &spec).await.expect("spawned");
    let read = || fs::read_to_string(&log).unwrap_or_default();
    while read() != "begun\n" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    disk.fill();
    fs::write(&go, "").expect("go");
    while !supervisor.alone(&alive, &run).await {
        assert!(!run.join("exit.json").exists(), "the log is not complete");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!read().contains("the result"), "there is no room for it");
    disk.free();
    let Outcome::Exited(exit) = supervisor.wait(&alive, &run).await else {
        panic!("no exit");
    };
    assert_eq!((exit.code, exit.log_truncated, exit.log_bytes), (Some(0), true, 6 + 1_288_895 + 11));
    let text = read();
    let notice = format!("[signalbox: {} bytes of output were lost here", exit.log_lost);
    assert!(exit.log_lost > 0 && text.contains(&notice), "{notice}");
    assert!(text.starts_with("begun\n1\n2\n") && text.ends_with("199999\n200000\nthe result\n"));
    drop(mounted);
}

/// ★ No room at each stage of a run: where it is prepared, where it starts, where its work is taken over, and for its push.
#[test]
fn a_real_disk_without_room_at_each_stage_of_a_run_costs_nothing() {
    for place in ["claimed", "spawned", "before-settling", "before-push"] {
        let mut world = small();
        let mounted = Small::mount(&world.data());
        let Some(disk) = &mounted else { return };
        world.hold(place);
        world.start();
        let item = world.new_task("Add a greeting");
        world.wait_held(place);
        disk.fill();
        world.pass(place);
        world.until("that somebody meets it", || {
            let log = world.log();
            world.ask("/health").status == 503 || log.contains("No space left") || log.contains("disk is full")
        });
        disk.free();
        let seen = done(&mut world, &item);
        let ends = ends(&seen);
        assert!(
            !ends.iter().any(|end| end == "failed" || end == "lost"),
            "{place}: it is weather: {}",
            seen["runs"]
        );
        // An agent that was at work on the full disk may have met it itself: that one had to be run again.
        let met = seen["runs"].as_array().expect("runs").iter();
        let met = met.filter(|run| {
            run["detail"]
                .as_str()
                .is_some_and(|d| d.starts_with("the disk was full when it ended"))
        });
        let again = met.count();
        assert!(again <= usize::from(place == "spawned"), "{place}: {}", seen["runs"]);
        for (agent, times) in [("developer", 1 + again), ("reviewer", 1), ("tester", 1)] {
            assert_eq!(
                begun(&world, &item, agent),
                times,
                "{place}: {agent} is paid once\n{}",
                world.tail()
            );
        }
        assert_eq!(world.starts, 1, "{place}: {}", world.tail());
        world.nothing_is_left();
        drop(world);
        drop(mounted);
    }
}

/// git does not say why it cannot write a file: that is weather all the same, and no try of the agent.
#[test]
fn a_disk_too_small_for_a_checkout_is_waited_out() {
    let mut world = small();
    let mounted = Small::mount(&world.data());
    let Some(disk) = &mounted else { return };
    let digest = |n: u32| hex::encode(Sha256::digest(n.to_le_bytes()));
    let large: Vec<String> = (0..100_000).map(digest).collect();
    world.commit_base("large.txt", &large.join("\n"));
    world.start();
    disk.fill();
    disk.spare(5 << 20);
    let item = world.new_task("Add a greeting");
    world.until("a checkout that fails", || world.log().contains("unable to write file"));
    disk.free();
    let seen = done(&mut world, &item);
    assert!(!ends(&seen).iter().any(|end| end == "failed"), "{}", seen["runs"]);
    assert_eq!(begun(&world, &item, "developer"), 1, "{}", world.tail());
    world.nothing_is_left();
    drop(world);
    drop(mounted);
}

/// A limit on the size of files is a database that cannot be written, not the service's end.
#[test]
fn a_file_size_limit_is_degraded_mode() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let mut world = small();
    world.start();
    let service = Pid::from_raw(i32::try_from(world.pid().expect("a service")).expect("a pid"));
    let limit = |current| prlimit(service, Resource::Fsize, Rlimit { current, maximum: None }).expect("a limit");
    limit(Some(4096));
    // A commit that changes nothing needs no room and finds nothing wrong: it is asked for until both are seen in a row.
    world.until("degraded, with the limit as its cause", || {
        let refused = world
            .post("/api/tasks", &json!({"title": "Add a greeting", "text": "Please."}))
            .expect("an answer");
        assert_eq!(refused.status, 503, "{refused:?}");
        let health = world.ask("/health");
        let said = health.body["database"].as_str().unwrap_or_default();
        health.status == 503 && said.contains("limit of 4 KiB on the size of files (`ulimit -f`)")
    });
    limit(None);
    world.until("in order again", || world.ask("/health").status == 200);
    let item = world.new_task("Add a greeting");
    done(&mut world, &item);
    world.nothing_is_left();
}

/// The service raises its limit as far as it may, and says so where that is not far.
#[test]
fn a_service_raises_its_file_size_limit_and_tells_of_a_low_one() {
    let mut world = small();
    let wrapper = world.path("limited");
    let text = format!(
        "#!/bin/sh\nulimit -S -f 4000\nulimit -H -f 1000000\nexec {} \"$@\"\n",
        crate::world::EXE
    );
    executable(&wrapper, &text);
    world.exe = Some(wrapper);
    world.start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", world.pid().expect("a service"))).expect("its limits");
    let line = limits.lines().find(|l| l.starts_with("Max file size")).expect("a line");
    let words: Vec<&str> = line.split_whitespace().skip(3).collect();
    assert_eq!(words[0], words[1], "{line}");
    assert!(world.log().contains("files may not grow over"), "{}", world.tail());
    world.nothing_is_left();
}
