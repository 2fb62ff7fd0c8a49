//! The model's outbox: effects, each queue in order.

use std::collections::BTreeSet;

use signalbox::engine::model::{Millis, Seq, TaskId};
use signalbox::shell::store::{Effect, Lane, NewEvent, OutboxRow, StoreError, Target};

use super::model::{Model, Out, Result, index, number};

impl Model {
    pub fn push(&mut self, target: &Target, effect: Effect, seq: Seq, now: Millis) {
        let lane = effect.lane();
        let queue = match (lane, target.task, &target.issue) {
            (Lane::Board, _, Some(issue)) | (_, None, Some(issue)) => format!("issue {issue}"),
            (_, Some(task), _) => format!("task {task}"),
            (_, None, None) => "project".to_owned(),
        };
        if matches!(effect, Effect::Status { .. } | Effect::Card) {
            let same = |o: &&mut Out| o.state == "open" && o.row.lane == lane && o.queue == queue && o.row.effect.kind() == effect.kind();
            self.outbox.iter_mut().filter(same).for_each(|o| o.state = "superseded");
        }
        let row = OutboxRow {
            id: number(self.outbox.len()) + 1,
            target: target.clone(),
            class: effect.class(),
            lane,
            effect,
            seq,
            attempts: 0,
            next_at: now,
            progress: None,
            last_error: None,
            created_at: now,
        };
        self.outbox.push(Out { row, state: "open", queue });
    }

    /// The first open row of each queue.
    pub fn heads(&self) -> Vec<&Out> {
        let mut seen = BTreeSet::new();
        let open = self.outbox.iter().filter(|o| o.state == "open");
        open.filter(|o| seen.insert((o.row.lane as u8, o.queue.as_str()))).collect()
    }

    pub fn flies(&self, out: &Out) -> bool {
        self.in_flight.values().any(|place| *place == (out.row.lane, out.queue.clone()))
    }

    pub fn due_effects(&mut self, now: Millis) -> Vec<OutboxRow> {
        let heads = self.heads();
        let mut due: Vec<Out> = heads
            .into_iter()
            .filter(|o| o.row.next_at <= now && !self.flies(o))
            .cloned()
            .collect();
        due.sort_by_key(|o| (o.row.next_at, o.row.id));
        for out in &due {
            self.in_flight.insert(out.row.id, (out.row.lane, out.queue.clone()));
        }
        due.into_iter().map(|o| o.row).collect()
    }

    pub fn land(&mut self, effect: Option<i64>) {
        effect.map(|id| self.in_flight.remove(&id));
    }

    pub fn close(&mut self, id: i64, state: &'static str, error: Option<&str>, _now: Millis) -> bool {
        let out = &mut self.outbox[index(id)];
        if out.state != "open" {
            return false;
        }
        out.state = state;
        if let Some(error) = error {
            out.row.attempts += 1;
            out.row.last_error = Some(error.to_owned());
        }
        true
    }

    pub fn effect_progress(&mut self, id: i64, progress: serde_json::Value) -> Result<()> {
        let out = &mut self.outbox[index(id)];
        if out.state != "open" {
            return Err(StoreError::Conflict);
        }
        out.row.progress = Some(progress);
        self.commits += 1;
        Ok(())
    }

    pub fn effect_done(&mut self, id: i64, event: Option<NewEvent>, now: Millis) {
        let closed = self.close(id, "done", None, now);
        if let (true, Some(event)) = (closed, event) {
            self.insert(event);
        }
        self.land(Some(id));
        self.commits += u64::from(closed);
    }

    /// Tried again later; `failed` tells whether it counts.
    pub fn effect_later(&mut self, id: i64, why: &str, failed: bool, next_at: Millis) {
        let out = &mut self.outbox[index(id)];
        if out.state == "open" {
            out.row.attempts += u32::from(failed);
            (out.row.last_error, out.row.next_at) = (Some(why.to_owned()), next_at);
            self.commits += 1;
        }
        self.land(Some(id));
    }

    pub fn effects_now(&mut self, task: TaskId, now: Millis) {
        let work = |o: &&mut Out| o.state == "open" && o.row.target.task == Some(task) && o.row.lane == Lane::Work && o.row.next_at > now;
        let moved = self.outbox.iter_mut().filter(work).map(|o| o.row.next_at = now).count();
        self.commits += u64::from(moved > 0);
    }
}
