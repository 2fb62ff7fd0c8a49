//! Which waiting jobs may start, and for each other one: all that holds it back.
//!
//! Explanation and scheduling are one function: the scheduler starts the jobs without blockers,
//! `why` and `/queue` show the same list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::breaker::Command;
pub use crate::engine::budget::Bounds;
use crate::engine::model::{
    At, Blocker, Code, Dependency, Freeze, FreezeLevel, JobId, Millis, Mode, Name, Repo, RepoId, RunId, Seat, SlotState, StopState, Task,
    TaskId, Who, lasting,
};
use crate::engine::rules::{GateKind, Ruleset};

mod bounds;
mod command;
mod depends;
#[cfg(test)]
mod tests;

use depends::Open;

/// A job that waits.
#[derive(Debug, Clone)]
pub struct WaitingJob {
    /// Its id: jobs start in this order.
    pub id: JobId,
    /// Its task.
    pub task: TaskId,
    /// Agent, or gate for a gate's command.
    pub slot: Name,
    /// The stage it belongs to: where that is guarded, its claim may be the task's entry.
    pub stage: Name,
    /// Not before.
    pub available_at: Millis,
    /// Since when it is queued.
    pub since: Millis,
    /// Why it was put back into the queue, where it was.
    pub why: Option<String>,
    /// The command whose usage limit its last run met, where it waits for the end of that: it may be another by now.
    pub limited: Option<String>,
}

/// A run that has not ended.
#[derive(Debug, Clone)]
pub struct OpenRun {
    /// Its id.
    pub run: RunId,
    /// Its task.
    pub task: TaskId,
    /// Its slot.
    pub slot: Name,
    /// Since when.
    pub since: Millis,
    /// Whether it is being ended by our order.
    pub ending: bool,
}

/// What the scheduler looks at.
pub struct Queue<'a> {
    /// Waiting jobs, oldest first.
    pub waiting: &'a [WaitingJob],
    /// Runs that have not ended.
    pub open: &'a [OpenRun],
    /// Tasks that are not terminal.
    pub tasks: &'a BTreeMap<TaskId, Task>,
    /// Dependencies of tasks, over or not.
    pub depends: &'a [Dependency],
    /// Repositories.
    pub repos: &'a BTreeMap<RepoId, Repo>,
    /// The rules each task runs under.
    pub rules: &'a dyn Fn(&Task) -> Option<Arc<Ruleset>>,
    /// Runs at a time, in all.
    pub limit: u32,
    /// Runs at a time, per project.
    pub project_limits: &'a BTreeMap<Name, u32>,
    /// What is known of the commands of waiting jobs that have one.
    pub commands: &'a BTreeMap<JobId, Command>,
    /// What bounds single tasks and jobs.
    pub bounds: &'a Bounds,
}

/// For each waiting job, in order: nothing (it may start), or all its blockers.
#[must_use]
pub fn schedule(queue: &Queue<'_>, now: Millis) -> Vec<(JobId, Vec<Blocker>)> {
    let mut room = Room::of(queue);
    let open = Open::of(queue);
    let mut verdicts = Vec::with_capacity(queue.waiting.len());
    for job in queue.waiting {
        let blockers = match queue.tasks.get(&job.task) {
            Some(task) => blockers(queue, &room, &open, job, task, now),
            None => vec![blocker(Code::RulesError, "its task is over or unknown", job.since, Who::Itself)],
        };
        if blockers.is_empty()
            && let Some(task) = queue.tasks.get(&job.task)
        {
            room.take(task, job, queue.commands.get(&job.id).filter(|c| command::probes(c, now)));
            if (queue.rules)(task).is_some_and(|rules| rules.agents.contains_key(&job.slot)) {
                room.pay(task);
            }
        }
        verdicts.push((job.id, blockers));
    }
    verdicts
}

/// Places taken by runs, and by jobs that this very call lets start.
struct Room {
    total: u32,
    projects: BTreeMap<Name, u32>,
    agents: BTreeMap<(Name, Name), u32>,
    checkouts: BTreeMap<(TaskId, Name), Option<RunId>>,
    probes: BTreeSet<String>,
    /// Agents that this call lets start, of each task and of each project: their budgets do not know of them yet.
    paid: (BTreeMap<TaskId, u32>, BTreeMap<Name, u32>),
}

