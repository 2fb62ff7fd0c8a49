//! Relations between work items. Newer servers tell them, older ones have no such path.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use super::PlaneTracker;
use super::client::Ask;
use super::error::PlaneError;
use super::wire::Ref;

/// How long a server is believed that it tells no relations; it may be brought up to date.
const BELIEVED: Duration = Duration::from_secs(3600);

/// Since when the server is known to tell no relations.
pub(super) type Mute = Mutex<Option<Instant>>;

/// The relations of a work item, as far as somebody waits for somebody.
#[derive(Debug, Default, Deserialize)]
struct Relations {
    #[serde(default)]
    blocked_by: Vec<Ref>,
}

impl PlaneTracker {
    /// Ids of the work items that block this one, which is there; none where the server tells no
    /// relations. A server that tells them and does not answer is an error: what a task waits for
    /// must not be taken for nothing.
    pub(super) async fn blocked_by(&self, id: &str) -> Result<Vec<String>, PlaneError> {
        if self.mute().is_some_and(|since| since.elapsed() < BELIEVED) {
            return Ok(Vec::new());
        }
        let path = self.path(id, "relations/").await?;
        match self.inner.client.call::<Relations>(Ask::get(self.haste, &path, &[])).await {
            Ok(found) => Ok(found.blocked_by.iter().map(|other| other.id().to_owned()).collect()),
            Err(
                why @ (PlaneError::NotFound
                | PlaneError::NotJson { status: 404 }
                | PlaneError::Forbidden(_)
                | PlaneError::Refused { status: 405, .. }),
            ) => {
                tracing::info!(%why, "the board tells no relations between issues: text and command line declare what waits for what");
                *self.inner.mute.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                Ok(Vec::new())
            }
            Err(other) => Err(other),
        }
    }

    fn mute(&self) -> Option<Instant> {
        *self.inner.mute.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
