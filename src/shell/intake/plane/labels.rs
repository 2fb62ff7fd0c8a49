//! Labels: those that pass a human gate are looked for at every occasion, for Plane tells of each change once.

use crate::engine::model::{At, Mode, StopState, Task};
use crate::engine::rules::{GateKind, Ruleset};
use crate::shell::store::Projection;
use crate::shell::tracker::plane::{Item, time};

use super::LookError;
use super::history::{History, PATIENCE, age};
use super::sync::Look;

impl Look<'_> {
    /// A label may pass a gate that waits: the task looks again, and reads them itself.
    pub(super) async fn labels(&self, item: &Item) -> Result<Option<String>, LookError> {
        // Who put one there counts: it is asked for when the history tells.
        let known = Projection::default();
        let history = History::new(self.plane.activities(self.issue).await?, &known);
        if !history.settled(item, self.plane.skew()) && self.fresh(item) {
            return Err(LookError::Behind);
        }
        self.poke("the labels of its issue", None).await
    }

    /// Nobody told of a label. Where one is there that passes a gate at which the task stands, the task looks again: once for
    /// each time that somebody put it there, for it counts for nothing from some. `touched` says that what changed the issue
    /// last is known, and was no label.
    pub(super) async fn orders(&self, item: &Item, touched: bool) -> Result<Option<String>, LookError> {
        let Some(task) = self.task.as_ref().filter(|_| !item.labels.is_empty()) else {
            return Ok(None);
        };
        let awaited = awaited(&self.rules, task);
        if awaited.is_empty() {
            return Ok(None);
        }
        let mut there = self.plane.label_names(item).await?;
        there.retain(|label| awaited.contains(&label.as_str()));
        there.sort();
        there.dedup();
        if there.is_empty() {
            return Ok(None);
        }
        let known = Projection::default();
        let history = History::new(self.plane.activities(self.issue).await?, &known);
        let put = |label: &String| history.putting(label, item, self.plane.skew()).map(|by| format!("{label} {by}"));
        let told: Vec<String> = there.iter().filter_map(put).collect();
        let mut found = None;
        if !told.is_empty() {
            let visit = task.ledger.visit.number;
            let once = format!("plane {} orders {} {visit} {}", self.issue, task.id, told.join(" "));
            found = self.poke("a label of its issue that nobody told of", Some(once)).await?;
        }
        // Whose the others are the history does not tell yet.
        if told.len() < there.len() && !touched && self.fresh(item) {
            return Err(LookError::Behind);
        }
        Ok(found)
    }

    /// Whether the issue was changed so lately that its history may be behind.
    fn fresh(&self, item: &Item) -> bool {
        let changed = item.updated_at.as_deref().and_then(time).unwrap_or_default();
        age(changed, self.plane.skew()) < PATIENCE
    }
}

/// Labels that pass a gate at which the task stands.
fn awaited<'r>(rules: &'r Ruleset, task: &Task) -> Vec<&'r str> {
    let control = &task.control;
    if task.terminal() || control.at != At::Gates || control.mode == Mode::Question || control.stop != StopState::No {
        return Vec::new();
    }
    let label = |(_, kind)| match kind {
        &GateKind::Human { auto: Some(ref auto), .. } => rules.auto.get(auto).map(|order| order.label.as_str()),
        _ => None,
    };
    rules.asked_in(&control.stage).into_iter().filter_map(label).collect()
}
