//! The external ledger: one JSON line per begun and ended run, on disk before anything else.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Context;

/// A line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Beginning or end. A run that was killed has no end.
    pub phase: Phase,
    /// Task row id.
    pub task: i64,
    /// Work item id.
    pub item: String,
    /// Agent.
    pub agent: String,
    /// Stage.
    pub stage: String,
    /// Visit.
    pub visit: u32,
    /// Run.
    pub run: i64,
    /// Process id of the agent.
    pub pid: u32,
    /// What it did.
    pub what: String,
}

/// Which end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It began: from here on it costs.
    Start,
    /// It ended by itself.
    End,
}

impl Entry {
    pub(super) fn new(phase: Phase, context: &Context, what: &str) -> Self {
        Self {
            phase,
            task: context.task.id,
            item: context.task.item.clone(),
            agent: context.agent.clone(),
            stage: context.stage.clone(),
            visit: context.visit,
            run: context.run,
            pid: std::process::id(),
            what: what.to_owned(),
        }
    }
}

pub(super) struct Ledger(PathBuf);

impl Ledger {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Runs of this agent for this task that have begun so far.
    pub(super) fn begun(&self, context: &Context) -> io::Result<usize> {
        let text = match std::fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(e),
        };
        let same = |e: &Entry| e.phase == Phase::Start && e.task == context.task.id && e.agent == context.agent;
        Ok(text
            .lines()
            .filter_map(|l| serde_json::from_str::<Entry>(l).ok())
            .filter(same)
            .count())
    }

    /// Appends a line and waits until it is on disk. One write: lines of agents side by side do not mix.
    pub(super) fn append(&self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut file = OpenOptions::new().append(true).create(true).open(&self.0)?;
        file.write_all(&line)?;
        file.sync_all()
    }
}
