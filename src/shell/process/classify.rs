//! How a run ended, from its exit status and the tail of its log.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use regex::Regex;

use super::report::{self, Ending, Kind, Report};
use super::retry_after::retry_after;
use super::{Exit, log};
use crate::engine::model::{AgentNotes, Kill, Millis, RunEnd, Usage};
use crate::engine::rules::Output;

/// Bytes of a log's end that decide how its run is classified.
pub const TAIL: u64 = 16 * 1024;

/// What programs say when they meet a full disk.
const DISK_FULL: &str = "No space left on device";
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
/// read, which makes a failure permanent; `report` what the agent itself says, written as `output`
/// tells; `patterns` tell weather. An agent's own result wins over patterns: they are looked for
/// in what it says went wrong, nowhere else. The exit status alone never makes a success of an
/// agent whose output is known, nor of one whose output ends with a usage limit: a command that is
/// piped into another has that one's status.
#[must_use]
pub fn classify(exit: &Exit, log: &str, tail: Option<&str>, report: &Report, output: Output, patterns: &[Regex]) -> RunEnd {
    if let Some(why) = exit.killed {
        return RunEnd::Killed(why);
    }
    if let Some(error) = &exit.launch_error {
        return RunEnd::Permanent { detail: error.clone() };
    }
    // Its log may lack the very words that say so, or the disk have room again. An agent's own result wins over them.
    let said = || report.ending.is_none() && tail.is_some_and(|tail| last(&noise(tail)).contains(DISK_FULL));
    if exit.code.is_some_and(|code| code != 0) && (exit.disk_full || said()) {
        return RunEnd::NoRoom {
            detail: format!("the disk was full when it ended, exit {}", exit.code.unwrap_or_default()),
        };
    }
    if let Some(code) = exit.code.filter(|_| exit.log_lost > 0 && wants_result(report, output)) {
        let lost = exit.log_lost;
        return RunEnd::NoRoom {
            detail: format!(
                "the disk was full and {lost} bytes of its output are lost, what is left of it (log {log}) holds no whole result, exit {code}; \
                 make room on the disk of the data directory"
            ),
        };
    }
    let silent = report.ending.is_none() && !matches!(output, Output::Auto | Output::Text);
    let failure = match &report.ending {
        Some(Ending::Failure(failure)) => Some(failure),
        _ => None,
    };
    if exit.code == Some(0) && failure.is_none() && report.stopped.is_none() && !silent {
        return RunEnd::Ok;
    }
    if exit.signal == Some(9) || exit.signal == Some(15) {
        // Not by the shim, which records why: the kernel out of memory, or a person.
        return RunEnd::Killed(Kill::Foreign);
    }
    let noise = tail.map(|t| if silent || failure.is_some() { noise(t) } else { t.to_owned() });
    let noise = noise.as_deref().unwrap_or_default();
    let detail = detail(exit, log, tail, report, output);
    let weather = |text: &str| !text.is_empty() && patterns.iter().any(|p| p.is_match(text));
    match (&report.ending, failure.map(|f| f.kind)) {
        (Some(Ending::Success), _) | (_, Some(Kind::Lasting(_))) => RunEnd::Permanent { detail },
        (Some(Ending::Failure(f)), Some(Kind::Limit(until))) => limited(exit, until, &f.text, detail),
        (Some(Ending::Failure(f)), kind) if kind == Some(Kind::Weather) || (kind != Some(Kind::Work) && weather(&f.text)) => {
            RunEnd::Transient {
                detail,
                retry_after: retry_after(&f.text, exit.ended_at).or_else(|| retry_after(noise, exit.ended_at)),
            }
        }
        (None, _) if report.stopped.is_some() => limited(exit, report.stopped.flatten(), last(noise), detail),
        (None, _) if let Some(until) = report::usage_limit_said(last(noise)) => limited(exit, until, last(noise), detail),
        // One that ended well without its result may be told in words what it has done: a service speaks at the very end.
        (None, _)
            if (weather(noise) || report::weather_said(last(noise))) && (exit.code != Some(0) || report::of_service(last_line(noise))) =>
        {
            RunEnd::Transient {
                detail,
                retry_after: retry_after(noise, exit.ended_at),
            }
        }
        _ => RunEnd::Permanent { detail },
    }
}

