//! The shim's loop: wait for whatever happens, then look at everything.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::cascade::{Cascade, Grasp, Reaper};
use super::ground::{Ground, Line, Started, ended};
use super::log_cap::LogCap;
use super::orders::{self, Told};
use super::output::Output;
use super::record::{Begun, boottime, complete, full, wall, write_exit, write_shim};
use super::streams::Streams;
use crate::engine::model::Kill;
use crate::shell::mask::Mask;
use crate::shell::process::procs::{Found, Scope, child_of};
use crate::shell::process::{Alive, Exit, Handover, KillOrder, RunSpec, start_time, tag};

/// What an agent left behind gets this long between SIGTERM and SIGKILL, or the run's grace if that is shorter.
const LEFTOVER_GRACE_MS: i64 = 2_000;
/// Most processes that could not be ended are kept by name.
const REFUSED_MAX: usize = 100;
/// For so long a SIGTERM may belong to an order that was taken already.
const ECHO: Duration = Duration::from_secs(2);
/// Longest time between two looks at everything.
const PACE: Duration = Duration::from_secs(1);

pub(super) struct Signals {
    child: Signal,
    term: Signal,
    /// Listened to only so that they do not end the shim: ignoring them would be inherited by the agent.
    hup: Signal,
    int: Signal,
    quit: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
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
    pub(super) async fn next(&mut self, at_most: Duration, word: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            _ = self.term.recv() => true,
            _ = self.child.recv() => false,
            _ = self.hup.recv() => false,
            _ = self.int.recv() => false,
            _ = self.quit.recv() => false,
            () = word => false,
            () = sleep(at_most) => false,
        }
    }
}

/// Carries out the run of `dir`, which is ours.
pub(super) async fn run(dir: &Path, me: Alive, mut spec: RunSpec, handover: Handover, ground: Ground) -> Result<(), String> {
    let mut signals = Signals::new().map_err(|e| format!("cannot listen to signals: {e}"))?;
    let started_at = wall();
    write_shim(dir, &me, &ground, None).map_err(|e| format!("cannot write who we are into {}: {e}", dir.display()))?;
    let mut exit = Exit {
        started_at,
        ended_at: started_at,
        containment: ground.level(),
        ..Exit::default()
    };
    let mask = handover.mask(&mut spec);
    drop(handover);
    let log = match start(&ground, &spec, &mask) {
        Ok((started, output)) => {
            drop(mask);
            let shim = Shim::new(dir, me, spec, &ground, started, output);
            shim.watch(&mut signals, &mut exit).await
        }
        Err(error) => {
            exit.launch_error = Some(mask.text(&error));
            None
        }
    };
    ground.leave();
    exit.ended_at = wall();
    // Before the exit record: whoever finds that reads the log.
    if let Some(mut log) = log {
        complete(dir, &mut log).await;
        let kept = log.finish();
        (exit.log_bytes, exit.log_truncated, exit.log_lost) = (kept.printed, kept.truncated, kept.starved);
    }
    write_exit(dir, &mut exit).await;
    Ok(())
}

/// Starts the agent, and takes what it prints.
fn start(ground: &Ground, spec: &RunSpec, mask: &Mask) -> Result<(Started, Output), String> {
    let log = LogCap::create(&spec.log, spec.log_max_bytes).map_err(|e| {
        let log = spec.log.display();
        format!("cannot open log {log}: {e}; free disk space or mend its permissions")
    })?;
    let pipe = |e| format!("its output cannot be taken: {e}; are there too many open files?");
    let (read, write) = Streams::pipes().map_err(pipe)?;
    let output = Output::begin(read, mask, log).map_err(pipe)?;
    let started = ground.start(spec, write)?;
    Ok((started, output))
}

/// A run under way.
struct Shim<'a> {
    dir: PathBuf,
    me: Alive,
    spec: RunSpec,
    ground: &'a Ground,
    grasp: Grasp,
    /// The way to the init, where there is one.
    init: Option<Line>,
    begun: Begun,
    /// Whether `shim.json` names the agent.
    recorded: bool,
    /// How the agent ended: exit status or signal.
    status: Option<(Option<i32>, Option<i32>)>,
    /// Whether the disk was full then.
    disk_full: bool,
    /// Since boot.
    deadline: i64,
    scope: Scope,
    reaper: Reaper,
    output: Output,
    killed: Option<Kill>,
    cascade: Option<Cascade>,
    left_behind: HashSet<Found>,
    /// Whether an order was taken whose SIGTERM is still to come.
    awaits_term: bool,
    /// When an order was taken last.
    ordered: Option<Instant>,
}

