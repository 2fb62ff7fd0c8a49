//! STOP: looked at first, acknowledged when the clean-up is verified, put off while a merge is under way.

use super::actions::merging;
use super::*;
use crate::engine::model::Kill;

fn cleaned(w: &mut World) -> &mut World {
    w.event(
        Actor::Service,
        Body::CleanedUp {
            report: "2 processes ended".to_owned(),
        },
    )
}

fn restarts(w: &World) -> usize {
    w.decisions.iter().filter(|d| matches!(d, Decision::Restart(_))).count()
}

fn stops_in_full(w: &World) {
    assert_eq!(w.task.control.stop, StopState::Cleaning);
    let order: Vec<&str> = w
        .decisions
        .iter()
        .filter_map(|d| match d {
            Decision::Withdraw {
                visit: None,
                why: Kill::Stop,
            } => Some("withdraw"),
            Decision::DropTimers => Some("timers"),
            Decision::CleanUp(clean) if clean.report && clean.branch && clean.archive && clean.checkout => Some("clean-up"),
            _ => None,
        })
        .collect();
    assert_eq!(
        order[order.len().saturating_sub(3)..],
        ["withdraw", "timers", "clean-up"],
        "{:?}",
        w.decisions
    );
}

#[test]
fn b_stop_2_everything_at_once_from_every_stage() {
    for stage in [
        "analysis",
        "architecture",
        "development",
        "review",
        "testing",
        "deploy-staging",
        "deploy",
    ] {
        let mut w = World::at("orch", stage);
        w.say("stop");
        stops_in_full(&w);
        let recorded = w.task.ledger.head.as_ref().map(|h| h.sha.clone());
        assert!(
            w.decisions.iter().any(|d| matches!(d, Decision::CleanUp(c) if c.sha == recorded)),
            "{stage}"
        );
        assert_eq!(w.waits()[0].code.as_str(), "STOPPING");
        cleaned(&mut w);
        assert_eq!(
            (w.task.control.phase, w.stage(), w.task.control.stop),
            (Phase::Cancelled, "cancelled", StopState::No)
        );
        assert!(w.task.ledger.ended_at.is_some() && w.repo.lane.is_empty());
        assert_eq!((w.status(), w.comments().len(), w.alerts()), (Some("STOP"), 1, 1), "{stage}");
    }
}

#[test]
fn b_stop_2_keys_are_kept_until_the_clean_up_is_verified() {
    let mut w = World::at("orch", "review");
    w.say("stop");
    assert_eq!(w.task.control.phase, Phase::Live);
    assert!(w.repo.seat(TaskId(7)).is_some(), "the lane is held until it is over");
}

#[test]
fn b_stop_2_a_board_without_the_status_shows_cancelled() {
    let mut w = World::at("enduro", "review");
    w.say("stop");
    cleaned(&mut w);
    assert_eq!(w.status(), Some("Cancelled"));
}

#[test]
fn b_stop_2_approvals_and_cards_are_closed() {
    let mut w = World::at("orch", "deploy");
    w.say("stop");
    assert!(w.task.ledger.cards.is_empty() && w.task.ledger.approvals.is_empty() && w.task.control.approved.is_empty());
}

#[test]
fn b_stop_2_a_task_that_waits_for_a_person_is_stopped_at_once() {
    let mut w = World::at("orch", "deploy");
    assert_eq!(w.task.control.at, At::Gates);
    w.say("stop");
    stops_in_full(&w);
}

#[test]
fn b_stop_2_the_place_for_the_merge_is_given_back() {
    let mut w = merging("orch");
    w.action("merge", "refused", "");
    w.repo.lease = Some(super::actions::lease(7));
    w.say("stop");
    assert!(w.repo.lease.is_none());
}

#[test]
fn b_stop_3_and_5_a_second_stop_changes_nothing() {
    let mut w = World::at("orch", "review");
    w.say("stop");
    let before = w.task.clone();
    w.say("stop");
    assert_eq!((&w.task, w.decisions.len()), (&before, 0));
    cleaned(&mut w);
    w.say("stop");
    assert!(w.decisions.is_empty(), "no second notification");
}

#[test]
fn b_stop_5_nothing_that_comes_while_it_is_stopped_has_an_effect() {
    let mut w = World::at("orch", "review");
    w.say("stop");
    let before = w.task.clone();
    w.poke()
        .retry()
        .say("approve")
        .say("reject")
        .verdict("reviewer", "12-review.md", "verdict", "APPROVED");
    w.ends("reviewer", RunEnd::Killed(Kill::Stop))
        .ends("reviewer", RunEnd::Lost)
        .timer("x")
        .action("merge", "ok", "");
    assert_eq!(w.task, before);
    cleaned(&mut w);
    cleaned(&mut w);
    assert_eq!(w.task.control.phase, Phase::Cancelled);
    assert!(w.decisions.is_empty(), "a repeated clean-up says nothing");
}