impl Room {
    fn of(queue: &Queue<'_>) -> Self {
        let mut room = Self {
            total: 0,
            projects: BTreeMap::new(),
            agents: BTreeMap::new(),
            checkouts: BTreeMap::new(),
            probes: BTreeSet::new(),
            paid: Default::default(),
        };
        for run in queue.open {
            room.total += 1;
            room.checkouts.insert((run.task, run.slot.clone()), Some(run.run));
            if let Some(task) = queue.tasks.get(&run.task) {
                *room.projects.entry(task.project.clone()).or_insert(0) += 1;
                *room.agents.entry((task.project.clone(), run.slot.clone())).or_insert(0) += 1;
            }
        }
        room
    }

    fn take(&mut self, task: &Task, job: &WaitingJob, probe: Option<&Command>) {
        self.probes.extend(probe.map(|c| c.name.clone()));
        self.total += 1;
        *self.projects.entry(task.project.clone()).or_insert(0) += 1;
        *self.agents.entry((task.project.clone(), job.slot.clone())).or_insert(0) += 1;
        self.checkouts.insert((task.id, job.slot.clone()), None);
    }

    fn pay(&mut self, task: &Task) {
        *self.paid.0.entry(task.id).or_insert(0) += 1;
        *self.paid.1.entry(task.project.clone()).or_insert(0) += 1;
    }

    /// Agents that this call lets start: of the task, of its project.
    fn paid(&self, task: &Task) -> (u32, u32) {
        let (tasks, projects) = &self.paid;
        (
            tasks.get(&task.id).copied().unwrap_or(0),
            projects.get(&task.project).copied().unwrap_or(0),
        )
    }
}

fn blockers(queue: &Queue<'_>, room: &Room, open: &Open<'_>, job: &WaitingJob, task: &Task, now: Millis) -> Vec<Blocker> {
    let Some(rules) = (queue.rules)(task) else {
        let text = format!(
            "the rules {} that {} runs under cannot be used",
            task.rules.get(..12).unwrap_or(&task.rules),
            task.item
        );
        let clear = Some(format!("signalbox validate    # or: signalbox stop {}", task.item));
        return vec![Blocker {
            clear,
            ..blocker(Code::RulesError, text, job.since, Who::Operator)
        }];
    };
    let mut found = Vec::new();
    found.extend(queue.bounds.held.as_ref().map(bounds::held));
    if task.control.stop == StopState::Cleaning {
        found.push(blocker(Code::Stopping, "its task is being stopped", job.since, Who::Itself));
    }
    if let Some(repo) = queue.repos.get(&task.repo) {
        let guard = rules.gate(repo, task.id, &job.stage);
        found.extend(
            repo.freeze
                .as_ref()
                .filter(|f| f.level == FreezeLevel::All || guard.is_some())
                .map(|f| frozen(f, &task.project)),
        );
        if let (Some(guard), true) = (guard, rules.serial_gate.enabled) {
            found.extend(
                open.earlier(&rules, repo, task, guard)
                    .map(|seat| lane_held(seat, queue.tasks.get(&seat.task), guard, job.since)),
            );
        }
    }
    open.blockers(job, task, &mut found);
    if job.available_at > now {
        // What put the job back is the newer of the two.
        let why = job.why.clone().or_else(|| task.ledger.failure.clone()).unwrap_or_default();
        let wait = lasting(job.available_at.since(now));
        let text = format!("{} is tried again in {wait}: {why}", job.slot);
        found.push(Blocker {
            clear: job.limited.as_deref().and_then(command::close),
            ..blocker(Code::Backoff, text, job.since, Who::Itself)
        });
    }
    if let Some(command) = queue.commands.get(&job.id) {
        command::blockers(command, &room.probes, job, task, now, &mut found);
    }
    bounds::blockers(queue, room, &rules, job, task, now, &mut found);
    places(queue, room, job, task, &mut found);
    bounds::place(room, &rules, job, task, &mut found);
    if found.is_empty()
        && let Some(command) = queue.commands.get(&job.id)
    {
        found.extend(command::unseen(command, job));
    }
    found
}

