//! A step's transaction in the model: as `store/step.rs` writes it.

use signalbox::engine::model::{
    Actor, Body, Decision, JobKind, JobSpec, Kill, Millis, Name, Phase, Repo, Said, Seq, StopState, Task, TaskId,
};
use signalbox::shell::store::{Effect, JobRow, JobState, StepCommit, StoreError, Target};

use super::model::{Model, Result, open};

/// What a step's decisions are carried out on.
struct Ground {
    target: Target,
    seq: Seq,
    now: Millis,
    over: bool,
}

impl Model {
    pub fn commit_step(&mut self, step: &StepCommit) -> Result<Option<TaskId>> {
        // All or nothing: nothing is written once this is known.
        if step.before.1 != self.repo.version {
            return Err(StoreError::Conflict);
        }
        let done = self.commit(step)?;
        self.commits += 1;
        Ok(done)
    }

    fn commit(&mut self, step: &StepCommit) -> Result<Option<TaskId>> {
        let place = usize::try_from(step.seq.0 - 1).unwrap();
        let kept = &self.inbox[place];
        let same = match kept.target.task {
            Some(id) => id == step.task.id,
            None => kept.target.issue.as_deref() == Some(step.task.issue.as_str()),
        };
        if kept.applied || !same {
            return Err(StoreError::Conflict);
        }
        let task = self.save_task(step)?;
        self.save_repo(&seated(step.repo.clone(), task), step.before.1)?;
        let target = Target {
            project: step.task.project.clone(),
            repo: step.task.repo,
            task,
            issue: Some(step.task.issue.clone()),
        };
        let over = step.task.terminal();
        let ground = Ground {
            target,
            seq: step.seq,
            now: step.now,
            over,
        };
        let kept = &mut self.inbox[place];
        (kept.applied, kept.target.task) = (true, task);
        for decision in &step.decisions {
            self.carry_out(&ground, decision);
        }
        if let (true, Some(id)) = (over, task) {
            let cancelled = step.task.control.phase == Phase::Cancelled;
            self.withdraw(&ground, id, None, if cancelled { Kill::Stop } else { Kill::Superseded });
            self.timers.retain(|(t, ..), _| *t != id);
        }
        if let Some(id) = task
            && step.task.control.phase != Phase::Cancelled
            && step.task.control.stop != StopState::Cleaning
        {
            self.adopt(id, &step.task.issue);
        }
        if let Some(body) = &step.follow {
            self.say(ground.target.clone(), Some(step.seq), Actor::Service, body.clone(), step.now);
        }
        self.steps.push((step.seq, task));
        Ok(task)
    }

    fn save_task(&mut self, step: &StepCommit) -> Result<Option<TaskId>> {
        let mut next = Task {
            version: step.before.0 + 1,
            ..step.task.clone()
        };
        if step.decisions.contains(&Decision::Create) {
            next.id = TaskId(i64::try_from(self.tasks.len()).unwrap() + 1);
            let taken =
                |t: &Task| t.control.phase != Phase::Cancelled && (t.issue == next.issue || t.item == next.item || t.branch == next.branch);
            if self.tasks.iter().any(taken) {
                return Err(StoreError::Conflict);
            }
            self.tasks.push(next.clone());
            return Ok(Some(next.id));
        }
        if step.task.id == TaskId(0) {
            return Ok(None);
        }
        let stored = self.tasks.iter_mut().find(|t| t.id == step.task.id).ok_or(StoreError::Conflict)?;
        if stored.version != step.before.0 {
            return Err(StoreError::Conflict);
        }
        *stored = next;
        Ok(Some(step.task.id))
    }

    fn carry_out(&mut self, on: &Ground, decision: &Decision) {
        let effect = match decision {
            Decision::Create | Decision::Depend(_) => return,
            Decision::Enqueue(spec) => return self.enqueue(on, spec),
            Decision::Requeue {
                visit,
                slot,
                available_at,
                why,
            } => return self.requeue(on, *visit, slot, *available_at, why),
            Decision::Tell { visit, words } => {
                let waits = |s: JobState| matches!(s, JobState::Scheduled | JobState::Queued);
                let of_it = |t: TaskId, v: u32| Some(t) == on.target.task && v == *visit;
                for job in self.jobs.iter_mut().filter(|j| of_it(j.task, j.visit) && waits(j.state)) {
                    if job.kind == JobKind::Agent {
                        job.note = Said::behind(job.note.take(), words);
                    }
                }
                return;
            }
            Decision::CloseJob { visit, slot, ok } => {
                if let Some(job) = self.newest(on, *visit, slot).filter(|j| open(j.state)) {
                    job.state = if *ok { JobState::Done } else { JobState::Failed };
                    job.ended_at = Some(on.now);
                }
                return;
            }
            Decision::Withdraw { visit, why } => {
                if let Some(task) = on.target.task {
                    self.withdraw(on, task, *visit, *why);
                }
                return;
            }
            Decision::SetTimer { visit, timer, due } => {
                if let (false, Some(task)) = (on.over, on.target.task) {
                    self.timers.insert((task, *visit, timer.clone()), *due);
                }
                return;
            }
            Decision::DropTimers => return self.timers.retain(|(t, ..), _| Some(*t) != on.target.task),
            Decision::Restart(signal) => {
                let target = Target {
                    task: None,
                    ..on.target.clone()
                };
                return self.say(target, Some(on.seq), Actor::Service, Body::Signalled(signal.clone()), on.now);
            }
            Decision::Wake { task, by } => {
                let target = self.of_task(*task);
                return self.say(target, Some(on.seq), Actor::Service, Body::Poked { by: by.clone() }, on.now);
            }
            Decision::ShowStatus { status } => Effect::Status { status: status.clone() },
            Decision::Comment { key, text, agent } => Effect::Comment {
                key: key.clone(),
                text: text.clone(),
                agent: agent.clone(),
            },
            Decision::Alert { key, text } => Effect::Alert {
                key: key.clone(),
                text: text.clone(),
            },
            Decision::Act(intent) => Effect::Act(intent.clone()),
            Decision::CleanUp(what) => Effect::CleanUp(what.clone()),
        };
        self.push(&on.target, effect, on.seq, on.now);
    }

