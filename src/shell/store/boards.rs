//! Boards outside: since when each is followed for a project, and when it was last heard of.

use rusqlite::{Connection, params};

use super::codec::{Fields, exec, first, list};
use super::{Result, Store};
use crate::engine::model::{Millis, Name};

/// When a board was last heard of is written down at most this often, in milliseconds; what was missed is looked for from
/// some minutes before it anyway.
const HEARD_EVERY: i64 = 60_000;

/// What is known of a project's board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownBoard {
    /// Since when the service has known it, by the clock as it is set now.
    pub since: Millis,
    /// When it was last heard of; none when it never was.
    pub heard: Option<Millis>,
}

/// Open tasks of a project that began on another board than the one that is followed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBoard {
    /// Address of the server and workspace of that board.
    pub server: String,
    /// Id of its project there, in small letters.
    pub board: String,
    /// How many tasks.
    pub tasks: u32,
    /// Since when another is followed.
    pub since: Millis,
}

impl Store {
    /// The service follows this board of this server for the project, and did before unless it did not: since when, and
    /// what else is known of it.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn follow_board(&self, project: &Name, server: &str, board: &str, now: Millis) -> Result<KnownBoard> {
        let (project, server, board) = (project.clone(), server.to_owned(), board.to_lowercase());
        self.write(move |conn| {
            let place = params![project.as_str(), server, board];
            exec(
                conn,
                "UPDATE boards SET server = ?2, board = ?3 WHERE project = ?1 AND board = ''",
                place,
            )?;
            let sql = "INSERT INTO boards (project, server, board, since) SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS \
                       (SELECT 1 FROM boards WHERE id = (SELECT MAX(id) FROM boards WHERE project = ?1) AND server = ?2 AND board = ?3)";
            exec(conn, sql, params![project.as_str(), server, board, now.0])?;
            known(conn, &project, &board).map(|known| known.unwrap_or(KnownBoard { since: now, heard: None }))
        })
        .await
    }

    /// Boards on which open tasks of the project began and which are followed no longer. One whose server has another address
    /// now is the same.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn boards_left(&self, project: &Name) -> Result<Vec<LeftBoard>> {
        let project = project.clone();
        self.read(move |conn| {
            list(conn, LEFT, [project.as_str()], |row| {
                let f = Fields::new(row, "boards", "server");
                Ok(LeftBoard {
                    server: f.get("server")?,
                    board: f.get("board")?,
                    tasks: f.small("tasks")?,
                    since: f.time("since")?,
                })
            })
        })
        .await
    }

    /// What is known of the board that is followed for the project; none where none outside is.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn board(&self, project: &Name) -> Result<Option<KnownBoard>> {
        let project = project.clone();
        self.read(move |conn| {
            let sql = "SELECT id, board FROM boards WHERE project = ?1 ORDER BY id DESC LIMIT 1";
            let board = first(conn, sql, [project.as_str()], |row| {
                Fields::new(row, "boards", "id").get::<String>("board")
            })?;
            board.map_or(Ok(None), |board| known(conn, &project, &board))
        })
        .await
    }
}

/// The board of a task is the one that was followed when the task was made.
const LEFT: &str = "SELECT o.server, o.board, COUNT(*) AS tasks, (SELECT MIN(n.since) FROM boards n WHERE n.project = ?1 AND n.id > o.id AND n.board <> o.board) AS since \
     FROM tasks t JOIN boards o ON o.id = (SELECT MAX(b.id) FROM boards b WHERE b.project = ?1 AND b.since <= t.created_at) \
     WHERE t.project = ?1 AND t.terminal = 0 \
     AND o.board <> (SELECT c.board FROM boards c WHERE c.project = ?1 ORDER BY c.id DESC LIMIT 1) GROUP BY o.server, o.board ORDER BY o.id";

/// However often it was left and taken up again meanwhile.
fn known(conn: &Connection, project: &Name, board: &str) -> Result<Option<KnownBoard>> {
    let sql = "SELECT MIN(since) AS since, MAX(heard) AS heard FROM boards WHERE project = ?1 AND board = ?2";
    let found = first(conn, sql, [project.as_str(), board], |row| {
        let f = Fields::new(row, "boards", "since");
        let since: Option<i64> = f.get("since")?;
        let heard = f.time_opt("heard")?;
        Ok(since.map(|since| KnownBoard {
            since: Millis(since),
            heard,
        }))
    })?;
    Ok(found.flatten())
}

/// The boards of these projects were heard of: to the minute, so that a burst of deliveries is no burst of this.
pub(super) fn heard(conn: &Connection, projects: &[Name], at: Millis) -> Result<()> {
    let sql = "UPDATE boards SET heard = ?2 WHERE id = (SELECT MAX(id) FROM boards WHERE project = ?1) AND (heard IS NULL OR heard < ?3)";
    for project in projects {
        exec(conn, sql, params![project.as_str(), at.0, at.0.saturating_sub(HEARD_EVERY)])?;
    }
    Ok(())
}
