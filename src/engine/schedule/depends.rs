//! Which tasks wait for which, and who of them holds the lane all the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::model::{Blocker, Code, Dependency, Repo, Seat, Task, TaskId, Who};

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
                ..blocker(Code::DependsOn, text, dependency.since.max(job.since), who)
            });
        }
    }

    /// Whether an earlier task holds the lane for later ones.
    ///
    /// One that has not entered and waits for a dependency does not: it takes its turn when the
    /// dependency is over. Nor does one inside whose dependency, or a dependency of that, has yet
    /// to enter a lane: else the two could wait for each other for ever.
    pub fn holds(&self, seat: &Seat) -> bool {
        if !self.of.contains_key(&seat.task) {
            return true;
        }
        seat.inside && self.reached(seat.task).into_iter().all(|on| on.is_some_and(|on| self.entered(on)))
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

    /// Whether the task is past the serial gate.
    fn entered(&self, task: TaskId) -> bool {
        let repo = self.queue.tasks.get(&task).and_then(|t| self.queue.repos.get(&t.repo));
        repo.and_then(|repo: &Repo| repo.seat(task)).is_some_and(|seat| seat.inside)
    }
}

/// The queue knows the tasks that are not over; whatever else is named is over.
fn over(queue: &Queue<'_>, task: TaskId) -> bool {
    queue.tasks.get(&task).is_none_or(Task::terminal)
}
