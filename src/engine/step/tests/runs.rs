//! Runs that end: tries, weather, rescues, and what follows when they are spent.

use super::*;
use crate::engine::model::{FreezeLevel, Kill};

fn permanent() -> RunEnd {
    RunEnd::Permanent {
        detail: "exit 1, see runs/4.log".to_owned(),
    }
}

fn weather(retry_after: Option<Millis>) -> RunEnd {
    RunEnd::Transient {
        detail: "429".to_owned(),
        retry_after,
    }
}

/// Every end that uses up a try, with what people are told of it.
fn failures() -> Vec<(RunEnd, &'static str)> {
    let permanent = |detail: &str| RunEnd::Permanent { detail: detail.to_owned() };
    vec![
        (permanent("exit 1"), "exit 1"),
        (permanent("it could not be launched: no such file"), "could not be launched"),
        (RunEnd::NoOutput, "wrote nothing that was due"),
        (RunEnd::Denied { tools: "Bash".to_owned() }, "tools were refused to it: Bash"),
        (
            RunEnd::OutOfScope {
                paths: vec!["a/long/way/".repeat(40); 20],
            },
            "wrote outside its declared paths",
        ),
        (
            RunEnd::Killed(Kill::Deadline),
            "its deadline passed: it may take 30 min (`agents.reviewer.timeout`)",
        ),
        (RunEnd::Killed(Kill::Foreign), "killed: "),
    ]
}

#[test]
fn b_q_4_two_attempts_then_an_alert_that_names_the_log() {
    for (end, told) in failures() {
        let mut w = World::at("orch", "review");
        w.ends("reviewer", end.clone());
        assert_eq!((w.back_in(), w.mode()), (Some(Millis(0)), Mode::Active), "at once: {end:?}");
        w.ends("reviewer", end.clone());
        assert_eq!((w.back_in(), w.mode(), w.alerts()), (None, Mode::Escalated, 1), "{end:?}");
        let log = format!("(log runs/{}.log): ", w.run);
        for said in [w.alarms()[0], w.comments()[0]] {
            assert!(said.contains(&log) && said.contains(told), "{said}");
        }
        assert!(w.decisions.iter().any(|d| matches!(d, Decision::CloseJob { ok: false, .. })));
    }
}

/// Of weather and of runs that are lost, too; and once only where the end names it itself.
#[test]
fn b_q_4_the_log_is_named_whatever_budget_is_spent() {
    for (times, end) in [(6, weather(None)), (4, RunEnd::Lost), (2, permanent())] {
        let mut w = World::at("orch", "review");
        for _ in 0..times {
            // The log that stands in it is that of this very run.
            let own = format!("exit 1 (log runs/{}.log): broken", w.run + 1);
            let own = RunEnd::Permanent { detail: own };
            w.ends("reviewer", if end == permanent() { own } else { end.clone() });
        }
        let log = format!("runs/{}.log", w.run);
        assert_eq!((w.alerts(), w.alarms()[0].matches(&log).count()), (1, 1), "{:?}", w.alarms());
    }
}

/// An edge for failed work that tells operators names it as well.
#[test]
fn b_q_4_the_alert_of_an_edge_names_the_log() {
    let own =
        "schema = 1\nextends = \"orch\"\n[stages.review]\non.\"work.failed\" = { to = \"development\", uses = \"rework\", alert = true }\n";
    let rules = rules_of(&[("pipelines/mine.toml", own)], "mine", "");
    let mut w = World::on(rules).started().up_to("review");
    w.ends("reviewer", RunEnd::NoOutput).ends("reviewer", RunEnd::NoOutput);
    let log = format!("runs/{}.log", w.run);
    assert!(w.alerts() == 1 && w.alarms()[0].contains(&log), "{:?}", w.alarms());
}

#[test]
fn b_q_4_weather_waits_20_s_doubles_and_the_sixth_fails() {
    let mut w = World::at("orch", "review");
    for seconds in [20, 40, 80, 160, 320] {
        w.ends("reviewer", weather(None));
        assert_eq!(w.back_in(), Some(Millis::secs(seconds)));
    }
    w.ends("reviewer", weather(None));
    assert_eq!((w.back_in(), w.mode(), w.alerts()), (None, Mode::Escalated, 1));
}

/// A full disk is tried again as weather is, on the same budget.
#[test]
fn b_q_4_a_full_disk_waits_as_weather_does() {
    let mut w = World::at("orch", "review");
    let full = RunEnd::NoRoom {
        detail: "the disk was full".to_owned(),
    };
    for seconds in [20, 40, 80, 160, 320] {
        w.ends("reviewer", full.clone());
        assert_eq!(w.back_in(), Some(Millis::secs(seconds)));
    }
    w.ends("reviewer", full);
    assert_eq!((w.back_in(), w.mode(), w.alerts()), (None, Mode::Escalated, 1));
}

