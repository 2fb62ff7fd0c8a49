//! A Plane project as a tracker.
//!
//! The client speaks REST v1. Nothing here decides: a state, a comment, a person are read and
//! written as they are; what they mean is the intake's business.

mod budget;
mod cache;
mod client;
mod error;
mod html;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::OnceCell;

use crate::engine::model::{Issue, Millis, Name};
use crate::engine::rules;
use crate::shell::secret::Secret;

use super::{Said, Standing, TrackerError};
use cache::Kept;
use client::{Ask, Client};

pub use budget::{Budgets, Urgency};
pub use error::PlaneError;
pub use html::{from_markdown, to_text};
pub use wire::{Activity, Comment, Item, Ref, State, User, time};
use wire::{Label, Listing, Member, Page};

/// Who vouches for the external ids of our comments.
pub const SOURCE: &str = "signalbox";
/// Most that is asked for at once: what every version allows.
const PER_PAGE: &str = "100";
/// Most pages that are read of one listing: a server that never ends does not keep us for ever.
const PAGES: usize = 100;
/// Pages of comments that are read at most in one look.
const COMMENT_PAGES: usize = 10;

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
    /// Ids under which the service and its agents write.
    own: OnceCell<Vec<String>>,
}

/// How the paths of work items are spelled: newer servers know the first, older ones the second.
const SPELLINGS: [&str; 2] = ["work-items", "issues"];

impl PlaneTracker {
    /// A tracker of the project; asks nothing yet, so that a start depends on no server.
    ///
    /// # Errors
    /// One sentence: the machine's certificates cannot be used.
    pub fn new(plane: &rules::Plane, key: Secret, agents: BTreeMap<Name, Secret>, budgets: &Budgets) -> Result<Self, String> {
        let http = client::connections()?;
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

    /// Ids of the users under which the service and its agents write.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn own(&self) -> Result<&[String], PlaneError> {
        let own = self.0.own.get_or_try_init(|| async {
            let mut ids = Vec::new();
            for client in std::iter::once(&self.0.client).chain(self.0.agents.values()) {
                let me: User = client.call(Ask::get(Urgency::Now, "users/me/", &[])).await?;
                ids.push(me.id);
            }
            Ok(ids)
        });
        Ok(own.await?)
    }

    /// The work item with its state in full.
    ///
    /// # Errors
    /// [`PlaneError::NotFound`] when it is deleted, archived or still in intake.
    pub async fn item(&self, urgency: Urgency, id: &str) -> Result<Item, PlaneError> {
        let query = [("expand", "state")];
        let item: Item = self.read_item(urgency, id, "", &query).await?;
        if let Some(Ref::Full { id, name: Some(name), .. }) = &item.state {
            // A state that was renamed: what is known of the board is old.
            self.0.states.forget_unless(|all| all.iter().all(|s| s.id != *id || s.name == *name));
        }
        Ok(item)
    }

