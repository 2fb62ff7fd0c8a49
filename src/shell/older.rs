//! A start on a database that is older than the runs beside it: what is at work is not left to itself, no number of a run is
//! given a second time, and people are told what they have before them.

use std::path::{Path, PathBuf};

use crate::engine::model::RunId;
use crate::shell::clock;
use crate::shell::process::{Evidence, Owner, Supervisor, evidence, files, names};
use crate::shell::store::{AtWork, Store, StoreError};

/// The shim that is at work in a run's folder. One that has not begun yet never will.
#[must_use]
pub fn at_work(dir: &Path) -> Option<i32> {
    match evidence(dir) {
        Evidence::Alive(shim) => Some(shim.pid),
        Evidence::Exited(_) | Evidence::NeverStarted | Evidence::Gone | Evidence::Barred(_) => None,
    }
}

/// Runs of a data directory whose shims are at work, as its files tell: for a service that cannot start, and so neither
/// follows them nor could be told to end them. Nothing is changed, and nothing that cannot be read is an error.
#[must_use]
pub fn unattended(data: &Path) -> Vec<AtWork> {
    let entries = std::fs::read_dir(data.join("runs")).into_iter().flatten().flatten();
    let mut found: Vec<AtWork> = entries.filter_map(|entry| shim_of(entry.path())).collect();
    found.sort_by_key(|at_work| at_work.run);
    found
}

fn shim_of(dir: PathBuf) -> Option<AtWork> {
    let run = RunId(dir.file_name()?.to_str()?.parse().ok()?);
    match files::read_json::<Owner>(&dir.join(names::OWNER)) {
        Ok(Some(Owner::Shim(shim))) if shim.alive() && !dir.join(names::EXIT).exists() => Some(AtWork { run, dir, pid: shim.pid }),
        _ => None,
    }
}

/// Goes on above the runs that the database does not know; what their agents left running without a shim is ended first,
/// since nobody else would ever look for it.
///
/// # Errors
/// As all of the store.
pub async fn begin(store: &Store, supervisor: &Supervisor) -> Result<(), StoreError> {
    for dir in store.later_runs().await? {
        if supervisor.evidence(&dir).await != Evidence::Gone {
            continue;
        }
        let swept = supervisor.sweep(&dir).await;
        if swept.left > 0 {
            let left = swept.left;
            tracing::error!(
                left,
                "processes of {}, of which the database knows nothing, cannot be ended: end them as their user",
                dir.display()
            );
        }
    }
    if !pass_over(store).await? {
        store.knows_all_beside(clock::now()).await?;
    }
    Ok(())
}

/// Numbers of runs that lie beside the database and that it does not know are passed over, with a word to people. Whether
/// there are any.
///
/// # Errors
/// As all of the store.
pub async fn pass_over(store: &Store) -> Result<bool, StoreError> {
    let text = store.pass_over_beside(clock::now()).await?;
    if let Some(text) = &text {
        tracing::warn!("{text}");
    }
    Ok(text.is_some())
}
