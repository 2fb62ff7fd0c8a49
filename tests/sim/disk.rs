//! The disk: the model, and beside it — where a test asks for it — the real store, which is given the
//! same requests and must answer and stand alike after each of them.

use signalbox::engine::model::{Body, Millis, RepoId, RunEnd, RunId, RunReport, Seq, Signal, TaskId};
use signalbox::shell::store::{Claim, JobState, NewEvent, OutboxRow, ProcessId, RunRow, StepCommit, Store};

use super::model::{Delivery, Model, Result, open};
use super::service::PROJECT;

/// The real store, in memory that survives the service.
struct Mirror {
    runtime: tokio::runtime::Runtime,
    dir: tempfile::TempDir,
    store: Option<Store>,
}

#[derive(Default)]
pub struct Disk {
    pub is: Model,
    mirror: Option<Mirror>,
}

impl Mirror {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let store = Store::open(dir.path(), "box").unwrap();
        runtime.block_on(store.repo("r")).unwrap();
        Self {
            runtime,
            dir,
            store: Some(store),
        }
    }

    fn ask<T>(&self, what: impl AsyncFnOnce(&Store) -> T) -> T {
        self.runtime.block_on(what(self.store.as_ref().unwrap()))
    }
}

/// The answer of what answers nothing.
fn only(act: impl FnOnce()) -> Result<()> {
    act();
    Ok(())
}

/// Both do it, and answer alike.
macro_rules! both {
    ($disk:expr, $model:expr, |$store:ident| $real:expr) => {{
        let answer = $model;
        if let Some(mirror) = &$disk.mirror {
            let real = mirror.ask(async |$store| $real.await);
            assert_eq!(real, answer, "the store answers otherwise than its model");
            $disk.compare();
        }
        answer
    }};
}

impl Disk {
    pub fn new(mirrored: bool) -> Self {
        let mut disk = Self {
            mirror: mirrored.then(Mirror::new),
            ..Self::default()
        };
        disk.is.repo.id = RepoId(1);
        disk
    }

    /// The service is gone; what was committed stays.
    pub fn crash(&mut self) {
        self.is.in_flight.clear();
        if let Some(mirror) = &mut self.mirror {
            let store = mirror.store.take().unwrap();
            mirror.runtime.block_on(store.close());
            mirror.store = Some(Store::open(mirror.dir.path(), "box").unwrap());
            self.compare();
        }
    }

    /// The store stands as the model does.
    fn compare(&self) {
        let Some(mirror) = &self.mirror else { return };
        let view = mirror.ask(async |s| s.queue(Millis(0)).await.unwrap());
        let jobs = |which: fn(JobState) -> bool| self.is.jobs.iter().filter(move |j| which(j.state)).cloned().collect::<Vec<_>>();
        assert_eq!(view.waiting, jobs(|s| open(s) && s != JobState::Running), "waiting jobs");
        assert_eq!(view.running, jobs(|s| s == JobState::Running), "running jobs");
        let tasks: Vec<_> = self.is.tasks.iter().filter(|t| !t.terminal()).cloned().collect();
        assert_eq!(view.tasks, tasks, "tasks");
        assert_eq!(view.repos, std::slice::from_ref(&self.is.repo), "repository");
        let runs = self.is.runs.iter().filter(|r| r.state != signalbox::shell::store::RunState::Ended);
        assert_eq!(view.open_runs, runs.cloned().collect::<Vec<_>>(), "open runs");
        assert_eq!(view.breakers, self.is.breakers, "breakers");
        for job in &view.waiting {
            assert_eq!(
                view.past.get(&job.id),
                self.is.past(job).as_ref(),
                "what was tried before job {}",
                job.id
            );
        }
        for (id, spent) in &view.spent {
            let (sum, dearest) = self.is.spent.get(id).copied().unwrap_or_default();
            assert_eq!(
                (spent.sum, spent.dearest.filter(|d| d.1 > 0.0)),
                (sum, dearest),
                "what task {id} cost"
            );
        }
        for (day, sum) in &self.is.days {
            let of = mirror.ask(async |s| s.spent_on(*day, [PROJECT.into()].into()).await.unwrap());
            assert_eq!(of.values().copied().next().unwrap_or_default(), *sum, "what day {day} cost");
        }
        let effects = mirror.ask(async |s| s.outbox_open().await.unwrap());
        let expected = self.is.outbox.iter().filter(|o| o.state == "open");
        assert_eq!(effects, expected.map(|o| o.row.clone()).collect::<Vec<_>>(), "effects");
        assert_eq!(
            mirror.ask(async |s| s.pending().await.unwrap()),
            self.is.pending(),
            "pending events"
        );
        assert_eq!(
            mirror.ask(async |s| s.next_due().await.unwrap()),
            self.is.next_due(),
            "the next moment"
        );
    }

    pub fn record(&mut self, new: NewEvent) -> Option<Seq> {
        both!(self, Ok(self.is.record(new.clone())), |s| s.record(new)).unwrap()
    }

