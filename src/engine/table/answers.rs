//! What gates say in the table: as told; people, time and commands as they are; else well.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::engine::model::{Name, Task};
use crate::engine::rules::{GateKind, Ruleset};
use crate::engine::scenario::answers::{Said, nothing_due};
use crate::engine::step::{Answer, Answers, FromFacts, Outcome};

/// Answers of the table.
pub(super) struct Told<'a> {
    pub rules: &'a Ruleset,
    /// Outcomes told, by gate.
    pub said: &'a Said,
    /// People, time, and commands of which nothing is told.
    pub facts: FromFacts<'a>,
    /// Gates that were asked.
    pub asked: &'a RefCell<BTreeSet<Name>>,
}

/// What a command is told to say when its own result is to count.
pub(super) const ITS_OWN: &str = "(its own)";

impl Answers for Told<'_> {
    fn answer(&self, task: &Task, gate: &Name) -> Answer {
        self.of(task, gate, 0)
    }
}

impl Told<'_> {
    fn of(&self, task: &Task, gate: &Name, depth: u8) -> Answer {
        self.asked.borrow_mut().insert(gate.clone());
        let kind = self.rules.gates.get(gate).map(|g| &g.kind);
        match self.said.get(gate) {
            Some(own) if own == ITS_OWN => return self.facts.answer(task, gate),
            Some(outcome) => return self.told(task, gate, outcome),
            None => {}
        }
        match kind {
            Some(GateKind::Human { .. } | GateKind::Wait { .. }) | None => self.facts.answer(task, gate),
            Some(GateKind::FirstOf(inner)) if depth < 16 => self.first(task, inner, depth, |o| *o != Outcome::Other(Name::new("none"))),
            Some(GateKind::AllOf(inner)) if depth < 16 => self.first(task, inner, depth, |o| *o != Outcome::Ok),
            Some(_) => Answer::new(gate, Outcome::Ok),
        }
    }

    /// The first member whose outcome `decides`, else the last one.
    fn first(&self, task: &Task, inner: &[Name], depth: u8, decides: impl Fn(&Outcome) -> bool) -> Answer {
        let mut last = Answer::new(&Name::default(), Outcome::Ok);
        for member in inner {
            last = self.of(task, member, depth + 1);
            if decides(&last.outcome) {
                break;
            }
        }
        last
    }

    fn told(&self, task: &Task, gate: &Name, outcome: &Name) -> Answer {
        let found = self.rules.gates.get(gate);
        let waits = outcome == "unreachable" || found.is_some_and(|g| g.waits.contains(outcome));
        let said = match outcome.as_str() {
            "ok" => Outcome::Ok,
            _ if waits => Outcome::Wait(outcome.clone()),
            _ => Outcome::Other(outcome.clone()),
        };
        let kind = found.map(|g| &g.kind);
        let runs = waits && matches!(kind, Some(GateKind::Command { .. }));
        Answer {
            nothing_due: kind.is_some_and(|k| nothing_due(k, outcome)),
            // Whether it is queued already is the engine's to know.
            command: if runs { self.facts.answer(task, gate).command } else { None },
            ..Answer::new(gate, said)
        }
    }
}
