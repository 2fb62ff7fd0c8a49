//! The service's side: start a shim, find it again, wait for it, stop it, sweep after it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::evidence::{look, read_exit};
use super::start::{START_LIMIT, refused, start};
use super::wait::ended;
use super::{
    Alive, Evidence, KillOrder, Outcome, RunSpec, ShimRecord, SpawnError, StopError, Swept, boot_id, files, handle, names, signal,
};
use crate::engine::model::Kill;

/// Starts runs and watches them. Holds no state: everything is in the run directories.
#[derive(Debug, Clone)]
pub struct Supervisor {
    exe: PathBuf,
}

impl Supervisor {
    /// A supervisor starting shims from this binary.
    #[must_use]
    pub fn new(exe: PathBuf) -> Self {
        Self { exe }
    }

    /// The containment level in force: what is promised about killing.
    #[must_use]
    pub fn containment() -> &'static str {
        "tagged"
    }

    /// Starts a run: writes its `spec.json` and starts a shim that survives the service. Returns
    /// once the shim has taken the run; an agent that cannot be started shows in its [`Exit`].
    ///
    /// # Errors
    /// When the run could not be started; nothing of it runs then, nor will.
    pub async fn spawn(&self, dir: &Path, spec: &RunSpec) -> Result<Alive, SpawnError> {
        let (exe, target, spec) = (self.exe.clone(), dir.to_owned(), spec.clone());
        let started = tokio::task::spawn_blocking(move || start(&exe, &target, spec)).await;
        let (dir, alive) = match started {
            Ok(result) => result?,
            Err(e) => {
                return Err(SpawnError::Prepare {
                    dir: dir.to_owned(),
                    source: io::Error::other(e),
                });
            }
        };
        let until = Instant::now() + START_LIMIT;
        let mut pause = Duration::from_millis(1);
        loop {
            let dead = !alive.alive();
            let record = files::read_json::<ShimRecord>(&dir.join(names::SHIM));
            if record.is_ok_and(|r| r.is_some_and(|r| (r.pid, r.pid_start) == (alive.pid, alive.start))) {
                return Ok(alive);
            }
            if dead || Instant::now() > until {
                return Err(refused(&dir, &alive, dead).await);
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// What is known of a run that was to be started before a restart. A run whose shim has not
    /// taken it yet is taken from it: the answer stays true.
    pub async fn evidence(&self, dir: &Path) -> Evidence {
        let target = dir.to_owned();
        // A run that could not be looked at is lost rather than repeated; the sweep makes sure.
        tokio::task::spawn_blocking(move || look(&target)).await.unwrap_or(Evidence::Gone)
    }

    /// Waits until the shim has ended, however long that takes.
    pub async fn wait(&self, alive: &Alive, dir: &Path) -> Outcome {
        loop {
            match handle(alive.pid, alive.start) {
                Ok(Some(fd)) if alive.boot_id == boot_id() => match ended(fd).await {
                    Ok(()) => break,
                    Err(error) => tracing::warn!(dir = %dir.display(), %error, "cannot watch a run's shim; trying again"),
                },
                Ok(_) => break,
                Err(error) => tracing::warn!(dir = %dir.display(), %error, "cannot open a run's shim; trying again"),
            }
            sleep(Duration::from_secs(1)).await;
        }
        match read_exit(dir) {
            Some(exit) => Outcome::Exited(exit),
            None => Outcome::Gone,
        }
    }

    /// Orders a run to end and returns; [`Supervisor::wait`] tells when it has. May be repeated: a
    /// repeated order can shorten the grace, never prolong it. Without a shim, what is left of
    /// the run is ended here. Without a `grace` the run's own counts.
    ///
    /// # Errors
    /// When the order could not be given, or what is left could not be ended.
    pub async fn stop(&self, alive: &Alive, dir: &Path, why: Kill, grace: Option<Duration>) -> Result<(), StopError> {
        let order = KillOrder {
            why,
            grace_ms: grace.map(|g| i64::try_from(g.as_millis()).unwrap_or(i64::MAX)),
        };
        if let Err(error) = files::write_json(&dir.join(names::KILL), &order) {
            // Ending it matters more than the reason on record.
            tracing::warn!(dir = %dir.display(), %error, "cannot write the reason of a stop; the run will show a foreign signal");
        }
        let sent = alive.boot_id == boot_id() && alive.alive();
        let sent = if sent {
            signal(alive.pid, alive.start, Signal::TERM)
        } else {
            Ok(false)
        };
        match sent {
            Ok(true) => Ok(()),
            Ok(false) if read_exit(dir).is_some() => Ok(()),
            Ok(false) => match self.sweep(dir).await.left {
                0 => Ok(()),
                left => Err(StopError::Left { left, dir: dir.to_owned() }),
            },
            Err(source) => Err(StopError::Signal {
                pid: alive.pid,
                dir: dir.to_owned(),
                source,
            }),
        }
    }

    /// Ends everything that carries the tag of this run directory: SIGTERM, a short grace, SIGKILL
    /// until two walks in a row find nothing. For runs whose shim is gone.
    pub async fn sweep(&self, dir: &Path) -> Swept {
        super::sweep::sweep(dir).await
    }
}
