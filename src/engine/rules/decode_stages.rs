//! Stages, edges and counters, as written.

use crate::engine::model::{FreezeLevel, Millis};

use super::codes;
use super::diagnostic::{Problem, quoted};
use super::draft::{CounterDraft, EdgeDraft, Named, StageDraft};
use super::reader::{Reader, Sp};

/// Largest counter: a person looks in long before.
pub const MAX_RETURNS: i64 = 20;

/// A stage.
pub fn stage(r: &Reader) -> StageDraft {
    let watch = r.text("watch");
    r.duration("grace", Millis(0)..=Millis::secs(86_400));
    r.not_yet(&["watch", "grace"]);
    StageDraft {
        status: r.text("status"),
        work: r.texts("work").map(|t| t.v).unwrap_or_default(),
        pass: r.texts("pass").map(|t| t.v).unwrap_or_default(),
        actions: actions(r),
        watch,
        on: edges(r),
    }
}

fn actions(r: &Reader) -> Vec<Sp<String>> {
    let mut kept: Vec<Sp<String>> = Vec::new();
    for action in r.texts("do").map(|t| t.v).unwrap_or_default() {
        if let Some(first) = kept.iter().find(|a| a.v == action.v) {
            let words = format!("a stage does {} once", quoted(&action.v));
            let problem = Problem::error(codes::CONFLICT, &action.at, words).label("again here");
            r.sink.push(problem.related(&first.at, "first here").help("remove one of the two"));
        } else if let Some(hook) = action.v.strip_prefix("hook:") {
            let words = format!("hooks are not available yet in this version ({})", quoted(hook));
            r.sink.push(
                Problem::error(codes::NOT_YET, &action.at, words)
                    .label("not available yet")
                    .help("the only action is `merge`"),
            );
            kept.push(action);
        } else if action.v == "merge" {
            kept.push(action);
        } else {
            let problem = Problem::error(codes::CHOICE, &action.at, format!("there is no action {}", quoted(&action.v)));
            r.sink.push(
                problem
                    .label("unknown action")
                    .help("the action is `merge`; `hook:NAME` is for a later version"),
            );
        }
    }
    kept
}

/// The edges of a stage, or of every stage.
pub fn edges(r: &Reader) -> Named<EdgeDraft> {
    let mut out = Named::new();
    for entry in r.entries("on") {
        let parts: Vec<&str> = entry.key.split('.').collect();
        match parts.as_slice() {
            [from, outcome] if !from.is_empty() && !outcome.is_empty() => {}
            _ => {
                let problem = Problem::error(codes::BAD_NAME, &entry.key_place, format!("{} names no edge", quoted(&entry.key)));
                let help =
                    "an edge is named in quotes: on.\"gate.outcome\", on.\"merge.conflict\", on.\"work.failed\", on.\"signal.reject\"";
                r.sink.push(problem.label("needs the form \"gate.outcome\"").help(help));
                continue;
            }
        }
        if let Some(reader) = Reader::of(entry, format!("the edge {}", quoted(&entry.key)), r.sink) {
            let v = edge(&reader);
            reader.finish();
            out.insert(
                entry.key.clone(),
                Sp {
                    v,
                    at: entry.key_place.clone(),
                },
            );
        }
    }
    out
}

fn edge(r: &Reader) -> EdgeDraft {
    let edge = EdgeDraft {
        to: r.text("to"),
        uses: r.text("uses"),
        note: r.text("note"),
        comment: r.text("comment"),
        ask: r.text("ask"),
        rerun: r.text("rerun"),
        status: r.text("status"),
        update: r.truth("update").unwrap_or(false),
        alert: r.truth("alert").unwrap_or(false),
        stay: r.truth("stay").unwrap_or(false),
        escalate: r.truth("escalate").unwrap_or(false),
        freeze: freeze(r),
    };
    let ways = [
        ("to", edge.to.is_some()),
        ("rerun", edge.rerun.is_some()),
        ("stay", edge.stay),
        ("ask", edge.ask.is_some()),
    ];
    let given: Vec<&str> = ways.iter().filter(|(_, on)| *on).map(|(key, _)| *key).collect();
    // A question is asked where the task stands: `stay` beside it says nothing else.
    if given.len() > 1 && given != ["stay", "ask"] {
        let words = format!(
            "{} cannot have both {}",
            r.what(),
            given.iter().map(|k| quoted(k)).collect::<Vec<_>>().join(" and ")
        );
        let problem = Problem::error(codes::CONFLICT, &r.at, words).label("goes two ways");
        r.sink
            .push(problem.help("keep one; an inherited key is taken away by `key = \"unset\"`"));
    }
    edge
}

fn freeze(r: &Reader) -> Option<FreezeLevel> {
    match r.choice("freeze", &["merge", "all"])? {
        "merge" => Some(FreezeLevel::Merge),
        _ => Some(FreezeLevel::All),
    }
}

/// A counter.
pub fn counter(r: &Reader) -> CounterDraft {
    if !r.has("max") {
        r.missing("max", "max is the number of returns allowed: max = 2");
    }
    let max = r.int("max", 0..=MAX_RETURNS).and_then(|m| u8::try_from(m).ok()).unwrap_or(0);
    let mut spent = EdgeDraft {
        alert: true,
        escalate: true,
        ..EdgeDraft::default()
    };
    if let Some(s) = r.table("spent", format!("`spent` of {}", r.what())) {
        spent = EdgeDraft {
            status: s.text("status"),
            comment: s.text("comment"),
            alert: s.truth("alert").unwrap_or(false),
            escalate: s.truth("escalate").unwrap_or(false),
            freeze: freeze(&s),
            ..EdgeDraft::default()
        };
        if !spent.escalate {
            let problem = Problem::error(
                codes::MISSING_KEY,
                &s.at,
                "a spent counter must escalate: nothing else ends the loop",
            );
            r.sink
                .push(problem.label("`escalate = true` is missing").help("add escalate = true"));
        }
        s.finish();
    }
    CounterDraft { max, spent }
}
