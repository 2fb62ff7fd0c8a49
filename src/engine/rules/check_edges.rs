//! Edges resolved: every outcome is answered, every return is bounded, nothing leads nowhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::model::Name;

use super::check::Scope;
use super::codes;
use super::diagnostic::{Place, Problem, Sink, list, quoted, suggest};
use super::draft::{Draft, EdgeDraft, Named, StageDraft};
use super::reader::Sp;
use super::{Action, Edge, Gate, To};

/// Signals that the engine itself knows.
pub const SIGNALS: &[&str] = &["start", "approve", "reject", "confirm_deploy", "stop", "answer"];

/// Outcomes that need no edge: the task stays, and somebody is told.
const BY_DEFAULT: &[&str] = &["unreadable", "error"];

/// What an edge answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// An outcome.
    Outcome,
    /// A waiting outcome: nothing has come out yet.
    Wait,
    /// A person's act.
    Signal,
}

/// Everything that edges are checked against.
pub struct Edges<'a> {
    draft: &'a Draft,
    scope: &'a Scope<'a>,
    /// Stages in order.
    flow: &'a [Sp<String>],
    gates: &'a BTreeMap<Name, Gate>,
    /// Keys of `[on]` that some stage uses.
    shared: BTreeSet<String>,
    /// Counters that some edge uses.
    pub counters: BTreeSet<String>,
}

