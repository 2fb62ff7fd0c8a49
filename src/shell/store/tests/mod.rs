//! What the store promises, against real files. The suite speaks only through the public
//! interface (the few glances at the file say so), so that another store can be put under it.

use std::path::Path;

use super::*;
use crate::engine::model::{
    Actor, At, Because, Body, CleanUp, Decision, Facts, Issue, JobId, JobKind, JobSpec, Kill, Millis, Phase, Repo, RepoId, RunEnd, RunId,
    RunReport, Seat, Seq, Signal, StopState, Task, TaskId, Usage,
};

mod breakers;
mod chat;
mod clock;
mod deliveries;
mod depends;
mod durability;
mod effects;
mod events;
mod growth;
mod local;
mod matrix;
mod migrating;
mod model;
mod opening;
mod over;
mod place;
mod queue;
mod runs;
mod spending;
mod steps;

/// A moment to count from.
const T0: Millis = Millis(1_700_000_000_000);
const PROJECT: &str = "orch";

/// `T0` and so many milliseconds.
fn at(ms: i64) -> Millis {
    T0.plus(Millis(ms))
}

/// A store in a directory of its own.
struct World {
    dir: tempfile::TempDir,
    store: Store,
    repo: RepoId,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "box").unwrap();
        let repo = store.repo("git.example/orch").await.unwrap().id;
        Self { dir, store, repo }
    }

    /// Closes the store and opens it again.
    async fn reopen(self) -> Self {
        self.store.close().await;
        let store = Store::open(self.dir.path(), "box").unwrap();
        Self { store, ..self }
    }

    fn issue(&self, issue: &str) -> Target {
        Target {
            project: PROJECT.into(),
            repo: self.repo,
            task: None,
            issue: Some(issue.to_owned()),
        }
    }

    fn aimed(&self, task: &Task) -> Target {
        Target {
            task: Some(task.id),
            ..self.issue(&task.issue)
        }
    }

    async fn signal(&self, target: Target, name: &str) -> Seq {
        self.store.record(event(target, signalled(name))).await.unwrap().unwrap()
    }

    async fn poke(&self, task: &Task) -> Seq {
        self.store.record(event(self.aimed(task), poked())).await.unwrap().unwrap()
    }

    async fn repo_now(&self) -> Repo {
        self.store.repo_by_id(self.repo).await.unwrap()
    }

    /// The step that makes a task of an issue, with its seat and an agent's job.
    async fn birth(&self, seq: Seq, issue: &str, number: u32) -> StepCommit {
        let repo = self.repo_now().await;
        let item = format!("ORCH-{number:03}");
        let mut task = Task::unborn(PROJECT.into(), self.repo, issue, "rules-1");
        task.item.clone_from(&item);
        task.branch = format!("feature/{item}-x");
        task.title = "A title".to_owned();
        task.created_at = T0;
        task.control.phase = Phase::Live;
        task.control.stage = "analysis".into();
        task.ledger.visit.number = 1;
        let mut next = repo.clone();
        next.lane.push(Seat {
            task: TaskId(0),
            item,
            inside: false,
            passed: Vec::new(),
            since: T0,
        });
        StepCommit {
            seq,
            before: (0, repo.version),
            stage_before: "created".into(),
            task,
            repo: next,
            decisions: vec![Decision::Create, Decision::Enqueue(spec(1, "analyst"))],
            because: vec![Because::from("the issue was started")],
            facts: Facts::default(),
            follow: None,
            now: T0,
            semantics: 1,
            host: "box".to_owned(),
            card: false,
        }
    }

    /// A task of this issue, with its first job queued.
    async fn task(&self, issue: &str, number: u32) -> Task {
        let seq = self.signal(self.issue(issue), "start").await;
        let made = self.store.commit_step(self.birth(seq, issue, number).await).await.unwrap();
        self.store.task(made.task).await.unwrap().unwrap()
    }

    /// A step on this task that leaves it as it is.
    async fn step(&self, task: &Task, seq: Seq, decisions: Vec<Decision>) -> StepCommit {
        let repo = self.repo_now().await;
        StepCommit {
            seq,
            before: (task.version, repo.version),
            stage_before: task.control.stage.clone(),
            task: task.clone(),
            repo,
            decisions,
            because: vec![Because::from("a test says so")],
            facts: Facts::default(),
            follow: None,
            now: at(1000),
            semantics: 1,
            host: "box".to_owned(),
            card: false,
        }
    }

    /// Pokes the task and commits these decisions; the task afterwards.
    async fn decide(&self, task: &Task, decisions: Vec<Decision>) -> Task {
        let seq = self.poke(task).await;
        let step = self.step(task, seq, decisions).await;
        self.store.commit_step(step).await.unwrap();
        self.store.task(task.id).await.unwrap().unwrap()
    }

    /// Moves the task to another phase with these decisions.
    async fn phase(&self, task: &Task, phase: Phase, decisions: Vec<Decision>) -> Task {
        let mut next = task.clone();
        next.control.phase = phase;
        next.control.stop = StopState::No;
        next.ledger.ended_at = Some(at(1000));
        self.decide(&next, decisions).await
    }

    async fn claim(&self, job: JobId, checkout: &str) -> Result<RunRow> {
        self.store.claim(claim(job, checkout)).await
    }

    async fn only_job(&self, task: &Task) -> JobRow {
        let mut jobs = self.store.jobs(task.id).await.unwrap();
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.remove(0)
    }

    /// The task's one job, claimed.
    async fn running(&self, task: &Task) -> RunRow {
        let job = self.only_job(task).await;
        self.claim(job.id, &format!("checkouts/t{}/{}", task.id, job.slot)).await.unwrap()
    }

    async fn counts(&self, state: JobState) -> i64 {
        self.store.queue(T0).await.unwrap().counts[state.as_str()]
    }
}

fn claim(job: JobId, checkout: &str) -> Claim {
    Claim {
        guard: None,
        job,
        nonce: "n".to_owned(),
        checkout: checkout.to_owned(),
        seen: 0,
        repo: None,
        now: at(10),
    }
}

fn spec(visit: u32, slot: &str) -> JobSpec {
    JobSpec {
        visit,
        slot: slot.into(),
        kind: JobKind::Agent,
        stage: "analysis".into(),
        note: None,
        available_at: T0,
        entry: true,
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

fn poked() -> Body {
    Body::Poked { by: "test".into() }
}

fn signalled(name: &str) -> Body {
    Body::Signalled(Signal {
        name: name.into(),
        text: None,
        activity: String::new(),
        acted_at: T0,
    })
}

fn process(pid: i32) -> ProcessId {
    ProcessId {
        containment: None,
        pid,
        start: 77,
        boot_id: "boot".to_owned(),
    }
}

fn report(run: &RunRow, end: RunEnd) -> RunReport {
    RunReport {
        run: run.id,
        job: run.job,
        visit: run.visit,
        slot: run.slot.clone(),
        end,
        start: run.start_sha.clone(),
        head: None,
        nonce: run.nonce.clone(),
        wrote: vec!["a.rs".to_owned()],
        usage: Usage {
            input_tokens: 10,
            output_tokens: 5,
            cost_usd: 0.25,
        },
        heard: Seq(0),
    }
}

/// A glance at the file itself, beside the store.
fn glance<T: rusqlite::types::FromSql>(data: &Path, sql: &str) -> T {
    let conn = rusqlite::Connection::open(data.join("signalbox.db")).unwrap();
    conn.query_row(sql, [], |row| row.get(0)).unwrap()
}
