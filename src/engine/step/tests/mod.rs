//! The pure engine, case by case, over the shipped pipelines: a small world tells facts, events
//! go in, and what follows is looked at. Names `B-…` are the cases of the behaviour reference.

mod actions;
mod advance;
mod entry;
mod people;
mod property;
mod pushes;
mod reasons;
mod rollback;
mod runs;
mod stop;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use crate::engine::model::{
    Actor, At, Blocker, Body, CheckFact, CheckState, Decision, Event, Fact, FactKey, Facts, FileFact, FrontmatterFact, Head, HeadFact,
    Issue, JobSpec, MergeFact, Millis, Mode, Name, Phase, Repo, RepoId, ReviewFact, ReviewState, Role, RunEnd, RunId, RunReport, Seat, Seq,
    Signal, SlotState, StopState, Task, TaskId, Usage, Value, Via,
};
use crate::engine::rules::{Ruleset, load};
use crate::engine::schedule::waits;
use crate::engine::step::{Step, needs, reading, step};
use crate::shell::embedded::embedded;

/// A moment to count from.
pub(in crate::engine) const T0: Millis = Millis(1_700_000_000_000);

/// The rules of a project on this pipeline, with `set` entries of its own.
pub(in crate::engine) fn rules_with(pipeline: &str, set: &str) -> Arc<Ruleset> {
    static SHIPPED: OnceLock<BTreeMap<&str, Arc<Ruleset>>> = OnceLock::new();
    let load = |name: &'static str| (name, rules_of(&[], name, ""));
    let shipped = SHIPPED.get_or_init(|| ["orch", "enduro", "local"].map(load).into());
    match shipped.get(pipeline) {
        Some(rules) if set.is_empty() => Arc::clone(rules),
        _ => rules_of(&[], pipeline, set),
    }
}

/// The same, with files of the person's own laid over the shipped ones.
pub(in crate::engine) fn rules_of(own: &[(&str, &str)], pipeline: &str, set: &str) -> Arc<Ruleset> {
    let prefix = if pipeline == "enduro" { "ET" } else { "ORCH" };
    let text = format!(
        "schema = 1\n[projects.p]\npipeline = \"{pipeline}\"\nprefix = \"{prefix}\"\ntracker = {{ kind = \"local\" }}\n\
         forge = {{ kind = \"local\", source = \"../p\" }}\nset = {{ \"agents.*.run\" = [\"./agent.sh\"]{set} }}\n\
         [people]\napprover = [\"alice\"]\n"
    );
    let mut files = embedded();
    files.insert("signalbox.toml", text.as_str(), "signalbox.toml");
    for (path, text) in own {
        files.insert(path, *text, *path);
    }
    let loaded = load(&files);
    let errors: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.severity == crate::engine::rules::Severity::Error)
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    Arc::clone(&loaded.rulesets["p"])
}

/// A file of the artefact folder, in the fake world.
#[derive(Clone)]
struct Artefact {
    /// The commit that wrote it last.
    at: u32,
    values: BTreeMap<String, String>,
    text: String,
}

/// One task in a world of its own: what its facts would be, and what the engine made of it.
pub(in crate::engine) struct World {
    pub rules: Arc<Ruleset>,
    pub task: Task,
    pub repo: Repo,
    pub now: Millis,
    pub issue: Issue,
    /// The branch as the forge has it: commit and subject, counted.
    tip: (u32, u32),
    commits: u32,
    /// Subject of each commit.
    subjects: BTreeMap<u32, u32>,
    artefacts: BTreeMap<String, Artefact>,
    pub json: BTreeMap<String, serde_json::Value>,
    pub checks: BTreeMap<String, CheckState>,
    pub reviews: Vec<ReviewFact>,
    pub conflicts: Vec<String>,
    pub behind: bool,
    pub touched: Vec<String>,
    /// Facts whose source does not answer.
    pub dark: BTreeSet<FactKey>,
    seq: i64,
    run: i64,
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
        self.repo = taken.repo;
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

    // ---- what is known

