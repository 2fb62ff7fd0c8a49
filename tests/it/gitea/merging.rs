//! Merging through the API: what is read back is what happened.

use super::*;

/// The merge is done and its answer lost: it is found, and not done twice.
#[test]
fn a_lost_answer_is_read_back() {
    let mut site = Site::new(Version::V1_25, "local");
    let (item, _) = site.at_deploy();
    site.gitea.fails("POST", "/merge", 1, How::DoneThenHangUp);
    site.confirm(&item);
    let seen = site.world.wait_mode(&item, "done");
    assert_eq!(seen["change"]["state"], "merged");
    assert_eq!(site.gitea.merges_asked().len(), 1);
}

/// ★ I8: the service is killed around its merge, its push and what it says there: found on the server, and not done again.
#[test]
fn what_the_server_has_is_not_done_again_after_a_kill() {
    for (point, nth) in [("before-end", 1), ("effect", 3), ("intent", 1), ("merged", 1), ("acted", 1)] {
        let mut site = Site::new(Version::V1_25, "local");
        site.world.crash = Some(format!("{point}:{nth}"));
        site.world.crash_once = true;
        let (item, branch) = site.at_deploy();
        let pull = site.gitea.open_pull(&branch);
        site.confirm(&item);
        let seen = site.world.wait_mode(&item, "done");
        assert_eq!(site.world.starts, 2, "it dies once at {point}");
        assert_eq!(seen["change"]["state"], "merged", "{point}");
        assert_eq!(site.gitea.pulls(&branch), [(pull, false, true)], "{point}: one request");
        assert_eq!(site.gitea.merges_asked().len(), 1, "{point}: one merge");
        for agent in ["developer", "reviewer", "tester"] {
            let begun = site.world.begun().iter().filter(|e| e.agent == agent).count();
            assert_eq!(begun, 1, "{point}: {agent} is paid once");
        }
        site.nothing_is_left();
    }
}

/// The server breaks before it does anything: nothing is merged, it is looked at again and merged then.
#[test]
fn a_server_that_breaks_is_asked_again() {
    let mut site = Site::new(Version::V1_25, "local");
    let (item, _) = site.at_deploy();
    site.gitea.fails("POST", "/merge", 1, How::Status(500, ""));
    site.gitea.fails("POST", "/merge", 1, How::HangUp);
    site.confirm(&item);
    site.world.wait_mode(&item, "done");
    assert_eq!(site.gitea.merges_asked().len(), 3);
}

/// The answer to a merge is unreadable, and so is the state for a while.
#[test]
fn what_cannot_be_read_back_is_looked_at_again() {
    let mut site = Site::new(Version::V1_16, "local");
    let (item, branch) = site.at_deploy();
    let pull = site.gitea.open_pull(&branch);
    site.gitea.fails("POST", "/merge", 1, How::Malformed);
    site.confirm(&item);
    site.world.wait_mode(&item, "done");
    assert_eq!(site.gitea.pulls(&branch), [(pull, false, true)]);
    assert_eq!(site.gitea.merges_asked().len(), 1);
}

/// "Please try again later" while mergeability is being computed: waited for, not reported.
#[test]
fn a_merge_waits_until_the_server_has_computed() {
    let mut site = Site::new(Version::V1_16, "local");
    site.gitea.computes_for(2);
    site.world.start();
    let item = site.world.new_task("Add a greeting");
    site.world.wait_blocker(&item, "APPROVAL_WAIT");
    site.gitea.fails("POST", "/merge", 1, How::Status(405, "Please try again later"));
    site.confirm(&item);
    site.world.wait_mode(&item, "done");
    assert_eq!(site.gitea.merges_asked().len(), 2);
}

/// The default branch moved between confirmation and merge: tested again, merged, nothing lost.
#[test]
fn a_moved_base_is_tested_again() {
    let mut site = Site::new(Version::V1_25, "local");
    let (item, _) = site.at_deploy();
    site.gitea.unhook();
    site.gitea.person("bob").pushes("main", "src/other.txt", "theirs\n");
    site.confirm(&item);
    site.world
        .wait_for(&item, "the base taken in", |s| s["task"]["counters"]["rebase"]["used"] == 1);
    site.world.wait_for(&item, "deploy", |s| {
        s["task"]["mode"] == "done" || (s["task"]["stage"] == "deploy" && s["blockers"].to_string().contains("APPROVAL_WAIT"))
    });
    if site.world.show(&item)["task"]["mode"] != "done" {
        site.confirm(&item);
    }
    site.world.wait_mode(&item, "done");
    assert_eq!(site.gitea.published("src/other.txt"), "theirs");
}

