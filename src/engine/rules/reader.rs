//! Typed reading of a table: knows which keys were asked for, so that the rest is unknown.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use crate::engine::model::{Millis, Name};

use super::codes;
use super::diagnostic::{Place, Problem, Sink, list, quoted};
use super::tree::{Entry, Node, Table, Value};
use super::value;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Sp<T> {
    /// The value.
    pub v: T,
    /// Where it was written.
    pub at: Place,
}

impl<T> Sp<T> {
    /// The same place, another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Sp<U> {
        Sp { v: f(self.v), at: self.at }
    }
}

impl Sp<String> {
    /// As a name.
    pub fn name(&self) -> Name {
        Name::new(&self.v)
    }
}

/// Reads one table.
pub struct Reader<'a> {
    table: &'a Table,
    /// Where the table's name was written.
    pub at: Place,
    what: String,
    asked: RefCell<Vec<&'static str>>,
    /// Where findings go.
    pub sink: &'a Sink<'a>,
}

impl<'a> Reader<'a> {
    /// A reader of `table`, which people know as `what`: "gate `brd`".
    pub fn new(table: &'a Table, at: &Place, what: impl Into<String>, sink: &'a Sink<'a>) -> Self {
        Self {
            table,
            at: at.clone(),
            what: what.into(),
            asked: RefCell::default(),
            sink,
        }
    }

    /// A reader of an entry's value, if that is a table.
    pub fn of(entry: &'a Entry, what: impl Into<String>, sink: &'a Sink<'a>) -> Option<Self> {
        let what = what.into();
        if let Value::Table(table) = &entry.node.value {
            return Some(Self::new(table, &entry.key_place, what, sink));
        }
        wrong_type(sink, &entry.node, &what, "a table");
        None
    }

