//! What every tracker does, on a Plane board.

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::engine::model::Issue;
use crate::shell::tracker::{Said, Standing, TrackerError};

use super::client::Client;
use super::error::PlaneError;
use super::html::{from_markdown, to_text};
use super::wire::{Item, Ref, State};
use super::{PlaneTracker, SOURCE, standing};

impl PlaneTracker {
    pub(in crate::shell::tracker) async fn issue(&self, id: &str) -> Result<Option<Issue>, TrackerError> {
        // One look asks for the same one several times in a row.
        let lately = self.lately(id);
        if let Some((_, issue)) = self.inner.readings.get(id, |r| &mut r.issue, lately.since) {
            return Ok(Some(issue));
        }
        let began = self.inner.readings.begin();
        let (asked, item) = match lately.item_asked(id).await {
            Ok(read) => read,
            Err(PlaneError::NotFound) => return Ok(None),
            Err(error) => return Err(error.about(id)),
        };
        let labels = self.label_names(&item).await.map_err(|e| e.about(id))?;
        let blocked_by = self.blocked_by(&item.id).await.map_err(|e| e.about(id))?;
        let issue = Issue {
            id: item.id,
            number: item.sequence_id,
            title: item.name,
            description: to_text(&item.description_html.unwrap_or_default()),
            labels,
            author: item.created_by.map(|by| by.id().to_owned()).unwrap_or_default(),
            blocked_by,
            unsettled: Vec::new(),
        };
        self.inner.readings.keep(id, |r| &mut r.issue, &began.asked(asked), issue.clone());
        Ok(Some(issue))
    }

    pub(in crate::shell::tracker) async fn standing(&self, id: &str) -> Result<Option<Standing>, TrackerError> {
        let item = match self.item(id).await {
            Ok(item) => item,
            Err(PlaneError::NotFound) => return Ok(None),
            Err(error) => return Err(error.about(id)),
        };
        Ok(standing(&item))
    }

    pub(in crate::shell::tracker) async fn set_status(&self, id: &str, status: &str) -> Result<(), TrackerError> {
        // What was read before and across this is out of date, whatever comes of it.
        self.inner.readings.written(id);
        let write = async {
            let state = self.state_named(status).await?;
            match self.put_state(id, &state).await {
                Err(PlaneError::Refused { status: 400, .. }) => {
                    // The state was deleted and made anew since the board was read.
                    self.inner.states.forget();
                    let state = self.state_named(status).await?;
                    self.put_state(id, &state).await
                }
                other => other,
            }
        };
        let done = write.await.map_err(|e| e.about(id));
        self.inner.readings.written(id);
        done
    }

    async fn put_state(&self, id: &str, state: &State) -> Result<(), PlaneError> {
        // `state_id` is what the board's own page sends; here it would be ignored without a word.
        let body = json!({"state": state.id});
        let item: Item = self.write_item(&self.inner.client, Method::PATCH, id, "", body).await?;
        match item.state.as_ref().map(Ref::id) {
            Some(now) if now != state.id => Err(PlaneError::Malformed {
                why: "the state was taken and not set".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    pub(in crate::shell::tracker) async fn comment(&self, id: &str, said: &Said<'_>) -> Result<(), TrackerError> {
        let own = said.agent.and_then(|slot| self.inner.agents.get(slot));
        if let (Some(client), Some(slot)) = (own, said.agent) {
            match self.post(client, id, said).await {
                Err(PlaneError::Key(why) | PlaneError::Forbidden(why)) => {
                    tracing::warn!(agent = %slot, "the agent's own key is refused ({why}): the service writes for it");
                }
                other => return other.map_err(|e| e.about(id)),
            }
        }
        self.post(&self.inner.client, id, said).await.map_err(|e| e.about(id))
    }

    async fn post(&self, client: &Client, id: &str, said: &Said<'_>) -> Result<(), PlaneError> {
        let body = json!({
            "comment_html": from_markdown(said.text),
            "external_source": SOURCE,
            // Keys count events from 1 in every new database: the time makes them one of a kind.
            "external_id": format!("{}-{}", said.key, said.at.0),
            "access": "INTERNAL",
        });
        match self.write_item::<Json>(client, Method::POST, id, "comments/", body).await {
            Err(PlaneError::Exists) => Ok(()),
            // Without its number nobody knows that it is there; once more is one comment all the same.
            Ok(answer) if answer.get("id").is_none_or(Json::is_null) => Err(PlaneError::Malformed {
                why: "a comment was taken without a number".to_owned(),
            }),
            other => other.map(|_| ()),
        }
    }
}
