//! What an agent's command has to say about whether a job may start: its breaker, its usage limit,
//! and whether it can be used at all.

use std::collections::BTreeSet;

use super::{WaitingJob, blocker};
use crate::engine::breaker::{Command, Preflight, Stand, closing};
use crate::engine::model::{Blocker, Code, Millis, Task, Who, lasting};

/// From here on an end is told by the second.
const NEAR: Millis = Millis(60_000);

/// What the command has against the job; `probes` are commands that are tried out from this very call on.
pub(super) fn blockers(command: &Command, probes: &BTreeSet<String>, job: &WaitingJob, task: &Task, now: Millis, found: &mut Vec<Blocker>) {
    let name = &command.name;
    if let Some(limit) = command.breaker.as_ref().and_then(|b| b.limited(now)) {
        // To the minute, until its end is near: nobody waits for such an end by the second.
        let left = limit.until.since(now);
        let left = lasting(if left < NEAR {
            left
        } else {
            Millis((left.0 + 59_999) / 60_000 * 60_000)
        });
        let text = format!("`{name}` has reached its usage limit, which ends in {left}: {}", limit.why);
        found.push(Blocker {
            clear: close(name),
            ..blocker(Code::UsageLimit, text, limit.since, Who::Itself)
        });
    }
    match command.breaker.as_ref().map_or(Stand::Closed, |b| b.stand(now)) {
        Stand::Closed => {}
        Stand::Open(pause) => {
            let left = lasting(pause.until.since(now));
            let text = format!(
                "`{name}` failed too often in a row; one run tries it again in {left}: {}",
                pause.why
            );
            found.push(Blocker {
                clear: close(name),
                ..blocker(Code::BreakerOpen, text, pause.since, Who::Itself)
            });
        }
        Stand::HalfOpen(pause) => {
            let probe = command.probing.map_or_else(|| "another run".to_owned(), |run| format!("run {run}"));
            if command.probing.is_some() || probes.contains(name) {
                let text = format!("{probe} is trying out whether `{name}` works again: {}", pause.why);
                found.push(blocker(Code::BreakerOpen, text, pause.since, Who::Itself));
            }
        }
    }
    match &command.preflight {
        // Nobody looks while anything else holds the job back: see `unseen`.
        Preflight::Good | Preflight::Unknown => {}
        Preflight::Bad { why, since } => found.push(Blocker {
            clear: Some(usable(command, job, task)),
            ..blocker(Code::Preflight, format!("`{name}` cannot be used: {why}"), *since, Who::Operator)
        }),
    }
}

/// What makes a command usable. To set another one helps a task only that follows the rules in force.
fn usable(command: &Command, job: &WaitingJob, task: &Task) -> String {
    let (name, slot, item) = (&command.name, &job.slot, &task.item);
    match &command.newer {
        Some(newer) => format!(
            "signalbox reload    # after `in_flight = \"follow\"` under [projects.{}]: {item} keeps the rules it began with, those in force run \
             `{newer}`; or: signalbox stop {item}, and start it again",
            task.project
        ),
        None => format!("signalbox doctor    # `{name} --version` must end with 0: install it, or set `run` of {slot}"),
    }
}

/// The command is to be looked at first: that happens once nothing else holds the job back.
pub(super) fn unseen(command: &Command, job: &WaitingJob) -> Option<Blocker> {
    let text = format!("`{}` is being looked at", command.name);
    let since = job.since.max(job.available_at);
    (command.preflight == Preflight::Unknown).then(|| blocker(Code::Preflight, text, since, Who::Itself))
}

/// What ends a wait for the command before its time.
pub(super) fn close(name: &str) -> Option<String> {
    Some(format!("{}    # or wait", closing(name)))
}

/// Whether a job of this command would be the one that tries it out.
pub(super) fn probes(command: &Command, now: Millis) -> bool {
    matches!(command.breaker.as_ref().map(|b| b.stand(now)), Some(Stand::HalfOpen(_)))
}
