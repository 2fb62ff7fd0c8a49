//! Runs that have exited and whose end cannot be taken over: their place is taken meanwhile, so people are told once, and
//! `why` says what is wrong and since when.

use crate::engine::model::{Blocker, Code, TaskId, Who, lasting};
use crate::shell::clock;
use crate::shell::launch::LaunchError;
use crate::shell::service::Service;
use crate::shell::store::{Effect, OutboxRow, RunRow};

/// Failures that are no news: some eight seconds, in which a peer may be back.
pub const QUIET: u32 = 5;

/// Tells operators once that a settling fails again and again; when it came to its end all the same, that as well.
/// `attempts` are those that failed before this one.
pub async fn tell(service: &Service, run: &RunRow, attempts: u32, result: &Result<(), LaunchError>) {
    if attempts < QUIET {
        return;
    }
    let why = match result {
        Ok(()) => return over(service, run, "it goes on").await,
        // The database itself: nothing could be told either.
        Err(LaunchError::Store(_)) => return,
        Err(why) => why,
    };
    let item = service.label(run.task).await;
    let text = format!(
        "{item}: run {id} ({slot}) has exited, but what it left cannot be taken over, which is tried again every 5 min at least: {why}. \
         Its place is taken until then. `signalbox why {item}` tells more",
        id = run.id,
        slot = run.slot,
    );
    let told = service.store.raise(&key(run), run.task, &text, clock::now()).await;
    if let Err(error) = told {
        tracing::warn!(%error, run = %run.id, "that a run cannot be settled could not be told");
    }
}

/// The run is settled: whoever was told otherwise is told so.
pub async fn over(service: &Service, run: &RunRow, what: &str) {
    let item = service.label(run.task).await;
    let text = format!("{item}: the end of run {} is on record now; {what}", run.id);
    if let Err(error) = service.store.lower(&key(run), Some(&text), clock::now()).await {
        tracing::warn!(%error, run = %run.id, "that a run is settled at last could not be told");
    }
}

fn key(run: &RunRow) -> String {
    format!("unsettled run {}", run.id)
}

/// What `why` says of a task's runs that cannot be settled.
pub fn blockers(task: TaskId, effects: &[OutboxRow]) -> Vec<Blocker> {
    let now = clock::now();
    let fails = |row: &&OutboxRow| row.target.task == Some(task) && row.attempts > 0;
    let blocker = |row: &OutboxRow| {
        let Effect::Settle { run } = &row.effect else { return None };
        let (why, times) = (row.last_error.clone().unwrap_or_default(), row.attempts);
        let next = lasting(row.next_at.since(now));
        Some(Blocker {
            code: Code::RunnerBusy,
            text: format!(
                "run {run} has exited, but what it left cannot be taken over: {why}; tried {times} time(s), the next try is in {next}; its place \
                 is taken until then"
            ),
            since: row.created_at,
            // A peer may only be away: that is over by itself.
            who: if times >= QUIET { Who::Operator } else { Who::Itself },
            clear: None,
        })
    };
    effects.iter().filter(fails).filter_map(blocker).collect()
}
