//! A Plane project as a tracker.
//!
//! The client speaks REST v1. Nothing here decides: a state, a comment, a person are read and
//! written as they are; what they mean is the intake's business.

mod act;
mod budget;
mod cache;
mod client;
mod error;
mod html;
mod own;
mod paths;
mod read;
mod readings;
mod relations;
mod survey;
mod urgency;
mod wire;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::model::{Millis, Name};
use crate::engine::rules;
use crate::shell::secret::Secret;

use super::Standing;
use cache::Kept;
use client::Client;

pub use budget::Budgets;
pub use error::PlaneError;
pub use html::{from_markdown, to_text};
pub use survey::Details;
pub use urgency::Haste;
use wire::Label;
pub use wire::{Activity, Comment, Item, Ref, State, User, time};

/// Who vouches for the external ids of our comments.
pub const SOURCE: &str = "signalbox";
/// Most notices that are remembered.
const TOLD: usize = 10_000;

/// A Plane project. Clones are the same one; each says for itself how soon it needs what it asks for.
#[derive(Clone)]
pub struct PlaneTracker {
    inner: Arc<Inner>,
    haste: Haste,
    /// What was read of an issue since then need not be read again.
    since: Option<Instant>,
}

struct Inner {
    client: Client,
    agents: BTreeMap<Name, Client>,
    /// Workspace and project, as paths begin.
    place: String,
    /// UUID of the project.
    project: String,
    spelling: AtomicU8,
    states: Kept<Vec<State>>,
    labels: Kept<Vec<Label>>,
    members: Kept<Vec<User>>,
    mute: relations::Mute,
    readings: readings::Readings,
    /// Notices that stand on the board already.
    told: Mutex<BTreeSet<String>>,
    /// Ids under which the service and its agents write.
    own: own::Own,
}

impl PlaneTracker {
    /// A tracker of the project; asks nothing yet, so that a start depends on no server.
    ///
    /// # Errors
    /// One sentence: the machine's certificates cannot be used.
    pub fn new(plane: &rules::Plane, key: Secret, agents: BTreeMap<Name, Secret>, budgets: &Budgets) -> Result<Self, String> {
        let http = client::connections(&plane.url)?;
        let client = |key: Secret| {
            let budget = budgets.of(&plane.url, &key);
            Client::new(http.clone(), &plane.url, key, budget)
        };
        let inner = Arc::new(Inner {
            client: client(key),
            agents: agents.into_iter().map(|(name, key)| (name, client(key))).collect(),
            place: format!("workspaces/{}/projects/{}", plane.workspace, plane.project),
            project: plane.project.clone(),
            spelling: AtomicU8::new(u8::MAX),
            states: Kept::default(),
            labels: Kept::default(),
            members: Kept::default(),
            mute: relations::Mute::default(),
            readings: readings::Readings::default(),
            told: Mutex::default(),
            own: own::Own::default(),
        });
        Ok(Self {
            inner,
            haste: Haste::SHOWN,
            since: None,
        })
    }

    /// UUID of the project.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.inner.project
    }

    /// What has to be added to a time of the server's to have it by our clock, in milliseconds.
    #[must_use]
    pub fn skew(&self) -> i64 {
        self.inner.client.skew()
    }

    /// The same project, asked with this haste; everything is read anew.
    #[must_use]
    pub fn at(&self, haste: Haste) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            haste,
            since: None,
        }
    }

    /// The same; what anybody has asked of an issue at `since` or after it is not asked again.
    #[must_use]
    pub fn since(self, since: Instant) -> Self {
        Self {
            since: Some(since),
            ..self
        }
    }

    /// The same; what was read of this issue a moment ago, with no news of it since, is not asked again.
    #[must_use]
    pub fn lately(&self, issue: &str) -> Self {
        self.at(self.haste).since(self.inner.readings.lately(issue))
    }

    /// Something was heard of the issue: what was read of it before is out of date. Since when what is read tells about it.
    pub fn news_of(&self, issue: &str) -> Instant {
        self.inner.readings.heard(issue)
    }

    /// Whether this notice stands on the board already, as far as is remembered.
    #[must_use]
    pub fn has_told(&self, key: &str) -> bool {
        self.told().contains(key)
    }

    /// Remembers that this notice stands on the board.
    pub fn note_told(&self, key: String) {
        let mut told = self.told();
        if told.len() >= TOLD {
            told.clear();
        }
        told.insert(key);
    }

    fn told(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.inner.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room for so many requests in a row; it is not kept for them.
    ///
    /// # Errors
    /// [`PlaneError::Limited`] where there will be none soon enough.
    pub async fn room(&self, requests: usize, patience: Duration) -> Result<(), PlaneError> {
        let haste = Haste { patience, ..self.haste };
        let room = self.inner.client.budget().room(haste, requests).await;
        room.map_err(|after| PlaneError::Limited { after })
    }

    /// Ids of the users under which the service and its agents write; of an agent whose key is refused none.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn own(&self) -> Result<Vec<String>, PlaneError> {
        let ask = |client| async move {
            let me = survey::owner(client).await?;
            if me.id.is_empty() {
                let why = "users/me names no id".to_owned();
                return Err(PlaneError::Malformed { why });
            }
            Ok(me.id)
        };
        let inner = &self.inner;
        inner.own.ids(&inner.client, inner.agents.iter(), ask, Instant::now()).await
    }
}

/// Where an item stands on the board.
#[must_use]
pub fn standing(item: &Item) -> Option<Standing> {
    let Some(Ref::Full {
        name: Some(name), group, ..
    }) = &item.state
    else {
        return None;
    };
    let group = group.as_deref().unwrap_or_default();
    Some(Standing {
        status: name.clone(),
        closed: matches!(group, "completed" | "cancelled"),
        changed_at: item.updated_at.as_deref().and_then(time).map(Millis),
    })
}
