//! `step`: what follows from an event. Pure, total, one edge at a time.
//!
//! [`needs`] names the facts that the step will read; the shell gathers them, calls [`step`] and
//! commits everything it returns in one transaction.

mod actions;
mod depends;
mod draft;
mod edges;
mod gates;
mod look;
mod rules;
mod runs;
mod signals;
mod start;
mod stop;
#[cfg(test)]
pub(crate) mod tests;

use crate::engine::model::{
    At, Because, Body, Decision, Event, FactKey, Facts, Head, Life, Mode, Name, Phase, Repo, RunEnd, StopState, Task,
};
use crate::engine::rules::Ruleset;

pub use depends::item;
pub(in crate::engine) use gates::approval_subject;
pub use gates::{Answer, Answers, FromFacts, Outcome};
pub use stop::irreversible;

/// What follows from an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The task afterwards; still `Unborn` when an issue was refused.
    pub task: Task,
    /// The repository afterwards, where it changed.
    pub repo: Option<Repo>,
    /// What is to be done.
    pub decisions: Vec<Decision>,
    /// Why, in sentences.
    pub because: Vec<Because>,
    /// The event that follows from this one, with needs of its own.
    pub follow: Option<Body>,
    /// Edges that were taken on the way, waiting ones told of included.
    pub took: Vec<Took>,
}

/// An outcome, and the edge that was taken for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Took {
    /// The stage where it came out.
    pub stage: Name,
    /// `gate.outcome`.
    pub outcome: Name,
    /// The edge's name in the rules; none where the engine's own default was taken.
    pub edge: Option<Name>,
}

/// The facts that [`step`] will read for this event.
#[must_use]
pub fn needs(rules: &Ruleset, task: &Task, event: &Event) -> Vec<FactKey> {
    let mut keys = Vec::new();
    if task.control.phase == Phase::Unborn {
        // Nothing else makes a task of it.
        if matches!(&event.body, Body::Signalled(signal) if signal.name == "start") {
            keys.push(FactKey::Issue);
        }
        return keys;
    }
    if task.terminal() || task.control.stop == StopState::Cleaning || is_stop(event) {
        return keys;
    }
    if looks(rules, task, event) {
        gates::stage_needs(rules, task, &mut keys);
    }
    let rereads = matches!(event.body, Body::Entered { .. } | Body::Signalled(_) | Body::Poked { .. });
    if rereads && depends::reads(rules) && !keys.contains(&FactKey::Issue) {
        keys.push(FactKey::Issue);
    }
    keys
}

/// The head whose artefacts the facts of this event are read at, and the commit against which
/// "written in this round" is measured: what the event brings counts before it is applied.
#[must_use]
pub fn reading(task: &Task, event: &Event) -> (Option<Head>, Option<String>) {
    let ledger = &task.ledger;
    let present = |visit: u32| visit == ledger.visit.number;
    match &event.body {
        Body::RunEnded(report) if present(report.visit) && report.head.is_some() => {
            (report.head.clone(), ledger.round_base.clone().or_else(|| report.start.clone()))
        }
        Body::ActionEnded {
            visit, head: Some(head), ..
        } if present(*visit) => (Some(head.clone()), ledger.round_base.clone()),
        _ => (ledger.head.clone(), ledger.round_base.clone()),
    }
}

/// The commit against which "written in this round" is measured for one artefact: that of the agent
/// which writes it, where it was run again while others of its stage were not.
#[must_use]
pub fn base_of<'t>(rules: &Ruleset, task: &'t Task, artefact: &str) -> Option<&'t str> {
    let bases = task.ledger.bases.iter();
    let mut mine = bases.filter(|(agent, _)| rules.agents.get(*agent).is_some_and(|a| runs::covers(&a.artefacts, artefact)));
    mine.next().map(|(_, base)| base.as_str())
}

/// Whether the gate, or a member of it, reads what the agent writes.
#[must_use]
pub fn reads_of(rules: &Ruleset, agent: &Name, gate: &Name) -> bool {
    runs::writes(rules, agent, gate, 0)
}

/// What follows from `event`, given the facts named by [`needs`].
#[must_use]
pub fn step(rules: &Ruleset, task: &Task, repo: &Repo, event: &Event, facts: &Facts) -> Step {
    let answers = gates::FromFacts { rules, event, facts };
    step_by(rules, task, repo, event, facts, &answers)
}

/// [`step`] with the gates' answers given instead of evaluated: what exploration walks.
#[must_use]
pub fn step_by(rules: &Ruleset, task: &Task, repo: &Repo, event: &Event, facts: &Facts, answers: &dyn Answers) -> Step {
    let mut draft = draft::Draft::new(rules, task, repo, event, facts, answers);
    match task.control.phase.life() {
        Life::Unborn => start::unborn(&mut draft),
        Life::Over => start::over(&mut draft),
        Life::Live if task.control.stop == StopState::Cleaning => stop::cleaning(&mut draft),
        Life::Live => live(&mut draft),
    }
    draft.finish()
}

/// One match over what can happen to a task on its way.
fn live(draft: &mut draft::Draft<'_>) {
    // A command's answer brings no head: it tells on which commit it ran.
    let brings_head = matches!(&draft.event.body, Body::RunEnded(r) if r.head.is_some() && r.end == RunEnd::Ok)
        || matches!(&draft.event.body, Body::ActionEnded { head: Some(_), .. });
    if !brings_head {
        draft.adopt_head();
    }
    depends::read(draft);
    match &draft.event.body {
        Body::Signalled(signal) => signals::signalled(draft, signal),
        Body::Entered { visit } => start::entered(draft, *visit),
        Body::RunEnded(report) => runs::ended(draft, report),
        Body::ActionEnded {
            visit,
            action,
            outcome,
            detail,
            head,
        } => {
            actions::ended(draft, *visit, action, outcome, detail, head.as_ref());
        }
        Body::TimerFired { visit, timer } => {
            if draft.current(*visit) {
                draft.because(format!("timer `{timer}` fired"));
                if draft.task.control.stop == StopState::Deferred {
                    return stop::overdue(draft);
                }
                look::again(draft);
            }
        }
        Body::Poked { by } => {
            draft.because(format!("looked again: {by}"));
            look::again(draft);
        }
        Body::Retried { note } => signals::retried(draft, note.as_deref()),
        Body::RulesChanged { to, .. } => rules::changed(draft, to),
        Body::CircleRefused { circle } => depends::refused(draft, circle),
        Body::CleanedUp { .. } => draft.because("a clean-up ended that nobody waits for"),
    }
}

fn is_stop(event: &Event) -> bool {
    matches!(&event.body, Body::Signalled(signal) if signal.name == "stop")
}

/// Whether the event may make the step ask the stage's gates, or look at the branch's head.
fn looks(rules: &Ruleset, task: &Task, event: &Event) -> bool {
    match &event.body {
        Body::Entered { .. } => rules.stages.get(&task.control.stage).is_some_and(|s| s.work.is_empty()),
        Body::RunEnded(_) | Body::ActionEnded { .. } => true,
        Body::Signalled(_) | Body::TimerFired { .. } | Body::Poked { .. } | Body::Retried { .. } | Body::RulesChanged { .. } => {
            matches!(task.control.at, At::Gates | At::Action { .. }) || task.control.mode == Mode::Escalated
        }
        Body::CircleRefused { .. } | Body::CleanedUp { .. } => false,
    }
}
