//! Asking the gates of the present stage, in order; the first that is not `ok` decides.

use crate::engine::model::{Approval, At, Card, Decision, JobKind, Millis, Mode, Name, Signal, SlotState};
use crate::engine::rules::{GateKind, Stage};

use super::draft::{Draft, Say};
use super::gates::{Answer, Outcome, approval_subject, asks_a_run};
use super::{actions, edges, start};

/// Looks again from wherever the task waits; silent where nothing can have changed.
pub(super) fn again(draft: &mut Draft<'_>) {
    if draft.task.control.mode != Mode::Active {
        draft.because("a person is awaited: nothing moves by itself");
        return;
    }
    match draft.task.control.at.clone() {
        // Nothing irreversible has begun: what was true when the wait began is asked again.
        At::Gates | At::Action { index: 0, running: false } => ask(draft, false),
        At::Action { running: false, .. } => actions::begin(draft),
        At::Action { running: true, .. } | At::Updating { .. } => draft.because("an action is under way"),
        At::Work if draft.pushed() && !draft.busy() => ask(draft, false),
        At::Work if draft.busy() => draft.because("agents are at work"),
        At::Work => draft.because("its agents have failed: a person is awaited"),
        At::Entering => draft.because("the stage is being entered"),
    }
}

/// Asks the gates in order. `after_run` tells that an agent has just finished: what it left
/// unwritten is then its failure, with tries of its own, before any edge is taken.
pub(super) fn ask(draft: &mut Draft<'_>, after_run: bool) {
    let Some(stage) = draft.stage() else { return };
    // Passed before, and waiting for the merge lease or the end of a freeze.
    let begun = matches!(draft.task.control.at, At::Action { .. });
    draft.task.control.at = At::Gates;
    if draft.reads_anew() {
        return;
    }
    if branch_gone(draft) || actions::stale(draft) {
        return;
    }
    if verdict_void(draft, stage) {
        draft.because("the verdict of this round is about other code: the agents look at it again");
        draft.renew();
        return draft.enqueue_work();
    }
    for gate in &stage.pass {
        let answer = draft.answer(gate);
        match &answer.outcome {
            Outcome::Ok => passed(draft, gate, &answer),
            Outcome::Wait(name) => {
                actions::release(draft);
                return waits(draft, gate, name, &answer);
            }
            Outcome::Other(name) => {
                actions::release(draft);
                if after_run && answer.nothing_due && super::runs::nothing_due(draft, gate, &answer) {
                    return;
                }
                return edges::outcome(draft, gate, name, &answer);
            }
        }
    }
    draft.task.ledger.waiting = None;
    draft.close_review();
    if stage.actions.is_empty() {
        start::advance(draft);
    } else {
        if !begun {
            waited(draft, stage);
        }
        draft.task.control.at = At::Action { index: 0, running: false };
        actions::begin(draft);
    }
}

/// Nobody is waited for any more: where the board says that somebody is, it shows the stage again.
fn waited(draft: &mut Draft<'_>, stage: &Stage) {
    let reported = draft.task.control.reported.clone();
    let Some((gate, outcome)) = reported.as_deref().and_then(|key| key.split_once('.')) else {
        return;
    };
    let edge = edges::find(draft.rules, &draft.task.control.stage, gate, gate, outcome);
    let shown = edge.and_then(|(_, edge)| edge.status.as_ref());
    if let (Some(own), Some(shown)) = (&stage.status, shown)
        && own != shown
        && stage.pass.iter().any(|name| name == gate)
    {
        draft.status(own);
    }
}

/// Whether the forge has the task's branch no longer.
fn gone(draft: &Draft<'_>) -> bool {
    draft.task.ledger.head.is_some() && draft.facts.head().is_some_and(|seen| seen.head.is_none())
}

/// Without its branch on the forge nothing of the task can be judged or merged. Nothing is lost
/// either, the commits are in the vault: it waits until the branch is pushed again, or a stop, and
/// people are told once.
fn branch_gone(draft: &mut Draft<'_>) -> bool {
    if !gone(draft) {
        return false;
    }
    let Some(sha) = draft.task.ledger.head.as_ref().map(|h| h.sha.clone()) else {
        return false;
    };
    let sentence = format!("branch.gone: {} is gone from the forge; it was at {sha}", draft.task.branch);
    actions::release(draft);
    draft.because(sentence.clone());
    let known = draft.task.ledger.waiting.as_ref().is_some_and(|(said, _)| *said == sentence);
    draft.wait(sentence);
    // There is nothing to be approved meanwhile.
    draft.close_review();
    if !known {
        let say = Say {
            outcome: "branch.gone",
            detail: &sha,
            ..Say::default()
        };
        draft.comment("branch_gone", say);
        draft.alert("branch_gone", say);
    }
    if let Some(due) = retry_at(draft, &Name::new("unreachable"), false) {
        let visit = draft.visit();
        draft.decide(Decision::SetTimer {
            visit,
            timer: Name::new("branch"),
            due,
        });
    }
    true
}