#[test]
fn b_q_4_the_back_off_is_capped() {
    let rules = rules_with("orch", ", \"retry.transient\" = 20");
    let mut w = World::on(rules).started().up_to("review");
    for _ in 0..7 {
        w.ends("reviewer", weather(None));
    }
    assert_eq!(w.back_in(), Some(Millis::secs(600)));
}

#[test]
fn b_q_4_retry_after_is_heeded_and_capped() {
    let cases = [(5, 20), (45, 45), (600, 600), (86_400, 600), (i64::MAX / 1000, 600)];
    for (asked, given) in cases {
        let mut w = World::at("orch", "review");
        w.ends("reviewer", weather(Some(Millis::secs(asked))));
        assert_eq!(w.back_in(), Some(Millis::secs(given)), "{asked}");
    }
}

#[test]
fn b_q_4_weather_does_not_use_up_an_attempt() {
    let mut w = World::at("orch", "review");
    for _ in 0..5 {
        w.ends("reviewer", weather(None));
    }
    w.ends("reviewer", permanent());
    assert_eq!(w.back_in(), Some(Millis(0)), "the first attempt failed only now");
    w.ends("reviewer", permanent());
    assert_eq!(w.mode(), Mode::Escalated);
}

/// What an agent says of a usage limit that ends `seconds` from the moment at which it is told.
fn limited(w: &World, seconds: i64) -> RunEnd {
    RunEnd::Limited {
        detail: "usage limit reached".to_owned(),
        until: w.now.plus(Millis::secs(1 + seconds)),
    }
}

/// An agent that always names a time that is over would be started every minute, for ever.
#[test]
fn b_q_4_a_usage_limit_that_is_over_is_weather() {
    let mut w = World::at("orch", "review");
    for seconds in [20, 40, 80, 160, 320] {
        let end = if seconds == 40 { limited(&w, 0) } else { limited(&w, -1_000_000) };
        w.ends("reviewer", end);
        assert_eq!(w.back_in(), Some(Millis::secs(seconds)), "{}", w.why());
    }
    let end = limited(&w, -60);
    w.ends("reviewer", end);
    assert_eq!((w.back_in(), w.mode(), w.alerts()), (None, Mode::Escalated, 1));
}

/// Nor is one for ever that names a time ahead of it, whatever happens: twenty are believed.
#[test]
fn b_q_4_usage_limits_without_end_are_weather_at_last() {
    let mut w = World::at("orch", "review");
    for nth in 1..=20 {
        let end = limited(&w, 18_000);
        w.ends("reviewer", end);
        let slot = &w.task.control.slots["reviewer"];
        assert_eq!((slot.limits, slot.transient, slot.attempts), (nth, 0, 0), "on no budget");
        assert_eq!(w.back_in(), Some(Millis::secs(18_000)));
    }
    for nth in 1..=5 {
        let end = limited(&w, 18_000);
        w.ends("reviewer", end);
        assert_eq!(w.task.control.slots["reviewer"].transient, nth);
        assert_eq!(w.back_in(), Some(Millis::secs(18_000)), "it is not tried before the limit ends");
    }
    assert!(w.why().contains("met 20 usage limits"), "{}", w.why());
    let end = limited(&w, 18_000);
    w.ends("reviewer", end);
    assert_eq!((w.back_in(), w.mode(), w.alerts()), (None, Mode::Escalated, 1));
}

#[test]
fn b_q_9_a_lost_run_is_rescued_three_times_then_parked() {
    let mut w = World::at("orch", "review");
    for _ in 0..3 {
        w.ends("reviewer", RunEnd::Lost);
        assert_eq!((w.back_in(), w.mode()), (Some(Millis(0)), Mode::Active));
    }
    w.ends("reviewer", RunEnd::Lost);
    assert_eq!((w.back_in(), w.mode()), (None, Mode::Escalated));
    assert_eq!(w.task.control.slots["reviewer"].attempts, 0, "attempts are kept");
    let (why, _) = w.task.ledger.escalated.clone().unwrap();
    assert!(
        why.contains("poison: 4 runs of reviewer") && why.contains("without a word"),
        "{why}"
    );
}

