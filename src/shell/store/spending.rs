//! What agents cost: sums kept where they are counted, what operators allowed on top, and the bill.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::codec::{Fields, exec, first, json, list, one};
use super::{JobRow, Result, RunRow, Store, StoreError, inbox};
use crate::engine::budget::{Budget, Spent, Sum};
use crate::engine::model::{COST_MOST, JobKind, Millis, Name, RunId, TaskId, plausible};

/// A sum beyond this, United States dollars, is added up again from what is believed of its runs.
const SUM_MOST: f64 = 100.0 * COST_MOST;
/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// What a task has cost.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SpentTask {
    /// Its runs of agents.
    pub sum: Sum,
    /// What operators allowed beyond the budget.
    pub allowed: Sum,
    /// Its run that cost most since they last did.
    pub dearest: Option<(RunId, f64)>,
    /// When they last did.
    pub allowed_at: Option<Millis>,
}

impl SpentTask {
    /// The same against what the task may cost, and its project on the day that ends then.
    #[must_use]
    pub fn of_budget(&self, budget: Budget, day: Sum, day_ends: Millis) -> Spent {
        Spent {
            budget,
            task: self.sum,
            allowed: self.allowed,
            dearest: self.dearest,
            day,
            day_ends,
        }
    }
}

/// An operator lets a task go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Allowance {
    /// The task.
    pub task: TaskId,
    /// Beyond the budget.
    pub more: Sum,
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
}

/// What a bill is made out by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// By task.
    #[default]
    Task,
    /// By project.
    Project,
    /// By agent.
    Agent,
    /// By day, UTC.
    Day,
}

/// A line of a bill.
#[derive(Debug, Clone, PartialEq)]
pub struct CostRow {
    /// Work item id, project, agent or day.
    pub key: String,
    /// Its runs.
    pub runs: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Dollars.
    pub usd: f64,
}

/// The day of a moment, since the epoch, UTC.
#[must_use]
pub fn day(at: Millis) -> i64 {
    at.0.div_euclid(DAY)
}

/// When that day ends.
#[must_use]
pub fn day_ends(day: i64) -> Millis {
    Millis(day.saturating_add(1).saturating_mul(DAY))
}

impl Store {
    /// Allows a task more than its budget, and counts its failures anew.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such task.
    pub async fn allow(&self, allowance: Allowance, now: Millis) -> Result<()> {
        self.write(move |conn| {
            inbox::of_task(conn, allowance.task)?.ok_or(StoreError::Gone)?;
            let sql = "INSERT INTO allowances (task, usd, runs, who, why, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let Sum { usd, runs } = allowance.more;
            exec(conn, sql, params![allowance.task.0, usd, runs, allowance.who, allowance.why, now.0])?;
            let sql = "UPDATE spent_tasks SET dearest = NULL, dearest_usd = 0 WHERE task = ?1";
            exec(conn, sql, [allowance.task.0]).map(|_| ())
        })
        .await
    }

    /// What each of these projects has cost on a day (since the epoch, UTC); one that has cost nothing is not in it.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn spent_on(&self, day: i64, projects: BTreeSet<Name>) -> Result<BTreeMap<Name, Sum>> {
        self.read(move |conn| on(conn, day, &projects)).await
    }

    /// What agents have cost since a moment, the dearest first; days in order.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn costs(&self, by: By, since: Millis) -> Result<Vec<CostRow>> {
        self.read(move |conn| bill(conn, by, since)).await
    }
}

