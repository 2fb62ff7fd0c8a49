//! One store, one task at a time: events are decided as the service decides them, effects are
//! carried out by hand, and the service may die between any two of them.

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
        };
        self.task = self.store.commit_step(commit).await.unwrap().task;
        self.target.task = Some(self.task);
        if matches!(state, State::Starting | State::Running | State::Exited) {
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
            self.store.run_exited(run.id, serde_json::json!({ "code": 0 }), self.now).await.unwrap();
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
            assert_eq!(self.store.commit_step(raced).await, Err(StoreError::Conflict), "decided on what is no more");
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
                    assert_eq!(self.now_task().await.control.stop, StopState::Deferred, "critical while nobody can tell");
                }
            }
            _ => {}
        }
    }

    /// What runs ends well by itself before it could be killed; its report comes too late.
    async fn finishes(&mut self, before: &Task) {
        for run in self.store.runs(self.task).await.unwrap() {
            self.store.run_exited(run.id, serde_json::json!({ "code": 0 }), self.now).await.unwrap();
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
            }))
            .await;
        }
    }

    /// Everything that follows, until nothing does.
    async fn run(&mut self) {
        for _ in 0..200 {
            let decided = self.decide_all().await;
            let carried = self.carry_out().await;
            if !decided && !carried {
                return;
            }
        }
        let open = self.store.outbox_open().await.unwrap();
        panic!("it goes on for ever: {open:#?}");
    }

    async fn decide_all(&mut self) -> bool {
        let mut any = false;
        loop {
            let pending = self.store.pending().await.unwrap();
            let Some(first) = pending.first() else { return any };
            any = true;
            while let Some(event) = self.store.next_event(&first.target, first.stop).await.unwrap() {
                let commit = self.decided(&first.target, event).await;
                self.store.commit_step(commit).await.unwrap();
                if self.way == Way::Crash {
                    self.dies().await;
                }
            }
        }
    }

    /// The step that follows from an event, not committed yet.
    async fn decided(&mut self, target: &Target, event: Event) -> StepCommit {
        let found = match (&target.task, &target.issue) {
            (Some(id), _) => self.store.task(*id).await.unwrap(),
            (None, Some(issue)) => self.store.live_task_by_issue(PROJECT, issue).await.unwrap(),
            (None, None) => None,
        };
        let issue = target.issue.clone().unwrap_or_default();
        let task = match found {
            Some(task) => task,
            None => {
                let mut task = Task::unborn(PROJECT.into(), target.repo, &issue, &self.rules.hash);
                task.ledger.stopped_before = self.store.last_stop(PROJECT, &issue).await.unwrap();
                task
            }
        };
        let repo = self.store.repo_by_id(target.repo).await.unwrap();
        let number = issue.trim_start_matches('i').parse().ok();
        let mut facts = Facts::default();
        if task.control.phase == Phase::Unborn {
            let issue = Issue {
                id: issue,
                number,
                title: "A title".to_owned(),
                description: "Words.".to_owned(),
                ..Issue::default()
            };
            facts.0.insert(FactKey::Issue, Fact::Known(Value::Issue(issue)));
        }
        let taken = step_by(&self.rules, &task, &repo, &event, &facts, &AllOk);
        StepCommit {
            seq: event.seq,
            before: (task.version, repo.version),
            stage_before: task.control.stage.clone(),
            task: taken.task,
            repo: taken.repo.unwrap_or(repo),
            decisions: taken.decisions,
            because: taken.because,
            facts,
            follow: taken.follow,
            now: self.now,
            semantics: 1,
            host: "box".to_owned(),
        }
    }

    async fn carry_out(&mut self) -> bool {
        let now = self.tick(Millis(1000));
        let due = self.store.due_effects(now, 64).await.unwrap();
        let any = !due.is_empty();
        for row in due {
            if self.way == Way::Crash && self.lost.insert(row.id) {
                self.effect(&row, false).await;
                // All that was taken comes back with the service.
                self.dies().await;
                return true;
            }
            self.effect(&row, true).await;
        }
        any
    }

    /// Carries an effect out, and records that it was.
    async fn effect(&mut self, row: &OutboxRow, recorded: bool) {
        let now = self.now;
        let event = match &row.effect {
            Effect::Kill { run, .. } => {
                self.store.run_exited(*run, serde_json::json!({ "signal": 15 }), now).await.unwrap();
                None
            }
            Effect::Settle { run } => {
                if recorded {
                    let end = RunEnd::Killed(Kill::Stop);
                    self.store.end_run(*run, end, None, Some(row.id), now).await.unwrap();
                }
                return;
            }
            Effect::CleanUp(what) => match self.cleans(row, what).await {
                Some(event) => event,
                None => return,
            },
            Effect::Act(intent) => {
                let acting = intent.action != "update";
                if acting && self.dark > 0 {
                    self.dark -= 1;
                    return self.store.effect_retry(row.id, "nobody answers", now).await.unwrap();
                }
                let outcome = if !acting || self.way == Way::Window { "ok" } else { "refused" };
                Some(NewEvent {
                    at: now,
                    dedupe: Some(format!("action-{}", row.id)),
                    ..event(
                        row.target.clone(),
                        Body::ActionEnded {
                            visit: intent.visit,
                            action: intent.action.clone(),
                            outcome: outcome.into(),
                            detail: "as told".to_owned(),
                            head: None,
                        },
                    )
                })
            }
            Effect::Status { .. } => None,
            Effect::Comment { text, .. } | Effect::Alert { text, .. } => {
                if recorded {
                    self.said.push(text.clone());
                }
                None
            }
        };
        if recorded {
            self.store.effect_done(row.id, event, now).await.unwrap();
        }
    }

    /// The clean-up: only when no run is left, and while the task still holds its keys.
    async fn cleans(&mut self, row: &OutboxRow, what: &CleanUp) -> Option<Option<NewEvent>> {
        let now = self.now;
        let id = row.target.task.unwrap();
        let mut runs = self.store.runs(id).await.unwrap();
        for run in runs.iter_mut().filter(|r| r.state == RunState::Exited) {
            // What it left would be settled behind the clean-up, and counts for nothing.
            let end = RunEnd::Killed(Kill::Stop);
            assert!(self.store.end_run(run.id, end, None, None, now).await.unwrap());
            run.state = RunState::Ended;
        }
        let alive = runs.iter().any(|r| r.state != RunState::Ended);
        if alive || (what.report && self.dark > 0) {
            self.dark = self.dark.saturating_sub(1);
            self.store.effect_retry(row.id, "not yet", now).await.unwrap();
            return None;
        }
        let task = self.store.task(id).await.unwrap().unwrap();
        let holder = self.store.live_task_by_issue(PROJECT, &task.issue).await.unwrap();
        assert_eq!(holder.map(|t| t.id), Some(id), "another has its keys while it is cleaned up after");
        assert!(
            what.report == (task.control.phase == Phase::Live),
            "cleaned up after as stopped while {:?}",
            task.control.phase
        );
        Some(what.report.then(|| NewEvent {
            at: now,
            dedupe: Some(format!("cleaned-{}", row.id)),
            ..event(
                row.target.clone(),
                Body::CleanedUp {
                    report: "all gone".to_owned(),
                },
            )
        }))
    }

    async fn outcome(&mut self, ended: &Task, deferred: bool) -> String {
        let stops = |text: &&String| text.contains("was stopped");
        let said = self.said.iter().filter(stops).count();
        let mut words = Vec::new();
        if deferred {
            words.push("deferred".to_owned());
        }
        match ended.control.phase {
            Phase::Cancelled => {
                // One comment, one alert, however often it was asked for.
                assert_eq!(said, 2, "{:?}", self.said);
                assert_eq!(self.store.item_label(self.task).await.unwrap(), Some(format!("{}~1", ended.item)));
                words.push("cancelled".to_owned());
            }
            Phase::Done => {
                assert_eq!(said, 0, "{:?}", self.said);
                words.push("done".to_owned());
            }
            other => panic!("it ended {other:?}"),
        }
        if let Some(fresh) = self.fresh().await {
            assert_eq!(fresh.item, ended.item, "the keys are free");
            assert!(fresh.control.stop == StopState::No && fresh.control.phase == Phase::Live);
            words.push("fresh".to_owned());
        }
        assert_eq!(words.contains(&"fresh".to_owned()), self.way == Way::Start && ended.control.phase == Phase::Cancelled);
        words.join(", ")
    }

    /// The task that the issue has now besides the one that was stopped.
    async fn fresh(&self) -> Option<Task> {
        let issue = self.target.issue.clone().unwrap_or_default();
        let now = self.store.live_task_by_issue(PROJECT, &issue).await.unwrap();
        now.filter(|t| t.id != self.task)
    }

    /// I6: no run, job, timer, lease or seat of it, and nothing that could be claimed.
    async fn nothing_is_left(&self, stage: &Name, state: State) {
        let place = format!("{stage} {state:?} {:?}", self.way);
        let runs = self.store.runs(self.task).await.unwrap();
        assert!(runs.iter().all(|r| r.state == RunState::Ended), "{place}: {runs:?}");
        let open = [JobState::Scheduled, JobState::Queued, JobState::Running];
        let jobs = self.store.jobs(self.task).await.unwrap();
        assert!(jobs.iter().all(|j| !open.contains(&j.state)), "{place}: {jobs:?}");
        assert_eq!(self.store.timers(self.task).await.unwrap(), vec![], "{place}");
        let repo = self.store.repo_by_id(self.target.repo).await.unwrap();
        assert!(repo.seat(self.task).is_none(), "{place}: a seat is left");
        let lease = repo.lease.as_ref();
        assert!(lease.is_none_or(|l| l.task != self.task && !l.queue.contains(&self.task)), "{place}: {lease:?}");
        assert_eq!(lease.is_some(), state == State::Leaseless, "{place}: {lease:?}");
        assert!(lease.is_none_or(|l| l.task == TaskId(OTHER)), "{place}: {lease:?}");
        let effects = self.store.outbox_open().await.unwrap();
        assert!(effects.iter().all(|e| e.target.task != Some(self.task)), "{place}: {effects:?}");
        // I3: what has ended cannot be ended, started or claimed once more.
        for run in runs {
            let again = self.store.end_run(run.id, RunEnd::Ok, None, None, self.now).await;
            assert_eq!(again, Ok(false), "{place}");
            assert!(self.store.run_started(run.id, process(9), None, self.now).await.is_err(), "{place}");
        }
        for job in jobs {
            assert!(self.store.claim(claim(job.id, "elsewhere")).await.is_err(), "{place}");
        }
    }

    /// I5: whatever comes afterwards, the task stays as it ended. What was started anew is stopped.
    async fn nothing_revives(&mut self) {
        let before = self.now_task().await;
        let visit = before.ledger.visit.number;
        self.said.clear();
        for body in [
            poked(),
            Body::Entered { visit },
            Body::Retried { note: None },
            Body::TimerFired {
                visit,
                timer: "stop".into(),
            },
            Body::CleanedUp { report: String::new() },
            Body::ActionEnded {
                visit,
                action: "merge".into(),
                outcome: "ok".into(),
                detail: String::new(),
                head: Some(head(4)),
            },
        ] {
            self.tell(body).await;
        }
        for name in ["approve", "reject", "stop"] {
            self.signal(name, self.target.clone()).await;
        }
        self.way = Way::Plain;
        self.run().await;
        let after = self.now_task().await;
        let same = |task: &Task| Task {
            version: 0,
            ..task.clone()
        };
        assert_eq!(same(&after), same(&before), "it is over");
        assert_eq!(self.said, Vec::<String>::new(), "no second notification");
        if let Some(fresh) = self.fresh().await {
            let mut target = self.target.clone();
            target.task = Some(fresh.id);
            self.signal("stop", target).await;
            self.run().await;
            assert_eq!(self.store.task(fresh.id).await.unwrap().unwrap().control.phase, Phase::Cancelled);
        }
        assert!(self.store.queue().await.unwrap().waiting.is_empty());
    }
}
