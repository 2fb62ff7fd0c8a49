//! The small world: one task, what its facts would be, and what must hold after every event.

use super::*;

/// A file of the artefact folder, in the fake world.
#[derive(Clone)]
pub(in crate::engine) struct Artefact {
    /// The commit that wrote it last.
    pub at: u32,
    pub values: BTreeMap<String, String>,
    pub text: String,
}

/// One task in a world of its own: what its facts would be, and what the engine made of it.
pub(in crate::engine) struct World {
    pub rules: Arc<Ruleset>,
    pub task: Task,
    pub repo: Repo,
    pub now: Millis,
    pub issue: Issue,
    /// The branch as the forge has it: commit and subject, counted.
    pub tip: (u32, u32),
    pub commits: u32,
    /// Subject of each commit.
    pub subjects: BTreeMap<u32, u32>,
    pub artefacts: BTreeMap<String, Artefact>,
    pub json: BTreeMap<String, serde_json::Value>,
    pub checks: BTreeMap<String, CheckState>,
    pub reviews: Vec<ReviewFact>,
    pub conflicts: Vec<String>,
    pub behind: bool,
    pub touched: Vec<String>,
    /// Facts whose source does not answer.
    pub dark: BTreeSet<FactKey>,
    seq: i64,
    pub run: i64,
    /// Open jobs, as the queue would have them.
    pub jobs: BTreeSet<(u32, Name)>,
    /// What the last event led to, follow-ups included.
    pub decisions: Vec<Decision>,
    pub because: Vec<String>,
}

impl World {
    pub fn new(pipeline: &str) -> Self {
        Self::on(rules_with(pipeline, ""))
    }

    pub fn on(rules: Arc<Ruleset>) -> Self {
        let issue = Issue {
            id: "i-1".to_owned(),
            number: Some(90),
            title: "Add a map".to_owned(),
            description: "It shows the yards.".to_owned(),
            ..Issue::default()
        };
        let repo = Repo {
            id: RepoId(1),
            ..Repo::default()
        };
        Self {
            task: Task::unborn("p".into(), RepoId(1), "i-1", &rules.hash),
            rules,
            repo,
            now: T0,
            issue,
            tip: (0, 0),
            commits: 0,
            subjects: BTreeMap::new(),
            artefacts: BTreeMap::new(),
            json: BTreeMap::new(),
            checks: BTreeMap::new(),
            reviews: Vec::new(),
            conflicts: Vec::new(),
            behind: false,
            touched: Vec::new(),
            dark: BTreeSet::new(),
            seq: 0,
            run: 0,
            jobs: BTreeSet::new(),
            decisions: Vec::new(),
            because: Vec::new(),
        }
    }

    // ---- what happens

    /// An event, and every event that follows from it.
    pub fn event(&mut self, actor: Actor, body: Body) -> &mut Self {
        self.decisions.clear();
        self.because.clear();
        self.now = self.now.plus(Millis(1000));
        let mut next = Some((actor, body));
        let mut steps = 0;
        while let Some((actor, body)) = next.take() {
            steps += 1;
            assert!(steps < 20, "follow-ups without end: {:?}", self.because);
            let made = self.one(actor, body);
            next = made.map(|body| (Actor::Service, body));
        }
        self.sound();
        self
    }

