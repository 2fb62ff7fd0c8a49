//! Every recorded output, and what must hold of any.

use std::path::PathBuf;

use proptest::prelude::*;
use regex::{Regex, RegexBuilder};

use super::*;
use crate::engine::model::RunEnd;
use crate::shell::process::{Exit, classify};

/// 2026-03-25 12:00:00 UTC.
const NOW: Millis = Millis(1_774_440_000_000);

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/agents")
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A recorded run of Claude Code: its exit status, and what it wrote.
fn live(name: &str) -> (Option<i32>, Vec<u8>) {
    let doc: Value = serde_json::from_slice(&fixture(&format!("claude_live/{name}.json"))).unwrap_or_else(|e| panic!("{name}: {e}"));
    let log = format!("{}{}", word(&doc, "stderr"), word(&doc, "stdout"));
    (doc["exit_code"].as_i64().and_then(|c| i32::try_from(c).ok()), log.into_bytes())
}

/// The patterns that are shipped.
fn patterns() -> Vec<Regex> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/base.toml")).unwrap_or_default();
    let doc: toml::Table = text.parse().unwrap_or_else(|e| panic!("{e}"));
    let list = doc["retry"]["patterns"].as_array().cloned().unwrap_or_default();
    let compiled: Vec<Regex> = list
        .iter()
        .filter_map(|p| RegexBuilder::new(p.as_str()?).case_insensitive(true).build().ok())
        .collect();
    assert!(!compiled.is_empty());
    compiled
}

fn end(code: Option<i32>, log: &[u8], output: Output) -> RunEnd {
    let exit = Exit {
        code,
        ended_at: NOW,
        ..Exit::default()
    };
    let text = String::from_utf8_lossy(&log[log.len().saturating_sub(16 * 1024)..]).into_owned();
    classify(&exit, "runs/7.log", Some(&text), &of(log, output), output, &patterns())
}

/// The same through either way of reading: by name, and by what it looks like.
fn both(code: i32, log: &[u8], output: Output) -> RunEnd {
    let (named, auto) = (end(Some(code), log, output), end(Some(code), log, Output::Auto));
    assert_eq!(named.outcome(), auto.outcome(), "{named:?}\n{auto:?}");
    named
}

#[test]
fn claude_results() {
    let ok = of(&fixture("claude_result_success.json"), Output::Claude);
    assert_eq!(ok.ending, Some(Ending::Success));
    assert_eq!((ok.usage.input_tokens, ok.usage.output_tokens), (12 + 2783 + 14707, 512));
    assert!((ok.usage.cost_usd - 0.0312).abs() < 1e-9);
    let session = Some("550e8400-e29b-41d4-a716-446655440000".to_owned());
    let notes = AgentNotes {
        model: Some("claude-sonnet-5".to_owned()),
        session,
        turns: 7,
        millis: 48213,
        cached_tokens: 14707,
        ..AgentNotes::default()
    };
    assert_eq!(ok.notes, notes);
    for (name, outcome, word) in [
        ("success", "ok", ""),
        ("error_max_turns", "failed", "its turns are used up"),
        ("error_during_execution", "failed", "error_during_execution"),
        ("overloaded", "transient", "529"),
        ("usage_limit_legacy_1x", "limited", "usage limit"),
        ("usage_limit", "limited", "session limit"),
    ] {
        // B-Q 4: the exit status was seen to be 0 and 1 for one and the same result.
        for code in [0, 1] {
            let end = both(code, &fixture(&format!("claude_result_{name}.json")), Output::Claude);
            if (code, outcome) != (1, "ok") {
                assert_eq!(end.outcome(), outcome, "{name} with exit {code}: {end:?}");
            }
            assert!(end.detail().contains(word), "{name}: {}", end.detail());
        }
    }
    let stream = of(&fixture("claude_stream.jsonl"), Output::Claude);
    assert_eq!((stream.ending, stream.usage), (Some(Ending::Success), ok.usage));
}

