//! STOP: looked at before anything else, acknowledged when the clean-up is verified.

use crate::engine::model::{At, Body, CleanUp, Decision, Kill, Millis, Name, Phase, Signal, StopState, Task};
use crate::engine::rules::Ruleset;

use super::draft::{Draft, Say, clip};
use super::{actions, start};

/// A stop was asked for.
pub(super) fn requested(draft: &mut Draft<'_>) {
    let who = draft.event.actor.label();
    if draft.task.control.stop == StopState::Deferred {
        draft.task.ledger.restart = None;
        return draft.because("a stop is already pending");
    }
    draft.because(format!("{who} asked for a stop"));
    let (now, asked) = (draft.now(), asked(draft));
    draft.task.ledger.stop_reason = reason(draft);
    draft.task.ledger.stop_overdue = false;
    if arriving(draft) {
        draft.because("everything is done already: the task arrives first");
        draft.task.control.stop = StopState::Deferred;
        draft.task.ledger.stop = Some((who, asked, None));
        return;
    }
    if let Some((action, limit)) = critical(draft) {
        draft.task.control.stop = StopState::Deferred;
        draft.task.ledger.stop = Some((who.clone(), asked, Some(now.plus(limit))));
        draft.because(format!("action `{action}` is under way: the stop is applied when it has ended"));
        let detail = format!("{action}, put off since {}, until {} at most", asked.utc(), now.plus(limit).utc());
        let say = Say {
            who: &who,
            detail: &detail,
            ..Say::default()
        };
        draft.alert("stop_deferred", say);
        draft.comment("stop_deferred", say);
        return remind(draft, limit);
    }
    draft.task.ledger.stop = Some((who, asked, None));
    full(draft);
}

/// How often a stop that was put off is looked at again, besides at everything that happens.
const LOOK: Millis = Millis::secs(60);

/// Whether the last stage is about to be entered: what was irreversible has happened, and a word
/// that comes before the entry must neither take it back nor deny it.
pub(super) fn arriving(draft: &Draft<'_>) -> bool {
    draft.task.control.at == At::Entering && draft.rules.flow.last() == Some(&draft.task.control.stage)
}

/// The timer of a stop that was put off.
fn remind(draft: &mut Draft<'_>, limit: Millis) {
    let visit = draft.visit();
    let due = draft.now().plus(limit.min(LOOK));
    draft.decide(Decision::SetTimer {
        visit,
        timer: Name::new("stop"),
        due,
    });
}

/// A stop that was put off is looked at again. After longer than the rules foresee it is told to
/// operators, once: to cut the irreversible step off would be worse.
pub(super) fn overdue(draft: &mut Draft<'_>) {
    let Some((action, limit)) = critical(draft) else {
        draft.because("nothing irreversible is under way any more: the stop is applied");
        return full(draft);
    };
    draft.because(format!("action `{action}` is still under way: the stop keeps waiting"));
    let (who, asked, until) = draft.task.ledger.stop.clone().unwrap_or_default();
    if until.is_none_or(|until| draft.now() >= until) && !draft.task.ledger.stop_overdue {
        draft.task.ledger.stop_overdue = true;
        let until = until.unwrap_or(asked);
        let detail = format!(
            "{action}, overdue: put off since {}, until {} was foreseen; it stays put off until the step has ended",
            asked.utc(),
            until.utc()
        );
        let say = Say {
            who: &who,
            detail: &detail,
            ..Say::default()
        };
        draft.alert("stop_deferred", say);
    }
    remind(draft, limit);
}

/// Why, if the person said so; at most 500 characters.
fn reason(draft: &Draft<'_>) -> Option<String> {
    match &draft.event.body {
        Body::Signalled(signal) => signal
            .text
            .as_deref()
            .map(str::trim)
            .filter(|t| !t.is_empty())
            .map(|t| clip(t, 500)),
        _ => None,
    }
}

/// When the person acted: a start older than that does not undo the stop.
fn asked(draft: &Draft<'_>) -> Millis {
    match &draft.event.body {
        Body::Signalled(signal) if signal.acted_at > Millis(0) => signal.acted_at.min(draft.now()),
        _ => draft.now(),
    }
}

