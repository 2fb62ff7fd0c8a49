//! Runs whose agent is gone and whose shim cannot write down how it ended: an agent locked its run's folder, or the disk gives
//! errors. The shim goes on trying, so that nothing is lost; people are told once, and a stop does not wait for it.

use std::convert::Infallible;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::shell::clock;
use crate::shell::process::Alive;
use crate::shell::service::Service;
use crate::shell::store::{RunRow, StoreError};

/// How keys of such notices begin.
pub const KEY: &str = "unwritten end of run ";
/// Time between two looks.
const LOOK: Duration = Duration::from_secs(5);
/// So long may a shim be alone and still be at it: what it does then takes a moment, also on a slow disk.
const BOUND: Duration = Duration::from_secs(15);

/// Watches over a run's end, and never returns: whoever waits for the shim learns of that.
pub async fn watch(service: &Service, run: &RunRow, alive: &Alive) -> Infallible {
    let dir = service.run_dir(run.id);
    let mut alone = None;
    loop {
        tokio::time::sleep(LOOK).await;
        if !service.supervisor.alone(alive, &dir).await {
            alone = None;
            continue;
        }
        // An agent may have stopped it before it ended.
        service.supervisor.go_on(alive);
        if alone.get_or_insert_with(Instant::now).elapsed() >= BOUND
            && let Err(error) = stands(service, run, alive, &dir).await
        {
            tracing::warn!(run = %run.id, %error, "that the end of a run cannot be written down could not be told");
        }
    }
}

/// It stands: people are told, once, and where the run was to be ended anyway its shim is.
async fn stands(service: &Service, run: &RunRow, alive: &Alive, dir: &Path) -> Result<(), StoreError> {
    let key = key(run);
    if !service.store.notices().await?.iter().any(|notice| notice.key == key) {
        let item = service.store.item_label(run.task).await?;
        let item = item.unwrap_or_else(|| format!("#{}", run.task));
        let text = format!(
            "{item}: the agent of run {id} ({slot}) has ended, but how it ended cannot be written down: {why}. Its shim goes on trying, and its \
             place is taken until then. Make {dir} writable again (`ls -ld`, `lsattr -d`; then `chmod u+rwx` or `chattr -i`), or give its work \
             up: signalbox stop {item}",
            id = run.id,
            slot = run.slot,
            why = cause(dir).await,
            dir = dir.display(),
        );
        tracing::error!(run = %run.id, "{text}");
        service.store.raise(&key, run.task, &text, clock::now()).await?;
    }
    let ordered = service.store.run(run.id).await?.and_then(|row| row.kill);
    if ordered.is_some() {
        tracing::warn!(run = %run.id, "its shim is ended: nothing else of the run lives, and it was to be ended");
        service.supervisor.give_up(alive);
    }
    Ok(())
}

/// What the system says to somebody who does what the shim does.
async fn cause(dir: &Path) -> String {
    let trial = dir.join(".trial");
    let tried = match tokio::fs::write(&trial, "").await {
        Ok(()) => tokio::fs::remove_file(&trial).await,
        Err(error) => Err(error),
    };
    match tried {
        Ok(()) => format!(
            "{} itself can be written into, so look at what lies at exit.json in it",
            dir.display()
        ),
        Err(error) => format!("{}: {error}", dir.display()),
    }
}

/// The notice's key.
pub fn key(run: &RunRow) -> String {
    format!("{KEY}{}", run.id)
}
