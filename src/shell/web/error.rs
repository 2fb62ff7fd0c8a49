//! Refusals as JSON: what is wrong, and what to do about it.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::shell::door::DoorError;
use crate::shell::store::StoreError;
use crate::shell::view::ErrorView;

/// Seconds after which whoever was refused for our sake may ask again.
const RETRY_AFTER: &str = "10";

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ApiError {
    status: StatusCode,
    view: ErrorView,
}

impl ApiError {
    pub fn new(status: StatusCode, code: &str, error: impl Into<String>, help: Option<String>) -> Self {
        Self {
            status,
            view: ErrorView {
                error: error.into(),
                help,
                code: code.to_owned(),
            },
        }
    }

    /// Whether the same request may be taken later.
    pub fn is_temporary(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    pub fn unauthorized(error: &str, help: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", error, Some(help.to_owned()))
    }

    /// A process of a run asks for what people decide.
    pub fn agent(run: &str) -> Self {
        let error = format!("this comes from a process of run {run}: agents and commands of gates may look, and change nothing");
        let help = "a person says it, from a shell of their own".to_owned();
        Self::new(StatusCode::FORBIDDEN, "agent", error, Some(help))
    }

    pub fn misdirected() -> Self {
        let help = "names besides `listen` are configured with [api] hosts".to_owned();
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "unknown_host",
            "this service does not answer to that name",
            Some(help),
        )
    }

    pub fn not_found(error: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", error, Some(help.into()))
    }

    pub fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", error, None)
    }

    pub fn internal(error: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            error,
            Some("the service's log says more".to_owned()),
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::error!(status = self.status.as_u16(), error = %self.view.error, "a request failed");
        }
        let mut answer = (self.status, Json(self.view)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            answer
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        answer
    }
}

impl From<DoorError> for ApiError {
    fn from(e: DoorError) -> Self {
        let error = e.to_string();
        match e {
            DoorError::NotFound { help, .. } => Self::not_found(error, help),
            DoorError::NotNow { help, .. } => Self::new(StatusCode::CONFLICT, "not_possible", error, help),
            DoorError::Forbidden { help, .. } => Self::new(StatusCode::FORBIDDEN, "forbidden", error, Some(help)),
            DoorError::Bad { help, .. } => Self::new(StatusCode::BAD_REQUEST, "bad_request", error, help),
            DoorError::Kept { help, .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "database", error, Some(help)),
            DoorError::Store(e) => e.into(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(e: StoreError) -> Self {
        let error = e.to_string();
        match e {
            StoreError::Degraded { .. } | StoreError::Closed => {
                let help = "nothing was recorded; mend it and try again".to_owned();
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "database", error, Some(help))
            }
            StoreError::Conflict => Self::new(StatusCode::CONFLICT, "moved", error, Some("try again".to_owned())),
            StoreError::Gone => Self::not_found(error, "it may have been there a moment ago"),
            StoreError::Corrupt { .. } | StoreError::Refused { .. } => Self::internal(error),
        }
    }
}
