//! A finding: what is wrong, where, and how to mend it.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use super::files::Files;

/// Findings kept at most, so that a hopeless file costs bounded memory and time.
pub const KEPT: usize = 10_000;

/// After so many errors nearest words are no longer looked for: nobody reads that far.
const SUGGESTED: usize = 200;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The rules cannot be used.
    Error,
    /// The rules can be used; somebody should look.
    Warning,
}

/// Another place that belongs to a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Related {
    /// File, as people see it.
    pub file: String,
    /// Bytes of that file.
    pub span: Range<usize>,
    /// What is there.
    pub label: String,
}

/// A finding of the loader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable code, `SB0101`; `signalbox validate --explain CODE` has its page.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence.
    pub message: String,
    /// File, as people see it.
    pub file: String,
    /// Bytes of that file; `None` when the finding is about the file as a whole.
    pub span: Option<Range<usize>>,
    /// Line, from 1; 0 without a span.
    pub line: u32,
    /// Column in characters, from 1; 0 without a span.
    pub column: u32,
    /// What is at the span.
    pub label: String,
    /// How to mend it.
    pub help: Option<String>,
    /// Other places that belong to it.
    pub related: Vec<Related>,
}

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Path in [`Files`].
    pub file: Arc<str>,
    /// Bytes of that file.
    pub span: Range<usize>,
}

impl Place {
    /// The beginning of a file.
    pub fn start(file: &Arc<str>) -> Self {
        Self {
            file: Arc::clone(file),
            span: 0..0,
        }
    }
}

/// A finding being written; [`Sink::push`] takes it.
#[derive(Debug)]
#[must_use]
pub struct Problem {
    code: &'static str,
    severity: Severity,
    place: Place,
    whole: bool,
    message: String,
    label: String,
    help: Option<String>,
    related: Vec<(Place, String)>,
}

impl Problem {
    /// An error.
    pub fn error(code: &'static str, place: &Place, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            place: place.clone(),
            whole: false,
            message: message.into(),
            label: String::new(),
            help: None,
            related: Vec::new(),
        }
    }

    /// A warning.
    pub fn warning(code: &'static str, place: &Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, place, message)
        }
    }

    /// It is about the file as a whole.
    pub fn whole_file(mut self) -> Self {
        self.whole = true;
        self
    }

    /// What is at the place.
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.label = text.into();
        self
    }

    /// How to mend it.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// How to mend it, where something is known.
    pub fn maybe_help(mut self, text: Option<String>) -> Self {
        self.help = text.or(self.help);
        self
    }

    /// Another place that belongs to it.
    pub fn related(mut self, place: &Place, label: impl Into<String>) -> Self {
        self.related.push((place.clone(), label.into()));
        self
    }
}

/// Collects findings; the same finding is kept once, however many pipelines show it.
#[derive(Debug)]
pub struct Sink<'f> {
    files: &'f Files,
    found: RefCell<Vec<Problem>>,
    seen: RefCell<HashSet<u64>>,
    errors: Cell<usize>,
    good: RefCell<HashSet<String>>,
}

impl<'f> Sink<'f> {
    /// An empty collection over these files.
    pub fn new(files: &'f Files) -> Self {
        Self {
            files,
            found: RefCell::default(),
            seen: RefCell::default(),
            errors: Cell::new(0),
            good: RefCell::default(),
        }
    }

    /// Whether `check` finds nothing wrong with a pattern. What was found good before is not looked
    /// at again: pipelines on one base share their patterns.
    pub fn good_once(&self, pattern: &str, check: impl FnOnce() -> bool) -> bool {
        if self.good.borrow().contains(pattern) {
            return true;
        }
        let good = check();
        if good {
            self.good.borrow_mut().insert(pattern.to_owned());
        }
        good
    }

    /// Errors pushed so far, repeated ones included: a section that raises it has failed.
    pub fn errors(&self) -> usize {
        self.errors.get()
    }

    /// Takes a finding.
    pub fn push(&self, problem: Problem) {
        if problem.severity == Severity::Error {
            self.errors.set(self.errors.get().saturating_add(1));
        }
        let mut found = self.found.borrow_mut();
        if found.len() < KEPT && self.seen.borrow_mut().insert(problem.identity()) {
            found.push(problem);
        }
    }

