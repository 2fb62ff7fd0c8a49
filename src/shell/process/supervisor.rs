//! The service's side: start a shim, find it again, wait for it, stop it, sweep after it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::evidence::{look, read_exit};
use super::start::{START_LIMIT, refused, start};
use super::wait::ended;
use super::{
    Alive, Containment, Evidence, Exit, KillOrder, Outcome, RunSpec, ShimRecord, SpawnError, StopError, Swept, boot_id, files, handle,
    names, signal,
};
use crate::engine::model::Kill;

/// A level that cannot be tried out within this time cannot be had.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// Starts runs and watches them. Holds no state: everything is in the run directories.
#[derive(Debug, Clone)]
pub struct Supervisor {
    pub(super) exe: PathBuf,
    containment: Containment,
}

impl Supervisor {
    /// A supervisor starting shims from this binary, each at the best level of containment up to
    /// `bound` that it finds.
    #[must_use]
    pub fn new(exe: PathBuf, bound: Containment) -> Self {
        Self { exe, containment: bound }
    }

    /// The same, after trying out which of the levels can be had on this host.
    pub async fn probed(exe: PathBuf, bound: Containment) -> Self {
        for level in Containment::ALL.into_iter().filter(|l| *l <= bound && *l > Containment::Tagged) {
            match probe(&exe, level).await {
                Ok(()) => return Self::new(exe, level),
                Err(why) => tracing::info!(level = level.as_str(), why, "a level of containment cannot be had"),
            }
        }
        Self::new(exe, Containment::Tagged)
    }

    /// The best level up to `bound` that can be had here, and why each better one cannot.
    pub async fn survey(exe: &Path, bound: Containment) -> (Containment, Vec<(Containment, String)>) {
        let mut refused = Vec::new();
        for level in Containment::ALL.into_iter().filter(|l| *l <= bound && *l > Containment::Tagged) {
            match probe(exe, level).await {
                Ok(()) => return (level, refused),
                Err(why) => refused.push((level, why)),
            }
        }
        (Containment::Tagged, refused)
    }

    /// The containment level in force: what is promised about killing.
    #[must_use]
    pub fn containment(&self) -> Containment {
        self.containment
    }

    /// How firmly a run is held, as its shim recorded it.
    pub async fn held(&self, dir: &Path) -> Option<Containment> {
        let path = dir.join(names::SHIM);
        let read = tokio::task::spawn_blocking(move || files::read_json::<ShimRecord>(&path)).await;
        Some(read.ok()?.ok()??.containment)
    }

    /// Whether a run was ever started, or given up, in this directory: no other may be.
    ///
    /// # Errors
    /// [`SpawnError::Taken`] where it was.
    pub async fn free(&self, dir: &Path) -> Result<(), SpawnError> {
        match tokio::fs::symlink_metadata(dir.join(names::OWNER)).await {
            Ok(_) => Err(SpawnError::Taken { dir: dir.to_owned() }),
            // Whatever else is wrong with it is told when it is prepared.
            Err(_) => Ok(()),
        }
    }

    /// Starts a run: writes its `spec.json` and starts a shim that survives the service. Returns
    /// once the shim has taken the run; an agent that cannot be started shows in its [`Exit`].
    ///
    /// # Errors
    /// When the run could not be started; nothing of it runs then, nor will.
    pub async fn spawn(&self, dir: &Path, spec: &RunSpec) -> Result<Alive, SpawnError> {
        let (exe, target, mut spec) = (self.exe.clone(), dir.to_owned(), spec.clone());
        spec.containment = self.containment;
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
            Ok(Some(exit)) => Outcome::Exited(exit),
            Ok(None) => Outcome::Gone,
            Err(why) => Outcome::Barred(why),
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
        let path = dir.join(names::KILL);
        if let Err(error) = files::write_json(&path, &order).or_else(|_| KillOrder::link(&path, why)) {
            // Ending it matters more than the reason on record.
            tracing::warn!(dir = %dir.display(), %error, "cannot write the reason of a stop; the run will show a foreign signal");
        }
        let sent = alive.boot_id == boot_id() && alive.alive();
        let sent = if sent {
            let sent = signal(alive.pid, alive.start, Signal::TERM);
            // One that somebody stopped does not hear it before it goes on.
            let _ = signal(alive.pid, alive.start, Signal::CONT);
            sent
        } else {
            Ok(false)
        };
        match sent {
            Ok(true) => Ok(()),
            Ok(false) if read_exit(dir).is_ok_and(|exit| exit.is_some()) => Ok(()),
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

    /// Whether the run was ordered to end already: its shim looks for that, whether or not it hears the signal.
    #[must_use]
    pub fn ordered(&self, dir: &Path) -> bool {
        [names::KILL, names::KILL_TAKEN]
            .iter()
            .any(|name| dir.join(name).symlink_metadata().is_ok())
    }

    /// How many processes of a run that recorded its end are there all the same: those that its shim could not end, and
    /// whatever else carries its tag, which is ended if it can be. The record may be an agent's own, who killed its shim.
    pub async fn left(&self, dir: &Path, exit: &Exit) -> u32 {
        let refused = exit.refused.iter().filter(|process| process.alive()).count();
        let scope = super::sweep::scope(dir);
        let walked = tokio::task::spawn_blocking(move || scope.members()).await;
        let tagged = match walked {
            Ok(Ok(found)) if found.is_empty() => 0,
            _ => self.sweep(dir).await.left,
        };
        tagged.max(u32::try_from(refused).unwrap_or(u32::MAX))
    }

    /// Ends everything that carries the tag of this run directory: SIGTERM, a short grace, SIGKILL
    /// until two walks in a row find nothing. For runs whose shim is gone.
    pub async fn sweep(&self, dir: &Path) -> Swept {
        super::sweep::sweep(dir).await
    }
}

/// Tries a level out; says why it cannot be had.
async fn probe(exe: &Path, level: Containment) -> Result<(), String> {
    let mut command = tokio::process::Command::new(exe);
    command
        .args(["run-shim", "--probe", level.as_str()])
        .env_clear()
        .current_dir("/")
        .kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    match tokio::time::timeout(PROBE_LIMIT, command.output()).await {
        Ok(Ok(done)) if done.status.success() => Ok(()),
        Ok(Ok(done)) => {
            let said = String::from_utf8_lossy(&done.stderr);
            let last = said.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("it ended without a word");
            Err(last.trim().chars().take(300).collect())
        }
        Ok(Err(error)) => Err(format!("{} cannot be started: {error}", exe.display())),
        Err(_) => Err(format!("it takes longer than {} s", PROBE_LIMIT.as_secs())),
    }
}
