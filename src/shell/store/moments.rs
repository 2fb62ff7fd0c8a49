//! The wall clock was set: what is to happen after a while happens after that while all the same.

use rusqlite::params;

use super::codec::{exec, one};
use super::{Result, Store};
use crate::engine::model::Millis;

impl Store {
    /// Shifts every moment that something waits for: jobs, timers, effects, deliveries, open
    /// breakers. `by` is how far the clock jumped, below zero when it was put back; `now` is what it
    /// says now. The end of a usage limit stays: others named it, by their own clock. How many were shifted.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn shift_due(&self, by: Millis, now: Millis) -> Result<u64> {
        self.write(move |conn| {
            let all = [
                "UPDATE jobs SET available_at = available_at + ?1 WHERE state IN ('scheduled', 'queued') AND ?2 = ?2",
                "UPDATE timers SET due = due + ?1 WHERE ?2 = ?2",
                "UPDATE outbox SET next_at = next_at + ?1 WHERE state = 'open' AND ?2 = ?2",
                "UPDATE deliveries SET due = due + ?1 WHERE state = 'pending' AND ?2 = ?2",
                // One that is half open already is told from its probe by this moment.
                "UPDATE breakers SET open_until = open_until + ?1 WHERE open_until > ?2 - ?1",
            ];
            let mut shifted = 0;
            for sql in all {
                shifted += exec(conn, sql, params![by.0, now.0])? as u64;
            }
            Ok(shifted)
        })
        .await
    }

    /// The earliest moment that lies ahead for a job whose time had come: the clock was put back
    /// while it was being queued. [`Store::next_due`] knows nothing of it.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn queued_due(&self, now: Millis) -> Result<Option<Millis>> {
        self.read(move |conn| {
            let sql = "SELECT MIN(available_at) FROM jobs WHERE state = 'queued' AND available_at > ?1";
            let due: Option<i64> = one(conn, sql, [now.0])?;
            Ok(due.map(Millis))
        })
        .await
    }
}