    fn kill(&mut self, on: &Ground, runs: Vec<signalbox::engine::model::RunId>, why: Kill) {
        for run in runs {
            self.push(&on.target, Effect::Kill { run, why }, on.seq, on.now);
        }
    }

    fn enqueue(&mut self, on: &Ground, spec: &JobSpec) {
        let Some(task) = on.target.task else { return };
        let mut runs = Vec::new();
        for at in 0..self.jobs.len() {
            let job = &mut self.jobs[at];
            if job.task == task && job.visit == spec.visit && job.slot == spec.slot && open(job.state) {
                (job.state, job.ended_at, job.why) = (JobState::Cancelled, Some(on.now), Some("queued anew".to_owned()));
                let id = job.id;
                runs.extend(self.doom(|r| r.job == id, Kill::Superseded));
            }
        }
        self.kill(on, runs, Kill::Superseded);
        if on.over {
            return;
        }
        self.jobs.push(JobRow {
            id: signalbox::engine::model::JobId(i64::try_from(self.jobs.len()).unwrap() + 1),
            task,
            project: on.target.project.clone(),
            visit: spec.visit,
            slot: spec.slot.clone(),
            kind: spec.kind,
            stage: spec.stage.clone(),
            state: ready(spec.available_at, on.now),
            note: spec.note.clone(),
            entry: spec.entry,
            attempts: 0,
            available_at: spec.available_at,
            created_at: on.now,
            ended_at: None,
            why: None,
            run: None,
        });
        self.job_seq.push(on.seq);
    }

    /// The newest job of the slot, unless that was cancelled.
    fn newest(&mut self, on: &Ground, visit: u32, slot: &Name) -> Option<&mut JobRow> {
        let of_it = |j: &&mut JobRow| Some(j.task) == on.target.task && j.visit == visit && j.slot == *slot;
        self.jobs.iter_mut().rev().find(of_it).filter(|j| j.state != JobState::Cancelled)
    }

    fn requeue(&mut self, on: &Ground, visit: u32, slot: &Name, available_at: Millis, why: &str) {
        let Some(job) = self.newest(on, visit, slot) else { return };
        if on.over {
            if open(job.state) {
                (job.state, job.ended_at, job.why) = (JobState::Cancelled, Some(on.now), Some("the task is over".to_owned()));
            }
            return;
        }
        (job.state, job.available_at, job.why) = (ready(available_at, on.now), available_at, Some(why.to_owned()));
        (job.ended_at, job.run) = (None, None);
    }

    fn withdraw(&mut self, on: &Ground, task: TaskId, visit: Option<u32>, why: Kill) {
        let of_it = |t: TaskId, v: u32| t == task && visit.is_none_or(|only| only == v);
        for job in self.jobs.iter_mut().filter(|j| of_it(j.task, j.visit) && open(j.state)) {
            (job.state, job.ended_at, job.why) = (JobState::Cancelled, Some(on.now), Some(why.label().to_owned()));
        }
        let runs = self.doom(|r| of_it(r.task, r.visit), why);
        self.kill(on, runs, why);
    }
}

fn ready(available_at: Millis, now: Millis) -> JobState {
    if available_at > now {
        JobState::Scheduled
    } else {
        JobState::Queued
    }
}

/// The repository with the new task's id where the step, which did not know it, wrote 0.
fn seated(mut repo: Repo, task: Option<TaskId>) -> Repo {
    let id = task.unwrap_or_default();
    repo.lane
        .iter_mut()
        .filter(|seat| seat.task == TaskId(0))
        .for_each(|seat| seat.task = id);
    if let Some(lease) = &mut repo.lease {
        let all = lease.queue.iter_mut().chain([&mut lease.task]);
        all.filter(|t| **t == TaskId(0)).for_each(|t| *t = id);
    }
    repo
}
