//! The queue: jobs wait, are claimed once, and end once.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};

use super::codec::{Fields, exec, first, list, one, word};
use super::{
    Claim, JobRow, JobState, Note, QueueView, Result, RunRow, Store, StoreError, breakers, depends, notices, outbox, past, repos, runs,
    spending, tasks,
};
use crate::engine::model::{JobId, JobKind, JobSpec, Millis, Name, RunId, Said, Seq, TaskId};

/// Jobs with what is shown of their task.
pub(super) const SELECT: &str = "SELECT j.*, t.project FROM jobs j JOIN tasks t ON t.id = j.task";
/// Jobs that wait. Each state has an index of its own, and `state IN (…)` would use neither: it would read all jobs that ever were.
pub(super) const WAITING: &str =
    "j.id IN (SELECT id FROM jobs WHERE state = 'scheduled' UNION ALL SELECT id FROM jobs WHERE state = 'queued')";

impl Store {
    /// What scheduling looks at, all of one moment, which is `now`: what was spent is what was spent on its day.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn queue(&self, now: Millis) -> Result<QueueView> {
        self.read(move |conn| view(conn, spending::day(now))).await
    }

    /// The task's jobs, oldest first.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn jobs(&self, task: TaskId) -> Result<Vec<JobRow>> {
        self.read(move |conn| list(conn, &format!("{SELECT} WHERE j.task = ?1 ORDER BY j.id"), [task.0], decode))
            .await
    }

    /// The newest jobs of all tasks, newest first.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn recent_jobs(&self, limit: u32) -> Result<Vec<JobRow>> {
        self.read(move |conn| list(conn, &format!("{SELECT} ORDER BY j.id DESC LIMIT ?1"), [limit], decode))
            .await
    }

    /// Queues the scheduled jobs whose time has come; how many.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn promote(&self, now: Millis) -> Result<u64> {
        let sql = "UPDATE jobs SET state = 'queued' WHERE state = 'scheduled' AND available_at <= ?1";
        self.write(move |conn| exec(conn, sql, [now.0]).map(|n| n as u64)).await
    }

    /// Claims a queued job: it is running, with a new run that is starting.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it cannot be claimed any more, when a run holds the checkout,
    /// when its command or its budget does not let it through (any more), when the repository has moved, or when a dependency was declared that nobody looked at; [`StoreError::Gone`] when there is no such job.
    pub async fn claim(&self, claim: Claim) -> Result<RunRow> {
        let host = self.host();
        self.write(move |conn| take(conn, &claim, &host)).await
    }

    /// The earliest moment at which something falls due: a scheduled job, a timer, an effect that
    /// waits. It may lie in the past; effects that are being carried out do not count.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn next_due(&self) -> Result<Option<Millis>> {
        let busy = self.in_flight();
        self.read(move |conn| {
            let jobs: Option<i64> = one(conn, "SELECT MIN(available_at) FROM jobs WHERE state = 'scheduled'", [])?;
            let timers: Option<i64> = one(conn, "SELECT MIN(due) FROM timers", [])?;
            let effects = outbox::next_due(conn, &busy)?;
            Ok([jobs.map(Millis), timers.map(Millis), effects].into_iter().flatten().min())
        })
        .await
    }
}

fn view(conn: &Connection, day: i64) -> Result<QueueView> {
    let waiting = list(conn, &format!("{SELECT} WHERE {WAITING} ORDER BY j.id"), [], decode)?;
    Ok(QueueView {
        spent: spending::of_waiting(conn, &waiting)?,
        day,
        spent_today: spending::day_of_waiting(conn, &waiting, day)?,
        notices: notices::all(conn)?,
        past: past::of_waiting(conn, &waiting)?,
        limited: breakers::met_limit(conn, &waiting)?,
        waiting,
        running: list(conn, &format!("{SELECT} WHERE j.state = 'running' ORDER BY j.id"), [], decode)?,
        tasks: tasks::open(conn)?,
        depends: depends::all(conn)?,
        newest: one(conn, "SELECT COALESCE(MAX(id), 0) FROM dependencies", [])?,
        repos: repos::all(conn)?,
        open_runs: runs::open(conn)?,
        breakers: breakers::all(conn)?,
        counts: counts(conn)?,
    })
}

