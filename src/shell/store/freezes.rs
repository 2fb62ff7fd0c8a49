//! The history of freezes: written with the change itself, never altered.

use rusqlite::{Connection, Row, params};

use super::codec::{Fields, exec, list, word};
use super::{Result, Store};
use crate::engine::model::{FreezeLevel, Millis, Repo, RepoId, Seq};

/// A freeze, a change of its level, or a thaw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreezeRow {
    /// `set`, `changed` or `lifted`.
    pub what: String,
    /// How much was held back.
    pub level: FreezeLevel,
    /// Why, in the words of whoever did it.
    pub reason: String,
    /// Who did it.
    pub who: String,
    /// When.
    pub at: Millis,
    /// What it was decided on.
    pub evidence: String,
    /// The event whose step decided it; none where a person did it directly.
    pub seq: Option<Seq>,
}

/// What is known about a change of a repository, for the record.
#[derive(Debug, Clone, Default)]
pub struct Note {
    /// When.
    pub at: Millis,
    /// Who changed it.
    pub who: String,
    /// Why it was lifted, if it was.
    pub reason: String,
    /// What was known.
    pub evidence: String,
    /// The event whose step it is.
    pub seq: Option<Seq>,
}

impl Store {
    /// The last freezes and thaws of a repository, newest first.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn freezes(&self, repo: RepoId, limit: u32) -> Result<Vec<FreezeRow>> {
        self.read(move |conn| {
            let sql = "SELECT * FROM freezes WHERE repo = ?1 ORDER BY id DESC LIMIT ?2";
            list(conn, sql, params![repo.0, limit], decode)
        })
        .await
    }
}

fn decode(row: &Row<'_>) -> Result<FreezeRow> {
    let f = Fields::new(row, "freezes", "id");
    Ok(FreezeRow {
        what: f.get("what")?,
        level: f.word("level")?,
        reason: f.get("reason")?,
        who: f.get("who")?,
        at: f.time("at")?,
        evidence: f.get("evidence")?,
        seq: f.get::<Option<i64>>("seq")?.map(Seq),
    })
}

/// Writes down what a change of the repository did to its freeze, if it did anything.
pub(super) fn keep(conn: &Connection, before: &Repo, after: &Repo, note: &Note) -> Result<()> {
    if before.freeze == after.freeze {
        return Ok(());
    }
    let (what, freeze) = match (&before.freeze, &after.freeze) {
        (_, Some(new)) if before.freeze.is_some() => ("changed", new),
        (_, Some(new)) => ("set", new),
        (Some(old), None) => ("lifted", old),
        (None, None) => return Ok(()),
    };
    let lifted = after.freeze.is_none();
    let reason = if lifted { &note.reason } else { &freeze.reason };
    let who = if lifted { &note.who } else { &freeze.by };
    let at = if lifted { note.at } else { freeze.since };
    let sql = "INSERT INTO freezes (repo, what, level, reason, who, at, evidence, seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    exec(
        conn,
        sql,
        params![
            after.id.0,
            what,
            word(&freeze.level)?,
            reason,
            who,
            at.0,
            note.evidence,
            note.seq.map(|s| s.0)
        ],
    )
    .map(|_| ())
}
