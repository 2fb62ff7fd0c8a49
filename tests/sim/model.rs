//! The store in a few lines of plain code: what is on the disk, and each request as one transaction.
//! `disk.rs` has the real store do the same beside it and compares.

use std::collections::BTreeMap;

use signalbox::engine::breaker::{Breaker, Limits};
use signalbox::engine::budget::Sum;
use signalbox::engine::model::{
    Actor, Body, Event, JobId, JobKind, Kill, Millis, Name, Phase, Repo, RepoId, RunId, Seq, StopState, Task, TaskId,
};
use signalbox::engine::progress::Past;
use signalbox::shell::store::{JobRow, JobState, Lane, NewEvent, OutboxRow, Pending, RunRow, RunState, StoreError, Target};

pub type Result<T> = std::result::Result<T, StoreError>;

/// An event as the inbox keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub event: Event,
    pub target: Target,
    pub stop: bool,
    pub applied: bool,
    pub dedupe: Option<String>,
}

/// An effect as the outbox keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Out {
    pub row: OutboxRow,
    pub state: &'static str,
    pub queue: String,
}

/// A delivery that was acknowledged: which issue it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    pub issue: String,
    pub key: String,
    pub due: Millis,
    pub open: bool,
    pub attempts: u32,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    pub inbox: Vec<Kept>,
    pub tasks: Vec<Task>,
    pub repo: Repo,
    pub jobs: Vec<JobRow>,
    pub job_seq: Vec<Seq>,
    pub runs: Vec<RunRow>,
    pub limits: BTreeMap<RunId, Limits>,
    pub timers: BTreeMap<(TaskId, u32, Name), Millis>,
    pub outbox: Vec<Out>,
    pub breakers: BTreeMap<String, Breaker>,
    pub spent: BTreeMap<TaskId, (Sum, Option<(RunId, f64)>)>,
    pub days: BTreeMap<i64, Sum>,
    pub deliveries: Vec<Delivery>,
    /// Events in the order in which they were applied, with their tasks.
    pub steps: Vec<(Seq, Option<TaskId>)>,
    pub in_flight: BTreeMap<i64, (Lane, String)>,
    /// Commits that changed something.
    pub commits: u64,
}

pub fn index(id: i64) -> usize {
    usize::try_from(id - 1).unwrap()
}

pub fn number(len: usize) -> i64 {
    i64::try_from(len).unwrap()
}

pub fn open(state: JobState) -> bool {
    matches!(state, JobState::Scheduled | JobState::Queued | JobState::Running)
}

/// Whether it is being cleaned up after.
fn stopping(task: &Task) -> bool {
    task.control.stop == StopState::Cleaning && !task.terminal()
}

