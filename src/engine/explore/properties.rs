//! The properties, decided on the whole graph.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::model::{At, Code, JobId, Mode, Phase, StopState, Task, Who};
use crate::engine::rules::{Action, Moment, Origins, Ruleset};
use crate::engine::schedule::{Bounds, Queue, WaitingJob, schedule, waits};

use super::expand::{Expander, FAIR, FOLLOW, Fault, Leaf, ROUND, SERVICE, STOP};
use super::graph::Graph;
use super::report::{Bound, Kind, Property, Story, Verdict};
use super::scc::{self, Edges};
use super::state::{Lease1, Local, NOW, TASK};
use super::story;

/// The graph's edges, as far as they have a flag or lack it.
struct Some1<'g> {
    graph: &'g Graph,
    with: u8,
    without: u8,
}

impl Edges for Some1<'_> {
    fn len(&self) -> u32 {
        self.graph.len()
    }

    fn next(&self, node: u32, at: u32) -> Option<(u32, u32)> {
        let mut at = at;
        loop {
            let (behind, leaf, target) = self.graph.next(node, at)?;
            let on = self.with == 0 || leaf.flags & self.with != 0;
            if on && leaf.flags & self.without == 0 {
                return Some((target, behind));
            }
            at = behind;
        }
    }
}

/// What is needed to decide and to tell.
struct Court<'a, 'r> {
    graph: &'a Graph,
    expander: &'a Expander<'r>,
    origins: Option<&'a Origins>,
    /// How each local waits.
    rests: Vec<Rest>,
}

/// How a state waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// It does not, or the machine goes on by itself.
    Moves,
    /// For somebody whose act is named.
    Person,
    /// Parked: an operator's act is named.
    Parked,
    /// Nothing will ever wake it.
    Lost,
}

/// Decides everything.
pub(super) fn all(graph: &Graph, expander: &Expander<'_>, origins: Option<&Origins>) -> (Vec<Property>, Option<Bound>) {
    let court = Court {
        graph,
        expander,
        origins,
        rests: graph.locals.iter().map(|l| rest(expander, l)).collect(),
    };
    let (bounded, bound) = court.bounded();
    let mut found = vec![
        court.arrives(),
        court.parked(),
        court.woken(),
        court.stops(),
        court.clean(),
        court.jobs(),
        court.merges(),
    ];
    found.push(Property {
        kind: Kind::Safe,
        claim: "no hook is started twice".to_owned(),
        verdict: Verdict::Vacuous,
        why: "this version has no hooks".to_owned(),
        story: None,
    });
    found.push(bounded);
    found.extend(court.own());
    (found, bound)
}

/// How a state waits, by the very function that tells people so.
fn rest(expander: &Expander<'_>, local: &Local) -> Rest {
    match waiting(expander, local) {
        Rest::Lost if local.follow => Rest::Moves,
        found => found,
    }
}

/// How a state waits, apart from what is in the inbox.
fn waiting(expander: &Expander<'_>, local: &Local) -> Rest {
    if !local.live() {
        return Rest::Moves;
    }
    let control = &local.control;
    if control
        .slots
        .iter()
        .any(|(name, s)| s.state == crate::engine::model::SlotState::Queued && !local.jobs.contains(name))
    {
        return Rest::Lost;
    }
    let task = expander.frame.task(local);
    let blockers = waits(expander.frame.rules, &task, &expander.frame.repo(local, local.lease));
    let Some(first) = blockers.first() else {
        return if local.jobs.is_empty() { Rest::Lost } else { Rest::Moves };
    };
    let acting = matches!(control.at, At::Action { running: true, .. } | At::Updating { .. }) || control.stop == StopState::Cleaning;
    match first.who {
        _ if acting => Rest::Moves,
        Who::Operator if first.clear.is_some() || first.code == Code::Frozen => Rest::Parked,
        Who::Approver | Who::Anyone if first.clear.is_some() => Rest::Person,
        Who::OtherTask => Rest::Moves,
        // Checks, reviews and sources that do not answer are polled; time needs its timer.
        Who::Itself if control.mode == Mode::Active && (local.waiting.is_some() || local.timers || !local.jobs.is_empty()) => Rest::Moves,
        _ => Rest::Lost,
    }
}

