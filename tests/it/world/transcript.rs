//! A scenario's transcript: what happened, what followed and why, without anything that differs
//! from one time to the next.

use std::fmt::Write;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value as Json;

use super::{Scenario, World};

/// What differs from one time to the next, and what stands for it.
static DIFFERENT: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let patterns = [
        (r"/[^\s`'\x22]*signalbox-world-[A-Za-z0-9]+", "WORLD"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"\b[0-9a-f]{40}\b", "COMMIT"),
        (r"\b[0-9a-f]{64}\b", "HASH"),
        (r#"(run: "?)r[0-9a-f]{19}\b"#, "${1}NONCE"),
        (r"\b[0-9a-f]{10}\b", "COMMIT"),
        (r"(?m)^[0-9a-f]{7,12} ", "COMMIT "),
        (r"\b([Rr]uns?[ /])\d+", "${1}N"),
        // An agent commits in every second run, and whether this is one depends on the run's number.
        (r"(: [a-z-]+) (?:by |\()([a-z]+)\)?", "${1} of ${2}"),
        (r"127\.0\.0\.1:\d+", "ADDRESS"),
    ];
    patterns
        .into_iter()
        .filter_map(|(p, with)| Some((Regex::new(p).ok()?, with)))
        .collect()
});

/// A text without what differs from one time to the next.
pub fn normal(text: &str) -> String {
    DIFFERENT.iter().fold(text.trim().to_owned(), |text, (pattern, with)| {
        pattern.replace_all(&text, *with).into_owned()
    })
}

/// Tells a scenario that was played in `world`.
pub fn transcript(world: &mut World, scenario: &Scenario) -> String {
    told(world, scenario, |_| true, World::show)
}

/// Tells it with the rows that are to be kept and what `show` says of each task in the end.
pub(super) fn told(
    world: &mut World,
    scenario: &Scenario,
    keep: impl Fn(&Json) -> bool,
    mut show: impl FnMut(&mut World, &str) -> Json,
) -> String {
    let me = me();
    let mut out = format!("{}\n({} on {})\n", scenario.about, scenario.cases.join(", "), scenario.pipeline);
    let mut rows = Vec::new();
    let mut place = 0;
    loop {
        let page = world.get(&format!("/api/timeline?after={place}"));
        let found = page["rows"].as_array().cloned().unwrap_or_default();
        if found.is_empty() {
            break;
        }
        place = page["next"].as_i64().unwrap_or(place);
        rows.extend(found.into_iter().filter(&keep));
    }
    let mut items: Vec<String> = Vec::new();
    for row in &rows {
        let item = name(row);
        if !items.contains(&item) {
            items.push(item);
        }
    }
    for item in &items {
        let _ = write!(out, "\n== {item}\n");
        for row in rows.iter().filter(|row| name(row) == *item) {
            step(&mut out, row, &me);
        }
        let seen = show(world, if item == "no task" { "it#1" } else { item });
        ending(&mut out, &seen, &me);
    }
    out
}

fn name(row: &Json) -> String {
    row["item"].as_str().unwrap_or("no task").to_owned()
}

/// Whether the periodic look for pushes fell into a run, as it does on a slow machine: it changes nothing.
fn idle(row: &Json) -> bool {
    row["because"] == serde_json::json!(["looked again: the branch moved", "agents are at work"])
        && row["decisions"].as_array().is_none_or(Vec::is_empty)
}

fn step(out: &mut String, row: &Json, me: &str) {
    if idle(row) {
        return;
    }
    let word = |key: &str| normal(row[key].as_str().unwrap_or_default());
    let stage = if word("from") == word("to") || word("from").is_empty() {
        word("to")
    } else {
        format!("{} → {}", word("from"), word("to"))
    };
    let who = word("actor");
    let who = if who == me { "person" } else { &who };
    let _ = writeln!(out, "\n[{stage}] {who}: {}", word("what"));
    for line in row["because"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        let _ = writeln!(out, "    {}", inline(line, me));
    }
    for line in row["decisions"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        let _ = writeln!(out, "  → {}", inline(line, me));
    }
}

fn ending(out: &mut String, seen: &Json, me: &str) {
    let task = &seen["task"];
    let plain = |value: &Json| value.as_str().unwrap_or("-").to_owned();
    let _ = write!(
        out,
        "\n-- ends {} at {}, board: {}, change: {}\n",
        plain(&task["mode"]),
        plain(&task["stage"]),
        plain(&seen["status"]),
        plain(&seen["change"]["state"])
    );
    for blocker in seen["blockers"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "   {}: {}", plain(&blocker["code"]), inline(&plain(&blocker["text"]), me));
    }
    // Two writers: what each wrote is in order, who of the two came first is chance.
    let mut comments: Vec<&Json> = seen["comments"].as_array().into_iter().flatten().collect();
    comments.sort_by_key(|c| c["author"] != "signalbox");
    for comment in comments {
        let author = plain(&comment["author"]);
        let author = if author == me { "person" } else { &author };
        let _ = writeln!(out, "\n{author} wrote:");
        for line in normal(&plain(&comment["text"])).replace(me_word(me), "person").lines() {
            let _ = writeln!(out, "{}", format!("  | {line}").trim_end());
        }
    }
}

fn inline(text: &str, me: &str) -> String {
    let text = normal(text).replace('\n', " / ");
    text.replace(me_word(me), "person")
}

/// The name of whoever runs the tests, where it is long enough not to be part of another word.
fn me_word(me: &str) -> &str {
    if me.len() > 2 { me } else { "\u{0}" }
}

/// Whoever runs the tests, as the service's own door knows them.
pub(super) fn me() -> String {
    match nix::unistd::User::from_uid(nix::unistd::geteuid()) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {}", nix::unistd::geteuid()),
    }
}
