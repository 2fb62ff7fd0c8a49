//! Claude Code: `--output-format json` or `stream-json`.

use serde_json::Value;

use super::{Counted, Ending, Failure, Kind, Parser, Report, count, denied, limits, money, name, plain, word};
use crate::engine::model::{AgentNotes, Millis, Usage};

/// What its lines have come to.
#[derive(Default)]
pub(super) struct Claude {
    report: Report,
    counted: Counted,
    /// A usage limit that the service has told of and not taken back: when it ends, if known.
    rejected: Option<Option<Millis>>,
    /// Nothing of the model came after that: it is what the agent ended of, should it give no result.
    stopped: bool,
}

impl Parser for Claude {
    fn take(&mut self, doc: &Value, named: bool) -> bool {
        match (word(doc, "type"), word(doc, "subtype")) {
            ("system", "init") => {
                self.report.notes.model = name(doc, "model");
                self.report.notes.session = name(doc, "session_id");
                (self.rejected, self.stopped) = (None, false);
                self.goes_on()
            }
            // Background work may bring another turn, which ends with a result of its own.
            ("assistant" | "user", _) if named || doc.get("session_id").is_some() => {
                // The agent's own words about the limit are no sign that the model answers again.
                self.stopped &= doc.get("message").is_some_and(|m| word(m, "model") == "<synthetic>");
                self.goes_on()
            }
            ("rate_limit_event", _) => {
                self.limit(doc.get("rate_limit_info").unwrap_or(&Value::Null));
                false
            }
            // Another agent's result has no subtype.
            ("result", subtype) if named || !subtype.is_empty() => {
                self.result(doc, subtype);
                true
            }
            _ => false,
        }
    }

    fn report(&self) -> Report {
        Report {
            stopped: self.rejected.filter(|_| self.stopped && self.report.ending.is_none()),
            ..self.report.clone()
        }
    }
}

impl Claude {
    /// Whatever it said before, it is at work.
    fn goes_on(&mut self) -> bool {
        self.report.ending = None;
        true
    }

    fn limit(&mut self, info: &Value) {
        let until = info.get("resetsAt").and_then(limits::moment);
        self.rejected = (word(info, "status") == "rejected" && !info["isUsingOverage"].as_bool().unwrap_or(false)).then_some(until);
        self.stopped = self.rejected.is_some();
    }

    fn result(&mut self, doc: &Value, subtype: &str) {
        let status = doc.get("api_error_status").filter(|s| !s.is_null());
        // Whoever leaves it out has not said that it went well.
        let error = doc.get("is_error").and_then(Value::as_bool).unwrap_or(true);
        self.report.ending = Some(if !error && subtype == "success" && status.is_none() {
            Ending::Success
        } else {
            Ending::Failure(self.failure(doc, subtype, status))
        });
        self.report.usage = self.counted.take(name(doc, "session_id"), usage(doc));
        let notes = &mut self.report.notes;
        notes.turns = u32::try_from(count(doc, "num_turns")).unwrap_or(u32::MAX);
        notes.millis = count(doc, "duration_ms");
        notes.cached_tokens = doc.get("usage").map_or(0, |u| count(u, "cache_read_input_tokens"));
        notes.session = name(doc, "session_id").or_else(|| notes.session.take());
        let models = doc.get("modelUsage").and_then(Value::as_object);
        let dearest = models.and_then(|m| m.iter().max_by(|a, b| money(a.1, "costUSD").total_cmp(&money(b.1, "costUSD"))));
        if let Some((model, _)) = dearest {
            notes.model = Some(super::short(model));
        }
        denials(doc, notes);
    }

    fn failure(&self, doc: &Value, subtype: &str, status: Option<&Value>) -> Failure {
        let said = ["result", "errors"].into_iter().filter_map(|key| doc.get(key)).map(plain);
        let said = said.collect::<Vec<_>>().join("\n");
        let reason = word(doc, "terminal_reason");
        let code = status.and_then(Value::as_u64);
        let kind = match subtype {
            "error_max_turns" => Kind::Lasting("its turns are used up"),
            "error_max_budget_usd" => Kind::Lasting("its budget is used up"),
            "error_during_execution" if reason.starts_with("aborted") => Kind::Lasting("it was interrupted"),
            _ if reason == "prompt_too_long" => Kind::Lasting("the prompt is too long"),
            _ => match (limits::usage_limit(&said), self.rejected) {
                (None, None) => match limits::kind(code, &said) {
                    Kind::Unknown if subtype == "error_during_execution" && !reason.ends_with("_error") && !limits::of_service(&said) => {
                        Kind::Work
                    }
                    kind => kind,
                },
                (Some(None) | None, Some(until)) => Kind::Limit(until),
                (Some(until), _) => Kind::Limit(until),
            },
        };
        let status = status.map(|s| format!("API status {s}: ")).unwrap_or_default();
        Failure::new(kind, format!("{subtype}: {status}{said}"))
    }
}

fn usage(doc: &Value) -> Usage {
    let usage = doc.get("usage").unwrap_or(&Value::Null);
    let input = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
    Usage {
        input_tokens: input.into_iter().map(|key| count(usage, key)).fold(0, u64::saturating_add),
        output_tokens: count(usage, "output_tokens"),
        cost_usd: money(doc, "total_cost_usd"),
    }
}

fn denials(doc: &Value, notes: &mut AgentNotes) {
    (notes.denied, notes.denials) = (0, Vec::new());
    for denial in doc.get("permission_denials").and_then(Value::as_array).into_iter().flatten() {
        denied(notes, word(denial, "tool_name"));
    }
}