/// Whether a verdict is asked for that no run of this round has given on this code.
fn verdict_void(draft: &Draft<'_>, stage: &Stage) -> bool {
    let given = |agent: &Name| draft.task.ledger.runs.contains_key(agent);
    let asked = || stage.pass.iter().any(|gate| asks_a_run(draft.rules, gate, 0));
    !stage.work.iter().all(given) && !draft.busy() && asked()
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
    if let Some(due) = answer.due.or_else(|| retry_at(draft, outcome, answer.dark)) {
        let visit = draft.visit();
        draft.decide(Decision::SetTimer {
            visit,
            timer: answer.by.clone(),
            due,
        });
    }
    let human = matches!(draft.rules.gates.get(&answer.by).map(|g| &g.kind), Some(GateKind::Human { .. }));
    if human && outcome == "waiting" {
        show_card(draft, gate, outcome, answer);
    } else {
        draft.close_review();
        announce(draft, gate, outcome, answer);
    }
}

/// When a source that does not answer is asked again: ever more seldom, as for failed runs.
fn retry_at(draft: &Draft<'_>, outcome: &Name, dark: bool) -> Option<Millis> {
    if outcome != "unreachable" && !dark {
        return None;
    }
    let retry = &draft.rules.retry;
    let since = draft.task.ledger.waiting.as_ref().map_or(draft.now(), |(_, since)| *since);
    let wait = draft.now().since(since).max(retry.base.plus(retry.base)).min(retry.max);
    Some(draft.now().plus(wait))
}

/// What the rules say about a waiting outcome, once per visit.
fn announce(draft: &mut Draft<'_>, gate: &Name, outcome: &Name, answer: &Answer) {
    let key = Name::from(format!("{gate}.{outcome}"));
    if draft.task.control.reported.as_ref() == Some(&key) {
        return;
    }
    if let Some((_, edge)) = draft.edge_if(gate, &answer.by, outcome, |_| true) {
        edges::tell(draft, edge, &key, answer);
    } else if outcome == "waiting" {
        // Somebody has to act, and only the task knows it: a review on the forge that is to be renewed.
        let say = Say {
            outcome: &key,
            detail: &answer.detail,
            ..Say::default()
        };
        draft.comment("gate_reason", say);
        draft.alert("stays", say);
    } else {
        return;
    }
    draft.task.control.reported = Some(key);
}

/// Shows what an approval will cover; shows it again when that has moved.
fn show_card(draft: &mut Draft<'_>, gate: &Name, outcome: &Name, answer: &Answer) {
    let subject = approval_subject(&draft.task, draft.facts);
    let rules = draft.task.rules.clone();
    let shown = draft.task.ledger.cards.get(&answer.by);
    if shown.is_some_and(|card| card.subject == subject && card.rules == rules) {
        // The question may have rested while there was no branch.
        return draft.open_review();
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
        text: String::new(),
        ..answer.clone()
    };
    if let Some((_, edge)) = draft.edge_if(gate, &answer.by, outcome, |_| true) {
        edges::tell(draft, edge, &key, &shown);
    }
    if let Some(label) = &answer.label {
        draft.because(format!("the label `{label}` is suspended: the change touches {}", answer.text));
        draft.comment(
            "auto_suspended",
            Say {
                outcome: label,
                detail: &answer.text,
                ..Say::default()
            },
        );
    }
    draft.task.control.reported = Some(key);
}

/// A person's approval: it answers the card that was shown before it, or it is void.
pub(super) fn approve(draft: &mut Draft<'_>, gate: &Name, signal: &Signal) {
    let subject = approval_subject(&draft.task, draft.facts);
    let rules = draft.task.rules.clone();
    let valid = match draft.task.ledger.cards.get(gate) {
        None => Err("nothing had been shown yet when it was given"),
        Some(card) if card.subject != subject => Err("what was shown has changed since"),
        Some(card) if card.rules != rules => Err("the rules have changed since"),
        Some(card) if signal.acted_at < card.at => Err("it was given before this was shown"),
        Some(_) => Ok(()),
    };
    let valid = if gone(draft) {
        Err("the branch is gone from the forge")
    } else {
        valid
    };
    let by = draft.event.actor.label();
    match valid {
        Ok(()) => {
            let given = draft.task.ledger.approvals.entry(gate.clone()).or_default();
            given.retain(|a| a.by != by);
            given.push(Approval {
                by: by.clone(),
                at: draft.event.at,
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
