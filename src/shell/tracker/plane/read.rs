//! Reading a board: work items, their history and comments, and what a project has.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::PlaneTracker;
use super::client::Ask;
use super::error::PlaneError;
use super::urgency::Haste;
use super::wire::{Activity, Comment, Item, Label, Listing, Member, Page, Ref, State, User, moment, time};

/// Most that is asked for at once: what every version allows.
const PER_PAGE: &str = "100";
/// Most pages that are read of one listing: a server that never ends does not keep us for ever.
const PAGES: usize = 100;
/// Pages of comments that are read at most in one look.
const COMMENT_PAGES: usize = 10;

impl PlaneTracker {
    /// The work item with its state in full.
    ///
    /// # Errors
    /// [`PlaneError::NotFound`] when it is deleted, archived or still in intake.
    pub async fn item(&self, id: &str) -> Result<Item, PlaneError> {
        self.item_asked(id).await.map(|(_, item)| item)
    }

    /// The same, and when it was asked for.
    pub(super) async fn item_asked(&self, id: &str) -> Result<(Instant, Item), PlaneError> {
        if let Some(known) = self.inner.readings.get(id, |r| &mut r.item, self.since) {
            return Ok(known);
        }
        let began = self.inner.readings.begin();
        let query = [("expand", "state")];
        let item: Item = self.read_item(id, "", &query).await?;
        if let Some(Ref::Full { id, name: Some(name), .. }) = &item.state {
            // A state that was renamed: what is known of the board is old.
            self.inner
                .states
                .forget_unless(|all| all.iter().all(|s| s.id != *id || s.name == *name));
        }
        self.inner.readings.keep(id, |r| &mut r.item, &began, item.clone());
        Ok((began.at(), item))
    }

