//! Money and progress (B-RUN 5): what agents cost stops further launches, and so does the same thing again.

use std::process::Output;

use serde_json::Value as Json;

use crate::world::{Setup, World};

fn world(agents: &str, set: &str) -> World {
    World::new(&Setup {
        agents: toml::from_str(agents).expect("agents"),
        set: toml::from_str(set).expect("settings"),
        ..Setup::default()
    })
}

fn blocker<'a>(seen: &'a Json, code: &str) -> &'a Json {
    let all = seen["blockers"].as_array().expect("blockers");
    all.iter().find(|b| b["code"] == code).unwrap_or(&Json::Null)
}

/// Alerts of jobs that are held back.
fn alerts(world: &World) -> i64 {
    world.count("SELECT COUNT(*) FROM outbox WHERE kind = 'alert' AND effect LIKE '%is not run: %'")
}

fn say(world: &World, args: &[&str]) -> Output {
    world.command(args).output().expect("a command")
}

fn said(world: &World, args: &[&str]) -> String {
    let out = say(world, args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Each scripted run costs a cent.
#[test]
fn b_run_5_a_task_budget_stops_further_launches_until_an_operator_allows_more() {
    let mut world = world("[developer]\ndo = [\"ok\"]", "\"budget.task.max_cost_usd\" = 0.01");
    world.start();
    let item = world.new_task("Add a greeting");
    let seen = world.wait_blocker(&item, "BUDGET");
    let held = blocker(&seen, "BUDGET").clone();
    assert!(
        held["text"]
            .as_str()
            .is_some_and(|t| t.contains("has cost $0.01, and may cost $0.01")),
        "{held}"
    );
    assert!(
        held["clear"]
            .as_str()
            .is_some_and(|c| c.starts_with(&format!("signalbox allow {item}"))),
        "{held}"
    );
    assert_eq!(world.begun().len(), 1, "one run was paid for");
    world.kill();
    world.start();
    world.wait_blocker(&item, "BUDGET");
    assert_eq!(world.begun().len(), 1, "nor did the restart start anything");
    let cost: Json = serde_json::from_str(&said(&world, &["cost", "--json"])).expect("json");
    assert_eq!(
        (&cost["lines"][0]["key"], &cost["lines"][0]["runs"]),
        (&Json::from(item.as_str()), &Json::from(1))
    );
    assert_eq!(cost["cost_usd"], 0.01);
    assert!(said(&world, &["cost", "--by", "day"]).contains("1 runs, $0.01"));
    let refused = say(&world, &["allow", &item, "too much", "--usd", "1e9"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("$10000"));
    said(&world, &["allow", &item, "it is worth it", "--usd", "1"]);
    world.wait_blocker(&item, "APPROVAL_WAIT");
    let runs: Json = serde_json::from_str(&said(&world, &["runs", &item, "--json"])).expect("json");
    let all = runs["runs"].as_array().expect("runs");
    assert!(all.len() >= 2 && all.iter().all(|r| r["item"] == item.as_str()), "{runs}");
    assert!(said(&world, &["runs"]).contains("developer"));
    assert_eq!(alerts(&world), 1, "told once, across the restart");
    world.nothing_is_left();
}

#[test]
fn b_run_5_a_day_budget_holds_back_every_task_of_the_project() {
    let mut world = world(
        "[developer]\ndo = [\"ok\"]",
        "\"budget.day.max_runs\" = 1\n\"serial_gate.enabled\" = false",
    );
    world.start();
    let first = world.new_task("Number 1");
    world.wait_blocker(&first, "BUDGET");
    let second = world.new_task("Number 2");
    let seen = world.wait_blocker(&second, "BUDGET");
    let held = blocker(&seen, "BUDGET");
    assert!(
        held["text"]
            .as_str()
            .is_some_and(|t| t.contains("today (UTC), and may have 1 a day")),
        "{held}"
    );
    assert_eq!(world.begun().len(), 1);
    assert_eq!(alerts(&world), 1, "a day is told once");
}

#[test]
fn b_run_5_dollars_of_a_day_hold_back_the_project() {
    let mut world = world("[developer]\ndo = [\"ok\"]", "\"budget.day.max_cost_usd\" = 0.01");
    world.start();
    let item = world.new_task("Add a greeting");
    let seen = world.wait_blocker(&item, "BUDGET");
    let held = blocker(&seen, "BUDGET");
    let told = "have cost $0.01 today (UTC), and may cost $0.01 a day";
    assert!(held["text"].as_str().is_some_and(|t| t.contains(told)), "{held}");
    assert_eq!(world.begun().len(), 1, "one run was paid for");
}

/// Where the rules say nothing of money: a run that cost more than one usually may is not followed by another.
#[test]
fn b_run_5_by_default_a_dear_run_is_the_last_one() {
    let result = r#"{"type":"result","subtype":"success","is_error":false,"result":"done","total_cost_usd":20.5}"#;
    let script = format!("echo more >> src/greeting.txt; echo '{result}'");
    let run = toml::Value::from(vec!["bash".to_owned(), "-c".to_owned(), script]);
    let mut world = world("", &format!("\"agents.developer.run\" = {run}"));
    world.start();
    let item = world.new_task("Add a greeting");
    let seen = world.wait_blocker(&item, "BUDGET");
    let held = blocker(&seen, "BUDGET");
    let told = format!("run 1 of {item} cost $20.50, and one run may cost $20.00");
    assert_eq!(held["text"], told, "{held}");
    assert!(world.begun().is_empty(), "no reviewer began");
}

#[test]
fn b_run_5_without_budgets_nothing_is_held_back() {
    let set = "\"budget.enabled\" = false\n\"budget.task.max_cost_usd\" = 0.01\n\"budget.day.max_runs\" = 1";
    let mut world = world("[developer]\ndo = [\"ok\"]", set);
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_blocker(&item, "APPROVAL_WAIT");
    world.nothing_is_left();
}

/// The reviewer says the same each time; the counter would allow more.
#[test]
fn no_progress_holds_back_what_is_sent_back_for_the_same_reason() {
    let changes = ["\"changes\""; 3].join(", ");
    let mut world = world(
        &format!("[developer]\ndo = [\"ok\"]\n[reviewer]\ndo = [{changes}, \"ok\"]"),
        "\"counters.rework.max\" = 9",
    );
    world.start();
    let item = world.new_task("Add a greeting");
    let seen = world.wait_blocker(&item, "NO_PROGRESS");
    let held = blocker(&seen, "NO_PROGRESS");
    assert!(held["text"].as_str().is_some_and(|t| t.contains("3 times now")), "{held}");
    let of = |world: &World, agent: &str| world.begun().iter().filter(|e| e.agent == agent).count();
    assert_eq!((of(&world, "developer"), of(&world, "reviewer")), (3, 3));
    said(&world, &["allow", &item, "the reviewer was wrong"]);
    world.wait_blocker(&item, "APPROVAL_WAIT");
    assert_eq!((of(&world, "developer"), of(&world, "reviewer")), (4, 4));
    world.nothing_is_left();
}

#[test]
fn b_q_8_an_operator_closes_a_breaker_and_the_queue_shows_it() {
    let mut world = world(
        "[developer]\ndo = [\"429\", \"ok\"]",
        "\"retry.base\" = \"1ms\"\n\"retry.max\" = \"1ms\"\n\"breaker.failures\" = 1\n\"breaker.pause\" = \"1h\"",
    );
    world.start();
    let item = world.new_task("Add a greeting");
    let seen = world.wait_blocker(&item, "BREAKER_OPEN");
    let clear = blocker(&seen, "BREAKER_OPEN")["clear"].as_str().unwrap_or_default().to_owned();
    let queue = world.get("/queue");
    let breaker = &queue["resilience"]["breaker"];
    assert_eq!(
        (&breaker["state"], &breaker["consecutive_transient"]),
        (&Json::from("open"), &Json::from(1)),
        "{queue}"
    );
    assert!(breaker["pause_remaining_s"].as_i64().is_some_and(|s| s > 3000), "{queue}");
    assert_eq!(queue["resilience"]["preflight_ok"], true);
    for list in [&["breaker"][..], &["breaker", "list"]] {
        let shown = said(&world, list);
        assert!(
            shown.contains(": open since ") && shown.contains("one run tries it out in "),
            "{shown}"
        );
        assert!(shown.contains(clear.split("    #").next().unwrap_or_default()), "{shown}\n{clear}");
    }
    let words: Vec<&str> = clear.split("    #").next().unwrap_or_default().split(' ').skip(1).collect();
    assert_eq!(words[..2], ["breaker", "close"], "{clear}");
    assert!(said(&world, &words).contains("is used again at once"));
    world.wait_blocker(&item, "APPROVAL_WAIT");
    assert!(said(&world, &words).contains("nothing held"), "idempotent");
    let unknown = say(&world, &["breaker", "close", "no-such-agent"]);
    assert_eq!(unknown.status.code(), Some(5), "{}", String::from_utf8_lossy(&unknown.stderr));
    world.nothing_is_left();
}

/// What is asked for by a slip is refused before anything happens, with what is wrong and how to go on.
#[test]
fn the_command_line_refuses_what_is_no_money_and_another_tasks_run() {
    let mut world = world("[developer]\ndo = [\"held\"]", "\"gates.local_tests.command.run\" = ['true']");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    let other = world.new_task("Another");
    // Before it is a task it is called as its issue is.
    world.wait_for(&other, "that it waits", |seen| {
        seen["blockers"].as_array().is_some_and(|b| !b.is_empty())
    });
    let refused = |args: &[&str]| {
        let out = say(&world, args);
        assert!(!out.status.success(), "{args:?}");
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    for amount in ["NaN", "inf", "-inf"] {
        let usd = format!("--usd={amount}");
        let error = refused(&["allow", &item, &usd, "why not"]);
        assert!(error.contains("is no amount of money") && error.contains("--usd 20"), "{error}");
    }
    let error = refused(&["logs", &other, "--run", "1"]);
    assert!(error.contains(&format!("run 1 is not one of {other}")), "{error}");
    assert!(error.contains("signalbox logs --run 1"), "{error}");
    said(&world, &["logs", &item, "--run", "1"]);
    world.let_go();
    let seen = world.wait_blocker(&item, "APPROVAL_WAIT");
    let piece = world.get("/api/runs/1/log?tail=3");
    let number = |name: &str| piece[name].as_u64().expect("a number");
    assert!(
        number("from") > 0 && number("next") == number("from") + 3,
        "where the end of a log begins: {piece}"
    );
    let runs = seen["runs"].as_array().expect("runs");
    let silent = runs.iter().find(|run| run["slot"] == "local_tests").expect("a gate's run")["id"].to_string();
    let out = say(&world, &["logs", "--run", &silent]);
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && out.stdout.is_empty(), "{told}");
    assert!(told.contains(&format!("run {silent} has ended and wrote nothing")), "{told}");
    world.nothing_is_left();
}
