//! Gemini CLI: `--output-format json` or `stream-json`.

use serde_json::Value;

use super::{Ending, Failure, Parser, Report, count, limits, name, plain, word};
use crate::engine::model::Usage;

/// What its lines have come to.
#[derive(Default)]
pub(super) struct Gemini {
    report: Report,
}

impl Parser for Gemini {
    fn take(&mut self, doc: &Value, named: bool) -> bool {
        let ending = match word(doc, "type") {
            "init" if doc.get("session_id").is_some() => {
                self.report.notes.model = name(doc, "model");
                self.report.notes.session = name(doc, "session_id");
                return false;
            }
            "result" if doc.get("subtype").is_none() && (named || doc.get("status").is_some()) => {
                self.streamed(doc.get("stats").unwrap_or(&Value::Null));
                match word(doc, "status") {
                    "success" if no_error(doc) => Ending::Success,
                    _ => failure(doc.get("error")),
                }
            }
            // The whole answer in one document, which has no type.
            "" if doc.get("session_id").is_some() || (named && doc.get("stats").is_some()) => {
                self.whole(doc);
                match doc.get("response") {
                    Some(_) if no_error(doc) => Ending::Success,
                    _ => failure(doc.get("error")),
                }
            }
            "" if named && doc.get("error").is_some() => failure(doc.get("error")),
            _ => return false,
        };
        self.report.ending = Some(ending);
        true
    }

    fn report(&self) -> Report {
        self.report.clone()
    }
}

impl Gemini {
    fn streamed(&mut self, stats: &Value) {
        self.report.usage = Usage {
            input_tokens: count(stats, "input_tokens"),
            output_tokens: count(stats, "output_tokens"),
            cost_usd: 0.0,
        };
        self.report.notes.cached_tokens = count(stats, "cached");
        self.report.notes.millis = count(stats, "duration_ms");
    }

    fn whole(&mut self, doc: &Value) {
        self.report.notes.session = name(doc, "session_id");
        let models = doc.get("stats").and_then(|s| s.get("models")).and_then(Value::as_object);
        let mut most = 0;
        for (model, stats) in models.into_iter().flatten() {
            let tokens = stats.get("tokens").unwrap_or(&Value::Null);
            let (input, output) = (count(tokens, "prompt"), count(tokens, "candidates"));
            let usage = &mut self.report.usage;
            usage.input_tokens = usage.input_tokens.saturating_add(input);
            usage.output_tokens = usage.output_tokens.saturating_add(output);
            let notes = &mut self.report.notes;
            notes.cached_tokens = notes.cached_tokens.saturating_add(count(tokens, "cached"));
            if notes.model.is_none() || input > most {
                notes.model = Some(super::short(model));
                most = input;
            }
        }
    }
}

fn no_error(doc: &Value) -> bool {
    doc.get("error").is_none_or(Value::is_null)
}

fn failure(error: Option<&Value>) -> Ending {
    let error = error.unwrap_or(&Value::Null);
    let text = error.get("message").map_or_else(|| plain(error), plain);
    let code = error.get("code").and_then(Value::as_u64).filter(|c| (400..600).contains(c));
    let kind = match word(error, "type") {
        "FatalTurnLimitedError" => super::Kind::Lasting("its turns are used up"),
        "FatalAuthenticationError" => super::Kind::Lasting("its credentials are not accepted"),
        _ => limits::usage_limit(&text).map_or_else(|| limits::kind(code, &text), super::Kind::Limit),
    };
    let code = code.map(|c| format!("API status {c}: ")).unwrap_or_default();
    Ending::Failure(Failure::new(kind, format!("{code}{text}")))
}