impl<'a> Shim<'a> {
    fn new(dir: &Path, me: Alive, spec: RunSpec, ground: &'a Ground, started: Started, output: Output) -> Self {
        let child = Found {
            pid: started.child,
            start: start_time(started.child).unwrap_or(0),
        };
        let begun = match ground {
            Ground::Pidns => Begun {
                agent: child_of(child.pid).unwrap_or(child).pid,
                init: Some((child.pid, child.start)),
            },
            Ground::Cgroup(_) | Ground::Tagged => Begun {
                agent: child.pid,
                init: None,
            },
        };
        Self {
            dir: dir.to_owned(),
            deadline: boottime().saturating_add(spec.deadline_ms),
            scope: Scope {
                shim: Some(me.pid),
                tag: tag(dir),
            },
            reaper: Reaper::new(child.pid),
            output,
            recorded: false,
            status: None,
            disk_full: false,
            killed: None,
            cascade: None,
            left_behind: HashSet::new(),
            awaits_term: false,
            ordered: None,
            init: started.init,
            ground,
            grasp: ground.grasp(child),
            begun,
            me,
            spec,
        }
    }

    /// Returns when nothing of the run lives any more: its log.
    async fn watch(mut self, signals: &mut Signals, exit: &mut Exit) -> Option<LogCap> {
        let refused = loop {
            if !self.recorded {
                self.recorded = write_shim(&self.dir, &self.me, self.ground, Some(&self.begun)).is_ok();
            }
            let childless = self.reap();
            self.obey(false);
            let mut pause = PACE;
            if self.status.is_some() {
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
                        if self.status.is_some() && round.over(childless) {
                            break round.refused;
                        }
                        pause = pause.min(round.pause);
                    }
                    Err(_) => pause = pause.min(Duration::from_millis(250)),
                }
            }
            let word = async {
                match &self.init {
                    Some(line) if self.status.is_none() => line.readable().await,
                    _ => std::future::pending().await,
                }
            };
            if signals.next(pause, word).await {
                self.obey(true);
            }
        };
        self.conclude(exit, refused).await
    }

    /// Reaps, and learns how the agent ended; `true` when no child is left.
    fn reap(&mut self) -> bool {
        let childless = self.reaper.reap();
        if self.status.is_none() {
            self.status = ended(&self.reaper, self.init.as_mut());
            // There may be room again by the time that it is written down.
            self.disk_full = self.status.is_some() && full(&self.dir);
        }
        childless
    }

    async fn conclude(self, exit: &mut Exit, refused: Vec<Found>) -> Option<LogCap> {
        (exit.code, exit.signal) = self.status.unwrap_or_default();
        exit.killed = self.killed;
        exit.disk_full = self.disk_full;
        exit.survivors = u32::try_from(self.left_behind.len()).unwrap_or(u32::MAX);
        exit.unkillable = u32::try_from(refused.len()).unwrap_or(u32::MAX);
        let named = refused.into_iter().take(REFUSED_MAX).map(|found| Alive {
            pid: found.pid,
            start: found.start,
            boot_id: self.me.boot_id.clone(),
        });
        exit.refused = named.collect();
        self.output.end().await
    }

    /// Carries out orders: those in the run directory, and a SIGTERM, whose reason may lie there.
    fn obey(&mut self, terminated: bool) {
        let order = match orders::look(&self.dir) {
            Told::End(order) => {
                self.awaits_term = !terminated;
                self.ordered = Some(Instant::now());
                order
            }
            Told::Abandoned(order) => order,
            // It comes with an order that was seen before its signal arrived.
            Told::Nothing if terminated && std::mem::take(&mut self.awaits_term) => return,
            // So does the signal of an order that was given twice, and seen once.
            Told::Nothing if terminated && self.ordered.is_some_and(|at| at.elapsed() < ECHO) => return,
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
        self.reap();
        let why = self.status.is_none().then_some(order.why);
        self.end(why, order.grace_ms.unwrap_or(self.spec.grace_ms));
    }

    /// Begins to end the run, or hastens its end.
    fn end(&mut self, why: Option<Kill>, grace_ms: i64) {
        let kill_at = boottime().saturating_add(grace_ms.max(0));
        match &mut self.cascade {
            Some(cascade) => cascade.hasten(kill_at),
            None => {
                self.killed = why;
                self.cascade = Some(Cascade::new(self.scope.clone(), self.grasp.clone(), kill_at));
            }
        }
    }
}
