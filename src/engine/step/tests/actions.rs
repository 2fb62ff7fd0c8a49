//! The irreversible part: lease, merge, its edges, the update of the branch, freezes.

use super::*;
use crate::engine::model::{Freeze, FreezeLevel, Lease};

/// A lease that another task holds.
pub(super) fn lease(task: i64) -> Lease {
    Lease {
        task: TaskId(task),
        item: "ORCH-001".to_owned(),
        visit: 1,
        since: T0,
        queue: Vec::new(),
    }
}

pub(super) fn frozen(level: FreezeLevel) -> Option<Freeze> {
    Some(Freeze {
        level,
        reason: "the tree differs".to_owned(),
        since: T0,
        by: "signalbox".to_owned(),
    })
}

/// The merge is under way.
pub(super) fn merging(pipeline: &str) -> World {
    let mut w = World::at(pipeline, "deploy");
    w.pass();
    assert_eq!(
        (w.acts(), w.task.control.at.clone()),
        (vec!["merge"], At::Action { index: 0, running: true }),
        "{}",
        w.why()
    );
    w
}

fn woken(w: &World) -> Vec<i64> {
    let woken = w.decisions.iter().filter_map(|d| match d {
        Decision::Wake { task, .. } => Some(task.0),
        _ => None,
    });
    woken.collect()
}

#[test]
fn b_dep_1_the_lease_is_not_held_while_a_person_is_awaited() {
    let mut w = World::at("orch", "deploy");
    assert!(w.repo.lease.is_none());
    w.say("confirm_deploy");
    assert_eq!(w.repo.lease.as_ref().map(|l| l.task), Some(TaskId(7)));
    let intent = w.decisions.iter().find_map(|d| match d {
        Decision::Act(intent) => Some(intent.clone()),
        _ => None,
    });
    assert_eq!(
        intent.map(|i| (i.sha, i.subject)),
        w.task.ledger.head.clone().map(|h| (h.sha, h.subject))
    );
}

#[test]
fn b_dep_1_a_busy_lease_is_waited_for_in_order_and_named() {
    let mut w = World::at("orch", "deploy");
    w.repo.lease = Some(Lease {
        queue: vec![TaskId(3)],
        ..lease(9)
    });
    w.say("confirm_deploy");
    assert!(w.acts().is_empty());
    assert_eq!(w.repo.lease.as_ref().unwrap().queue, [TaskId(3), TaskId(7)]);
    let waits = w.waits();
    assert_eq!((waits[0].code.as_str(), waits[0].text.contains("ORCH-001")), ("LEASE_HELD", true));
    w.poke();
    assert_eq!(
        w.repo.lease.as_ref().unwrap().queue,
        [TaskId(3), TaskId(7)],
        "a place is kept, not taken twice"
    );
    w.repo.lease = None;
    w.poke();
    assert_eq!(w.acts(), ["merge"], "woken, it needs no second confirmation: {}", w.why());
    assert_eq!(w.repo.lease.as_ref().unwrap().task, TaskId(7));
}

#[test]
fn b_dep_1_released_the_lease_wakes_those_who_wait_in_order() {
    let mut w = merging("orch");
    w.repo.lease.as_mut().unwrap().queue = vec![TaskId(3), TaskId(2)];
    w.action("merge", "ok", "abc");
    assert_eq!((woken(&w), w.stage()), (vec![3, 2], "done"));
}

#[test]
fn b_dep_1_everything_is_read_again_when_the_wait_ends() {
    let mut w = World::at("orch", "deploy");
    w.repo.lease = Some(lease(9));
    w.say("confirm_deploy");
    w.task.rules = "reloaded".to_owned();
    w.repo.lease = None;
    w.poke();
    assert!(w.acts().is_empty(), "the confirmation was given under other rules");
    assert!(w.repo.lease.is_none());
    w.say("confirm_deploy");
    assert_eq!(w.acts(), ["merge"]);
}

#[test]
fn a_place_in_the_queue_is_given_back_by_whoever_leaves() {
    for leave in ["reject", "stop"] {
        let mut w = World::at("orch", "deploy");
        w.repo.lease = Some(lease(9));
        w.say("confirm_deploy").say(leave);
        assert!(w.repo.lease.as_ref().unwrap().queue.is_empty(), "{leave}");
        assert_eq!(woken(&w), [] as [i64; 0], "it was not the holder");
    }
}

