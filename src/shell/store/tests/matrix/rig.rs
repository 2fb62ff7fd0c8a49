//! One store, one task at a time: events are decided as the service decides them, effects are
//! carried out by hand, and the service may die between any two of them.

mod after;
mod work;

use std::sync::Arc;

use super::stand::{OTHER, head, house, stand};
use super::*;
use crate::engine::model::{Event, Fact, FactKey, Name, Role, Value, Via};
use crate::engine::rules::Ruleset;
use crate::engine::step::{Answer, Answers, Outcome, step_by};

/// How the stop comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Nothing else happens.
    Plain,
    /// The service dies after every commit and before every effect's outcome is recorded.
    Crash,
    /// What runs ends well after all, and says so too late.
    Late,
    /// A webhook that would have the task advance is decided at the same moment.
    Webhook,
    /// It is said again, meanwhile and afterwards.
    Second,
    /// The issue is started again at once.
    Start,
    /// The irreversible step ends well.
    Window,
    /// Nobody can tell for ten minutes whether it has ended.
    Probe,
}

impl Way {
    pub const ALL: [Self; 8] = [
        Self::Plain,
        Self::Crash,
        Self::Late,
        Self::Webhook,
        Self::Second,
        Self::Start,
        Self::Window,
        Self::Probe,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Crash => "crash mid-stop",
            Self::Late => "late completion",
            Self::Webhook => "webhook advance",
            Self::Second => "second stop",
            Self::Start => "start right after",
            Self::Window => "merge goes well",
            Self::Probe => "probe failing",
        }
    }
}

/// Every gate is passed when it is asked: what may advance does.
struct AllOk;

impl Answers for AllOk {
    fn answer(&self, _: &Task, gate: &Name) -> Answer {
        Answer::new(gate, Outcome::Ok)
    }
}

pub(super) struct Rig {
    dir: tempfile::TempDir,
    store: Store,
    pub rules: Arc<Ruleset>,
    pub cells: u32,
    now: Millis,
    way: Way,
    /// Effects that were carried out before the service died, and are not recorded.
    lost: std::collections::BTreeSet<i64>,
    /// How often outcomes are still withheld.
    dark: u32,
    /// Said to people about the present task.
    said: Vec<String>,
    task: TaskId,
    target: Target,
}

impl Rig {
    pub fn new(rules: Arc<Ruleset>) -> Self {
        // What is tried here is not durability: memory will do where there is a folder in it.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let store = Store::open(dir.path(), "box").unwrap();
        Self {
            dir,
            store,
            rules,
            cells: 0,
            now: T0,
            way: Way::Plain,
            lost: std::collections::BTreeSet::new(),
            dark: 0,
            said: Vec::new(),
            task: TaskId(0),
            target: Target {
                project: PROJECT.into(),
                repo: RepoId(0),
                task: None,
                issue: None,
            },
        }
    }

    /// The service dies and comes back.
    async fn dies(&mut self) {
        let dir = self.dir.path().to_owned();
        self.store.clone().close().await;
        self.store = Store::open(&dir, "box").unwrap();
    }

    fn tick(&mut self, span: Millis) -> Millis {
        self.now = self.now.plus(span);
        self.now
    }

    /// Puts a task there, stops it, and tells how it ended.
    pub async fn cell(&mut self, stage: &Name, state: State, way: Way) -> String {
        self.cells += 1;
        self.way = way;
        self.dark = if way == Way::Probe { 10 } else { 0 };
        self.said.clear();
        self.put(stage, state).await;
        let before = self.now_task().await;
        self.stop_by_way().await;
        let middle = self.now_task().await;
        let deferred = middle.control.stop == StopState::Deferred;
        let critical = state == State::Acting;
        assert_eq!(deferred, critical, "{stage} {state:?} {way:?}");
        assert!(!middle.terminal(), "over before it was cleaned up after");
        self.meanwhile(&before, state).await;
        self.run().await;
        let ended = self.now_task().await;
        let word = self.outcome(&ended, deferred).await;
        self.nothing_is_left(stage, state).await;
        self.nothing_revives().await;
        word
    }

    async fn now_task(&self) -> Task {
        self.store.task(self.task).await.unwrap().unwrap()
    }

    async fn put(&mut self, stage: &Name, state: State) {
        let n = self.cells;
        let repo = self.store.repo(&format!("r{n}")).await.unwrap();
        let issue = format!("i{n}");
        self.target = Target {
            project: PROJECT.into(),
            repo: repo.id,
            task: None,
            issue: Some(issue.clone()),
        };
        let start = self.signal("start", self.target.clone()).await;
        let mut task = Task::unborn(PROJECT.into(), repo.id, &issue, &self.rules.hash);
        task.item = format!("{}-{n:03}", self.rules.prefix);
        task.branch = format!("feature/{}-x", task.item);
        task.title = "A title".to_owned();
        task.created_at = self.now;
        let (task, decisions) = stand(&self.rules, task, stage, state);
        let commit = StepCommit {
            seq: start,
            before: (0, repo.version),
            stage_before: "created".into(),
            repo: house(repo, &task.item, state),
            task,
            decisions,
            because: vec![Because::from("it stands here")],
            facts: Facts::default(),
            follow: (state == State::Entering).then_some(Body::Entered { visit: 2 }),
            now: self.now,
            semantics: 1,
            host: "box".to_owned(),
            card: false,
        };
        self.task = self.store.commit_step(commit).await.unwrap().task;
        self.target.task = Some(self.task);
        if matches!(state, State::Starting | State::Running | State::Exited | State::Commanding) {
            for job in self.store.jobs(self.task).await.unwrap() {
                self.begin(&job, state).await;
            }
        }
    }

