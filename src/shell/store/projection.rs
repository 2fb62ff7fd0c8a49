//! What the board is known to hold: what we wrote last, and which change of a person was taken last.

use rusqlite::{Connection, Row, params};

use super::codec::{exec, first, json};
use super::{BoardChanges, NewEvent, Projection, Result, Store, inbox, outbox};
use crate::engine::model::{Millis, Seq};

/// What came of a change that was to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was taken; how many events were recorded that were not there already.
    Now(usize),
    /// The board is known to hold something else by now: look again.
    Moved,
}

impl Store {
    /// What is known of an issue on the board; nothing, where nothing was written or taken.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn projection(&self, project: &str, issue: &str) -> Result<Projection> {
        let (project, issue) = (project.to_owned(), issue.to_owned());
        self.read(move |conn| known(conn, &project, &issue)).await
    }

    /// We wrote this status on the board.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn save_projection(&self, project: &str, issue: &str, written: &str, now: Millis) -> Result<()> {
        let (project, issue, written) = (project.to_owned(), issue.to_owned(), written.to_owned());
        self.write(move |conn| {
            let sql = "INSERT INTO projections (project, issue, written, stands, changed_at) VALUES (?1, ?2, ?3, ?3, ?4) \
                       ON CONFLICT DO UPDATE SET written = excluded.written, stands = excluded.stands, changed_at = excluded.changed_at";
            exec(conn, sql, params![project, issue, written, now.0]).map(|_| ())
        })
        .await
    }

    /// Records a person's change of status as an event and notes that the status was taken, in one
    /// transaction. `None` when the event was there already.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub async fn record_consuming(&self, event: NewEvent, status: &str) -> Result<Option<Seq>> {
        let status = status.to_owned();
        self.write(move |conn| {
            if let Some(issue) = &event.target.issue {
                consume(conn, &event.target.project, issue, &status, event.at)?;
            }
            inbox::insert(conn, &event)
        })
        .await
    }

    /// Takes what people did to an issue's status while the board was known to hold `before`, in one transaction: what it
    /// shows, what was examined, and the events that follow. Two who find the same take it once.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub async fn take_changes(&self, project: &str, issue: &str, found: BoardChanges, now: Millis) -> Result<Taken> {
        let (project, issue) = (project.to_owned(), issue.to_owned());
        self.write(move |conn| {
            if known(conn, &project, &issue)?.stands != found.before {
                return Ok(Taken::Moved);
            }
            if let Some(status) = &found.stands {
                consume(conn, &project, &issue, status, now)?;
            }
            let sql = "INSERT INTO projections (project, issue, examined, changed_at) VALUES (?1, ?2, ?3, ?4) \
                       ON CONFLICT DO UPDATE SET examined = excluded.examined";
            exec(conn, sql, params![project, issue, json(&found.examined)?, now.0])?;
            see(conn, &project, &issue, found.seen)?;
            let mut recorded = 0;
            for event in &found.events {
                recorded += usize::from(inbox::insert(conn, event)?.is_some());
            }
            if found.again {
                outbox::show_again(conn, &project, &issue, now)?;
            }
            Ok(Taken::Now(recorded))
        })
        .await
    }

    /// Changes of the board up to `seen`, by its own clock, are known.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn save_seen(&self, project: &str, issue: &str, seen: Millis) -> Result<()> {
        let (project, issue) = (project.to_owned(), issue.to_owned());
        self.write(move |conn| see(conn, &project, &issue, Some(seen))).await
    }

    /// Comments of the issue up to `heard`, by the board's own clock, were read.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn save_heard(&self, project: &str, issue: &str, heard: Millis, now: Millis) -> Result<()> {
        let (project, issue) = (project.to_owned(), issue.to_owned());
        self.write(move |conn| {
            let sql = "INSERT INTO projections (project, issue, heard, changed_at) VALUES (?1, ?2, ?3, ?4) \
                       ON CONFLICT DO UPDATE SET heard = MAX(COALESCE(heard, 0), excluded.heard)";
            exec(conn, sql, params![project, issue, heard.0, now.0]).map(|_| ())
        })
        .await
    }

    /// Notes that a status on the board was taken as a person's signal, or as none worth an event.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn save_consumed(&self, project: &str, issue: &str, status: &str, now: Millis) -> Result<()> {
        let (project, issue, status) = (project.to_owned(), issue.to_owned(), status.to_owned());
        self.write(move |conn| consume(conn, &project, &issue, &status, now)).await
    }
}

fn known(conn: &Connection, project: &str, issue: &str) -> Result<Projection> {
    let sql = "SELECT written, consumed, stands, seen, heard, examined FROM projections WHERE project = ?1 AND issue = ?2";
    Ok(first(conn, sql, [project, issue], decode)?.unwrap_or_default())
}

fn decode(row: &Row<'_>) -> Result<Projection> {
    Ok(Projection {
        written: row.get(0)?,
        consumed: row.get(1)?,
        stands: row.get(2)?,
        seen: row.get::<_, Option<i64>>(3)?.map(Millis),
        heard: row.get::<_, Option<i64>>(4)?.map(Millis),
        examined: row.get::<_, Option<String>>(5)?.and_then(|list| serde_json::from_str(&list).ok()),
    })
}

fn consume(conn: &Connection, project: &str, issue: &str, status: &str, now: Millis) -> Result<()> {
    let sql = "INSERT INTO projections (project, issue, consumed, stands, changed_at) VALUES (?1, ?2, ?3, ?3, ?4) \
               ON CONFLICT DO UPDATE SET consumed = excluded.consumed, stands = excluded.stands, changed_at = excluded.changed_at";
    exec(conn, sql, params![project, issue, status, now.0]).map(|_| ())
}

fn see(conn: &Connection, project: &str, issue: &str, seen: Option<Millis>) -> Result<()> {
    let Some(seen) = seen else { return Ok(()) };
    let sql = "UPDATE projections SET seen = MAX(COALESCE(seen, 0), ?3) WHERE project = ?1 AND issue = ?2";
    exec(conn, sql, params![project, issue, seen.0]).map(|_| ())
}
