//! Which artefacts a stage's gates will look for: what its agents are told to write.

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobBuilder;
use serde::{Deserialize, Serialize};

use crate::engine::model::{FactKey, Name};
use crate::engine::rules::{FilesClause, Gate, GateKind, Ruleset};

/// An artefact that a gate of the stage looks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expect {
    /// The file, below the artefact folder.
    pub file: Option<String>,
    /// Or a pattern that at least one file must match.
    pub glob: Option<String>,
    /// The front-matter key that decides.
    pub key: Option<String>,
    /// Values that the key may have, the one that passes the gate first.
    pub values: Vec<String>,
    /// Whether it is one possibility among others rather than required.
    pub optional: bool,
}

impl Expect {
    fn new(pattern: &str, optional: bool) -> Self {
        let glob = pattern.contains(['*', '?', '[', '{']);
        Self {
            file: (!glob).then(|| pattern.to_owned()),
            glob: glob.then(|| pattern.to_owned()),
            key: None,
            values: Vec::new(),
            optional,
        }
    }

    fn path(&self) -> &str {
        self.file.as_deref().or(self.glob.as_deref()).unwrap_or_default()
    }
}

/// What the stage's gates will look for, as far as the agent may write it.
#[must_use]
pub fn expects(rules: &Ruleset, stage: &str, agent: &str) -> Vec<Expect> {
    let mut found = Found {
        rules,
        list: Vec::new(),
        seen: BTreeSet::new(),
    };
    for gate in rules.stages.get(stage).map(|stage| stage.pass.as_slice()).unwrap_or_default() {
        found.gate(gate);
    }
    let allowed = rules.agents.get(agent).map(|agent| &*agent.artefacts).unwrap_or_default();
    found
        .list
        .retain(|expect| allowed.is_empty() || allowed.iter().any(|pattern| covers(pattern, expect.path())));
    found.list.sort_by_key(|expect| expect.optional);
    found.list
}

/// Whether an agent that may write `pattern` may write `path`, which may be a pattern, too.
fn covers(pattern: &str, path: &str) -> bool {
    pattern == path
        || GlobBuilder::new(pattern)
            .literal_separator(true)
            .build()
            .is_ok_and(|glob| glob.compile_matcher().is_match(path))
}

struct Found<'a> {
    rules: &'a Ruleset,
    list: Vec<Expect>,
    /// Gates already asked: rules that the checker refused could name each other in a circle.
    seen: BTreeSet<&'a str>,
}

impl<'a> Found<'a> {
    fn gate(&mut self, name: &str) {
        let rules = self.rules;
        let Some((name, gate)) = rules.gates.get_key_value(name) else {
            return;
        };
        if !self.seen.insert(name.as_str()) {
            return;
        }
        self.kind(gate);
    }

    fn kind(&mut self, gate: &'a Gate) {
        match &gate.kind {
            GateKind::FirstOf(gates) | GateKind::AllOf(gates) => gates.iter().for_each(|gate| self.gate(gate)),
            GateKind::Files(clauses) => clauses.iter().for_each(|clause| self.clause(clause)),
            GateKind::Frontmatter { file, key, map } => {
                self.add(Expect {
                    key: Some(key.clone()),
                    values: values(map),
                    ..Expect::new(file, false)
                });
            }
            GateKind::Script { function, reads, .. } => {
                reads.iter().for_each(|(parameter, fact)| self.read(function, parameter, fact));
            }
            GateKind::Checks { .. }
            | GateKind::Review { .. }
            | GateKind::Mergeable
            | GateKind::Command { .. }
            | GateKind::Human { .. }
            | GateKind::Wait { .. } => {}
        }
    }

    fn clause(&mut self, clause: &FilesClause) {
        match clause {
            FilesClause::All(patterns, is) => {
                patterns.iter().for_each(|pattern| self.add(Expect::new(pattern, is != "ok")));
            }
            FilesClause::Any(patterns, _) => patterns.iter().for_each(|pattern| self.add(Expect::new(pattern, true))),
            FilesClause::Else(_) => {}
        }
    }

    /// A script says by its own text which entries it reads and what it compares them with.
    fn read(&mut self, function: &str, parameter: &str, fact: &FactKey) {
        match fact {
            FactKey::Frontmatter(file) => {
                let fields = self.rules.scripts.fields(function, parameter);
                if fields.is_empty() {
                    self.add(Expect::new(file, false));
                }
                for read in fields {
                    self.add(Expect {
                        key: Some(read.field),
                        values: read.compared,
                        ..Expect::new(file, false)
                    });
                }
            }
            // A script is given `()` for a file that is not there, and may be content with that.
            FactKey::Json(file) | FactKey::Text(file) => self.add(Expect::new(file, true)),
            FactKey::Issue | FactKey::Head | FactKey::Files | FactKey::Checks | FactKey::Reviews | FactKey::Mergeable => {}
        }
    }

    /// Adds it, unless the same file and key are there already; required wins over optional.
    fn add(&mut self, expect: Expect) {
        match self
            .list
            .iter_mut()
            .find(|known| known.path() == expect.path() && known.key == expect.key)
        {
            Some(known) => known.optional &= expect.optional,
            None => self.list.push(expect),
        }
    }
}

/// Values in the map's order, those that pass the gate first.
fn values(map: &BTreeMap<String, Name>) -> Vec<String> {
    let passing = map.iter().filter(|(_, outcome)| *outcome == "ok");
    let others = map.iter().filter(|(_, outcome)| *outcome != "ok");
    passing.chain(others).map(|(value, _)| value.clone()).collect()
}