    async fn begin(&mut self, job: &JobRow, state: State) {
        let made = Claim {
            now: self.now,
            ..claim(job.id, &format!("t{}/{}", self.task, job.slot))
        };
        let run = self.store.claim(made).await.unwrap();
        if state != State::Starting {
            self.store.run_started(run.id, process(7), None, self.now).await.unwrap();
        }
        if state == State::Exited {
            self.store
                .run_exited(run.id, serde_json::json!({ "code": 0 }), self.now)
                .await
                .unwrap();
        }
    }

    async fn signal(&mut self, name: &str, target: Target) -> Seq {
        let at = self.tick(Millis(1000));
        let signal = Signal {
            name: name.into(),
            text: None,
            activity: String::new(),
            acted_at: at,
        };
        let actor = Actor::Person {
            name: "alice".to_owned(),
            via: Via::Cli,
            roles: vec![Role::Operator, Role::Approver],
        };
        let event = NewEvent {
            at,
            actor,
            ..event(target, Body::Signalled(signal))
        };
        self.store.record(event).await.unwrap().unwrap()
    }

    async fn tell(&mut self, body: Body) {
        let at = self.tick(Millis(1000));
        let event = NewEvent {
            at,
            ..event(self.target.clone(), body)
        };
        self.store.record(event).await.unwrap();
    }

    /// The stop, decided, with what comes at the same moment.
    async fn stop_by_way(&mut self) {
        let target = self.target.clone();
        let mut raced = None;
        if self.way == Way::Webhook {
            self.tell(poked()).await;
            let event = self.store.next_event(&target, false).await.unwrap().unwrap();
            raced = Some(self.decided(&target, event).await);
        }
        self.signal("stop", target.clone()).await;
        if self.way == Way::Crash {
            self.dies().await;
        }
        // A stop overtakes whatever was there before it.
        let event = self.store.next_event(&target, true).await.unwrap().unwrap();
        assert!(matches!(&event.body, Body::Signalled(s) if s.name == "stop"), "{event:?}");
        let commit = self.decided(&target, event).await;
        self.store.commit_step(commit).await.unwrap();
        if let Some(raced) = raced {
            assert_eq!(
                self.store.commit_step(raced).await,
                Err(StoreError::Conflict),
                "decided on what is no more"
            );
        }
        if self.way == Way::Crash {
            self.dies().await;
        }
    }

    /// What happens while the stop is being carried out.
    async fn meanwhile(&mut self, before: &Task, state: State) {
        match self.way {
            Way::Second => {
                self.signal("stop", self.target.clone()).await;
            }
            Way::Start => {
                let issue = Target {
                    task: None,
                    ..self.target.clone()
                };
                self.signal("start", issue).await;
            }
            Way::Late => self.finishes(before).await,
            Way::Probe if state == State::Acting => {
                for _ in 0..10 {
                    let now = self.tick(Millis::secs(60));
                    self.store.fire_timers(now).await.unwrap();
                    self.decide_all().await;
                    assert_eq!(
                        self.now_task().await.control.stop,
                        StopState::Deferred,
                        "critical while nobody can tell"
                    );
                }
            }
            _ => {}
        }
    }

    /// What runs ends well by itself before it could be killed; its report comes too late.
    async fn finishes(&mut self, before: &Task) {
        for run in self.store.runs(self.task).await.unwrap() {
            self.store
                .run_exited(run.id, serde_json::json!({ "code": 0 }), self.now)
                .await
                .unwrap();
            let late = RunReport {
                head: Some(head(2)),
                ..report(&run, RunEnd::Ok)
            };
            assert!(self.store.end_run(run.id, RunEnd::Ok, Some(late), None, self.now).await.unwrap());
        }
        // And one that was sent before the stop and is only read now.
        let visit = before.ledger.visit.number;
        for slot in before.control.slots.keys() {
            self.tell(Body::RunEnded(RunReport {
                run: RunId(900_000),
                job: JobId(900_000),
                visit,
                slot: slot.clone(),
                end: RunEnd::Ok,
                start: None,
                head: Some(head(3)),
                nonce: "n".to_owned(),
                wrote: Vec::new(),
                usage: Usage::default(),
                heard: Seq(0),
            }))
            .await;
        }
    }
}
