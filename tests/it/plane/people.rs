//! Who is heard.

use std::time::Duration;

use super::*;

/// A gate is passed by whoever the rules name, and others are told so.
#[test]
fn whoever_is_not_listed_approves_nothing_and_is_told() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.plane.person("mallory").moves(&issue, "Approved");
    ground.plane.until_comment(&issue, "mallory");
    ground.plane.person("mallory").comments(&issue, "<p>:approved:</p>");
    // Bob may stop, not approve.
    ground.plane.person("bob").comments(&issue, "<p>:approved:</p>");
    ground.plane.until_comment(&issue, "bob@example.com");
    ground.still();
    assert_eq!(ground.stage("ORCH-001"), "analysis");
    ground.plane.person("alice").comments(&issue, "<p>:approved:</p>");
    ground.until_stage("ORCH-001", "deploy");
    ground.until_log("alice answered gate `approved`");
}

/// Neither does a stranger start, stop or answer anything.
#[test]
fn a_stranger_neither_starts_nor_stops() {
    let mut ground = Ground::new("orch", "[analyst]\ndo = ['questions', 'ok']");
    let mallory = ground.plane.person("mallory");
    let issue = mallory.creates("Mine", "<p>x</p>");
    mallory.moves(&issue, "To Analyse");
    ground.until_log("counts for nothing");
    assert_eq!(ground.world.begun().len(), 0);
    let issue = ground.started("Ours");
    ground.plane.until_status(&issue, "Needs Input");
    ground.plane.person("mallory").comments(&issue, "<p>Take mine.</p>");
    ground.plane.until_comment(&issue, "mallory may not decide this (answer)");
    ground.plane.person("mallory").moves(&issue, "STOP");
    ground.still();
    assert_eq!(ground.world.show("ORCH-002")["task"]["mode"], "question");
    ground.plane.person("bob").moves(&issue, "Todo");
    ground.plane.person("bob").moves(&issue, "STOP");
    ground.world.wait_mode("ORCH-002", "cancelled");
}

/// What a signal without effect left on the board is not true: the board shows again what is.
#[test]
fn a_signal_that_counts_for_nothing_does_not_stand_on_the_board() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    for (who, status) in [("mallory", "Approved"), ("mallory", "STOP"), ("alice", "Confirm Deploy")] {
        ground.plane.person(who).moves(&issue, status);
        ground
            .plane
            .until(status, |plane| plane.moves(&issue).contains(&(who.to_owned(), status.to_owned())));
        ground.plane.until_status(&issue, "In Review");
    }
    assert_eq!(ground.stage("ORCH-001"), "analysis");
    ground.plane.person("alice").moves(&issue, "Approved");
    ground.until_stage("ORCH-001", "deploy");
}

/// A move counts as that of whoever made it, however late the history tells of it, and whoever changed the issue since.
#[test]
fn nobody_approves_by_touching_what_a_stranger_moved() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.plane.history_late(Duration::from_secs(2));
    ground.plane.hooks(Hooks::Lost);
    ground.plane.person("mallory").moves(&issue, "Approved");
    ground.plane.hooks(Hooks::To(ground.hook));
    ground.plane.person("alice").drags(&issue);
    ground.plane.person("alice").comments(&issue, "<p>hmm</p>");
    ground.plane.until_comment(&issue, "mallory");
    ground.plane.until_status(&issue, "In Review");
    assert_eq!(ground.stage("ORCH-001"), "analysis");
    assert!(!ground.world.log().contains("alice answered"));
}

/// A label counts as that of whoever put it there, however late the history tells of it: not as its issue's author's.
#[test]
fn a_standing_order_waits_for_the_history_that_tells_whose_it_is() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.plane.history_late(Duration::from_millis(1500));
    ground.plane.person("mallory").labels(&issue, &["auto:approve"]);
    ground.until_log("counts for nothing: who put it there");
    assert_eq!(ground.stage("ORCH-001"), "analysis");
    ground.plane.person("alice").labels(&issue, &[]);
    ground.plane.person("alice").labels(&issue, &["auto:approve"]);
    ground.until_stage("ORCH-001", "deploy");
}

/// Whoever may not start is told so on the issue, once.
#[test]
fn a_refused_start_is_answered_once() {
    let mut ground = Ground::new("orch", "");
    let mallory = ground.plane.person("mallory");
    let issue = mallory.creates("Mine", "<p>x</p>");
    mallory.moves(&issue, "To Analyse");
    ground.plane.until_comment(&issue, "This issue: mallory may not decide this");
    mallory.moves(&issue, "Todo");
    mallory.moves(&issue, "To Analyse");
    ground.still();
    assert_eq!(
        ground.said(&issue, "may not decide this"),
        1,
        "{:#?}",
        ground.plane.comments(&issue)
    );
    assert!(!ground.world.log().contains("\"To Analyse\", which is no signal here"));
    assert_eq!(ground.world.begun().len(), 0);
}

/// A comment answers nothing while nothing is asked: whoever may not answer is not told so either.
#[test]
fn a_colleagues_comment_while_no_question_is_open_gets_no_reply() {
    let mut ground = Ground::new("orch", "[architect]\ndo = ['held']");
    let issue = ground.asked("Add a greeting");
    ground.plane.person("mallory").comments(&issue, "<p>nice</p>");
    ground.plane.person("alice").comments(&issue, "<p>:approved:</p>");
    ground.world.wait_agent("ORCH-001", "architect", 1);
    ground.plane.person("mallory").comments(&issue, "<p>nice</p>");
    ground
        .world
        .until("both are heard", || ground.world.log().matches("counts for nothing").count() >= 2);
    ground.world.let_go();
    ground.until_stage("ORCH-001", "deploy");
    ground.still();
    assert_eq!(ground.said(&issue, "may not decide"), 0, "{:#?}", ground.plane.comments(&issue));
}

/// Names that are shown are anyone's to choose.
#[test]
fn a_name_that_two_have_is_nobodys() {
    let mut ground = Ground::laid_out("orch", "");
    ground.plane.calls_themselves("mallory", "alice");
    ground.world.start();
    let bob = ground.plane.person("bob");
    let issue = bob.creates("Add a greeting", "<p>Say hello.</p>");
    bob.moves(&issue, "To Analyse");
    ground.plane.until_status(&issue, "In Review");
    ground.plane.until_comment(&issue, ":approved:");
    ground.plane.person("alice").comments(&issue, "<p>:approved:</p>");
    ground.until_log("two members of the board have this display name");
    ground.still();
    assert_eq!(ground.stage("ORCH-001"), "analysis");
}

/// A label that passes a gate is an approval: it takes the role.
#[test]
fn a_standing_order_counts_from_those_who_may_give_it() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.plane.person("mallory").labels(&issue, &["auto:approve"]);
    ground.until_log("counts for nothing: who put it there");
    ground.still();
    assert_eq!(ground.stage("ORCH-001"), "analysis");
    ground.plane.person("alice").labels(&issue, &[]);
    ground.plane.person("alice").labels(&issue, &["auto:approve", "nice"]);
    ground.until_stage("ORCH-001", "deploy");
    ground.plane.until_comment(&issue, "auto:approve");
}
