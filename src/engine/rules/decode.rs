//! From a merged tree to a [`Draft`]: every key is read, unknown ones are found.

use std::sync::Arc;

use super::codes;
use super::decode_agents::{agents, programs};
use super::decode_brakes::{depends, freeze, serial_gate};
use super::decode_commands::{breaker, budget, preflight};
use super::decode_gates::gate;
use super::decode_stages::{counter, edges, stage};
use super::decode_tables::{auto, entry_check, retry, stop};
use super::diagnostic::{Place, Problem, Sink, quoted};
use super::draft::{Draft, Named};
use super::invariant::invariant;
use super::later;
use super::reader::{Reader, Sp};
use super::tree::{Entry, Table};
use super::value;

/// Version of the rule language.
pub const SCHEMA: i64 = 1;

/// Reads the tree of a pipeline whose own file is `own`.
pub fn pipeline(own: &Arc<str>, root: &Table, sink: &Sink) -> Draft {
    let at = Place::start(own);
    let r = Reader::new(root, &at, "a pipeline", sink);
    schema(&r);
    r.entry("extends");
    let flow = r.some_texts("flow");
    let (mut branch, mut protected) = (None, None);
    if let Some(b) = r.table("branch", "`branch`") {
        branch = b.need_text("task", "for example task = \"feature/{id}-{slug}\"");
        protected = b.texts("protected");
        b.finish();
    }
    let (statuses, comments) = signals(&r);
    let (auto_on, auto) = auto(&r);
    let (retry, classify) = retry(&r);
    let (limits, no_progress) = breaker(&r);
    let (budget, max_runs) = budget(&r);
    let draft = Draft {
        flow,
        sink: r.text("sink"),
        artefacts: r.text("artefacts"),
        branch,
        protected,
        statuses,
        comments,
        on: edges(&r),
        stages: named(&r, "stages", "a stage", stage),
        gates: named(&r, "gates", "a gate", gate),
        counters: named(&r, "counters", "a counter", counter),
        agents: agents(&r),
        programs: programs(&r),
        retry,
        breaker: limits,
        no_progress,
        budget,
        max_runs,
        classify,
        preflight: preflight(&r),
        serial: serial_gate(&r),
        freeze: freeze(&r),
        depends: depends(&r),
        stop: stop(&r),
        auto_on,
        auto,
        entry: entry_check(&r),
        invariants: named(&r, "invariant", "an invariant", invariant),
        later: later::tables(&r),
        at,
    };
    r.finish();
    draft
}

/// Checks `schema`.
pub fn schema(r: &Reader) {
    let Some(entry) = r.entry("schema") else {
        r.missing("schema", "begin the file with: schema = 1");
        return;
    };
    if entry.node.value != super::tree::Value::Int(SCHEMA) {
        let words = "this version reads schema 1 only";
        let problem = Problem::error(codes::SCHEMA, &entry.node.place, words).label("not 1");
        r.sink
            .push(problem.help("write schema = 1; files of a later schema need a later signalbox"));
    }
}

/// Reads a table of named tables. Names that cannot be names are reported and left out.
pub fn named<T>(r: &Reader, key: &'static str, kind: &str, read: impl Fn(&Reader) -> T) -> Named<T> {
    let mut out = Named::new();
    for entry in r.entries(key) {
        if !value::check_name(&entry.key, &entry.key_place, kind, r.sink) {
            continue;
        }
        let what = format!("{} {}", kind.trim_start_matches("a ").trim_start_matches("an "), quoted(&entry.key));
        if let Some(reader) = Reader::of(entry, what, r.sink) {
            let v = read(&reader);
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

type Mapped = Named<Sp<String>>;

fn signals(r: &Reader) -> (Mapped, Mapped) {
    let Some(s) = r.table("signals", "`signals`") else {
        return (Mapped::new(), Mapped::new());
    };
    let statuses = mapped(s.entries("status"), r.sink);
    let comments = mapped(s.entries("comment"), r.sink);
    s.finish();
    (statuses, comments)
}

fn mapped(entries: Vec<&Entry>, sink: &Sink) -> Mapped {
    let mut out = Mapped::new();
    for entry in entries {
        let super::tree::Value::Str(signal) = &entry.node.value else {
            super::reader::wrong_type(sink, &entry.node, &quoted(&entry.key), "the name of a signal");
            continue;
        };
        let key = value::usable(&entry.key, &entry.key_place, "a status or comment", sink);
        if key.is_some() && value::check_name(signal, &entry.node.place, "a signal", sink) {
            let v = Sp {
                v: signal.clone(),
                at: entry.node.place.clone(),
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
    out
}