    /// A work item's changes, the newest first, at most a hundred.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn activities(&self, id: &str) -> Result<Vec<Activity>, PlaneError> {
        let query = [("order_by", "-created_at"), ("per_page", PER_PAGE)];
        let page: Page<Activity> = self.read_item(Urgency::Now, id, "activities/", &query).await?;
        let mut all = page.results;
        // A server that ignores the order answers the other way round.
        all.sort_by_key(|a| std::cmp::Reverse(a.created_at.as_deref().and_then(time)));
        Ok(all)
    }

    /// A work item's comments that were written at or after `since`, the oldest first.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn comments(&self, id: &str, since: i64) -> Result<Vec<Comment>, PlaneError> {
        let written = |c: &Comment| c.created_at.as_deref().and_then(time);
        let mut found: Vec<Comment> = Vec::new();
        let mut cursor = None;
        for _ in 0..COMMENT_PAGES {
            let next = cursor.clone().unwrap_or_else(|| format!("{PER_PAGE}:0:0"));
            let query = [("per_page", PER_PAGE), ("order_by", "-created_at"), ("cursor", next.as_str())];
            let page: Page<Comment> = self.read_item(Urgency::Now, id, "comments/", &query).await?;
            let old = page.results.iter().any(|c| written(c).is_some_and(|at| at < since));
            found.extend(page.results.into_iter().filter(|c| written(c).is_none_or(|at| at >= since)));
            cursor = page.next_cursor.filter(|_| page.next_page_results && !old);
            if cursor.is_none() {
                break;
            }
        }
        // Pages move while they are read: one comment may be on two of them.
        found.sort_by(|a, b| (written(a), &a.id).cmp(&(written(b), &b.id)));
        found.dedup_by(|a, b| a.id == b.id);
        Ok(found)
    }

    /// Work items, those that were changed last first, until `on` says that it has seen enough.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn list(&self, mut on: impl FnMut(Item) -> bool + Send) -> Result<(), PlaneError> {
        let path = self.items().await?;
        let mut cursor = format!("{PER_PAGE}:0:0");
        for _ in 0..PAGES {
            let query = [
                ("per_page", PER_PAGE),
                ("cursor", cursor.as_str()),
                ("order_by", "-updated_at"),
                ("expand", "state"),
            ];
            let page: Page<Item> = self.0.client.call(Ask::get(Urgency::Whenever, &path, &query)).await?;
            for item in page.results {
                if !on(item) {
                    return Ok(());
                }
            }
            match page.next_cursor.filter(|next| page.next_page_results && *next != cursor) {
                Some(next) => cursor = next,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// The board's states.
    ///
    /// # Errors
    /// [`PlaneError`]: that they cannot be read is not that there are none.
    pub async fn states(&self) -> Result<Arc<Vec<State>>, PlaneError> {
        self.0.states.get(|| self.listing("states/")).await
    }

    /// The state of this name, by the board as it is.
    ///
    /// # Errors
    /// [`PlaneError::NoStatus`] when the board was read and has none.
    pub async fn state_named(&self, name: &str) -> Result<State, PlaneError> {
        let find = |all: &[State]| all.iter().find(|s| s.name == name).cloned();
        if let Some(found) = find(&self.states().await?) {
            return Ok(found);
        }
        // It may have been added since.
        let fresh = self.0.states.fresh(|| self.listing("states/")).await?;
        find(&fresh).ok_or_else(|| PlaneError::NoStatus(name.to_owned()))
    }

    /// Members of the project.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn members(&self) -> Result<Arc<Vec<User>>, PlaneError> {
        self.0.members.get(|| self.read_members()).await
    }

    /// The member of this id; one who came a moment ago is found as well.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn member(&self, id: &str) -> Result<Option<User>, PlaneError> {
        let find = |all: &[User]| all.iter().find(|u| u.id == id).cloned();
        if let Some(found) = find(&self.members().await?) {
            return Ok(Some(found));
        }
        Ok(find(&*self.0.members.fresh(|| self.read_members()).await?))
    }

    async fn read_members(&self) -> Result<Vec<User>, PlaneError> {
        let members: Vec<Member> = self.listing("members/").await?;
        let plain = |m| match m {
            Member::Of { member } | Member::Plain(member) => member,
        };
        Ok(members.into_iter().map(plain).collect())
    }

    /// Names of a work item's labels.
    async fn label_names(&self, item: &Item) -> Result<Vec<String>, PlaneError> {
        let mut names = Vec::new();
        for label in &item.labels {
            if let Ref::Full { name: Some(name), .. } = label {
                names.push(name.clone());
                continue;
            }
            let find = |all: &[Label]| all.iter().find(|l| l.id == label.id()).map(|l| l.name.clone());
            let known = find(&*self.0.labels.get(|| self.listing("labels/")).await?);
            let known = match known {
                Some(name) => Some(name),
                None => find(&*self.0.labels.fresh(|| self.listing("labels/")).await?),
            };
            names.extend(known);
        }
        Ok(names)
    }

    async fn listing<T: DeserializeOwned>(&self, what: &str) -> Result<Vec<T>, PlaneError> {
        let path = format!("{}/{what}", self.0.place);
        let mut all = Vec::new();
        let mut cursor = format!("{PER_PAGE}:0:0");
        for _ in 0..PAGES {
            let query = [("per_page", PER_PAGE), ("cursor", cursor.as_str())];
            let listing = self.0.client.call(Ask::get(Urgency::Now, &path, &query)).await;
            match listing.map_err(no_project)? {
                Listing::All(items) => return Ok(items),
                Listing::Page(page) => {
                    all.extend(page.results);
                    match page.next_cursor.filter(|next| page.next_page_results && *next != cursor) {
                        Some(next) => cursor = next,
                        None => return Ok(all),
                    }
                }
            }
        }
        Ok(all)
    }
}

