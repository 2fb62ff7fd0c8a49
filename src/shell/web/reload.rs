//! Reading the rules again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::shell::reload::{ReloadError, Reloaded};
use crate::shell::view::ErrorView;

use super::auth::Caller;
use super::error::ApiError;
use super::router::Web;

/// Reads the configuration and its rules again: all of it is taken over, or nothing is.
#[utoipa::path(post, path = "/api/reload",
    responses((status = 200, body = Reloaded), (status = 403, body = ErrorView), (status = 409, body = ErrorView), (status = 422, body = ErrorView)))]
pub(super) async fn reload(State(web): State<Web>, Caller(actor): Caller) -> Result<Json<Reloaded>, ApiError> {
    // Whoever hangs up does not take it back: it would be proved once more by the next who asks.
    let begun = tokio::spawn(async move { web.service.reload(&actor).await });
    let done = begun.await.map_err(|_| ApiError::internal("a defect: the reload panicked"))?;
    Ok(Json(done?))
}

impl From<ReloadError> for ApiError {
    fn from(e: ReloadError) -> Self {
        let error = e.to_string();
        match e {
            ReloadError::Door(e) => e.into(),
            ReloadError::Store(e) => e.into(),
            ReloadError::Invalid(_) => {
                let help = "mend the files, check them with `signalbox validate`, then reload again";
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_rules", error, Some(help.to_owned()))
            }
            ReloadError::Stranded(_) => {
                let help = "keep what these tasks need until they are through, stop them, or let the project's tasks keep \
                            their rules: in_flight = \"pin\"";
                Self::new(StatusCode::CONFLICT, "stranded", error, Some(help.to_owned()))
            }
        }
    }
}
