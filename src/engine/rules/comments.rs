//! Comments of a TOML text: what begins with `#` outside of strings.

use std::ops::Range;

/// A comment.
#[derive(Debug, PartialEq, Eq)]
pub struct Comment<'a> {
    /// Its text, from `#` to the end of the line.
    pub text: &'a str,
    /// Its bytes.
    pub span: Range<usize>,
    /// Whether nothing else stands on its line.
    pub alone: bool,
}

/// The comments of a text.
pub fn comments(text: &str) -> Vec<Comment<'_>> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let (mut at, mut line) = (0_usize, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\n' => {
                at = at.saturating_add(1);
                line = at;
            }
            b'#' => {
                let end = text
                    .get(at..)
                    .and_then(|r| r.find(['\r', '\n']))
                    .map_or(text.len(), |i| at.saturating_add(i));
                out.push(Comment {
                    text: text.get(at..end).unwrap_or_default(),
                    span: at..end,
                    alone: text.get(line..at).is_some_and(|before| before.trim().is_empty()),
                });
                at = end;
            }
            b'"' | b'\'' => at = string_end(bytes, at),
            _ => at = at.saturating_add(1),
        }
    }
    out
}

/// The byte after the string that begins here.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let quote = bytes.get(start).copied().unwrap_or_default();
    let long = bytes.get(start..).is_some_and(|r| r.starts_with(&[quote; 3]));
    let mut at = start.saturating_add(if long { 3 } else { 1 });
    while let Some(&byte) = bytes.get(at) {
        if byte == b'\\' && quote == b'"' {
            at = at.saturating_add(2);
        } else if !long && (byte == quote || byte == b'\n') {
            return at.saturating_add(usize::from(byte == quote));
        } else if long && bytes.get(at..).is_some_and(|r| r.starts_with(&[quote; 3])) {
            // Up to two quotes may stand right before the closing three.
            let more = bytes.iter().skip(at.saturating_add(3)).take(2).take_while(|b| **b == quote).count();
            return at.saturating_add(3).saturating_add(more);
        } else {
            at = at.saturating_add(1);
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(&str, bool)> {
        comments(text).into_iter().map(|c| (c.text, c.alone)).collect()
    }

    #[test]
    fn comments_are_told_from_strings() {
        let text = "# one\na = \"# no\" # two\n  # three\r\nb = '# no' #four\nc = \"\"\"\n# no \\\"\"\" # no\n\"\"\"\" # five\nd = '''# no''' # six\ne = \"# open\n# seven";
        let found = texts(text);
        assert_eq!(
            found,
            [
                ("# one", true),
                ("# two", false),
                ("# three", true),
                ("#four", false),
                ("# five", false),
                ("# six", false),
                ("# seven", true)
            ]
        );
    }

    #[test]
    fn escapes_do_not_end_a_string() {
        assert_eq!(texts(r#"a = "\" # no" # yes"#), [("# yes", false)]);
        assert_eq!(texts(r"a = '\' # yes"), [("# yes", false)]);
        assert!(texts("a = \"\"\"# never closed").is_empty());
    }
}
