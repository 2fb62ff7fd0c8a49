//! All steps that can be taken from a state, each by the engine's own `step`.

use std::collections::BTreeMap;

use crate::engine::model::{Body, Decision, Event, Facts, Life, Mode, Name, Phase, Repo, StopState, Task};
use crate::engine::rules::{Moment, Ruleset};
use crate::engine::script::Scripts;
use crate::engine::step::{Answers, Outcome, Step};

use super::choice::{Chosen, Leaves, Path, Said, leaves, next, written};
use super::state::{Frame, Lease1, Local, agent_job};
use super::world::{Act, Happening, World};

/// The function that is explored: the engine's own, or a broken one in a test.
pub(super) type StepFn<'s> = &'s dyn Fn(&Ruleset, &Task, &Repo, &Event, &Facts, &dyn Answers) -> Step;

/// Under which condition a step goes this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// The counter has a return left, which is used up.
    Left(u8),
    /// The counter is spent.
    Spent(u8),
}

/// It may happen without STOP, rejection or operator.
pub(super) const FAIR: u8 = 1;
/// A person's act that buys another round.
pub(super) const ROUND: u8 = 2;
/// STOP.
pub(super) const STOP: u8 = 4;
/// The follow-up of an earlier step.
pub(super) const FOLLOW: u8 = 8;
/// No person has a part in it.
pub(super) const SERVICE: u8 = 16;

/// What a step does that it must not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// A merge begins without the lease.
    NoLease,
    /// A merge begins while one is under way, or after one succeeded.
    MergedTwice,
    /// A job is queued for a task that is over or being stopped.
    JobForOver,
    /// A stop is taken back, or does nothing.
    StopUndone,
    /// A run that ended for weather was not counted.
    Uncounted,
    /// An invariant of the project.
    Invariant(Name),
}

/// Steps as the graph keeps them: those of a local that are alike are one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf {
    /// Which of its local's steps the first of them is.
    pub nth: u32,
    /// How many they are.
    pub times: u32,
    pub target: u32,
    pub when: When,
    pub flags: u8,
    /// Runs of agents that it starts, and jobs it queues for them.
    pub runs: u8,
    pub jobs: u8,
    /// Index into the faults, from 1; 0 for none.
    pub fault: u8,
}

impl Leaf {
    /// Whether two steps are alike.
    pub fn like(&self, other: &Self) -> bool {
        let of = |l: &Self| (l.target, l.when, l.flags, l.runs, l.jobs, l.fault);
        of(self) == of(other)
    }
}

/// A step with all there is to tell about it.
pub(super) struct Taken<'h> {
    pub happening: &'h Happening,
    pub said: Vec<Said>,
    pub step: Step,
    pub when: When,
    pub after: Local,
    pub flags: u8,
    pub runs: u8,
    pub jobs: u8,
    pub faults: Vec<Fault>,
}

/// Takes every step there is.
pub(super) struct Expander<'r> {
    pub frame: Frame<'r>,
    pub step: StepFn<'r>,
    /// Counters in order; an index into it names one.
    pub counters: Vec<(Name, u8)>,
    /// What invariants ask for: gate, outcome, whether on the same subject.
    needs: Vec<(Name, Name, bool)>,
    /// What gates that stand by themselves can answer.
    leaves: Leaves,
}

impl<'r> Expander<'r> {
    pub fn new(rules: &'r Ruleset, step: StepFn<'r>) -> Self {
        let mut needs: Vec<(Name, Name, bool)> = Vec::new();
        for one in rules.invariants.values() {
            needs.extend(one.needs.iter().map(|(g, o)| (g.clone(), o.clone(), one.same_subject)));
        }
        needs.sort();
        needs.dedup();
        Self {
            frame: Frame::new(rules),
            step,
            counters: rules.counters.iter().map(|(n, c)| (n.clone(), c.max)).collect(),
            needs,
            leaves: leaves(rules),
        }
    }

    /// Whether more is asked for than a state can keep.
    pub fn too_many_needs(&self) -> bool {
        self.needs.len() > 16
    }

