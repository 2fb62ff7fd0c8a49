//! Jobs and runs as `queue.rs`, `launch.rs` and `settle.rs` deal with them: scheduled, claimed,
//! launched, followed, ended.

use std::collections::BTreeMap;

use signalbox::engine::breaker::{Command, Stand};
use signalbox::engine::budget::{Bounds, Spent};
use signalbox::engine::model::{Actor, Blocker, JobId, JobKind, RepoId, RunEnd, RunId, RunReport, Seq, Task, TaskId, Usage};
use signalbox::engine::progress::stuck;
use signalbox::engine::schedule::{OpenRun, Queue, WaitingJob, schedule};
use signalbox::shell::store::{Claim, Guard, JobState, RunRow, RunState, day, day_ends};

use super::life::Life;
use super::model::open;
use super::outside::{NoAnswer, head};
use super::twin::Twin;

use super::service::Work;

const COMMAND: &str = "./agent.sh";

impl Life {
    /// What scheduling reads, and what it says of every waiting job.
    pub fn verdicts(&self) -> Vec<(JobId, Vec<Blocker>)> {
        let (is, now) = (&self.disk.is, self.now());
        let waits = is.jobs.iter().filter(|j| open(j.state) && j.state != JobState::Running);
        let waiting: Vec<WaitingJob> = waits
            .clone()
            .map(|j| WaitingJob {
                id: j.id,
                task: j.task,
                slot: j.slot.clone(),
                stage: j.stage.clone(),
                available_at: j.available_at,
                since: j.created_at,
                why: j.why.clone(),
                // It is told of, and holds nothing.
                limited: None,
            })
            .collect();
        let live = is.runs.iter().filter(|r| r.state != RunState::Ended);
        let open_runs: Vec<OpenRun> = live
            .clone()
            .map(|r| OpenRun {
                run: r.id,
                task: r.task,
                slot: r.slot.clone(),
                since: r.claimed_at,
                ending: r.kill.is_some(),
            })
            .collect();
        let tasks: BTreeMap<TaskId, Task> = is.tasks.iter().filter(|t| !t.terminal()).map(|t| (t.id, t.clone())).collect();
        let repos = BTreeMap::from([(RepoId(1), is.repo.clone())]);
        let breaker = is.breakers.get(COMMAND).map(|b| b.under(self.rules.breaker));
        let half_open = breaker.as_ref().filter(|b| matches!(b.stand(now), Stand::HalfOpen(_)));
        let probing = half_open.and_then(|b| b.probe).filter(|run| live.clone().any(|r| r.id == *run));
        let command = Command {
            name: COMMAND.to_owned(),
            breaker,
            probing,
            ..Command::default()
        };
        let agents = waits.clone().filter(|j| j.kind == JobKind::Agent);
        let commands = agents.map(|j| (j.id, command.clone())).collect();
        let mut bounds = Bounds::default();
        let today = day(now);
        for job in waits {
            let (task, dearest) = is.spent.get(&job.task).copied().unwrap_or_default();
            let day = is.days.get(&today).copied().unwrap_or_default();
            let spent = Spent {
                budget: self.rules.budget,
                task,
                dearest,
                day,
                day_ends: day_ends(today),
                ..Spent::default()
            };
            bounds.spent.insert(job.task, spent);
            let writer = self.rules.agents.get(&job.slot).is_some_and(|a| !a.writes.is_empty());
            let found = is
                .past(job)
                .and_then(|past| stuck(self.rules.no_progress?, &job.slot, writer, &past));
            bounds.stuck.extend(found.map(|f| (job.id, f)));
        }
        let queue = Queue {
            waiting: &waiting,
            open: &open_runs,
            tasks: &tasks,
            depends: &[],
            repos: &repos,
            rules: &|_| Some(self.rules.clone()),
            limit: 2,
            project_limits: &BTreeMap::new(),
            commands: &commands,
            bounds: &bounds,
        };
        schedule(&queue, now)
    }

    pub fn claimable(&mut self) -> Vec<Claim> {
        if !self
            .disk
            .is
            .jobs
            .iter()
            .any(|j| matches!(j.state, JobState::Scheduled | JobState::Queued))
        {
            return Vec::new();
        }
        let free = self.verdicts().into_iter().filter(|(_, blockers)| blockers.is_empty());
        let is = &self.disk.is;
        free.map(|(id, _)| {
            let job = is.job(id);
            let guard = (job.kind == JobKind::Agent).then(|| Guard {
                command: COMMAND.to_owned(),
                limits: self.rules.breaker,
                budget: self.rules.budget,
            });
            let guarded = self.rules.gate(&is.repo, job.task, &job.stage);
            let repo = guarded.and_then(|guard| {
                let mut repo = is.repo.clone();
                repo.lane.iter_mut().find(|seat| seat.task == job.task)?.enter(guard);
                Some(repo)
            });
            Claim {
                job: id,
                nonce: format!("nonce {id} {}", is.runs.len()),
                checkout: format!("t{}/{}", job.task, job.slot),
                guard,
                seen: 0,
                repo,
                now: self.now(),
            }
        })
        .collect()
    }