#[test]
fn usage_limits_end_at_a_time() {
    let until = |log: &[u8]| match end(Some(1), log, Output::Claude) {
        RunEnd::Limited { until, .. } => Some(until),
        _ => None,
    };
    assert_eq!(
        until(&fixture("claude_result_usage_limit_legacy_1x.json")),
        Some(Millis::secs(1_750_708_800))
    );
    let told = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1774447200,"rateLimitType":"five_hour"}}"#;
    let result = String::from_utf8_lossy(&fixture("claude_result_usage_limit.json")).replace('\n', "");
    let stream = |first: &str| until(format!("{first}\n{result}\n").as_bytes());
    assert_eq!(stream(told), Some(Millis::secs(1_774_447_200)));
    // A mere warning is no limit: the words decide, a time of day that is still to come.
    let warning = told.replace("rejected", "allowed_warning");
    assert!(stream(&warning).is_some_and(|at| at != Millis::secs(1_774_447_200) && at > NOW && at < NOW.plus(Millis::secs(86_401))));
    // It went on elsewhere: an overload after that is an overload.
    let overload = String::from_utf8_lossy(&fixture("claude_result_overloaded.json")).replace('\n', "");
    assert_eq!(
        end(Some(1), format!("{warning}\n{overload}\n").as_bytes(), Output::Claude).outcome(),
        "transient"
    );
    let words = [
        ("hit your limit · resets 1pm (UTC)", Some(3600)),
        ("hit your weekly limit · resets Thu 12:00am (UTC)", Some(12 * 3600)),
        ("Your limit will reset at 3pm (America/Bogota).", Some(8 * 3600)),
        (
            "usage limit. Try again in 2 days 3 hours 5 minutes.",
            Some(2 * 86_400 + 3 * 3600 + 300),
        ),
        ("usage limit. Try again in 1h30m.", Some(5400)),
        ("You have hit your usage limit. resets 15:45 (UTC)", Some(3 * 3600 + 45 * 60)),
        ("resets 0:30 (UTC)", Some(12 * 3600 + 1800)),
        (
            "You've hit your weekly limit · resets Nov 26, 9am (UTC)",
            Some(245 * 86_400 + 21 * 3600),
        ),
        ("try again at Mar 26th, 2026 3:45 PM (UTC).", Some(86_400 + 3 * 3600 + 45 * 60)),
        ("resets Mar 25, 9am (UTC)", Some(-3 * 3600)),
        ("resets Feb 30, 9am (UTC)", None),
        ("resets Jan 2 at 9:30 (UTC)", Some(282 * 86_400 + 21 * 3600 + 1800)),
        // What is told to the minute, or to the hour, may be over when it is read.
        ("try again at 11:59 AM (UTC)", Some(-60)),
        ("resets 12pm (UTC)", Some(0)),
        ("resets Wed 11:30am (UTC)", Some(-1800)),
        ("resets 11am (UTC)", Some(23 * 3600)),
        ("resets 24:00 (UTC)", None),
        ("resets 15 (UTC)", None),
        ("resets 13pm (UTC)", None),
        ("resets 3pm (Nowhere/Land)", None),
    ];
    for (text, secs) in words {
        assert_eq!(limits::until(text, NOW), secs.map(|s| NOW.plus(Millis::secs(s))), "{text}");
    }
}

#[test]
fn claude_live() {
    for (name, code, outcome, word) in [
        ("ok-json", 0, "ok", ""),
        ("ok-stream", 0, "ok", ""),
        ("tool-default", 0, "ok", ""),
        ("budget", 1, "failed", "its budget is used up"),
        ("loop-turns", 1, "failed", "its turns are used up"),
        ("e401mr1", 1, "failed", "credentials"),
        ("ecredit", 1, "failed", "no money"),
        ("e529", 1, "transient", "529"),
        ("e429ra120", 1, "transient", "429"),
        // A later version: its result begins with other keys.
        ("e429-2.1.329", 1, "transient", "429"),
    ] {
        let (was, log) = live(name);
        assert_eq!(was, Some(code), "{name}");
        let end = both(code, &log, Output::Claude);
        assert_eq!(end.outcome(), outcome, "{name}: {end:?}");
        assert!(end.detail().contains(word), "{name}: {}", end.detail());
    }
    // Interrupted: exit 0 was seen with it, and it is no success.
    let (_, interrupted) = live("int-slow");
    let end = both(0, &interrupted, Output::Claude);
    assert!(end.outcome() == "failed" && end.detail().contains("it was interrupted"), "{end:?}");
}

