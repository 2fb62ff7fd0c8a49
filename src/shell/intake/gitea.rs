//! What Gitea tells.

use std::sync::Arc;

use crate::shell::service::Service;
use crate::shell::store::{DeliveryRow, StoreError};

use super::Understood;

/// Reads a delivery and does what follows from it.
///
/// # Errors
/// The database.
pub(super) async fn understand(_service: &Arc<Service>, delivery: &DeliveryRow) -> Result<Understood, StoreError> {
    Ok(Understood::Nothing(format!("{} is not known", delivery.event)))
}
