//! A state of the exploration: Control, and of the Ledger only the relations that a step asks for.
//!
//! Counters are not part of it: they are walked beside it ([`super::graph`]), since a step asks of
//! a counter only whether it is spent. Retries of a job for weather and for a lost process are not
//! kept at all: each such end may be the last one that is allowed. What no later step asks for is
//! left out, so that states which behave alike are one.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::engine::model::{
    Approval, At, Card, CommandResult, Control, Decision, Freeze, FreezeLevel, Head, JobKind, Lease, Life, Millis, Mode, Name, Phase, Repo,
    RepoId, RunId, RunRef, Seat, Signal, SlotState, StopState, Task, TaskId, Visit,
};
use crate::engine::rules::{GateKind, Ruleset};
use crate::engine::step::{Step, approval_subject};

use super::world::files_at;

/// The present visit; events of an earlier one carry a smaller number.
pub(super) const VISIT: u32 = 10;
/// The moment at which everything happens.
pub(super) const NOW: Millis = Millis(1_700_000_000_000);
/// The task.
pub(super) const TASK: TaskId = TaskId(1);

/// How the repository's lease and freeze stand, as far as the task waits for them or holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum Lease1 {
    /// Nothing of it concerns the task.
    #[default]
    Free,
    /// The task holds the merge lease.
    Mine,
    /// The repository is frozen, and the task waits.
    Frozen,
    /// Another task holds the lease; whether this one stands in its queue.
    Other(bool),
}

/// A state, without the counters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Local {
    /// The engine's own, without counters; slots without what no step asks for.
    pub control: Control,
    /// Whether there is a branch.
    pub head: bool,
    /// Agents of the stage whose word counts.
    pub runs: BTreeSet<Name>,
    /// Earlier stages passed with the present subject, of those that a merge asks about.
    pub passed: BTreeSet<Name>,
    /// What gates' commands answered on the present subject: whether it was 0.
    pub commands: BTreeMap<Name, bool>,
    /// Gate cards that show what an approval would cover now.
    pub cards: BTreeSet<Name>,
    /// People whose approval counts, by gate.
    pub approvals: BTreeMap<Name, u8>,
    /// Whether a run of the visit failed.
    pub failure: bool,
    /// Whether a start waits for the end of a stop.
    pub restart: bool,
    /// What is waited for, `gate.outcome`.
    pub waiting: Option<Name>,
    /// A follow-up of the last step is in the inbox.
    pub follow: bool,
    /// Timers are set.
    pub timers: bool,
    /// Open jobs of the visit.
    pub jobs: BTreeSet<Name>,
    /// Open jobs of an earlier visit: nobody will ever close them.
    pub stray: bool,
    /// Lease and freeze.
    pub lease: Lease1,
    /// The change was merged.
    pub merged: bool,
    /// What invariants ask for and has come out, a bit each.
    pub seen: u16,
}

impl Local {
    /// Whether the task is on its way.
    pub fn live(&self) -> bool {
        self.control.phase.life() == Life::Live
    }

    /// Whether it is over.
    pub fn over(&self) -> bool {
        self.control.phase.life() == Life::Over
    }

    /// Whether it moves by itself, nobody having asked for a stop.
    pub fn plain(&self) -> bool {
        self.live() && self.control.stop == StopState::No
    }
}

/// The head that the states of the exploration stand at, and what others there are.
pub(super) fn head(sha: &str, subject: &str) -> Head {
    Head {
        sha: sha.to_owned(),
        subject: subject.to_owned(),
    }
}

/// Where the rules' texts and numbers are needed to tell states apart.
pub(super) struct Frame<'r> {
    pub rules: &'r Ruleset,
    /// Stages in which no code is written, from the first on in which it is.
    judges: BTreeSet<Name>,
    /// What an approval covers at the canonical head; without a branch.
    shown: [String; 2],
}

