//! What became of runs that nobody follows: all of them after a restart; later those whose launch or end could not be
//! recorded.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::Semaphore;

use crate::engine::model::{Millis, RunEnd};
use crate::shell::process::{Evidence, Outcome};
use crate::shell::service::Service;
use crate::shell::store::{NOT_LAUNCHED, RunRow, RunState, StoreError};
use crate::shell::{clock, launch, left, settle};

/// Runs that are looked at, or swept after, at the same time.
const TOGETHER: usize = 16;

/// Sweeps under way: each walks through all processes of the machine, again and again.
static SWEEPS: Semaphore = Semaphore::const_new(TOGETHER);

/// Takes up what the last service left.
///
/// # Errors
/// The database.
pub async fn begin(service: &Arc<Service>) -> Result<(), StoreError> {
    take_up_all(service, service.store.was_closed()).await
}

/// Takes up what nobody follows though the service has not been started anew.
///
/// # Errors
/// The database.
pub async fn recover(service: &Arc<Service>) -> Result<(), StoreError> {
    take_up_all(service, false).await
}

async fn take_up_all(service: &Arc<Service>, in_order: bool) -> Result<(), StoreError> {
    let runs = service.store.open_runs().await?;
    let lost = runs.into_iter().filter(|run| run.state != RunState::Exited);
    // Together, so that what is recorded of them is on disk together.
    let mut looks = futures_util::stream::iter(lost.map(|run| take_up(service, run, in_order))).buffered(TOGETHER);
    while let Some(outcome) = looks.next().await {
        outcome?;
    }
    Ok(())
}

/// What became of a run that nobody follows. What takes its time – sweeping after it, following it – is done aside: nothing
/// else waits for it.
async fn take_up(service: &Arc<Service>, run: RunRow, in_order: bool) -> Result<(), StoreError> {
    let Some(held) = service.busy.take(format!("run {}", run.id)) else {
        return Ok(());
    };
    // It may have come to its end since it was read.
    let Some(run) = service.store.run(run.id).await? else {
        return Ok(());
    };
    if matches!(run.state, RunState::Exited | RunState::Ended) {
        return Ok(());
    }
    let evidence = service.supervisor.evidence(&service.run_dir(run.id)).await;
    if !matches!(evidence, Evidence::Barred(_)) {
        left::readable(service, &run).await?;
    }
    if evidence == Evidence::NeverStarted {
        return never_started(service, &run, in_order).await;
    }
    let service = Arc::clone(service);
    tokio::spawn(async move {
        let _held = held;
        if let Err(error) = go_on(&service, &run, evidence).await {
            tracing::error!(run = %run.id, %error, "what became of a run could not be recorded; it is looked at again");
        }
        service.wake();
    });
    Ok(())
}

async fn go_on(service: &Arc<Service>, run: &RunRow, evidence: Evidence) -> Result<(), StoreError> {
    match evidence {
        Evidence::Alive(alive) => {
            tracing::info!(run = %run.id, pid = alive.pid, "adopted");
            launch::started(service, run, &alive, None).await?;
            launch::follow(service, run, &alive).await;
            Ok(())
        }
        Evidence::Exited(exit) => settle::exited(service, run, Outcome::Exited(exit)).await,
        Evidence::Barred(why) => settle::exited(service, run, Outcome::Barred(why)).await,
        Evidence::NeverStarted | Evidence::Gone => {
            // Never closed; whoever is refused all the same sweeps without a turn.
            let _turn = SWEEPS.acquire().await.ok();
            settle::exited(service, run, Outcome::Gone).await
        }
    }
}

/// One that never began. Where the service ended in good order that end cut it off, which is nobody's fault: its job goes
/// back into the queue and nothing is used up. After a crash it may be what the service died of: it counts as lost, and a
/// job that is lost again and again is poison.
async fn never_started(service: &Arc<Service>, run: &RunRow, in_order: bool) -> Result<(), StoreError> {
    if let Some(why) = run.kill {
        return settle::end_without_work(service, run, RunEnd::Killed(why)).await;
    }
    if run.state != RunState::Starting {
        return settle::end_without_work(service, run, RunEnd::Lost).await;
    }
    service.forget_run_files(run).await;
    if !in_order {
        return service.store.never_began(run.id, clock::now()).await.map(drop);
    }
    let why = format!("{NOT_LAUNCHED}the service was ended before it began");
    tracing::info!(run = %run.id, slot = %run.slot, "put back into the queue: {why}");
    service.store.put_back(run.id, &why, Some(Millis(0)), clock::now()).await?;
    Ok(())
}
