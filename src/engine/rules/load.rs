//! THE one loader: what `validate` passes, `serve` loads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::model::Name;

use super::Ruleset;
use super::check::{self, Bound, Scope};
use super::check_agents;
use super::codes;
use super::config::{Config, Languages, Project};
use super::decode;
use super::decode_config;
use super::diagnostic::{Diagnostic, Place, Problem, Severity, Sink, quoted};
use super::files::{Files, MAX_FILE};
use super::here::Command;
use super::inputs::{Inputs, Settings};
use super::merge;
use super::origins::Origins;
use super::secrets;
use super::shared::Shared;
use super::texts;
use super::tree::{Node, Table, parse};

/// What was loaded.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The configuration, where it is there and right.
    pub config: Option<Config>,
    /// Pipelines bound to projects, by project.
    pub rulesets: BTreeMap<Name, Arc<Ruleset>>,
    /// Pipelines with a flow, not bound: their agents may lack a command.
    pub pipelines: BTreeMap<Name, Arc<Ruleset>>,
    /// What each project's ruleset was made of, to be stored under its hash.
    pub inputs: BTreeMap<Name, Inputs>,
    /// Where the values of each project's pipeline were written.
    pub origins: BTreeMap<Name, Origins>,
    /// Where the values of each pipeline with a flow were written.
    pub pipeline_origins: BTreeMap<Name, Origins>,
    /// The commands of the agents of all projects.
    pub commands: Vec<Command>,
    /// All findings of all files, by file and place.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// Whether anything is wrong enough not to be used.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }
}

/// Loads and checks everything. Never panics; the findings say what is wrong.
#[must_use]
pub fn load(files: &Files) -> Loaded {
    let sink = Sink::new(files);
    let mut loaded = Loaded::default();
    let small = size(files, &sink);
    let trees = Trees::read(&small, &sink);
    texts::check_all(&small, &sink);
    let (languages, shared, used) = configure(&small, &trees, &mut loaded, &sink);
    for name in trees.0.keys() {
        let project = Unit {
            pipeline: Name::new(name),
            settings: None,
            used: used.contains(name.as_str()),
        };
        if let Some(built) = build(&small, &trees, &shared, &project, languages, &sink) {
            loaded.pipelines.insert(Name::new(name), Arc::new(built.rules));
            loaded.pipeline_origins.insert(Name::new(name), built.origins);
        }
    }
    loaded.diagnostics = sink.into_sorted();
    loaded
}

/// The files that are not too large; the others are reported.
fn size(files: &Files, sink: &Sink) -> Files {
    let mut small = Files::default();
    for (path, source) in &files.0 {
        let why = if source.text.len() > MAX_FILE {
            Some((
                "this file is larger than 1 MiB: it cannot be a file of rules",
                "remove it, or move it out of the folders that signalbox reads",
            ))
        } else if source.text.contains('\0') {
            Some((
                "this file holds NUL characters: it is not text in UTF-8",
                "save it as UTF-8; UTF-16 without a mark at its beginning looks like this",
            ))
        } else {
            None
        };
        if let Some((words, help)) = why {
            let at = Place {
                file: Arc::from(path.as_str()),
                span: 0..0,
            };
            sink.push(Problem::error(codes::UNREADABLE_FILE, &at, words).whole_file().help(help));
        } else {
            small.0.insert(path.clone(), source.clone());
        }
    }
    small
}

