//! What an agent's command holds back: its breaker (B-Q 8) and its preflight (B-Q 7).

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use signalbox::scripted::Phase;

use crate::world::{EXE, Setup, World, copied, executable};

fn world(agents: &str, set: &str) -> World {
    let mut set: toml::Table = toml::from_str(set).expect("settings");
    let config = set.remove("config").and_then(|c| c.as_table().cloned()).unwrap_or_default();
    World::new(&Setup {
        agents: toml::from_str(agents).expect("agents"),
        set,
        config,
        ..Setup::default()
    })
}

fn blocker<'a>(seen: &'a Json, code: &str) -> &'a Json {
    let all = seen["blockers"].as_array().expect("blockers");
    all.iter().find(|b| b["code"] == code).unwrap_or(&Json::Null)
}

/// Alerts that were ever to go out and hold these words.
fn alerts(world: &World, words: &str) -> i64 {
    world.count(&format!(
        "SELECT COUNT(*) FROM outbox WHERE kind = 'alert' AND effect LIKE '%{words}%'"
    ))
}

#[test]
fn b_q_8_three_failures_open_it_for_all_tasks_and_one_probe_closes_it_across_a_restart() {
    let mut world = world(
        "[developer]\ndo = [\"429\", \"slow:700\"]",
        "\"retry.base\" = \"10s\"\n\"retry.max\" = \"10s\"\n\"breaker.pause\" = \"20s\"\n\"serial_gate.enabled\" = false\n[config]\nmax_concurrency = 5",
    );
    // Nobody is tried again before all three have failed, and everybody is due when the pause ends.
    world.start();
    let items: Vec<String> = (1..=3).map(|n| world.new_task(&format!("Number {n}"))).collect();
    for item in &items {
        world.wait_agent(item, "developer", 1);
    }
    let opened = Instant::now();
    for item in &items {
        let seen = world.wait_blocker(item, "BREAKER_OPEN");
        let said = blocker(&seen, "BREAKER_OPEN");
        assert!(said["text"].as_str().is_some_and(|t| t.contains("429")), "{said}");
        assert!(said["since"].is_string(), "{said}");
    }
    world.kill();
    world.start();
    for item in &items {
        world.wait_for(item, "its end", |seen| seen["task"]["stage"] != "development");
    }
    assert!(
        opened.elapsed() >= Duration::from_secs(15),
        "nothing was held back: {:?}",
        opened.elapsed()
    );
    let of_developer: Vec<_> = world.ledger().into_iter().filter(|e| e.agent == "developer").collect();
    assert_eq!(
        of_developer.iter().filter(|e| e.phase == Phase::Start).count(),
        6,
        "{of_developer:?}"
    );
    // The first of the second tries was alone until it had ended, with four places free.
    let second: Vec<_> = of_developer.iter().filter(|e| e.run > 3).collect();
    assert_eq!(
        (second[0].phase, second[1].phase),
        (Phase::Start, Phase::End),
        "one probe: {second:?}"
    );
    assert_eq!(second[0].run, second[1].run, "one probe: {second:?}");
    // Of the database, not of the log: what was said just before a kill is said again.
    assert_eq!(alerts(&world, "times in a row: nothing is started"), 1, "told once");
    assert_eq!(alerts(&world, "its breaker is closed"), 1, "told once");
    world.nothing_is_left();
}

#[test]
fn b_q_8_a_probe_that_is_killed_is_replaced_and_weather_opens_it_again() {
    let mut world = world(
        "[developer]\ndo = [\"429\", \"hang\", \"429\", \"ok\"]",
        "\"retry.base\" = \"1ms\"\n\"retry.max\" = \"1ms\"\n\"breaker.failures\" = 1\n\"breaker.pause\" = \"1s\"",
    );
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 2);
    let (queue, probe) = (world.get("/queue"), world.begun()[1].run);
    let commands = queue["resilience"]["commands"].as_object().expect("commands");
    assert!(commands.values().all(|c| c["probing"] == probe), "run {probe}: {queue}");
    let shown = world.command(&["breaker"]).output().expect("a command");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains(&format!("run {probe} is trying out")), "{shown}");
    // The probe is a run like any other: its shim and agent die, it is rescued, and probes again.
    for (pid, line) in world.processes() {
        if !line.contains(" serve") {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
        }
    }
    world.wait_blocker(&item, "APPROVAL_WAIT");
    assert_eq!(alerts(&world, "still fails"), 1);
    assert_eq!(world.begun().iter().filter(|e| e.agent == "developer").count(), 4);
    world.nothing_is_left();
}