    pub fn promote(&mut self, now: Millis) {
        let _ = both!(self, Ok(self.is.promote(now)), |s| s.promote(now));
    }

    pub fn fire_timers(&mut self, now: Millis) {
        let _ = both!(self, Ok(self.is.fire_timers(now)), |s| s.fire_timers(now));
    }

    pub fn shift(&mut self, by: Millis, from: Millis) {
        let _ = both!(self, self.is.shift(by, from), |s| s.shift(by, from, "boot", 0));
    }

    pub fn claim(&mut self, claim: &Claim) -> Result<RunRow> {
        let again = Claim {
            seen: i64::MAX,
            ..claim.clone()
        };
        both!(self, self.is.claim(claim), |s| s.claim(again))
    }

    pub fn commit_step(&mut self, step: &StepCommit) -> Result<Option<TaskId>> {
        let again = step.clone();
        let answer = self.is.commit_step(step);
        if let Some(mirror) = &self.mirror {
            let real = mirror.ask(async |s| s.commit_step(again).await);
            assert_eq!(real.map(|c| c.task), answer.clone().map(Option::unwrap_or_default), "a step");
            self.compare();
        }
        answer
    }

    pub fn run_prepared(&mut self, run: RunId, start: &str) -> Result<()> {
        both!(self, self.is.run_prepared(run, start), |s| s.run_prepared(run, start))
    }

    pub fn run_started(&mut self, run: RunId, now: Millis) -> Result<()> {
        let process = ProcessId {
            pid: 7,
            start: 77,
            boot_id: "boot".to_owned(),
            containment: None,
        };
        let again = process.clone();
        both!(self, self.is.run_started(run, &process, now), |s| s
            .run_started(run, again, None, now))
    }

    pub fn run_exited(&mut self, run: RunId, now: Millis) {
        let exit = serde_json::json!({ "code": 0 });
        let again = exit.clone();
        let _ = both!(self, only(|| self.is.run_exited(run, exit, now)), |s| s.run_exited(run, again, now));
    }

    pub fn end_run(&mut self, run: RunId, end: &RunEnd, report: Option<RunReport>, effect: Option<i64>, now: Millis) -> bool {
        let (end2, report2) = (end.clone(), report.clone());
        both!(self, Ok(self.is.end_run(run, end, report, effect, now)), |s| s
            .end_run(run, end2, report2, effect, now))
        .unwrap()
    }

    pub fn put_back(&mut self, run: RunId, why: &str, now: Millis) {
        let _ = both!(self, Ok(self.is.put_back(run, why, now)), |s| s.put_back(run, why, None, now));
    }

    pub fn due_effects(&mut self, now: Millis) -> Vec<OutboxRow> {
        both!(self, Ok(self.is.due_effects(now)), |s| s.due_effects(now, 64)).unwrap()
    }

    pub fn effect_progress(&mut self, id: i64, progress: serde_json::Value) -> Result<()> {
        let again = progress.clone();
        both!(self, self.is.effect_progress(id, progress), |s| s.effect_progress(id, again))
    }

    pub fn effect_done(&mut self, id: i64, event: Option<NewEvent>, now: Millis) {
        let again = event.clone();
        let _ = both!(self, only(|| self.is.effect_done(id, event, now)), |s| s
            .effect_done(id, again, now));
    }

    pub fn effect_retry(&mut self, id: i64, why: &str, next_at: Millis) {
        let _ = both!(self, only(|| self.is.effect_later(id, why, true, next_at)), |s| s
            .effect_retry(id, why, next_at));
    }

    pub fn effect_postpone(&mut self, id: i64, why: &str, next_at: Millis) {
        let _ = both!(self, only(|| self.is.effect_later(id, why, false, next_at)), |s| s
            .effect_postpone(id, why, next_at));
    }

    pub fn effects_now(&mut self, task: TaskId, now: Millis) {
        self.is.effects_now(task, now);
        if let Some(mirror) = &self.mirror {
            mirror.ask(async |s| s.effects_now(task, now).await.unwrap());
            self.compare();
        }
    }

    /// A delivery, acknowledged once it is here. The same again is looked at again.
    pub fn record_delivery(&mut self, issue: &str, key: &str, now: Millis) {
        self.is.commits += 1;
        if let Some(known) = self.is.deliveries.iter_mut().find(|d| d.key == key) {
            (known.open, known.due) = (true, now);
            return;
        }
        let new = Delivery {
            issue: issue.to_owned(),
            key: key.to_owned(),
            due: now,
            open: true,
            attempts: 0,
        };
        self.is.deliveries.push(new);
    }

    /// How often events with this activity were applied.
    pub fn applied(&self, activity: &str) -> usize {
        let of_it = |s: &Signal| s.activity == activity;
        let events = self.is.inbox.iter().filter(|k| k.applied);
        events
            .filter(|k| matches!(&k.event.body, Body::Signalled(s) if of_it(s)) && k.event.cause.is_none())
            .count()
    }
}
