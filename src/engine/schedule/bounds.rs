//! What bounds single tasks and jobs: money, the same failure again, places for one agent.

use super::{Queue, Room, WaitingJob, blocker};
use crate::engine::budget::Held;
use crate::engine::model::{Blocker, Code, Millis, Task, Who};
use crate::engine::rules::Ruleset;

/// What a task may cost, and whether its job would only repeat what was done.
pub(super) fn blockers(
    queue: &Queue<'_>,
    room: &Room,
    rules: &Ruleset,
    job: &WaitingJob,
    task: &Task,
    now: Millis,
    found: &mut Vec<Blocker>,
) {
    if !rules.agents.contains_key(&job.slot) {
        return;
    }
    if let Some(spent) = queue.bounds.spent.get(&task.id) {
        let (more, today) = room.paid(task);
        found.extend(
            spent
                .and_runs(more, today)
                .blockers(&task.item, task.project.as_str(), job.since, now),
        );
    }
    if let Some(stuck) = queue.bounds.stuck.get(&job.id) {
        let item = &task.item;
        found.push(Blocker {
            clear: Some(format!(
                "signalbox allow {item} \"why it will go better now\"    # or: signalbox stop {item}"
            )),
            ..blocker(Code::NoProgress, stuck.what.clone(), stuck.since, Who::Operator)
        });
    }
}

/// Nothing is launched at all.
pub(super) fn held(held: &Held) -> Blocker {
    let (who, clear) = match (held.code, held.passes) {
        // The service ends by itself; what waits goes on when it was started again.
        (Code::Draining, _) => (
            Who::Operator,
            Some("signalbox serve    # when the service has ended; or whatever keeps it running does"),
        ),
        (_, true) => (Who::Itself, None),
        (_, false) => (
            Who::Operator,
            Some("signalbox restore FOLDER --replace    # when the service has ended"),
        ),
    };
    Blocker {
        clear: clear.map(str::to_owned),
        ..blocker(held.code, held.text.clone(), held.since, who)
    }
}

/// A place among the runs of one agent.
pub(super) fn place(room: &Room, rules: &Ruleset, job: &WaitingJob, task: &Task, found: &mut Vec<Blocker>) {
    let Some(limit) = rules.agents.get(&job.slot).and_then(|a| a.max_concurrency) else {
        return;
    };
    let used = room.agents.get(&(task.project.clone(), job.slot.clone())).copied().unwrap_or(0);
    if used >= limit {
        let text = format!("{used} of {limit} places for {} in project {} are taken", job.slot, task.project);
        found.push(blocker(Code::RunnerBusy, text, job.since, Who::Itself));
    }
}
