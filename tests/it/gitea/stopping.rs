//! STOP on a Gitea: what people pushed stays, and a merge that fails is not tried after a stop.

use super::*;

/// Stopped, started, stopped: the branch that somebody pushed to is neither worked on nor deleted.
#[test]
fn b_stop_2_a_fresh_task_leaves_alone_what_was_left_alone() {
    let mut site = Site::new(Version::V1_25, "local");
    let (item, first) = site.at_deploy();
    site.gitea.unhook();
    let theirs = site.gitea.person("bob").pushes(&first, "src/bob.txt", "mine\n");
    site.act(&item, "stop", &json!({}));
    let old = format!("{item}~1");
    site.world.wait_mode(&old, "cancelled");
    site.act(&old, "start", &json!({}));
    site.world.wait_for(&item, "the gate, anew", |seen| {
        seen["task"]["mode"] == "active" && seen["task"]["stage"] == "deploy" && seen["blockers"].to_string().contains("APPROVAL_WAIT")
    });
    let second = site.branch(&item);
    assert_eq!(second, format!("{first}-2"), "a branch of its own");
    site.act(&item, "stop", &json!({}));
    site.world.wait_mode(&format!("{item}~2"), "cancelled");
    assert_eq!(site.gitea.branch(&second), None, "its own branch goes");
    assert_eq!(site.gitea.branch(&first), Some(theirs), "somebody else's commit stays");
}

/// The server refuses to merge again and again: a stop ends the tries.
#[test]
fn b_stop_4_a_stop_ends_the_tries_of_a_merge() {
    let mut site = Site::new(Version::V1_25, "local");
    let (item, branch) = site.at_deploy();
    let before = site.head("main");
    site.gitea.fails("POST", "/merge", 99, How::Status(500, ""));
    site.confirm(&item);
    let world = &site.world;
    world.until("a try that failed", || world.log().contains("an effect failed and is tried again"));
    site.act(&item, "stop", &json!({}));
    site.world.wait_mode(&format!("{item}~1"), "cancelled");
    assert_eq!(site.head("main"), before, "nothing was merged");
    assert_eq!(site.gitea.branch(&branch), None, "and it is cleaned up after");
}

/// A merge that seemed to fail, and came about after the stop had looked: whoever stopped it is told.
#[test]
fn b_stop_4_a_stop_tells_of_a_merge_that_came_about_all_the_same() {
    let mut site = Site::new(Version::V1_25, "local");
    let (item, branch) = site.at_deploy();
    let pull = site.gitea.open_pull(&branch);
    site.gitea.fails("POST", "/merge", 99, How::Status(504, ""));
    // Its request stays open until the merge has come about.
    site.gitea.fails("PATCH", "/pulls/", 99, How::Status(500, ""));
    site.confirm(&item);
    let world = &site.world;
    world.until("a try that failed", || world.log().contains("an effect failed and is tried again"));
    site.act(&item, "stop", &json!({}));
    let world = &site.world;
    world.until("that it is not merged any more", || world.log().contains("is not merged any more"));
    site.gitea.person("ada").merges(pull);
    site.gitea.mends();
    site.world.wait_mode(&format!("{item}~1"), "cancelled");
    let told = "its change was merged all the same, as ";
    let world = &site.world;
    // The log says it a moment after the end can be seen.
    world.until("that it is told", || world.log().contains(told));
    let alerts = site.world.count(&format!(
        "SELECT COUNT(*) FROM outbox WHERE kind = 'alert' AND effect LIKE '%{told}%'"
    ));
    assert_eq!(alerts, 1, "operators are told");
}