/// A project's own listing is not there: the project is not.
fn no_project(error: PlaneError) -> PlaneError {
    match error {
        PlaneError::NotFound => PlaneError::NoProject,
        other => other,
    }
}

/// Paths of work items, in the spelling that the server knows.
impl PlaneTracker {
    /// Where work items are.
    async fn items(&self) -> Result<String, PlaneError> {
        let known = self.0.spelling.load(Ordering::Relaxed);
        let spelled = match SPELLINGS.get(usize::from(known)) {
            Some(spelled) => spelled,
            None => self.probe().await?,
        };
        Ok(format!("{}/{spelled}/", self.0.place))
    }

    /// Finds out how the server spells it, and keeps that.
    async fn probe(&self) -> Result<&'static str, PlaneError> {
        for (index, spelled) in SPELLINGS.iter().enumerate() {
            let path = format!("{}/{spelled}/", self.0.place);
            let query = [("per_page", "1"), ("fields", "id")];
            match self.0.client.call::<Page<serde_json::Value>>(Ask::get(Urgency::Now, &path, &query)).await {
                Ok(_) => {
                    self.0.spelling.store(u8::try_from(index).unwrap_or(u8::MAX), Ordering::Relaxed);
                    return Ok(spelled);
                }
                Err(PlaneError::NotFound | PlaneError::NotJson { status: 404 }) => {}
                Err(other) => return Err(other),
            }
        }
        Err(PlaneError::NoProject)
    }

    async fn read_item<T: DeserializeOwned>(&self, urgency: Urgency, id: &str, what: &str, query: &[(&str, &str)]) -> Result<T, PlaneError> {
        let path = self.path(id, what).await?;
        match self.0.client.call(Ask::get(urgency, &path, query)).await {
            Err(PlaneError::NotFound) => self.really_gone(id, what, query).await,
            other => other,
        }
    }

    /// An item is not there: is it the item, or did a newer server drop this spelling of the path?
    async fn really_gone<T: DeserializeOwned>(&self, id: &str, what: &str, query: &[(&str, &str)]) -> Result<T, PlaneError> {
        let before = self.0.spelling.load(Ordering::Relaxed);
        self.probe().await?;
        if self.0.spelling.load(Ordering::Relaxed) == before {
            return Err(PlaneError::NotFound);
        }
        let path = self.path(id, what).await?;
        self.0.client.call(Ask::get(Urgency::Now, &path, query)).await
    }

    async fn path(&self, id: &str, what: &str) -> Result<String, PlaneError> {
        // An id of ours, but it came from outside once: it must not lead elsewhere.
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err(PlaneError::NotFound);
        }
        Ok(format!("{}{id}/{what}", self.items().await?))
    }
}

