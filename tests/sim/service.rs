//! The service as it works: one piece of work is one stretch between two of its commits or calls, in
//! the order in which `run.rs`, `queue.rs`, `launch.rs`, `settle.rs` and `perform/` do them. All of
//! it is memory: when the service dies it is gone.

use std::collections::BTreeSet;

use signalbox::engine::model::{Fact, FactKey, Millis, Phase, RepoId, RunId, RunReport, StopState, Task};
use signalbox::engine::step;
use signalbox::shell::store::{Claim, OutboxRow, RunState, StepCommit, StoreError, Target};

use super::life::Life;
use super::outside::Proc;
use super::twin::Twin;

pub const PROJECT: &str = "p";
const REST: Millis = Millis::secs(5);

/// A piece of work under way.
pub enum Work {
    /// The loop looks: timers, events, jobs, effects, one after the other.
    Look(u8),
    Claims(Vec<Claim>),
    Decide {
        target: Target,
        stop: bool,
        key: String,
    },
    Commit {
        target: Target,
        stop: bool,
        key: String,
        step: Box<StepCommit>,
        put_off: bool,
    },
    /// A target may be worked on again.
    Free(String),
    Launch {
        run: RunId,
        at: u8,
        start: String,
    },
    Follow(RunId),
    Effect {
        row: Box<OutboxRow>,
        at: u8,
    },
    Settled {
        effect: i64,
        run: RunId,
        report: Box<RunReport>,
    },
    Acted {
        row: Box<OutboxRow>,
        outcome: &'static str,
        moved: bool,
    },
    Sync {
        delivery: Option<usize>,
        issue: String,
        next: usize,
    },
}

/// All that the service has in memory.
#[derive(Default)]
pub struct Memory {
    pub work: Vec<Work>,
    pub later: Vec<(Millis, Work)>,
    pub busy: BTreeSet<String>,
    pub marked: u64,
    pub woken: bool,
    pub looking: bool,
    /// When the nap ends; never where nothing is due.
    pub nap_until: Option<Millis>,
}

impl Life {
    pub fn mem(&mut self) -> &mut Memory {
        self.mem.as_mut().unwrap()
    }

    pub fn then(&mut self, work: Work) {
        self.mem().work.push(work);
    }

    pub fn after(&mut self, wait: Millis, work: Work) {
        let at = self.out.t.plus(wait);
        self.mem().later.push((at, work));
    }

    /// A service begins: what was left is taken up (`launch::recover`, the board's catch-up).
    pub fn begins(&mut self) {
        self.mem = Some(Memory {
            woken: true,
            ..Memory::default()
        });
        self.keeps_time();
        for run in self.disk.is.runs.clone() {
            if !matches!(run.state, RunState::Starting | RunState::Running) {
                continue;
            }
            match self.out.procs.get(&run.id).map(|p| p.state) {
                Some(Proc::Alive) if self.twin != Twin::RescuedAlive => {
                    let _ = self.disk.run_started(run.id, self.now());
                    if run.kill.is_some() {
                        self.out.kill(run.id);
                    }
                    self.then(Work::Follow(run.id));
                }
                Some(Proc::Exited) => self.exited(run.id, true),
                _ => self.exited(run.id, false),
            }
        }
        if self.twin != Twin::NotPolled {
            for issue in self.out.cards.keys().cloned().collect::<Vec<_>>() {
                self.then(Work::Sync {
                    delivery: None,
                    issue,
                    next: 0,
                });
            }
        }
    }

    /// Whether the loop is to look: somebody rang, something was committed, or the nap is over.
    pub fn wakes(&self) -> bool {
        let Some(mem) = &self.mem else { return false };
        !mem.looking && (mem.woken || self.disk.is.commits > mem.marked || mem.nap_until.is_some_and(|until| self.out.t >= until))
    }

    pub fn is_ready(&self, work: &Work) -> bool {
        match work {
            Work::Follow(run) => self.out.procs[run].state != Proc::Alive,
            _ => true,
        }
    }

    pub fn works(&mut self, work: Work) {
        match work {
            Work::Look(at) => self.look(at),
            Work::Claims(claims) => self.claims(claims),
            Work::Decide { target, stop, key } => self.decide(target, stop, key),
            Work::Commit {
                target,
                stop,
                key,
                step,
                put_off,
            } => self.commit(target, stop, key, &step, put_off),
            Work::Free(key) => {
                self.mem().busy.remove(&key);
                self.mem().woken = true;
            }
            Work::Launch { run, at, start } => self.launch(run, at, start),
            Work::Follow(run) => {
                let gone = self.out.procs[&run].state == Proc::Gone;
                self.exited(run, !gone);
                self.mem().woken = true;
            }
            Work::Effect { row, at } => self.effect(row, at),
            Work::Settled { effect, run, report } => {
                let end = report.end.clone();
                self.end_run(run, &end, Some(*report), Some(effect));
                self.mem().woken = true;
            }
            Work::Acted { row, outcome, moved } => self.acted(&row, outcome, moved),
            Work::Sync { delivery, issue, next } => self.sync(delivery, issue, next),
        }
    }

    /// As `timekeeping.rs`: what is due moves along when the wall clock was set, also while nobody looked.
    fn keeps_time(&mut self) {
        if let Some(by) = self.clock.jump(self.offset).filter(|_| self.twin != Twin::TrustsTheClock) {
            self.disk.shift(by, self.now());
            self.clock.known(by);
        }
    }

