//! The queue against a model of it: whatever is done in whatever order, with the store closed and
//! opened between, jobs and runs stand as a few lines of plain code say, and the promises hold.
//!
//! `PROPTEST_CASES=100000 cargo test --release --lib -- store::tests::model` is the long job.

use proptest::prelude::*;

use super::*;

/// Something that happens to the queue. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Op {
    Enqueue { slot: usize, later: bool },
    Claim { job: usize, checkout: usize, early: bool },
    Started(usize),
    Exited(usize),
    End(usize, bool),
    Requeue { slot: usize, later: bool },
    Close { slot: usize, ok: bool },
    Withdraw,
    Promote(bool),
    Reopen,
    Over,
}

const SLOTS: [&str; 3] = ["analyst", "developer", "reviewer"];
const LATER: i64 = 50_000;

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (0..3_usize, any::<bool>()).prop_map(|(slot, later)| Op::Enqueue { slot, later }),
        8 => (0..40_usize, 0..4_usize, any::<bool>()).prop_map(|(job, checkout, early)| Op::Claim { job, checkout, early }),
        4 => (0..40_usize).prop_map(Op::Started),
        4 => (0..40_usize).prop_map(Op::Exited),
        8 => (0..40_usize, any::<bool>()).prop_map(|(run, ok)| Op::End(run, ok)),
        5 => (0..3_usize, any::<bool>()).prop_map(|(slot, later)| Op::Requeue { slot, later }),
        4 => (0..3_usize, any::<bool>()).prop_map(|(slot, ok)| Op::Close { slot, ok }),
        1 => Just(Op::Withdraw),
        2 => any::<bool>().prop_map(Op::Promote),
        1 => Just(Op::Reopen),
        1 => Just(Op::Over),
    ];
    prop::collection::vec(op, 1..40)
}

#[derive(Debug, Clone, PartialEq)]
struct Job {
    slot: usize,
    state: JobState,
    available_at: i64,
    attempts: u32,
    run: Option<usize>,
}

#[derive(Debug, Clone, PartialEq)]
struct Run {
    job: usize,
    checkout: String,
    state: RunState,
    doomed: bool,
}

/// The model: jobs and runs in the order of their ids, and the ends of runs that are news.
#[derive(Debug, Default)]
struct Model {
    jobs: Vec<Job>,
    runs: Vec<Run>,
    news: usize,
    over: bool,
}

fn open(job: &Job) -> bool {
    matches!(job.state, JobState::Scheduled | JobState::Queued | JobState::Running)
}

impl Model {
    /// When a step that is decided now makes a job claimable.
    fn when(later: bool) -> (JobState, i64) {
        if later {
            (JobState::Scheduled, LATER)
        } else {
            (JobState::Queued, 0)
        }
    }

    fn cancel(&mut self, which: impl Fn(&Job) -> bool) {
        for at in 0..self.jobs.len() {
            if open(&self.jobs[at]) && which(&self.jobs[at]) {
                self.jobs[at].state = JobState::Cancelled;
            }
        }
    }

    fn doom(&mut self, which: impl Fn(&Run) -> bool) {
        let all = self.runs.iter_mut().filter(|r| r.state != RunState::Ended);
        all.filter(|r| which(r)).for_each(|r| r.doomed = true);
    }

    fn enqueue(&mut self, slot: usize, later: bool) {
        let old: Vec<usize> = (0..self.jobs.len())
            .filter(|j| self.jobs[*j].slot == slot && open(&self.jobs[*j]))
            .collect();
        self.cancel(|job| job.slot == slot);
        self.doom(|run| old.contains(&run.job));
        if !self.over {
            let (state, available_at) = Self::when(later);
            self.jobs.push(Job {
                slot,
                state,
                available_at,
                attempts: 0,
                run: None,
            });
        }
    }

    /// The newest job of a slot, unless it was cancelled.
    fn newest(&mut self, slot: usize) -> Option<&mut Job> {
        self.jobs
            .iter_mut()
            .rev()
            .find(|j| j.slot == slot)
            .filter(|j| j.state != JobState::Cancelled)
    }

