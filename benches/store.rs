//! What the store costs, beside what the disk can do at all, in one run on one machine.
//!
//! `cargo bench --bench store` prints: raw `fdatasync`s; rows inserted raw through one
//! group-committing writer; enqueue + claim + finish through the store, by as many producers; and a
//! claim in a small and in a long history. Ratios count, absolute times drift from machine to machine.
//!
//! `SIGNALBOX_BENCH_SECONDS` (3), `SIGNALBOX_BENCH_HISTORY` (1000000) and `SIGNALBOX_BENCH_DIR` (the
//! temporary folder; name a folder on the disk in question) change what is measured.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use signalbox::engine::model::{
    Actor, Because, Body, Decision, Facts, JobId, JobKind, JobSpec, Millis, Phase, RunEnd, RunReport, Seat, Seq, Signal, Task, TaskId,
    Usage,
};
use signalbox::shell::store::{Among, Claim, NewEvent, RunRow, StepCommit, Store, Target};

#[path = "common/raw.rs"]
mod raw;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PRODUCERS: usize = 64;
/// Claims measured one after the other.
const CLAIMS: u32 = 10;
/// What the service reads at each look of a long queue in which nothing may start: so many times so many jobs.
const LOOKS: u64 = 4;
const HEAD: u64 = 64;
const T0: Millis = Millis(1_700_000_000_000);

fn main() -> Outcome<()> {
    let folder: std::path::PathBuf = std::env::var("SIGNALBOX_BENCH_DIR").map_or_else(|_| "target".into(), Into::into);
    std::fs::create_dir_all(&folder)?;
    let dir = tempfile::Builder::new().prefix("signalbox-bench-").tempdir_in(folder)?;
    let span = Duration::from_secs(number("SIGNALBOX_BENCH_SECONDS", 3).max(1));
    let history = number("SIGNALBOX_BENCH_HISTORY", 1_000_000);
    let cores = std::thread::available_parallelism()?.get();
    println!("{cores} cores, {PRODUCERS} producers, {} s each\n", span.as_secs());

    let syncs = raw::fdatasyncs(dir.path(), span)?;
    println!("raw fdatasync of 4 KiB                    {syncs:>10.0} /s");
    let raw = baseline(&dir.path().join("raw.db"), span)?;
    println!("raw rows through one group commit         {raw:>10.0} /s");

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.max(2))
        .enable_all()
        .build()?;
    let mut rates = Vec::new();
    for finished in [0, history / 100, history / 10, history] {
        let rate = runtime.block_on(cycles(&dir.path().join(format!("cycle-{finished}")), finished, span))?;
        println!("enqueue + claim + finish, durable         {rate:>10.0} /s   {finished} jobs of history");
        rates.push(rate);
    }
    let costs: Vec<f64> = rates[1..].iter().map(|rate| 1.0 / rate).collect();
    println!(
        "P4: ÷ (raw ÷ 3)                           {:>10.2}   goal ≥ 0.5; its cost grows with the history to the power of {:.2}\n",
        rates[0] / (raw / 3.0),
        raw::exponent(&costs)
    );

    let mut costs = Vec::new();
    for (step, part) in [("none", None), ("small", Some(100)), ("middle", Some(10)), ("whole", Some(1))] {
        let finished = part.map_or(0, |part| history / part);
        let (scheduled, ready) = (finished / 10, (finished / 100).max(u64::from(CLAIMS)));
        let cost = runtime.block_on(claims(&dir.path().join(step), finished, scheduled, ready))?;
        println!(
            "find and claim: {finished:>8} finished, {scheduled:>7} scheduled, {ready:>6} ready {:>9.1} µs; the queue read whole {:>9.0} µs",
            cost.claim, cost.view
        );
        costs.push(cost.claim);
    }
    let mut looks = Vec::new();
    for (step, waiting) in [("few", history / 1000), ("many", history / 100)] {
        let waiting = waiting.max(LOOKS * HEAD);
        let look = runtime.block_on(held(&dir.path().join(step), waiting))?;
        println!("look where nothing may start: {waiting:>6} waiting {look:>28.1} µs");
        looks.push(look);
    }
    println!(
        "P3: held back, ratio of many to few       {:>10.2}   goal ≤ 1.5",
        looks[1] / looks[0]
    );
    println!(
        "P3: ratio of last to first                {:>10.2}   goal ≤ 1.5; grows with the history to the power of {:.2}",
        costs[3] / costs[0],
        raw::exponent(&costs[1..])
    );
    Ok(())
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(otherwise)
}

