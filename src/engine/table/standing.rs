//! Where in a stage a task can stand, and what can happen to it there.

use std::collections::BTreeSet;

use crate::engine::model::{Actor, At, Body, Kill, Mode, Name, Role, RunEnd, SlotState, StopState};
use crate::engine::rules::{Action, GateKind, Ruleset, Stage};
use crate::engine::scenario::answers::Said;

use super::answers::ITS_OWN;
use super::cases::{Case, cases, commands};
use super::world::{Happening, World, anyone, person};

/// A task at rest, or at the door of a stage.
#[derive(Clone)]
pub(super) struct Standing<'a> {
    /// How people read it.
    pub words: String,
    pub world: World<'a>,
    /// The keys of the rules by which it is reached.
    pub reached: BTreeSet<String>,
    /// What its gates said when it came to rest.
    pub said: Said,
    /// Whether every way in which its gates can come out is shown here.
    pub whole: bool,
}

/// Something that can happen there, to a world that may differ for it.
pub(super) struct Chance<'a> {
    /// How people read it.
    pub when: String,
    pub world: World<'a>,
    pub what: Happening,
    /// The signal it is.
    pub signal: Option<Name>,
}

/// The name of a standing: two of the same name are not told apart.
pub(super) fn name(world: &World<'_>) -> String {
    let control = &world.task.control;
    if control.stop == StopState::Deferred {
        return "stop put off".to_owned();
    }
    match control.mode {
        Mode::Question => return "question".to_owned(),
        Mode::Escalated => {
            // However the runs failed, what can be done about it is the same.
            let key = control.reported.as_deref().unwrap_or("counter spent");
            return format!("escalated {}", if key.starts_with("work.") { "work" } else { key });
        }
        Mode::Active => {}
    }
    match &control.at {
        At::Entering => "entering".to_owned(),
        At::Work => {
            let queued = control.slots.iter().filter(|(_, s)| s.state == SlotState::Queued);
            let names: Vec<&str> = queued.map(|(name, _)| name.as_str()).collect();
            format!("{} at work", names.join(", "))
        }
        At::Gates => format!("at {}", waits_for(world).unwrap_or_default()),
        At::Action { index, running } => {
            let stage = world.rules.stages.get(&control.stage);
            let action = stage
                .and_then(|s| s.actions.get(usize::from(*index)))
                .map(Action::name)
                .unwrap_or_default();
            format!("{action}{}", if *running { " under way" } else { " not begun" })
        }
        At::Updating { edge } => format!("update for {edge}"),
    }
}

/// The `gate.outcome` that is waited for, or the sentence that says what is.
pub(super) fn waits_for(world: &World<'_>) -> Option<String> {
    let (sentence, _) = world.task.ledger.waiting.as_ref()?;
    Some(sentence.split_once(": ").map_or(sentence.as_str(), |(key, _)| key).to_owned())
}

/// Everything that can happen in a standing.
pub(super) fn chances<'a>(standing: &Standing<'a>) -> Vec<Chance<'a>> {
    let world = &standing.world;
    let control = &world.task.control;
    let mut all = Chances {
        world,
        rules: world.rules,
        found: Vec::new(),
    };
    let Some(stage) = world.rules.stages.get(&control.stage) else {
        return Vec::new();
    };
    if control.stop == StopState::Deferred {
        all.actions(stage);
        let timer = Body::TimerFired {
            visit: world.task.ledger.visit.number,
            timer: Name::new("stop"),
        };
        all.add("timer stop", timer, &Said::new());
        all.people(&standing.said);
        return all.found;
    }
    match &control.at {
        At::Entering => {
            let visit = world.task.ledger.visit.number;
            for case in stage_cases(world.rules, stage) {
                let words = if stage.work.is_empty() && control.mode == Mode::Active {
                    format!("entered, {}", case.words)
                } else {
                    "entered".to_owned()
                };
                all.add(&words, Body::Entered { visit }, &case.said);
            }
            return all.found;
        }
        At::Work if control.mode == Mode::Active => all.runs(stage),
        At::Gates if control.mode == Mode::Active => {
            all.looks(stage, standing);
            all.commands(stage, &standing.said);
            all.times(stage, &standing.said);
        }
        At::Action { .. } | At::Updating { .. } => all.actions(stage),
        At::Work | At::Gates => {}
    }
    if !matches!(control.at, At::Gates) || control.mode != Mode::Active {
        all.add("looked again", poked("a sweep"), &Said::new());
    }
    all.pushes();
    all.people(&standing.said);
    all.found
}

