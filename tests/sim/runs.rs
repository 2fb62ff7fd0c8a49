//! The model's runs, and what their ends cost.

use signalbox::engine::model::{Actor, Body, JobKind, Millis, RunEnd, RunId, RunReport, Said, Seq, Usage};
use signalbox::shell::store::{Effect, JobState, ProcessId, RunRow, RunState, StoreError, day};

use super::model::{Model, Result, index};

impl Model {
    pub fn run_prepared(&mut self, id: RunId, start: &str) -> Result<()> {
        let run = &mut self.runs[index(id.0)];
        if run.state != RunState::Starting {
            return Err(StoreError::Conflict);
        }
        run.start_sha = Some(start.to_owned());
        self.commits += 1;
        Ok(())
    }

    pub fn run_started(&mut self, id: RunId, process: &ProcessId, now: Millis) -> Result<()> {
        let run = &mut self.runs[index(id.0)];
        if run.state != RunState::Starting {
            return Err(StoreError::Conflict);
        }
        (run.state, run.started_at) = (RunState::Running, Some(now));
        (run.pid, run.pid_start, run.boot_id) = (Some(process.pid), Some(process.start), Some(process.boot_id.clone()));
        self.commits += 1;
        Ok(())
    }

    pub fn run_exited(&mut self, id: RunId, exit: serde_json::Value, now: Millis) {
        let run = &mut self.runs[index(id.0)];
        if !matches!(run.state, RunState::Starting | RunState::Running) {
            return;
        }
        (run.state, run.exit, run.exited_at) = (RunState::Exited, Some(exit), Some(now));
        let (task, job) = (run.task, run.job);
        let target = self.of_task(task);
        self.push(&target, Effect::Settle { run: id }, self.job_seq[index(job.0)], now);
        self.commits += 1;
    }

    pub fn end_run(&mut self, id: RunId, end: &RunEnd, report: Option<RunReport>, effect: Option<i64>, now: Millis) -> bool {
        let before = self.clone_marks();
        if let Some(effect) = effect {
            self.close(effect, "done", None, now);
        }
        let first = self.finish(id, end, report, now);
        self.land(effect);
        self.commits += u64::from(first || before != self.clone_marks());
        first
    }

    /// What tells whether a closing changed anything.
    pub fn clone_marks(&self) -> usize {
        self.outbox.iter().filter(|o| o.state == "open").count()
    }

    pub fn finish(&mut self, id: RunId, end: &RunEnd, report: Option<RunReport>, now: Millis) -> bool {
        let row = self.runs[index(id.0)].clone();
        if row.state == RunState::Ended {
            return false;
        }
        let run = &mut self.runs[index(id.0)];
        (run.state, run.end, run.ended_at) = (RunState::Ended, Some(end.clone()), Some(now));
        run.usage = report.as_ref().map(|r| r.usage);
        self.cost(&row, report.as_ref().map_or(0.0, |r| r.usage.cost_usd), now);
        self.weather(&row, end, now);
        let job = &self.jobs[index(row.job.0)];
        if job.state == JobState::Running && job.run == Some(id) {
            let cause = Some(self.job_seq[index(row.job.0)]);
            let target = self.of_task(row.task);
            let note = job.note.clone().unwrap_or_default();
            let said = self.tasks.iter().find(|t| t.id == row.task).map(|t| t.ledger.said.as_slice());
            let heard = Said::heard(said.unwrap_or_default(), &note);
            let report = report.unwrap_or_else(|| bare(&row, end.clone()));
            let body = Body::RunEnded(RunReport { heard, ..report });
            self.say(target, cause, Actor::Agent(id.0), body, now);
        }
        true
    }

    pub fn cost(&mut self, run: &RunRow, usd: f64, now: Millis) {
        if run.kind != JobKind::Agent || usd <= 0.0 {
            return;
        }
        let (sum, dearest) = self.spent.entry(run.task).or_default();
        sum.usd += usd;
        if dearest.is_none_or(|(_, most)| usd > most) {
            *dearest = Some((run.id, usd));
        }
        self.days.entry(day(now)).or_default().usd += usd;
    }

    pub fn weather(&mut self, run: &RunRow, end: &RunEnd, now: Millis) {
        let Some(command) = run.command.clone() else { return };
        let limits = self.limits.get(&run.id).copied();
        let before = self.breakers.get(&command).cloned().unwrap_or_default();
        let mut breaker = before.clone();
        let told = breaker.after(&command, end, run.id, limits, now);
        if breaker != before {
            self.breakers.insert(command.clone(), breaker);
        }
        if let Some(text) = told {
            let (key, target) = (format!("breaker-{}", run.id), self.of_task(run.task));
            self.push(&target, Effect::Alert { key, text }, self.job_seq[index(run.job.0)], now);
        }
    }

    pub fn put_back(&mut self, id: RunId, why: &str, now: Millis) -> bool {
        let row = self.runs[index(id.0)].clone();
        if row.state == RunState::Ended {
            return false;
        }
        self.commits += 1;
        if let Some(kill) = row.kill {
            self.finish(id, &RunEnd::Killed(kill), None, now);
            return false;
        }
        let never = |r: &&RunRow| r.job == row.job && r.state == RunState::Ended && r.started_at.is_none() && r.exited_at.is_none();
        let times = self.runs.iter().filter(never).count().min(20);
        let wait = 2_000_i64.saturating_mul(1 << times).min(300_000);
        let end = RunEnd::Transient {
            detail: why.to_owned(),
            retry_after: Some(Millis(wait)),
        };
        let run = &mut self.runs[index(id.0)];
        (run.state, run.end, run.ended_at) = (RunState::Ended, Some(end), Some(now));
        self.weather(&row, &RunEnd::Lost, now);
        if row.kind == JobKind::Agent {
            self.spent.entry(row.task).or_default().0.runs -= 1;
            self.days.entry(day(row.claimed_at)).or_default().runs -= 1;
        }
        let job = &mut self.jobs[index(row.job.0)];
        let own = job.state == JobState::Running && job.run == Some(id);
        if own {
            (job.state, job.available_at, job.run) = (JobState::Scheduled, now.plus(Millis(wait)), None);
            job.why = Some(why.to_owned());
            job.attempts = job.attempts.saturating_sub(1);
        }
        own
    }
}

fn bare(row: &RunRow, end: RunEnd) -> RunReport {
    RunReport {
        run: row.id,
        job: row.job,
        visit: row.visit,
        slot: row.slot.clone(),
        end,
        start: row.started_at.and(row.start_sha.clone()),
        head: None,
        nonce: row.nonce.clone(),
        wrote: Vec::new(),
        usage: Usage::default(),
        heard: Seq(0),
    }
}