    fn facts(&self, event: &Event) -> Facts {
        let (at, base) = reading(&self.task, event);
        let keys = needs(&self.rules, &self.task, event);
        Facts(
            keys.into_iter()
                .map(|key| (key.clone(), self.fact(&key, at.as_ref(), base.as_deref())))
                .collect(),
        )
    }

    fn fact(&self, key: &FactKey, at: Option<&Head>, base: Option<&str>) -> Fact {
        if self.dark.contains(key) {
            return Fact::Unreachable {
                since: self.now,
                why: "no answer".to_owned(),
            };
        }
        let place = at.map_or(0, |h| number(&h.sha));
        let from = base.map_or(0, number);
        let known = |file: &String| self.artefacts.get(file).filter(|a| a.at <= place);
        match key {
            FactKey::Issue => Fact::Known(Value::Issue(self.issue.clone())),
            FactKey::Head => Fact::Known(Value::Head(HeadFact {
                head: (self.tip.0 > 0).then(|| head(self.tip)),
                base: "base".to_owned(),
                descends: self.tip.0 >= place,
                touched: self.touched.clone(),
                commits: vec!["c1 a change".to_owned()],
            })),
            FactKey::Files => {
                let here = self.artefacts.iter().filter(|(_, a)| a.at <= place);
                let files = here.map(|(path, a)| FileFact {
                    path: path.clone(),
                    id: format!("{path}@{}", a.at),
                    fresh: a.at > from,
                });
                Fact::Known(Value::Files(files.collect()))
            }
            FactKey::Frontmatter(file) => known(file).map_or(Fact::Absent, |a| {
                Fact::Known(Value::Frontmatter(FrontmatterFact { values: a.values.clone() }))
            }),
            FactKey::Text(file) => known(file).map_or(Fact::Absent, |a| Fact::Known(Value::Text(a.text.clone()))),
            FactKey::Json(file) => self.json.get(file).map_or(Fact::Absent, |j| Fact::Known(Value::Json(j.clone()))),
            FactKey::Checks => {
                let all = self.checks.iter().map(|(context, state)| CheckFact {
                    context: context.clone(),
                    state: *state,
                });
                Fact::Known(Value::Checks(all.collect()))
            }
            FactKey::Reviews => Fact::Known(Value::Reviews(self.reviews_at(place))),
            FactKey::Mergeable => Fact::Known(Value::Mergeable(MergeFact {
                conflicts: self.conflicts.clone(),
                behind: self.behind,
                base: "base".to_owned(),
            })),
        }
    }

    fn reviews_at(&self, place: u32) -> Vec<ReviewFact> {
        let subject = |commit: u32| self.subjects.get(&commit).copied().unwrap_or_default();
        let mut all = self.reviews.clone();
        for review in &mut all {
            review.current = subject(number(&review.commit)) == subject(place);
        }
        all
    }

    /// Someone requests changes on the forge, on the branch as it stands.
    pub fn requests_changes(&mut self) {
        self.reviews = vec![ReviewFact {
            author: "rita".to_owned(),
            state: ReviewState::Changes,
            commit: sha(self.tip.0),
            current: true,
            body: "mind the switches".to_owned(),
        }];
    }

    // ---- what came of it

    pub fn visit(&self) -> u32 {
        self.task.ledger.visit.number
    }

    pub fn stage(&self) -> &str {
        &self.task.control.stage
    }

    pub fn mode(&self) -> Mode {
        self.task.control.mode
    }

    /// The status shown last.
    pub fn status(&self) -> Option<&str> {
        self.decisions.iter().rev().find_map(|d| match d {
            Decision::ShowStatus { status } => Some(status.as_str()),
            _ => None,
        })
    }

