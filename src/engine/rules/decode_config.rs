//! From `signalbox.toml` to [`Config`].

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::model::{Containment, Millis, Name};

use super::codes;
use super::config::{Api, Chat, Config, Language, People, Project, Secret};
use super::decode::schema;
use super::decode_bound;
use super::decode_projects;
use super::diagnostic::{Place, Problem, Sink, quoted};
use super::later::DAY;
use super::later_config;
use super::reader::{Reader, Sp};
use super::tree::{Table, Value};
use super::{GateKind, Ruleset};

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
    later_config::tables(&r);
    let data = r.text("data").map_or_else(|| "data".to_owned(), |d| d.v);
    let listen = r.text("listen");
    let max_concurrency = positive(&r, "max_concurrency").unwrap_or(1);
    let stalled_after = r.duration("stalled_after", Millis::secs(60)..=DAY).unwrap_or(Millis::secs(600));
    let containment = r.choice("containment", &["pidns", "cgroup", "tagged"]);
    let containment = containment.and_then(Containment::named).unwrap_or(Containment::Pidns);
    let language = match r.choice("language", &["en", "ru"]) {
        Some("ru") => Language::Ru,
        _ => Language::En,
    };
    let api = api(&r);
    let listen = address(listen.as_ref(), api.token.is_some(), sink);
    let people = people(&r);
    let chat = chat(&r, language);
    let placed = decode_projects::projects(&r);
    r.finish();
    let config = (sink.errors() == before).then(|| Config {
        data,
        listen,
        max_concurrency,
        stalled_after,
        containment,
        language,
        api,
        projects: placed.iter().map(|(name, p)| (name.clone(), p.project.clone())).collect(),
        people,
        chat,
    });
    (config, placed)
}

/// A count of things at the same time.
pub fn positive(r: &Reader, key: &'static str) -> Option<u32> {
    r.int(key, 1..=1000).and_then(|n| u32::try_from(n).ok())
}

fn api(r: &Reader) -> Api {
    let Some(a) = r.table("api", "`api`") else { return Api::default() };
    let token = secret(&a, "token");
    let hosts = a.texts("hosts").map(|t| t.v.into_iter().map(|h| h.v).collect()).unwrap_or_default();
    a.finish();
    Api { token, hosts }
}

/// The address of Telegram's bot interface.
const TELEGRAM: &str = "https://api.telegram.org";

fn chat(r: &Reader, language: Language) -> Option<Chat> {
    let c = r.table("chat", "`chat`")?;
    let on = c.truth("enabled").unwrap_or(true);
    c.need_text("kind", "kind = \"telegram\"");
    c.choice("kind", &["telegram"]);
    if !c.has("token") {
        c.missing("token", "token = { env = \"TELEGRAM_TOKEN\" }");
    }
    let token = secret(&c, "token");
    let room = c.need_text("chat", "chat = \"-100…\": the number of the room, or @name of a public one");
    let room = room.filter(|room| check_room(room, r.sink));
    let url = if c.has("url") {
        decode_bound::address(&c)
    } else {
        Some(TELEGRAM.to_owned())
    };
    let language = match c.choice("language", &["en", "ru"]) {
        Some("ru") => Language::Ru,
        Some(_) => Language::En,
        None => language,
    };
    c.finish();
    let chat = || {
        Some(Chat {
            url: url?,
            token: token?,
            room: room?.v,
            language,
        })
    };
    chat().filter(|_| on)
}

fn check_room(room: &Sp<String>, sink: &Sink) -> bool {
    let named = room
        .v
        .strip_prefix('@')
        .is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    let good = named || room.v.parse::<i64>().is_ok();
    if !good {
        let problem = Problem::error(codes::CHOICE, &room.at, format!("{} is no room", quoted(&room.v)));
        sink.push(
            problem
                .label("not a room")
                .help("a number in quotes such as \"-1001234567890\", or \"@name\" of a public one"),
        );
    }
    good
}

/// A secret: by reference only.
pub fn secret(r: &Reader, key: &'static str) -> Option<Secret> {
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

/// The human gates of a project's pipeline must find people enough in `[people]`.
pub fn quorum(rules: &Ruleset, people: &People, placed: &Placed, sink: &Sink) {
    let somebody = [&people.approver, &people.operator, &people.viewer].iter().any(|l| !l.is_empty());
    for (name, gate) in &rules.gates {
        let GateKind::Human { from, quorum, .. } = &gate.kind else {
            continue;
        };
        let role = if *from == "operator" { &people.operator } else { &people.approver };
        let listed: std::collections::BTreeSet<&String> = role.iter().collect();
        // Where nobody is listed, the owner of the service decides.
        let there = if somebody { listed.len() } else { 1 };
        if usize::try_from(*quorum).unwrap_or(usize::MAX) <= there {
            continue;
        }
        let words = format!(
            "the gate {} waits for {quorum} of the role {}, and there {}",
            quoted(name),
            quoted(from),
            if there == 1 { "is 1".to_owned() } else { format!("are {there}") }
        );
        let problem = Problem::error(codes::QUORUM, &placed.at, words).label("this project's tasks would wait for ever");
        sink.push(problem.help(format!("list them: [people] {from} = [\"alice\", …]")));
    }
}
