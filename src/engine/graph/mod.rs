//! A pipeline as a picture: stages from top to bottom, every edge that leads back, what waits for people.
//!
//! [`of`] reads the checked rules; [`mermaid()`], [`dot()`] and [`svg()`] only draw what it found.

mod dot;
mod label;
mod layout;
mod mermaid;
mod svg;

#[cfg(test)]
mod tests;

pub use dot::dot;
pub use mermaid::mermaid;
pub use svg::svg;

use std::collections::BTreeSet;

use crate::engine::model::Name;
use crate::engine::rules::{Action, Edge, GateKind, Ruleset, Stage, To, show_duration};

/// A pipeline to be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// The pipeline's name.
    pub title: String,
    /// Stages in the order of the flow.
    pub stages: Vec<Node>,
    /// Where stopped tasks stand.
    pub sink: String,
    /// Edges that lead back, and those that stay where they are told to people.
    pub back: Vec<Back>,
    /// What is true of every stage.
    pub notes: Vec<String>,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The status that the board shows.
    pub status: Option<String>,
    /// Agents, side by side.
    pub work: Vec<String>,
    /// Gates in order.
    pub pass: Vec<Check>,
    /// Engine actions in order.
    pub actions: Vec<String>,
    /// Edges that stay: where the task waits for someone.
    pub stays: Vec<Stay>,
    /// Whether the serial gate guards it.
    pub guarded: bool,
    /// Whether it is the first or the last: nobody works there.
    pub end: bool,
}

/// A gate of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Whom or what it waits for, where that is a person or time.
    pub waits: Option<String>,
}

/// An edge that stays at its stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stay {
    /// `gate.outcome`.
    pub outcome: String,
    /// What follows: a question, a person, a freeze.
    pub then: String,
}

/// One or more outcomes that lead the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    /// Place of the stage in the flow that it leaves.
    pub from: usize,
    /// Place of the stage in the flow to which it leads.
    pub to: usize,
    /// `gate.outcome`s, or the signal.
    pub outcomes: Vec<String>,
    /// Counter and its maximum.
    pub counter: Option<(String, u8)>,
    /// Whether the base is merged into the branch first.
    pub update: bool,
    /// Whether people's signal leads there.
    pub signal: bool,
}

/// Reads the picture from the rules.
#[must_use]
pub fn of(rules: &Ruleset) -> Graph {
    let stages: Vec<Node> = rules.flow.iter().map(|name| node(rules, name)).collect();
    let mut back = Vec::new();
    for (at, name) in rules.flow.iter().enumerate() {
        let Some(stage) = rules.stages.get(name) else { continue };
        for (outcome, edge) in edges(rules, stage) {
            if let Some(to) = target(rules, at, edge) {
                add(&mut back, rules, (at, to), outcome, edge);
            }
        }
    }
    Graph {
        title: rules.pipeline.to_string(),
        stages,
        sink: rules.sink.to_string(),
        back,
        notes: notes(rules),
    }
}

/// The edges that count at a stage: its own, and of those of every stage what it can come to.
fn edges<'r>(rules: &'r Ruleset, stage: &'r Stage) -> impl Iterator<Item = (&'r Name, &'r Edge)> {
    let ends = stage.work.is_empty() && stage.pass.is_empty() && stage.actions.is_empty();
    let shared = rules.on.iter().filter(move |(key, _)| !ends && !stage.on.contains_key(*key));
    stage.on.iter().chain(shared)
}

/// The place to which an edge leads, where it leads anywhere.
fn target(rules: &Ruleset, at: usize, edge: &Edge) -> Option<usize> {
    let works = |place: &usize| {
        let stage = rules.flow.get(*place).and_then(|s| rules.stages.get(s));
        stage.is_some_and(|s| !s.work.is_empty())
    };
    match &edge.to {
        Some(To::Stage(name)) => rules.flow.iter().position(|s| s == name),
        Some(To::Previous) => (0..at).rev().find(works).or(Some(at)),
        None => edge.rerun.as_ref().map(|_| at),
    }
}

