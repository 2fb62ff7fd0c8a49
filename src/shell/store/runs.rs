//! Runs. A run's id is the fencing token: a completion that comes late changes nothing.

use rusqlite::{Connection, Row, params};
use serde_json::Value as Json;

use super::codec::{Fields, column, exec, first, json, list, one, word};
use super::{
    Claim, Effect, JobRow, NewEvent, ProcessId, Result, RunRow, RunState, Store, StoreError, breakers, inbox, outbox, spending, tasks,
};
use crate::engine::model::{Actor, AgentNotes, Body, Containment, JobId, Kill, Millis, RunEnd, RunId, RunReport, Said, Seq, TaskId, Usage};
use crate::shell::crash;

/// Runs with what is shown of their task.
pub(super) const SELECT: &str = "SELECT r.*, t.project FROM runs r JOIN tasks t ON t.id = r.task";

impl Store {
    /// The run.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn run(&self, id: RunId) -> Result<Option<RunRow>> {
        self.read(move |conn| by_id(conn, id)).await
    }

    /// The task's runs, oldest first.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn runs(&self, task: TaskId) -> Result<Vec<RunRow>> {
        self.read(move |conn| list(conn, &format!("{SELECT} WHERE r.task = ?1 ORDER BY r.id"), [task.0], decode))
            .await
    }

    /// Runs, newest first: of one task or of all, only open ones or all, below a run's id.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn recent_runs(&self, task: Option<TaskId>, open: bool, before: Option<RunId>, limit: u32) -> Result<Vec<RunRow>> {
        self.read(move |conn| {
            // Each case has an index of its own; one statement for all would use none.
            let of = if task.is_some() { "r.task = ?1" } else { "?1 IS NULL" };
            let state = if open { "AND r.state <> 'ended'" } else { "" };
            let sql = format!("{SELECT} WHERE {of} {state} AND r.id < ?2 ORDER BY r.id DESC LIMIT ?3");
            let before = before.map_or(i64::MAX, |r| r.0);
            list(conn, &sql, params![task.map(|t| t.0), before, limit], decode)
        })
        .await
    }

    /// When something last happened to the task: a decision, or a run that began or ended.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn last_activity(&self, task: TaskId) -> Result<Option<Millis>> {
        self.read(move |conn| {
            let sql = "SELECT MAX(at) FROM (SELECT * FROM (SELECT decided_at AS at FROM steps WHERE task = ?1 ORDER BY id DESC LIMIT 1) \
                       UNION ALL SELECT * FROM (SELECT COALESCE(ended_at, claimed_at) FROM runs WHERE task = ?1 ORDER BY id DESC LIMIT 1))";
            let at: Option<i64> = one(conn, sql, [task.0])?;
            Ok(at.map(Millis))
        })
        .await
    }

    /// Runs that have not ended, oldest first.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn open_runs(&self) -> Result<Vec<RunRow>> {
        self.read(open).await
    }

    /// What the runs that ended since `since` cost: of one task, of one project, or all.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn usage(&self, task: Option<TaskId>, project: Option<&str>, since: Millis) -> Result<Usage> {
        let project = project.map(str::to_owned);
        self.read(move |conn| {
            let sql = "SELECT r.id, r.usage FROM runs r JOIN tasks t ON t.id = r.task WHERE r.state = 'ended' AND r.ended_at >= ?1 \
                       AND (?2 IS NULL OR r.task = ?2) AND (?3 IS NULL OR t.project = ?3) AND r.usage IS NOT NULL";
            let all = list(conn, sql, params![since.0, task.map(|t| t.0), project], |row| {
                Fields::new(row, "runs", "id").json::<Usage>("usage")
            })?;
            Ok(all.into_iter().fold(Usage::default(), |sum, one| Usage {
                input_tokens: sum.input_tokens.saturating_add(one.input_tokens),
                output_tokens: sum.output_tokens.saturating_add(one.output_tokens),
                cost_usd: sum.cost_usd + one.cost_usd,
            }))
        })
        .await
    }

    /// The commit that a run is about to start from: on record before anything is started, so that
    /// what it does counts whenever the service dies.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the run is not starting, [`StoreError::Gone`] when there is none.
    pub async fn run_prepared(&self, run: RunId, start_sha: &str) -> Result<()> {
        let start_sha = start_sha.to_owned();
        self.write(move |conn| {
            let sql = "UPDATE runs SET start_sha = ?2 WHERE id = ?1 AND state = 'starting'";
            match exec(conn, sql, params![run.0, start_sha])? {
                0 => by_id(conn, run)?.map_or(Err(StoreError::Gone), |_| Err(StoreError::Conflict)),
                _ => Ok(()),
            }
        })
        .await
    }

    /// The service is about to put `sha` at the head of the task's branch.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such task.
    pub async fn record_push(&self, task: TaskId, sha: &str) -> Result<()> {
        let sha = sha.to_owned();
        self.write(move |conn| {
            let sql = "INSERT INTO pushes (task, sha) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            exec(conn, sql, params![task.0, sha]).map(|_| ())
        })
        .await
    }

    /// Whether the service put `sha` at the head of the task's branch, or was about to.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn pushed(&self, task: TaskId, sha: &str) -> Result<bool> {
        let sha = sha.to_owned();
        self.read(move |conn| {
            one(
                conn,
                "SELECT EXISTS (SELECT 1 FROM pushes WHERE task = ?1 AND sha = ?2)",
                params![task.0, sha],
            )
        })
        .await
    }

    /// The run's process was started.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the run is not starting, [`StoreError::Gone`] when there is none.
    pub async fn run_started(&self, run: RunId, process: ProcessId, start_sha: Option<String>, now: Millis) -> Result<()> {
        self.write(move |conn| {
            let start = i64::try_from(process.start).map_err(|_| StoreError::refused("the process's start time is out of range"))?;
            let held = process.containment.map(Containment::as_str);
            let sql = "UPDATE runs SET state = 'running', pid = ?2, pid_start = ?3, boot_id = ?4, start_sha = COALESCE(?5, start_sha), started_at = ?6, \
                       containment = COALESCE(?7, containment) \
                       WHERE id = ?1 AND state = 'starting'";
            match exec(conn, sql, params![run.0, process.pid, start, process.boot_id, start_sha, now.0, held])? {
                0 => by_id(conn, run)?.map_or(Err(StoreError::Gone), |_| Err(StoreError::Conflict)),
                _ => Ok(()),
            }
        })
        .await
    }

    /// The run's process is gone; with it comes the effect that settles the run. Saying it again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such run.
    pub async fn run_exited(&self, run: RunId, exit: Json, now: Millis) -> Result<()> {
        self.write(move |conn| {
            let row = by_id(conn, run)?.ok_or(StoreError::Gone)?;
            let sql = "UPDATE runs SET state = 'exited', exit = ?2, exited_at = ?3 WHERE id = ?1 AND state IN ('starting', 'running')";
            if exec(conn, sql, params![run.0, json(&exit)?, now.0])? == 0 {
                return Ok(());
            }
            let target = inbox::of_task(conn, row.task)?.ok_or(StoreError::Gone)?;
            outbox::push(conn, &target, &Effect::Settle { run }, cause(conn, row.job)?, now)
        })
        .await
    }

    /// What the run's agent told of itself, for people; what was noted before is written over.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn note_run(&self, run: RunId, notes: AgentNotes) -> Result<()> {
        self.write(move |conn| exec(conn, "UPDATE runs SET notes = ?2 WHERE id = ?1", params![run.0, json(&notes)?]).map(drop))
            .await
    }

    /// The run is settled: it ended, and while its job is still its own the event follows that says
    /// so (made up from the run where no `report` is given). A run that had ended before is left
    /// alone, and the answer is `false`. The outbox row `effect` is closed either way.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such run; [`StoreError::Refused`] when the report is another run's.
    pub async fn end_run(&self, run: RunId, end: RunEnd, report: Option<RunReport>, effect: Option<i64>, now: Millis) -> Result<bool> {
        self.write_outcome(effect, move |conn| {
            if let Some(effect) = effect {
                outbox::close(conn, effect, "done", None, now)?;
            }
            finish(conn, run, &end, report, now)
        })
        .await
    }
}

