//! Projects, as `signalbox.toml` has them.

use std::collections::BTreeMap;

use crate::engine::model::Name;

use super::codes;
use super::config::{InFlight, Project};
use super::decode_bound::{forge, tracker};
use super::decode_config::{Placed, positive};
use super::diagnostic::{Place, Problem, Sink, quoted};
use super::merge::{Override, split};
use super::reader::{Reader, Sp, wrong_type};
use super::tree::Value;
use super::value;

/// What is claimed ("the prefix"), and what it is known by.
type Claims = Vec<(&'static str, String)>;

/// What a project may share with no other one: how people call it, and what it is known by.
struct Claim {
    name: String,
    at: Place,
    claims: Claims,
}

/// Reads the projects; those that are wrong are reported and left out.
pub fn projects(r: &Reader) -> BTreeMap<Name, Placed> {
    let mut out = BTreeMap::new();
    let mut claimed = Vec::new();
    for entry in r.entries("projects") {
        let named = value::check_name(&entry.key, &entry.key_place, "a project", r.sink);
        let Some(p) = Reader::of(entry, format!("project {}", quoted(&entry.key)), r.sink) else {
            continue;
        };
        let (project, claims) = project(&p);
        p.finish();
        claimed.push(Claim {
            name: entry.key.clone(),
            at: entry.key_place.clone(),
            claims,
        });
        if let (true, Some((project, pipeline_at))) = (named, project) {
            out.insert(
                Name::new(&entry.key),
                Placed {
                    project,
                    at: entry.key_place.clone(),
                    pipeline_at,
                },
            );
        }
    }
    shared(&claimed, r.sink);
    out
}

fn project(p: &Reader) -> (Option<(Project, Place)>, Claims) {
    let pipeline = p.need_text("pipeline", "the name of a file in pipelines/, without .toml: pipeline = \"local\"");
    let prefix = p
        .need_text("prefix", "what work item ids begin with: prefix = \"ORCH\"")
        .filter(|x| check_prefix(x, p.sink));
    let (tracker, forge) = (tracker(p), forge(p));
    let vars = vars(p);
    let set = overrides(p);
    let max_concurrency = positive(p, "max_concurrency");
    let priority = p.int("priority", -100..=100).and_then(|n| i32::try_from(n).ok()).unwrap_or(0);
    let in_flight = match p.choice("in_flight", &["pin", "follow"]) {
        Some("follow") => InFlight::Follow,
        _ => InFlight::Pin,
    };
    let claims = [
        ("the prefix", prefix.as_ref().map(|x| x.v.clone())),
        ("the tracker project", tracker.known),
        ("the repository", forge.known),
    ];
    let claims = claims.into_iter().filter_map(|(what, known)| Some((what, known?))).collect();
    let whole = || {
        let pipeline = pipeline?;
        let project = Project {
            pipeline: pipeline.name(),
            prefix: prefix?.v,
            tracker: tracker.usable?,
            forge: forge.usable?,
            vars,
            set,
            max_concurrency,
            priority,
            in_flight,
        };
        Some((project, pipeline.at))
    };
    (whole(), claims)
}

fn check_prefix(prefix: &Sp<String>, sink: &Sink) -> bool {
    let text = prefix.v.as_str();
    let good = text.len() <= 10
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    if !good {
        let problem = Problem::error(codes::BAD_NAME, &prefix.at, format!("{} cannot be a prefix", quoted(text)));
        sink.push(
            problem
                .label("not a prefix")
                .help("a capital letter, then capital letters and digits, 10 in all at most"),
        );
    }
    good
}

fn vars(p: &Reader) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for entry in p.entries("vars") {
        let lower = entry.key.to_lowercase();
        if ["token", "secret", "password"].iter().any(|w| lower.contains(w)) {
            let problem = Problem::error(
                codes::SECRET,
                &entry.node.place,
                format!("{} looks like a secret in clear", quoted(&entry.key)),
            );
            p.sink.push(
                problem
                    .label("vars are shown and stored")
                    .help("agents inherit secrets by `env`, never through rules"),
            );
        }
        let text = match &entry.node.value {
            Value::Str(s) => s.clone(),
            Value::Int(i) => i.to_string(),
            Value::Bool(b) => b.to_string(),
            _ => {
                wrong_type(p.sink, &entry.node, &quoted(&entry.key), "a string");
                continue;
            }
        };
        out.insert(entry.key.clone(), text);
    }
    out
}

fn overrides(p: &Reader) -> Vec<Override> {
    let mut out = Vec::new();
    for entry in p.entries("set") {
        match split(&entry.key) {
            Some(path) if path.len() == 1 && ["schema", "extends"].contains(&path[0].as_str()) => {
                let problem = Problem::error(
                    codes::SET_KEY,
                    &entry.key_place,
                    format!("{} cannot be set by a project", quoted(&entry.key)),
                );
                p.sink.push(
                    problem
                        .label("belongs to the pipeline")
                        .help("write a pipeline of your own that extends this one"),
                );
            }
            Some(path) => out.push(Override {
                path,
                place: entry.key_place.clone(),
                node: entry.node.clone(),
            }),
            None => {
                let problem = Problem::error(
                    codes::SET_KEY,
                    &entry.key_place,
                    format!("{} is no path of keys", quoted(&entry.key)),
                );
                p.sink.push(
                    problem
                        .label("not a path")
                        .help("keys joined by dots: \"agents.*.run\"; a key with dots in double quotes"),
                );
            }
        }
    }
    out
}

/// Projects must not share a prefix (ids would collide), a repository (two lanes, two leases) nor
/// a tracker project (two tasks for one issue).
fn shared(projects: &[Claim], sink: &Sink) {
    let mut first: BTreeMap<(&str, &str), &Claim> = BTreeMap::new();
    for one in projects {
        for (what, known) in &one.claims {
            if let Some(other) = first.get(&(*what, known.as_str())) {
                let words = format!(
                    "projects {} and {} share {what} {}",
                    quoted(&other.name),
                    quoted(&one.name),
                    quoted(known)
                );
                let problem = Problem::error(codes::SHARED, &one.at, words)
                    .label("the second one")
                    .related(&other.at, "the first one");
                sink.push(problem.help("give each project its own"));
            } else {
                first.insert((what, known), one);
            }
        }
    }
}
