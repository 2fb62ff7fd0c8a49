//! B-Q 8, as far as it needs no processes.

use super::*;
use crate::engine::model::Kill;

const LIMITS: Option<Limits> = Some(Limits {
    failures: 3,
    pause: Millis::secs(300),
});

/// A run that was let through before anything was wrong.
const BEFORE: RunId = RunId(1);
/// The run that tries the command out.
const PROBE: RunId = RunId(9);

fn weather() -> RunEnd {
    RunEnd::Transient {
        detail: "exit 1 (log 7.log): working\nAPI Error: 529 overloaded\n".to_owned(),
        retry_after: None,
    }
}

fn bad() -> RunEnd {
    RunEnd::Permanent {
        detail: "a bug".to_owned(),
    }
}

fn s(n: i64) -> Millis {
    Millis::secs(n)
}

/// A breaker that three runs have opened at second 3.
fn opened() -> Breaker {
    let mut breaker = Breaker::default();
    for n in 1..=3 {
        let told = breaker.after("claude", &weather(), BEFORE, LIMITS, s(n));
        assert_eq!(told.is_some(), n == 3, "told once, when it opens: {told:?}");
    }
    breaker
}

#[test]
fn b_q_8_three_in_a_row_open_it_and_any_other_end_breaks_the_row() {
    let breaker = opened();
    assert!(matches!(breaker.stand(s(3)), Stand::Open(p) if p.until == s(303) && p.why.ends_with("working / API Error: 529 overloaded")));
    assert!(matches!(breaker.stand(s(303)), Stand::HalfOpen(_)));
    for other in [RunEnd::Ok, bad(), RunEnd::NoOutput] {
        let mut breaker = Breaker::default();
        for end in [&weather(), &weather(), &other, &weather(), &weather()] {
            assert_eq!(breaker.after("claude", end, BEFORE, LIMITS, s(1)), None);
        }
        assert_eq!(breaker.stand(s(1)), Stand::Closed, "{other:?}");
    }
    let mut breaker = Breaker::default();
    for end in [&weather(), &weather(), &RunEnd::Lost, &RunEnd::Killed(Kill::Stop), &weather()] {
        breaker.after("claude", end, BEFORE, LIMITS, s(1));
    }
    assert!(
        matches!(breaker.stand(s(1)), Stand::Open(_)),
        "what we ended ourselves says nothing"
    );
}

/// A full disk is ours: it neither opens the breaker of the command, nor breaks a row, nor speaks for a probe.
#[test]
fn b_q_8_a_full_disk_says_nothing_about_the_command() {
    let full = RunEnd::NoRoom {
        detail: "the disk was full when it ended, exit 1".to_owned(),
    };
    let mut breaker = Breaker::default();
    for n in 1..=5 {
        assert_eq!(breaker.after("claude", &full, BEFORE, LIMITS, s(n)), None);
    }
    assert_eq!(breaker, Breaker::default());
    for end in [&weather(), &full, &weather(), &full, &weather()] {
        breaker.after("claude", end, BEFORE, LIMITS, s(6));
    }
    assert!(matches!(breaker.stand(s(6)), Stand::Open(_)), "the row goes on");
    let mut breaker = opened();
    breaker.probe = Some(PROBE);
    assert_eq!(breaker.after("claude", &full, PROBE, LIMITS, s(310)), None);
    assert!(matches!(breaker.stand(s(310)), Stand::HalfOpen(_)), "the next run tries it out");
}

#[test]
fn b_q_8_who_tries_it_out_is_named_while_that_run_is_open() {
    let mut breaker = opened();
    assert_eq!(breaker.probing(s(310), |_| true), None, "nobody does yet");
    breaker.probe = Some(PROBE);
    assert_eq!(breaker.probing(s(310), |run| run == PROBE), Some(PROBE));
    assert_eq!(breaker.probing(s(310), |_| false), None, "it has ended");
    assert_eq!(breaker.probing(s(299), |_| true), None, "it is not half open");
}

#[test]
fn b_q_8_the_probe_decides() {
    let mut breaker = opened();
    breaker.probe = Some(PROBE);
    let told = breaker.after("claude", &weather(), PROBE, LIMITS, s(310)).unwrap_or_default();
    assert!(told.contains("still fails"), "{told}");
    assert!(matches!(breaker.stand(s(609)), Stand::Open(_)));
    assert_eq!(breaker.probe, None, "the next one may be another");
    breaker.probe = Some(PROBE);
    assert_eq!(breaker.after("claude", &bad(), PROBE, LIMITS, s(611)), None);
    assert!(matches!(breaker.stand(s(611)), Stand::HalfOpen(_)), "permanent leaves it half open");
    assert!(breaker.after("claude", &RunEnd::Ok, PROBE, LIMITS, s(613)).is_some());
    assert_eq!(breaker, Breaker::default());
}