/// A freeze, and the command that lifts it: it names the project, of which there may be several.
fn frozen(freeze: &Freeze, project: &Name) -> Blocker {
    let text = format!("the repository is frozen by {}: {}", freeze.by, one_line(&freeze.reason));
    Blocker {
        clear: Some(format!("signalbox unfreeze -p {project} \"why it is safe now\"")),
        ..blocker(Code::Frozen, text, freeze.since, Who::Operator)
    }
}

/// The serial gate: an earlier task is not over.
fn lane_held(seat: &Seat, holder: Option<&Task>, guard: &Name, since: Millis) -> Blocker {
    let text = format!("{} came first and is not finished: one task at a time enters {guard}", seat.item);
    let stopping = holder.is_some_and(|task| task.control.stop != StopState::No);
    Blocker {
        clear: Some(other(&seat.item, stopping)),
        ..blocker(Code::LaneHeld, text, since, Who::OtherTask)
    }
}

/// Where to look when another task is in the way: what it waits for itself comes first. One that is
/// being stopped need not be stopped again.
fn other(item: &str, stopping: bool) -> String {
    if stopping {
        return format!("signalbox why {item}    # it is being stopped");
    }
    format!("signalbox why {item}    # what it waits for itself; or: signalbox stop {item}")
}

/// A text of someone else on one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn places(queue: &Queue<'_>, room: &Room, job: &WaitingJob, task: &Task, found: &mut Vec<Blocker>) {
    if let Some(run) = room.checkouts.get(&(task.id, job.slot.clone())) {
        let which = run.map_or_else(|| "an earlier job".to_owned(), |run| format!("run {run}"));
        let text = format!("{which} still has the checkout of {} for {}", task.item, job.slot);
        found.push(blocker(Code::RunnerBusy, text, job.since, Who::Itself));
    }
    if room.total >= queue.limit {
        let text = format!("{} of {} places for runs are taken", room.total, queue.limit);
        found.push(blocker(Code::RunnerBusy, text, job.since, Who::Itself));
    }
    if let Some(limit) = queue.project_limits.get(&task.project) {
        let used = room.projects.get(&task.project).copied().unwrap_or(0);
        if used >= *limit {
            let text = format!("{used} of {limit} places for runs of project {} are taken", task.project);
            found.push(blocker(Code::RunnerBusy, text, job.since, Who::Itself));
        }
    }
}

fn blocker(code: Code, text: impl Into<String>, since: Millis, who: Who) -> Blocker {
    Blocker {
        code,
        text: text.into(),
        since,
        who,
        clear: None,
    }
}

/// What a task itself waits for, apart from its jobs; empty when it is over or its jobs move it.
#[must_use]
pub fn waits(rules: &Ruleset, task: &Task, repo: &Repo) -> Vec<Blocker> {
    if task.terminal() {
        return Vec::new();
    }
    let entered = task.ledger.visit.entered_at;
    let with = |blocker: Blocker, clear: String| Blocker {
        clear: Some(clear),
        ..blocker
    };
    let item = &task.item;
    if task.control.stop != StopState::No {
        let (who, since, until) = task.ledger.stop.clone().unwrap_or_default();
        let text = match until.filter(|_| task.control.stop == StopState::Deferred) {
            Some(until) => format!(
                "{who} asked for a stop; it is applied when the irreversible step has ended, for which the rules foresee {} s",
                until.since(since).0 / 1000
            ),
            None => format!("{who} asked for a stop; processes are being ended and cleaned up after"),
        };
        let code = if task.control.stop == StopState::Cleaning {
            Code::Stopping
        } else {
            Code::StopDeferred
        };
        return vec![blocker(code, text, since, Who::Itself)];
    }
    if let Some((why, since)) = &task.ledger.escalated {
        let parked = blocker(Code::Escalated, why.clone(), *since, Who::Operator);
        return vec![with(
            parked,
            format!("signalbox retry {item}    # or: reject, stop, or push to {}", task.branch),
        )];
    }
    if let (Mode::Question, Some((question, since))) = (task.control.mode, &task.ledger.question) {
        let asked = blocker(
            Code::NeedsInput,
            format!("an answer is awaited: {}", first_line(question)),
            *since,
            Who::Anyone,
        );
        return vec![with(asked, format!("signalbox answer {item} \"…\""))];
    }
    match &task.control.at {
        At::Entering => vec![blocker(Code::GateWait, "its next stage is being entered", entered, Who::Itself)],
        At::Work if task.busy() => Vec::new(),
        At::Work => vec![idle(task, entered)],
        At::Updating { .. } => vec![blocker(
            Code::ActionRunning,
            "the default branch is being merged into its branch",
            entered,
            Who::Itself,
        )],
        At::Action { running: true, .. } => vec![blocker(Code::ActionRunning, "its engine action is at work", entered, Who::Itself)],
        At::Action { running: false, .. } => action_waits(task, repo, entered),
        At::Gates => gate_waits(rules, task, entered),
    }
}