/// Agents are to be run with a program that is the test's own; where it is to lie.
fn own_program(world: &World) -> PathBuf {
    let program = world.path("agent");
    let config = fs::read_to_string(world.path("signalbox.toml")).expect("config");
    let (exe, own) = (
        format!("\"{EXE}\", \"scripted-agent\""),
        format!("\"{}\", \"scripted-agent\"", program.display()),
    );
    assert!(config.contains(&exe), "{config}");
    fs::write(world.path("signalbox.toml"), config.replace(&exe, &own)).expect("config");
    program
}

#[test]
fn b_q_7_nothing_is_claimed_for_a_command_that_cannot_be_used_until_it_can() {
    let mut world = world("[developer]\ndo = [\"ok\"]", "\"preflight.cache\" = \"1s\"");
    let program = own_program(&world);
    world.start();
    let item = world.new_task("Add a greeting");
    let seen = world.wait_for(&item, "the missing program", |seen| blocker(seen, "PREFLIGHT")["who"] == "operator");
    let said = blocker(&seen, "PREFLIGHT");
    assert!(said["clear"].as_str().is_some_and(|c| c.contains("--version")), "{said}");
    assert!(said["text"].as_str().is_some_and(|t| t.contains("No such file")), "{said}");
    let script = |version: &str| {
        let text = format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then echo asked >> {}; {version}; fi\nexec {EXE} \"$@\"\n",
            world.path("asked").display()
        );
        executable(&world.path("agent.new"), &text);
        fs::rename(world.path("agent.new"), &program).expect("in place");
    };
    script("exit 4");
    world.until("the failing look", || world.path("asked").exists());
    let (mut world, item) = (world, item);
    let seen = world.wait_for(&item, "its status", |seen| {
        blocker(seen, "PREFLIGHT")["text"].as_str().is_some_and(|t| t.contains("status: 4"))
    });
    assert_eq!(seen["runs"].as_array().map(Vec::len), Some(0), "nothing was claimed");
    assert!(world.begun().is_empty(), "no token was spent");
    let text = format!("#!/bin/sh\n[ \"$1\" = --version ] && exit 0\nexec {EXE} \"$@\"\n");
    executable(&world.path("agent.new"), &text);
    fs::rename(world.path("agent.new"), world.path("agent")).expect("in place");
    let seen = world.wait_blocker(&item, "APPROVAL_WAIT");
    let jobs = seen["jobs"].as_array().expect("jobs");
    assert!(jobs.iter().all(|j| j["attempts"] == 1), "waiting used up no try: {jobs:?}");
    assert_eq!(
        alerts(&world, "cannot be used, and nothing is started"),
        1,
        "told once, whatever is wrong with it"
    );
    assert_eq!(alerts(&world, "can be used again"), 1);
    world.nothing_is_left();
}

/// The answer that is remembered says nothing of a program that is gone since: what could not be started goes back into the
/// queue, nothing is used up, and the task waits as if the program had never been there.
#[test]
fn b_q_7_a_program_that_goes_while_its_answer_is_remembered_uses_up_no_try() {
    // Remembered until the service is started anew.
    let mut world = world(
        "[developer]\ndo = [\"ok\"]",
        "\"preflight.cache\" = \"10m\"\n\"serial_gate.enabled\" = false\n[config]\nmax_concurrency = 3",
    );
    let program = own_program(&world);
    let text = format!("#!/bin/sh\n[ \"$1\" = --version ] && exit 0\nexec {EXE} \"$@\"\n");
    executable(&program, &text);
    world.start();
    let first = world.new_task("Add a greeting");
    world.wait_blocker(&first, "APPROVAL_WAIT");
    fs::rename(&program, world.path("agent.away")).expect("away");
    let items: Vec<String> = (1..=3).map(|n| world.new_task(&format!("Number {n}"))).collect();
    for item in &items {
        let seen = world.wait_for(item, "the missing program", |seen| blocker(seen, "PREFLIGHT")["who"] == "operator");
        assert!(
            !blocker(&seen, "ESCALATED").is_object() && !blocker(&seen, "FROZEN").is_object(),
            "{seen}"
        );
        let said = blocker(&seen, "PREFLIGHT");
        assert!(said["text"].as_str().is_some_and(|t| t.contains("No such file")), "{said}");
    }
    let launched = world.count("SELECT COUNT(*) FROM runs WHERE \"end\" LIKE '%could not be launched yet: cannot start%'");
    assert!((1..=3).contains(&launched), "each once at most: {launched}");
    assert_eq!(alerts(&world, "cannot be used, and nothing is started"), 1, "told once");
    world.stop();
    fs::rename(world.path("agent.away"), &program).expect("back");
    world.start();
    for item in &items {
        let seen = world.wait_blocker(item, "APPROVAL_WAIT");
        let jobs = seen["jobs"].as_array().expect("jobs");
        assert!(jobs.iter().all(|j| j["attempts"] == 1), "no try was used up: {jobs:?}");
    }
    assert_eq!(alerts(&world, "can be used again"), 1);
    assert_eq!(alerts(&world, "is parked"), 0, "nobody was called");
    world.nothing_is_left();
}

