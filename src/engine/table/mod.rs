//! The decision table of a pipeline: stage × standing × event × outcome → decision.
//!
//! Every row is what the engine's own `step` does, from a task put into that standing; nothing
//! here decides anything. Texts are shown by the names of their messages.

mod answers;
mod cases;
mod given;
mod keys;
mod rows;
mod standing;
mod text;
mod then;
mod world;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::Serialize;

pub use text::text;

use crate::engine::model::Name;
use crate::engine::rules::Ruleset;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The stage at which it happens.
    pub stage: String,
    /// How the task stands there.
    pub standing: String,
    /// What happens, with the outcome of gates where they are asked.
    pub when: String,
    /// What else is the case; empty: nothing out of the ordinary.
    pub given: String,
    /// What follows.
    pub then: String,
    /// The keys of the rules that it rests on, as `show --origin` spells them.
    pub keys: BTreeSet<String>,
    /// The keys by which a task comes to stand there at all.
    pub reached: BTreeSet<String>,
}

impl Row {
    /// What tells a row from the others of its table.
    #[must_use]
    pub fn key(&self) -> (&str, &str, &str, &str) {
        (&self.stage, &self.standing, &self.when, &self.given)
    }
}

/// The whole table, in the order of the flow.
#[must_use]
pub fn table(rules: &Ruleset) -> Vec<Row> {
    rows::rows(&named(rules))
}

/// The rules with every text replaced by its own name.
fn named(rules: &Ruleset) -> Ruleset {
    let mut named = rules.clone();
    for (name, text) in &mut named.messages {
        let words = name.replace('.', " ");
        let rounds = "{% if max > 1 and attempt <= max %} {{ attempt }}/{{ max }}{% endif %}";
        let extra = match name.as_str() {
            "comment.relaunch_hole" => " ({{ detail }}; {{ text }})",
            "comment.auto_passed" | "comment.auto_suspended" => " ({{ outcome }}, {{ detail }})",
            _ => "",
        };
        *text = format!("{words}{rounds}{extra}");
    }
    named
}

/// Whether a bounded edge leads to the stage: then a task can arrive there with its counter spent.
fn is_target(rules: &Ruleset, stage: &Name) -> bool {
    let to = crate::engine::rules::To::Stage(stage.clone());
    let edges = rules.stages.values().flat_map(|s| s.on.values()).chain(rules.on.values());
    let mut bounded = edges.filter(|e| e.uses.is_some());
    bounded.any(|e| e.to.as_ref() == Some(&to))
}
