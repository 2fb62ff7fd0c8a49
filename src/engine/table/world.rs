//! A task in one standing, and what the engine makes of an event there.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::engine::model::{
    Actor, At, Body, Control, Decision, Event, Fact, FactKey, Facts, Freeze, FreezeLevel, Head, HeadFact, Issue, JobId, Lease, Life,
    Millis, Name, Phase, Repo, RepoId, Role, RunEnd, RunId, RunReport, Seat, Seq, Signal, Task, TaskId, Usage, Value, Via, Visit,
};
use crate::engine::rules::Ruleset;
use crate::engine::scenario::answers::Said;
use crate::engine::step::{FromFacts, Step, step_by};

use super::answers::Told;

/// The moment at which everything happens.
const NOW: Millis = Millis(1_700_000_000_000);
/// Steps that follow from one another before the table stops to follow them.
const CHAIN_MAX: usize = 100;

/// A task, its repository, its issue and its branch.
#[derive(Clone)]
pub(super) struct World<'a> {
    pub rules: &'a Ruleset,
    pub task: Task,
    pub repo: Repo,
    pub issue: Issue,
    /// Paths that the change touches.
    pub touched: Vec<String>,
    /// What the branch points at.
    pub head: Head,
    pub now: Millis,
}

/// Something that happens.
#[derive(Clone)]
pub(super) struct Happening {
    pub body: Body,
    pub actor: Actor,
    /// Outcomes of gates of the stage, where they are asked.
    pub said: Said,
}

/// One step of the engine: the state it began in, and what it made of it.
pub(super) struct One {
    pub before: Control,
    pub step: Step,
    /// Gates that were asked.
    pub asked: BTreeSet<Name>,
}

/// All that followed.
pub(super) struct Played<'a> {
    pub after: World<'a>,
    pub steps: Vec<One>,
}

impl Played<'_> {
    /// Everything that was decided, in order.
    pub fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.steps.iter().flat_map(|one| &one.step.decisions)
    }

    /// The sentences that explain it.
    pub fn because(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().flat_map(|one| &one.step.because).map(|b| b.0.as_str())
    }
}

impl<'a> World<'a> {
    /// An issue that is no task yet.
    pub fn unborn(rules: &'a Ruleset) -> Self {
        let repo = Repo {
            id: RepoId(1),
            ..Repo::default()
        };
        let mut task = Task::unborn(Name::new("project"), repo.id, "1", &rules.hash);
        task.item = "TASK".to_owned();
        let issue = Issue {
            id: "1".to_owned(),
            title: "A request".to_owned(),
            description: "What is wanted.".to_owned(),
            author: "ann".to_owned(),
            ..Issue::default()
        };
        let head = Head {
            sha: "commit".to_owned(),
            subject: "code".to_owned(),
        };
        Self {
            rules,
            task,
            repo,
            issue,
            touched: vec!["src/code".to_owned()],
            head,
            now: NOW,
        }
    }

    /// A task at the door of `stage`, everything before it having gone well.
    pub fn at(rules: &'a Ruleset, stage: &Name) -> Self {
        let mut world = Self::unborn(rules);
        let works = |s: &&Name| rules.stages.get(*s).is_some_and(|found| !found.work.is_empty());
        let first = rules.flow.iter().find(works) == Some(stage);
        let (control, ledger) = (&mut world.task.control, &mut world.task.ledger);
        world.task.id = TaskId(1);
        world.task.title = "A request".to_owned();
        world.task.branch = "branch".to_owned();
        control.phase = Phase::Live;
        control.stage = stage.clone();
        control.counters = rules.counters.keys().map(|c| (c.clone(), 0)).collect();
        let before = rules.flow.iter().take_while(|s| *s != stage);
        ledger.passed = before.map(|s| (s.clone(), world.head.subject.clone())).collect();
        ledger.head = Some(world.head.clone());
        ledger.visit = Visit {
            number: 2,
            entered_at: world.now,
        };
        world.repo.lane.push(Seat {
            task: TaskId(1),
            item: "TASK".to_owned(),
            inside: !first,
            passed: Vec::new(),
            since: world.now,
        });
        world
    }

    /// The repository is frozen.
    pub fn freeze(&mut self) {
        self.repo.freeze = Some(Freeze {
            level: FreezeLevel::Merge,
            reason: "told so".to_owned(),
            since: self.now,
            by: "ann".to_owned(),
        });
    }

    /// Another task holds the merge lease.
    pub fn lease_elsewhere(&mut self) {
        self.repo.lease = Some(Lease {
            task: TaskId(2),
            item: "another task".to_owned(),
            visit: 2,
            since: self.now,
            queue: Vec::new(),
        });
    }

