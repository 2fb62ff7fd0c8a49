//! What the queue promises of launches, places and failures (B-Q), in a running service.

use std::fs;

use serde_json::{Value as Json, json};
use signalbox::scripted::Phase;
use signalbox::shell::process::TAIL;

use crate::world::{Setup, World};

/// A world of two projects, `it` and `other`, with a repository each; `more` stands in `it`.
fn two_projects(agents: &str, config: &str, more: &str) -> World {
    let mut set = toml::Table::new();
    set.insert("serial_gate.enabled".to_owned(), false.into());
    let world = World::new(&Setup {
        agents: toml::from_str(agents).expect("agents"),
        set,
        config: toml::from_str(config).expect("config"),
        ..Setup::default()
    });
    world.git(&["clone", "--quiet", ".", "../second"]);
    let path = world.path("signalbox.toml");
    let mut config: toml::Table = fs::read_to_string(&path).expect("read").parse().expect("a table");
    let projects = config["projects"].as_table_mut().expect("projects");
    let mut other = projects["it"].clone();
    let it = projects["it"].as_table_mut().expect("a project");
    it.extend(more.parse::<toml::Table>().expect("keys"));
    other["prefix"] = "OTH".into();
    other["forge"]["source"] = "second".into();
    projects.insert("other".to_owned(), other);
    fs::write(path, config.to_string()).expect("written");
    world
}

fn started(world: &World, project: &str, title: &str) -> String {
    let body = json!({"project": project, "title": title, "text": "Please."});
    let answer = world.post("/api/tasks", &body).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    answer.body["item"].as_str().expect("an item").to_owned()
}

fn begun(world: &World, item: &str) -> usize {
    world.begun().iter().filter(|e| e.item == item).count()
}