/// Its agents have ended, none is queued, and no edge led on: someone must say what follows.
fn idle(task: &Task, entered: Millis) -> Blocker {
    let (text, since) = task
        .ledger
        .waiting
        .clone()
        .unwrap_or_else(|| ("none of its agents is queued".to_owned(), entered));
    Blocker {
        clear: Some(retry(task)),
        ..blocker(Code::ChecksFailed, text, since, Who::Operator)
    }
}

fn retry(task: &Task) -> String {
    format!("signalbox retry {}    # or: reject, stop", task.item)
}

fn action_waits(task: &Task, repo: &Repo, entered: Millis) -> Vec<Blocker> {
    let mut found = Vec::new();
    found.extend(repo.freeze.as_ref().map(|f| frozen(f, &task.project)));
    if let Some(lease) = repo.lease.as_ref().filter(|l| l.task != task.id) {
        let text = format!("{} holds the merge lease", lease.item);
        let clear = Some(other(&lease.item, false));
        found.push(Blocker {
            clear,
            ..blocker(Code::LeaseHeld, text, lease.since, Who::OtherTask)
        });
    }
    if found.is_empty() {
        found.push(blocker(
            Code::ActionRunning,
            "its engine action is about to begin",
            entered,
            Who::Itself,
        ));
    }
    found
}

fn gate_waits(rules: &Ruleset, task: &Task, entered: Millis) -> Vec<Blocker> {
    let Some((sentence, since)) = &task.ledger.waiting else {
        return vec![blocker(Code::GateWait, "its gates are about to be asked", entered, Who::Itself)];
    };
    let item = &task.item;
    let gate = sentence.split('.').next().unwrap_or_default();
    let outcome = sentence.split(['.', ':']).nth(1).unwrap_or_default();
    if let Some(GateKind::Human { .. }) = rules.gates.get(gate).map(|g| &g.kind)
        && outcome == "waiting"
    {
        let found = blocker(
            Code::ApprovalWait,
            format!("a person's decision is awaited: {sentence}"),
            *since,
            Who::Approver,
        );
        // It sends the signal that is awaited, whatever its name: the same command as in the comment.
        return vec![Blocker {
            clear: Some(format!("signalbox approve {item}")),
            ..found
        }];
    }
    if gate == "branch" && outcome == "gone" && !rules.gates.contains_key(gate) {
        let clear = Some(format!(
            "signalbox stop {item}    # or push that commit to the branch again, and reopen its pull request on the forge"
        ));
        return vec![Blocker {
            clear,
            ..blocker(Code::GateWait, sentence.clone(), *since, Who::Anyone)
        }];
    }
    let command = task.control.slots.get(gate).is_some_and(|s| s.state == SlotState::Queued);
    let checks = matches!(rules.gates.get(gate).map(|g| &g.kind), Some(GateKind::Checks { .. }));
    let (code, who) = match outcome {
        _ if command => (Code::ChecksPending, Who::Itself),
        "pending" => (Code::ChecksPending, Who::Itself),
        "unreachable" => (Code::ForgeUnreachable, Who::Itself),
        "waiting" => (Code::GateWait, Who::Anyone),
        _ => (Code::ChecksFailed, Who::Operator),
    };
    let clear = match who {
        // What is outside is looked at whenever it changes: asking once more changes nothing.
        Who::Operator if checks => Some(format!(
            "signalbox reject {item} \"…\"    # or push what mends it, have the check run again, or stop"
        )),
        Who::Operator => Some(retry(task)),
        Who::Anyone => Some(format!("signalbox reject {item} \"…\"    # or end it where it was said")),
        _ => None,
    };
    vec![Blocker {
        clear,
        ..blocker(code, sentence.clone(), *since, who)
    }]
}

fn first_line(text: &str) -> &str {
    text.lines().find(|l| !l.trim().is_empty()).unwrap_or(text)
}
