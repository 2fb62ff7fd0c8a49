//! Parts of a pipeline beside its flow: agents, counters, signals, the serial gate, STOP.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::model::Name;

use super::check::Scope;
use super::check_edges::SIGNALS;
use super::codes;
use super::diagnostic::{Place, Problem, Sink, list, quoted};
use super::draft::{Draft, StageDraft};
use super::edge;
use super::reader::Sp;
use super::{Agent, Counter, Gate, GateKind, SerialGate, Signals, StopRules};

/// Stages that the flow reaches, with their places in it.
pub type Reached<'a> = [(usize, &'a Sp<String>, &'a StageDraft)];

/// Jobs are known by the agent's or the gate's name: one name cannot be both.
pub fn ambiguous(draft: &Draft, gates: &BTreeMap<Name, Gate>, agents: &BTreeMap<Name, Agent>, sink: &Sink) {
    for name in agents.keys().filter(|n| gates.contains_key(*n)) {
        if let (Some(agent), Some(gate)) = (draft.agents.get(name.as_str()), draft.gates.get(name.as_str())) {
            let problem = Problem::error(
                codes::AMBIGUOUS,
                &gate.at,
                format!("{} is the name of an agent and of a gate", quoted(name)),
            );
            sink.push(problem.label("a gate").related(&agent.at, "an agent").help("rename one of the two"));
        }
    }
}

/// A counter that some edge uses and that allows more returns than a task may have runs bounds nothing.
pub fn counters_fit(draft: &Draft, used: &BTreeSet<String>, scope: &Scope) {
    let Some(runs) = &draft.max_runs else { return };
    for (name, counter) in draft.counters.iter().filter(|(n, _)| used.contains(*n)) {
        if i64::from(counter.v.max) >= runs.v {
            let words = format!(
                "the counter {} allows {} returns, but a task may have {} runs in all",
                quoted(name),
                counter.v.max,
                runs.v
            );
            let problem = Problem::error(codes::COUNTER_BUDGET, &counter.at, words)
                .label("never spent")
                .related(&runs.at, "the budget");
            scope
                .sink
                .push(problem.help("raise budget.task.max_runs, or lower the counter's `max`"));
        }
    }
}

/// Counters that some edge uses.
pub fn counters(draft: &Draft, used: &BTreeSet<String>, scope: &Scope) -> BTreeMap<Name, Counter> {
    let mut out = BTreeMap::new();
    for (name, counter) in draft.counters.iter().filter(|(n, _)| used.contains(*n)) {
        edge::spent(&counter.v.spent, scope);
        out.insert(
            Name::new(name),
            Counter {
                max: counter.v.max,
                spent: edge::resolved(&counter.v.spent),
            },
        );
    }
    out
}

/// Statuses that the service shows.
pub fn shown(draft: &Draft, reached: &Reached, counters: &BTreeMap<Name, Counter>, sink: &Sink) {
    let spent = draft
        .counters
        .iter()
        .filter(|(n, _)| counters.contains_key(n.as_str()))
        .filter_map(|(_, c)| c.v.spent.status.as_ref());
    let stages = reached.iter().flat_map(|(_, _, s)| s.status.iter().chain(edge::statuses(&s.on)));
    edge::check_statuses(draft, stages.chain(edge::statuses(&draft.on)).chain(spent), sink);
}

/// What people's acts mean.
pub fn signals(draft: &Draft, gates: &BTreeMap<Name, Gate>, scope: &Scope) -> Signals {
    let awaited = |s: &str| {
        let by_gate = gates
            .values()
            .any(|g| matches!(&g.kind, GateKind::Human { signal, .. } if *signal == *s));
        let key = format!("signal.{s}");
        SIGNALS.contains(&s) || by_gate || draft.on.contains_key(&key) || draft.stages.values().any(|st| st.v.on.contains_key(&key))
    };
    let mut out = Signals::default();
    for (map, what) in [(&draft.statuses, "status"), (&draft.comments, "comment")] {
        let mut seen: BTreeMap<String, &Place> = BTreeMap::new();
        for (key, signal) in map {
            let plain = key.trim().to_lowercase();
            if let Some(first) = seen.insert(plain, &signal.at) {
                let problem = Problem::error(
                    codes::MAPPED_TWICE,
                    &signal.at,
                    format!("the {what} {} is mapped twice", quoted(key)),
                );
                let help = "capital and small letters and outer spaces do not tell them apart; remove one";
                scope.sink.push(problem.label("again here").related(first, "also here").help(help));
            }
            if !awaited(&signal.v.v) {
                if scope.own(&signal.v.at) {
                    let problem = Problem::error(
                        codes::UNKNOWN_SIGNAL,
                        &signal.v.at,
                        format!("nothing awaits the signal {}", quoted(&signal.v.v)),
                    );
                    scope.sink.push(
                        problem
                            .label("unknown signal")
                            .maybe_help(scope.sink.suggest(&signal.v.v, SIGNALS.iter().copied())),
                    );
                }
                continue;
            }
            // STOP switched off takes the board's signal away, not the operator's.
            if signal.v.v == "stop" && !draft.stop.enabled {
                continue;
            }
            match what {
                "status" => drop(out.status.insert(key.trim().to_owned(), signal.v.name())),
                _ if key == "*" => out.other_comment = Some(signal.v.name()),
                _ => out.comment.push((key.clone(), signal.v.name())),
            }
        }
    }
    out.comment.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.0.cmp(&b.0)));
    out
}

