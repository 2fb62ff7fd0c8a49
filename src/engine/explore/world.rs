//! The world as adversary: everything that can happen to a task in a state.

use std::fmt::Display;

use crate::engine::model::{
    Actor, At, Body, Event, Fact, FactKey, Facts, FileFact, Head, HeadFact, Issue, JobId, Kill, Millis, Name, Phase, Role, RunEnd, RunId,
    RunReport, Seq, Signal, SlotState, StopState, Usage, Value, Via,
};
use crate::engine::rules::{Action, GateKind, Ruleset};

use super::state::{Lease1, Local, NOW, VISIT, head};

/// Whose act something is, as far as the properties ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Act {
    /// The world's: agents, effects, timers, polls.
    World,
    /// The follow-up of an earlier step.
    Follow,
    /// A person's that leads on: approves, answers a question.
    Go,
    /// A person's that buys another round: rejects, starts again, pushes.
    Round,
    /// An operator's.
    Operator,
    /// STOP.
    Stop,
}

/// Something that can happen.
#[derive(Debug, Clone)]
pub(super) struct Happening {
    pub act: Act,
    pub event: Event,
    /// The branch as the step finds it: the recorded head, or another one.
    pub moved: Option<Head>,
    /// Lease and freeze as the step finds them.
    pub lease: Lease1,
    /// What people read in a story.
    pub words: String,
    /// A run that ended for weather, or without a trace, with one more such end to come: the
    /// number of them is bounded by a meter of the job.
    pub metered: bool,
}

/// The artefacts at a head.
pub(super) fn files_at(head: Option<&Head>) -> Facts {
    let file = head.map(|h| FileFact {
        path: "artefact".to_owned(),
        id: h.sha.clone(),
        fresh: true,
    });
    let files = Fact::Known(Value::Files(file.into_iter().collect()));
    Facts([(FactKey::Files, files)].into())
}

impl Happening {
    /// The head that the step finds where it is not the recorded one.
    pub fn found(&self) -> Option<&Head> {
        // What a run brought is on the branch before its end is told.
        let brought = match &self.event.body {
            Body::RunEnded(report) => report.head.as_ref(),
            _ => None,
        };
        self.moved.as_ref().or(brought)
    }

    /// The facts that the step reads; gates are answered by choice.
    pub fn facts(&self, local: &Local) -> Facts {
        let recorded = local.head.then(|| head("h0", "c0"));
        let mut facts = files_at(recorded.as_ref());
        let found = self.found().cloned();
        let seen = HeadFact {
            head: found.or(recorded),
            base: "base".to_owned(),
            descends: true,
            touched: Vec::new(),
            commits: Vec::new(),
        };
        facts.0.insert(FactKey::Head, Fact::Known(Value::Head(seen)));
        if local.control.phase == Phase::Unborn {
            let issue = Issue {
                id: "1".to_owned(),
                title: "A request".to_owned(),
                description: "What is wanted.".to_owned(),
                ..Issue::default()
            };
            facts.0.insert(FactKey::Issue, Fact::Known(Value::Issue(issue)));
        }
        facts
    }
}

/// Everything that can happen in a state, in a fixed order: what moves a task on comes first, so
/// that of two shortest stories the plainer one is told.
pub(super) struct World<'a> {
    pub rules: &'a Ruleset,
    local: &'a Local,
    /// Whether anybody reads the words.
    told: bool,
    found: Vec<Happening>,
}

impl<'a> World<'a> {
    /// Without `told`, happenings have no words: most of them nobody ever reads.
    pub fn of(rules: &'a Ruleset, local: &'a Local, told: bool) -> Vec<Happening> {
        let mut world = Self {
            rules,
            local,
            told,
            found: Vec::with_capacity(64),
        };
        if local.control.phase == Phase::Unborn {
            world.person(Act::Go, "start", NOW, "a person moves the card to the start");
        } else if local.over() {
            world.person(Act::Round, "start", NOW, "a person starts the task once more");
            world.add(Act::World, Body::Poked { by: "repeated".into() }, "a poke comes late");
        } else {
            world.live();
        }
        world.surroundings()
    }

