//! Codex: `codex exec --json`.

use serde_json::Value;

use super::{Counted, Ending, Failure, Parser, Report, count, denied, limits, name, plain, word};
use crate::engine::model::Usage;

/// What its lines have come to.
#[derive(Default)]
pub(super) struct Codex {
    report: Report,
    counted: Counted,
    seen: bool,
}

impl Parser for Codex {
    fn take(&mut self, doc: &Value, named: bool) -> bool {
        let notes = &mut self.report.notes;
        let ending = match word(doc, "type") {
            "thread.started" => {
                notes.session = name(doc, "thread_id");
                None
            }
            "turn.started" => None,
            "turn.completed" => {
                notes.turns = notes.turns.saturating_add(1);
                if let Some(usage) = doc.get("usage") {
                    let used = Usage {
                        input_tokens: count(usage, "input_tokens"),
                        output_tokens: count(usage, "output_tokens"),
                        cost_usd: 0.0,
                    };
                    self.report.usage = self.counted.take(notes.session.clone(), used);
                    notes.cached_tokens = count(usage, "cached_input_tokens");
                }
                Some(Ending::Success)
            }
            "turn.failed" => Some(failure(doc.get("error"))),
            // A hiccup that it recovers from is told in the same way: what follows decides.
            "error" if named || self.seen => Some(failure(doc.get("message"))),
            "item.completed" => {
                let item = doc.get("item").unwrap_or(&Value::Null);
                if word(item, "status") == "declined" {
                    denied(notes, word(item, "type"));
                }
                return false;
            }
            _ => return false,
        };
        self.seen = true;
        self.report.ending = ending;
        true
    }

    fn report(&self) -> Report {
        self.report.clone()
    }
}

fn failure(error: Option<&Value>) -> Ending {
    let text = error.map(|e| e.get("message").map_or_else(|| plain(e), plain)).unwrap_or_default();
    Ending::Failure(Failure::new(limits::of_text(&text), text))
}
