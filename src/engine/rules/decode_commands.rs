//! `breaker` and `preflight`: what is known of an agent's command before it is started.

use crate::engine::breaker::Limits;
use crate::engine::model::Millis;

use super::later::DAY;
use super::reader::Reader;
use super::types::Preflight;

/// The breaker of agent commands.
pub fn breaker(r: &Reader) -> Option<Limits> {
    let mut limits = Limits {
        failures: 3,
        pause: Millis::secs(300),
    };
    let Some(t) = r.table("breaker", "`breaker`") else {
        return Some(limits);
    };
    let on = t.truth("enabled").unwrap_or(true);
    if let Some(n) = t.int("failures", 1..=100) {
        limits.failures = u32::try_from(n).unwrap_or(limits.failures);
    }
    limits.pause = t.duration("pause", Millis::secs(1)..=DAY).unwrap_or(limits.pause);
    t.finish();
    on.then_some(limits)
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
