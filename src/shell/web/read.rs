//! Reading.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::shell::run::SAFETY_POLL;
use crate::shell::view::{self, HealthView, HistoryView, ProjectsView, QueueView, ShowView, StatusView, TasksView, TimelineView, WhyView};

use super::auth::Caller;
use super::error::ApiError;
use super::reject::{Path, Query};
use super::router::Web;

/// Longest wait of a long poll.
const LONGEST_WAIT: u64 = 25;

type Answer<T> = Result<Json<T>, ApiError>;

/// Whether the service is well.
#[utoipa::path(get, path = "/health", responses((status = 200, body = HealthView), (status = 503, body = HealthView)))]
pub(super) async fn health(State(web): State<Web>) -> Response {
    let view = view::health(&web.service, web.service.supervisor.containment().as_str());
    // One that drains is well: it does what it was told.
    let status = if view.status == "degraded" {
        axum::http::StatusCode::SERVICE_UNAVAILABLE
    } else {
        axum::http::StatusCode::OK
    };
    (status, Json(view)).into_response()
}

/// Tasks that are not over.
#[utoipa::path(get, path = "/status", responses((status = 200, body = StatusView)))]
pub(super) async fn status(State(web): State<Web>) -> Answer<StatusView> {
    Ok(Json(view::status(&web.service).await?))
}

/// Jobs, what they wait for, and the switches around them.
#[utoipa::path(get, path = "/queue", responses((status = 200, body = QueueView)))]
pub(super) async fn queue(State(web): State<Web>) -> Json<QueueView> {
    Json(view::queue(&web.service, SAFETY_POLL.as_secs()).await)
}

/// What a list of tasks holds.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(super) struct ListQuery {
    /// `1`: those that are over, too.
    #[serde(default)]
    all: Option<String>,
}

/// Tasks.
#[utoipa::path(get, path = "/api/tasks", params(ListQuery), responses((status = 200, body = TasksView)))]
pub(super) async fn tasks(State(web): State<Web>, Query(query): Query<ListQuery>) -> Answer<TasksView> {
    Ok(Json(view::tasks(&web.service, flag(query.all.as_deref())).await?))
}

/// Everything about a task or issue.
#[utoipa::path(get, path = "/api/tasks/{item}", params(("item" = String, Path)), responses((status = 200, body = ShowView), (status = 404, body = view::ErrorView)))]
pub(super) async fn show(State(web): State<Web>, Caller(actor): Caller, Path(item): Path<String>) -> Answer<ShowView> {
    let found = web.service.find(&item).await?;
    Ok(Json(view::show(&web.service, &found, &actor).await?))
}

/// Why a task waits.
#[utoipa::path(get, path = "/api/tasks/{item}/why", params(("item" = String, Path)), responses((status = 200, body = WhyView), (status = 404, body = view::ErrorView)))]
pub(super) async fn why(State(web): State<Web>, Path(item): Path<String>) -> Answer<WhyView> {
    let found = web.service.find(&item).await?;
    Ok(Json(view::why(&web.service, &found).await?))
}

/// What happened to a task, what followed and why.
#[utoipa::path(get, path = "/api/tasks/{item}/history", params(("item" = String, Path)), responses((status = 200, body = HistoryView), (status = 404, body = view::ErrorView)))]
pub(super) async fn history(State(web): State<Web>, Path(item): Path<String>) -> Answer<HistoryView> {
    let found = web.service.find(&item).await?;
    Ok(Json(view::history(&web.service, &found).await?))
}

/// The projects.
#[utoipa::path(get, path = "/api/projects", responses((status = 200, body = ProjectsView)))]
pub(super) async fn projects(State(web): State<Web>) -> Json<ProjectsView> {
    Json(view::projects(&web.service))
}

/// From where, and how long to wait.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(super) struct TimelineQuery {
    /// Rows after this place; 0 begins at the beginning.
    #[serde(default)]
    after: i64,
    /// Seconds to wait for a row where there is none yet, at most 25.
    #[serde(default)]
    wait: u64,
}

/// What was decided since, of all tasks; waits for it where asked to.
#[utoipa::path(get, path = "/api/timeline", params(TimelineQuery), responses((status = 200, body = TimelineView)))]
pub(super) async fn timeline(State(web): State<Web>, Query(query): Query<TimelineQuery>) -> Answer<TimelineView> {
    let mut commits = web.service.store.commits();
    let end = tokio::time::Instant::now() + Duration::from_secs(query.wait.min(LONGEST_WAIT));
    loop {
        // Marked as seen before the rows are read: a commit in between is then noticed.
        commits.borrow_and_update();
        let view = view::timeline(&web.service, query.after).await?;
        if !view.rows.is_empty() {
            return Ok(Json(view));
        }
        tokio::select! {
            changed = commits.changed() => if changed.is_err() { return Ok(Json(view)) },
            () = tokio::time::sleep_until(end) => return Ok(Json(view)),
            () = web.stop.cancelled() => return Ok(Json(view)),
        }
    }
}

/// The description of the API.
pub(super) async fn openapi(State(web): State<Web>) -> Response {
    match web.api() {
        Some(api) => Json(api).into_response(),
        None => ApiError::internal("the description is missing").into_response(),
    }
}

/// Whether a switch of the query is on.
pub(super) fn flag(value: Option<&str>) -> bool {
    matches!(value, Some("" | "1" | "true" | "yes"))
}
