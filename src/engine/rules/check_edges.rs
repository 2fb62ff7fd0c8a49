//! Edges resolved: every outcome is answered, every return is bounded, nothing leads nowhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::model::Name;

use super::check::Scope;
use super::codes;
use super::diagnostic::{Place, Problem, list, quoted};
use super::draft::{Draft, EdgeDraft, StageDraft};
use super::reader::Sp;
use super::{Action, Edge, Gate};

/// Signals that the engine itself knows.
pub const SIGNALS: &[&str] = &["start", "approve", "reject", "confirm_deploy", "stop", "answer"];

/// Outcomes that need no edge: the task stays, and somebody is told.
const BY_DEFAULT: &[&str] = &["unreadable", "error"];

/// What an edge answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// An outcome.
    Outcome,
    /// A waiting outcome: nothing has come out yet.
    Wait,
    /// A person's act.
    Signal,
}

/// Everything that edges are checked against.
pub struct Edges<'a> {
    /// The pipeline as it was written.
    pub draft: &'a Draft,
    /// What it is checked with.
    pub scope: &'a Scope<'a>,
    /// Stages in order.
    pub flow: &'a [Sp<String>],
    gates: &'a BTreeMap<Name, Gate>,
    /// Keys of `[on]` that some stage uses.
    shared: BTreeSet<String>,
    /// Counters that some edge uses.
    pub counters: BTreeSet<String>,
}

impl<'a> Edges<'a> {
    /// Ready to check.
    pub fn new(draft: &'a Draft, scope: &'a Scope<'a>, flow: &'a [Sp<String>], gates: &'a BTreeMap<Name, Gate>) -> Self {
        Self {
            draft,
            scope,
            flow,
            gates,
            shared: BTreeSet::new(),
            counters: BTreeSet::new(),
        }
    }

    /// The edges of the stage at this place of the flow.
    pub fn stage(&mut self, at: usize, name: &Sp<String>, stage: &StageDraft) -> BTreeMap<Name, Edge> {
        let mut used: BTreeSet<String> = BTreeSet::new();
        let mut out = BTreeMap::new();
        for gate in &stage.pass {
            let Some(found) = self.gates.get(gate.v.as_str()) else { continue };
            let outcomes = found.outcomes.iter().map(|o| (o.clone(), Of::Outcome));
            let waits = found.waits.iter().cloned().chain([Name::new("unreachable")]).map(|o| (o, Of::Wait));
            for (outcome, of) in outcomes.chain(waits) {
                let due = of == Of::Outcome && !BY_DEFAULT.contains(&outcome.as_str());
                self.answer(
                    at,
                    stage,
                    &gate.v,
                    &outcome,
                    of,
                    due.then_some((name, &gate.at)),
                    &mut used,
                    &mut out,
                );
            }
        }
        for action in &stage.actions {
            let (from, outcomes) = action_outcomes(&action.v, self.draft);
            for outcome in outcomes {
                let due = Some((name, &action.at));
                self.answer(at, stage, from, outcome, Of::Outcome, due, &mut used, &mut out);
            }
        }
        if !stage.work.is_empty() {
            self.answer(at, stage, "work", "failed", Of::Outcome, None, &mut used, &mut out);
        }
        self.signals(at, name, stage, &mut used, &mut out);
        for (key, edge) in stage.on.iter().filter(|(key, _)| !used.contains(*key)) {
            self.dead(key, edge, &format!("the stage {}", quoted(&name.v)), Some(stage));
        }
        out
    }

    /// Finds the edge of an outcome: the stage's own before everybody's, its name before `*`.
    #[expect(clippy::too_many_arguments, reason = "one call per outcome; a struct would only rename them")]
    fn answer(
        &mut self,
        at: usize,
        stage: &StageDraft,
        from: &str,
        outcome: &str,
        of: Of,
        due: Option<(&Sp<String>, &Place)>,
        used: &mut BTreeSet<String>,
        out: &mut BTreeMap<Name, Edge>,
    ) {
        let keys = [format!("{from}.{outcome}"), format!("*.{outcome}")];
        let own = keys.iter().find_map(|k| stage.on.get_key_value(k));
        if let Some((key, edge)) = own {
            if used.insert(key.clone())
                && let Some(edge) = self.edge(at, stage, key, edge, of)
            {
                out.insert(Name::new(key), edge);
            }
            return;
        }
        if let Some((key, edge)) = keys.iter().find_map(|k| self.draft.on.get_key_value(k)) {
            self.shared.insert(key.clone());
            self.edge(at, stage, key, edge, of);
            return;
        }
        if let Some((name, place)) = due {
            let words = format!(
                "nothing says what follows when {} comes out at the stage {}",
                quoted(&keys[0]),
                quoted(&name.v)
            );
            let problem = Problem::error(codes::NO_EDGE, place, words).label(format!("can come out as `{outcome}`"));
            let problem = match self.draft.gates.get(from) {
                Some(gate) => problem.related(&gate.at, "the gate is defined here"),
                None => problem,
            };
            let help = format!(
                "add to [stages.{}]: on.\"{}\" = {{ stay = true, alert = true }}, or where it should lead",
                name.v, keys[0]
            );
            self.scope.sink.push(problem.help(help));
        }
    }