impl<'a> Edges<'a> {
    /// Ready to check.
    pub fn new(draft: &'a Draft, scope: &'a Scope<'a>, flow: &'a [Sp<String>], gates: &'a BTreeMap<Name, Gate>) -> Self {
        Self { draft, scope, flow, gates, shared: BTreeSet::new(), counters: BTreeSet::new() }
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
                self.answer(at, stage, &gate.v, &outcome, of, due.then_some((name, &gate.at)), &mut used, &mut out);
            }
        }
        for action in &stage.actions {
            for outcome in Action::Merge.outcomes() {
                self.answer(at, stage, &action.v, outcome, Of::Outcome, Some((name, &action.at)), &mut used, &mut out);
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
            let words = format!("nothing says what follows when {} comes out at the stage {}", quoted(&keys[0]), quoted(&name.v));
            let problem = Problem::error(codes::NO_EDGE, place, words).label(format!("can come out as `{outcome}`"));
            let problem = match self.draft.gates.get(from) {
                Some(gate) => problem.related(&gate.at, "the gate is defined here"),
                None => problem,
            };
            let help = format!("add to [stages.{}]: on.\"{}\" = {{ stay = true, alert = true }}, or where it should lead", name.v, keys[0]);
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
                let words = format!("{} leads to the previous stage, but no agents work before {}", quoted(key), quoted(&name.v));
                let problem = Problem::error(codes::NO_PREVIOUS, &name.at, words).label("the first stage with work").related(&edge.at, "the edge of every stage");
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
            let problem = Problem::error(codes::DEAD_EDGE, at, format!("{} belongs to the engine, no edge can answer it", quoted(signal)));
            self.scope.sink.push(problem.label("never reached").help("remove the edge"));
            return false;
        }
        let mapped = || self.draft.statuses.values().chain(self.draft.comments.values()).map(|s| s.v.v.as_str());
        if SIGNALS.contains(&signal) || mapped().any(|s| s == signal) {
            return true;
        }
        let known: Vec<&str> = SIGNALS.iter().copied().chain(mapped()).collect();
        let problem = Problem::error(codes::UNKNOWN_SIGNAL, at, format!("there is no signal {}", quoted(signal)));
        self.scope.sink.push(problem.label("unknown signal").maybe_help(suggest(signal, known)));
        false
    }

    fn has_previous(&self, at: usize) -> bool {
        self.flow.iter().take(at).any(|s| self.draft.stages.get(&s.v).is_some_and(|d| !d.v.work.is_empty()))
    }

    /// The edges of every stage that some stage used; the others are dead.
    pub fn shared(&self) -> BTreeMap<Name, Edge> {
        let mut out = BTreeMap::new();
        for (key, edge) in &self.draft.on {
            if self.shared.contains(key) {
                out.insert(Name::new(key), resolved(&edge.v));
            } else {
                self.dead(key, edge, "any stage of the flow", None);
            }
        }
        out
    }

    /// An edge that nothing reaches: an error where it was written for this pipeline; an
    /// inherited one is simply not part of it.
    fn dead(&self, key: &str, edge: &Sp<EdgeDraft>, whom: &str, stage: Option<&StageDraft>) {
        if !self.scope.own(&edge.at) {
            return;
        }
        let outcomes = stage.map(|s| self.outcomes(s)).unwrap_or_default();
        let problem = Problem::error(codes::DEAD_EDGE, &edge.at, format!("{} never comes out at {whom}", quoted(key)));
        let near = super::diagnostic::nearest(key, outcomes.iter().map(String::as_str)).map(|n| format!("did you mean {}?", quoted(n)));
        let help = near.or_else(|| (!outcomes.is_empty()).then(|| format!("what comes out there: {}", list(&outcomes))));
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
            out.extend(Action::Merge.outcomes().iter().map(|o| format!("{}.{o}", action.v)));
        }
        if !stage.work.is_empty() {
            out.push("work.failed".to_owned());
        }
        out
    }

    /// Checks an edge in the context of a stage.
    fn edge(&mut self, at: usize, stage: &StageDraft, key: &str, edge: &Sp<EdgeDraft>, of: Of) -> Option<Edge> {
        let before = self.scope.sink.errors();
        if of == Of::Wait {
            self.waiting(key, edge);
        } else {
            self.leads(at, stage, key, edge, of);
        }
        self.names(stage, edge);
        (self.scope.sink.errors() == before).then(|| resolved(&edge.v))
    }

    fn waiting(&self, key: &str, edge: &Sp<EdgeDraft>) {
        let e = &edge.v;
        let moves = e.to.is_some() || e.rerun.is_some() || e.ask.is_some() || e.uses.is_some() || e.update || e.escalate || e.freeze.is_some();
        if moves {
            let words = format!("{} is a waiting outcome: nothing has been decided yet, so it cannot lead anywhere", quoted(key));
            let problem = Problem::error(codes::WAITING_EDGE, &edge.at, words).label("waits");
            self.scope.sink.push(problem.help("a waiting outcome may have `status`, `comment` and `alert`"));
        }
    }

    fn leads(&self, at: usize, stage: &StageDraft, key: &str, edge: &Sp<EdgeDraft>, of: Of) {
        let (e, sink) = (&edge.v, self.scope.sink);
        let comes_again = match &e.to {
            Some(to) => self.target(at, stage, key, to, edge),
            None => e.rerun.is_some(),
        };
        if e.update && e.to.is_none() && e.rerun.is_none() {
            let problem = Problem::error(codes::IDLE_EDGE, &edge.at, format!("{} updates the branch and does not say what then", quoted(key)));
            sink.push(problem.label("`to` or `rerun` is missing").help("after an update tests must run again: to = \"testing\", or rerun = an agent"));
        } else if e.to.is_none() && e.rerun.is_none() && e.ask.is_none() && !e.stay && !e.escalate {
            let problem = Problem::error(codes::IDLE_EDGE, &edge.at, format!("{} does not say where the task goes", quoted(key)));
            sink.push(problem.label("no way to go").help("one of: to = \"stage\", rerun = \"agent\", ask = \"questions\", stay = true"));
        }
        if comes_again && of != Of::Signal && e.uses.is_none() {
            let words = format!("{} leads back, and nothing bounds how often", quoted(key));
            let problem = Problem::error(codes::UNBOUNDED, &edge.at, words).label("`uses` is missing");
            let counters: Vec<&String> = self.draft.counters.keys().collect();
            sink.push(problem.help(format!("add uses = a counter; there is {}", list(&counters))));
        }
    }

    /// Checks `to`; whether the task comes by here again.
    fn target(&self, at: usize, stage: &StageDraft, key: &str, to: &Sp<String>, edge: &Sp<EdgeDraft>) -> bool {
        let sink = self.scope.sink;
        if to.v == "previous" {
            if !self.has_previous(at) {
                let words = format!("{} leads to the previous stage, but no agents work before this one", quoted(key));
                sink.push(Problem::error(codes::NO_PREVIOUS, &to.at, words).label("there is none").related(&edge.at, "this edge"));
            }
            return true;
        }
        let Some(target) = self.flow.iter().position(|s| s.v == to.v) else {
            let known = self.flow.iter().map(|s| s.v.as_str());
            let problem = Problem::error(codes::UNKNOWN_STAGE, &to.at, format!("the flow has no stage {}", quoted(&to.v)));
            sink.push(problem.label("unknown stage").maybe_help(suggest(&to.v, known)));
            return false;
        };
        if target > at || target == 0 {
            let words = format!("{} leads to {}, which does not come before this stage", quoted(key), quoted(&to.v));
            let problem = Problem::error(codes::FORWARD_EDGE, &to.at, words).label("not an earlier stage");
            sink.push(problem.help("edges lead back only; a task goes forward when all gates say `ok`"));
        } else if target == at && stage.work.is_empty() {
            let words = format!("{} leads to the stage itself, in which nobody works: the same would come out again", quoted(key));
            sink.push(Problem::error(codes::FORWARD_EDGE, &to.at, words).label("the stage itself").help("lead to an earlier stage, or stay"));
        }
        true
    }

    /// Checks the names that an edge uses.
    fn names(&mut self, stage: &StageDraft, edge: &Sp<EdgeDraft>) {
        let (e, scope) = (&edge.v, self.scope);
        if let Some(uses) = &e.uses {
            self.counters.insert(uses.v.clone());
            if !self.draft.counters.contains_key(&uses.v) {
                let problem = Problem::error(codes::UNKNOWN_COUNTER, &uses.at, format!("there is no counter {}", quoted(&uses.v)));
                scope.sink.push(problem.label("unknown counter").maybe_help(suggest(&uses.v, self.draft.counters.keys().map(String::as_str))));
            }
        }
        if let Some(rerun) = &e.rerun
            && !stage.work.iter().any(|a| a.v == rerun.v)
        {
            let known = stage.work.iter().map(|a| a.v.as_str());
            let problem = Problem::error(codes::UNKNOWN_AGENT, &rerun.at, format!("{} does not work in this stage", quoted(&rerun.v)));
            scope.sink.push(problem.label("not an agent of the stage").maybe_help(suggest(&rerun.v, known)));
        }
        for (section, name) in [("note", &e.note), ("comment", &e.comment), ("ask", &e.ask)] {
            message(section, name.as_ref(), scope);
        }
    }
}

