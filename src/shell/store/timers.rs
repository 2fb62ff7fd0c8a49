//! Timers: rows that become events when they are due.

use rusqlite::{Connection, params};

use super::codec::{Fields, exec, list};
use super::{NewEvent, Result, Store, StoreError, inbox};
use crate::engine::model::{Actor, Body, Millis, Name, TaskId};

impl Store {
    /// The task's timers: what each is for and when it is due, the next first.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn timers(&self, task: TaskId) -> Result<Vec<(Name, Millis)>> {
        self.read(move |conn| {
            list(
                conn,
                "SELECT task, timer, due FROM timers WHERE task = ?1 ORDER BY due, timer",
                [task.0],
                |row| {
                    let f = Fields::new(row, "timers", "task");
                    Ok((f.name("timer")?, f.time("due")?))
                },
            )
        })
        .await
    }

    /// Turns due timers into events, oldest first; how many.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn fire_timers(&self, now: Millis) -> Result<u64> {
        self.write(move |conn| fire(conn, now)).await
    }
}

/// Sets a timer, or moves it.
pub(super) fn set(conn: &Connection, task: TaskId, visit: u32, timer: &Name, due: Millis) -> Result<()> {
    let sql = "INSERT INTO timers (task, visit, timer, due) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET due = excluded.due";
    exec(conn, sql, params![task.0, visit, timer.as_str(), due.0]).map(|_| ())
}

/// Drops the task's timers.
pub(super) fn drop_all(conn: &Connection, task: TaskId) -> Result<()> {
    exec(conn, "DELETE FROM timers WHERE task = ?1", [task.0]).map(|_| ())
}

fn fire(conn: &Connection, now: Millis) -> Result<u64> {
    let due = list(
        conn,
        "SELECT task, visit, timer FROM timers WHERE due <= ?1 ORDER BY due, task, visit, timer",
        [now.0],
        |row| {
            let f = Fields::new(row, "timers", "task");
            Ok((TaskId(f.get("task")?), f.small::<u32>("visit")?, f.name("timer")?))
        },
    )?;
    for (task, visit, timer) in &due {
        let target = inbox::of_task(conn, *task)?.ok_or(StoreError::Gone)?;
        let body = Body::TimerFired {
            visit: *visit,
            timer: timer.clone(),
        };
        inbox::insert(
            conn,
            &NewEvent {
                target,
                at: now,
                cause: None,
                actor: Actor::Service,
                body,
                dedupe: None,
            },
        )?;
        exec(
            conn,
            "DELETE FROM timers WHERE task = ?1 AND visit = ?2 AND timer = ?3",
            params![task.0, visit, timer.as_str()],
        )?;
    }
    Ok(due.len() as u64)
}
