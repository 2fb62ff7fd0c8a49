//! Breakers of agent commands. They move in the transaction that ends a run, and a claim is checked
//! against them in its own: one probe at a time, whoever claims, and none is lost with a crash.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::codec::{Fields, exec, first, json, list, one};
use super::{JobRow, JobState, Result, RunRow, Store, StoreError, inbox, outbox};
use crate::engine::breaker::{Breaker, Limits, Pause, Stand};
use crate::engine::budget::Budget;
use crate::engine::model::{JobId, Millis, RunEnd, RunId, Seq};
use crate::shell::store::Effect;

/// Why a job is tried again whose usage limit is over before its time.
const LIFTED: &str = "the usage limit that it waited for was lifted";

/// What a claim of an agent's job is checked against when it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// The program.
    pub command: String,
    /// Limits of its breaker; none where the rules switch it off.
    pub limits: Option<Limits>,
    /// What its task and its project may cost.
    pub budget: Budget,
}

impl Store {
    /// Closes a breaker by hand and forgets the usage limit, also for the jobs that met it: they wait no longer. Whether
    /// anything was held back. `None` when nothing is known of the command.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn close_breaker(&self, command: &str, now: Millis) -> Result<Option<bool>> {
        let command = command.to_owned();
        self.write(move |conn| {
            let Some(before) = load(conn, &command)? else { return Ok(None) };
            let held = before.open.is_some() || before.limit.is_some();
            save(conn, &command, &Breaker::default())?;
            let freed = release(conn, &command, now)?;
            Ok(Some(held || freed > 0))
        })
        .await
    }

    /// The next moment at which a breaker or a usage limit lets something through.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn breaker_due(&self, now: Millis) -> Result<Option<Millis>> {
        self.read(move |conn| {
            let sql =
                "SELECT MIN(at) FROM (SELECT open_until AS at FROM breakers UNION ALL SELECT limit_until FROM breakers) WHERE at > ?1";
            let due: Option<i64> = one(conn, sql, [now.0])?;
            Ok(due.map(Millis))
        })
        .await
    }
}

/// All breakers, by command.
pub(super) fn all(conn: &Connection) -> Result<BTreeMap<String, Breaker>> {
    Ok(list(conn, "SELECT * FROM breakers", [], decode)?.into_iter().collect())
}

/// Refuses a claim that the command's breaker does not let through.
///
/// # Errors
/// [`StoreError::Conflict`]: look again.
pub(super) fn admit(conn: &Connection, guard: &Guard, now: Millis) -> Result<()> {
    let Some(breaker) = load(conn, &guard.command)?.map(|b| b.under(guard.limits)) else {
        return Ok(());
    };
    let refused = breaker.limited(now).is_some()
        || match breaker.stand(now) {
            Stand::Closed => false,
            Stand::Open(_) => true,
            Stand::HalfOpen(_) => {
                let sql = "SELECT EXISTS (SELECT 1 FROM runs WHERE state <> 'ended' AND id = ?1)";
                one(conn, sql, [breaker.probe.map(|run| run.0)])?
            }
        };
    if refused { Err(StoreError::Conflict) } else { Ok(()) }
}

/// A run was claimed: where the command's breaker is half open, it is the one that tries it out.
pub(super) fn claimed(conn: &Connection, guard: &Guard, run: RunId, now: Millis) -> Result<()> {
    if guard.limits.is_none() {
        return Ok(());
    }
    let sql = "UPDATE breakers SET probe = ?2 WHERE command = ?1 AND open_until <= ?3";
    exec(conn, sql, params![guard.command, run.0, now.0]).map(drop)
}

/// Takes in how a run ended; what operators are to be told goes out with it.
pub(super) fn after(conn: &Connection, run: &RunRow, end: &RunEnd, cause: Seq, now: Millis) -> Result<()> {
    let sql = "SELECT command, breaker_failures, breaker_pause FROM runs WHERE id = ?1 AND command IS NOT NULL";
    let found = first(conn, sql, [run.id.0], |row| {
        let f = Fields::new(row, "runs", "id");
        let (failures, pause) = (f.small_opt("breaker_failures")?, f.time_opt("breaker_pause")?);
        let limits = failures.zip(pause).map(|(failures, pause)| Limits { failures, pause });
        Ok((f.get::<String>("command")?, limits))
    })?;
    let Some((command, limits)) = found else { return Ok(()) };
    let before = load(conn, &command)?.unwrap_or_default();
    let mut breaker = before.clone();
    let told = breaker.after(&command, end, run.id, limits, now);
    if breaker != before {
        save(conn, &command, &breaker)?;
    }
    if let Some(text) = told {
        let target = inbox::of_task(conn, run.task)?.ok_or(StoreError::Gone)?;
        let key = format!("breaker-{}", run.id);
        outbox::push(conn, &target, &Effect::Alert { key, text }, cause, now)?;
    }
    Ok(())
}

