//! B-Q 8, as far as it needs no processes.

use super::*;
use crate::engine::model::Kill;

const LIMITS: Limits = Limits {
    failures: 3,
    pause: Millis::secs(300),
};

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
        let told = breaker.after("claude", &weather(), s(0), LIMITS, s(n));
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
            assert_eq!(breaker.after("claude", end, s(0), LIMITS, s(1)), None);
        }
        assert_eq!(breaker.stand(s(1)), Stand::Closed, "{other:?}");
    }
    let mut breaker = Breaker::default();
    for end in [&weather(), &weather(), &RunEnd::Lost, &RunEnd::Killed(Kill::Stop), &weather()] {
        breaker.after("claude", end, s(0), LIMITS, s(1));
    }
    assert!(
        matches!(breaker.stand(s(1)), Stand::Open(_)),
        "what we ended ourselves says nothing"
    );
}

#[test]
fn b_q_8_the_probe_decides() {
    let mut breaker = opened();
    let told = breaker.after("claude", &weather(), s(303), LIMITS, s(310)).unwrap_or_default();
    assert!(told.contains("still fails"), "{told}");
    assert!(matches!(breaker.stand(s(609)), Stand::Open(_)));
    assert_eq!(breaker.after("claude", &bad(), s(610), LIMITS, s(611)), None);
    assert!(matches!(breaker.stand(s(611)), Stand::HalfOpen(_)), "permanent leaves it half open");
    assert!(breaker.after("claude", &RunEnd::Ok, s(612), LIMITS, s(613)).is_some());
    assert_eq!(breaker, Breaker::default());
}

#[test]
fn b_q_8_runs_from_before_close_it_but_do_not_hold_it_open() {
    let mut breaker = opened();
    assert_eq!(breaker.after("claude", &weather(), s(1), LIMITS, s(5)), None, "told once");
    assert!(
        matches!(breaker.stand(s(5)), Stand::Open(p) if p.until == s(303)),
        "nor is it prolonged"
    );
    assert_eq!(breaker.after("claude", &weather(), s(1), LIMITS, s(400)), None);
    assert!(matches!(breaker.stand(s(400)), Stand::HalfOpen(_)), "not the probe's failure");
    assert!(breaker.after("claude", &RunEnd::Ok, s(1), LIMITS, s(401)).is_some());
    assert_eq!(breaker.stand(s(401)), Stand::Closed);
}

#[test]
fn b_q_4_a_usage_limit_suspends_until_its_end_and_is_told_once() {
    let mut breaker = Breaker::default();
    let limited = |until| RunEnd::Limited {
        detail: "resets 15:45".to_owned(),
        until,
    };
    assert!(breaker.after("claude", &limited(s(9000)), s(0), LIMITS, s(10)).is_some());
    assert_eq!(breaker.after("claude", &limited(s(9000)), s(0), LIMITS, s(20)), None);
    assert!(breaker.limited(s(8999)).is_some_and(|l| l.since == s(10)));
    assert_eq!(breaker.limited(s(9000)), None);
    assert_eq!((breaker.streak, breaker.stand(s(20))), (0, Stand::Closed), "a limit is no failure");
    // What an agent says of the time is bounded: in the past, or a year ahead.
    breaker.after("claude", &limited(s(0)), s(0), LIMITS, s(10_000));
    assert!(breaker.limited(s(10_059)).is_some() && breaker.limited(s(10_060)).is_none());
    breaker.after("claude", &limited(Millis(i64::MAX)), s(0), LIMITS, s(20_000));
    assert!(breaker.limited(s(20_000 + 9 * 86_400)).is_none());
}
