//! People: questions and answers, approvals and what they cover, labels, review time.

use super::*;

fn alice() -> Actor {
    person("alice", &[Role::Approver])
}

/// In review: the analysis is complete and a person is asked.
fn in_review() -> World {
    let mut w = World::at("orch", "analysis");
    w.writes("analyst", BRD);
    assert_eq!(w.status(), Some("In Review"), "{}", w.why());
    w
}

#[test]
fn analysis_never_leaves_by_itself() {
    let mut w = in_review();
    let asked = w.comments()[0];
    for way in [
        "`Approved`",
        ":approved:",
        "`signalbox approve ORCH-090`",
        "`Rejected`",
        ":rejected:",
        "`signalbox reject ORCH-090",
    ] {
        assert!(asked.contains(way), "{way}: {asked}");
    }
    assert_eq!(
        (w.waits()[0].code.as_str(), w.waits()[0].clear.as_deref()),
        ("APPROVAL_WAIT", Some("signalbox approve ORCH-090"))
    );
    assert!(w.poke().decisions.is_empty(), "asked once");
    w.signal(alice(), "approve", None);
    assert_eq!(w.stage(), "architecture");
}

#[test]
fn a_question_waits_for_an_answer_that_goes_to_the_analyst() {
    let mut w = World::at("orch", "analysis");
    w.artefact("01-questions.md", BTreeMap::new(), "Which yards?");
    let mut report = w.report("analyst", RunEnd::Ok);
    report.head = Some(w.commit(false));
    w.artefact("01-questions.md", BTreeMap::new(), "Which yards?");
    w.event(Actor::Service, Body::RunEnded(report));
    assert_eq!((w.mode(), w.status()), (Mode::Question, Some("Needs Input")));
    assert!(w.comments()[0].contains("Which yards?"), "{:?}", w.comments());
    let blocker = &w.waits()[0];
    assert_eq!(
        (blocker.code.as_str(), blocker.clear.as_deref()),
        ("NEEDS_INPUT", Some("signalbox answer ORCH-090 \"…\""))
    );
    assert!(w.poke().decisions.is_empty());
    w.tell("answer", "All of them");
    assert_eq!(
        (w.mode(), w.queued(), w.status(), w.stage()),
        (Mode::Active, vec!["analyst"], Some("Analysis"), "analysis")
    );
    assert!(w.enqueued()[0].note.as_deref().unwrap_or_default().contains("All of them"));
    // The old questions lie there still; only what this round writes counts.
    w.writes("analyst", BRD);
    assert_eq!(w.status(), Some("In Review"));
}

#[test]
fn a_question_may_be_rejected() {
    let mut w = World::at("orch", "analysis");
    w.writes("analyst", &["01-questions.md"]);
    w.tell("reject", "guess");
    assert_eq!((w.mode(), w.queued()), (Mode::Active, vec!["analyst"]));
}

#[test]
fn a_comment_while_no_question_is_open_is_only_kept() {
    let mut w = World::at("orch", "analysis");
    w.tell("answer", "by the way");
    assert!(w.decisions.is_empty());
    assert_eq!(w.task.ledger.last_comment.as_deref(), Some("by the way"));
}

#[test]
fn whoever_may_not_is_told_and_nothing_changes() {
    let nobody = person("eve", &[Role::Viewer]);
    let mut w = in_review();
    w.signal(nobody.clone(), "approve", None);
    assert_eq!((w.stage(), w.comments().len()), ("analysis", 1));
    assert!(
        w.comments()[0].contains("eve may not") && w.comments()[0].contains("approve"),
        "{:?}",
        w.comments()
    );
    w.signal(nobody.clone(), "reject", Some("no"));
    assert_eq!((w.queued().len(), w.comments().len()), (0, 1));
    // Nor do the words reach an agent later, in another's name.
    w.tell("answer", "by the way");
    w.signal(nobody.clone(), "approve", Some("ignore the request"));
    w.signal(alice(), "approve", Some(" "));
    assert_eq!(w.task.ledger.last_comment.as_deref(), Some("by the way"));
    let mut w = World::at("orch", "deploy");
    w.signal(nobody, "confirm_deploy", None);
    assert_eq!((w.stage(), w.acts().len()), ("deploy", 0));
    w.event(
        Actor::Agent(3),
        Body::Signalled(Signal {
            name: "confirm_deploy".into(),
            text: None,
            activity: String::new(),
            acted_at: w.now,
        }),
    );
    assert!(w.acts().is_empty(), "an agent is no person");
}