/// How the gates can come out when a stage without agents is entered; else they are not asked.
fn stage_cases(rules: &Ruleset, stage: &Stage) -> Vec<Case> {
    let mut all = cases(rules, stage);
    if !stage.work.is_empty() {
        all.truncate(1);
    }
    all
}

fn poked(by: &str) -> Body {
    Body::Poked { by: Name::new(by) }
}

/// Every signal that the rules or the engine know.
pub(super) fn signals(rules: &Ruleset) -> Vec<Name> {
    let signals = &rules.signals;
    let board = signals.status.values().chain(signals.comment.iter().map(|(_, s)| s));
    let human = rules.gates.values().filter_map(|g| match &g.kind {
        GateKind::Human { signal, .. } => Some(signal),
        _ => None,
    });
    let edges = rules.stages.values().flat_map(|s| s.on.keys()).chain(rules.on.keys());
    let of_edges = edges.filter_map(|key| key.strip_prefix("signal.")).map(Name::new);
    let engine = ["start", "stop"].map(Name::new);
    let mut all: Vec<Name> = board.chain(&signals.other_comment).chain(human).cloned().collect();
    all.extend(of_edges.chain(engine));
    all.sort();
    all.dedup();
    all
}

struct Chances<'w, 'a> {
    world: &'w World<'a>,
    rules: &'a Ruleset,
    found: Vec<Chance<'a>>,
}

impl Chances<'_, '_> {
    fn add(&mut self, when: &str, body: Body, said: &Said) {
        let what = Happening {
            body,
            actor: Actor::Service,
            said: said.clone(),
        };
        self.found.push(Chance {
            when: when.to_owned(),
            world: self.world.clone(),
            what,
            signal: None,
        });
    }

    /// Agents end: well, with every outcome of the gates where it was the last; or badly.
    fn runs(&mut self, stage: &Stage) {
        let slots = &self.world.task.control.slots;
        let queued: Vec<&Name> = stage
            .work
            .iter()
            .filter(|a| slots.get(*a).is_some_and(|s| s.state == SlotState::Queued))
            .collect();
        for agent in &queued {
            let body = self.world.run_ended(agent, RunEnd::Ok);
            if queued.len() > 1 {
                self.add(&format!("{agent} ok"), body, &Said::new());
                continue;
            }
            for case in cases(self.rules, stage) {
                self.add(&format!("{agent} ok, {}", case.words), body.clone(), &case.said);
            }
        }
        for agent in queued {
            self.bad_ends(agent);
        }
    }

    fn bad_ends(&mut self, slot: &Name) {
        let detail = String::new();
        let ends = [
            RunEnd::Permanent { detail: detail.clone() },
            RunEnd::NoOutput,
            RunEnd::OutOfScope { paths: Vec::new() },
            RunEnd::Killed(Kill::Deadline),
            RunEnd::Transient { detail, retry_after: None },
            RunEnd::Lost,
        ];
        for end in ends {
            let when = format!("{slot} {}", end.outcome());
            let body = self.world.run_ended(slot, end);
            self.add(&when, body, &Said::new());
        }
    }

