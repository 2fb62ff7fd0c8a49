//! Start: birth, entry check, restart, relaunch hole.

use super::*;
use crate::engine::model::{JobKind, Kill};

#[test]
fn b_start_1_every_reason_is_said_and_there_is_no_task() {
    let mut w = World::new("orch");
    w.issue.title = "x".repeat(201);
    w.issue.description = "  \n".to_owned();
    w.say("start");
    assert_eq!(w.task.control.phase, Phase::Unborn);
    assert!(!w.decisions.contains(&Decision::Create) && w.jobs.is_empty() && w.repo.lane.is_empty());
    assert_eq!(w.status(), Some("Needs Input"));
    let said = w.comments().join("\n");
    assert!(
        said.contains("201 characters, at most 200") && said.contains("the description is empty"),
        "{said}"
    );
}

#[test]
fn b_start_1_an_empty_title_is_no_task() {
    let mut w = World::new("orch");
    w.issue.title = " ".to_owned();
    w.say("start");
    assert_eq!(w.task.control.phase, Phase::Unborn);
    assert!(w.comments().join("\n").contains("the title is empty"));
}

#[test]
fn b_start_1_the_limits_are_the_rules() {
    let mut w = World::on(rules_with("orch", ", \"entry.title_max\" = 3, \"entry.description\" = false"));
    w.issue.description.clear();
    w.issue.title = "abc".to_owned();
    w.say("start");
    assert_eq!(w.task.control.phase, Phase::Live);
    let mut w = World::on(rules_with("orch", ", \"entry.title_max\" = 3"));
    w.say("start");
    assert_eq!(w.task.control.phase, Phase::Unborn);
}

#[test]
fn b_start_1_an_issue_that_cannot_be_read_is_no_task() {
    let mut w = World::new("orch");
    w.dark.insert(FactKey::Issue);
    w.say("start");
    assert_eq!((w.task.control.phase, w.comments().len()), (Phase::Unborn, 0));
}

#[test]
fn b_start_2_a_start_makes_task_seat_job_comment_and_status() {
    let w = World::new("orch").started();
    assert_eq!(w.decisions.iter().filter(|d| **d == Decision::Create).count(), 1);
    assert_eq!(
        (w.task.item.as_str(), w.task.branch.as_str()),
        ("ORCH-090", "feature/ORCH-090-add-a-map")
    );
    assert_eq!((w.stage(), w.visit(), w.status()), ("analysis", 1, Some("Analysis")));
    assert_eq!(
        (w.queued(), w.enqueued()[0].kind, w.enqueued()[0].entry),
        (vec!["analyst"], JobKind::Agent, true)
    );
    assert!(w.comments()[0].contains("ORCH-090"));
    assert_eq!(w.repo.lane.len(), 1);
    assert!(!w.repo.lane[0].inside, "the first claim is the entry");
}

#[test]
fn b_start_2_without_a_tracker_number_the_free_one_is_kept() {
    let mut w = World::new("orch");
    w.issue.number = None;
    w.task.item = "ORCH-007".to_owned();
    w.say("start");
    assert_eq!(w.task.item, "ORCH-007");
}

#[test]
fn b_start_2_no_other_signal_makes_a_task() {
    for name in ["approve", "stop", "answer", "reject"] {
        let mut w = World::new("orch");
        w.say(name);
        assert_eq!((w.task.control.phase, w.decisions.len()), (Phase::Unborn, 0), "{name}");
    }
}

#[test]
fn b_start_3_silent_while_the_analyst_is_at_work() {
    let mut w = World::at("orch", "analysis");
    w.say("start");
    assert!(w.decisions.is_empty(), "{:?}", w.decisions);
}

/// Said while the analyst was at work, heard when it was done: the board shows a new card by then.
#[test]
fn b_start_3_silent_when_heard_late() {
    let mut w = World::at("orch", "analysis");
    let at_work = w.now;
    w.writes("analyst", BRD);
    assert_eq!(w.status(), Some("In Review"));
    let alice = person("alice", &[Role::Operator]);
    w.signal_at(alice.clone(), "start", None, at_work);
    assert!(w.decisions.is_empty(), "{:?}", w.decisions);
    w.signal(alice, "start", None);
    assert_eq!(w.queued(), vec!["analyst"]);
}

#[test]
fn b_start_3_queued_again_with_the_latest_comment() {
    let mut w = World::at("orch", "analysis");
    w.artefact("01-questions.md", BTreeMap::new(), "Which yards?");
    w.writes("analyst", &["01-questions.md"]);
    assert_eq!((w.mode(), w.status()), (Mode::Question, Some("Needs Input")));
    let long = "y".repeat(600);
    w.tell("start", &long);
    assert_eq!(
        (w.mode(), w.queued(), w.status()),
        (Mode::Active, vec!["analyst"], Some("Analysis"))
    );
    let note = w.enqueued()[0].note.clone().unwrap_or_default();
    assert!(note.contains(&"y".repeat(500)) && !note.contains(&"y".repeat(501)), "{note}");
}