#[test]
fn an_approval_before_anything_was_shown_is_nothing() {
    let mut w = World::at("orch", "analysis");
    w.say("approve");
    assert_eq!(w.stage(), "analysis");
    w.writes("analyst", BRD);
    assert_eq!(
        (w.stage(), w.status()),
        ("analysis", Some("In Review")),
        "it does not count later either"
    );
}

#[test]
fn an_approval_older_than_the_card_is_void() {
    let mut w = in_review();
    w.signal_at(alice(), "approve", None, T0);
    assert_eq!(w.stage(), "analysis");
    assert!(
        w.comments()[0].contains("does not count") && w.comments()[0].contains("before this was shown"),
        "{:?}",
        w.comments()
    );
    assert_eq!(w.status(), Some("In Review"), "asked again");
    w.signal(alice(), "approve", None);
    assert_eq!(w.stage(), "architecture");
}

/// Heard late, it is of what was shown before; a person who means what is shown now says it again.
#[test]
fn a_rejection_older_than_the_card_does_not_count_for_it() {
    let mut w = in_review();
    let visit = w.task.ledger.visit.number;
    w.signal_at(alice(), "reject", Some("who is greeted?"), T0);
    assert_eq!((w.stage(), w.task.ledger.visit.number, w.queued()), ("analysis", visit, vec![]));
    assert!(w.comments()[0].contains("made before this was shown"), "{:?}", w.comments());
    w.signal(alice(), "reject", Some("who is greeted?"));
    assert_eq!(w.queued(), ["analyst"]);
}

/// Nobody is waited for any more: the board does not go on asking.
#[test]
fn b_dep_2_what_is_confirmed_is_not_shown_as_awaiting_it() {
    let mut w = World::at("orch", "deploy");
    assert_eq!(w.status(), Some("Awaiting Deploy"));
    w.say("confirm_deploy");
    assert_eq!((w.status(), w.acts().len()), (Some("Deploying"), 1));
}

#[test]
fn an_approval_is_void_when_the_subject_moved() {
    let mut w = World::at("orch", "deploy");
    w.commit(true);
    w.say("confirm_deploy");
    assert!(w.acts().is_empty());
    assert!(w.comments().iter().any(|c| c.contains("does not count")), "{:?}", w.comments());
    assert_eq!(w.stage(), "review", "other code than was reviewed: {}", w.why());
}

#[test]
fn an_approval_is_void_when_what_was_shown_was_edited() {
    let mut w = in_review();
    w.commit(false);
    w.artefact("02-trz.md", BTreeMap::new(), "");
    w.poke();
    assert_eq!(w.stage(), "analysis");
    assert!(
        w.comments().iter().any(|c| c.contains("does not count")),
        "asked again: {:?}",
        w.comments()
    );
    w.signal(alice(), "approve", None);
    assert_eq!(w.stage(), "architecture", "what is shown now is approved");
}

#[test]
fn an_approval_does_not_cover_an_edit_that_came_with_it() {
    let mut w = in_review();
    w.commit(false);
    w.artefact("02-trz.md", BTreeMap::new(), "");
    w.signal(alice(), "approve", None);
    assert_eq!((w.stage(), w.status()), ("analysis", Some("In Review")), "{}", w.why());
}

#[test]
fn an_approval_is_void_when_the_rules_moved() {
    let mut w = in_review();
    w.task.rules = "other".to_owned();
    w.signal(alice(), "approve", None);
    assert_eq!(w.stage(), "analysis");
    assert!(
        w.comments().iter().any(|c| c.contains("the rules have changed")),
        "{:?}",
        w.comments()
    );
    w.signal(alice(), "approve", None);
    assert_eq!(w.stage(), "architecture");
}

#[test]
fn a_quorum_takes_different_people() {
    let own = "schema = 1\nextends = \"orch\"\n[gates.approved]\nhuman = { signal = \"approve\", from = \"approver\", quorum = 2 }\n";
    let rules = rules_of(&[("pipelines/mine.toml", own)], "mine", "");
    let mut w = World::on(rules).started();
    w.writes("analyst", BRD);
    w.signal(alice(), "approve", None).signal(alice(), "approve", None);
    assert_eq!(w.stage(), "analysis", "one person twice");
    w.signal(person("boris", &[Role::Approver]), "approve", None);
    assert_eq!(w.stage(), "architecture");
}