/// B-RUN 5: what an agent says that it cost is a claim; one that cannot be is no money, and is noted.
#[test]
fn b_run_5_a_cost_that_cannot_be_counts_for_nothing() {
    let result = |usd: &str| {
        let doc = format!(r#"{{"type":"result","subtype":"success","is_error":false,"result":"done","total_cost_usd":{usd}}}"#);
        of(doc.as_bytes(), Output::Claude)
    };
    for absurd in ["1e308", "-0.5", "10000.01", "1e18"] {
        let report = result(absurd);
        assert_eq!((report.usage.cost_usd, report.ending), (0.0, Some(Ending::Success)), "{absurd}");
        let noted = report.notes.doubted.unwrap_or_default();
        assert!(noted.ends_with(" USD") && noted.len() < 40, "{noted}");
    }
    for said in ["0", "10000", "0.25"] {
        let report = result(said);
        assert_eq!((Some(report.usage.cost_usd), report.notes.doubted), (said.parse().ok(), None));
    }
    // Neither is what parts come to together.
    let step = r#"{"type":"step_finish","sessionID":"s","part":{"type":"step-finish","reason":"stop","cost":1e308,"tokens":{"input":1,"output":1}}}"#;
    let report = of(format!("{step}\n{step}\n{step}\n").as_bytes(), Output::OpenCode);
    assert_eq!((report.usage.cost_usd, report.notes.doubted.as_deref()), (0.0, Some("inf USD")));
}

/// B-Q 5: what an agent says of its work is no weather, whatever it worked on; what the service said to it is.
#[test]
fn b_q_5_words_about_work_are_no_weather() {
    let end = |error: &str, more: &str| {
        let doc = format!(r#"{{"type":"result","subtype":"error_during_execution","is_error":true{more},"errors":["{error}"]}}"#);
        both(1, doc.as_bytes(), Output::Claude).outcome()
    };
    for work in [
        "the code error: test for 429 rate limit fails",
        "I wrote a test; it says 503 overloaded",
    ] {
        assert_eq!(end(work, ""), "failed", "{work}");
    }
    for service in [
        "API Error: 429 rate limit",
        "429 rate limit exceeded",
        "Error: 503 overloaded",
        "Overloaded",
        "Request timed out",
        "work went on\\nAPI Error: 529 overloaded",
    ] {
        assert_eq!(end(service, ""), "transient", "{service}");
    }
    let told = r#","terminal_reason":"model_error""#;
    assert_eq!(end("it met a 429 rate limit", told), "transient", "its own reason says so");
    assert_eq!(end("it met a limit", r#","api_error_status":529"#), "transient", "so does a status");
}

/// B-Q 4: programs tell of a network that fails by the system's own codes.
#[test]
fn b_q_4_the_codes_of_a_network_that_fails_are_weather() {
    let said = [
        "Error: connect ECONNRESET 1.2.3.4:443",
        "connect ECONNREFUSED 1.2.3.4:443",
        "Error: read ETIMEDOUT",
        "Error: getaddrinfo EAI_AGAIN api.example.com",
        "getaddrinfo ENOTFOUND api.example.com",
        "Error: write EPIPE",
        "Error: socket hang up",
        "FetchError: request to https://api.example.com/ failed, reason: socket hang up",
        "at work\n  errno: -104,\n  code: 'ECONNRESET',\n  syscall: 'read'\n}",
    ];
    for text in said {
        for output in [Output::Text, Output::Auto, Output::Claude] {
            assert_eq!(end(Some(1), text.as_bytes(), output).outcome(), "transient", "{text} as {output:?}");
        }
        assert_eq!(end(Some(0), text.as_bytes(), Output::Text), RunEnd::Ok, "{text}");
    }
    // The agent's own result, in which the service speaks; and one in which it tells of work.
    let told = |error: &str| {
        let doc = serde_json::json!({"type": "result", "subtype": "error_during_execution", "is_error": true, "errors": [error]});
        both(1, doc.to_string().as_bytes(), Output::Claude).outcome()
    };
    for text in said
        .iter()
        .filter(|text| !text.starts_with("FetchError") && !text.starts_with("at work"))
    {
        assert_eq!(told(text), "transient", "{text}");
    }
    for work in [
        "the test of the client for ECONNRESET fails",
        "I could not mend the socket hang up in src/http.js",
    ] {
        assert_eq!(told(work), "failed", "{work}");
    }
}

/// B-Q 5: words that hold such a code, and what the model says of one, are none.
#[test]
fn b_q_5_a_code_in_another_word_or_in_the_models_own_words_is_no_weather() {
    for text in [
        "see docs/EPIPES.md",
        "my_econnreset_test failed",
        "error[E0425]: cannot find ETIMEDOUTS",
    ] {
        assert_eq!(end(Some(1), text.as_bytes(), Output::Text).outcome(), "failed", "{text}");
    }
    let said =
        r#"{"type":"assistant","message":{"content":[{"type":"text","text":"the test says Error: connect ECONNREFUSED 127.0.0.1:5432"}]}}"#;
    assert_eq!(end(Some(1), said.as_bytes(), Output::Claude).outcome(), "failed");
    let result = r#"{"type":"result","subtype":"success","is_error":false,"result":"done","session_id":"s"}"#;
    let log = format!("Error: connect ECONNRESET 1.2.3.4:443\n{result}\n");
    assert_eq!(
        end(Some(1), log.as_bytes(), Output::Claude).outcome(),
        "failed",
        "it says all went well"
    );
}

/// What stands beside and behind a result takes nothing of it: wrappers, loggers, another stream, colours.
#[test]
fn a_result_is_read_whatever_stands_around_it() {
    let stream = String::from_utf8_lossy(&fixture("claude_stream.jsonl")).trim_end().to_owned();
    let cost = of(stream.as_bytes(), Output::Claude).usage;
    for behind in [
        "[wrapper] done\n",
        "[WARN]",
        "[WARN] {\"level\":\"info\"} bye\n",
        "[2026-11-23T01:30:00Z] INFO bye\n",
        "[1/3] lint\n",
        "{oops\n",
        "WARN bye",
    ] {
        // An unfinished last line that begins like a document may be one.
        let line = format!("{stream}\n{}\n", behind.trim_end());
        let report = of(line.as_bytes(), Output::Claude);
        assert_eq!((report.ending, report.usage), (Some(Ending::Success), cost), "{behind}");
    }
    for glued in [
        format!("{stream}npm notice\n"),
        format!("{stream}(node:42) Warning\n"),
        format!("{stream}[x]"),
    ] {
        let report = of(glued.as_bytes(), Output::Claude);
        assert_eq!(
            (report.ending, report.usage),
            (Some(Ending::Success), cost),
            "{}",
            &glued[glued.len() - 40..]
        );
    }
    let coloured = stream
        .lines()
        .map(|line| format!("\u{1b}[1;32m{line}\u{1b}[0m\n"))
        .collect::<String>();
    assert_eq!(of(coloured.as_bytes(), Output::Claude).usage, cost);
    let docs: Vec<serde_json::Value> = stream.lines().map(|line| serde_json::from_str(line).expect("json")).collect();
    let pretty = serde_json::to_string_pretty(&docs).expect("json");
    for log in [pretty.clone(), format!("npm notice\n{pretty}\n[wrapper] done\n")] {
        let report = of(log.as_bytes(), Output::Claude);
        assert_eq!((report.ending, report.usage), (Some(Ending::Success), cost), "{log}");
    }
    // What was a document and cannot be read may have said otherwise.
    for spoilt in ["{\"type\":\"assist\n", "{\n", "[{\"type\"\n", "{\"type\":\"assist", "[WARN"] {
        assert_eq!(
            of(format!("{stream}\n{spoilt}").as_bytes(), Output::Claude).ending,
            None,
            "{spoilt}"
        );
    }
}

/// B-Q 4: what agents say, as their own result, of a service or a network that fails for a while.
#[test]
fn b_q_4_the_words_of_agents_for_a_service_that_fails_are_weather() {
    let claude = |text: &str| {
        let doc = serde_json::json!({"type": "result", "subtype": "success", "is_error": true, "result": text});
        both(1, doc.to_string().as_bytes(), Output::Claude).outcome()
    };
    for text in [
        "API Error: 500 {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"Internal server error\"}}",
        "API Error: 502 Bad Gateway",
        "API Error: 520 <html>",
        "API Error: Connection error.",
        "API Error: Connection lost. The response above may be incomplete.",
        "API Error: TypeError: fetch failed",
        "API Error: Server is temporarily limiting requests (not your usage limit)",
        "API Error: Rate limit reached",
        "API Error: Repeated 529 Overloaded errors",
        "Request timed out",
    ] {
        assert_eq!(claude(text), "transient", "{text}");
    }
    for work in [
        "500 tests fail",
        "The connection error of the client is mended, its test is not",
        "Prompt is too long",
    ] {
        assert_eq!(claude(work), "failed", "{work}");
    }
    for text in [
        "stream disconnected",
        "stream disconnected before completion: error sending request for url (https://api.example.com/v1/responses)",
        "stream disconnected before completion: idle timeout waiting for SSE",
        "unexpected status 500 Internal Server Error: {}",
        "unexpected status 503 Service Unavailable",
        "Connection failed: error sending request: dns error",
        "We're currently experiencing high demand, which may cause temporary errors.",
        "Selected model is at capacity. Please try a different model.",
    ] {
        let doc = serde_json::json!({"type": "turn.failed", "error": {"message": text}});
        assert_eq!(both(1, doc.to_string().as_bytes(), Output::Codex).outcome(), "transient", "{text}");
    }
    // The service's own document, passed on without a result.
    for (doc, output, outcome) in [
        (
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#,
            Output::Claude,
            "transient",
        ),
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            Output::Claude,
            "transient",
        ),
        (
            r#"{"error":{"code":429,"message":"slow down"},"retry_after":6}"#,
            Output::Claude,
            "transient",
        ),
        (
            r#"{"error":{"code":429,"message":"slow down"},"retry_after":6}"#,
            Output::OpenCode,
            "transient",
        ),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"no such model"}}"#,
            Output::Claude,
            "failed",
        ),
    ] {
        let end = both(1, format!("at work\n{doc}\n").as_bytes(), output);
        assert_eq!(end.outcome(), outcome, "{doc}: {end:?}");
        if doc.contains("retry_after") {
            assert!(
                matches!(
                    end,
                    RunEnd::Transient {
                        retry_after: Some(Millis(6000)),
                        ..
                    }
                ),
                "{end:?}"
            );
        }
        // Its own result, and whatever it does after that, counts for more.
        let went_on = [format!("{doc}\n").as_bytes(), &fixture("claude_stream.jsonl")].concat();
        assert_eq!(of(&went_on, Output::Claude).ending, Some(Ending::Success));
    }
}

