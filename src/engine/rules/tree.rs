//! TOML as a tree in which every key and value knows its place.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::codes;
use super::diagnostic::{Place, Problem, Sink};

/// Keys and array entries of one file at most: far more than any rules, few enough to look through.
const MAX_NODES: usize = 4000;

/// Syntax errors told per file at most: what comes later follows from the first ones.
const MAX_ERRORS: usize = 1000;

/// Repeated keys whose first place is looked for.
const MAX_TWINS: usize = 50;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written.
    pub place: Place,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Str(String),
    /// Integer.
    Int(i64),
    /// Float.
    Float(f64),
    /// Truth value.
    Bool(bool),
    /// Date or time, which no key of ours takes.
    Date(String),
    /// Array.
    Array(Vec<Node>),
    /// Table.
    Table(Table),
}

/// A table, in the order in which it was written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table(pub Vec<Entry>);

/// An entry of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Key.
    pub key: String,
    /// Where the key was written.
    pub key_place: Place,
    /// Value.
    pub node: Node,
}

impl Table {
    /// The entry of this key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.0.iter().find(|e| e.key == key)
    }

    /// The entry of this key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.0.iter_mut().find(|e| e.key == key)
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &str) -> Option<Entry> {
        let at = self.0.iter().position(|e| e.key == key)?;
        Some(self.0.remove(at))
    }
}

impl Value {
    /// The kind of value, with its article, for sentences.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Str(_) => "a string",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Bool(_) => "a boolean",
            Self::Date(_) => "a date",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }

    /// As JSON; dates become strings.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as J;
        match self {
            Self::Str(s) | Self::Date(s) => J::String(s.clone()),
            Self::Int(i) => J::from(*i),
            Self::Float(f) => serde_json::Number::from_f64(*f).map_or(J::Null, J::Number),
            Self::Bool(b) => J::Bool(*b),
            Self::Array(a) => J::Array(a.iter().map(|n| n.value.to_json()).collect()),
            Self::Table(t) => J::Object(t.0.iter().map(|e| (e.key.clone(), e.node.value.to_json())).collect()),
        }
    }
}

impl Node {
    /// The table, if it is one.
    pub fn table(&self) -> Option<&Table> {
        if let Value::Table(t) = &self.value { Some(t) } else { None }
    }

    /// From JSON, all at one place; `null` becomes an empty string.
    pub fn from_json(json: &serde_json::Value, place: &Place) -> Self {
        use serde_json::Value as J;
        let value = match json {
            J::Null => Value::Str(String::new()),
            J::Bool(b) => Value::Bool(*b),
            J::Number(n) => n.as_i64().map_or_else(|| Value::Float(n.as_f64().unwrap_or_default()), Value::Int),
            J::String(s) => Value::Str(s.clone()),
            J::Array(a) => Value::Array(a.iter().map(|j| Self::from_json(j, place)).collect()),
            J::Object(o) => Value::Table(Table(
                o.iter()
                    .map(|(k, j)| Entry {
                        key: k.clone(),
                        key_place: place.clone(),
                        node: Self::from_json(j, place),
                    })
                    .collect(),
            )),
        };
        Self {
            value,
            place: place.clone(),
        }
    }
}

