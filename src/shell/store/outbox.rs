//! The outbox: effects on the outside, each carried out in its turn until it is done or given up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, Row, params};
use serde_json::Value as Json;

use super::codec::{Fields, exec, first, json, list, one, word};
use super::{Effect, Lane, NewEvent, OutboxRow, Result, Store, StoreError, Target, inbox};
use crate::engine::model::{Millis, Seq, TaskId};

/// The first open row of each queue.
pub(super) const HEADS: &str = "SELECT * FROM outbox o WHERE o.state = 'open' AND NOT EXISTS \
     (SELECT 1 FROM outbox p WHERE p.state = 'open' AND p.lane = o.lane AND p.queue = o.queue AND p.id < o.id)";

/// Effects that are open. In an order that their index does not have: for that of the ids all effects that ever were would be read.
pub(super) const OPEN: &str = "SELECT * FROM outbox WHERE state = 'open' ORDER BY +id";

/// Effects that are being carried out by this process, by row id, with their queues: a queue has
/// at most one, even when a newer status has taken the place of the one under way.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<HashMap<i64, (String, String)>>>);

impl InFlight {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, (String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What ends the flight of an effect when it is dropped.
    pub fn landing(&self, effect: i64) -> Landing {
        Landing {
            in_flight: self.clone(),
            effect,
        }
    }
}

/// See [`InFlight::landing`].
pub(super) struct Landing {
    in_flight: InFlight,
    effect: i64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.in_flight.lock().remove(&self.effect);
    }
}

/// Rows that were just taken. They are free again when nobody gets them: the commit failed, or
/// the caller went away.
struct Taken {
    rows: Vec<OutboxRow>,
    in_flight: InFlight,
}

impl Taken {
    fn hand_over(mut self) -> Vec<OutboxRow> {
        std::mem::take(&mut self.rows)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut busy = self.in_flight.lock();
        for row in &self.rows {
            busy.remove(&row.id);
        }
    }
}

/// What operators are told of an effect that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// What is told once.
    pub key: String,
    /// One sentence or two.
    pub text: String,
}

impl Store {
    /// Takes effects that are due, at most `limit`: the first of each queue only, and of no queue
    /// in which one is being carried out. Whoever takes one reports how it went with
    /// [`Store::effect_done`], [`Store::effect_retry`], [`Store::effect_given_up`] or
    /// [`Store::end_run`], or gives it back with [`Store::effect_release`].
    ///
    /// # Errors
    /// As all of the store.
    pub async fn due_effects(&self, now: Millis, limit: u32) -> Result<Vec<OutboxRow>> {
        let in_flight = self.in_flight();
        // On the writer's thread, so that it sees every outcome that has been reported.
        self.write(move |conn| take(conn, &in_flight, now, Take { limit, kind: "" }))
            .await
            .map(Taken::hand_over)
    }

