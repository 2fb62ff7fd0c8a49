//! Tables without an engine that hold plain settings.

use crate::engine::model::Millis;

use super::codes;
use super::diagnostic::{Problem, list, quoted};
use super::later::{DAY, tables_of};
use super::reader::{Reader, Sp};
use super::value;

/// The sweep for events that were lost.
pub fn reconcile(r: &Reader) {
    r.duration("every", Millis::secs(5)..=DAY);
    r.duration("grace", Millis::secs(0)..=DAY);
    for key in ["tracker", "announce", "skip_blocked"] {
        r.truth(key);
    }
}

/// What is told where.
pub fn notify(r: &Reader) {
    const ON: &[&str] = &["started", "stage", "waiting", "escalated", "stopped", "done", "frozen", "spent"];
    r.truth("card");
    for word in r.texts("on").map(|t| t.v).unwrap_or_default() {
        one_of(&word, ON, "`on`", r);
    }
}

/// Maintenance commands; whether any is switched on.
pub fn maintenance(r: &Reader) -> bool {
    let (on, entries) = tables_of(r, "maintenance");
    for entry in entries {
        value::check_name(&entry.key, &entry.key_place, "a maintenance command", r.sink);
        let Some(m) = Reader::of(entry, format!("maintenance {}", quoted(&entry.key)), r.sink) else {
            continue;
        };
        m.truth("enabled");
        let run = m.need_run("program and arguments: run = [\"docker\", \"builder\", \"prune\", \"-f\", \"--filter\", \"until=24h\"]");
        prunes(&run, &m);
        m.duration("every", Millis::secs(60)..=Millis(DAY.0 * 31));
        m.duration("timeout", Millis::secs(1)..=DAY);
        m.text("target");
        m.finish();
    }
    on
}

/// Refuses commands that remove what others still need.
fn prunes(run: &[Sp<String>], r: &Reader) {
    let text: Vec<&str> = run.iter().flat_map(|a| a.v.split_whitespace()).collect();
    let Some(at) = text.iter().position(|w| *w == "prune") else {
        return;
    };
    let what = ["image", "system", "container", "volume", "network", "pod"];
    let kind = text.iter().take(at).rev().find(|w| what.contains(w));
    let short = |w: &&str| w.starts_with('-') && !w.starts_with("--") && w.contains('a');
    let all = text.iter().any(|w| *w == "--all" || w.starts_with("--all=")) || text.iter().any(short);
    let aged = text.iter().any(|w| w.contains("until="));
    let words = match kind {
        Some(kind) => format!("this command prunes more than a build cache: {}", quoted(&format!("{kind} prune"))),
        None if all && !aged => "this command prunes everything, whatever its age".to_owned(),
        None => return,
    };
    let place = run.first().map_or(&r.at, |a| &a.at);
    let problem = Problem::error(codes::PRUNE, place, words).label("would remove what is in use");
    r.sink.push(
        problem.help(
            "a build cache with an age filter may be pruned: [\"docker\", \"builder\", \"prune\", \"-f\", \"--filter\", \"until=24h\"]",
        ),
    );
}

/// Refuses a word that is none of those known.
pub fn one_of(word: &Sp<String>, known: &[&str], what: &str, r: &Reader) {
    if !known.contains(&word.v.as_str()) {
        let problem = Problem::error(codes::CHOICE, &word.at, format!("{what} cannot hold {}", quoted(&word.v)));
        r.sink.push(problem.label(format!("must be one of {}", list(known))));
    }
}
