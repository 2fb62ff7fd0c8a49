//! Asking the gates of the present stage, in order; the first that is not `ok` decides.

use crate::engine::model::{Approval, At, Card, Decision, JobKind, Mode, Name, SlotState};
use crate::engine::rules::GateKind;

use super::draft::{Draft, Say};
use super::gates::{Answer, Outcome, approval_subject};
use super::{actions, edges, start};

/// Looks again from wherever the task waits; silent where nothing can have changed.
pub(super) fn again(draft: &mut Draft<'_>) {
    if draft.task.control.mode != Mode::Active {
        draft.because("a person is awaited: nothing moves by itself");
        return;
    }
    match draft.task.control.at.clone() {
        At::Gates => ask(draft, false),
        At::Action { running: false, .. } => actions::begin(draft),
        At::Action { running: true, .. } | At::Updating { .. } => draft.because("an action is under way"),
        At::Work | At::Entering => draft.because("agents are at work"),
    }
}

/// Asks the gates in order. `after_run` tells that an agent has just finished: what it left
/// unwritten is then its failure, with tries of its own, before any edge is taken.
pub(super) fn ask(draft: &mut Draft<'_>, after_run: bool) {
    draft.task.control.at = At::Gates;
    let Some(stage) = draft.stage() else { return };
    for gate in &stage.pass {
        let answer = draft.answer(gate);
        match &answer.outcome {
            Outcome::Ok => passed(draft, gate, &answer),
            Outcome::Wait(name) => return waits(draft, gate, name, &answer),
            Outcome::Other(name) => {
                if after_run && answer.nothing_due && super::runs::nothing_due(draft, gate, &answer) {
                    return;
                }
                return edges::outcome(draft, gate, name, &answer);
            }
        }
    }
    draft.task.ledger.waiting = None;
    if stage.actions.is_empty() {
        start::advance(draft);
    } else {
        draft.task.control.at = At::Action { index: 0, running: false };
        actions::begin(draft);
    }
}

/// A gate said ok: a human gate passed by a label says so in a comment, once.
fn passed(draft: &mut Draft<'_>, gate: &Name, answer: &Answer) {
    draft.because(format!(
        "gate `{gate}` is ok{}",
        if answer.detail.is_empty() {
            String::new()
        } else {
            format!(" ({})", answer.detail)
        }
    ));
    let fresh = draft.task.control.approved.insert(gate.clone());
    if let (Some(label), true) = (&answer.label, fresh) {
        draft.comment(
            "auto_passed",
            Say {
                outcome: gate,
                detail: label,
                ..Say::default()
            },
        );
    }
}

fn waits(draft: &mut Draft<'_>, gate: &Name, outcome: &Name, answer: &Answer) {
    draft.because(format!("gate `{gate}` waits ({outcome}): {}", answer.detail));
    draft.task.control.approved.remove(gate);
    draft.wait(format!("{}.{outcome}: {}", answer.by, answer.detail));
    if let Some(command) = &answer.command {
        draft.enqueue(command, JobKind::Command, None);
    }
    if let Some(due) = answer.due {
        let visit = draft.visit();
        draft.decide(Decision::SetTimer {
            visit,
            timer: answer.by.clone(),
            due,
        });
    }
    let human = matches!(draft.rules.gates.get(&answer.by).map(|g| &g.kind), Some(GateKind::Human { .. }));
    if human {
        show_card(draft, gate, outcome, answer);
    } else {
        announce(draft, gate, outcome, answer);
    }
}

/// What the rules say about a waiting outcome, once per visit.
fn announce(draft: &mut Draft<'_>, gate: &Name, outcome: &Name, answer: &Answer) {
    let key = Name::from(format!("{gate}.{outcome}"));
    if draft.task.control.reported.as_ref() == Some(&key) {
        return;
    }
    if let Some(edge) = edges::find(draft.rules, &draft.task.control.stage, gate, &answer.by, outcome) {
        edges::tell(draft, edge, &key, answer);
        draft.task.control.reported = Some(key);
    }
}

/// Shows what an approval will cover; shows it again when that has moved.
fn show_card(draft: &mut Draft<'_>, gate: &Name, outcome: &Name, answer: &Answer) {
    let subject = approval_subject(&draft.task, draft.facts);
    let rules = draft.task.rules.clone();
    let shown = draft.task.ledger.cards.get(&answer.by);
    if shown.is_some_and(|card| card.subject == subject && card.rules == rules) {
        return;
    }
    if shown.is_some() {
        draft.because("what was shown has moved: the question is put again");
        draft.comment(
            "approval_void",
            Say {
                outcome: gate,
                detail: "what was shown has changed since",
                ..Say::default()
            },
        );
    }
    let base = draft.facts.head().map(|h| h.base.clone()).unwrap_or_default();
    let card = Card {
        subject,
        base,
        rules,
        at: draft.now(),
    };
    draft.task.ledger.cards.insert(answer.by.clone(), card);
    draft.open_review();
    let key = Name::from(format!("{gate}.{outcome}"));
    // Before an irreversible action people see every commit that will go live.
    let irreversible = draft.stage().is_some_and(|s| !s.actions.is_empty());
    let commits = draft
        .facts
        .head()
        .filter(|_| irreversible)
        .map(|h| h.commits.join("\n"))
        .unwrap_or_default();
    let shown = Answer {
        detail: commits,
        ..answer.clone()
    };
    if let Some(edge) = edges::find(draft.rules, &draft.task.control.stage, gate, &answer.by, outcome) {
        edges::tell(draft, edge, &key, &shown);
    }
    draft.task.control.reported = Some(key);
}

/// A person's approval: it answers the card that was shown before it, or it is void.
pub(super) fn approve(draft: &mut Draft<'_>, gate: &Name) {
    let subject = approval_subject(&draft.task, draft.facts);
    let rules = draft.task.rules.clone();
    let acted = draft.now();
    let valid = match draft.task.ledger.cards.get(gate) {
        None => Err("nothing had been shown yet when it was given"),
        Some(card) if card.subject != subject => Err("what was shown has changed since"),
        Some(card) if card.rules != rules => Err("the rules have changed since"),
        Some(_) => Ok(()),
    };
    let by = draft.event.actor.label();
    match valid {
        Ok(()) => {
            let given = draft.task.ledger.approvals.entry(gate.clone()).or_default();
            given.retain(|a| a.by != by);
            given.push(Approval {
                by: by.clone(),
                at: acted,
                subject,
                rules,
            });
            draft.because(format!("{by} answered gate `{gate}`"));
        }
        Err(why) => {
            draft.because(format!("the approval of {by} is void: {why}"));
            draft.comment(
                "approval_void",
                Say {
                    outcome: gate,
                    detail: why,
                    who: &by,
                    ..Say::default()
                },
            );
            draft.task.ledger.cards.remove(gate);
        }
    }
}

/// Whether agents of the present stage are still to end well.
pub(super) fn working(draft: &Draft<'_>) -> bool {
    let Some(stage) = draft.stage() else { return false };
    let slots = &draft.task.control.slots;
    stage
        .work
        .iter()
        .any(|agent| slots.get(agent).is_none_or(|s| s.state != SlotState::Ok))
}
