//! Which path answers what, and what every answer goes through.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::shell::service::Service;

use super::error::ApiError;
use super::{auth, forge, hook, logs, read, reload, spending, write};

/// Largest body, in bytes.
pub(super) const MAX_BODY: usize = 256 * 1024;
/// Longest time until an answer begins; a long poll ends sooner.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same where rules are proved first, each project's for up to a minute.
const PROVED: Duration = Duration::from_mins(10);

/// What the handlers work with.
#[derive(Clone)]
pub struct Web {
    /// The service.
    pub service: Arc<Service>,
    /// The token for acts over TCP.
    pub token: Option<auth::Token>,
    /// Cancelled when the service ends: whoever waits is answered then.
    pub stop: CancellationToken,
    api: Arc<std::sync::OnceLock<utoipa::openapi::OpenApi>>,
}

impl Web {
    /// What the handlers work with.
    #[must_use]
    pub fn new(service: Arc<Service>, token: Option<auth::Token>, stop: CancellationToken) -> Self {
        Self {
            service,
            token,
            stop,
            api: Arc::default(),
        }
    }

    /// The description of the API.
    pub(super) fn api(&self) -> Option<&utoipa::openapi::OpenApi> {
        self.api.get()
    }
}

#[derive(OpenApi)]
#[openapi(info(
    title = "signalbox",
    description = "Runs coding agents through gated pipelines. Errors are ErrorView."
))]
struct Description;

/// The whole interface.
pub fn router(web: Web) -> Router {
    let (routes, mut api) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(read::health))
        .routes(routes!(read::status))
        .routes(routes!(read::queue))
        .routes(routes!(read::tasks, write::new))
        .routes(routes!(read::show))
        .routes(routes!(read::why))
        .routes(routes!(read::history))
        .routes(routes!(write::comment))
        .routes(routes!(write::status))
        .routes(routes!(write::label))
        .routes(routes!(write::approve))
        .routes(routes!(write::reject))
        .routes(routes!(write::answer_question))
        .routes(routes!(write::stop))
        .routes(routes!(write::start))
        .routes(routes!(write::retry))
        .routes(routes!(write::depend))
        .routes(routes!(forge::review))
        .routes(routes!(forge::check))
        .routes(routes!(forge::freeze))
        .routes(routes!(forge::unfreeze))
        .routes(routes!(reload::reload))
        .routes(routes!(spending::runs))
        .routes(routes!(spending::cost))
        .routes(routes!(spending::allow))
        .routes(routes!(spending::close_breaker))
        .routes(routes!(logs::run))
        .routes(routes!(logs::log))
        .routes(routes!(read::projects))
        .routes(routes!(read::timeline))
        .split_for_parts();
    let (hooks, signed) = OpenApiRouter::new()
        .routes(routes!(hook::plane))
        .routes(routes!(hook::gitea))
        .split_for_parts();
    api.merge(signed);
    let hooks = hooks
        // As addresses of that server's own end.
        .route("/webhook/plane/", post(hook::plane))
        .route("/webhook/gitea/", post(hook::gitea))
        .layer(DefaultBodyLimit::max(hook::MAX_HOOK))
        .layer(middleware::from_fn(in_time));
    // Set once per router; a second router of the same state describes the same.
    let _ = web.api.set(api);
    let nosniff = SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let no_store = SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    routes
        .route("/api/openapi.json", get(read::openapi))
        .fallback(nowhere)
        .method_not_allowed_fallback(not_so)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(web.clone(), auth::gate))
        // Trackers and forges have no token: what they send is signed.
        .merge(hooks)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(nosniff)
        .layer(no_store)
        .with_state(web)
}

async fn nowhere() -> ApiError {
    ApiError::not_found("there is nothing at this path", "/api/openapi.json describes what there is")
}

async fn not_so() -> ApiError {
    let help = Some("/api/openapi.json describes what there is".to_owned());
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path is not asked that way",
        help,
    )
}

async fn in_time(request: Request, next: Next) -> Response {
    let patience = if request.uri().path() == "/api/reload" { PROVED } else { PATIENCE };
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timeout",
            "the answer took too long",
            Some("try again".to_owned()),
        )
        .into_response(),
    }
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    ApiError::internal("a defect: the request panicked").into_response()
}
