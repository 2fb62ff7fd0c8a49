//! What people say: approve, reject, answer, start again, stop, retry.

use crate::engine::model::{At, Body, Mode, Name, Role, Signal, Slot, SlotState};
use crate::engine::rules::{Edge, GateKind};

use super::draft::{Draft, Say, clip};
use super::gates::{Answer, Outcome, asks_a_run};
use super::{edges, look, stop};

/// A person signalled; STOP is looked at before any other.
pub(super) fn signalled(draft: &mut Draft<'_>, signal: &Signal) {
    if signal.name == "stop" {
        return stop::requested(draft);
    }
    // Words of those who have no say here must reach no agent, and no words are no comment.
    let heard = [Role::Approver, Role::Operator].iter().any(|role| draft.event.actor.holds(*role));
    if let Some(text) = signal.text.as_deref().filter(|text| heard && !text.trim().is_empty()) {
        draft.task.ledger.last_comment = Some(clip(text, 500));
    }
    if draft.task.control.stop == crate::engine::model::StopState::Deferred {
        return stop::meanwhile(draft, signal);
    }
    let gates = draft.human_gates(&signal.name);
    if !gates.is_empty() {
        return answer_gates(draft, signal, &gates);
    }
    match signal.name.as_str() {
        "start" => restart(draft, signal),
        "answer" if draft.task.control.mode != Mode::Question => besides(draft, signal),
        _ => by_edge(draft, signal),
    }
}

/// A comment while no question is open. Where one was answered and the round that takes the answer
/// up has not ended, it is another answer to it; otherwise it is only kept.
fn besides(draft: &mut Draft<'_>, signal: &Signal) {
    let stage = draft.task.control.stage.clone();
    let under_way = match draft.task.control.at {
        At::Entering => true,
        At::Work => draft.busy(),
        _ => false,
    };
    let answered = under_way && draft.task.ledger.said.iter().any(|said| said.answer);
    let note = edges::find(draft.rules, &stage, "signal", "signal", "answer").and_then(|(_, edge)| edge.note.clone());
    let (Some(note), Some(text), true) = (note, signal.text.as_deref(), answered) else {
        return draft.because("no question is open: kept as the last comment");
    };
    let told = draft.render(
        "note",
        &note,
        Say {
            outcome: "signal.answer",
            detail: &clip(text, 500),
            text,
            attempt: 1,
            max: 1,
            ..Say::default()
        },
    );
    let who = draft.event.actor.label();
    draft.because(format!(
        "{who} adds to the answer: told to agents that have not begun, to others when one is run next"
    ));
    draft.said(told, true);
    draft.tell_waiting();
}

/// A signal that the stage's human gates wait for.
fn answer_gates(draft: &mut Draft<'_>, signal: &Signal, gates: &[(Name, Name)]) {
    if draft.task.control.at != At::Gates || draft.task.control.mode == Mode::Question {
        draft.because(format!(
            "`{}` came while the stage was still at work: nothing to answer yet",
            signal.name
        ));
        return look::again(draft);
    }
    let mut counted = false;
    for (gate, from) in gates {
        let role = if from == "operator" { Role::Operator } else { Role::Approver };
        if draft.event.actor.holds(role) {
            look::approve(draft, gate, signal);
            counted = true;
        }
    }
    if !counted {
        return not_allowed(draft, signal);
    }
    if draft.task.control.mode == Mode::Escalated {
        draft.calm();
    }
    look::ask(draft, false);
}

fn not_allowed(draft: &mut Draft<'_>, signal: &Signal) {
    let who = draft.event.actor.label();
    draft.because(format!("{who} may not `{}`", signal.name));
    draft.comment(
        "not_allowed",
        Say {
            who: &who,
            detail: &signal.name,
            ..Say::default()
        },
    );
}

/// A signal with an edge of its own: `reject`, `answer`, and whatever the rules name.
fn by_edge(draft: &mut Draft<'_>, signal: &Signal) {
    let rules = draft.rules;
    let key = Name::from(format!("signal.{}", signal.name));
    let stage = draft.task.control.stage.clone();
    let Some((_, edge)) = edges::find(rules, &stage, "signal", "signal", &signal.name) else {
        draft.because(format!("signal `{}` means nothing at stage {stage}", signal.name));
        return look::again(draft);
    };
    if signal.name == "reject" && !(draft.event.actor.holds(Role::Approver) || draft.event.actor.holds(Role::Operator)) {
        return not_allowed(draft, signal);
    }
    if signal.name == "reject" && heard_late(draft, signal) {
        draft.because("rejected before what it stands at was shown: it does not count for that");
        return draft.comment(
            "gate_reason",
            Say {
                outcome: &key,
                who: &draft.event.actor.label(),
                detail: "the rejection was made before this was shown and does not count for it; reject again if it is meant for what is shown now",
                ..Say::default()
            },
        );
    }
    if irreversible(draft) {
        draft.because("an irreversible step is under way: the signal comes too late for it");
        let who = draft.event.actor.label();
        let arriving = stop::arriving(draft);
        return draft.comment(
            "gate_reason",
            Say {
                outcome: &key,
                who: &who,
                detail: if arriving {
                    "the task has arrived"
                } else {
                    "the merge is under way"
                },
                ..Say::default()
            },
        );
    }
    let who = draft.event.actor.label();
    draft.because(format!("{who} said `{}`", signal.name));
    let text = signal.text.clone().unwrap_or_default();
    let answer = Answer {
        detail: clip(&text, 500),
        text,
        ..Answer::new(&Name::new("signal"), Outcome::Other(signal.name.clone()))
    };
    // A person's own act is never limited by a counter.
    let mut edge = Edge {
        uses: None,
        ..edge.clone()
    };
    // Nor are his words lost because others speak before they are told to an agent.
    if let Some(note) = edge.note.take() {
        let told = edges::render_note(draft, &edge, &note, &key, &answer);
        draft.said(told, signal.name == "answer");
    }
    draft.edge_if("signal", "signal", &signal.name, |_| true);
    edges::follow(draft, &edge, &key, &answer);
}