fn bill(conn: &Connection, by: By, since: Millis) -> Result<Vec<CostRow>> {
    let (key, order) = match by {
        By::Task => (
            "t.item || CASE WHEN t.item_gen IS NULL THEN '' ELSE '~' || t.item_gen END",
            "usd DESC, 1",
        ),
        By::Project => ("t.project", "usd DESC, 1"),
        By::Agent => ("r.slot", "usd DESC, 1"),
        By::Day => ("date(r.ended_at / 1000, 'unixepoch')", "1"),
    };
    let usd = believed("r.usage");
    let tokens = |what: &str| format!("COALESCE(SUM(json_extract(r.usage, '$.{what}')), 0)");
    // One that could not even be launched was no run.
    let sql = format!(
        "SELECT {key} AS key, COUNT(*) AS runs, {} AS input, {} AS output, COALESCE(SUM({usd}), 0.0) AS usd \
         FROM runs r JOIN tasks t ON t.id = r.task WHERE r.state = 'ended' AND r.kind = 'agent' AND r.ended_at >= ?1 \
         AND (r.started_at IS NOT NULL OR r.usage IS NOT NULL) GROUP BY 1 ORDER BY {order}",
        tokens("input_tokens"),
        tokens("output_tokens")
    );
    list(conn, &sql, [since.0], |row| {
        let f = Fields::new(row, "runs", "key");
        Ok(CostRow {
            key: f.get("key")?,
            runs: f.small("runs")?,
            input_tokens: f.small("input")?,
            output_tokens: f.small("output")?,
            usd: f.get("usd")?,
        })
    })
}

/// The cost of a run as far as it is believed: rows may be older than that was asked.
fn believed(usage: &str) -> String {
    let told = format!("json_extract({usage}, '$.cost_usd')");
    format!("CASE WHEN {told} BETWEEN 0.0 AND {COST_MOST:.1} THEN {told} ELSE 0.0 END")
}

/// A sum as it was kept; where it can hardly be, as it is by the runs: what was counted into it may be older than claims are
/// looked at.
fn sum_of_task(conn: &Connection, task: TaskId, kept: f64) -> Result<f64> {
    if kept <= SUM_MOST {
        return Ok(kept);
    }
    let usd = believed("usage");
    let sql = format!("SELECT COALESCE(SUM({usd}), 0.0) FROM runs WHERE task = ?1 AND kind = 'agent' AND state = 'ended'");
    one(conn, &sql, [task.0])
}

/// The same of a project's day.
fn sum_of_day(conn: &Connection, project: &Name, of: i64, kept: f64) -> Result<f64> {
    if kept <= SUM_MOST {
        return Ok(kept);
    }
    let usd = believed("r.usage");
    let sql = format!(
        "SELECT COALESCE(SUM({usd}), 0.0) FROM runs r JOIN tasks t ON t.id = r.task WHERE r.state = 'ended' AND r.kind = 'agent' \
         AND r.ended_at >= ?2 AND r.ended_at < ?3 AND t.project = ?1"
    );
    one(conn, &sql, params![project.as_str(), of.saturating_mul(DAY), day_ends(of).0])
}

/// The same of the dearest run since an operator last allowed the task to go on.
fn dearest_of(conn: &Connection, task: TaskId, kept: (RunId, f64)) -> Result<Option<(RunId, f64)>> {
    if plausible(kept.1) {
        return Ok(Some(kept));
    }
    let usd = believed("usage");
    let sql = format!(
        "SELECT id, {usd} AS usd FROM runs WHERE task = ?1 AND kind = 'agent' AND state = 'ended' \
         AND ended_at >= COALESCE((SELECT MAX(at) FROM allowances WHERE task = ?1), 0) ORDER BY usd DESC, id LIMIT 1"
    );
    first(conn, &sql, [task.0], |row| Ok((RunId(row.get("id")?), row.get("usd")?)))
}

/// Refuses a claim for which the budget has no room: what was read before may be of before another claim, of before the end of
/// a run, or of before midnight.
///
/// # Errors
/// [`StoreError::Conflict`]: look again.
pub(super) fn admit(conn: &Connection, job: &JobRow, budget: Budget, now: Millis) -> Result<()> {
    let today = day(now);
    let waiting = std::slice::from_ref(job);
    let task = of_waiting(conn, waiting)?.remove(&job.task).unwrap_or_default();
    let project = day_of_waiting(conn, waiting, today)?.remove(&job.project);
    let spent = task.of_budget(budget, project.unwrap_or_default(), day_ends(today));
    if spent.blockers("", "", now, now).is_empty() {
        Ok(())
    } else {
        Err(StoreError::Conflict)
    }
}