    /// Calls `f` with each step that can be taken from `local`, in a fixed order; where it is `told`,
    /// with words for people.
    pub fn each(&self, local: &Local, told: bool, f: &mut dyn FnMut(Taken<'_>)) {
        let task = self.frame.task(local);
        let happenings = World::of(self.frame.rules, local, told);
        // Most find repository and branch as the state has them.
        let (usual, mut other): (_, Option<(Lease1, Repo)>) = (self.frame.repo(local, local.lease), None);
        let mut facts: Option<Facts> = None;
        for happening in &happenings {
            if happening.lease != local.lease && other.as_ref().is_none_or(|(lease, _)| *lease != happening.lease) {
                other = Some((happening.lease, self.frame.repo(local, happening.lease)));
            }
            let repo = match &other {
                Some((lease, repo)) if *lease == happening.lease => repo,
                _ => &usual,
            };
            let own = happening.found().map(|_| happening.facts(local));
            let facts = own.as_ref().unwrap_or_else(|| facts.get_or_insert_with(|| happening.facts(local)));
            self.ways(local, &task, repo, happening, facts, f);
            if let Some(last) = self.last(&task, happening) {
                self.ways(local, &last, repo, happening, facts, f);
            }
        }
    }

    /// Where a run ends as only so many may: the task with no such end left.
    fn last(&self, task: &Task, happening: &Happening) -> Option<Task> {
        let Body::RunEnded(report) = &happening.event.body else {
            return None;
        };
        let retry = &self.frame.rules.retry;
        let max = match report.end.outcome() {
            "transient" => retry.transient,
            _ => retry.rescues,
        };
        if !happening.metered || max == 0 || !task.control.slots.contains_key(&report.slot) {
            return None;
        }
        let mut last = task.clone();
        let slot = last.control.slots.get_mut(&report.slot)?;
        match report.end.outcome() {
            "transient" => slot.transient = max,
            _ => slot.rescues = max,
        }
        Some(last)
    }

    fn ways(&self, local: &Local, task: &Task, repo: &Repo, happening: &Happening, facts: &Facts, f: &mut dyn FnMut(Taken<'_>)) {
        let rules = self.frame.rules;
        let mut path: Path = Vec::new();
        loop {
            let answers = Chosen::new(rules, &self.leaves, &happening.event, facts, path);
            let step = (self.step)(rules, task, repo, &happening.event, facts, &answers);
            let said = answers.said.take();
            path = answers.path.into_inner().0;
            let used = |c: &Name| step.task.control.counters.get(c).is_some_and(|n| *n > 0);
            let counter = self.counters.iter().position(|(c, _)| used(c));
            let when = counter.map_or(When::Always, |c| When::Left(u8::try_from(c).unwrap_or(u8::MAX)));
            if let (Some((name, max)), When::Left(c)) = (counter.and_then(|c| self.counters.get(c)), when) {
                f(self.taken(local, task, repo, happening, (step, said.clone(), when)));
                let mut spent = task.clone();
                spent.control.counters.insert(name.clone(), *max);
                let answers = Chosen::new(rules, &self.leaves, &happening.event, facts, path.clone());
                let step = (self.step)(rules, &spent, repo, &happening.event, facts, &answers);
                f(self.taken(local, &spent, repo, happening, (step, said, When::Spent(c))));
            } else {
                f(self.taken(local, task, repo, happening, (step, said, when)));
            }
            match next(path) {
                Some(more) => path = more,
                None => return,
            }
        }
    }

    fn taken<'h>(
        &self,
        local: &Local,
        task: &Task,
        repo: &Repo,
        happening: &'h Happening,
        (step, said, when): (Step, Vec<Said>, When),
    ) -> Taken<'h> {
        let rules = self.frame.rules;
        let mut after = self.frame.after(local, repo, &step);
        let mut faults = Vec::new();
        if happening.metered && uncounted(task, &step, happening) {
            faults.push(Fault::Uncounted);
        }
        after.seen = self.seen(local, &step, &said);
        self.faults(local, repo, &step, &mut after, &mut faults);
        if after.over() {
            (after.seen, after.merged) = (0, false);
        }
        // What is in the inbox stays there until it is applied; whoever gives back what a task
        // waits for has it look again.
        let live = after.live() && after.control.stop != StopState::Cleaning;
        let given = matches!(local.lease, Lease1::Frozen | Lease1::Other(true)) && happening.lease != local.lease;
        after.follow |= live && ((local.follow && happening.act != Act::Follow) || (given && !after.over()));
        let jobs = step
            .decisions
            .iter()
            .filter(|d| matches!(d, Decision::Enqueue(_)) && agent_job(d, rules))
            .count();
        let again = step
            .decisions
            .iter()
            .filter(|d| matches!(d, Decision::Requeue { .. }) && agent_job(d, rules))
            .count();
        let again = if happening.metered { 0 } else { again };
        let small = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
        Taken {
            flags: self.flags(local, happening, &said, &step),
            happening,
            said,
            when,
            after,
            runs: small(jobs + again),
            jobs: small(jobs),
            faults,
            step,
        }
    }

    /// What has come out, after this step: the last word of a gate counts.
    fn seen(&self, local: &Local, step: &Step, said: &[Said]) -> u16 {
        let mut seen = local.seen;
        let moved = local.head && step.task.ledger.head.as_ref().is_none_or(|h| h.subject != "c0");
        // The service's own merge of the base carries over what was said of the code.
        let carried = matches!(local.control.at, crate::engine::model::At::Updating { .. });
        for (bit, (gate, outcome, same)) in self.needs.iter().enumerate().take(16) {
            let mask = 1_u16 << bit;
            if moved && *same && !carried {
                seen &= !mask;
            }
            for one in said.iter().filter(|s| s.gate == *gate) {
                match &one.outcome {
                    Outcome::Wait(_) => {}
                    found if found.name() == *outcome => seen |= mask,
                    _ => seen &= !mask,
                }
            }
        }
        seen
    }

