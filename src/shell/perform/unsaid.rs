//! What will never be done, though it was decided: operators are told, for nobody else would know.

use super::Failure;
use crate::shell::store::{Effect, GivenUp};

/// Most of a comment that is repeated, in characters.
const WORDS: usize = 80;
const UNSEEN: &str = "was given up, and nobody sees it on the board";

/// What came of what an effect was to say or do; nothing for what is told to operators themselves: that it does not reach them cannot be told.
pub(super) fn what(effect: &Effect) -> Option<String> {
    match effect {
        Effect::Alert { .. } | Effect::Card => None,
        Effect::Comment { text, .. } => Some(format!("a comment that begins \u{201c}{}\u{201d} {UNSEEN}", first_words(text))),
        Effect::Status { status } => Some(format!("the status {status:?} {UNSEEN}")),
        Effect::Settle { .. } | Effect::Kill { .. } | Effect::Act(_) | Effect::CleanUp(_) => {
            Some(format!("a step ({}) was given up", effect.kind()))
        }
    }
}

/// What operators are told of it, each once; where nothing can be said any more at all, that once.
pub(super) fn alert(id: i64, about: &str, what: &str, failure: &Failure) -> Option<GivenUp> {
    let (key, more) = match failure {
        Failure::Never(_) => (format!("unsaid-{id}"), ""),
        Failure::Nowhere(_) => (
            "unsaid-nowhere".to_owned(),
            " What follows there is given up as well, and not told again.",
        ),
        _ => return None,
    };
    let text = format!("{about}: {what}: {failure}. `signalbox why` says what the task waits for.{more}");
    Some(GivenUp { key, text })
}

fn first_words(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut words: String = text.chars().take(WORDS).collect();
    if words.len() < text.len() {
        words.push('\u{2026}');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::{Kill, RunId};

    fn comment(text: &str) -> Effect {
        Effect::Comment {
            key: "k".to_owned(),
            text: text.to_owned(),
            agent: None,
        }
    }

    #[test]
    fn what_is_told_names_whose_what_and_why() {
        let what = what(&comment("Which of\n\n the two?")).unwrap();
        let told = alert(
            7,
            "ORCH-003",
            &what,
            &Failure::Never("the server refuses the request (400)".to_owned()),
        )
        .unwrap();
        assert_eq!(told.key, "unsaid-7");
        let begin = "ORCH-003: a comment that begins \u{201c}Which of the two?\u{201d} was given up, and nobody sees it on the board: \
                     the server refuses the request (400).";
        assert!(told.text.starts_with(begin), "{}", told.text);
        assert_eq!(first_words(&"a".repeat(81)).chars().count(), 81);
        let step = super::what(&Effect::Kill {
            run: RunId(3),
            why: Kill::Stop,
        })
        .unwrap();
        assert_eq!(step, "a step (kill) was given up", "no board shows those");
    }

    #[test]
    fn alerts_and_cards_tell_of_no_alert() {
        let told = Effect::Alert {
            key: "k".to_owned(),
            text: "t".to_owned(),
        };
        assert_eq!((what(&told), what(&Effect::Card)), (None, None));
        assert!(alert(1, "A", "x", &Failure::LeftOut("the board has no status".to_owned())).is_none());
    }
}
