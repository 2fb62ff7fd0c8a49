//! Gates: what each reads, and what it answers from the facts.

mod artefacts;
mod world;

use sha2::{Digest, Sha256};

use crate::engine::model::{Event, Fact, FactKey, Facts, Millis, Name, Task, Value};
use crate::engine::rules::{FilesClause, Gate, GateKind, Ruleset, literal};

/// What a gate says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// The stage may be left, as far as this gate is concerned.
    Ok,
    /// Something outside must happen first.
    Wait(Name),
    /// Anything else: an edge says what follows.
    Other(Name),
}

impl Outcome {
    /// The outcome's name.
    #[must_use]
    pub fn name(&self) -> Name {
        match self {
            Self::Ok => Name::new("ok"),
            Self::Wait(name) | Self::Other(name) => name.clone(),
        }
    }
}

/// A gate's outcome with what people and agents should know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What it says.
    pub outcome: Outcome,
    /// The gate that decided: of a composed gate, the member.
    pub by: Name,
    /// One sentence: the reason.
    pub detail: String,
    /// A text found on the way: questions, a conflict, a review.
    pub text: String,
    /// Whether the present round left unwritten what the gate reads.
    pub nothing_due: bool,
    /// A gate command that has yet to run on the present subject.
    pub command: Option<Name>,
    /// When time alone changes the answer.
    pub due: Option<Millis>,
    /// Whether it may be another as soon as a source answers that could not be asked.
    pub dark: bool,
    /// The label that passed a human gate, or would have if the change did not suspend it (`text`).
    pub label: Option<String>,
    /// The requests for changes that it is about; see [`crate::engine::model::ReviewFact::key`].
    pub reviews: Vec<String>,
}

impl Answer {
    /// An answer with nothing to add.
    #[must_use]
    pub fn new(by: &Name, outcome: Outcome) -> Self {
        Self {
            outcome,
            by: by.clone(),
            detail: String::new(),
            text: String::new(),
            nothing_due: false,
            command: None,
            due: None,
            dark: false,
            label: None,
            reviews: Vec::new(),
        }
    }

    fn ok(by: &Name) -> Self {
        Self::new(by, Outcome::Ok)
    }

    fn wait(by: &Name, what: &str, detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            ..Self::new(by, Outcome::Wait(Name::new(what)))
        }
    }

    fn other(by: &Name, what: &str, detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            ..Self::new(by, Outcome::Other(Name::new(what)))
        }
    }

    fn named(by: &Name, name: &Name) -> Self {
        if name == "ok" {
            Self::ok(by)
        } else {
            Self::new(by, Outcome::Other(name.clone()))
        }
    }
}

/// Where the gates' answers come from: the facts, or an explorer that plays the world.
pub trait Answers {
    /// The answer of `gate` for `task`.
    fn answer(&self, task: &Task, gate: &Name) -> Answer;
}

/// Answers evaluated from facts.
pub struct FromFacts<'a> {
    /// The rules.
    pub rules: &'a Ruleset,
    /// The event: its time is now.
    pub event: &'a Event,
    /// The facts.
    pub facts: &'a Facts,
}

impl Answers for FromFacts<'_> {
    fn answer(&self, task: &Task, gate: &Name) -> Answer {
        match self.rules.gates.get(gate) {
            Some(found) => Asking {
                from: self,
                task,
                name: gate,
            }
            .kind(found, 0),
            None => Answer::other(gate, "error", format!("the rules have no gate `{gate}`")),
        }
    }
}

/// The facts that the gates of the task's stage read, and the branch's head for its actions.
pub(super) fn stage_needs(rules: &Ruleset, task: &Task, keys: &mut Vec<FactKey>) {
    let Some(stage) = rules.stages.get(&task.control.stage) else {
        return;
    };
    keys.push(FactKey::Head);
    for gate in &stage.pass {
        gate_needs(rules, gate, keys, 0);
    }
    keys.sort();
    keys.dedup();
}

