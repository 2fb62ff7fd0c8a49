//! Degraded mode: while the database cannot be written (full disk, I/O error, no memory, damage, held
//! by another program) nothing new is started. Agents go on with their shims, what is recorded stays,
//! whoever wants something recorded is refused and may say it again; it is tried again until it works.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::engine::model::Millis;
use crate::shell::service::Service;
use crate::shell::store::StoreError;
use crate::shell::{clock, rescue};

/// Pause between two looks whether it can be written again.
pub const PAUSE: Duration = Duration::from_secs(1);

/// What is wrong with the database, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Cause and remedy, one sentence.
    pub why: String,
    /// Since when.
    pub since: Millis,
}

/// What this process knows of it besides the store.
#[derive(Default)]
pub struct Degraded(Mutex<State>);

#[derive(Default)]
struct State {
    since: Option<Millis>,
    /// What could not be read.
    reading: Option<String>,
}

impl Degraded {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the last look at everything went.
    pub fn looked(&self, result: &Result<(), StoreError>) {
        let mut state = self.lock();
        state.reading = match result {
            Err(error @ (StoreError::Degraded { .. } | StoreError::Corrupt { .. })) => Some(error.to_string()),
            _ => None,
        };
        // Since when is asked for later, by people: it began now.
        state.since = state.reading.as_ref().map(|_| state.since.unwrap_or_else(clock::now));
    }
}

impl Service {
    /// What is wrong with the database now; nothing while it is in order.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        let writing = self.store.trouble().borrow().clone();
        let mut state = self.degraded.lock();
        let Some(why) = writing.or_else(|| state.reading.clone()) else {
            state.since = None;
            return None;
        };
        let since = *state.since.get_or_insert_with(clock::now);
        Some(Trouble { why, since })
    }

    /// Returns once the database can be written again.
    pub async fn mended(&self) {
        let mut trouble = self.store.trouble();
        // A closed store is mended no more; whoever waits is about to end.
        let _ = trouble.wait_for(Option::is_none).await;
    }
}

/// Looks whether the database can be written again. Once it can, what could not be recorded
/// meanwhile is taken up again. `seen` is what the caller knows of it.
///
/// # Errors
/// It still cannot.
pub async fn mend(service: &Arc<Service>, seen: &mut watch::Receiver<Option<String>>) -> Result<(), StoreError> {
    // It may have come and gone since the last look.
    let moved = seen.has_changed().unwrap_or(false);
    let trouble = seen.borrow_and_update().is_some();
    if !trouble && !moved {
        return Ok(());
    }
    if trouble {
        service.store.probe().await?;
        seen.mark_unchanged();
    }
    tracing::info!("the database is in order again: work goes on");
    if let Err(error) = rescue::recover(service).await {
        tracing::error!(%error, "runs without a follower could not be looked for");
    }
    Ok(())
}