/// Counts a run that was claimed.
pub(super) fn begun(conn: &Connection, task: TaskId, kind: JobKind, project: &Name, now: Millis) -> Result<()> {
    if kind != JobKind::Agent {
        return Ok(());
    }
    let sql =
        "INSERT INTO spent_tasks (task, runs, usd, dearest_usd) VALUES (?1, 1, 0, 0) ON CONFLICT (task) DO UPDATE SET runs = runs + 1";
    exec(conn, sql, [task.0])?;
    count(conn, project, now)
}

/// Takes back that a run was counted of which nothing was begun.
pub(super) fn unbegun(conn: &Connection, run: &RunRow) -> Result<()> {
    if run.kind != JobKind::Agent {
        return Ok(());
    }
    exec(conn, "UPDATE spent_tasks SET runs = MAX(runs - 1, 0) WHERE task = ?1", [run.task.0])?;
    uncount(conn, &run.project, run.claimed_at)
}

/// Counts what a run cost that ended.
pub(super) fn ended(conn: &Connection, run: &RunRow, usd: f64, now: Millis) -> Result<()> {
    if run.kind != JobKind::Agent || usd <= 0.0 || !plausible(usd) {
        return Ok(());
    }
    let sql = "INSERT INTO spent_tasks (task, runs, usd, dearest, dearest_usd) VALUES (?1, 0, ?2, ?3, ?2) ON CONFLICT (task) DO UPDATE SET \
               usd = usd + ?2, dearest = CASE WHEN ?2 > dearest_usd THEN ?3 ELSE dearest END, dearest_usd = MAX(dearest_usd, ?2)";
    exec(conn, sql, params![run.task.0, usd, run.id.0])?;
    let sql =
        "INSERT INTO spent_days (project, day, runs, usd) VALUES (?1, ?2, 0, ?3) ON CONFLICT (project, day) DO UPDATE SET usd = usd + ?3";
    exec(conn, sql, params![run.project.as_str(), day(now), usd]).map(|_| ())
}

/// What the tasks of waiting jobs of agents have cost.
pub(super) fn of_waiting(conn: &Connection, waiting: &[JobRow]) -> Result<BTreeMap<TaskId, SpentTask>> {
    let tasks: BTreeSet<TaskId> = waiting.iter().filter(|j| j.kind == JobKind::Agent).map(|j| j.task).collect();
    let sql = "SELECT w.task, COALESCE(s.runs, 0) AS runs, COALESCE(s.usd, 0.0) AS usd, s.dearest, s.dearest_usd, \
               (SELECT COALESCE(SUM(a.usd), 0.0) FROM allowances a WHERE a.task = w.task) AS more_usd, \
               (SELECT COALESCE(SUM(a.runs), 0) FROM allowances a WHERE a.task = w.task) AS more_runs, \
               (SELECT MAX(a.at) FROM allowances a WHERE a.task = w.task) AS allowed_at \
               FROM (SELECT value AS task FROM json_each(?1)) w \
               LEFT JOIN spent_tasks s ON s.task = w.task";
    let rows = list(conn, sql, [json(&tasks)?], |row| {
        let f = Fields::new(row, "spent_tasks", "task");
        let dearest = match (f.get::<Option<i64>>("dearest")?, f.get::<Option<f64>>("dearest_usd")?) {
            (Some(run), Some(usd)) => Some((RunId(run), usd)),
            _ => None,
        };
        let spent = SpentTask {
            sum: Sum {
                usd: f.get("usd")?,
                runs: f.small("runs")?,
            },
            allowed: Sum {
                usd: f.get("more_usd")?,
                runs: f.small("more_runs")?,
            },
            dearest,
            allowed_at: f.time_opt("allowed_at")?,
        };
        Ok((TaskId(f.get("task")?), spent))
    })?;
    let mut spent: BTreeMap<TaskId, SpentTask> = rows.into_iter().collect();
    for (task, known) in &mut spent {
        known.sum.usd = sum_of_task(conn, *task, known.sum.usd)?;
        known.dearest = match known.dearest {
            Some(kept) => dearest_of(conn, *task, kept)?,
            None => None,
        };
    }
    Ok(spent)
}

