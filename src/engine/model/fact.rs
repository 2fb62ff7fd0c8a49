//! What a gate may know: gathered by the shell before the step, recorded with it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Head, Issue, Millis};

/// What is asked for. Written `kind:argument`; which visit and head it is read at is the task's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactKey {
    /// The tracker issue: title, description, labels.
    Issue,
    /// The branch as the forge has it now, and the default branch.
    Head,
    /// The artefact folder's files at the recorded head.
    Files,
    /// The YAML front-matter of an artefact at the recorded head.
    Frontmatter(String),
    /// A JSON artefact at the recorded head.
    Json(String),
    /// The text of an artefact at the recorded head, at most 16 KiB.
    Text(String),
    /// Commit statuses of the recorded head.
    Checks,
    /// Reviews on the forge.
    Reviews,
    /// Whether the head merges onto the default branch now.
    Mergeable,
}

impl fmt::Display for FactKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issue => f.write_str("issue"),
            Self::Head => f.write_str("head"),
            Self::Files => f.write_str("files"),
            Self::Frontmatter(file) => write!(f, "frontmatter:{file}"),
            Self::Json(file) => write!(f, "json:{file}"),
            Self::Text(file) => write!(f, "text:{file}"),
            Self::Checks => f.write_str("checks"),
            Self::Reviews => f.write_str("reviews"),
            Self::Mergeable => f.write_str("mergeable"),
        }
    }
}

impl FromStr for FactKey {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let (kind, arg) = s.split_once(':').unwrap_or((s, ""));
        match (kind, arg) {
            ("issue", "") => Ok(Self::Issue),
            ("head", "") => Ok(Self::Head),
            ("files", "") => Ok(Self::Files),
            ("checks", "") => Ok(Self::Checks),
            ("reviews", "") => Ok(Self::Reviews),
            ("mergeable", "") => Ok(Self::Mergeable),
            ("frontmatter", file) if !file.is_empty() => Ok(Self::Frontmatter(file.to_owned())),
            ("json", file) if !file.is_empty() => Ok(Self::Json(file.to_owned())),
            ("text", file) if !file.is_empty() => Ok(Self::Text(file.to_owned())),
            _ => Err(format!(
                "`{s}` is no fact; facts are issue, head, files, frontmatter:FILE, json:FILE, text:FILE, checks, reviews, mergeable"
            )),
        }
    }
}

impl Serialize for FactKey {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FactKey {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A fact: that it cannot be had is itself a fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// It is so.
    Known(Value),
    /// There is no such thing.
    Absent,
    /// It is there but cannot be understood.
    Unreadable {
        /// What is wrong with it.
        why: String,
    },
    /// Its source does not answer.
    Unreachable {
        /// When it was first found so.
        since: Millis,
        /// What the attempt said.
        why: String,
    },
}

/// The value of a known fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// [`FactKey::Issue`].
    Issue(Issue),
    /// [`FactKey::Head`].
    Head(HeadFact),
    /// [`FactKey::Files`].
    Files(Vec<FileFact>),
    /// [`FactKey::Frontmatter`].
    Frontmatter(FrontmatterFact),
    /// [`FactKey::Json`].
    Json(serde_json::Value),
    /// [`FactKey::Text`].
    Text(String),
    /// [`FactKey::Checks`].
    Checks(Vec<CheckFact>),
    /// [`FactKey::Reviews`].
    Reviews(Vec<ReviewFact>),
    /// [`FactKey::Mergeable`].
    Mergeable(MergeFact),
}

/// The facts of one step, by key.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Facts(pub BTreeMap<FactKey, Fact>);

impl Facts {
    /// The fact, if it was gathered.
    #[must_use]
    pub fn get(&self, key: &FactKey) -> Option<&Fact> {
        self.0.get(key)
    }

    /// The issue, where known.
    #[must_use]
    pub fn issue(&self) -> Option<&Issue> {
        match self.get(&FactKey::Issue) {
            Some(Fact::Known(Value::Issue(issue))) => Some(issue),
            _ => None,
        }
    }

    /// The branch's head on the forge, where known.
    #[must_use]
    pub fn head(&self) -> Option<&HeadFact> {
        match self.get(&FactKey::Head) {
            Some(Fact::Known(Value::Head(head))) => Some(head),
            _ => None,
        }
    }
}

impl HeadFact {
    /// Most paths kept in [`HeadFact::touched`]: whoever looks for one in so many must reckon with
    /// those that were cut off.
    pub const TOUCHED_MAX: usize = 2000;
}

/// The branch as the forge has it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadFact {
    /// The task branch's head; `None` while the branch does not exist.
    pub head: Option<Head>,
    /// The default branch's commit.
    pub base: String,
    /// Whether the head descends from the head that the task recorded last.
    pub descends: bool,
    /// Paths that differ between the merge base and the head, at most 2000 of them.
    pub touched: Vec<String>,
    /// Commits of the branch that the default branch lacks, newest first, one line each, at most 50.
    pub commits: Vec<String>,
}

/// A file of the artefact folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFact {
    /// Path below the task's artefact folder.
    pub path: String,
    /// Content id: what an approval of the artefacts binds to.
    pub id: String,
    /// Whether a run of the present visit wrote it; an older one counts for nothing by itself.
    pub fresh: bool,
}

/// The front-matter of an artefact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontmatterFact {
    /// Its scalar entries, as text.
    pub values: BTreeMap<String, String>,
}

/// A commit status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckFact {
    /// Its context.
    pub context: String,
    /// Its state.
    pub state: CheckState,
}

/// The state of a commit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// It passed.
    Success,
    /// It has not ended.
    Pending,
    /// It failed, erred or warned.
    Failure,
}

/// The review of one person, the latest that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewFact {
    /// Who.
    pub author: String,
    /// What.
    pub state: ReviewState,
    /// The commit it was made on.
    pub commit: String,
    /// Whether that commit's subject is the recorded head's.
    pub current: bool,
    /// The first lines of its text.
    pub body: String,
}

impl ReviewFact {
    /// What tells it from its writer's other reviews.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{} {}", self.author, self.commit)
    }
}

/// What a review says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewState {
    /// Approved.
    Approved,
    /// Changes requested.
    Changes,
}

/// Whether the head merges onto the default branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeFact {
    /// Files in conflict; empty when it merges.
    pub conflicts: Vec<String>,
    /// Whether the head lacks commits of the default branch.
    pub behind: bool,
    /// The default branch's commit it was computed against.
    pub base: String,
}