    fn withdraw(&mut self) {
        self.cancel(|_| true);
        self.doom(|_| true);
    }

    fn claimable(&self, job: usize, checkout: &str, now: i64) -> bool {
        let live = |r: &&Run| r.state != RunState::Ended && (r.job == job || r.checkout == checkout);
        let found = &self.jobs[job];
        found.state == JobState::Queued && found.available_at <= now && !self.runs.iter().any(|r| live(&r))
    }
}

/// The store beside its model.
struct Pair {
    world: World,
    task: Task,
    model: Model,
}

impl Pair {
    async fn new() -> Self {
        let world = World::new().await;
        let task = world.task("i1", 1).await;
        let mut model = Model::default();
        model.enqueue(0, false);
        Self { world, task, model }
    }

    async fn decide(&mut self, decision: Decision) {
        self.task = self.world.decide(&self.task, vec![decision]).await;
    }

    async fn run(&mut self, op: &Op) {
        match *op {
            Op::Enqueue { slot, later } => {
                let available_at = if later { at(LATER) } else { T0 };
                let spec = JobSpec {
                    available_at,
                    ..spec(1, SLOTS[slot])
                };
                self.decide(Decision::Enqueue(spec)).await;
                self.model.enqueue(slot, later);
            }
            Op::Claim { job, checkout, early } => self.claim(job, checkout, early).await,
            Op::Started(run) => self.started(run).await,
            Op::Exited(run) => self.exited(run).await,
            Op::End(run, ok) => self.end(run, ok).await,
            Op::Requeue { slot, later } => {
                let available_at = if later { at(LATER) } else { T0 };
                let (visit, why) = (1, "weather".to_owned());
                self.decide(Decision::Requeue {
                    visit,
                    slot: SLOTS[slot].into(),
                    available_at,
                    why,
                })
                .await;
                let over = self.model.over;
                if let Some(job) = self.model.newest(slot) {
                    if over && open(job) {
                        job.state = JobState::Cancelled;
                    } else if !over {
                        (job.state, job.available_at) = Model::when(later);
                        job.run = None;
                    }
                }
            }
            Op::Close { slot, ok } => {
                self.decide(Decision::CloseJob {
                    visit: 1,
                    slot: SLOTS[slot].into(),
                    ok,
                })
                .await;
                if let Some(job) = self.model.newest(slot).filter(|j| open(j)) {
                    job.state = if ok { JobState::Done } else { JobState::Failed };
                }
            }
            Op::Withdraw => {
                self.decide(Decision::Withdraw {
                    visit: None,
                    why: Kill::Superseded,
                })
                .await;
                self.model.withdraw();
            }
            Op::Promote(late) => {
                let now = if late { LATER } else { 10 };
                let due = self
                    .model
                    .jobs
                    .iter_mut()
                    .filter(|j| j.state == JobState::Scheduled && j.available_at <= now);
                let moved = due.map(|j| j.state = JobState::Queued).count();
                assert_eq!(self.world.store.promote(at(now)).await, Ok(moved as u64));
            }
            Op::Reopen | Op::Over => unreachable!("handled by `all`"),
        }
    }

    async fn claim(&mut self, pick: usize, checkout: usize, early: bool) {
        let (job, now) = (pick % self.model.jobs.len(), if early { 10 } else { LATER });
        let checkout = format!("c{checkout}");
        let ids = self.world.store.jobs(self.task.id).await.unwrap();
        let claim = Claim {
            now: at(now),
            ..claim(ids[job].id, &checkout)
        };
        let done = self.world.store.claim(claim).await;
        assert_eq!(done.is_ok(), self.model.claimable(job, &checkout, now), "{done:?}");
        if done.is_ok() {
            let run = Run {
                job,
                checkout,
                state: RunState::Starting,
                doomed: false,
            };
            self.model.runs.push(run);
            let last = self.model.runs.len() - 1;
            let found = &mut self.model.jobs[job];
            (found.state, found.run) = (JobState::Running, Some(last));
            found.attempts += 1;
        }
    }