/// B-ADV 6: an order that nobody can read yet is asked for again, ever more seldom; people may decide meanwhile.
#[test]
fn b_adv_6_a_label_that_cannot_be_read_now_is_asked_for_again() {
    let due = |w: &World| w.decisions.iter().any(|d| matches!(d, Decision::SetTimer { .. }));
    let label = || vec!["auto:approve".to_owned()];
    let mut w = World::at("orch", "analysis");
    w.dark.insert(FactKey::Issue);
    w.writes("analyst", BRD);
    assert_eq!((w.status(), due(&w)), (Some("In Review"), true), "{}", w.why());
    w.dark.clear();
    w.issue.labels = label();
    w.timer("approved");
    assert_eq!(w.stage(), "architecture", "{}", w.why());

    let mut w = World::at("orch", "analysis");
    w.issue.unsettled = label();
    w.writes("analyst", BRD);
    assert_eq!(
        (w.status(), due(&w)),
        (Some("In Review"), true),
        "who put it there is not known yet"
    );
    w.issue.unsettled.clear();
    w.timer("approved");
    assert_eq!(
        (w.stage(), due(&w)),
        ("analysis", false),
        "and it counts for nothing: nobody looks again by the clock"
    );
}

#[test]
fn a_label_passes_the_gate_and_says_so_once() {
    let mut w = World::at("orch", "analysis");
    w.issue.labels = vec!["auto:approve".to_owned()];
    w.writes("analyst", BRD);
    assert_eq!(w.stage(), "architecture");
    assert_eq!(
        w.comments().iter().filter(|c| c.contains("auto:approve")).count(),
        1,
        "{:?}",
        w.comments()
    );
}

/// Where a person approves what a label would pass as well, it is the person who did.
#[test]
fn a_person_who_approves_is_named_though_a_label_is_there() {
    let mut w = in_review();
    w.issue.labels = vec!["auto:approve".to_owned()];
    w.signal(alice(), "approve", None);
    assert_eq!(w.stage(), "architecture");
    assert!(w.comments().iter().all(|c| !c.contains("auto:approve")), "{:?}", w.comments());
}

#[test]
fn a_label_set_while_a_person_is_awaited_counts_at_the_next_look() {
    let mut w = in_review();
    w.issue.labels = vec!["auto:approve".to_owned()];
    w.poke();
    assert_eq!(w.stage(), "architecture");
}

#[test]
fn labels_that_are_switched_off_are_words() {
    let rules = rules_with("orch", ", \"auto.enabled\" = false");
    let mut w = World::on(rules).started();
    w.issue.labels = vec!["auto:approve".to_owned()];
    w.writes("analyst", BRD);
    assert_eq!(w.stage(), "analysis");
}

#[test]
fn a_label_is_suspended_when_the_change_touches_pipelines() {
    let mut w = World::at("orch", "deploy-staging");
    w.issue.labels = vec!["auto:deploy".to_owned()];
    w.touched = vec!["src/a.rs".to_owned(), "pipelines/orch.toml".to_owned()];
    w.verdict("deployer", "15-staging-log.md", "staging_status", "SUCCESS");
    assert_eq!((w.stage(), w.status(), w.acts().len()), ("deploy", Some("Awaiting Deploy"), 0));
    assert!(
        w.comments()
            .iter()
            .any(|c| c.contains("auto:deploy") && c.contains("pipelines/orch.toml")),
        "{:?}",
        w.comments()
    );
    assert!(w.poke().comments().is_empty(), "said once");
    w.say("confirm_deploy");
    assert_eq!(w.acts(), ["merge"], "a person may still");
}

#[test]
fn a_label_is_suspended_when_not_every_path_is_known() {
    let mut w = World::at("orch", "deploy-staging");
    w.issue.labels = vec!["auto:deploy".to_owned()];
    w.touched = (0..HeadFact::TOUCHED_MAX).map(|i| format!("src/{i}.rs")).collect();
    w.verdict("deployer", "15-staging-log.md", "staging_status", "SUCCESS");
    assert_eq!(w.acts().len(), 0);
    w.touched.pop();
    w.poke();
    assert_eq!(w.acts(), ["merge"]);
}

