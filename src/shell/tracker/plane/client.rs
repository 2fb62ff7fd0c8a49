//! One request to a Plane server, and what its answer means.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use reqwest::{Method, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::shell::clock;
use crate::shell::http;
use crate::shell::secret::Secret;

use super::budget::{Budget, Sent};
use super::error::PlaneError;
use super::urgency::Haste;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for a whole answer.
const WHOLE: Duration = Duration::from_secs(20);
/// Largest answer that is read, in bytes: a page of a hundred items with long texts.
const LARGEST: usize = 32 * 1024 * 1024;
/// Pause after a refusal that names none.
const PAUSE: Duration = Duration::from_secs(10);
/// Clocks that differ by less are taken as equal: the server's header counts whole seconds.
const SAME_TIME: i64 = 2_000;
/// Most of a server's words that is repeated, in characters.
const WORDS: usize = 200;

/// A key on a server.
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: Secret,
    budget: Arc<Budget>,
    /// Our clock less the server's, in milliseconds.
    skew: AtomicI64,
}

/// A request.
pub struct Ask<'a> {
    /// How soon it is needed.
    pub haste: Haste,
    /// Method.
    pub method: Method,
    /// Path below `/api/v1/`, with a slash at its end: without one Django redirects.
    pub path: &'a str,
    /// Query.
    pub query: &'a [(&'a str, &'a str)],
    /// Body.
    pub body: Option<Json>,
}

impl<'a> Ask<'a> {
    /// A reading.
    pub fn get(haste: Haste, path: &'a str, query: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            haste,
            method: Method::GET,
            path,
            query,
            body: None,
        }
    }

    /// A writing: someone will see it.
    pub fn write(haste: Haste, method: Method, path: &'a str, body: Json) -> Self {
        Self {
            haste,
            method,
            path,
            query: &[],
            body: Some(body),
        }
    }
}

/// What every client of the server at `url` shares: connections, and never a redirect.
///
/// # Errors
/// The machine's certificates cannot be used.
pub fn connections(url: &str) -> Result<reqwest::Client, String> {
    http::builder(url)
        .connect_timeout(CONNECT)
        .timeout(WHOLE)
        .build()
        .map_err(|e| e.to_string())
}

impl Client {
    /// A client of the server at `url` under `key`.
    pub fn new(http: reqwest::Client, url: &str, key: Secret, budget: Arc<Budget>) -> Self {
        Self {
            http,
            base: format!("{}/api/v1/", url.trim_end_matches('/')),
            key,
            budget,
            skew: AtomicI64::new(0),
        }
    }

    /// What has to be added to a time of the server's to have it by our clock, in milliseconds.
    pub fn skew(&self) -> i64 {
        self.skew.load(Ordering::Relaxed)
    }

