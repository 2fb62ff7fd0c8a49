//! Intake: from a recorded delivery to events. A delivery is a hint: what it is about is read
//! again from the source before anything is decided.

mod gitea;
pub mod plane;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::engine::model::Millis;
use crate::shell::clock;
use crate::shell::service::Service;
use crate::shell::store::{DeliveryRow, Peer, StoreError};

/// Deliveries taken up in one look.
const BATCH: u32 = 32;
/// Longest sleep when nothing is due: a safety net.
const SAFETY_POLL: Duration = Duration::from_secs(30);
/// Shortest time from one look to the next: under load one look serves many commits.
const PACE: Duration = Duration::from_millis(5);
/// The same while more waits than one look takes: who delivers waits for an answer, nobody for 2 000 deliveries a second.
const BUSY: Duration = Duration::from_millis(16);
/// Longest pause between two tries of a delivery.
const PAUSE_MAX: i64 = 300_000;
/// A delivery is given up after so many tries, most of a day: the source is down, and what it
/// knows is read when it is back.
const TRIES: u32 = 300;
/// Tries that may be needed where nothing is wrong.
const SOON: u32 = 4;

/// What came of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Understood {
    /// It was dealt with; what followed, for the record.
    Done(String),
    /// It means nothing here; why.
    Nothing(String),
    /// The source does not answer: it is kept and tried again.
    Later(String),
    /// The source takes no more requests for so long; why. It is kept until then.
    Held(String, Millis),
}

/// Works off deliveries until `stop` is cancelled.
pub async fn run(service: Arc<Service>, stop: CancellationToken) {
    let mut deliveries = service.store.deliveries();
    while !stop.is_cancelled() {
        deliveries.borrow_and_update();
        let begun = tokio::time::Instant::now();
        let (nap, pace) = match look(&service).await {
            Ok((nap, true)) => (nap, BUSY),
            Ok((nap, false)) => (nap, PACE),
            Err(error) => {
                tracing::error!(%error, "deliveries cannot be read: they wait");
                (Duration::from_secs(1), PACE)
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            _ = deliveries.changed() => {}
            () = tokio::time::sleep(nap) => {}
        }
        // What comes in goes before what is made of it.
        tokio::time::sleep_until(begun + pace).await;
    }
}

/// Takes up what is due; how long to sleep until the next is, and whether there may be more than was taken.
async fn look(service: &Arc<Service>) -> Result<(Duration, bool), StoreError> {
    let due = service.store.deliveries_due(clock::now(), BATCH).await?;
    let more = due.len() >= BATCH as usize;
    for delivery in due {
        let Some(held) = service.busy.take(format!("delivery {}", delivery.id)) else {
            continue;
        };
        let service = Arc::clone(service);
        tokio::spawn(async move {
            match one(&service, &delivery).await {
                // A service that ends leaves it for its next start.
                Ok(()) | Err(StoreError::Closed) => {}
                Err(error) => {
                    tracing::error!(%error, delivery = delivery.id, "what came of a delivery could not be recorded; it is looked at again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    // Its source is not to be asked every second by someone who cannot write down the answer.
                    service.mended().await;
                }
            }
            drop(held);
        });
    }
    let due = service.store.next_delivery().await?;
    let wait = due.map_or(SAFETY_POLL, |due| {
        Duration::from_millis(due.0.saturating_sub(clock::now().0).max(0).unsigned_abs())
    });
    // What is under way is due as well: a moment's rest, or this would spin.
    Ok((wait.clamp(Duration::from_millis(20), SAFETY_POLL), more))
}

async fn one(service: &Arc<Service>, delivery: &DeliveryRow) -> Result<(), StoreError> {
    // It was listed before it was ours alone: whoever had it then may have dealt with it since.
    if !service.store.delivery_waits(delivery).await? {
        return Ok(());
    }
    let understood = match delivery.peer {
        Peer::Plane => plane::understand(service, delivery).await?,
        Peer::Gitea => gitea::understand(service, delivery).await?,
    };
    let (id, peer, event, now) = (delivery.id, delivery.peer.as_str(), delivery.event.as_str(), clock::now());
    match understood {
        Understood::Done(what) => {
            tracing::info!(delivery = id, peer, event, "{what}");
            service.store.delivery_closed(delivery, true, &what, now).await?;
            service.wake();
        }
        Understood::Nothing(why) => {
            tracing::info!(delivery = id, peer, event, "means nothing here: {why}");
            service.store.delivery_closed(delivery, false, &why, now).await?;
        }
        Understood::Held(why, pause) => {
            tracing::info!(delivery = id, peer, event, "a delivery waits {} s: {why}", (pause.0 + 999) / 1000);
            service.store.delivery_held(id, &why, now.plus(pause)).await?;
        }
        Understood::Later(why) if delivery.attempts >= TRIES => {
            tracing::error!(delivery = id, peer, event, "a delivery was given up: {why}");
            service
                .store
                .delivery_closed(delivery, false, &format!("given up: {why}"), now)
                .await?;
        }
        Understood::Later(why) => {
            // A source that is a moment behind what it tells is no occasion for concern.
            let attempts = delivery.attempts;
            if attempts < SOON {
                tracing::info!(delivery = id, peer, event, attempts, "a delivery is tried again: {why}");
            } else {
                tracing::warn!(delivery = id, peer, event, attempts, "a delivery is tried again: {why}");
            }
            let pause = 500_i64.saturating_mul(1 << delivery.attempts.min(20)).min(PAUSE_MAX);
            service.store.delivery_later(id, &why, now.plus(Millis(pause))).await?;
        }
    }
    Ok(())
}