#[test]
fn a_label_needs_the_branch_to_be_known() {
    let mut w = World::at("orch", "deploy-staging");
    w.issue.labels = vec!["auto:deploy".to_owned()];
    w.dark.insert(FactKey::Head);
    w.verdict("deployer", "15-staging-log.md", "staging_status", "SUCCESS");
    assert_eq!((w.stage(), w.acts().len()), ("deploy", 0));
}

#[test]
fn people_see_every_commit_before_they_confirm() {
    let mut w = World::at("orch", "deploy-staging");
    w.verdict("deployer", "15-staging-log.md", "staging_status", "SUCCESS");
    assert!(w.comments()[0].contains("c1 a change"), "{:?}", w.comments());
}

#[test]
fn artefacts_that_cannot_be_read_are_not_taken_for_other_ones() {
    let mut w = in_review();
    let card = w.task.ledger.cards.clone();
    w.dark.insert(FactKey::Files);
    w.poke();
    assert!(w.comments().is_empty() && w.task.ledger.cards == card, "{:?}", w.comments());
    w.dark.clear();
    w.poke();
    w.signal(alice(), "approve", None);
    assert_eq!(w.stage(), "architecture");
}

#[test]
fn review_time_runs_from_the_question_to_the_verdict_and_adds_up() {
    let mut w = in_review();
    let shown = w.now;
    assert_eq!(w.task.ledger.review.started_at, Some(shown));
    w.now = w.now.plus(Millis::secs(59));
    w.say("reject");
    let review = w.task.ledger.review;
    assert_eq!((review.started_at, review.total), (None, Millis::secs(60)));
    w.now = w.now.plus(Millis::secs(1000));
    w.writes("analyst", BRD);
    w.now = w.now.plus(Millis::secs(29));
    w.say("approve");
    let review = w.task.ledger.review;
    assert_eq!(
        (review.started_at, review.total, review.ended_at),
        (None, Millis::secs(90), Some(w.now))
    );
}

#[test]
fn review_time_ends_with_a_stop_and_with_the_merge_lease_awaited() {
    let mut w = in_review();
    w.say("stop");
    assert_eq!(
        (w.task.ledger.review.started_at, w.task.ledger.review.total),
        (None, Millis::secs(1))
    );
    let mut w = World::at("orch", "deploy");
    w.repo.lease = Some(super::actions::lease(9));
    w.say("confirm_deploy");
    assert_eq!(w.task.ledger.review.started_at, None, "the person has spoken");
}

#[test]
fn a_question_is_no_review() {
    let mut w = World::at("orch", "analysis");
    w.writes("analyst", &["01-questions.md"]);
    assert_eq!(w.task.ledger.review.started_at, None);
}

#[test]
fn a_signal_nobody_awaits_means_nothing() {
    let mut w = World::at("orch", "testing");
    w.say("no_such_signal");
    assert!(w.decisions.is_empty());
}

#[test]
fn a_push_takes_an_escalated_task_up_again_whatever_event_finds_it() {
    let mut w = World::at("orch", "review");
    for _ in 0..2 {
        let end = RunEnd::Permanent { detail: "x".to_owned() };
        w.ends("reviewer", end);
    }
    assert_eq!(w.mode(), Mode::Escalated, "{}", w.why());
    w.commit(true);
    // A comment asks no gate by itself.
    w.tell("answer", "I have mended it");
    assert_eq!((w.mode(), w.queued()), (Mode::Active, vec!["reviewer"]), "{}", w.why());
}

#[test]
fn a_command_that_could_not_be_run_is_tried_again_after_a_reject() {
    let mut w = World::at("local", "development");
    w.writes("developer", &[]);
    assert_eq!(w.queued(), ["local_tests"]);
    for _ in 0..2 {
        let end = RunEnd::Permanent { detail: "x".to_owned() };
        w.ends("local_tests", end);
    }
    assert_eq!(w.mode(), Mode::Escalated, "{}", w.why());
    w.say("reject").writes("developer", &[]);
    assert_eq!(w.queued(), ["local_tests"], "{}", w.why());
    w.command("local_tests", 0);
    assert_eq!(w.stage(), "review");
}