fn gate_needs(rules: &Ruleset, name: &Name, keys: &mut Vec<FactKey>, depth: u8) {
    let Some(gate) = rules.gates.get(name).filter(|_| depth < 16) else {
        return;
    };
    keys.extend(gate.reads.iter().cloned());
    match &gate.kind {
        GateKind::Files(clauses) => {
            keys.push(FactKey::Files);
            for clause in clauses {
                if let FilesClause::Any(patterns, _) = clause {
                    keys.extend(patterns.iter().filter(|p| literal(p)).map(|p| FactKey::Text(p.clone())));
                }
            }
        }
        GateKind::Frontmatter { file, .. } => keys.push(FactKey::Frontmatter(file.clone())),
        GateKind::Checks { .. } => keys.push(FactKey::Checks),
        GateKind::Review { .. } => keys.push(FactKey::Reviews),
        GateKind::Mergeable => keys.push(FactKey::Mergeable),
        GateKind::Human { .. } => keys.extend([FactKey::Issue, FactKey::Files]),
        GateKind::Script { reads, .. } => {
            keys.push(FactKey::Files);
            keys.extend(reads.values().cloned());
        }
        GateKind::FirstOf(inner) | GateKind::AllOf(inner) => {
            for member in inner {
                gate_needs(rules, member, keys, depth + 1);
            }
        }
        GateKind::Command { .. } | GateKind::Wait { .. } => {}
    }
}

/// Whether the gate asks for the word of a run: of an agent whose verdict binds to the code it saw.
pub(super) fn asks_a_run(rules: &Ruleset, name: &str, depth: u8) -> bool {
    match rules.gates.get(name).filter(|_| depth < 16).map(|g| &g.kind) {
        Some(GateKind::Frontmatter { .. }) => true,
        Some(GateKind::Script { reads, .. }) => reads.values().any(|key| matches!(key, FactKey::Frontmatter(_))),
        Some(GateKind::FirstOf(inner) | GateKind::AllOf(inner)) => inner.iter().any(|member| asks_a_run(rules, member, depth + 1)),
        _ => false,
    }
}

/// What an approval of the present stage covers: the subject, and the artefacts its gates show.
pub(in crate::engine) fn approval_subject(task: &Task, facts: &Facts) -> String {
    let mut hash = Sha256::new();
    if let Some(head) = &task.ledger.head {
        hash.update(&head.subject);
    }
    if let Some(Fact::Known(Value::Files(files))) = facts.get(&FactKey::Files) {
        for file in files {
            for piece in ["\n", &file.path, " ", &file.id] {
                hash.update(piece);
            }
        }
    }
    hex::encode(hash.finalize())
}

/// One question put to one gate.
struct Asking<'a> {
    from: &'a FromFacts<'a>,
    task: &'a Task,
    name: &'a Name,
}

/// A fact that is there, or the answer that its absence makes.
enum Read<'a> {
    Value(&'a Value),
    Absent,
    Unreadable(&'a str),
    Instead(Answer),
}

impl Asking<'_> {
    fn kind(&self, gate: &Gate, depth: u8) -> Answer {
        match &gate.kind {
            GateKind::Files(clauses) => self.files(clauses),
            GateKind::Frontmatter { file, key, map } => self.frontmatter(file, key, map),
            GateKind::Checks { contexts } => self.checks(contexts),
            GateKind::Review { changes } => self.reviews(changes),
            GateKind::Mergeable => self.mergeable(),
            GateKind::Command { .. } => self.command(),
            GateKind::Human { signal, quorum, auto, .. } => self.human(signal, *quorum, auto.as_ref()),
            GateKind::Wait { span, restart_on_move } => self.time(*span, *restart_on_move),
            GateKind::FirstOf(inner) => self.composed(inner, depth, |o| *o != Outcome::Other(Name::new("none"))),
            GateKind::AllOf(inner) => self.composed(inner, depth, |o| *o != Outcome::Ok),
            GateKind::Script { function, reads, args } => self.script(gate, function, reads, args),
        }
    }

    /// The first member whose outcome `decides`, else the last one.
    fn composed(&self, inner: &[Name], depth: u8, decides: impl Fn(&Outcome) -> bool) -> Answer {
        if depth >= 16 {
            return Answer::other(self.name, "error", "gates are nested too deeply");
        }
        let mut last = Answer::ok(self.name);
        for member in inner {
            last = match self.from.rules.gates.get(member) {
                Some(gate) => Asking { name: member, ..*self }.kind(gate, depth + 1),
                None => Answer::other(member, "error", format!("the rules have no gate `{member}`")),
            };
            if decides(&last.outcome) {
                return last;
            }
        }
        last
    }

    fn read(&self, key: &FactKey) -> Read<'_> {
        match self.from.facts.get(key) {
            Some(Fact::Known(value)) => Read::Value(value),
            Some(Fact::Absent) => Read::Absent,
            Some(Fact::Unreadable { why }) => Read::Unreadable(why),
            Some(Fact::Unreachable { why, .. }) => Read::Instead(Answer::wait(self.name, "unreachable", format!("{key}: {why}"))),
            None => Read::Instead(Answer::wait(self.name, "unreachable", format!("{key} was not asked for"))),
        }
    }
}
