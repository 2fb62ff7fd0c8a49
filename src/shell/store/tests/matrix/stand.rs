//! Where a task can stand when it is stopped.

use super::*;
use crate::engine::model::{ActionIntent, Card, Head, Lease, Mode, Name, Slot, SlotState, Visit};
use crate::engine::rules::{GateKind, Ruleset};

/// What the jobs of the stage are doing, or what is waited for instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The stage was chosen, its agents are not queued yet.
    Entering,
    /// Its agents are queued, and an earlier task holds them at the serial gate.
    Held,
    /// Its agents are queued.
    Queued,
    /// They are tried again later.
    Scheduled,
    /// A job is claimed, its process is being started.
    Starting,
    /// Its process runs.
    Running,
    /// Its process is gone, what it left is not settled yet.
    Exited,
    /// Its tries are used up.
    Failed,
    /// Its gates wait.
    Gates,
    /// Its human gate waits for approval, with the card shown.
    Approval,
    /// The command of a gate is queued.
    Command,
    /// The command of a gate runs.
    Commanding,
    /// An answer of a person is awaited.
    Asked,
    /// It is parked for a person.
    Escalated,
    /// The base is being merged into the branch.
    Updating,
    /// It waits for the merge lease.
    Leaseless,
    /// Its irreversible action is under way.
    Acting,
}

impl State {
    pub const ALL: [Self; 17] = [
        Self::Entering,
        Self::Held,
        Self::Queued,
        Self::Scheduled,
        Self::Starting,
        Self::Running,
        Self::Exited,
        Self::Failed,
        Self::Gates,
        Self::Approval,
        Self::Command,
        Self::Commanding,
        Self::Asked,
        Self::Escalated,
        Self::Updating,
        Self::Leaseless,
        Self::Acting,
    ];