    /// The gates are asked again.
    fn looks(&mut self, stage: &Stage, standing: &Standing<'_>) {
        let mut all = cases(self.rules, stage);
        all.truncate(if standing.whole { all.len() } else { 1 });
        self.add("looked again, no change", poked("a sweep"), &standing.said);
        for case in all {
            self.add(&format!("looked again, {}", case.words), poked("a sweep"), &case.said);
        }
    }

    /// Commands of gates end; the gates before them are as they were.
    fn commands(&mut self, stage: &Stage, said: &Said) {
        let slots = &self.world.task.control.slots;
        let queued = |gate: &Name| slots.get(gate).is_some_and(|s| s.state == SlotState::Queued);
        let queued: Vec<Name> = commands(self.rules, stage).into_iter().filter(queued).collect();
        for gate in queued {
            let mut said = said.clone();
            said.insert(gate.clone(), Name::new(ITS_OWN));
            for code in [0, 1] {
                let tail = String::new();
                let body = self.world.run_ended(&gate, RunEnd::Exited { code, tail });
                self.add(&format!("command {gate} exits {code}"), body, &said);
            }
            self.bad_command(&gate, &said);
        }
    }

    /// The time of a gate has passed.
    fn times(&mut self, stage: &Stage, said: &Said) {
        for gate in &stage.pass {
            let Some(GateKind::Wait { span, .. }) = self.rules.gates.get(gate).map(|g| &g.kind) else {
                continue;
            };
            let visit = self.world.task.ledger.visit.number;
            let timer = gate.clone();
            self.add(&format!("timer {gate}"), Body::TimerFired { visit, timer }, said);
            if let Some(chance) = self.found.last_mut() {
                chance.world.now = chance.world.now.plus(*span);
            }
        }
    }

    fn bad_command(&mut self, gate: &Name, said: &Said) {
        for end in [
            RunEnd::Permanent { detail: String::new() },
            RunEnd::Killed(Kill::Deadline),
            RunEnd::Lost,
        ] {
            let when = format!("command {gate} {}", end.outcome());
            let body = self.world.run_ended(gate, end);
            self.add(&when, body, said);
        }
    }

    /// The action under way ends.
    fn actions(&mut self, stage: &Stage) {
        match &self.world.task.control.at {
            At::Action { index, running: true } => {
                let Some(action) = stage.actions.get(usize::from(*index)) else {
                    return;
                };
                for outcome in ["ok"].iter().chain(action.outcomes()) {
                    let body = self.world.action_ended(&action.name(), outcome);
                    self.add(&format!("{} {outcome}", action.name()), body, &Said::new());
                }
            }
            At::Updating { .. } => {
                for outcome in ["ok", "conflict", "head_moved", "refused"] {
                    let body = self.world.action_ended(&Name::new("update"), outcome);
                    self.add(&format!("update {outcome}"), body, &Said::new());
                }
            }
            At::Action { running: false, .. } => {
                self.add("freeze lifted, lease given back", poked("it is free"), &Said::new());
                if let Some(chance) = self.found.last_mut() {
                    (chance.world.repo.freeze, chance.world.repo.lease) = (None, None);
                }
            }
            _ => {}
        }
    }

    /// Someone pushes, and the gates like it.
    fn pushes(&mut self) {
        for (when, other_code) in [("push of other code", true), ("push of artefacts", false)] {
            self.add(when, poked("a push"), &Said::new());
            if let Some(chance) = self.found.last_mut() {
                chance.world.pushed(other_code);
            }
        }
    }

    /// Every signal, and an operator's retry; gates say what they said before.
    fn people(&mut self, said: &Said) {
        for signal in signals(self.rules) {
            self.add(&format!("signal {signal}"), self.world.signal(&signal), said);
            if let Some(chance) = self.found.last_mut() {
                chance.what.actor = anyone();
                chance.signal = Some(signal);
            }
        }
        self.add("retry", Body::Retried { note: None }, said);
        if let Some(chance) = self.found.last_mut() {
            chance.what.actor = person(&[Role::Operator]);
        }
    }
}
