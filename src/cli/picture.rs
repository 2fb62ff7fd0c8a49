//! `signalbox table` and `signalbox graph`: what a pipeline decides, and how it looks. Need no service and touch nothing.

use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use serde_json::json;

use super::exit::{self, Failure};
use super::{args, find, out};
use crate::engine::rules::{Files, Ruleset, load, render_human, suggest};
use crate::engine::{graph, table};
use crate::shell::config::{ReadProblem, read_dir};
use crate::shell::folder as within;

/// How a picture is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A Mermaid flowchart, for Markdown.
    #[default]
    Mermaid,
    /// The DOT language, for Graphviz.
    Dot,
    /// SVG, ready to be looked at.
    Svg,
}

/// Arguments of `graph`.
#[derive(Debug, Clone, clap::Args)]
pub struct Graph {
    /// A pipeline, or a project: its pipeline with what the project sets
    pub pipeline: String,
    /// How it is drawn
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Prints the decision table of a pipeline or project. Returns the exit code.
pub fn table(global: &args::Global, what: &str, embedded: &Files) -> u8 {
    told(rules(global, what, embedded).and_then(|rules| {
        let rows = table::table(&rules);
        if global.json {
            return out::json(&json!({ "of": what, "rows": rows }));
        }
        out::print(&table::text(&rows))
    }))
}

/// Prints the picture of a pipeline or project. Returns the exit code.
pub fn graph(global: &args::Global, args: &Graph, embedded: &Files) -> u8 {
    told(rules(global, &args.pipeline, embedded).and_then(|rules| {
        let seen = graph::of(&rules);
        let text = match args.format {
            Format::Mermaid => graph::mermaid(&seen),
            Format::Dot => graph::dot(&seen),
            Format::Svg => graph::svg(&seen),
        };
        if global.json {
            let format = args.format.to_possible_value().map(|v| v.get_name().to_owned());
            return out::json(&json!({ "of": args.pipeline, "format": format, "text": text }));
        }
        out::print(&text)
    }))
}

/// The folder of rules: as named, else where the configuration is, else the current one.
fn folder(global: &args::Global) -> Result<PathBuf, Failure> {
    match find::configuration(global) {
        Ok(file) => Ok(within::of(&file).to_owned()),
        Err(failure) if global.config.is_some() => Err(failure),
        // A folder may hold rules without a configuration.
        Err(_) => Ok(global.dir.clone().unwrap_or_else(|| ".".into())),
    }
}

fn told(done: Result<(), Failure>) -> u8 {
    match done {
        Ok(()) => exit::OK,
        Err(failure) => {
            out::failure(&failure);
            failure.code
        }
    }
}

fn rules(global: &args::Global, what: &str, embedded: &Files) -> Result<Arc<Ruleset>, Failure> {
    let files = match read_dir(&folder(global)?, embedded) {
        Ok(files) => files,
        // One may look at what is built in without any rules of one's own.
        Err(ReadProblem::Nothing { .. }) => embedded.clone(),
        Err(problem @ ReadProblem::Files { .. }) => return Err(invalid(problem.to_string())),
        Err(problem) => return Err(Failure::usage(problem.to_string())),
    };
    let loaded = load(&files);
    if loaded.failed() {
        let found = render_human(&loaded.diagnostics, &files, false);
        return Err(invalid(format!("the rules have errors: nothing is shown\n\n{found}")));
    }
    if let Some(rules) = loaded.rulesets.get(what).or_else(|| loaded.pipelines.get(what)) {
        return Ok(Arc::clone(rules));
    }
    let known: Vec<&str> = loaded.rulesets.keys().chain(loaded.pipelines.keys()).map(|n| n.as_str()).collect();
    if files.get(&format!("pipelines/{what}.toml")).is_some() {
        let help = format!("name one that extends it; there is {}", known.join(", "));
        return Err(Failure::usage(format!("the pipeline `{what}` has no `flow`: it can only be extended")).help(help));
    }
    let meant = suggest(what, known.iter().copied());
    let help = meant.unwrap_or_else(|| format!("there is {}", known.join(", ")));
    Err(Failure::usage(format!("there is no pipeline or project `{what}`")).help(help))
}

fn invalid(error: String) -> Failure {
    let failure = Failure {
        code: exit::INVALID,
        ..Failure::other(error)
    };
    failure.help("`signalbox validate` shows them, too")
}