/// B-Q 4, B-Q 5: without any structure, what a service is said to say stands at the beginning of a line.
#[test]
fn b_q_5_words_about_work_without_structure_are_no_weather_and_no_limit() {
    for output in [Output::Text, Output::Auto, Output::Claude] {
        let outcome = |text: &str| end(Some(1), format!("at work\n{text}\n").as_bytes(), output).outcome();
        for service in [
            "API Error: Connection error.",
            "Connection error.",
            "API Error (Connection error.) · Retrying in 1 seconds…",
            "Selected model is at capacity. Please try a different model.",
            "ERROR: Selected model is at capacity. Please try a different model.",
            "HTTP/1.1 503",
            "status: 529",
            "error code 429: slow down",
            "Request rejected (429)",
            "{\"status\":503}",
        ] {
            assert!(
                outcome(service) == "transient" || service.starts_with('{') && output == Output::Claude,
                "{service} as {output:?}"
            );
        }
        for limit in [
            "You've hit your usage limit. Try again in 3 hours.",
            "[2026-11-23T01:30:00Z] ERROR: You've hit your usage limit. Try again in 3 hours.",
            "Claude AI usage limit reached|1774450000",
            "Claude usage limit reached. Your limit will reset at 3pm (UTC).",
            "5-hour limit reached ∙ resets 2pm (UTC)",
        ] {
            assert_eq!(outcome(limit), "limited", "{limit} as {output:?}");
        }
        for work in [
            "src/net.rs:503:12: error: mismatched types",
            "test http::returns_503_when_overloaded ... FAILED",
            "The page says: usage limit reached, resets 3pm (UTC)",
            "expected: 'usage limit reached' banner",
        ] {
            assert_eq!(outcome(work), "failed", "{work} as {output:?}");
        }
    }
}