    pub fn look(&mut self, at: u8) {
        let now = self.now();
        match at {
            0 => {
                let commits = self.disk.is.commits;
                let mem = self.mem();
                (mem.marked, mem.woken, mem.looking) = (commits, false, true);
                self.keeps_time();
                let now = self.now();
                if self.disk.is.next_due().is_some_and(|due| due <= now) {
                    if self.twin != Twin::NeverPromoted {
                        self.disk.promote(now);
                    }
                    self.disk.fire_timers(now);
                }
            }
            1 => {
                for pending in self.disk.is.pending() {
                    self.spawn_target(pending.target, pending.stop);
                }
                let due = |d: &super::model::Delivery| d.open && d.due <= now;
                let all: Vec<_> = self
                    .disk
                    .is
                    .deliveries
                    .iter()
                    .cloned()
                    .enumerate()
                    .filter(|(_, d)| due(d))
                    .collect();
                for (n, delivery) in all {
                    if self.mem().busy.insert(format!("delivery {n}")) {
                        self.then(Work::Sync {
                            delivery: Some(n),
                            issue: delivery.issue,
                            next: 0,
                        });
                    }
                }
            }
            2 => {
                let claims = self.claimable();
                return self.claims(claims);
            }
            _ => {
                for row in self.disk.due_effects(now) {
                    self.then(Work::Effect { row: Box::new(row), at: 0 });
                }
                let is = &self.disk.is;
                let open = is
                    .deliveries
                    .iter()
                    .enumerate()
                    .filter(|(n, d)| d.open && !self.mem.as_ref().unwrap().busy.contains(&format!("delivery {n}")));
                let due = [is.next_due(), is.breaker_due(now), open.map(|(_, d)| d.due).min()]
                    .into_iter()
                    .flatten()
                    .min();
                // No safety poll: what only that would notice is never noticed here.
                let until = due.map(|due| self.out.t.plus(Millis(due.since(now).0.max(5))));
                let mem = self.mem();
                (mem.looking, mem.nap_until) = (false, until);
                return;
            }
        }
        self.then(Work::Look(at + 1));
    }

    // ---- events

    pub fn spawn_target(&mut self, target: Target, stop: bool) {
        let name = target
            .task
            .map_or_else(|| format!("issue {:?}", target.issue), |t| format!("task {t}"));
        let busy = &mut self.mem().busy;
        let key = match busy.insert(name.clone()) {
            true => name,
            false if stop && busy.insert(format!("stop {name}")) => format!("stop {name}"),
            false => return,
        };
        self.then(Work::Decide { target, stop, key });
    }

    pub fn decide(&mut self, target: Target, stop: bool, key: String) {
        let Some(event) = self.disk.is.next_event(&target, stop) else {
            return self.then(Work::Free(key));
        };
        let issue = target.issue.clone().unwrap_or_default();
        let found = match target.task {
            Some(id) => self.disk.is.task(id).cloned(),
            None => self.disk.is.by_issue(&issue).cloned(),
        };
        let task = found.unwrap_or_else(|| {
            let mut task = Task::unborn(PROJECT.into(), RepoId(1), &issue, &self.rules.hash);
            task.ledger.stopped_before = self.disk.is.last_stop(&issue);
            if task.ledger.stopped_before.is_some() {
                task.ledger.taken = self.out.branches.keys().cloned().collect();
            }
            task.item = format!("{}-{:03}", self.rules.prefix, self.next_number());
            task
        });
        let (repo, now) = (self.disk.is.repo.clone(), self.now());
        let facts = self.out.facts(&self.rules, &task, &event, now);
        if task.control.phase == Phase::Unborn && matches!(facts.get(&FactKey::Issue), Some(Fact::Unreachable { .. })) {
            return self.after(REST, Work::Free(key));
        }
        let taken = step::step(&self.rules, &task, &repo, &event, &facts);
        let put_off = task.control.stop != StopState::Deferred && taken.task.control.stop == StopState::Deferred;
        let mut step = StepCommit {
            seq: event.seq,
            before: (task.version, repo.version),
            stage_before: task.control.stage.clone(),
            task: taken.task,
            repo: taken.repo.unwrap_or(repo),
            decisions: taken.decisions,
            because: taken.because,
            facts,
            follow: taken.follow,
            now,
            semantics: 1,
            host: "box".to_owned(),
            card: false,
        };
        self.twin.spoils_step(&task, &mut step);
        self.then(Work::Commit {
            target,
            stop,
            key,
            step: Box::new(step),
            put_off,
        });
    }

    pub fn next_number(&self) -> i64 {
        let number = |t: &Task| t.item.rsplit_once('-').and_then(|(_, n)| n.parse::<i64>().ok());
        self.disk.is.tasks.iter().filter_map(number).max().unwrap_or(0) + 1
    }

    pub fn commit(&mut self, target: Target, stop: bool, key: String, step: &StepCommit, put_off: bool) {
        match self.disk.commit_step(step) {
            Ok(id) => {
                let why: Vec<&str> = step.because.iter().map(|b| b.0.as_str()).collect();
                self.log(format!(
                    "step {} {} {}: {}",
                    step.seq,
                    step.task.item,
                    step.task.control.stage,
                    why.join("; ")
                ));
                if put_off {
                    self.disk.effects_now(step.task.id, self.now());
                }
                if let Some(id) = id {
                    self.sound(id);
                }
            }
            Err(StoreError::Conflict) => self.log(format!("step {} is decided again", step.seq)),
            Err(error) => self.breaks(format!("store: {error}")),
        }
        self.then(Work::Decide { target, stop, key });
    }
}