impl Model {
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(index(id.0))
    }

    pub fn run(&self, id: RunId) -> &RunRow {
        &self.runs[index(id.0)]
    }

    pub fn by_issue(&self, issue: &str) -> Option<&Task> {
        self.tasks.iter().find(|t| t.issue == issue && t.control.phase != Phase::Cancelled)
    }

    pub fn last_stop(&self, issue: &str) -> Option<Millis> {
        let last = self
            .tasks
            .iter()
            .rev()
            .find(|t| t.issue == issue && t.control.phase == Phase::Cancelled)?;
        last.ledger.stop.as_ref().map(|(_, asked, _)| *asked).or(last.ledger.ended_at)
    }

    pub fn of_task(&self, id: TaskId) -> Target {
        let task = &self.tasks[index(id.0)];
        Target {
            project: task.project.clone(),
            repo: task.repo,
            task: Some(id),
            issue: Some(task.issue.clone()),
        }
    }

    // ---- inbox

    pub fn insert(&mut self, new: NewEvent) -> Option<Seq> {
        if new.dedupe.is_some() && self.inbox.iter().any(|k| k.dedupe == new.dedupe) {
            self.void();
            return None;
        }
        let target = match (new.target.task, &new.target.issue) {
            (Some(task), _) => self.of_task(task),
            (None, Some(issue)) => {
                let task = self
                    .tasks
                    .iter()
                    .find(|t| t.issue == *issue && t.control.phase != Phase::Cancelled && !stopping(t));
                task.map_or_else(|| new.target.clone(), |t| self.of_task(t.id))
            }
            (None, None) => new.target.clone(),
        };
        let seq = Seq(number(self.inbox.len()) + 1);
        let stop = matches!(&new.body, Body::Signalled(signal) if signal.name == "stop");
        let event = Event {
            seq,
            at: new.at,
            cause: new.cause,
            actor: new.actor,
            body: new.body,
        };
        self.inbox.push(Kept {
            event,
            target,
            stop,
            applied: false,
            dedupe: new.dedupe,
        });
        Some(seq)
    }

    /// A duplicate uses up a number, as in the store.
    pub fn void(&mut self) {
        let (seq, body) = (Seq(number(self.inbox.len()) + 1), Body::Poked { by: "void".into() });
        let event = Event {
            seq,
            at: Millis(0),
            cause: None,
            actor: Actor::Service,
            body,
        };
        let target = Target {
            project: "void".into(),
            repo: RepoId(0),
            task: None,
            issue: None,
        };
        self.inbox.push(Kept {
            event,
            target,
            stop: false,
            applied: true,
            dedupe: None,
        });
    }

    pub fn record(&mut self, new: NewEvent) -> Option<Seq> {
        let seq = self.insert(new);
        self.commits += u64::from(seq.is_some());
        seq
    }

    /// Whether events of an issue wait until its task, which is being stopped, is cancelled.
    pub fn held(&self, kept: &Kept) -> bool {
        kept.target.task.is_none()
            && self
                .tasks
                .iter()
                .any(|t| Some(&t.issue) == kept.target.issue.as_ref() && stopping(t))
    }

    pub fn pending(&self) -> Vec<Pending> {
        let mut found: Vec<Pending> = Vec::new();
        for kept in self.inbox.iter().filter(|k| !k.applied && !self.held(k)) {
            let same = |p: &&mut Pending| match kept.target.task {
                Some(task) => p.target.task == Some(task),
                None => p.target.task.is_none() && p.target.issue == kept.target.issue,
            };
            match found.iter_mut().find(same) {
                Some(known) => known.stop |= kept.stop,
                None => found.push(Pending {
                    target: kept.target.clone(),
                    seq: kept.event.seq,
                    stop: kept.stop,
                }),
            }
        }
        found
    }

    pub fn next_event(&self, target: &Target, stop_first: bool) -> Option<Event> {
        let ours = |k: &&Kept| {
            !k.applied
                && !self.held(k)
                && match target.task {
                    Some(task) => k.target.task == Some(task),
                    None => k.target.task.is_none() && k.target.issue == target.issue,
                }
        };
        let stop = self.inbox.iter().filter(ours).find(|k| k.stop && stop_first);
        stop.or_else(|| self.inbox.iter().find(ours)).map(|k| k.event.clone())
    }

    /// The pending events of an issue become its task's.
    pub fn adopt(&mut self, id: TaskId, issue: &str) {
        for kept in self.inbox.iter_mut().filter(|k| !k.applied && k.target.task.is_none()) {
            if kept.target.issue.as_deref() == Some(issue) {
                kept.target.task = Some(id);
            }
        }
    }

    pub fn say(&mut self, target: Target, cause: Option<Seq>, actor: Actor, body: Body, at: Millis) {
        self.insert(NewEvent {
            target,
            at,
            cause,
            actor,
            body,
            dedupe: None,
        });
    }

    // ---- what was tried before

    pub fn past(&self, job: &JobRow) -> Option<Past> {
        if job.kind != JobKind::Agent || (job.attempts == 0 && job.note.is_none()) {
            return None;
        }
        let mut past = Past::default();
        let mut begun = Millis(i64::MIN);
        let jobs = self
            .jobs
            .iter()
            .rev()
            .filter(|j| j.task == job.task && j.slot == job.slot && j.id <= job.id);
        for one in jobs.take(20) {
            if self.of_a_person(self.job_seq[index(one.id.0)]) {
                begun = one.created_at;
                break;
            }
            past.notes.push((one.created_at, one.note.clone().unwrap_or_default()));
        }
        let reports = self
            .steps
            .iter()
            .rev()
            .filter(|(_, task)| *task == Some(job.task))
            .filter_map(|(seq, _)| {
                let event = &self.inbox[index(seq.0)].event;
                match &event.body {
                    Body::RunEnded(report) if event.at > begun => Some((event.at, report.clone())),
                    _ => None,
                }
            });
        past.reports = reports.take(40).collect();
        Some(past)
    }

    pub fn of_a_person(&self, seq: Seq) -> bool {
        let mut next = Some(seq);
        for _ in 0..8 {
            let Some(kept) = next.filter(|s| s.0 > 0).and_then(|s| self.inbox.get(index(s.0))) else {
                return false;
            };
            match kept.event.actor {
                Actor::Person { .. } => return true,
                Actor::Agent(_) => return false,
                Actor::Service => next = kept.event.cause,
            }
        }
        false
    }

    pub fn job(&self, id: JobId) -> &JobRow {
        &self.jobs[index(id.0)]
    }

    pub fn doom(&mut self, which: impl Fn(&RunRow) -> bool, why: Kill) -> Vec<RunId> {
        let all = self.runs.iter_mut().filter(|r| r.state != RunState::Ended && r.kill.is_none());
        all.filter(|r| which(r))
            .map(|r| {
                r.kill = Some(why);
                r.id
            })
            .collect()
    }
}
