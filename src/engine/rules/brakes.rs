//! What holds tasks of a repository back, as checked: serial gate, freeze, dependencies.

use crate::engine::model::{FreezeLevel, Name, Repo, Source, TaskId};

use super::Ruleset;

/// The serial gate.
#[derive(Debug, Clone)]
pub struct SerialGate {
    /// Off means: as if it were absent.
    pub enabled: bool,
    /// Stages that only one task at a time may enter, in order of the flow.
    pub guards: Vec<Name>,
    /// How far an unfinished task holds others back.
    pub scope: LaneScope,
}

/// How far an unfinished task holds later ones back at the serial gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LaneScope {
    /// Tasks of its own repository.
    #[default]
    Repository,
    /// Tasks of every repository whose rules say so, too: one at a time on the whole machine.
    Service,
}

impl LaneScope {
    /// All of them, as the rules write them.
    pub const ALL: [(&'static str, Self); 2] = [("repository", Self::Repository), ("service", Self::Service)];

    /// As the rules write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, s)| *s == self).map_or("repository", |(word, _)| word)
    }
}

impl Ruleset {
    /// The guard of the serial gate that a job of the task in `stage` would take it past, whether
    /// the gate is switched on or not: a freeze holds entries back all the same.
    #[must_use]
    pub fn gate(&self, repo: &Repo, task: TaskId, stage: &str) -> Option<&Name> {
        repo.seat(task)?.gate(&self.serial_gate.guards, &self.flow, stage)
    }
}

/// Freezing after failures in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreezeRules {
    /// Jobs of a repository that fail for good in a row before it is frozen.
    pub after_failures: u32,
    /// How much is held back then.
    pub level: FreezeLevel,
}

/// Dependencies between tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DependRules {
    /// Off means: as if it were absent.
    pub enabled: bool,
    /// Where dependencies may be declared.
    pub sources: Vec<Source>,
    /// How a line of an issue begins that names what it waits for; letter case does not matter.
    pub lines: Vec<String>,
}

impl DependRules {
    /// Whether dependencies declared there count.
    #[must_use]
    pub fn counts(&self, source: Source) -> bool {
        self.enabled && self.sources.contains(&source)
    }
}
