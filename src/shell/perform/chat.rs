//! What the chat is told: alerts, each once as far as that can be known, and a card per task that
//! is edited in place. Whatever the chat does, no task waits for it.

use sha2::{Digest, Sha256};

use super::Failure;
use crate::engine::model::Millis;
use crate::shell::chat::{Failed, Html, Room, Turn};
use crate::shell::service::Service;
use crate::shell::store::{CardRow, OutboxRow, StoreError};
use crate::shell::{card, clock};

/// How long an alert is kept for a chat that bars us.
const KEPT: Millis = Millis(24 * 3_600_000);
/// How often a message is put elsewhere before it is left for later: the room has moved, the message is gone.
const TURNS: u32 = 4;
/// How soon it is looked at again then.
const SOON: Millis = Millis(5_000);

/// An alert is a line in the log, at a level that stands out, and a message where there is a chat.
pub(super) async fn alert(service: &Service, row: &OutboxRow, text: &str) -> Result<(), Failure> {
    let Some(room) = service.chat.room() else {
        told(row, text);
        return Ok(service.store.effect_done(row.id, None, clock::now()).await?);
    };
    if row.progress.is_none() {
        told(row, text);
        // Said once in the log, however often the chat is tried.
        match service.store.effect_progress(row.id, serde_json::json!("in the log")).await {
            Err(StoreError::Conflict | StoreError::Gone) => return Ok(()),
            other => other?,
        }
    }
    let text = match row.target.task {
        Some(task) => match card::link(service, task).await? {
            Some(url) => format!("{text}\n{url}"),
            None => text.to_owned(),
        },
        None => text.to_owned(),
    };
    let html = Html::of_text(&text);
    let mut turn = room.turn().await;
    for _ in 0..TURNS {
        match turn.put(None, &html).await {
            Ok(_) => return Ok(service.store.effect_done(row.id, None, clock::now()).await?),
            Err(Failed::Moved(to)) => moved(service, &room, &to).await?,
            Err(Failed::Closed { why, barred: true, .. }) if clock::now().since(row.created_at) > KEPT => {
                return Err(Failure::Never(format!("the chat took no alert for a day: {why}")));
            }
            Err(failed) => return Err(failed.into()),
        }
    }
    Err(Failure::Wait("the room keeps moving".to_owned(), SOON))
}

fn told(row: &OutboxRow, text: &str) {
    tracing::warn!(target: "alert", project = %row.target.project, "{text}");
}

/// The card of a task as the task stands when its turn has come: however many changes there were
/// meanwhile, the newest is what is shown.
pub(super) async fn card(service: &Service, row: &OutboxRow) -> Result<(), Failure> {
    if let (Some(room), Some(task)) = (service.chat.room(), row.target.task) {
        let mut turn = room.turn().await;
        if let Some(html) = card::content(service, task).await? {
            let html = Html::of_html(&html);
            show(service, row, &room, &mut turn, &html).await?;
        }
    }
    Ok(service.store.effect_done(row.id, None, clock::now()).await?)
}

async fn show(service: &Service, row: &OutboxRow, room: &Room, turn: &mut Turn<'_>, html: &Html) -> Result<(), Failure> {
    let Some(task) = row.target.task else { return Ok(()) };
    let shown = hex::encode(Sha256::digest(html.as_str().as_bytes()));
    let mut lost = false;
    for _ in 0..TURNS {
        let place = room.place();
        let known = service.store.card(task, &place).await?.filter(|_| !lost);
        if known.as_ref().is_some_and(|card| card.shown == shown) {
            return Ok(());
        }
        match turn.put(known.map(|card| card.message), html).await {
            Ok(message) => {
                let card = CardRow { message, shown };
                return Ok(service.store.save_card(task, &place, card, clock::now()).await?);
            }
            Err(Failed::Moved(to)) => moved(service, room, &to).await?,
            // Somebody has deleted it: a new one takes its place.
            Err(Failed::Gone) => lost = true,
            Err(failed) => return Err(failed.into()),
        }
    }
    Err(Failure::Wait("the room keeps moving".to_owned(), SOON))
}

/// The group has become another room: remembered for good, and to be told in the configuration.
async fn moved(service: &Service, room: &Room, to: &str) -> Result<(), Failure> {
    tracing::warn!(
        "the chat's group {} is the room {to} now: messages go there; say chat = \"{to}\" under [chat]",
        room.configured()
    );
    service.store.save_room_moved(room.configured(), to, clock::now()).await?;
    room.move_to(to);
    Ok(())
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Closed { why, pause, .. } => Self::Wait(why, pause),
            Failed::Never(why) => Self::Never(why),
            Failed::Moved(_) | Failed::Gone => Self::Wait("the chat has lost its place".to_owned(), SOON),
        }
    }
}