/// Nobody can ask a program of the checkout before there is one: where it cannot be started, that is a failed try, or the run
/// would be launched for ever.
#[test]
fn b_q_7_a_start_that_fails_although_the_preflight_is_good_uses_up_its_tries() {
    let mut world = world("[developer]\ndo = [\"ok\"]", "\"agents.developer.run\" = [\"no-such/agent\"]");
    world.start();
    let item = world.new_task("Add a greeting");
    let seen = world.wait_blocker(&item, "ESCALATED");
    let runs = seen["runs"].as_array().expect("runs");
    assert!(
        runs.len() == 2 && runs.iter().all(|run| run["outcome"] == "failed"),
        "two tries: {runs:?}"
    );
    world.nothing_is_left();
}

/// The program is looked for when the run is launched; nobody looked before.
#[test]
fn b_q_6_a_command_that_is_not_there_fails_for_good_and_leaves_its_place_to_others() {
    let mut world = world(
        "[developer]\ndo = [\"ok\"]",
        "\"preflight.enabled\" = false\n\"serial_gate.enabled\" = false",
    );
    let program = world.path("no-such-agent").display().to_string();
    let config = fs::read_to_string(world.path("signalbox.toml")).expect("config");
    let whole = format!("\"{EXE}\", \"scripted-agent\"");
    assert!(config.contains(&whole), "{config}");
    fs::write(
        world.path("signalbox.toml"),
        config.replace(&whole, &format!("\"{program}\", \"scripted-agent\"")),
    )
    .expect("config");
    world.start();
    for title in ["Number 1", "Number 2"] {
        let item = world.new_task(title);
        let seen = world.wait_blocker(&item, "ESCALATED");
        let runs = seen["runs"].as_array().expect("runs");
        assert_eq!(runs.len(), 2, "two attempts: {runs:?}");
        for run in runs {
            let detail = run["detail"].as_str().unwrap_or_default();
            assert!(run["outcome"] == "failed" && detail.contains(&program), "{run}");
        }
    }
    let queue = world.get("/queue");
    assert_eq!(
        (&queue["counts"]["running"], &queue["reaper"]["open_runs"]),
        (&Json::from(0), &Json::from(0)),
        "{queue}"
    );
    world.nothing_is_left();
}

/// A task that keeps the rules it began with is not helped by better ones: `why` says what helps, and that does.
#[test]
fn b_q_7_a_task_with_older_rules_is_told_how_it_gets_the_command_of_the_newer() {
    let mut world = world("[developer]\ndo = [\"ok\"]", "\"preflight.cache\" = \"1s\"");
    let good = fs::read_to_string(world.path("signalbox.toml")).expect("config");
    let missing = world.path("no-such-agent").display().to_string();
    let whole = format!("\"{EXE}\", \"scripted-agent\"");
    assert!(good.contains(&whole), "{good}");
    let bad = good.replace(&whole, &format!("\"{missing}\", \"scripted-agent\""));
    fs::write(world.path("signalbox.toml"), bad).expect("config");
    world.start();
    let item = world.new_task("Add a greeting");
    let seen = world.wait_for(&item, "the missing program", |seen| blocker(seen, "PREFLIGHT")["who"] == "operator");
    let clear = |seen: &Json| blocker(seen, "PREFLIGHT")["clear"].as_str().unwrap_or_default().to_owned();
    assert!(clear(&seen).starts_with("signalbox doctor"), "{seen}");
    let reload = |world: &World| {
        let out = world.command(&["reload"]).output().expect("a command");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    };
    fs::write(world.path("signalbox.toml"), &good).expect("config");
    reload(&world);
    let seen = world.wait_for(&item, "the remedy", |seen| clear(seen).contains("in_flight"));
    assert!(clear(&seen).contains("under [projects.it]") && clear(&seen).contains(EXE), "{seen}");
    let mut config: toml::Table = toml::from_str(&good).expect("toml");
    config["projects"]["it"]
        .as_table_mut()
        .expect("a project")
        .insert("in_flight".into(), "follow".into());
    fs::write(world.path("signalbox.toml"), config.to_string()).expect("config");
    reload(&world);
    world.wait_blocker(&item, "APPROVAL_WAIT");
    world.nothing_is_left();
}

