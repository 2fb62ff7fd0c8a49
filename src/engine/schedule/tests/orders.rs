//! Two tasks of one repository under serial gate, freeze, dependencies and STOP, in every order
//! that there is: whatever happened, something can go on, or a person's act is named.

use std::collections::{BTreeSet, VecDeque};

use super::*;
use crate::engine::model::{
    Actor, Body, Decision, Event, Fact, FactKey, Facts, Issue, Role, RunEnd, RunReport, Seq, Signal, Source, Usage, Value, Via,
};
use crate::engine::step::{Answer, Answers, Outcome, step_by};

/// Every gate is passed when it is asked.
struct AllOk;

impl Answers for AllOk {
    fn answer(&self, _: &Task, gate: &Name) -> Answer {
        Answer::new(gate, Outcome::Ok)
    }
}

/// What may happen next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Move {
    Start(usize),
    Stop(usize),
    Depend(usize),
    Undepend(usize),
    Freeze(bool),
    Thaw,
    // The machine's own.
    Claim(TaskId, Name),
    Finish(TaskId, Name),
    Acted(usize),
    Cleaned(usize),
}

impl Move {
    fn machine(&self) -> bool {
        matches!(self, Self::Claim(..) | Self::Finish(..) | Self::Acted(_) | Self::Cleaned(_))
    }
}

#[derive(Clone)]
struct Town {
    rules: Arc<Ruleset>,
    tasks: [Task; 2],
    repo: Repo,
    waiting: Vec<WaitingJob>,
    running: BTreeSet<(TaskId, Name)>,
    depends: Vec<Dependency>,
    born: i64,
}

impl Town {
    fn new(rules: Arc<Ruleset>) -> Self {
        let task = |n: usize| {
            let mut task = Task::unborn("p".into(), RepoId(1), &format!("i-{n}"), &rules.hash);
            task.item = format!("ORCH-{n:03}");
            task
        };
        Self {
            tasks: [task(0), task(1)],
            repo: Repo {
                id: RepoId(1),
                ..Repo::default()
            },
            rules,
            waiting: Vec::new(),
            running: BTreeSet::new(),
            depends: Vec::new(),
            born: 0,
        }
    }

    /// All that decisions depend on.
    fn key(&self) -> String {
        let depends: Vec<_> = self.depends.iter().map(|d| (d.task, d.on)).collect();
        let waiting: Vec<_> = self.waiting.iter().map(|j| (j.task, &j.slot, &j.stage)).collect();
        let controls: Vec<_> = self.tasks.iter().map(|t| (t.id, &t.control)).collect();
        let (lane, lease) = (&self.repo.lane, self.repo.lease.as_ref().map(|l| (l.task, &l.queue)));
        let seats: Vec<_> = lane.iter().map(|s| (s.task, &s.passed)).collect();
        format!(
            "{controls:?} {seats:?} {lease:?} {:?} {depends:?} {waiting:?} {:?}",
            self.repo.freeze.as_ref().map(|f| f.level),
            self.running
        )
    }

    fn live(&self, n: usize) -> bool {
        self.tasks[n].control.phase == Phase::Live
    }

    fn step(&mut self, n: usize, actor: Actor, body: Body) {
        let issue = Issue {
            id: format!("i-{n}"),
            number: Some(i64::try_from(n).unwrap()),
            title: "A title".to_owned(),
            description: "Words.".to_owned(),
            ..Issue::default()
        };
        let mut next = Some((actor, body));
        let mut woken = Vec::new();
        while let Some((actor, body)) = next.take() {
            let event = Event {
                seq: Seq(1),
                at: T0,
                cause: None,
                actor,
                body,
            };
            let facts = if self.tasks[n].control.phase == Phase::Unborn {
                Facts([(FactKey::Issue, Fact::Known(Value::Issue(issue.clone())))].into())
            } else {
                Facts::default()
            };
            let taken = step_by(&self.rules, &self.tasks[n], &self.repo, &event, &facts, &AllOk);
            self.tasks[n] = taken.task;
            self.repo = taken.repo.unwrap_or_else(|| self.repo.clone());
            for decision in taken.decisions {
                woken.extend(self.carry_out(n, decision));
            }
            next = taken.follow.map(|body| (Actor::Service, body));
        }
        if self.tasks[n].terminal() {
            let id = self.tasks[n].id;
            self.waiting.retain(|j| j.task != id);
            self.running.retain(|(task, _)| *task != id);
        }
        for task in woken {
            self.poke(task);
        }
    }

    fn carry_out(&mut self, n: usize, decision: Decision) -> Option<TaskId> {
        match decision {
            Decision::Create => {
                self.born += 1;
                let id = TaskId(self.born);
                self.tasks[n].id = id;
                self.repo.lane.iter_mut().filter(|s| s.task == TaskId(0)).for_each(|s| s.task = id);
                let item = self.tasks[n].item.clone();
                let named = self.depends.iter_mut().filter(|d| d.on.is_none() && d.name == item);
                named.for_each(|d| d.on = Some(id));
            }
            Decision::Enqueue(job) => self.waiting.push(WaitingJob {
                id: JobId(0),
                task: self.tasks[n].id,
                slot: job.slot,
                stage: job.stage,
                available_at: T0,
                since: T0,
                why: None,
                limited: None,
            }),
            Decision::Withdraw { .. } => {
                let id = self.tasks[n].id;
                self.waiting.retain(|j| j.task != id);
                self.running.retain(|(task, _)| *task != id);
            }
            Decision::Wake { task, .. } => return Some(task),
            _ => {}
        }
        None
    }