impl<'r> Frame<'r> {
    pub fn new(rules: &'r Ruleset) -> Self {
        let writes = |agent: &Name| rules.agents.get(agent).is_some_and(|a| !a.writes.is_empty());
        let writer = |stage: &&Name| rules.stages.get(*stage).is_some_and(|s| s.work.iter().any(writes));
        let judges = rules
            .flow
            .iter()
            .skip_while(|s| !writer(s))
            .filter(|s| !writer(s))
            .cloned()
            .collect();
        let mut task = Task::unborn(Name::new("project"), RepoId(1), "1", &rules.hash);
        let without = approval_subject(&task, &files_at(None));
        task.ledger.head = Some(head("h0", "c0"));
        let with = approval_subject(&task, &files_at(task.ledger.head.as_ref()));
        Self {
            rules,
            judges,
            shown: [without, with],
        }
    }

    /// A task in this state, no counter used.
    pub fn task(&self, local: &Local) -> Task {
        let mut task = Task::unborn(Name::new("project"), RepoId(1), "1", &self.rules.hash);
        task.control = local.control.clone();
        if local.control.phase == Phase::Unborn {
            return task;
        }
        task.id = TASK;
        "TASK-001".clone_into(&mut task.item);
        task.control.counters = self.rules.counters.keys().map(|c| (c.clone(), 0)).collect();
        let ledger = &mut task.ledger;
        ledger.visit = Visit {
            number: VISIT,
            entered_at: NOW,
        };
        ledger.head = local.head.then(|| head("h0", "c0"));
        let run = RunRef {
            run: RunId(1),
            nonce: String::new(),
        };
        ledger.runs = local.runs.iter().map(|a| (a.clone(), run.clone())).collect();
        ledger.passed = local.passed.iter().map(|s| (s.clone(), "c0".to_owned())).collect();
        ledger.commands = local.commands.iter().map(|(g, ok)| (g.clone(), answered(*ok))).collect();
        let shown = &self.shown[usize::from(local.head)];
        ledger.cards = local.cards.iter().map(|g| (g.clone(), self.card(shown))).collect();
        let given = |n: &u8| (0..*n).map(|i| self.approval(shown, i)).collect();
        ledger.approvals = local.approvals.iter().map(|(g, n)| (g.clone(), given(n))).collect();
        ledger.failure = local.failure.then(String::new);
        ledger.waiting = local.waiting.as_ref().map(|w| (format!("{w}: "), NOW));
        let why = || Some((String::new(), NOW));
        ledger.escalated = (local.control.mode == Mode::Escalated).then(why).flatten();
        ledger.question = (local.control.mode == Mode::Question).then(why).flatten();
        ledger.stop = (local.control.stop != StopState::No).then(|| {
            let until = (local.control.stop == StopState::Deferred).then_some(NOW);
            ("ann".to_owned(), NOW, until)
        });
        ledger.restart = local.restart.then(|| Signal {
            name: Name::new("start"),
            text: None,
            activity: String::new(),
            acted_at: NOW,
        });
        task
    }