    /// "did you mean …?", or the list of what there is; `None` once there are very many errors.
    pub fn suggest<'a>(&self, word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
        (self.errors() < SUGGESTED).then(|| suggest(word, known)).flatten()
    }

    /// The known word nearest to a misspelt one; `None` once there are very many errors.
    pub fn nearest<'a>(&self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        (self.errors() < SUGGESTED).then(|| nearest(word, known)).flatten()
    }

    /// All findings, by file and place.
    pub fn into_sorted(self) -> Vec<Diagnostic> {
        let mut problems = self.found.into_inner();
        problems.sort_by(|a, b| a.order(self.files).cmp(&b.order(self.files)));
        let mut cursor = Cursor::default();
        problems.into_iter().map(|p| p.finish(self.files, &mut cursor)).collect()
    }
}

impl Problem {
    /// Two problems with the same identity are one.
    fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.code, &self.place.file, &self.place.span, &self.message, &self.label).hash(&mut hasher);
        hasher.finish()
    }

    /// What findings are sorted by.
    fn order<'a>(&self, files: &'a Files) -> (&'a str, usize, Severity, &'static str)
    where
        Self: 'a,
    {
        let start = if self.whole { 0 } else { self.place.span.start };
        let shown = files.get(&self.place.file).map_or("", |s| s.shown.as_str());
        (shown, start, self.severity, self.code)
    }

    fn finish(self, files: &Files, cursor: &mut Cursor) -> Diagnostic {
        let text = files.get(&self.place.file).map_or("", |s| s.text.as_str());
        let span = (!self.whole && !text.is_empty()).then(|| clamp(text, &self.place.span));
        let (line, column) = span.as_ref().map_or((0, 0), |s| cursor.position(&self.place.file, text, s.start));
        let related = self.related.into_iter().map(|(place, label)| {
            let text = files.get(&place.file).map_or("", |s| s.text.as_str());
            Related {
                file: files.shown(&place.file).to_owned(),
                span: clamp(text, &place.span),
                label,
            }
        });
        Diagnostic {
            code: self.code,
            severity: self.severity,
            message: self.message,
            file: files.shown(&self.place.file).to_owned(),
            span,
            line,
            column,
            label: self.label,
            help: self.help,
            related: related.collect(),
        }
    }
}

/// Counts lines and columns of one file after another, each text once.
#[derive(Debug, Default)]
struct Cursor {
    file: Option<Arc<str>>,
    at: usize,
    line: u32,
    column: u32,
}

impl Cursor {
    /// Line and column of a byte; fast when it does not lie before the last one asked for.
    fn position(&mut self, file: &Arc<str>, text: &str, at: usize) -> (u32, u32) {
        if self.file.as_ref() != Some(file) || at < self.at {
            *self = Self {
                file: Some(Arc::clone(file)),
                at: 0,
                line: 1,
                column: 1,
            };
        }
        for c in text.get(self.at..at).unwrap_or_default().chars() {
            if c == '\n' {
                self.line = self.line.saturating_add(1);
                self.column = 1;
            } else {
                self.column = self.column.saturating_add(1);
            }
        }
        self.at = at;
        (self.line, self.column)
    }
}

/// The span within the text, on character borders: slicing and rendering by it cannot panic.
pub fn clamp(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
    start..end
}

/// Line and column (in characters) of a byte, both from 1.
pub fn position(text: &str, at: usize) -> (u32, u32) {
    let before = &text[..text.floor_char_boundary(at.min(text.len()))];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

/// A word from a file as it may stand in a sentence: quoted, without control characters, short.
pub fn quoted(word: &str) -> String {
    let mut out = String::from("`");
    for (i, c) in word.chars().enumerate() {
        if i == 80 {
            out.push('…');
            break;
        }
        if c.is_control() {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
    }
    out.push('`');
    out
}

/// The known word nearest to a misspelt one, when it is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 100 {
        return None;
    }
    let lower = word.to_lowercase();
    let score = |k: &str| {
        if k.to_lowercase() == lower {
            2.0
        } else {
            strsim::jaro_winkler(&lower, &k.to_lowercase())
        }
    };
    let best = known
        .into_iter()
        .map(|k| (score(k), k))
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)));
    best.filter(|(s, _)| *s > 0.79).map(|(_, k)| k)
}

/// "did you mean …?", or the list of what there is.
pub fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(near) = nearest(word, known.clone()) {
        return Some(format!("did you mean {}?", quoted(near)));
    }
    let mut all: Vec<&str> = known.into_iter().collect();
    all.sort_unstable();
    all.dedup();
    match all.len() {
        0 => None,
        1..=20 => Some(format!("there is {}", list(&all))),
        n => Some(format!("there are {n}: {} …", list(&all[..20]))),
    }
}

/// Words as a list for people.
pub fn list<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|w| quoted(w.as_ref())).collect::<Vec<_>>().join(", ")
}