/// Whether an agent gave no whole result though one is to be expected: its output is known, or speaks of costs or a model.
fn wants_result(report: &Report, output: Output) -> bool {
    let known = match output {
        Output::Text => false,
        Output::Auto => report.usage != Usage::default() || report.notes != AgentNotes::default(),
        Output::Claude | Output::Codex | Output::Gemini | Output::OpenCode => true,
    };
    known && report.ending.is_none()
}

/// The usage limit that a run which ended well, and wrote nothing, tells of with its very last line, where it gave no
/// result of its own; arguments as those of [`classify`]. Further up such words may be of its work.
#[must_use]
pub fn limited_at_last(exit: &Exit, log: &str, tail: Option<&str>, report: &Report, output: Output) -> Option<RunEnd> {
    let line = last_line(tail?);
    // Documents are read as such.
    if report.ending.is_some() || line.is_empty() || document(line) {
        return None;
    }
    let until = report::usage_limit_said(line)?;
    Some(limited(exit, until, line, detail(exit, log, tail, report, output)))
}

/// Until the limit ends; without a time it is weather with the longest wait there is.
fn limited(exit: &Exit, until: Option<Millis>, text: &str, detail: String) -> RunEnd {
    match until.or_else(|| report::until(text, exit.ended_at)) {
        Some(until) => RunEnd::Limited { detail, until },
        None => RunEnd::Transient {
            detail,
            retry_after: Some(Millis(i64::MAX)),
        },
    }
}

/// The last lines: what an agent without structure says of its end stands there; further up it may tell of its work.
fn last(text: &str) -> &str {
    let from = text.trim_end().rmatch_indices('\n').nth(SHOWN_LINES - 1);
    from.map_or(text, |(at, _)| &text[at + 1..])
}

/// Whether a line begins as a document does; one that begins with the time in brackets is a log's.
fn document(line: &str) -> bool {
    line.starts_with('{') || line.strip_prefix('[').is_some_and(|list| list.trim_start().starts_with(['{', '"']))
}

