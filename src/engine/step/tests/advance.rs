//! Advance: what passes, what stays and says so once, what a webhook may do.

use super::*;

#[test]
fn b_adv_1_each_stage_passes_to_the_next_and_queues_its_agent() {
    let way = [
        ("analysis", "architecture", "architect", "Architecture"),
        ("architecture", "development", "developer", "Development"),
        ("development", "review", "reviewer", "Review"),
        ("review", "testing", "tester", "Testing"),
        ("testing", "deploy-staging", "deployer", "Deploying"),
    ];
    for (from, to, agent, status) in way {
        let mut w = World::at("orch", from);
        w.pass();
        assert_eq!(
            (w.stage(), w.queued(), w.status()),
            (to, vec![agent], Some(status)),
            "{from}: {}",
            w.why()
        );
        assert_eq!(w.enqueued()[0].visit, w.visit());
    }
}

#[test]
fn b_adv_1_the_whole_way_on_every_pipeline() {
    for pipeline in ["orch", "enduro", "local"] {
        let w = World::at(pipeline, "done");
        assert_eq!(w.task.control.phase, Phase::Done, "{pipeline}");
    }
}

#[test]
fn b_adv_1_green_checks_on_the_forge_spare_the_local_run() {
    let mut w = World::at("orch", "development");
    w.checks.insert("ci/test".to_owned(), CheckState::Success);
    w.writes("developer", &[]);
    assert_eq!(w.stage(), "review");
}

#[test]
fn b_adv_2_no_rollback_matches_stay_and_report_once() {
    let mut w = World::at("orch", "development");
    w.checks.insert("ci/test".to_owned(), CheckState::Failure);
    w.writes("developer", &[]);
    assert_eq!((w.stage(), w.comments().len(), w.queued().len()), ("development", 1, 0));
    w.poke();
    assert_eq!((w.stage(), w.decisions.len()), ("development", 0), "{}", w.why());
}

#[test]
fn b_adv_2_the_same_reason_on_other_code_is_said_again() {
    let mut w = World::at("orch", "development");
    w.checks.insert("ci/test".to_owned(), CheckState::Failure);
    w.writes("developer", &[]);
    w.retry();
    assert!(w.queued().is_empty(), "a check outside is only looked at again");
    assert_eq!(w.comments().len(), 1, "a retry may hear it again");
    w.commit(true);
    w.poke();
    assert_eq!(w.comments().len(), 1, "{}", w.why());
}

#[test]
fn b_adv_3_a_webhook_while_the_agent_works_changes_nothing() {
    let mut w = World::at("orch", "development");
    w.checks.insert("ci/test".to_owned(), CheckState::Failure);
    w.poke();
    assert_eq!((w.stage(), w.decisions.len()), ("development", 0));
    assert_eq!(w.task.control.at, At::Work);
}

#[test]
fn b_adv_3_red_by_webhook_stays_and_is_said_once() {
    let mut w = World::at("orch", "development");
    w.checks.insert("ci/test".to_owned(), CheckState::Pending);
    w.writes("developer", &[]);
    assert!(w.comments().is_empty());
    assert_eq!(w.waits()[0].code.as_str(), "CHECKS_PENDING");
    w.checks.insert("ci/test".to_owned(), CheckState::Failure);
    w.poke();
    assert_eq!((w.stage(), w.comments().len(), w.queued().len()), ("development", 1, 0));
    assert_eq!(w.poke().decisions.len(), 0);
}

#[test]
fn b_adv_4_a_broken_verdict_never_advances_and_is_seen() {
    let bodies: [&[(&str, &str)]; 4] = [
        &[("verdict", "LGTM"), ("run", "n")],
        &[("verdict", "approved"), ("run", "n")],
        &[("decision", "APPROVED"), ("run", "n")],
        &[],
    ];
    for values in bodies {
        let mut w = World::at("orch", "review");
        let nonce = format!("n{}", w.run + 1);
        let values: Vec<(&str, &str)> = values
            .iter()
            .map(|(k, v)| (*k, if *k == "run" { nonce.as_str() } else { *v }))
            .collect();
        w.verdict_with("reviewer", "12-review.md", &values);
        if w.task.control.at == At::Work {
            // Without its nonce it was not written at all: the run's own failure, tried again.
            w.verdict_with("reviewer", "12-review.md", &[]);
        }
        assert_eq!(w.stage(), "review", "{values:?}");
        assert!(w.alerts() == 1 && w.comments().len() == 1, "{values:?}: {:?}", w.decisions);
        assert_eq!(w.waits()[0].code.as_str(), "CHECKS_FAILED");
    }
}

