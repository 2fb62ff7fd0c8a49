//! Masking secrets in a stream of output, before any of it is kept.
//!
//! A value is found as it is, in base64 at each of its three alignments (standard and URL-safe), percent-encoded and
//! escaped for JSON; so is the user-info of any URL. What comes out is the same however the stream is cut into chunks:
//! only what may be the beginning of something to be masked is held back until more comes. Values of fewer than
//! [`SHORTEST`] bytes are left alone, since masking them would deface ordinary words.

mod forms;
mod url;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use url::UserInfo;

/// Values of fewer bytes than this are not masked.
pub const SHORTEST: usize = 6;
/// What stands in the place of what was masked.
pub const MASKED: &[u8] = b"***";

/// Words in the name of a variable that make its value a secret.
const SECRETIVE: &[&str] = &[
    "KEY",
    "TOKEN",
    "SECRET",
    "PASS",
    "PASSWORD",
    "PASSWD",
    "CREDENTIAL",
    "AUTH",
    "COOKIE",
    "PRIVATE",
    "DSN",
];

/// Whether a variable of this name holds a secret: one of its `_`-separated words is, or ends with, a word for such.
#[must_use]
pub fn secretive(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    upper.split('_').any(|word| {
        SECRETIVE
            .iter()
            .any(|s| word.ends_with(s) || word.strip_suffix('S').is_some_and(|w| w.ends_with(s)))
    })
}

/// Masks one stream.
#[derive(Debug, Clone)]
pub struct Mask {
    finder: Option<AhoCorasick>,
    /// Sorted: what may go on is found by its beginning.
    forms: Vec<Vec<u8>>,
    longest: usize,
    /// What may be the beginning of a form.
    held: Vec<u8>,
    info: UserInfo,
}

impl Mask {
    /// Masks these values in all their forms, and the user-info of URLs.
    pub fn new<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> Self {
        let mut forms: Vec<Vec<u8>> = values.into_iter().flat_map(|value| forms::of(value.as_ref())).collect();
        forms.sort_unstable();
        forms.dedup();
        // Of what is found at one place the longest counts. A finder that cannot be built is one for values far beyond
        // any secret's length; the forms of a kilobyte take some hundred kilobytes.
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&forms)
            .ok()
            .filter(|_| !forms.is_empty());
        Self {
            longest: forms.iter().map(Vec::len).max().unwrap_or_default(),
            finder,
            forms,
            held: Vec::new(),
            info: UserInfo::default(),
        }
    }

    /// Takes the next chunk; gives what is sure to be kept as it is now.
    #[must_use]
    pub fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(chunk.len() + self.held.len());
        self.found(chunk, false, &mut out);
        self.info.push(out)
    }

    /// The rest: nothing more comes.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.found(b"", true, &mut out);
        let mut out = self.info.push(out);
        self.info.finish(&mut out);
        out
    }

    /// A whole text.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut whole = self.clone();
        whole.held.clear();
        whole.info = UserInfo::default();
        let mut out = whole.push(text.as_bytes());
        out.extend(whole.finish());
        String::from_utf8_lossy(&out).into_owned()
    }

    fn found(&mut self, chunk: &[u8], last: bool, out: &mut Vec<u8>) {
        let Some(finder) = &self.finder else {
            out.extend_from_slice(chunk);
            return;
        };
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(chunk);
        let mut at = 0;
        loop {
            let open = if last { text.len() } else { self.open(&text, at) };
            match finder.find(&text[at..]) {
                // Before whatever may still become a form of its own: nothing that comes can change it.
                Some(found) if at + found.start() < open => {
                    out.extend_from_slice(&text[at..at + found.start()]);
                    out.extend_from_slice(MASKED);
                    at += found.end();
                }
                _ => {
                    out.extend_from_slice(&text[at..open]);
                    text.drain(..open);
                    self.held = text;
                    return;
                }
            }
        }
    }

    /// Where from `at` on the first form begins that the text's end cuts off; its length if none does.
    fn open(&self, text: &[u8], at: usize) -> usize {
        let from = at.max(text.len().saturating_sub(self.longest.saturating_sub(1)));
        (from..text.len()).find(|i| self.begins(&text[*i..])).unwrap_or(text.len())
    }

    fn begins(&self, end: &[u8]) -> bool {
        let next = self.forms.partition_point(|form| form.as_slice() <= end);
        self.forms.get(next).is_some_and(|form| form.starts_with(end))
    }
}

#[cfg(test)]
mod tests;
