//! Whatever happens, in whatever order: no panic, no way out of a terminal phase, no counter above
//! its limit, the same answer twice, a reason for everything, and never a wait for nothing.
//! [`World`] checks all of that after every event.

use proptest::prelude::*;

use super::*;
use crate::engine::model::{Freeze, FreezeLevel, Kill};

/// What the adversary may do.
#[derive(Debug, Clone)]
enum Move {
    Say(&'static str, bool),
    Run(usize, u8),
    Stale(u8),
    Poke,
    Timer(&'static str),
    Retry,
    Act(&'static str, &'static str, bool),
    Cleaned,
    Pass,
    Push(bool),
    Facts(u8),
    Shared(u8),
    Time(i64),
}

const SIGNALS: &[&str] = &["start", "approve", "reject", "confirm_deploy", "stop", "answer", "nonsense"];
const OUTCOMES: &[&str] = &["ok", "conflict", "base_moved", "head_moved", "refused", "mismatch", "odd"];
const TIMERS: &[&str] = &["stop", "ci", "soak"];

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => (prop::sample::select(SIGNALS), any::<bool>()).prop_map(|(name, allowed)| Move::Say(name, allowed)),
        6 => (0_usize..3, 0_u8..14).prop_map(|(slot, end)| Move::Run(slot, end)),
        1 => (0_u8..14).prop_map(Move::Stale),
        2 => Just(Move::Poke),
        1 => prop::sample::select(TIMERS).prop_map(Move::Timer),
        2 => Just(Move::Retry),
        3 => (prop::sample::select(&["merge", "update"][..]), prop::sample::select(OUTCOMES), any::<bool>())
            .prop_map(|(action, outcome, head)| Move::Act(action, outcome, head)),
        1 => Just(Move::Cleaned),
        8 => Just(Move::Pass),
        2 => any::<bool>().prop_map(Move::Push),
        3 => (0_u8..10).prop_map(Move::Facts),
        2 => (0_u8..6).prop_map(Move::Shared),
        1 => (0_i64..1_000_000).prop_map(Move::Time),
    ]
}

fn end(which: u8) -> RunEnd {
    match which {
        0 => RunEnd::NoOutput,
        1 => RunEnd::OutOfScope {
            paths: vec!["x".to_owned()],
        },
        2 => RunEnd::Permanent {
            detail: "exit 1".to_owned(),
        },
        3 => RunEnd::Transient {
            detail: "429".to_owned(),
            retry_after: Some(Millis(i64::MAX)),
        },
        4 => RunEnd::Killed(Kill::Deadline),
        5 => RunEnd::Killed(Kill::Superseded),
        6 => RunEnd::Killed(Kill::Foreign),
        7 => RunEnd::Lost,
        8 => RunEnd::Exited {
            code: 1,
            tail: String::new(),
        },
        9 => RunEnd::Exited {
            code: 0,
            tail: String::new(),
        },
        _ => RunEnd::Ok,
    }
}

/// What a good run leaves: something of everything, by turns.
fn output(w: &mut World, slot: &str, which: u8) {
    let nonce = format!("n{}", w.run + 1);
    let values = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned()), ("run".to_owned(), nonce.clone())]);
    let good = which.is_multiple_of(2);
    w.commits += 1;
    let (file, key, value) = match slot {
        "reviewer" => ("12-review.md", "verdict", if good { "APPROVED" } else { "REQUEST_CHANGES" }),
        "tester" => ("13-test-report.md", "result", if good { "PASS" } else { "FAIL" }),
        "deployer" => ("15-staging-log.md", "staging_status", if good { "SUCCESS" } else { "FAILED" }),
        _ => ("07-notes.md", "x", "y"),
    };
    w.artefact(file, values(key, value), "");
    if slot == "deployer" {
        w.artefact(
            "14-deploy-log.md",
            values("deploy_status", if good { "SUCCESS" } else { "FAILED" }),
            "",
        );
    }
    match which {
        11 => w.artefact("01-questions.md", BTreeMap::new(), "why?"),
        12 => BRD.iter().chain(&["06-adr/1.md"]).for_each(|f| w.artefact(f, BTreeMap::new(), "")),
        13 => w.artefact("10-conflict.md", BTreeMap::new(), "no"),
        _ => {}
    }
    w.commits -= 1;
}

