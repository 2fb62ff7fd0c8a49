//! The few lines of HTTP that a test needs: one request, one answer, over the service's socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value as Json;

/// Longest wait for an answer; a long poll ends sooner.
const PATIENCE: Duration = Duration::from_secs(40);

/// An answer: status and body.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Json,
}

impl Answer {
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What the service says when it refuses.
    pub fn refusal(&self) -> &str {
        self.body.get("error").and_then(Json::as_str).unwrap_or_default()
    }
}

/// Sends one request and reads its answer.
///
/// An error says that nobody answered, or went away in the middle: what was asked for may have happened.
pub fn send(socket: &Path, method: &str, path: &str, body: Option<&Json>) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&request(method, path, body))?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw)?;
    parse(&raw)
}

/// Sends the same request twice in one breath: the second is read by the service as soon as the
/// first is answered.
pub fn send_twice(socket: &Path, path: &str, body: &Json) -> io::Result<[Answer; 2]> {
    let mut first = UnixStream::connect(socket)?;
    let mut second = UnixStream::connect(socket)?;
    let mut answers = Vec::new();
    for stream in [&mut first, &mut second] {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&request("POST", path, Some(body)))?;
    }
    for stream in [&mut first, &mut second] {
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw)?;
        answers.push(parse(&raw)?);
    }
    answers.try_into().map_err(|_| io::Error::other("two answers were expected"))
}

fn request(method: &str, path: &str, body: Option<&Json>) -> Vec<u8> {
    let body = body.map(Json::to_string).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

fn parse(raw: &[u8]) -> io::Result<Answer> {
    let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "the answer was cut off");
    let end = raw.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(cut)?;
    let head = String::from_utf8_lossy(&raw[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(cut)?;
    let length = head
        .lines()
        .filter_map(|l| l.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, n)| n.trim().parse::<usize>().ok())
        .ok_or_else(cut)?;
    let body = raw.get(end + 4..end + 4 + length).ok_or_else(cut)?;
    let body = if body.is_empty() {
        Json::Null
    } else {
        serde_json::from_slice(body).map_err(io::Error::other)?
    };
    Ok(Answer { status, body })
}
