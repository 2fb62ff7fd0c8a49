//! What gates say: as told; people and time as they are; everything else well.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::engine::model::{Name, Task};
use crate::engine::rules::{FilesClause, GateKind, Ruleset};
use crate::engine::step::{Answer, Answers, FromFacts, Outcome};

/// Outcomes that the story has told, by gate.
pub(in crate::engine) type Said = BTreeMap<Name, Name>;

/// Answers of a story.
pub(super) struct Stage<'a> {
    pub rules: &'a Ruleset,
    /// Outcomes told and not yet overtaken.
    pub said: &'a Said,
    /// Words that go with them.
    pub words: &'a str,
    /// People and time.
    pub facts: FromFacts<'a>,
    /// Gates that were asked, at which stage and how they answered.
    pub asked: &'a RefCell<BTreeSet<(Name, Name, Name)>>,
}

impl Answers for Stage<'_> {
    fn answer(&self, task: &Task, gate: &Name) -> Answer {
        let answer = self.of(task, gate, 0);
        let asked = (task.control.stage.clone(), gate.clone(), answer.outcome.name());
        self.asked.borrow_mut().insert(asked);
        answer
    }
}

impl Stage<'_> {
    fn of(&self, task: &Task, gate: &Name, depth: u8) -> Answer {
        if let Some(outcome) = self.said.get(gate) {
            return self.told(gate, outcome);
        }
        let kind = self.rules.gates.get(gate).map(|g| &g.kind);
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

    fn told(&self, gate: &Name, outcome: &Name) -> Answer {
        let found = self.rules.gates.get(gate);
        let waits = outcome == "unreachable" || found.is_some_and(|g| g.waits.contains(outcome));
        let said = match outcome.as_str() {
            "ok" => Outcome::Ok,
            _ if waits => Outcome::Wait(outcome.clone()),
            _ => Outcome::Other(outcome.clone()),
        };
        let detail = if self.words.is_empty() {
            "as the scenario tells"
        } else {
            self.words
        };
        Answer {
            detail: detail.to_owned(),
            text: self.words.to_owned(),
            nothing_due: found.is_some_and(|g| nothing_due(&g.kind, outcome)),
            ..Answer::new(gate, said)
        }
    }
}

/// Whether this outcome means that the round left unwritten what the gate reads.
pub(in crate::engine) fn nothing_due(kind: &GateKind, outcome: &Name) -> bool {
    match kind {
        GateKind::Files(clauses) => clauses.iter().any(|c| matches!(c, FilesClause::Else(o) if o == outcome)),
        GateKind::Frontmatter { .. } | GateKind::Script { .. } => outcome == "unreadable",
        _ => false,
    }
}
