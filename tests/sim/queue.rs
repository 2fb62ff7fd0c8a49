//! The model's queue: jobs wait, are claimed once; timers; what is due when.

use signalbox::engine::breaker::Stand;
use signalbox::engine::budget::Spent;
use signalbox::engine::model::{Actor, Body, JobKind, Millis, Repo, RunId};
use signalbox::shell::store::{Claim, JobRow, JobState, RunRow, RunState, StoreError, day};

use super::model::{Model, Result, index, number};

impl Model {
    pub fn promote(&mut self, now: Millis) -> u64 {
        let due = self
            .jobs
            .iter_mut()
            .filter(|j| j.state == JobState::Scheduled && j.available_at <= now);
        let moved = due.map(|j| j.state = JobState::Queued).count() as u64;
        self.commits += u64::from(moved > 0);
        moved
    }

    pub fn fire_timers(&mut self, now: Millis) -> u64 {
        let mut due: Vec<_> = self
            .timers
            .iter()
            .filter(|(_, due)| **due <= now)
            .map(|(k, due)| (*due, k.clone()))
            .collect();
        due.sort();
        for (_, key) in &due {
            self.timers.remove(key);
            let (task, visit, timer) = key.clone();
            let target = self.of_task(task);
            self.say(target, None, Actor::Service, Body::TimerFired { visit, timer }, now);
        }
        self.commits += u64::from(!due.is_empty());
        due.len() as u64
    }

    pub fn next_due(&self) -> Option<Millis> {
        let jobs = self.jobs.iter().filter(|j| j.state == JobState::Scheduled).map(|j| j.available_at);
        let heads = self.heads();
        let effects = heads.iter().filter(|o| !self.flies(o)).map(|o| o.row.next_at);
        jobs.chain(self.timers.values().copied()).chain(effects).min()
    }

    /// As `store/clock.rs`.
    pub fn shift(&mut self, by: Millis, from: Millis) -> Result<()> {
        let moved = |at: &mut Millis| *at = at.plus(by);
        self.inbox.iter_mut().filter(|k| !k.applied).for_each(|k| moved(&mut k.event.at));
        let waiting = |j: &&mut JobRow| matches!(j.state, JobState::Scheduled | JobState::Queued);
        self.jobs.iter_mut().filter(waiting).for_each(|j| moved(&mut j.available_at));
        self.timers.values_mut().for_each(moved);
        let open = self.outbox.iter_mut().filter(|o| o.state == "open");
        open.for_each(|o| moved(&mut o.row.next_at));
        self.deliveries.iter_mut().filter(|d| d.open).for_each(|d| moved(&mut d.due));
        for open in self.breakers.values_mut().filter_map(|b| b.open.as_mut()) {
            moved(&mut open.since);
            moved(&mut open.until);
        }
        let working = |r: &&mut RunRow| matches!(r.state, RunState::Starting | RunState::Running);
        let agents: Vec<Millis> = self
            .runs
            .iter_mut()
            .filter(working)
            .filter(|r| r.kind == JobKind::Agent)
            .map(|r| r.claimed_at)
            .collect();
        for claimed in &agents {
            self.days.entry(day(*claimed)).or_default().runs -= 1;
        }
        // A clock that is set back to an earlier day brings no second budget.
        let (was, is) = (day(from), day(from.plus(by)));
        if let Some(spent) = self.days.get(&was).copied().filter(|_| is < was) {
            let sum = self.days.entry(is).or_default();
            (sum.runs, sum.usd) = (sum.runs.max(spent.runs), sum.usd.max(spent.usd));
        }
        for claimed in &agents {
            self.days.entry(day(claimed.plus(by))).or_default().runs += 1;
        }
        for run in self.runs.iter_mut().filter(working) {
            moved(&mut run.claimed_at);
            run.started_at.iter_mut().for_each(moved);
        }
        for task in self.tasks.iter_mut().filter(|t| !t.terminal()) {
            task.version += 1;
            moved(&mut task.ledger.visit.entered_at);
            moved(&mut task.ledger.subject_since);
        }
        self.commits += 1;
        Ok(())
    }