    fn pick(&self, run: usize) -> Option<(usize, RunId)> {
        // One task in one file: runs are numbered from 1.
        let at = run.checked_rem(self.model.runs.len())?;
        Some((at, RunId(i64::try_from(at).ok()? + 1)))
    }

    async fn started(&mut self, run: usize) {
        let Some((at, id)) = self.pick(run) else { return };
        let done = self.world.store.run_started(id, process(7), None, T0).await;
        let starting = self.model.runs[at].state == RunState::Starting;
        assert_eq!(done.is_ok(), starting, "{done:?}");
        if starting {
            self.model.runs[at].state = RunState::Running;
        }
    }

    async fn exited(&mut self, run: usize) {
        let Some((at, id)) = self.pick(run) else { return };
        self.world.store.run_exited(id, serde_json::json!({"code": 0}), T0).await.unwrap();
        let run = &mut self.model.runs[at];
        if matches!(run.state, RunState::Starting | RunState::Running) {
            run.state = RunState::Exited;
        }
    }

    /// I3: a stale end changes nothing and is no news.
    async fn end(&mut self, run: usize, ok: bool) {
        let Some((at, id)) = self.pick(run) else { return };
        let end = if ok { RunEnd::Ok } else { RunEnd::Lost };
        let first = self.world.store.end_run(id, end, None, None, T0).await.unwrap();
        let ended = self.model.runs[at].state == RunState::Ended;
        assert_eq!(first, !ended);
        if !ended {
            let job = &self.model.jobs[self.model.runs[at].job];
            self.model.news += usize::from(job.state == JobState::Running && job.run == Some(at));
            self.model.runs[at].state = RunState::Ended;
        }
    }

    /// The store stands as the model does.
    async fn compare(&self) {
        let slot = |name: &str| SLOTS.iter().position(|s| *s == name).unwrap();
        let index = |run: RunId| usize::try_from(run.0 - 1).unwrap();
        let jobs = self.world.store.jobs(self.task.id).await.unwrap();
        let jobs: Vec<Job> = jobs
            .iter()
            .map(|j| Job {
                slot: slot(&j.slot),
                state: j.state,
                available_at: j.available_at.0 - T0.0,
                attempts: j.attempts,
                run: j.run.map(index),
            })
            .collect();
        assert_eq!(jobs, self.model.jobs);
        let first = self.world.store.jobs(self.task.id).await.unwrap().first().map_or(1, |j| j.id.0);
        let runs = self.world.store.runs(self.task.id).await.unwrap();
        let runs: Vec<Run> = runs
            .iter()
            .map(|r| Run {
                job: usize::try_from(r.job.0 - first).unwrap(),
                checkout: r.checkout.clone(),
                state: r.state,
                doomed: r.kill.is_some(),
            })
            .collect();
        assert_eq!(runs, self.model.runs);
        assert_eq!(broken(self.world.dir.path()), Vec::<&str>::new());
        let news: i64 = glance(self.world.dir.path(), "SELECT COUNT(*) FROM inbox WHERE kind = 'run_ended'");
        assert_eq!(usize::try_from(news).unwrap(), self.model.news);
    }
}

/// The promises that can be read from the file alone; those that are broken.
fn broken(data: &Path) -> Vec<&'static str> {
    let checks = [
        (
            "I2: a job with two live runs",
            "SELECT COUNT(*) FROM (SELECT 1 FROM runs WHERE state <> 'ended' GROUP BY job HAVING COUNT(*) > 1)",
        ),
        (
            "I2: a checkout with two live runs",
            "SELECT COUNT(*) FROM (SELECT 1 FROM runs WHERE state <> 'ended' GROUP BY checkout HAVING COUNT(*) > 1)",
        ),
        (
            "I1: a slot with two open jobs",
            "SELECT COUNT(*) FROM (SELECT 1 FROM jobs WHERE state IN ('scheduled', 'queued', 'running') GROUP BY task, visit, slot HAVING COUNT(*) > 1)",
        ),
        (
            "I1: two ends of one run",
            "SELECT COUNT(*) FROM (SELECT 1 FROM inbox WHERE kind = 'run_ended' GROUP BY body ->> '$.run_ended.run' HAVING COUNT(*) > 1)",
        ),
        (
            "I3: a running job without its run",
            "SELECT COUNT(*) FROM jobs WHERE state = 'running' AND run IS NULL",
        ),
        (
            "I5, I6: an open job of a task that is over",
            "SELECT COUNT(*) FROM jobs j JOIN tasks t ON t.id = j.task WHERE t.terminal AND j.state IN ('scheduled', 'queued', 'running')",
        ),
        (
            "I6: a live run that nobody kills, of a task that is over",
            "SELECT COUNT(*) FROM runs r JOIN tasks t ON t.id = r.task WHERE t.terminal AND r.state <> 'ended' AND r.kill IS NULL",
        ),
    ];
    checks
        .into_iter()
        .filter(|(_, sql)| glance::<i64>(data, sql) > 0)
        .map(|(what, _)| what)
        .collect()
}

