//! Who moved an issue, and moves that the board shows no longer.

use crate::engine::model::Millis;
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

    /// A change that the board shows no longer, or shows as it did before: one that we wrote over
    /// between our reading and our writing, or one away and back again. It was made, and counts,
    /// where the issue's history has it later than the last that we know of.
    pub(super) async fn unseen(&self, hint: Option<&Hint>) -> Result<Option<String>, LookError> {
        let Some(Hint {
            what: What::State(Some(new)),
            actor: Some(by),
            at: Some(told),
            ..
        }) = hint
        else {
            return Ok(None);
        };
        let known = self.service.store.projection(&self.project.name, self.issue).await?;
        let Some(seen) = known.seen.filter(|seen| *told > seen.0) else {
            return Ok(None);
        };
        let states = self.plane.states().await?;
        let state = states.iter().find(|s| s.id == *new || s.name == *new);
        let Some((state, name)) = state.and_then(|s| Some((s, self.meant(&s.name)?))) else {
            return Ok(None);
        };
        // History counts in seconds. What cannot be told apart is taken as the same, but for a
        // stop: that one too many does nothing, one too few does harm.
        let slack = if name == "stop" { 1000 } else { 0 };
        let history = self.plane.activities(self.issue).await?;
        let made = history.iter().find_map(|a| {
            let this = a.new_identifier.as_deref() == Some(state.id.as_str()) && a.actor.as_ref().is_some_and(|r| r.id() == by.id);
            a.made().filter(|at| this && at.saturating_add(slack) > seen.0)
        });
        let Some(at) = made else { return Ok(None) };
        let activity = format!("plane {} state {} {told}", self.issue, state.id);
        let Some(event) = self.event(&name, None, by, at.max(seen.0), activity).await? else {
            return Ok(None);
        };
        let recorded = self.service.store.record(event).await?;
        self.service.store.save_seen(&self.project.name, self.issue, Millis(*told)).await?;
        Ok(recorded.map(|_| format!("moved to {:?} in between: the signal `{name}`", state.name)))
    }

    /// Changes of people behind the one to `before`, as it was read at `since`, that are signals: each
    /// counts, though the board shows something else by now. History counts in seconds, in which a
    /// stop and the start after it may both fall: its order decides, the time only bounds it.
    pub(super) async fn between(&self, since: Millis, before: &str) -> Result<Option<String>, LookError> {
        let history = self.plane.activities(self.issue).await?;
        let own = self.plane.own().await?;
        let states = self.plane.states().await?;
        let named = |id: &Option<String>| states.iter().find(|s| id.as_deref() == Some(s.id.as_str()));
        let mut between = Vec::new();
        for change in history.iter().filter(|a| a.field.as_deref() == Some("state")) {
            let (Some(by), Some(made), Some(state)) = (&change.actor, change.made(), named(&change.new_identifier)) else {
                continue;
            };
            if state.name == before || made.saturating_add(1000) <= since.0 {
                break;
            }
            if !own.iter().any(|own| own == by.id()) {
                between.push((change, by, made, state));
            }
        }
        let mut found = None;
        // The oldest first, as they were made.
        for (change, by, made, state) in between.into_iter().rev() {
            let Some(name) = self.meant(&state.name) else { continue };
            let activity = format!("plane {} between {}", self.issue, change.id);
            let Some(event) = self.event(&name, None, &user(by), made.max(since.0), activity).await? else {
                continue;
            };
            if self.service.store.record(event).await?.is_some() {
                found = Some(format!("moved to {:?} while we wrote: the signal `{name}`", state.name));
            }
        }
        Ok(found)
    }
}

fn user(of: &Ref) -> User {
    User {
        id: of.id().to_owned(),
        ..User::default()
    }
}
