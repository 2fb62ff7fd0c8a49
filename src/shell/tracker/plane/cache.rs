//! What a board is known to have: read seldom, read again when it seems old.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as Turn;
use tokio::time::Instant;

use super::error::PlaneError;

/// How long something is believed.
const BELIEVED: Duration = Duration::from_secs(300);
/// How soon it is read again at the earliest, however often someone misses something in it.
const AGAIN: Duration = Duration::from_secs(10);
/// Most keys of which it is remembered that they were missed.
const MISSED: usize = 1000;

/// Something that is read seldom. One reads, the others wait for it.
pub struct Kept<T> {
    value: Mutex<Option<(Instant, Arc<T>)>>,
    turn: Turn<()>,
    missed: Mutex<BTreeSet<String>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            value: Mutex::default(),
            turn: Turn::default(),
            missed: Mutex::default(),
        }
    }
}

impl<T> Kept<T> {
    /// The value, read where it is old.
    pub async fn get<F: Future<Output = Result<T, PlaneError>>>(&self, read: impl FnOnce() -> F) -> Result<Arc<T>, PlaneError> {
        self.within(BELIEVED, read).await
    }

    /// The value as it is now: read, unless that was a moment ago.
    pub async fn fresh<F: Future<Output = Result<T, PlaneError>>>(&self, read: impl FnOnce() -> F) -> Result<Arc<T>, PlaneError> {
        self.within(AGAIN, read).await
    }

    /// What `find` finds of something that the board has just named by `key`. What is not known came a moment ago: it is read
    /// at once, and seldom after that, should it still be missing.
    pub async fn named<U, F: Future<Output = Result<T, PlaneError>>>(
        &self,
        key: &str,
        find: impl Fn(&T) -> Option<U>,
        read: impl Fn() -> F,
    ) -> Result<Option<U>, PlaneError> {
        let named = Instant::now();
        if let Some(found) = find(&*self.get(&read).await?) {
            return Ok(Some(found));
        }
        let before = self.missed.lock().unwrap_or_else(PoisonError::into_inner).contains(key);
        let fresh = self.within(if before { AGAIN } else { named.elapsed() }, &read).await?;
        let found = find(&fresh);
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if found.is_some() || missed.len() >= MISSED {
            missed.remove(key);
        } else {
            missed.insert(key.to_owned());
        }
        Ok(found)
    }

    async fn within<F: Future<Output = Result<T, PlaneError>>>(
        &self,
        age: Duration,
        read: impl FnOnce() -> F,
    ) -> Result<Arc<T>, PlaneError> {
        if let Some(value) = self.known(age) {
            return Ok(value);
        }
        let _turn = self.turn.lock().await;
        if let Some(value) = self.known(age) {
            return Ok(value);
        }
        // It is as old as the question: what came while it was answered may not be in it.
        let asked = Instant::now();
        let value = Arc::new(read().await?);
        *self.lock() = Some((asked, Arc::clone(&value)));
        Ok(value)
    }

    /// Whatever is known, however old; nothing is read.
    pub fn last(&self) -> Option<Arc<T>> {
        self.known(Duration::MAX)
    }

    /// Whatever is known is old.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    /// What is known is old unless `holds`.
    pub fn forget_unless(&self, holds: impl FnOnce(&T) -> bool) {
        let mut value = self.lock();
        if value.as_ref().is_some_and(|(_, known)| !holds(known)) {
            *value = None;
        }
    }

    fn known(&self, age: Duration) -> Option<Arc<T>> {
        let value = self.lock();
        let (at, known) = value.as_ref()?;
        (at.elapsed() < age).then(|| Arc::clone(known))
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, Arc<T>)>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_read_again_when_it_is_old_or_missed() {
        let kept: Kept<u32> = Kept::default();
        let read = |n: u32| move || async move { Ok(n) };
        assert_eq!(*kept.get(read(1)).await.unwrap(), 1);
        assert_eq!(*kept.get(read(2)).await.unwrap(), 1);
        assert_eq!(*kept.fresh(read(2)).await.unwrap(), 1, "it was read a moment ago");
        assert_eq!(*kept.within(Duration::ZERO, read(3)).await.unwrap(), 3);
        kept.forget_unless(|known| *known == 3);
        assert_eq!(*kept.get(read(4)).await.unwrap(), 3);
        kept.forget_unless(|known| *known == 4);
        assert_eq!(*kept.get(read(4)).await.unwrap(), 4);
        kept.forget();
        assert_eq!(*kept.fresh(read(5)).await.unwrap(), 5);
    }

    #[tokio::test]
    async fn what_was_named_a_moment_ago_is_read_at_once_and_what_is_missing_is_not_asked_for_ever() {
        let kept: Kept<Vec<u32>> = Kept::default();
        let (board, reads) = (Mutex::new(vec![1]), Mutex::new(0));
        let read = || async {
            *reads.lock().unwrap() += 1;
            Ok(board.lock().unwrap().clone())
        };
        let find = |n: u32| move |all: &Vec<u32>| all.iter().copied().find(|k| *k == n);
        assert_eq!(kept.named("1", find(1), read).await.unwrap(), Some(1));
        board.lock().unwrap().push(2);
        assert_eq!(
            kept.named("2", find(2), read).await.unwrap(),
            Some(2),
            "though it was read a moment ago"
        );
        assert_eq!(*reads.lock().unwrap(), 2);
        for _ in 0..3 {
            assert_eq!(kept.named("3", find(3), read).await.unwrap(), None);
        }
        assert_eq!(*reads.lock().unwrap(), 3, "once at once, then seldom");
        assert_eq!(kept.named("1", find(1), read).await.unwrap(), Some(1));
        assert_eq!(*reads.lock().unwrap(), 3);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_not_empty() {
        let kept: Kept<Vec<u32>> = Kept::default();
        let failed = kept.get(|| async { Err(PlaneError::Timeout) }).await;
        assert_eq!(failed, Err(PlaneError::Timeout));
        assert_eq!(*kept.get(|| async { Ok(vec![1]) }).await.unwrap(), vec![1]);
    }
}
