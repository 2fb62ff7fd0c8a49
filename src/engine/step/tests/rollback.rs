//! Every row of the roll-back table, and the counters that bound it.

use super::*;

/// The task is back in development, its developer queued with a note that says so.
fn back_in_development(w: &World, note: &str) {
    assert_eq!((w.stage(), w.queued()), ("development", vec!["developer"]), "{}", w.why());
    let told = w.enqueued()[0].note.clone().unwrap_or_default();
    assert!(told.contains(note), "{told}");
}

#[test]
fn review_asks_for_changes() {
    for pipeline in ["orch", "enduro", "local"] {
        let mut w = World::at(pipeline, "review");
        w.verdict("reviewer", "12-review.md", "verdict", "REQUEST_CHANGES");
        back_in_development(&w, "Attempt 2/3");
        assert!(w.enqueued()[0].note.as_deref().unwrap_or_default().contains("12-review.md"));
        assert_eq!(w.used("rework"), 1);
    }
}

#[test]
fn a_review_on_the_forge_wins_costs_one_round_then_waits() {
    let mut w = World::at("orch", "review");
    w.requests_changes();
    w.verdict("reviewer", "12-review.md", "verdict", "APPROVED");
    back_in_development(&w, "rita requests changes on the forge");
    w.writes("developer", &[]).command("local_tests", 0);
    w.verdict("reviewer", "12-review.md", "verdict", "APPROVED");
    assert_eq!(
        (w.stage(), w.used("rework")),
        ("review", 1),
        "the request is about older code: it waits"
    );
    assert_eq!((w.waits()[0].code.as_str(), w.waits()[0].clear.is_some()), ("GATE_WAIT", true));
    w.reviews.clear();
    w.poke();
    assert_eq!(w.stage(), "testing", "dismissed");
}

#[test]
fn a_request_for_changes_on_older_code_costs_one_round_too_and_its_words_reach_the_developer() {
    let mut w = World::at("orch", "development");
    w.requests_changes();
    w.writes("developer", &[]).command("local_tests", 0);
    w.verdict("reviewer", "12-review.md", "verdict", "APPROVED");
    back_in_development(&w, "rita requests changes on the forge");
    let told = w.enqueued()[0].note.clone().unwrap_or_default();
    assert!(told.contains("> mind the switches"), "{told}");
    w.writes("developer", &[]).command("local_tests", 0);
    w.verdict("reviewer", "12-review.md", "verdict", "APPROVED");
    assert_eq!(
        (w.stage(), w.used("rework")),
        ("review", 1),
        "one round, then it waits: {}",
        w.why()
    );
    // Renewed on the present code it is another one.
    w.requests_changes();
    w.poke();
    assert_eq!((w.stage(), w.used("rework")), ("development", 2));
}

#[test]
fn tests_failed() {
    for pipeline in ["orch", "enduro", "local"] {
        let mut w = World::at(pipeline, "testing");
        w.verdict("tester", "13-test-report.md", "result", "FAIL");
        back_in_development(&w, "13-test-report.md");
        assert_eq!(w.used("rework"), 1);
        let said = w.comments().join("\n");
        assert!(said.contains("goes back to *development* (attempt 2/3)"), "{said}");
    }
}

#[test]
fn the_architect_finds_a_conflict() {
    for pipeline in ["orch", "enduro"] {
        let mut w = World::at(pipeline, "architecture");
        let text = format!("The map {}", "z".repeat(600));
        let mut report = w.report("architect", RunEnd::Ok);
        report.head = Some(w.commit(false));
        w.artefact("10-conflict.md", BTreeMap::new(), &text);
        w.event(Actor::Service, Body::RunEnded(report));
        assert_eq!((w.stage(), w.queued(), w.used("conflicts")), ("analysis", vec!["analyst"], 1));
        let said = w.comments().join("\n");
        assert!(said.contains(&text[..500]) && !said.contains(&text[..501]), "{said}");
        assert!(said.contains("goes back to *analysis*"), "{said}");
        assert_eq!(w.used("rework"), 0, "a counter of its own");
    }
}