#[test]
fn merge_edges_lead_where_the_rules_say() {
    let cases = [("conflict", "development", "rework"), ("head_moved", "review", "rebase")];
    for pipeline in ["orch", "enduro", "local"] {
        for (outcome, to, counter) in cases {
            let mut w = merging(pipeline);
            w.action("merge", outcome, "src/map.rs");
            assert_eq!(
                (w.stage(), w.used(counter), w.repo.lease.is_none()),
                (to, 1, true),
                "{pipeline} {outcome}"
            );
        }
    }
}

#[test]
fn merge_refused_stands_for_a_person_and_is_tried_again_by_a_retry() {
    for pipeline in ["orch", "enduro"] {
        let mut w = merging(pipeline);
        w.action("merge", "refused", "protected branch");
        assert_eq!(
            (w.stage(), w.mode(), w.alerts() > 0, w.repo.lease.is_none()),
            ("deploy", Mode::Escalated, true, true)
        );
        assert!(w.waits()[0].text.contains("protected branch"));
        w.retry();
        assert_eq!(
            (w.acts(), w.queued().len()),
            (vec!["merge"], 0),
            "{pipeline}: nothing is deployed twice: {}",
            w.why()
        );
    }
}

#[test]
fn merge_mismatch_freezes_the_repository() {
    let mut w = merging("orch");
    w.action("merge", "mismatch", "tree abc, expected def");
    let freeze = w.repo.freeze.clone().unwrap();
    assert_eq!((freeze.level, freeze.reason.contains("ORCH-090")), (FreezeLevel::Merge, true));
    assert_eq!((w.stage(), w.mode(), w.alerts() > 0), ("deploy", Mode::Escalated, true));
    w.retry();
    assert!(w.acts().is_empty(), "nothing is merged while it is frozen");
    assert_eq!(w.waits()[0].code.as_str(), "FROZEN");
    w.repo.freeze = None;
    w.poke();
    assert_eq!(w.acts(), ["merge"]);
}

#[test]
fn a_freeze_of_either_level_holds_the_merge_back() {
    for level in [FreezeLevel::Merge, FreezeLevel::All] {
        let mut w = World::at("orch", "deploy");
        w.repo.freeze = frozen(level);
        w.say("confirm_deploy");
        assert!(w.acts().is_empty() && w.repo.lease.is_none());
        assert!(w.waits().iter().any(|b| b.code.as_str() == "FROZEN"));
        assert_eq!(w.stage(), "deploy");
    }
}

#[test]
fn an_outcome_without_an_edge_parks_the_task() {
    let mut w = merging("orch");
    w.action("merge", "eclipse", "");
    assert_eq!((w.stage(), w.mode(), w.alerts() > 0), ("deploy", Mode::Escalated, true));
}

#[test]
fn the_moved_base_is_merged_in_and_verdicts_carry_over() {
    let mut w = merging("orch");
    let old = w.task.ledger.head.clone().unwrap().subject;
    w.action("merge", "base_moved", "base is at 123");
    assert_eq!((w.acts(), w.stage(), w.repo.lease.is_none()), (vec!["update"], "deploy", true));
    assert_eq!(w.waits()[0].code.as_str(), "ACTION_RUNNING");
    w.updated();
    let new = w.task.ledger.head.clone().unwrap().subject;
    assert_ne!(old, new);
    assert_eq!(
        (w.stage(), w.used("rebase"), w.queued()),
        ("testing", 1, vec!["tester"]),
        "tests run again"
    );
    assert_eq!(w.task.ledger.passed["review"], new, "the review carries over");
    assert_eq!(w.task.ledger.passed["development"], new);
    // Back at the merge nothing is found to have been passed with other code.
    let mut w = w.up_to("deploy");
    assert_eq!(w.task.control.at, At::Gates, "asked anew: {}", w.why());
    w.say("confirm_deploy");
    assert_eq!(w.acts(), ["merge"], "{}", w.why());
}