fn run(w: &mut World, slot: &str, which: u8) {
    let end = end(which);
    let ok = end == RunEnd::Ok;
    if ok {
        output(w, slot, which);
    }
    let mut report = w.report(slot, end);
    if ok {
        let code = w.rules.agents.get(slot).is_some_and(|a| !a.writes.is_empty());
        report.head = Some(w.commit(code));
    }
    w.event(Actor::Agent(1), Body::RunEnded(report));
}

fn act(w: &mut World, action: &str, outcome: &str, with_head: bool) {
    let head = (with_head && outcome == "ok" && action == "update").then(|| w.commit(true));
    let body = Body::ActionEnded {
        visit: w.visit(),
        action: action.into(),
        outcome: outcome.into(),
        detail: "d".to_owned(),
        head,
    };
    w.event(Actor::Service, body);
}

fn facts(w: &mut World, which: u8) {
    match which {
        0 => drop(w.checks.insert("ci/test".to_owned(), CheckState::Success)),
        1 => drop(w.checks.insert("ci/test".to_owned(), CheckState::Failure)),
        2 => w.checks.clear(),
        3 => w.behind = !w.behind,
        4 => w.conflicts = if w.conflicts.is_empty() { vec!["f".to_owned()] } else { Vec::new() },
        5 => w.requests_changes(),
        6 => w.reviews.clear(),
        7 => w.dark.extend([FactKey::Head, FactKey::Files, FactKey::Mergeable, FactKey::Checks]),
        8 => w.dark.clear(),
        _ => w.issue.labels = vec!["auto:approve".to_owned(), "auto:deploy".to_owned()],
    }
}

fn shared(w: &mut World, which: u8) {
    let ours = w.repo.lease.as_ref().is_some_and(|l| l.task == w.task.id);
    match which {
        0 if !ours => w.repo.lease = Some(super::actions::lease(9)),
        1 if !ours => w.repo.lease = None,
        2 => {
            w.repo.freeze = Some(Freeze {
                level: FreezeLevel::All,
                reason: "r".to_owned(),
                since: T0,
                by: "olga".to_owned(),
            });
        }
        3 | 4 => w.repo.freeze = None,
        _ => w.repo.lane.push(seat(3, "ORCH-001")),
    }
}

fn play(w: &mut World, what: &Move) {
    let slots: Vec<Name> = w.jobs.iter().map(|(_, slot)| slot.clone()).collect();
    match what {
        Move::Say(name, allowed) => {
            let roles: &[Role] = if *allowed {
                &[Role::Approver, Role::Operator]
            } else {
                &[Role::Viewer]
            };
            w.signal(person("alice", roles), name, Some("words"));
        }
        Move::Run(at, which) => {
            let slot = slots.get(*at).cloned().unwrap_or_else(|| "developer".into());
            run(w, &slot, *which);
        }
        Move::Stale(which) => {
            let mut report = w.report("reviewer", end(*which));
            report.visit = report.visit.saturating_sub(1);
            w.event(Actor::Agent(1), Body::RunEnded(report));
        }
        Move::Poke => drop(w.poke()),
        Move::Timer(timer) => drop(w.timer(timer)),
        Move::Retry => drop(w.retry()),
        Move::Act(action, outcome, head) => act(w, action, outcome, *head),
        Move::Cleaned => drop(w.event(Actor::Service, Body::CleanedUp { report: "r".to_owned() })),
        Move::Pass if w.task.control.phase == Phase::Live => drop(w.pass()),
        Move::Pass => drop(w.say("start")),
        Move::Push(code) => drop(w.commit(*code)),
        Move::Facts(which) => facts(w, *which),
        Move::Shared(which) => shared(w, *which),
        Move::Time(ms) => w.now = w.now.plus(Millis(*ms)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(which in 0_usize..3, all in prop::collection::vec(moves(), 1..60)) {
        let mut w = World::new(["orch", "enduro", "local"][which]).started();
        for what in &all {
            play(&mut w, what);
        }
        // And from wherever that has led, a stop ends it.
        w.repo.freeze = None;
        w.say("stop");
        if w.task.control.stop == StopState::Deferred {
            act(&mut w, "merge", "refused", false);
        }
        w.event(Actor::Service, Body::CleanedUp { report: String::new() });
        prop_assert!(w.task.terminal(), "{:?}", w.task.control);
    }
}