#[test]
fn the_architect_writes_nothing_is_retried_then_stays() {
    for pipeline in ["orch", "enduro"] {
        let mut w = World::at(pipeline, "architecture");
        w.writes("architect", &["07-infra-requirements.md"]);
        assert_eq!((w.stage(), w.back_in()), ("architecture", Some(Millis(0))), "{}", w.why());
        assert_eq!(w.task.control.at, At::Work);
        w.writes("architect", &["07-infra-requirements.md"]);
        assert_eq!((w.stage(), w.back_in(), w.comments().len()), ("architecture", None, 1));
        assert!(w.waits()[0].text.contains("adr.missing"), "{:?}", w.waits());
    }
}

#[test]
fn analysis_ends_with_nothing_is_retried_then_warned_about() {
    let mut w = World::at("orch", "analysis");
    w.writes("analyst", &["01-brd.md"]);
    assert!(w.back_in().is_some() && w.comments().is_empty());
    w.writes("analyst", &["01-brd.md"]);
    assert_eq!((w.stage(), w.back_in()), ("analysis", None));
    assert!(
        w.comments()[0].contains("02-trz.md"),
        "what is missing is named: {:?}",
        w.comments()
    );
    // What it tells people to do is what helps.
    assert!(
        w.comments()[0].contains("`signalbox retry ORCH-090") && w.comments()[0].contains("`To Analyse`"),
        "{:?}",
        w.comments()
    );
    w.retry();
    assert_eq!(w.queued(), ["analyst"]);
    let stuck = || {
        let mut w = World::at("orch", "analysis");
        w.writes("analyst", &["01-brd.md"]).writes("analyst", &["01-brd.md"]);
        w
    };
    let mut w = stuck();
    w.tell("answer", "the test plan is missing");
    assert!(w.decisions.is_empty(), "a comment by itself changes nothing");
    w.say("start");
    assert_eq!(w.queued(), ["analyst"]);
    assert!(
        w.enqueued()[0]
            .note
            .as_deref()
            .unwrap_or_default()
            .contains("the test plan is missing")
    );
    let mut w = stuck();
    w.tell("reject", "the test plan is missing");
    assert_eq!(w.queued(), ["analyst"]);
}

#[test]
fn staging_is_red() {
    let mut w = World::at("orch", "deploy-staging");
    w.verdict("deployer", "15-staging-log.md", "staging_status", "FAILED");
    back_in_development(&w, "15-staging-log.md");
    assert_eq!(w.used("rework"), 1);
}

#[test]
fn staging_red_for_waivable_reasons_passes() {
    let mut w = World::at("orch", "deploy-staging");
    w.json.insert("staging-failed.json".to_owned(), serde_json::json!(["dns"]));
    let nonce = format!("n{}", w.run + 1);
    let mut report = w.report("deployer", RunEnd::Ok);
    report.head = Some(w.commit(false));
    w.artefact("staging-failed.json", BTreeMap::new(), "");
    let values = [("staging_status".to_owned(), "FAILED".to_owned()), ("run".to_owned(), nonce)];
    w.artefact("15-staging-log.md", values.into(), "");
    w.event(Actor::Service, Body::RunEnded(report));
    assert_eq!(w.stage(), "deploy", "{}", w.why());
}

#[test]
fn the_branch_conflicts_with_the_base() {
    let mut w = World::at("orch", "deploy-staging");
    w.conflicts = vec!["src/map.rs".to_owned()];
    w.verdict("deployer", "15-staging-log.md", "staging_status", "SUCCESS");
    back_in_development(&w, "src/map.rs");
    assert_eq!(w.used("rework"), 1);
    for pipeline in ["enduro", "local"] {
        let mut w = World::at(pipeline, "testing");
        w.conflicts = vec!["src/map.rs".to_owned()];
        w.verdict("tester", "13-test-report.md", "result", "PASS");
        back_in_development(&w, "src/map.rs");
        assert_eq!(w.used("rework"), 1, "{pipeline}");
    }
}

