//! Agents, retry, STOP, standing orders and the entry check, as written.

use crate::engine::model::Millis;

use super::codes;
use super::decode::named;
use super::diagnostic::{Problem, quoted};
use super::draft::{AgentDraft, Named, StopDraft};
use super::merge;
use super::reader::{Reader, Sp};
use super::tree::{Entry, Node, Table, Value};
use super::value::{self, check_glob, check_regex};
use super::{AutoRule, Entry as EntryCheck, Input, Retry};

const CHECKOUT: &str = "the checkout";
const DAY: Millis = Millis::secs(86_400);

/// Agents, the defaults of `*` laid under each.
pub fn agents(r: &Reader) -> Named<AgentDraft> {
    let entries = r.entries("agents");
    let mut defaults = Table::default();
    if let Some(entry) = entries.iter().find(|e| e.key == "*")
        && let Some(reader) = Reader::of(entry, "`agents.\"*\"`", r.sink)
    {
        agent(&reader);
        reader.finish();
        defaults = entry.node.table().cloned().unwrap_or_default();
    }
    let mut all = Table::default();
    for entry in entries.into_iter().filter(|e| e.key != "*") {
        let mut node = entry.node.clone();
        if let Value::Table(own) = node.value {
            let mut whole = defaults.clone();
            merge::lay(&mut whole, own, r.sink);
            node = Node {
                value: Value::Table(whole),
                place: node.place,
            };
        }
        all.0.push(Entry { node, ..entry.clone() });
    }
    // Read through a table of their own, so that defaults and agents are checked by the same code.
    let holder = Table(vec![Entry {
        key: "agents".to_owned(),
        key_place: r.at.clone(),
        node: Node {
            value: Value::Table(all),
            place: r.at.clone(),
        },
    }]);
    named(&Reader::new(&holder, &r.at, "agents", r.sink), "agents", "an agent", agent)
}

fn agent(r: &Reader) -> AgentDraft {
    let globs = |key: &'static str, folder: &str| {
        let texts = r.texts(key).unwrap_or_else(|| Sp {
            v: Vec::new(),
            at: r.at.clone(),
        });
        texts.map(|t| {
            t.into_iter()
                .filter(|g| check_glob(g, folder, r.sink))
                .map(|g| g.v)
                .collect::<Vec<_>>()
        })
    };
    let input = match r.choice("input", &["stdin", "argument"]) {
        Some("argument") => Input::Argument,
        _ => Input::Stdin,
    };
    let run = r.some_texts("run");
    if let (Input::Argument, Some(run)) = (input, &run)
        && !run.v.iter().skip(1).any(|a| a.v.contains("{prompt}"))
    {
        let problem = Problem::error(
            codes::PLACEHOLDER,
            &run.at,
            "`input` is `argument`, but no argument holds `{prompt}`",
        );
        r.sink.push(
            problem
                .label("the prompt has no place here")
                .help("write run = [\"agent\", \"{prompt}\"], or input = \"stdin\""),
        );
    }
    AgentDraft {
        run: run.map(|s| s.map(|t| t.into_iter().map(|a| a.v).collect())),
        prompt: r.text("prompt"),
        input,
        timeout: r.duration("timeout", Millis(1)..=Millis(DAY.0 * 7)).unwrap_or(Millis::secs(1800)),
        grace: r.duration("grace", Millis(0)..=Millis::secs(600)).unwrap_or(Millis::secs(20)),
        writes: globs("writes", CHECKOUT),
        artefacts: globs("artefacts", "the artefact folder").v,
        env: env(r),
        share_home: r.choice("home", &["fresh", "service"]) == Some("service"),
    }
}

/// Names of variables, not assignments: values would be secrets in clear.
fn env(r: &Reader) -> Vec<String> {
    let mut names = Vec::new();
    for name in r.texts("env").map(|t| t.v).unwrap_or_default() {
        let good = name.v.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.v.starts_with(|c: char| c.is_ascii_digit());
        if good {
            names.push(name.v);
        } else if name.v.contains('=') {
            let problem = Problem::error(codes::SECRET, &name.at, "`env` names variables to inherit, it does not set them");
            r.sink.push(
                problem
                    .label("a value in clear")
                    .help("write the name only; the service's own environment holds the value"),
            );
        } else {
            let problem = Problem::error(codes::BAD_NAME, &name.at, format!("{} cannot name a variable", quoted(&name.v)));
            r.sink.push(problem.label("not a variable name"));
        }
    }
    names
}