#[test]
fn b_stop_5_a_start_meanwhile_is_taken_up_afterwards() {
    let mut w = World::at("orch", "review");
    w.say("stop").say("start");
    assert_eq!((restarts(&w), w.queued().len()), (0, 0));
    cleaned(&mut w);
    assert_eq!((restarts(&w), w.status()), (1, None), "the board shows the start, not the stop");
}

#[test]
fn b_stop_5_the_start_that_is_taken_up_is_younger_than_the_stop() {
    let mut w = World::at("orch", "review");
    w.say("stop").say("start");
    cleaned(&mut w);
    let signal = w.decisions.iter().find_map(|d| match d {
        Decision::Restart(signal) => Some(signal.clone()),
        _ => None,
    });
    let mut fresh = World::new("orch");
    fresh.task.ledger.stopped_before = w.task.ledger.stop.as_ref().map(|(_, asked, _)| *asked);
    fresh.event(Actor::Service, Body::Signalled(signal.unwrap()));
    assert_eq!(fresh.task.control.phase, Phase::Live, "{}", fresh.why());
}

#[test]
fn b_start_7_a_start_older_than_the_stop_is_not_taken_up() {
    let mut w = World::at("orch", "review");
    let earlier = w.now;
    w.say("stop");
    w.signal_at(person("bob", &[]), "start", None, earlier);
    cleaned(&mut w);
    assert_eq!((restarts(&w), w.status()), (0, Some("STOP")));
}

#[test]
fn b_stop_5_stop_start_stop_ends_stopped() {
    let mut w = World::at("orch", "review");
    w.say("stop").say("start").say("stop");
    cleaned(&mut w);
    assert_eq!((restarts(&w), w.task.control.phase), (0, Phase::Cancelled));
}

#[test]
fn b_stop_4_put_off_while_the_merge_is_under_way() {
    let mut w = merging("orch");
    w.say("stop");
    assert_eq!((w.task.control.stop, w.alerts(), w.comments().len()), (StopState::Deferred, 1, 1));
    assert!(
        !w.decisions
            .iter()
            .any(|d| matches!(d, Decision::Withdraw { .. } | Decision::CleanUp(_))),
        "the actor is left alone"
    );
    let asked = w.task.ledger.stop.clone();
    assert_eq!(
        asked.as_ref().and_then(|(_, _, until)| *until),
        Some(w.now.plus(Millis::secs(300))),
        "bounded by the rules"
    );
    w.say("stop");
    assert_eq!((w.decisions.len(), &w.task.ledger.stop), (0, &asked), "set once");
    w.poke().say("reject").say("confirm_deploy").retry();
    assert_eq!(w.task.control.stop, StopState::Deferred);
}

#[test]
fn b_stop_4_reached_done_it_is_dissolved_honestly() {
    let mut w = merging("orch");
    w.say("stop").action("merge", "ok", "abc");
    assert_eq!((w.task.control.phase, w.task.control.stop), (Phase::Done, StopState::No));
    let said = w.comments().join("\n");
    assert!(said.contains("was to be stopped by alice") && said.contains("done"), "{said}");
    assert!(w.task.ledger.stop.is_none());
}

#[test]
fn b_stop_4_applied_when_the_step_fails() {
    for outcome in ["conflict", "base_moved", "refused", "mismatch", "head_moved"] {
        let mut w = merging("orch");
        w.say("stop").action("merge", outcome, "");
        stops_in_full(&w);
        assert!(w.repo.lease.is_none() && w.stage() == "deploy", "{outcome}");
        cleaned(&mut w);
        assert_eq!(w.task.control.phase, Phase::Cancelled);
    }
}

#[test]
fn b_stop_4_b_sg_2_a_mismatch_freezes_the_repository_though_the_task_is_stopped() {
    let mut w = merging("orch");
    w.say("stop").action("merge", "mismatch", "tree abc, expected def");
    let freeze = w.repo.freeze.clone().expect("frozen");
    assert!(freeze.reason.contains("merge.mismatch: tree abc, expected def"), "{freeze:?}");
    assert_eq!(w.alerts(), 1, "operators hear of it");
    stops_in_full(&w);
    let mut w = merging("orch");
    w.say("stop").action("merge", "conflict", "");
    assert!(
        w.repo.freeze.is_none() && w.alerts() == 0,
        "a merge that did not happen concerns nobody else"
    );
}

