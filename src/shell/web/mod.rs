//! stub
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use crate::shell::service::Service;
/// stub
pub async fn serve(_s: Arc<Service>, t: CancellationToken) -> Result<(), std::io::Error> { t.cancelled().await; Ok(()) }