    /// The same for orders to end a run alone, and without the writer: they are carried out though nothing can be written.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn due_kills(&self, now: Millis) -> Result<Vec<OutboxRow>> {
        let in_flight = self.in_flight();
        let all = Take {
            limit: u32::MAX,
            kind: "kill",
        };
        self.read(move |conn| take(conn, &in_flight, now, all)).await.map(Taken::hand_over)
    }

    /// Writes down what is about to be done, before it is done.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the effect is not open any more: leave it. [`StoreError::Gone`] when there is none.
    pub async fn effect_progress(&self, id: i64, progress: Json) -> Result<()> {
        self.write(move |conn| {
            match exec(
                conn,
                "UPDATE outbox SET progress = ?2 WHERE id = ?1 AND state = 'open'",
                params![id, json(&progress)?],
            )? {
                0 => exists(conn, id).and(Err(StoreError::Conflict)),
                _ => Ok(()),
            }
        })
        .await
    }

    /// The effect was carried out, and `event` says with what outcome. Saying it again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such effect.
    pub async fn effect_done(&self, id: i64, event: Option<NewEvent>, now: Millis) -> Result<()> {
        self.write_outcome(Some(id), move |conn| {
            if close(conn, id, "done", None, now)?
                && let Some(event) = &event
            {
                inbox::insert(conn, event)?;
            }
            Ok(())
        })
        .await
    }

    /// The effect could not be carried out; it is due again at `next_at`. One that is not open any more stays as it is.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such effect.
    pub async fn effect_retry(&self, id: i64, error: &str, next_at: Millis) -> Result<()> {
        let error = error.to_owned();
        self.write_outcome(Some(id), move |conn| {
            exists(conn, id)?;
            let sql = "UPDATE outbox SET attempts = attempts + 1, last_error = ?2, next_at = ?3 WHERE id = ?1 AND state = 'open'";
            exec(conn, sql, params![id, error, next_at.0]).map(|_| ())
        })
        .await
    }

    /// The effect has to wait for something else until `next_at`; that is no failure of its own.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such effect.
    pub async fn effect_postpone(&self, id: i64, why: &str, next_at: Millis) -> Result<()> {
        let why = why.to_owned();
        self.write_outcome(Some(id), move |conn| {
            exists(conn, id)?;
            let sql = "UPDATE outbox SET last_error = ?2, next_at = ?3 WHERE id = ?1 AND state = 'open'";
            exec(conn, sql, params![id, why, next_at.0]).map(|_| ())
        })
        .await
    }

    /// What is open of a task in the lane of git and forge is due now, however often it failed. Whether there was any.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn effects_now(&self, task: TaskId, now: Millis) -> Result<bool> {
        self.write(move |conn| {
            let sql = "UPDATE outbox SET next_at = ?2 WHERE task = ?1 AND state = 'open' AND kind IN ('act', 'clean_up', 'settle') AND next_at > ?2";
            Ok(exec(conn, sql, params![task.0, now.0])? > 0)
        })
        .await
    }

    /// The effect will not be tried again; its queue goes on. With an `alert` operators are told, unless they were by one of
    /// the same key about the same task or issue.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such effect.
    pub async fn effect_given_up(&self, id: i64, error: &str, alert: Option<GivenUp>, now: Millis) -> Result<()> {
        let error = error.to_owned();
        self.write_outcome(Some(id), move |conn| {
            if close(conn, id, "given_up", Some(&error), now)?
                && let Some(alert) = alert
            {
                tell(conn, id, alert, now)?;
            }
            Ok(())
        })
        .await
    }

    /// Gives back an effect that was taken and whose outcome nobody will report; it is due as
    /// before. Nobody is woken by it.
    pub fn effect_release(&self, id: i64) {
        drop(self.0.in_flight.landing(id));
    }

    /// Whether an action of the task ever came so far that the forge was asked.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn acted(&self, task: TaskId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM outbox WHERE task = ?1 AND kind = 'act' AND progress IS NOT NULL)";
        self.read(move |conn| one(conn, sql, [task.0])).await
    }

    /// Effects that are neither done nor given up, oldest first.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn outbox_open(&self) -> Result<Vec<OutboxRow>> {
        self.read(|conn| list(conn, OPEN, [], decode)).await
    }

    /// Effects that were given up, newest first, at most `limit`.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn outbox_given_up(&self, limit: u32) -> Result<Vec<OutboxRow>> {
        self.read(move |conn| {
            list(
                conn,
                "SELECT * FROM outbox WHERE state = 'given_up' ORDER BY id DESC LIMIT ?1",
                [limit],
                decode,
            )
        })
        .await
    }

    pub(super) fn in_flight(&self) -> InFlight {
        self.0.in_flight.clone()
    }
}

/// Adds an effect. A status takes the place of older ones of its issue that are not done, a card
/// that of older ones of its task.
pub(super) fn push(conn: &Connection, target: &Target, effect: &Effect, seq: Seq, now: Millis) -> Result<()> {
    let (lane, queue) = (word(&effect.lane())?, queue(target, effect.lane()));
    if matches!(effect, Effect::Status { .. } | Effect::Card) {
        let sql = "UPDATE outbox SET state = 'superseded', ended_at = ?3 WHERE state = 'open' AND lane = ?1 AND queue = ?2 AND kind = ?4";
        exec(conn, sql, params![lane, queue, now.0, effect.kind()])?;
    }
    let sql = "INSERT INTO outbox (project, repo, task, issue, lane, queue, class, kind, effect, seq, state, attempts, next_at, created_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'open', 0, ?11, ?11)";
    exec(
        conn,
        sql,
        params![
            target.project.as_str(),
            target.repo.0,
            target.task.map(|t| t.0),
            target.issue,
            lane,
            queue,
            word(&effect.class())?,
            effect.kind(),
            json(effect)?,
            seq.0,
            now.0,
        ],
    )
    .map(|_| ())
}

/// The board shows something else than its issue's task has to show: what we wrote last is written again, unless
/// something is to be written anyway.
pub(super) fn show_again(conn: &Connection, project: &str, issue: &str, now: Millis) -> Result<()> {
    let sql = "INSERT INTO outbox (project, repo, task, issue, lane, queue, class, kind, effect, seq, state, attempts, next_at, created_at) \
               SELECT o.project, o.repo, o.task, o.issue, o.lane, o.queue, o.class, o.kind, o.effect, o.seq, 'open', 0, ?3, ?3 FROM outbox o \
               WHERE o.id = (SELECT MAX(id) FROM outbox WHERE project = ?1 AND issue = ?2 AND kind = 'status' AND state IN ('open', 'done')) \
               AND o.state = 'done'";
    exec(conn, sql, params![project, issue, now.0]).map(|_| ())
}