    fn add(&mut self, act: Act, body: Body, words: impl Display) {
        self.by(act, Actor::Service, body, words);
    }

    fn by(&mut self, act: Act, actor: Actor, body: Body, words: impl Display) {
        let event = Event {
            seq: Seq(1),
            at: NOW,
            cause: None,
            actor,
            body,
        };
        self.found.push(Happening {
            act,
            event,
            moved: None,
            lease: self.local.lease,
            words: told(self.told, words),
            metered: false,
        });
    }

    fn person(&mut self, act: Act, signal: &str, acted_at: Millis, words: impl Display) {
        self.signal(act, signal, acted_at, "person 9", all_roles(), words);
    }

    fn signal(&mut self, act: Act, signal: &str, acted_at: Millis, who: &str, roles: Vec<Role>, words: impl Display) {
        let body = Body::Signalled(Signal {
            name: Name::new(signal),
            text: None,
            activity: String::new(),
            acted_at,
        });
        let actor = Actor::Person {
            name: who.to_owned(),
            via: Via::Tracker,
            roles,
        };
        self.by(act, actor, body, words);
    }

    fn live(&mut self) {
        let control = &self.local.control;
        if control.at == At::Entering && self.local.follow {
            self.add(
                Act::Follow,
                Body::Entered { visit: VISIT },
                format_args!("the task enters {}", control.stage),
            );
        } else if self.local.follow {
            let words = "the engine looks again, as its last step asked for";
            self.add(Act::Follow, Body::Poked { by: "follow-up".into() }, words);
        } else {
            self.add(Act::World, Body::Poked { by: "sweep".into() }, "the engine looks again");
        }
        self.runs();
        self.actions();
        if control.stop == StopState::Cleaning {
            let report = "verified".to_owned();
            self.add(Act::World, Body::CleanedUp { report }, "the clean-up after the stop is verified");
        }
        if self.local.timers {
            let timer = Name::new("timer");
            self.add(Act::World, Body::TimerFired { visit: VISIT, timer }, "a timer fires");
        }
        self.signals();
        let note = None;
        let (operator, words) = (person("an operator", all_roles()), "an operator asks for a retry");
        self.by(Act::Operator, operator, Body::Retried { note }, words);
        self.repeated();
        self.person(Act::Stop, "stop", NOW, "a person stops the task");
        self.pushes();
    }

    fn runs(&mut self) {
        for slot in self.local.jobs.clone() {
            let ends: &[&str] = if self.rules.agents.contains_key(&slot) {
                &[
                    "ok",
                    "ok, code as before",
                    "no_output",
                    "out_of_scope",
                    "failed",
                    "killed",
                    "transient",
                    "lost",
                ]
            } else {
                &["exit 0", "exit 1", "exit 0 on older code", "failed", "killed", "transient", "lost"]
            };
            for end in ends {
                self.run(&slot, end);
            }
        }
    }

    fn run(&mut self, slot: &Name, end: &str) {
        let writes = self.rules.agents.get(slot).is_some_and(|a| !a.writes.is_empty());
        let head = match end {
            "ok" => Some(head("h1", if writes || !self.local.head { "c1" } else { "c0" })),
            "ok, code as before" if writes && self.local.head => Some(head("h1", "c0")),
            "ok, code as before" => return,
            _ => None,
        };
        let tail = String::new;
        let detail = tail();
        let ended = match end {
            "exit 0" | "exit 0 on older code" => RunEnd::Exited { code: 0, tail: tail() },
            "exit 1" => RunEnd::Exited { code: 1, tail: tail() },
            "no_output" => RunEnd::NoOutput,
            "out_of_scope" => RunEnd::OutOfScope { paths: Vec::new() },
            "failed" => RunEnd::Permanent { detail },
            "killed" => RunEnd::Killed(Kill::Deadline),
            "transient" => RunEnd::Transient { detail, retry_after: None },
            "lost" => RunEnd::Lost,
            _ => RunEnd::Ok,
        };
        let start = (end == "exit 0 on older code").then(|| "older".to_owned());
        let start = start.or_else(|| self.local.head.then(|| "h0".to_owned()));
        let body = Body::RunEnded(RunReport {
            run: RunId(1),
            job: JobId(1),
            visit: VISIT,
            slot: slot.clone(),
            end: ended,
            start,
            head,
            nonce: String::new(),
            wrote: Vec::new(),
            usage: Usage::default(),
            heard: Seq(i64::MAX),
        });
        self.add(Act::World, body, format_args!("{slot}: the run ends: {end}"));
        if let Some(last) = self.found.last_mut() {
            last.metered = matches!(end, "transient" | "lost");
        }
    }