#[test]
fn b_stop_4_applied_when_the_way_goes_on_after_the_irreversible_step() {
    let own = "schema = 1\nextends = \"local\"\nflow = [\"created\", \"development\", \"review\", \"testing\", \"deploy\", \"after\", \"done\"]\n\
               [stages.after]\nwork = [\"reviewer\"]\npass = [\"verdict\"]\non.\"verdict.changes\" = { stay = true }\n";
    let rules = rules_of(&[("pipelines/mine.toml", own)], "mine", "");
    let mut w = World::on(rules).started().up_to("deploy");
    w.say("confirm_deploy").say("stop").action("merge", "ok", "abc");
    assert!(w.queued().is_empty(), "no agent is started for it");
    stops_in_full(&w);
}

#[test]
fn b_stop_4_a_start_while_it_is_put_off_is_taken_up_or_told() {
    let mut w = merging("orch");
    w.say("stop").say("start").action("merge", "refused", "");
    cleaned(&mut w);
    assert_eq!(restarts(&w), 1);
    let mut w = merging("orch");
    w.say("stop").say("start").action("merge", "ok", "abc");
    assert!(w.comments().iter().any(|c| c.contains("new issue")), "{:?}", w.comments());
}

#[test]
fn b_stop_4_overdue_it_is_said_once_more_and_never_forced() {
    let mut w = merging("orch");
    w.say("stop");
    let due = |w: &World| {
        w.decisions.iter().find_map(|d| match d {
            Decision::SetTimer { timer, due, .. } if *timer == "stop" => Some(*due),
            _ => None,
        })
    };
    let looked = |w: &World| Some(w.now.plus(Millis::secs(60)));
    assert_eq!(due(&w), looked(&w), "looked at again every minute");
    let asked = w.now;
    let mut told = 0;
    while w.now < asked.plus(Millis::secs(299)) {
        w.now = due(&w).unwrap().plus(Millis(-1000)).min(asked.plus(Millis::secs(298)));
        w.timer("stop");
        assert_eq!((w.task.control.stop, due(&w)), (StopState::Deferred, looked(&w)));
        told += w.alerts();
    }
    assert_eq!(told, 0, "silent while it is within the time that the rules foresee");
    for _ in 0..11 {
        w.now = w.now.plus(Millis::secs(59));
        w.timer("stop");
        assert_eq!((w.task.control.stop, due(&w)), (StopState::Deferred, looked(&w)));
        told += w.alerts();
    }
    assert_eq!(told, 1, "told once more when it is overdue, however long it lasts");
}

#[test]
fn b_stop_4_the_alert_tells_since_and_until_when() {
    let mut w = merging("orch");
    w.say("stop");
    let (since, until) = (w.now.utc(), w.now.plus(Millis::secs(300)).utc());
    let text = |w: &World| {
        let alert = w.decisions.iter().find_map(|d| match d {
            Decision::Alert { text, .. } => Some(text.clone()),
            _ => None,
        });
        alert.unwrap_or_default()
    };
    let said = text(&w);
    assert!(
        said.contains(&format!("since {since}")) && said.contains(&format!("until {until} at most")),
        "{said}"
    );
    w.now = w.now.plus(Millis::secs(300));
    w.timer("stop");
    assert!(text(&w).contains("overdue"), "{}", text(&w));
}

#[test]
fn b_stop_4_the_window_that_closed_because_of_the_stop_is_no_failure() {
    let mut w = merging("orch");
    w.say("stop").action("merge", "stopped", "nothing was merged");
    stops_in_full(&w);
    assert!(w.repo.freeze.is_none() && w.repo.lease.is_none());
    cleaned(&mut w);
    assert_eq!(w.task.control.phase, Phase::Cancelled);
}

#[test]
fn the_reason_given_for_a_stop_is_told() {
    let mut w = World::at("orch", "review");
    w.tell("stop", "wrong\ncustomer");
    cleaned(&mut w);
    let said = w.comments().join("\n");
    assert!(said.contains("Reason given: wrong customer"), "{said}");
    let mut w = World::at("orch", "review");
    w.say("stop");
    cleaned(&mut w);
    assert!(!w.comments().join("\n").contains("Reason"), "none was given");
}

