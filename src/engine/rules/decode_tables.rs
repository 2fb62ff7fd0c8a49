//! Retry, STOP, standing orders and the entry check, as written.

use crate::engine::model::Millis;

use super::codes;
use super::diagnostic::{Problem, quoted};
use super::draft::{Named, StopDraft};
use super::reader::{Reader, Sp};
use super::value::{self, check_glob, check_regex};
use super::{AutoRule, Entry as EntryCheck, Retry};

const CHECKOUT: &str = "the checkout";
const DAY: Millis = Millis::secs(86_400);

/// The retry policy, and the function that classifies failed runs.
pub fn retry(r: &Reader) -> (Retry, Option<Sp<String>>) {
    let mut retry = Retry {
        attempts: 2,
        transient: 5,
        rescues: 3,
        base: Millis::secs(10),
        max: Millis::secs(600),
        patterns: Vec::new(),
    };
    let Some(t) = r.table("retry", "`retry`") else {
        return (retry, None);
    };
    let classify = t.text("classify");
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
    (retry, classify)
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
        let hook = entry.key.starts_with("hook:");
        if hook {
            let problem = Problem::error(codes::NOT_YET, &entry.key_place, "hooks are not available yet in this version");
            r.sink
                .push(problem.label("not available yet").help("the only critical action is `merge`"));
        }
        if !hook && entry.key != "merge" {
            let problem = Problem::error(
                codes::UNKNOWN_KEY,
                &entry.key_place,
                format!("there is no action {}", quoted(&entry.key)),
            );
            r.sink.push(
                problem
                    .label("unknown action")
                    .help("the critical actions are `merge` and `hook:NAME`"),
            );
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
