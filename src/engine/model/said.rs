//! What people said that agents are to be told: answers, reasons of rejections, notes of retries.

use serde::{Deserialize, Serialize};

use super::Seq;

/// Longest that all words which wait for a run are together, in bytes: room for one message as long
/// as any door takes, and for shorter ones besides. Beyond it the oldest go.
const SAID_MAX: usize = 128 * 1024;

/// Words of a person that no run has taken up yet, as the agents are told them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Said {
    /// The event that brought them: later words have a higher number.
    pub seq: Seq,
    /// Who said what, as the next note has it.
    pub text: String,
    /// Whether they answer a question.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answer: bool,
    /// Whether a run of this round has ended that had begun before they came.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missed: bool,
}

impl Said {
    /// Adds words to those that wait.
    pub fn add(waiting: &mut Vec<Self>, seq: Seq, text: String, answer: bool) {
        waiting.push(Self {
            seq,
            text,
            answer,
            missed: false,
        });
        let total = |all: &[Self]| all.iter().map(|said| said.text.len()).sum::<usize>();
        while waiting.len() > 1 && total(waiting) > SAID_MAX {
            waiting.remove(0);
        }
    }

    /// The last of the words that a run was told whose job carried `note`; 0 where it was told none.
    #[must_use]
    pub fn heard(waiting: &[Self], note: &str) -> Seq {
        let told = waiting.iter().take_while(|said| note.contains(&said.text));
        told.last().map(|said| said.seq).unwrap_or_default()
    }

    /// The note of a job that has not begun, with `words` behind those it has: none of them twice.
    #[must_use]
    pub fn behind(note: Option<String>, words: &[String]) -> Option<String> {
        words.iter().fold(note, |note, text| match note {
            Some(note) if note.contains(text) => Some(note),
            Some(note) if !note.is_empty() => Some(format!("{note}\n\n{text}")),
            _ => Some(text.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(texts: &[&str]) -> Vec<Said> {
        let mut all = Vec::new();
        for (text, seq) in texts.iter().zip(1..) {
            Said::add(&mut all, Seq(seq), (*text).to_owned(), true);
        }
        all
    }

    #[test]
    fn a_run_heard_what_its_note_holds_up_to_the_first_word_it_does_not() {
        let all = waiting(&["alice: red", "bob: size 5", "alice: red"]);
        assert_eq!(Said::heard(&all, "alice: red\n\nbob: size 5"), Seq(3));
        assert_eq!(Said::heard(&all, "alice: red"), Seq(1), "the same again behind a word it missed");
        assert_eq!(Said::heard(&all, ""), Seq(0));
        assert_eq!(Said::heard(&[], "alice: red"), Seq(0));
    }

    #[test]
    fn words_stand_behind_the_note_once_and_in_order() {
        let words = ["one".to_owned(), "two".to_owned()];
        let note = Said::behind(None, &words);
        assert_eq!(note.as_deref(), Some("one\n\ntwo"));
        assert_eq!(Said::behind(note.clone(), &words), note);
    }

    #[test]
    fn more_than_is_kept_loses_the_oldest_and_never_the_last() {
        let long = "x".repeat(SAID_MAX / 2);
        let texts: Vec<String> = (0..3).map(|n| format!("{n}{long}")).collect();
        let all = waiting(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(all.iter().map(|s| s.seq).collect::<Vec<_>>(), [Seq(3)]);
        let one = waiting(&[&"y".repeat(SAID_MAX * 2)]);
        assert_eq!(one.len(), 1);
    }
}