fn add(back: &mut Vec<Back>, rules: &Ruleset, (from, to): (usize, usize), outcome: &Name, edge: &Edge) {
    let signal = outcome.strip_prefix("signal.");
    let counter = edge.uses.as_ref().filter(|_| signal.is_none());
    let counter = counter.map(|c| (c.to_string(), rules.counters.get(c).map_or(0, |found| found.max)));
    let words = signal.unwrap_or(outcome).to_owned();
    let same = back
        .iter_mut()
        .find(|b| (b.from, b.to, b.update, b.signal) == (from, to, edge.update, signal.is_some()) && b.counter == counter);
    match same {
        Some(same) => same.outcomes.push(words),
        None => back.push(Back {
            from,
            to,
            outcomes: vec![words],
            counter,
            update: edge.update,
            signal: signal.is_some(),
        }),
    }
}

fn node(rules: &Ruleset, name: &Name) -> Node {
    let stage = rules.stages.get(name).cloned().unwrap_or_default();
    let ends = [rules.flow.first(), rules.flow.last()];
    Node {
        name: name.to_string(),
        status: stage.status.clone(),
        work: stage.work.iter().map(Name::to_string).collect(),
        pass: stage.pass.iter().map(|gate| check(rules, gate)).collect(),
        actions: stage.actions.iter().map(|action| Action::name(action).to_string()).collect(),
        stays: stage.on.iter().filter_map(|(key, edge)| stay(key, edge)).collect(),
        guarded: rules.serial_gate.enabled && rules.serial_gate.guards.contains(name),
        end: ends.contains(&Some(name)),
    }
}

fn check(rules: &Ruleset, gate: &Name) -> Check {
    let mut waits = Vec::new();
    awaited(rules, gate, 0, &mut waits);
    Check {
        name: gate.to_string(),
        waits: (!waits.is_empty()).then(|| waits.join(", ")),
    }
}

/// The people and the time that a gate, or a member of it, waits for.
fn awaited(rules: &Ruleset, gate: &Name, depth: u8, found: &mut Vec<String>) {
    match rules.gates.get(gate).filter(|_| depth < 16).map(|g| &g.kind) {
        Some(GateKind::Human { from, quorum: 1, .. }) => found.push(format!("1 {from}")),
        Some(GateKind::Human { from, quorum, .. }) => found.push(format!("{quorum} {from}s")),
        Some(GateKind::Wait { span, .. }) => found.push(show_duration(*span)),
        Some(GateKind::FirstOf(inner) | GateKind::AllOf(inner)) => {
            inner.iter().for_each(|member| awaited(rules, member, depth + 1, found));
        }
        _ => {}
    }
}

/// An edge that leads nowhere, and what it does instead; waiting outcomes are told by their gate.
fn stay(key: &Name, edge: &Edge) -> Option<Stay> {
    if edge.to.is_some() || edge.rerun.is_some() {
        return None;
    }
    let then = match (&edge.ask, edge.escalate, edge.freeze, edge.stay) {
        (Some(_), ..) => "asks a person",
        (None, _, Some(_), _) => "parked, repository frozen",
        (None, true, None, _) => "parked for a person",
        (None, false, None, true) => "stays",
        (None, false, None, false) => return None,
    };
    Some(Stay {
        outcome: key.to_string(),
        then: then.to_owned(),
    })
}

fn notes(rules: &Ruleset) -> Vec<String> {
    let mut notes = Vec::new();
    if rules.stop.enabled {
        notes.push(format!("STOP, from every stage: to {}", rules.sink));
    }
    let used: BTreeSet<&Name> = rules
        .stages
        .values()
        .flat_map(|s| s.on.values())
        .chain(rules.on.values())
        .filter_map(|e| e.uses.as_ref())
        .collect();
    if !used.is_empty() {
        notes.push("A counter used up: the task is parked where the edge leads, for a person".to_owned());
    }
    let asked = |name: &Name| {
        let mut gates = rules.gates.values();
        gates.any(|g| matches!(&g.kind, GateKind::Human { auto: Some(auto), .. } if auto == name))
    };
    let labels = rules.auto.iter().filter(|(name, _)| asked(name));
    let labels: Vec<&str> = labels.map(|(_, rule)| rule.label.as_str()).collect();
    if !labels.is_empty() {
        notes.push(format!("Labels that pass a person's gate: {}", labels.join(", ")));
    }
    notes
}
