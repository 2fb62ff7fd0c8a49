//! How the gates of a stage can come out: one case per outcome of every gate, those before it being ok.

use std::collections::BTreeSet;

use crate::engine::model::Name;
use crate::engine::rules::{Gate, GateKind, Ruleset, Stage};
use crate::engine::scenario::answers::Said;

/// A way in which gates come out.
#[derive(Clone)]
pub(super) struct Case {
    /// How people read it.
    pub words: String,
    /// What each gate is told to say.
    pub said: Said,
}

/// Every case of the stage, the good one first; `wait` and `human` gates are not told to pass in it:
/// time and people are events of their own.
pub(super) fn cases(rules: &Ruleset, stage: &Stage) -> Vec<Case> {
    let mut all = vec![Case {
        words: "gates ok".to_owned(),
        said: Said::new(),
    }];
    let mut before = Said::new();
    for name in &stage.pass {
        let Some(gate) = rules.gates.get(name) else { continue };
        for case in of(rules, name, gate, 0) {
            let mut said = before.clone();
            said.extend(case.said);
            all.push(Case { words: case.words, said });
        }
        before.insert(name.clone(), Name::new("ok"));
    }
    all
}

/// Everything but `ok` that a gate can say, by the member that says it.
fn of(rules: &Ruleset, name: &Name, gate: &Gate, depth: u8) -> Vec<Case> {
    match &gate.kind {
        GateKind::FirstOf(inner) if depth < 16 => members(rules, name, inner, depth, "none"),
        GateKind::AllOf(inner) if depth < 16 => members(rules, name, inner, depth, "ok"),
        GateKind::Human { .. } | GateKind::Wait { .. } => Vec::new(),
        kind => {
            let reaches_out = matches!(kind, GateKind::Checks { .. } | GateKind::Review { .. } | GateKind::Mergeable);
            let outside = reaches_out.then(|| Name::new("unreachable"));
            let known = gate.outcomes.iter().chain(&gate.waits);
            let told = known.cloned().chain(outside).map(|outcome| Case {
                words: format!("{name} {outcome}"),
                said: [(name.clone(), outcome)].into(),
            });
            told.collect()
        }
    }
}

/// The cases of the members, one after the other, each asked when those before it say `passing`.
fn members(rules: &Ruleset, name: &Name, inner: &[Name], depth: u8, passing: &str) -> Vec<Case> {
    let (mut all, mut before, mut passed) = (Vec::new(), Said::new(), String::new());
    for (at, member) in inner.iter().enumerate() {
        let Some(gate) = rules.gates.get(member) else { continue };
        let last = at + 1 == inner.len();
        for case in of(rules, member, gate, depth + 1) {
            if !last && case.said.get(member).is_some_and(|o| o == passing) {
                continue;
            }
            let mut said = before.clone();
            said.extend(case.said);
            let words = case.words.strip_prefix(&format!("{name}: ")).unwrap_or(&case.words);
            all.push(Case {
                words: format!("{name}: {passed}{words}"),
                said,
            });
        }
        if passing != "ok" && !gate.outcomes.iter().any(|o| o == passing) {
            break;
        }
        before.insert(member.clone(), Name::new(passing));
        if passing != "ok" {
            passed = format!("{passed}{member} {passing}, ");
        }
    }
    all
}

/// The commands that the gates of a stage may run.
pub(super) fn commands(rules: &Ruleset, stage: &Stage) -> Vec<Name> {
    let commands = |(_, kind): &(&Name, &GateKind)| matches!(kind, GateKind::Command { .. });
    let gates = rules.with_members(&stage.pass);
    let found: BTreeSet<&Name> = gates.into_iter().filter(commands).map(|(name, _)| name).collect();
    found.into_iter().cloned().collect()
}
