//! History: every step with what was known, what followed and why.

use rusqlite::Row;

use super::codec::{Fields, list};
use super::{Result, StepRow, Store};
use crate::engine::model::{Seq, TaskId};

const SELECT: &str = "SELECT s.*, e.project, e.issue, e.at, e.actor, e.cause, e.body FROM steps s JOIN inbox e ON e.seq = s.seq";

impl Store {
    /// The task's steps, oldest first.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn history(&self, task: TaskId) -> Result<Vec<StepRow>> {
        self.read(move |conn| list(conn, &format!("{SELECT} WHERE s.task = ?1 ORDER BY s.id"), [task.0], decode))
            .await
    }

    /// Steps of all tasks after the [`StepRow::place`] given, in order of commits, at most `limit`.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn history_since(&self, place: i64, limit: u32) -> Result<Vec<StepRow>> {
        let sql = format!("{SELECT} WHERE s.id > ?1 ORDER BY s.id LIMIT ?2");
        self.read(move |conn| list(conn, &sql, rusqlite::params![place, limit], decode))
            .await
    }
}

fn decode(row: &Row<'_>) -> Result<StepRow> {
    let f = Fields::new(row, "steps", "id");
    Ok(StepRow {
        place: f.get("id")?,
        seq: Seq(f.get("seq")?),
        task: f.get::<Option<i64>>("task")?.map(TaskId),
        project: f.name("project")?,
        issue: f.get("issue")?,
        at: f.time("at")?,
        decided_at: f.time("decided_at")?,
        actor: f.json("actor")?,
        cause: f.get::<Option<i64>>("cause")?.map(Seq),
        body: f.json("body")?,
        decisions: f.json("decisions")?,
        because: f.json("because")?,
        facts: f.json("facts")?,
        stage_before: f.name("stage_before")?,
        stage_after: f.name("stage_after")?,
        visit: f.small("visit")?,
        rules: f.get("rules")?,
        semantics: f.small("semantics")?,
    })
}
