//! Tables of the language that have no engine behind them yet: read and checked like all others,
//! then refused by name. A table that is switched off (`enabled = false`) is as if it were absent.

use crate::engine::model::Millis;

use super::codes;
use super::decode::named;
use super::diagnostic::{Problem, quoted};
use super::draft::LaterDraft;
use super::later_tables::{maintenance, notify, reconcile};
use super::reader::{Reader, Sp, wrong_type};
use super::tree::{Entry, Value};

/// A day.
pub const DAY: Millis = Millis::secs(86_400);

/// Placeholders of hooks and probes, besides `{var.NAME}`.
const PLACES: &[&str] = &["target", "id", "branch"];

/// Reads the tables of a pipeline that this version does not have.
pub fn tables(r: &Reader) -> LaterDraft {
    let later = LaterDraft {
        hooks: named(r, "hooks", "a hook", hook),
        watches: named(r, "watches", "a watch", watch),
    };
    for (name, table) in [("reconcile", reconcile as fn(&Reader)), ("notify", notify)] {
        if let Some(t) = r.table(name, quoted(name)) {
            let on = t.truth("enabled").unwrap_or(true);
            table(&t);
            t.finish();
            refuse_if(on, r, name);
        }
    }
    let maintained = maintenance(r);
    refuse_if(maintained, r, "maintenance");
    for name in ["hooks", "watches"] {
        refuse_if(r.has(name), r, name);
    }
    later
}

fn refuse_if(on: bool, r: &Reader, key: &'static str) {
    if on {
        r.not_yet(&[key]);
    }
}

/// A hook: what its outcomes depend on.
#[derive(Debug, Clone, Default)]
pub struct HookDraft {
    /// Whether the running revision is asked afterwards.
    pub revision: bool,
    /// Texts with placeholders.
    pub templates: Vec<Sp<String>>,
}

fn hook(r: &Reader) -> HookDraft {
    let mut templates = r.need_run("program and arguments, without a shell: run = [\"ops/deploy.sh\", \"{target}\"]");
    r.truth("detached");
    r.duration("timeout", Millis::secs(1)..=DAY);
    let revision = r.table("revision", format!("`revision` of {}", r.what()));
    if let Some(probe) = &revision {
        templates.extend(source(probe));
        probe.finish();
    }
    HookDraft {
        revision: revision.is_some(),
        templates,
    }
}

/// Where something is asked: an address or a command, and a field of the answer.
fn source(r: &Reader) -> Vec<Sp<String>> {
    let mut templates: Vec<Sp<String>> = r.text("http").into_iter().collect();
    for address in &templates {
        check_address(address, r);
    }
    templates.extend(r.some_texts("command").map(|t| t.v).unwrap_or_default());
    r.text("field");
    if r.has("http") == r.has("command") {
        let problem = Problem::error(
            codes::CONFLICT,
            &r.at,
            format!("{} needs exactly one of `http` and `command`", r.what()),
        );
        r.sink.push(
            problem
                .label("what is asked?")
                .help("http = \"{var.health}\", or command = [\"./probe.sh\"]"),
        );
    }
    templates
}

fn check_address(address: &Sp<String>, r: &Reader) {
    if ["http://", "https://", "{var."].iter().any(|p| address.v.starts_with(p)) {
        return;
    }
    let problem = Problem::error(codes::CHOICE, &address.at, format!("{} is no address", quoted(&address.v)));
    r.sink.push(
        problem
            .label("not an address")
            .help("begin with http:// or https://, or with a variable of the project: \"{var.health}\""),
    );
}