    /// What an approval covers now; of the usual heads it is known.
    fn shown_at(&self, task: &Task) -> Cow<'_, str> {
        match &task.ledger.head {
            None => Cow::Borrowed(&self.shown[0]),
            Some(h) if h.sha == "h0" && h.subject == "c0" => Cow::Borrowed(&self.shown[1]),
            moved => Cow::Owned(approval_subject(task, &files_at(moved.as_ref()))),
        }
    }

    fn card(&self, shown: &str) -> Card {
        Card {
            subject: shown.to_owned(),
            base: "base".to_owned(),
            rules: self.rules.hash.clone(),
            at: NOW,
        }
    }

    fn approval(&self, shown: &str, n: u8) -> Approval {
        Approval {
            by: format!("person {n}"),
            at: NOW,
            subject: shown.to_owned(),
            rules: self.rules.hash.clone(),
        }
    }

    /// The repository of a state.
    pub fn repo(&self, local: &Local, lease: Lease1) -> Repo {
        let mut repo = Repo {
            id: RepoId(1),
            ..Repo::default()
        };
        if local.live() {
            repo.lane.push(Seat {
                task: TASK,
                item: "TASK-001".to_owned(),
                inside: true,
                passed: Vec::new(),
                since: NOW,
            });
        }
        let held = |task: TaskId, queue: Vec<TaskId>| Lease {
            task,
            item: "another task".to_owned(),
            visit: VISIT,
            since: NOW,
            queue,
        };
        match lease {
            Lease1::Free => {}
            Lease1::Mine => repo.lease = Some(held(TASK, Vec::new())),
            Lease1::Other(queued) => {
                let queue = if queued { vec![TASK] } else { Vec::new() };
                repo.lease = Some(held(TaskId(2), queue));
            }
            Lease1::Frozen => {
                repo.freeze = Some(Freeze {
                    level: FreezeLevel::Merge,
                    reason: "frozen".to_owned(),
                    since: NOW,
                    by: "an operator".to_owned(),
                });
            }
        }
        repo
    }

    /// The state after a step; `seen` is the caller's.
    pub fn after(&self, before: &Local, repo: &Repo, step: &Step) -> Local {
        let (task, repo) = (&step.task, step.repo.as_ref().unwrap_or(repo));
        let mut control = task.control.clone();
        control.counters.clear();
        control.approved.clear();
        if task.terminal() {
            control.slots.clear();
            control.reported = None;
            control.at = At::Entering;
        }
        self.forget(&mut control);
        let subject = task.ledger.head.as_ref().map(|h| h.subject.as_str());
        let shown = self.shown_at(task);
        let shown = shown.as_ref();
        let mine = |a: &&Approval| a.subject == shown && a.rules == task.rules;
        // More people than are asked for count for no more.
        let asked = |gate: &Name| match self.rules.gates.get(gate).map(|g| &g.kind) {
            Some(GateKind::Human { quorum, .. }) => *quorum as usize,
            _ => 1,
        };
        let count =
            |gate: &Name, given: &Vec<Approval>| u8::try_from(given.iter().filter(mine).count().min(asked(gate))).unwrap_or(u8::MAX);
        let at = self.rules.flow.iter().position(|s| *s == control.stage).unwrap_or(0);
        let earlier = |s: &Name| self.judges.contains(s) && self.rules.flow[..at].contains(s);
        let (jobs, stray) = jobs(before, step);
        let rests = task.control.mode == Mode::Active && matches!(task.control.at, At::Gates | At::Work);
        let live = task.control.phase.life() == Life::Live && task.control.stop != StopState::Cleaning;
        let merging = live && matches!(task.control.at, At::Action { running: false, .. });
        let ledger = &task.ledger;
        let kept = |on: bool| live && on;
        let stopping = task.control.stop != StopState::No;
        Local {
            head: ledger.head.is_some() && live,
            runs: ledger.runs.keys().filter(|_| live).cloned().collect(),
            passed: (ledger.passed.iter())
                .filter(|(s, passed)| live && earlier(s) && Some(passed.as_str()) == subject)
                .map(|(s, _)| s.clone())
                .collect(),
            commands: (ledger.commands.iter())
                .filter(|(_, r)| live && Some(r.subject.as_str()) == subject)
                .map(|(g, r)| (g.clone(), r.code == 0))
                .collect(),
            cards: (ledger.cards.iter())
                .filter(|_| live)
                // One that is outdated counts as little as none.
                .filter(|(_, c)| c.subject == shown && c.rules == task.rules)
                .map(|(g, _)| g.clone())
                .collect(),
            approvals: (ledger.approvals.iter())
                .filter(|_| live)
                .map(|(g, given)| (g.clone(), count(g, given)))
                .filter(|(_, n)| *n > 0)
                .collect(),
            failure: kept(ledger.failure.is_some()),
            restart: stopping && ledger.restart.is_some(),
            waiting: ledger
                .waiting
                .as_ref()
                .filter(|_| live && rests)
                .and_then(|(w, _)| outcome(w))
                .map(|w| plain(&w)),
            follow: live && step.follow.is_some(),
            timers: timers(before, step),
            jobs,
            stray,
            lease: lease(repo, merging),
            merged: before.merged,
            seen: 0,
            control,
        }
    }

    /// Takes away what no step asks for again: the tries of jobs that ended for good, commands
    /// that ended well, why it was that a job failed.
    fn forget(&self, control: &mut Control) {
        if control.stop == StopState::Cleaning {
            let (phase, stop, stage) = (control.phase, control.stop, control.stage.clone());
            *control = Control {
                phase,
                stop,
                stage,
                ..Control::default()
            };
        }
        let agents = &self.rules.agents;
        control
            .slots
            .retain(|name, slot| agents.contains_key(name) || slot.state != SlotState::Ok);
        control.reported = control.reported.as_ref().map(plain);
        let alone = self.rules.stages.get(&control.stage).is_none_or(|s| s.work.len() < 2);
        for slot in control.slots.values_mut() {
            (slot.transient, slot.rescues) = (0, 0);
            if matches!(slot.state, SlotState::Failed(_)) {
                slot.state = SlotState::Failed(Name::new("failed"));
            }
            let over = match slot.state {
                SlotState::Queued => false,
                SlotState::Ok => alone,
                SlotState::Failed(_) => true,
            };
            if over {
                slot.attempts = 0;
            }
        }
    }
}

