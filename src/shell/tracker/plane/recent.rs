//! Issues that were read a moment ago: one look asks for the same one several times in a row.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::model::Issue;

/// How long an issue that was read is taken for the same look.
const MOMENT: Duration = Duration::from_secs(1);

/// What was read a moment ago, and how often anything was heard of an issue.
#[derive(Default)]
pub(super) struct Recent(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    read: BTreeMap<String, (Instant, Issue)>,
    /// Counts what was forgotten: a reading that began before is not kept.
    news: u64,
}

impl Recent {
    /// The issue, where it was read a moment ago; else what [`Recent::keep`] has to be told.
    pub fn get(&self, id: &str) -> Result<Issue, u64> {
        self.get_at(id, Instant::now())
    }

    fn get_at(&self, id: &str, now: Instant) -> Result<Issue, u64> {
        let mut inner = self.lock();
        inner.read.retain(|_, (at, _)| now.duration_since(*at) < MOMENT);
        match inner.read.get(id) {
            Some((_, issue)) => Ok(issue.clone()),
            None => Err(inner.news),
        }
    }

    /// Keeps what was `asked` for then, unless something was heard of an issue since the reading `began`.
    pub fn keep(&self, id: &str, issue: &Issue, began: u64, asked: Instant) {
        let mut inner = self.lock();
        if inner.news == began {
            inner.read.insert(id.to_owned(), (asked, issue.clone()));
        }
    }

    /// Something was heard of the issue: it is read again.
    pub fn forget(&self, id: &str) {
        let mut inner = self.lock();
        inner.news = inner.news.wrapping_add(1);
        inner.read.remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(title: &str) -> Issue {
        Issue {
            title: title.to_owned(),
            ..Issue::default()
        }
    }

    #[test]
    fn what_was_read_serves_a_moment_and_never_beyond_news_of_it() {
        let recent = Recent::default();
        let began = recent.get("a").unwrap_err();
        recent.keep("a", &issue("one"), began, Instant::now());
        assert_eq!(recent.get("a").unwrap().title, "one");
        assert!(recent.get("b").is_err(), "each issue by itself");
        let began = recent.get_at("a", Instant::now() + MOMENT).unwrap_err();

        // News came while it was read: what was read may be older than that.
        recent.forget("a");
        recent.keep("a", &issue("two"), began, Instant::now());
        let began = recent.get("a").unwrap_err();
        recent.keep("a", &issue("three"), began, Instant::now());
        assert_eq!(recent.get("a").unwrap().title, "three");
        recent.forget("a");
        assert!(recent.get("a").is_err());
    }
}