impl Court<'_, '_> {
    fn some(&self, with: u8, without: u8) -> Some1<'_> {
        Some1 {
            graph: self.graph,
            with,
            without,
        }
    }

    fn rest(&self, state: u32) -> Rest {
        self.rests[self.graph.states[state as usize].0 as usize]
    }

    fn story(&self, state: u32, end: &str) -> Story {
        story::tell(self.graph, self.expander, self.origins, &self.graph.way(state), end)
    }

    /// A property with a counter-example, or held. What was not wholly explored is skipped.
    fn property(&self, kind: Kind, claim: &str, found: Option<(String, Story)>) -> Property {
        let (verdict, why, story) = match found {
            Some((why, story)) => (Verdict::Violated, why, Some(story)),
            None if !self.graph.whole => (Verdict::Skipped, self.too_many(), None),
            None => (Verdict::Held, String::new(), None),
        };
        Property {
            kind,
            claim: claim.to_owned(),
            verdict,
            why,
            story,
        }
    }

    fn too_many(&self) -> String {
        format!("{} states were looked at, and there are more", self.graph.len())
    }

    /// The first state that is so, when everything was explored: a part of a graph proves nothing
    /// about what cannot be reached.
    fn first(&self, is: impl Fn(u32, &Local) -> bool) -> Option<u32> {
        (0..self.graph.len())
            .filter(|_| self.graph.whole)
            .find(|s| is(*s, self.graph.local(*s)))
    }

    /// Asks something of every local once, whatever its counters.
    fn locals(&self, is: impl Fn(u32, &Local) -> bool) -> Vec<bool> {
        let all = (0_u32..).zip(&self.graph.locals);
        all.map(|(n, local)| is(n, local)).collect()
    }

    fn arrives(&self) -> Property {
        let done = |s: u32| self.graph.local(s).control.phase == Phase::Done;
        // Where outcomes were so bad that a task can only be parked, it counts as parked already.
        let exempt = |s: u32| {
            let local = self.graph.local(s);
            local.plain() && (local.control.mode == Mode::Escalated || self.rest(s) == Rest::Parked)
        };
        let fair = self.some(FAIR, 0);
        let parts = self.graph.whole.then(|| scc::components(&fair));
        let from = |goal: &dyn Fn(u32) -> bool| parts.as_ref().map_or_else(Vec::new, |parts| scc::reaching(&fair, parts, goal));
        let (good, best) = (from(&|s| done(s) || exempt(s)), from(&done));
        let stuck = self.first(|s, local| local.plain() && !good[s as usize]);
        let stuck = stuck.or_else(|| self.first(|s, local| local.control.phase == Phase::Unborn && !best[s as usize]));
        let found = stuck.map(|s| {
            let stage = &self.graph.local(s).control.stage;
            let stage = if stage.is_empty() { "created" } else { stage };
            let why = format!("a task at stage `{stage}` can no longer reach `done`, however well everything goes");
            let end = "From here `done` cannot be reached without STOP, reject or an operator.";
            (why, self.story(s, end))
        });
        self.property(
            Kind::Arrives,
            "from everywhere `done` can be reached without STOP, reject or an operator, if outcomes are fair; parked tasks excepted",
            found,
        )
    }

    fn parked(&self) -> Property {
        let claim = "whoever is parked or asked names the act that ends it, and it does";
        let good = if self.graph.whole {
            let edges = self.some(0, STOP);
            scc::reaching(&edges, &scc::components(&edges), |s| {
                self.graph.local(s).control.phase == Phase::Done
            })
        } else {
            Vec::new()
        };
        let stuck = self.first(|s, local| local.plain() && self.rest(s) != Rest::Moves && !good[s as usize]);
        let found = stuck.map(|s| {
            let stage = &self.graph.local(s).control.stage;
            let why = format!("a task that waits for a person at stage `{stage}` is ended by no act but STOP");
            (why, self.story(s, "No retry, rejection, answer or push leads from here to `done`."))
        });
        self.property(Kind::Arrives, claim, found)
    }

    fn woken(&self) -> Property {
        let claim = "whatever waits names what wakes it, and nothing waits on itself in a circle";
        let lost = self.first(|s, local| local.live() && self.rest(s) == Rest::Lost);
        let found = lost.map(|s| {
            (
                "a task waits, and nothing will wake it".to_owned(),
                self.story(s, "Nothing wakes the task from here."),
            )
        });
        let found = found.filter(|_| self.graph.whole).or_else(|| {
            let follow = self.graph.whole.then(|| self.some(FOLLOW, 0))?;
            let round = scc::longest(&follow, &scc::components(&follow), |_, _| 1).err()?;
            let end = "From here the task's own follow-ups lead round in a circle.";
            Some(("a task waits on itself in a circle".to_owned(), self.story(round, end)))
        });
        self.property(Kind::Arrives, claim, found)
    }

    fn stops(&self) -> Property {
        let claim = "STOP from everywhere ends in `cancelled`, or in an honest `done`";
        let over = |s: u32| self.graph.local(s).over();
        let good = if self.graph.whole {
            let edges = self.some(SERVICE, 0);
            scc::reaching(&edges, &scc::components(&edges), over)
        } else {
            Vec::new()
        };
        let stuck = self.first(|s, local| local.live() && local.control.stop != StopState::No && !good[s as usize]);
        let deaf = || {
            let deaf = self.locals(|of, local| {
                let does = |l: &Leaf| !self.graph.locals[l.target as usize].plain();
                let stop = |l: &&Leaf| l.flags & STOP != 0;
                let stops = || self.graph.leaves(of).iter().filter(stop);
                local.plain() && !(stops().next().is_some() && stops().all(does))
            });
            self.first(|s, _| deaf[self.graph.states[s as usize].0 as usize])
        };
        let found = stuck.or_else(deaf).map(|s| {
            let why = "a stop does not end the task".to_owned();
            (why, self.story(s, "A stop asked for here never ends the task."))
        });
        let found = found.or_else(|| self.fault(|f| *f == Fault::StopUndone, "a stop is taken back"));
        self.property(Kind::Stops, claim, found)
    }

    fn clean(&self) -> Property {
        let left = self.first(|_, l| l.over() && (!l.jobs.is_empty() || l.stray || l.timers || l.lease == Lease1::Mine));
        let found = left.map(|s| {
            let why = "a task is over and has left a job, a timer or the lease".to_owned();
            (why, self.story(s, "The task is over, and not everything of it is."))
        });
        self.property(Kind::Stops, "a task that is over leaves no job, lease or timer", found)
    }

    fn jobs(&self) -> Property {
        let claim = "no job of a task that is over, or being stopped, can be claimed";
        let rules = Arc::new(super::quiet(self.expander.frame.rules));
        let bad = self.locals(|_, local| {
            let over = local.over() || (local.live() && local.control.stop == StopState::Cleaning);
            over && self.claimable(local, &rules)
        });
        let bad = self.first(|s, _| bad[self.graph.states[s as usize].0 as usize]);
        let found = bad.map(|s| {
            let why = "a job of a task that is over can be claimed".to_owned();
            (why, self.story(s, "A job that is still in the queue can be claimed here."))
        });
        let found = found.or_else(|| self.fault(|f| *f == Fault::JobForOver, "a job is queued for a task that is over"));
        self.property(Kind::Safe, claim, found)
    }

    /// Whether the scheduler would start a job of the task that was left in the queue.
    fn claimable(&self, local: &Local, rules: &Arc<Ruleset>) -> bool {
        let task = Task {
            id: TASK,
            ..self.expander.frame.task(local)
        };
        let slot = self.expander.frame.rules.agents.keys().next().cloned().unwrap_or_default();
        let waiting = [WaitingJob {
            id: JobId(1),
            task: TASK,
            slot,
            stage: local.control.stage.clone(),
            available_at: NOW,
            since: NOW,
            why: None,
            limited: None,
        }];
        let repos = [(task.repo, self.expander.frame.repo(local, Lease1::Free))].into();
        let tasks: BTreeMap<_, _> = [(TASK, task)].into_iter().filter(|(_, t)| !t.terminal()).collect();
        let queue = Queue {
            waiting: &waiting,
            open: &[],
            tasks: &tasks,
            depends: &[],
            repos: &repos,
            rules: &|_| Some(Arc::clone(rules)),
            limit: 10,
            project_limits: &BTreeMap::new(),
            commands: &BTreeMap::new(),
            bounds: &Bounds::default(),
        };
        schedule(&queue, NOW).iter().any(|(_, blockers)| blockers.is_empty())
    }

    fn merges(&self) -> Property {
        let claim = "a merge begins under the lease, and once";
        let merges = self
            .expander
            .frame
            .rules
            .stages
            .values()
            .any(|s| s.actions.contains(&Action::Merge));
        let found = self.fault(|f| *f == Fault::MergedTwice, "what was merged is merged again");
        let found = found.or_else(|| self.fault(|f| *f == Fault::NoLease, "a merge begins without the lease"));
        let mut property = self.property(Kind::Safe, claim, found);
        if !merges && property.verdict == Verdict::Held {
            (property.verdict, property.why) = (Verdict::Vacuous, "the pipeline merges nothing".to_owned());
        }
        property
    }

    /// The first step that does what it must not.
    fn fault(&self, is: impl Fn(&Fault) -> bool, why: &str) -> Option<(String, Story)> {
        let at = self.graph.faults.iter().position(is)?;
        let (state, leaf) = (*self.graph.shown.get(at)?)?;
        let mut way = self.graph.way(state);
        way.push((state, leaf));
        let story = story::tell(self.graph, self.expander, self.origins, &way, "This last step must not be.");
        Some((why.to_owned(), story))
    }

    fn bounded(&self) -> (Property, Option<Bound>) {
        let claim = "how often agents are run is bounded, but for acts of people";
        let edges = self.some(0, ROUND | STOP);
        let retry = &self.expander.frame.rules.retry;
        let again = u32::from(retry.transient) + u32::from(retry.rescues);
        let leaf = |node: u32, behind: u32| self.graph.leaf(node, behind);
        let parts = self.graph.whole.then(|| scc::components(&edges));
        let runs = parts
            .as_ref()
            .map(|parts| scc::longest(&edges, parts, |n, b| u32::from(leaf(n, b).runs)));
        let weather = |n: u32, b: u32| u32::from(leaf(n, b).runs) + again * u32::from(leaf(n, b).jobs);
        let more = || scc::longest(&edges, parts.as_ref()?, weather).ok();
        let uncounted = self.fault(|f| *f == Fault::Uncounted, "a run that is repeated for weather is not counted");
        match runs {
            Some(Ok(best)) if uncounted.is_none() => {
                let most = |v: &[u32]| v.iter().max().copied().unwrap_or(0);
                let bound = more().map(|with| Bound {
                    runs: most(&best),
                    with_weather: most(&with),
                });
                (self.property(Kind::Bounded, claim, None), bound)
            }
            Some(Err(state)) => {
                let why = "agents are run again and again, without a counter and without a person".to_owned();
                let story = self.circle(state, &edges);
                (self.property(Kind::Bounded, claim, Some((why, story))), None)
            }
            _ => (self.property(Kind::Bounded, claim, uncounted), None),
        }
    }

    /// The way to a circle, and once round it.
    fn circle(&self, state: u32, edges: &Some1<'_>) -> Story {
        let mut from: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([state]);
        'search: while let Some(node) = queue.pop_front() {
            let mut at = 0;
            while let Some((target, behind)) = edges.next(node, at) {
                if target != node && !from.contains_key(&target) {
                    from.insert(target, (node, self.graph.leaf(node, behind).nth));
                    queue.push_back(target);
                }
                if from.contains_key(&state) {
                    break 'search;
                }
                at = behind;
            }
        }
        let mut round = Vec::new();
        let mut at = state;
        while let Some(step) = from.get(&at).copied() {
            round.push(step);
            at = step.0;
            if at == state {
                break;
            }
        }
        round.reverse();
        let mut way = self.graph.way(state);
        way.extend(round);
        story::tell(
            self.graph,
            self.expander,
            self.origins,
            &way,
            "The task stands where it stood before, and agents have run.",
        )
    }

    fn own(&self) -> Vec<Property> {
        let rules = self.expander.frame.rules;
        let mut found = Vec::new();
        for (name, one) in &rules.invariants {
            let claim = format!("invariant `{name}`");
            if self.expander.too_many_needs() {
                let property = Property {
                    kind: Kind::Own,
                    claim,
                    verdict: Verdict::Skipped,
                    why: "invariants name more than 16 outcomes in all".to_owned(),
                    story: None,
                };
                found.push(property);
                continue;
            }
            let needs: Vec<String> = one.needs.iter().map(|(g, o)| format!("{g}.{o}")).collect();
            let needs = needs.join(" and ");
            let why = match &one.moment {
                Moment::Action(action) => format!("`{action}` can begin without {needs}"),
                Moment::Stage(stage) => format!("stage `{stage}` can be entered without {needs}"),
            };
            let why = if one.same_subject {
                format!("{why} on the same subject")
            } else {
                why
            };
            let broken = self.fault(|f| *f == Fault::Invariant(name.clone()), &why);
            let mut property = self.property(Kind::Own, &claim, broken);
            if let (Some(story), Some(origins)) = (&mut property.story, self.origins) {
                let at = story::first(origins, &format!("invariant.{name}"));
                story.at = at
                    .map(|o| super::At {
                        file: o.file.clone(),
                        line: o.line,
                        column: o.column,
                    })
                    .or(story.at.take());
            }
            if property.verdict == Verdict::Held && self.moment_never_comes(&one.moment) {
                (property.verdict, property.why) = (Verdict::Vacuous, "nothing ever comes to that moment".to_owned());
            }
            found.push(property);
        }
        found
    }

    fn moment_never_comes(&self, moment: &Moment) -> bool {
        !self.graph.locals.iter().any(|l| match moment {
            Moment::Stage(stage) => l.live() && l.control.stage == *stage,
            Moment::Action(_) => matches!(l.control.at, At::Action { running: true, .. }),
        })
    }
}