/// B-Q 5: one that ends well and gives no result tells of its work in words; those of a service stand at the very end.
#[test]
fn b_q_5_words_of_one_that_ended_well_without_a_result_are_no_weather() {
    for (text, outcome) in [
        (
            "Done. I added handling for HTTP 429 Too Many Requests (rate limit) to client.rs; all tests pass.\n",
            "failed",
        ),
        ("API Error: 529 overloaded\nI tried again, and it is done\n", "failed"),
        ("at work\nAPI Error: 529 overloaded\n\n", "transient"),
    ] {
        assert_eq!(end(Some(0), text.as_bytes(), Output::Claude).outcome(), outcome, "{text}");
    }
}

/// B-RUN 5: a command may start an agent more than once, and each counts from nothing; one that goes on counts on.
#[test]
fn b_run_5_what_several_agents_of_one_log_cost_is_summed() {
    let result = |session: &str, usd: &str, tokens: u32| {
        format!(
            "{{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"done\",\"session_id\":\"{session}\",\
             \"total_cost_usd\":{usd},\"usage\":{{\"output_tokens\":{tokens}}}}}\n"
        )
    };
    let codex = |thread: &str, tokens: u32| {
        format!(
            "{{\"type\":\"thread.started\",\"thread_id\":\"{thread}\"}}\n\
             {{\"type\":\"turn.completed\",\"usage\":{{\"input_tokens\":10,\"output_tokens\":{tokens}}}}}\n"
        )
    };
    for (logs, usd, tokens) in [
        (vec![result("a", "0.5", 7), result("a", "0.75", 9)], 0.75, 9),
        (vec![result("a", "0.5", 7), result("b", "0.75", 9)], 1.25, 16),
        (vec![result("a", "0.5", 7), result("a", "0.25", 9)], 0.75, 16),
        (vec![result("a", "0.5", 7), result("a", "0", 0)], 0.5, 7),
        (vec![result("a", "0.5", 7), result("b", "0.25", 9), result("b", "0.5", 11)], 1.0, 18),
        (vec![result("a", "0.5", 7), result("b", "-3", 9)], 0.0, 9),
        (vec![codex("t", 3), codex("t", 5)], 0.0, 5),
        (vec![codex("t", 3), codex("u", 5)], 0.0, 8),
        (vec![codex("t", 3), result("a", "0.5", 7)], 0.5, 10),
        (vec![result("a", "0.5", 7), codex("t", 3)], 0.5, 10),
    ] {
        let log = logs.concat();
        let usage = of(log.as_bytes(), Output::Auto).usage;
        assert_eq!((usage.cost_usd, usage.output_tokens), (usd, tokens), "{log}");
    }
}

