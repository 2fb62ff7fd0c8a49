//! JSON documents between the lines of a log.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// Longest line that is looked at: results carry what was refused, and that may be whole files.
const LINE_MAX: usize = 8 * 1024 * 1024;
/// Bytes of the log's end in which a document spread over lines is looked for.
const SPREAD_MAX: usize = 1024 * 1024;
/// Beginnings of such documents that are tried, the last one first.
const TRIES: usize = 50;
/// Beginnings of a document that other output precedes that are tried.
const PRECEDED_TRIES: usize = 4;
/// How a result mostly begins that other output precedes on its line.
const RESULT: &str = r#"{"type":"result""#;

/// What a terminal takes for a change of colours, and the like.
static COLOURS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\x1b\[[0-9;:?]*[ -/]*[@-~]").ok());

/// Takes a log in pieces and hands out its documents. What they are given to answers whether they
/// said how the run stands.
#[derive(Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    too_long: bool,
    end: Vec<u8>,
    spoke: bool,
    /// Something that began like a document could not be read since the last word.
    cut: bool,
}

impl Lines {
    /// The next piece of the log.
    pub(super) fn feed(&mut self, bytes: &[u8], take: &mut dyn FnMut(&Value) -> bool) {
        self.remember(bytes);
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|b| *b == b'\n') {
            self.extend(&rest[..at]);
            self.line_ends(true, take);
            rest = &rest[at + 1..];
        }
        self.extend(rest);
    }

    fn remember(&mut self, bytes: &[u8]) {
        self.end.extend_from_slice(&bytes[bytes.len().saturating_sub(SPREAD_MAX)..]);
        if self.end.len() > 2 * SPREAD_MAX {
            self.end.drain(..self.end.len() - SPREAD_MAX);
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = LINE_MAX - self.line.len();
        self.too_long |= bytes.len() > room;
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn line_ends(&mut self, ended: bool, take: &mut dyn FnMut(&Value) -> bool) {
        let bytes = std::mem::take(&mut self.line);
        let whole = !std::mem::take(&mut self.too_long);
        let text = plain(&bytes);
        let text = text.trim();
        let document = text.starts_with(['{', '[']);
        let read = match serde_json::from_str::<Value>(text) {
            Ok(Value::Array(items)) if whole && document => Some(items),
            Ok(doc @ Value::Object(_)) if whole => Some(vec![doc]),
            _ => preceded(text, document),
        };
        match read {
            Some(docs) => {
                for doc in &docs {
                    self.hand(doc, take);
                }
            }
            None => self.cut |= document && (!ended || like_a_document(text)),
        }
    }

    fn hand(&mut self, doc: &Value, take: &mut dyn FnMut(&Value) -> bool) {
        if take(doc) {
            self.spoke = true;
            self.cut = false;
        }
    }

    /// The log is over. Returns whether something was cut off after the last word.
    pub(super) fn finish(mut self, take: &mut dyn FnMut(&Value) -> bool) -> bool {
        if !self.line.is_empty() {
            self.line_ends(false, take);
        }
        if !self.spoke {
            self.spread(take);
        }
        self.cut
    }

    /// A last document spread over lines, or a list of them.
    fn spread(&mut self, take: &mut dyn FnMut(&Value) -> bool) {
        let text = plain(&self.end);
        let first = text.starts_with(['{', '[']).then_some(0);
        let inner = text
            .rmatch_indices(['{', '['])
            .filter(|(at, _)| *at > 0 && text.as_bytes()[at - 1] == b'\n')
            .map(|(at, _)| at);
        for at in inner.take(TRIES).chain(first) {
            for doc in first_document(&text[at..]) {
                self.hand(&doc, take);
            }
            if self.spoke {
                return;
            }
        }
    }
}

/// The text of a line, without colours.
fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    match COLOURS.as_ref().filter(|_| text.contains('\x1b')) {
        Some(colours) => colours.replace_all(&text, "").into_owned(),
        None => text.into_owned(),
    }
}

/// Whether a whole line that cannot be read may have been a document: `[wrapper] done` and `{oops` are none.
fn like_a_document(text: &str) -> bool {
    match text.strip_prefix('[') {
        Some(behind) => matches!(behind.trim_start().chars().next(), None | Some('{')),
        None => text == "{" || text.contains("\":"),
    }
}

/// Documents beside other output on their line. What begins like a document itself and cannot be read to its end was cut
/// off: of the documents inside it, only a result says something about the run.
fn preceded(text: &str, document: bool) -> Option<Vec<Value>> {
    if let Some(result) = text.rfind(RESULT).and_then(|at| first_object(&text[at..])) {
        return Some(vec![result]);
    }
    if document {
        return Some(leading(text)).filter(|docs| !docs.is_empty());
    }
    let mut begins = text.match_indices("{\"").take(PRECEDED_TRIES);
    begins.find_map(|(at, _)| rest_of_line(&text[at..])).map(|doc| vec![doc])
}

/// The whole documents at the beginning of a line; what another stream wrote may stand behind them.
fn leading(text: &str) -> Vec<Value> {
    let stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    stream.map_while(Result::ok).take_while(Value::is_object).collect()
}

/// The document that makes up the rest of a line; an array it ends may be closed behind it.
fn rest_of_line(text: &str) -> Option<Value> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let doc = stream.next()?.ok()?;
    let behind = text.get(stream.byte_offset()..)?.trim();
    (doc.is_object() && matches!(behind, "" | "]")).then_some(doc)
}

fn first_object(text: &str) -> Option<Value> {
    let doc = serde_json::Deserializer::from_str(text).into_iter::<Value>().next()?.ok()?;
    doc.is_object().then_some(doc)
}

/// The documents of the value that a text begins with.
fn first_document(text: &str) -> Vec<Value> {
    match serde_json::Deserializer::from_str(text).into_iter::<Value>().next() {
        Some(Ok(Value::Array(items))) => items,
        Some(Ok(doc @ Value::Object(_))) => vec![doc],
        _ => Vec::new(),
    }
}
