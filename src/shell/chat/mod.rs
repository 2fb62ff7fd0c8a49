//! The chat: one room of a bot, to which alerts and cards go.
//!
//! Nothing here decides or remembers anything about tasks. A [`Room`] lets one message through at
//! a time, as fast as the chat allows, and knows whether the chat works at present.

mod html;
mod look;
mod pace;
mod room;
mod telegram;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use crate::engine::rules;
use crate::shell::secret::Secret;

pub use html::{Html, LIMIT};
pub use look::{Look, Trouble, look};
pub use room::{Failed, Problem, Room, Turn};

/// The chat in force, if there is one.
#[derive(Default)]
pub struct Chat(RwLock<Option<Arc<Room>>>);

impl Chat {
    /// The room that messages go to.
    #[must_use]
    pub fn room(&self) -> Option<Arc<Room>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Messages go to this room from now on. A room with the same settings stays, with what it
    /// knows about its limits, and is tried again if it had refused.
    pub fn set(&self, room: Option<Room>) {
        let mut present = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match (present.as_ref(), room) {
            (Some(old), Some(new)) if old.same(&new) => old.try_again(),
            (old, new) => {
                if let Some(old) = old {
                    old.retire();
                }
                *present = new.map(Arc::new);
            }
        }
    }
}

/// The room that the configuration names; its secret is read from `dir`.
///
/// # Errors
/// One sentence with the remedy; never the token.
pub fn open(chat: &rules::Chat, dir: &Path) -> Result<Room, String> {
    Room::new(chat, secret(chat, dir)?)
}

/// The bot's token, checked to be one: it becomes a part of addresses.
fn secret(chat: &rules::Chat, dir: &Path) -> Result<Secret, String> {
    let token = Secret::read(&chat.token, dir).map_err(|why| format!("chat.token: {why}"))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-');
    if !token.reveal().chars().all(plain) {
        return Err("chat.token: this is no token of a bot; it looks like 123456789:AbC-dEf, without anything before or after".to_owned());
    }
    Ok(token)
}