    /// One step; its follow-up.
    fn one(&mut self, actor: Actor, body: Body) -> Option<Body> {
        self.seq += 1;
        let event = Event {
            seq: Seq(self.seq),
            at: self.now,
            cause: None,
            actor,
            body,
        };
        let facts = self.facts(&event);
        let before = self.task.clone();
        let taken = step(&self.rules, &self.task, &self.repo, &event, &facts);
        let twice = step(&self.rules, &self.task, &self.repo, &event, &facts);
        assert_eq!(taken, twice, "a step is deterministic");
        assert!(!taken.because.is_empty(), "no reason for {event:?}");
        assert!(
            !before.terminal() || taken.task.control.phase == before.control.phase,
            "left a terminal phase"
        );
        for (counter, used) in &taken.task.control.counters {
            assert!(*used <= self.rules.counters[counter].max, "{counter}: {used}");
        }
        self.apply(&taken);
        self.task = taken.task;
        if let Some(repo) = taken.repo {
            self.repo = repo;
        }
        if self.task.id == TaskId(0) && self.decisions.contains(&Decision::Create) {
            self.task.id = TaskId(7);
            self.repo
                .lane
                .iter_mut()
                .filter(|s| s.task == TaskId(0))
                .for_each(|s| s.task = TaskId(7));
        }
        self.decisions.extend(taken.decisions);
        self.because.extend(taken.because.into_iter().map(|b| b.0));
        taken.follow
    }

    /// Does to the queue what the store does.
    fn apply(&mut self, taken: &Step) {
        for decision in &taken.decisions {
            match decision {
                Decision::Enqueue(job) => drop(self.jobs.insert((job.visit, job.slot.clone()))),
                Decision::Requeue { visit, slot, .. } => drop(self.jobs.insert((*visit, slot.clone()))),
                Decision::CloseJob { visit, slot, .. } => drop(self.jobs.remove(&(*visit, slot.clone()))),
                Decision::Withdraw { visit, .. } => self.jobs.retain(|(v, _)| visit.is_some_and(|gone| gone != *v)),
                _ => {}
            }
        }
        if taken.task.terminal() {
            self.jobs.clear();
        }
    }

    /// What must hold between any two events.
    fn sound(&self) {
        let control = &self.task.control;
        let queued: BTreeSet<(u32, Name)> = control
            .slots
            .iter()
            .filter(|(_, s)| s.state == SlotState::Queued)
            .map(|(slot, _)| (self.task.ledger.visit.number, slot.clone()))
            .collect();
        if control.phase == Phase::Live && control.stop != StopState::Cleaning {
            assert_eq!(self.jobs, queued, "the queue and the task disagree: {:?}", self.because);
            assert!(!queued.is_empty() || !self.waits().is_empty(), "waits for nothing: {control:?}");
        } else {
            assert!(self.jobs.is_empty(), "open jobs of a task that is over: {:?}", self.jobs);
        }
        if self.task.terminal() {
            assert!(self.repo.seat(self.task.id).is_none(), "a seat is left");
            assert!(self.repo.lease.as_ref().is_none_or(|l| l.task != self.task.id), "the lease is left");
        }
        for blocker in self.waits() {
            let person = !matches!(blocker.who, crate::engine::model::Who::Itself);
            let frozen = blocker.code == crate::engine::model::Code::Frozen;
            assert!(!person || frozen || blocker.clear.is_some(), "no way out of {blocker:?}");
        }
    }

    pub fn poke(&mut self) -> &mut Self {
        self.event(Actor::Service, Body::Poked { by: "webhook".into() })
    }

    /// A signal of someone who may everything.
    pub fn say(&mut self, name: &str) -> &mut Self {
        self.signal(person("alice", &[Role::Approver, Role::Operator]), name, None)
    }

    pub fn tell(&mut self, name: &str, text: &str) -> &mut Self {
        self.signal(person("alice", &[Role::Approver, Role::Operator]), name, Some(text))
    }

    pub fn signal(&mut self, actor: Actor, name: &str, text: Option<&str>) -> &mut Self {
        let acted_at = self.now.plus(Millis(1000));
        self.signal_at(actor, name, text, acted_at)
    }

    pub fn signal_at(&mut self, actor: Actor, name: &str, text: Option<&str>, acted_at: Millis) -> &mut Self {
        let signal = Signal {
            name: name.into(),
            text: text.map(str::to_owned),
            activity: "a".to_owned(),
            acted_at,
        };
        self.event(actor, Body::Signalled(signal))
    }

    pub fn retry(&mut self) -> &mut Self {
        self.event(person("olga", &[Role::Operator]), Body::Retried { note: None })
    }

