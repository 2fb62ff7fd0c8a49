//! The world of one story: a task, its repository, a clock, timers, a board.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::engine::model::{
    Actor, At, Body, Decision, Event, Fact, FactKey, Facts, Head, HeadFact, Issue, JobId, Kill, Millis, Mode, Name, Phase, Repo, RepoId,
    Role, RunEnd, RunId, RunReport, Seq, Signal, Task, TaskId, Usage, Value, Via, Visit,
};
use crate::engine::rules::Ruleset;
use crate::engine::step::{FromFacts, step_by};

use super::answers::{Said, Stage};
use super::coverage::Visited;

/// How runs end besides with a verdict.
pub(super) const ENDS: &[&str] = &["ok", "failed", "no_output", "out_of_scope", "transient", "lost", "killed"];
/// A moment to count from.
const START: Millis = Millis(1_700_000_000_000);
/// Steps that may follow from one another before it is clear that they go round in a circle.
const CHAIN_MAX: usize = 200;
/// Lines of what happened that are kept.
const LINES_MAX: usize = 60;

/// What the last thing that happened led to.
#[derive(Default)]
pub(super) struct Recent {
    pub comments: Vec<String>,
    pub alerts: Vec<String>,
    pub notes: Vec<String>,
}

/// A story being played.
pub(super) struct Player<'a> {
    pub rules: &'a Ruleset,
    pub task: Task,
    pub repo: Repo,
    pub now: Millis,
    pub issue: Issue,
    pub touched: Vec<String>,
    /// What the board shows.
    pub status: String,
    pub recent: Recent,
    /// A line per step of the engine.
    pub happened: Vec<String>,
    /// Outcomes that hold, and the agent whose verdict each is.
    pub held: BTreeMap<Name, (Name, Option<Name>)>,
    /// Gates asked by the last thing that happened.
    pub asked: BTreeSet<Name>,
    head: Option<Head>,
    timers: BTreeMap<Name, (u32, Millis)>,
    restart: Option<Signal>,
    count: i64,
    visited: &'a mut Visited,
}

impl<'a> Player<'a> {
    pub fn new(rules: &'a Ruleset, visited: &'a mut Visited) -> Self {
        let repo = Repo {
            id: RepoId(1),
            ..Repo::default()
        };
        let mut task = Task::unborn(Name::new("project"), repo.id, "1", &rules.hash);
        // A pipeline without a project has no prefix of its own.
        task.item = format!("{}-001", if rules.prefix.is_empty() { "TASK" } else { &rules.prefix });
        let issue = Issue {
            id: "1".to_owned(),
            title: "A request".to_owned(),
            description: "What is wanted.".to_owned(),
            author: "ann".to_owned(),
            ..Issue::default()
        };
        Self {
            rules,
            task,
            repo,
            now: START,
            issue,
            touched: Vec::new(),
            status: String::new(),
            recent: Recent::default(),
            happened: Vec::new(),
            held: BTreeMap::new(),
            asked: BTreeSet::new(),
            head: None,
            timers: BTreeMap::new(),
            restart: None,
            count: 0,
            visited,
        }
    }

    fn number(&mut self) -> i64 {
        self.count += 1;
        self.count
    }

    fn commit(&mut self, moves_code: bool) -> Head {
        let n = self.number();
        let old = self.head.as_ref().map(|h| h.subject.clone());
        let subject = old.filter(|_| !moves_code).unwrap_or_else(|| format!("code-{n}"));
        let head = Head {
            sha: format!("commit-{n}"),
            subject,
        };
        self.head = Some(head.clone());
        head
    }

    /// The task stands at the door of `stage`, everything before it having gone well.
    pub fn stand_at(&mut self, stage: &Name, words: &str) -> Result<(), String> {
        let head = self.commit(true);
        let before = self.rules.flow.iter().take_while(|s| *s != stage);
        self.task.ledger.passed = before.map(|s| (s.clone(), head.subject.clone())).collect();
        self.task.ledger.head = Some(head);
        self.task.control.stage = stage.clone();
        self.task.ledger.visit = Visit {
            number: 2,
            entered_at: self.now,
        };
        self.recent = Recent::default();
        self.happen(Body::Entered { visit: 2 }, Actor::Service, &Said::new(), words)
    }