/// B-Q 6: no repository to begin from is a failure for good that says so; its place is free for others, and nothing is
/// held against the agents' command.
fn missing(folder: impl Fn(&World) -> std::path::PathBuf, words: &str) {
    let mut world = two_projects("", "max_concurrency = 1", "");
    world.start();
    let (here, away) = (folder(&world), world.path("away"));
    fs::rename(&here, &away).expect("gone");
    let item = started(&world, "it", "Number 1");
    let seen = world.wait_blocker(&item, "ESCALATED");
    let runs = seen["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 2, "two attempts: {runs:?}");
    for run in runs {
        let detail = run["detail"].as_str().unwrap_or_default();
        let path = world.path("").display().to_string();
        let says = detail.contains("could not be launched") && detail.contains(words) && detail.contains(&path);
        assert!(run["outcome"] == "failed" && says, "{run}");
    }
    assert_eq!(begun(&world, &item), 0, "nothing was paid for");
    let queue = world.get("/queue");
    let open = (&queue["counts"]["running"], &queue["reaper"]["open_runs"]);
    assert_eq!(open, (&json!(0), &json!(0)), "{queue}");
    let held = "SELECT COUNT(*) FROM breakers WHERE streak > 0 OR open_since IS NOT NULL";
    assert_eq!(world.count(held), 0, "it is no weather");

    let other = started(&world, "other", "Number 2");
    world.wait_blocker(&other, "APPROVAL_WAIT");

    fs::rename(&away, &here).expect("back");
    let answer = world.post(&format!("/api/tasks/{item}/retry"), &json!({})).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    world.wait_blocker(&item, "APPROVAL_WAIT");
    world.nothing_is_left();
}

#[test]
fn b_q_6_a_source_that_is_gone_fails_for_good_and_others_go_on() {
    missing(|world| world.path("repository"), "does not exist");
}

#[test]
fn b_q_6_a_source_that_is_no_repository_any_more_fails_for_good_and_others_go_on() {
    missing(|world| world.path("repository/.git"), "is not a git repository");
}

#[test]
fn b_q_6_a_forge_that_is_gone_fails_for_good_and_others_go_on() {
    missing(World::forge, "is gone: put it back");
}

/// The texts of these blockers.
fn texts(blockers: &Json, code: &str) -> Vec<String> {
    let all = blockers.as_array().into_iter().flatten().filter(|b| b["code"] == code);
    all.map(|b| b["text"].as_str().unwrap_or_default().to_owned()).collect()
}

/// B-Q 3: a project has so many places, however many there are in all; whoever waits for one is told.
#[test]
fn b_q_3_a_project_has_so_many_places_and_why_and_the_queue_name_them() {
    let mut world = two_projects("[developer]\ndo = [\"held\"]", "max_concurrency = 9", "max_concurrency = 2");
    world.start();
    let mut items = Vec::new();
    for n in 1..=4 {
        let item = started(&world, "it", &format!("Number {n}"));
        if n <= 2 {
            world.wait_agent(&item, "developer", 1);
        }
        items.push(item);
    }
    let said = ["2 of 2 places for runs of project it are taken"];
    for item in &items[2..] {
        let seen = world.wait_blocker(item, "RUNNER_BUSY");
        assert_eq!(texts(&seen["blockers"], "RUNNER_BUSY"), said, "{seen}");
        let why = world.get(&format!("/api/tasks/{item}/why"));
        assert_eq!(texts(&why["blockers"], "RUNNER_BUSY"), said, "{why}");
    }
    // Those of another project find place.
    let others: Vec<String> = (1..=3).map(|n| started(&world, "other", &format!("Other {n}"))).collect();
    for item in &others {
        world.wait_agent(item, "developer", 1);
    }
    let queue = world.get("/queue");
    let waiting = queue["waiting"].as_array().expect("who waits");
    assert_eq!(waiting.len(), 2, "{queue}");
    for one in waiting {
        assert_eq!(texts(&one["blockers"], "RUNNER_BUSY"), said, "{one}");
    }
    assert_eq!(queue["counts"]["running"], 5, "{queue}");
    world.let_go();
    for item in &items {
        world.wait_blocker(item, "APPROVAL_WAIT");
    }
    let (mut open, mut most) = (0, 0);
    for entry in world.ledger().iter().filter(|e| items.contains(&e.item)) {
        open += if entry.phase == Phase::Start { 1 } else { -1 };
        most = most.max(open);
    }
    assert_eq!(most, 2, "never more of them at once: {:?}", world.ledger());
    world.nothing_is_left();
}

/// B-Q 4: the last 16 KiB of a log decide, to the byte.
#[test]
fn b_q_4_weather_just_before_the_last_16_kib_of_a_log_is_none() {
    let weather = "HTTP 503\n";
    // First it ends just before them, then it is the first that stands in them.
    let (beyond, within) = (TAIL, TAIL - weather.len() as u64);
    let script = format!(
        "bytes={within}; [ \"$SIGNALBOX_RUN\" = 1 ] && bytes={beyond}\n\
         printf '{}'; yes 'all is well' | head -c $bytes; exit 1",
        weather.escape_default()
    );
    let mut set = toml::Table::new();
    set.insert(
        "agents.developer.run".to_owned(),
        vec!["bash".to_owned(), "-c".to_owned(), script].into(),
    );
    let mut world = World::new(&Setup { set, ..Setup::default() });
    world.start();
    let item = world.new_task("Add a greeting");
    let seen = world.wait_for(&item, "two ends", |seen| seen["runs"][1]["outcome"].is_string());
    for (run, bytes) in [(1, TAIL + weather.len() as u64), (2, TAIL)] {
        let log = fs::metadata(world.data().join(format!("runs/{run}.log"))).expect("a log");
        assert_eq!(log.len(), bytes, "run {run}");
    }
    let ends: Vec<&Json> = (0..2).map(|n| &seen["runs"][n]["outcome"]).collect();
    assert_eq!(ends, ["failed", "transient"], "{}", seen["runs"]);
    world.nothing_is_left();
}
