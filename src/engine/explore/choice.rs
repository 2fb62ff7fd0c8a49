//! Gates answered by choice: every way a step can go is walked by trying all of them in turn.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::engine::model::{Event, Facts, Millis, Name, Task};
use crate::engine::rules::{FilesClause, Gate, GateKind, Ruleset};
use crate::engine::step::{Answer, Answers, FromFacts, Outcome};

use super::state::NOW;

/// By gate, all that it can answer by itself.
pub(super) type Leaves = BTreeMap<Name, Vec<Answer>>;

/// What each gate can answer by itself, at the moment at which everything happens.
pub(super) fn leaves(rules: &Ruleset) -> Leaves {
    let all = rules.gates.iter();
    all.map(|(name, gate)| (name.clone(), leaf(name, gate, &gate.kind, NOW))).collect()
}

/// Choices made on the way: which of how many.
pub(super) type Path = Vec<(u8, u8)>;

/// What a gate said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub gate: Name,
    pub outcome: Outcome,
    /// Whether a stage asked it, not another gate.
    pub asked: bool,
    /// The gate that decided.
    pub by: Name,
}

/// Answers that follow a path of choices, and lengthen it by first choices where it ends.
pub(super) struct Chosen<'a> {
    pub rules: &'a Ruleset,
    pub leaves: &'a Leaves,
    pub event: &'a Event,
    pub facts: &'a Facts,
    pub path: RefCell<(Path, usize)>,
    pub said: RefCell<Vec<Said>>,
}

impl<'a> Chosen<'a> {
    pub fn new(rules: &'a Ruleset, leaves: &'a Leaves, event: &'a Event, facts: &'a Facts, path: Path) -> Self {
        Self {
            rules,
            leaves,
            event,
            facts,
            path: RefCell::new((path, 0)),
            said: RefCell::default(),
        }
    }

    /// One of `n`.
    fn choose(&self, n: usize) -> usize {
        let mut path = self.path.borrow_mut();
        let at = path.1;
        path.1 += 1;
        if path.0.len() <= at {
            path.0.push((0, u8::try_from(n).unwrap_or(u8::MAX)));
        }
        usize::from(path.0[at].0)
    }

    fn of(&self, task: &Task, gate: &Name, depth: u8) -> Answer {
        let answer = match self.rules.gates.get(gate) {
            Some(found) => self.kind(task, gate, found, depth),
            None => Answer::new(gate, Outcome::Other(Name::new("error"))),
        };
        self.said.borrow_mut().push(Said {
            gate: gate.clone(),
            outcome: answer.outcome.clone(),
            asked: depth == 0,
            by: answer.by.clone(),
        });
        answer
    }

    fn kind(&self, task: &Task, gate: &Name, found: &Gate, depth: u8) -> Answer {
        match &found.kind {
            // What the engine itself keeps account of is answered from there.
            GateKind::Command { .. } => self.true_answer(task, gate),
            GateKind::Human { auto, .. } => {
                let label = auto.as_ref().and_then(|a| self.rules.auto.get(a));
                match self.choose(if label.is_some() { 3 } else { 2 }) {
                    0 => self.true_answer(task, gate),
                    1 => Answer::new(gate, Outcome::Wait(Name::new("unreachable"))),
                    _ => Answer {
                        label: label.map(|l| l.label.clone()),
                        ..Answer::new(gate, Outcome::Ok)
                    },
                }
            }
            GateKind::FirstOf(inner) if depth < 16 => self.first(task, gate, inner, depth, |o| *o != Outcome::Other(Name::new("none"))),
            GateKind::AllOf(inner) if depth < 16 => self.first(task, gate, inner, depth, |o| *o != Outcome::Ok),
            _ => {
                let answers = self.leaves.get(gate).map_or(&[][..], Vec::as_slice);
                let n = self.choose(answers.len());
                answers.get(n).cloned().unwrap_or_else(|| Answer::new(gate, Outcome::Ok))
            }
        }
    }

    fn true_answer(&self, task: &Task, gate: &Name) -> Answer {
        let from = FromFacts {
            rules: self.rules,
            event: self.event,
            facts: self.facts,
        };
        from.answer(task, gate)
    }

    fn first(&self, task: &Task, gate: &Name, inner: &[Name], depth: u8, decides: impl Fn(&Outcome) -> bool) -> Answer {
        let mut last = Answer::new(gate, Outcome::Ok);
        for member in inner {
            last = self.of(task, member, depth + 1);
            if decides(&last.outcome) {
                break;
            }
        }
        last
    }
}

impl Answers for Chosen<'_> {
    fn answer(&self, task: &Task, gate: &Name) -> Answer {
        self.of(task, gate, 0)
    }
}

/// Every answer of a gate that stands by itself; the good one first.
fn leaf(name: &Name, gate: &Gate, kind: &GateKind, now: Millis) -> Vec<Answer> {
    let mut out = vec![Answer::new(name, Outcome::Ok)];
    for outcome in &gate.outcomes {
        let answer = Answer::new(name, Outcome::Other(outcome.clone()));
        if unwritten(kind, outcome) {
            out.push(Answer {
                nothing_due: true,
                ..answer.clone()
            });
        }
        // A file that cannot be understood was written; one that is not there was not.
        if !matches!(kind, GateKind::Files(_)) || !unwritten(kind, outcome) {
            out.push(answer);
        }
    }
    let waits = gate.waits.iter().map(|w| Answer {
        due: matches!(kind, GateKind::Wait { .. }).then(|| now.plus(Millis(1))),
        ..Answer::new(name, Outcome::Wait(w.clone()))
    });
    out.extend(waits);
    if !matches!(kind, GateKind::Wait { .. }) {
        out.push(Answer::new(name, Outcome::Wait(Name::new("unreachable"))));
    }
    out
}

fn unwritten(kind: &GateKind, outcome: &Name) -> bool {
    match kind {
        GateKind::Files(clauses) => clauses.iter().any(|c| matches!(c, FilesClause::Else(o) if o == outcome)),
        GateKind::Frontmatter { .. } | GateKind::Script { .. } => outcome == "unreadable",
        _ => false,
    }
}

/// The next path in order; `None` after the last.
pub(super) fn next(mut path: Path) -> Option<Path> {
    while let Some((taken, of)) = path.pop() {
        if taken + 1 < of {
            path.push((taken + 1, of));
            return Some(path);
        }
    }
    None
}

/// Whether the gate's answer can change only with a run or a push: it reads nothing but artefacts.
pub(super) fn written(rules: &Ruleset, gate: &Name, depth: u8) -> bool {
    use crate::engine::model::FactKey as K;
    let reads = |key: &K| matches!(key, K::Files | K::Frontmatter(_) | K::Json(_) | K::Text(_));
    match rules.gates.get(gate).map(|g| &g.kind) {
        Some(GateKind::Files(_) | GateKind::Frontmatter { .. }) => true,
        Some(GateKind::Script { reads: facts, .. }) => facts.values().all(reads),
        Some(GateKind::FirstOf(inner) | GateKind::AllOf(inner)) if depth < 16 => inner.iter().all(|g| written(rules, g, depth + 1)),
        _ => false,
    }
}
