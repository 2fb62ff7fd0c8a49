//! Tasks: what decisions branch on as JSON, and the columns that keys and lists need.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::codec::{Fields, exec, first, json, list, one, word};
use super::{Result, Store, StoreError};
use crate::engine::model::{Millis, Phase, RepoId, StopState, Task, TaskId};

impl Store {
    /// The task.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn task(&self, id: TaskId) -> Result<Option<Task>> {
        self.read(move |conn| by_id(conn, id)).await
    }

    /// The task of this issue that is not cancelled; one that is done counts.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn live_task_by_issue(&self, project: &str, issue: &str) -> Result<Option<Task>> {
        let (project, issue) = (project.to_owned(), issue.to_owned());
        self.read(move |conn| {
            first(
                conn,
                "SELECT * FROM tasks WHERE project = ?1 AND issue = ?2 AND phase <> 'cancelled'",
                [&project, &issue],
                decode,
            )
        })
        .await
    }

    /// When the last stop was asked for that ended a task of this issue. A start that is older than
    /// that must not bring the task back to life.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn last_stop(&self, project: &str, issue: &str) -> Result<Option<Millis>> {
        let (project, issue) = (project.to_owned(), issue.to_owned());
        self.read(move |conn| {
            let sql = "SELECT * FROM tasks WHERE project = ?1 AND issue = ?2 AND phase = 'cancelled' ORDER BY id DESC LIMIT 1";
            let last = first(conn, sql, [&project, &issue], decode)?;
            Ok(last.and_then(|task| task.ledger.stop.map(|(_, asked, _)| asked).or(task.ledger.ended_at)))
        })
        .await
    }

    /// The task of this work item id: the one that is not cancelled, else the latest;
    /// `ORCH-090~2` names the second of its cancelled ones.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn task_by_item(&self, item: &str) -> Result<Option<Task>> {
        let item = item.to_owned();
        self.read(move |conn| {
            if let Some((name, generation)) = item.rsplit_once('~')
                && let Ok(generation) = generation.parse::<i64>()
            {
                let sql = "SELECT * FROM tasks WHERE item = ?1 AND item_gen = ?2 ORDER BY id DESC LIMIT 1";
                return first(conn, sql, params![name, generation], decode);
            }
            first(
                conn,
                "SELECT * FROM tasks WHERE item = ?1 ORDER BY phase = 'cancelled', id DESC LIMIT 1",
                [&item],
                decode,
            )
        })
        .await
    }

    /// How the task is named for people: `ORCH-090`, or `ORCH-090~1` when it was cancelled.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn item_label(&self, id: TaskId) -> Result<Option<String>> {
        self.read(move |conn| {
            let sql = "SELECT item || COALESCE('~' || item_gen, '') FROM tasks WHERE id = ?1";
            Ok(conn.prepare_cached(sql)?.query_row([id.0], |row| row.get(0)).optional()?)
        })
        .await
    }

    /// Tasks by id; without `all` those that are not over.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn tasks(&self, all: bool) -> Result<Vec<Task>> {
        self.read(move |conn| {
            if all {
                list(conn, "SELECT * FROM tasks ORDER BY id", [], decode)
            } else {
                open(conn)
            }
        })
        .await
    }

    /// How many tasks were cancelled, and the last of them, the newest first.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn cancelled(&self, most: u32) -> Result<(u64, Vec<Task>)> {
        self.read(move |conn| {
            let count: u32 = one(conn, "SELECT COUNT(*) FROM tasks WHERE phase = 'cancelled'", [])?;
            let last = "SELECT * FROM tasks WHERE phase = 'cancelled' ORDER BY ended_at DESC, id DESC LIMIT ?1";
            Ok((count.into(), list(conn, last, [most], decode)?))
        })
        .await
    }

    /// The number above the highest that a work item id of the project ever ended with.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn next_item_number(&self, project: &str) -> Result<i64> {
        let project = project.to_owned();
        self.read(move |conn| {
            one(
                conn,
                "SELECT COALESCE(MAX(item_number), 0) + 1 FROM tasks WHERE project = ?1",
                [&project],
            )
        })
        .await
    }
}

/// The task.
pub(super) fn by_id(conn: &Connection, id: TaskId) -> Result<Option<Task>> {
    first(conn, "SELECT * FROM tasks WHERE id = ?1", [id.0], decode)
}

