//! Names in a story must mean something: a misspelt one would make it pass for nothing.

use crate::engine::model::{At, Name, Role, Task};
use crate::engine::rules::{Action, GateKind, Ruleset, suggest};

/// Refuses a word that is none of the known ones.
pub(super) fn known<'a>(what: &str, word: &str, all: impl IntoIterator<Item = &'a str>) -> Result<Name, String> {
    let mut all: Vec<&str> = all.into_iter().collect();
    all.sort_unstable();
    all.dedup();
    if all.contains(&word) {
        return Ok(Name::new(word));
    }
    let near = suggest(word, all.iter().copied()).unwrap_or_else(|| format!("there are: {}", all.join(", ")));
    Err(format!("there is no {what} `{word}`; {near}"))
}

/// A stage of the flow, or the sink.
pub(super) fn stage(rules: &Ruleset, word: &str) -> Result<Name, String> {
    known("stage", word, rules.flow.iter().chain([&rules.sink]).map(Name::as_str))
}

/// A counter.
pub(super) fn counter(rules: &Ruleset, word: &str) -> Result<Name, String> {
    known("counter", word, rules.counters.keys().map(Name::as_str))
}

/// An agent or a gate with a command: what a job may be for.
pub(super) fn job(rules: &Ruleset, word: &str) -> Result<Name, String> {
    let commands = rules
        .gates
        .iter()
        .filter(|(_, g)| matches!(g.kind, GateKind::Command { .. }))
        .map(|(n, _)| n);
    known("agent", word, rules.agents.keys().chain(commands).map(Name::as_str))
}

/// What a person may say.
pub(super) fn signal(rules: &Ruleset, word: &str) -> Result<Name, String> {
    let signals = &rules.signals;
    let mapped = signals
        .status
        .values()
        .chain(signals.comment.iter().map(|(_, s)| s))
        .chain(&signals.other_comment);
    let human = rules.gates.values().filter_map(|g| match &g.kind {
        GateKind::Human { signal, .. } => Some(signal),
        _ => None,
    });
    let edges = rules.stages.values().flat_map(|s| s.on.keys()).chain(rules.on.keys());
    let named = edges.filter_map(|key| key.strip_prefix("signal."));
    let own = ["start", "stop", "retry"];
    known("signal", word, mapped.chain(human).map(Name::as_str).chain(named).chain(own))
}

/// A gate's outcome that a story may tell: the member that can come out like this, of a composed gate.
pub(super) fn outcome(rules: &Ruleset, gate: &str, outcome: &str) -> Result<Name, String> {
    let gate = known("gate", gate, rules.gates.keys().map(Name::as_str))?;
    let Some(found) = rules.gates.get(&gate) else { return Ok(gate) };
    match &found.kind {
        GateKind::Human { signal, .. } => return Err(format!("gate `{gate}` asks a person: tell who says it, person = \"{signal}\"")),
        GateKind::Wait { .. } => return Err(format!("gate `{gate}` waits for time: tell how much passes, after = \"1h\"")),
        _ => {}
    }
    let general = ["ok", "unreachable", "error"];
    let all = found.outcomes.iter().chain(&found.waits).map(Name::as_str).chain(general);
    known(&format!("outcome of gate `{gate}`"), outcome, all)?;
    Ok(leaf(rules, &gate, outcome, 0))
}

/// The member that can come out like this; the gate itself where it is not composed.
fn leaf(rules: &Ruleset, gate: &Name, outcome: &str, depth: u8) -> Name {
    let Some(GateKind::FirstOf(inner) | GateKind::AllOf(inner)) = rules.gates.get(gate).map(|g| &g.kind).filter(|_| depth < 16) else {
        return gate.clone();
    };
    let says = |member: &&Name| {
        rules
            .gates
            .get(*member)
            .is_some_and(|g| g.outcomes.iter().chain(&g.waits).any(|o| o == outcome))
    };
    inner
        .iter()
        .find(says)
        .map_or_else(|| gate.clone(), |member| leaf(rules, member, outcome, depth + 1))
}

/// The gate of the stage that an agent's verdict is about.
pub(super) fn verdict(rules: &Ruleset, task: &Task, agent: &Name, word: &str) -> Result<Name, String> {
    let stage = &task.control.stage;
    let pass = rules.stages.get(stage).map_or(&[][..], |s| s.pass.as_slice());
    let says = |gate: &&Name| {
        rules
            .gates
            .get(*gate)
            .is_some_and(|g| g.outcomes.iter().chain(&g.waits).any(|o| o == word))
    };
    let fitting: Vec<&Name> = pass.iter().filter(says).collect();
    let mine: Vec<&Name> = fitting
        .iter()
        .copied()
        .filter(|gate| crate::engine::step::reads_of(rules, agent, gate))
        .collect();
    match (fitting.as_slice(), mine.as_slice()) {
        ([gate], _) | (_, [gate]) => outcome(rules, gate, word),
        ([], _) => {
            let mut all: Vec<&str> = super::player::ENDS.to_vec();
            let gates = pass.iter().filter_map(|g| rules.gates.get(g));
            all.extend(gates.flat_map(|g| g.outcomes.iter().chain(&g.waits)).map(Name::as_str));
            known(&format!("outcome of agent `{agent}` or of a gate of stage `{stage}`"), word, all)
        }
        (several, _) => {
            let names: Vec<&str> = several.iter().map(|n| n.as_str()).collect();
            Err(format!(
                "`{word}` may be said by {}: name the gate, gates = {{ {} = \"{word}\" }}",
                names.join(" and "),
                names[0]
            ))
        }
    }
}

/// The engine action that is under way.
pub(super) fn action(rules: &Ruleset, task: &Task) -> Option<(Name, Vec<&'static str>)> {
    match &task.control.at {
        At::Action { index, running: true } => {
            let action: &Action = rules.stages.get(&task.control.stage)?.actions.get(usize::from(*index))?;
            Some((action.name(), [&["ok"], action.outcomes()].concat()))
        }
        At::Updating { .. } => Some((Name::new("update"), vec!["ok", "conflict", "head_moved", "refused"])),
        _ => None,
    }
}

/// Roles by name.
pub(super) fn roles(word: Option<&str>) -> Result<Vec<Role>, String> {
    let all = [("viewer", Role::Viewer), ("operator", Role::Operator), ("approver", Role::Approver)];
    let Some(word) = word else {
        return Ok(all.map(|(_, role)| role).to_vec());
    };
    known("role", word, all.iter().map(|(name, _)| *name))?;
    Ok(all.iter().filter(|(name, _)| *name == word).map(|(_, role)| *role).collect())
}
