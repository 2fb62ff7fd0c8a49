//! Where each value of a pipeline was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::diagnostic::{Place, position};
use super::files::Files;
use super::tree::{Entry, Table, Value};
use super::value::show_duration;
use super::{Input, Loaded, Ruleset};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// File, as people see it; [`DEFAULT`] for a value that nobody wrote.
    pub file: String,
    /// Line, from 1; 0 for a default.
    pub line: u32,
    /// Column in characters, from 1; 0 for a default.
    pub column: u32,
    /// The value, as JSON.
    pub value: String,
}

/// Stands for the file of values that nobody wrote.
pub const DEFAULT: &str = "default";

/// Where every value of a pipeline was written, by dotted path; a key with dots is quoted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(pub BTreeMap<String, Origin>);

/// The origins of a project, else of the pipeline of that name; `None` where there is neither, or
/// it could not be loaded.
#[must_use]
pub fn origins<'a>(loaded: &'a Loaded, what: &str) -> Option<&'a Origins> {
    loaded.origins.get(what).or_else(|| loaded.pipeline_origins.get(what))
}

impl Origins {
    /// The origins of a merged tree, as far as they are part of the rules made of it.
    pub(super) fn of(root: &Table, rules: &Ruleset, files: &Files) -> Self {
        let mut out = Self::default();
        out.walk("", &effective(root, rules), &mut Lines::new(files));
        out.defaults(rules);
        out
    }

    /// Adds what a project says about itself; its `set` is shown where it has effect.
    pub(super) fn project(&mut self, name: &str, table: &Table, files: &Files) {
        let own = Table(table.0.iter().filter(|e| e.key != "set").cloned().collect());
        self.walk(&format!("projects.{name}"), &own, &mut Lines::new(files));
    }

    fn walk(&mut self, above: &str, table: &Table, lines: &mut Lines) {
        for entry in table.0.iter().filter(|e| !e.key.starts_with("x-")) {
            let key = if entry.key.contains('.') {
                format!("\"{}\"", entry.key)
            } else {
                entry.key.clone()
            };
            let path = if above.is_empty() { key } else { format!("{above}.{key}") };
            if let Value::Table(inner) = &entry.node.value {
                self.walk(&path, inner, lines);
                continue;
            }
            let place = &entry.key_place;
            let (line, column) = lines.position(place);
            let value = entry.node.value.to_json().to_string();
            self.0.insert(
                path,
                Origin {
                    file: lines.files.shown(&place.file).to_owned(),
                    line,
                    column,
                    value,
                },
            );
        }
    }

    /// Adds the values that nobody wrote.
    fn defaults(&mut self, rules: &Ruleset) {
        let r = &rules.retry;
        self.or("sink", json!(rules.sink.as_str()));
        for (key, n) in [("attempts", r.attempts), ("transient", r.transient), ("rescues", r.rescues)] {
            self.or(&format!("retry.{key}"), json!(n));
        }
        self.or("retry.base", json!(show_duration(r.base)));
        self.or("retry.max", json!(show_duration(r.max)));
        self.or("breaker.enabled", json!(rules.breaker.is_some()));
        if let Some(b) = rules.breaker {
            self.or("breaker.failures", json!(b.failures));
            self.or("breaker.pause", json!(show_duration(b.pause)));
        }
        self.or("breaker.no_progress", json!(rules.no_progress.unwrap_or(0)));
        let budget = &rules.budget;
        for (path, usd) in [("run", budget.run_usd), ("task", budget.task_usd), ("day", budget.day_usd)] {
            if let Some(usd) = usd {
                self.or(&format!("budget.{path}.max_cost_usd"), json!(usd));
            }
        }
        self.or("preflight.enabled", json!(rules.preflight.is_some()));
        if let Some(p) = rules.preflight {
            self.or("preflight.timeout", json!(show_duration(p.timeout)));
            self.or("preflight.cache", json!(show_duration(p.cache)));
        }
        self.or("serial_gate.enabled", json!(rules.serial_gate.enabled));
        let guards: Vec<&str> = rules.serial_gate.guards.iter().map(|g| g.as_str()).collect();
        self.or("serial_gate.guards", json!(guards));
        self.or("serial_gate.scope", json!(rules.serial_gate.scope.word()));
        self.or("stop.enabled", json!(rules.stop.enabled));
        for (name, agent) in &rules.agents {
            let path = |key: &str| format!("agents.{name}.{key}");
            self.or(&path("prompt"), json!(agent.prompt.as_str()));
            self.or(
                &path("input"),
                json!(if agent.input == Input::Stdin { "stdin" } else { "argument" }),
            );
            self.or(&path("timeout"), json!(show_duration(agent.timeout)));
            self.or(&path("grace"), json!(show_duration(agent.grace)));
            self.or(&path("output"), json!(agent.output.word()));
            self.or(&path("home"), json!(if agent.share_home { "service" } else { "fresh" }));
        }
    }