#[test]
fn b_adv_4_an_unknown_gate_never_advances() {
    let mut rules = rules_of(&[], "orch", "");
    Arc::get_mut(&mut rules).unwrap().gates.remove("verdict");
    let mut w = World::on(rules).started().up_to("review");
    w.verdict("reviewer", "12-review.md", "verdict", "APPROVED");
    assert_eq!((w.stage(), w.alerts()), ("review", 1));
    assert!(w.why().contains("the rules have no gate `verdict`"), "{}", w.why());
}

#[test]
fn b_adv_4_a_failing_script_never_advances() {
    let broken = "fn verdict(log, failed, args) { throw \"no\" }";
    let rules = rules_of(&[("rules/staging.rhai", broken)], "orch", "");
    let mut w = World::on(rules).started().up_to("deploy-staging");
    w.verdict("deployer", "15-staging-log.md", "staging_status", "SUCCESS");
    assert_eq!((w.stage(), w.alerts(), w.comments().len()), ("deploy-staging", 1, 1), "{}", w.why());
    assert!(w.waits()[0].text.contains("staging.error"), "{:?}", w.waits());
}

#[test]
fn b_adv_4_an_outcome_the_gate_does_not_declare_is_an_error() {
    let odd = "fn verdict(log, failed, args) { let x = \"gr\"; x + \"een\" }";
    let rules = rules_of(&[("rules/staging.rhai", odd)], "orch", "");
    let mut w = World::on(rules).started().up_to("deploy-staging");
    w.verdict("deployer", "15-staging-log.md", "staging_status", "SUCCESS");
    assert_eq!(w.stage(), "deploy-staging");
    assert!(w.waits()[0].text.contains("does not declare"), "{:?}", w.waits());
}

#[test]
fn b_adv_5_a_task_that_is_over_is_left_alone() {
    let mut w = World::at("orch", "done");
    let before = w.task.clone();
    for signal in ["approve", "reject", "stop", "answer", "confirm_deploy"] {
        assert!(w.say(signal).decisions.is_empty(), "{signal}");
    }
    w.poke().retry().writes("developer", &[]).timer("built").action("merge", "ok", "");
    assert_eq!(w.task, before);
}

#[test]
fn b_adv_6_what_was_green_on_other_code_does_not_count() {
    let mut w = World::at("orch", "development");
    w.checks.insert("ci/test".to_owned(), CheckState::Pending);
    w.writes("developer", &[]);
    // The webhook of a push: the head moves, and what was read of the old one is not used.
    w.checks.insert("ci/test".to_owned(), CheckState::Success);
    w.commit(true);
    let event = Event {
        seq: Seq(900),
        at: w.now,
        cause: None,
        actor: Actor::Service,
        body: Body::Poked { by: "push".into() },
    };
    let facts = w.facts(&event);
    let taken = step(&w.rules, &w.task, &w.repo, &event, &facts);
    assert_eq!(taken.task.control.stage, "development");
    assert!(
        matches!(taken.follow, Some(Body::Poked { .. })),
        "the gates are asked at the new head"
    );
    assert_eq!(taken.task.ledger.head, Some(head(w.tip)));
}

#[test]
fn b_adv_6_a_command_counts_for_the_code_it_ran_on() {
    let mut w = World::at("orch", "development");
    w.writes("developer", &[]);
    assert_eq!(w.queued(), ["local_tests"]);
    let mut late = w.report(
        "local_tests",
        RunEnd::Exited {
            code: 0,
            tail: String::new(),
        },
    );
    late.head.clone_from(&w.task.ledger.head);
    w.commit(true);
    w.event(Actor::Service, Body::RunEnded(late));
    assert_eq!((w.stage(), w.queued()), ("development", vec!["local_tests"]), "{}", w.why());
    w.command("local_tests", 0);
    assert_eq!(w.stage(), "review");
}

#[test]
fn b_adv_6_artefacts_alone_leave_a_command_answer_standing() {
    let mut w = World::at("orch", "deploy-staging");
    assert!(w.task.ledger.commands.contains_key("local_tests"));
    w.verdict("deployer", "15-staging-log.md", "staging_status", "SUCCESS");
    assert_eq!(
        w.stage(),
        "deploy",
        "three artefact commits later the tests of this code still count"
    );
}

#[test]
fn b_adv_7_approve_outside_a_human_gate_only_looks_again() {
    let mut w = World::at("orch", "deploy");
    w.say("approve");
    assert_eq!((w.stage(), w.acts().len()), ("deploy", 0), "it never confirms a deploy");
    let mut w = World::at("orch", "development");
    w.checks.insert("ci/test".to_owned(), CheckState::Pending);
    w.writes("developer", &[]);
    w.checks.insert("ci/test".to_owned(), CheckState::Success);
    w.say("approve");
    assert_eq!(w.stage(), "review", "the gates were asked again");
}