/// What the projects of waiting jobs have cost on a day.
pub(super) fn day_of_waiting(conn: &Connection, waiting: &[JobRow], day: i64) -> Result<BTreeMap<Name, Sum>> {
    on(conn, day, &waiting.iter().map(|job| job.project.clone()).collect())
}

/// What each of these projects has cost on that very day: a clock that ran ahead may have left later ones.
fn on(conn: &Connection, day: i64, projects: &BTreeSet<Name>) -> Result<BTreeMap<Name, Sum>> {
    let sql = "SELECT project, runs, usd FROM spent_days WHERE project IN (SELECT value FROM json_each(?1)) AND day = ?2";
    let rows = list(conn, sql, params![json(projects)?, day], |row| {
        let f = Fields::new(row, "spent_days", "project");
        let sum = Sum {
            usd: f.get("usd")?,
            runs: f.small("runs")?,
        };
        Ok((f.name("project")?, sum))
    })?;
    let mut sums: BTreeMap<Name, Sum> = rows.into_iter().collect();
    for (project, sum) in &mut sums {
        sum.usd = sum_of_day(conn, project, day, sum.usd)?;
    }
    Ok(sums)
}

/// The wall clock, which says `from`, is about to be set by so much: runs that have not ended were claimed that much later, on
/// another day perhaps; and what was spent on a day is not there to be spent again when that day is another one by the clock.
pub(super) fn shifted(conn: &Connection, by: Millis, from: Millis) -> Result<()> {
    let sql = "SELECT t.project, r.claimed_at FROM runs r JOIN tasks t ON t.id = r.task \
               WHERE r.state IN ('starting', 'running') AND r.kind = 'agent'";
    let open = list(conn, sql, [], |row| {
        let f = Fields::new(row, "runs", "project");
        Ok((f.name("project")?, f.time("claimed_at")?))
    })?;
    for (project, claimed) in &open {
        uncount(conn, project, *claimed)?;
    }
    let (was, is) = (day(from), day(from.plus(by)));
    // Forward it may as well be that the machine stood still until now: a new day has its own budget.
    if is < was {
        let sql = "INSERT INTO spent_days (project, day, runs, usd) SELECT project, ?2, runs, usd FROM spent_days WHERE day = ?1 \
                   ON CONFLICT (project, day) DO UPDATE SET runs = MAX(runs, excluded.runs), usd = MAX(usd, excluded.usd)";
        exec(conn, sql, [was, is])?;
    }
    for (project, claimed) in &open {
        count(conn, project, claimed.plus(by))?;
    }
    Ok(())
}

/// Counts a run on the day of this moment.
fn count(conn: &Connection, project: &Name, at: Millis) -> Result<()> {
    let sql =
        "INSERT INTO spent_days (project, day, runs, usd) VALUES (?1, ?2, 1, 0) ON CONFLICT (project, day) DO UPDATE SET runs = runs + 1";
    exec(conn, sql, params![project.as_str(), day(at)]).map(drop)
}

/// Takes that back.
fn uncount(conn: &Connection, project: &Name, at: Millis) -> Result<()> {
    let sql = "UPDATE spent_days SET runs = MAX(runs - 1, 0) WHERE project = ?1 AND day = ?2";
    exec(conn, sql, params![project.as_str(), day(at)]).map(drop)
}

/// When an operator last allowed the task to go on.
pub(super) fn allowed_at(conn: &Connection, task: TaskId) -> Result<Option<Millis>> {
    let at: Option<i64> = one(conn, "SELECT MAX(at) FROM allowances WHERE task = ?1", [task.0])?;
    Ok(at.map(Millis))
}
