//! Acting: each handler calls its door.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::shell::door::{Done, DoorError};
use crate::shell::view::{DoneView, ErrorView};

use super::auth::Caller;
use super::error::ApiError;
use super::reject::{Body, Path};
use super::router::Web;

pub(super) type Answer = Result<Json<DoneView>, ApiError>;

pub(super) fn answer(done: Result<Done, DoorError>) -> Answer {
    let done = done?;
    Ok(Json(DoneView {
        item: done.item,
        message: done.message,
        seq: done.seq.map(|s| s.0),
        number: done.number,
    }))
}

/// A new issue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBody {
    /// The project; may be left out where there is only one.
    #[serde(default)]
    project: Option<String>,
    /// Title.
    title: String,
    /// What is to be done.
    #[serde(default)]
    text: String,
    /// Labels.
    #[serde(default)]
    labels: Vec<String>,
    /// Whether work begins at once; it does unless told otherwise.
    #[serde(default = "yes")]
    start: bool,
}

fn yes() -> bool {
    true
}

/// Makes an issue on the service's own board.
#[utoipa::path(post, path = "/api/tasks", request_body = NewBody, responses((status = 201, body = DoneView), (status = 403, body = ErrorView)))]
pub(super) async fn new(
    State(web): State<Web>,
    Caller(actor): Caller,
    Body(body): Body<NewBody>,
) -> Result<(StatusCode, Json<DoneView>), ApiError> {
    let project = web.service.project_named(body.project.as_deref())?.name.clone();
    let made = web
        .service
        .issue_new(&project, &body.title, &body.text, &body.labels, body.start, actor)
        .await?;
    let view = DoneView {
        item: made.item,
        message: made.message,
        seq: None,
        number: Some(made.number),
    };
    Ok((StatusCode::CREATED, Json(view)))
}

/// A text that must be there.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TextBody {
    /// The text.
    text: String,
}

/// A text that may be there.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WordBody {
    /// The text.
    #[serde(default)]
    text: Option<String>,
}

/// An approval.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApproveBody {
    /// The signal; else the one that the stage waits for.
    #[serde(default)]
    signal: Option<String>,
    /// A word with it.
    #[serde(default)]
    text: Option<String>,
}

/// A status.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusBody {
    /// The status.
    status: String,
}

/// A label.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LabelBody {
    /// The label.
    label: String,
    /// Whether it is added; else it is taken off.
    #[serde(default = "yes")]
    add: bool,
}

macro_rules! act {
    ($(#[doc = $doc:literal])* $name:ident, $path:literal, $body:ident, |$web:ident, $item:ident, $given:ident, $actor:ident| $call:expr) => {
        $(#[doc = $doc])*
        #[utoipa::path(
            post, path = $path, params(("item" = String, Path)), request_body = $body,
            responses((status = 200, body = DoneView), (status = 403, body = ErrorView), (status = 404, body = ErrorView), (status = 409, body = ErrorView))
        )]
        pub(super) async fn $name(State($web): State<Web>, Caller($actor): Caller, Path($item): Path<String>, Body($given): Body<$body>) -> Answer {
            answer($call.await)
        }
    };
}

act!(
    /// Comments on the issue.
    comment, "/api/tasks/{item}/comment", TextBody, |web, item, body, actor| web.service.issue_comment(&item, &body.text, actor)
);
act!(
    /// Moves the issue to a status of the board.
    status, "/api/tasks/{item}/status", StatusBody, |web, item, body, actor| web.service.issue_status(&item, &body.status, actor)
);
act!(
    /// Adds a label or takes it off.
    label, "/api/tasks/{item}/label", LabelBody, |web, item, body, actor| web.service.issue_label(&item, &body.label, body.add, actor)
);
act!(
    /// Approves what the stage waits for.
    approve, "/api/tasks/{item}/approve", ApproveBody,
    |web, item, body, actor| web.service.signal(&item, body.signal.as_deref().unwrap_or("approve"), body.text.as_deref(), actor)
);
act!(
    /// Sends the task back.
    reject, "/api/tasks/{item}/reject", TextBody, |web, item, body, actor| web.service.signal(&item, "reject", Some(&body.text), actor)
);
act!(
    /// Answers the open question.
    answer_question, "/api/tasks/{item}/answer", TextBody, |web, item, body, actor| web.service.signal(&item, "answer", Some(&body.text), actor)
);
act!(
    /// Stops the task.
    stop, "/api/tasks/{item}/stop", WordBody, |web, item, body, actor| web.service.signal(&item, "stop", body.text.as_deref(), actor)
);
act!(
    /// Starts the issue or task.
    start, "/api/tasks/{item}/start", WordBody, |web, item, body, actor| web.service.signal(&item, "start", body.text.as_deref(), actor)
);
act!(
    /// Takes an escalated or failed task up again.
    retry, "/api/tasks/{item}/retry", WordBody, |web, item, body, actor| web.service.retry(&item, body.text.as_deref(), actor)
);

/// Another task.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DependBody {
    /// The task or issue that is waited for.
    on: String,
    /// Whether the dependency is taken away; else it is made.
    #[serde(default)]
    remove: bool,
}

/// Has the task wait until another is over, or not any more.
#[utoipa::path(
    post, path = "/api/tasks/{item}/depend", params(("item" = String, Path)), request_body = DependBody,
    responses((status = 200, body = DoneView), (status = 403, body = ErrorView), (status = 404, body = ErrorView), (status = 409, body = ErrorView))
)]
pub(super) async fn depend(
    State(web): State<Web>,
    Caller(actor): Caller,
    Path(item): Path<String>,
    Body(body): Body<DependBody>,
) -> Answer {
    answer(if body.remove {
        web.service.undepend(&item, &body.on, actor).await
    } else {
        web.service.depend(&item, &body.on, actor).await
    })
}