#[test]
fn b_dep_2_confirm_at_another_stage_is_a_line_in_the_log() {
    let mut w = World::at("orch", "testing");
    w.say("confirm_deploy");
    assert!(
        w.decisions.is_empty() && w.why().contains("means nothing at stage testing"),
        "{}",
        w.why()
    );
}

#[test]
fn b_adv_8_a_reject_supersedes_the_run_under_way() {
    let mut w = World::at("orch", "review");
    w.tell("reject", "start over");
    assert_eq!((w.stage(), w.superseded(), w.queued()), ("development", true, vec!["developer"]));
}

#[test]
fn b_adv_8_a_late_end_of_a_superseded_run_changes_nothing() {
    // In the same stage the round has a number of its own, too.
    let mut w = World::at("orch", "analysis");
    let late = w.report("analyst", RunEnd::Ok);
    w.say("reject");
    assert_eq!((w.stage(), w.superseded(), w.queued()), ("analysis", true, vec!["analyst"]));
    let before = w.task.clone();
    w.event(Actor::Service, Body::RunEnded(late));
    assert_eq!(w.task, before);
    assert!(w.decisions.is_empty() && w.why().contains("no effect"), "{}", w.why());
}

#[test]
fn events_of_a_visit_gone_by_have_no_effect() {
    let mut w = World::at("orch", "review");
    let gone = w.visit() - 1;
    let mut report = w.report("developer", RunEnd::Ok);
    report.visit = gone;
    let before = w.task.clone();
    w.event(Actor::Service, Body::RunEnded(report));
    w.event(
        Actor::Service,
        Body::TimerFired {
            visit: gone,
            timer: "built".into(),
        },
    );
    w.event(Actor::Service, Body::Entered { visit: gone });
    let ended = Body::ActionEnded {
        visit: gone,
        action: "merge".into(),
        outcome: "ok".into(),
        detail: String::new(),
        head: None,
    };
    w.event(Actor::Service, ended);
    w.event(Actor::Service, Body::CleanedUp { report: String::new() });
    assert_eq!(w.task, before);
}

#[test]
fn a_verdict_of_an_earlier_round_opens_no_gate() {
    let mut w = World::at("orch", "review");
    w.verdict("reviewer", "12-review.md", "verdict", "APPROVED");
    w.verdict("tester", "13-test-report.md", "result", "FAIL");
    w.writes("developer", &[]).command("local_tests", 0);
    assert_eq!(w.stage(), "review");
    // The reviewer writes something else; the old APPROVED lies there still.
    w.writes("reviewer", &["notes.md"]);
    assert_eq!((w.stage(), w.back_in()), ("review", Some(Millis(0))), "{}", w.why());
}

#[test]
fn the_developers_own_review_opens_no_gate() {
    let mut w = World::at("orch", "development");
    let nonce = format!("n{}", w.run + 1);
    let values = [("verdict".to_owned(), "APPROVED".to_owned()), ("run".to_owned(), nonce)];
    w.writes("developer", &[]);
    w.artefact("12-review.md", values.into(), "");
    w.command("local_tests", 0);
    assert_eq!(w.stage(), "review");
    w.writes("reviewer", &["notes.md"]);
    assert_eq!(w.stage(), "review", "its nonce is another run's");
}

#[test]
fn an_unreachable_source_is_asked_again_ever_more_seldom() {
    let mut w = World::at("orch", "development");
    w.dark.insert(FactKey::Checks);
    w.writes("developer", &[]);
    let due = |w: &World| {
        w.decisions.iter().find_map(|d| match d {
            Decision::SetTimer { due, .. } => Some(due.since(w.now)),
            _ => None,
        })
    };
    assert_eq!(due(&w), Some(Millis::secs(20)));
    assert_eq!(w.waits()[0].code.as_str(), "FORGE_UNREACHABLE");
    w.now = w.now.plus(Millis::secs(99));
    w.timer("ci");
    assert_eq!(due(&w), Some(Millis::secs(100)));
    w.now = w.now.plus(Millis::secs(9999));
    w.timer("ci");
    assert_eq!(due(&w), Some(Millis::secs(600)));
    w.dark.clear();
    w.checks.insert("ci/test".to_owned(), CheckState::Success);
    w.timer("ci");
    assert_eq!(w.stage(), "review");
}