/// Ends a run; see [`Store::end_run`].
pub(super) fn finish(conn: &Connection, run: RunId, end: &RunEnd, report: Option<RunReport>, now: Millis) -> Result<bool> {
    let row = by_id(conn, run)?.ok_or(StoreError::Gone)?;
    if row.state == RunState::Ended {
        return Ok(false);
    }
    if report.as_ref().is_some_and(|r| r.run != run || r.job != row.job) {
        return Err(StoreError::refused(format!("the report is not of run {run}")));
    }
    let usage = report.as_ref().map(|r| json(&r.usage)).transpose()?;
    let sql = "UPDATE runs SET state = 'ended', \"end\" = ?2, usage = ?3, ended_at = ?4 WHERE id = ?1";
    exec(conn, sql, params![run.0, json(end)?, usage, now.0])?;
    crash::point("finish");
    spending::ended(conn, &row, report.as_ref().map_or(0.0, |r| r.usage.cost_usd), now)?;
    breakers::after(conn, &row, end, cause(conn, row.job)?, now)?;
    let own: bool = one(
        conn,
        "SELECT state = 'running' AND run IS ?2 FROM jobs WHERE id = ?1",
        params![row.job.0, run.0],
    )?;
    if own {
        let target = inbox::of_task(conn, row.task)?.ok_or(StoreError::Gone)?;
        let cause = Some(cause(conn, row.job)?);
        let heard = heard(conn, &row)?;
        let report = report.unwrap_or_else(|| bare(row, end.clone()));
        let body = Body::RunEnded(RunReport { heard, ..report });
        inbox::insert(
            conn,
            &NewEvent {
                target,
                at: now,
                cause,
                actor: Actor::Agent(run.0),
                body,
                dedupe: None,
            },
        )?;
    }
    Ok(true)
}