/// The baseline: as many producers hand one row each to one thread, and wait until it is on disk.
fn baseline(path: &Path, span: Duration) -> Outcome<f64> {
    let rows = raw::Rows {
        table: "CREATE TABLE rows (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL, key TEXT NOT NULL) STRICT",
        insert: "INSERT INTO rows (body, key) VALUES (?1, ?2)",
        producers: PRODUCERS as u64,
        row: |_| (vec![b'x'; 600], String::new()),
    };
    raw::group_commit(path, span, &rows)
}

/// One producer: a task of its own, in a repository of its own.
struct Producer {
    store: Store,
    target: Target,
    task: Task,
    seq: Seq,
}

impl Producer {
    async fn new(store: &Store, number: usize) -> Outcome<Self> {
        let repo = store.repo(&format!("bench/{number}")).await?;
        let issue = format!("issue-{number}");
        let target = Target {
            project: "bench".into(),
            repo: repo.id,
            task: None,
            issue: Some(issue.clone()),
        };
        let signal = Signal {
            name: "start".into(),
            text: None,
            activity: "bench".to_owned(),
            acted_at: T0,
        };
        let seq = store
            .record(event(target.clone(), Body::Signalled(signal)))
            .await?
            .ok_or("recorded before")?;
        let mut task = Task::unborn("bench".into(), repo.id, &issue, "rules");
        task.item = format!("B-{number:05}");
        task.branch = format!("feature/B-{number:05}");
        task.title = "A bench".to_owned();
        task.control.phase = Phase::Live;
        task.control.stage = "analysis".into();
        task.ledger.visit.number = 1;
        let mut next = repo.clone();
        next.lane.push(Seat {
            task: TaskId(0),
            item: task.item.clone(),
            inside: true,
            passed: Vec::new(),
            since: T0,
        });
        let mut step = commit(seq, task.clone(), repo.version, next, vec![Decision::Create]);
        step.before.0 = 0;
        let made = store.commit_step(step).await?;
        let task = store.task(made.task).await?.ok_or("the task is gone")?;
        let target = Target {
            task: Some(task.id),
            ..target
        };
        let poke = Body::Poked { by: "bench".into() };
        let seq = store.record(event(target.clone(), poke)).await?.ok_or("recorded before")?;
        Ok(Self {
            store: store.clone(),
            target,
            task,
            seq,
        })
    }

    /// A job is queued, by the step that the end of the last run led to.
    async fn enqueue(&mut self, close_last: bool) -> Outcome<()> {
        let repo = self.store.repo_by_id(self.target.repo).await?;
        let mut decisions = Vec::new();
        if close_last {
            decisions.push(Decision::CloseJob {
                visit: 1,
                slot: "agent".into(),
                ok: true,
            });
        }
        decisions.push(Decision::Enqueue(JobSpec {
            visit: 1,
            slot: "agent".into(),
            kind: JobKind::Agent,
            stage: "analysis".into(),
            note: None,
            available_at: T0,
            entry: false,
        }));
        let version = repo.version;
        self.store
            .commit_step(commit(self.seq, self.task.clone(), version, repo, decisions))
            .await?;
        self.task.version += 1;
        Ok(())
    }

