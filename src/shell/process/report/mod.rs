//! What an agent's own machine-readable output says about its run.
//!
//! The log holds standard output and error in the order in which they were written, so documents
//! may stand between other lines, be cut off, or be missing. Nothing here fails: what cannot be
//! read says nothing.

mod claude;
mod codex;
mod gemini;
mod limits;
mod lines;
mod opencode;

use std::io;
use std::path::Path;

use serde_json::Value;

use super::log;
use crate::engine::model::{AgentNotes, Millis, Usage, plausible};
use crate::engine::rules::Output;
pub(super) use limits::{epoch, of_service, until, usage_limit_said, weather_said};
use lines::Lines;

/// Bytes of a log read at once.
const PIECE: usize = 1024 * 1024;
/// Longest name kept of anything: a model, a session, a tool.
const NAME_MAX: usize = 200;
/// Most refused calls kept by name; the rest are counted.
const DENIALS_MAX: usize = 20;

/// What an agent's output tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// Its result; `None` when there is none, or its last one was cut off.
    pub ending: Option<Ending>,
    /// Where it gave no result: the usage limit that stopped it, and until when if that was said.
    pub stopped: Option<Option<Millis>>,
    /// What the run cost.
    pub usage: Usage,
    /// What people may want to know besides.
    pub notes: AgentNotes,
}

/// An agent's own result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It says that all went well.
    Success,
    /// It says what went wrong.
    Failure(Failure),
}

/// What an agent says went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What follows from it.
    pub kind: Kind,
    /// Its words: the only text in which weather is looked for.
    pub text: String,
}

/// Kinds of failure, as far as structure tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Overload, rate limit, an error of the service, the network.
    Weather,
    /// The usage limit of a subscription; until then, where that is said.
    Limit(Option<Millis>),
    /// Trying again does not mend it: credentials, money, turns, a prompt that is too long, an interruption.
    Lasting(&'static str),
    /// Its work failed: patterns tell the weather of the service, which is not looked for in words about work.
    Work,
    /// The words have to tell.
    Unknown,
}

impl Failure {
    fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// One agent's way of writing.
trait Parser {
    /// Takes a document. `named` when the rules say that it is this agent's; else it may be anybody's.
    /// Returns whether it said how the run stands.
    fn take(&mut self, doc: &Value, named: bool) -> bool;

    /// What it came to.
    fn report(&self) -> Report;
}

/// What the processes came to that wrote one log after the other: each counts by itself, from nothing and ever upwards.
#[derive(Default)]
struct Counted {
    before: Usage,
    last: Usage,
    of: Option<String>,
}

impl Counted {
    /// Counts what a process has used up so far, that names its session so; gives the sum.
    fn take(&mut self, of: Option<String>, used: Usage) -> Usage {
        // Such a claim is told as it is, and counts for nothing.
        if !plausible(used.cost_usd) {
            return used;
        }
        let fell =
            used.cost_usd < self.last.cost_usd || used.output_tokens < self.last.output_tokens && used.cost_usd <= self.last.cost_usd;
        if fell || self.of.is_some() && of.is_some() && self.of != of {
            self.before = self.before.plus(self.last);
        }
        (self.last, self.of) = (used, of.or_else(|| self.of.take()));
        self.before.plus(used)
    }
}

/// Reads documents as they come.
struct Reader {
    parsers: Vec<Box<dyn Parser>>,
    named: bool,
    /// Who said last how the run stands.
    last: usize,
    /// A service's error that was passed on as it is, with nothing of the agent's own after it.
    error: Option<Failure>,
}

impl Reader {
    fn new(output: Output) -> Self {
        let parsers: Vec<Box<dyn Parser>> = match output {
            Output::Text => Vec::new(),
            Output::Claude => vec![Box::<claude::Claude>::default()],
            Output::Codex => vec![Box::<codex::Codex>::default()],
            Output::Gemini => vec![Box::<gemini::Gemini>::default()],
            Output::OpenCode => vec![Box::<opencode::OpenCode>::default()],
            Output::Auto => vec![
                Box::<claude::Claude>::default(),
                Box::<codex::Codex>::default(),
                Box::<gemini::Gemini>::default(),
                Box::<opencode::OpenCode>::default(),
            ],
        };
        Self {
            parsers,
            named: output != Output::Auto,
            last: 0,
            error: None,
        }
    }