    fn or(&mut self, path: &str, value: serde_json::Value) {
        self.0.entry(path.to_owned()).or_insert_with(|| Origin {
            file: DEFAULT.to_owned(),
            line: 0,
            column: 0,
            value: value.to_string(),
        });
    }

    /// One line per value: path, value, file and line.
    #[must_use]
    pub fn text(&self) -> String {
        let shown: Vec<(&String, String, String)> = self
            .0
            .iter()
            .map(|(path, o)| {
                let place = if o.line == 0 {
                    o.file.clone()
                } else {
                    format!("{}:{}", o.file, o.line)
                };
                (path, shorten(&o.value), place)
            })
            .collect();
        let width = |f: fn(&(&String, String, String)) -> usize| shown.iter().map(f).max().unwrap_or(0).min(60);
        let (paths, values) = (width(|s| s.0.chars().count()), width(|s| s.1.chars().count()));
        shown
            .iter()
            .map(|(path, value, place)| format!("{path:paths$}  {value:values$}  {place}\n"))
            .collect()
    }

    /// A JSON object: path → value, file, line, column; without a line for defaults.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let entries = self.0.iter().map(|(path, o)| {
            let value: serde_json::Value = serde_json::from_str(&o.value).unwrap_or_default();
            let origin = if o.line == 0 {
                json!({ "value": value, "file": null, "origin": o.file })
            } else {
                json!({ "value": value, "file": o.file, "line": o.line, "column": o.column })
            };
            (path.clone(), origin)
        });
        serde_json::Value::Object(entries.collect())
    }
}

/// Where the lines of files begin, each file looked through once.
struct Lines<'a> {
    files: &'a Files,
    starts: BTreeMap<Arc<str>, Vec<usize>>,
}

impl<'a> Lines<'a> {
    fn new(files: &'a Files) -> Self {
        Self {
            files,
            starts: BTreeMap::new(),
        }
    }

    /// Line and column of a place, both from 1.
    fn position(&mut self, place: &Place) -> (u32, u32) {
        let Some(source) = self.files.get(&place.file) else { return (0, 0) };
        let starts = self.starts.entry(Arc::clone(&place.file)).or_insert_with(|| {
            let ends = source.text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
            std::iter::once(0).chain(ends.map(|(i, _)| i.saturating_add(1))).collect()
        });
        let line = starts.partition_point(|s| *s <= place.span.start);
        let start = starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let (_, column) = position(source.text.get(start..).unwrap_or_default(), place.span.start.saturating_sub(start));
        (u32::try_from(line).unwrap_or(u32::MAX), column)
    }
}

/// A value as it fits into a line.
fn shorten(value: &str) -> String {
    if value.chars().count() <= 60 {
        return value.to_owned();
    }
    value.chars().take(59).chain(['…']).collect()
}

/// The tree without what the flow does not reach, the defaults of agents laid under each.
fn effective(root: &Table, rules: &Ruleset) -> Table {
    let mut out = root.clone();
    // Programs are those of the agents that are left.
    out.0.sort_by_key(|e| e.key == "programs");
    let mut used = Vec::new();
    for entry in &mut out.0 {
        let section = entry.key.clone();
        let Value::Table(table) = &mut entry.node.value else { continue };
        match section.as_str() {
            "stages" => table.0.retain_mut(|e| stage(e, rules)),
            "gates" => table.0.retain(|e| rules.gates.contains_key(e.key.as_str())),
            "counters" => table.0.retain(|e| rules.counters.contains_key(e.key.as_str())),
            "on" => table.0.retain(|e| rules.on.contains_key(e.key.as_str())),
            "agents" => used = agents(table, rules),
            "programs" => table.0.retain(|e| used.contains(&e.key)),
            _ => {}
        }
    }
    out
}

fn stage(entry: &mut Entry, rules: &Ruleset) -> bool {
    let Some(stage) = rules.stages.get(entry.key.as_str()) else {
        return false;
    };
    if let Value::Table(table) = &mut entry.node.value
        && let Some(on) = table.get_mut("on")
        && let Value::Table(edges) = &mut on.node.value
    {
        edges.0.retain(|e| stage.on.contains_key(e.key.as_str()));
    }
    true
}

/// Lays the defaults under each agent; the programs that they name.
fn agents(table: &mut Table, rules: &Ruleset) -> Vec<String> {
    let mut programs = Vec::new();
    let defaults = table.remove("*").and_then(|e| e.node.table().cloned()).unwrap_or_default();
    table.0.retain(|e| rules.agents.contains_key(e.key.as_str()));
    for entry in &mut table.0 {
        let Value::Table(own) = &mut entry.node.value else { continue };
        for default in &defaults.0 {
            let instead = match default.key.as_str() {
                "run" => "program",
                "program" => "run",
                _ => &default.key,
            };
            if own.get(&default.key).is_none() && own.get(instead).is_none() {
                own.0.push(default.clone());
            }
        }
        if let Some(Value::Str(program)) = own.get("program").map(|e| &e.node.value) {
            programs.push(program.clone());
        }
    }
    programs
}