#[test]
fn b_q_4_a_limit_in_milliseconds_is_understood() {
    let at = NOW.plus(Millis::secs(7200));
    for number in [at.0, at.0 / 1000] {
        let log = format!(
            "{{\"type\":\"rate_limit_event\",\"rate_limit_info\":{{\"status\":\"rejected\",\"resetsAt\":{number}}},\"session_id\":\"s\"}}\n\
             {{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"result\":\"You have hit your limit\",\"session_id\":\"s\"}}\n"
        );
        let end = both(1, log.as_bytes(), Output::Claude);
        assert!(
            matches!(end, RunEnd::Limited { until, .. } if until.0 / 1000 == at.0 / 1000),
            "{end:?}"
        );
        let plain = format!("Claude AI usage limit reached|{number}\n");
        let end = both(1, plain.as_bytes(), Output::Text);
        assert!(
            matches!(end, RunEnd::Limited { until, .. } if until.0 / 1000 == at.0 / 1000),
            "{end:?}"
        );
    }
}

/// B-Q 4: it told of the limit that stopped it, and had no time for a result.
#[test]
fn b_q_4_a_usage_limit_without_a_result_holds_until_its_end() {
    let at = NOW.plus(Millis::secs(7200));
    let event = |status: &str, number: i64| {
        format!(
            "{{\"type\":\"rate_limit_event\",\"rate_limit_info\":{{\"status\":\"{status}\",\"resetsAt\":{number},\"rateLimitType\":\"five_hour\"}},\"session_id\":\"s\"}}\n"
        )
    };
    let init = "{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s\",\"model\":\"m\"}\n";
    let says = |model: &str, text: &str| {
        format!(
            "{{\"type\":\"assistant\",\"message\":{{\"model\":\"{model}\",\"content\":[{{\"type\":\"text\",\"text\":\"{text}\"}}]}},\"session_id\":\"s\"}}\n"
        )
    };
    let until = |log: &str| match both(1, log.as_bytes(), Output::Claude) {
        RunEnd::Limited { until, .. } => Some(until),
        _ => None,
    };
    let (work, own) = (says("m", "at work"), says("<synthetic>", "You have hit your limit"));
    for number in [at.0, at.0 / 1000] {
        let rejected = event("rejected", number);
        for log in [
            rejected.clone(),
            format!("{init}{work}{rejected}"),
            format!("{init}{work}{rejected}Error: the process ends\n"),
            format!("{init}{rejected}{own}"),
            format!("{init}{rejected}{own}{{\"type\":\"result\",\"subt"),
        ] {
            assert_eq!(until(&log), Some(at), "{log}");
        }
        let told = both(1, format!("{init}{rejected}").as_bytes(), Output::Claude);
        assert!(told.detail().contains("stopped by its usage limit"), "{told:?}");
    }
    // It went on, a warning is none, and the next session has heard of none. Without structure the words alone count.
    let until = |log: &str| match end(Some(1), log.as_bytes(), Output::Claude) {
        RunEnd::Limited { until, .. } => Some(until),
        _ => None,
    };
    for log in [
        format!("{init}{}{work}", event("rejected", at.0)),
        format!("{init}{}{}", event("rejected", at.0), event("allowed", at.0)),
        format!("{init}{}", event("allowed_warning", at.0)),
        format!("{init}{}{init}", event("rejected", at.0)),
    ] {
        assert_eq!(until(&log), None, "{log}");
    }
    // Without a time it is weather with the longest wait there is.
    let timeless = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected"},"session_id":"s"}"#;
    let end = both(1, timeless.as_bytes(), Output::Claude);
    assert!(
        matches!(
            end,
            RunEnd::Transient {
                retry_after: Some(Millis(i64::MAX)),
                ..
            }
        ),
        "{end:?}"
    );
}

