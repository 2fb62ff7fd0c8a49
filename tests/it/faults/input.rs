//! Bad input: each case has a clear outcome, and nothing is wedged by it.

use std::fs;

use super::{begun, done, ends, world};
use crate::world::{Setup, World, skipped};

/// A template that is right on paper and fails with the values of this run.
#[test]
fn a_prompt_that_cannot_be_rendered_fails_its_job_and_says_where() {
    let prompt = "# Developer\n\n{{ common }}\n\nIt is {{ 10 // (title | length - 14) }} of ten.\n";
    let mut world = World::new(&Setup {
        rules: vec![("prompts/developer.md".to_owned(), prompt.to_owned())],
        ..Setup::default()
    });
    world.start();
    let item = world.new_task("Add a greeting");
    let seen = world.wait_blocker(&item, "ESCALATED");
    let detail = seen["runs"][0]["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.contains("could not be launched") && detail.contains("developer"), "{detail}");
    assert!(world.begun().is_empty(), "nothing was paid for");
    let queue = world.get("/queue");
    assert_eq!(queue["counts"]["running"], 0, "{queue}");
    world.nothing_is_left();
}

/// Its checkout is deleted by hand under a running agent: that run fails, the next has a fresh one.
#[test]
fn a_checkout_that_is_deleted_by_hand_costs_that_run_and_no_more() {
    let mut world = world("[developer]\ndo = [\"held\", \"ok\"]", "");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    fs::remove_dir_all(world.data().join("checkouts/t1/developer")).expect("deleted");
    world.let_go();
    let seen = done(&mut world, &item);
    assert_eq!(begun(&world, &item, "developer"), 2);
    assert_eq!(ends(&seen)[..2], ["failed", "ok"], "{}", seen["runs"]);
    world.nothing_is_left();
}

/// At the weakest containment an agent can kill its shim: the run is lost, it is ended all the same, and rescued.
#[test]
fn an_agent_that_kills_its_shim_is_ended_and_rescued() {
    let mut world = world("[developer]\ndo = [\"kill_parent\", \"ok\"]", "[config]\ncontainment = \"tagged\"");
    world.start();
    let item = world.new_task("Add a greeting");
    let seen = done(&mut world, &item);
    assert_eq!(ends(&seen)[..2], ["lost", "ok"], "{}", seen["runs"]);
    let left: Vec<_> = world
        .processes()
        .into_iter()
        .filter(|(_, l)| l.contains("scripted-agent"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    world.nothing_is_left();
}

/// In a namespace of its own it cannot even do that.
#[test]
fn an_agent_in_a_namespace_does_not_reach_its_shim() {
    let mut world = world(
        "[developer]\ndo = [\"kill_parent\", \"ok\"]",
        "\"agents.developer.timeout\" = \"12s\"\n\"agents.*.grace\" = \"100ms\"",
    );
    world.start();
    if world.ask("/health").body["containment"] != "pidns" {
        skipped("there are no namespaces here");
        return;
    }
    let item = world.new_task("Add a greeting");
    let seen = done(&mut world, &item);
    assert_eq!(ends(&seen)[..2], ["killed", "ok"], "{}", seen["runs"]);
    world.nothing_is_left();
}