/// Jobs by state: the open ones by their indexes, the others as they were counted when they ended.
fn counts(conn: &Connection) -> Result<BTreeMap<String, i64>> {
    let sql = "SELECT state, jobs FROM ended_jobs UNION ALL SELECT 'scheduled', COUNT(*) FROM jobs WHERE state = 'scheduled' \
               UNION ALL SELECT 'queued', COUNT(*) FROM jobs WHERE state = 'queued' \
               UNION ALL SELECT 'running', COUNT(*) FROM jobs WHERE state = 'running'";
    let counted = list(conn, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut counts: BTreeMap<String, i64> = JobState::ALL.iter().map(|s| (s.as_str().to_owned(), 0)).collect();
    counts.extend(counted);
    Ok(counts)
}

fn take(conn: &Connection, claim: &Claim, host: &str) -> Result<RunRow> {
    let job = by_id(conn, claim.job)?.ok_or(StoreError::Gone)?;
    if job.state != JobState::Queued || job.available_at > claim.now {
        return Err(StoreError::Conflict);
    }
    if let Some(guard) = &claim.guard {
        breakers::admit(conn, guard, claim.now)?;
        spending::admit(conn, &job, guard.budget, claim.now)?;
    }
    let later = "SELECT EXISTS (SELECT 1 FROM dependencies WHERE task = ?1 AND id > ?2 AND ended_at IS NULL)";
    if one(conn, later, params![job.task.0, claim.seen])? {
        return Err(StoreError::Conflict);
    }
    if let Some(repo) = &claim.repo {
        let own: i64 = one(conn, "SELECT repo FROM tasks WHERE id = ?1", [job.task.0])?;
        if repo.id.0 != own {
            return Err(StoreError::refused(format!(
                "job {} is of repository {own}, the claim of {}",
                job.id, repo.id
            )));
        }
        repos::save(conn, repo, repo.version, &Note::default())?;
    }
    let run = runs::insert(conn, &job, claim, host)?;
    spending::begun(conn, job.task, job.kind, &job.project, claim.now)?;
    let sql = "UPDATE jobs SET state = 'running', attempts = attempts + 1, run = ?2, host = ?3, why = NULL WHERE id = ?1";
    exec(conn, sql, params![job.id.0, run.0, host])?;
    runs::by_id(conn, run)?.ok_or(StoreError::Gone)
}

fn by_id(conn: &Connection, id: JobId) -> Result<Option<JobRow>> {
    first(conn, &format!("{SELECT} WHERE j.id = ?1"), [id.0], decode)
}

/// Queues a job, or schedules it when its time has not come.
pub(super) fn insert(conn: &Connection, task: TaskId, spec: &JobSpec, seq: Seq, now: Millis, host: &str) -> Result<()> {
    let sql = "INSERT INTO jobs (host, task, seq, visit, slot, kind, stage, note, entry, state, attempts, available_at, created_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, ?11, ?12)";
    exec(
        conn,
        sql,
        params![
            host,
            task.0,
            seq.0,
            spec.visit,
            spec.slot.as_str(),
            word(&spec.kind)?,
            spec.stage.as_str(),
            spec.note,
            spec.entry,
            ready(spec.available_at, now).as_str(),
            spec.available_at.0,
            now.0,
        ],
    )
    .map(|_| ())
}

fn ready(available_at: Millis, now: Millis) -> JobState {
    if available_at > now {
        JobState::Scheduled
    } else {
        JobState::Queued
    }
}

/// Cancels open jobs of the slot, which is queued anew; which.
pub(super) fn cancel_slot(conn: &Connection, task: TaskId, spec: &JobSpec, now: Millis) -> Result<Vec<JobId>> {
    let sql = "UPDATE jobs SET state = 'cancelled', ended_at = ?4, why = 'queued anew' \
               WHERE task = ?1 AND visit = ?2 AND slot = ?3 AND state IN ('scheduled', 'queued', 'running') RETURNING id";
    list(conn, sql, params![task.0, spec.visit, spec.slot.as_str(), now.0], |row| {
        Ok(JobId(row.get(0)?))
    })
}

/// Cancels open jobs of the task, or of one visit.
pub(super) fn cancel(conn: &Connection, task: TaskId, visit: Option<u32>, why: &str, now: Millis) -> Result<()> {
    let sql = "UPDATE jobs SET state = 'cancelled', ended_at = ?3, why = ?4 \
               WHERE task = ?1 AND (?2 IS NULL OR visit = ?2) AND state IN ('scheduled', 'queued', 'running')";
    exec(conn, sql, params![task.0, visit, now.0, why]).map(|_| ())
}

/// How a job goes back into the queue.
pub(super) struct Back<'a> {
    pub available_at: Millis,
    pub why: &'a str,
    /// Its task is over: it is cancelled instead.
    pub over: bool,
}

