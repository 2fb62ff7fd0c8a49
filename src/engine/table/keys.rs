//! Which keys of the rules a row rests on.

use std::collections::BTreeSet;

use crate::engine::model::{At, Body, Decision, RunEnd};
use crate::engine::rules::Ruleset;

use super::standing::Chance;
use super::world::{One, Played};

/// The keys as dotted paths, as `show --origin` has them; `flow.STAGE` stands for what follows that
/// stage in the flow.
pub(super) fn keys(rules: &Ruleset, chance: &Chance<'_>, played: &Played<'_>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if let Some(signal) = &chance.signal {
        meant(rules, signal, &mut found);
    }
    if let Body::RunEnded(report) = &chance.what.body
        && report.end != RunEnd::Ok
    {
        found.insert("retry".to_owned());
    }
    for one in &played.steps {
        step(rules, one, &mut found);
    }
    found
}

/// A key as a part of a dotted path.
pub(super) fn part(key: &str) -> String {
    if key.contains('.') { format!("\"{key}\"") } else { key.to_owned() }
}

/// The statuses and comments that mean a signal.
fn meant(rules: &Ruleset, signal: &str, found: &mut BTreeSet<String>) {
    let signals = &rules.signals;
    let statuses = signals.status.iter().filter(|(_, s)| *s == signal);
    found.extend(statuses.map(|(status, _)| format!("signals.status.{}", part(status))));
    let comments = signals.comment.iter().filter(|(_, s)| *s == signal);
    found.extend(comments.map(|(words, _)| format!("signals.comment.{}", part(words))));
    if signals.other_comment.as_deref() == Some(signal) {
        found.insert("signals.comment.*".to_owned());
    }
}

fn step(rules: &Ruleset, one: &One, found: &mut BTreeSet<String>) {
    let (from, to) = (&one.before, &one.step.task.control);
    let of = |what: &str| format!("stages.{}.{what}", from.stage);
    if matches!(from.at, At::Work) || matches!(to.at, At::Work) {
        found.insert(of("work"));
    }
    if !one.asked.is_empty() {
        found.insert(of("pass"));
        found.extend(one.asked.iter().map(|gate| format!("gates.{gate}")));
    }
    if matches!(from.at, At::Action { .. }) || matches!(to.at, At::Action { .. }) {
        found.insert(of("do"));
    }
    for because in &one.step.because {
        if because.0.contains(" is passed: on to ") {
            found.extend([format!("flow.{}", from.stage), of("do")]);
        }
        if because.0.starts_with("started again") || because.0.contains(" began: ") {
            found.insert("flow.created".to_owned());
        }
        if because.0.starts_with("entry check") {
            found.insert("entry".to_owned());
        }
    }
    for took in &one.step.took {
        let edge = part(took.edge.as_ref().unwrap_or(&took.outcome));
        found.extend([format!("stages.{}.on.{edge}", took.stage), format!("on.{edge}")]);
        edge_keys(rules, &took.stage, took.edge.as_deref(), found);
    }
    if let At::Updating { edge } = &from.at {
        let name = part(edge);
        found.extend([format!("stages.{}.on.{name}", from.stage), format!("on.{name}")]);
        edge_keys(rules, &from.stage, Some(edge), found);
    }
    decisions(rules, one, found);
}

/// What an edge names: its counter, and the flow where it leads to the stage before.
fn edge_keys(rules: &Ruleset, stage: &str, edge: Option<&str>, found: &mut BTreeSet<String>) {
    let Some(edge) = edge else { return };
    let own = rules.stages.get(stage).and_then(|s| s.on.get(edge));
    let Some(edge) = own.or_else(|| rules.on.get(edge)) else { return };
    if let Some(counter) = &edge.uses {
        found.insert(format!("counters.{counter}"));
    }
    if edge.to == Some(crate::engine::rules::To::Previous) {
        let place = rules.flow.iter().position(|s| s == stage).unwrap_or(0);
        // From here back to the first in which agents work, each is "the one before" of the next.
        for before in rules.flow[..place].iter().rev() {
            found.insert(format!("flow.{before}"));
            if rules.stages.get(before).is_some_and(|s| !s.work.is_empty()) {
                break;
            }
        }
    }
}

fn decisions(rules: &Ruleset, one: &One, found: &mut BTreeSet<String>) {
    let to = &one.step.task.control;
    let own = rules.stages.get(&to.stage).and_then(|s| s.status.as_deref());
    for decision in &one.step.decisions {
        match decision {
            Decision::ShowStatus { status } if own == Some(status) => {
                found.insert(format!("stages.{}.status", to.stage));
            }
            Decision::Requeue { .. } => {
                found.insert("retry".to_owned());
            }
            Decision::CleanUp(clean) if clean.report => {
                found.insert("stop".to_owned());
            }
            // What the board calls a stop and a start is said in these.
            Decision::Restart(_) => meant(rules, "start", found),
            Decision::Comment { text, .. } if text.contains("relaunch_hole") => {
                meant(rules, "stop", found);
                meant(rules, "start", found);
            }
            Decision::Comment { text, .. } if text.contains("comment stopped") => meant(rules, "stop", found),
            _ => {}
        }
    }
}
