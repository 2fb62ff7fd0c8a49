//! What is wrong now: told once when it begins and once when it is over, across restarts.

use rusqlite::{Connection, params};

use super::codec::{Fields, exec, first, list};
use super::{Effect, Result, Store, StoreError, Target, inbox, outbox};
use crate::engine::model::{Millis, Name, RepoId, Seq, TaskId};

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    /// What it is about: stable, unique.
    pub key: String,
    /// The task through which people are told.
    pub task: TaskId,
    /// One sentence.
    pub text: String,
    /// Since when.
    pub since: Millis,
}

impl Store {
    /// Something is wrong: operators are told unless they were told before. Whether they are told now.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such task.
    pub async fn raise(&self, key: &str, task: TaskId, text: &str, now: Millis) -> Result<bool> {
        let (key, text) = (key.to_owned(), text.to_owned());
        self.write(move |conn| raise(conn, &key, task, &text, now)).await
    }

    /// It is over; with a `text` whoever was told that it is wrong is told so. Whether it was wrong.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn lower(&self, key: &str, text: Option<&str>, now: Millis) -> Result<bool> {
        let (key, text) = (key.to_owned(), text.map(str::to_owned));
        self.write(move |conn| lower(conn, &key, text, now)).await
    }

    /// Operators are told something that is about no task; of the same key more than once where it is said more than once.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn alert(&self, project: &Name, repo: RepoId, key: &str, text: &str, now: Millis) -> Result<()> {
        let target = Target {
            project: project.clone(),
            repo,
            task: None,
            issue: None,
        };
        let (key, text) = (key.to_owned(), text.to_owned());
        self.write(move |conn| outbox::push(conn, &target, &Effect::Alert { key, text }, Seq(0), now))
            .await
    }

    /// All that is wrong now, by key.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn notices(&self) -> Result<Vec<NoticeRow>> {
        self.read(all).await
    }
}

/// As [`Store::raise`].
pub(super) fn raise(conn: &Connection, key: &str, task: TaskId, text: &str, now: Millis) -> Result<bool> {
    let sql = "INSERT INTO notices (key, task, text, since) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) DO NOTHING";
    if exec(conn, sql, params![key, task.0, text, now.0])? == 0 {
        return Ok(false);
    }
    tell(conn, task, format!("{key}-{}", now.0), text.to_owned(), now)?;
    Ok(true)
}

/// As [`Store::lower`].
pub(super) fn lower(conn: &Connection, key: &str, text: Option<String>, now: Millis) -> Result<bool> {
    let Some(row) = first(conn, "SELECT * FROM notices WHERE key = ?1", [key], decode)? else {
        return Ok(false);
    };
    exec(conn, "DELETE FROM notices WHERE key = ?1", [key])?;
    if let Some(text) = text {
        tell(conn, row.task, format!("{key}-over-{}", now.0), text, now)?;
    }
    Ok(true)
}

/// All that is wrong now, by key.
pub(super) fn all(conn: &Connection) -> Result<Vec<NoticeRow>> {
    list(conn, "SELECT * FROM notices ORDER BY key", [], decode)
}

fn tell(conn: &Connection, task: TaskId, key: String, text: String, now: Millis) -> Result<()> {
    let target = inbox::of_task(conn, task)?.ok_or(StoreError::Gone)?;
    outbox::push(conn, &target, &Effect::Alert { key, text }, Seq(0), now)
}

fn decode(row: &rusqlite::Row<'_>) -> Result<NoticeRow> {
    let f = Fields::new(row, "notices", "key");
    Ok(NoticeRow {
        key: f.get("key")?,
        task: TaskId(f.get("task")?),
        text: f.get("text")?,
        since: f.time("since")?,
    })
}
