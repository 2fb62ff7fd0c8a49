//! What must hold: after each step, and when all is over — read from the store, and from what the
//! world saw.

use std::collections::BTreeSet;

use signalbox::engine::model::{Phase, SlotState, StopState, Task, TaskId};
use signalbox::engine::schedule::waits;
use signalbox::shell::store::{JobState, RunState};

use super::life::Life;
use super::model::open;
use super::outside::Proc;

impl Life {
    /// After each step of a task.
    pub fn sound(&mut self, id: TaskId) {
        let task = self.disk.is.task(id).unwrap().clone();
        let before = self.over.get(&id).copied();
        if before.is_some_and(|phase| phase != task.control.phase) {
            return self.breaks(format!("I5: {} left {before:?} for {:?}", task.item, task.control.phase));
        }
        let is = &self.disk.is;
        let revived = self.cancelled.iter().find(|j| is.job(**j).state != JobState::Cancelled);
        if let Some(job) = revived {
            return self.breaks(format!("I5: job {job} was cancelled and is not any more"));
        }
        self.cancelled = is.jobs.iter().filter(|j| j.state == JobState::Cancelled).map(|j| j.id).collect();
        if task.terminal() {
            if before.is_none() && task.control.phase == Phase::Cancelled {
                self.nothing_left(&task);
            }
            self.over.insert(id, task.control.phase);
        } else {
            self.reasons(&task);
        }
    }

    /// I6: after a stop nothing of the task is left.
    pub fn nothing_left(&mut self, task: &Task) {
        let is = &self.disk.is;
        let mine = |t: TaskId| t == task.id;
        let alive = self.out.procs.values().any(|p| mine(p.task) && p.state == Proc::Alive);
        let runs = is.runs.iter().any(|r| mine(r.task) && r.state != RunState::Ended);
        let jobs = is.jobs.iter().any(|j| mine(j.task) && open(j.state));
        let timers = is.timers.keys().any(|(t, ..)| mine(*t));
        let lease = is.repo.lease.as_ref().is_some_and(|l| mine(l.task) || l.queue.contains(&task.id));
        let seat = is.repo.seat(task.id).is_some();
        let left = [
            ("process", alive),
            ("run", runs),
            ("job", jobs),
            ("timer", timers),
            ("lease", lease),
            ("seat", seat),
        ];
        let left: Vec<&str> = left.into_iter().filter(|(_, there)| *there).map(|(what, _)| what).collect();
        if !left.is_empty() {
            self.breaks(format!("I6: {} was stopped, and this is left: {left:?}", task.item));
        }
    }

    /// Whatever waits has a reason, and the task and the queue agree.
    pub fn reasons(&mut self, task: &Task) {
        let visit = task.ledger.visit.number;
        let queued: BTreeSet<_> = task
            .control
            .slots
            .iter()
            .filter(|(_, s)| s.state == SlotState::Queued)
            .map(|(n, _)| n.clone())
            .collect();
        let open = self
            .disk
            .is
            .jobs
            .iter()
            .filter(|j| j.task == task.id && j.visit == visit && open(j.state));
        let jobs: BTreeSet<_> = open.map(|j| j.slot.clone()).collect();
        if task.control.stop != StopState::Cleaning && jobs != queued {
            self.breaks(format!("I1: {} counts on jobs {queued:?} and there are {jobs:?}", task.item));
        }
        if queued.is_empty() && waits(&self.rules, task, &self.disk.is.repo).is_empty() {
            self.breaks(format!("waiting: {} waits and nobody knows for what", task.item));
        }
    }

    /// When all is over: what the store says, and what the world saw.
    pub fn ended(&mut self) {
        let mut found = Vec::new();
        let is = &self.disk.is;
        found.extend(
            is.tasks
                .iter()
                .filter(|t| !t.terminal())
                .map(|t| format!("liveness: {} is not over", t.item)),
        );
        found.extend(
            is.jobs
                .iter()
                .filter(|j| open(j.state))
                .map(|j| format!("I1: job {} has not ended", j.id)),
        );
        found.extend(
            is.runs
                .iter()
                .filter(|r| r.state != RunState::Ended)
                .map(|r| format!("I1: run {} has not ended", r.id)),
        );
        let lost = self
            .acknowledged
            .iter()
            .filter(|s| !is.inbox[usize::try_from(s.0 - 1).unwrap()].applied);
        found.extend(lost.map(|s| format!("I1: event {s} was acknowledged and not applied")));
        for act in self.out.cards.values().flat_map(|c| &c.acts) {
            let times = self.disk.applied(&act.activity);
            if times > 1 {
                found.push(format!("I7: {} on the board was applied {times} times", act.activity));
            } else if times == 0 {
                let what = if self.taken.contains(&act.activity) {
                    "I1: acknowledged"
                } else {
                    "I7: missed"
                };
                found.push(format!("{what} and never applied: {} {}", act.activity, act.name));
            }
        }
        let (ledger, retry) = (&self.out.ledger, &self.rules.retry);
        for (job, [failed, weather, lost]) in &ledger.ends {
            let most = [
                u32::from(retry.attempts),
                u32::from(retry.transient) + 1,
                u32::from(retry.rescues) + 1,
            ];
            if *failed > most[0] || *weather > most[1] || *lost > most[2] {
                found.push(format!(
                    "I4: job {job} failed {failed}, met weather {weather}, was lost {lost} times of {most:?}"
                ));
            }
        }
        let twice = |what: &str, n: u32| (n > 1).then(|| format!("I8: {what} happened {n} times"));
        found.extend(
            ledger
                .comments
                .iter()
                .filter_map(|((issue, key), n)| twice(&format!("comment {key} on {issue}"), *n)),
        );
        found.extend(
            ledger
                .merges
                .iter()
                .filter_map(|(task, n)| twice(&format!("the merge of task {task}"), *n)),
        );
        found.extend(
            ledger
                .pushes
                .iter()
                .filter_map(|(run, n)| twice(&format!("the push of run {run}"), *n)),
        );
        found.extend(
            ledger
                .branches
                .iter()
                .filter_map(|(task, n)| twice(&format!("the branch of task {task}"), *n)),
        );
        let done = is
            .tasks
            .iter()
            .filter(|t| t.control.phase == Phase::Done && !ledger.merges.contains_key(&t.id));
        found.extend(done.map(|t| format!("I8: {} is done and was never merged", t.item)));
        for what in found {
            self.breaks(what);
        }
    }
}
