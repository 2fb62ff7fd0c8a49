//! Plane's REST answers, as far as they are read. Unknown keys are ignored: versions differ.

use serde::Deserialize;

/// A page of a listing. `next_cursor` is there on the last page as well: only `next_page_results` tells.
#[derive(Debug, Clone, Deserialize)]
pub struct Page<T> {
    /// What it holds.
    pub results: Vec<T>,
    /// Where the next one begins.
    pub next_cursor: Option<String>,
    /// Whether there is a next one.
    #[serde(default)]
    pub next_page_results: bool,
}

/// A listing that some versions answer without pages.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Listing<T> {
    /// In pages.
    Page(Page<T>),
    /// All at once.
    All(Vec<T>),
}

/// A reference: the id alone, or the thing itself where it was asked to be expanded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Ref {
    /// The id.
    Id(String),
    /// The thing.
    Full {
        /// Its id.
        id: String,
        /// Its name, where it has one.
        #[serde(default)]
        name: Option<String>,
        /// The group of a state: `backlog`, `unstarted`, `started`, `completed`, `cancelled`, `triage`.
        #[serde(default)]
        group: Option<String>,
    },
}

impl Ref {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Id(id) | Self::Full { id, .. } => id,
        }
    }
}

/// A state of a project's board.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct State {
    /// UUID.
    pub id: String,
    /// Name, unique in the project; people edit it.
    pub name: String,
    /// Group.
    #[serde(default)]
    pub group: String,
}

/// A label of a project.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Label {
    /// UUID.
    pub id: String,
    /// Name.
    pub name: String,
}

/// A person or bot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct User {
    /// UUID.
    #[serde(default)]
    pub id: String,
    /// What is shown; its owner edits it, and two may have the same.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Mail address; some views hide it.
    #[serde(default)]
    pub email: Option<String>,
}

/// A member of a project: the person, in some versions wrapped.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Member {
    /// Wrapped.
    Of {
        /// The person.
        member: User,
    },
    /// As it is.
    Plain(User),
}

/// A work item.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Item {
    /// UUID.
    pub id: String,
    /// Title.
    #[serde(default)]
    pub name: String,
    /// Description.
    #[serde(default)]
    pub description_html: Option<String>,
    /// Number within the project.
    #[serde(default)]
    pub sequence_id: Option<i64>,
    /// State.
    #[serde(default)]
    pub state: Option<Ref>,
    /// Labels.
    #[serde(default)]
    pub labels: Vec<Ref>,
    /// Who made it.
    #[serde(default)]
    pub created_by: Option<Ref>,
    /// Who changed it last, whatever it was.
    #[serde(default)]
    pub updated_by: Option<Ref>,
    /// When it was made.
    #[serde(default)]
    pub created_at: Option<String>,
    /// When it was changed last.
    #[serde(default)]
    pub updated_at: Option<String>,
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Comment {
    /// UUID.
    pub id: String,
    /// Text.
    #[serde(default)]
    pub comment_html: Option<String>,
    /// Who wrote it. `created_by` says less: whoever writes through the API may name someone else there.
    #[serde(default)]
    pub actor: Option<Ref>,
    /// When.
    #[serde(default)]
    pub created_at: Option<String>,
    /// Who vouches for `external_id`.
    #[serde(default)]
    pub external_source: Option<String>,
}

/// A change of a work item, as its history has it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Activity {
    /// UUID.
    #[serde(default)]
    pub id: String,
    /// What was changed: `state`, `labels` …; none where the item was made.
    #[serde(default)]
    pub field: Option<String>,
    /// Its new value, for people.
    #[serde(default)]
    pub new_value: Option<String>,
    /// Its old value, for people.
    #[serde(default)]
    pub old_value: Option<String>,
    /// Id of its new value.
    #[serde(default)]
    pub new_identifier: Option<String>,
    /// Who changed it.
    #[serde(default)]
    pub actor: Option<Ref>,
    /// When the history was written, some time after the change.
    #[serde(default)]
    pub created_at: Option<String>,
    /// When the change was made, in whole seconds since 1970.
    #[serde(default)]
    pub epoch: Option<f64>,
}

impl Activity {
    /// When the change was made, in milliseconds, and not before it: whole seconds are rounded down.
    #[must_use]
    pub fn made(&self) -> Option<i64> {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "a cast of a number that is too large stops at the largest"
        )]
        let seconds = self.epoch.map(|s| s.floor() as i64);
        let written = self.created_at.as_deref().and_then(time);
        seconds.map(|s| s.saturating_mul(1000)).filter(|s| *s > 0).or(written)
    }
}

/// A time of Plane's as it wrote it, for what is to be put in order: it counts microseconds.
#[must_use]
pub fn moment(text: &str) -> Option<jiff::Timestamp> {
    text.parse().ok()
}

/// A time of Plane's, in milliseconds.
#[must_use]
pub fn time(text: &str) -> Option<i64> {
    moment(text).map(jiff::Timestamp::as_millisecond)
}