/// Of these jobs those that are scheduled because their own last run met a usage limit, each with the command that has it:
/// whom [`release`] would free.
pub(super) fn met_limit(conn: &Connection, waiting: &[JobRow]) -> Result<BTreeMap<JobId, String>> {
    let scheduled: Vec<JobId> = waiting.iter().filter(|j| j.state == JobState::Scheduled).map(|j| j.id).collect();
    if scheduled.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql = "SELECT j.id AS id, (SELECT CASE WHEN json_extract(r.\"end\", '$.limited') IS NOT NULL THEN r.command END FROM runs r \
               WHERE r.task = j.task AND r.job = j.id ORDER BY r.id DESC LIMIT 1) AS command \
               FROM jobs j WHERE j.id IN (SELECT value FROM json_each(?1))";
    let found = list(conn, sql, [json(&scheduled)?], |row| {
        let f = Fields::new(row, "jobs", "id");
        Ok((JobId(f.get("id")?), f.get::<Option<String>>("command")?))
    })?;
    Ok(found.into_iter().filter_map(|(job, command)| Some((job, command?))).collect())
}

/// Lets jobs be claimed at once that wait for the end of the command's usage limit because their own last run met it; how many.
fn release(conn: &Connection, command: &str, now: Millis) -> Result<usize> {
    let sql = "UPDATE jobs SET available_at = ?2, why = ?3 WHERE state = 'scheduled' AND available_at > ?2 AND \
               (SELECT r.command IS ?1 AND json_extract(r.\"end\", '$.limited') IS NOT NULL FROM runs r \
               WHERE r.task = jobs.task AND r.job = jobs.id ORDER BY r.id DESC LIMIT 1)";
    exec(conn, sql, params![command, now.0, LIFTED])
}

fn load(conn: &Connection, command: &str) -> Result<Option<Breaker>> {
    Ok(first(conn, "SELECT * FROM breakers WHERE command = ?1", [command], decode)?.map(|(_, breaker)| breaker))
}

fn save(conn: &Connection, command: &str, breaker: &Breaker) -> Result<()> {
    let part = |pause: &Option<Pause>| pause.as_ref().map(|p| (p.since.0, p.until.0, p.why.clone()));
    let (open, limit) = (part(&breaker.open), part(&breaker.limit));
    let sql = "INSERT INTO breakers (command, streak, open_since, open_until, open_why, limit_since, limit_until, limit_why, probe) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (command) DO UPDATE SET streak = ?2, open_since = ?3, \
               open_until = ?4, open_why = ?5, limit_since = ?6, limit_until = ?7, limit_why = ?8, probe = ?9";
    let values = params![
        command,
        breaker.streak,
        open.as_ref().map(|o| o.0),
        open.as_ref().map(|o| o.1),
        open.as_ref().map(|o| &o.2),
        limit.as_ref().map(|l| l.0),
        limit.as_ref().map(|l| l.1),
        limit.as_ref().map(|l| &l.2),
        breaker.probe.map(|run| run.0),
    ];
    exec(conn, sql, values).map(|_| ())
}

fn decode(row: &rusqlite::Row<'_>) -> Result<(String, Breaker)> {
    let f = Fields::new(row, "breakers", "command");
    let pause = |since: &'static str, until: &'static str, why: &'static str| -> Result<Option<Pause>> {
        Ok(match (f.time_opt(since)?, f.time_opt(until)?, f.get::<Option<String>>(why)?) {
            (Some(since), Some(until), Some(why)) => Some(Pause { since, until, why }),
            _ => None,
        })
    };
    let breaker = Breaker {
        streak: f.small("streak")?,
        open: pause("open_since", "open_until", "open_why")?,
        limit: pause("limit_since", "limit_until", "limit_why")?,
        probe: f.get::<Option<i64>>("probe")?.map(RunId),
    };
    Ok((f.get("command")?, breaker))
}
