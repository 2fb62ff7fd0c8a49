//! Someone pushes to the task branch: what was said about other code counts for nothing.

use super::*;
use crate::engine::model::{Freeze, FreezeLevel};

/// The review waits on the forge, the reviewer's own verdict is in.
fn review_waits() -> World {
    let mut w = World::at("orch", "review");
    w.requests_changes();
    w.verdict("reviewer", "12-review.md", "verdict", "APPROVED");
    w.writes("developer", &[]).command("local_tests", 0);
    w.verdict("reviewer", "12-review.md", "verdict", "APPROVED");
    assert_eq!((w.stage(), w.task.control.at.clone()), ("review", At::Gates));
    w
}

#[test]
fn a_verdict_does_not_cover_code_pushed_after_it() {
    let mut w = review_waits();
    w.reviews.clear();
    w.commit(true);
    w.poke();
    assert_eq!(
        (w.stage(), w.queued()),
        ("review", vec!["reviewer"]),
        "the reviewer looks at it: {}",
        w.why()
    );
    w.verdict("reviewer", "12-review.md", "verdict", "APPROVED");
    assert_eq!(w.stage(), "testing");
    assert_eq!(w.task.ledger.passed["review"], w.task.ledger.head.clone().unwrap().subject);
}

#[test]
fn an_artefact_pushed_leaves_the_verdict_standing() {
    let mut w = review_waits();
    w.reviews.clear();
    w.commit(false);
    w.poke();
    assert_eq!(w.stage(), "testing", "{}", w.why());
}

#[test]
fn a_rewritten_branch_is_looked_at_as_it_is() {
    let mut w = review_waits();
    let before = w.task.ledger.head.clone();
    w.reviews.clear();
    w.tip = (1, 77);
    w.poke();
    assert_ne!(w.task.ledger.head, before);
    assert!(w.why().contains("the branch was rewritten to "), "{}", w.why());
    assert_eq!((w.stage(), w.queued()), ("review", vec!["reviewer"]), "what was judged is gone");
}

#[test]
fn a_push_ends_an_escalation_in_development_and_its_gate_is_asked() {
    let mut w = World::at("orch", "review");
    w.task.control.counters.insert("rework".into(), 2);
    w.verdict("reviewer", "12-review.md", "verdict", "REQUEST_CHANGES");
    assert_eq!((w.stage(), w.mode()), ("development", Mode::Escalated));
    w.commit(true);
    w.poke();
    assert_eq!((w.mode(), w.queued()), (Mode::Active, vec!["local_tests"]), "{}", w.why());
    w.command("local_tests", 0);
    assert_eq!(
        (w.stage(), w.queued()),
        ("review", vec!["reviewer"]),
        "the person's own fix is reviewed"
    );
}

#[test]
fn a_push_ends_an_escalation_in_review_and_the_reviewer_looks() {
    let mut w = World::at("orch", "review");
    w.ends("reviewer", RunEnd::NoOutput).ends("reviewer", RunEnd::NoOutput);
    assert_eq!(w.mode(), Mode::Escalated);
    w.commit(false);
    w.poke();
    assert_eq!(w.mode(), Mode::Escalated, "artefacts alone do not");
    w.commit(true);
    w.poke();
    assert_eq!((w.mode(), w.queued()), (Mode::Active, vec!["reviewer"]), "{}", w.why());
}

#[test]
fn other_code_is_found_before_people_are_asked_to_confirm_it() {
    let mut w = World::at("orch", "deploy");
    w.commit(true);
    w.poke();
    assert_eq!(
        (w.stage(), w.queued(), w.used("rebase")),
        ("review", vec!["reviewer"], 1),
        "{}",
        w.why()
    );
}

#[test]
fn a_push_while_the_agent_works_is_left_to_its_settling() {
    let mut w = World::at("orch", "development");
    w.writes("developer", &[]).command("local_tests", 1);
    w.say("reject");
    let before = w.task.ledger.head.clone();
    w.commit(true);
    w.poke();
    assert_eq!(w.task.ledger.head, before);
}

#[test]
fn code_pushed_before_the_merge_is_reviewed_before_it_is_deployed_again() {
    let mut w = World::at("enduro", "deploy");
    w.repo.freeze = Some(Freeze {
        level: FreezeLevel::Merge,
        reason: "hold on".to_owned(),
        since: T0,
        by: "ann".to_owned(),
    });
    w.verdict("deployer", "14-deploy-log.md", "deploy_status", "SUCCESS");
    assert_eq!((w.stage(), w.acts().len()), ("deploy", 0), "{}", w.why());
    w.commit(true);
    w.poke();
    assert_eq!((w.stage(), w.queued()), ("review", vec!["reviewer"]), "{}", w.why());
}
