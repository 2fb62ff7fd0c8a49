//! `kill -9` of the service while agents are at work.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};

use crate::faults::done;
use crate::world::{Setup, World};

/// A world whose agents do this.
fn world(agents: &str, more: &str) -> World {
    let mut set: toml::Table = toml::from_str(more).expect("settings");
    let config = set.remove("config").and_then(|c| c.as_table().cloned()).unwrap_or_default();
    let agents = toml::from_str(agents).expect("agents");
    World::new(&Setup {
        agents,
        set,
        config,
        ..Setup::default()
    })
}

fn runs(seen: &Json) -> Vec<(i64, String, String)> {
    let text = |v: &Json| v.as_str().unwrap_or_default().to_owned();
    let runs = seen["runs"].as_array().expect("runs").iter();
    runs.map(|r| (r["id"].as_i64().unwrap_or_default(), text(&r["slot"]), text(&r["outcome"])))
        .collect()
}

#[test]
fn a_run_at_work_is_adopted_and_the_task_is_finished() {
    let mut world = world("[developer]\ndo = [\"held\"]", "");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    world.kill();
    assert!(!world.processes().is_empty(), "the agent lives on");
    world.start();
    world.until("adoption", || world.log().contains(" adopted"));
    world.let_go();
    done(&mut world, &item);
    assert!(world.log().contains("adopted"), "{}", world.tail());
    let begun: Vec<_> = world.begun().into_iter().filter(|e| e.agent == "developer").collect();
    assert_eq!(begun.len(), 1, "paid once: {begun:?}");
    let runs = runs(&world.show(&item));
    assert_eq!(runs.first(), Some(&(1, "developer".to_owned(), "ok".to_owned())), "{runs:?}");
    world.nothing_is_left();
}

#[test]
fn five_runs_at_work_are_all_adopted() {
    let mut world = world(
        "[developer]\ndo = [\"held\"]",
        "\"serial_gate.enabled\" = false\n[config]\nmax_concurrency = 5",
    );
    world.start();
    let items: Vec<String> = (1..=5).map(|n| world.new_task(&format!("Number {n}"))).collect();
    for item in &items {
        world.wait_agent(item, "developer", 1);
    }
    world.kill();
    world.start();
    world.until("five adoptions", || world.log().matches(" adopted").count() == 5);
    world.let_go();
    for item in &items {
        world.wait_for(item, "development left", |seen| seen["task"]["stage"] != "development");
    }
    assert_eq!(world.log().matches(" adopted").count(), 5, "{}", world.tail());
    let begun = world.begun();
    for item in &items {
        let paid = begun.iter().filter(|e| e.item == *item && e.agent == "developer").count();
        assert_eq!(paid, 1, "{item} is paid once: {begun:?}");
    }
    world.nothing_is_left();
}

/// ★ Each run keeps its own exit status over a restart: those that end in the gap, and those that end after it.
#[test]
fn every_run_keeps_its_own_exit_status_over_a_restart() {
    let signs = tempfile::tempdir().expect("a folder");
    let (gap, after) = (signs.path().join("in-the-gap"), signs.path().join("after-it"));
    let script = format!(
        "go={}; [ $((SIGNALBOX_RUN % 2)) = 0 ] && go={}; echo at work; until [ -e $go ]; do sleep 0.05; done; exit $((SIGNALBOX_RUN + 40))",
        after.display(),
        gap.display()
    );
    let run = toml::Value::from(vec!["bash".to_owned(), "-c".to_owned(), script]);
    let more = format!(
        "\"serial_gate.enabled\" = false\n\"breaker.enabled\" = false\n\"agents.developer.run\" = {run}\n\
         \"retry.attempts\" = 1\n\"freeze.after_failures\" = 99\n[config]\nmax_concurrency = 6"
    );
    let mut world = world("", &more);
    world.start();
    let items: Vec<String> = (1..=6).map(|n| world.new_task(&format!("Number {n}"))).collect();
    world.until("six at work", || {
        (1..=6).all(|n| std::fs::read_to_string(world.data().join(format!("runs/{n}.log"))).is_ok_and(|log| log.contains("at work")))
    });
    world.kill();
    std::fs::write(&gap, "").expect("written");
    // A shim has a moment of its own after its record, in which it would be adopted as well.
    let over = |n: &i32| {
        let shim = format!("runs/{n}");
        world.data().join(&shim).join("exit.json").exists() && !world.processes().iter().any(|(_, line)| line.contains(&shim))
    };
    world.until("three ends", || [2, 4, 6].iter().all(over));
    world.start();
    world.until("three adoptions", || world.log().matches(" adopted").count() == 3);
    std::fs::write(&after, "").expect("written");
    for item in &items {
        let shown = world.wait_for(item, "an end", |seen| seen["runs"][0]["outcome"].is_string());
        assert_eq!(shown["runs"].as_array().map(Vec::len), Some(1), "none is repeated: {shown}");
    }
    for run in 1..=6 {
        let code = world.count(&format!("SELECT json_extract(exit, '$.code') FROM runs WHERE id = {run}"));
        assert_eq!(code, run + 40, "{}", world.tail());
    }
    world.nothing_is_left();
}

