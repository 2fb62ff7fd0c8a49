//! How a run ended in the eyes of the rules' own function, where the agent's result leaves it open.

use super::report::{self, Ending, Kind, Report};
use super::{Exit, TAIL};
use crate::engine::model::{Millis, Name, RunEnd};
use crate::engine::rules::Ruleset;
use crate::engine::script::{ScriptArg, ScriptError};

/// The end, as `retry.classify` of the rules has it. What is certain stays as it is: a good end, a
/// kill, a program that could not be started, a log that is not there, and an agent's own result
/// that says what kind of failure it was. A function that fails, or knows nothing, leaves it as it is, too.
#[must_use]
pub fn judged(rules: &Ruleset, exit: &Exit, tail: Option<&str>, report: &Report, end: RunEnd) -> RunEnd {
    let (Some(function), Some(tail)) = (&rules.classify, tail) else {
        return end;
    };
    let open = matches!(
        &report.ending,
        None | Some(Ending::Failure(report::Failure {
            kind: Kind::Unknown | Kind::Work,
            ..
        }))
    );
    let failed = matches!(&end, RunEnd::Permanent { .. } | RunEnd::Transient { .. }) && exit.launch_error.is_none();
    if !open || !failed {
        return end;
    }
    match ask(rules, function, exit, tail) {
        Ok(answer) => taken(&answer, exit, tail, end),
        Err(error) => {
            tracing::warn!(%function, %error, "a run could not be classified by it: the patterns decide");
            end
        }
    }
}

fn ask(rules: &Ruleset, function: &Name, exit: &Exit, tail: &str) -> Result<String, ScriptError> {
    let code = exit.code.map(serde_json::Value::from);
    // Replaced characters are longer than what they stand for; the end matters.
    let mut cut = tail.len().saturating_sub(usize::try_from(TAIL).unwrap_or(usize::MAX));
    while !tail.is_char_boundary(cut) {
        cut += 1;
    }
    let all = [
        ("code", ScriptArg::Json(code.as_ref())),
        ("tail", ScriptArg::Text(Some(&tail[cut..]))),
    ];
    let takes = function
        .as_str()
        .split_once("::")
        .and_then(|(file, name)| rules.scripts.parameters(file, name))
        .unwrap_or_default();
    let given: Vec<_> = all.into_iter().filter(|(name, _)| takes.iter().any(|t| t == name)).collect();
    rules.scripts.call_named(function.as_str(), &given, &serde_json::Value::Null)
}

