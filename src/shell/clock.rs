//! The wall clock: the only place where time is read for events.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::engine::model::Millis;

/// Now, in milliseconds since the Unix epoch; zero if the clock stands before it.
#[must_use]
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
