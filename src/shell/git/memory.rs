//! Answers of git that do not change, kept while there is room.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};

use super::command::Output;

/// Most that is kept, bytes; everything is forgotten when that is reached.
const ROOM: usize = 4 << 20;
/// Longest answer that is kept, bytes.
const LONGEST: usize = 128 << 10;

/// Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    answers: HashMap<Vec<OsString>, (i32, Arc<[u8]>)>,
    bytes: usize,
}

impl Memory {
    /// The answer to these words.
    pub fn recall(&self, words: &[OsString]) -> Option<Output> {
        let (code, stdout) = self.0.lock().unwrap_or_else(PoisonError::into_inner).answers.get(words).cloned()?;
        Some(Output {
            code,
            stdout: stdout.to_vec(),
            stderr: Vec::new(),
        })
    }

    /// Keeps an answer, if it is short.
    pub fn keep(&self, words: Vec<OsString>, answer: &Output) {
        let size = words
            .iter()
            .map(|word| word.len())
            .sum::<usize>()
            .saturating_add(answer.stdout.len());
        if size > LONGEST {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes.saturating_add(size) > ROOM {
            *kept = Kept::default();
        }
        let before = kept.answers.insert(words, (answer.code, Arc::from(answer.stdout.as_slice())));
        if before.is_none() {
            kept.bytes += size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    fn answer(stdout: Vec<u8>) -> Output {
        Output {
            code: 1,
            stdout,
            stderr: Vec::new(),
        }
    }

    #[test]
    fn what_was_answered_is_known_until_there_is_no_room() {
        let memory = Memory::default();
        assert!(memory.recall(&words("log a")).is_none());
        memory.keep(words("log a"), &answer(b"yes".to_vec()));
        let known = memory.clone().recall(&words("log a")).unwrap();
        assert_eq!((known.code, known.stdout), (1, b"yes".to_vec()));
        assert!(memory.recall(&words("log b")).is_none());
        memory.keep(words("long"), &answer(vec![0; LONGEST]));
        assert!(memory.recall(&words("long")).is_none(), "too long");
        for n in 0..ROOM / (LONGEST - 100) + 1 {
            memory.keep(words(&format!("n {n}")), &answer(vec![0; LONGEST - 100]));
        }
        assert!(memory.recall(&words("log a")).is_none());
        let kept = memory.0.lock().unwrap();
        let sum: usize = kept
            .answers
            .iter()
            .map(|(key, (_, out))| key.iter().map(|w| w.len()).sum::<usize>() + out.len())
            .sum();
        assert!(kept.bytes == sum && sum <= ROOM && !kept.answers.is_empty());
    }
}
