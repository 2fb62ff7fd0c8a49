//! Runs that have ended and of which something lives on: another user's process, or one that is stuck in the kernel; and runs
//! whose records may not be read, because they belong to another user. Such a run is not over. Nothing else begins in its
//! checkout, nothing of it is cleaned up, and people are told once.

use std::collections::BTreeMap;

use crate::engine::model::{Blocker, Code, TaskId, Who};
use crate::shell::clock;
use crate::shell::run::SAFETY_POLL;
use crate::shell::service::Service;
use crate::shell::store::{RunRow, StoreError};
use crate::shell::unwritten;

/// How keys of such notices begin.
const KEY: &str = "left over by run ";
const BARRED: &str = "unreadable records of run ";

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

/// Tells people, once, that what became of the run cannot be found out: `why` says what may not be read. It counts as being at work.
///
/// # Errors
/// The database.
pub async fn barred(service: &Service, run: &RunRow, why: &str) -> Result<(), StoreError> {
    let item = service.label(run.task).await;
    let text = format!(
        "{item}: what became of run {id} ({slot}) cannot be found out: {why}. Its agent may be at work, so it counts as that, and nothing else \
         begins in its checkout. Does the service run under another user than before? Give the data directory to the one it has now \
         (`chown -R {user} {data}`), or start it as the former one. It is looked at again every {poll} s, and goes on by itself",
        id = run.id,
        slot = run.slot,
        user = nix::unistd::geteuid(),
        data = service.data.display(),
        poll = SAFETY_POLL.as_secs(),
    );
    tracing::error!(run = %run.id, why, "what became of a run cannot be found out: it stays open and is looked at again");
    service.store.raise(&barred_key(run), run.task, &text, clock::now()).await.map(drop)
}

/// The run's records can be read: whoever was told otherwise is told so.
///
/// # Errors
/// The database.
pub async fn readable(service: &Service, run: &RunRow) -> Result<(), StoreError> {
    let how = format!("the records of run {} can be read again; it goes on", run.id);
    lower(service, run, &[barred_key(run)], &how).await
}

/// Nothing of the run is left: whoever was told otherwise is told so.
///
/// # Errors
/// The database.
pub async fn over(service: &Service, run: &RunRow) -> Result<(), StoreError> {
    let ours = [key(run), barred_key(run), unwritten::key(run)];
    let how = format!("nothing of run {} lives any more; it goes on", run.id);
    lower(service, run, &ours, &how).await
}

/// Takes back what was told of the run, where it was.
async fn lower(service: &Service, run: &RunRow, keys: &[String], how: &str) -> Result<(), StoreError> {
    // Read first: this is the way of every run, and hardly any was told of.
    let mut told = service.store.notices().await?;
    told.retain(|notice| keys.contains(&notice.key));
    if told.is_empty() {
        return Ok(());
    }
    let text = format!("{}: {how}", service.label(run.task).await);
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
        let ours = [KEY, BARRED, unwritten::KEY].iter().any(|key| notice.key.starts_with(key));
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

fn barred_key(run: &RunRow) -> String {
    format!("{BARRED}{}", run.id)
}
