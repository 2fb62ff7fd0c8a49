//! What the built-in tracker takes and gives back.

use rusqlite::Row;

use super::super::codec::Fields;
use super::super::{NewEvent, Result};
use crate::engine::model::{Millis, Name};

/// An issue to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIssue {
    /// The project.
    pub project: Name,
    /// Title.
    pub title: String,
    /// Description, plain text.
    pub description: String,
    /// Status it begins with.
    pub status: String,
    /// Labels.
    pub labels: Vec<String>,
    /// Who wrote it.
    pub author: String,
    /// When.
    pub now: Millis,
}

/// An issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueRow {
    /// Id: a version 7 UUID.
    pub id: String,
    /// The project.
    pub project: Name,
    /// Number within the project, from 1.
    pub number: i64,
    /// Title.
    pub title: String,
    /// Description, plain text.
    pub description: String,
    /// Status.
    pub status: String,
    /// Labels, in order of the alphabet.
    pub labels: Vec<String>,
    /// Who wrote it.
    pub author: String,
    /// When it was written.
    pub created_at: Millis,
    /// When it was changed last.
    pub updated_at: Millis,
}

/// A comment to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewComment {
    /// Idempotency key within the issue.
    pub key: Option<String>,
    /// Who writes it.
    pub author: String,
    /// Text, Markdown.
    pub body: String,
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommentRow {
    /// Id: a version 7 UUID.
    pub id: String,
    /// Idempotency key within the issue.
    pub key: Option<String>,
    /// Who wrote it.
    pub author: String,
    /// Text, Markdown.
    pub body: String,
    /// When it was written.
    pub created_at: Millis,
}

/// Something that was done to an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityRow {
    /// Id: a version 7 UUID.
    pub id: String,
    /// Who did it.
    pub actor: String,
    /// What was changed: `created`, `status`, `label` or `comment`.
    pub field: String,
    /// What it was before.
    pub old: Option<String>,
    /// What it is since.
    pub new: Option<String>,
    /// When.
    pub created_at: Millis,
}

/// Makes the event of a new issue, which needs the issue and the id of the activity that made it.
pub type EventMaker = Box<dyn FnOnce(&IssueRow, &str) -> NewEvent + Send>;

pub(super) fn decode(row: &Row<'_>) -> Result<IssueRow> {
    let f = Fields::new(row, "issues", "id");
    Ok(IssueRow {
        id: f.get("id")?,
        project: f.name("project")?,
        number: f.get("number")?,
        title: f.get("title")?,
        description: f.get("description")?,
        status: f.get("status")?,
        labels: Vec::new(),
        author: f.get("author")?,
        created_at: f.time("created_at")?,
        updated_at: f.time("updated_at")?,
    })
}

pub(super) fn comment(row: &Row<'_>) -> Result<CommentRow> {
    let f = Fields::new(row, "issue_comments", "id");
    Ok(CommentRow {
        id: f.get("id")?,
        key: f.get("key")?,
        author: f.get("author")?,
        body: f.get("body")?,
        created_at: f.time("created_at")?,
    })
}

pub(super) fn activity(row: &Row<'_>) -> Result<ActivityRow> {
    let f = Fields::new(row, "issue_activities", "id");
    Ok(ActivityRow {
        id: f.get("id")?,
        actor: f.get("actor")?,
        field: f.get("field")?,
        old: f.get("old")?,
        new: f.get("new")?,
        created_at: f.time("created_at")?,
    })
}