fn answered(ok: bool) -> CommandResult {
    CommandResult {
        subject: "c0".to_owned(),
        code: i32::from(!ok),
        tail: String::new(),
    }
}

/// The `gate.outcome` that a sentence of waiting begins with.
fn outcome(sentence: &str) -> Option<Name> {
    let (key, _) = sentence.split_once(':')?;
    key.contains('.').then(|| Name::new(key))
}

/// However a run failed, it is waited for alike.
fn plain(key: &Name) -> Name {
    if key.starts_with("work.") {
        Name::new("work.failed")
    } else {
        key.clone()
    }
}

fn lease(repo: &Repo, merging: bool) -> Lease1 {
    match &repo.lease {
        Some(lease) if lease.task == TASK || lease.task == TaskId(0) => Lease1::Mine,
        _ if merging && repo.freeze.is_some() => Lease1::Frozen,
        Some(lease) if merging => Lease1::Other(lease.queue.contains(&TASK)),
        _ => Lease1::Free,
    }
}

fn timers(before: &Local, step: &Step) -> bool {
    step.decisions.iter().fold(before.timers, |set, decision| match decision {
        Decision::SetTimer { .. } => true,
        Decision::DropTimers => false,
        _ => set,
    })
}

/// Open jobs afterwards, and whether one of an earlier visit is left.
fn jobs(before: &Local, step: &Step) -> (BTreeSet<Name>, bool) {
    let mut open: BTreeSet<(u32, Name)> = before.jobs.iter().map(|s| (VISIT, s.clone())).collect();
    let mut stray = before.stray;
    for decision in &step.decisions {
        match decision {
            Decision::Enqueue(job) => {
                open.insert((job.visit, job.slot.clone()));
            }
            Decision::Requeue { visit, slot, .. } => stray |= !revived(before, &mut open, *visit, slot),
            Decision::CloseJob { visit, slot, .. } => {
                open.remove(&(*visit, slot.clone()));
            }
            Decision::Withdraw { visit: Some(v), .. } => open.retain(|(visit, _)| visit != v),
            Decision::Withdraw { visit: None, .. } => {
                open.clear();
                stray = false;
            }
            _ => {}
        }
    }
    let now = step.task.ledger.visit.number;
    stray |= open.iter().any(|(visit, _)| *visit != now);
    (open.into_iter().filter(|(visit, _)| *visit == now).map(|(_, s)| s).collect(), stray)
}

/// A job whose run ended goes back into the queue, even after it was closed for another reason in
/// the same step; one of an earlier visit cannot.
fn revived(before: &Local, open: &mut BTreeSet<(u32, Name)>, visit: u32, slot: &Name) -> bool {
    let known = visit == VISIT && (before.jobs.contains(slot) || before.control.slots.contains_key(slot));
    if known {
        open.insert((visit, slot.clone()));
    }
    known
}

/// Whether a job of this slot runs an agent.
pub(super) fn agent_job(decision: &Decision, rules: &Ruleset) -> bool {
    match decision {
        Decision::Enqueue(job) => job.kind == JobKind::Agent,
        Decision::Requeue { slot, .. } => rules.agents.contains_key(slot),
        _ => false,
    }
}
