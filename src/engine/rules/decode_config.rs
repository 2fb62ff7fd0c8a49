//! From `signalbox.toml` to [`Config`].

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::model::Name;

use super::codes;
use super::config::{Api, Config, Forge, InFlight, Language, People, Project, Secret, Tracker};
use super::decode::schema;
use super::diagnostic::{Place, Problem, Sink, quoted};
use super::merge::{Override, split};
use super::reader::{Reader, Sp, wrong_type};
use super::tree::{Table, Value};
use super::value;

/// A project and the places that findings about it point at.
pub struct Placed {
    /// The project.
    pub project: Project,
    /// Where its name stands.
    pub at: Place,
    /// Where its pipeline is named.
    pub pipeline_at: Place,
}

/// Reads the configuration. The projects are returned for binding even when others failed.
pub fn config(path: &Arc<str>, root: &Table, sink: &Sink) -> (Option<Config>, BTreeMap<Name, Placed>) {
    let before = sink.errors();
    let r = Reader::new(root, &Place::start(path), "`signalbox.toml`", sink);
    schema(&r);
    r.not_yet(&["chat", "limits"]);
    let data = r.text("data").map_or_else(|| "data".to_owned(), |d| d.v);
    let listen = r.text("listen");
    let max_concurrency = positive(&r, "max_concurrency").unwrap_or(1);
    let language = match r.choice("language", &["en", "ru"]) {
        Some("ru") => Language::Ru,
        _ => Language::En,
    };
    let api = api(&r);
    let listen = address(listen.as_ref(), api.token.is_some(), sink);
    let people = people(&r);
    let placed = projects(&r);
    shared(&placed, sink);
    r.finish();
    let config = (sink.errors() == before).then(|| Config {
        data,
        listen,
        max_concurrency,
        language,
        api,
        projects: placed.iter().map(|(name, p)| (name.clone(), p.project.clone())).collect(),
        people,
    });
    (config, placed)
}

fn positive(r: &Reader, key: &'static str) -> Option<u32> {
    r.int(key, 1..=64).and_then(|n| u32::try_from(n).ok())
}

fn api(r: &Reader) -> Api {
    let Some(a) = r.table("api", "`api`") else { return Api::default() };
    let token = secret(&a, "token");
    let hosts = a.texts("hosts").map(|t| t.v.into_iter().map(|h| h.v).collect()).unwrap_or_default();
    a.finish();
    Api { token, hosts }
}

/// A secret: by reference only.
fn secret(r: &Reader, key: &'static str) -> Option<Secret> {
    let entry = r.entry(key)?;
    if let Value::Str(_) = &entry.node.value {
        let problem = Problem::error(codes::SECRET, &entry.node.place, format!("{} stands here in clear", quoted(key)));
        let help = format!(
            "{key} = {{ env = \"NAME_OF_A_VARIABLE\" }} or {key} = {{ file = \"/run/secrets/…\" }}; and change the secret, it has been seen"
        );
        r.sink.push(problem.label("a secret in clear").help(help));
        return None;
    }
    let s = Reader::of(entry, quoted(key), r.sink)?;
    let (env, file) = (s.text("env"), s.text("file"));
    s.finish();
    match (env, file) {
        (Some(env), None) => Some(Secret::Env(env.v)),
        (None, Some(file)) => Some(Secret::File(file.v)),
        _ => {
            let problem = Problem::error(
                codes::CONFLICT,
                &entry.key_place,
                format!("{} needs exactly one of `env` and `file`", quoted(key)),
            );
            r.sink.push(
                problem
                    .label("where is the secret?")
                    .help(format!("{key} = {{ env = \"NAME_OF_A_VARIABLE\" }}")),
            );
            None
        }
    }
}

fn address(listen: Option<&Sp<String>>, token: bool, sink: &Sink) -> core::net::SocketAddr {
    let standard = core::net::SocketAddr::from(([127, 0, 0, 1], 8500));
    let Some(text) = listen else { return standard };
    let numeric = text.v.replace("localhost:", "127.0.0.1:");
    let Ok(address) = numeric.parse::<core::net::SocketAddr>() else {
        let problem = Problem::error(codes::LISTEN, &text.at, format!("{} is no address to listen on", quoted(&text.v)));
        sink.push(problem.label("not an address").help("an IP address and a port: \"127.0.0.1:8500\""));
        return standard;
    };
    if !address.ip().is_loopback() && !token {
        let words = format!("{} can be reached from other machines, and there is no token", quoted(&text.v));
        let problem = Problem::error(codes::LISTEN, &text.at, words).label("open to the network");
        sink.push(problem.help("add [api] token = { env = \"SIGNALBOX_TOKEN\" }, or listen on 127.0.0.1"));
    }
    address
}

