//! The built-in forge's rows: change requests, reviews and commit statuses.

use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::codec::{Fields, exec, first, list, one, word};
use super::{NewEvent, Result, Store, StoreError, inbox};
use crate::engine::model::{CheckState, Millis, RepoId, ReviewState};

/// A change request to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChange {
    /// The repository.
    pub repo: RepoId,
    /// The branch it brings, short name.
    pub branch: String,
    /// The branch it goes to, short name.
    pub base: String,
    /// Title.
    pub title: String,
    /// Description.
    pub body: String,
    /// The branch's commit.
    pub head: String,
    /// When.
    pub now: Millis,
}

/// A change request of a server, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenChange {
    /// The repository.
    pub repo: RepoId,
    /// The server's number.
    pub number: i64,
    /// The branch it brings, short name.
    pub branch: String,
    /// The branch it goes to, short name.
    pub base: String,
    /// Title.
    pub title: String,
    /// How far it has come.
    pub state: ChangeState,
    /// The branch's commit.
    pub head: String,
    /// The commit that merged it, if and only if it was merged.
    pub merged_sha: Option<String>,
    /// When it was seen.
    pub now: Millis,
}

/// How far a change request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeState {
    /// It may be merged.
    Open,
    /// It was merged.
    Merged,
    /// It was closed without being merged.
    Closed,
}

/// A change request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRow {
    /// The repository.
    pub repo: RepoId,
    /// Number within the repository, from 1.
    pub number: i64,
    /// The branch it brings, short name.
    pub branch: String,
    /// The branch it goes to, short name.
    pub base: String,
    /// Title.
    pub title: String,
    /// Description.
    pub body: String,
    /// How far it has come.
    pub state: ChangeState,
    /// The branch's commit as last told.
    pub head: String,
    /// The commit that merged it.
    pub merged_sha: Option<String>,
    /// When it was opened.
    pub created_at: Millis,
    /// When it was changed last.
    pub updated_at: Millis,
}

/// A review to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReview {
    /// The repository.
    pub repo: RepoId,
    /// The change request's number.
    pub number: i64,
    /// Who.
    pub author: String,
    /// What it says.
    pub state: ReviewState,
    /// The commit it was made on.
    pub commit: String,
    /// Text.
    pub body: String,
    /// When.
    pub now: Millis,
}

/// A review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewRow {
    /// Row id.
    pub id: i64,
    /// Who.
    pub author: String,
    /// What it says.
    pub state: ReviewState,
    /// The commit it was made on.
    pub commit: String,
    /// Text.
    pub body: String,
    /// Whether it counts no more.
    pub dismissed: bool,
    /// When.
    pub created_at: Millis,
}

/// A commit status to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStatus {
    /// The repository.
    pub repo: RepoId,
    /// The commit.
    pub sha: String,
    /// Its context: the newest of each counts.
    pub context: String,
    /// Its state.
    pub state: CheckState,
    /// What people read.
    pub description: String,
    /// When.
    pub now: Millis,
}

/// A commit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRow {
    /// Its context.
    pub context: String,
    /// Its state.
    pub state: CheckState,
    /// What people read.
    pub description: String,
    /// When it was written.
    pub updated_at: Millis,
}

impl Store {
    /// Opens a change request; the branch's open one is given back, with its head brought up to date.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such repository.
    pub async fn change_open(&self, new: NewChange) -> Result<ChangeRow> {
        self.write(move |conn| {
            let sql = "UPDATE changes SET head = ?3, updated_at = IIF(head = ?3, updated_at, ?4) WHERE repo = ?1 AND branch = ?2 AND state = 'open'";
            if exec(conn, sql, params![new.repo.0, new.branch, new.head, new.now.0])? == 0 {
                let number: i64 = one(conn, "SELECT COALESCE(MAX(number), 0) + 1 FROM changes WHERE repo = ?1", [new.repo.0])?;
                let sql = "INSERT INTO changes (repo, number, branch, base, title, body, state, head, created_at, updated_at) \
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'open', ?7, ?8, ?8)";
                exec(conn, sql, params![new.repo.0, number, new.branch, new.base, new.title, new.body, new.head, new.now.0])?;
            }
            by_branch(conn, new.repo, &new.branch)?.ok_or(StoreError::Gone)
        })
        .await
    }

