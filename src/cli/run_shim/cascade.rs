//! Ending everything that belongs to the run: SIGTERM → grace → SIGKILL, until nothing is left.

use std::collections::HashSet;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use rustix::process::Signal;

use crate::shell::process::cgroup::Leaf;
use crate::shell::process::procs::{Found, Scope, signal_all};

/// Reaps every child that has ended: the agent, or the init that started it, and orphans that
/// came back to their sub-reaper.
pub(super) struct Reaper {
    agent: i32,
    /// How that child ended: exit status or signal.
    pub(super) status: Option<(Option<i32>, Option<i32>)>,
}

impl Reaper {
    pub(super) fn new(agent: i32) -> Self {
        Self { agent, status: None }
    }

    /// Reaps; `true` when no child is left. Every descendant's orphan becomes our child, so that
    /// is proof, not just a look, that no descendant lives.
    pub(super) fn reap(&mut self) -> bool {
        loop {
            let (pid, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, (Some(code), None)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, (None, Some(signal as i32))),
                Ok(WaitStatus::StillAlive) => return false,
                Err(Errno::ECHILD) => return true,
                // A real-time signal, which nix cannot name, ended a child that is reaped by now.
                Err(Errno::EINVAL) => {
                    self.missed();
                    continue;
                }
                Ok(_) | Err(_) => continue,
            };
            if pid.as_raw() == self.agent {
                self.status = Some(status);
            }
        }
    }

    fn missed(&mut self) {
        if self.status.is_none() && crate::shell::process::stat(self.agent).is_none() {
            self.status = Some((None, None));
        }
    }
}

/// What holds the run, while it runs.
#[derive(Debug, Clone)]
pub(super) enum Grasp {
    /// Only what its processes carry along.
    Tag,
    /// A cgroup.
    Cgroup(Leaf),
    /// The init of its namespace, our child: once it is reaped, the kernel has ended all the others.
    Init(Found),
}

impl Grasp {
    fn is_init(&self, found: &Found) -> bool {
        matches!(self, Self::Init(init) if init.pid == found.pid)
    }

    /// Has the kernel end all of it at once. What it may not end is tried one by one.
    fn kill(&self) {
        match self {
            Self::Tag => {}
            Self::Cgroup(leaf) => {
                let _ = leaf.kill();
            }
            Self::Init(init) => {
                signal_all([init], Signal::KILL);
            }
        }
    }

    /// Whether the kernel says that nothing is left.
    fn empty(&self) -> bool {
        match self {
            // The init's being reaped is what counts, and is asked for besides.
            Self::Tag | Self::Init(_) => true,
            Self::Cgroup(leaf) => leaf.empty().unwrap_or(false),
        }
    }
}

/// A cascade under way.
pub(super) struct Cascade {
    scope: Scope,
    grasp: Grasp,
    /// Since boot; from then on SIGKILL.
    kill_at: i64,
    asked: HashSet<Found>,
    rounds: u32,
}

/// What a round of the cascade found.
pub(super) struct Round {
    /// Processes of the run that live.
    pub(super) living: Vec<Found>,
    /// Those among them that may not be signalled.
    pub(super) refused: Vec<Found>,
    /// Whether what holds the run is empty.
    empty: bool,
    /// When to go on, unless a child ends first.
    pub(super) pause: Duration,
}

impl Round {
    /// Whether there is nothing left to be done: nothing lives, and no child is unaccounted for — or
    /// all that lives may not be signalled by us.
    pub(super) fn over(&self, childless: bool) -> bool {
        if self.living.is_empty() {
            childless && self.empty
        } else {
            self.living.len() == self.refused.len()
        }
    }
}

impl Cascade {
    pub(super) fn new(scope: Scope, grasp: Grasp, kill_at: i64) -> Self {
        Self {
            scope,
            grasp,
            kill_at,
            asked: HashSet::new(),
            rounds: 0,
        }
    }

    /// The grace ends then, if that is earlier.
    pub(super) fn hasten(&mut self, kill_at: i64) {
        self.kill_at = self.kill_at.min(kill_at);
    }

    /// Asks every process once to end; after the grace, kills all of them. `Err` when `/proc` could not be read.
    pub(super) fn round(&mut self, now: i64) -> std::io::Result<Round> {
        let mut living = self.scope.members()?;
        living.retain(|found| !self.grasp.is_init(found));
        let killing = now >= self.kill_at;
        let refused = if killing {
            self.rounds += 1;
            self.grasp.kill();
            signal_all(&living, Signal::KILL)
        } else {
            let fresh: Vec<Found> = living.iter().filter(|f| self.asked.insert(**f)).copied().collect();
            let refused = signal_all(&fresh, Signal::TERM);
            // One that was stopped hears SIGTERM only when it goes on.
            signal_all(&fresh, Signal::CONT);
            refused
        };
        Ok(Round {
            refused,
            living,
            empty: self.grasp.empty(),
            pause: self.pause(killing, now),
        })
    }

    fn pause(&self, killing: bool, now: i64) -> Duration {
        if !killing {
            let left = Duration::from_millis(u64::try_from(self.kill_at - now).unwrap_or(0));
            return left.min(Duration::from_millis(250));
        }
        // At first without delay: something may be forking faster than we walk. What resists for
        // long is stuck in the kernel.
        match self.rounds {
            0..=20 => Duration::from_millis(1),
            21..=100 => Duration::from_millis(50),
            _ => Duration::from_secs(1),
        }
    }
}
