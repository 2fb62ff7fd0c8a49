//! Comments: what people say on an issue.

use crate::engine::model::Millis;
use crate::shell::clock;
use crate::shell::door::comment_signal;
use crate::shell::tracker::plane::{Comment, SOURCE, User, time, to_text};

use super::LookError;
use super::sync::Look;

/// Comments are read again from so long before the last one, in milliseconds: two that are written
/// at the same time may be seen in the other order.
const OVERLAP: i64 = 60_000;

impl Look<'_> {
    /// Reads the comments since the last look; each that says something is one signal, once. One
    /// that is edited later has been heard.
    ///
    /// `told` is one that must be among them: where it is not, the server's copy is behind.
    pub(super) async fn comments(&self, told: Option<&str>) -> Result<Option<String>, LookError> {
        let store = &self.service.store;
        let known = store.projection(&self.project.name, self.issue).await?;
        let born = self.task.as_ref().map(|t| t.created_at.0.saturating_sub(self.plane.skew()));
        let Some(since) = known.heard.map(|h| h.0).or(born) else {
            // Nothing waits for a word, and what was said before the start is part of the issue.
            return Ok(None);
        };
        let all = self.plane.comments(self.issue, since - OVERLAP).await?;
        if told.is_some_and(|told| all.iter().all(|c| c.id != told)) {
            return Err(LookError::Behind);
        }
        let (mut last, mut found) = (None, None);
        for comment in all {
            let written = comment.created_at.as_deref().and_then(time);
            last = last.max(written);
            if born.is_some_and(|born| written.is_some_and(|at| at < born)) {
                continue;
            }
            if told == Some(comment.id.as_str()) && words(&comment).is_empty() {
                tracing::info!(issue = self.issue, comment = comment.id, "a comment without words says nothing");
            }
            if let Some(what) = self.comment(&comment, written).await? {
                found = Some(what);
            }
        }
        if let Some(last) = last {
            store.save_heard(&self.project.name, self.issue, Millis(last), clock::now()).await?;
        }
        Ok(found)
    }

    async fn comment(&self, comment: &Comment, written: Option<i64>) -> Result<Option<String>, LookError> {
        let Some(by) = &comment.actor else { return Ok(None) };
        if comment.external_source.as_deref() == Some(SOURCE) || self.plane.own().await?.iter().any(|own| own == by.id()) {
            return Ok(None);
        }
        let text = words(comment);
        if text.is_empty() {
            return Ok(None);
        }
        let Some((name, said)) = comment_signal(&self.rules, &text).filter(|(name, _)| self.reaches(name)) else {
            return Ok(None);
        };
        let by = User {
            id: by.id().to_owned(),
            ..User::default()
        };
        let at = written.unwrap_or_else(|| clock::now().0);
        let activity = format!("plane comment {}", comment.id);
        let Some(event) = self.event(&name, Some(said), &by, at, activity).await? else {
            return Ok(None);
        };
        let recorded = self.service.store.record(event).await?;
        Ok(recorded.map(|_| format!("a comment: the signal `{name}`")))
    }
}

fn words(comment: &Comment) -> String {
    to_text(comment.comment_html.as_deref().unwrap_or_default())
}
