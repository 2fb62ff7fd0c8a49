//! What is due, when the wall clock was set.

use rusqlite::{Connection, params};

use super::codec::{Fields, exec, first};
use super::{Result, Store, spending};
use crate::engine::model::Millis;

/// Everything that falls due by the service's own counting, and what is counted from. The end of a
/// usage limit is not among it: that is a moment of the world's calendar.
const DUE: [&str; 9] = [
    // What follows from an event is due so long after it.
    "UPDATE inbox SET at = at + ?1 WHERE state = 'pending'",
    "UPDATE timers SET due = due + ?1",
    "UPDATE jobs SET available_at = available_at + ?1 WHERE state IN ('scheduled', 'queued')",
    "UPDATE outbox SET next_at = next_at + ?1 WHERE state = 'open'",
    "UPDATE deliveries SET due = due + ?1 WHERE state = 'pending'",
    "UPDATE breakers SET open_since = open_since + ?1, open_until = open_until + ?1 WHERE open_until IS NOT NULL",
    // One that is being settled keeps its time: its commits are made with it, twice alike.
    "UPDATE runs SET claimed_at = claimed_at + ?1, started_at = started_at + ?1 WHERE state IN ('starting', 'running')",
    // What is compared with times of other clocks, by what they differ from ours now.
    "UPDATE boards SET since = since + ?1",
    // A new version: what was decided on the old times is decided again.
    "UPDATE tasks SET version = version + 1, ledger = json_set(ledger, '$.visit.entered_at', json_extract(ledger, '$.visit.entered_at') + ?1, \
     '$.subject_since', json_extract(ledger, '$.subject_since') + ?1) WHERE terminal = 0",
];

impl Store {
    /// The boot in which times were last written, and what the wall clock was ahead of it, in milliseconds.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn clock(&self) -> Result<Option<(String, i64)>> {
        self.read(|conn| {
            first(conn, "SELECT one, boot_id, ahead FROM clock", [], |row| {
                let f = Fields::new(row, "clock", "one");
                Ok((f.get("boot_id")?, f.get("ahead")?))
            })
        })
        .await
    }

    /// Times are written by this clock from now on.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn save_clock(&self, boot: &str, ahead: i64) -> Result<()> {
        let boot = boot.to_owned();
        self.write(move |conn| save(conn, &boot, ahead)).await
    }

    /// The wall clock, which said `from`, was set: all that is due is due that much later, by a clock that says that much more.
    ///
    /// # Errors
    /// As all of the store; then nothing has moved.
    pub async fn shift(&self, by: Millis, from: Millis, boot: &str, ahead: i64) -> Result<()> {
        let boot = boot.to_owned();
        self.write(move |conn| {
            spending::shifted(conn, by, from)?;
            for sql in DUE {
                exec(conn, sql, [by.0])?;
            }
            save(conn, &boot, ahead)
        })
        .await
    }
}

fn save(conn: &Connection, boot: &str, ahead: i64) -> Result<()> {
    let sql = "INSERT INTO clock (one, boot_id, ahead) VALUES (1, ?1, ?2) ON CONFLICT (one) DO UPDATE SET boot_id = ?1, ahead = ?2";
    exec(conn, sql, params![boot, ahead]).map(drop)
}