/// The last line that says anything.
fn last_line(text: &str) -> &str {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

/// What was written beside documents: standard error, mostly. Documents hold the model's own
/// words, in which a 429 means nothing. The first line may be the end of one.
fn noise(tail: &str) -> String {
    let cut = usize::from(tail.len() as u64 >= TAIL);
    let lines = tail.lines().skip(cut).filter(|line| !document(line.trim_start()));
    lines.collect::<Vec<_>>().join("\n")
}

/// One sentence and the last lines, safe to show.
fn detail(exit: &Exit, log: &str, tail: Option<&str>, report: &Report, output: Output) -> String {
    let mut how = match (exit.code, exit.signal) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "no exit status was recorded".to_owned(),
    };
    let own = match &report.ending {
        Some(Ending::Failure(failure)) => {
            if exit.code == Some(0) {
                how.push_str(", but the agent reports a failure");
            }
            if let Kind::Lasting(why) = failure.kind {
                let _ = write!(how, ": {why}");
            }
            Some(failure.text.as_str())
        }
        Some(Ending::Success) => {
            how.push_str(", although the agent reports success");
            None
        }
        None if report.stopped.is_some() => {
            how.push_str(", stopped by its usage limit before it gave a result");
            None
        }
        None if matches!(output, Output::Auto | Output::Text) => None,
        None => {
            let _ = write!(
                how,
                ", and its output holds no whole result as `output = \"{}\"` has it",
                output.word()
            );
            None
        }
    };
    if let Some(tools) = report.notes.refused() {
        let _ = write!(how, "; tools were refused to it: {tools}");
    }
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

    fn end(exit: &Exit, tail: Option<&str>, patterns: &[Regex]) -> RunEnd {
        let report = report::of(tail.unwrap_or_default().as_bytes(), Output::Auto);
        classify(exit, "7.log", tail, &report, Output::Auto, patterns)
    }

    fn outcome(exit: &Exit, tail: &str) -> &'static str {
        end(exit, Some(tail), &patterns()).outcome()
    }

    #[test]
    fn a_full_disk_is_weather_whoever_notices_it() {
        let noticed = Exit {
            disk_full: true,
            ..exit(1)
        };
        for (exit, tail) in [
            (&noticed, "panicked"),
            (&exit(74), "at work\nwrite: No space left on device (os error 28)\n"),
        ] {
            let end = end(exit, Some(tail), &patterns());
            // Tried again as weather is; the breaker of the command does not count it.
            assert!(matches!(end, RunEnd::NoRoom { .. }) && end.outcome() == "transient", "{end:?}");
        }
        assert_eq!(outcome(&exit(0), "No space left on device"), "ok");
        // What the agent itself says of its end wins over words beside it.
        let told = r#"{"type":"result","subtype":"error_max_turns","is_error":true,"num_turns":9}"#;
        assert_eq!(outcome(&exit(1), &format!("No space left on device\n{told}\n")), "failed");
    }

    #[test]
    fn a_result_that_was_lost_on_a_full_disk_is_weather() {
        let of = |lost: u64, code: i32, tail: &str, output: Output| {
            let exit = Exit {
                log_lost: lost,
                ..exit(code)
            };
            classify(
                &exit,
                "7.log",
                Some(tail),
                &report::of(tail.as_bytes(), output),
                output,
                &patterns(),
            )
        };
        let begun = r#"{"type":"system","subtype":"init","session_id":"s","model":"m"}"#;
        for (code, output) in [(0, Output::Claude), (1, Output::Claude), (0, Output::Auto)] {
            let end = of(9, code, begun, output);
            let told = matches!(&end, RunEnd::NoRoom { detail } if detail.starts_with("the disk was full and 9 bytes"));
            assert!(told && end.outcome() == "transient", "{output:?}: {end:?}");
        }
        assert_eq!(of(0, 0, begun, Output::Claude).outcome(), "failed", "nothing was lost");
        let result = r#"{"type":"result","subtype":"success","is_error":false,"result":"fine"}"#;
        assert_eq!(of(9, 0, result, Output::Claude), RunEnd::Ok, "the result is there");
        for output in [Output::Text, Output::Auto] {
            assert_eq!(of(9, 0, "plain words", output), RunEnd::Ok, "no result is expected of it");
        }
    }

    /// B-Q 4: without any structure, too, a usage limit with an end waits for it, and costs nothing.
    #[test]
    fn b_q_4_a_usage_limit_told_in_plain_words_is_one() {
        let failed = |tail: &str| end(&exit(1), Some(tail), &patterns());
        for told in [
            "You have hit your usage limit. resets 15:45 (UTC)",
            "at work\nYou've hit your usage limit. Your limit resets 3:45pm (UTC)\n",
        ] {
            assert_eq!(failed(told).outcome(), "limited", "{told}");
        }
        assert_eq!(failed("Claude AI usage limit reached|1767225600").outcome(), "limited");
        assert_eq!(failed("usage limit reached").outcome(), "transient", "nobody knows until when");
        let work = format!("the text says: usage limit reached\n{}", "a line of work\n".repeat(SHOWN_LINES));
        assert_eq!(failed(&work).outcome(), "failed", "that is what it worked on");
        assert_eq!(outcome(&exit(0), "usage limit reached"), "ok");
    }

    /// B-Q 4: the status of `claude … | tee log` is that of `tee`.
    #[test]
    fn b_q_4_a_usage_limit_behind_a_status_that_was_swallowed_is_one() {
        const LIMIT: &str = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1767225600,"rateLimitType":"five_hour","overageStatus":"rejected","isUsingOverage":false},"uuid":"u","session_id":"x"}"#;
        const WORK: &str = r#"{"type":"assistant","message":{"id":"m1","content":[{"type":"text","text":"working"}]},"session_id":"x"}"#;
        let begun = format!("{}\n{WORK}\n", r#"{"type":"system","subtype":"init","session_id":"x"}"#);
        for code in [0, 1] {
            let end = end(&exit(code), Some(&format!("{begun}{LIMIT}\n")), &patterns());
            assert!(
                matches!(&end, RunEnd::Limited { until, detail } if *until == Millis::secs(1_767_225_600) && detail.starts_with(&format!("exit {code}, stopped"))),
                "{end:?}"
            );
        }
        // The model answers again, or it gives a result: that says how it ended.
        assert_eq!(outcome(&exit(0), &format!("{begun}{LIMIT}\n{WORK}\n")), "ok");
        let good = r#"{"type":"result","subtype":"success","is_error":false,"result":"done"}"#;
        assert_eq!(outcome(&exit(0), &format!("{begun}{LIMIT}\n{good}\n")), "ok");
        // Another agent took its place in the same command.
        let codex = "{\"type\":\"thread.started\",\"thread_id\":\"t\"}\n{\"type\":\"turn.started\"}\n{\"type\":\"turn.completed\"}\n";
        assert_eq!(outcome(&exit(0), &format!("{begun}{LIMIT}\n{codex}")), "ok");
    }

    /// B-Q 4: the other programs give a result that says so, whatever the status.
    #[test]
    fn b_q_4_the_limits_of_all_programs_are_seen_whatever_the_status() {
        let codex = "{\"type\":\"thread.started\",\"thread_id\":\"t\"}\n{\"type\":\"turn.started\"}\n\
            {\"type\":\"error\",\"message\":\"You've hit your usage limit. Please try again in 2 hours.\"}\n";
        let failed = r#"{"type":"turn.failed","error":{"message":"You've hit your usage limit. Please try again in 2 hours."}}"#;
        let gemini = r#"{"type":"result","status":"error","error":{"type":"Error","message":"usage limit reached|1767225600"}}"#;
        let opencode =
            r#"{"type":"error","sessionID":"s","error":{"name":"APIError","data":{"message":"usage limit reached|1767225600"}}}"#;
        for log in [codex, &format!("{codex}{failed}\n"), gemini, opencode] {
            for code in [0, 1] {
                assert_eq!(outcome(&exit(code), log), "limited", "{code}: {log}");
            }
        }
    }

    #[test]
    fn b_q_4_a_last_line_about_a_limit_tells_where_nothing_was_written() {
        let at_last = |tail: &str| {
            let report = report::of(tail.as_bytes(), Output::Auto);
            limited_at_last(&exit(0), "7.log", Some(tail), &report, Output::Auto).map(|end| end.outcome())
        };
        assert_eq!(at_last("at work\nClaude AI usage limit reached|1767225600\n\n"), Some("limited"));
        assert_eq!(at_last("You've hit your session limit · resets 3:45pm (UTC)"), Some("limited"));
        assert_eq!(at_last("usage limit reached"), Some("transient"), "nobody knows until when");
        assert_eq!(at_last("Claude AI usage limit reached|1767225600\ndone"), None, "it went on");
        assert_eq!(at_last("we met a 429"), None);
        let result = |text: &str| format!("{{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"{text}\"}}");
        assert_eq!(at_last(&result("usage limit reached|1767225600")), None, "its own words");
        assert_eq!(
            at_last(&format!("{}\nusage limit reached|1767225600", result("fine"))),
            None,
            "its own result wins"
        );
        assert_eq!(at_last(""), None);
        // What was written is work: only who asks knows that nothing was.
        assert_eq!(outcome(&exit(0), "Claude AI usage limit reached|1767225600"), "ok");
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
        assert_eq!(end(&deadline, Some("API Error: 429"), &patterns()), RunEnd::Killed(Kill::Deadline));
        let foreign = Exit {
            signal: Some(9),
            ..Exit::default()
        };
        assert_eq!(end(&foreign, Some("429"), &patterns()), RunEnd::Killed(Kill::Foreign));
        let unborn = Exit {
            launch_error: Some("no such program".into()),
            ..Exit::default()
        };
        assert_eq!(
            end(&unborn, None, &patterns()),
            RunEnd::Permanent {
                detail: "no such program".into()
            }
        );
    }

    #[test]
    fn a_missing_log_is_permanent() {
        let all = [Regex::new("").unwrap_or_else(|e| panic!("{e}"))];
        for tail in [None, Some("")] {
            let end = end(&exit(3), tail, &all);
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
        let end = end(&exit(1), Some("API Error: 429 rate_limit_error\nRetry-After: 3\n"), &patterns());
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
        let end = end(&exit(1), Some(&tail(&path, TAIL)?), &patterns());
        assert!(!end.detail().contains('\u{1b}'), "{end:?}");
        Ok(())
    }
}
