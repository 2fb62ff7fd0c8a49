//! Runs that could not even be launched because a peer was away: the job goes back into the queue,
//! and nothing is used up.

use rusqlite::{Connection, params};

use super::codec::{exec, json, one};
use super::{Result, RunState, Store, StoreError, breakers, runs, spending};
use crate::engine::model::{Millis, RunEnd, RunId};

/// How the reason of a job that was put back begins.
pub const NOT_LAUNCHED: &str = "it could not be launched yet: ";
/// First wait where nobody said how long.
const FIRST: i64 = 2_000;
/// Longest such wait.
const LONGEST: i64 = 300_000;

impl Store {
    /// Ends a run that was never started and puts its job back, to be claimed again `after` so long:
    /// by itself ever more seldom. No event follows, no attempt and no budget is used, no breaker
    /// counts it. `false` when the run is not the job's any more, or is to be killed: then it ends as any other.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such run.
    pub async fn put_back(&self, run: RunId, why: &str, after: Option<Millis>, now: Millis) -> Result<bool> {
        let why = why.to_owned();
        self.write(move |conn| back(conn, run, &why, after, now)).await
    }

    /// Ends a run as lost of which no process was ever begun: whoever claims its job next is told of no try that was not
    /// made, and no budget is used. The rescue counts all the same. `false` when the run had ended.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such run.
    pub async fn never_began(&self, run: RunId, now: Millis) -> Result<bool> {
        self.write(move |conn| {
            let row = runs::by_id(conn, run)?.ok_or(StoreError::Gone)?;
            if row.state == RunState::Ended {
                return Ok(false);
            }
            spending::unbegun(conn, &row)?;
            let sql = "UPDATE jobs SET attempts = MAX(attempts - 1, 0) WHERE state = 'running' AND run = ?1";
            exec(conn, sql, [run.0])?;
            runs::finish(conn, run, &RunEnd::Lost, None, now)
        })
        .await
    }

    /// What was put back is due now: the service has started anew, perhaps with another key, and that is worth a try.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn hurry_put_back(&self, now: Millis) -> Result<()> {
        self.write(move |conn| {
            let sql =
                "UPDATE jobs SET available_at = ?1 WHERE state = 'scheduled' AND available_at > ?1 AND substr(why, 1, length(?2)) = ?2";
            exec(conn, sql, params![now.0, NOT_LAUNCHED]).map(|_| ())
        })
        .await
    }
}

fn back(conn: &Connection, run: RunId, why: &str, after: Option<Millis>, now: Millis) -> Result<bool> {
    let row = runs::by_id(conn, run)?.ok_or(StoreError::Gone)?;
    if row.state == RunState::Ended {
        return Ok(false);
    }
    if let Some(kill) = row.kill {
        runs::finish(conn, run, &RunEnd::Killed(kill), None, now)?;
        return Ok(false);
    }
    let before = "SELECT COUNT(*) FROM runs WHERE job = ?1 AND state = 'ended' AND started_at IS NULL AND exited_at IS NULL";
    let times: u32 = one(conn, before, [row.job.0])?;
    let wait = after.map_or_else(|| FIRST.saturating_mul(1 << times.min(20)).min(LONGEST), |after| after.0.max(50));
    let end = RunEnd::Transient {
        detail: why.to_owned(),
        retry_after: Some(Millis(wait)),
    };
    let sql = "UPDATE runs SET state = 'ended', \"end\" = ?2, ended_at = ?3 WHERE id = ?1";
    exec(conn, sql, params![run.0, json(&end)?, now.0])?;
    spending::unbegun(conn, &row)?;
    // As one that was lost: it says nothing about the command.
    breakers::after(conn, &row, &RunEnd::Lost, runs::cause(conn, row.job)?, now)?;
    let sql = "UPDATE jobs SET state = 'scheduled', available_at = ?3, why = ?4, run = NULL, attempts = MAX(attempts - 1, 0) \
               WHERE id = ?1 AND state = 'running' AND run IS ?2";
    Ok(exec(conn, sql, params![row.job.0, run.0, now.0.saturating_add(wait), why])? == 1)
}
