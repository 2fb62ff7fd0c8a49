//! The built-in tracker's rows: issues, labels, comments and what was done to them by whom.

use rusqlite::{Connection, params};
use uuid::{NoContext, Timestamp, Uuid};

use super::codec::{column, exec, first, list, one};
use super::{NewEvent, Result, Store, StoreError, inbox};
use crate::engine::model::{Body, Millis};

mod rows;

pub use rows::{ActivityRow, CommentRow, EventMaker, IssueRow, NewComment, NewIssue};
use rows::{activity, comment, decode};

impl Store {
    /// Writes an issue, the activity that made it and the event that follows, in one transaction.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub async fn issue_create(&self, new: NewIssue, event: Option<EventMaker>) -> Result<IssueRow> {
        self.write(move |conn| {
            let issue = create(conn, &new)?;
            let activity = act(
                conn,
                &Act {
                    issue: &issue.id,
                    actor: &new.author,
                    field: "created",
                    old: None,
                    new: Some(&new.status),
                    now: new.now,
                },
            )?;
            if let Some(make) = event {
                inbox::insert(conn, &signed(make(&issue, &activity), &activity))?;
            }
            Ok(issue)
        })
        .await
    }

    /// The issue.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn issue(&self, project: &str, id: &str) -> Result<Option<IssueRow>> {
        let (project, id) = (project.to_owned(), id.to_owned());
        self.read(move |conn| find(conn, &project, &id)).await
    }

    /// The issue with this number.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn issue_by_number(&self, project: &str, number: i64) -> Result<Option<IssueRow>> {
        let project = project.to_owned();
        self.read(move |conn| {
            let found = first(
                conn,
                "SELECT * FROM issues WHERE project = ?1 AND number = ?2",
                params![project, number],
                decode,
            )?;
            found.map(|issue| labelled(conn, issue)).transpose()
        })
        .await
    }

    /// The project's issues, by number.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn issues(&self, project: &str) -> Result<Vec<IssueRow>> {
        let project = project.to_owned();
        self.read(move |conn| {
            let all = list(conn, "SELECT * FROM issues WHERE project = ?1 ORDER BY number", [&project], decode)?;
            all.into_iter().map(|issue| labelled(conn, issue)).collect()
        })
        .await
    }

    /// Moves the issue to a status and records the event that follows; the id of the activity. An
    /// issue that has the status already stays as it is: `None`, and no event.
    ///
    /// A signal without an activity is given this one, and its id as `dedupe` key where there is none.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such issue.
    pub async fn issue_set_status(
        &self,
        project: &str,
        id: &str,
        status: &str,
        actor: &str,
        event: Option<NewEvent>,
        now: Millis,
    ) -> Result<Option<String>> {
        let (project, id, status, actor) = (project.to_owned(), id.to_owned(), status.to_owned(), actor.to_owned());
        self.write(move |conn| {
            let issue = find(conn, &project, &id)?.ok_or(StoreError::Gone)?;
            if issue.status == status {
                return Ok(None);
            }
            exec(
                conn,
                "UPDATE issues SET status = ?2, updated_at = ?3 WHERE id = ?1",
                params![id, status, now.0],
            )?;
            let act = Act {
                issue: &id,
                actor: &actor,
                field: "status",
                old: Some(&issue.status),
                new: Some(&status),
                now,
            };
            follow(conn, &act, event).map(Some)
        })
        .await
    }

    /// Adds or removes a label and records the event that follows, as [`Store::issue_set_status`] does.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such issue.
    #[allow(
        clippy::too_many_arguments,
        reason = "one act on an issue; each argument is a word of the sentence"
    )]
    pub async fn issue_label(
        &self,
        project: &str,
        id: &str,
        label: &str,
        add: bool,
        actor: &str,
        event: Option<NewEvent>,
        now: Millis,
    ) -> Result<Option<String>> {
        let (project, id, label, actor) = (project.to_owned(), id.to_owned(), label.to_owned(), actor.to_owned());
        self.write(move |conn| {
            find(conn, &project, &id)?.ok_or(StoreError::Gone)?;
            let sql = match add {
                true => "INSERT INTO issue_labels (issue, label) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                false => "DELETE FROM issue_labels WHERE issue = ?1 AND label = ?2",
            };
            if exec(conn, sql, [&id, &label])? == 0 {
                return Ok(None);
            }
            touch(conn, &id, now)?;
            let (old, new) = if add {
                (None, Some(label.as_str()))
            } else {
                (Some(label.as_str()), None)
            };
            follow(
                conn,
                &Act {
                    issue: &id,
                    actor: &actor,
                    field: "label",
                    old,
                    new,
                    now,
                },
                event,
            )
            .map(Some)
        })
        .await
    }

    /// Writes a comment and records the event that follows, as [`Store::issue_set_status`] does. A
    /// comment whose key is there already is given back as it is, and nothing is recorded.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such issue.
    pub async fn issue_comment(
        &self,
        project: &str,
        id: &str,
        new: NewComment,
        event: Option<NewEvent>,
        now: Millis,
    ) -> Result<CommentRow> {
        let (project, id) = (project.to_owned(), id.to_owned());
        self.write(move |conn| {
            find(conn, &project, &id)?.ok_or(StoreError::Gone)?;
            let sql = "SELECT * FROM issue_comments WHERE issue = ?1 AND key = ?2";
            if let Some(there) = first(conn, sql, params![id, new.key], comment)? {
                return Ok(there);
            }
            let row = CommentRow {
                id: uuid(now),
                key: new.key,
                author: new.author,
                body: new.body,
                created_at: now,
            };
            let sql = "INSERT INTO issue_comments (id, issue, key, author, body, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            exec(conn, sql, params![row.id, id, row.key, row.author, row.body, now.0])?;
            touch(conn, &id, now)?;
            follow(
                conn,
                &Act {
                    issue: &id,
                    actor: &row.author,
                    field: "comment",
                    old: None,
                    new: Some(&row.id),
                    now,
                },
                event,
            )?;
            Ok(row)
        })
        .await
    }

    /// The issue's comments, oldest first.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn comments(&self, project: &str, id: &str) -> Result<Vec<CommentRow>> {
        let (project, id) = (project.to_owned(), id.to_owned());
        self.read(move |conn| {
            let sql =
                "SELECT c.* FROM issue_comments c JOIN issues i ON i.id = c.issue WHERE i.project = ?1 AND i.id = ?2 ORDER BY c.place";
            list(conn, sql, [&project, &id], comment)
        })
        .await
    }

    /// What was done to the issue, oldest first.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn activities(&self, project: &str, id: &str) -> Result<Vec<ActivityRow>> {
        let (project, id) = (project.to_owned(), id.to_owned());
        self.read(move |conn| {
            let sql =
                "SELECT a.* FROM issue_activities a JOIN issues i ON i.id = a.issue WHERE i.project = ?1 AND i.id = ?2 ORDER BY a.place";
            list(conn, sql, [&project, &id], activity)
        })
        .await
    }
}

