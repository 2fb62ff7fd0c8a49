//! Decision → adapter → event: the only place where effects start.
//!
//! Effects of one target and lane happen one after another, in order; each is repeated with
//! back-off until it succeeds or its adapter says that repeating is no use.

mod actions;
mod board;
mod chat;
mod clean_up;
mod unfinished;
mod unsaid;

use std::sync::Arc;
use std::time::Duration;

use crate::engine::model::Millis;
use crate::shell::launch::LaunchError;
use crate::shell::process::Alive;
use crate::shell::service::Service;
use crate::shell::store::{Effect, OutboxRow, RunState, StoreError, Target};
use crate::shell::tracker::Said;
use crate::shell::{clock, crash, launch, settle};

/// Effects taken up in one look.
const BATCH: u32 = 64;
/// Longest pause between two tries of an effect.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// The same for what a stop waits for, or the end of a stop: it is looked at every minute at least.
const LOOK_MAX: Millis = Millis::secs(60);

/// Why an effect did not happen.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// It may work later.
    #[error("{0}")]
    Later(String),
    /// Something else has to happen first: look again after this long, without counting a failure.
    #[error("not yet")]
    NotYet(Millis),
    /// The same, for a reason that is worth keeping with the effect.
    #[error("{0}")]
    Wait(String, Millis),
    /// Repeating it is no use.
    #[error("{0}")]
    Never(String),
    /// Nor is it for anything else that is to be done there.
    #[error("{0}")]
    Nowhere(String),
    /// The same, and nobody misses it.
    #[error("{0}")]
    LeftOut(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Self {
        match error {
            LaunchError::Store(error) => Self::Store(error),
            other => Self::Later(other.to_string()),
        }
    }
}

/// Takes up every effect that is due; the store hands out none twice.
pub async fn pump(service: &Arc<Service>) -> Result<(), StoreError> {
    for row in service.store.due_effects(clock::now(), BATCH).await? {
        let service = Arc::clone(service);
        tokio::spawn(async move { one(&service, row).await });
    }
    Ok(())
}

/// Takes up the orders to end a run, and nothing else: what a full disk does not hold up.
pub async fn kills(service: &Arc<Service>) -> Result<(), StoreError> {
    for row in service.store.due_kills(clock::now()).await? {
        let service = Arc::clone(service);
        tokio::spawn(async move { one(&service, row).await });
    }
    Ok(())
}

async fn one(service: &Arc<Service>, row: OutboxRow) {
    let (id, attempts) = (row.id, row.attempts);
    let longest = match row.effect {
        Effect::Act(_) | Effect::CleanUp(_) => LOOK_MAX,
        _ => Millis(i64::MAX),
    };
    let cleaned = matches!(&row.effect, Effect::CleanUp(_)).then_some(row.target.task).flatten();
    let acting = match &row.effect {
        Effect::Act(intent) => row.target.task.map(|task| (task, intent.action.clone())),
        _ => None,
    };
    let (target, kind, what) = (row.target.clone(), row.effect.kind(), unsaid::what(&row.effect));
    let own = Arc::clone(service);
    // Of its own, so that a defect in it is a failure like others, and is told and tried again like them.
    let result = tokio::spawn(async move { perform(&own, row).await })
        .await
        .unwrap_or_else(|fell| Err(Failure::Later(format!("a defect of the service: {fell}"))));
    if let Some(task) = cleaned {
        clean_up::tell(service, task, attempts, result.as_ref().err()).await;
    }
    if let Some((task, action)) = acting {
        actions::tell(service, task, &action, attempts, result.as_ref().err()).await;
    }
    let now = clock::now();
    let recorded = match result {
        Ok(()) => {
            crash::point("effect");
            Ok(())
        }
        Err(Failure::NotYet(pause)) => {
            service
                .store
                .effect_postpone(id, "waits for something else first", now.plus(pause))
                .await
        }
        Err(Failure::Wait(why, pause)) => service.store.effect_postpone(id, &why, now.plus(pause)).await,
        Err(Failure::Later(why)) => {
            let about = about(service, &target).await;
            tracing::warn!(effect = id, attempts, kind, %about, "an effect failed and is tried again: {why}");
            service.store.effect_retry(id, &why, now.plus(pause(attempts).min(longest))).await
        }
        Err(failure @ (Failure::Never(_) | Failure::Nowhere(_) | Failure::LeftOut(_))) => {
            let about = about(service, &target).await;
            tracing::error!(effect = id, kind, %about, "an effect was given up: {failure}");
            let told = what.and_then(|what| unsaid::alert(id, &about, &what, &failure));
            service.store.effect_given_up(id, &failure.to_string(), told, now).await
        }
        Err(Failure::Store(error)) => Err(error),
    };
    if let Err(error) = recorded {
        let about = about(service, &target).await;
        match error {
            // Something came in between: no trouble.
            StoreError::Conflict => tracing::info!(effect = id, kind, %about, "{error}: the effect is looked at again"),
            _ => tracing::error!(effect = id, kind, %about, %error, "an effect's outcome could not be recorded; it is looked at again"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Not before that can be recorded: the outside is not to see it every second.
        service.mended().await;
        service.store.effect_release(id);
    }
    service.wake();
}

/// What people call that which an effect is for: a task, else an issue, else a project.
async fn about(service: &Service, target: &Target) -> String {
    match (target.task, &target.issue) {
        (Some(task), _) => service.label(task).await,
        (None, Some(issue)) => format!("issue {issue} of {}", target.project),
        (None, None) => target.project.to_string(),
    }
}

/// 0.25 s, doubling, at most [`PAUSE_MAX`].
fn pause(attempts: u32) -> Millis {
    let millis = 250_u64
        .saturating_mul(1 << attempts.min(20))
        .min(u64::try_from(PAUSE_MAX.as_millis()).unwrap_or(u64::MAX));
    Millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

async fn perform(service: &Arc<Service>, row: OutboxRow) -> Result<(), Failure> {
    match &row.effect {
        Effect::Status { status } => board::status(service, &row, status).await,
        Effect::Comment { key, text, agent } => {
            let said = Said {
                key,
                at: row.created_at,
                text,
                agent: agent.as_ref(),
            };
            board::comment(service, &row, &said).await
        }
        Effect::Alert { text, .. } => chat::alert(service, &row, text).await,
        Effect::Card => chat::card(service, &row).await,
        Effect::Settle { run } => Ok(settle::settle(service, &row, *run).await?),
        Effect::Kill { run, why } => {
            kill(service, *run, *why).await?;
            Ok(service.store.effect_done(row.id, None, clock::now()).await?)
        }
        Effect::Act(intent) => actions::act(service, &row, intent).await,
        Effect::CleanUp(what) => clean_up::clean_up(service, &row, what).await,
    }
}

/// Ends a run's processes by our order. The end itself is noticed by whoever follows the run.
async fn kill(service: &Arc<Service>, id: crate::engine::model::RunId, why: crate::engine::model::Kill) -> Result<(), Failure> {
    let Some(run) = service.store.run(id).await? else { return Ok(()) };
    if matches!(run.state, RunState::Exited | RunState::Ended) {
        return Ok(());
    }
    let Some(process) = run.process() else {
        // Claimed, not yet spawned: the launch sees the order before and after it spawns.
        return Ok(());
    };
    let alive = Alive {
        pid: process.pid,
        start: process.start,
        boot_id: process.boot_id,
    };
    launch::stop(service, &run, &alive, why).await;
    Ok(())
}
