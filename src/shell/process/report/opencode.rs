//! OpenCode: `opencode run --format json`.

use serde_json::Value;

use super::{Ending, Failure, Kind, Parser, Report, count, denied, limits, money, name, plain, word};

/// What its lines have come to.
#[derive(Default)]
pub(super) struct OpenCode {
    report: Report,
}

impl Parser for OpenCode {
    fn take(&mut self, doc: &Value, named: bool) -> bool {
        if !named && doc.get("sessionID").is_none() {
            return false;
        }
        let part = doc.get("part").unwrap_or(&Value::Null);
        let ending = match word(doc, "type") {
            "step_start" => {
                self.report.notes.session = name(doc, "sessionID");
                None
            }
            "step_finish" => {
                self.step(part);
                match word(part, "reason") {
                    "stop" => Some(Ending::Success),
                    // It goes on.
                    "tool-calls" => None,
                    other => Some(Ending::Failure(Failure::new(
                        Kind::Unknown,
                        format!("the last step ended with `{other}`"),
                    ))),
                }
            }
            "error" => Some(failure(doc.get("error").unwrap_or(&Value::Null))),
            "done" => self.done(doc),
            _ => return false,
        };
        self.report.ending = ending;
        true
    }

    fn report(&self) -> Report {
        self.report.clone()
    }
}

impl OpenCode {
    fn step(&mut self, part: &Value) {
        let tokens = part.get("tokens").unwrap_or(&Value::Null);
        let cache = tokens.get("cache").unwrap_or(&Value::Null);
        let read = count(cache, "read");
        let input = count(tokens, "input").saturating_add(read).saturating_add(count(cache, "write"));
        let output = count(tokens, "output").saturating_add(count(tokens, "reasoning"));
        let (usage, notes) = (&mut self.report.usage, &mut self.report.notes);
        usage.input_tokens = usage.input_tokens.saturating_add(input);
        usage.output_tokens = usage.output_tokens.saturating_add(output);
        usage.cost_usd += money(part, "cost");
        notes.cached_tokens = notes.cached_tokens.saturating_add(read);
        notes.turns = notes.turns.saturating_add(1);
    }

    /// The session is over: it may be so after an error, too.
    fn done(&mut self, doc: &Value) -> Option<Ending> {
        for call in doc.get("rejected").and_then(Value::as_array).into_iter().flatten() {
            let tool = ["permission", "tool", "type"]
                .into_iter()
                .map(|key| word(call, key))
                .find(|w| !w.is_empty());
            denied(&mut self.report.notes, tool.or_else(|| call.as_str()).unwrap_or_default());
        }
        match (word(doc, "reason"), self.report.ending.take()) {
            ("idle", ending) => ending,
            (_, Some(Ending::Failure(failure))) => Some(Ending::Failure(failure)),
            (reason, _) => Some(Ending::Failure(Failure::new(
                Kind::Unknown,
                format!("the session ended with `{reason}`"),
            ))),
        }
    }
}

fn failure(error: &Value) -> Ending {
    let data = error.get("data").unwrap_or(error);
    let text = data.get("message").map_or_else(|| plain(error), plain);
    let code = data.get("statusCode").and_then(Value::as_u64);
    let kind = match word(error, "name") {
        "ProviderAuthError" => Kind::Lasting("its credentials are not accepted"),
        "MessageAbortedError" => Kind::Lasting("it was interrupted"),
        _ => limits::usage_limit(&text).map_or_else(|| limits::kind(code, &text), Kind::Limit),
    };
    let code = code.map(|c| format!("API status {c}: ")).unwrap_or_default();
    Ending::Failure(Failure::new(kind, format!("{code}{text}")))
}
