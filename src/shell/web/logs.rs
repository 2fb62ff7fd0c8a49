//! Runs and their logs, in pieces.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::engine::model::RunId;
use crate::shell::process::{defuse, read_from};
use crate::shell::store::{RunRow, RunState};
use crate::shell::view::{self, ErrorView, LogView, RunView};

use super::error::ApiError;
use super::read::flag;
use super::reject::{Path, Query};
use super::router::Web;

/// Largest piece, in bytes.
const MAX_PIECE: usize = 1024 * 1024;
/// A piece where nothing is said.
const PIECE: usize = 64 * 1024;

async fn find(web: &Web, id: i64) -> Result<RunRow, ApiError> {
    let found = web.service.store.run(RunId(id)).await?;
    found.ok_or_else(|| ApiError::not_found(format!("there is no run {id}"), "signalbox show ITEM lists the runs of a task"))
}

/// A run.
#[utoipa::path(get, path = "/api/runs/{id}", params(("id" = i64, Path)), responses((status = 200, body = RunView), (status = 404, body = ErrorView)))]
pub(super) async fn run(State(web): State<Web>, Path(id): Path<i64>) -> Result<Json<RunView>, ApiError> {
    let row = find(&web, id).await?;
    Ok(Json(view::run(&web.service, &row).await?))
}

/// Which piece.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(super) struct LogQuery {
    /// From this byte on.
    #[serde(default)]
    offset: Option<u64>,
    /// Instead of `offset`: from this many bytes before the end.
    #[serde(default)]
    tail: Option<u64>,
    /// At most this many bytes, 1 MiB at most.
    #[serde(default)]
    max: Option<usize>,
    /// `1`: as it was written, control characters included.
    #[serde(default)]
    raw: Option<String>,
}

/// A piece of a run's log.
#[utoipa::path(get, path = "/api/runs/{id}/log", params(("id" = i64, Path), LogQuery), responses((status = 200, body = LogView), (status = 404, body = ErrorView)))]
pub(super) async fn log(State(web): State<Web>, Path(id): Path<i64>, Query(query): Query<LogQuery>) -> Result<Json<LogView>, ApiError> {
    let row = find(&web, id).await?;
    // Asked before reading: what was written before the end is then in some piece before the last.
    let ended = matches!(row.state, RunState::Exited | RunState::Ended);
    let path = web.service.log_path(row.id);
    let offset = match (query.offset, query.tail) {
        (Some(offset), _) => offset,
        (None, Some(tail)) => tokio::fs::symlink_metadata(&path).await.map_or(0, |m| m.len().saturating_sub(tail)),
        (None, None) => 0,
    };
    let max = query.max.unwrap_or(PIECE).clamp(4, MAX_PIECE);
    let (bytes, next) = match read_from(&path, offset, max).await {
        Ok(piece) => piece,
        // A run that has not started writing, or whose log was cleared away.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => (Vec::new(), offset),
        Err(e) => return Err(ApiError::internal(format!("the log of run {id} cannot be read: {e}"))),
    };
    let kept = whole(&bytes, ended);
    let text = String::from_utf8_lossy(&bytes[..kept]);
    let text = if flag(query.raw.as_deref()) {
        text.into_owned()
    } else {
        defuse(&text)
    };
    Ok(Json(LogView {
        text,
        from: offset,
        next: next - (bytes.len() - kept) as u64,
        ended,
    }))
}

/// How many of the bytes end with a whole character: the rest of the last one is still to come.
fn whole(bytes: &[u8], ended: bool) -> usize {
    match std::str::from_utf8(bytes) {
        Err(e) if e.error_len().is_none() && !(ended && e.valid_up_to() == 0) => e.valid_up_to(),
        // Bytes that are no text at all in the middle: look at the end alone.
        Err(_) => {
            let from = bytes.len().saturating_sub(3);
            let cut = (from..bytes.len()).find(|i| bytes[*i] >= 0xC0 && wants(bytes[*i]) > bytes.len() - i);
            cut.filter(|cut| *cut > 0).unwrap_or(bytes.len())
        }
        Ok(_) => bytes.len(),
    }
}

/// How many bytes the character that begins so has.
fn wants(first: u8) -> usize {
    match first {
        0xF0.. => 4,
        0xE0.. => 3,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn characters_are_not_torn() {
        assert_eq!(whole("aä".as_bytes(), false), 3);
        assert_eq!(whole(&"aä".as_bytes()[..2], false), 1);
        assert_eq!(whole(&"😀".as_bytes()[..3], false), 0, "the rest is awaited");
        assert_eq!(whole(&"😀".as_bytes()[..3], true), 3, "nothing more will come");
        assert_eq!(whole(b"\xff\xfeabc", false), 5);
        assert_eq!(whole(b"\xffab\xe2\x82", false), 3);
        assert_eq!(whole(b"", true), 0);
    }
}