    /// Keeps what a server shows of a change request over what was known of it. One branch has
    /// one open request: another one that was thought open is closed.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn change_seen(&self, seen: SeenChange) -> Result<()> {
        self.write(move |conn| {
            if seen.state == ChangeState::Open {
                let sql = "UPDATE changes SET state = 'closed', updated_at = ?4 WHERE repo = ?1 AND branch = ?2 AND state = 'open' AND number <> ?3";
                exec(conn, sql, params![seen.repo.0, seen.branch, seen.number, seen.now.0])?;
            }
            let sql = "INSERT INTO changes (repo, number, branch, base, title, body, state, head, merged_sha, created_at, updated_at) \
                       VALUES (?1, ?2, ?3, ?4, ?5, '', ?6, ?7, ?8, ?9, ?9) \
                       ON CONFLICT (repo, number) DO UPDATE SET branch = excluded.branch, base = excluded.base, title = excluded.title, \
                       state = excluded.state, head = excluded.head, merged_sha = excluded.merged_sha, updated_at = excluded.updated_at \
                       WHERE (branch, base, title, state, head, merged_sha) IS NOT \
                       (excluded.branch, excluded.base, excluded.title, excluded.state, excluded.head, excluded.merged_sha)";
            let (state, merged) = (word(&seen.state)?, seen.merged_sha);
            exec(
                conn,
                sql,
                params![seen.repo.0, seen.number, seen.branch, seen.base, seen.title, state, seen.head, merged, seen.now.0],
            )
            .map(|_| ())
        })
        .await
    }

    /// The branch's change request: the open one, else the latest.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn change_by_branch(&self, repo: RepoId, branch: &str) -> Result<Option<ChangeRow>> {
        let branch = branch.to_owned();
        self.read(move |conn| by_branch(conn, repo, &branch)).await
    }

    /// The change request.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn change(&self, repo: RepoId, number: i64) -> Result<Option<ChangeRow>> {
        self.read(move |conn| by_number(conn, repo, number)).await
    }

    /// The repository's change requests, by number.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn changes(&self, repo: RepoId) -> Result<Vec<ChangeRow>> {
        self.read(move |conn| list(conn, "SELECT * FROM changes WHERE repo = ?1 ORDER BY number", [repo.0], decode))
            .await
    }

    /// The open change request was merged by this commit; said again with the same commit it changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is closed or was merged by another commit, [`StoreError::Gone`] when there is none.
    pub async fn change_merged(&self, repo: RepoId, number: i64, sha: &str, now: Millis) -> Result<ChangeRow> {
        let sha = sha.to_owned();
        self.write(move |conn| {
            let sql =
                "UPDATE changes SET state = 'merged', merged_sha = ?3, updated_at = ?4 WHERE repo = ?1 AND number = ?2 AND state = 'open'";
            exec(conn, sql, params![repo.0, number, sha, now.0])?;
            let change = by_number(conn, repo, number)?.ok_or(StoreError::Gone)?;
            if change.merged_sha.as_ref() == Some(&sha) {
                Ok(change)
            } else {
                Err(StoreError::Conflict)
            }
        })
        .await
    }

    /// The open change request is closed without being merged; a closed one stays as it is.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it was merged, [`StoreError::Gone`] when there is none.
    pub async fn change_closed(&self, repo: RepoId, number: i64, now: Millis) -> Result<ChangeRow> {
        self.write(move |conn| {
            let sql = "UPDATE changes SET state = 'closed', updated_at = ?3 WHERE repo = ?1 AND number = ?2 AND state = 'open'";
            exec(conn, sql, params![repo.0, number, now.0])?;
            let change = by_number(conn, repo, number)?.ok_or(StoreError::Gone)?;
            if change.state == ChangeState::Closed {
                Ok(change)
            } else {
                Err(StoreError::Conflict)
            }
        })
        .await
    }

    /// Writes a review and records the event that follows.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such change request.
    pub async fn review_add(&self, new: NewReview, event: Option<NewEvent>) -> Result<ReviewRow> {
        self.write(move |conn| {
            let change: i64 = one(conn, "SELECT id FROM changes WHERE repo = ?1 AND number = ?2", params![new.repo.0, new.number])?;
            let sql = "INSERT INTO change_reviews (change, author, state, \"commit\", body, dismissed, created_at) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)";
            exec(conn, sql, params![change, new.author, word(&new.state)?, new.commit, new.body, new.now.0])?;
            let id = conn.last_insert_rowid();
            if let Some(event) = &event {
                inbox::insert(conn, event)?;
            }
            first(conn, "SELECT * FROM change_reviews WHERE id = ?1", [id], review)?.ok_or(StoreError::Gone)
        })
        .await
    }

    /// The review counts no more; the event that follows is recorded with it.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such review.
    pub async fn review_dismiss(&self, review: i64, event: Option<NewEvent>) -> Result<()> {
        self.write(move |conn| {
            if exec(conn, "UPDATE change_reviews SET dismissed = 1 WHERE id = ?1", [review])? == 0 {
                return Err(StoreError::Gone);
            }
            event.map_or(Ok(()), |event| inbox::insert(conn, &event).map(|_| ()))
        })
        .await
    }

    /// The change request's reviews, oldest first.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn reviews(&self, repo: RepoId, number: i64) -> Result<Vec<ReviewRow>> {
        self.read(move |conn| {
            let sql =
                "SELECT v.* FROM change_reviews v JOIN changes c ON c.id = v.change WHERE c.repo = ?1 AND c.number = ?2 ORDER BY v.id";
            list(conn, sql, params![repo.0, number], review)
        })
        .await
    }

    /// Writes a commit status over the one of the same context, and records the event that follows.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such repository.
    pub async fn status_set(&self, new: NewStatus, event: Option<NewEvent>) -> Result<()> {
        self.write(move |conn| {
            let sql = "INSERT INTO commit_statuses (repo, sha, context, state, description, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                       ON CONFLICT (repo, sha, context) DO UPDATE SET state = excluded.state, description = excluded.description, updated_at = excluded.updated_at";
            exec(conn, sql, params![new.repo.0, new.sha, new.context, word(&new.state)?, new.description, new.now.0])?;
            event.map_or(Ok(()), |event| inbox::insert(conn, &event).map(|_| ()))
        })
        .await
    }

    /// The commit's statuses, by context.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn statuses(&self, repo: RepoId, sha: &str) -> Result<Vec<StatusRow>> {
        let sha = sha.to_owned();
        self.read(move |conn| {
            list(
                conn,
                "SELECT * FROM commit_statuses WHERE repo = ?1 AND sha = ?2 ORDER BY context",
                params![repo.0, sha],
                status,
            )
        })
        .await
    }
}

