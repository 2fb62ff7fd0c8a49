//! STOP and its surroundings as a person meets them: what people pushed is never lost, a stop wins
//! between the tries of a merge, and what fails is told.

use std::fs;

use serde_json::{Value as Json, json};

use crate::world::{Setup, World};

/// A task of the local pipeline before its human gate.
fn at_deploy(world: &mut World) -> String {
    world.start();
    let item = world.new_task("Add a greeting");
    before_the_gate(world, &item);
    item
}

fn before_the_gate(world: &mut World, item: &str) -> Json {
    world.wait_for(item, "the human gate of deploy", |seen| {
        seen["task"]["stage"] == "deploy"
            && seen["blockers"]
                .as_array()
                .is_some_and(|b| b.iter().any(|b| b["code"] == "APPROVAL_WAIT"))
    })
}

fn act(world: &World, item: &str, act: &str, body: &Json) -> String {
    let answer = world.post(&format!("/api/tasks/{item}/{act}"), body).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    answer.body["message"].as_str().unwrap_or_default().to_owned()
}

fn branch(seen: &Json) -> String {
    seen["branch"].as_str().expect("a branch").to_owned()
}

/// The commit of a branch on the forge.
fn tip(world: &World, branch: &str) -> Option<String> {
    let found = world.git_in(
        &world.forge(),
        &["for-each-ref", "--format=%(objectname)", &format!("refs/heads/{branch}")],
    );
    Some(found).filter(|sha| !sha.is_empty())
}

