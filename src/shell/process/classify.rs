//! How a run ended, from its exit status and the tail of its log.

use std::io;
use std::path::Path;

use regex::Regex;

use super::retry_after::retry_after;
use super::structured::verdict;
use super::{Exit, log};
use crate::engine::model::{Kill, RunEnd};

/// Bytes of a log's end that decide how its run is classified.
pub const TAIL: u64 = 16 * 1024;

/// Lines of the log that people are shown with a failure.
const SHOWN_LINES: usize = 12;
/// Characters of them.
const SHOWN_CHARS: usize = 1200;

/// The last `max` bytes of a log as text; what is not UTF-8 is replaced.
///
/// # Errors
/// When the log cannot be read.
pub fn tail(path: &Path, max: u64) -> io::Result<String> {
    let size = std::fs::metadata(path)?.len();
    let (bytes, _) = log::read(path, size.saturating_sub(max), usize::try_from(max).unwrap_or(usize::MAX))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// How a run ended.
///
/// `log` is the log's name, for people; `tail` its end, or `None` when it is missing or cannot be
/// read, which makes a failure permanent; `patterns` tell weather. An agent's own structured
/// result wins over patterns: they are looked for in what it says went wrong, nowhere else.
#[must_use]
pub fn classify(exit: &Exit, log: &str, tail: Option<&str>, patterns: &[Regex]) -> RunEnd {
    if let Some(why) = exit.killed {
        return RunEnd::Killed(why);
    }
    if let Some(error) = &exit.launch_error {
        return RunEnd::Permanent { detail: error.clone() };
    }
    let text = tail.unwrap_or_default();
    let own = verdict(text);
    let failed = own.as_ref().is_some_and(|v| !v.ok);
    if exit.code == Some(0) && !failed {
        return RunEnd::Ok;
    }
    if exit.signal == Some(9) || exit.signal == Some(15) {
        // Not by the shim, which records why: the kernel out of memory, or a person.
        return RunEnd::Killed(Kill::Foreign);
    }
    let evidence = match &own {
        Some(v) if v.ok => "",
        Some(v) => v.text.as_str(),
        None => text,
    };
    let detail = detail(exit, log, tail, own.as_ref().filter(|_| failed).map(|v| v.text.as_str()));
    if !evidence.is_empty() && patterns.iter().any(|p| p.is_match(evidence)) {
        let retry_after = retry_after(evidence, exit.ended_at).or_else(|| retry_after(text, exit.ended_at));
        return RunEnd::Transient { detail, retry_after };
    }
    RunEnd::Permanent { detail }
}

/// One sentence and the last lines, safe to show.
fn detail(exit: &Exit, log: &str, tail: Option<&str>, own: Option<&str>) -> String {
    let how = match (exit.code, exit.signal) {
        (Some(0), _) => "exit 0, but the agent reports a failure".to_owned(),
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "no exit status was recorded".to_owned(),
    };
    let Some(tail) = tail else {
        return format!("{how}; its log {log} is missing or cannot be read");
    };
    let last = own.map_or_else(|| last_lines(tail), last_lines);
    if last.is_empty() {
        format!("{how}; its log {log} is empty")
    } else {
        format!("{how} (log {log}): {last}")
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
    let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
    let skip = shown.chars().count().saturating_sub(SHOWN_CHARS);
    log::defuse(&shown.chars().skip(skip).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::Millis;

    fn exit(code: i32) -> Exit {
        Exit {
            code: Some(code),
            ..Exit::default()
        }
    }

    fn patterns() -> Vec<Regex> {
        ["(?i)\\b429\\b", "(?i)overloaded", "(?i)timed out"]
            .iter()
            .filter_map(|p| Regex::new(p).ok())
            .collect()
    }

    fn outcome(exit: &Exit, tail: &str) -> &'static str {
        classify(exit, "7.log", Some(tail), &patterns()).outcome()
    }

    #[test]
    fn exit_status_first() {
        assert_eq!(outcome(&exit(0), "we met a 429 on the way"), "ok");
        assert_eq!(outcome(&exit(1), "error[E0308]: mismatched types"), "failed");
        assert_eq!(outcome(&exit(1), "API Error: 429"), "transient");
        let deadline = Exit {
            killed: Some(Kill::Deadline),
            signal: Some(15),
            ..Exit::default()
        };
        assert_eq!(
            classify(&deadline, "7.log", Some("API Error: 429"), &patterns()),
            RunEnd::Killed(Kill::Deadline)
        );
        let foreign = Exit {
            signal: Some(9),
            ..Exit::default()
        };
        assert_eq!(classify(&foreign, "7.log", Some("429"), &patterns()), RunEnd::Killed(Kill::Foreign));
        let unborn = Exit {
            launch_error: Some("no such program".into()),
            ..Exit::default()
        };
        assert_eq!(
            classify(&unborn, "7.log", None, &patterns()),
            RunEnd::Permanent {
                detail: "no such program".into()
            }
        );
    }

    #[test]
    fn a_missing_log_is_permanent() {
        let all = [Regex::new("").unwrap_or_else(|e| panic!("{e}"))];
        for tail in [None, Some("")] {
            let end = classify(&exit(3), "7.log", tail, &all);
            assert!(
                matches!(&end, RunEnd::Permanent { detail } if detail.contains("exit 3") && detail.contains("7.log")),
                "{end:?}"
            );
        }
    }

    #[test]
    fn the_agents_own_result_wins() {
        let result = |error: bool, text: &str| {
            format!("met 429 and timed out\n{{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":{error},\"result\":\"{text}\"}}\n")
        };
        assert_eq!(outcome(&exit(1), &result(false, "done, after a 429")), "failed");
        assert_eq!(outcome(&exit(1), &result(true, "Prompt is too long")), "failed");
        assert_eq!(
            outcome(&exit(1), &result(true, "API Error: Repeated 529 Overloaded errors")),
            "transient"
        );
        assert_eq!(outcome(&exit(0), &result(true, "API Error: Overloaded")), "transient");
        assert_eq!(outcome(&exit(0), &result(false, "fine")), "ok");
    }

    #[test]
    fn retry_after_is_taken_along() {
        let end = classify(
            &exit(1),
            "7.log",
            Some("API Error: 429 rate_limit_error\nRetry-After: 3\n"),
            &patterns(),
        );
        assert!(
            matches!(
                end,
                RunEnd::Transient {
                    retry_after: Some(Millis(3000)),
                    ..
                }
            ),
            "{end:?}"
        );
    }

    #[test]
    fn the_tail_tolerates_anything() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("7.log");
        std::fs::write(&path, [b"x".repeat(100), b"\xff\xfe\x1b[2Jend\n".to_vec()].concat())?;
        assert_eq!(tail(&path, 8)?, "\u{1b}[2Jend\n");
        assert!(tail(&path, TAIL)?.contains('\u{fffd}'));
        assert!(tail(&dir.path().join("none"), TAIL).is_err());
        let end = classify(&exit(1), "7.log", Some(&tail(&path, TAIL)?), &patterns());
        assert!(!end.detail().contains('\u{1b}'), "{end:?}");
        Ok(())
    }
}
