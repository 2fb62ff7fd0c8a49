//! Whether an act is possible on a task as it stands, and what it would do.

use crate::engine::model::{Actor, At, Mode, Name, Phase, Role, StopState, Task};
use crate::engine::rules::{GateKind, Ruleset};
use crate::engine::step::irreversible;

use super::{DoorError, require};

/// An act that is possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Possible {
    /// This signal does it; in words what follows.
    Signal(Name, String),
    /// A retry; in words what follows.
    Retry(String),
    /// It is so already: nothing has to be recorded.
    Already(String),
}

/// Whether `act` (`approve`, `reject`, `answer`, `stop`, `retry`, `start`, or a signal's name) is
/// possible for `actor` on the task.
///
/// # Errors
/// [`DoorError::NotNow`] with the reason, [`DoorError::Forbidden`] when the role is missing.
pub fn possible(rules: Option<&Ruleset>, task: &Task, label: &str, act: &str, actor: &Actor) -> Result<Possible, DoorError> {
    let ask = Ask { task, label, actor };
    if act == "stop" {
        return ask.stop(rules);
    }
    if act == "retry" && task.control.stop == StopState::Cleaning {
        require(actor, &[Role::Operator], "retry a clean-up")?;
        return Ok(Possible::Retry("its clean-up is tried again now".to_owned()));
    }
    ask.alive(act)?;
    let Some(rules) = rules else {
        return Err(DoorError::not_now(
            format!("the rules that {label} runs under cannot be used: nothing but a stop is possible"),
            format!("signalbox stop {label}"),
        ));
    };
    match act {
        "retry" => ask.retry(),
        "answer" => ask.answer(),
        "start" => ask.start(rules),
        "reject" => ask.reject(rules),
        "approve" => ask.approve(rules, None),
        other => ask.approve(rules, Some(other)),
    }
}

struct Ask<'a> {
    task: &'a Task,
    label: &'a str,
    actor: &'a Actor,
}

