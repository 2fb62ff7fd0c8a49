//! Repositories: what their tasks share, versioned.

use rusqlite::{Connection, Row, params};

use super::codec::{Fields, exec, first, json, list};
use super::freezes::{self, Note};
use super::{NewEvent, Result, Store, StoreError, inbox};
use crate::engine::model::{Repo, RepoId};

impl Store {
    /// The repository of this key (its identity on the forge), made where there is none.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn repo(&self, key: &str) -> Result<Repo> {
        let wanted = key.to_owned();
        if let Some(repo) = self.read(move |conn| by_key(conn, &wanted)).await? {
            return Ok(repo);
        }
        let key = key.to_owned();
        self.write(move |conn| {
            let state = json(&Repo::default())?;
            exec(
                conn,
                "INSERT INTO repos (key, version, state) VALUES (?1, 0, ?2) ON CONFLICT (key) DO NOTHING",
                params![key, state],
            )?;
            by_key(conn, &key)?.ok_or(StoreError::Gone)
        })
        .await
    }

    /// The repository.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is none.
    pub async fn repo_by_id(&self, id: RepoId) -> Result<Repo> {
        self.read(move |conn| by_id(conn, id)).await
    }

    /// Writes a repository that was made from version `before`, and records the events that follow
    /// from it, in one transaction; what it did to a freeze goes into its history, with `note`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the stored one has moved: read and decide again.
    pub async fn change_repo(&self, repo: Repo, before: i64, note: Note, events: Vec<NewEvent>) -> Result<()> {
        self.write(move |conn| {
            save(conn, &repo, before, &note)?;
            for event in &events {
                inbox::insert(conn, event)?;
            }
            Ok(())
        })
        .await
    }

    /// All repositories with their keys, by id.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn repos(&self) -> Result<Vec<(String, Repo)>> {
        self.read(|conn| {
            list(conn, "SELECT * FROM repos ORDER BY id", [], |row| {
                Ok((row.get("key")?, decode(row)?))
            })
        })
        .await
    }
}

fn by_key(conn: &Connection, key: &str) -> Result<Option<Repo>> {
    first(conn, "SELECT * FROM repos WHERE key = ?1", [key], decode)
}

/// The repository as stored.
pub(super) fn by_id(conn: &Connection, id: RepoId) -> Result<Repo> {
    first(conn, "SELECT * FROM repos WHERE id = ?1", [id.0], decode)?.ok_or(StoreError::Gone)
}

/// All repositories, by id.
pub(super) fn all(conn: &Connection) -> Result<Vec<Repo>> {
    list(conn, "SELECT * FROM repos ORDER BY id", [], decode)
}

/// Writes `repo`, which was made from version `before`, when it says something new.
///
/// # Errors
/// [`StoreError::Conflict`] when the stored one has moved.
pub(super) fn save(conn: &Connection, repo: &Repo, before: i64, note: &Note) -> Result<()> {
    let stored = by_id(conn, repo.id)?;
    if stored.version != before {
        return Err(StoreError::Conflict);
    }
    if (Repo {
        version: before,
        ..repo.clone()
    }) == stored
    {
        return Ok(());
    }
    freezes::keep(conn, &stored, repo, note)?;
    let next = Repo {
        version: before.saturating_add(1),
        ..repo.clone()
    };
    exec(
        conn,
        "UPDATE repos SET version = ?2, state = ?3 WHERE id = ?1",
        params![repo.id.0, next.version, json(&next)?],
    )?;
    Ok(())
}

fn decode(row: &Row<'_>) -> Result<Repo> {
    let f = Fields::new(row, "repos", "id");
    let repo: Repo = f.json("state")?;
    Ok(Repo {
        id: RepoId(f.get("id")?),
        version: f.get("version")?,
        ..repo
    })
}
