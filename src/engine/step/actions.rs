//! Engine actions under the merge lease: `merge`, and the `update` that an edge may ask for.

use crate::engine::model::{ActionIntent, At, Decision, Head, Lease, Mode, Name, StopState};
use crate::engine::rules::{Action, Edge};

use super::draft::{Draft, Say, short};
use super::gates::{Answer, Outcome};
use super::{edges, look, start, stop};

/// Begins the action that is next: takes the lease, checks that what is merged is what was passed.
pub(super) fn begin(draft: &mut Draft<'_>) {
    let At::Action { index, .. } = draft.task.control.at else { return };
    let Some(action) = draft.stage().and_then(|s| s.actions.get(usize::from(index))).cloned() else {
        release(draft);
        return start::advance(draft);
    };
    if let Some(freeze) = &draft.repo().freeze {
        let why = format!("the repository is frozen: {}", freeze.reason);
        draft.because(why.clone());
        draft.wait(why);
        return not_begun(draft);
    }
    if !take_lease(draft) {
        return not_begun(draft);
    }
    let Some(head) = draft.task.ledger.head.clone() else {
        return refused(draft, &action, "there is no branch to merge");
    };
    draft.because(format!("action `{}` begins with {}", action.name(), short(&head.sha)));
    draft.task.control.at = At::Action { index, running: true };
    draft.task.ledger.waiting = None;
    let intent = ActionIntent {
        visit: draft.visit(),
        action: action.name(),
        sha: head.sha,
        subject: head.subject,
    };
    draft.decide(Decision::Act(intent));
}

/// Between two actions no irreversible step is under way: a stop that was put off is applied.
fn not_begun(draft: &mut Draft<'_>) {
    if draft.task.control.stop == StopState::Deferred {
        draft.because("nothing irreversible is under way any more: the stop that was put off is applied");
        stop::full(draft);
    }
}

/// Before people are asked about an irreversible action, and again before it begins: an earlier
/// stage that was passed with other code sends the task away. Returns whether it did.
pub(super) fn stale(draft: &mut Draft<'_>) -> bool {
    let Some(action) = draft.stage().and_then(|s| s.actions.first()).cloned() else {
        return false;
    };
    let Some(head) = draft.task.ledger.head.clone() else { return false };
    let Some(stage) = passed_with_other_code(draft, &head) else {
        return false;
    };
    let detail = format!("stage {stage} was passed with other code than {}", short(&head.sha));
    outcome(draft, &action, "head_moved", &detail);
    true
}

/// A stage behind the first in which code is written that was passed with other code than `head`.
///
/// Stages in which code is written are left out: what a person pushes after them is judged by the
/// stages behind them, and sending it back there would have the agent write it again.
fn passed_with_other_code(draft: &Draft<'_>, head: &Head) -> Option<Name> {
    let rules = draft.rules;
    let writes = |agent: &Name| rules.agents.get(agent).is_some_and(|a| !a.writes.is_empty());
    let writer = |stage: &&Name| rules.stages.get(*stage).is_some_and(|s| s.work.iter().any(writes));
    let first = rules.flow.iter().position(|s| writer(&s))?;
    let here = rules.flow.iter().position(|s| *s == draft.task.control.stage)?;
    let passed = &draft.task.ledger.passed;
    rules
        .flow
        .get(first..here)?
        .iter()
        .filter(|s| !writer(s))
        .find(|s| passed.get(*s).is_none_or(|subject| *subject != head.subject))
        .cloned()
}

/// Takes the merge lease, or a place in its queue.
fn take_lease(draft: &mut Draft<'_>) -> bool {
    let (id, item, visit, now) = (draft.task.id, draft.task.item.clone(), draft.visit(), draft.now());
    let held = draft
        .repo()
        .lease
        .as_ref()
        .map(|lease| (lease.task, lease.item.clone(), lease.queue.contains(&id)));
    match held {
        None => {
            draft.repo_mut().lease = Some(Lease {
                task: id,
                item,
                visit,
                since: now,
                queue: Vec::new(),
            });
            true
        }
        Some((holder, ..)) if holder == id => {
            if let Some(lease) = &mut draft.repo_mut().lease {
                lease.visit = visit;
            }
            true
        }
        Some((_, holder, queued)) => {
            if !queued && let Some(lease) = &mut draft.repo_mut().lease {
                lease.queue.push(id);
            }
            let why = format!("{holder} holds the merge lease");
            draft.because(why.clone());
            draft.wait(why);
            false
        }
    }
}

/// Gives the merge lease back, or the place in its queue, and wakes the next.
pub(super) fn release(draft: &mut Draft<'_>) {
    let id = draft.task.id;
    let Some(lease) = &draft.repo().lease else { return };
    if lease.task != id {
        if lease.queue.contains(&id)
            && let Some(lease) = &mut draft.repo_mut().lease
        {
            lease.queue.retain(|t| *t != id);
        }
        return;
    }
    let next = lease.queue.clone();
    draft.repo_mut().lease = None;
    // Every waiting task looks again, the first come first: whoever is stopped or elsewhere by then loses its turn.
    for task in next {
        draft.decide(Decision::Wake {
            task,
            by: Name::new("the merge lease is free"),
        });
    }
}