    /// How many requests there may be.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Asks, and reads the answer.
    pub async fn call<T: DeserializeOwned>(&self, ask: Ask<'_>) -> Result<T, PlaneError> {
        let sent = self.budget.take(ask.haste).await;
        let sent = sent.map_err(|after| PlaneError::Limited { after })?;
        let mut request = self
            .http
            .request(ask.method, format!("{}{}", self.base, ask.path))
            .query(ask.query)
            .header("X-API-Key", self.key.reveal())
            .header(header::ACCEPT, "application/json");
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|e| {
            if e.is_connect() {
                sent.uncounted();
            }
            self.broken(&e)
        })?;
        self.note(&answer, &sent);
        let status = answer.status();
        if status.is_success() {
            let bytes = self.read(answer).await?;
            return understand(&bytes, status);
        }
        Err(self.refusal(answer, &sent).await)
    }

    /// Takes note of what the headers say about the rest of the minute and the time of day.
    fn note(&self, answer: &Response, sent: &Sent<'_>) {
        let text = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok());
        if let Some(left) = text("x-ratelimit-remaining").and_then(|t| t.trim().parse().ok()) {
            sent.remaining(left);
        }
        let told = text("date").and_then(|t| httpdate::parse_http_date(t).ok());
        let told = told.and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
        if let Some(told) = told.and_then(|t| i64::try_from(t.as_millis()).ok()) {
            let skew = clock::now().0.saturating_sub(told);
            let skew = if skew.abs() < SAME_TIME { 0 } else { skew };
            self.skew.store(skew, Ordering::Relaxed);
        }
    }

    async fn read(&self, mut answer: Response) -> Result<Vec<u8>, PlaneError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| self.broken(&e))? {
            if bytes.len() + chunk.len() > LARGEST {
                let why = format!("it is longer than {} MiB", LARGEST / 1024 / 1024);
                return Err(PlaneError::Malformed { why });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// What an answer means that is no success.
    async fn refusal(&self, answer: Response, sent: &Sent<'_>) -> PlaneError {
        let status = answer.status();
        let text = |name: header::HeaderName| answer.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let (to, pause) = (text(header::LOCATION), text(header::RETRY_AFTER));
        if status.is_redirection() {
            let to = self.clean(&to.unwrap_or_default());
            return PlaneError::Redirect { to };
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            let after = pause.as_deref().and_then(retry_after).unwrap_or(PAUSE);
            sent.refused(after);
            return PlaneError::Limited { after };
        }
        if status.is_server_error() {
            return PlaneError::Server { status: status.as_u16() };
        }
        let body = match self.read(answer).await {
            Ok(bytes) => serde_json::from_slice::<Json>(&bytes).ok(),
            Err(error) => return error,
        };
        let Some(body) = body.filter(|b| b.is_object() || b.is_array()) else {
            return PlaneError::NotJson { status: status.as_u16() };
        };
        let words = self.clean(&words(&body));
        match status {
            StatusCode::UNAUTHORIZED => PlaneError::Key(words),
            // A key that is wrong or has expired is 403 as well; only its words tell.
            StatusCode::FORBIDDEN if words.to_lowercase().contains("token") => PlaneError::Key(words),
            StatusCode::FORBIDDEN => PlaneError::Forbidden(words),
            StatusCode::NOT_FOUND => PlaneError::NotFound,
            StatusCode::CONFLICT if body.get("id").is_some() => PlaneError::Exists,
            _ => PlaneError::Refused {
                status: status.as_u16(),
                words,
            },
        }
    }

    /// A request that got no answer.
    fn broken(&self, error: &reqwest::Error) -> PlaneError {
        if error.is_timeout() {
            return PlaneError::Timeout;
        }
        // The outermost words name the address, the innermost the reason.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let words = cause.to_string();
        // What a TLS client makes of an answer without TLS.
        let plain = self.base.starts_with("https://")
            && ["corrupt message", "InvalidContentType", "wrong version"]
                .iter()
                .any(|w| words.contains(w));
        let hint = if plain {
            " (does the server speak http:// there, without TLS?)"
        } else {
            ""
        };
        PlaneError::Unreachable(format!("{}{hint}", self.clean(&words)))
    }

    /// A few words of someone else's, on one line, without our key.
    fn clean(&self, words: &str) -> String {
        let line: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS).collect();
        self.key.scrub(line.trim())
    }
}

fn understand<T: DeserializeOwned>(bytes: &[u8], status: StatusCode) -> Result<T, PlaneError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let page = bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'<');
        if page {
            return PlaneError::NotJson { status: status.as_u16() };
        }
        // Only what kind of mistake it is: the words of serde quote the answer.
        let why = format!("{:?} error at line {}, column {}", error.classify(), error.line(), error.column());
        PlaneError::Malformed { why }
    })
}

/// What the server says, in whichever of its shapes.
fn words(body: &Json) -> String {
    for key in ["detail", "error", "error_message", "message"] {
        if let Some(text) = body.get(key).and_then(Json::as_str) {
            return text.to_owned();
        }
    }
    body.to_string()
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds.clamp(1, 600)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let wait = date.duration_since(SystemTime::now()).unwrap_or_default();
    Some(wait.clamp(Duration::from_secs(1), Duration::from_secs(600)))
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
