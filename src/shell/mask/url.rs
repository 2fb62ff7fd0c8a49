//! The user-info of URLs: `scheme://user:password@` becomes `scheme://***@`.

use super::MASKED;

/// Longest user-info, in bytes; what is longer is none.
const LONGEST: usize = 1024;
/// A user name alone of at least this many bytes is taken for a token; `git@` and the like are not.
const TOKEN: usize = 12;

/// Where in a URL the stream is.
#[derive(Debug, Clone, Default)]
pub(super) struct UserInfo {
    /// The last byte that went by.
    before: u8,
    /// Characters of `://` seen.
    seen: usize,
    /// What follows `://`, until it is known for what it is.
    info: Option<Vec<u8>>,
}

impl UserInfo {
    /// Takes what comes next; gives what is known.
    pub(super) fn push(&mut self, text: Vec<u8>) -> Vec<u8> {
        if self.info.is_none() && self.seen == 0 && memchr::memchr(b':', &text).is_none() {
            self.before = text.last().copied().unwrap_or(self.before);
            return text;
        }
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text.as_slice();
        while let Some((byte, after)) = rest.split_first() {
            if let Some(info) = &mut self.info {
                if ends(*byte) || info.len() == LONGEST {
                    self.finish(&mut out);
                } else {
                    info.push(*byte);
                    rest = after;
                }
                continue;
            }
            if self.seen == 0 {
                let plain = memchr::memchr(b':', rest).unwrap_or(rest.len());
                if plain > 0 {
                    out.extend_from_slice(&rest[..plain]);
                    self.before = rest[plain - 1];
                    rest = &rest[plain..];
                    continue;
                }
            }
            self.one(*byte);
            out.push(*byte);
            rest = after;
        }
        out
    }

    fn one(&mut self, byte: u8) {
        self.seen = match (self.seen, byte) {
            (_, b':') => usize::from(schemes(self.before)),
            (1, b'/') => 2,
            (2, b'/') => {
                self.info = Some(Vec::new());
                0
            }
            _ => 0,
        };
        self.before = byte;
    }

    /// What was held back is no longer awaited.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        let Some(info) = self.info.take() else { return };
        self.before = info.last().copied().unwrap_or(b'/');
        // What ends in a colon may have been another scheme.
        self.seen = usize::from(matches!(info.as_slice(), [.., b, b':'] if schemes(*b)));
        match info.iter().rposition(|b| *b == b'@') {
            Some(end) if end >= TOKEN || info[..end].contains(&b':') => {
                out.extend_from_slice(MASKED);
                out.extend_from_slice(&info[end..]);
            }
            _ => out.extend_from_slice(&info),
        }
    }
}

/// Whether a scheme may end with this byte.
fn schemes(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// Whether no user-info can hold this byte.
fn ends(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f || matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'\\' | b'`')
}