/// What every tracker does.
impl PlaneTracker {
    pub(super) async fn issue(&self, id: &str) -> Result<Option<Issue>, TrackerError> {
        let item = match self.item(Urgency::Now, id).await {
            Ok(item) => item,
            Err(PlaneError::NotFound) => return Ok(None),
            Err(error) => return Err(error.about(id)),
        };
        let labels = self.label_names(&item).await.map_err(|e| e.about(id))?;
        Ok(Some(Issue {
            id: item.id,
            number: item.sequence_id,
            title: item.name,
            description: to_text(&item.description_html.unwrap_or_default()),
            labels,
            author: item.created_by.map(|by| by.id().to_owned()).unwrap_or_default(),
        }))
    }

    pub(super) async fn standing(&self, id: &str) -> Result<Option<Standing>, TrackerError> {
        let item = match self.item(Urgency::Now, id).await {
            Ok(item) => item,
            Err(PlaneError::NotFound) => return Ok(None),
            Err(error) => return Err(error.about(id)),
        };
        Ok(standing(&item))
    }

    pub(super) async fn set_status(&self, id: &str, status: &str) -> Result<(), TrackerError> {
        let write = async {
            let state = self.state_named(status).await?;
            match self.put_state(id, &state).await {
                Err(PlaneError::Refused { status: 400, .. }) => {
                    // The state was deleted and made anew since the board was read.
                    self.0.states.forget();
                    let state = self.state_named(status).await?;
                    self.put_state(id, &state).await
                }
                other => other,
            }
        };
        write.await.map_err(|e| e.about(id))
    }

    async fn put_state(&self, id: &str, state: &State) -> Result<(), PlaneError> {
        let path = self.path(id, "").await?;
        // `state_id` is what the board's own page sends; here it would be ignored without a word.
        let item: Item = self.0.client.call(Ask::write(Method::PATCH, &path, json!({"state": state.id}))).await?;
        match item.state.as_ref().map(Ref::id) {
            Some(now) if now != state.id => Err(PlaneError::Malformed {
                why: "the state was taken and not set".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    pub(super) async fn comment(&self, id: &str, said: &Said<'_>) -> Result<(), TrackerError> {
        let own = said.agent.and_then(|slot| self.0.agents.get(slot));
        if let (Some(client), Some(slot)) = (own, said.agent) {
            match self.post(client, id, said).await {
                Err(PlaneError::Key(why) | PlaneError::Forbidden(why)) => {
                    tracing::warn!(agent = %slot, "the agent's own key is refused ({why}): the service writes for it");
                }
                other => return other.map_err(|e| e.about(id)),
            }
        }
        self.post(&self.0.client, id, said).await.map_err(|e| e.about(id))
    }

    async fn post(&self, client: &Client, id: &str, said: &Said<'_>) -> Result<(), PlaneError> {
        let path = self.path(id, "comments/").await?;
        let body = json!({
            "comment_html": from_markdown(said.text),
            "external_source": SOURCE,
            // Keys count events from 1 in every new database: the time makes them one of a kind.
            "external_id": format!("{}-{}", said.key, said.at.0),
            "access": "INTERNAL",
        });
        match client.call::<serde_json::Value>(Ask::write(Method::POST, &path, body)).await {
            Ok(_) | Err(PlaneError::Exists) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes another text into a comment of ours, found by its id on the board.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn edit_comment(&self, id: &str, comment: &str, text: &str) -> Result<(), PlaneError> {
        let path = self.path(id, &format!("comments/{comment}/")).await?;
        let body = json!({"comment_html": from_markdown(text)});
        self.0.client.call::<serde_json::Value>(Ask::write(Method::PATCH, &path, body)).await?;
        Ok(())
    }
}

/// Where an item stands on the board.
#[must_use]
pub fn standing(item: &Item) -> Option<Standing> {
    let Some(Ref::Full { name: Some(name), group, .. }) = &item.state else {
        return None;
    };
    let group = group.as_deref().unwrap_or_default();
    Some(Standing {
        status: name.clone(),
        closed: matches!(group, "completed" | "cancelled"),
        changed_at: item.updated_at.as_deref().and_then(time).map(Millis),
    })
}