/// The serial gate. A guard holds back the agents of its stage: where none work, nothing is held.
pub fn serial(draft: &Draft, reached: &Reached, scope: &Scope) -> SerialGate {
    let first = reached.iter().find(|(_, _, s)| !s.work.is_empty()).map(|(_, n, _)| n.v.as_str());
    let mut guards = Vec::new();
    for guard in &draft.serial.guards {
        let Some((_, stage, found)) = reached.iter().find(|(_, n, _)| n.v == guard.v) else {
            if scope.own(&guard.at) {
                let words = format!("the flow has no stage {}", quoted(&guard.v));
                let problem = Problem::error(codes::UNKNOWN_STAGE, &guard.at, words).label("unknown stage");
                let known = reached.iter().map(|(_, n, _)| n.v.as_str());
                scope.sink.push(problem.maybe_help(scope.sink.suggest(&guard.v, known)));
            }
            continue;
        };
        if !found.work.is_empty() {
            guards.push(guard.name());
            continue;
        }
        let words = format!("the serial gate holds agents back, and none work in {}", quoted(&guard.v));
        let problem = Problem::error(codes::GUARD, &guard.at, words).label("nothing to hold back");
        let help = "guard a stage with `work`; merges of one repository come one after the other without a guard, under the merge lease";
        scope.sink.push(problem.related(&stage.at, "it stands here").help(help));
    }
    // What was inherited and does not fit this flow means its counterpart here.
    if guards.is_empty() {
        guards.extend(first.map(Name::new));
    }
    let place = |guard: &Name| reached.iter().position(|(_, n, _)| n.v == *guard.as_str());
    guards.sort_by_key(place);
    guards.dedup();
    SerialGate {
        enabled: draft.serial.enabled,
        guards,
        scope: draft.serial.scope,
    }
}

/// STOP.
pub fn stop(draft: &Draft) -> StopRules {
    let does = |step: &str| draft.stop.clean_up.contains(&step);
    StopRules {
        enabled: draft.stop.enabled,
        critical: draft.stop.critical.iter().map(|(n, s)| (Name::new(n), s.v)).collect(),
        archive: does("archive"),
        checkout: does("checkout"),
        branch: does("branch"),
    }
}

/// Definitions of the pipeline's own file that it never uses: probably a forgotten word in `flow`.
pub fn unused(
    draft: &Draft,
    flow: &[Sp<String>],
    gates: &BTreeMap<Name, Gate>,
    agents: &BTreeMap<Name, Agent>,
    counters: &BTreeMap<Name, Counter>,
    scope: &Scope,
) {
    let asked = |auto: &str| {
        draft
            .gates
            .values()
            .any(|g| matches!(&g.v.0, Some(super::draft::KindDraft::Human { auto: Some(a), .. }) if a.v == auto))
    };
    let end = draft.sink.as_ref().map_or("cancelled", |s| s.v.as_str());
    let stages = draft
        .stages
        .iter()
        .filter(|(n, _)| n.as_str() != end && !flow.iter().any(|s| s.v == **n))
        .map(|(n, s)| ("stage", n, &s.at));
    let gates = draft
        .gates
        .iter()
        .filter(|(n, _)| !gates.contains_key(n.as_str()))
        .map(|(n, s)| ("gate", n, &s.at));
    let agents = draft
        .agents
        .iter()
        .filter(|(n, _)| !agents.contains_key(n.as_str()))
        .map(|(n, s)| ("agent", n, &s.at));
    let counters = draft
        .counters
        .iter()
        .filter(|(n, _)| !counters.contains_key(n.as_str()))
        .map(|(n, s)| ("counter", n, &s.at));
    let auto = draft
        .auto
        .iter()
        .filter(|(n, _)| !asked(n))
        .map(|(n, s)| ("standing order", n, &s.at));
    for (what, name, at) in stages
        .chain(gates)
        .chain(agents)
        .chain(counters)
        .chain(auto)
        .filter(|(_, _, at)| at.file == scope.file)
    {
        let words = format!("the {what} {} is never used", quoted(name));
        if let Some(near) = misspelt(what, name, flow, draft, at) {
            let words = format!("{words}, and {} stays as it is", quoted(near));
            let problem = Problem::error(codes::UNUSED, at, words).label("misspelt?");
            let help = format!("did you mean {}? Else give it a name that is not so much like it", quoted(near));
            scope.sink.push(problem.help(help));
            continue;
        }
        let problem = Problem::warning(codes::UNUSED, at, words);
        let help = if what == "stage" {
            format!(
                "add it to `flow`, or remove it; the flow is {}",
                list(&flow.iter().map(|s| s.v.as_str()).collect::<Vec<_>>())
            )
        } else {
            "use it or remove it; an unfinished one may stand under a key that begins with `x-`".to_owned()
        };
        scope.sink.push(problem.label("never used").help(help));
    }
}

/// A name of the same kind that is inherited and nearly this one: what was meant to change it does not.
fn misspelt<'a>(what: &str, name: &str, flow: &'a [Sp<String>], draft: &'a Draft, at: &Place) -> Option<&'a str> {
    let elsewhere = |place: &Place| place.file != at.file;
    // Short words are alike by chance.
    let far = if name.len() > 6 { 2 } else { 1 };
    let near = |other: &str| other != name && name.len() > 3 && strsim::damerau_levenshtein(name, other) <= far;
    match what {
        "stage" => flow.iter().map(|s| s.v.as_str()).find(|s| near(s)),
        "gate" => named(draft.gates.iter().filter(|(_, d)| elsewhere(&d.at)), near),
        "agent" => named(draft.agents.iter().filter(|(_, d)| elsewhere(&d.at)), near),
        "counter" => named(draft.counters.iter().filter(|(_, d)| elsewhere(&d.at)), near),
        _ => None,
    }
}

fn named<'a, T: 'a>(mut all: impl Iterator<Item = (&'a String, &'a T)>, near: impl Fn(&str) -> bool) -> Option<&'a str> {
    all.find(|(name, _)| near(name)).map(|(name, _)| name.as_str())
}