/// Reads `signalbox.toml`, if there is one, and binds its projects. What all pipelines share is
/// read once, in the language that it names.
fn configure(files: &Files, trees: &Trees, loaded: &mut Loaded, sink: &Sink) -> (Languages, Shared, BTreeSet<Name>) {
    let path: Arc<str> = Arc::from("signalbox.toml");
    let root = files.get(&path).and_then(|source| parse(&path, &source.text, sink));
    let Some(table) = root.as_ref().and_then(Node::table) else {
        return (
            Languages::default(),
            Shared::gather(files, Languages::default(), sink),
            BTreeSet::new(),
        );
    };
    secrets::scan(table, sink);
    let (config, projects) = decode_config::config(&path, table, sink);
    let languages = config.as_ref().map(Config::languages).unwrap_or_default();
    let shared = Shared::gather(files, languages, sink);
    for (name, placed) in &projects {
        if !trees.0.contains_key(placed.project.pipeline.as_str()) {
            let words = format!("there is no pipeline {}", quoted(&placed.project.pipeline));
            let problem = Problem::error(codes::PROJECT_PIPELINE, &placed.pipeline_at, words).label("not in pipelines/");
            sink.push(problem.maybe_help(sink.suggest(&placed.project.pipeline, trees.0.keys().map(String::as_str))));
            continue;
        }
        let unit = Unit {
            pipeline: placed.project.pipeline.clone(),
            settings: Some((&placed.project, placed)),
            used: true,
        };
        if let Some(built) = build(files, trees, &shared, &unit, languages, sink) {
            let rules = built.rules;
            let commands = built.commands.into_iter().map(|(agent, program, at)| Command {
                project: name.clone(),
                agent,
                program,
                at,
            });
            loaded.commands.extend(commands);
            if let Some(config) = &config {
                decode_config::quorum(&rules, &config.people, placed, sink);
            }
            loaded.rulesets.insert(name.clone(), Arc::new(rules));
            loaded.inputs.insert(name.clone(), built.inputs);
            let mut origins = built.origins;
            let own = table.get("projects").and_then(|e| e.node.table()?.get(name)?.node.table());
            if let Some(own) = own {
                origins.project(name, own, files);
            }
            loaded.origins.insert(name.clone(), origins);
        }
    }
    loaded.config = config;
    let used = projects.values().map(|placed| placed.project.pipeline.clone()).collect();
    (languages, shared, used)
}

/// The parsed pipelines by name; `None` where the syntax is broken.
pub struct Trees(BTreeMap<String, Option<Node>>);

impl Trees {
    /// Parses all files of `pipelines/`.
    pub fn read(files: &Files, sink: &Sink) -> Self {
        let names = files.names("pipelines", "toml").map(str::to_owned);
        let trees = names.filter_map(|name| {
            let path = format!("pipelines/{name}.toml");
            let node = parse(&Arc::from(path.as_str()), &files.get(&path)?.text, sink);
            if let Some(table) = node.as_ref().and_then(Node::table) {
                secrets::scan(table, sink);
            }
            Some((name, node))
        });
        Self(trees.collect())
    }

    /// The tree of a pipeline laid over its parents, and the files that made it, its own last.
    fn merged(&self, name: &str, sink: &Sink) -> Option<(Table, Vec<String>)> {
        let mut chain: Vec<(&str, &Table)> = Vec::new();
        let mut next = name;
        loop {
            let table = self.0.get(next)?.as_ref()?.table()?;
            chain.push((next, table));
            let Some(entry) = table.get("extends") else { break };
            let super::tree::Value::Str(parent) = &entry.node.value else {
                super::reader::wrong_type(sink, &entry.node, "`extends`", "the name of a pipeline");
                return None;
            };
            if let Some(from) = chain.iter().position(|(n, _)| n == parent) {
                let ring: Vec<&str> = chain[from..].iter().map(|(n, _)| *n).collect();
                // Each of them leads into the circle; it is reported once, by its first name.
                if ring.iter().min() == Some(&name) {
                    let words = format!("`extends` leads back: {} → {parent}", ring.join(" → "));
                    let problem = Problem::error(codes::EXTENDS_CYCLE, &entry.node.place, words).label("leads back");
                    sink.push(problem.help("one of these pipelines must stand by itself"));
                }
                return None;
            }
            if !self.0.contains_key(parent) {
                let problem = Problem::error(
                    codes::UNKNOWN_PARENT,
                    &entry.node.place,
                    format!("there is no pipeline {}", quoted(parent)),
                );
                let known = self.0.keys().map(String::as_str).filter(|n| *n != next);
                sink.push(problem.label("not in pipelines/").maybe_help(sink.suggest(parent, known)));
                return None;
            }
            next = parent;
        }
        let mut root = Table::default();
        for (_, table) in chain.iter().rev() {
            merge::lay(&mut root, (*table).clone(), sink);
        }
        // `flow` is inherited like everything else; only its own `extends` says nothing about it.
        let files = chain.iter().rev().map(|(n, _)| format!("pipelines/{n}.toml")).collect();
        Some((root, files))
    }
}