#[test]
fn b_start_2_after_a_stop_the_branch_is_one_that_is_free() {
    let mut w = World::new("orch");
    w.task.ledger.taken = vec![
        "main".to_owned(),
        "feature/ORCH-090-add-a-map".to_owned(),
        "feature/ORCH-090-add-a-map-2".to_owned(),
    ];
    w.say("start");
    assert_eq!(w.task.branch, "feature/ORCH-090-add-a-map-3", "{}", w.why());
    assert!(
        w.comments().join("\n").contains("feature/ORCH-090-add-a-map-3"),
        "{:?}",
        w.comments()
    );
    assert!(w.task.ledger.taken.is_empty(), "not kept with the task");
}

#[test]
fn b_stop_1_it_needs_no_facts() {
    let w = World::at("orch", "deploy");
    let signal = Signal {
        name: "stop".into(),
        text: None,
        activity: String::new(),
        acted_at: T0,
    };
    let event = Event {
        seq: Seq(99),
        at: w.now,
        cause: None,
        actor: Actor::Service,
        body: Body::Signalled(signal),
    };
    assert!(needs(&w.rules, &w.task, &event).is_empty());
}

#[test]
fn what_is_cleaned_up_is_in_the_rules() {
    let rules = rules_with("orch", ", \"stop.clean_up\" = [\"checkout\"]");
    let mut w = World::on(rules).started();
    w.say("stop");
    assert!(
        w.decisions
            .iter()
            .any(|d| matches!(d, Decision::CleanUp(c) if c.checkout && !c.branch && !c.archive))
    );
}

/// The merge succeeded, and `done` is about to be entered: the follow-up is not applied yet.
fn arriving() -> World {
    let mut w = super::actions::merging("local");
    let event = Event {
        seq: Seq(900),
        at: w.now,
        cause: None,
        actor: Actor::Service,
        body: Body::ActionEnded {
            visit: w.visit(),
            action: "merge".into(),
            outcome: "ok".into(),
            detail: String::new(),
            head: None,
        },
    };
    let taken = step(&w.rules, &w.task, &w.repo, &event, &Facts::default());
    assert!(matches!(taken.follow, Some(Body::Entered { .. })));
    w.task = taken.task;
    w.repo = taken.repo.unwrap_or(w.repo);
    w
}

#[test]
fn b_stop_4_between_the_merge_and_done_it_ends_in_an_honest_done() {
    let mut w = arriving();
    w.say("stop");
    assert_eq!(w.task.control.stop, StopState::Deferred, "{}", w.why());
    let visit = w.visit();
    w.event(Actor::Service, Body::Entered { visit });
    assert_eq!((w.task.control.phase, w.task.control.stop), (Phase::Done, StopState::No));
    assert!(w.why().contains("done before the stop could be applied"), "{}", w.why());
}

#[test]
fn a_reject_between_the_merge_and_done_does_not_send_what_is_merged_back() {
    let mut w = arriving();
    w.say("reject");
    assert_eq!((w.stage(), w.task.control.at.clone()), ("done", At::Entering), "{}", w.why());
}

#[test]
fn b_stop_1_switched_off_the_boards_signal_is_absent_and_the_operators_stop_works() {
    let rules = rules_with("orch", ", \"stop.enabled\" = false");
    let signals = rules.signals.status.values().chain(rules.signals.comment.iter().map(|(_, s)| s));
    assert!(!signals.into_iter().any(|s| *s == "stop"), "nothing on the board means stop");
    for stage in ["analysis", "review", "deploy"] {
        let mut w = World::on(std::sync::Arc::clone(&rules)).started().up_to(stage);
        w.say("stop");
        stops_in_full(&w);
        cleaned(&mut w);
        assert_eq!((w.task.control.phase, w.status()), (Phase::Cancelled, Some("Cancelled")), "{stage}");
    }
}

#[test]
fn b_stop_1_a_board_without_the_status_has_no_such_signal_and_no_error() {
    let mut w = World::at("enduro", "review");
    assert!(!w.rules.signals.status.values().any(|s| *s == "stop"));
    let stopping = |w: &World| w.task.control.stop != StopState::No;
    w.say("approve");
    w.poke();
    assert!(!stopping(&w) && w.alerts() == 0, "the branch does not exist: {}", w.why());
    w.say("stop");
    assert!(stopping(&w), "an operator always can");
}

#[test]
fn b_sg_4_a_stopped_task_gives_back_its_seat_and_its_lease() {
    let mut w = World::at("orch", "review");
    let id = w.task.id;
    assert!(w.repo.seat(id).is_some());
    w.say("stop");
    cleaned(&mut w);
    assert!(w.repo.seat(id).is_none() && w.repo.lease.is_none(), "it never blocks anyone");
}
