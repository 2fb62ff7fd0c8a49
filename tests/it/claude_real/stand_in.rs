//! A stand-in for the model service: it speaks as much of the Messages API as the agent needs, and
//! behaves as the test wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::stream;
use regex::Regex;
use serde_json::{Value, json};

/// How the model behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// Calls `Write` for the artefact that is due, then ends.
    Good,
    /// Calls a tool that is not allowed, then gives up.
    Refused,
    /// Calls a tool that is not allowed, then does its work all the same.
    RefusedThenGood,
    /// 529, always.
    Overloaded,
    /// 429, and to come back in two minutes.
    Limited,
    /// The same, and the error says so in words, too.
    LimitedInWords,
    /// Answers word by word, without end.
    Slow,
    /// Calls `Bash` for something that does not end.
    Hang,
}

/// A stand-in at work; it ends with the test.
pub struct StandIn {
    pub url: String,
    asked: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Part {
    mode: Mode,
    asked: Arc<AtomicUsize>,
}

impl StandIn {
    pub async fn start(mode: Mode) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let part = Part {
            mode,
            asked: Arc::clone(&asked),
        };
        let router = Router::new().route("/v1/messages", post(messages)).with_state(part);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, asked }
    }

    /// How often the model was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn messages(State(part): State<Part>, body: Bytes) -> Response {
    part.asked.fetch_add(1, Ordering::SeqCst);
    let text = String::from_utf8_lossy(&body).into_owned();
    let request: Value = serde_json::from_str(&text).expect("a request");
    let done = text.matches(r#""type":"tool_result""#).count();
    match (part.mode, done) {
        (Mode::Overloaded, _) => error(529, "overloaded_error", "Overloaded"),
        (Mode::Limited, _) => error(429, "rate_limit_error", "This request would exceed your account's rate limit."),
        (Mode::LimitedInWords, _) => error(429, "rate_limit_error", "Too many requests, retry after 120 s"),
        (Mode::Slow, _) => endless(),
        (Mode::Hang, _) => call(
            "Bash",
            &json!({ "command": "tail -f /dev/null & tail -F /dev/null", "timeout": 600_000 }),
        ),
        (Mode::Refused | Mode::RefusedThenGood, 0) => {
            call("WebFetch", &json!({ "url": "http://127.0.0.1:9/", "prompt": "what is there?" }))
        }
        (Mode::Good, 0) | (Mode::RefusedThenGood, 1) => call("Write", &artefact(&request)),
        _ => say("Done, as far as I could."),
    }
}

/// What `Write` is called with: everything it needs stands in the prompt.
fn artefact(request: &Value) -> Value {
    let mut all = String::new();
    texts(request, &mut all);
    let find = |pattern: &str| {
        let found = Regex::new(pattern).expect("a pattern").captures(&all).map(|c| c[1].to_owned());
        found.unwrap_or_else(|| panic!("the request does not say {pattern}:\n{all}"))
    };
    let (nonce, folder, here) = (
        find(r"run: (r[0-9a-f]{19})"),
        find(r"(docs/work-items/SHOP-\d+)"),
        find(r"working directory: (/\S+)"),
    );
    let text = format!("---\nrun: {nonce}\nstage: review\nverdict: APPROVED\n---\nLooked at it.\n");
    json!({ "file_path": format!("{here}/{folder}/12-review.md"), "content": text })
}

/// Every string of a document.
fn texts(doc: &Value, all: &mut String) {
    match doc {
        Value::String(text) => all.push_str(&format!("{text}\n")),
        Value::Array(items) => items.iter().for_each(|item| texts(item, all)),
        Value::Object(map) => map.values().for_each(|value| texts(value, all)),
        _ => {}
    }
}

fn error(status: u16, kind: &str, message: &str) -> Response {
    let body = json!({ "type": "error", "error": { "type": kind, "message": message } }).to_string();
    let head = [(header::CONTENT_TYPE, "application/json"), (header::RETRY_AFTER, "120")];
    let status = StatusCode::from_u16(status).expect("a status");
    // An overload is tried again by the agent itself: told to wait, it would not try at all.
    match status.as_u16() {
        429 => (status, head, body).into_response(),
        _ => (status, [head[0].clone()], body).into_response(),
    }
}

fn say(text: &str) -> Response {
    let block = json!({ "type": "text", "text": "" });
    whole(&block, &json!({ "type": "text_delta", "text": text }), "end_turn")
}

fn call(tool: &str, input: &Value) -> Response {
    let id = format!("toolu_{}", uuid::Uuid::now_v7().simple());
    let block = json!({ "type": "tool_use", "id": id, "name": tool, "input": {} });
    let delta = json!({ "type": "input_json_delta", "partial_json": input.to_string() });
    whole(&block, &delta, "tool_use")
}

fn line(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
}

fn begin() -> String {
    let usage = json!({ "input_tokens": 1200, "cache_creation_input_tokens": 300, "cache_read_input_tokens": 5000, "output_tokens": 1 });
    line(&json!({ "type": "message_start", "message": {
        "id": format!("msg_{}", uuid::Uuid::now_v7().simple()), "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage } }))
}

fn whole(block: &Value, delta: &Value, reason: &str) -> Response {
    let events = [
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
        json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": reason, "stop_sequence": null }, "usage": { "output_tokens": 25 } }),
        json!({ "type": "message_stop" }),
    ];
    let text = begin() + events.iter().map(line).collect::<String>().as_str();
    ([(header::CONTENT_TYPE, "text/event-stream")], text).into_response()
}

fn endless() -> Response {
    let start = json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } });
    let words = stream::unfold(0_u32, move |n| {
        let start = start.clone();
        async move {
            let delta = json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "word " } });
            let text = match n {
                0 => begin() + line(&start).as_str(),
                _ => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    line(&delta)
                }
            };
            Some((Ok::<_, std::convert::Infallible>(text), n + 1))
        }
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(words)).into_response()
}