    /// The birth of the task, without what follows from it.
    pub fn born_only(&mut self) -> Result<(), String> {
        let start = self.signal("start", None);
        self.one(start, person("ann", all_roles()), &Said::new(), "").map(|_| ())
    }

    pub fn signal(&mut self, name: &str, text: Option<&str>) -> Body {
        let activity = format!("story {}", self.number());
        Body::Signalled(Signal {
            name: Name::new(name),
            text: text.map(str::to_owned),
            activity,
            acted_at: self.now,
        })
    }

    /// The end of a run of `slot`.
    pub fn run_ended(&mut self, slot: &Name, end: RunEnd) -> Body {
        let start = self.head.as_ref().map(|h| h.sha.clone());
        let writes = self.rules.agents.get(slot).is_some_and(|a| !a.writes.is_empty());
        let head = (end == RunEnd::Ok).then(|| self.commit(writes));
        let n = self.number();
        Body::RunEnded(RunReport {
            run: RunId(n),
            job: JobId(n),
            visit: self.task.ledger.visit.number,
            slot: slot.clone(),
            end,
            start,
            head,
            nonce: format!("mark-{n}"),
            wrote: Vec::new(),
            usage: Usage::default(),
            heard: Seq(i64::MAX),
        })
    }

    /// The end of the engine action under way.
    pub fn action_ended(&mut self, action: &Name, outcome: &Name, detail: &str) -> Body {
        let head = (action == "update" && outcome == "ok").then(|| self.commit(true));
        Body::ActionEnded {
            visit: self.task.ledger.visit.number,
            action: action.clone(),
            outcome: outcome.clone(),
            detail: detail.to_owned(),
            head,
        }
    }

    /// Someone pushes to the branch.
    pub fn pushed(&mut self, code: bool) -> Body {
        self.commit(code);
        Body::Poked { by: Name::new("a push") }
    }

    /// Lets time pass; whatever falls due on the way happens.
    pub fn pass(&mut self, span: Millis, said: &Said) -> Result<(), String> {
        let end = self.now.plus(span);
        loop {
            let due = self
                .timers
                .iter()
                .filter(|(_, (_, due))| *due <= end)
                .min_by_key(|(_, (_, due))| *due);
            let Some((timer, (visit, due))) = due.map(|(n, t)| (n.clone(), *t)) else {
                break;
            };
            self.timers.remove(&timer);
            self.now = self.now.max(due);
            self.happen(Body::TimerFired { visit, timer }, Actor::Service, said, "")?;
        }
        self.now = end;
        Ok(())
    }

    /// One event and all that follows from it.
    pub fn happen(&mut self, body: Body, actor: Actor, said: &Said, words: &str) -> Result<(), String> {
        let mut next = Some((body, actor));
        for _ in 0..CHAIN_MAX {
            let Some((body, actor)) = next.take() else {
                return Ok(());
            };
            let follow = self.one(body, actor, said, words)?;
            next = follow.map(|body| (body, Actor::Service));
            if next.is_none() {
                let restart = self.restart.take().filter(|_| self.task.terminal());
                next = restart.map(|signal| {
                    self.over_again();
                    (Body::Signalled(signal), person("ann", all_roles()))
                });
            }
        }
        Err(format!(
            "{CHAIN_MAX} steps followed from one another: the rules go round in a circle"
        ))
    }

    /// The same issue once more, after its task was cancelled.
    fn over_again(&mut self) {
        let mut task = Task::unborn(Name::new("project"), self.repo.id, "1", &self.rules.hash);
        task.item.clone_from(&self.task.item);
        self.task = task;
        self.head = None;
        self.timers.clear();
    }

