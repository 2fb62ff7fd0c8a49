//! What the server knows besides git.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::admin::ApiHook;
use super::faults::Fault;

/// Versions that answer differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    V1_16,
    V1_23,
    V1_25,
    Main,
}

impl Version {
    pub fn words(self) -> &'static str {
        match self {
            Self::V1_16 => "1.16.1",
            Self::V1_23 => "1.23.8",
            Self::V1_25 => "1.25.1",
            Self::Main => "1.27.0+dev",
        }
    }
}

pub struct Pull {
    pub number: i64,
    pub branch: String,
    /// Where it is to be merged.
    pub base: String,
    pub title: String,
    pub open: bool,
    /// The merge commit.
    pub merged: Option<String>,
    /// Its head when it was merged or its branch was last seen.
    pub head: String,
    /// Asks until its mergeability is known.
    pub computing: u32,
}

pub struct Review {
    pub id: i64,
    pub pull: i64,
    pub user: String,
    pub word: String,
    pub text: String,
    pub commit: String,
    pub official: bool,
    pub dismissed: bool,
    /// Path, line of the new file, text.
    pub remarks: Vec<(String, i64, String)>,
}

/// A comment below a request.
pub struct Comment {
    pub id: i64,
    pub issue: i64,
    pub user: String,
    pub body: String,
}

pub struct Status {
    pub id: i64,
    pub context: String,
    pub word: String,
}

pub struct State {
    pub version: Version,
    pub pulls: Vec<Pull>,
    pub reviews: Vec<Review>,
    pub comments: Vec<Comment>,
    pub statuses: BTreeMap<String, Vec<Status>>,
    pub protected: Vec<String>,
    pub computes_for: u32,
    pub faults: Vec<Fault>,
    /// Method, path, body.
    pub asked: Vec<(String, String, String)>,
    pub hook: Option<String>,
    /// Webhooks, as the API has them.
    pub hooks: Vec<ApiHook>,
    /// Whether the service's user administers the repository.
    pub admin: bool,
    /// What differs from the repository's usual settings.
    pub settings: Json,
    /// What differs from the usual protection of `main`.
    pub guard: Json,
    /// Rules that protect branches, as administrators see them.
    pub protections: Vec<Json>,
    pub delivered: Vec<(String, u16)>,
    /// Webhooks on their way.
    pub sending: usize,
    ids: i64,
}

impl State {
    pub fn new(version: Version) -> Self {
        Self {
            version,
            pulls: Vec::new(),
            reviews: Vec::new(),
            comments: Vec::new(),
            statuses: BTreeMap::new(),
            protected: vec!["main".to_owned()],
            computes_for: 0,
            faults: Vec::new(),
            asked: Vec::new(),
            hook: None,
            hooks: Vec::new(),
            admin: true,
            settings: Json::Null,
            guard: Json::Null,
            protections: Vec::new(),
            delivered: Vec::new(),
            sending: 0,
            ids: 500,
        }
    }

    pub fn next_id(&mut self) -> i64 {
        self.ids += 1;
        self.ids
    }

    pub fn pull(&self, number: i64) -> Option<&Pull> {
        self.pulls.iter().find(|p| p.number == number)
    }

    pub fn pull_mut(&mut self, number: i64) -> Option<&mut Pull> {
        self.pulls.iter_mut().find(|p| p.number == number)
    }

    pub fn set_status(&mut self, sha: &str, context: &str, word: &str) {
        let all = self.statuses.entry(sha.to_owned()).or_default();
        let id = i64::try_from(all.len()).expect("few") + 1;
        all.push(Status {
            id,
            context: context.to_owned(),
            word: word.to_owned(),
        });
    }
}