    pub fn claims(&mut self, mut claims: Vec<Claim>) {
        if claims.is_empty() {
            return self.then(Work::Look(3));
        }
        let claim = claims.remove(0);
        match self.disk.claim(&claim) {
            Ok(run) => {
                self.log(format!("run {} of {} claimed", run.id, run.checkout));
                self.then(Work::Launch {
                    run: run.id,
                    at: 0,
                    start: String::new(),
                });
            }
            Err(_) => self.mem().woken = true,
        }
        self.then(Work::Claims(claims));
    }

    pub fn launch(&mut self, id: RunId, at: u8, start: String) {
        let run = self.disk.is.run(id).clone();
        let kill = run.kill;
        match at {
            0 => match self.start_commit(&run) {
                Ok(Some(start)) => self.then(Work::Launch { run: id, at: 1, start }),
                Ok(None) => self.end_run(
                    id,
                    &RunEnd::Permanent {
                        detail: "the branch exists already and is not ours".to_owned(),
                    },
                    None,
                    None,
                ),
                Err(NoAnswer) => {
                    let now = self.now();
                    self.disk.put_back(id, "the forge does not answer", now);
                }
            },
            1 if kill.is_some() => self.end_run(id, &RunEnd::Killed(kill.unwrap()), None, None),
            1 => {
                if self.disk.run_prepared(id, &start).is_ok() {
                    self.then(Work::Launch { run: id, at: 2, start });
                }
            }
            2 => {
                let rules = self.rules.clone();
                self.out.start(&rules, &run);
                self.then(Work::Launch { run: id, at: 3, start });
            }
            _ => {
                if self.disk.run_started(id, self.now()).is_ok() {
                    if self.disk.is.run(id).kill.is_some() {
                        self.out.kill(id);
                    }
                    self.then(Work::Follow(id));
                }
            }
        }
        if self.mem.is_some() && at != 3 {
            self.mem().woken = true;
        }
    }

    /// The commit that a run starts from; none when somebody else has the branch's name.
    pub fn start_commit(&mut self, run: &RunRow) -> Result<Option<String>, NoAnswer> {
        let task = self.disk.is.task(run.task).unwrap().clone();
        self.out.forge(|out| {
            let remote = out
                .branches
                .get(&task.branch)
                .filter(|b| b.task == task.id)
                .map(|b| head(b.tip()).sha);
            match (&task.ledger.head, remote) {
                (Some(_), Some(remote)) | (None, Some(remote)) => Some(remote),
                (Some(head), None) => Some(head.sha.clone()),
                (None, None) => out.make_branch(&task.branch, task.id),
            }
        })
    }

    /// What `settle::exited` does.
    pub fn exited(&mut self, id: RunId, recorded: bool) {
        let kill = self.disk.is.run(id).kill;
        match (recorded, kill) {
            (false, kill) => self.end_run(id, &kill.map_or(RunEnd::Lost, RunEnd::Killed), None, None),
            (true, Some(why)) => self.end_run(id, &RunEnd::Killed(why), None, None),
            (true, None) => {
                let now = self.now();
                self.disk.run_exited(id, now);
            }
        }
    }

    pub fn end_run(&mut self, id: RunId, end: &RunEnd, report: Option<RunReport>, effect: Option<i64>) {
        let (run, now) = (self.disk.is.run(id).clone(), self.now());
        let report = report.or_else(|| Some(blank(&run, end.clone())));
        if self.disk.end_run(id, end, report.clone(), effect, now) {
            self.out.settled(&run, end);
            self.log(format!("run {id} ended {}", end.outcome()));
        } else if self.twin == Twin::Unfenced {
            let body = signalbox::engine::model::Body::RunEnded(report.unwrap());
            self.disk
                .is
                .say(self.disk.is.of_task(run.task), None, Actor::Agent(id.0), body, now);
        }
    }
}

pub fn blank(run: &RunRow, end: RunEnd) -> RunReport {
    RunReport {
        run: run.id,
        job: run.job,
        visit: run.visit,
        slot: run.slot.clone(),
        end,
        start: run.start_sha.clone(),
        head: None,
        nonce: run.nonce.clone(),
        wrote: Vec::new(),
        usage: Usage::default(),
        heard: Seq(0),
    }
}
