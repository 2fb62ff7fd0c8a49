//! The gates of a stage with the members of composed ones.

use crate::engine::model::Name;

use super::{GateKind, Ruleset};

/// Deepest nesting of composed gates that is followed; the checker allows less.
const DEEPEST: u8 = 16;

impl Ruleset {
    /// The gates that `stage` asks, in the order in which it asks them, members of composed gates behind these.
    /// None for a stage that the rules do not have.
    #[must_use]
    pub fn asked_in(&self, stage: &Name) -> Vec<(&Name, &GateKind)> {
        self.with_members(self.stages.get(stage).map_or(&[][..], |s| s.pass.as_slice()))
    }

    /// These gates in their order, members of composed ones behind these.
    #[must_use]
    pub fn with_members(&self, gates: &[Name]) -> Vec<(&Name, &GateKind)> {
        let mut found = Vec::new();
        let mut open: Vec<(&Name, u8)> = gates.iter().rev().map(|gate| (gate, 0)).collect();
        while let Some((name, depth)) = open.pop() {
            let Some((name, gate)) = self.gates.get_key_value(name) else {
                continue;
            };
            found.push((name, &gate.kind));
            if let GateKind::FirstOf(inner) | GateKind::AllOf(inner) = &gate.kind
                && depth < DEEPEST
            {
                open.extend(inner.iter().rev().map(|member| (member, depth + 1)));
            }
        }
        found
    }
}