    pub fn comments(&self) -> Vec<&str> {
        let texts = self.decisions.iter().filter_map(|d| match d {
            Decision::Comment { text, .. } => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    pub fn alerts(&self) -> usize {
        self.decisions.iter().filter(|d| matches!(d, Decision::Alert { .. })).count()
    }

    pub fn enqueued(&self) -> Vec<&JobSpec> {
        let jobs = self.decisions.iter().filter_map(|d| match d {
            Decision::Enqueue(job) => Some(job),
            _ => None,
        });
        jobs.collect()
    }

    /// The slots of the jobs that the last event queued.
    pub fn queued(&self) -> Vec<&str> {
        self.enqueued().iter().map(|job| job.slot.as_str()).collect()
    }

    /// When the job that was put back may be claimed, from now.
    pub fn back_in(&self) -> Option<Millis> {
        self.decisions.iter().find_map(|d| match d {
            Decision::Requeue { available_at, .. } => Some(available_at.since(self.now)),
            _ => None,
        })
    }

    pub fn acts(&self) -> Vec<&str> {
        let acts = self.decisions.iter().filter_map(|d| match d {
            Decision::Act(intent) => Some(intent.action.as_str()),
            _ => None,
        });
        acts.collect()
    }

    pub fn superseded(&self) -> bool {
        let found = |d: &Decision| {
            matches!(
                d,
                Decision::Withdraw {
                    visit: Some(_),
                    why: crate::engine::model::Kill::Superseded
                }
            )
        };
        self.decisions.iter().any(found)
    }

    pub fn why(&self) -> String {
        self.because.join("; ")
    }

    pub fn waits(&self) -> Vec<Blocker> {
        waits(&self.rules, &self.task, &self.repo)
    }

    pub fn used(&self, counter: &str) -> u8 {
        self.task.control.counters[counter]
    }

    // ---- the way there

    /// The task is born and its first agent queued.
    pub fn started(mut self) -> Self {
        self.say("start");
        self
    }

    /// The task stands at the beginning of `stage`, every stage before it passed.
    pub fn at(pipeline: &str, stage: &str) -> Self {
        Self::new(pipeline).started().up_to(stage)
    }

    pub fn up_to(mut self, stage: &str) -> Self {
        let mut rounds = 0;
        while self.stage() != stage {
            rounds += 1;
            assert!(
                rounds < 30 && self.mode() == Mode::Active,
                "stuck at {}: {}",
                self.stage(),
                self.why()
            );
            self.pass();
        }
        self
    }

    /// Whatever passes the present stage.
    pub fn pass(&mut self) -> &mut Self {
        match self.stage().to_owned().as_str() {
            "analysis" => {
                self.writes("analyst", BRD);
                self.say("approve")
            }
            "architecture" => self.writes("architect", &["06-adr/1.md"]),
            "development" => {
                self.writes("developer", &[]);
                self.command("local_tests", 0)
            }
            "review" => self.verdict("reviewer", "12-review.md", "verdict", "APPROVED"),
            "testing" => self.verdict("tester", "13-test-report.md", "result", "PASS"),
            "deploy-staging" => {
                self.verdict("deployer", "15-staging-log.md", "staging_status", "SUCCESS");
                if self.jobs.is_empty() {
                    self
                } else {
                    self.command("local_tests", 0)
                }
            }
            "deploy" if self.task.control.at == At::Work => self.verdict("deployer", "14-deploy-log.md", "deploy_status", "SUCCESS"),
            "deploy" if self.task.control.at == At::Gates => self.say("confirm_deploy"),
            _ => self.action("merge", "ok", "c9"),
        }
    }
}

/// What a complete analysis consists of.
const BRD: &[&str] = &["01-brd.md", "02-trz.md", "03-acceptance-criteria.md", "04-test-plan.yaml"];

pub(in crate::engine) fn person(name: &str, roles: &[Role]) -> Actor {
    Actor::Person {
        name: name.to_owned(),
        via: Via::Cli,
        roles: roles.to_vec(),
    }
}

fn head((commit, subject): (u32, u32)) -> Head {
    Head {
        sha: sha(commit),
        subject: format!("s{subject}"),
    }
}

fn sha(commit: u32) -> String {
    format!("{commit:040x}")
}

fn number(sha: &str) -> u32 {
    u32::from_str_radix(sha, 16).unwrap_or_default()
}

/// Another task's seat in the lane.
fn seat(task: i64, item: &str) -> Seat {
    Seat {
        task: TaskId(task),
        item: item.to_owned(),
        inside: true,
        since: T0,
    }
}
