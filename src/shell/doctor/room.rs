//! The chat: whether the bot is known, and whether it sees the room.

use crate::engine::rules::Chat;
use crate::shell::chat::{self, Trouble};

use super::{Ask, Notes};

pub(super) async fn look(ask: Ask<'_>, chat: &Chat, mut notes: Notes) -> Notes {
    if notes.secret("chat.secret", "chat.token", &chat.token, ask.dir).is_none() {
        return notes;
    }
    let look = match chat::look(chat, ask.dir, ask.patience).await {
        Ok(look) => look,
        Err(why) => {
            notes.problem(
                "chat.secret",
                why,
                "alerts and cards are not sent",
                "put the bot's token where `chat.token` points",
            );
            return notes;
        }
    };
    let why = "alerts and cards are not sent; tasks do not wait for them";
    match look.bot {
        Ok(name) => notes.ok("chat.bot", format!("the chat knows the bot {name}")),
        Err(Trouble::Barred(words)) => {
            let mend = "ask @BotFather for the bot's token and put it where `chat.token` points; see `chat.url` as well";
            notes.problem("chat.bot", format!("the chat refuses the bot's token: {words}"), why, mend);
            return notes;
        }
        Err(other) => {
            notes.problem(
                "chat.reach",
                format!("the chat does not answer: {other}"),
                why,
                "see `chat.url` and the way there",
            );
            return notes;
        }
    }
    match look.room {
        Some(Ok(title)) => notes.ok("chat.room", format!("the bot sees the room {} ({title})", chat.room)),
        Some(Err(Trouble::Moved(to))) => {
            let mend = format!("set chat = \"{to}\" under [chat]");
            notes.warning(
                "chat.room",
                format!("the group is now {to}"),
                "the service follows, but asks twice at each start",
                &mend,
            );
        }
        Some(Err(Trouble::Barred(words))) => {
            let mend = "add the bot to the room, in a channel as administrator, or correct `chat` under [chat]";
            notes.problem(
                "chat.room",
                format!("the bot does not see the room {}: {words}", chat.room),
                why,
                mend,
            );
        }
        Some(Err(other)) => notes.problem(
            "chat.reach",
            format!("the chat does not answer: {other}"),
            why,
            "see `chat.url` and the way there",
        ),
        None => {}
    }
    notes
}