    pub fn action(&mut self, action: &str, outcome: &str, detail: &str) -> &mut Self {
        let visit = self.visit();
        self.event(
            Actor::Service,
            Body::ActionEnded {
                visit,
                action: action.into(),
                outcome: outcome.into(),
                detail: detail.to_owned(),
                head: None,
            },
        )
    }

    /// The update that was asked for: the base is in the branch, in a commit of the service's own.
    pub fn updated(&mut self) -> &mut Self {
        self.behind = false;
        let head = self.commit(true);
        let visit = self.visit();
        self.event(
            Actor::Service,
            Body::ActionEnded {
                visit,
                action: "update".into(),
                outcome: "ok".into(),
                detail: String::new(),
                head: Some(head),
            },
        )
    }

    pub fn timer(&mut self, timer: &str) -> &mut Self {
        let visit = self.visit();
        self.event(
            Actor::Service,
            Body::TimerFired {
                visit,
                timer: timer.into(),
            },
        )
    }

    /// A run of the slot that ends so; nothing of it is accepted.
    pub fn ends(&mut self, slot: &str, end: RunEnd) -> &mut Self {
        let report = self.report(slot, end);
        self.event(Actor::Agent(self.run), Body::RunEnded(report))
    }

    /// An agent that writes code and these artefacts, and ends well.
    pub fn writes(&mut self, slot: &str, files: &[&str]) -> &mut Self {
        let code = self.rules.agents.get(slot).is_some_and(|a| !a.writes.is_empty());
        let mut report = self.report(slot, RunEnd::Ok);
        report.head = Some(self.commit(code));
        for file in files {
            self.artefact(file, BTreeMap::new(), "");
        }
        self.event(Actor::Agent(self.run), Body::RunEnded(report))
    }

    /// An agent that writes an artefact whose front-matter says so, with its run's nonce.
    pub fn verdict(&mut self, slot: &str, file: &str, key: &str, value: &str) -> &mut Self {
        let nonce = format!("n{}", self.run + 1);
        self.verdict_with(slot, file, &[(key, value), ("run", &nonce)])
    }

    pub fn verdict_with(&mut self, slot: &str, file: &str, values: &[(&str, &str)]) -> &mut Self {
        let mut report = self.report(slot, RunEnd::Ok);
        report.head = Some(self.commit(false));
        let values = values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.artefact(file, values, "");
        self.event(Actor::Agent(self.run), Body::RunEnded(report))
    }

    /// The gate's command ends with this status.
    pub fn command(&mut self, gate: &str, code: i32) -> &mut Self {
        let mut report = self.report(
            gate,
            RunEnd::Exited {
                code,
                tail: "2 of 3 tests failed".to_owned(),
            },
        );
        report.head.clone_from(&self.task.ledger.head);
        self.event(Actor::Agent(self.run), Body::RunEnded(report))
    }

    pub fn report(&mut self, slot: &str, end: RunEnd) -> RunReport {
        self.run += 1;
        RunReport {
            run: RunId(self.run),
            job: crate::engine::model::JobId(self.run),
            visit: self.visit(),
            slot: slot.into(),
            end,
            start: Some(sha(self.tip.0)),
            head: None,
            nonce: format!("n{}", self.run),
            wrote: Vec::new(),
            usage: Usage::default(),
            heard: Seq(i64::MAX),
        }
    }

    /// A commit on the branch, with other code or not.
    pub fn commit(&mut self, code: bool) -> Head {
        self.commits += 1;
        let subject = if code { self.commits } else { self.tip.1 };
        self.tip = (self.commits, subject);
        self.subjects.insert(self.commits, subject);
        head(self.tip)
    }

    pub fn artefact(&mut self, file: &str, values: BTreeMap<String, String>, text: &str) {
        let at = self.commits;
        self.artefacts.insert(
            file.to_owned(),
            Artefact {
                at,
                values,
                text: text.to_owned(),
            },
        );
    }
}
