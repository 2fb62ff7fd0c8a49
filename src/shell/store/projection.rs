//! What the board is known to hold: what we wrote last, and which change of a person was taken last.

use rusqlite::{Connection, params};

use super::codec::{exec, first};
use super::{NewEvent, Projection, Result, Store, inbox};
use crate::engine::model::{Millis, Seq};

impl Store {
    /// What is known of an issue on the board; nothing, where nothing was written or taken.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn projection(&self, project: &str, issue: &str) -> Result<Projection> {
        let (project, issue) = (project.to_owned(), issue.to_owned());
        self.read(move |conn| {
            let sql = "SELECT written, consumed FROM projections WHERE project = ?1 AND issue = ?2";
            let found = first(conn, sql, [&project, &issue], |row| {
                Ok(Projection {
                    written: row.get(0)?,
                    consumed: row.get(1)?,
                })
            })?;
            Ok(found.unwrap_or_default())
        })
        .await
    }

    /// We wrote this status on the board.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn save_projection(&self, project: &str, issue: &str, written: &str, now: Millis) -> Result<()> {
        let (project, issue, written) = (project.to_owned(), issue.to_owned(), written.to_owned());
        self.write(move |conn| {
            let sql = "INSERT INTO projections (project, issue, written, changed_at) VALUES (?1, ?2, ?3, ?4) \
                       ON CONFLICT DO UPDATE SET written = excluded.written, changed_at = excluded.changed_at";
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

    /// Notes that a status on the board was taken as a person's signal, or as none worth an event.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn save_consumed(&self, project: &str, issue: &str, status: &str, now: Millis) -> Result<()> {
        let (project, issue, status) = (project.to_owned(), issue.to_owned(), status.to_owned());
        self.write(move |conn| consume(conn, &project, &issue, &status, now)).await
    }
}

fn consume(conn: &Connection, project: &str, issue: &str, status: &str, now: Millis) -> Result<()> {
    let sql = "INSERT INTO projections (project, issue, consumed, changed_at) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT DO UPDATE SET consumed = excluded.consumed, changed_at = excluded.changed_at";
    exec(conn, sql, params![project, issue, status, now.0]).map(|_| ())
}