#[test]
fn the_deployment_failed() {
    let mut w = World::at("enduro", "deploy");
    w.verdict("deployer", "14-deploy-log.md", "deploy_status", "FAILED");
    back_in_development(&w, "14-deploy-log.md");
    assert_eq!(
        (w.alerts(), w.used("rework"), w.repo.lease.is_none(), w.acts().len()),
        (1, 1, true, 0)
    );
    assert!(
        w.alarms()[0].starts_with("ET-090: deploy ended with deployed.failed; it goes to development (attempt 2/3)"),
        "{:?}",
        w.alarms()
    );
}

/// An alert says what happened: only a gate that could not be asked is told as one.
#[test]
fn an_alert_says_what_kind_of_thing_happened() {
    let mut w = World::at("orch", "deploy");
    w.say("confirm_deploy").action("merge", "refused", "branch protection");
    assert!(
        w.alarms()[0].starts_with("ORCH-090 needs a person at deploy (merge.refused)"),
        "{:?}",
        w.alarms()
    );
    let mut w = World::at("orch", "deploy");
    w.say("confirm_deploy").action("merge", "mismatch", "another tree");
    assert!(w.alarms()[0].contains("the repository is frozen"), "{:?}", w.alarms());
    let mut w = World::at("orch", "review");
    for _ in 0..2 {
        w.writes("reviewer", &[]);
    }
    assert!(w.alarms()[0].contains("cannot be asked (verdict.unreadable)"), "{:?}", w.alarms());
}

/// Whichever way leads out of an escalation, the board shows the stage again, no longer that a person is needed.
#[test]
fn out_of_an_escalation_the_board_shows_the_stage_again() {
    let spent = || {
        let mut w = World::at("orch", "review");
        w.task.control.counters.insert("rework".into(), 2);
        w.verdict("reviewer", "12-review.md", "verdict", "REQUEST_CHANGES");
        assert_eq!((w.stage(), w.mode(), w.status()), ("development", Mode::Escalated, Some("Blocked")));
        w
    };
    let mut w = spent();
    w.commit(true);
    w.poke();
    assert_eq!((w.mode(), w.status()), (Mode::Active, Some("Development")), "a push: {}", w.why());
    let mut w = spent();
    w.tell("reject", "begin with the requirements");
    assert_eq!((w.stage(), w.status()), ("architecture", Some("Architecture")));
    let mut w = spent();
    w.retry();
    assert_eq!(w.status(), Some("Development"));
    // Where nothing has to be done anew, too.
    let mut w = World::at("orch", "deploy");
    w.say("confirm_deploy").action("merge", "refused", "branch protection");
    w.retry();
    assert_eq!(
        (w.mode(), w.status(), w.acts()),
        (Mode::Active, Some("Deploying"), vec!["merge"]),
        "{}",
        w.why()
    );
    // A stop shows its own.
    let mut w = spent();
    w.say("stop");
    assert_eq!(w.status(), None, "{}", w.why());
}

/// Every counter that is spent is seen on the board.
#[test]
fn each_spent_counter_shows_blocked() {
    for (counter, rules) in ["rework", "conflicts", "rebase"].map(|c| (c, rules_with("orch", ""))) {
        assert_eq!(rules.counters[counter].spent.status.as_deref(), Some("Blocked"), "{counter}");
    }
    let mut w = World::at("orch", "architecture");
    w.task.control.counters.insert("conflicts".into(), 2);
    w.writes("architect", &["10-conflict.md"]);
    assert_eq!((w.stage(), w.mode(), w.status()), ("analysis", Mode::Escalated, Some("Blocked")));
}

#[test]
fn a_reject_goes_to_the_previous_stage_with_the_reason() {
    let way = [
        ("orch", "architecture", "analysis", "analyst"),
        ("orch", "development", "architecture", "architect"),
        ("orch", "review", "development", "developer"),
        ("orch", "testing", "review", "reviewer"),
        ("orch", "deploy-staging", "testing", "tester"),
        ("orch", "deploy", "deploy-staging", "deployer"),
        ("enduro", "deploy", "testing", "tester"),
        ("local", "deploy", "testing", "tester"),
    ];
    for (pipeline, from, to, agent) in way {
        let mut w = World::at(pipeline, from);
        w.tell("reject", "the yards are missing");
        assert_eq!((w.stage(), w.queued()), (to, vec![agent]), "{pipeline} {from}");
        assert!(
            w.enqueued()[0]
                .note
                .as_deref()
                .unwrap_or_default()
                .contains("the yards are missing")
        );
        assert!(
            w.task.control.counters.values().all(|used| *used == 0),
            "a person's act costs nothing"
        );
    }
}