/// A watch: its texts with placeholders.
fn watch(r: &Reader) -> Vec<Sp<String>> {
    let step = r.duration("every", Millis::secs(1)..=DAY).unwrap_or(Millis::secs(30));
    let whole = r.duration("for", Millis::secs(1)..=Millis(DAY.0 * 30)).unwrap_or(Millis::secs(900));
    let samples = whole.0.checked_div(step.0).unwrap_or(0);
    if samples < 1 {
        let problem = Problem::error(codes::RANGE, &r.at, format!("{} ends before its first probe", r.what()));
        r.sink.push(problem.label("`every` is longer than `for`"));
    }
    for key in ["healthy_after", "degraded_at"] {
        r.int(key, 1..=samples.max(1));
    }
    r.text("status");
    for key in ["on_healthy", "on_degraded", "on_inconclusive"] {
        if let Some(t) = r.table(key, format!("{} of {}", quoted(key), r.what())) {
            t.text("status");
            t.truth("alert");
            t.truth("escalate");
            t.choice("freeze", &["merge", "all"]);
            t.text("run");
            t.finish();
        }
    }
    probes(r)
}

fn probes(r: &Reader) -> Vec<Sp<String>> {
    let Some(entry) = r.entry("probes") else {
        r.missing("probes", "probes = [{ http = \"{var.health}\", expect = 200 }]");
        return Vec::new();
    };
    let Value::Array(nodes) = &entry.node.value else {
        wrong_type(r.sink, &entry.node, "`probes`", "an array of tables");
        return Vec::new();
    };
    let mut templates = Vec::new();
    for node in nodes {
        let Some(table) = node.table() else {
            wrong_type(r.sink, node, "each of `probes`", "a table");
            continue;
        };
        let p = Reader::new(table, &node.place, "a probe", r.sink);
        templates.extend(source(&p));
        p.int("expect", 100..=599);
        templates.extend(p.text("is"));
        p.finish();
    }
    if nodes.is_empty() {
        let problem = Problem::error(codes::EMPTY, &entry.node.place, format!("{} asks nothing", r.what()));
        r.sink
            .push(problem.label("needs at least one probe").help("no data is never \"healthy\""));
    }
    templates
}

/// An `http` gate: asked of the network, without an engine yet.
pub fn http_gate(r: &Reader) -> Vec<Sp<String>> {
    let url = r.need_text("url", "what is asked: url = \"{var.health}\"");
    if let Some(url) = &url {
        check_address(url, r);
    }
    r.int("expect", 100..=599);
    r.text("field");
    let is = r.text("is");
    r.duration("timeout", Millis::secs(1)..=Millis::secs(600));
    url.into_iter().chain(is).collect()
}

/// Checks the placeholders of hooks, watches and probes; variables where a project gives them.
pub fn templates<'a>(
    all: impl Iterator<Item = &'a Sp<String>>,
    vars: Option<&std::collections::BTreeMap<String, String>>,
    r: &super::diagnostic::Sink,
) {
    for template in all {
        let Ok(found) = super::value::placeholders(&template.v) else {
            super::value::check_placeholders(template, PLACES, r);
            continue;
        };
        for word in found {
            let known = match word.strip_prefix("var.") {
                Some(var) => vars.is_none_or(|v| v.contains_key(var)),
                None => PLACES.contains(&word),
            };
            if known {
                continue;
            }
            let problem = if let Some(var) = word.strip_prefix("var.") {
                let words = format!("the project defines no variable {}", quoted(var));
                Problem::error(codes::UNKNOWN_VAR, &template.at, words)
                    .label("unknown variable")
                    .help(format!("vars = {{ {var} = \"…\" }}"))
            } else {
                let words = format!("nothing fills the placeholder {}", quoted(&format!("{{{word}}}")));
                let help = "placeholders are `{target}`, `{id}`, `{branch}` and `{var.NAME}`";
                Problem::error(codes::PLACEHOLDER, &template.at, words)
                    .label("unknown placeholder")
                    .help(help)
            };
            r.push(problem);
        }
    }
}

/// The entries of a table that are tables themselves; `enabled` beside them is left out.
pub fn tables_of<'a>(r: &Reader<'a>, key: &'static str) -> (bool, Vec<&'a Entry>) {
    let entries = r.entries(key);
    let off = entries.iter().any(|e| e.key == "enabled" && e.node.value == Value::Bool(false));
    (!off, entries.into_iter().filter(|e| e.key != "enabled").collect())
}
