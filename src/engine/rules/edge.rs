//! One edge, in the context of a stage: where it leads, what bounds it, which names it uses.

use super::check::Scope;
use super::check_edges::{Edges, Of};
use super::codes;
use super::diagnostic::{Problem, Sink, list, quoted};
use super::draft::{Draft, EdgeDraft, Named, StageDraft};
use super::reader::Sp;
use super::{Edge, To};

impl Edges<'_> {
    /// Whether agents work in some stage before this place.
    pub fn has_previous(&self, at: usize) -> bool {
        self.flow
            .iter()
            .take(at)
            .any(|s| self.draft.stages.get(&s.v).is_some_and(|d| !d.v.work.is_empty()))
    }

    /// Checks an edge in the context of a stage.
    pub fn edge(&mut self, at: usize, stage: &StageDraft, key: &str, edge: &Sp<EdgeDraft>, of: Of) -> Option<Edge> {
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
        let moves =
            e.to.is_some() || e.rerun.is_some() || e.ask.is_some() || e.uses.is_some() || e.update || e.escalate || e.freeze.is_some();
        if moves {
            let words = format!(
                "{} is a waiting outcome: nothing has been decided yet, so it cannot lead anywhere",
                quoted(key)
            );
            let problem = Problem::error(codes::WAITING_EDGE, &edge.at, words).label("waits");
            self.scope
                .sink
                .push(problem.help("a waiting outcome may have `status`, `comment` and `alert`"));
        }
    }

    fn leads(&self, at: usize, stage: &StageDraft, key: &str, edge: &Sp<EdgeDraft>, of: Of) {
        let (e, sink) = (&edge.v, self.scope.sink);
        let comes_again = match &e.to {
            Some(to) => self.target(at, stage, key, to, edge),
            None => e.rerun.is_some(),
        };
        if e.update && e.to.is_none() && e.rerun.is_none() {
            let problem = Problem::error(
                codes::IDLE_EDGE,
                &edge.at,
                format!("{} updates the branch and does not say what then", quoted(key)),
            );
            sink.push(
                problem
                    .label("`to` or `rerun` is missing")
                    .help("after an update tests must run again: to = \"testing\", or rerun = an agent"),
            );
        } else if e.to.is_none() && e.rerun.is_none() && e.ask.is_none() && !e.stay && !e.escalate {
            let problem = Problem::error(
                codes::IDLE_EDGE,
                &edge.at,
                format!("{} does not say where the task goes", quoted(key)),
            );
            sink.push(
                problem
                    .label("no way to go")
                    .help("one of: to = \"stage\", rerun = \"agent\", ask = \"questions\", stay = true"),
            );
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
                sink.push(
                    Problem::error(codes::NO_PREVIOUS, &to.at, words)
                        .label("there is none")
                        .related(&edge.at, "this edge"),
                );
            }
            return true;
        }
        let Some(target) = self.flow.iter().position(|s| s.v == to.v) else {
            let known = self.flow.iter().map(|s| s.v.as_str());
            let problem = Problem::error(codes::UNKNOWN_STAGE, &to.at, format!("the flow has no stage {}", quoted(&to.v)));
            sink.push(problem.label("unknown stage").maybe_help(sink.suggest(&to.v, known)));
            return false;
        };
        if target > at || target == 0 {
            let words = format!("{} leads to {}, which does not come before this stage", quoted(key), quoted(&to.v));
            let problem = Problem::error(codes::FORWARD_EDGE, &to.at, words).label("not an earlier stage");
            sink.push(problem.help("edges lead back only; a task goes forward when all gates say `ok`"));
        } else if target == at && stage.work.is_empty() {
            let words = format!(
                "{} leads to the stage itself, in which nobody works: the same would come out again",
                quoted(key)
            );
            sink.push(
                Problem::error(codes::FORWARD_EDGE, &to.at, words)
                    .label("the stage itself")
                    .help("lead to an earlier stage, or stay"),
            );
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
                scope.sink.push(
                    problem
                        .label("unknown counter")
                        .maybe_help(scope.sink.suggest(&uses.v, self.draft.counters.keys().map(String::as_str))),
                );
            }
        }
        if let Some(rerun) = &e.rerun
            && !stage.work.iter().any(|a| a.v == rerun.v)
        {
            let known = stage.work.iter().map(|a| a.v.as_str());
            let problem = Problem::error(
                codes::UNKNOWN_AGENT,
                &rerun.at,
                format!("{} does not work in this stage", quoted(&rerun.v)),
            );
            scope.sink.push(
                problem
                    .label("not an agent of the stage")
                    .maybe_help(scope.sink.suggest(&rerun.v, known)),
            );
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
    let problem = Problem::error(
        codes::UNKNOWN_MESSAGE,
        &name.at,
        format!("there is no message {}", quoted(&format!("{section}.{}", name.v))),
    );
    scope.sink.push(
        problem
            .label(format!("not in [{section}] of messages/"))
            .maybe_help(scope.sink.suggest(&name.v, known)),
    );
}

/// Checks the edges of spent counters, which carry no names but messages.
pub fn spent(edge: &EdgeDraft, scope: &Scope) {
    message("comment", edge.comment.as_ref(), scope);
}

/// The edge as `step` reads it.
pub fn resolved(e: &EdgeDraft) -> Edge {
    let name = |n: &Option<Sp<String>>| n.as_ref().map(Sp::name);
    Edge {
        to: e
            .to
            .as_ref()
            .map(|t| if t.v == "previous" { To::Previous } else { To::Stage(t.name()) }),
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
            let words = format!(
                "the service shows the status {}, which is also a person's signal",
                quoted(&status.v)
            );
            let problem = Problem::error(codes::STATUS_BOTH, &status.at, words)
                .label("shown here")
                .related(&signal.at, "a signal here");
            sink.push(problem.help("use two statuses, so that what a person did can be told from what the service wrote"));
        }
    }
}
