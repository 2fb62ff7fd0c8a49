//! What the stories of a pipeline visit, and what they leave out.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::engine::model::{At, Body, Control, Event, Name, RunEnd, SlotState};
use crate::engine::rules::{GateKind, Ruleset};
use crate::engine::step::Step;

/// What was visited.
#[derive(Debug, Clone, Default)]
pub struct Visited {
    edges: BTreeSet<String>,
    outcomes: BTreeSet<String>,
    stops: BTreeSet<String>,
}

/// What there is of a kind, and what of it no story visits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Share {
    /// How many are visited.
    pub visited: usize,
    /// How many there are.
    pub all: usize,
    /// The others.
    pub missing: Vec<String>,
}

/// The coverage of one pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Edges of the rules.
    pub edges: Share,
    /// Outcomes of gates, agents and actions, by stage.
    pub outcomes: Share,
    /// Points at which a stop can come.
    pub stops: Share,
}

impl Visited {
    /// Takes note of one step of the engine.
    pub(super) fn note(&mut self, rules: &Ruleset, before: &Control, event: &Event, step: &Step, asked: &BTreeSet<(Name, Name, Name)>) {
        for took in &step.took {
            if let Some(edge) = &took.edge {
                self.edges.insert(edge_of(rules, &took.stage, edge));
            }
            self.outcomes.insert(format!("{}: {}", took.stage, took.outcome));
        }
        for (stage, gate, outcome) in asked {
            self.outcomes.insert(format!("{stage}: {gate}.{outcome}"));
        }
        match &event.body {
            Body::RunEnded(report) if report.end == RunEnd::Ok => {
                let open = before.slots.get(&report.slot).is_some_and(|s| s.state == SlotState::Queued);
                if open && rules.agents.contains_key(&report.slot) {
                    self.outcomes.insert(format!("{}: work.ok", before.stage));
                }
            }
            Body::ActionEnded { action, outcome, .. } => {
                self.outcomes.insert(format!("{}: {action}.{outcome}", before.stage));
            }
            Body::Signalled(signal) if signal.name == "stop" => {
                if let Some(point) = point(rules, before) {
                    self.stops.insert(point);
                }
            }
            _ => {}
        }
    }

    /// Compares with what there is.
    #[must_use]
    pub fn coverage(&self, rules: &Ruleset) -> Coverage {
        Coverage {
            edges: share(all_edges(rules), &self.edges),
            outcomes: share(all_outcomes(rules), &self.outcomes),
            stops: share(all_stops(rules), &self.stops),
        }
    }
}

fn share(all: BTreeSet<String>, visited: &BTreeSet<String>) -> Share {
    let missing: Vec<String> = all.iter().filter(|one| !visited.contains(*one)).cloned().collect();
    Share {
        visited: all.len() - missing.len(),
        all: all.len(),
        missing,
    }
}

/// An edge by the stage that has it; those of `[on]` are every stage's.
fn edge_of(rules: &Ruleset, stage: &Name, edge: &Name) -> String {
    let own = rules.stages.get(stage).is_some_and(|s| s.on.contains_key(edge));
    if own {
        format!("{stage}: {edge}")
    } else {
        format!("every stage: {edge}")
    }
}

fn all_edges(rules: &Ruleset) -> BTreeSet<String> {
    let own = rules.stages.iter().filter(|(name, _)| rules.flow.contains(name));
    let own = own.flat_map(|(name, stage)| stage.on.keys().map(move |edge| format!("{name}: {edge}")));
    own.chain(rules.on.keys().map(|edge| format!("every stage: {edge}"))).collect()
}

fn all_outcomes(rules: &Ruleset) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (name, stage) in rules.flow.iter().filter_map(|name| Some((name, rules.stages.get(name)?))) {
        if !stage.work.is_empty() {
            all.insert(format!("{name}: work.ok"));
            all.insert(format!("{name}: work.failed"));
        }
        for (gate, found) in stage.pass.iter().filter_map(|g| Some((g, rules.gates.get(g)?))) {
            all.insert(format!("{name}: {gate}.ok"));
            all.extend(found.outcomes.iter().chain(&found.waits).map(|o| format!("{name}: {gate}.{o}")));
        }
        for action in &stage.actions {
            all.insert(format!("{name}: {}.ok", action.name()));
            all.extend(action.outcomes().iter().map(|o| format!("{name}: {}.{o}", action.name())));
        }
    }
    all
}

/// Where a task can stand when a stop comes.
fn all_stops(rules: &Ruleset) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let updates = |edges: &std::collections::BTreeMap<Name, crate::engine::rules::Edge>| edges.values().any(|e| e.update);
    for (name, stage) in rules.flow.iter().filter_map(|name| Some((name, rules.stages.get(name)?))) {
        if !stage.work.is_empty() {
            all.insert(format!("{name}: agents at work"));
        }
        if stage.pass.iter().any(|gate| can_wait(rules, gate)) {
            all.insert(format!("{name}: gates"));
        }
        all.extend(stage.actions.iter().map(|action| format!("{name}: {}", action.name())));
        if updates(&stage.on) {
            all.insert(format!("{name}: update"));
        }
    }
    all
}

/// Whether a task can come to rest at this gate.
fn can_wait(rules: &Ruleset, gate: &Name) -> bool {
    rules
        .gates
        .get(gate)
        .is_some_and(|g| !g.waits.is_empty() || !matches!(g.kind, GateKind::Mergeable))
}

fn point(rules: &Ruleset, before: &Control) -> Option<String> {
    let stage = &before.stage;
    Some(match &before.at {
        At::Work => format!("{stage}: agents at work"),
        At::Gates => format!("{stage}: gates"),
        At::Updating { .. } => format!("{stage}: update"),
        At::Action { index, .. } => format!("{stage}: {}", rules.stages.get(stage)?.actions.get(usize::from(*index))?.name()),
        At::Entering => return None,
    })
}