    async fn finish(&mut self, run: &RunRow) -> Outcome<()> {
        let report = RunReport {
            run: run.id,
            job: run.job,
            visit: run.visit,
            slot: run.slot.clone(),
            end: RunEnd::Ok,
            start: None,
            head: None,
            nonce: run.nonce.clone(),
            wrote: vec!["docs/work-items/B-1/12-review.md".to_owned()],
            usage: Usage::default(),
            heard: Seq(0),
        };
        self.store.end_run(run.id, RunEnd::Ok, Some(report), None, T0).await?;
        let next = self
            .store
            .next_event(&self.target, false)
            .await?
            .ok_or("the run ended without an event")?;
        self.seq = next.seq;
        Ok(())
    }
}

fn event(target: Target, body: Body) -> NewEvent {
    NewEvent {
        target,
        at: T0,
        cause: None,
        actor: Actor::Service,
        body,
        dedupe: None,
    }
}

fn commit(seq: Seq, task: Task, version: i64, repo: signalbox::engine::model::Repo, decisions: Vec<Decision>) -> StepCommit {
    StepCommit {
        seq,
        before: (task.version, version),
        stage_before: task.control.stage.clone(),
        task,
        repo,
        decisions,
        because: vec![Because::from("a bench says so")],
        facts: Facts::default(),
        follow: None,
        now: T0,
        semantics: 1,
        host: "bench".to_owned(),
        card: false,
    }
}

fn everyone() -> Among {
    Among::Others(Vec::new())
}

/// Hands claimed runs to the producers: one scheduler reads the head of the queue, as the service
/// does where many wait, and claims what it finds.
async fn scheduler(store: Store, mut takers: HashMap<TaskId, tokio::sync::mpsc::Sender<RunRow>>) -> Outcome<()> {
    let mut commits = store.commits();
    let mut claimed = JobId(0);
    while !takers.is_empty() {
        commits.borrow_and_update();
        let view = store.queue_head(everyone(), claimed, PRODUCERS as u32, T0).await?;
        let fresh: Vec<_> = view.waiting.into_iter().filter(|job| job.id > claimed).collect();
        claimed = fresh.last().map_or(claimed, |job| job.id);
        for job in fresh {
            let Some(taker) = takers.get(&job.task).cloned() else { continue };
            let store = store.clone();
            tokio::spawn(async move {
                let claim = Claim {
                    guard: None,
                    seen: i64::MAX,
                    job: job.id,
                    nonce: "nonce".to_owned(),
                    checkout: format!("t{}/agent", job.task),
                    repo: None,
                    now: T0,
                };
                if let Ok(run) = store.claim(claim).await {
                    // A producer that has gone does not mind.
                    let _ = taker.send(run).await;
                }
            });
        }
        takers.retain(|_, taker| !taker.is_closed());
        // Producers that end change nothing in the store.
        let _ = tokio::time::timeout(Duration::from_millis(100), commits.changed()).await;
    }
    Ok(())
}

/// Jobs per second from queued to finished, each of the three steps on disk before the next, beside so many that have finished.
async fn cycles(dir: &Path, finished: u64, span: Duration) -> Outcome<f64> {
    let store = Store::open(dir, "bench")?;
    let first = Producer::new(&store, PRODUCERS).await?.task;
    store.close().await;
    fill(&dir.join("signalbox.db"), first.id, finished, 0, 0)?;
    let store = Store::open(dir, "bench")?;
    let mut producers = Vec::new();
    let mut takers = HashMap::new();
    for number in 0..PRODUCERS {
        let producer = Producer::new(&store, number).await?;
        let (give, take) = tokio::sync::mpsc::channel(1);
        takers.insert(producer.task.id, give);
        producers.push((producer, take));
    }
    let scheduling = tokio::spawn(scheduler(store.clone(), takers));
    let began = Instant::now();
    let running: Vec<_> = producers
        .into_iter()
        .map(|(mut producer, mut take)| {
            tokio::spawn(async move {
                let mut rounds = 0_u64;
                while began.elapsed() < span {
                    producer.enqueue(rounds > 0).await?;
                    let run = take.recv().await.ok_or("the scheduler ended")?;
                    producer.finish(&run).await?;
                    rounds += 1;
                }
                Outcome::Ok(rounds)
            })
        })
        .collect();
    let mut done = 0_u64;
    for producer in running {
        done += producer.await??;
    }
    let took = began.elapsed();
    scheduling.await??;
    store.close().await;
    Ok(done as f64 / took.as_secs_f64())
}

