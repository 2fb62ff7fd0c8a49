//! The shim's loop: wait for whatever happens, then look at everything.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::cascade::{Cascade, Reaper};
use super::launch::launch;
use super::log_cap::LogCap;
use super::orders::{self, Told};
use super::record::{boottime, wall, write_exit, write_shim};
use crate::engine::model::Kill;
use crate::shell::process::procs::{Found, Scope};
use crate::shell::process::{Alive, Exit, KillOrder, RunSpec, files, names, tag};

/// What an agent left behind gets this long between SIGTERM and SIGKILL, or the run's grace if that is shorter.
const LEFTOVER_GRACE_MS: i64 = 2_000;

struct Signals {
    child: Signal,
    term: Signal,
    /// Listened to only so that they do not end the shim: ignoring them would be inherited by the agent.
    hup: Signal,
    int: Signal,
    quit: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let on = |kind| signal(kind);
        Ok(Self {
            child: on(SignalKind::child())?,
            term: on(SignalKind::terminate())?,
            hup: on(SignalKind::hangup())?,
            int: on(SignalKind::interrupt())?,
            quit: on(SignalKind::quit())?,
        })
    }

    /// Waits for something to happen, at most this long; `true` for SIGTERM.
    async fn next(&mut self, at_most: Duration) -> bool {
        tokio::select! {
            biased;
            _ = self.term.recv() => true,
            _ = self.child.recv() => false,
            _ = self.hup.recv() => false,
            _ = self.int.recv() => false,
            _ = self.quit.recv() => false,
            () = sleep(at_most) => false,
        }
    }
}

/// Carries out the run of `dir`, which is ours.
pub(super) async fn run(dir: &Path, me: Alive) -> Result<(), String> {
    let mut signals = Signals::new().map_err(|e| format!("cannot listen to signals: {e}"))?;
    let spec: Result<Option<RunSpec>, _> = files::read_json(&dir.join(names::SPEC));
    let spec = match spec {
        Ok(Some(spec)) => spec,
        Ok(None) => return Err(format!("{} has no {}", dir.display(), names::SPEC)),
        Err(e) => return Err(format!("cannot read {}/{}: {e}", dir.display(), names::SPEC)),
    };
    let started_at = wall();
    write_shim(dir, &me, None).map_err(|e| format!("cannot write {}/{}: {e}", dir.display(), names::SHIM))?;
    let mut exit = Exit {
        started_at,
        ended_at: started_at,
        ..Exit::default()
    };
    match launch(&spec) {
        Ok(agent) => Shim::new(dir, me, spec, agent).watch(&mut signals, &mut exit).await,
        Err(error) => exit.launch_error = Some(error),
    }
    exit.ended_at = wall();
    write_exit(dir, &exit).await;
    Ok(())
}

/// A run under way.
struct Shim {
    dir: PathBuf,
    me: Alive,
    spec: RunSpec,
    agent: i32,
    /// Whether `shim.json` names the agent.
    recorded: bool,
    /// Since boot.
    deadline: i64,
    scope: Scope,
    reaper: Reaper,
    log: LogCap,
    killed: Option<Kill>,
    cascade: Option<Cascade>,
    left_behind: HashSet<Found>,
    /// Whether an order was taken whose SIGTERM is still to come.
    awaits_term: bool,
}

impl Shim {
    fn new(dir: &Path, me: Alive, spec: RunSpec, agent: i32) -> Self {
        Self {
            dir: dir.to_owned(),
            deadline: boottime().saturating_add(spec.deadline_ms),
            scope: Scope {
                shim: Some(me.pid),
                tag: tag(dir),
            },
            reaper: Reaper::new(agent),
            log: LogCap::new(&spec.log, spec.log_max_bytes),
            recorded: false,
            killed: None,
            cascade: None,
            left_behind: HashSet::new(),
            awaits_term: false,
            me,
            spec,
            agent,
        }
    }

    /// Returns when nothing of the run lives any more.
    async fn watch(mut self, signals: &mut Signals, exit: &mut Exit) {
        let refused = loop {
            if !self.recorded {
                self.recorded = write_shim(&self.dir, &self.me, Some(self.agent)).is_ok();
            }
            let childless = self.reaper.reap();
            self.obey(false);
            let mut pause = self.log.look();
            if self.reaper.status.is_some() {
                if self.cascade.is_none() {
                    self.end(None, LEFTOVER_GRACE_MS.min(self.spec.grace_ms));
                }
            } else if boottime() >= self.deadline {
                self.end(Some(Kill::Deadline), self.spec.grace_ms);
            } else {
                let left = u64::try_from(self.deadline - boottime()).unwrap_or(0);
                pause = pause.min(Duration::from_millis(left));
            }
            if let Some(cascade) = &mut self.cascade {
                match cascade.round(boottime()) {
                    Ok(round) => {
                        if self.killed.is_none() {
                            self.left_behind.extend(&round.living);
                        }
                        if self.reaper.status.is_some() && round.over(childless) {
                            break round.refused;
                        }
                        pause = pause.min(round.pause);
                    }
                    Err(_) => pause = pause.min(Duration::from_millis(250)),
                }
            }
            if signals.next(pause).await {
                self.obey(true);
            }
        };
        self.conclude(exit, refused);
    }

    fn conclude(mut self, exit: &mut Exit, refused: u32) {
        (exit.code, exit.signal) = self.reaper.status.unwrap_or_default();
        exit.killed = self.killed;
        (exit.log_bytes, exit.log_truncated) = self.log.total();
        exit.survivors = u32::try_from(self.left_behind.len()).unwrap_or(u32::MAX);
        exit.unkillable = refused;
    }

    /// Carries out orders: those in the run directory, and a SIGTERM, whose reason may lie there.
    fn obey(&mut self, terminated: bool) {
        let order = match orders::look(&self.dir) {
            Told::End(order) => {
                self.awaits_term = !terminated;
                order
            }
            Told::Abandoned(order) => order,
            // It comes with an order that was seen before its signal arrived.
            Told::Nothing if terminated && std::mem::take(&mut self.awaits_term) => return,
            Told::Nothing if terminated => {
                // The second one is impatience.
                let grace_ms = self.cascade.is_some().then_some(0);
                KillOrder {
                    why: Kill::Foreign,
                    grace_ms,
                }
            }
            Told::Nothing => return,
        };
        // One that has ended by itself keeps its own exit.
        self.reaper.reap();
        let why = self.reaper.status.is_none().then_some(order.why);
        self.end(why, order.grace_ms.unwrap_or(self.spec.grace_ms));
    }

    /// Begins to end the run, or hastens its end.
    fn end(&mut self, why: Option<Kill>, grace_ms: i64) {
        let kill_at = boottime().saturating_add(grace_ms.max(0));
        match &mut self.cascade {
            Some(cascade) => cascade.hasten(kill_at),
            None => {
                self.killed = why;
                self.cascade = Some(Cascade::new(self.scope.clone(), kill_at));
            }
        }
    }
}