/// Whether what is shown now was shown after the signal was given: it was said of what was before.
fn heard_late(draft: &Draft<'_>, signal: &Signal) -> bool {
    let ledger = &draft.task.ledger;
    let asked = ledger.question.as_ref().map(|(_, since)| *since);
    let shown = ledger.cards.values().map(|card| card.at).chain(asked);
    shown.into_iter().any(|shown| signal.acted_at < shown)
}

/// `start` on a task that exists (B-START 3 and 4).
fn restart(draft: &mut Draft<'_>, signal: &Signal) {
    let first = draft
        .rules
        .flow
        .iter()
        .find(|s| draft.rules.stages.get(*s).is_some_and(|s| !s.work.is_empty()))
        .cloned();
    let at_first = first.as_ref() == Some(&draft.task.control.stage);
    let active = draft.task.control.at == At::Entering || draft.busy() || irreversible(draft);
    // B-START 4: where STOP is switched off for the project, nobody could begin anew with the board alone; the
    // agent of the current stage is relaunched instead.
    if at_first || !draft.rules.stop.enabled {
        if active {
            return draft.because("started again while it is at work: nothing to do");
        }
        if heard_late(draft, signal) {
            return draft.because("started again before what it has done was shown: nothing to do");
        }
        let Some(agent) = draft.stage().and_then(|s| s.work.first()).cloned() else {
            return draft.because("started again at a stage without agents: nothing to do");
        };
        let text = draft.task.ledger.last_comment.clone().unwrap_or_default();
        let name = if text.is_empty() { "relaunched" } else { "answer" };
        let say = Say {
            text: &text,
            detail: &text,
            ..Say::default()
        };
        if text.is_empty() {
            draft.note(name, say);
        } else {
            let told = draft.render("note", name, say);
            draft.said(told, true);
        }
        if let Some(status) = draft.stage().and_then(|s| s.status.clone()) {
            draft.status(&status);
        }
        draft.because(format!("started again: {agent} is queued"));
        return edges::rerun(draft, &agent);
    }
    draft.because("started again in the middle of the pipeline: nothing is launched");
    let status = |signal: &str| {
        draft
            .rules
            .signals
            .status
            .iter()
            .find(|(_, s)| **s == signal)
            .map(|(status, _)| status.clone())
    };
    let stop = status("stop").unwrap_or_else(|| format!("signalbox stop {}", draft.task.item));
    let start = status("start").unwrap_or_default();
    draft.comment(
        "relaunch_hole",
        Say {
            detail: &stop,
            text: &start,
            ..Say::default()
        },
    );
}

/// An operator takes the task up again: failed work anew, else another look.
pub(super) fn retried(draft: &mut Draft<'_>, note: Option<&str>) {
    let who = draft.event.actor.label();
    if !draft.event.actor.holds(Role::Operator) {
        return draft.because(format!("{who} may not retry"));
    }
    if draft.busy() {
        return draft.because("its agents are queued or at work: nothing to retry");
    }
    if irreversible(draft) {
        return draft.because("an action is under way: nothing to retry");
    }
    draft.because(format!("{who} asked for another try"));
    let anew = works_anew(draft);
    draft.calm();
    if let Some(words) = note {
        draft.said(words.to_owned(), false);
    }
    if draft.task.control.at == At::Entering {
        return draft.follow(Body::Entered { visit: draft.visit() });
    }
    if anew {
        if let Some(status) = draft.stage().and_then(|s| s.status.clone()) {
            draft.status(&status);
        }
        return draft.enqueue_rest();
    }
    // A failed command of a gate may run again.
    draft
        .task
        .control
        .slots
        .retain(|_, slot| !matches!(slot.state, SlotState::Failed(_)));
    draft.task.ledger.commands.retain(|_, result| result.code == 0);
    look::again(draft);
}

/// Whether a retry lets the stage's agents work again: what failed was theirs. A question put to
/// people, an action, a check outside is only asked again.
fn works_anew(draft: &Draft<'_>) -> bool {
    let Some(stage) = draft.stage().filter(|s| !s.work.is_empty()) else {
        return false;
    };
    let reported = draft.task.control.reported.as_ref().and_then(|key| key.split_once('.'));
    let files = |gate: &str| matches!(draft.rules.gates.get(gate).map(|g| &g.kind), Some(GateKind::Files(_)));
    let own = reported.is_some_and(|(gate, outcome)| outcome != "waiting" && (files(gate) || asks_a_run(draft.rules, gate, 0)));
    let acted = reported.is_some_and(|(action, _)| stage.actions.iter().any(|a| a.name() == action));
    let command = |(slot, s): (&Name, &Slot)| matches!(s.state, SlotState::Failed(_)) && !stage.work.contains(slot);
    if draft.task.control.slots.iter().any(command) {
        return false;
    }
    look::working(draft) || (!acted && (own || draft.task.ledger.failure.is_some() || draft.task.control.mode == Mode::Question))
}

/// Whether an action is under way that no word can call back, or has led to the last stage, which
/// the task is about to enter.
fn irreversible(draft: &Draft<'_>) -> bool {
    stop::arriving(draft) || matches!(draft.task.control.at, At::Action { running: true, .. } | At::Updating { .. })
}
