//! Deliveries: what trackers and forges told us, written down before they were answered.

use rusqlite::{Connection, Row, params};

use super::codec::{Fields, exec, first, json, list, one};
use super::writer::About;
use super::{Result, Store, boards};
use crate::engine::model::{Millis, Name};

/// How long a delivery that was dealt with is kept, and so how late a repetition is still known as one.
const KEPT: Millis = Millis(7 * 24 * 3_600_000);
/// Most deliveries forgotten at a time: forgetting never holds up the answer.
const FORGET: u32 = 64;
/// Every so many deliveries old ones are forgotten: fewer than go at a time.
const FORGET_EVERY: i64 = 16;

/// Who sent a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A Plane server.
    Plane,
    /// A Gitea or Forgejo server.
    Gitea,
}

impl Peer {
    /// Its name in rows, paths and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plane => "plane",
            Self::Gitea => "gitea",
        }
    }
}

/// A delivery to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Who sent it.
    pub peer: Peer,
    /// What the sender calls it, from the headers.
    pub event: String,
    /// The projects whose secret it was signed with; where it names the one it is about, that one alone.
    pub projects: Vec<Name>,
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// Hash of its content.
    pub digest: String,
    /// Whether the content does not tell one event from another: then it is looked at again each time it comes.
    pub again: bool,
    /// When it came.
    pub at: Millis,
}

/// A delivery that waits to be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its number.
    pub id: i64,
    /// Who sent it.
    pub peer: Peer,
    /// What the sender calls it.
    pub event: String,
    /// The projects whose secret it was signed with: it may speak for no other one.
    pub projects: Vec<Name>,
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// When it came.
    pub at: Millis,
    /// How often it was tried before; waiting for room is no try.
    pub attempts: u32,
    /// When it is looked at again.
    pub due: Millis,
}

/// A delivery that was tried and could not be understood yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldDelivery {
    /// Who sent it.
    pub peer: String,
    /// The projects whose secret it was signed with.
    pub projects: Vec<Name>,
    /// When it came.
    pub at: Millis,
    /// Why it waits, as of the last try.
    pub why: String,
    /// Whether it names the issue that was asked about.
    pub own: bool,
}

impl Store {
    /// Records a delivery; `None` when one of the same content is there already, which is taken up
    /// [`again`](NewDelivery::again) where that may be news.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn record_delivery(&self, new: NewDelivery) -> Result<Option<i64>> {
        self.write_about(About::Deliveries, move |conn| {
            let mut id = insert(conn, &new)?;
            if id.is_none() && forget(conn, new.at)? > 0 {
                // What it repeats may have been about to be forgotten.
                id = insert(conn, &new)?;
            } else if id.is_some_and(|id| id % FORGET_EVERY == 0) {
                forget(conn, new.at)?;
            }
            if id.is_none() && new.again {
                look_again(conn, &new)?;
            }
            if id.is_some() && new.peer == Peer::Plane {
                boards::heard(conn, &new.projects, new.at)?;
            }
            Ok(id)
        })
        .await
    }

    /// Deliveries that are due, in the order in which they came.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn deliveries_due(&self, now: Millis, most: u32) -> Result<Vec<DeliveryRow>> {
        self.read(move |conn| {
            let sql = "SELECT * FROM deliveries WHERE state = 'pending' AND due <= ?1 ORDER BY due, id LIMIT ?2";
            list(conn, sql, params![now.0, most], delivery)
        })
        .await
    }

    /// Whether the delivery still waits as it was read: nobody has closed it, put it off or taken it
    /// up again since.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn delivery_waits(&self, read: &DeliveryRow) -> Result<bool> {
        let (id, at, attempts, due) = (read.id, read.at.0, read.attempts, read.due.0);
        self.read(move |conn| {
            let sql = "SELECT EXISTS (SELECT 1 FROM deliveries \
                       WHERE id = ?1 AND state = 'pending' AND at = ?2 AND attempts = ?3 AND due = ?4)";
            one(conn, sql, params![id, at, attempts, due])
        })
        .await
    }

    /// Deliveries that were tried and could not be understood yet, the one that was tried last at the end.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn deliveries_held(&self) -> Result<Vec<HeldDelivery>> {
        self.read(|conn| {
            let sql =
                "SELECT id, peer, projects, at, why, '' AS own FROM deliveries WHERE state = 'pending' AND attempts > 0 ORDER BY due, id";
            list(conn, sql, [], held)
        })
        .await
    }

    /// The same of those that speak for this project; which of them name the issue is told.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn deliveries_held_about(&self, project: &Name, issue: &str) -> Result<Vec<HeldDelivery>> {
        let (project, issue) = (project.clone(), issue.to_owned());
        self.read(move |conn| {
            let sql = "SELECT id, peer, projects, at, why, CASE WHEN instr(body, CAST(?1 AS BLOB)) > 0 THEN ?1 ELSE '' END AS own \
                       FROM deliveries WHERE state = 'pending' AND attempts > 0 ORDER BY due, id";
            let mut found = list(conn, sql, [&issue], held)?;
            found.retain(|held| held.projects.contains(&project));
            Ok(found)
        })
        .await
    }

    /// When the next delivery is due.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn next_delivery(&self) -> Result<Option<Millis>> {
        self.read(|conn| {
            let sql = "SELECT MIN(due) AS due FROM deliveries WHERE state = 'pending'";
            let due = first(conn, sql, [], |row| Fields::new(row, "deliveries", "due").get::<Option<i64>>("due"))?;
            Ok(due.flatten().map(Millis))
        })
        .await
    }

    /// Closes a delivery: it was dealt with, or it means nothing here. What came of it is kept.
    ///
    /// One that has come again since it was read stays: what was looked at may be older than that.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn delivery_closed(&self, read: &DeliveryRow, dealt_with: bool, why: &str, now: Millis) -> Result<()> {
        let (id, at) = (read.id, read.at.0);
        let (state, why) = (if dealt_with { "done" } else { "dropped" }, why.to_owned());
        self.write_about(About::Deliveries, move |conn| {
            let sql = "UPDATE deliveries SET state = ?2, why = ?3, closed_at = ?4 WHERE id = ?1 AND at = ?5 AND state = 'pending'";
            exec(conn, sql, params![id, state, why, now.0, at]).map(|_| ())
        })
        .await
    }

    /// A delivery could not be dealt with yet: it is looked at again at `due`.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn delivery_later(&self, id: i64, why: &str, due: Millis) -> Result<()> {
        let why = why.to_owned();
        self.write_about(About::Deliveries, move |conn| {
            let sql = "UPDATE deliveries SET attempts = attempts + 1, why = ?2, due = ?3 WHERE id = ?1 AND state = 'pending'";
            exec(conn, sql, params![id, why, due.0]).map(|_| ())
        })
        .await
    }

    /// There is no room for a delivery until `due`. That is no try, but it is told from one that was never taken up.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn delivery_held(&self, id: i64, why: &str, due: Millis) -> Result<()> {
        let why = why.to_owned();
        self.write_about(About::Deliveries, move |conn| {
            let sql = "UPDATE deliveries SET attempts = MAX(attempts, 1), why = ?2, due = ?3 WHERE id = ?1 AND state = 'pending'";
            exec(conn, sql, params![id, why, due.0]).map(|_| ())
        })
        .await
    }

    /// What became of the last deliveries, the newest first: peer, event, state, why.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn deliveries_last(&self, most: u32) -> Result<Vec<(String, String, String, String)>> {
        self.read(move |conn| {
            let sql = "SELECT id, peer, event, state, why FROM deliveries ORDER BY id DESC LIMIT ?1";
            list(conn, sql, [most], |row| {
                let f = Fields::new(row, "deliveries", "id");
                Ok((f.get("peer")?, f.get("event")?, f.get("state")?, f.get("why")?))
            })
        })
        .await
    }
}