#[test]
fn b_q_8_runs_from_before_close_it_but_do_not_hold_it_open() {
    let mut breaker = opened();
    assert_eq!(breaker.after("claude", &weather(), BEFORE, LIMITS, s(5)), None, "told once");
    assert!(
        matches!(breaker.stand(s(5)), Stand::Open(p) if p.until == s(303)),
        "nor is it prolonged"
    );
    assert_eq!(breaker.after("claude", &weather(), BEFORE, LIMITS, s(400)), None);
    assert!(matches!(breaker.stand(s(400)), Stand::HalfOpen(_)), "not the probe's failure");
    assert!(breaker.after("claude", &RunEnd::Ok, BEFORE, LIMITS, s(401)).is_some());
    assert_eq!(breaker.stand(s(401)), Stand::Closed);
}

#[test]
fn b_q_4_a_usage_limit_suspends_until_its_end_and_is_told_once() {
    let mut breaker = Breaker::default();
    let limited = |until| RunEnd::Limited {
        detail: "resets 15:45".to_owned(),
        until,
    };
    assert!(breaker.after("claude", &limited(s(9000)), BEFORE, LIMITS, s(10)).is_some());
    assert_eq!(breaker.after("claude", &limited(s(9000)), BEFORE, LIMITS, s(20)), None);
    assert!(breaker.limited(s(8999)).is_some_and(|l| l.since == s(10)));
    assert_eq!(breaker.limited(s(9000)), None);
    assert_eq!((breaker.streak, breaker.stand(s(20))), (0, Stand::Closed), "a limit is no failure");
    // What an agent says of the time is bounded: a moment, or a year ahead.
    breaker.after("claude", &limited(s(10_001)), BEFORE, LIMITS, s(10_000));
    assert!(breaker.limited(s(10_059)).is_some() && breaker.limited(s(10_060)).is_none());
    breaker.after("claude", &limited(Millis(i64::MAX)), BEFORE, LIMITS, s(20_000));
    assert!(breaker.limited(s(20_000 + 9 * 86_400)).is_none());
}

/// The longest limits are weekly: what lies further ahead is a slip or a lie, and is asked again a day later.
#[test]
fn b_q_4_a_usage_limit_beyond_a_week_is_not_believed() {
    let week = s(7 * 86_400);
    assert_eq!(believed(s(100).plus(week), s(100)), week);
    for beyond in [s(101).plus(week), s(400 * 86_400), Millis(i64::MAX)] {
        assert_eq!(believed(beyond, s(100)), s(86_400), "{beyond:?}");
    }
}

/// A limit that is over already is told again and again, at the price of a run each.
#[test]
fn b_q_4_a_usage_limit_that_is_over_is_weather() {
    let mut breaker = Breaker::default();
    let over = RunEnd::Limited {
        detail: "usage limit reached|1".to_owned(),
        until: s(10),
    };
    for n in 1..=3 {
        assert_eq!(breaker.after("claude", &over, BEFORE, LIMITS, s(10)).is_some(), n == 3);
        assert_eq!(breaker.limited(s(10)), None);
    }
    assert!(matches!(breaker.stand(s(10)), Stand::Open(_)));
}

/// A usage limit is a thing of its own: it counts where the breaker is switched off, and nothing else does.
#[test]
fn b_q_4_a_usage_limit_counts_without_a_breaker() {
    let mut breaker = opened();
    let known = breaker.clone();
    for end in [weather(), bad(), RunEnd::Ok] {
        assert_eq!(breaker.after("claude", &end, BEFORE, None, s(5)), None);
        assert_eq!(breaker, known, "{end:?}");
    }
    let limited = RunEnd::Limited {
        detail: "resets 15:45".to_owned(),
        until: s(9000),
    };
    assert!(breaker.after("claude", &limited, BEFORE, None, s(10)).is_some());
    let seen = breaker.under(None);
    assert!(seen.limited(s(8999)).is_some());
    assert_eq!((seen.stand(s(10)), breaker.under(LIMITS)), (Stand::Closed, breaker.clone()));
}

/// A run that began before the account reached its limit may end well long after: the limit is not over for that.
#[test]
fn b_q_4_a_usage_limit_outlasts_the_success_of_a_run_from_before() {
    let limited = RunEnd::Limited {
        detail: "resets 15:45".to_owned(),
        until: s(9000),
    };
    let scope = RunEnd::OutOfScope { paths: Vec::new() };
    for (limits, good) in [(LIMITS, &RunEnd::Ok), (None, &RunEnd::Ok), (LIMITS, &scope)] {
        let mut breaker = Breaker::default();
        breaker.after("claude", &limited, RunId(2), limits, s(10));
        assert_eq!(breaker.after("claude", good, BEFORE, limits, s(17)), None);
        assert!(breaker.limited(s(8999)).is_some(), "{good:?}");
        let told = breaker.after("claude", &limited, RunId(3), limits, s(20));
        assert_eq!(told, None, "whoever meets it besides is no news");
        // Claimed after its end, as nothing is before.
        breaker.after("claude", good, PROBE, limits, s(9001));
        assert_eq!(breaker, Breaker::default(), "{good:?}");
    }
}