    fn poke(&mut self, task: TaskId) {
        if let Some(n) = self.tasks.iter().position(|t| t.id == task) {
            self.step(n, Actor::Service, Body::Poked { by: "x".into() });
        }
    }

    /// The blockers of each waiting job, in order of the jobs.
    fn verdicts(&self) -> Vec<Vec<Blocker>> {
        let mut waiting = self.waiting.clone();
        waiting.sort_by_key(|j| (j.task, j.slot.clone()));
        let open: Vec<OpenRun> = self
            .running
            .iter()
            .map(|(task, slot)| OpenRun {
                run: RunId(1),
                task: *task,
                slot: slot.clone(),
                since: T0,
                ending: false,
            })
            .collect();
        let queue = Queue {
            waiting: &waiting,
            open: &open,
            tasks: &self
                .tasks
                .iter()
                .filter(|t| t.control.phase == Phase::Live)
                .map(|t| (t.id, t.clone()))
                .collect(),
            depends: &self.depends,
            repos: &BTreeMap::from([(RepoId(1), self.repo.clone())]),
            rules: &|_| Some(Arc::clone(&self.rules)),
            limit: 5,
            project_limits: &BTreeMap::new(),
            commands: &BTreeMap::new(),
            bounds: &Bounds::default(),
        };
        schedule(&queue, T0).into_iter().map(|(_, found)| found).collect()
    }

    fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        let mut waiting = self.waiting.clone();
        waiting.sort_by_key(|j| (j.task, j.slot.clone()));
        for (job, found) in waiting.iter().zip(self.verdicts()) {
            if found.is_empty() {
                moves.push(Move::Claim(job.task, job.slot.clone()));
            }
        }
        moves.extend(self.running.iter().map(|(task, slot)| Move::Finish(*task, slot.clone())));
        for n in 0..2 {
            let task = &self.tasks[n];
            if task.control.phase == Phase::Unborn {
                moves.push(Move::Start(n));
            }
            if !self.live(n) {
                continue;
            }
            if matches!(task.control.at, At::Action { running: true, .. }) && task.control.stop != StopState::Cleaning {
                moves.push(Move::Acted(n));
            }
            match task.control.stop {
                StopState::Cleaning => moves.push(Move::Cleaned(n)),
                StopState::Deferred => {}
                StopState::No => moves.push(Move::Stop(n)),
            }
            let has = |a: usize| {
                self.depends
                    .iter()
                    .any(|d| d.task == self.tasks[a].id && self.tasks[a].id != TaskId(0))
            };
            // What would close a circle is refused at the door.
            if has(n) {
                moves.push(Move::Undepend(n));
            } else if !(has(1 - n) && self.live(1 - n)) {
                moves.push(Move::Depend(n));
            }
        }
        moves.extend(match self.repo.freeze {
            None => vec![Move::Freeze(false), Move::Freeze(true)],
            Some(_) => vec![Move::Thaw],
        });
        moves
    }

    fn play(&mut self, what: &Move) {
        match what {
            Move::Start(n) => self.say(*n, "start"),
            Move::Stop(n) => self.say(*n, "stop"),
            Move::Depend(n) => {
                let other = &self.tasks[1 - n];
                self.depends.push(Dependency {
                    task: self.tasks[*n].id,
                    on: (other.id != TaskId(0)).then_some(other.id),
                    name: other.item.clone(),
                    source: Source::Command,
                    since: T0,
                });
            }
            Move::Undepend(n) => {
                let id = self.tasks[*n].id;
                self.depends.retain(|d| d.task != id);
            }
            Move::Freeze(all) => {
                self.repo.freeze = Some(Freeze {
                    level: if *all { FreezeLevel::All } else { FreezeLevel::Merge },
                    reason: "x".to_owned(),
                    since: T0,
                    by: "olga".to_owned(),
                });
            }
            Move::Thaw => {
                self.repo.freeze = None;
                let seats: Vec<TaskId> = self.repo.lane.iter().map(|s| s.task).collect();
                seats.into_iter().for_each(|task| self.poke(task));
            }
            Move::Claim(task, slot) => {
                let claimed = self.waiting.iter().find(|j| j.task == *task && j.slot == *slot).cloned();
                self.waiting.retain(|j| !(j.task == *task && j.slot == *slot));
                self.running.insert((*task, slot.clone()));
                let stage = claimed.map(|job| job.stage).unwrap_or_default();
                if let Some(guard) = self.rules.gate(&self.repo, *task, &stage).cloned() {
                    self.repo.lane.iter_mut().filter(|s| s.task == *task).for_each(|s| s.enter(&guard));
                }
            }
            Move::Finish(task, slot) => self.finish(*task, slot),
            Move::Acted(n) => {
                let body = Body::ActionEnded {
                    visit: self.tasks[*n].ledger.visit.number,
                    action: "merge".into(),
                    outcome: "ok".into(),
                    detail: String::new(),
                    head: None,
                };
                self.step(*n, Actor::Service, body);
            }
            Move::Cleaned(n) => self.step(*n, Actor::Service, Body::CleanedUp { report: String::new() }),
        }
    }

    fn say(&mut self, n: usize, name: &str) {
        let actor = Actor::Person {
            name: "alice".to_owned(),
            via: Via::Cli,
            roles: vec![Role::Approver, Role::Operator],
        };
        let signal = Signal {
            name: name.into(),
            text: None,
            activity: String::new(),
            acted_at: T0,
        };
        self.step(n, actor, Body::Signalled(signal));
    }

    fn finish(&mut self, task: TaskId, slot: &Name) {
        self.running.remove(&(task, slot.clone()));
        let Some(n) = self.tasks.iter().position(|t| t.id == task) else {
            return;
        };
        let head = Head {
            sha: "a".to_owned(),
            subject: "s".to_owned(),
        };
        let report = RunReport {
            run: RunId(1),
            job: JobId(1),
            visit: self.tasks[n].ledger.visit.number,
            slot: slot.clone(),
            end: RunEnd::Ok,
            start: None,
            head: Some(head),
            nonce: "n".to_owned(),
            wrote: Vec::new(),
            usage: Usage::default(),
            heard: Seq(0),
        };
        self.step(n, Actor::Agent(1), Body::RunEnded(report));
    }

    /// Whoever is under way moves, or says why not; and if nobody moves, a person's act is named.
    fn sound(&self, way: &[Move]) {
        let live: Vec<usize> = (0..2).filter(|n| self.live(*n)).collect();
        let moves = self.moves();
        let verdicts = self.verdicts();
        let mut waiting = self.waiting.clone();
        waiting.sort_by_key(|j| (j.task, j.slot.clone()));
        let mut by_person = false;
        for n in &live {
            let task = &self.tasks[*n];
            let jobs = waiting.iter().zip(&verdicts).filter(|(j, _)| j.task == task.id);
            let mut blockers: Vec<Blocker> = jobs.flat_map(|(_, found)| found.clone()).collect();
            blockers.extend(waits(&self.rules, task, &self.repo));
            by_person |= blockers
                .iter()
                .any(|b| matches!(b.who, Who::Operator | Who::Anyone | Who::Approver));
            let own = |m: &Move| match m {
                Move::Claim(id, _) | Move::Finish(id, _) => *id == task.id,
                Move::Acted(k) | Move::Cleaned(k) => k == n,
                _ => false,
            };
            assert!(
                moves.iter().any(own) || !blockers.is_empty(),
                "{} waits for nothing after {way:?}",
                task.item
            );
        }
        let moving = moves.iter().any(Move::machine);
        assert!(
            live.is_empty() || moving || by_person,
            "nothing moves, and nobody is named, after {way:?}"
        );
        let entered = |seat: &&Seat| seat.inside;
        assert!(
            self.repo
                .lane
                .iter()
                .all(|s| self.tasks.iter().any(|t| t.id == s.task && !t.terminal())),
            "a seat of a task that is over after {way:?}: {:?}",
            self.repo.lane.iter().filter(entered).collect::<Vec<_>>()
        );
    }
}

/// Breadth first through everything that can happen, in every order.
fn walk(rules: Arc<Ruleset>) -> usize {
    let start = Town::new(rules);
    let mut seen = BTreeSet::from([start.key()]);
    let mut next = VecDeque::from([(start, Vec::new())]);
    while let Some((town, way)) = next.pop_front() {
        town.sound(&way);
        for what in town.moves() {
            let mut then = town.clone();
            then.play(&what);
            if seen.insert(then.key()) {
                let mut way = way.clone();
                way.push(what);
                next.push_back((then, way));
            }
        }
    }
    seen.len()
}

/// Few stages, so that everything can be tried.
fn short(set: &str) -> Arc<Ruleset> {
    rules_with("local", set)
}

#[test]
fn b_sg_two_tasks_never_wait_for_each_other_whatever_the_order() {
    let states = walk(short(""));
    assert!(states > 1000, "{states} states were tried: that is not everything");
}

#[test]
fn b_sg_two_tasks_without_a_serial_gate() {
    let states = walk(short(", \"serial_gate.enabled\" = false"));
    assert!(states > 1000, "{states} states were tried: that is not everything");
}

#[test]
fn b_sg_1_two_tasks_with_a_guard_in_the_middle() {
    let states = walk(short(", \"serial_gate.guards\" = [\"testing\"]"));
    assert!(states > 1000, "{states} states were tried: that is not everything");
}

#[test]
fn b_sg_1_two_tasks_with_two_guards() {
    let states = walk(short(", \"serial_gate.guards\" = [\"development\", \"testing\"]"));
    assert!(states > 1000, "{states} states were tried: that is not everything");
}