    /// What is read, for sentences.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The entry of a key; the key is known from now on.
    pub fn entry(&self, key: &'static str) -> Option<&'a Entry> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    /// Whether the key is there; does not make it known.
    pub fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    fn wrong<T>(&self, entry: &Entry, due: &str) -> Option<T> {
        wrong_type(self.sink, &entry.node, &quoted(&entry.key), due);
        None
    }

    /// Says that a key is missing.
    pub fn missing(&self, key: &str, help: &str) {
        let problem = Problem::error(codes::MISSING_KEY, &self.at, format!("{} needs the key {}", self.what, quoted(key)));
        self.sink.push(problem.label(format!("{} is missing", quoted(key))).help(help));
    }

    /// A string, not empty, without control characters.
    pub fn text(&self, key: &'static str) -> Option<Sp<String>> {
        let entry = self.entry(key)?;
        let Value::Str(text) = &entry.node.value else {
            return self.wrong(entry, "a string");
        };
        value::usable(text, &entry.node.place, key, self.sink)
    }

    /// A string that must be there.
    pub fn need_text(&self, key: &'static str, help: &str) -> Option<Sp<String>> {
        if !self.has(key) {
            self.entry(key);
            self.missing(key, help);
            return None;
        }
        self.text(key)
    }

    /// An array of strings, each not empty.
    pub fn texts(&self, key: &'static str) -> Option<Sp<Vec<Sp<String>>>> {
        let entry = self.entry(key)?;
        let Value::Array(nodes) = &entry.node.value else {
            return self.wrong(entry, "an array of strings");
        };
        let mut out = Vec::new();
        for node in nodes {
            if let Value::Str(text) = &node.value {
                out.extend(value::usable(text, &node.place, key, self.sink));
            } else {
                wrong_type(self.sink, node, &format!("each entry of {}", quoted(key)), "a string");
            }
        }
        Some(Sp {
            v: out,
            at: entry.node.place.clone(),
        })
    }

    /// An array of strings with at least one entry.
    pub fn some_texts(&self, key: &'static str) -> Option<Sp<Vec<Sp<String>>>> {
        let texts = self.texts(key)?;
        if texts.v.is_empty() {
            let problem = Problem::error(codes::EMPTY, &texts.at, format!("{} must not be empty", quoted(key)));
            self.sink.push(problem.label("needs at least one entry"));
        }
        Some(texts)
    }

    /// A boolean.
    pub fn truth(&self, key: &'static str) -> Option<bool> {
        let entry = self.entry(key)?;
        if let Value::Bool(b) = entry.node.value {
            Some(b)
        } else {
            self.wrong(entry, "true or false")
        }
    }

    /// An integer of this range.
    pub fn int(&self, key: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let entry = self.entry(key)?;
        let Value::Int(i) = entry.node.value else {
            return self.wrong(entry, "an integer");
        };
        if range.contains(&i) {
            return Some(i);
        }
        let words = format!("{} must be between {} and {}", quoted(key), range.start(), range.end());
        self.sink
            .push(Problem::error(codes::RANGE, &entry.node.place, words).label("out of range"));
        None
    }

    /// A number of this range, whole or not.
    pub fn number(&self, key: &'static str, range: &RangeInclusive<f64>) -> Option<f64> {
        let entry = self.entry(key)?;
        let number = match entry.node.value {
            // Whole numbers of rules are small: nothing is lost.
            Value::Int(i) => i32::try_from(i).map_or(f64::INFINITY, f64::from),
            Value::Float(f) => f,
            _ => return self.wrong(entry, "a number"),
        };
        if range.contains(&number) {
            return Some(number);
        }
        let words = format!("{} must be between {} and {}", quoted(key), range.start(), range.end());
        self.sink
            .push(Problem::error(codes::RANGE, &entry.node.place, words).label("out of range"));
        None
    }

    /// `run`: program and arguments, which must be there.
    pub fn need_run(&self, help: &str) -> Vec<Sp<String>> {
        if !self.has("run") {
            self.missing("run", help);
        }
        self.some_texts("run").map(|t| t.v).unwrap_or_default()
    }

    /// A duration of this range.
    pub fn duration(&self, key: &'static str, range: RangeInclusive<Millis>) -> Option<Millis> {
        let entry = self.entry(key)?;
        value::duration(&entry.node, key, &range, self.sink)
    }

    /// One of these words.
    pub fn choice(&self, key: &'static str, words: &[&'static str]) -> Option<&'static str> {
        let text = self.text(key)?;
        let found = words.iter().find(|w| **w == text.v).copied();
        if found.is_none() {
            let near = self
                .sink
                .nearest(&text.v, words.iter().copied())
                .map(|w| format!("did you mean {}?", quoted(w)));
            let problem = Problem::error(codes::CHOICE, &text.at, format!("{} cannot be {}", quoted(key), quoted(&text.v)));
            self.sink
                .push(problem.label(format!("must be one of {}", list(words))).maybe_help(near));
        }
        found
    }

    /// A table inside this one.
    pub fn table(&self, key: &'static str, what: impl Into<String>) -> Option<Reader<'a>> {
        Reader::of(self.entry(key)?, what, self.sink)
    }

    /// The entries of a table inside this one; keys of people's own left out.
    pub fn entries(&self, key: &'static str) -> Vec<&'a Entry> {
        let Some(entry) = self.entry(key) else { return Vec::new() };
        if let Value::Table(table) = &entry.node.value {
            return table.0.iter().filter(|e| !e.key.starts_with("x-")).collect();
        }
        self.wrong::<()>(entry, "a table");
        Vec::new()
    }

    /// Refuses keys that the language has and this version has not.
    pub fn not_yet(&self, keys: &[&'static str]) {
        for key in keys {
            if let Some(entry) = self.table.get(key) {
                self.asked.borrow_mut().push(key);
                let words = format!("{} is not available yet in this version", quoted(key));
                let problem = Problem::error(codes::NOT_YET, &entry.key_place, words).label("not available yet");
                self.sink
                    .push(problem.help("remove the key: it would have no effect, and nothing is ignored silently"));
            }
        }
    }

    /// Whatever was not asked for is unknown.
    pub fn finish(&self) {
        let mut asked = self.asked.borrow().clone();
        asked.sort_unstable();
        asked.dedup();
        for entry in &self.table.0 {
            if entry.key.starts_with("x-") || asked.iter().any(|k| *k == entry.key) {
                continue;
            }
            let words = format!("{} has no key {}", self.what, quoted(&entry.key));
            let help = match self.sink.nearest(&entry.key, asked.iter().copied()) {
                Some(near) => format!("did you mean {}?", quoted(near)),
                None => format!("the keys are {}; keys of your own begin with `x-`", list(&asked)),
            };
            self.sink.push(
                Problem::error(codes::UNKNOWN_KEY, &entry.key_place, words)
                    .label("unknown key")
                    .help(help),
            );
        }
    }
}

/// Says that a value is of the wrong kind.
pub fn wrong_type(sink: &Sink, node: &Node, what: &str, due: &str) {
    let problem = Problem::error(codes::WRONG_TYPE, &node.place, format!("{what} must be {due}"));
    sink.push(problem.label(format!("this is {}", node.value.kind())));
}