/// Up to which words of people the run was told them: its job's note has not changed since it began.
fn heard(conn: &Connection, row: &RunRow) -> Result<Seq> {
    let said = tasks::by_id(conn, row.task)?.map(|task| task.ledger.said).unwrap_or_default();
    if said.is_empty() {
        return Ok(Seq::default());
    }
    let note: Option<String> = one(conn, "SELECT note FROM jobs WHERE id = ?1", [row.job.0])?;
    Ok(Said::heard(&said, &note.unwrap_or_default()))
}

/// What is known of a run without a report: without the event its job would run for ever.
fn bare(row: RunRow, end: RunEnd) -> RunReport {
    RunReport {
        run: row.id,
        job: row.job,
        visit: row.visit,
        slot: row.slot,
        end,
        // One that never began started from nothing.
        start: row.started_at.and(row.start_sha),
        head: None,
        nonce: row.nonce,
        wrote: Vec::new(),
        usage: Usage::default(),
        heard: Seq(0),
    }
}

/// The event whose step queued the job.
pub(super) fn cause(conn: &Connection, job: JobId) -> Result<Seq> {
    one(conn, "SELECT seq FROM jobs WHERE id = ?1", [job.0]).map(Seq)
}

/// Writes the run of a claim.
///
/// # Errors
/// [`StoreError::Conflict`] when another run holds the checkout or the job.
pub(super) fn insert(conn: &Connection, job: &JobRow, claim: &Claim, host: &str) -> Result<RunId> {
    let sql = "INSERT INTO runs (host, job, task, visit, slot, kind, stage, nonce, checkout, state, claimed_at, \
               command, breaker_failures, breaker_pause) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'starting', ?10, ?11, ?12, ?13)";
    let limits = claim.guard.as_ref().and_then(|g| g.limits);
    let kind = word(&job.kind)?;
    let (slot, stage) = (job.slot.as_str(), job.stage.as_str());
    exec(
        conn,
        sql,
        params![
            host,
            job.id.0,
            job.task.0,
            job.visit,
            slot,
            kind,
            stage,
            claim.nonce,
            claim.checkout,
            claim.now.0,
            claim.guard.as_ref().map(|g| &g.command),
            limits.map(|l| l.failures),
            limits.map(|l| l.pause.0),
        ],
    )?;
    let run = RunId(conn.last_insert_rowid());
    if let Some(guard) = &claim.guard {
        breakers::claimed(conn, guard, run, claim.now)?;
    }
    Ok(run)
}

/// Marks the open runs of a task (or visit) to be killed; those that were not before.
pub(super) fn doom(conn: &Connection, task: TaskId, visit: Option<u32>, why: Kill) -> Result<Vec<RunId>> {
    let sql = "UPDATE runs SET kill = ?3 WHERE task = ?1 AND (?2 IS NULL OR visit = ?2) AND state <> 'ended' AND kill IS NULL RETURNING id";
    Ok(column(conn, sql, params![task.0, visit, word(&why)?])?
        .into_iter()
        .map(RunId)
        .collect())
}

/// Marks the open run of a job to be killed, if it was not before.
pub(super) fn doom_of_job(conn: &Connection, job: JobId, why: Kill) -> Result<Vec<RunId>> {
    let sql = "UPDATE runs SET kill = ?2 WHERE job = ?1 AND state <> 'ended' AND kill IS NULL RETURNING id";
    Ok(column(conn, sql, params![job.0, word(&why)?])?.into_iter().map(RunId).collect())
}

/// The run.
pub(super) fn by_id(conn: &Connection, id: RunId) -> Result<Option<RunRow>> {
    first(conn, &format!("{SELECT} WHERE r.id = ?1"), [id.0], decode)
}

/// Runs that have not ended, oldest first.
pub(super) fn open(conn: &Connection) -> Result<Vec<RunRow>> {
    list(conn, &format!("{SELECT} WHERE r.state <> 'ended' ORDER BY r.id"), [], decode)
}

fn decode(row: &Row<'_>) -> Result<RunRow> {
    let f = Fields::new(row, "runs", "id");
    Ok(RunRow {
        id: RunId(f.get("id")?),
        job: JobId(f.get("job")?),
        task: TaskId(f.get("task")?),
        project: f.name("project")?,
        visit: f.small("visit")?,
        slot: f.name("slot")?,
        kind: f.word("kind")?,
        stage: f.name("stage")?,
        nonce: f.get("nonce")?,
        checkout: f.get("checkout")?,
        state: f.word("state")?,
        pid: f.small_opt("pid")?,
        pid_start: f.small_opt("pid_start")?,
        boot_id: f.get("boot_id")?,
        command: f.get("command")?,
        containment: f.word_opt("containment")?,
        start_sha: f.get("start_sha")?,
        claimed_at: f.time("claimed_at")?,
        started_at: f.time_opt("started_at")?,
        exited_at: f.time_opt("exited_at")?,
        ended_at: f.time_opt("ended_at")?,
        exit: f.json_opt("exit")?,
        end: f.json_opt("end")?,
        kill: f.word_opt("kill")?,
        usage: f.json_opt("usage")?,
        notes: f.json_opt("notes")?,
        host: f.get("host")?,
    })
}