/// Parses a document. `None` when its syntax is broken: what could be recovered would only
/// give rise to findings about things that nobody wrote. A key that stands twice breaks nothing.
pub fn parse(path: &Arc<str>, text: &str, sink: &Sink) -> Option<Node> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut broken = false;
    for (i, error) in errors.iter().enumerate().take(MAX_ERRORS) {
        let at = Place {
            file: Arc::clone(path),
            span: error.span().unwrap_or(0..0),
        };
        if error.message() == "duplicate key" {
            let mut problem = Problem::error(codes::DUPLICATE_KEY, &at, "this key stands twice in its table").label("again here");
            if i < MAX_TWINS
                && let Some(first) = first_of(root.get_ref(), text, &at.span)
            {
                problem = problem.related(
                    &Place {
                        file: Arc::clone(path),
                        span: first,
                    },
                    "first here",
                );
            }
            sink.push(problem.help("keep one of the two; the first one is what was read"));
        } else {
            broken = true;
            sink.push(syntax(&at, error.message(), error.span().is_some()));
        }
    }
    if broken {
        return None;
    }
    let root = DeValue::Table(root.into_inner());
    if count(&root) > MAX_NODES {
        let words = format!("this file holds more than {MAX_NODES} keys and entries: it cannot be a file of rules");
        let problem = Problem::error(codes::UNREADABLE_FILE, &Place::start(path), words).whole_file();
        sink.push(problem.help("remove it, or move it out of the folders that signalbox reads"));
        return None;
    }
    Some(convert(path, root, 0..0, sink))
}

/// Keys and array entries of a value, itself included.
fn count(value: &DeValue<'_>) -> usize {
    let inner: usize = match value {
        DeValue::Array(a) => a.iter().map(|v| count(v.get_ref())).sum(),
        DeValue::Table(t) => t.iter().map(|(_, v)| count(v.get_ref())).sum(),
        _ => 0,
    };
    inner.saturating_add(1)
}

fn syntax(at: &Place, words: &str, placed: bool) -> Problem {
    let problem = Problem::error(codes::SYNTAX, at, format!("this is not TOML: {words}")).label("here");
    let problem = match words {
        w if w.contains("recursion") => problem.help("tables and arrays may be nested 80 deep at most"),
        w if w.contains("quote") || w.contains("string") => problem.help("a string needs a quote at both ends: key = \"value\""),
        _ => problem,
    };
    if placed { problem } else { problem.whole_file() }
}

/// The place where a repeated key stood first: the same word as a key of some table, earlier.
fn first_of(table: &DeTable, text: &str, again: &Range<usize>) -> Option<Range<usize>> {
    let word = text.get(again.clone())?.trim_matches(['"', '\'']);
    let mut best = None;
    let mut todo = vec![table];
    while let Some(table) = todo.pop() {
        for (key, value) in table {
            if key.get_ref() == word && key.span().end <= again.start {
                best = best.max(Some((key.span().start, key.span().end)));
            }
            if let DeValue::Table(inner) = value.get_ref() {
                todo.push(inner);
            }
        }
    }
    best.map(|(start, end)| start..end)
}

fn convert(path: &Arc<str>, value: DeValue<'_>, span: Range<usize>, sink: &Sink) -> Node {
    let place = Place {
        file: Arc::clone(path),
        span,
    };
    let value = match value {
        DeValue::String(s) => Value::Str(s.into_owned()),
        DeValue::Integer(i) => Value::Int(i64::from_str_radix(i.as_str(), i.radix()).unwrap_or_else(|_| {
            sink.push(Problem::error(codes::RANGE, &place, "this integer does not fit into 64 bits").label("too large"));
            0
        })),
        DeValue::Float(f) => Value::Float(f.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(b) => Value::Bool(b),
        DeValue::Datetime(d) => Value::Date(d.to_string()),
        DeValue::Array(a) => Value::Array(a.into_iter().map(|v| inner(path, v, sink)).collect()),
        DeValue::Table(t) => Value::Table(table(path, t, sink)),
    };
    Node { value, place }
}

fn inner(path: &Arc<str>, value: Spanned<DeValue<'_>>, sink: &Sink) -> Node {
    let span = value.span();
    convert(path, value.into_inner(), span, sink)
}

fn table(path: &Arc<str>, table: DeTable<'_>, sink: &Sink) -> Table {
    let entries = table.into_iter().map(|(key, value)| Entry {
        key_place: Place {
            file: Arc::clone(path),
            span: key.span(),
        },
        key: key.into_inner().into_owned(),
        node: inner(path, value, sink),
    });
    Table(entries.collect())
}