/// Whoever asks a program for its version does not outlive the service, nor does the program.
#[test]
fn b_q_7_a_service_that_ends_or_dies_leaves_no_question_behind() {
    let mut world = world("[developer]\ndo = [\"ok\"]", "\"preflight.timeout\" = \"1m\"");
    let (program, sleeper) = (world.path("agent"), world.path("sleeper"));
    copied("/bin/sleep", &sleeper);
    let text = format!("#!/bin/sh\nenv -i setsid -f {0} 991\nexec {0} 992\n", sleeper.display());
    executable(&program, &text);
    let config = fs::read_to_string(world.path("signalbox.toml")).expect("config");
    let (exe, own) = (format!("\"{EXE}\", \"scripted-agent\""), format!("\"{}\"", program.display()));
    assert!(config.contains(&exe), "{config}");
    fs::write(world.path("signalbox.toml"), config.replace(&exe, &own)).expect("config");
    let sleepers = |world: &World| world.processes().iter().filter(|(_, line)| line.contains("sleeper 99")).count();
    world.start();
    world.new_task("Add a greeting");
    world.until("the question", || sleepers(&world) == 2);
    world.kill();
    world.until("the end of what was asked", || sleepers(&world) == 0);
    world.start();
    world.until("the question again", || sleepers(&world) == 2);
    world.stop();
    assert_eq!(sleepers(&world), 0, "an orderly end waits for it");
}

/// B-Q 4: a usage limit with a known end, as one chain: the command is suspended, everybody is told until when, no try is
/// used up, and at its end it goes on by itself. The shortest limit that is believed lasts a minute.
#[test]
fn b_q_4_a_usage_limit_suspends_the_command_and_it_goes_on_at_its_end() {
    let script = "cd \"${PWD%%/data/checkouts/*}\" && date +%s >> begun && [ -e limited ] && cd - && echo more >> src/greeting.txt && exit 0\n\
                  touch limited; echo \"Claude AI usage limit reached|$(($(date +%s) + 61))\"; exit 1";
    let run = toml::Value::from(vec!["bash".to_owned(), "-c".to_owned(), script.to_owned()]);
    let mut world = world("", &format!("\"retry.attempts\" = 1\n\"agents.developer.run\" = {run}"));
    world.start();
    let item = world.new_task("Add a greeting");
    let seen = world.wait_blocker(&item, "USAGE_LIMIT");
    assert_eq!(seen["runs"][0]["outcome"], "limited", "{}", seen["runs"]);
    let said = blocker(&seen, "USAGE_LIMIT");
    assert!(said["text"].as_str().is_some_and(|t| t.contains("which ends in ")), "{said}");
    let say = |args: &[&str]| {
        let out = world.command(args).output().expect("a command");
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    assert!(
        say(&["why", &item]).contains("has reached its usage limit, which ends in "),
        "{}",
        say(&["why", &item])
    );
    assert!(say(&["breaker"]).contains("usage limit"), "{}", say(&["breaker"]));
    let queue = world.get("/queue");
    let commands = queue["resilience"]["commands"].as_object().expect("commands");
    assert!(commands.values().any(|c| c["limited_until"].is_string()), "{queue}");
    let seen = world.wait_blocker(&item, "APPROVAL_WAIT");
    let ends: Vec<&str> = seen["runs"]
        .as_array()
        .expect("runs")
        .iter()
        .filter(|r| r["slot"] == "developer")
        .filter_map(|r| r["outcome"].as_str())
        .collect();
    assert_eq!(ends, ["limited", "ok"], "{}", seen["runs"]);
    let begun = fs::read_to_string(world.path("begun")).expect("when");
    let begun: Vec<i64> = begun.lines().map(|line| line.parse().expect("seconds")).collect();
    assert!(begun.len() == 2 && begun[1] >= begun[0] + 60, "not before its end: {begun:?}");
    // On no budget: of one try, none was used up by it.
    assert_eq!(
        world.count("SELECT COUNT(*) FROM outbox WHERE kind = 'alert' AND effect LIKE '%has reached its usage limit%'"),
        1
    );
    world.nothing_is_left();
}