    /// Someone pushes: the branch points elsewhere.
    pub fn pushed(&mut self, other_code: bool) {
        self.head.sha.push('+');
        if other_code {
            self.head.subject.push('+');
        }
    }

    /// The end of a run of `slot`; one that ends well leaves a commit.
    pub fn run_ended(&self, slot: &Name, end: RunEnd) -> Body {
        let writes = self.rules.agents.get(slot).is_some_and(|a| !a.writes.is_empty());
        let mut wrote = self.clone();
        wrote.pushed(writes);
        Body::RunEnded(RunReport {
            run: RunId(1),
            job: JobId(1),
            visit: self.task.ledger.visit.number,
            slot: slot.clone(),
            head: (end == RunEnd::Ok).then_some(wrote.head),
            end,
            start: Some(self.head.sha.clone()),
            nonce: "mark".to_owned(),
            wrote: Vec::new(),
            usage: Usage::default(),
            heard: Seq(i64::MAX),
        })
    }

    /// The end of an engine action.
    pub fn action_ended(&self, action: &Name, outcome: &str) -> Body {
        let mut updated = self.clone();
        updated.pushed(true);
        Body::ActionEnded {
            visit: self.task.ledger.visit.number,
            action: action.clone(),
            outcome: Name::new(outcome),
            detail: String::new(),
            head: (action == "update" && outcome == "ok").then_some(updated.head),
        }
    }

    /// A signal, given after everything that was shown.
    pub fn signal(&self, name: &str) -> Body {
        Body::Signalled(Signal {
            name: Name::new(name),
            text: None,
            activity: "activity".to_owned(),
            acted_at: self.now,
        })
    }

    /// What follows, with all that follows from it.
    pub fn play(&self, what: &Happening) -> Played<'a> {
        let mut world = self.clone();
        if let Body::RunEnded(report) = &what.body
            && let Some(head) = &report.head
        {
            world.head = head.clone();
        }
        if let Body::ActionEnded { head: Some(head), .. } = &what.body {
            world.head = head.clone();
        }
        let mut steps = Vec::new();
        let mut next = Some((what.body.clone(), what.actor.clone()));
        while let Some((body, actor)) = next.take().filter(|_| steps.len() < CHAIN_MAX) {
            // What was told is about this stage: in others everything unsaid goes well.
            let told = world.task.control.stage == self.task.control.stage;
            let one = world.one(body, actor, if told { &what.said } else { &NOTHING });
            next = one.step.follow.clone().map(|body| (body, Actor::Service));
            steps.push(one);
        }
        Played { after: world, steps }
    }

    fn one(&mut self, body: Body, actor: Actor, said: &Said) -> One {
        let event = Event {
            seq: Seq(1),
            at: self.now,
            cause: None,
            actor,
            body,
        };
        let (facts, asked) = (self.facts(), RefCell::default());
        let answers = Told {
            rules: self.rules,
            said,
            facts: FromFacts {
                rules: self.rules,
                event: &event,
                facts: &facts,
            },
            asked: &asked,
        };
        let before = self.task.control.clone();
        let step = step_by(self.rules, &self.task, &self.repo, &event, &facts, &answers);
        self.task = step.task.clone();
        if step.decisions.contains(&Decision::Create) {
            self.task.id = TaskId(1);
        }
        if let Some(repo) = &step.repo {
            self.repo = repo.clone();
        }
        One {
            before,
            step,
            asked: asked.into_inner(),
        }
    }

    fn facts(&self) -> Facts {
        let head = HeadFact {
            head: Some(self.head.clone()),
            base: "base".to_owned(),
            descends: true,
            touched: self.touched.clone(),
            commits: Vec::new(),
        };
        let known = |key, value| (key, Fact::Known(value));
        let all = [
            known(FactKey::Issue, Value::Issue(self.issue.clone())),
            known(FactKey::Files, Value::Files(Vec::new())),
            known(FactKey::Head, Value::Head(head)),
        ];
        Facts(all.into())
    }

    /// Whether the task came to rest in the stage it stood in.
    pub fn rests(&self, stage: &Name) -> bool {
        let control = &self.task.control;
        control.phase.life() == Life::Live && control.stage == *stage && control.at != At::Entering
    }
}

static NOTHING: Said = Said::new();

/// A person with these roles.
pub(super) fn person(roles: &[Role]) -> Actor {
    Actor::Person {
        name: "ann".to_owned(),
        via: Via::Tracker,
        roles: roles.to_vec(),
    }
}

/// A person who may do everything.
pub(super) fn anyone() -> Actor {
    person(&[Role::Viewer, Role::Operator, Role::Approver])
}
