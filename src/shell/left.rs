//! Runs that have ended and of which something lives on: another user's process, or one that is stuck in the kernel. Such a
//! run is not over. Nothing else begins in its checkout, nothing of it is cleaned up, and people are told once.

use std::collections::BTreeMap;

use crate::engine::model::{Blocker, Code, TaskId, Who};
use crate::shell::clock;
use crate::shell::run::SAFETY_POLL;
use crate::shell::service::Service;
use crate::shell::store::{RunRow, StoreError};
use crate::shell::unwritten;

/// How keys of such notices begin.
const KEY: &str = "left over by run ";

/// Tells people, once, that so many processes of the run cannot be ended.
///
/// # Errors
/// The database.
pub async fn tell(service: &Service, run: &RunRow, left: u32) -> Result<(), StoreError> {
    let item = service.label(run.task).await;
    let text = format!(
        "{item}: run {id} ({slot}) has ended, but {left} process(es) of it live on and cannot be ended: they run under another user or \
         are stuck in the kernel. Until they are gone it is not over and nothing else begins in its checkout. It is looked at again \
         every {} s; look at `ps -eo pid,user,stat,lstart,args`, end them as their user, or start the machine anew",
        SAFETY_POLL.as_secs(),
        id = run.id,
        slot = run.slot,
    );
    tracing::error!(run = %run.id, left, "what is left of a run cannot be ended: it stays open and is swept after again");
    service.store.raise(&key(run), run.task, &text, clock::now()).await.map(drop)
}

/// Nothing of the run is left: whoever was told otherwise is told so.
///
/// # Errors
/// The database.
pub async fn over(service: &Service, run: &RunRow) -> Result<(), StoreError> {
    let ours = [key(run), unwritten::key(run)];
    // Read first: this is the way of every run, and hardly any was told of.
    let mut told = service.store.notices().await?;
    told.retain(|notice| ours.contains(&notice.key));
    if told.is_empty() {
        return Ok(());
    }
    let item = service.label(run.task).await;
    let text = format!("{item}: nothing of run {} lives any more; it goes on", run.id);
    for notice in told {
        service.store.lower(&notice.key, Some(&text), clock::now()).await?;
    }
    Ok(())
}

/// Adds to what holds back each task what is left of its runs, and what of their ends cannot be written down.
///
/// # Errors
/// The database.
pub async fn shown(service: &Service, mut found: BTreeMap<TaskId, Vec<Blocker>>) -> Result<BTreeMap<TaskId, Vec<Blocker>>, StoreError> {
    for notice in service.store.notices().await? {
        let ours = notice.key.starts_with(KEY) || notice.key.starts_with(unwritten::KEY);
        let Some(list) = found.get_mut(&notice.task).filter(|_| ours) else {
            continue;
        };
        let first = Blocker {
            code: Code::RunnerBusy,
            text: notice.text,
            since: notice.since,
            who: Who::Operator,
            clear: None,
        };
        list.insert(0, first);
    }
    Ok(found)
}

fn key(run: &RunRow) -> String {
    format!("{KEY}{}", run.id)
}
