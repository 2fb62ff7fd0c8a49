//! Parts of `signalbox.toml` that have no engine yet: read, checked and refused by name.

use super::codes;
use super::decode_config::secret;
use super::diagnostic::{Place, Problem, quoted};
use super::reader::Reader;

/// `[chat]` and `[limits]`.
pub fn tables(r: &Reader) {
    if let Some(c) = r.table("chat", "`chat`") {
        let on = c.truth("enabled").unwrap_or(true);
        c.need_text("kind", "kind = \"telegram\"");
        c.choice("kind", &["telegram"]);
        secret(&c, "token");
        c.text("chat");
        c.choice("language", &["en", "ru"]);
        c.finish();
        if on {
            r.not_yet(&["chat"]);
        }
    }
    if let Some(l) = r.table("limits", "`limits`") {
        l.int("disk_free_percent", 1..=90);
        l.int("log_mib", 1..=100_000);
        l.int("keep_runs_days", 1..=3650);
        l.finish();
        r.not_yet(&["limits"]);
    }
}

/// A tracker or forge of another machine: what it is known by there, to be compared with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote(pub String);

/// A tracker or forge of a kind that this version does not have. It is refused; what it is known
/// by is returned, so that two projects that share it are found.
pub fn remote(t: &Reader, kind: &str, at: &Place, key: &str, help: &str) -> Option<Remote> {
    let words = format!("`{key}.kind` = {} is not available yet in this version", quoted(kind));
    t.sink
        .push(Problem::error(codes::NOT_YET, at, words).label("not available yet").help(help));
    let url = t.need_text("url", "url = \"https://…\"");
    if let Some(url) = url.as_ref().filter(|u| !u.v.starts_with("https://") && !u.v.starts_with("http://")) {
        let problem = Problem::error(codes::CHOICE, &url.at, format!("{} is no address", quoted(&url.v)));
        t.sink.push(
            problem
                .label("not an address")
                .help("begin with https:// (or http:// on the same machine)"),
        );
    }
    let parts: &[&'static str] = if kind == "plane" {
        &["workspace", "project"]
    } else {
        &["owner", "repo"]
    };
    let mut known = vec![url.map(|u| u.v.trim_end_matches('/').to_lowercase())];
    for part in parts {
        known.push(t.need_text(part, &format!("{part} = \"…\"")).map(|p| p.v.to_lowercase()));
    }
    if kind == "gitea" {
        t.text("default_branch");
    }
    for name in ["token", "secret"] {
        if !t.has(name) {
            t.missing(name, &format!("{name} = {{ env = \"NAME_OF_A_VARIABLE\" }}"));
        }
        secret(t, name);
    }
    t.finish();
    known.into_iter().collect::<Option<Vec<_>>>().map(|k| Remote(k.join("/")))
}