/// The queue within a lane: the issue on the board, where a later task writes to the same card;
/// elsewhere the task, so that one that is stuck holds up no other.
fn queue(target: &Target, lane: Lane) -> String {
    match (lane, target.task, &target.issue) {
        (Lane::Board, _, Some(issue)) | (_, None, Some(issue)) => format!("issue {}/{issue}", target.project),
        (_, Some(task), _) => format!("task {task}"),
        (_, None, None) => format!("project {}", target.project),
    }
}

/// What is taken at once.
struct Take {
    limit: u32,
    /// Of this kind only; empty for any.
    kind: &'static str,
}

fn take(conn: &Connection, in_flight: &InFlight, now: Millis, wanted: Take) -> Result<Taken> {
    let Take { limit, kind } = wanted;
    let mut busy = in_flight.lock();
    let most = i64::from(limit).saturating_add(i64::try_from(busy.len()).unwrap_or(i64::MAX));
    let sql = format!("{HEADS} AND o.next_at <= ?1 AND (?3 = '' OR o.kind = ?3) ORDER BY o.next_at, o.id LIMIT ?2");
    let heads = list(conn, &sql, params![now.0, most, kind], |row| Ok((decode(row)?, place(row)?)))?;
    let mut rows = Vec::new();
    for (row, place) in heads
        .into_iter()
        .filter(|(_, place)| !busy.values().any(|b| b == place))
        .take(limit as usize)
        .collect::<Vec<_>>()
    {
        busy.insert(row.id, place);
        rows.push(row);
    }
    Ok(Taken {
        rows,
        in_flight: in_flight.clone(),
    })
}

/// When the first effect falls due that can be taken.
pub(super) fn next_due(conn: &Connection, in_flight: &InFlight) -> Result<Option<Millis>> {
    let busy: Vec<_> = in_flight.lock().values().cloned().collect();
    let sql = format!("{HEADS} ORDER BY o.next_at, o.id LIMIT ?1");
    let most = i64::try_from(busy.len()).unwrap_or(i64::MAX).saturating_add(1);
    let heads = list(conn, &sql, [most], |row| {
        Ok((Fields::new(row, "outbox", "id").time("next_at")?, place(row)?))
    })?;
    Ok(heads.into_iter().find(|(_, place)| !busy.contains(place)).map(|(at, _)| at))
}

fn place(row: &Row<'_>) -> Result<(String, String)> {
    let f = Fields::new(row, "outbox", "id");
    Ok((f.get("lane")?, f.get("queue")?))
}

/// Tells operators of an effect that was given up.
fn tell(conn: &Connection, id: i64, GivenUp { key, text }: GivenUp, now: Millis) -> Result<()> {
    let Some(row) = first(conn, "SELECT * FROM outbox WHERE id = ?1", [id], decode)? else {
        return Ok(());
    };
    let queue = queue(&row.target, Lane::Chat);
    let sql = "SELECT 1 FROM outbox WHERE kind = 'alert' AND queue = ?1 AND json_extract(effect, '$.alert.key') = ?2 LIMIT 1";
    if first(conn, sql, params![queue, key], |_| Ok(()))?.is_some() {
        return Ok(());
    }
    push(conn, &row.target, &Effect::Alert { key, text }, Seq(0), now)
}

/// Closes an effect; whether it was open.
pub(super) fn close(conn: &Connection, id: i64, state: &str, error: Option<&str>, now: Millis) -> Result<bool> {
    exists(conn, id)?;
    let sql = "UPDATE outbox SET state = ?2, attempts = attempts + (?3 IS NOT NULL), last_error = COALESCE(?3, last_error), ended_at = ?4 \
               WHERE id = ?1 AND state = 'open'";
    Ok(exec(conn, sql, params![id, state, error, now.0])? == 1)
}

fn exists(conn: &Connection, id: i64) -> Result<()> {
    first(conn, "SELECT 1 FROM outbox WHERE id = ?1", [id], |_| Ok(()))?.ok_or(StoreError::Gone)
}

fn decode(row: &Row<'_>) -> Result<OutboxRow> {
    let f = Fields::new(row, "outbox", "id");
    Ok(OutboxRow {
        id: f.get("id")?,
        target: inbox::target(&f)?,
        class: f.word("class")?,
        lane: f.word("lane")?,
        effect: f.json("effect")?,
        seq: Seq(f.get("seq")?),
        attempts: f.small("attempts")?,
        next_at: f.time("next_at")?,
        progress: f.json_opt("progress")?,
        last_error: f.get("last_error")?,
        created_at: f.time("created_at")?,
    })
}
