//! What people and their machines say about a change request on the local forge: reviews and
//! commit statuses.

use crate::engine::model::{Actor, Body, CheckState, Name, ReviewState, Role, Task};
use crate::shell::service::Service;
use crate::shell::store::{ChangeRow, NewEvent, NewReview, NewStatus};

use super::signal::done;
use super::{Done, DoorError, Found, check_text, require};

/// Longest name of a check, in bytes.
const MAX_CONTEXT: usize = 200;

impl Service {
    /// A person reviews the task's change request, as it stands now.
    ///
    /// # Errors
    /// [`DoorError`]; nothing was recorded then.
    pub async fn change_review(&self, target: &str, state: ReviewState, text: &str, actor: Actor) -> Result<Done, DoorError> {
        require(&actor, &[Role::Approver], "review changes")?;
        check_text(text, "the text", state == ReviewState::Changes)?;
        let (found, task, change) = self.open_change(target).await?;
        let review = NewReview {
            repo: task.repo,
            number: change.number,
            author: actor.label(),
            state,
            commit: change.head.clone(),
            body: text.trim().to_owned(),
            now: self.now(),
        };
        let look = self.look(&found, &actor, "a review on the forge");
        self.store.review_add(review, Some(look)).await?;
        self.wake();
        let words = match state {
            ReviewState::Approved => "approves",
            ReviewState::Changes => "requests changes on",
        };
        Ok(done(&found, format!("{} {words} change #{}", actor.label(), change.number), None))
    }

    /// A machine reports a check of the task's change request, as it stands now.
    ///
    /// # Errors
    /// [`DoorError`]; nothing was recorded then.
    pub async fn change_check(&self, target: &str, context: &str, state: CheckState, text: &str, actor: Actor) -> Result<Done, DoorError> {
        require(&actor, &[Role::Operator, Role::Approver], "report checks")?;
        check_text(text, "the text", false)?;
        let context = context.trim();
        if context.is_empty() || context.len() > MAX_CONTEXT || context.chars().any(char::is_control) {
            return Err(DoorError::bad(format!(
                "the check's name must be one line of 1 to {MAX_CONTEXT} bytes"
            )));
        }
        let (found, task, change) = self.open_change(target).await?;
        let status = NewStatus {
            repo: task.repo,
            sha: change.head.clone(),
            context: context.to_owned(),
            state,
            description: text.trim().to_owned(),
            now: self.now(),
        };
        let look = self.look(&found, &actor, "a check on the forge");
        self.store.status_set(status, Some(look)).await?;
        self.wake();
        let sha = change.head.get(..10).unwrap_or(&change.head);
        Ok(done(&found, format!("check {context} of {sha} is recorded"), None))
    }

    async fn open_change(&self, target: &str) -> Result<(Found, Task, ChangeRow), DoorError> {
        let found = self.find(target).await?;
        // There the word of the server counts, and only that.
        let elsewhere = |t: &Task| self.project_of(t).is_some_and(|p| p.forge.gitea().is_some());
        if found.task.as_ref().is_some_and(elsewhere) {
            return Err(DoorError::bad(format!(
                "{} has its pull request on the forge: review and check it there",
                found.label
            )));
        }
        let none = || {
            DoorError::not_now(
                format!("{} has no open change request", found.label),
                format!("signalbox show {}", found.label),
            )
        };
        let task = found.task.clone().filter(|t| !t.terminal()).ok_or_else(none)?;
        let change = self.store.change_by_branch(task.repo, &task.branch).await?;
        let change = change
            .filter(|c| c.state == crate::shell::store::ChangeState::Open)
            .ok_or_else(none)?;
        Ok((found, task, change))
    }

    fn look(&self, found: &Found, actor: &Actor, by: &str) -> NewEvent {
        self.event(found, Body::Poked { by: Name::new(by) }, actor, None)
    }
}