    /// Edges that react to signals: the stage's, and everybody's in the context of this stage.
    fn signals(&mut self, at: usize, name: &Sp<String>, stage: &StageDraft, used: &mut BTreeSet<String>, out: &mut BTreeMap<Name, Edge>) {
        let ends = at == 0 || at + 1 == self.flow.len();
        for (key, edge) in &stage.on {
            let Some(signal) = key.strip_prefix("signal.") else { continue };
            used.insert(key.clone());
            if self.known_signal(signal, &edge.at)
                && let Some(edge) = self.edge(at, stage, key, edge, Of::Signal)
            {
                out.insert(Name::new(key), edge);
            }
        }
        for (key, edge) in &self.draft.on {
            let Some(signal) = key.strip_prefix("signal.") else { continue };
            self.shared.insert(key.clone());
            if ends || stage.on.contains_key(key) || !self.known_signal(signal, &edge.at) {
                continue;
            }
            if edge.v.to.as_ref().is_some_and(|t| t.v == "previous") && !self.has_previous(at) {
                let words = format!(
                    "{} leads to the previous stage, but no agents work before {}",
                    quoted(key),
                    quoted(&name.v)
                );
                let problem = Problem::error(codes::NO_PREVIOUS, &name.at, words)
                    .label("the first stage with work")
                    .related(&edge.at, "the edge of every stage");
                let rerun = stage.work.first().map_or("agent", |a| a.v.as_str());
                let help = format!("say what it means here: on.\"{key}\" = {{ rerun = \"{rerun}\", note = \"rejected\" }}");
                self.scope.sink.push(problem.help(help));
                continue;
            }
            self.edge(at, stage, key, edge, Of::Signal);
        }
    }

    fn known_signal(&self, signal: &str, at: &Place) -> bool {
        if ["start", "stop"].contains(&signal) {
            let problem = Problem::error(
                codes::DEAD_EDGE,
                at,
                format!("{} belongs to the engine, no edge can answer it", quoted(signal)),
            );
            self.scope.sink.push(problem.label("never reached").help("remove the edge"));
            return false;
        }
        let mapped = || {
            self.draft
                .statuses
                .values()
                .chain(self.draft.comments.values())
                .map(|s| s.v.v.as_str())
        };
        if SIGNALS.contains(&signal) || mapped().any(|s| s == signal) {
            return true;
        }
        let known: Vec<&str> = SIGNALS.iter().copied().chain(mapped()).collect();
        let problem = Problem::error(codes::UNKNOWN_SIGNAL, at, format!("there is no signal {}", quoted(signal)));
        self.scope
            .sink
            .push(problem.label("unknown signal").maybe_help(self.scope.sink.suggest(signal, known)));
        false
    }

    /// The edges of every stage that some stage used; the others are dead.
    pub fn shared(&self) -> BTreeMap<Name, Edge> {
        let mut out = BTreeMap::new();
        for (key, edge) in &self.draft.on {
            if self.shared.contains(key) {
                out.insert(Name::new(key), super::edge::resolved(&edge.v));
            } else {
                self.dead(key, edge, "any stage of the flow", None);
            }
        }
        out
    }

    /// An edge that nothing reaches: an error where it was written for this pipeline; an
    /// inherited one is simply not part of it.
    fn dead(&self, key: &str, edge: &Sp<EdgeDraft>, whom: &str, stage: Option<&StageDraft>) {
        // About a gate that is itself wrong nothing can be said.
        let gate = key.split('.').next().unwrap_or_default();
        let wrong = stage.is_some_and(|s| s.pass.iter().any(|g| g.v == gate)) && !self.gates.contains_key(gate);
        if wrong || !self.scope.own(&edge.at) {
            return;
        }
        let outcomes = stage.map(|s| self.outcomes(s)).unwrap_or_default();
        let problem = Problem::error(codes::DEAD_EDGE, &edge.at, format!("{} never comes out at {whom}", quoted(key)));
        let near = self
            .scope
            .sink
            .nearest(key, outcomes.iter().map(String::as_str))
            .map(|n| format!("did you mean {}?", quoted(n)));
        let star = key
            .ends_with(".*")
            .then(|| "`*` may stand before the dot only: an outcome is named".to_owned());
        let help = star
            .or(near)
            .or_else(|| (!outcomes.is_empty()).then(|| format!("what comes out there: {}", list(&outcomes))));
        self.scope.sink.push(problem.label("never reached").maybe_help(help));
    }

    fn outcomes(&self, stage: &StageDraft) -> Vec<String> {
        let mut out = Vec::new();
        for gate in &stage.pass {
            if let Some(found) = self.gates.get(gate.v.as_str()) {
                out.extend(found.outcomes.iter().chain(&found.waits).map(|o| format!("{}.{o}", gate.v)));
            }
        }
        for action in &stage.actions {
            let (from, outcomes) = action_outcomes(&action.v, self.draft);
            out.extend(outcomes.iter().map(|o| format!("{from}.{o}")));
        }
        if !stage.work.is_empty() {
            out.push("work.failed".to_owned());
        }
        out
    }
}

/// What edges call an action, and its outcomes besides `ok`.
fn action_outcomes<'d>(action: &'d str, draft: &Draft) -> (&'d str, &'static [&'static str]) {
    let Some(hook) = action.strip_prefix("hook:") else {
        return (action, Action::Merge.outcomes());
    };
    // Only a hook after which the running revision is asked can find another one.
    let asks = draft.later.hooks.get(hook).is_some_and(|h| h.v.revision);
    (
        "hook",
        if asks {
            &["failed", "unknown", "mismatch"]
        } else {
            &["failed", "unknown"]
        },
    )
}