async fn all(ops: Vec<Op>) {
    let mut pair = Pair::new().await;
    pair.compare().await;
    for op in &ops {
        match op {
            Op::Reopen => {
                pair = Pair {
                    world: pair.world.reopen().await,
                    ..pair
                }
            }
            Op::Over if pair.model.over => {}
            Op::Over => {
                pair.task = pair.world.phase(&pair.task, Phase::Done, vec![]).await;
                pair.model.over = true;
                pair.model.withdraw();
            }
            op => pair.run(op).await,
        }
        pair.compare().await;
    }
    pair.world.store.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]
    #[test]
    fn the_queue_does_what_its_model_does(ops in ops()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(all(ops));
    }
}

/// A twin of the store that is broken in one place, for each promise: the check for it notices.
#[tokio::test]
async fn each_broken_twin_is_noticed() {
    let twins = [
        (
            "I2: a job with two live runs",
            "DROP INDEX runs_of_job; INSERT INTO runs (host, job, task, visit, slot, kind, stage, nonce, checkout, state, claimed_at) SELECT host, job, task, visit, slot, kind, stage, nonce, 'other', state, claimed_at FROM runs",
        ),
        (
            "I2: a checkout with two live runs",
            "DROP INDEX runs_checkout; DROP INDEX runs_of_job; INSERT INTO runs (host, job, task, visit, slot, kind, stage, nonce, checkout, state, claimed_at) SELECT host, job, task, visit, slot, kind, stage, nonce, checkout, state, claimed_at FROM runs",
        ),
        (
            "I1: a slot with two open jobs",
            "DROP INDEX jobs_slot; INSERT INTO jobs (host, task, seq, visit, slot, kind, stage, entry, state, attempts, available_at, created_at) SELECT host, task, seq, visit, slot, kind, stage, entry, state, attempts, available_at, created_at FROM jobs",
        ),
        (
            "I1: two ends of one run",
            "INSERT INTO inbox (project, repo, task, at, actor, kind, stop, body, state) SELECT 'orch', repo, 1, 0, '{}', 'run_ended', 0, '{\"run_ended\": {\"run\": 1}}', 'applied' FROM tasks, (VALUES (1), (2))",
        ),
        ("I3: a running job without its run", "UPDATE jobs SET run = NULL"),
        (
            "I5, I6: an open job of a task that is over",
            "DROP TRIGGER tasks_over; UPDATE tasks SET phase = 'done', terminal = 1",
        ),
        (
            "I6: a live run that nobody kills, of a task that is over",
            "UPDATE tasks SET phase = 'done', terminal = 1",
        ),
    ];
    for (promise, spoil) in twins {
        let world = World::new().await;
        let task = world.task("i1", 1).await;
        world.running(&task).await;
        assert_eq!(broken(world.dir.path()), Vec::<&str>::new(), "{promise}");
        let conn = rusqlite::Connection::open(world.dir.path().join("signalbox.db")).unwrap();
        conn.execute_batch(spoil).unwrap();
        assert!(
            broken(world.dir.path()).contains(&promise),
            "{promise}: {:?}",
            broken(world.dir.path())
        );
    }
}
