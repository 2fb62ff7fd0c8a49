//! The pure engine, case by case, over the shipped pipelines: a small world tells facts, events
//! go in, and what follows is looked at. Names `B-…` are the cases of the behaviour reference.

mod actions;
mod advance;
mod entry;
mod known;
mod people;
mod property;
mod pushes;
mod reasons;
mod rollback;
mod runs;
mod seen;
mod stop;
mod words;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use crate::engine::model::{
    Actor, At, Blocker, Body, CheckFact, CheckState, Decision, Event, Fact, FactKey, Facts, FileFact, FrontmatterFact, Head, HeadFact,
    Issue, JobSpec, MergeFact, Millis, Mode, Name, Phase, Repo, RepoId, ReviewFact, ReviewState, Role, RunEnd, RunId, RunReport, Seat, Seq,
    Signal, SlotState, StopState, Task, TaskId, Usage, Value, Via,
};
use crate::engine::rules::{Ruleset, load};
use crate::engine::schedule::waits;
use crate::engine::step::{Step, needs, reading, step};
use crate::shell::embedded::embedded;

pub(in crate::engine) use world::World;

/// A moment to count from.
pub(in crate::engine) const T0: Millis = Millis(1_700_000_000_000);

/// The rules of a project on this pipeline, with `set` entries of its own.
pub(crate) fn rules_with(pipeline: &str, set: &str) -> Arc<Ruleset> {
    static SHIPPED: OnceLock<BTreeMap<&str, Arc<Ruleset>>> = OnceLock::new();
    let load = |name: &'static str| (name, rules_of(&[], name, ""));
    let shipped = SHIPPED.get_or_init(|| ["orch", "enduro", "local"].map(load).into());
    match shipped.get(pipeline) {
        Some(rules) if set.is_empty() => Arc::clone(rules),
        _ => rules_of(&[], pipeline, set),
    }
}

/// The same, with files of the person's own laid over the shipped ones.
pub(in crate::engine) fn rules_of(own: &[(&str, &str)], pipeline: &str, set: &str) -> Arc<Ruleset> {
    let prefix = if pipeline == "enduro" { "ET" } else { "ORCH" };
    let text = format!(
        "schema = 1\n[projects.p]\npipeline = \"{pipeline}\"\nprefix = \"{prefix}\"\ntracker = {{ kind = \"local\" }}\n\
         forge = {{ kind = \"local\", source = \"../p\" }}\nset = {{ \"agents.*.run\" = [\"./agent.sh\"]{set} }}\n\
         [people]\napprover = [\"alice\", \"boris\"]\n"
    );
    let mut files = embedded();
    files.insert("signalbox.toml", text.as_str(), "signalbox.toml");
    for (path, text) in own {
        files.insert(path, *text, *path);
    }
    let loaded = load(&files);
    let errors: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.severity == crate::engine::rules::Severity::Error)
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    Arc::clone(&loaded.rulesets["p"])
}

/// What a complete analysis consists of.
const BRD: &[&str] = &["01-brd.md", "02-trz.md", "03-acceptance-criteria.md", "04-test-plan.yaml"];

pub(in crate::engine) fn person(name: &str, roles: &[Role]) -> Actor {
    Actor::Person {
        name: name.to_owned(),
        via: Via::Cli,
        roles: roles.to_vec(),
    }
}

fn head((commit, subject): (u32, u32)) -> Head {
    Head {
        sha: sha(commit),
        subject: format!("s{subject}"),
    }
}

fn sha(commit: u32) -> String {
    format!("{commit:040x}")
}

fn number(sha: &str) -> u32 {
    u32::from_str_radix(sha, 16).unwrap_or_default()
}

/// Another task's seat in the lane.
fn seat(task: i64, item: &str) -> Seat {
    Seat {
        task: TaskId(task),
        item: item.to_owned(),
        inside: true,
        passed: Vec::new(),
        since: T0,
    }
}