    pub fn breaker_due(&self, now: Millis) -> Option<Millis> {
        let all = self
            .breakers
            .values()
            .flat_map(|b| b.open.iter().chain(b.limit.iter()).map(|p| p.until));
        all.filter(|at| *at > now).min()
    }

    pub fn claim(&mut self, claim: &Claim) -> Result<RunRow> {
        let at = index(claim.job.0);
        let job = self.jobs.get(at).ok_or(StoreError::Gone)?.clone();
        let busy = |r: &RunRow| r.state != RunState::Ended && (r.job == job.id || r.checkout == claim.checkout);
        if job.state != JobState::Queued
            || job.available_at > claim.now
            || !self.admits(claim)
            || !self.pays(&job, claim)
            || self.runs.iter().any(busy)
        {
            return Err(StoreError::Conflict);
        }
        if let Some(repo) = &claim.repo {
            self.save_repo(repo, repo.version)?;
        }
        let run = self.run_of(&job, claim);
        if job.kind == JobKind::Agent {
            self.spent.entry(job.task).or_default().0.runs += 1;
            self.days.entry(day(claim.now)).or_default().runs += 1;
        }
        if let Some(limits) = claim.guard.as_ref().and_then(|g| g.limits) {
            self.limits.insert(run.id, limits);
            let breaker = run.command.as_ref().and_then(|command| self.breakers.get_mut(command));
            if let Some(breaker) = breaker.filter(|b| matches!(b.stand(claim.now), Stand::HalfOpen(_))) {
                breaker.probe = Some(run.id);
            }
        }
        self.runs.push(run.clone());
        let job = &mut self.jobs[at];
        (job.state, job.run, job.why) = (JobState::Running, Some(run.id), None);
        job.attempts += 1;
        self.commits += 1;
        Ok(run)
    }

    pub fn run_of(&self, job: &JobRow, claim: &Claim) -> RunRow {
        RunRow {
            id: RunId(number(self.runs.len()) + 1),
            job: job.id,
            task: job.task,
            project: job.project.clone(),
            visit: job.visit,
            slot: job.slot.clone(),
            kind: job.kind,
            stage: job.stage.clone(),
            nonce: claim.nonce.clone(),
            checkout: claim.checkout.clone(),
            state: RunState::Starting,
            pid: None,
            pid_start: None,
            boot_id: None,
            command: claim.guard.as_ref().map(|g| g.command.clone()),
            containment: None,
            start_sha: None,
            claimed_at: claim.now,
            started_at: None,
            exited_at: None,
            ended_at: None,
            exit: None,
            end: None,
            kill: None,
            usage: None,
            notes: None,
            host: "box".to_owned(),
        }
    }

    pub fn admits(&self, claim: &Claim) -> bool {
        let known = claim
            .guard
            .as_ref()
            .and_then(|g| Some(self.breakers.get(&g.command)?.under(g.limits)));
        let Some(breaker) = known else {
            return true;
        };
        breaker.limited(claim.now).is_none()
            && match breaker.stand(claim.now) {
                Stand::Closed => true,
                Stand::Open(_) => false,
                Stand::HalfOpen(_) => !self.runs.iter().any(|r| r.state != RunState::Ended && breaker.probe == Some(r.id)),
            }
    }

    /// As `store/spending.rs`.
    fn pays(&self, job: &JobRow, claim: &Claim) -> bool {
        let (task, dearest) = self.spent.get(&job.task).copied().unwrap_or_default();
        let spent = Spent {
            budget: claim.guard.as_ref().map(|g| g.budget).unwrap_or_default(),
            task,
            dearest,
            day: self.days.get(&day(claim.now)).copied().unwrap_or_default(),
            ..Spent::default()
        };
        spent.blockers("", "", claim.now, claim.now).is_empty()
    }

    pub fn save_repo(&mut self, repo: &Repo, before: i64) -> Result<()> {
        if self.repo.version != before {
            return Err(StoreError::Conflict);
        }
        if (Repo {
            version: before,
            ..repo.clone()
        }) != self.repo
        {
            self.repo = Repo {
                version: before + 1,
                ..repo.clone()
            };
        }
        Ok(())
    }
}