fn people(r: &Reader) -> People {
    let Some(p) = r.table("people", "`people`") else {
        return People::default();
    };
    let list = |key: &'static str| p.texts(key).map(|t| t.v.into_iter().map(|n| n.v).collect()).unwrap_or_default();
    let people = People {
        approver: list("approver"),
        operator: list("operator"),
        viewer: list("viewer"),
    };
    p.finish();
    people
}

fn projects(r: &Reader) -> BTreeMap<Name, Placed> {
    let mut out = BTreeMap::new();
    for entry in r.entries("projects") {
        let named = value::check_name(&entry.key, &entry.key_place, "a project", r.sink);
        let Some(p) = Reader::of(entry, format!("project {}", quoted(&entry.key)), r.sink) else {
            continue;
        };
        let project = project(&p);
        p.finish();
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
    out
}

fn project(p: &Reader) -> Option<(Project, Place)> {
    let pipeline = p.need_text("pipeline", "the name of a file in pipelines/, without .toml: pipeline = \"local\"");
    let prefix = p
        .need_text("prefix", "what work item ids begin with: prefix = \"ORCH\"")
        .filter(|x| check_prefix(x, p.sink));
    let tracker = tracker(p);
    let forge = forge(p);
    let vars = vars(p);
    let set = overrides(p);
    let max_concurrency = positive(p, "max_concurrency");
    let in_flight = match p.choice("in_flight", &["pin", "follow"]) {
        Some("follow") => InFlight::Follow,
        _ => InFlight::Pin,
    };
    let pipeline = pipeline?;
    let project = Project {
        pipeline: pipeline.name(),
        prefix: prefix?.v,
        tracker: tracker?,
        forge: forge?,
        vars,
        set,
        max_concurrency,
        in_flight,
    };
    Some((project, pipeline.at))
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

/// The table of a tracker or forge of the kind `local`; other kinds are refused by name.
fn local<'a>(p: &Reader<'a>, key: &'static str, later: &[&'static str], help: &str) -> Option<Reader<'a>> {
    if !p.has(key) {
        p.entry(key);
        p.missing(key, help);
        return None;
    }
    let t = p.table(key, format!("`{key}` of {}", p.what()))?;
    let kind = t.need_text("kind", help)?;
    if later.contains(&kind.v.as_str()) {
        let words = format!("`{key}.kind` = {} is not available yet in this version", quoted(&kind.v));
        p.sink.push(
            Problem::error(codes::NOT_YET, &kind.at, words)
                .label("not available yet")
                .help(help),
        );
        for name in ["token", "secret"] {
            secret(&t, name);
        }
        return None;
    }
    if kind.v != "local" {
        let problem = Problem::error(
            codes::CHOICE,
            &kind.at,
            format!("there is no {key} of the kind {}", quoted(&kind.v)),
        );
        p.sink.push(problem.label("unknown kind").help(help));
        return None;
    }
    Some(t)
}

fn tracker(p: &Reader) -> Option<Tracker> {
    let t = local(p, "tracker", &["plane"], "tracker = { kind = \"local\" }")?;
    t.finish();
    Some(Tracker::Local)
}

fn forge(p: &Reader) -> Option<Forge> {
    let help = "forge = { kind = \"local\", source = \"../my-repository\", default_branch = \"main\" }";
    let t = local(p, "forge", &["gitea"], help)?;
    let source = t.need_text("source", help);
    let branch = t.text("default_branch");
    t.finish();
    if let Some(b) = &branch
        && let Some(why) = super::branches::illegal(&b.v)
    {
        let problem = Problem::error(
            codes::BRANCH_ILLEGAL,
            &b.at,
            format!("{} cannot name a branch: {why}", quoted(&b.v)),
        );
        p.sink.push(problem.label("not a branch name"));
        return None;
    }
    Some(Forge::Local {
        source: source?.v,
        default_branch: branch.map_or_else(|| "main".to_owned(), |b| b.v),
    })
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

/// Projects must not share a prefix (ids would collide) nor a repository (two lanes, two leases).
fn shared(projects: &BTreeMap<Name, Placed>, sink: &Sink) {
    let all: Vec<_> = projects.iter().collect();
    for (i, (name, one)) in all.iter().enumerate() {
        for (other_name, other) in &all[..i] {
            let Forge::Local { source, .. } = &one.project.forge;
            let Forge::Local { source: other_source, .. } = &other.project.forge;
            let what = if one.project.prefix == other.project.prefix {
                format!("the prefix {}", quoted(&one.project.prefix))
            } else if source.trim_end_matches('/') == other_source.trim_end_matches('/') {
                format!("the repository {}", quoted(source))
            } else {
                continue;
            };
            let words = format!("projects {} and {} share {what}", quoted(other_name), quoted(name));
            let problem = Problem::error(codes::SHARED, &one.at, words)
                .label("the second one")
                .related(&other.at, "the first one");
            sink.push(problem.help("give each project its own"));
        }
    }
}