/// Checks the name of a message.
fn message(section: &str, name: Option<&Sp<String>>, scope: &Scope) {
    let Some(name) = name else { return };
    if scope.messages.contains_key(format!("{section}.{}", name.v).as_str()) {
        return;
    }
    let prefix = format!("{section}.");
    let known: Vec<&str> = scope.messages.keys().filter_map(|k| k.as_str().strip_prefix(&prefix)).collect();
    let problem = Problem::error(codes::UNKNOWN_MESSAGE, &name.at, format!("there is no message {}", quoted(&format!("{section}.{}", name.v))));
    scope.sink.push(problem.label(format!("not in [{section}] of messages/")).maybe_help(suggest(&name.v, known)));
}

/// Checks the edges of spent counters, which carry no names but messages.
pub fn spent(edge: &EdgeDraft, scope: &Scope) {
    message("comment", edge.comment.as_ref(), scope);
}

/// The edge as `step` reads it.
pub fn resolved(e: &EdgeDraft) -> Edge {
    let name = |n: &Option<Sp<String>>| n.as_ref().map(Sp::name);
    Edge {
        to: e.to.as_ref().map(|t| if t.v == "previous" { To::Previous } else { To::Stage(t.name()) }),
        uses: name(&e.uses),
        note: name(&e.note),
        comment: name(&e.comment),
        ask: name(&e.ask),
        rerun: name(&e.rerun),
        update: e.update,
        status: e.status.as_ref().map(|s| s.v.clone()),
        alert: e.alert,
        stay: e.stay,
        escalate: e.escalate,
        freeze: e.freeze,
    }
}

/// Every status that an edge shows.
pub fn statuses(on: &Named<EdgeDraft>) -> impl Iterator<Item = &Sp<String>> {
    on.values().filter_map(|e| e.v.status.as_ref())
}

/// Statuses must not be both shown by the service and meant as a signal: nobody could tell.
pub fn check_statuses<'a>(draft: &Draft, shown: impl Iterator<Item = &'a Sp<String>>, sink: &Sink) {
    for status in shown {
        let both = draft.statuses.iter().find(|(s, _)| s.trim().eq_ignore_ascii_case(status.v.trim()));
        if let Some((_, signal)) = both {
            let words = format!("the service shows the status {}, which is also a person's signal", quoted(&status.v));
            let problem = Problem::error(codes::STATUS_BOTH, &status.at, words).label("shown here").related(&signal.at, "a signal here");
            sink.push(problem.help("use two statuses, so that what a person did can be told from what the service wrote"));
        }
    }
}
