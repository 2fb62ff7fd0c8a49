//! Agents that mean harm: nothing of theirs is executed by the service, and the task goes on.

use serde_json::json;

use crate::world::{Setup, World};

/// Plays a task to its end with a developer who does `part`; gives the world for a closer look.
fn finished(part: &str) -> World {
    let agents = toml::from_str(&format!("[developer]\ndo = [{part}]")).expect("agents");
    let mut world = World::new(&Setup {
        agents,
        ..Setup::default()
    });
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_blocker(&item, "APPROVAL_WAIT");
    let answer = world.post(&format!("/api/tasks/{item}/approve"), &json!({})).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    world.wait_mode(&item, "done");
    world
}

fn merged(world: &World) {
    assert!(world.main().contains_key("src/feature-LOC-001.txt"), "{:?}", world.main().keys());
}

#[test]
fn traps_in_the_checkout_are_never_sprung() {
    let mut world = finished("\"plant\"");
    merged(&world);
    world.nothing_is_left();
    let sprung = std::fs::read_to_string(world.path("marker")).unwrap_or_default();
    assert_eq!(sprung, "", "the service executed what an agent planted");
}

#[test]
fn the_traps_are_real() {
    // Whoever runs git in such a checkout does spring them: the test above can fail.
    let agents = toml::from_str("[developer]\ndo = [\"plant\"]\n[reviewer]\ndo = [\"hang\"]").expect("agents");
    let mut world = World::new(&Setup {
        agents,
        ..Setup::default()
    });
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "reviewer", 1);
    let checkout = world.data().join("checkouts/t1/developer");
    assert!(!world.path("marker").exists(), "not yet");
    world.git_in(&checkout, &["status", "--porcelain"]);
    let sprung = std::fs::read_to_string(world.path("marker")).expect("sprung");
    assert!(sprung.contains("fsmonitor"), "{sprung}");
    world.nothing_is_left();
}

#[test]
fn a_repository_broken_by_its_agent_costs_that_run_and_no_more() {
    let mut world = finished("\"break_git\", \"ok\"");
    merged(&world);
    assert_eq!(world.begun().iter().filter(|e| e.agent == "developer").count(), 2);
    world.nothing_is_left();
}

#[test]
fn noise_is_kept_and_shown_defused() {
    let mut world = finished("\"noisy:2000\"");
    merged(&world);
    let shown = world.get("/api/runs/1/log?all=1");
    let text = shown["text"].as_str().expect("a text");
    assert!(text.contains("line 1"), "{}", &text[..200.min(text.len())]);
    assert!(
        !text.contains('\u{1b}') && !text.contains('\u{202e}'),
        "control characters are defused"
    );
    world.nothing_is_left();
}

#[test]
fn a_process_left_in_the_background_does_not_outlive_its_run() {
    let mut world = finished("\"orphan\"");
    merged(&world);
    assert!(
        world.processes().iter().all(|(_, line)| !line.contains("--child")),
        "{:?}",
        world.processes()
    );
    world.nothing_is_left();
}

#[test]
fn pipes_in_the_place_of_a_log_hold_up_nobody() {
    let trap = "rm -f \"$SIGNALBOX_RUN_DIR.log\"; mkfifo \"$SIGNALBOX_RUN_DIR.log\"; mkdir -p \"$SIGNALBOX_RUN_DIR/exit.json/x\"; exit 3";
    let mut set = toml::Table::new();
    set.insert("agents.developer.run".to_owned(), vec!["sh", "-c", trap].into());
    set.insert("preflight.enabled".to_owned(), false.into());
    let mut world = World::new(&Setup { set, ..Setup::default() });
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_for(&item, "the end of a run", |seen| seen["runs"][0]["outcome"] == "failed");
    let answer = world.ask("/api/runs/1/log");
    assert!(
        answer.status == 500 && format!("{answer:?}").contains("no regular file"),
        "{answer:?}"
    );
    let answer = world.post(&format!("/api/tasks/{item}/stop"), &json!({})).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    world.wait_mode(&item, "cancelled");
    world.stop();
}

/// An agent reaches the service's socket, as it has the service's user: it may look, and changes nothing.
#[test]
fn an_agent_changes_nothing_through_the_socket() {
    let mut world = World::new(&Setup::default());
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_blocker(&item, "APPROVAL_WAIT");
    let agent = |args: &[&str]| {
        let mut command = world.command(args);
        let out = command
            .env("SIGNALBOX_RUN_DIR", world.data().join("runs/1"))
            .output()
            .expect("an answer");
        (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    assert!(agent(&["why", &item]).0, "it may look");
    for act in [
        &["approve", &item][..],
        &["retry", &item],
        &["stop", &item],
        &["depend", &item, "--on", &item],
        &["task", "new", "More", "--text", "Do more.", "-l", "auto:approve"],
        &["freeze", "all of it"],
        &["reload"],
    ] {
        let (taken, said) = agent(act);
        assert!(!taken && said.contains("this comes from a process of run 1"), "{act:?}: {said}");
    }
    let seen = world.show(&item);
    assert_eq!(seen["task"]["mode"], "active", "{seen}");
    let approved = world.command(&["approve", &item]).output().expect("an answer");
    assert!(approved.status.success(), "{approved:?}");
    world.wait_mode(&item, "done");
    world.nothing_is_left();
}
