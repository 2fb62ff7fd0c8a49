//! Scenario tests of rules: stories told in TOML, played on the pure engine.
//!
//! No process, no git, no clock: agents end, people speak and time passes because the story says
//! so; gates answer as it says, everything unsaid goes well. What follows is the engine's own
//! `step`. docs/rules.md teaches the format.

pub(super) mod answers;
mod check;
pub mod coverage;
mod expect;
mod format;
mod player;
mod story;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::engine::model::Name;
use crate::engine::rules::{Loaded, Ruleset, suggest};

use coverage::Visited;

/// The stories of one file and how they ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The file, as people see it.
    pub file: String,
    /// What is wrong with the file as a whole: then it tells no story.
    pub broken: Option<Finding>,
    /// Its stories, in order.
    pub scenarios: Vec<Told>,
}

impl Report {
    /// Whether everything went as told.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.broken.is_none() && self.scenarios.iter().all(|s| s.finding.is_none())
    }
}

/// One story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Its name.
    pub name: String,
    /// Where it begins, from 1.
    pub line: usize,
    /// Where it went otherwise than told.
    pub finding: Option<Finding>,
}

/// Something that is not as told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where, from 1.
    pub line: usize,
    /// What, and how to mend it.
    pub message: String,
    /// What had happened until then, a line per step of the engine.
    pub happened: Vec<String>,
}

impl Finding {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
            happened: Vec::new(),
        }
    }
}

/// Plays the stories of one file; what they visit is added to `visited`, by pipeline.
#[must_use]
pub fn play(loaded: &Loaded, shown: &str, text: &str, visited: &mut BTreeMap<Name, Visited>) -> Report {
    let mut report = Report {
        file: shown.to_owned(),
        broken: None,
        scenarios: Vec::new(),
    };
    let file = match format::File::read(text) {
        Ok(file) => file,
        Err(finding) => {
            report.broken = Some(finding);
            return report;
        }
    };
    let (name, rules) = match rules(loaded, &file, text) {
        Ok(found) => found,
        Err(finding) => {
            report.broken = Some(finding);
            return report;
        }
    };
    let visited = visited.entry(name).or_default();
    for scenario in &file.scenario {
        let line = format::line(text, scenario.span().start);
        let finding = story::tell(&rules, text, scenario.get_ref(), line, visited).err();
        report.scenarios.push(Told {
            name: scenario.get_ref().name.clone(),
            line,
            finding,
        });
    }
    report
}

/// The rules that a file is about.
fn rules(loaded: &Loaded, file: &format::File, text: &str) -> Result<(Name, Arc<Ruleset>), Finding> {
    let (what, name, all) = match (&file.pipeline, &file.project) {
        (Some(name), None) => ("pipeline", name, &loaded.pipelines),
        (None, Some(name)) => ("project", name, &loaded.rulesets),
        _ => {
            let help = "say what the stories are about: pipeline = \"local\", or project = \"shop\" for its own overrides";
            return Err(Finding::new(1, help));
        }
    };
    let word = name.get_ref().as_str();
    match all.get_key_value(word) {
        Some((name, rules)) => Ok((name.clone(), Arc::clone(rules))),
        None => {
            let near = suggest(word, all.keys().map(Name::as_str)).map_or_else(String::new, |s| format!("; {s}"));
            let line = format::line(text, name.span().start);
            Err(Finding::new(line, format!("there is no {what} `{word}`{near}")))
        }
    }
}