#[test]
fn refused_tools_are_told() {
    let (_, log) = live("tool-default");
    let report = of(&log, Output::Claude);
    assert_eq!(
        (report.notes.denied, report.notes.denials.as_slice()),
        (1, &["Write".to_owned()][..])
    );
    assert_eq!(report.notes.refused().as_deref(), Some("Write (1 call)"));
    // Whole files that were to be written stand in the result: more than the tail of a log holds.
    let large = String::from_utf8_lossy(&log).replace("hello from stub", &"x".repeat(300_000));
    assert_eq!(of(large.as_bytes(), Output::Claude), report);
}

#[test]
fn other_agents() {
    let codex = of(&fixture("codex_exec_stream.jsonl"), Output::Codex);
    assert_eq!(codex.ending, Some(Ending::Success));
    assert_eq!(
        (codex.usage.input_tokens, codex.usage.output_tokens, codex.notes.cached_tokens),
        (24763, 122, 24448)
    );
    assert_eq!(codex.notes.session.as_deref(), Some("0199a213-81c0-7800-8aa1-bbab2a035a53"));
    assert_eq!(both(0, &fixture("codex_exec_stream.jsonl"), Output::Codex), RunEnd::Ok);
    let end = both(1, &fixture("codex_exec_failed_tail.jsonl"), Output::Codex);
    assert!(
        end.outcome() == "transient" && end.detail().contains("stream disconnected"),
        "{end:?}"
    );
    let limit = br#"{"type":"turn.failed","error":{"message":"You've hit your usage limit. Try again in 3 hours 12 minutes."}}"#;
    let until = NOW.plus(Millis::secs(3 * 3600 + 720));
    assert!(matches!(both(1, limit, Output::Codex), RunEnd::Limited { until: at, .. } if at == until));

    assert_eq!(both(0, &fixture("gemini_json.json"), Output::Gemini), RunEnd::Ok);
    assert_eq!(both(1, &fixture("gemini_json_error.json"), Output::Gemini).outcome(), "transient");
    let stream = br#"{"type":"init","timestamp":"t","session_id":"s-1","model":"gemini-2.5-pro"}
{"type":"message","role":"assistant","content":"we met a 429","delta":true}
{"type":"result","timestamp":"t","status":"success","stats":{"total_tokens":30,"input_tokens":20,"output_tokens":10,"cached":5,"duration_ms":900,"tool_calls":1}}"#;
    let gemini = of(stream, Output::Gemini);
    assert_eq!(
        (gemini.usage.input_tokens, gemini.usage.output_tokens, gemini.notes.cached_tokens),
        (20, 10, 5)
    );
    assert_eq!(
        (gemini.notes.model.as_deref(), gemini.notes.session.as_deref()),
        (Some("gemini-2.5-pro"), Some("s-1"))
    );
    assert_eq!(both(0, stream, Output::Gemini), RunEnd::Ok);

    let opencode = of(&fixture("opencode_stream.jsonl"), Output::OpenCode);
    assert_eq!((opencode.usage.input_tokens, opencode.usage.output_tokens), (100, 20));
    assert!((opencode.usage.cost_usd - 0.0123).abs() < 1e-9);
    assert_eq!(both(0, &fixture("opencode_stream.jsonl"), Output::OpenCode), RunEnd::Ok);
    let error = br#"{"type":"error","timestamp":1,"sessionID":"ses_01","error":{"name":"APIError","data":{"message":"slow down","statusCode":429}}}"#;
    assert_eq!(both(1, error, Output::OpenCode).outcome(), "transient");
}

#[test]
fn other_agents_live() {
    // It lost the network and was still waiting for it when it was ended.
    let lost = fixture("other_live/codex_no_network.jsonl");
    assert!(matches!(of(&lost, Output::Codex).ending, Some(Ending::Failure(_))));
    assert_eq!(end(Some(0), &lost, Output::Codex).outcome(), "failed");
    let auth = end(Some(41), &fixture("other_live/gemini_no_credentials.txt"), Output::Gemini);
    assert!(
        auth.outcome() == "failed" && auth.detail().contains("set an Auth method"),
        "{auth:?}"
    );
    let auth = end(Some(41), &fixture("other_live/gemini_stream_no_credentials.txt"), Output::Gemini);
    assert!(
        auth.outcome() == "failed" && auth.detail().contains("Invalid auth method"),
        "{auth:?}"
    );
}

#[test]
fn the_exit_status_alone_is_no_success() {
    for output in [Output::Claude, Output::Codex, Output::Gemini, Output::OpenCode] {
        for log in [
            &b""[..],
            b"Done.\n",
            b"\xff\xfe{\"type\":\"result\"",
            br#"{"type":"system","subtype":"init"}"#,
        ] {
            let end = end(Some(0), log, output);
            assert!(end.outcome() == "failed" && end.detail().contains("no whole result"), "{end:?}");
        }
    }
    assert_eq!(end(Some(0), b"Done.\n", Output::Text), RunEnd::Ok);
    assert_eq!(end(Some(0), b"Done.\n", Output::Auto), RunEnd::Ok);
    let (_, failed) = live("loop-turns");
    assert_eq!(end(Some(0), &failed, Output::Text), RunEnd::Ok, "told to look at nothing else");
}

