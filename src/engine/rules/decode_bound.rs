//! What a project is bound to: its tracker and its forge.

use std::collections::BTreeMap;

use crate::engine::model::Name;

use super::branches;
use super::codes;
use super::config::{Forge, Gitea, Plane, Secret, Tracker};
use super::decode_config::secret;
use super::diagnostic::{Problem, quoted};
use super::reader::{Reader, Sp};
use super::value;

/// A tracker or forge, or one that was refused.
pub struct Found<T> {
    /// The thing, where nothing is wrong with it.
    pub usable: Option<T>,
    /// What it is known by, so that two projects that share it are found.
    pub known: Option<String>,
}

impl<T> Found<T> {
    const NONE: Self = Self { usable: None, known: None };
}

/// A kind of tracker or forge, and what reads its table.
type Kind<'a, T> = (&'a str, &'a dyn Fn(&Reader) -> Found<T>);

fn bound<T>(p: &Reader, key: &'static str, help: &str, kinds: &[Kind<T>]) -> Found<T> {
    if !p.has(key) {
        p.entry(key);
        p.missing(key, help);
        return Found::NONE;
    }
    let Some(t) = p.table(key, format!("`{key}` of {}", p.what())) else {
        return Found::NONE;
    };
    let Some(kind) = t.need_text("kind", help) else {
        return Found::NONE;
    };
    let Some((_, read)) = kinds.iter().find(|(name, _)| *name == kind.v) else {
        let words = format!("there is no {key} of the kind {}", quoted(&kind.v));
        p.sink
            .push(Problem::error(codes::CHOICE, &kind.at, words).label("unknown kind").help(help));
        return Found::NONE;
    };
    let found = read(&t);
    t.finish();
    found
}

/// Reads the tracker of a project.
pub fn tracker(p: &Reader) -> Found<Tracker> {
    let local = |_: &Reader| Found {
        usable: Some(Tracker::Local),
        known: None,
    };
    bound(
        p,
        "tracker",
        "tracker = { kind = \"local\" }, or kind = \"plane\" (docs/plane.md)",
        &[("local", &local), ("plane", &plane)],
    )
}

/// Reads the forge of a project.
pub fn forge(p: &Reader) -> Found<Forge> {
    bound(p, "forge", LOCAL_FORGE, &[("local", &local_forge), ("gitea", &gitea)])
}

const LOCAL_FORGE: &str = "forge = { kind = \"local\", source = \"../my-repository\", default_branch = \"main\" }";

fn local_forge(t: &Reader) -> Found<Forge> {
    let source = t.need_text("source", LOCAL_FORGE);
    let branch = default_branch(t);
    let known = source.as_ref().map(|s| plain_path(&s.v));
    let usable = source.zip(branch).map(|(source, default_branch)| Forge::Local {
        source: source.v,
        default_branch,
    });
    Found { usable, known }
}

fn plane(t: &Reader) -> Found<Tracker> {
    let url = address(t);
    let workspace = t.need_text(
        "workspace",
        "workspace = \"acme\": what stands after the host in the board's address",
    );
    let workspace = workspace.filter(|w| segment(t, "workspace", w));
    let project = t.need_text("project", "project = \"the UUID in the board's address\"");
    let project = project.filter(|p| uuid(t, p));
    let (token, signed) = (need_secret(t, "token"), need_secret(t, "secret"));
    let agents = agents(t);
    let known = [url.as_ref(), workspace.as_ref().map(|w| &w.v), project.as_ref().map(|p| &p.v)];
    let known = known_by(&known);
    let usable = || {
        Some(Tracker::Plane(Plane {
            url: url?,
            workspace: workspace?.v,
            project: project?.v.to_lowercase(),
            token: token?,
            secret: signed?,
            agents,
        }))
    };
    Found { usable: usable(), known }
}

fn gitea(t: &Reader) -> Found<Forge> {
    let url = address(t);
    let owner = t.need_text("owner", "owner = \"acme\"").filter(|o| segment(t, "owner", o));
    let repo = t.need_text("repo", "repo = \"shop\"").filter(|r| segment(t, "repo", r));
    let branch = default_branch(t);
    let (token, signed) = (need_secret(t, "token"), need_secret(t, "secret"));
    let known = known_by(&[url.as_ref(), owner.as_ref().map(|o| &o.v), repo.as_ref().map(|r| &r.v)]);
    let usable = || {
        Some(Forge::Gitea(Gitea {
            url: url?,
            owner: owner?.v,
            repo: repo?.v,
            default_branch: branch?,
            token: token?,
            secret: signed?,
        }))
    };
    Found { usable: usable(), known }
}