/// Other signals while a stop is put off: only a later start is kept for when the task is over.
pub(super) fn meanwhile(draft: &mut Draft<'_>, signal: &Signal) {
    if signal.name == "start" {
        return keep_start(draft, signal);
    }
    draft.because("a stop is pending: other signals have no effect");
}

fn keep_start(draft: &mut Draft<'_>, signal: &Signal) {
    if draft
        .task
        .ledger
        .stop
        .as_ref()
        .is_some_and(|(_, asked, _)| signal.acted_at < *asked)
    {
        return draft.because("the start is older than the stop: it is not taken up");
    }
    draft.task.ledger.restart = Some(signal.clone());
    draft.because("started again while being stopped: taken up when the stop is complete");
}

/// The irreversible action at work, and how long it may put a stop off.
fn critical(draft: &Draft<'_>) -> Option<(Name, Millis)> {
    irreversible(draft.rules, &draft.task)
}

/// The irreversible action that is at work for a task, and how long the rules foresee that it puts a stop off.
#[must_use]
pub fn irreversible(rules: &Ruleset, task: &Task) -> Option<(Name, Millis)> {
    let At::Action { index, running: true } = task.control.at else {
        return None;
    };
    let stage = rules.stages.get(&task.control.stage)?;
    let action = stage.actions.get(usize::from(index))?.name();
    let limit = rules.stop.critical.get(&action).copied().unwrap_or(Millis::secs(300));
    Some((action, limit))
}

/// The full stop: processes, jobs, timers, lease, archive, checkout, branch, in this order.
pub(super) fn full(draft: &mut Draft<'_>) {
    draft.task.control.stop = StopState::Cleaning;
    draft.decide(Decision::Withdraw {
        visit: None,
        why: Kill::Stop,
    });
    draft.decide(Decision::DropTimers);
    draft.close_review();
    actions::release(draft);
    draft.task.control.approved.clear();
    draft.task.ledger.approvals.clear();
    draft.task.ledger.cards.clear();
    let policy = &draft.rules.stop;
    let clean = CleanUp {
        archive: policy.archive,
        checkout: policy.checkout,
        branch: policy.branch,
        sha: draft.task.ledger.head.as_ref().map(|h| h.sha.clone()),
        report: true,
    };
    draft.decide(Decision::CleanUp(clean));
    draft.because("stopping: jobs withdrawn, processes are being ended, then the clean-up");
}

/// While the clean-up is under way only its end counts; a start waits for it.
pub(super) fn cleaning(draft: &mut Draft<'_>) {
    match &draft.event.body {
        Body::CleanedUp { report } => stopped(draft, report),
        Body::Signalled(signal) if signal.name == "start" => keep_start(draft, signal),
        Body::Signalled(signal) if signal.name == "stop" => {
            draft.task.ledger.restart = None;
            draft.because("it is being stopped already");
        }
        other => draft.because(format!("being stopped: `{}` has no effect", other.kind())),
    }
}

fn stopped(draft: &mut Draft<'_>, report: &str) {
    draft.because(format!("stopped: {report}"));
    start::leave(draft);
    draft.task.control.phase = Phase::Cancelled;
    draft.task.control.stop = StopState::No;
    draft.task.control.stage = draft.rules.sink.clone();
    let who = draft.task.ledger.stop.as_ref().map(|(who, ..)| who.clone()).unwrap_or_default();
    let reason = draft.task.ledger.stop_reason.clone().unwrap_or_default();
    let say = Say {
        who: &who,
        detail: report,
        text: &reason,
        ..Say::default()
    };
    draft.comment("stopped", say);
    draft.alert("stopped", say);
    let restart: Option<Signal> = draft.task.ledger.restart.take();
    if let Some(signal) = restart {
        return draft.decide(Decision::Restart(signal));
    }
    let board = draft
        .rules
        .signals
        .status
        .iter()
        .find(|(_, signal)| **signal == "stop")
        .map(|(status, _)| status.clone());
    draft.status(&board.unwrap_or_else(|| "Cancelled".to_owned()));
}
