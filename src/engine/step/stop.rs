//! STOP: looked at before anything else, acknowledged when the clean-up is verified.

use crate::engine::model::{At, Body, CleanUp, Decision, Kill, Name, Phase, Signal, StopState};

use super::draft::{Draft, Say};
use super::{actions, start};

/// A stop was asked for.
pub(super) fn requested(draft: &mut Draft<'_>) {
    let who = draft.event.actor.label();
    if draft.task.control.stop == StopState::Deferred {
        return draft.because("a stop is already pending");
    }
    draft.because(format!("{who} asked for a stop"));
    let now = draft.now();
    if let Some((action, limit)) = critical(draft) {
        draft.task.control.stop = StopState::Deferred;
        draft.task.ledger.stop = Some((who.clone(), now, Some(now.plus(limit))));
        draft.because(format!("action `{action}` is under way: the stop is applied when it has ended"));
        let say = Say {
            who: &who,
            detail: &action,
            ..Say::default()
        };
        draft.alert("stop_deferred", say);
        return draft.comment("stop_deferred", say);
    }
    draft.task.ledger.stop = Some((who, now, None));
    full(draft);
}

/// The irreversible action at work, and how long it may put a stop off.
fn critical(draft: &Draft<'_>) -> Option<(Name, crate::engine::model::Millis)> {
    let At::Action { index, running: true } = draft.task.control.at else {
        return None;
    };
    let action = draft.stage()?.actions.get(usize::from(index))?.name();
    let limit = draft
        .rules
        .stop
        .critical
        .get(&action)
        .copied()
        .unwrap_or(crate::engine::model::Millis::secs(300));
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
        Body::Signalled(signal) if signal.name == "start" => {
            draft.task.ledger.restart = Some(signal.clone());
            draft.because("started again while being stopped: taken up when the stop is complete");
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
    let say = Say {
        who: &who,
        detail: report,
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
