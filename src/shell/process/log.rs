//! Reading run logs: piecewise, and without letting them talk to the terminal.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use nix::unistd::{Whence, lseek};

use super::files::open_regular;

/// At most `max` bytes of a log from `offset` on, and the offset to go on from. Empty at the end;
/// the dropped middle of a log that grew over its limit is skipped.
///
/// # Errors
/// When the log cannot be read, or what lies in its place is no regular file.
pub async fn read_from(path: &Path, offset: u64, max: usize) -> io::Result<(Vec<u8>, u64)> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || read(&path, offset, max))
        .await
        .unwrap_or_else(|e| Err(io::Error::other(e)))
}

pub(super) fn read(path: &Path, offset: u64, max: usize) -> io::Result<(Vec<u8>, u64)> {
    let mut file = open_regular(path)?;
    let size = file.metadata()?.len();
    if offset >= size {
        return Ok((Vec::new(), size));
    }
    let from = data_from(&file, offset).unwrap_or(offset);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    let read = file.take(max as u64).read_to_end(&mut bytes)?;
    // The hole is whole blocks; its edges are filled with zeroes.
    bytes.retain(|b| *b != 0);
    Ok((bytes, from + read as u64))
}

/// The first byte at or after `offset` that is not in a hole; `None` where the file system cannot tell.
fn data_from(file: &File, offset: u64) -> Option<u64> {
    let at = lseek(file, i64::try_from(offset).ok()?, Whence::SeekData).ok()?;
    u64::try_from(at).ok()
}

/// The text with everything made visible that a terminal or a reader would obey instead of show:
/// control characters (except line feed and tab), bidi overrides, other invisible formatting.
#[must_use]
pub fn defuse(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' if chars.peek() == Some(&'\n') => {}
            // The control pictures block shows the C0 controls in order.
            '\0'..='\u{1f}' => out.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}')),
            '\u{7f}' => out.push('\u{2421}'),
            _ if deceptive(c) => {
                let _ = write!(out, "<U+{:04X}>", c as u32);
            }
            _ => out.push(c),
        }
    }
    out
}

fn deceptive(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{9f}' | '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_and_bidi_become_visible() {
        assert_eq!(defuse("a\x1b[31mred\x07\r\nb\rc\td"), "a␛[31mred␇\nb␍c\td");
        assert_eq!(defuse("x\u{202e}y\u{2066}\u{9b}\u{7f}ü😀"), "x<U+202E>y<U+2066><U+009B>␡ü😀");
    }

    #[tokio::test]
    async fn reads_on_from_where_it_stopped() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("1.log");
        std::fs::write(&path, b"hello world")?;
        assert_eq!(read_from(&path, 0, 5).await?, (b"hello".to_vec(), 5));
        assert_eq!(read_from(&path, 5, 100).await?, (b" world".to_vec(), 11));
        assert_eq!(read_from(&path, 11, 100).await?, (vec![], 11));
        assert_eq!(
            read_from(&path, 99, 100).await?,
            (vec![], 11),
            "a log that was cut short is read from its new end"
        );
        assert!(read_from(&dir.path().join("none"), 0, 1).await.is_err());
        Ok(())
    }
}
