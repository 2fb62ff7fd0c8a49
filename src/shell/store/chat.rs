//! What is in the chat because of us: the card of each task, and where a room has moved.

use rusqlite::params;

use super::codec::{Fields, exec, first, list};
use super::{Effect, Result, Store, inbox, outbox};
use crate::engine::model::{Millis, Name, Seq, TaskId};

/// The message that is a task's card in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardRow {
    /// The message's id in the room.
    pub message: i64,
    /// Digest of what it shows.
    pub shown: String,
}

/// A visit of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The stage.
    pub stage: Name,
    /// When it was entered.
    pub at: Millis,
}

impl Store {
    /// The card of a task in a room.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn card(&self, task: TaskId, room: &str) -> Result<Option<CardRow>> {
        let room = room.to_owned();
        self.read(move |conn| {
            let sql = "SELECT task, message, shown FROM chat_cards WHERE task = ?1 AND room = ?2";
            first(conn, sql, params![task.0, room], |row| {
                let f = Fields::new(row, "chat_cards", "task");
                Ok(CardRow {
                    message: f.get("message")?,
                    shown: f.get("shown")?,
                })
            })
        })
        .await
    }

    /// This message is the task's card in the room from now on.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn save_card(&self, task: TaskId, room: &str, card: CardRow, now: Millis) -> Result<()> {
        let room = room.to_owned();
        self.write(move |conn| {
            let sql = "INSERT INTO chat_cards (task, room, message, shown, changed_at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE \
                       SET message = excluded.message, shown = excluded.shown, changed_at = excluded.changed_at";
            exec(conn, sql, params![task.0, room, card.message, card.shown, now.0]).map(|_| ())
        })
        .await
    }

    /// The room that the chat has put in the place of this one, if it has.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn room_moved(&self, room: &str) -> Result<Option<String>> {
        let room = room.to_owned();
        self.read(move |conn| {
            first(conn, "SELECT moved_to FROM chat_rooms WHERE room = ?1", [room], |row| {
                Ok(row.get(0)?)
            })
        })
        .await
    }

    /// The chat has put another room in the place of this one.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn save_room_moved(&self, room: &str, to: &str, now: Millis) -> Result<()> {
        let (room, to) = (room.to_owned(), to.to_owned());
        self.write(move |conn| {
            let sql = "INSERT INTO chat_rooms (room, moved_to, moved_at) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE \
                       SET moved_to = excluded.moved_to, moved_at = excluded.moved_at";
            exec(conn, sql, params![room, to, now.0]).map(|_| ())
        })
        .await
    }

    /// The task's visits, oldest first.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn entries(&self, task: TaskId) -> Result<Vec<Entry>> {
        self.read(move |conn| {
            let sql = "SELECT s.id AS id, s.stage_before AS stage, i.at AS at FROM steps s JOIN inbox i ON i.seq = s.seq \
                       WHERE s.task = ?1 AND i.kind = 'entered' ORDER BY s.id";
            list(conn, sql, [task.0], |row| {
                let f = Fields::new(row, "steps", "id");
                Ok(Entry {
                    stage: f.name("stage")?,
                    at: f.time("at")?,
                })
            })
        })
        .await
    }

    /// Everything that waits for the chat is due now: it may have been mended.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn hasten_chat(&self, now: Millis) -> Result<()> {
        self.write(move |conn| {
            let sql = "UPDATE outbox SET next_at = ?1 WHERE state = 'open' AND lane = 'chat' AND next_at > ?1";
            exec(conn, sql, [now.0]).map(|_| ())
        })
        .await
    }

    /// Has a card made for each task that is not over and has none in the room; how many.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn cards_due(&self, room: &str, now: Millis) -> Result<usize> {
        let room = room.to_owned();
        self.write(move |conn| {
            let sql =
                "SELECT id FROM tasks t WHERE terminal = 0 AND NOT EXISTS (SELECT 1 FROM chat_cards c WHERE c.task = t.id AND c.room = ?1)";
            let tasks = list(conn, sql, [room], |row| Ok(TaskId(row.get(0)?)))?;
            for task in &tasks {
                if let Some(target) = inbox::of_task(conn, *task)? {
                    outbox::push(conn, &target, &Effect::Card, Seq(0), now)?;
                }
            }
            Ok(tasks.len())
        })
        .await
    }
}