#[test]
fn a_run_that_ended_while_nobody_looked_is_settled_from_its_record() {
    let mut world = world("[developer]\ndo = [\"held\"]", "");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    world.kill();
    world.let_go();
    world.until("the end of the run", || {
        world.processes().is_empty() && world.data().join("runs/1/exit.json").exists()
    });
    world.start();
    done(&mut world, &item);
    assert_eq!(world.begun().iter().filter(|e| e.agent == "developer").count(), 1, "paid once");
    assert!(!world.log().contains("adopted"), "there was nothing to adopt");
    world.nothing_is_left();
}

#[test]
fn a_run_whose_shim_and_agent_are_killed_is_rescued() {
    let mut world = world("[developer]\ndo = [\"hang\", \"ok\"]", "");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    world.kill();
    for (pid, _) in world.processes() {
        // The end of one may have taken the next along: a namespace dies with its init.
        match kill(Pid::from_raw(pid), Signal::SIGKILL) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(error) => panic!("kill: {error}"),
        }
    }
    world.start();
    done(&mut world, &item);
    let runs = runs(&world.show(&item));
    assert_eq!(runs[0].2, "lost", "{runs:?}");
    assert_eq!(world.begun().iter().filter(|e| e.agent == "developer").count(), 2);
    world.nothing_is_left();
}

#[test]
fn a_stop_asked_for_just_before_the_kill_is_completed() {
    let mut world = world("[developer]\ndo = [\"deaf\"]", "\"agents.*.grace\" = \"300ms\"");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    let answer = world.post(&format!("/api/tasks/{item}/stop"), &json!({})).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    world.kill();
    world.start();
    world.wait_mode(&format!("{item}~1"), "cancelled");
    world.nothing_is_left();
}

#[test]
fn late_repetitions_of_every_event_change_nothing() {
    let mut world = world("[reviewer]\ndo = [\"changes\", \"ok\"]", "");
    world.start();
    let item = world.new_task("Add a greeting");
    done(&mut world, &item);
    let before = world.outcome();
    world.stop();
    let repeated = world.repeat_all_events();
    assert!(repeated > 10, "{repeated} events");
    world.start();
    let mut after = world.outcome();
    // A start on a task that is done is answered, once: it says what to do instead.
    for task in after.tasks.values_mut() {
        if let Some(comments) = task["comments"].as_array_mut() {
            comments.retain(|c| !c.as_str().is_some_and(|c| c.contains("nothing was started")));
        }
    }
    assert_eq!(before, after);
    world.nothing_is_left();
}

/// ★ graceful drain: nothing new is started, what is at work ends by itself, and nothing is left.
#[test]
fn a_service_that_drains_lets_its_runs_end_and_starts_nothing_new() {
    let free = "\"serial_gate.enabled\" = false\n[config]\nmax_concurrency = 2";
    let mut world = world("[developer]\ndo = [\"held\"]", free);
    world.drain = true;
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    world.terminate();
    world.until("draining", || world.log().contains("draining: nothing new"));
    assert_eq!(world.get("/health")["status"], "draining");
    // There is a place for it, and nothing but the end of the service holds it back.
    let other = world.new_task("Another");
    let seen = world.wait_for(&other, "DRAINING alone", |seen| {
        seen["blockers"]
            .as_array()
            .is_some_and(|all| all.len() == 1 && all[0]["code"] == "DRAINING")
    });
    assert_eq!(seen["runs"].as_array().map(Vec::len), Some(0), "{seen}");
    world.let_go();
    world.ended();
    let log = world.log();
    assert!(log.contains("ending: no agent is at work") && !log.contains("agents stay"), "{log}");
    assert_eq!(log.matches(" claimed").count(), 1, "nothing new: {log}");
    let begun = world.begun();
    assert_eq!(begun.len(), 1, "nothing new: {begun:?}");
    // A shim has a moment of its own after its record.
    world.until("an end of every process", || world.processes().is_empty());
    assert_eq!(world.count("SELECT COUNT(*) FROM runs"), 1, "nothing new");
    assert_eq!(world.count("SELECT COUNT(*) FROM runs WHERE state <> 'ended'"), 0);
    world.drain = false;
    world.start();
    for item in [&item, &other] {
        done(&mut world, item);
        let paid = world.begun().iter().filter(|e| e.item == *item && e.agent == "developer").count();
        assert_eq!(paid, 1, "{item} is paid once");
    }
    world.nothing_is_left();
}

/// The second signal does not wait: the agent stays with its shim and is adopted.
#[test]
fn a_second_signal_ends_a_service_that_drains() {
    let mut world = world("[developer]\ndo = [\"held\"]", "");
    world.drain = true;
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    world.terminate();
    world.until("draining", || world.log().contains("draining: nothing new"));
    world.stop();
    assert!(world.log().contains("ending: agents stay with their shims"), "{}", world.log());
    world.drain = false;
    world.start();
    world.until("adoption", || world.log().contains(" adopted"));
    world.let_go();
    done(&mut world, &item);
    assert_eq!(world.begun().iter().filter(|e| e.agent == "developer").count(), 1, "paid once");
}
