//! Paths of work items, in the spelling that the server knows.

use std::sync::atomic::Ordering;

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::PlaneTracker;
use super::client::{Ask, Client};
use super::error::PlaneError;
use super::urgency::Haste;
use super::wire::Page;

/// How the paths are spelled: newer servers know the first, older ones the second.
const SPELLINGS: [&str; 2] = ["work-items", "issues"];

impl PlaneTracker {
    /// Where work items are.
    pub(super) async fn items(&self) -> Result<String, PlaneError> {
        let known = self.inner.spelling.load(Ordering::Relaxed);
        let spelled = match SPELLINGS.get(usize::from(known)) {
            Some(spelled) => spelled,
            None => self.probe().await?,
        };
        Ok(format!("{}/{spelled}/", self.inner.place))
    }

    /// Finds out how the server spells it, and keeps that.
    async fn probe(&self) -> Result<&'static str, PlaneError> {
        for (index, spelled) in SPELLINGS.iter().enumerate() {
            let path = format!("{}/{spelled}/", self.inner.place);
            let query = [("per_page", "1"), ("fields", "id")];
            match self.inner.client.call::<Page<Json>>(Ask::get(Haste::PERSON, &path, &query)).await {
                Ok(_) => {
                    self.inner.spelling.store(u8::try_from(index).unwrap_or(u8::MAX), Ordering::Relaxed);
                    return Ok(spelled);
                }
                Err(PlaneError::NotFound | PlaneError::NotJson { status: 404 }) => {}
                Err(other) => return Err(other),
            }
        }
        Err(PlaneError::NoProject)
    }

    pub(super) async fn read_item<T: DeserializeOwned>(&self, id: &str, what: &str, query: &[(&str, &str)]) -> Result<T, PlaneError> {
        let path = self.path(id, what).await?;
        match self.inner.client.call(Ask::get(self.haste, &path, query)).await {
            Err(PlaneError::NotFound) => self.really_gone(id, what, query).await,
            other => other,
        }
    }

    /// Writes to an item; where a newer server has dropped the spelling, in the other one.
    pub(super) async fn write_item<T: DeserializeOwned>(
        &self,
        client: &Client,
        method: Method,
        id: &str,
        what: &str,
        body: Json,
    ) -> Result<T, PlaneError> {
        let path = self.path(id, what).await?;
        match client
            .call(Ask::write(self.haste.writing(), method.clone(), &path, body.clone()))
            .await
        {
            Err(PlaneError::NotFound) if self.respelled().await? => {
                let path = self.path(id, what).await?;
                client.call(Ask::write(self.haste.writing(), method, &path, body)).await
            }
            other => other,
        }
    }

    /// Looks again how the server spells paths; whether that has changed.
    async fn respelled(&self) -> Result<bool, PlaneError> {
        let before = self.inner.spelling.load(Ordering::Relaxed);
        self.probe().await?;
        Ok(self.inner.spelling.load(Ordering::Relaxed) != before)
    }

    /// An item is not there: is it the item, or did a newer server drop this spelling of the path?
    async fn really_gone<T: DeserializeOwned>(&self, id: &str, what: &str, query: &[(&str, &str)]) -> Result<T, PlaneError> {
        if !self.respelled().await? {
            return Err(PlaneError::NotFound);
        }
        let path = self.path(id, what).await?;
        self.inner.client.call(Ask::get(self.haste, &path, query)).await
    }

    pub(super) async fn path(&self, id: &str, what: &str) -> Result<String, PlaneError> {
        if !is_id(id) {
            return Err(PlaneError::NotFound);
        }
        Ok(format!("{}{id}/{what}", self.items().await?))
    }
}

/// Whether it can be an id: it came from outside once, and must not lead elsewhere.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}
