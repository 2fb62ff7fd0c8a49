//! What an agent's command has to say about whether a job may start: its breaker, its usage limit,
//! and whether it can be used at all.

use std::collections::BTreeSet;

use super::{WaitingJob, blocker};
use crate::engine::breaker::{Command, Preflight, Stand};
use crate::engine::model::{Blocker, Code, Millis, Who};

/// What the command has against the job; `probes` are commands that are tried out from this very call on.
pub(super) fn blockers(command: &Command, probes: &BTreeSet<String>, job: &WaitingJob, now: Millis, found: &mut Vec<Blocker>) {
    let name = &command.name;
    if let Some(limit) = command.breaker.as_ref().and_then(|b| b.limited(now)) {
        let left = minutes(limit.until, now);
        let text = format!("`{name}` has reached its usage limit, which ends in {left} min: {}", limit.why);
        found.push(Blocker {
            clear: close(name),
            ..blocker(Code::UsageLimit, text, limit.since, Who::Itself)
        });
    }
    match command.breaker.as_ref().map_or(Stand::Closed, |b| b.stand(now)) {
        Stand::Closed => {}
        Stand::Open(pause) => {
            let left = (pause.until.since(now).0 + 999) / 1000;
            let text = format!(
                "`{name}` failed too often in a row; one run tries it again in {left} s: {}",
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
        Preflight::Good => {}
        Preflight::Unknown => {
            let text = format!("`{name}` is being looked at");
            found.push(blocker(Code::Preflight, text, job.since, Who::Itself));
        }
        Preflight::Bad { why, since } => found.push(Blocker {
            clear: Some(format!(
                "signalbox doctor    # `{name} --version` must end with 0: install it, or set `run` of {}",
                job.slot
            )),
            ..blocker(Code::Preflight, format!("`{name}` cannot be used: {why}"), *since, Who::Operator)
        }),
    }
}

/// The command that lets the agent's command be used at once: an account was paid for, an outage is known to be over.
fn close(name: &str) -> Option<String> {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    let name = if plain {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    };
    Some(format!("signalbox breaker close {name}    # or wait"))
}

/// Whether a job of this command would be the one that tries it out.
pub(super) fn probes(command: &Command, now: Millis) -> bool {
    matches!(command.breaker.as_ref().map(|b| b.stand(now)), Some(Stand::HalfOpen(_)))
}

fn minutes(until: Millis, now: Millis) -> i64 {
    (until.since(now).0 + 59_999) / 60_000
}