    fn one(&mut self, body: Body, actor: Actor, said: &Said, words: &str) -> Result<Option<Body>, String> {
        let event = Event {
            seq: Seq(self.number()),
            at: self.now,
            cause: None,
            actor,
            body,
        };
        let facts = self.facts();
        let mut all: Said = self
            .held
            .iter()
            .map(|(gate, (outcome, _))| (gate.clone(), outcome.clone()))
            .collect();
        all.extend(said.iter().map(|(gate, outcome)| (gate.clone(), outcome.clone())));
        let asked = RefCell::default();
        let answers = Stage {
            rules: self.rules,
            said: &all,
            words,
            facts: FromFacts {
                rules: self.rules,
                event: &event,
                facts: &facts,
            },
            asked: &asked,
        };
        let before = (self.task.control.clone(), self.task.ledger.visit.number);
        let taken = step_by(self.rules, &self.task, &self.repo, &event, &facts, &answers);
        let asked = asked.into_inner();
        self.visited.note(self.rules, &before.0, &event, &taken, &asked);
        self.asked.extend(asked.into_iter().map(|(_, gate, _)| gate));
        self.task = taken.task;
        if let Some(repo) = taken.repo {
            self.repo = repo;
        }
        if self.task.ledger.visit.number != before.1 {
            self.held.clear();
        }
        let why: Vec<String> = taken.because.into_iter().map(|b| b.0).collect();
        if self.happened.len() < LINES_MAX {
            self.happened.push(format!("{}: {}", self.task.control.stage, why.join("; ")));
        }
        for decision in taken.decisions {
            self.carry_out(decision);
        }
        Ok(taken.follow)
    }

    fn carry_out(&mut self, decision: Decision) {
        match decision {
            Decision::Create => {
                self.task.id = TaskId(1);
                self.repo.lane.iter_mut().for_each(|seat| seat.task = TaskId(1));
            }
            Decision::Enqueue(job) => self.recent.notes.push(job.note.unwrap_or_default()),
            Decision::SetTimer { visit, timer, due } => {
                self.timers.insert(timer, (visit, due));
            }
            Decision::DropTimers => self.timers.clear(),
            Decision::ShowStatus { status } => self.status = status,
            Decision::Comment { text, .. } => self.recent.comments.push(text),
            Decision::Alert { text, .. } => self.recent.alerts.push(text),
            Decision::Restart(signal) => self.restart = Some(signal),
            Decision::Requeue { .. }
            | Decision::Tell { .. }
            | Decision::CloseJob { .. }
            | Decision::Withdraw { .. }
            | Decision::Act(_)
            | Decision::Wake { .. }
            | Decision::Depend(_)
            | Decision::CleanUp(_) => {}
        }
    }

    fn facts(&self) -> Facts {
        let head = HeadFact {
            head: self.head.clone(),
            base: "base".to_owned(),
            descends: true,
            touched: self.touched.clone(),
            commits: vec!["a commit".to_owned()],
        };
        let issue = (FactKey::Issue, Fact::Known(Value::Issue(self.issue.clone())));
        // What agents wrote is told by outcomes, not by files.
        let files = (FactKey::Files, Fact::Known(Value::Files(Vec::new())));
        Facts([issue, files, (FactKey::Head, Fact::Known(Value::Head(head)))].into())
    }
}

/// A run's end by its name.
pub(super) fn end(name: &str, words: &str) -> Option<RunEnd> {
    let detail = if words.is_empty() { "as the scenario tells" } else { words }.to_owned();
    Some(match name {
        "ok" => RunEnd::Ok,
        "failed" => RunEnd::Permanent { detail },
        "no_output" => RunEnd::NoOutput,
        "out_of_scope" => RunEnd::OutOfScope { paths: vec![detail] },
        "transient" => RunEnd::Transient { detail, retry_after: None },
        "lost" => RunEnd::Lost,
        "killed" => RunEnd::Killed(Kill::Deadline),
        _ => return None,
    })
}

pub(super) fn all_roles() -> Vec<Role> {
    vec![Role::Viewer, Role::Operator, Role::Approver]
}

pub(super) fn person(name: &str, roles: Vec<Role>) -> Actor {
    Actor::Person {
        name: name.to_owned(),
        via: Via::Tracker,
        roles,
    }
}

/// Words of a story for where a task stands.
pub(super) fn phase(task: &Task) -> &'static str {
    match task.control.phase {
        Phase::Unborn => "unborn",
        Phase::Live => "live",
        Phase::Done => "done",
        Phase::Cancelled => "cancelled",
    }
}

/// Words of a story for whether it moves.
pub(super) fn mode(task: &Task) -> &'static str {
    match task.control.mode {
        Mode::Active => "active",
        Mode::Question => "question",
        Mode::Escalated => "escalated",
    }
}

/// Words of a story for where in its stage it is.
pub(super) fn at(task: &Task) -> &'static str {
    match task.control.at {
        At::Entering => "entering",
        At::Work => "work",
        At::Gates => "gates",
        At::Action { .. } => "action",
        At::Updating { .. } => "updating",
    }
}