/// Microseconds per call.
struct Cost {
    claim: f64,
    view: f64,
}

/// What finding and claiming a job costs in a history of so many jobs, one after the other.
async fn claims(dir: &Path, finished: u64, scheduled: u64, ready: u64) -> Outcome<Cost> {
    let store = Store::open(dir, "bench")?;
    let first = Producer::new(&store, 0).await?.task;
    store.close().await;
    fill(&dir.join("signalbox.db"), first.id, finished, scheduled, ready)?;
    let store = Store::open(dir, "bench")?;
    let began = Instant::now();
    store.queue(T0).await?;
    let view = began.elapsed().as_secs_f64() * 1e6;
    let began = Instant::now();
    for at in 0..CLAIMS {
        // As the service does: the head of the queue is read, and what may start is claimed.
        let head = store.queue_head(everyone(), JobId(0), 1, T0).await?;
        let job = head.waiting.first().ok_or("nothing waits")?;
        let claim = Claim {
            guard: None,
            seen: i64::MAX,
            job: job.id,
            nonce: "nonce".to_owned(),
            checkout: format!("bench/{at}"),
            repo: None,
            now: T0,
        };
        store.claim(claim).await?;
    }
    let claim = began.elapsed().as_secs_f64() * 1e6 / f64::from(CLAIMS);
    store.close().await;
    Ok(Cost { claim, view })
}

/// Microseconds for one look at a queue of so many jobs that are all held back: none is claimed, and the look goes no
/// further than the service's own does.
async fn held(dir: &Path, waiting: u64) -> Outcome<f64> {
    let store = Store::open(dir, "bench")?;
    let first = Producer::new(&store, 0).await?.task;
    store.close().await;
    fill(&dir.join("signalbox.db"), first.id, 0, 0, waiting)?;
    let store = Store::open(dir, "bench")?;
    let began = Instant::now();
    for _ in 0..CLAIMS {
        let mut after = JobId(0);
        for _ in 0..LOOKS {
            let head = store.queue_head(everyone(), after, u32::try_from(HEAD)?, T0).await?;
            after = head.waiting.last().ok_or("nothing waits")?.id;
        }
    }
    let look = began.elapsed().as_secs_f64() * 1e6 / f64::from(CLAIMS);
    store.close().await;
    Ok(look)
}

/// Lays a history down, behind the store's back: through it, a million jobs would take hours.
fn fill(path: &Path, task: TaskId, finished: u64, scheduled: u64, ready: u64) -> Outcome<()> {
    let mut conn = Connection::open(path)?;
    let tx = conn.transaction()?;
    {
        let mut insert = tx.prepare(
            "INSERT INTO jobs (host, task, seq, visit, slot, kind, stage, entry, state, attempts, available_at, created_at, ended_at) \
             VALUES ('bench', ?1, 1, ?2, 'agent', 'agent', 'analysis', 0, ?3, 1, ?4, 0, ?5)",
        )?;
        let later = T0.0 + 3_600_000;
        let kinds = [
            ("done", finished, 0, Some(1)),
            ("scheduled", scheduled, later, None),
            ("queued", ready, 0, None),
        ];
        let mut visit = 1_i64;
        for (state, count, available_at, ended_at) in kinds {
            for _ in 0..count {
                visit += 1;
                insert.execute(params![task.0, visit, state, available_at, ended_at])?;
            }
        }
    }
    tx.commit()?;
    conn.pragma_update(None, "wal_checkpoint", "TRUNCATE")
        .or_else(|_| conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"))?;
    Ok(())
}