fn insert(conn: &Connection, new: &NewDelivery) -> Result<Option<i64>> {
    let sql = "INSERT INTO deliveries (peer, event, projects, body, digest, at, state, attempts, due, why) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', 0, ?6, '') ON CONFLICT DO NOTHING";
    let inserted = exec(
        conn,
        sql,
        params![new.peer.as_str(), new.event, json(&new.projects)?, new.body, new.digest, new.at.0],
    )?;
    Ok((inserted == 1).then(|| conn.last_insert_rowid()))
}

/// The same content once more: its delivery waits again. The time it came tells the two apart, also within a millisecond.
fn look_again(conn: &Connection, new: &NewDelivery) -> Result<()> {
    let sql = "UPDATE deliveries SET at = MAX(at + 1, ?3), projects = ?4, state = 'pending', attempts = 0, closed_at = NULL, \
               due = CASE state WHEN 'pending' THEN due ELSE ?3 END WHERE peer = ?1 AND digest = ?2";
    exec(conn, sql, params![new.peer.as_str(), new.digest, new.at.0, json(&new.projects)?]).map(|_| ())
}

/// Forgets what was dealt with long ago; how many deliveries. When a board was last heard of stays known.
fn forget(conn: &Connection, now: Millis) -> Result<usize> {
    let sql = "DELETE FROM deliveries WHERE id IN \
               (SELECT id FROM deliveries WHERE state <> 'pending' AND closed_at < ?1 ORDER BY closed_at LIMIT ?2)";
    exec(conn, sql, params![now.0.saturating_sub(KEPT.0), FORGET])
}

fn held(row: &Row<'_>) -> Result<HeldDelivery> {
    let f = Fields::new(row, "deliveries", "id");
    Ok(HeldDelivery {
        peer: f.get("peer")?,
        projects: f.json("projects")?,
        at: f.time("at")?,
        why: f.get("why")?,
        own: !f.get::<String>("own")?.is_empty(),
    })
}

fn delivery(row: &Row<'_>) -> Result<DeliveryRow> {
    let f = Fields::new(row, "deliveries", "id");
    let peer = match f.get::<String>("peer")?.as_str() {
        "plane" => Peer::Plane,
        "gitea" => Peer::Gitea,
        other => return Err(f.corrupt(format!("no peer is called {other:?}"))),
    };
    Ok(DeliveryRow {
        id: f.get("id")?,
        peer,
        event: f.get("event")?,
        projects: f.json("projects")?,
        body: f.get("body")?,
        at: f.time("at")?,
        attempts: f.small("attempts")?,
        due: f.time("due")?,
    })
}
