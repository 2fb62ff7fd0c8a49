//! Acts on the forge's side: reviews, checks, freezing.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::engine::model::{CheckState, FreezeLevel, ReviewState};
use crate::shell::door::Frozen;
use crate::shell::view::{DoneView, ErrorView};

use super::auth::Caller;
use super::error::ApiError;
use super::reject::{Body, Maybe, Path, Query};
use super::router::Web;
use super::write::{Answer, answer};

/// What a review says.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Fine.
    Approved,
    /// Not yet.
    Changes,
}

/// A review.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReviewBody {
    /// What it says.
    verdict: Verdict,
    /// Its text; needed with `changes`.
    #[serde(default)]
    text: String,
}

/// How a check stands.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum CheckWord {
    /// It passed.
    Success,
    /// It has not ended.
    Pending,
    /// It failed.
    Failure,
}

/// A check.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckBody {
    /// Its name, as the rules require it.
    context: String,
    /// How it stands.
    state: CheckWord,
    /// A word with it.
    #[serde(default)]
    text: String,
}

/// Reviews the task's change request, as it stands now.
#[utoipa::path(post, path = "/api/tasks/{item}/review", params(("item" = String, Path)), request_body = ReviewBody,
    responses((status = 200, body = DoneView), (status = 403, body = ErrorView), (status = 404, body = ErrorView), (status = 409, body = ErrorView)))]
pub(super) async fn review(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(item): Path<String>,
    Body(body): Body<ReviewBody>,
) -> Answer {
    let state = match body.verdict {
        Verdict::Approved => ReviewState::Approved,
        Verdict::Changes => ReviewState::Changes,
    };
    answer(web.service.change_review(&item, state, &body.text, actor).await)
}

/// Reports a check of the task's change request, as it stands now.
#[utoipa::path(post, path = "/api/tasks/{item}/check", params(("item" = String, Path)), request_body = CheckBody,
    responses((status = 200, body = DoneView), (status = 403, body = ErrorView), (status = 404, body = ErrorView), (status = 409, body = ErrorView)))]
pub(super) async fn check(State(web): State<Web>, Caller(actor): Caller, Path(item): Path<String>, Body(body): Body<CheckBody>) -> Answer {
    let state = match body.state {
        CheckWord::Success => CheckState::Success,
        CheckWord::Pending => CheckState::Pending,
        CheckWord::Failure => CheckState::Failure,
    };
    answer(web.service.change_check(&item, &body.context, state, &body.text, actor).await)
}

/// Which repository; may be left out where there is only one.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct Which {
    /// The project.
    #[serde(default)]
    repo: Option<String>,
}

/// A thaw.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ThawBody {
    /// The project; may stand in the query instead.
    #[serde(default)]
    repo: Option<String>,
    /// Why.
    #[serde(default)]
    reason: Option<String>,
}

/// How much a freeze holds back.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// No merge, no entry of new tasks.
    #[default]
    Merge,
    /// Nothing starts.
    All,
}

/// A freeze.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FreezeBody {
    /// The project; may stand in the query instead.
    #[serde(default)]
    repo: Option<String>,
    /// How much it holds back.
    #[serde(default)]
    level: Level,
    /// Why.
    reason: String,
}

/// What came of a freeze or a thaw.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct FrozenView {
    /// Always true: what is refused is an error.
    pub ok: bool,
    /// The project.
    pub repo: String,
    /// Whether a freeze was lifted.
    pub cleared: bool,
    /// Why the repository is frozen now, if it is.
    pub frozen: Option<String>,
}

impl From<Frozen> for FrozenView {
    fn from(frozen: Frozen) -> Self {
        Self {
            ok: true,
            repo: frozen.project.to_string(),
            cleared: frozen.cleared,
            frozen: frozen.freeze.map(|f| f.reason),
        }
    }
}

/// Lifts the freeze of a repository; idempotent.
#[utoipa::path(post, path = "/serial-gate/unfreeze", params(("repo" = Option<String>, Query)), request_body = ThawBody,
    responses((status = 200, body = FrozenView), (status = 403, body = ErrorView), (status = 404, body = ErrorView)))]
pub(super) async fn unfreeze(
    State(web): State<Web>,
    Caller(actor): Caller,
    Query(which): Query<Which>,
    Maybe(body): Maybe<ThawBody>,
) -> Result<Json<FrozenView>, ApiError> {
    let body = body.unwrap_or_default();
    let repo = body.repo.or(which.repo);
    Ok(Json(
        web.service.unfreeze(repo.as_deref(), body.reason.as_deref(), &actor).await?.into(),
    ))
}

/// Freezes a repository.
#[utoipa::path(post, path = "/serial-gate/freeze", params(("repo" = Option<String>, Query)), request_body = FreezeBody,
    responses((status = 200, body = FrozenView), (status = 403, body = ErrorView), (status = 404, body = ErrorView)))]
pub(super) async fn freeze(
    State(web): State<Web>,
    Caller(actor): Caller,
    Query(which): Query<Which>,
    Body(body): Body<FreezeBody>,
) -> Result<Json<FrozenView>, ApiError> {
    let level = match body.level {
        Level::Merge => FreezeLevel::Merge,
        Level::All => FreezeLevel::All,
    };
    let repo = body.repo.or(which.repo);
    Ok(Json(web.service.freeze(repo.as_deref(), level, &body.reason, &actor).await?.into()))
}
