//! What the store costs, beside what the disk can do at all, in one run on one machine.
//!
//! `cargo bench --bench store` prints: raw `fdatasync`s; rows inserted raw through one
//! group-committing writer; enqueue + claim + finish through the store, by as many producers; and a
//! claim in a small and in a long history. Ratios count, absolute times drift from machine to machine.
//!
//! `SIGNALBOX_BENCH_SECONDS` (3), `SIGNALBOX_BENCH_HISTORY` (1000000) and `SIGNALBOX_BENCH_DIR` (the
//! temporary folder; name a folder on the disk in question) change what is measured.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use signalbox::engine::model::{
    Actor, Because, Body, Decision, Facts, JobId, JobKind, JobSpec, Millis, Phase, RunEnd, RunReport, Seat, Seq, Signal, Task, TaskId,
    Usage,
};
use signalbox::shell::store::{Claim, NewEvent, RunRow, StepCommit, Store, Target};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PRODUCERS: usize = 64;
const T0: Millis = Millis(1_700_000_000_000);

fn main() -> Outcome<()> {
    let folder: std::path::PathBuf = std::env::var("SIGNALBOX_BENCH_DIR").map_or_else(|_| "target".into(), Into::into);
    let dir = tempfile::Builder::new().prefix("signalbox-bench-").tempdir_in(folder)?;
    let span = Duration::from_secs(number("SIGNALBOX_BENCH_SECONDS", 3).max(1));
    let history = number("SIGNALBOX_BENCH_HISTORY", 1_000_000);
    let cores = std::thread::available_parallelism()?.get();
    println!("{cores} cores, {PRODUCERS} producers, {} s each\n", span.as_secs());

    let syncs = fdatasyncs(dir.path(), span)?;
    println!("raw fdatasync of 4 KiB                    {syncs:>10.0} /s");
    let raw = group_commit(&dir.path().join("raw.db"), span)?;
    println!("raw rows through one group commit         {raw:>10.0} /s");

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.max(2))
        .enable_all()
        .build()?;
    let cycles = runtime.block_on(cycles(&dir.path().join("cycle"), span))?;
    println!("enqueue + claim + finish, durable         {cycles:>10.0} /s");
    println!(
        "P4: ÷ (raw ÷ 3)                           {:>10.2}   goal ≥ 0.5\n",
        cycles / (raw / 3.0)
    );

    let small = runtime.block_on(claims(&dir.path().join("small"), 0, 0, 10))?;
    let long = runtime.block_on(claims(&dir.path().join("long"), history, history / 10, history / 100))?;
    println!("claim, 10 ready jobs                      {:>10.1} µs", small.claim);
    println!(
        "claim, {history} finished, {} scheduled, {} ready  {:.1} µs",
        history / 10,
        history / 100,
        long.claim
    );
    println!(
        "P3: ratio                                 {:>10.2}   goal ≤ 1.5",
        long.claim / small.claim
    );
    println!(
        "the queue read whole, for scheduling      {:>10.1} µs → {:.0} µs",
        small.view, long.view
    );
    Ok(())
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(otherwise)
}

/// How often the disk confirms a small write in a second: nothing durable is quicker, alone.
fn fdatasyncs(dir: &Path, span: Duration) -> Outcome<f64> {
    let mut file = File::create(dir.join("sync"))?;
    let page = [7_u8; 4096];
    let (began, mut done) = (Instant::now(), 0_u32);
    while began.elapsed() < span {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&page)?;
        file.sync_data()?;
        done += 1;
    }
    Ok(f64::from(done) / began.elapsed().as_secs_f64())
}

/// The baseline: as many producers hand one row each to one thread, which commits whatever has
/// come together, and wait until it is on disk.
fn group_commit(path: &Path, span: Duration) -> Outcome<f64> {
    let conn = Connection::open(path)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.execute_batch("CREATE TABLE rows (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, body TEXT NOT NULL) STRICT")?;
    let (send, receive) = mpsc::sync_channel::<(String, mpsc::SyncSender<()>)>(1024);
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|_| {
            let (send, stop, done) = (send.clone(), Arc::clone(&stop), Arc::clone(&done));
            std::thread::spawn(move || {
                let (answer, answered) = mpsc::sync_channel(1);
                while !stop.load(Ordering::Relaxed) {
                    if send.send(("x".repeat(600), answer.clone())).is_err() || answered.recv().is_err() {
                        return;
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    drop(send);
    let writer = std::thread::spawn(move || -> Outcome<()> {
        while let Ok(first) = receive.recv() {
            let mut batch = vec![first];
            batch.extend(receive.try_iter().take(255));
            conn.execute_batch("BEGIN IMMEDIATE")?;
            for (body, _) in &batch {
                conn.prepare_cached("INSERT INTO rows (at, body) VALUES (?1, ?2)")?
                    .execute(params![T0.0, body])?;
            }
            conn.execute_batch("COMMIT")?;
            for (_, answer) in batch {
                // A producer that has gone does not mind.
                let _ = answer.send(());
            }
        }
        Ok(())
    });
    let began = Instant::now();
    std::thread::sleep(span);
    let count = done.load(Ordering::Relaxed);
    let took = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    for producer in producers {
        producer.join().map_err(|_| "a producer panicked")?;
    }
    writer.join().map_err(|_| "the writer panicked")??;
    Ok(count as f64 / took.as_secs_f64())
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

/// Hands claimed runs to the producers: one scheduler reads the queue and claims whatever waits.
async fn scheduler(store: Store, mut takers: HashMap<TaskId, tokio::sync::mpsc::Sender<RunRow>>) -> Outcome<()> {
    let mut commits = store.commits();
    let mut claimed = JobId(0);
    while !takers.is_empty() {
        commits.borrow_and_update();
        let view = store.queue().await?;
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

/// Jobs per second from queued to finished, each of the three steps on disk before the next.
async fn cycles(dir: &Path, span: Duration) -> Outcome<f64> {
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

/// What a claim costs in a history of so many jobs; the claims are made one after the other.
async fn claims(dir: &Path, finished: u64, scheduled: u64, ready: u64) -> Outcome<Cost> {
    let store = Store::open(dir, "bench")?;
    let first = Producer::new(&store, 0).await?.task;
    store.close().await;
    fill(&dir.join("signalbox.db"), first.id, finished, scheduled, ready)?;
    let store = Store::open(dir, "bench")?;
    let view = store.queue().await?;
    let jobs: Vec<_> = view
        .waiting
        .iter()
        .filter(|j| j.available_at <= T0)
        .map(|j| j.id)
        .take(10)
        .collect();
    let began = Instant::now();
    for _ in 0..3 {
        store.queue().await?;
    }
    let view = began.elapsed().as_secs_f64() * 1e6 / 3.0;
    let began = Instant::now();
    for (at, job) in jobs.iter().enumerate() {
        let claim = Claim {
            guard: None,
            seen: i64::MAX,
            job: *job,
            nonce: "nonce".to_owned(),
            checkout: format!("bench/{at}"),
            repo: None,
            now: T0,
        };
        store.claim(claim).await?;
    }
    let claim = began.elapsed().as_secs_f64() * 1e6 / jobs.len().max(1) as f64;
    store.close().await;
    Ok(Cost { claim, view })
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