/// An act on an issue.
struct Act<'a> {
    issue: &'a str,
    actor: &'a str,
    field: &'a str,
    old: Option<&'a str>,
    new: Option<&'a str>,
    now: Millis,
}

fn act(conn: &Connection, act: &Act<'_>) -> Result<String> {
    let id = uuid(act.now);
    let sql = "INSERT INTO issue_activities (id, issue, actor, field, old, new, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    exec(conn, sql, params![id, act.issue, act.actor, act.field, act.old, act.new, act.now.0])?;
    Ok(id)
}

fn follow(conn: &Connection, done: &Act<'_>, event: Option<NewEvent>) -> Result<String> {
    let activity = act(conn, done)?;
    if let Some(event) = event {
        inbox::insert(conn, &signed(event, &activity))?;
    }
    Ok(activity)
}

/// An event with the activity it was read from, where it names none itself.
fn signed(mut event: NewEvent, activity: &str) -> NewEvent {
    if let Body::Signalled(signal) = &mut event.body
        && signal.activity.is_empty()
    {
        signal.activity = activity.to_owned();
    }
    event.dedupe.get_or_insert_with(|| format!("activity {activity}"));
    event
}

fn create(conn: &Connection, new: &NewIssue) -> Result<IssueRow> {
    let number: i64 = one(
        conn,
        "SELECT COALESCE(MAX(number), 0) + 1 FROM issues WHERE project = ?1",
        [new.project.as_str()],
    )?;
    let id = uuid(new.now);
    let sql = "INSERT INTO issues (id, project, number, title, description, status, author, created_at, updated_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)";
    exec(
        conn,
        sql,
        params![
            id,
            new.project.as_str(),
            number,
            new.title,
            new.description,
            new.status,
            new.author,
            new.now.0
        ],
    )?;
    for label in &new.labels {
        exec(
            conn,
            "INSERT INTO issue_labels (issue, label) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            [&id, label],
        )?;
    }
    find(conn, &new.project, &id)?.ok_or(StoreError::Gone)
}

fn find(conn: &Connection, project: &str, id: &str) -> Result<Option<IssueRow>> {
    let found = first(conn, "SELECT * FROM issues WHERE id = ?2 AND project = ?1", [project, id], decode)?;
    found.map(|issue| labelled(conn, issue)).transpose()
}

fn labelled(conn: &Connection, issue: IssueRow) -> Result<IssueRow> {
    let labels = column(conn, "SELECT label FROM issue_labels WHERE issue = ?1 ORDER BY label", [&issue.id])?;
    Ok(IssueRow { labels, ..issue })
}

fn touch(conn: &Connection, id: &str, now: Millis) -> Result<()> {
    exec(conn, "UPDATE issues SET updated_at = ?2 WHERE id = ?1", params![id, now.0]).map(|_| ())
}

/// A version 7 UUID of this moment: the time is given, the rest is chance.
fn uuid(now: Millis) -> String {
    let ms = u64::try_from(now.0).unwrap_or(0);
    let nanos = u32::try_from(ms % 1000).unwrap_or(0) * 1_000_000;
    Uuid::new_v7(Timestamp::from_unix(NoContext, ms / 1000, nanos)).to_string()
}