#[test]
fn a_branch_that_is_behind_is_updated_before_testing_again() {
    let mut w = World::at("enduro", "testing");
    w.behind = true;
    w.verdict("tester", "13-test-report.md", "result", "PASS");
    assert_eq!(
        (w.acts(), w.task.control.at.clone()),
        (
            vec!["update"],
            At::Updating {
                edge: "mergeable.behind".into()
            }
        )
    );
    w.poke();
    assert!(w.decisions.is_empty());
    w.updated();
    assert_eq!(
        (w.stage(), w.queued(), w.used("rebase")),
        ("testing", vec!["tester"], 1),
        "{}",
        w.why()
    );
    w.verdict("tester", "13-test-report.md", "result", "PASS");
    assert_eq!(
        (w.stage(), w.queued()),
        ("testing", vec!["local_tests"]),
        "on the merged code: {}",
        w.why()
    );
    w.command("local_tests", 0);
    assert_eq!(w.stage(), "deploy");
}

#[test]
fn an_update_that_a_wildcard_asks_for_is_followed() {
    let own = "schema = 1\nextends = \"enduro\"\n[gates.ready]\nall_of = [\"tests\", \"mergeable\"]\n[stages.testing]\npass = [\"ready\"]\n\
               on.\"ready.fail\" = { to = \"development\", uses = \"rework\", note = \"fix_tests\" }\n\
               on.\"*.conflict\" = { to = \"development\", uses = \"rework\" }\non.\"*.behind\" = { rerun = \"tester\", uses = \"rebase\", update = true }\n";
    let rules = rules_of(&[("pipelines/mine.toml", own)], "mine", "");
    let mut w = World::on(rules).started().up_to("testing");
    w.behind = true;
    w.verdict("tester", "13-test-report.md", "result", "PASS");
    assert_eq!(w.acts(), ["update"], "{}", w.why());
    w.updated();
    assert_eq!((w.stage(), w.queued()), ("testing", vec!["tester"]), "tests run again: {}", w.why());
}

#[test]
fn an_update_in_conflict_goes_to_the_developer() {
    let mut w = merging("orch");
    w.action("merge", "base_moved", "").action("update", "conflict", "src/map.rs");
    assert_eq!((w.stage(), w.used("rework"), w.queued()), ("development", 1, vec!["developer"]));
    assert!(w.enqueued()[0].note.as_deref().unwrap_or_default().contains("src/map.rs"));
}

#[test]
fn an_update_that_is_refused_stands_for_a_person() {
    let mut w = merging("orch");
    w.action("merge", "base_moved", "").action("update", "refused", "no");
    assert_eq!((w.stage(), w.mode()), ("deploy", Mode::Escalated), "{}", w.why());
}

#[test]
fn rebasing_is_bounded() {
    let mut w = merging("orch");
    for _ in 0..3 {
        w.action("merge", "base_moved", "").updated();
        assert_eq!((w.stage(), w.mode()), ("testing", Mode::Active));
        w = w.up_to("deploy");
        w.say("confirm_deploy");
    }
    w.action("merge", "base_moved", "").updated();
    assert_eq!(
        (w.stage(), w.mode(), w.used("rebase"), w.alerts()),
        ("testing", Mode::Escalated, 3, 1)
    );
}

#[test]
fn another_action_or_a_second_end_changes_nothing() {
    let mut w = merging("orch");
    let before = w.task.clone();
    w.action("hook:deploy", "ok", "").action("update", "ok", "");
    assert_eq!(w.task, before);
    w.action("merge", "base_moved", "");
    let before = w.task.clone();
    w.action("merge", "ok", "");
    assert_eq!((&w.task, w.decisions.len()), (&before, 0));
}

#[test]
fn a_reject_comes_too_late_for_a_merge_under_way() {
    let mut w = merging("orch");
    w.say("reject");
    assert_eq!(
        (w.stage(), w.task.control.at.clone()),
        ("deploy", At::Action { index: 0, running: true })
    );
    assert!(w.comments()[0].contains("under way"), "{:?}", w.comments());
}

#[test]
fn nothing_is_merged_that_earlier_stages_did_not_pass() {
    let mut w = World::at("orch", "deploy");
    w.task.ledger.passed.insert("testing".into(), "s0".to_owned());
    w.say("confirm_deploy");
    assert_eq!((w.acts().len(), w.stage()), (0, "review"), "{}", w.why());
    assert!(w.repo.lease.is_none());
}
