//! The HTTP side: one request, one answer, limits on both.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::error::GiteaError;
use crate::shell::http;
use crate::shell::secret::Secret;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a merge may take: the server runs git meanwhile.
const MERGE_PATIENCE: Duration = Duration::from_mins(2);
/// Largest answer that is read, bytes.
const BODY_MAX: usize = 8 << 20;
/// Entries asked for on a page; servers cut off what is above their own limit without a word.
const PAGE: usize = 50;
/// Most pages of one list.
const PAGES_MAX: usize = 200;
/// Longest message taken over from the server, in characters.
const MESSAGE_MAX: usize = 500;

/// A repository on a server, and the token to talk about it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    owner: String,
    repo: String,
    token: Secret,
}

/// Status and body of an answer, whatever the status is.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// `X-Total-Count`: entries of the whole list.
    total: Option<usize>,
}

impl Answer {
    /// The server's words about a refusal: `message`, else the beginning of the body.
    pub fn message(&self) -> String {
        message(&self.body)
    }
}

/// The words of an error body; empty when there are none.
pub(super) fn message(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Json>(body) {
        Ok(Json::Object(fields)) => fields.get("message").and_then(Json::as_str).unwrap_or_default().to_owned(),
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(MESSAGE_MAX).collect::<String>().trim().to_owned()
}

impl Client {
    /// A client; nothing is asked yet.
    ///
    /// # Errors
    /// The address or the token cannot stand in a request.
    pub fn new(url: &str, owner: &str, repo: &str, token: Secret) -> Result<Self, GiteaError> {
        let base = Url::parse(url).map_err(|e| GiteaError::Client(format!("`{url}` is no address: {e}")))?;
        let mut shown = HeaderValue::from_str(&format!("token {}", token.reveal()))
            .map_err(|_| GiteaError::Client("the token holds a character that no header can hold".to_owned()))?;
        shown.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, shown), (ACCEPT, HeaderValue::from_static("application/json"))]);
        let http = http::builder(url)
            .default_headers(headers)
            .connect_timeout(CONNECT)
            .timeout(PATIENCE)
            .build()
            .map_err(|e| GiteaError::Client(cause(&e)))?;
        Ok(Self {
            http,
            base,
            owner: owner.to_owned(),
            repo: repo.to_owned(),
            token,
        })
    }

    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        // An http address always has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1"]).extend(segments);
        }
        url
    }

    fn in_repo<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        let mut segments = vec!["repos", self.owner.as_str(), self.repo.as_str()];
        segments.extend(rest);
        segments
    }

    /// One request below the repository; any status is an answer.
    pub(super) async fn ask(&self, method: Method, rest: &[&str], body: Option<&Json>) -> Result<Answer, GiteaError> {
        self.send(method, &self.in_repo(rest), &[], body).await
    }

    /// Reads something below the repository.
    pub(super) async fn get<T: DeserializeOwned>(&self, rest: &[&str]) -> Result<T, GiteaError> {
        self.read(&self.in_repo(rest)).await
    }

    /// The same, with a query.
    pub(super) async fn find<T: DeserializeOwned>(&self, rest: &[&str], query: &[(&str, &str)]) -> Result<T, GiteaError> {
        let what = format!("GET {}", rest.join("/"));
        let answer = self.send(Method::GET, &self.in_repo(rest), query, None).await?;
        decode(&what, &answer)
    }

    /// Reads something below the API's root.
    pub(super) async fn read<T: DeserializeOwned>(&self, segments: &[&str]) -> Result<T, GiteaError> {
        let what = format!("GET {}", segments.join("/"));
        let answer = self.send(Method::GET, segments, &[], None).await?;
        decode(&what, &answer)
    }

    /// Writes something below the repository and reads what came of it.
    pub(super) async fn write<T: DeserializeOwned>(&self, method: Method, rest: &[&str], body: &Json) -> Result<T, GiteaError> {
        let what = format!("{method} {}", rest.join("/"));
        let answer = self.ask(method, rest, Some(body)).await?;
        decode(&what, &answer)
    }

    /// Reads a list below the repository, page by page; `take` says how many entries a page had,
    /// and whether that is enough.
    ///
    /// The links of the answers are not followed: they are made from the server's public address,
    /// which may not be reachable from here.
    pub(super) async fn pages<P: DeserializeOwned>(
        &self,
        rest: &[&str],
        query: &[(&str, &str)],
        mut take: impl FnMut(P) -> (usize, bool),
    ) -> Result<(), GiteaError> {
        let what = format!("GET {}", rest.join("/"));
        let mut seen = 0;
        for page in 1..=PAGES_MAX {
            let (page, limit) = (page.to_string(), PAGE.to_string());
            let mut query = query.to_vec();
            query.extend([("page", page.as_str()), ("limit", limit.as_str())]);
            let answer = self.send(Method::GET, &self.in_repo(rest), &query, None).await?;
            let (count, enough) = take(decode(&what, &answer)?);
            seen += count;
            if enough || count == 0 || answer.total.is_some_and(|total| seen >= total) {
                return Ok(());
            }
        }
        Err(GiteaError::Malformed {
            what,
            why: format!("the list does not end after {PAGES_MAX} pages"),
        })
    }

    async fn send(&self, method: Method, segments: &[&str], query: &[(&str, &str)], body: Option<&Json>) -> Result<Answer, GiteaError> {
        let what = format!("{method} {}", segments.join("/"));
        let mut request = self.http.request(method.clone(), self.url(segments)).query(query);
        let merging = method == Method::POST && segments.last() == Some(&"merge");
        let limit = if merging { MERGE_PATIENCE } else { PATIENCE };
        request = request.timeout(limit);
        if let Some(body) = body {
            request = request.json(body);
        }
        let failed = |error: reqwest::Error| {
            if error.is_timeout() {
                return GiteaError::Timeout {
                    what: what.clone(),
                    seconds: limit.as_secs(),
                };
            }
            GiteaError::Unreachable {
                what: what.clone(),
                why: self.token.scrub(&cause(&error.without_url())),
            }
        };
        let mut answer = request.send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        let total = answer.headers().get("x-total-count");
        let total = total.and_then(|t| t.to_str().ok()).and_then(|t| t.parse().ok());
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > BODY_MAX {
                return Err(GiteaError::Malformed {
                    what,
                    why: format!("it is longer than {BODY_MAX} bytes"),
                });
            }
        }
        Ok(Answer {
            status,
            body: bytes,
            total,
        })
    }
}

/// A successful answer's body.
fn decode<T: DeserializeOwned>(what: &str, answer: &Answer) -> Result<T, GiteaError> {
    if !(200..300).contains(&answer.status) {
        return Err(GiteaError::of_status(what, answer.status, answer.message()));
    }
    serde_json::from_slice(&answer.body).map_err(|e| GiteaError::Malformed {
        what: what.to_owned(),
        why: e.to_string(),
    })
}

/// The innermost reason: the outer ones only say that something failed.
fn cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(inner) = last.source() {
        last = inner;
    }
    last.to_string()
}
