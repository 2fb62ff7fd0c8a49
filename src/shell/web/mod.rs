//! stub
use crate::shell::service::Service;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
/// stub
pub async fn serve(_s: Arc<Service>, t: CancellationToken) -> Result<(), std::io::Error> {
    t.cancelled().await;
    Ok(())
}