#[test]
fn b_start_4_the_relaunch_hole_names_stop_and_start_of_the_board() {
    let mut w = World::at("orch", "review");
    w.say("start");
    assert!(w.queued().is_empty() && w.stage() == "review");
    let said = w.comments().join("\n");
    assert!(said.contains("STOP") && said.contains("To Analyse"), "{said}");
    assert_eq!(w.comments().len(), 1);
}

#[test]
fn b_start_4_a_board_without_stop_names_the_command() {
    let mut w = World::at("enduro", "testing");
    w.say("start");
    assert!(w.comments()[0].contains("signalbox stop ET-090"), "{:?}", w.comments());
}

#[test]
fn b_start_4_with_stop_switched_off_the_stage_is_relaunched() {
    let rules = rules_with("orch", ", \"stop.enabled\" = false");
    let mut w = World::on(rules).started().up_to("review");
    w.ends("reviewer", RunEnd::NoOutput).ends("reviewer", RunEnd::NoOutput);
    assert_eq!(w.mode(), Mode::Escalated);
    w.say("start");
    assert_eq!((w.queued(), w.mode(), w.stage()), (vec!["reviewer"], Mode::Active, "review"));
}

#[test]
fn b_start_4_nothing_is_relaunched_while_the_merge_is_under_way() {
    let rules = rules_with("enduro", ", \"stop.enabled\" = false");
    let mut w = World::on(rules).started().up_to("deploy");
    w.pass();
    assert_eq!(w.acts(), ["merge"]);
    w.say("start");
    assert!(w.queued().is_empty());
    assert_eq!(w.task.control.at, At::Action { index: 0, running: true });
}

#[test]
fn b_start_4_a_done_task_asks_for_a_new_issue() {
    let mut w = World::at("orch", "done");
    w.say("start");
    assert_eq!(w.task.control.phase, Phase::Done);
    assert!(w.comments()[0].contains("new issue"), "{:?}", w.comments());
    assert!(w.queued().is_empty());
}

#[test]
fn b_start_7_a_start_older_than_the_cancellation_is_ignored() {
    let mut w = World::new("orch");
    w.task.ledger.stopped_before = Some(T0.plus(Millis(500)));
    w.signal_at(person("bob", &[]), "start", None, T0);
    assert_eq!((w.task.control.phase, w.decisions.len()), (Phase::Unborn, 0));
    w.signal_at(person("bob", &[]), "start", None, T0.plus(Millis(500)));
    assert_eq!(w.task.control.phase, Phase::Live, "a later one counts");
}

#[test]
fn the_first_job_carries_the_entry_until_it_is_claimed() {
    let mut w = World::at("orch", "analysis");
    w.repo.lane[0].inside = true;
    w.writes("analyst", BRD).say("reject");
    assert_eq!((w.queued(), w.enqueued()[0].entry), (vec!["analyst"], false));
}

#[test]
fn done_gives_everything_back_once() {
    let mut w = World::at("orch", "deploy");
    w.pass().pass();
    assert_eq!((w.stage(), w.task.control.phase), ("done", Phase::Done));
    assert!(w.repo.lane.is_empty() && w.repo.lease.is_none());
    assert_eq!(w.status(), Some("Done"));
    let clean = w.decisions.iter().find_map(|d| match d {
        Decision::CleanUp(clean) => Some(clean.clone()),
        _ => None,
    });
    assert!(clean.is_some_and(|c| c.archive && !c.branch && !c.report));
    assert!(!w.decisions.iter().any(|d| matches!(d, Decision::Withdraw { why: Kill::Stop, .. })));
}

#[test]
fn b_start_5_no_status_that_the_service_shows_is_a_signal() {
    for pipeline in ["orch", "enduro", "local"] {
        let rules = rules_with(pipeline, "");
        let shown = rules.stages.values().filter_map(|s| s.status.as_ref());
        let edges = rules.stages.values().flat_map(|s| s.on.values()).chain(rules.on.values());
        for status in shown.chain(edges.filter_map(|e| e.status.as_ref())) {
            assert_eq!(
                rules.signals.status.get(status),
                None,
                "{pipeline}: {status} set by hand would launch something"
            );
        }
    }
}

#[test]
fn b_start_4_outside_the_first_stage_a_start_launches_nothing_wherever_the_task_stands() {
    for stage in ["architecture", "development", "review", "testing", "deploy-staging", "deploy"] {
        for parked in [false, true] {
            let mut w = World::at("orch", stage);
            if parked {
                w.task.control.mode = Mode::Escalated;
                w.task.ledger.escalated = Some(("spent".to_owned(), T0));
                w.task.control.slots.clear();
                w.jobs.clear();
            }
            let before = w.task.control.clone();
            w.say("start");
            let launched = |d: &Decision| matches!(d, Decision::Enqueue(_) | Decision::Act(_) | Decision::Requeue { .. });
            assert!(!w.decisions.iter().any(launched), "{stage}: {:?}", w.decisions);
            assert_eq!(
                (&w.task.control, w.comments().len()),
                (&before, 1),
                "{stage}: one comment says what to do"
            );
        }
    }
}
