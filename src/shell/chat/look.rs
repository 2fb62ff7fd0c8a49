//! A look at the chat that sends nothing: who the bot is, and whether it sees its room.

use std::path::Path;
use std::time::Duration;

use crate::engine::rules;

use super::secret;
use super::telegram::{Refusal, Telegram};

/// What was seen.
#[derive(Debug)]
pub struct Look {
    /// The bot's name.
    pub bot: Result<String, Trouble>,
    /// The room's title; none when the bot was not recognised.
    pub room: Option<Result<String, Trouble>>,
}

/// Why something was not seen. It never holds the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Somebody has to mend it.
    #[error("{0}")]
    Barred(String),
    /// The room has another number now.
    #[error("the group is now {0}")]
    Moved(i64),
    /// It may work later.
    #[error("{0}")]
    Later(String),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Moved(to) => Self::Moved(to),
            Refusal::Slow(_) | Refusal::Down(_) => Self::Later(refusal.to_string()),
            other => Self::Barred(other.to_string()),
        }
    }
}

/// Looks at the room that the configuration names, at most `patience` for each of two answers.
///
/// # Errors
/// One sentence with the remedy: the token cannot be read, or is none.
pub async fn look(chat: &rules::Chat, dir: &Path, patience: Duration) -> Result<Look, String> {
    let telegram = Telegram::new(&chat.url, secret(chat, dir)?)?;
    let late = |_| Err(Refusal::Down("no answer in time".to_owned()));
    let bot = tokio::time::timeout(patience, telegram.me()).await.unwrap_or_else(late);
    let room = match &bot {
        Ok(_) => Some(tokio::time::timeout(patience, telegram.room(&chat.room)).await.unwrap_or_else(late)),
        Err(_) => None,
    };
    Ok(Look {
        bot: bot.map_err(Trouble::from),
        room: room.map(|r| r.map_err(Trouble::from)),
    })
}