#[test]
fn a_reject_in_analysis_stays_and_runs_the_analyst_again() {
    let mut w = World::at("orch", "analysis");
    w.writes("analyst", BRD);
    assert_eq!(w.status(), Some("In Review"));
    w.tell("reject", "too long");
    assert_eq!((w.stage(), w.queued(), w.status()), ("analysis", vec!["analyst"], Some("Analysis")));
    assert!(w.enqueued()[0].note.as_deref().unwrap_or_default().contains("too long"));
    assert!(w.task.ledger.cards.is_empty(), "what was shown is no longer what would be approved");
}

#[test]
fn rework_is_shared_and_spent_it_moves_back_all_the_same() {
    let mut w = World::at("orch", "review");
    w.verdict("reviewer", "12-review.md", "verdict", "REQUEST_CHANGES");
    let mut w = w.up_to("testing");
    w.verdict("tester", "13-test-report.md", "result", "FAIL");
    back_in_development(&w, "Attempt 3/3");
    assert_eq!(w.used("rework"), 2);
    let mut w = w.up_to("deploy-staging");
    w.verdict("deployer", "15-staging-log.md", "staging_status", "FAILED");
    assert_eq!((w.stage(), w.mode(), w.used("rework")), ("development", Mode::Escalated, 2));
    assert_eq!((w.status(), w.alerts(), w.queued().len()), (Some("Blocked"), 1, 0));
    assert_eq!(w.waits()[0].code.as_str(), "ESCALATED");
    assert!(
        w.comments().iter().any(|c| c.contains("stands at *development*")),
        "{:?}",
        w.comments()
    );
    // Nothing but a person takes it up.
    assert!(w.poke().decisions.is_empty());
    w.retry();
    assert_eq!(
        (w.mode(), w.queued(), w.status()),
        (Mode::Active, vec!["developer"], Some("Development"))
    );
    assert!(
        w.enqueued()[0].note.as_deref().unwrap_or_default().contains("15-staging-log.md"),
        "{:?}",
        w.enqueued()
    );
}

#[test]
fn a_reject_is_never_limited_even_when_the_counter_is_spent() {
    let mut w = World::at("orch", "review");
    w.task.control.counters.insert("rework".into(), 2);
    for _ in 0..5 {
        w.say("reject");
        assert_eq!((w.stage(), w.mode(), w.used("rework")), ("development", Mode::Active, 2));
        w.writes("developer", &[]).command("local_tests", 0);
        assert_eq!(w.stage(), "review");
    }
}

#[test]
fn what_is_spent_where_agents_only_run_again_parks_in_place() {
    let mut w = World::at("local", "development");
    for round in 1..=2 {
        w.writes("developer", &[]).command("local_tests", 1);
        assert_eq!((w.queued(), w.used("rework")), (vec!["developer"], round), "{}", w.why());
        assert!(w.enqueued()[0].note.as_deref().unwrap_or_default().contains("exit status 1"));
    }
    w.writes("developer", &[]).command("local_tests", 1);
    assert_eq!(
        (w.stage(), w.mode(), w.queued().len(), w.status()),
        ("development", Mode::Escalated, 0, Some("Blocked"))
    );
    w.retry();
    assert_eq!((w.mode(), w.queued()), (Mode::Active, vec!["developer"]));
}

#[test]
fn retries_for_failed_runs_do_not_count_as_rework() {
    let mut w = World::at("orch", "review");
    w.ends(
        "reviewer",
        RunEnd::Permanent {
            detail: "exit 1".to_owned(),
        },
    );
    w.ends(
        "reviewer",
        RunEnd::Transient {
            detail: "429".to_owned(),
            retry_after: None,
        },
    );
    assert_eq!((w.stage(), w.used("rework")), ("review", 0));
}
