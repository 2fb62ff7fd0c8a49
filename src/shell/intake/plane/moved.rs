//! Who moved an issue, and moves that the board shows no longer.

use crate::shell::tracker::plane::{Item, Ref, User, time};

use super::LookError;
use super::hint::{Hint, What};
use super::sync::Look;

/// A person's change.
pub(super) struct Change {
    pub by: User,
    /// By the board's clock, in milliseconds.
    pub at: i64,
}

impl Look<'_> {
    /// Who brought the issue where it stands, and when: by the delivery where it speaks of just
    /// that, else by the issue's history; only where that is behind, by its last change.
    pub(super) async fn who_moved(&self, item: &Item, status: &str, hint: Option<&Hint>) -> Result<Change, LookError> {
        let state = item.state.as_ref().map_or("", Ref::id);
        let updated = item.updated_at.as_deref().and_then(time).unwrap_or_default();
        let here = |new: &str| new == state || new == status;
        if let Some(Hint {
            what, actor: Some(by), at, ..
        }) = hint
        {
            let this = match what {
                What::State(Some(new)) => here(new),
                What::Made => true,
                _ => false,
            };
            if this {
                return Ok(Change {
                    by: by.clone(),
                    at: at.unwrap_or(updated),
                });
            }
        }
        let history = self.plane.activities(self.issue).await?;
        let last = history.iter().find(|a| a.field.as_deref() == Some("state"));
        if let Some(last) = last
            && last.new_identifier.as_deref().is_some_and(here)
            && let Some(by) = &last.actor
        {
            let at = last.created_at.as_deref().and_then(time).unwrap_or(updated);
            return Ok(Change { by: user(by), at });
        }
        // Nobody has moved it yet: it was made where it stands.
        let (by, at) = match last {
            None if !history.is_empty() => (&item.created_by, item.created_at.as_deref().and_then(time)),
            _ => (&item.updated_by, None),
        };
        let by = by.as_ref().or(item.created_by.as_ref()).map(user).unwrap_or_default();
        Ok(Change {
            by,
            at: at.unwrap_or(updated),
        })
    }

    /// A person's change that we wrote over between our reading and our writing: the board shows
    /// it no longer, but it was made, and counts.
    pub(super) async fn written_over(&self, hint: Option<&Hint>, shows: &str) -> Result<Option<String>, LookError> {
        let Some(Hint {
            what: What::State(Some(new)),
            actor: Some(by),
            ..
        }) = hint
        else {
            return Ok(None);
        };
        let known = self.service.store.projection(&self.project.name, self.issue).await?;
        let states = self.plane.states().await?;
        let Some(moved_to) = states.iter().find(|s| s.id == *new || s.name == *new) else {
            return Ok(None);
        };
        let covered = known.consumed.as_deref() == Some(moved_to.name.as_str()) || moved_to.name == shows;
        let (false, true, Some(seen)) = (covered, known.written.as_deref() == Some(shows), known.seen) else {
            return Ok(None);
        };
        let Some(name) = self.meant(&moved_to.name) else { return Ok(None) };
        let history = self.plane.activities(self.issue).await?;
        let made = history.iter().find_map(|a| {
            let this = a.new_identifier.as_deref() == Some(moved_to.id.as_str()) && a.actor.as_ref().is_some_and(|r| r.id() == by.id);
            a.created_at.as_deref().and_then(time).filter(|at| this && *at > seen.0)
        });
        let Some(at) = made else { return Ok(None) };
        let activity = format!("plane {} state {} {at}", self.issue, moved_to.id);
        let Some(event) = self.event(&name, None, by, at, activity).await? else {
            return Ok(None);
        };
        let recorded = self.service.store.record(event).await?;
        Ok(recorded.map(|_| format!("moved to {:?} while we wrote: the signal `{name}`", moved_to.name)))
    }
}

fn user(of: &Ref) -> User {
    User {
        id: of.id().to_owned(),
        ..User::default()
    }
}
