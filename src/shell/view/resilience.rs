//! Of `/queue`: what holds agents back whatever task they are for.

use std::collections::BTreeMap;

use crate::engine::breaker::{Breaker, Stand};
use crate::engine::model::Millis;
use crate::shell::service::Service;
use crate::shell::store::QueueView as Rows;

use super::{CommandView, ReaperView, ResilienceView};

/// Breakers and preflight.
pub(super) fn resilience(service: &Service, rows: &Rows) -> ResilienceView {
    let now = service.now();
    let commands: BTreeMap<String, CommandView> = rows
        .breakers
        .iter()
        .map(|(name, b)| (name.clone(), command(b, rows, now)))
        .collect();
    let worst = commands
        .values()
        .max_by_key(|c| (c.state == "open", c.state == "half_open", c.consecutive_transient));
    let bad = service.commands.unusable();
    ResilienceView {
        breaker: worst.cloned().unwrap_or_else(|| command(&Breaker::default(), rows, now)),
        preflight_ok: bad.is_empty(),
        preflight_reason: bad.into_iter().next().map(|(program, why)| format!("{program}: {why}")),
        commands,
    }
}

fn command(breaker: &Breaker, rows: &Rows, now: Millis) -> CommandView {
    let (state, pause) = match breaker.stand(now) {
        Stand::Closed => ("closed", None),
        Stand::Open(pause) => ("open", Some(pause)),
        Stand::HalfOpen(pause) => ("half_open", Some(pause)),
    };
    let limit = breaker.limited(now);
    let until = pause.map(|p| p.until).into_iter().chain(limit.map(|l| l.until)).max();
    CommandView {
        state: state.to_owned(),
        consecutive_transient: breaker.streak,
        pause_remaining_s: until.map_or(0, |until| (until.since(now).0 + 999) / 1000).max(0),
        why: pause.or(limit).map(|p| p.why.clone()),
        since: pause.map(|p| p.since.into()),
        until: pause.map(|p| p.until.into()),
        probing: breaker
            .probing(now, |run| rows.open_runs.iter().any(|r| r.id == run))
            .map(|run| run.0),
        limited_since: limit.map(|l| l.since.into()),
        limited_until: limit.map(|l| l.until.into()),
    }
}

/// The search for runs without a follower: it is part of every safety look.
pub(super) fn reaper(rows: &Rows, interval: u64) -> ReaperView {
    ReaperView {
        interval,
        open_runs: rows.open_runs.len() as u64,
    }
}
