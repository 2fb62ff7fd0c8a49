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
mod paths;
mod read;
mod recent;
mod relations;
mod survey;
mod wire;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;

use tokio::sync::OnceCell;

use crate::engine::model::{Millis, Name};
use crate::engine::rules;
use crate::shell::secret::Secret;

use super::Standing;
use cache::Kept;
use client::{Ask, Client};

pub use budget::{Budgets, Urgency};
pub use error::PlaneError;
pub use html::{from_markdown, to_text};
pub use survey::Details;
use wire::Label;
pub use wire::{Activity, Comment, Item, Ref, State, User, time};

/// Who vouches for the external ids of our comments.
pub const SOURCE: &str = "signalbox";

/// A Plane project. Clones are the same one.
#[derive(Clone)]
pub struct PlaneTracker(Arc<Inner>);

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
    recent: recent::Recent,
    /// Ids under which the service and its agents write.
    own: OnceCell<Vec<String>>,
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
        Ok(Self(Arc::new(Inner {
            client: client(key),
            agents: agents.into_iter().map(|(name, key)| (name, client(key))).collect(),
            place: format!("workspaces/{}/projects/{}", plane.workspace, plane.project),
            project: plane.project.clone(),
            spelling: AtomicU8::new(u8::MAX),
            states: Kept::default(),
            labels: Kept::default(),
            members: Kept::default(),
            mute: relations::Mute::default(),
            recent: recent::Recent::default(),
            own: OnceCell::new(),
        })))
    }

    /// UUID of the project.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.0.project
    }

    /// What has to be added to a time of the server's to have it by our clock, in milliseconds.
    #[must_use]
    pub fn skew(&self) -> i64 {
        self.0.client.skew()
    }

    /// Something was heard of the issue: what was read of it a moment ago is out of date.
    pub fn news_of(&self, issue: &str) {
        self.0.recent.forget(issue);
    }

    /// Ids of the users under which the service and its agents write.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn own(&self) -> Result<&[String], PlaneError> {
        let own = self.0.own.get_or_try_init(|| async {
            let mut ids = Vec::new();
            for client in std::iter::once(&self.0.client).chain(self.0.agents.values()) {
                let me: User = client.call(Ask::get(Urgency::Now, "users/me/", &[])).await?;
                if me.id.is_empty() {
                    let why = "users/me names no id".to_owned();
                    return Err(PlaneError::Malformed { why });
                }
                ids.push(me.id);
            }
            Ok(ids)
        });
        Ok(own.await?)
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
