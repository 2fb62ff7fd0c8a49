//! When the wall clock is set, what is due moves along: nothing is rescued, fired or let go of
//! because an hour passed on paper.

use crate::engine::model::Millis;
use crate::shell::clock;
use crate::shell::process::boot_id;
use crate::shell::service::Service;
use crate::shell::store::StoreError;

/// Looks at the start whether the clock was set while nobody looked. After a start of the machine
/// nobody can tell: the wall clock counts then.
///
/// # Errors
/// The database.
pub async fn begin(service: &Service) -> Result<(), StoreError> {
    let (boot, ahead) = (boot_id(), clock::ahead());
    let known = service.store.clock().await?;
    let same = known.filter(|(before, _)| !boot.is_empty() && *before == boot);
    let by = same.map_or(Millis(0), |(_, before)| Millis(ahead.saturating_sub(before)));
    if by.0.saturating_abs() > clock::JUMP.0 {
        let from = Millis(clock::now().0.saturating_sub(by.0));
        service.store.shift(by, from, &boot, ahead).await?;
        told(by);
        return Ok(());
    }
    service.store.save_clock(&boot, ahead).await
}

/// Follows the wall clock if it was set.
///
/// # Errors
/// The database; then it is not followed yet, and nothing has moved.
pub async fn keep(service: &Service) -> Result<(), StoreError> {
    let Some(by) = clock::moved() else { return Ok(()) };
    let ahead = clock::ahead().saturating_add(by.0);
    service.store.shift(by, clock::now(), &boot_id(), ahead).await?;
    clock::follow(by);
    told(by);
    Ok(())
}

fn told(by: Millis) {
    tracing::warn!("the wall clock was set by {} s: what is due was moved along", by.0 / 1000);
}