/// Tasks that are not over, by id.
pub(super) fn open(conn: &Connection) -> Result<Vec<Task>> {
    list(conn, "SELECT * FROM tasks WHERE terminal = 0 ORDER BY id", [], decode)
}

/// Those of these tasks that are not over, by id.
pub(super) fn open_among(conn: &Connection, ids: &BTreeSet<TaskId>) -> Result<Vec<Task>> {
    let sql = "SELECT * FROM tasks WHERE id IN (SELECT value FROM json_each(?1)) AND terminal = 0 ORDER BY id";
    list(conn, sql, [json(ids)?], decode)
}

/// Writes a new task; its id.
///
/// # Errors
/// [`StoreError::Conflict`] when its issue, work item id or branch is taken.
pub(super) fn insert(conn: &Connection, task: &Task, host: &str) -> Result<TaskId> {
    let sql = "INSERT INTO tasks (version, host, project, repo, item, item_number, item_gen, issue, branch, title, phase, stage, stopping, \
               terminal, rules, control, ledger, created_at, ended_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";
    let control = &task.control;
    exec(
        conn,
        sql,
        params![
            task.version,
            host,
            task.project.as_str(),
            task.repo.0,
            task.item,
            number(&task.item),
            generation(conn, task)?,
            task.issue,
            task.branch,
            task.title,
            word(&control.phase)?,
            control.stage.as_str(),
            control.stop == StopState::Cleaning,
            task.terminal(),
            task.rules,
            json(control)?,
            json(&task.ledger)?,
            task.created_at.0,
            task.ledger.ended_at.map(|t| t.0),
        ],
    )?;
    Ok(TaskId(conn.last_insert_rowid()))
}

/// Writes `task` over its version `before`.
///
/// # Errors
/// [`StoreError::Conflict`] when the stored one has moved, or when a key it asks for is taken.
pub(super) fn update(conn: &Connection, task: &Task, before: i64) -> Result<()> {
    let sql = "UPDATE tasks SET version = ?3, item = ?4, item_number = ?5, item_gen = COALESCE(item_gen, ?6), issue = ?7, branch = ?8, title = ?9, \
               phase = ?10, stage = ?11, stopping = ?12, terminal = ?13, rules = ?14, control = ?15, ledger = ?16, ended_at = ?17 \
               WHERE id = ?1 AND version = ?2";
    let control = &task.control;
    let changed = exec(
        conn,
        sql,
        params![
            task.id.0,
            before,
            task.version,
            task.item,
            number(&task.item),
            generation(conn, task)?,
            task.issue,
            task.branch,
            task.title,
            word(&control.phase)?,
            control.stage.as_str(),
            control.stop == StopState::Cleaning && !task.terminal(),
            task.terminal(),
            task.rules,
            json(control)?,
            json(&task.ledger)?,
            task.ledger.ended_at.map(|t| t.0),
        ],
    )?;
    if changed == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

/// Which of the cancelled tasks of its work item id a task is, once it is one.
fn generation(conn: &Connection, task: &Task) -> Result<Option<i64>> {
    if task.control.phase != Phase::Cancelled {
        return Ok(None);
    }
    let sql = "SELECT COALESCE(MAX(item_gen), 0) + 1 FROM tasks WHERE project = ?1 AND item = ?2 AND phase = 'cancelled' AND id <> ?3";
    one(conn, sql, params![task.project.as_str(), task.item, task.id.0]).map(Some)
}

/// The number that a work item id ends with.
fn number(item: &str) -> Option<i64> {
    let digits = item.len() - item.bytes().rev().take_while(u8::is_ascii_digit).count();
    item.get(digits..)?.parse().ok()
}

fn decode(row: &Row<'_>) -> Result<Task> {
    let f = Fields::new(row, "tasks", "id");
    Ok(Task {
        id: TaskId(f.get("id")?),
        version: f.get("version")?,
        project: f.name("project")?,
        repo: RepoId(f.get("repo")?),
        item: f.get("item")?,
        issue: f.get("issue")?,
        title: f.get("title")?,
        branch: f.get("branch")?,
        rules: f.get("rules")?,
        created_at: f.time("created_at")?,
        control: f.json("control")?,
        ledger: f.json("ledger")?,
    })
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_of_work_item_ids() {
        assert_eq!(number("ORCH-090"), Some(90));
        assert_eq!(number("ORCH-1000"), Some(1000));
        assert_eq!(number("ORCH-"), None);
        assert_eq!(number("ORCH-99999999999999999999999"), None);
        assert_eq!(number(""), None);
    }
}
