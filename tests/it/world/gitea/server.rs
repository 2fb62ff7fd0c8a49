//! Requests: who asks, what goes wrong, git or API.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use futures_util::stream;
use serde_json::{Value as Json, json};

use super::faults::{How, meet};
use super::repo::CgiRequest;
use super::{BOT, Shared, TOKEN, api, hooks};

/// An answer of the API.
pub struct Reply {
    pub status: u16,
    pub body: String,
    /// `X-Total-Count`.
    pub total: Option<usize>,
}

impl Reply {
    pub fn json(status: u16, body: &Json) -> Self {
        Self {
            status,
            body: body.to_string(),
            total: None,
        }
    }

    pub fn error(status: u16, words: &str) -> Self {
        Self::json(status, &json!({"message": words, "url": "https://git.example.com/api/swagger"}))
    }
}

pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .fallback(any)
        .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
        .with_state(shared)
}

async fn any(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 << 20).await.unwrap_or_default();
    let (method, path) = (parts.method.as_str().to_owned(), parts.uri.path().to_owned());
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let fault = {
        let mut state = shared.state();
        state
            .asked
            .push((method.clone(), path.clone(), String::from_utf8_lossy(&body).into_owned()));
        meet(&mut state.faults, &method, &path)
    };
    match &fault {
        Some(How::Status(status, words)) => return answer(Reply::error(*status, words)),
        Some(How::HangUp) => return broken(),
        Some(How::Slow(time)) => tokio::time::sleep(*time).await,
        _ => {}
    }
    let work = move || {
        if path.starts_with("/api/v1/") {
            if !token_given(&parts.headers) {
                return answer(Reply::error(401, "token is required"));
            }
            answer(api::answer(&shared, &method, &path, &query, &body))
        } else {
            git(&shared, &method, &path, &query, &parts.headers, &body)
        }
    };
    let done = tokio::task::spawn_blocking(work).await.expect("an answer");
    match fault {
        Some(How::DoneThenHangUp) => broken(),
        Some(How::Malformed) => answer(Reply {
            status: 200,
            body: "<html>".to_owned(),
            total: None,
        }),
        _ => done,
    }
}

fn answer(reply: Reply) -> Response {
    let mut response = (
        StatusCode::from_u16(reply.status).expect("a status"),
        [(header::CONTENT_TYPE, "application/json;charset=utf-8")],
        reply.body,
    )
        .into_response();
    if let Some(total) = reply.total {
        response.headers_mut().insert("X-Total-Count", total.into());
    }
    response
}

/// An answer that breaks off in its first byte.
fn broken() -> Response {
    let gone = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "gone");
    Body::from_stream(stream::once(async move { Err::<Bytes, _>(gone) })).into_response()
}

/// `Authorization: token …` or `Bearer …`, as the server takes them.
fn token_given(headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    given == format!("token {TOKEN}") || given == format!("Bearer {TOKEN}")
}

/// Any user name with the token for a password.
fn password_given(headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let Some(coded) = given.strip_prefix("Basic ") else { return false };
    let plain = base64::engine::general_purpose::STANDARD.decode(coded).unwrap_or_default();
    String::from_utf8_lossy(&plain).split_once(':').is_some_and(|(_, p)| p == TOKEN)
}

fn git(shared: &Arc<Shared>, method: &str, path: &str, query: &str, headers: &HeaderMap, body: &[u8]) -> Response {
    if !password_given(headers) {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\".\"")]).into_response();
    }
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let before = shared.repo.refs();
    let (content_type, encoding, protocol) = (text("content-type"), text("content-encoding"), text("git-protocol"));
    // Names are the same in any letter case.
    let path = path.to_lowercase();
    let request = CgiRequest {
        method,
        path: &path,
        query,
        content_type: &content_type,
        encoding: &encoding,
        protocol: &protocol,
        user: BOT,
        body,
    };
    let served = shared.repo.serve(&request);
    if path.ends_with("/git-receive-pack") {
        hooks::refs_moved(shared, &before, BOT);
    }
    let mut response = Response::builder().status(served.status);
    for (name, value) in served.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(served.body)).expect("an answer")
}
