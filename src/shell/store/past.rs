//! What was tried before for a waiting job, since a person last had a word in it.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::codec::{Fields, first, list};
use super::{JobRow, Result, spending};
use crate::engine::model::{Actor, Body, JobId, JobKind, Millis, RunReport, TaskId};
use crate::engine::progress::Past;

/// Ends of runs that are looked at.
const REPORTS: u32 = 40;
/// Jobs that are looked at.
const JOBS: u32 = 20;
/// Events between a person's act and the job that follows from it.
const CHAIN: usize = 8;

/// The past of waiting jobs of agents that have one.
pub(super) fn of_waiting(conn: &Connection, waiting: &[JobRow]) -> Result<BTreeMap<JobId, Past>> {
    let mut all = BTreeMap::new();
    // A first job of a first visit repeats nothing.
    for job in waiting
        .iter()
        .filter(|j| j.kind == JobKind::Agent && (j.attempts > 0 || j.note.is_some()))
    {
        all.insert(job.id, of_job(conn, job)?);
    }
    Ok(all)
}

fn of_job(conn: &Connection, job: &JobRow) -> Result<Past> {
    let since = spending::allowed_at(conn, job.task)?.unwrap_or(Millis(i64::MIN));
    let sql = "SELECT id, seq, note, created_at FROM jobs WHERE task = ?1 AND slot = ?2 AND id <= ?3 ORDER BY id DESC LIMIT ?4";
    let jobs = list(conn, sql, params![job.task.0, job.slot.as_str(), job.id.0, JOBS], |row| {
        let f = Fields::new(row, "jobs", "id");
        Ok((f.get::<i64>("seq")?, f.get::<Option<String>>("note")?, f.time("created_at")?))
    })?;
    let mut past = Past::default();
    let mut begun = since;
    for (seq, note, at) in jobs {
        if at <= since {
            break;
        }
        if of_a_person(conn, seq)? {
            // What a person asked for is no repetition, and what went before it is forgotten.
            begun = at;
            break;
        }
        past.notes.push((at, note.unwrap_or_default()));
    }
    past.reports = reports(conn, job.task, begun)?;
    Ok(past)
}

/// Whether a job follows from the act of a person.
fn of_a_person(conn: &Connection, seq: i64) -> Result<bool> {
    let mut next = Some(seq);
    for _ in 0..CHAIN {
        let Some(seq) = next else { return Ok(false) };
        let sql = "SELECT seq, actor, cause FROM inbox WHERE seq = ?1";
        let found = first(conn, sql, [seq], |row| {
            let f = Fields::new(row, "inbox", "seq");
            Ok((f.json::<Actor>("actor")?, f.get::<Option<i64>>("cause")?))
        })?;
        match found {
            Some((Actor::Person { .. }, _)) => return Ok(true),
            // The run's own cause is the job before: another story.
            Some((Actor::Agent(_), _)) | None => return Ok(false),
            Some((_, cause)) => next = cause,
        }
    }
    Ok(false)
}

fn reports(conn: &Connection, task: TaskId, since: Millis) -> Result<Vec<(Millis, RunReport)>> {
    let sql = "SELECT i.seq, i.at, i.body FROM steps s JOIN inbox i ON i.seq = s.seq WHERE s.task = ?1 AND i.kind = 'run_ended' AND i.at > ?2 \
               ORDER BY s.id DESC LIMIT ?3";
    let rows = list(conn, sql, params![task.0, since.0, REPORTS], |row| {
        let f = Fields::new(row, "inbox", "seq");
        Ok((f.time("at")?, f.json::<Body>("body")?))
    })?;
    let report = |(at, body)| match body {
        Body::RunEnded(report) => Some((at, report)),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(report).collect())
}
