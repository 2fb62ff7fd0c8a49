//! The flow as a whole: it can be walked to its end, and what is irreversible is bounded.

use std::collections::BTreeMap;

use crate::engine::model::Name;

use super::check::Scope;
use super::check_parts::Reached;
use super::codes;
use super::diagnostic::{Place, Problem, quoted};
use super::draft::{Draft, KindDraft};
use super::reader::Sp;
use super::{Gate, GateKind};

/// Checks the flow as a whole.
pub fn all(draft: &Draft, reached: &Reached, gates: &BTreeMap<Name, Gate>, scope: &Scope) {
    passable(reached, gates, draft, scope);
    merges_once(reached, scope);
    windows(draft, reached, scope);
    later(draft, reached, scope);
}

/// Every gate that a stage asks must be able to say `ok`: else no task gets past it.
fn passable(reached: &Reached, gates: &BTreeMap<Name, Gate>, draft: &Draft, scope: &Scope) {
    for (_, stage, s) in reached {
        for gate in &s.pass {
            let Some(why) = never_passes(gate.v.as_str(), gates, scope, 0) else {
                continue;
            };
            let words = format!("no task gets past the stage {}: {why}", quoted(&stage.v));
            let problem = Problem::error(codes::NO_PATH, &gate.at, words).label("never `ok`");
            let problem = match draft.gates.get(&gate.v) {
                Some(d) => problem.related(&d.at, "the gate is defined here"),
                None => problem,
            };
            scope
                .sink
                .push(problem.help("a gate needs a way to say `ok`; without one `done` cannot be reached"));
        }
    }
}

/// Why this gate can never say `ok`; `None` when it can, as far as can be seen.
fn never_passes(name: &str, gates: &BTreeMap<Name, Gate>, scope: &Scope, depth: usize) -> Option<String> {
    let gate = gates.get(name).filter(|_| depth < 32)?;
    let deeper = |n: &Name| never_passes(n, gates, scope, depth.saturating_add(1));
    match &gate.kind {
        GateKind::Files(clauses) => {
            use super::FilesClause as C;
            let outcome = |c: &C| match c {
                C::Any(_, o) | C::All(_, o) | C::Else(o) => o.clone(),
            };
            (!clauses.iter().any(|c| outcome(c) == "ok")).then(|| format!("no clause of {} is `ok`", quoted(name)))
        }
        GateKind::Script { function, .. } => {
            let returns = scope.compiled.literals(function);
            let seen = returns.open || returns.texts.is_empty() || returns.texts.iter().any(|(t, ..)| t == "ok");
            (!seen).then(|| format!("{} never returns `ok`", quoted(function)))
        }
        GateKind::AllOf(members) => members.iter().find_map(deeper),
        GateKind::FirstOf(members) => {
            let all: Option<Vec<String>> = members.iter().map(deeper).collect();
            all?.into_iter().next()
        }
        _ => None,
    }
}

/// What comes out once: a change is merged once, a merge is not asked for behind it.
fn merges_once(reached: &Reached, scope: &Scope) {
    let mut first: Option<(&Sp<String>, &Sp<String>)> = None;
    for (_, stage, s) in reached {
        let Some(action) = s.actions.iter().find(|a| a.v == "merge") else {
            continue;
        };
        if let Some((earlier, at)) = first {
            let words = format!("{} merges again what {} has merged", quoted(&stage.v), quoted(&earlier.v));
            let problem = Problem::error(codes::MERGE_TWICE, &action.at, words)
                .label("nothing is left to merge here")
                .related(&at.at, "merged here");
            scope
                .sink
                .push(problem.help("the merge lease would be held for a change that is gone: keep one `merge`"));
        } else {
            first = Some((*stage, action));
        }
    }
}

/// How long a stop may be put off is said for every irreversible action.
fn windows(draft: &Draft, reached: &Reached, scope: &Scope) {
    for (_, _, s) in reached {
        for action in s.actions.iter().filter(|a| !draft.stop.critical.contains_key(&a.v)) {
            let words = format!("a stop during {} may be put off, and nothing says for how long", quoted(&action.v));
            let problem = if action.v == "merge" {
                Problem::warning(codes::NO_BOUND, &action.at, words)
            } else {
                Problem::error(codes::NO_BOUND, &action.at, words)
            };
            let help = format!("[stop] critical = {{ \"{}\" = \"5m\" }}; a merge has 5m by default", action.v);
            scope.sink.push(problem.label("a critical window without a bound").help(help));
        }
    }
}

/// Hooks and watches that stages name, and the texts in them.
fn later(draft: &Draft, reached: &Reached, scope: &Scope) {
    let hooks = &draft.later.hooks;
    let hook = |name: &str, at: &Place| {
        if !hooks.contains_key(name) {
            let problem = Problem::error(codes::UNKNOWN_HOOK, at, format!("there is no hook {}", quoted(name)));
            let help = scope.sink.suggest(name, hooks.keys().map(String::as_str));
            scope.sink.push(
                problem
                    .label("unknown hook")
                    .help(help.unwrap_or_else(|| format!("define it: [hooks.{name}]"))),
            );
        }
    };
    for (_, _, s) in reached {
        for (name, at) in s.actions.iter().filter_map(|a| Some((a.v.strip_prefix("hook:")?, &a.at))) {
            hook(name, at);
        }
        if let Some(watch) = s.watch.as_ref().filter(|w| !draft.later.watches.contains_key(&w.v)) {
            let problem = Problem::error(codes::UNKNOWN_WATCH, &watch.at, format!("there is no watch {}", quoted(&watch.v)));
            let help = scope.sink.suggest(&watch.v, draft.later.watches.keys().map(String::as_str));
            let help = help.unwrap_or_else(|| format!("define it: [watches.{}]", watch.v));
            scope.sink.push(problem.label("unknown watch").help(help));
        }
    }
    for (action, bound) in &draft.stop.critical {
        if let Some(name) = action.strip_prefix("hook:") {
            hook(name, &bound.at);
        }
    }
    let of_gates = draft.gates.values().filter_map(|g| match &g.v.0 {
        Some(KindDraft::Http(texts)) => Some(texts),
        _ => None,
    });
    let of_hooks = hooks.values().map(|h| &h.v.templates);
    let all = of_hooks.chain(draft.later.watches.values().map(|w| &w.v)).chain(of_gates).flatten();
    super::later::templates(all, scope.bound.as_ref().map(|b| b.vars), scope.sink);
}