    fn faults(&self, local: &Local, repo: &Repo, step: &Step, after: &mut Local, faults: &mut Vec<Fault>) {
        let rules = self.frame.rules;
        let merges = |d: &&Decision| matches!(d, Decision::Act(intent) if intent.action == "merge");
        let merges = step.decisions.iter().filter(merges).count();
        if merges > 0 {
            let held = step
                .repo
                .as_ref()
                .unwrap_or(repo)
                .lease
                .as_ref()
                .is_some_and(|l| l.task == step.task.id);
            if !held {
                faults.push(Fault::NoLease);
            }
            let under_way = matches!(local.control.at, crate::engine::model::At::Action { running: true, .. });
            if merges > 1 || under_way || local.merged {
                faults.push(Fault::MergedTwice);
            }
        }
        after.merged = local.merged || (succeeded(local, step) && !after.over());
        let stops = local.control.stop != StopState::No || !local.live();
        if step.decisions.iter().any(|d| matches!(d, Decision::Enqueue(_))) && (stops && local.control.phase != Phase::Unborn) {
            faults.push(Fault::JobForOver);
        }
        if local.live() && local.control.stop != StopState::No && after.plain() {
            faults.push(Fault::StopUndone);
        }
        let entered = step.task.control.stage != local.control.stage && step.task.control.phase.life() == Life::Live;
        for (name, one) in &rules.invariants {
            let due = match &one.moment {
                Moment::Action(action) => step.decisions.iter().any(|d| matches!(d, Decision::Act(i) if i.action == *action)),
                Moment::Stage(stage) => entered && step.task.control.stage == *stage,
            };
            let missing = |(g, o): &(Name, Name)| {
                let bit = self.needs.iter().position(|n| n.0 == *g && n.1 == *o && n.2 == one.same_subject);
                bit.is_none_or(|b| after.seen & (1_u16 << b.min(15)) == 0)
            };
            if due && one.needs.iter().any(missing) {
                faults.push(Fault::Invariant(name.clone()));
            }
        }
    }

    fn flags(&self, local: &Local, happening: &Happening, said: &[Said], step: &Step) -> u8 {
        let act = match happening.act {
            Act::World => FAIR | SERVICE,
            // What others do to the repository meanwhile is not the task's own doing.
            Act::Follow if happening.lease == local.lease => FAIR | SERVICE | FOLLOW,
            Act::Follow => FAIR | SERVICE,
            Act::Go => FAIR,
            Act::Round | Act::Operator => ROUND,
            Act::Stop => STOP,
        };
        let by_edge = step.took.iter().any(|t| t.outcome.starts_with("signal.")) && happening.act == Act::Go;
        let act = if by_edge { act | ROUND } else { act };
        if self.stubborn(local, happening, said) { act & !FAIR } else { act }
    }

    /// Whether a gate that reads nothing but artefacts takes back what was reported of it, nothing
    /// having been written since: that can be, but nobody may count on it.
    fn stubborn(&self, local: &Local, happening: &Happening, said: &[Said]) -> bool {
        let Some((gate, outcome)) = local.control.reported.as_ref().and_then(|r| r.split_once('.')) else {
            return false;
        };
        let anew = matches!(happening.event.body, Body::RunEnded(_))
            || happening.moved.is_some()
            || matches!(happening.act, Act::Operator | Act::Follow);
        let changed = |s: &Said| s.asked && s.gate == *gate && !matches!(&s.outcome, Outcome::Other(o) if *o == *outcome);
        let stands = local.waiting == local.control.reported;
        !anew && stands && local.control.mode == Mode::Active && written(self.frame.rules, &Name::new(gate), 0) && said.iter().any(changed)
    }
}

/// Whether a run that ended for weather, or was lost, is tried again without being counted.
fn uncounted(task: &Task, step: &Step, happening: &Happening) -> bool {
    let Body::RunEnded(report) = &happening.event.body else {
        return false;
    };
    let again = |d: &Decision| matches!(d, Decision::Requeue { slot, .. } if *slot == report.slot);
    let used = |task: &Task| {
        task.control
            .slots
            .get(&report.slot)
            .map_or(0, |s| u32::from(s.transient) + u32::from(s.rescues))
    };
    step.decisions.iter().any(again) && used(&step.task) <= used(task)
}

/// Whether this step took note of a merge that succeeded.
fn succeeded(local: &Local, step: &Step) -> bool {
    let begun = matches!(local.control.at, crate::engine::model::At::Action { running: true, .. });
    begun && step.because.iter().any(|b| b.0.starts_with("action `merge` ended: ok"))
}

/// The rules without what no step branches on, so that exploring makes no texts.
pub(super) fn quiet(rules: &Ruleset) -> Ruleset {
    Ruleset {
        scripts: Scripts::default(),
        prompts: BTreeMap::new(),
        messages: BTreeMap::new(),
        vars: BTreeMap::new(),
        ..rules.clone()
    }
}

/// The first state: an issue whose start is being decided.
pub(super) fn first() -> Local {
    Local {
        lease: Lease1::Free,
        ..Local::default()
    }
}