/// Puts the newest job of the slot back into the queue, unless it was cancelled.
pub(super) fn requeue(conn: &Connection, task: TaskId, visit: u32, slot: &Name, back: &Back<'_>, now: Millis) -> Result<()> {
    let Some(job) = newest(conn, task, visit, slot)? else {
        return Ok(());
    };
    if back.over {
        let sql = "UPDATE jobs SET state = 'cancelled', ended_at = ?2, why = 'the task is over' WHERE id = ?1 AND state IN ('scheduled', 'queued', 'running')";
        return exec(conn, sql, params![job.0, now.0]).map(|_| ());
    }
    let state = ready(back.available_at, now).as_str();
    // What has ended stays ended, except for the very step that ends it: a try after that is a job of its own. Not by order of
    // times: a clock may be put back.
    let ended = "SELECT state IN ('done', 'failed') AND ended_at <> ?2 FROM jobs WHERE id = ?1";
    if one(conn, ended, params![job.0, now.0])? {
        let sql = "INSERT INTO jobs (host, task, seq, visit, slot, kind, stage, note, entry, state, attempts, available_at, created_at, why) \
                   SELECT host, task, seq, visit, slot, kind, stage, note, entry, ?2, attempts, ?3, ?4, ?5 FROM jobs WHERE id = ?1";
        return exec(conn, sql, params![job.0, state, back.available_at.0, now.0, back.why]).map(|_| ());
    }
    let sql = "UPDATE jobs SET state = ?2, available_at = ?3, why = ?4, ended_at = NULL, run = NULL WHERE id = ?1";
    exec(conn, sql, params![job.0, state, back.available_at.0, back.why]).map(|_| ())
}

/// Adds what people said to the agents' jobs of the visit that have not begun.
pub(super) fn tell(conn: &Connection, task: TaskId, visit: u32, words: &[String]) -> Result<()> {
    let sql = "SELECT id, note FROM jobs WHERE task = ?1 AND visit = ?2 AND kind = ?3 AND state IN ('scheduled', 'queued')";
    let waiting: Vec<(i64, Option<String>)> = list(conn, sql, params![task.0, visit, word(&JobKind::Agent)?], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    for (job, note) in waiting {
        let note = Said::behind(note, words);
        exec(conn, "UPDATE jobs SET note = ?2 WHERE id = ?1", params![job, note])?;
    }
    Ok(())
}

/// Closes the newest job of the slot, unless it has ended.
pub(super) fn close(conn: &Connection, task: TaskId, visit: u32, slot: &Name, ok: bool, now: Millis) -> Result<()> {
    let Some(job) = newest(conn, task, visit, slot)? else {
        return Ok(());
    };
    let state = if ok { JobState::Done } else { JobState::Failed };
    let sql = "UPDATE jobs SET state = ?2, ended_at = ?3 WHERE id = ?1 AND state IN ('scheduled', 'queued', 'running')";
    exec(conn, sql, params![job.0, state.as_str(), now.0]).map(|_| ())
}

/// The newest job of the slot, unless that was cancelled.
fn newest(conn: &Connection, task: TaskId, visit: u32, slot: &Name) -> Result<Option<JobId>> {
    let sql = "SELECT id, state FROM jobs WHERE task = ?1 AND visit = ?2 AND slot = ?3 ORDER BY id DESC LIMIT 1";
    let found = first(conn, sql, params![task.0, visit, slot.as_str()], |row| {
        let f = Fields::new(row, "jobs", "id");
        Ok((JobId(f.get("id")?), f.word::<JobState>("state")?))
    })?;
    Ok(found.and_then(|(id, state)| (state != JobState::Cancelled).then_some(id)))
}

pub(super) fn decode(row: &Row<'_>) -> Result<JobRow> {
    let f = Fields::new(row, "jobs", "id");
    Ok(JobRow {
        id: JobId(f.get("id")?),
        task: TaskId(f.get("task")?),
        project: f.name("project")?,
        visit: f.small("visit")?,
        slot: f.name("slot")?,
        kind: f.word("kind")?,
        stage: f.name("stage")?,
        state: f.word("state")?,
        note: f.get("note")?,
        entry: f.get("entry")?,
        attempts: f.small("attempts")?,
        available_at: f.time("available_at")?,
        created_at: f.time("created_at")?,
        ended_at: f.time_opt("ended_at")?,
        why: f.get("why")?,
        run: f.get::<Option<i64>>("run")?.map(RunId),
    })
}
