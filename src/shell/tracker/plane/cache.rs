//! What a board is known to have: read seldom, read again when it seems old.

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

/// Something that is read seldom. One reads, the others wait for it.
pub struct Kept<T> {
    value: Mutex<Option<(Instant, Arc<T>)>>,
    turn: Turn<()>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            value: Mutex::default(),
            turn: Turn::default(),
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
        let value = Arc::new(read().await?);
        *self.lock() = Some((Instant::now(), Arc::clone(&value)));
        Ok(value)
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
    async fn what_cannot_be_read_is_not_empty() {
        let kept: Kept<Vec<u32>> = Kept::default();
        let failed = kept.get(|| async { Err(PlaneError::Timeout) }).await;
        assert_eq!(failed, Err(PlaneError::Timeout));
        assert_eq!(*kept.get(|| async { Ok(vec![1]) }).await.unwrap(), vec![1]);
    }
}