    fn actions(&mut self) {
        let stage = self.rules.stages.get(&self.local.control.stage);
        let (action, outcomes): (Name, Vec<&str>) = match &self.local.control.at {
            At::Action { index, running: true } => {
                let Some(action) = stage.and_then(|s| s.actions.get(usize::from(*index))) else {
                    return;
                };
                (
                    action.name(),
                    std::iter::once("ok").chain(action.outcomes().iter().copied()).collect(),
                )
            }
            At::Updating { .. } => (Name::new("update"), vec!["ok", "conflict", "head_moved", "refused"]),
            _ => return,
        };
        for outcome in outcomes {
            self.ended(&action, outcome, format_args!("{action} ends: {outcome}"));
        }
    }

    fn ended(&mut self, action: &Name, outcome: &str, words: impl Display) {
        let body = Body::ActionEnded {
            visit: VISIT,
            action: action.clone(),
            outcome: Name::new(outcome),
            detail: String::new(),
            head: (*action == "update" && outcome == "ok").then(|| head("h1", "c1")),
        };
        self.add(Act::World, body, words);
    }

    /// What people can say: every signal of the board and of comments, those that gates wait for,
    /// and those of the command line.
    fn signals(&mut self) {
        let rules = self.rules;
        let awaited = rules.gates.values().filter_map(|g| match &g.kind {
            GateKind::Human { signal, .. } => Some(signal.clone()),
            _ => None,
        });
        let edges = rules.stages.values().flat_map(|s| s.on.keys()).chain(rules.on.keys());
        let edges = edges.filter_map(|k| k.strip_prefix("signal.")).map(Name::new);
        let said = rules
            .signals
            .status
            .values()
            .cloned()
            .chain(rules.signals.comment.iter().map(|(_, s)| s.clone()));
        let known = ["reject", "answer", "start"].map(Name::new);
        let awaited: std::collections::BTreeSet<Name> = awaited.collect();
        let all: std::collections::BTreeSet<Name> = said.chain(edges).chain(known).chain(awaited.iter().cloned()).collect();
        for signal in all.into_iter().filter(|s| *s != "stop") {
            if awaited.contains(&signal) {
                let others = self.local.approvals.values().max().copied().unwrap_or(0);
                let who = format!("person {others}");
                self.signal(Act::Go, &signal, NOW, &who, all_roles(), format_args!("a person says `{signal}`"));
                let early = Millis(NOW.0 - 1);
                self.person(
                    Act::Go,
                    &signal,
                    early,
                    format_args!("a `{signal}` arrives that was said before the question"),
                );
                let viewer = vec![Role::Viewer];
                self.signal(
                    Act::Go,
                    &signal,
                    NOW,
                    "a guest",
                    viewer,
                    format_args!("someone who may not says `{signal}`"),
                );
            } else {
                let act = if signal == "answer" { Act::Go } else { Act::Round };
                self.person(act, &signal, NOW, format_args!("a person says `{signal}`"));
            }
        }
        if self.local.control.stop != StopState::No {
            self.person(
                Act::Round,
                "start",
                Millis(NOW.0 - 1),
                "a `start` arrives that is older than the stop",
            );
        }
    }

