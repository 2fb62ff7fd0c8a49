//! A long queue, read by its head: starting what may start costs what starts, not what waits.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::codec::{json, list, one};
use super::{JobRow, QueueView, Result, Store, breakers, depends, jobs, notices, past, repos, runs, spending, tasks};
use crate::engine::model::{JobId, Millis, Name, TaskId};

/// How much there is to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowd {
    /// Jobs that wait, scheduled or queued: no more are counted than were asked for.
    pub waiting: u32,
    /// Runs that have not ended.
    pub runs: u32,
    /// Things that are wrong now.
    pub notices: u32,
}

/// Projects whose jobs have the same place in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Among {
    /// These projects.
    These(Vec<Name>),
    /// All but these.
    Others(Vec<Name>),
}

impl Store {
    /// How much there is to look at; of jobs that wait, at most `most` are counted.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn crowd(&self, most: u32) -> Result<Crowd> {
        self.read(move |conn| {
            let sql = "SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM jobs WHERE state = 'queued' LIMIT ?1)) \
                       + (SELECT COUNT(*) FROM (SELECT 1 FROM jobs WHERE state = 'scheduled' LIMIT ?1))";
            let waiting: u32 = one(conn, sql, [most])?;
            Ok(Crowd {
                waiting: waiting.min(most),
                runs: one(conn, "SELECT COUNT(*) FROM runs WHERE state <> 'ended'", [])?,
                notices: one(conn, "SELECT COUNT(*) FROM notices", [])?,
            })
        })
        .await
    }

    /// What [`Store::queue`] shows, of the first `most` queued jobs behind `after` only: those jobs,
    /// and of tasks those that decide whether they may start. No job that is scheduled or running is in it,
    /// and none is counted. What was spent is what was spent on the day of `now`.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn queue_head(&self, among: Among, after: JobId, most: u32, now: Millis) -> Result<QueueView> {
        self.read(move |conn| head(conn, &among, after, most, spending::day(now))).await
    }
}

fn head(conn: &Connection, among: &Among, after: JobId, most: u32, day: i64) -> Result<QueueView> {
    let waiting = first(conn, among, after, most)?;
    let open_runs = runs::open(conn)?;
    let depends = depends::all(conn)?;
    // Whoever is named and not found is over: all that a verdict may ask for must be here.
    let mut named: BTreeSet<TaskId> = waiting.iter().map(|job| job.task).collect();
    named.extend(open_runs.iter().map(|run| run.task));
    named.extend(depends.iter().flat_map(|d| [Some(d.task), d.on]).flatten());
    Ok(QueueView {
        spent: spending::of_waiting(conn, &waiting)?,
        day,
        spent_today: spending::day_of_waiting(conn, &waiting, day)?,
        notices: notices::all(conn)?,
        past: past::of_waiting(conn, &waiting)?,
        limited: std::collections::BTreeMap::new(),
        waiting,
        running: Vec::new(),
        tasks: tasks::open_among(conn, &named)?,
        depends,
        newest: one(conn, "SELECT COALESCE(MAX(id), 0) FROM dependencies", [])?,
        repos: repos::all(conn)?,
        open_runs,
        breakers: breakers::all(conn)?,
        counts: std::collections::BTreeMap::new(),
    })
}

fn first(conn: &Connection, among: &Among, after: JobId, most: u32) -> Result<Vec<JobRow>> {
    let (names, these) = match among {
        Among::These(names) => (names, true),
        Among::Others(names) => (names, false),
    };
    let select = jobs::SELECT;
    let sql = format!(
        "{select} WHERE j.state = 'queued' AND j.id > ?1 AND (t.project IN (SELECT value FROM json_each(?2))) = ?3 ORDER BY j.id LIMIT ?4"
    );
    list(conn, &sql, params![after.0, json(names)?, these, most], jobs::decode)
}