/// A pipeline to be built: alone, or bound to a project.
pub struct Unit<'a> {
    /// Its name.
    pub pipeline: Name,
    /// The project, and where it was written.
    pub settings: Option<(&'a Project, &'a decode_config::Placed)>,
    /// Whether a project uses it: what depends on a project is judged there.
    pub used: bool,
}

/// A ruleset and what belongs to it.
pub struct Built {
    /// The ruleset.
    pub rules: Ruleset,
    /// What it was made of.
    pub inputs: Inputs,
    /// Where its values were written.
    pub origins: Origins,
    /// The program of each agent, and where it was written.
    pub commands: Vec<(Name, String, Place)>,
}

/// Builds one ruleset. `None` when it has errors, or is meant to be extended only.
pub fn build(files: &Files, trees: &Trees, shared: &Shared, unit: &Unit, languages: Languages, sink: &Sink) -> Option<Built> {
    let before = sink.errors();
    let (mut root, chain) = trees.merged(&unit.pipeline, sink)?;
    if let Some((project, _)) = unit.settings {
        merge::apply(&mut root, &project.set, sink);
    }
    let own: Arc<str> = Arc::from(format!("pipelines/{}.toml", unit.pipeline).as_str());
    let draft = decode::pipeline(&own, &root, sink);
    let Some(flow) = &draft.flow else {
        if let Some((_, placed)) = unit.settings
            && sink.errors() == before
        {
            let words = format!("the pipeline {} has no `flow`: it can be extended, not run", quoted(&unit.pipeline));
            sink.push(Problem::error(codes::PROJECT_PIPELINE, &placed.pipeline_at, words).label("has no flow"));
        }
        return None;
    };
    let (scripts, compiled) = shared.scripts(files, &draft, sink);
    let broken = shared.broken || compiled.broken;
    let scope = Scope {
        sink,
        messages: &shared.messages,
        prompts: &shared.prompts,
        scripts: &scripts,
        compiled: compiled.scripts,
        clean: sink.errors() == before && !broken,
        used: unit.used,
        file: own,
        bound: unit.settings.map(|(project, placed)| Bound {
            prefix: &project.prefix,
            default_branch: project.forge.default_branch(),
            vars: &project.vars,
            at: &placed.at,
        }),
    };
    let mut rules = check::ruleset(&draft, &flow.v, scope)?;
    if sink.errors() != before || broken {
        return None;
    }
    let inputs = inputs(files, &rules, &chain, unit, languages);
    rules.hash = inputs.hash();
    let commands = rules.agents.keys().filter_map(|name| {
        let agent = &draft.agents.get(name.as_str())?.v;
        let run = check_agents::command(agent, &draft)?;
        Some((name.clone(), run.v.first()?.clone(), run.at.clone()))
    });
    Some(Built {
        inputs,
        origins: Origins::of(&root, &rules, files),
        commands: commands.collect(),
        rules,
    })
}

fn inputs(files: &Files, rules: &Ruleset, chain: &[String], unit: &Unit, languages: Languages) -> Inputs {
    let prompts = rules.prompts.keys().map(|p| format!("prompts/{p}.md"));
    let scripts = rules.gates.values().filter_map(|g| match &g.kind {
        super::GateKind::Script { function, .. } => function.split_once("::").map(|(file, _)| format!("rules/{file}")),
        _ => None,
    });
    let classify = rules.classify.as_ref().and_then(|function| function.as_str().split_once("::"));
    let scripts = scripts.chain(classify.map(|(file, _)| format!("rules/{file}")));
    let paths = chain
        .iter()
        .cloned()
        .chain(prompts)
        .chain(scripts)
        .chain(texts::message_paths(languages));
    Inputs {
        pipeline: unit.pipeline.clone(),
        settings: unit.settings.map(|(project, _)| Settings::of(project)),
        languages,
        files: paths.filter_map(|p| Some((p.clone(), files.get(&p)?.text.clone()))).collect(),
    }
}