    /// Events that come twice, or after what they were about is over.
    fn repeated(&mut self) {
        let control = &self.local.control;
        let over = control
            .slots
            .iter()
            .find(|(_, s)| s.state != SlotState::Queued)
            .map(|(n, _)| n.clone());
        if let Some(slot) = over {
            self.run(&slot, "ok");
            self.rename("the end of a run is told twice");
        }
        if !matches!(control.at, At::Action { running: true, .. } | At::Updating { .. }) {
            self.ended(&Action::Merge.name(), "ok", "the end of a merge is told twice");
        }
        if control.at != At::Entering {
            self.add(Act::World, Body::Entered { visit: VISIT }, "the entry is told twice");
        }
        self.add(
            Act::World,
            Body::Entered { visit: VISIT - 1 },
            "an event of an earlier visit arrives",
        );
        if control.stop != StopState::Cleaning {
            let report = String::new();
            self.add(Act::World, Body::CleanedUp { report }, "a clean-up ends that nobody waits for");
        }
    }

    fn rename(&mut self, words: &str) {
        if let Some(last) = self.found.last_mut().filter(|_| self.told) {
            words.clone_into(&mut last.words);
        }
    }

    /// Someone pushes; whatever happens next may be the first to find it.
    fn pushes(&mut self) {
        if !self.local.head || self.local.control.stop == StopState::Cleaning {
            return;
        }
        let finds = |h: &Happening| match &h.event.body {
            // A timer looks again as a poke does; other people's words ask nothing.
            Body::Poked { .. } | Body::Retried { .. } => true,
            Body::Signalled(signal) => h.act == Act::Go && (*signal.name == *"answer" || signal.acted_at == NOW),
            Body::RunEnded(report) => matches!(report.end, RunEnd::Permanent { .. }),
            Body::ActionEnded { head, outcome, .. } => head.is_none() && outcome == "conflict",
            _ => false,
        };
        let found: Vec<Happening> = self.found.iter().filter(|h| finds(h)).cloned().collect();
        for one in found {
            for (subject, what) in [("c1", "new code is on the branch"), ("c0", "new artefacts are on the branch")] {
                let poke = matches!(&one.event.body, Body::Poked { .. } | Body::Signalled(_));
                if subject == "c0" && !poke {
                    continue;
                }
                let act = if one.act == Act::Operator { Act::Operator } else { Act::Round };
                self.found.push(Happening {
                    act,
                    moved: Some(head("h1", subject)),
                    words: told(self.told, format_args!("{}: {what}", one.words)),
                    ..one.clone()
                });
            }
        }
    }

    /// Where the lease or a freeze is asked for, each event meets it in every way.
    fn surroundings(self) -> Vec<Happening> {
        let stage = self.rules.stages.get(&self.local.control.stage);
        let asks = self.local.plain() && stage.is_some_and(|s| !s.actions.is_empty());
        let ways = match self.local.lease {
            Lease1::Mine => vec![],
            _ if !asks => vec![],
            Lease1::Free => vec![
                (Lease1::Frozen, "the repository is frozen"),
                (Lease1::Other(false), "another task merges"),
            ],
            Lease1::Frozen => vec![
                (Lease1::Free, "the freeze is lifted"),
                (Lease1::Other(false), "another task merges"),
            ],
            Lease1::Other(_) => vec![(Lease1::Free, "the lease is free"), (Lease1::Frozen, "the repository is frozen")],
        };
        let mut found = self.found;
        let tell = self.told;
        for (lease, what) in ways {
            let again = |h: &Happening| matches!(h.act, Act::World | Act::Follow | Act::Go) && h.moved.is_none();
            let more: Vec<Happening> = found.iter().filter(|h| again(h) && h.lease == self.local.lease).cloned().collect();
            found.extend(more.into_iter().map(|h| Happening {
                lease,
                words: told(tell, format_args!("{} ({what})", h.words)),
                ..h
            }));
        }
        found
    }
}

fn told(told: bool, words: impl Display) -> String {
    if told { words.to_string() } else { String::new() }
}

fn all_roles() -> Vec<Role> {
    vec![Role::Viewer, Role::Operator, Role::Approver]
}

fn person(name: &str, roles: Vec<Role>) -> Actor {
    Actor::Person {
        name: name.to_owned(),
        via: Via::Tracker,
        roles,
    }
}
