//! Runs, their cost, and what lets work go on that money or a breaker holds back.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::engine::budget::Sum;
use crate::engine::model::Millis;
use crate::shell::store::{By, day};
use crate::shell::view::{self, BreakerView, CostView, DoneView, ErrorView, RunsView};

use super::auth::Caller;
use super::error::ApiError;
use super::read::flag;
use super::reject::{Body, Path, Query};
use super::router::Web;
use super::write::{Answer, answer};

/// Runs of an answer where nothing is said.
const RUNS: u32 = 50;
/// Most runs of an answer.
const RUNS_MOST: u32 = 500;
/// Days of a bill where nothing is said.
const DAYS: i64 = 30;
/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// Which runs.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(super) struct RunsQuery {
    /// Of this task only.
    #[serde(default)]
    item: Option<String>,
    /// `1`: only those that have not ended.
    #[serde(default)]
    open: Option<String>,
    /// Older than this one: `next` of the answer before.
    #[serde(default)]
    before: Option<i64>,
    /// At most this many, 500 at most.
    #[serde(default)]
    limit: Option<u32>,
}

/// Runs, newest first.
#[utoipa::path(get, path = "/api/runs", params(RunsQuery), responses((status = 200, body = RunsView), (status = 404, body = ErrorView)))]
pub(super) async fn runs(State(web): State<Web>, Query(query): Query<RunsQuery>) -> Result<Json<RunsView>, ApiError> {
    let found = match &query.item {
        Some(item) => Some(web.service.find(item).await?),
        None => None,
    };
    let limit = query.limit.unwrap_or(RUNS).clamp(1, RUNS_MOST);
    let open = flag(query.open.as_deref());
    Ok(Json(view::runs(&web.service, found.as_ref(), open, query.before, limit).await?))
}

/// What is summed up.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Per {
    /// Each task.
    #[default]
    Task,
    /// Each project.
    Project,
    /// Each agent.
    Agent,
    /// Each day, UTC.
    Day,
}

/// Which bill.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(super) struct CostQuery {
    /// `task`, `project`, `agent` or `day`.
    #[serde(default)]
    by: Per,
    /// So many days, today included; 30 where nothing is said, 0 for all.
    #[serde(default)]
    days: Option<i64>,
}

/// What agents cost.
#[utoipa::path(get, path = "/api/cost", params(CostQuery), responses((status = 200, body = CostView)))]
pub(super) async fn cost(State(web): State<Web>, Query(query): Query<CostQuery>) -> Result<Json<CostView>, ApiError> {
    let by = match query.by {
        Per::Task => By::Task,
        Per::Project => By::Project,
        Per::Agent => By::Agent,
        Per::Day => By::Day,
    };
    let since = match query.days.unwrap_or(DAYS) {
        0 => Millis(0),
        days @ 1..=36_500 => Millis((day(web.service.now()) - (days - 1)) * DAY),
        _ => return Err(ApiError::bad("`days` must be between 0 and 36500")),
    };
    Ok(Json(view::cost(&web.service, by, since).await?))
}

/// Letting a task go on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AllowBody {
    /// Dollars beyond its budget.
    #[serde(default)]
    usd: f64,
    /// Runs beyond its budget.
    #[serde(default)]
    runs: u32,
    /// Why.
    reason: String,
}

/// Lets a task go on that its budget or the same failure again holds back.
#[utoipa::path(post, path = "/api/tasks/{item}/allow", params(("item" = String, Path)), request_body = AllowBody,
    responses((status = 200, body = DoneView), (status = 403, body = ErrorView), (status = 404, body = ErrorView), (status = 409, body = ErrorView)))]
pub(super) async fn allow(State(web): State<Web>, Caller(actor): Caller, Path(item): Path<String>, Body(body): Body<AllowBody>) -> Answer {
    let more = Sum {
        usd: body.usd,
        runs: body.runs,
    };
    answer(web.service.allow(&item, more, &body.reason, &actor).await)
}

/// Closing a breaker.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BreakerBody {
    /// The agent's command, as blockers name it.
    command: String,
}

/// Closes the breaker of an agent command and forgets its usage limit; idempotent.
#[utoipa::path(post, path = "/api/breakers/close", request_body = BreakerBody,
    responses((status = 200, body = BreakerView), (status = 403, body = ErrorView), (status = 404, body = ErrorView)))]
pub(super) async fn close_breaker(
    State(web): State<Web>,
    Caller(actor): Caller,
    Body(body): Body<BreakerBody>,
) -> Result<Json<BreakerView>, ApiError> {
    let closed = web.service.close_breaker(&body.command, &actor).await?;
    Ok(Json(BreakerView {
        command: body.command,
        closed,
    }))
}
