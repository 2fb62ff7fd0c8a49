//! The inbox: every event, written down before anyone is answered.

use rusqlite::{Connection, Row, ToSql, params};

use super::codec::{Fields, exec, first, json, list};
use super::{NewEvent, Pending, Result, Store, StoreError, Target};
use crate::engine::model::{Body, Event, Millis, RepoId, Seq, TaskId};

/// The signal that goes before every other.
const STOP: &str = "stop";

/// Events aimed at an issue whose task is being stopped wait until it is cancelled.
const HELD: &str =
    "EXISTS (SELECT 1 FROM tasks t WHERE t.project = e.project AND t.issue = e.issue AND t.phase <> 'cancelled' AND t.stopping = 1)";

impl Store {
    /// Records an event; `None` when one with the same `dedupe` key is there already.
    ///
    /// An event aimed at an issue that has a task by now is aimed at the task, unless that task is
    /// being stopped: then it waits until the task is cancelled and meets the issue without one.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when the task or repository does not exist.
    pub async fn record(&self, event: NewEvent) -> Result<Option<Seq>> {
        self.write(move |conn| insert(conn, &event)).await
    }

    /// Targets with events to be worked on, oldest first; one entry per target, so that targets
    /// can be worked on side by side.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn pending(&self) -> Result<Vec<Pending>> {
        self.read(|conn| targets(conn, false)).await
    }

    /// Issues whose events wait until their task, which is being stopped, is cancelled.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn held(&self) -> Result<Vec<Pending>> {
        self.read(|conn| targets(conn, true)).await
    }

    /// The target's oldest pending event; with `stop_first` its oldest pending stop, if there is one.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn next_event(&self, target: &Target, stop_first: bool) -> Result<Option<Event>> {
        let target = target.clone();
        self.read(move |conn| {
            if stop_first && let Some(stop) = oldest(conn, &target, "AND stop = 1")? {
                return Ok(Some(stop));
            }
            oldest(conn, &target, "")
        })
        .await
    }

    /// Closes an event that cannot be applied. It is kept, with the reason.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is not pending any more, [`StoreError::Gone`] when there is none.
    pub async fn drop_event(&self, seq: Seq, why: &str, now: Millis) -> Result<()> {
        let why = why.to_owned();
        self.write(move |conn| {
            let sql = "UPDATE inbox SET state = 'dropped', closed_at = ?2, why = ?3 WHERE seq = ?1 AND state = 'pending'";
            match exec(conn, sql, params![seq.0, now.0, why])? {
                0 => Err(missing(conn, seq)?),
                _ => Ok(()),
            }
        })
        .await
    }
}

/// Why an event is not pending.
fn missing(conn: &Connection, seq: Seq) -> Result<StoreError> {
    let there = first(conn, "SELECT 1 FROM inbox WHERE seq = ?1", [seq.0], |_| Ok(()))?;
    Ok(there.map_or(StoreError::Gone, |()| StoreError::Conflict))
}

/// Records an event within a transaction; `None` when it is a duplicate.
pub(super) fn insert(conn: &Connection, event: &NewEvent) -> Result<Option<Seq>> {
    let target = aim(conn, &event.target)?;
    let stop = matches!(&event.body, Body::Signalled(signal) if signal.name == STOP);
    let sql = "INSERT INTO inbox (project, repo, task, issue, at, cause, actor, kind, stop, body, dedupe, state) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'pending') ON CONFLICT (dedupe) WHERE dedupe IS NOT NULL DO NOTHING";
    let inserted = exec(
        conn,
        sql,
        params![
            target.project.as_str(),
            target.repo.0,
            target.task.map(|t| t.0),
            target.issue,
            event.at.0,
            event.cause.map(|c| c.0),
            json(&event.actor)?,
            event.body.kind(),
            stop,
            json(&event.body)?,
            event.dedupe,
        ],
    )?;
    Ok((inserted == 1).then(|| Seq(conn.last_insert_rowid())))
}