fn comments(seen: &Json) -> String {
    let all = seen["comments"].as_array().expect("comments").iter();
    all.map(|c| c["text"].as_str().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Waits until the task is over and its issue tells how.
fn stopped(world: &mut World, item: &str) -> Json {
    world.wait_for(item, "told to be stopped", |seen| {
        seen["task"]["mode"] == "cancelled" && comments(seen).contains("was stopped")
    })
}

fn blocker(seen: &Json, code: &str) -> Json {
    let all = seen["blockers"].as_array().expect("blockers");
    all.iter().find(|b| b["code"] == code).cloned().unwrap_or_default()
}

/// What a command answers: exit code, and all that it prints.
fn run(world: &World, args: &[&str]) -> (i32, String) {
    let out = world.command(args).env("RUST_LOG", "off").output().expect("the program runs");
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    (out.status.code().unwrap_or(-1), said)
}

#[test]
fn b_stop_2_stop_start_stop_keeps_what_a_person_pushed() {
    let mut world = World::new(&Setup::default());
    let item = at_deploy(&mut world);
    let first = branch(&world.show(&item));
    world.push(&first, "src/mine.txt", "by hand\n");
    let mine = tip(&world, &first).expect("the person's commit");
    act(&world, &item, "stop", &json!({ "text": "wrong task" }));
    let old = format!("{item}~1");
    let seen = stopped(&mut world, &old);
    assert_eq!(tip(&world, &first).as_deref(), Some(mine.as_str()), "{}", comments(&seen));
    assert!(comments(&seen).contains("wrong task"), "the reason is told: {}", comments(&seen));
    assert_eq!(seen["stop"]["reason"], "wrong task");
    let (_, shown) = run(&world, &["show", &old]);
    assert!(shown.contains("asked for by") && shown.contains(": wrong task"), "{shown}");
    assert!(!shown.contains("git fetch"), "its branch is not its own any more: {shown}");
    act(&world, &old, "start", &json!({}));
    let seen = before_the_gate(&mut world, &item);
    let second = branch(&seen);
    assert_eq!(second, format!("{first}-2"), "a branch of its own");
    let says = format!("the work is done on {second}");
    world.wait_for(&item, "told of its branch", |seen| comments(seen).contains(&says));
    let history = world.git_in(&world.forge(), &["rev-list", &second]);
    assert!(!history.contains(&mine), "it begins from the default branch");
    // The task that was stopped is not started again beside the living one.
    let refused = world.post(&format!("/api/tasks/{old}/start"), &json!({})).expect("an answer");
    assert!(!refused.ok() && refused.refusal().contains(&item), "{refused:?}");
    let start = |seen: &Json| {
        seen["acts"]
            .as_array()
            .unwrap()
            .iter()
            .find(|a| a["act"] == "start")
            .cloned()
            .unwrap()
    };
    assert_eq!(start(&world.show(&old))["possible"], false);
    act(&world, &item, "stop", &json!({}));
    world.wait_mode(&format!("{item}~2"), "cancelled");
    assert_eq!(tip(&world, &second), None, "its own branch goes");
    assert_eq!(tip(&world, &first).as_deref(), Some(mine.as_str()), "the person's stays");
}

#[test]
fn b_stop_2_a_branch_with_a_persons_commit_under_the_agents_stays() {
    let mut world = World::new(&Setup::default());
    let item = at_deploy(&mut world);
    let branch = branch(&world.show(&item));
    world.push(&branch, "src/mine.txt", "by hand\n");
    let mine = tip(&world, &branch).expect("the person's commit");
    // At a start pushes are looked for: the task is reviewed again, on top of the person's commit.
    world.stop();
    world.start();
    world.wait_agent(&item, "tester", 2);
    let seen = world.wait_for(&item, "the gate, again", |seen| {
        seen["task"]["stage"] == "deploy" && !blocker(seen, "APPROVAL_WAIT").is_null() && seen["head"] != json!(mine)
    });
    act(&world, &item, "stop", &json!({}));
    let stopped = stopped(&mut world, &format!("{item}~1"));
    let kept = tip(&world, &branch).unwrap_or_else(|| panic!("it was deleted: {}", comments(&stopped)));
    assert_eq!(json!(kept), seen["head"], "at the service's own commit");
    assert!(comments(&stopped).contains("commits of somebody else"), "{}", comments(&stopped));
}

#[test]
fn b_stop_4_a_stop_wins_between_the_tries_of_a_merge() {
    let mut world = World::new(&Setup::default());
    let item = at_deploy(&mut world);
    let main = tip(&world, "main").expect("main");
    // Everything can be read and the merge cannot be made.
    let lock = world.forge().join("refs/heads/main.lock");
    fs::write(&lock, "").expect("a lock");
    act(&world, &item, "approve", &json!({}));
    let failing =
        |seen: &Json, world: &World| seen["task"]["at"] == "action" && world.log().contains("an effect failed and is tried again");
    let mut tries = 0;
    while !failing(&world.show(&item), &world) {
        tries += 1;
        assert!(tries < 20_000, "the merge does not fail: {}", world.tail());
    }
    // Now nothing can be told: the forge is gone.
    let (here, away) = (world.forge(), world.data().join("forge/away"));
    fs::rename(&here, &away).expect("gone");
    let said = act(&world, &item, "stop", &json!({}));
    assert!(
        said.contains("put off") && said.contains("since ") && said.contains("until "),
        "{said}"
    );
    let seen = world.wait_for(&item, "a stop that waits and says why", |seen| {
        blocker(seen, "STOP_DEFERRED")["text"]
            .as_str()
            .is_some_and(|t| t.contains("has failed"))
    });
    let text = blocker(&seen, "STOP_DEFERRED")["text"].as_str().unwrap_or_default().to_owned();
    assert!(text.contains("next try"), "{text}");
    fs::remove_file(away.join("refs/heads/main.lock")).expect("no lock any more");
    fs::rename(&away, &here).expect("back");
    let seen = world.wait_mode(&format!("{item}~1"), "cancelled");
    assert_eq!(tip(&world, "main"), Some(main), "nothing was merged: {}", comments(&seen));
}

#[test]
fn b_stop_6_a_clean_up_that_fails_is_told_and_tried_again() {
    let mut world = World::new(&Setup::default());
    let item = at_deploy(&mut world);
    let later = world.new_task("Another");
    let held = world.wait_blocker(&later, "LANE_HELD");
    let clear = blocker(&held, "LANE_HELD")["clear"].as_str().unwrap_or_default().to_owned();
    assert!(clear.starts_with(&format!("signalbox why {item}")), "{clear}");
    let (here, away) = (world.forge(), world.data().join("forge/away"));
    fs::rename(&here, &away).expect("gone");
    act(&world, &item, "stop", &json!({}));
    let seen = world.wait_for(&item, "a clean-up that fails", |seen| {
        blocker(seen, "STOPPING")["text"]
            .as_str()
            .is_some_and(|t| t.contains("the clean-up has failed"))
    });
    let stopping = blocker(&seen, "STOPPING");
    assert!(
        stopping["text"].as_str().unwrap_or_default().contains("the next try is in"),
        "{stopping}"
    );
    assert!(stopping["since"].is_string() && stopping["who"] == "operator", "{stopping}");
    assert!(
        stopping["clear"]
            .as_str()
            .unwrap_or_default()
            .starts_with(&format!("signalbox retry {item}")),
        "{stopping}"
    );
    let held = world.show(&later);
    let clear = blocker(&held, "LANE_HELD")["clear"].as_str().unwrap_or_default().to_owned();
    assert!(!clear.contains("signalbox stop"), "it is being stopped already: {clear}");
    let told = |status: &Json| {
        let all = status["problems"].as_array().cloned().unwrap_or_default();
        all.iter()
            .any(|p| p["text"].as_str().unwrap_or_default().contains("the clean-up fails"))
    };
    let mut looks = 0;
    while !told(&world.get("/status")) {
        looks += 1;
        assert!(looks < 20_000, "operators are not told: {}", world.tail());
    }
    let queue = world.get("/queue");
    assert_eq!(queue["stop"]["stopping"][0]["item"], json!(item), "{}", queue["stop"]);
    fs::rename(&away, &here).expect("back");
    assert!(act(&world, &item, "retry", &json!({})).contains("tried again now"));
    world.wait_mode(&format!("{item}~1"), "cancelled");
    let mut looks = 0;
    while told(&world.get("/status")) {
        looks += 1;
        assert!(looks < 20_000, "the notice stays: {}", world.tail());
    }
}

#[test]
fn b_stop_5_a_clean_up_that_was_cut_off_tells_what_it_did() {
    for point in ["archived", "cleaned"] {
        let mut world = World::new(&Setup::default());
        world.crash = Some(format!("{point}:1"));
        world.crash_once = true;
        let item = at_deploy(&mut world);
        act(&world, &item, "stop", &json!({}));
        let seen = stopped(&mut world, &format!("{item}~1"));
        assert_eq!(world.starts, 2, "it dies once");
        let said = comments(&seen);
        assert!(
            said.contains("artefact(s) archived") && !said.contains("nothing to archive"),
            "{point}: {said}"
        );
        assert!(
            said.contains("deleted at") && !said.contains("no branch was made"),
            "{point}: {said}"
        );
    }
}

#[test]
fn b_sg_2_a_frozen_repository_is_shown_at_once() {
    let mut world = World::new(&Setup::default());
    world.start();
    let answer = world
        .post("/serial-gate/freeze", &json!({ "reason": "the disk\nis full" }))
        .expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    let status = world.get("/status");
    let text = status["problems"][0]["text"].as_str().unwrap_or_default();
    assert!(
        text.contains("it is frozen") && text.contains("the disk is full") && text.contains("unfreeze -p it"),
        "{status}"
    );
    let item = world.new_task("Add a greeting");
    let seen = world.wait_blocker(&item, "FROZEN");
    let clear = blocker(&seen, "FROZEN")["clear"].as_str().unwrap_or_default().to_owned();
    assert!(clear.starts_with("signalbox unfreeze -p it "), "{clear}");
    let (_, queue) = run(&world, &["queue"]);
    assert!(queue.contains(&format!("inside nobody, waiting {item}")), "{queue}");
    assert!(
        !queue.contains("the disk\nis full") && queue.contains("the disk is full"),
        "one line: {queue}"
    );
}

#[test]
fn b_sg_3_dependencies_are_said_on_the_command_line() {
    let agents = toml::from_str("[developer]\ndo = [\"held\"]").expect("agents");
    let mut world = World::new(&Setup {
        agents,
        ..Setup::default()
    });
    world.start();
    let (first, second) = (world.new_task("One"), world.new_task("Two"));
    let run = |args: &[&str]| run(&world, args);
    world.wait_agent(&first, "developer", 1);
    let (code, said) = run(&["depend", &second, "--on", &first]);
    assert!(code == 0 && said.contains(&format!("waits until {first} is over")), "{code} {said}");
    let (code, said) = run(&["depend", &second, "--remove", &first]);
    assert!(
        code == 0 && said.contains(&format!("does not wait for {first} any more")),
        "{code} {said}"
    );
    let (code, said) = run(&["depend", &second]);
    assert!(code == 2 && said.contains("--on <OTHER>"), "neither: {code} {said}");
    let (code, said) = run(&["depend", &second, "--on", &first, "--remove", &first]);
    assert!(code == 2 && said.contains("cannot be used with"), "both: {code} {said}");
    world.let_go();
}