/// An action ended.
pub(super) fn ended(draft: &mut Draft<'_>, visit: u32, action: &Name, what: &Name, detail: &str, head: Option<&Head>) {
    if !draft.current(visit) {
        return;
    }
    match draft.task.control.at.clone() {
        At::Updating { edge } if action == "update" => updated(draft, &edge, what, detail, head),
        At::Action { index, running: true } => {
            let expected = draft.stage().and_then(|s| s.actions.get(usize::from(index))).map(Action::name);
            if expected.as_ref() != Some(action) {
                draft.because(format!("action `{action}` is not the one under way"));
                return;
            }
            draft.because(format!("action `{action}` ended: {what}{}", tail(detail)));
            if what == "ok" {
                succeeded(draft, index, detail);
            } else {
                failed(draft, action, what, detail);
            }
        }
        _ => draft.because(format!("action `{action}` ended and nobody waits for it")),
    }
}

fn succeeded(draft: &mut Draft<'_>, index: u8, detail: &str) {
    draft.comment("merged", Say { detail, ..Say::default() });
    draft.task.control.at = At::Action {
        index: index.saturating_add(1),
        running: false,
    };
    begin(draft);
}

fn failed(draft: &mut Draft<'_>, action: &Name, what: &Name, detail: &str) {
    release(draft);
    if draft.task.control.stop == StopState::Deferred {
        // The task goes, but what came out may concern the whole repository.
        if let Some((name, edge)) = draft.edge_if(action, action, what, |e| e.freeze.is_some()) {
            edges::warn(draft, edge, name, &told(action, what, detail));
        }
        draft.because("the critical window closed without success: the stop that was put off is applied");
        return stop::full(draft);
    }
    follow(draft, action, what, detail);
}

fn told(action: &Name, what: &Name, detail: &str) -> Answer {
    Answer {
        detail: detail.to_owned(),
        text: detail.to_owned(),
        ..Answer::new(action, Outcome::Other(what.clone()))
    }
}

fn outcome(draft: &mut Draft<'_>, action: &Action, what: &str, detail: &str) {
    release(draft);
    draft.because(format!("action `{}` is not begun: {what}: {detail}", action.name()));
    follow(draft, &action.name(), &Name::new(what), detail);
}

fn refused(draft: &mut Draft<'_>, action: &Action, detail: &str) {
    outcome(draft, action, "refused", detail);
}

/// Takes the edge of an action's outcome; without one the task is parked for a person.
fn follow(draft: &mut Draft<'_>, action: &Name, what: &Name, detail: &str) {
    draft.task.control.at = At::Gates;
    let answer = told(action, what, detail);
    let key = Name::from(format!("{action}.{what}"));
    match draft.edge(action, action, what) {
        Some((name, edge)) => edges::take(draft, (name, edge), &key, &answer),
        None => edges::follow(
            draft,
            &Edge {
                stay: true,
                escalate: true,
                alert: true,
                ..Edge::default()
            },
            &key,
            &answer,
        ),
    }
}

/// The base was merged into the branch, or was not.
fn updated(draft: &mut Draft<'_>, key: &Name, what: &Name, detail: &str, head: Option<&Head>) {
    draft.task.control.at = At::Gates;
    if draft.task.control.mode != Mode::Active {
        return;
    }
    if what != "ok" {
        draft.because(format!(
            "the default branch could not be merged into the branch: {what}{}",
            tail(detail)
        ));
        return update_failed(draft, what, detail);
    }
    if let Some(head) = head {
        carry_over(draft, head);
    }
    draft.because("the branch has the default branch's commits: verdicts carry over, checks run again");
    let rules = draft.rules;
    let own = draft.stage().and_then(|s| s.on.get(key));
    let Some(edge) = own.or_else(|| rules.on.get(key)) else {
        return look::ask(draft, false);
    };
    let (gate, outcome) = key.split_once('.').unwrap_or((key, ""));
    let answer = Answer {
        detail: detail.to_owned(),
        ..Answer::new(&Name::new(gate), Outcome::Other(Name::new(outcome)))
    };
    edges::follow(draft, edge, key, &answer);
}

/// The update met a conflict, a moved head or a refusal.
fn update_failed(draft: &mut Draft<'_>, what: &Name, detail: &str) {
    let answer = Answer {
        detail: detail.to_owned(),
        text: detail.to_owned(),
        ..Answer::new(&Name::new("update"), Outcome::Other(what.clone()))
    };
    for by in ["update", "mergeable", "merge"] {
        if let Some((name, edge)) = draft.edge_if(by, by, what, |e| !e.update) {
            return edges::follow(draft, edge, name, &answer);
        }
    }
    let edge = Edge {
        stay: true,
        escalate: true,
        alert: true,
        ..Edge::default()
    };
    edges::follow(draft, &edge, &Name::from(format!("update.{what}")), &answer);
}

/// The service's own conflict-free merge of the base moves the subject without voiding verdicts.
fn carry_over(draft: &mut Draft<'_>, head: &Head) {
    let old = draft.subject();
    for subject in draft.task.ledger.passed.values_mut().filter(|s| **s == old) {
        subject.clone_from(&head.subject);
    }
    draft.set_head(head.clone());
}

fn tail(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}