/// Takes an answer: `transient`, `transient 120`, `limit`, `limit 3600`, `permanent`; anything else says nothing.
fn taken(answer: &str, exit: &Exit, tail: &str, end: RunEnd) -> RunEnd {
    let (word, seconds) = answer.split_once(' ').unwrap_or((answer, ""));
    let seconds = seconds.trim().parse::<i64>().ok().filter(|s| *s >= 0);
    let wait = seconds.map(|s| Millis(s.saturating_mul(1000)));
    let detail = end.detail();
    match word {
        "permanent" => RunEnd::Permanent { detail },
        "transient" => RunEnd::Transient {
            detail,
            retry_after: wait.or(match end {
                RunEnd::Transient { retry_after, .. } => retry_after,
                _ => super::retry_after::retry_after(tail, exit.ended_at),
            }),
        },
        "limit" => match wait.map(|w| exit.ended_at.plus(w)).or_else(|| report::until(tail, exit.ended_at)) {
            Some(until) => RunEnd::Limited { detail, until },
            // Without a time it is weather with the longest wait there is.
            None => RunEnd::Transient {
                detail,
                retry_after: Some(Millis(i64::MAX)),
            },
        },
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rules::Output;
    use crate::engine::script::Scripts;
    use crate::engine::step::tests::rules_with;
    use crate::shell::process::classify;

    const SCRIPT: &str = r#"
        fn kind(code, tail) {
            if tail.contains("come back") { return "transient 120"; }
            if tail.contains("no more today") { return "limit 3600"; }
            if tail.contains("used up") { return "limit"; }
            if tail.contains("loops") { loop { } }
            if code == 7 { return "permanent"; }
            "unknown"
        }
        fn of_tail(tail) { if tail.contains("429") { "transient" } else { "unknown" } }
    "#;

    fn rules(function: &str) -> Ruleset {
        let mut rules = (*rules_with("orch", "")).clone();
        let sources = [("retry.rhai".to_owned(), SCRIPT.to_owned())].into();
        rules.scripts = Scripts::compile(&sources).unwrap();
        rules.classify = Some(Name::new(function));
        rules
    }

    fn end(function: &str, code: i32, tail: &str, output: Output) -> RunEnd {
        let exit = Exit {
            code: Some(code),
            ended_at: Millis::secs(1000),
            ..Exit::default()
        };
        let patterns = [regex::Regex::new("overloaded").unwrap()];
        let report = report::of(tail.as_bytes(), output);
        let end = classify(&exit, "7.log", Some(tail), &report, output, &patterns);
        judged(&rules(function), &exit, Some(tail), &report, end)
    }

    fn kind(code: i32, tail: &str) -> RunEnd {
        end("retry.rhai::kind", code, tail, Output::Text)
    }

    #[test]
    fn b_q_4_the_rules_function_says_what_kind_of_failure_it_was() {
        let told = kind(1, "please come back");
        assert!(
            matches!(
                told,
                RunEnd::Transient {
                    retry_after: Some(Millis(120_000)),
                    ..
                }
            ),
            "{told:?}"
        );
        let told = kind(1, "no more today");
        assert!(
            matches!(told, RunEnd::Limited { until, .. } if until == Millis::secs(4600)),
            "{told:?}"
        );
        let told = kind(1, "all used up");
        assert!(
            matches!(
                told,
                RunEnd::Transient {
                    retry_after: Some(Millis(i64::MAX)),
                    ..
                }
            ),
            "no time: {told:?}"
        );
        assert_eq!(kind(7, "overloaded").outcome(), "failed", "it knows better than the patterns");
        assert_eq!(kind(1, "overloaded").outcome(), "transient", "unknown: the patterns decide");
        assert_eq!(kind(1, "a bug").outcome(), "failed");
        assert_eq!(kind(1, "loops, overloaded").outcome(), "transient", "it fails: the patterns decide");
        assert_eq!(
            end("retry.rhai::of_tail", 1, "429", Output::Text).outcome(),
            "transient",
            "it takes what it wants"
        );
    }

    #[test]
    fn b_q_5_what_is_certain_is_not_asked() {
        assert_eq!(kind(0, "please come back"), RunEnd::Ok);
        let own = r#"{"type":"result","subtype":"error_max_turns","is_error":true,"errors":["come back"]}"#;
        assert_eq!(
            end("retry.rhai::kind", 1, own, Output::Claude).outcome(),
            "failed",
            "turns are no weather"
        );
        let own = r#"{"type":"result","subtype":"success","is_error":false,"result":"come back"}"#;
        assert_eq!(
            end("retry.rhai::kind", 1, own, Output::Claude).outcome(),
            "failed",
            "it says all went well"
        );
        let long = format!("{}\u{fffd}come back", "\u{fffd}".repeat(6000));
        assert_eq!(kind(1, &long).outcome(), "transient", "a long tail is cut, not refused");
        let exit = Exit {
            launch_error: Some("no such program".into()),
            ..Exit::default()
        };
        let end = RunEnd::Permanent {
            detail: "no such program".into(),
        };
        assert_eq!(
            judged(
                &rules("retry.rhai::kind"),
                &exit,
                Some("come back"),
                &Report::default(),
                end.clone()
            ),
            end
        );
        assert_eq!(
            judged(&rules("retry.rhai::kind"), &Exit::default(), None, &Report::default(), end.clone()),
            end,
            "no log"
        );
    }
}
