//! `breaker`, `preflight` and `budget`: what is asked before an agent is started.

use std::ops::RangeInclusive;

use crate::engine::breaker::Limits;
use crate::engine::budget::Budget;
use crate::engine::model::Millis;

use super::later::DAY;
use super::reader::{Reader, Sp};
use super::types::Preflight;

/// What counts as one amount of money, in dollars.
const MONEY: RangeInclusive<f64> = 0.01..=1_000_000.0;
/// The same this often in a row is no progress.
const ALIKE: u32 = 3;

/// The breaker of agent commands; and how often the same may happen to a task.
pub fn breaker(r: &Reader) -> (Option<Limits>, Option<u32>) {
    let mut limits = Limits {
        failures: 3,
        pause: Millis::secs(300),
    };
    let Some(t) = r.table("breaker", "`breaker`") else {
        return (Some(limits), Some(ALIKE));
    };
    let on = t.truth("enabled").unwrap_or(true);
    let small = |key: &'static str, least: i64| t.int(key, least..=100).and_then(|n| u32::try_from(n).ok());
    limits.failures = small("failures", 1).unwrap_or(limits.failures);
    limits.pause = t.duration("pause", Millis::secs(1)..=DAY).unwrap_or(limits.pause);
    let alike = small("no_progress", 0).unwrap_or(ALIKE);
    t.finish();
    (on.then_some(limits), Some(alike).filter(|n| on && *n > 0))
}

/// What agents may cost; and the runs that a task may have, where that is said.
pub fn budget(r: &Reader) -> (Budget, Option<Sp<i64>>) {
    let mut budget = Budget::USUAL;
    let Some(t) = r.table("budget", "`budget`") else {
        return (budget, None);
    };
    let on = t.truth("enabled").unwrap_or(true);
    let (mut runs, usd) = (None, "max_cost_usd");
    if let Some(run) = t.table("run", "`budget.run`") {
        budget.run_usd = run.number(usd, &MONEY).or(budget.run_usd);
        run.finish();
    }
    if let Some(task) = t.table("task", "`budget.task`") {
        budget.task_usd = task.number(usd, &MONEY).or(budget.task_usd);
        if let Some(max) = task.int("max_runs", 1..=10_000) {
            budget.task_runs = u32::try_from(max).ok();
            runs = task.entry("max_runs").map(|e| Sp {
                v: max,
                at: e.node.place.clone(),
            });
        }
        task.finish();
    }
    if let Some(day) = t.table("day", "`budget.day`") {
        budget.day_usd = day.number(usd, &MONEY).or(budget.day_usd);
        budget.day_runs = day.int("max_runs", 1..=10_000).and_then(|n| u32::try_from(n).ok());
        day.finish();
    }
    t.finish();
    if on { (budget, runs) } else { (Budget::default(), None) }
}

/// The check before anything is claimed.
pub fn preflight(r: &Reader) -> Option<Preflight> {
    let mut check = Preflight {
        timeout: Millis::secs(5),
        cache: Millis::secs(45),
    };
    let Some(t) = r.table("preflight", "`preflight`") else {
        return Some(check);
    };
    let on = t.truth("enabled").unwrap_or(true);
    check.timeout = t.duration("timeout", Millis::secs(1)..=Millis::secs(60)).unwrap_or(check.timeout);
    check.cache = t.duration("cache", Millis::secs(1)..=DAY).unwrap_or(check.cache);
    t.finish();
    on.then_some(check)
}
