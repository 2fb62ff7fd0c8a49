//! Reading what a board is, for whoever compares it with the rules: its project, labels, keys.

use serde::Deserialize;

use crate::engine::model::Name;

use super::PlaneTracker;
use super::client::{Ask, Client};
use super::error::PlaneError;
use super::read::no_project;
use super::urgency::Haste;
use super::wire::{Label, User};

/// A project of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Details {
    /// Name.
    #[serde(default)]
    pub name: String,
    /// What its issues' keys begin with, `ORCH`.
    #[serde(default)]
    pub identifier: String,
    /// When it was archived, if it was.
    #[serde(default)]
    pub archived_at: Option<String>,
}

impl PlaneTracker {
    /// The project as the server describes it.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn details(&self) -> Result<Details, PlaneError> {
        let path = format!("{}/", self.inner.place);
        let asked = self.inner.client.call(Ask::get(self.haste, &path, &[])).await;
        asked.map_err(no_project)
    }

    /// The labels' names.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn labels(&self) -> Result<Vec<String>, PlaneError> {
        let labels = self.inner.labels.get(|| self.listing::<Label>("labels/")).await?;
        Ok(labels.iter().map(|l| l.name.clone()).collect())
    }

    /// The user of the service's own key.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn me(&self) -> Result<User, PlaneError> {
        owner(&self.inner.client).await
    }

    /// The user of an agent's key; none for an agent without one.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn agent(&self, name: &Name) -> Result<Option<User>, PlaneError> {
        match self.inner.agents.get(name) {
            Some(client) => owner(client).await.map(Some),
            None => Ok(None),
        }
    }
}

/// The user of a client's key.
pub(super) async fn owner(client: &Client) -> Result<User, PlaneError> {
    client.call(Ask::get(Haste::PERSON, "users/me/", &[])).await
}