fn by_branch(conn: &Connection, repo: RepoId, branch: &str) -> Result<Option<ChangeRow>> {
    let sql = "SELECT * FROM changes WHERE repo = ?1 AND branch = ?2 ORDER BY state = 'open' DESC, number DESC LIMIT 1";
    first(conn, sql, params![repo.0, branch], decode)
}

fn by_number(conn: &Connection, repo: RepoId, number: i64) -> Result<Option<ChangeRow>> {
    first(
        conn,
        "SELECT * FROM changes WHERE repo = ?1 AND number = ?2",
        params![repo.0, number],
        decode,
    )
}

fn decode(row: &Row<'_>) -> Result<ChangeRow> {
    let f = Fields::new(row, "changes", "id");
    Ok(ChangeRow {
        repo: RepoId(f.get("repo")?),
        number: f.get("number")?,
        branch: f.get("branch")?,
        base: f.get("base")?,
        title: f.get("title")?,
        body: f.get("body")?,
        state: f.word("state")?,
        head: f.get("head")?,
        merged_sha: f.get("merged_sha")?,
        created_at: f.time("created_at")?,
        updated_at: f.time("updated_at")?,
    })
}

fn review(row: &Row<'_>) -> Result<ReviewRow> {
    let f = Fields::new(row, "change_reviews", "id");
    Ok(ReviewRow {
        id: f.get("id")?,
        author: f.get("author")?,
        state: f.word("state")?,
        commit: f.get("commit")?,
        body: f.get("body")?,
        dismissed: f.get("dismissed")?,
        created_at: f.time("created_at")?,
    })
}

fn status(row: &Row<'_>) -> Result<StatusRow> {
    let f = Fields::new(row, "commit_statuses", "sha");
    Ok(StatusRow {
        context: f.get("context")?,
        state: f.word("state")?,
        description: f.get("description")?,
        updated_at: f.time("updated_at")?,
    })
}