impl Ask<'_> {
    fn stop(&self, rules: Option<&Ruleset>) -> Result<Possible, DoorError> {
        let task = self.task;
        if task.terminal() {
            return Ok(Possible::Already(format!("already over ({})", task.control.stage)));
        }
        if task.control.stop != StopState::No {
            let (who, since, until) = task.ledger.stop.clone().unwrap_or_default();
            if task.control.stop == StopState::Cleaning {
                return Ok(Possible::Already(format!("already being stopped, as {who} asked")));
            }
            let until = until.map(|until| format!(", until {} at most as the rules foresee", until.utc()));
            return Ok(Possible::Already(format!(
                "already being stopped, as {who} asked: put off since {}{}",
                since.utc(),
                until.unwrap_or_default()
            )));
        }
        require(self.actor, &[Role::Operator], "stop a task")?;
        if let Some((action, limit)) = rules.and_then(|rules| irreversible(rules, task)) {
            let words = format!(
                "the stop is put off: {action} is under way and cannot be called back; it is applied when that has failed or was \
                 not begun, and the task is done when it succeeds. The rules foresee {} s at most",
                limit.0 / 1000
            );
            return Ok(Possible::Signal(Name::new("stop"), words));
        }
        if rules.is_some_and(|rules| task.control.at == At::Entering && rules.flow.last() == Some(&task.control.stage)) {
            let words = "everything is merged already: the task arrives first, and is done".to_owned();
            return Ok(Possible::Signal(Name::new("stop"), words));
        }
        Ok(Possible::Signal(
            Name::new("stop"),
            "stopping: its agents are ended, then it is cleaned up after".to_owned(),
        ))
    }

    /// Refuses a task that is over or about to be.
    fn alive(&self, act: &str) -> Result<(), DoorError> {
        let task = self.task;
        let label = self.label;
        match (task.control.phase, task.control.stop) {
            (Phase::Done, _) if act == "start" => Err(DoorError::not_now(
                format!("{label} is done"),
                "open a new issue: signalbox task new \"Title\"",
            )),
            (Phase::Done, _) => Err(DoorError::NotNow {
                why: format!("{label} is done: nothing to {act}"),
                help: None,
            }),
            (Phase::Cancelled, _) if act == "start" => Ok(()),
            (Phase::Cancelled, _) => Err(DoorError::not_now(
                format!("{label} is cancelled: nothing to {act}"),
                "start it again by moving its issue to the status that starts work: signalbox task status",
            )),
            (_, StopState::Cleaning) if act == "start" => Ok(()),
            (_, StopState::Cleaning | StopState::Deferred) => {
                let who = task.ledger.stop.as_ref().map_or("someone", |(who, ..)| who.as_str());
                Err(DoorError::NotNow {
                    why: format!("{label} is being stopped, as {who} asked: nothing to {act}"),
                    help: None,
                })
            }
            _ => Ok(()),
        }
    }

    /// Where the task stands and what it does there.
    fn stands(&self) -> String {
        let task = self.task;
        let what = match (&task.control.at, task.control.mode) {
            (_, Mode::Question) => "an answer is awaited".to_owned(),
            (_, Mode::Escalated) => "it is parked for a person".to_owned(),
            (At::Entering, _) => "the stage is being entered".to_owned(),
            // Which of the two, only the queue knows.
            (At::Work, _) if self.task.busy() => "its agents are queued or at work".to_owned(),
            (At::Work, _) => "agents are at work".to_owned(),
            (At::Action { running: true, .. }, _) => "its engine action is at work".to_owned(),
            (At::Action { running: false, .. }, _) => "its engine action is next".to_owned(),
            (At::Updating { .. }, _) => "the default branch is being merged into its branch".to_owned(),
            (At::Gates, _) => task
                .ledger
                .waiting
                .as_ref()
                .map_or_else(|| "its gates are being asked".to_owned(), |(w, _)| w.clone()),
        };
        format!("{} stands at {}, {what}", self.label, task.control.stage)
    }

    fn why(&self) -> String {
        format!("signalbox why {}", self.label)
    }

    fn irreversible(&self) -> bool {
        matches!(self.task.control.at, At::Action { running: true, .. } | At::Updating { .. })
    }

    fn retry(&self) -> Result<Possible, DoorError> {
        require(self.actor, &[Role::Operator], "retry a task")?;
        if self.task.busy() || self.irreversible() || self.task.control.at == At::Entering {
            return Err(DoorError::not_now(format!("{}; nothing to retry", self.stands()), self.why()));
        }
        Ok(Possible::Retry(format!("taken up again at {}", self.task.control.stage)))
    }

    fn answer(&self) -> Result<Possible, DoorError> {
        require(self.actor, &[Role::Operator, Role::Approver], "answer a question")?;
        if self.task.control.mode != Mode::Question {
            let help = format!("{}; a comment on the issue leaves a word without answering anything", self.why());
            return Err(DoorError::not_now(format!("{}; no question is open", self.stands()), help));
        }
        Ok(Possible::Signal(Name::new("answer"), "answered".to_owned()))
    }

    fn start(&self, rules: &Ruleset) -> Result<Possible, DoorError> {
        require(self.actor, &[Role::Operator, Role::Approver], "start a task")?;
        let done = |words: &str| Ok(Possible::Signal(Name::new("start"), words.to_owned()));
        let task = self.task;
        if task.control.phase == Phase::Cancelled {
            return done("started anew");
        }
        if task.control.stop == StopState::Cleaning {
            return done("started anew as soon as the stop is complete");
        }
        if task.control.at == At::Entering || self.task.busy() {
            return Err(DoorError::not_now(format!("{}; nothing to start", self.stands()), self.why()));
        }
        let first = rules.flow.iter().find(|s| rules.stages.get(*s).is_some_and(|s| !s.work.is_empty()));
        if first == Some(&task.control.stage) || !rules.stop.enabled {
            return done("started again");
        }
        Err(DoorError::not_now(
            format!("{}; a start launches nothing in the middle of the pipeline", self.stands()),
            format!("to begin anew: signalbox stop {}, then start its issue again", self.label),
        ))
    }

    fn reject(&self, rules: &Ruleset) -> Result<Possible, DoorError> {
        require(self.actor, &[Role::Approver, Role::Operator], "reject")?;
        if !has_edge(rules, &self.task.control.stage, "reject") {
            return Err(DoorError::not_now(
                format!("{}; the rules have no way back from there", self.stands()),
                self.why(),
            ));
        }
        if self.irreversible() {
            return Err(DoorError::not_now(
                format!("{}; it is too late to reject", self.stands()),
                self.why(),
            ));
        }
        Ok(Possible::Signal(
            Name::new("reject"),
            format!("rejected at {}: the reason goes to its agent", self.task.control.stage),
        ))
    }

    /// The signal of the human gate that waits, or of `name`.
    fn approve(&self, rules: &Ruleset, name: Option<&str>) -> Result<Possible, DoorError> {
        let task = self.task;
        let gates: Vec<Human<'_>> = human_gates(rules, &task.control.stage)
            .into_iter()
            .filter(|g| name.is_none_or(|n| g.signal == n))
            .collect();
        if gates.is_empty() {
            return self.no_gate(rules, name);
        }
        if task.control.at != At::Gates || task.control.mode == Mode::Question {
            return Err(DoorError::not_now(format!("{}; nothing to approve yet", self.stands()), self.why()));
        }
        let Some(gate) = gates
            .iter()
            .find(|g| task.ledger.cards.contains_key(g.gate) && !task.control.approved.contains(g.gate))
        else {
            return Err(DoorError::not_now(
                format!("{}; nothing waits for approval", self.stands()),
                self.why(),
            ));
        };
        let role = if gate.from == "operator" { Role::Operator } else { Role::Approver };
        require(self.actor, &[role], &format!("send `{}`", gate.signal))?;
        let given = task.ledger.approvals.get(gate.gate).map(Vec::as_slice).unwrap_or_default();
        let card = task.ledger.cards.get(gate.gate);
        let me = self.actor.label();
        let mine = given
            .iter()
            .find(|a| a.by == me && card.is_some_and(|c| c.subject == a.subject && c.rules == a.rules));
        if mine.is_some() {
            let why = format!(
                "{me} has approved {} already; {} of {} people have",
                self.label,
                given.len(),
                gate.quorum
            );
            return Err(DoorError::not_now(why, "another person has to"));
        }
        Ok(Possible::Signal(
            gate.signal.clone(),
            format!("{} at {}", gate.signal, task.control.stage),
        ))
    }

    /// A signal that no human gate of the stage waits for: possible only where an edge takes it.
    fn no_gate(&self, rules: &Ruleset, name: Option<&str>) -> Result<Possible, DoorError> {
        match name {
            Some(name) if has_edge(rules, &self.task.control.stage, name) && !self.irreversible() => {
                require(self.actor, &[Role::Approver, Role::Operator], &format!("send `{name}`"))?;
                Ok(Possible::Signal(Name::new(name), format!("{name} at {}", self.task.control.stage)))
            }
            Some(name) => Err(DoorError::not_now(
                format!("{}; nothing waits for `{name}` there", self.stands()),
                self.why(),
            )),
            None => Err(DoorError::not_now(format!("{}; nothing to approve", self.stands()), self.why())),
        }
    }
}

fn has_edge(rules: &Ruleset, stage: &Name, signal: &str) -> bool {
    let keys = [format!("signal.{signal}"), format!("*.{signal}")];
    let own = rules.stages.get(stage).map(|s| &s.on);
    own.into_iter()
        .chain([&rules.on])
        .any(|on| keys.iter().any(|k| on.contains_key(k.as_str())))
}

struct Human<'a> {
    gate: &'a Name,
    signal: &'a Name,
    from: &'a Name,
    quorum: u32,
}

/// Human gates of a stage, in the order in which they are asked, members of composed gates included.
fn human_gates<'a>(rules: &'a Ruleset, stage: &Name) -> Vec<Human<'a>> {
    let human = |(gate, kind)| match kind {
        &GateKind::Human {
            ref signal,
            ref from,
            quorum,
            ..
        } => Some(Human {
            gate,
            signal,
            from,
            quorum,
        }),
        _ => None,
    };
    rules.asked_in(stage).into_iter().filter_map(human).collect()
}
