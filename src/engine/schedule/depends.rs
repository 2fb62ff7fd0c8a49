//! Which tasks wait for which, and who of them holds the lane all the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::model::{Blocker, Code, Dependency, Name, Repo, Seat, Task, TaskId, Who};
use crate::engine::rules::{LaneScope, Ruleset};

use super::{Queue, WaitingJob, blocker};

/// The dependencies that count now: their task is not over, nor is what it waits for, and the
/// rules of the one that waits know dependencies declared there.
pub(super) struct Open<'a> {
    queue: &'a Queue<'a>,
    of: BTreeMap<TaskId, Vec<&'a Dependency>>,
}

impl<'a> Open<'a> {
    pub fn of(queue: &'a Queue<'a>) -> Self {
        let mut of: BTreeMap<TaskId, Vec<&Dependency>> = BTreeMap::new();
        for dependency in queue.depends {
            let counts = queue
                .tasks
                .get(&dependency.task)
                .and_then(|task| (queue.rules)(task))
                .is_some_and(|rules| rules.depends.counts(dependency.source));
            if counts && !dependency.on.is_some_and(|on| over(queue, on)) {
                of.entry(dependency.task).or_default().push(dependency);
            }
        }
        Self { queue, of }
    }

    /// What holds a job back because its task waits for others.
    pub fn blockers(&self, job: &WaitingJob, task: &Task, found: &mut Vec<Blocker>) {
        for dependency in self.of.get(&task.id).into_iter().flatten() {
            let by = dependency.source.label();
            let (text, who, name) = match dependency.on.and_then(|on| self.queue.tasks.get(&on)) {
                Some(on) => (
                    format!("it waits for {}, which is at {} ({by})", on.item, on.control.stage),
                    Who::OtherTask,
                    on.item.clone(),
                ),
                None => (
                    format!("it waits for {}, which nobody has started ({by})", dependency.name),
                    Who::Anyone,
                    dependency.name.clone(),
                ),
            };
            let clear = format!("signalbox depend {} --remove {name}    # or wait until {name} is over", task.item);
            found.push(Blocker {
                clear: Some(clear),
                ..blocker(Code::DepOpen, text, dependency.since.max(job.since), who)
            });
        }
    }

    /// The earlier task that keeps `task` from passing `guard`: first in, first out by task id;
    /// of its own repository, or of any where the rules of both say so.
    pub fn earlier(&self, rules: &Ruleset, repo: &'a Repo, task: &Task, guard: &Name) -> Option<&'a Seat> {
        // A lane is in order of ids: the first that holds is the earliest.
        let own = repo
            .lane
            .iter()
            .take_while(|seat| seat.task < task.id)
            .find(|seat| self.holds(seat, seat.past(guard)));
        if rules.serial_gate.scope == LaneScope::Repository {
            return own;
        }
        let others = self.queue.repos.values().filter(|other| other.id != repo.id);
        let others = others.flat_map(|other| other.lane.iter().take_while(|seat| seat.task < task.id));
        let others = others.filter(|seat| self.everywhere(seat.task) && self.holds(seat, seat.inside));
        others.chain(own).min_by_key(|seat| seat.task)
    }

    /// Whether the task's rules hold back tasks of other repositories.
    fn everywhere(&self, task: TaskId) -> bool {
        let rules = self.queue.tasks.get(&task).and_then(|task| (self.queue.rules)(task));
        rules.is_some_and(|rules| rules.serial_gate.enabled && rules.serial_gate.scope == LaneScope::Service)
    }

    /// Whether an earlier task, which has `passed` the guard in question or not, holds later ones.
    ///
    /// One that has not passed it and waits for a dependency does not: it takes its turn when the
    /// dependency is over. Nor does one past it whose dependency, or a dependency of that, may still
    /// have to wait at a guard: else the two could wait for each other for ever. So whoever is held
    /// here is held by a task that nothing holds, or by an earlier one in its turn; ids go down only.
    fn holds(&self, seat: &Seat, passed: bool) -> bool {
        if !self.of.contains_key(&seat.task) {
            return true;
        }
        passed && self.reached(seat.task).into_iter().all(|on| on.is_some_and(|on| self.clear(on)))
    }

    /// Everything that the task waits for, through others, too; none stands for what is not started.
    fn reached(&self, task: TaskId) -> BTreeSet<Option<TaskId>> {
        let mut found = BTreeSet::new();
        let mut next = vec![task];
        while let Some(task) = next.pop() {
            for dependency in self.of.get(&task).into_iter().flatten() {
                if found.insert(dependency.on) {
                    next.extend(dependency.on);
                }
            }
        }
        found
    }

    /// Whether no guard can hold the task any more.
    fn clear(&self, task: TaskId) -> bool {
        let known = self.queue.tasks.get(&task);
        let Some((task, rules)) = known.and_then(|task| Some((task, (self.queue.rules)(task)?))) else {
            return false;
        };
        let seat = self.queue.repos.get(&task.repo).and_then(|repo| repo.seat(task.id));
        !rules.serial_gate.enabled || seat.is_some_and(|seat| rules.serial_gate.guards.iter().all(|guard| seat.past(guard)))
    }
}

/// The queue knows the tasks that are not over; whatever else is named is over.
fn over(queue: &Queue<'_>, task: TaskId) -> bool {
    queue.tasks.get(&task).is_none_or(Task::terminal)
}
