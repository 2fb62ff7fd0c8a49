//! Gates: what each reads, and what it answers from the facts.

use std::collections::BTreeMap;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use sha2::{Digest, Sha256};

use crate::engine::model::{CheckState, Event, Fact, FactKey, Facts, FileFact, Millis, Name, ReviewState, SlotState, Task, Value};
use crate::engine::rules::{FilesClause, Gate, GateKind, Ruleset};
use crate::engine::script::ScriptArg;

use super::draft::{clip, short};

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
    /// The label that passed a human gate.
    pub label: Option<String>,
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
            label: None,
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

fn literal(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '[', '{'])
}

/// What an approval of the present stage covers: the subject, and the artefacts its gates show.
pub(super) fn approval_subject(task: &Task, facts: &Facts) -> String {
    let mut hash = Sha256::new();
    if let Some(head) = &task.ledger.head {
        hash.update(&head.subject);
    }
    if let Some(Fact::Known(Value::Files(files))) = facts.get(&FactKey::Files) {
        for file in files {
            hash.update(format!("\n{} {}", file.path, file.id));
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

    fn all_files(&self) -> Result<&[FileFact], Answer> {
        match self.read(&FactKey::Files) {
            Read::Value(Value::Files(files)) => Ok(files),
            Read::Instead(answer) => Err(answer),
            Read::Unreadable(why) => Err(Answer::other(self.name, "unreadable", why)),
            Read::Value(_) | Read::Absent => Ok(&[]),
        }
    }

    fn files(&self, clauses: &[FilesClause]) -> Answer {
        let files = match self.all_files() {
            Ok(files) => files,
            Err(answer) => return answer,
        };
        for clause in clauses {
            match clause {
                FilesClause::Any(patterns, outcome) => {
                    let set = globs(patterns);
                    if let Some(found) = files.iter().find(|f| f.fresh && set.is_match(&f.path)) {
                        return Answer {
                            detail: found.path.clone(),
                            text: self.text_of(&found.path),
                            ..Answer::named(self.name, outcome)
                        };
                    }
                }
                FilesClause::All(patterns, outcome) => {
                    let set = globs(patterns);
                    let complete = patterns.iter().all(|p| {
                        let one = globs(std::slice::from_ref(p));
                        files.iter().any(|f| one.is_match(&f.path))
                    });
                    if complete && files.iter().any(|f| f.fresh && set.is_match(&f.path)) {
                        return Answer::named(self.name, outcome);
                    }
                }
                FilesClause::Else(outcome) => {
                    let missing = missing(clauses, files);
                    return Answer {
                        detail: missing,
                        nothing_due: true,
                        ..Answer::named(self.name, outcome)
                    };
                }
            }
        }
        Answer {
            nothing_due: true,
            ..Answer::other(self.name, "unreadable", "no clause of the gate holds")
        }
    }

    fn text_of(&self, file: &str) -> String {
        match self.from.facts.get(&FactKey::Text(file.to_owned())) {
            Some(Fact::Known(Value::Text(text))) => text.clone(),
            _ => String::new(),
        }
    }

    fn frontmatter(&self, file: &str, key: &str, map: &BTreeMap<String, Name>) -> Answer {
        let due = |detail: String| Answer {
            nothing_due: true,
            ..Answer::other(self.name, "unreadable", detail)
        };
        match self.read(&FactKey::Frontmatter(file.to_owned())) {
            Read::Instead(answer) => answer,
            Read::Unreadable(why) => Answer::other(self.name, "unreadable", format!("{file}: {why}")),
            Read::Value(Value::Frontmatter(fact)) => {
                if !self.credible(&fact.values) {
                    return due(format!(
                        "{file} does not carry the `run:` of this round's run: it counts for nothing"
                    ));
                }
                match fact.values.get(key).map(|v| (v, map.get(v))) {
                    Some((value, Some(outcome))) => Answer {
                        detail: format!("{file}: {key}: {value}"),
                        ..Answer::named(self.name, outcome)
                    },
                    Some((value, None)) => Answer::other(
                        self.name,
                        "unreadable",
                        format!("{file}: `{key}: {}` is none of the known values", clip(value, 60)),
                    ),
                    None => Answer::other(self.name, "unreadable", format!("{file} has no `{key}` in its front-matter")),
                }
            }
            Read::Value(_) | Read::Absent => due(format!("{file} was not written")),
        }
    }

    /// Whether a front-matter repeats the nonce of a run of this round.
    fn credible(&self, values: &BTreeMap<String, String>) -> bool {
        let Some(nonce) = values.get("run") else { return false };
        self.task.ledger.runs.values().any(|run| run.nonce == *nonce && !nonce.is_empty())
    }

    fn checks(&self, contexts: &[String]) -> Answer {
        let statuses = match self.read(&FactKey::Checks) {
            Read::Value(Value::Checks(statuses)) => statuses.as_slice(),
            Read::Instead(answer) => return answer,
            _ => &[],
        };
        let state = |context: &String| statuses.iter().find(|s| s.context == *context).map(|s| s.state);
        if contexts.iter().all(|c| state(c).is_none()) {
            return Answer::other(self.name, "none", "the forge reports none of the required checks");
        }
        if let Some(red) = contexts.iter().find(|c| state(c) == Some(CheckState::Failure)) {
            return Answer::other(self.name, "red", format!("check `{red}` failed"));
        }
        match contexts.iter().find(|c| state(c) != Some(CheckState::Success)) {
            Some(open) => Answer::wait(self.name, "pending", format!("check `{open}` has not reported yet")),
            None => Answer::ok(self.name),
        }
    }

    fn reviews(&self, changes: &Name) -> Answer {
        let reviews = match self.read(&FactKey::Reviews) {
            Read::Value(Value::Reviews(reviews)) => reviews.as_slice(),
            Read::Instead(answer) => return answer,
            _ => &[],
        };
        let mut asked = reviews.iter().filter(|r| r.state == ReviewState::Changes);
        if let Some(review) = asked.clone().find(|r| r.current) {
            return Answer {
                detail: format!("{} requests changes on the forge", review.author),
                text: review.body.clone(),
                ..Answer::named(self.name, changes)
            };
        }
        match asked.next() {
            Some(old) => Answer::wait(
                self.name,
                "waiting",
                format!(
                    "{} requested changes on {}; it stands until dismissed or renewed",
                    old.author,
                    short(&old.commit)
                ),
            ),
            None => Answer::ok(self.name),
        }
    }

    fn mergeable(&self) -> Answer {
        match self.read(&FactKey::Mergeable) {
            Read::Value(Value::Mergeable(fact)) if !fact.conflicts.is_empty() => {
                let files = fact.conflicts.join(", ");
                Answer {
                    text: files.clone(),
                    ..Answer::other(self.name, "conflict", format!("in conflict with the default branch: {files}"))
                }
            }
            Read::Value(Value::Mergeable(fact)) if fact.behind => {
                Answer::other(self.name, "behind", format!("the default branch moved to {}", short(&fact.base)))
            }
            Read::Value(Value::Mergeable(_)) => Answer::ok(self.name),
            Read::Instead(answer) => answer,
            Read::Unreadable(why) => Answer::other(self.name, "error", why),
            Read::Value(_) | Read::Absent => Answer::wait(self.name, "pending", "there is nothing to merge yet"),
        }
    }

    fn command(&self) -> Answer {
        let subject = self.task.ledger.head.as_ref().map(|h| h.subject.as_str());
        if let Some(result) = self
            .task
            .ledger
            .commands
            .get(self.name)
            .filter(|r| Some(r.subject.as_str()) == subject)
        {
            return match result.code {
                0 => Answer::ok(self.name),
                code => Answer {
                    text: result.tail.clone(),
                    ..Answer::other(self.name, "red", format!("exit status {code}"))
                },
            };
        }
        match self.task.control.slots.get(self.name).map(|s| &s.state) {
            Some(SlotState::Failed(why)) => Answer::other(self.name, "error", format!("the command could not be run: {why}")),
            Some(SlotState::Queued) => Answer::wait(self.name, "pending", "its command is queued or running"),
            _ => Answer {
                command: Some(self.name.clone()),
                ..Answer::wait(self.name, "pending", "its command is queued or running")
            },
        }
    }

    fn human(&self, signal: &Name, quorum: u32, auto: Option<&Name>) -> Answer {
        if let Some(label) = auto.and_then(|name| self.standing_order(name)) {
            return Answer {
                label: Some(label),
                ..Answer::ok(self.name)
            };
        }
        let subject = approval_subject(self.task, self.from.facts);
        let given = self.task.ledger.approvals.get(self.name).map_or(&[][..], Vec::as_slice);
        let valid = given.iter().filter(|a| a.subject == subject && a.rules == self.task.rules).count();
        if valid >= quorum as usize {
            return Answer::ok(self.name);
        }
        let more = quorum as usize - valid;
        Answer::wait(
            self.name,
            "waiting",
            format!("signal `{signal}` of {more} more person(s) is awaited"),
        )
    }

    /// The label that passes a human gate without a person, unless the change suspends it.
    fn standing_order(&self, name: &Name) -> Option<String> {
        let rule = self.from.rules.auto.get(name)?;
        let issue = self.from.facts.issue()?;
        if !issue.labels.contains(&rule.label) {
            return None;
        }
        if !rule.suspended_by.is_empty() {
            let touched = &self.from.facts.head()?.touched;
            let set = globs(&rule.suspended_by);
            if touched.iter().any(|path| set.is_match(path)) {
                return None;
            }
        }
        Some(rule.label.clone())
    }

    fn time(&self, span: Millis, restart_on_move: bool) -> Answer {
        let ledger = &self.task.ledger;
        let entered = ledger.visit.entered_at;
        let from = if restart_on_move {
            entered.max(ledger.subject_since)
        } else {
            entered
        };
        let due = from.plus(span);
        if self.from.event.at >= due {
            return Answer::ok(self.name);
        }
        Answer {
            due: Some(due),
            ..Answer::wait(self.name, "pending", "its time has not passed yet")
        }
    }

    fn script(&self, gate: &Gate, function: &Name, reads: &BTreeMap<String, FactKey>, args: &serde_json::Value) -> Answer {
        let files = match self.all_files() {
            Ok(files) => files,
            Err(answer) => return answer,
        };
        let mut params = Vec::with_capacity(reads.len());
        for (name, key) in reads {
            match self.script_arg(key, files) {
                Ok(arg) => params.push((name.as_str(), arg)),
                Err(answer) => return answer,
            }
        }
        match self.from.rules.scripts.call_named(function, &params, args) {
            Ok(outcome) if outcome == "ok" => Answer::ok(self.name),
            Ok(outcome) if gate.outcomes.iter().any(|o| *o == outcome.as_str()) => {
                Answer::other(self.name, &outcome, format!("`{function}` says {outcome}"))
            }
            Ok(outcome) => Answer::other(
                self.name,
                "error",
                format!("`{function}` returned `{}`, which it does not declare", clip(&outcome, 60)),
            ),
            Err(error) => Answer::other(self.name, "error", format!("`{function}`: {error}")),
        }
    }

    fn script_arg<'b>(&'b self, key: &FactKey, files: &'b [FileFact]) -> Result<ScriptArg<'b>, Answer> {
        let fresh = |file: &str| files.iter().any(|f| f.path == file && f.fresh);
        match (key, self.read(key)) {
            (_, Read::Instead(answer)) => Err(answer),
            (_, Read::Unreadable(why)) => Err(Answer::other(self.name, "unreadable", format!("{key}: {why}"))),
            (FactKey::Frontmatter(file), Read::Value(Value::Frontmatter(fact))) => {
                if self.credible(&fact.values) {
                    return Ok(ScriptArg::Frontmatter(Some(&fact.values)));
                }
                let detail = format!("{file} does not carry the `run:` of this round's run: it counts for nothing");
                Err(Answer {
                    nothing_due: true,
                    ..Answer::other(self.name, "unreadable", detail)
                })
            }
            (FactKey::Frontmatter(file), _) => Err(Answer {
                nothing_due: true,
                ..Answer::other(self.name, "unreadable", format!("{file} was not written"))
            }),
            (FactKey::Json(file), Read::Value(Value::Json(json))) if fresh(file) => Ok(ScriptArg::Json(Some(json))),
            (FactKey::Json(_), _) => Ok(ScriptArg::Json(None)),
            (FactKey::Text(file), Read::Value(Value::Text(text))) if fresh(file) => Ok(ScriptArg::Text(Some(text))),
            (FactKey::Text(_), _) => Ok(ScriptArg::Text(None)),
            (FactKey::Files, _) => Ok(ScriptArg::Files(files)),
            _ => Err(Answer::other(self.name, "error", format!("scripts cannot read `{key}`"))),
        }
    }
}

/// Names what a `files` gate misses, for the agent that is to write it.
fn missing(clauses: &[FilesClause], files: &[FileFact]) -> String {
    let mut missing = Vec::new();
    for clause in clauses {
        if let FilesClause::All(patterns, _) = clause {
            for pattern in patterns {
                let one = globs(std::slice::from_ref(pattern));
                if !files.iter().any(|f| one.is_match(&f.path)) {
                    missing.push(pattern.as_str());
                }
            }
        }
    }
    if missing.is_empty() {
        "nothing was written in this round".to_owned()
    } else {
        format!("missing: {}", missing.join(", "))
    }
}

/// Patterns as one set; a pattern that does not compile matches nothing (the loader refuses it).
fn globs(patterns: &[String]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        if let Ok(glob) = GlobBuilder::new(pattern).literal_separator(true).build() {
            set.add(glob);
        }
    }
    set.build().unwrap_or_default()
}