#[test]
fn a_model_that_mentions_weather_is_not_weather() {
    // B-Q 5, where the result itself is missing: what the model wrote says nothing, standard error does.
    let said = r#"{"type":"assistant","message":{"content":[{"type":"text","text":"fixed the 429 and the request timed out"}]}}"#;
    assert_eq!(end(Some(1), said.as_bytes(), Output::Claude).outcome(), "failed");
    let noisy = format!("{said}\nError: connection reset by peer\n");
    assert_eq!(end(Some(1), noisy.as_bytes(), Output::Claude).outcome(), "transient");
    let (_, ok) = live("ok-stream");
    let mentions = String::from_utf8_lossy(&ok).replace("Hi from the stub.", "API Error: 429, overloaded");
    assert_eq!(end(Some(0), mentions.as_bytes(), Output::Claude), RunEnd::Ok);
    assert_eq!(end(Some(1), mentions.as_bytes(), Output::Claude).outcome(), "failed");
}

#[test]
fn a_large_log_is_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let path = dir.path().join("7.log");
    let (_, ok) = live("ok-stream");
    let long = format!("{{\"type\":\"user\",\"message\":\"{}\"}}\n", "y".repeat(9 * 1024 * 1024));
    let log = [long.as_bytes(), b"\0\0\0\xff noise without end ", b"\n", &ok].concat();
    std::fs::write(&path, &log).unwrap_or_else(|e| panic!("{e}"));
    let report = read(&path, Output::Claude).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((report.ending.clone(), report), (Some(Ending::Success), of(&ok, Output::Claude)));
    assert!(read(&dir.path().join("none"), Output::Claude).is_err());
    assert_eq!(read(&path, Output::Text).unwrap_or_else(|e| panic!("{e}")), Report::default());
}

/// Logs that end in a failure, some after an earlier result that was none.
fn failures() -> Vec<(Output, Vec<u8>)> {
    let ok = live("ok-stream").1;
    let mut all: Vec<(Output, Vec<u8>)> = ["e529", "e429ra120", "int-slow", "loop-turns", "budget", "ecredit"]
        .iter()
        .flat_map(|name| {
            let failed = live(name).1;
            // A single document has nothing before it.
            let streamed = failed.windows(6).any(|w| w == br#""init""#);
            let after_success = streamed.then(|| (Output::Claude, [ok.clone(), failed.clone()].concat()));
            [(Output::Claude, failed)].into_iter().chain(after_success)
        })
        .collect();
    let codex = [fixture("codex_exec_stream.jsonl"), fixture("codex_exec_failed_tail.jsonl")].concat();
    all.push((Output::Codex, codex));
    all.push((Output::Gemini, fixture("gemini_json_error.json")));
    all
}

#[test]
fn no_cut_makes_a_failure_a_success() {
    for (output, log) in failures() {
        // Up to where the failure begins, what is left may rightly be a success.
        let from = match output {
            Output::Codex => fixture("codex_exec_stream.jsonl").len() + 1,
            _ => log.windows(16).rposition(|w| w == br#"{"type":"result""#).map_or(0, |at| at + 1),
        };
        for at in (from..=log.len()).step_by(1 + log.len() / 2000) {
            let report = of(&log[..at], output);
            assert_ne!(
                report.ending,
                Some(Ending::Success),
                "cut at {at}: {}",
                String::from_utf8_lossy(&log[from - from.min(1)..at])
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        for (_, output) in Output::ALL {
            let end = end(Some(0), &bytes, output);
            prop_assert!(end.outcome() == "ok" || !matches!(output, Output::Auto | Output::Text));
        }
    }

    #[test]
    fn inserted_bytes_make_no_success(which in 0_usize..11, at in any::<prop::sample::Index>(), noise in proptest::collection::vec(any::<u8>(), 1..40)) {
        let all = failures();
        let (output, log) = &all[which % all.len()];
        let from = log.windows(16).rposition(|w| w == br#"{"type":"result""#).unwrap_or(0);
        let from = if *output == Output::Codex { fixture("codex_exec_stream.jsonl").len() } else { from };
        let at = from + at.index(log.len() - from);
        let spoilt = [&log[..at], &noise, &log[at..]].concat();
        prop_assert_ne!(of(&spoilt, *output).ending, Some(Ending::Success));
    }
}
