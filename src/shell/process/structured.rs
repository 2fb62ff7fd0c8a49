//! What an agent's own machine-readable output says about its run.

use serde_json::Value;

use crate::engine::model::Usage;

/// An agent's own result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether it says that all went well.
    pub(super) ok: bool,
    /// What it says went wrong: the only text in which weather is looked for.
    pub(super) text: String,
}

/// The last result in the tail of a log, if its agent writes any.
pub(super) fn verdict(tail: &str) -> Option<Verdict> {
    documents(tail).filter_map(|doc| one_verdict(&doc)).last()
}

/// What the run cost, as far as the tail of its log tells.
#[must_use]
pub fn usage(tail: &str) -> Usage {
    documents(tail).filter_map(|doc| one_usage(&doc)).last().unwrap_or_default()
}

/// JSON objects of the log: one a line, elements of an array, or a last one spread over lines.
fn documents(tail: &str) -> impl Iterator<Item = Value> {
    let mut found = Vec::new();
    for line in tail.lines() {
        match serde_json::from_str::<Value>(line.trim()) {
            Ok(Value::Array(items)) => found.extend(items),
            Ok(doc @ Value::Object(_)) => found.push(doc),
            // A line whose beginning was cut off, or that a plain text precedes.
            _ => found.extend(line.rfind(r#"{"type":"result""#).and_then(|at| first_object(&line[at..]))),
        }
    }
    if found.is_empty() {
        found.extend(
            tail.rfind("\n{\n")
                .map(|at| at + 1)
                .or_else(|| tail.starts_with("{\n").then_some(0))
                .and_then(|at| first_object(&tail[at..])),
        );
    }
    found.into_iter()
}

fn first_object(text: &str) -> Option<Value> {
    serde_json::Deserializer::from_str(text).into_iter::<Value>().next()?.ok()
}

fn one_verdict(doc: &Value) -> Option<Verdict> {
    let kind = doc.get("type").and_then(Value::as_str).unwrap_or_default();
    match kind {
        "result" => {
            let failed = doc.get("is_error").and_then(Value::as_bool).unwrap_or(false);
            let subtype = doc.get("subtype").and_then(Value::as_str).unwrap_or_default();
            let status = doc
                .get("api_error_status")
                .filter(|s| !s.is_null())
                .map(|s| format!("API Error: {s} "))
                .unwrap_or_default();
            let text = [doc.get("result"), doc.get("errors")]
                .into_iter()
                .flatten()
                .map(plain)
                .collect::<Vec<_>>()
                .join("\n");
            Some(Verdict {
                ok: !failed && subtype == "success",
                text: format!("{subtype}: {status}{text}"),
            })
        }
        "turn.completed" => Some(Verdict {
            ok: true,
            text: String::new(),
        }),
        "turn.failed" => Some(Verdict {
            ok: false,
            text: plain(doc.get("error")?),
        }),
        "" if doc.get("response").is_some() && doc.get("session_id").is_some() => Some(Verdict {
            ok: true,
            text: String::new(),
        }),
        "" if doc.get("session_id").is_some() => Some(Verdict {
            ok: false,
            text: plain(doc.get("error")?),
        }),
        _ => None,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn one_usage(doc: &Value) -> Option<Usage> {
    let kind = doc.get("type").and_then(Value::as_str)?;
    let usage = doc.get("usage").filter(|_| matches!(kind, "result" | "turn.completed"))?;
    let tokens = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    let input = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
    Some(Usage {
        input_tokens: input.into_iter().map(tokens).fold(0, u64::saturating_add),
        output_tokens: tokens("output_tokens"),
        cost_usd: doc
            .get("total_cost_usd")
            .and_then(Value::as_f64)
            .filter(|c| c.is_finite() && *c >= 0.0)
            .unwrap_or(0.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_found_in_every_wrapping() {
        let result = r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":529,"result":"API Error: Overloaded"}"#;
        let wrapped = [
            format!("noise\n{result}\ntrailing"),
            format!(r#"[{{"type":"system"}},{result}]"#),
            format!(r#"cut off"}},{result}]"#),
        ];
        for text in wrapped {
            let got = verdict(&text).unwrap_or_else(|| panic!("nothing found in {text}"));
            assert!(!got.ok && got.text.contains("529") && got.text.contains("Overloaded"), "{got:?}");
        }
        assert_eq!(verdict(r#"{"type":"assistant","text":"429"}"#), None);
        assert_eq!(verdict("plain text {"), None);
    }

    #[test]
    fn other_agents_results() {
        let failed = r#"{"type":"turn.failed","error":{"message":"stream disconnected"}}"#;
        assert!(verdict(failed).is_some_and(|v| !v.ok && v.text.contains("stream disconnected")));
        let pretty = "warning\n{\n  \"session_id\": \"x\",\n  \"error\": {\"message\": \"quota exceeded\", \"code\": 429}\n}\n";
        assert!(verdict(pretty).is_some_and(|v| !v.ok && v.text.contains("quota")));
        assert!(verdict(r#"{"session_id":"x","response":"Done."}"#).is_some_and(|v| v.ok));
    }

    #[test]
    fn usage_is_the_last_one() {
        let text = r#"{"type":"result","usage":{"input_tokens":5,"cache_read_input_tokens":10,"output_tokens":7},"total_cost_usd":0.25}"#;
        assert_eq!(
            usage(text),
            Usage {
                input_tokens: 15,
                output_tokens: 7,
                cost_usd: 0.25
            }
        );
        assert_eq!(usage("nothing"), Usage::default());
    }
}