/// What was missing is told to the next try, and to people where that one changes nothing.
#[test]
fn what_was_wrong_with_a_try_is_told_to_the_next_one_and_to_people() {
    let mut w = World::at("orch", "review");
    w.ends("reviewer", RunEnd::Ok);
    let told = |d: &Decision| matches!(d, Decision::Tell { words, .. } if words[0].contains("12-review.md"));
    assert!(w.decisions.iter().any(told), "{:?}", w.decisions);
    w.ends("reviewer", RunEnd::NoOutput);
    assert_eq!((w.mode(), w.comments().len()), (Mode::Escalated, 1), "{:?}", w.comments());
    assert!(
        w.comments()[0].contains("wrote nothing that was due; the try before it: ") && w.comments()[0].contains("12-review.md"),
        "{:?}",
        w.comments()
    );
}

#[test]
fn an_edge_for_failed_work_is_taken_when_tries_are_spent() {
    let own = "schema = 1\nextends = \"orch\"\n[stages.review]\non.\"work.failed\" = { to = \"development\", uses = \"rework\", note = \"fix_review\" }\n";
    let rules = rules_of(&[("pipelines/mine.toml", own)], "mine", "");
    for end in [permanent(), RunEnd::NoOutput, RunEnd::Lost] {
        let mut w = World::on(Arc::clone(&rules)).started().up_to("review");
        let mut tries = 0;
        while w.stage() == "review" {
            tries += 1;
            w.ends("reviewer", end.clone());
        }
        assert_eq!((w.stage(), w.queued(), w.mode()), ("development", vec!["developer"], Mode::Active));
        assert_eq!(tries, if end == RunEnd::Lost { 4 } else { 2 });
    }
}

/// An end that we ordered and have no record of: a stop that was lost. It is neither tried again nor forgotten.
#[test]
fn b_stop_1_an_end_by_an_order_that_is_not_on_record_waits_for_a_person() {
    for why in [Kill::Stop, Kill::Superseded] {
        let mut w = World::at("orch", "review");
        w.ends("reviewer", RunEnd::Killed(why));
        assert_eq!((w.back_in(), w.mode(), w.alerts()), (None, Mode::Escalated, 1));
        let log = format!("(log runs/{}.log): ", w.run);
        for said in [w.alarms()[0], w.comments()[0]] {
            assert!(said.contains(&log) && said.contains("that is not on record"), "{said}");
        }
    }
    let mut w = World::at("orch", "review");
    w.ends("reviewer", RunEnd::Killed(Kill::Foreign));
    assert_eq!(w.back_in(), Some(Millis(0)), "a kill from outside uses up a try");
}

#[test]
fn a_second_end_of_the_same_job_changes_nothing() {
    let mut w = World::at("orch", "review");
    w.ends("reviewer", permanent()).ends("reviewer", permanent());
    let before = w.task.clone();
    w.ends("reviewer", permanent());
    assert_eq!(w.task, before);
    assert!(w.why().contains("nobody waits"), "{}", w.why());
}

#[test]
fn b_run_3_a_command_that_takes_too_long_is_named_with_its_bound() {
    let mut w = World::at("orch", "development");
    w.writes("developer", &[]);
    w.ends("local_tests", RunEnd::Killed(Kill::Deadline));
    assert!(
        w.why().contains("` may take ") && w.why().contains(" (`gates.local_tests.timeout`)"),
        "{}",
        w.why()
    );
}

#[test]
fn a_command_that_cannot_run_is_tried_again_then_seen() {
    let mut w = World::at("orch", "development");
    w.writes("developer", &[]);
    w.ends("local_tests", permanent());
    assert_eq!(w.back_in(), Some(Millis(0)));
    w.ends("local_tests", permanent());
    assert_eq!((w.mode(), w.alerts()), (Mode::Escalated, 1));
    w.retry();
    assert_eq!((w.mode(), w.queued()), (Mode::Active, vec!["local_tests"]), "{}", w.why());
}

#[test]
fn two_agents_of_a_stage_both_have_to_end() {
    let own = "schema = 1\nextends = \"orch\"\n[stages.review]\nwork = [\"reviewer\", \"tester\"]\n";
    let rules = rules_of(&[("pipelines/mine.toml", own)], "mine", "");
    let mut w = World::on(rules).started().up_to("review");
    assert_eq!(w.queued(), ["reviewer", "tester"]);
    w.verdict("reviewer", "12-review.md", "verdict", "APPROVED");
    assert_eq!((w.stage(), w.task.control.at.clone()), ("review", At::Work));
    w.writes("tester", &["13-test-report.md"]);
    assert_eq!(w.stage(), "testing");
}