/// The retry policy.
pub fn retry(r: &Reader) -> Retry {
    let mut retry = Retry {
        attempts: 2,
        transient: 5,
        rescues: 3,
        base: Millis::secs(10),
        max: Millis::secs(600),
        patterns: Vec::new(),
    };
    let Some(t) = r.table("retry", "`retry`") else { return retry };
    t.not_yet(&["classify"]);
    let small = |key: &'static str, least: i64, or: u8| t.int(key, least..=20).and_then(|n| u8::try_from(n).ok()).unwrap_or(or);
    retry.attempts = small("attempts", 1, retry.attempts);
    retry.transient = small("transient", 0, retry.transient);
    retry.rescues = small("rescues", 0, retry.rescues);
    retry.base = t.duration("base", Millis(1)..=DAY).unwrap_or(retry.base);
    retry.max = t.duration("max", Millis(1)..=DAY).unwrap_or(retry.max);
    if retry.base > retry.max {
        let words = format!(
            "`base` ({}) is longer than `max` ({})",
            value::show_duration(retry.base),
            value::show_duration(retry.max)
        );
        r.sink
            .push(Problem::error(codes::RANGE, &t.at, words).label("the back-off could never grow"));
    }
    if let Some(patterns) = t.texts("patterns") {
        retry.patterns = patterns.v.into_iter().filter(|p| check_regex(p, r.sink)).map(|p| p.v).collect();
    }
    t.finish();
    retry
}

/// STOP.
pub fn stop(r: &Reader) -> StopDraft {
    let whole = vec!["archive", "checkout", "branch"];
    let Some(t) = r.table("stop", "`stop`") else {
        return StopDraft {
            enabled: true,
            critical: Named::new(),
            clean_up: whole,
        };
    };
    let enabled = t.truth("enabled").unwrap_or(true);
    let mut critical = Named::new();
    for entry in t.entries("critical") {
        if entry.key.starts_with("hook:") {
            let problem = Problem::error(codes::NOT_YET, &entry.key_place, "hooks are not available yet in this version");
            r.sink
                .push(problem.label("not available yet").help("the only critical action is `merge`"));
        } else if entry.key != "merge" {
            let problem = Problem::error(
                codes::UNKNOWN_KEY,
                &entry.key_place,
                format!("there is no action {}", quoted(&entry.key)),
            );
            r.sink
                .push(problem.label("unknown action").help("the only critical action is `merge`"));
        } else if let Some(v) = value::duration(&entry.node, &entry.key, &(Millis::secs(1)..=DAY), r.sink) {
            critical.insert(
                entry.key.clone(),
                Sp {
                    v,
                    at: entry.key_place.clone(),
                },
            );
        }
    }
    let clean_up = clean_up(&t).unwrap_or(whole);
    t.finish();
    StopDraft {
        enabled,
        critical,
        clean_up,
    }
}

fn clean_up(t: &Reader) -> Option<Vec<&'static str>> {
    const STEPS: &[&str] = &["archive", "checkout", "branch"];
    let mut out = Vec::new();
    for word in t.texts("clean_up")?.v {
        if let Some(step) = STEPS.iter().find(|s| **s == word.v) {
            out.push(*step);
        } else {
            let problem = Problem::error(codes::CHOICE, &word.at, format!("`clean_up` has no step {}", quoted(&word.v)));
            t.sink.push(problem.label("must be one of `archive`, `checkout`, `branch`"));
        }
    }
    Some(out)
}

/// Standing orders, and whether they count at all.
pub fn auto(r: &Reader) -> (bool, Named<AutoRule>) {
    let Some(t) = r.table("auto", "`auto`") else {
        return (false, Named::new());
    };
    let enabled = t.truth("enabled").unwrap_or(true);
    let mut out = Named::new();
    for entry in r.entries("auto").into_iter().filter(|e| e.key != "enabled") {
        if !value::check_name(&entry.key, &entry.key_place, "a standing order", r.sink) {
            continue;
        }
        let Some(a) = Reader::of(entry, format!("`auto.{}`", entry.key), r.sink) else {
            continue;
        };
        let label = a.need_text("label", "the label of the issue: label = \"auto:approve\"");
        let globs = a.texts("suspended_by").map(|t| t.v).unwrap_or_default();
        let suspended_by = globs
            .into_iter()
            .filter(|g| check_glob(g, CHECKOUT, r.sink))
            .map(|g| g.v)
            .collect::<Vec<_>>()
            .into();
        a.finish();
        if let Some(label) = label {
            let v = AutoRule {
                label: label.v,
                suspended_by,
            };
            out.insert(
                entry.key.clone(),
                Sp {
                    v,
                    at: entry.key_place.clone(),
                },
            );
        }
    }
    (enabled, out)
}

/// QG-0; switched off, everything that has a title may enter.
pub fn entry_check(r: &Reader) -> EntryCheck {
    let mut check = EntryCheck {
        title_max: 200,
        description: true,
        refused_status: None,
    };
    let Some(t) = r.table("entry", "`entry`") else { return check };
    let enabled = t.truth("enabled").unwrap_or(true);
    if let Some(max) = t.int("title_max", 1..=10_000).and_then(|n| u32::try_from(n).ok()) {
        check.title_max = max;
    }
    check.description = t.truth("description").unwrap_or(true);
    check.refused_status = t.text("status").map(|s| s.v);
    t.finish();
    if !enabled {
        check.title_max = u32::MAX;
        check.description = false;
    }
    check
}