fn known_by(parts: &[Option<&String>]) -> Option<String> {
    let parts: Option<Vec<String>> = parts.iter().map(|p| p.map(|p| p.to_lowercase())).collect();
    parts.map(|p| p.join("/"))
}

/// The default branch; `None` when what stands there cannot name one.
fn default_branch(t: &Reader) -> Option<String> {
    let Some(branch) = t.text("default_branch") else {
        return Some("main".to_owned());
    };
    let Some(why) = branches::illegal(&branch.v) else {
        return Some(branch.v);
    };
    let words = format!("{} cannot name a branch: {why}", quoted(&branch.v));
    t.sink
        .push(Problem::error(codes::BRANCH_ILLEGAL, &branch.at, words).label("not a branch name"));
    None
}

/// The address of a server, without a slash at the end.
pub fn address(t: &Reader) -> Option<String> {
    let url = t.need_text("url", "url = \"https://…\"")?;
    let rest = url.v.strip_prefix("https://").or_else(|| url.v.strip_prefix("http://"));
    let wrong = match rest {
        None => Some("begin with https:// (or http:// on the same machine)"),
        Some(rest) if rest.trim_matches('/').is_empty() => Some("name the server after it"),
        Some(rest) if rest.trim_end_matches('/').ends_with("/api/v1") => Some("without /api/v1 at its end: the service adds that itself"),
        Some(rest) if rest.contains('@') => Some("no user or password here: the token has a key of its own"),
        Some(rest) if rest.contains(['?', '#']) || rest.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            Some("only the server and the path under which it is served, nothing after them")
        }
        Some(_) => None,
    };
    let Some(help) = wrong else {
        return Some(url.v.trim_end_matches('/').to_owned());
    };
    let problem = Problem::error(codes::CHOICE, &url.at, format!("{} is no address", quoted(&url.v)));
    t.sink.push(problem.label("not an address").help(help));
    None
}

/// A name that becomes one segment of an address.
fn segment(t: &Reader, key: &str, text: &Sp<String>) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let good = !text.v.is_empty() && text.v.len() <= 100 && text.v.chars().all(plain) && !text.v.starts_with('.');
    if !good {
        let words = format!("{} cannot be the {key}", quoted(&text.v));
        let problem = Problem::error(codes::CHOICE, &text.at, words).label("not a name there");
        t.sink
            .push(problem.help("letters, digits, `-`, `_` and `.`, as it stands in the address of the page"));
    }
    good
}

fn uuid(t: &Reader, text: &Sp<String>) -> bool {
    let lengths: Vec<usize> = text.v.split('-').map(str::len).collect();
    let good = lengths == [8, 4, 4, 4, 12] && text.v.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    if !good {
        let words = format!("{} is no project id", quoted(&text.v));
        let problem = Problem::error(codes::CHOICE, &text.at, words).label("not a UUID");
        t.sink
            .push(problem.help("the UUID after /projects/ in the board's address, such as 4af68566-94a4-4eb3-94aa-50dc9427067b"));
    }
    good
}

fn need_secret(t: &Reader, key: &'static str) -> Option<Secret> {
    if !t.has(key) {
        t.missing(key, &format!("{key} = {{ env = \"NAME_OF_A_VARIABLE\" }}"));
    }
    secret(t, key)
}

/// Keys under which agents write comments in a name of their own.
fn agents(t: &Reader) -> BTreeMap<Name, Secret> {
    let mut out = BTreeMap::new();
    for entry in t.entries("agents") {
        value::check_name(&entry.key, &entry.key_place, "an agent", t.sink);
        let Some(a) = Reader::of(entry, format!("agent {}", quoted(&entry.key)), t.sink) else {
            continue;
        };
        if let Some(token) = need_secret(&a, "token") {
            out.insert(Name::new(&entry.key), token);
        }
        a.finish();
    }
    out
}

/// A path without what does not change where it leads: `./a//b/` is `a/b`.
fn plain_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|p| !p.is_empty() && *p != ".") {
        if part == ".." && parts.last().is_some_and(|p| *p != "..") {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    if parts.is_empty() && root.is_empty() {
        return ".".to_owned();
    }
    format!("{root}{}", parts.join("/"))
}