    fn take(&mut self, doc: &Value) -> bool {
        let mut spoke = false;
        for (i, parser) in self.parsers.iter_mut().enumerate() {
            if parser.take(doc, self.named) {
                self.last = i;
                spoke = true;
            }
        }
        if spoke {
            self.error = None;
        } else if self.named {
            self.error = limits::passed_on(doc).or_else(|| self.error.take());
        }
        spoke
    }
}

/// Reads the log of a run that has ended, piece by piece.
///
/// # Errors
/// When the log cannot be read.
pub fn read(path: &Path, output: Output) -> io::Result<Report> {
    let (mut reader, mut lines) = (Reader::new(output), Lines::default());
    if output == Output::Text {
        return Ok(finish(reader, lines));
    }
    let mut offset = 0;
    loop {
        let (bytes, next) = log::read(path, offset, PIECE)?;
        if next <= offset {
            break;
        }
        lines.feed(&bytes, &mut |doc| reader.take(doc));
        offset = next;
    }
    Ok(finish(reader, lines))
}

/// The same of a text.
#[must_use]
pub fn of(text: &[u8], output: Output) -> Report {
    let (mut reader, mut lines) = (Reader::new(output), Lines::default());
    lines.feed(text, &mut |doc| reader.take(doc));
    finish(reader, lines)
}

fn finish(mut reader: Reader, lines: Lines) -> Report {
    let cut = lines.finish(&mut |doc| reader.take(doc));
    let mut report = reader.parsers.get(reader.last).map(|p| p.report()).unwrap_or_default();
    // One that called another, whose output it passed on, has cost what both did.
    let others = reader.parsers.iter().enumerate().filter(|(i, _)| *i != reader.last);
    for used in others
        .map(|(_, parser)| parser.report().usage)
        .filter(|used| plausible(used.cost_usd))
    {
        report.usage = report.usage.plus(used);
    }
    if report.ending.is_none() && report.stopped.is_none() {
        report.ending = reader.error.map(Ending::Failure);
    }
    // What was cut off after it may have said otherwise.
    if cut && report.ending == Some(Ending::Success) {
        report.ending = None;
    }
    doubt(&mut report);
    report
}

/// A string of a document.
fn word<'a>(doc: &'a Value, key: &str) -> &'a str {
    doc.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A count of a document; 0 where there is none.
fn count(doc: &Value, key: &str) -> u64 {
    doc.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// An amount of money of a document; 0 where there is none. It may be anything: what it comes to is looked at in the end.
fn money(doc: &Value, key: &str) -> f64 {
    doc.get(key).and_then(Value::as_f64).unwrap_or(0.0)
}

/// Counts no cost that cannot be: neither a budget nor a sum is to hang on a slip of an agent.
fn doubt(report: &mut Report) {
    let claimed = report.usage.cost_usd;
    if !plausible(claimed) {
        report.usage.cost_usd = 0.0;
        report.notes.doubted = Some(format!("{claimed:e} USD"));
    }
}

/// A name to keep; `None` when there is none.
fn name(doc: &Value, key: &str) -> Option<String> {
    Some(short(word(doc, key))).filter(|n| !n.is_empty())
}

fn short(text: &str) -> String {
    log::defuse(&text.chars().take(NAME_MAX).collect::<String>())
}

/// Text of a value, whatever it is.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Notes down a refused call.
fn denied(notes: &mut AgentNotes, tool: &str) {
    notes.denied = notes.denied.saturating_add(1);
    if notes.denials.len() < DENIALS_MAX {
        notes.denials.push(short(if tool.is_empty() { "a tool" } else { tool }));
    }
}

#[cfg(test)]
mod tests;