/// The server's words for it: the merge is answered with "merge push out of date".
#[test]
fn a_base_that_moves_under_the_merge_is_tested_again() {
    let mut site = Site::new(Version::V1_25, "local");
    let (item, _) = site.at_deploy();
    site.gitea.fails("POST", "/merge", 1, How::Status(409, "merge push out of date"));
    site.confirm(&item);
    site.world
        .wait_for(&item, "the base is looked at", |s| s["task"]["counters"]["rebase"]["used"] == 1);
}

/// A conflict costs a round and names the files.
#[test]
fn a_conflict_goes_back_with_the_names_of_the_files() {
    let mut site = Site::new(Version::V1_25, "local");
    let (item, branch) = site.at_deploy();
    site.gitea.unhook();
    let file = format!("src/feature-{item}.txt");
    site.gitea.person("bob").pushes("main", &file, "someone else's line\n");
    site.confirm(&item);
    site.world
        .wait_for(&item, "a round", |s| s["task"]["counters"]["rework"]["used"].as_u64() > Some(0));
    // What was decided is told a moment after it can be seen.
    let world = &site.world;
    world.until("the names of the files", || {
        world.log().lines().any(|l| l.contains("conflict") && l.contains(&file))
    });
    assert!(site.gitea.merges_asked().is_empty(), "what conflicts is not even asked for");
    assert!(site.gitea.branch(&branch).is_some());
}

/// Words that only a person can do something about.
#[test]
fn a_refusal_by_protection_waits_for_a_person() {
    let mut site = Site::new(Version::V1_23, "local");
    let (item, _) = site.at_deploy();
    site.gitea
        .fails("POST", "/merge", 1, How::Status(405, "Does not have enough approvals"));
    site.confirm(&item);
    let seen = site.world.wait_mode(&item, "escalated");
    assert!(seen.to_string().contains("Does not have enough approvals"), "{seen}");
    site.act(&item, "retry", &json!({}));
    site.world.wait_for(&item, "again", |s| s["task"]["mode"] != "escalated");
}

/// Closed by hand: the merge is not forced upon whoever closed it.
#[test]
fn a_request_closed_by_hand_is_not_merged() {
    let mut site = Site::new(Version::V1_25, "local");
    let (item, branch) = site.at_deploy();
    let pull = site.gitea.open_pull(&branch);
    site.gitea.person("bob").closes(pull);
    site.world.wait_for(&item, "closed", |s| {
        let first = s["blockers"][0].to_string();
        s["change"]["state"] == "closed"
            && first.contains("was closed on the forge without a merge")
            && first.contains("reopen it on the forge, then confirm")
    });
    site.confirm(&item);
    let seen = site.world.wait_mode(&item, "escalated");
    assert!(seen.to_string().contains("was closed by someone"), "{seen}");
    assert!(seen["blockers"][0].to_string().contains("signalbox retry"), "{seen:#}");
    assert!(site.gitea.merges_asked().is_empty());
    // What is said there is what helps.
    site.gitea.person("bob").reopens(pull);
    site.world.wait_for(&item, "reopened", |s| s["change"]["state"] == "open");
    site.act(&item, "retry", &json!({}));
    site.world.wait_mode(&item, "done");
}

/// Merged by hand: a person looks at it, nothing is merged twice.
#[test]
fn a_request_merged_by_hand_is_shown_to_a_person() {
    let mut site = Site::new(Version::V1_16, "local");
    let (item, branch) = site.at_deploy();
    site.gitea.person("bob").merges(site.gitea.open_pull(&branch));
    let way_out = |seen: &Json| {
        let first = seen["blockers"][0].to_string();
        first.contains("was merged on the forge, and not by this service") && first.contains("signalbox stop")
    };
    site.world
        .wait_for(&item, "merged", |s| s["change"]["state"] == "merged" && way_out(s));
    let main = site.head("main");
    site.confirm(&item);
    let seen = site.world.wait_mode(&item, "escalated");
    assert!(way_out(&seen), "{seen:#}");
    assert!(seen.to_string().contains("stop the task"), "{seen:#}");
    assert!(site.gitea.merges_asked().is_empty());
    site.act(&item, "stop", &json!({}));
    site.world.wait_mode(&format!("{item}~1"), "cancelled");
    assert_eq!(site.head("main"), main, "what is merged stays merged");
}