    pub fn word(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// The states that a stage of these rules can be in.
pub(super) fn states(rules: &Ruleset, stage: &Name) -> Vec<State> {
    let Some(found) = rules.stages.get(stage) else { return Vec::new() };
    if rules.flow.first() == Some(stage) || rules.flow.last() == Some(stage) {
        return Vec::new();
    }
    let commands = found.pass.iter().any(|g| gate(rules, g, command).is_some());
    let updates = found.on.values().chain(rules.on.values()).any(|e| e.update);
    let asks = found.on.values().chain(rules.on.values()).any(|e| e.ask.is_some());
    let can = |state: &State| match state {
        State::Queued | State::Scheduled | State::Starting | State::Running | State::Exited | State::Failed => !found.work.is_empty(),
        State::Held => !found.work.is_empty() && rules.serial_gate.guards.contains(stage),
        State::Command | State::Commanding => commands,
        State::Approval => found.pass.iter().any(|g| gate(rules, g, person).is_some()),
        State::Asked => asks,
        State::Updating => updates,
        State::Leaseless | State::Acting => !found.actions.is_empty(),
        State::Entering | State::Gates | State::Escalated => true,
    };
    State::ALL.into_iter().filter(can).collect()
}

/// The gate of this kind that `name` is, or has among its members.
fn gate(rules: &Ruleset, name: &Name, is: fn(&GateKind) -> bool) -> Option<Name> {
    match &rules.gates.get(name)?.kind {
        GateKind::FirstOf(inner) | GateKind::AllOf(inner) => inner.iter().find_map(|g| gate(rules, g, is)),
        kind => is(kind).then(|| name.clone()),
    }
}

fn command(kind: &GateKind) -> bool {
    matches!(kind, GateKind::Command { .. })
}

fn person(kind: &GateKind) -> bool {
    matches!(kind, GateKind::Human { .. })
}

/// A commit that a task stands at.
pub(super) fn head(n: u32) -> Head {
    Head {
        sha: format!("{n:040x}"),
        subject: "code".to_owned(),
    }
}

/// A task that stands so, not written yet, with what is decided at its birth.
pub(super) fn stand(rules: &Ruleset, mut task: Task, stage: &Name, state: State) -> (Task, Vec<Decision>) {
    let Some(found) = rules.stages.get(stage) else {
        return (task, Vec::new());
    };
    let before = rules.flow.iter().take_while(|s| *s != stage);
    task.ledger.passed = before.map(|s| (s.clone(), head(1).subject)).collect();
    task.ledger.head = Some(head(1));
    task.ledger.visit = Visit { number: 2, entered_at: T0 };
    task.control.phase = Phase::Live;
    task.control.stage = stage.clone();
    task.control.counters = rules.counters.keys().map(|c| (c.clone(), 0)).collect();
    let mut decisions = vec![
        Decision::Create,
        Decision::SetTimer {
            visit: 2,
            timer: "gate".into(),
            due: at(3_600_000),
        },
    ];
    let waiting = ("gate.waiting: a person".to_owned(), T0);
    let work = found.work.clone();
    let slot = |state: SlotState| Slot { state, ..Slot::default() };
    let spec = |slot: &Name, kind, later: bool| {
        Decision::Enqueue(JobSpec {
            visit: 2,
            slot: slot.clone(),
            kind,
            stage: stage.clone(),
            note: None,
            available_at: if later { at(3_600_000) } else { T0 },
            entry: state == State::Held,
        })
    };
    let act = |action: &str| {
        Decision::Act(ActionIntent {
            visit: 2,
            action: action.into(),
            sha: head(1).sha,
            subject: head(1).subject,
        })
    };
    let control = &mut task.control;
    control.at = At::Gates;
    match state {
        State::Entering => control.at = At::Entering,
        State::Held | State::Queued | State::Scheduled | State::Starting | State::Running | State::Exited => {
            control.at = At::Work;
            control.slots = work.iter().map(|w| (w.clone(), slot(SlotState::Queued))).collect();
            decisions.extend(work.iter().map(|w| spec(w, JobKind::Agent, state == State::Scheduled)));
        }
        State::Failed => {
            control.at = At::Work;
            control.slots = work.iter().map(|w| (w.clone(), slot(SlotState::Failed("failed".into())))).collect();
        }
        State::Gates => task.ledger.waiting = Some(waiting),
        State::Approval => {
            let human = found.pass.iter().find_map(|g| gate(rules, g, person)).unwrap_or_default();
            task.ledger.waiting = Some((format!("{human}.waiting: a person"), T0));
            task.ledger.review.started_at = Some(T0);
            let card = Card {
                subject: head(1).subject,
                base: head(0).sha,
                rules: rules.hash.clone(),
                at: T0,
            };
            task.ledger.cards.insert(human, card);
        }
        State::Command | State::Commanding => {
            let gate = found.pass.iter().find_map(|g| gate(rules, g, command)).unwrap_or_default();
            control.slots.insert(gate.clone(), slot(SlotState::Queued));
            decisions.push(spec(&gate, JobKind::Command, false));
        }
        State::Asked => {
            control.mode = Mode::Question;
            task.ledger.question = Some(("Which?".to_owned(), T0));
        }
        State::Escalated => {
            control.mode = Mode::Escalated;
            task.ledger.escalated = Some(("spent".to_owned(), T0));
        }
        State::Updating => {
            control.at = At::Updating { edge: "x.behind".into() };
            decisions.push(act("update"));
        }
        State::Leaseless => control.at = At::Action { index: 0, running: false },
        State::Acting => {
            control.at = At::Action { index: 0, running: true };
            let action = found.actions.first().map(crate::engine::rules::Action::name).unwrap_or_default();
            decisions.push(act(&action));
        }
    }
    (task, decisions)
}

/// The repository with the task in it, in its state.
pub(super) fn house(mut repo: Repo, item: &str, state: State) -> Repo {
    repo.lane.push(Seat {
        task: TaskId(0),
        item: item.to_owned(),
        inside: state != State::Held,
        passed: Vec::new(),
        since: T0,
    });
    let lease = |task, queue| {
        Some(Lease {
            task: TaskId(task),
            item: item.to_owned(),
            visit: 2,
            since: T0,
            queue,
        })
    };
    match state {
        State::Acting => repo.lease = lease(0, Vec::new()),
        State::Leaseless => repo.lease = lease(OTHER, vec![TaskId(0)]),
        _ => {}
    }
    repo
}

/// A task that is not of this test and holds the merge lease.
pub(super) const OTHER: i64 = 1_000_000;