    /// A work item's changes, the newest first, at most a hundred.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn activities(&self, id: &str) -> Result<Vec<Activity>, PlaneError> {
        if let Some((_, known)) = self.inner.readings.get(id, |r| &mut r.activities, self.since) {
            return Ok(known);
        }
        let began = self.inner.readings.begin();
        let query = [("order_by", "-created_at"), ("per_page", PER_PAGE)];
        let page: Page<Activity> = self.read_item(id, "activities/", &query).await?;
        let mut all = page.results;
        // A server that ignores the order answers the other way round.
        all.sort_by_key(|a| std::cmp::Reverse(a.created_at.as_deref().and_then(moment)));
        self.inner.readings.keep(id, |r| &mut r.activities, &began, all.clone());
        Ok(all)
    }

    /// A work item's comments that were written at or after `since`, the oldest first.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn comments(&self, id: &str, since: i64) -> Result<Vec<Comment>, PlaneError> {
        let written = |c: &Comment| c.created_at.as_deref().and_then(time);
        if let Some((_, (from, mut known))) = self.inner.readings.get(id, |r| &mut r.comments, self.since)
            && from <= since
        {
            known.retain(|c| written(c).is_none_or(|at| at >= since));
            return Ok(known);
        }
        let began = self.inner.readings.begin();
        let mut found: Vec<Comment> = Vec::new();
        let mut cursor = None;
        for _ in 0..COMMENT_PAGES {
            let next = cursor.clone().unwrap_or_else(|| format!("{PER_PAGE}:0:0"));
            let query = [("per_page", PER_PAGE), ("order_by", "-created_at"), ("cursor", next.as_str())];
            let page: Page<Comment> = self.read_item(id, "comments/", &query).await?;
            let old = page.results.iter().any(|c| written(c).is_some_and(|at| at < since));
            found.extend(page.results.into_iter().filter(|c| written(c).is_none_or(|at| at >= since)));
            cursor = page.next_cursor.filter(|_| page.next_page_results && !old);
            if cursor.is_none() {
                break;
            }
        }
        let found = in_order(found);
        self.inner.readings.keep(id, |r| &mut r.comments, &began, (since, found.clone()));
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
            let page: Page<Item> = self.inner.client.call(Ask::get(self.haste, &path, &query)).await?;
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
        self.inner.states.get(|| self.listing("states/")).await
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
        let fresh = self.inner.states.fresh(|| self.listing("states/")).await?;
        find(&fresh).ok_or_else(|| PlaneError::NoStatus(name.to_owned()))
    }

    /// The name of a state by its id, as far as it is known; nothing is asked.
    #[must_use]
    pub fn known_state(&self, id: &str) -> Option<String> {
        let states = self.inner.states.last()?;
        states.iter().find(|s| s.id == id).map(|s| s.name.clone())
    }

    /// Members of the project.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn members(&self) -> Result<Arc<Vec<User>>, PlaneError> {
        self.inner.members.get(|| self.read_members()).await
    }

    /// The member of this id; one who came a moment ago is found as well.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn member(&self, id: &str) -> Result<Option<User>, PlaneError> {
        let find = |all: &Vec<User>| all.iter().find(|u| u.id == id).cloned();
        self.inner.members.named(id, find, || self.read_members()).await
    }

    async fn read_members(&self) -> Result<Vec<User>, PlaneError> {
        let members: Vec<Member> = self.listing("members/").await?;
        let plain = |m| match m {
            Member::Of { member } | Member::Plain(member) => member,
        };
        Ok(members.into_iter().map(plain).collect())
    }

    /// Names of a work item's labels.
    ///
    /// # Errors
    /// [`PlaneError`].
    pub async fn label_names(&self, item: &Item) -> Result<Vec<String>, PlaneError> {
        let mut names = Vec::new();
        for label in &item.labels {
            if let Ref::Full { name: Some(name), .. } = label {
                names.push(name.clone());
                continue;
            }
            let find = |all: &Vec<Label>| all.iter().find(|l| l.id == label.id()).map(|l| l.name.clone());
            names.extend(self.inner.labels.named(label.id(), find, || self.listing("labels/")).await?);
        }
        Ok(names)
    }

    pub(super) async fn listing<T: DeserializeOwned>(&self, what: &str) -> Result<Vec<T>, PlaneError> {
        let path = format!("{}/{what}", self.inner.place);
        let mut all = Vec::new();
        let mut cursor = format!("{PER_PAGE}:0:0");
        for _ in 0..PAGES {
            let query = [("per_page", PER_PAGE), ("cursor", cursor.as_str())];
            // Seldom, and all who need it wait for whoever asks.
            let listing = self.inner.client.call(Ask::get(Haste::PERSON, &path, &query)).await;
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
pub(super) fn no_project(error: PlaneError) -> PlaneError {
    match error {
        PlaneError::NotFound => PlaneError::NoProject,
        other => other,
    }
}

/// The oldest first, each once: pages move while they are read, and one comment may be on two of them.
fn in_order(mut found: Vec<Comment>) -> Vec<Comment> {
    let placed = |c: &Comment| c.created_at.as_deref().and_then(moment);
    found.sort_by(|a, b| (placed(a), &a.id).cmp(&(placed(b), &b.id)));
    found.dedup_by(|a, b| a.id == b.id);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// B-START 6: ids are random, and two comments may stand less than a millisecond apart.
    #[test]
    fn comments_of_one_millisecond_keep_their_order() {
        let comment = |id: &str, at: &str| -> Comment {
            serde_json::from_value(json!({"id": id, "created_at": at, "comment_html": "<p>x</p>"})).unwrap()
        };
        let (first, second) = ("2026-05-04T10:00:00.123100Z", "2026-05-04T10:00:00.123900Z");
        let read = vec![comment("a", second), comment("f", first), comment("a", second)];
        let ids: Vec<String> = in_order(read).into_iter().map(|c| c.id).collect();
        assert_eq!(ids, ["f", "a"]);
    }
}