#[test]
fn a_retry_takes_a_failed_stage_up_again() {
    let mut w = World::at("orch", "review");
    w.ends("reviewer", permanent()).ends("reviewer", permanent());
    let visit = w.visit();
    w.event(
        person("olga", &[Role::Operator]),
        Body::Retried {
            note: Some("look at src/map.rs".to_owned()),
        },
    );
    assert_eq!((w.mode(), w.queued(), w.status()), (Mode::Active, vec!["reviewer"], Some("Review")));
    assert!(w.enqueued()[0].note.as_deref().unwrap_or_default().contains("src/map.rs"));
    assert_eq!(w.visit(), visit + 1, "what is left of the failed round counts for nothing");
    assert_eq!(w.task.control.slots["reviewer"].attempts, 0);
}

#[test]
fn a_retry_takes_a_role_and_a_reason_to_retry() {
    let mut w = World::at("orch", "review");
    w.ends("reviewer", permanent());
    assert!(w.retry().decisions.is_empty(), "its agent is queued");
    w.ends("reviewer", permanent());
    let nobody = person("eve", &[Role::Viewer]);
    w.event(nobody, Body::Retried { note: None });
    assert_eq!((w.mode(), w.queued().len()), (Mode::Escalated, 0));
}

/// A world whose repository is frozen after so many failures, at this level.
fn wary(after: u32, level: &str) -> World {
    let set = format!(", \"freeze.after_failures\" = {after}, \"freeze.level\" = \"{level}\"");
    World::on(rules_with("orch", &set)).started().up_to("review")
}

#[test]
fn b_sg_2_so_many_failures_in_a_row_freeze_the_repository() {
    let mut w = wary(2, "all");
    w.repo.failures = 1;
    w.ends("reviewer", permanent());
    assert_eq!((w.repo.failures, w.repo.freeze.is_some()), (1, false), "it is tried again");
    w.ends("reviewer", permanent());
    let freeze = w.repo.freeze.clone().unwrap();
    assert_eq!(
        (w.repo.failures, freeze.level, freeze.by.as_str()),
        (2, FreezeLevel::All, "signalbox")
    );
    for word in ["2 jobs in a row", "reviewer", "ORCH-090", "exit 1"] {
        assert!(freeze.reason.contains(word), "{}", freeze.reason);
    }
    let frozen = |d: &Decision| matches!(d, Decision::Alert { text, .. } if text.contains("frozen"));
    assert_eq!(w.decisions.iter().filter(|d| frozen(d)).count(), 1, "one alert says so");
}

#[test]
fn b_sg_2_a_stage_that_is_passed_ends_the_row() {
    let mut w = wary(2, "merge");
    w.repo.failures = 1;
    let w = w.up_to("testing");
    assert_eq!(w.repo.failures, 0);
}

#[test]
fn b_sg_2_weather_stops_and_first_tries_are_no_failures() {
    let mut w = wary(1, "merge");
    w.ends("reviewer", weather(None));
    w.ends("reviewer", permanent());
    assert_eq!((w.repo.failures, w.repo.freeze.is_some()), (0, false));
    w.say("stop");
    assert_eq!(w.repo.failures, 0);
}

#[test]
fn b_sg_2_what_is_frozen_already_keeps_its_reason() {
    let mut w = wary(1, "all");
    let told = crate::engine::model::Freeze {
        level: FreezeLevel::Merge,
        reason: "told so".to_owned(),
        since: T0,
        by: "olga".to_owned(),
    };
    w.repo.freeze = Some(told.clone());
    w.ends("reviewer", permanent());
    w.ends("reviewer", permanent());
    assert_eq!((w.repo.failures, &w.repo.freeze), (1, &Some(told)));
}

#[test]
fn b_sg_2_switched_off_failures_freeze_nothing() {
    let mut w = World::on(rules_with("orch", ", \"freeze.enabled\" = false"))
        .started()
        .up_to("review");
    w.repo.failures = 9;
    w.ends("reviewer", permanent());
    w.ends("reviewer", permanent());
    assert!(w.repo.freeze.is_none());
}

/// What never began is told as that, and counts all the same: it may be what the service dies of.
#[test]
fn b_q_9_poison_that_never_began_is_told_as_that() {
    let mut w = World::at("orch", "review");
    for _ in 0..3 {
        w.ends("reviewer", RunEnd::Lost);
    }
    let mut never = w.report("reviewer", RunEnd::Lost);
    never.start = None;
    let run = w.run;
    w.event(Actor::Agent(run), Body::RunEnded(never));
    let (why, _) = w.task.ledger.escalated.clone().unwrap();
    assert!(why.contains("poison: 4 runs of reviewer"), "{why}");
    assert!(why.contains("before any process of it began") && !why.contains("killed"), "{why}");
}