/// Where an event goes: a task's own project, repository and issue; an issue's task, if it takes events.
fn aim(conn: &Connection, target: &Target) -> Result<Target> {
    match (target.task, &target.issue) {
        (Some(task), _) => of_task(conn, task)?.ok_or(StoreError::Gone),
        (None, Some(issue)) => {
            let sql = "SELECT * FROM tasks WHERE project = ?1 AND issue = ?2 AND phase <> 'cancelled' AND stopping = 0";
            let task = first(conn, sql, params![target.project.as_str(), issue], task_target)?;
            Ok(task.unwrap_or_else(|| target.clone()))
        }
        (None, None) => Ok(target.clone()),
    }
}

/// A task as a target.
pub(super) fn of_task(conn: &Connection, task: TaskId) -> Result<Option<Target>> {
    first(conn, "SELECT * FROM tasks WHERE id = ?1", [task.0], task_target)
}

fn task_target(row: &Row<'_>) -> Result<Target> {
    let f = Fields::new(row, "tasks", "id");
    Ok(Target {
        project: f.name("project")?,
        repo: RepoId(f.get("repo")?),
        task: Some(TaskId(f.get("id")?)),
        issue: Some(f.get("issue")?),
    })
}

/// Aims the pending events of a task's issue at the task.
pub(super) fn adopt(conn: &Connection, task: TaskId, project: &str, issue: &str) -> Result<()> {
    let sql = "UPDATE inbox SET task = ?1 WHERE state = 'pending' AND task IS NULL AND project = ?2 AND issue = ?3";
    exec(conn, sql, params![task.0, project, issue]).map(|_| ())
}

fn targets(conn: &Connection, held: bool) -> Result<Vec<Pending>> {
    let of_tasks =
        "SELECT MIN(seq) AS first, MAX(stop) AS stops FROM inbox WHERE state = 'pending' AND task IS NOT NULL GROUP BY task UNION ALL";
    let (of_tasks, not) = if held { ("", "") } else { (of_tasks, "NOT") };
    let sql = format!(
        "SELECT i.*, p.stops FROM ({of_tasks} SELECT MIN(seq) AS first, MAX(stop) AS stops FROM inbox e \
         WHERE state = 'pending' AND task IS NULL AND {not} {HELD} GROUP BY project, issue) p JOIN inbox i ON i.seq = p.first ORDER BY i.seq"
    );
    list(conn, &sql, [], |row| {
        let f = Fields::new(row, "inbox", "seq");
        Ok(Pending {
            target: target(&f)?,
            seq: Seq(f.get("seq")?),
            stop: f.get("stops")?,
        })
    })
}

fn oldest(conn: &Connection, target: &Target, and: &str) -> Result<Option<Event>> {
    let key: [&dyn ToSql; 2] = match &target.task {
        Some(task) => [&task.0, &rusqlite::types::Null],
        None => [&target.project.as_str(), &target.issue],
    };
    let whose = match target.task {
        Some(_) => "task = ?1 AND ?2 IS NULL".to_owned(),
        None => format!("task IS NULL AND project = ?1 AND issue IS ?2 AND NOT {HELD}"),
    };
    let sql = format!("SELECT * FROM inbox e WHERE state = 'pending' AND {whose} {and} ORDER BY seq LIMIT 1");
    first(conn, &sql, &key[..], event)
}

/// The target columns of a row.
pub(super) fn target(f: &Fields<'_>) -> Result<Target> {
    Ok(Target {
        project: f.name("project")?,
        repo: RepoId(f.get("repo")?),
        task: f.get::<Option<i64>>("task")?.map(TaskId),
        issue: f.get("issue")?,
    })
}

fn event(row: &Row<'_>) -> Result<Event> {
    let f = Fields::new(row, "inbox", "seq");
    Ok(Event {
        seq: Seq(f.get("seq")?),
        at: f.time("at")?,
        cause: f.get::<Option<i64>>("cause")?.map(Seq),
        actor: f.json("actor")?,
        body: f.json("body")?,
    })
}
