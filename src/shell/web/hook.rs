//! Webhooks: verified on the raw body, recorded, answered. What they say is understood later.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::engine::model::Name;
use crate::shell::service::Service;
use crate::shell::store::{NewDelivery, Peer};
use crate::shell::{clock, deaf, intake};

use super::error::ApiError;
use super::router::Web;

/// Largest body of a webhook, in bytes.
pub(super) const MAX_HOOK: usize = 4 * 1024 * 1024;
/// Longest name of an event, in bytes.
const MAX_EVENT: usize = 100;

/// The answer to a webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Taken {
    /// Always true: it is on disk.
    ok: bool,
    /// The same content was there already.
    duplicate: bool,
}

/// Takes in a delivery of a Plane server.
#[utoipa::path(post, path = "/webhook/plane", request_body(content_type = "application/json", content = String),
    responses((status = 200, body = Taken), (status = 401, body = crate::shell::view::ErrorView)))]
pub(super) async fn plane(State(web): State<Web>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Response {
    let event = header(&headers, &["x-plane-event"]);
    match take(&web.service, Peer::Plane, event, header(&headers, &["x-plane-signature"]), body).await {
        Ok(taken) => taken.into_response(),
        Err(refusal) if refusal.is_temporary() => broken_off(refusal.into_response()),
        Err(refusal) => refusal.into_response(),
    }
}

/// The same answer, but the connection ends before it does. To Plane every answer is a delivery, whatever its status; what
/// it could not read to its end it sends again.
fn broken_off(answer: Response) -> Response {
    let (mut parts, _) = answer.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    let cut = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("it cannot be written down")) });
    Response::from_parts(parts, Body::from_stream(cut))
}

/// Takes in a delivery of a Gitea or Forgejo server.
#[utoipa::path(post, path = "/webhook/gitea", request_body(content_type = "application/json", content = String),
    responses((status = 200, body = Taken), (status = 401, body = crate::shell::view::ErrorView)))]
pub(super) async fn gitea(
    State(web): State<Web>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<axum::Json<Taken>, ApiError> {
    // The coarse name means two different things: the fine one goes first.
    let names = ["x-gitea-event-type", "x-forgejo-event-type", "x-gitea-event", "x-forgejo-event"];
    let signed = header(&headers, &["x-gitea-signature", "x-forgejo-signature"]);
    take(&web.service, Peer::Gitea, header(&headers, &names), signed, body).await
}

fn header<'a>(headers: &'a HeaderMap, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| headers.get(*name)?.to_str().ok()).map(str::trim)
}

async fn take(
    service: &Service,
    peer: Peer,
    event: Option<&str>,
    signature: Option<&str>,
    body: Result<Bytes, BytesRejection>,
) -> Result<axum::Json<Taken>, ApiError> {
    let body = body.map_err(|rejection| too_large(peer, &rejection))?;
    let projects = signed_by(service, peer, signature, &body);
    if projects.is_empty() {
        deaf::refused(service, peer, clock::now()).await;
        let help = "the secret of the webhook must be the one of this project's `secret` in signalbox.toml";
        return Err(ApiError::unauthorized("the signature is missing or wrong", help));
    }
    if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
        tracing::warn!(peer = peer.as_str(), bytes = body.len(), "a signed delivery is no JSON: refused");
        return Err(ApiError::bad("the body is no JSON"));
    }
    let event: String = event.unwrap_or("unknown").chars().take(MAX_EVENT).collect();
    let projects = match peer {
        Peer::Plane => intake::plane::about(service, projects, &event, &body),
        Peer::Gitea => projects,
    };
    let delivery = NewDelivery {
        peer,
        digest: digest(&event, &body),
        again: alike(peer),
        event,
        projects,
        body: body.to_vec(),
        at: clock::now(),
    };
    let recorded = service.store.record_delivery(delivery).await?;
    service.deaf.heard(peer);
    Ok(axum::Json(Taken {
        ok: true,
        duplicate: recorded.is_none(),
    }))
}

/// The projects whose secret signed the body.
fn signed_by(service: &Service, peer: Peer, signature: Option<&str>, body: &[u8]) -> Vec<Name> {
    let Some(given) = signature.and_then(|s| hex::decode(s).ok()) else {
        return Vec::new();
    };
    let hooks = service.hooks.iter().filter(|hook| hook.peer == peer);
    let right = hooks.filter(|hook| verify(hook.secret.reveal().as_bytes(), body, &given));
    right.map(|hook| hook.project.clone()).collect()
}

/// Whether `given` is the body's HMAC-SHA256, in a time that does not tell how much of it is right.
fn verify(secret: &[u8], body: &[u8], given: &[u8]) -> bool {
    Hmac::<Sha256>::new_from_slice(secret).is_ok_and(|mac| mac.chain_update(body).verify_slice(given).is_ok())
}

/// What makes two deliveries the same.
fn digest(event: &str, body: &[u8]) -> String {
    let hash = Sha256::new().chain_update(event).chain_update([0]).chain_update(body).finalize();
    hex::encode(hash)
}

/// Whether two events of this peer may have the same body: then a repetition is looked at, which costs a reading and
/// changes nothing by itself.
///
/// Plane writes into each when the issue or comment was last changed, to the microsecond, and deletes an issue once. A body
/// that comes twice was made of the same state, and the first look saw that or a later one. Gitea knows times only to the
/// second, and not of all that it tells.
fn alike(peer: Peer) -> bool {
    peer == Peer::Gitea
}

fn too_large(peer: Peer, rejection: &BytesRejection) -> ApiError {
    tracing::warn!(peer = peer.as_str(), "a delivery was refused: {rejection}");
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let help = Some(format!("{} MiB is the limit", MAX_HOOK / 1024 / 1024));
        return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the delivery is too large", help);
    }
    ApiError::bad("the body cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vector_is_verified() {
        let secret = b"plane_wh_0123456789abcdef0123456789abcdef";
        let body = "{\"event\": \"issue\", \"action\": \"created\", \"webhook_id\": \"3c2c32ac-82df-48b3-be2a-a3e21dbe8692\", \
                    \"workspace_id\": \"d2d97c94-a6ad-4012-b526-5577c0d7c769\", \"data\": {\"id\": \"775c5716-5302-4617-bb9f-2cd843911268\", \
                    \"name\": \"Caf\\u00e9 \\u2014 <b>\"}, \"activity\": null}";
        let given = hex::decode("1654314fc54fbebed1b1cc913d25a9a794e94ac9b975f95fc16b55425389ff5f").unwrap();
        assert!(verify(secret, body.as_bytes(), &given));
        assert!(!verify(secret, body.replace("null", "true").as_bytes(), &given));
        assert!(!verify(b"plane_wh_", body.as_bytes(), &given));
        assert!(!verify(secret, body.as_bytes(), &given[..31]));
        assert!(!verify(secret, body.as_bytes(), b""));
    }

    #[test]
    fn content_is_event_and_body() {
        assert_eq!(digest("push", b"a"), digest("push", b"a"));
        assert_ne!(digest("push", b"a"), digest("pusha", b""));
    }
}
