//! Telegram's bot interface: the calls that are made, and what its answers mean.
//!
//! The token is part of every address. No error of the HTTP library is told with its address, and
//! whatever is told is searched for the token besides.

use std::error::Error as _;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::html::Html;
use crate::shell::http;
use crate::shell::secret::Secret;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest answer that is read, in bytes.
const ANSWER: usize = 64 * 1024;
/// How long to wait when the chat asks for less haste and does not say how much less.
const SOME_TIME: Duration = Duration::from_secs(30);
/// Longest wait that is believed.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// Too fast: not before this long.
    #[error("it asks to wait for {} s", .0.as_secs())]
    Slow(Duration),
    /// The group is another room now.
    #[error("the group is now {0}")]
    Moved(i64),
    /// The message to be edited is gone, or may not be edited any more.
    #[error("{0}")]
    Gone(String),
    /// The markup is not understood.
    #[error("{0}")]
    Markup(String),
    /// The token, the room or the bot's rights: somebody has to mend it.
    #[error("{0}")]
    Barred(String),
    /// This message will never be taken.
    #[error("{0}")]
    Bad(String),
    /// It may work later.
    #[error("{0}")]
    Down(String),
}

/// A bot.
pub(super) struct Telegram {
    http: Client,
    url: String,
    token: Secret,
}

/// An answer, as the interface describes it.
#[derive(Debug, Default, Deserialize)]
struct Answer {
    #[serde(default)]
    ok: bool,
    #[serde(default)]
    result: Json,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
    migrate_to_chat_id: Option<i64>,
}

impl Telegram {
    /// The bot of this token.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(url: &str, token: Secret) -> Result<Self, String> {
        let http = http::builder(url)
            .timeout(PATIENCE)
            .connect_timeout(CONNECT)
            .build()
            .map_err(|e| format!("chat: no HTTP client can be made: {}", e.without_url()))?;
        Ok(Self {
            http,
            url: url.to_owned(),
            token,
        })
    }

    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// Sends a message; its id.
    pub async fn send(&self, room: &str, text: &Html, markup: bool) -> Result<i64, Refusal> {
        let mut body = body(room, text, markup);
        body["disable_notification"] = json!(false);
        let result = self.call("sendMessage", &body).await?;
        result["message_id"]
            .as_i64()
            .ok_or_else(|| Refusal::Down("its answer names no message".to_owned()))
    }

    /// Puts another text in the place of a message's.
    pub async fn edit(&self, room: &str, message: i64, text: &Html, markup: bool) -> Result<(), Refusal> {
        let mut body = body(room, text, markup);
        body["message_id"] = json!(message);
        match self.call("editMessageText", &body).await {
            Ok(_) => Ok(()),
            // It says already what it should say.
            Err(Refusal::Bad(why)) if why.contains("message is not modified") => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// Who the bot is; nothing is sent to anybody.
    pub async fn me(&self) -> Result<String, Refusal> {
        let me = self.call("getMe", &json!({})).await?;
        let name = me["username"].as_str();
        Ok(name.map_or_else(|| "without a name".to_owned(), |n| self.tame(&format!("@{n}"))))
    }

    /// What a room is called; nothing is sent to it.
    pub async fn room(&self, room: &str) -> Result<String, Refusal> {
        let seen = self.call("getChat", &json!({ "chat_id": chat_id(room) })).await?;
        let name = seen["title"].as_str().or(seen["username"].as_str()).or(seen["type"].as_str());
        Ok(self.tame(name.unwrap_or("without a title")))
    }

    async fn call(&self, method: &str, body: &Json) -> Result<Json, Refusal> {
        let url = format!("{}/bot{}/{method}", self.url, self.token.reveal());
        let answer = self.http.post(url).json(body).send().await.map_err(|e| self.down(e))?;
        let status = answer.status();
        let waits = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
        let text = self.read(answer).await?;
        let answer: Option<Answer> = serde_json::from_slice(&text).ok();
        match answer {
            Some(answer) if status.is_success() && answer.ok => Ok(answer.result),
            Some(answer) => Err(self.refusal(status, &answer, waits)),
            None if status.is_success() => Err(Refusal::Down("its answer is not that of a bot interface".to_owned())),
            None => Err(self.refusal(status, &Answer::default(), waits)),
        }
    }

    /// Reads an answer as far as it may be long.
    async fn read(&self, mut answer: reqwest::Response) -> Result<Vec<u8>, Refusal> {
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| self.down(e))? {
            text.extend_from_slice(&chunk);
            if text.len() > ANSWER {
                return Err(Refusal::Down("its answer is longer than 64 KiB".to_owned()));
            }
        }
        Ok(text)
    }

    /// What an answer other than yes means.
    fn refusal(&self, status: StatusCode, answer: &Answer, waits: Option<u64>) -> Refusal {
        if let Some(room) = answer.parameters.migrate_to_chat_id {
            return Refusal::Moved(room);
        }
        let said = self.tame(&answer.description);
        let why = if said.is_empty() { format!("it answers {status}") } else { said };
        let says = |part: &str| answer.description.contains(part);
        match status.as_u16() {
            429 => {
                let wait = answer.parameters.retry_after.or(waits).map_or(SOME_TIME, Duration::from_secs);
                Refusal::Slow(wait.clamp(Duration::from_secs(1), LONGEST))
            }
            400 if says("can't parse entities") => Refusal::Markup(why),
            400 if ["message to edit not found", "MESSAGE_ID_INVALID", "message can't be edited"]
                .iter()
                .any(|p| says(p)) =>
            {
                Refusal::Gone(why)
            }
            400 if [
                "chat not found",
                "PEER_ID_INVALID",
                "not enough rights",
                "have no rights",
                "TOPIC_CLOSED",
            ]
            .iter()
            .any(|p| says(p)) =>
            {
                Refusal::Barred(format!("{why}: see to `chat` under [chat] and to the bot's rights in the room"))
            }
            401 | 404 => Refusal::Barred(format!("{why}: see to `token` and `url` under [chat]")),
            403 => Refusal::Barred(format!("{why}: let the bot into the room, or name another under [chat]")),
            408 | 409 | 300..=399 | 500.. => Refusal::Down(why),
            _ => Refusal::Bad(why),
        }
    }

    fn down(&self, error: reqwest::Error) -> Refusal {
        let error = error.without_url();
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            text = format!("{text}: {inner}");
            cause = inner.source();
        }
        Refusal::Down(self.tame(&text))
    }

    /// Words from outside: one line, short, without the token.
    fn tame(&self, text: &str) -> String {
        let text = self.token.scrub(text);
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
    }
}

/// A number is sent as a number; `@name` as it is.
fn chat_id(room: &str) -> Json {
    room.parse::<i64>().map_or_else(|_| json!(room), |number| json!(number))
}

fn body(room: &str, text: &Html, markup: bool) -> Json {
    let mut body = json!({ "chat_id": chat_id(room), "text": text.as_str(), "link_preview_options": { "is_disabled": true } });
    if markup {
        body["parse_mode"] = json!("HTML");
    } else {
        body["text"] = json!(text.plain());
    }
    body
}

#[cfg(test)]
#[path = "telegram_tests.rs"]
mod tests;
