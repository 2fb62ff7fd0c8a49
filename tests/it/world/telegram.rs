//! A Telegram of our own: rooms with messages, its limits, its ways to refuse.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value as Json, json};

/// The bot's token: searched for wherever it must not be.
pub const TOKEN: &str = "123456789:AAE-canary_in_the_address";
/// Longest text, in UTF-16 code units of what is seen.
const LIMIT: usize = 4096;
/// Tags that are understood.
const TAGS: [&str; 9] = ["b", "strong", "i", "em", "u", "s", "code", "pre", "a"];

/// A message in a room.
#[derive(Debug, Clone)]
pub struct Message {
    pub room: i64,
    /// What was sent, as it was sent.
    pub text: String,
    /// What is seen of it.
    pub seen: String,
    /// Its texts so far.
    pub texts: Vec<String>,
}

/// A request, and how it was answered.
#[derive(Debug, Clone)]
pub struct Call {
    pub at: Instant,
    pub method: String,
    pub status: u16,
}

/// What happens to a request instead of what it asks for.
#[derive(Debug, Clone)]
pub enum Fault {
    /// An answer that is not the interface's.
    Status(u16),
    /// It asks to wait for this many seconds; what comes earlier is asked to wait again.
    Slow(u64),
    /// The connection breaks; what was asked for has happened.
    Lost,
    /// The markup is not understood.
    Markup,
}

#[derive(Default)]
struct Inner {
    messages: BTreeMap<i64, Message>,
    calls: Vec<Call>,
    faults: VecDeque<Fault>,
    /// Every request is answered so.
    down: Option<u16>,
    quiet_until: Option<Instant>,
    moved: BTreeMap<i64, i64>,
    /// The bot is in no room.
    outside: bool,
    next: i64,
}

/// A running Telegram.
#[derive(Clone)]
pub struct Telegram {
    inner: Arc<Mutex<Inner>>,
    pub address: SocketAddr,
}

type Shared = Arc<Mutex<Inner>>;

impl Telegram {
    /// Starts one on a thread of its own; it ends with the tests.
    pub fn start() -> Self {
        let inner = Shared::default();
        let (tell, told) = std::sync::mpsc::channel();
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                tell.send(listener.local_addr().expect("an address")).expect("told");
                let app = Router::new().route("/{bot}/{method}", post(call)).with_state(shared);
                axum::serve(listener, app).await.expect("it serves");
            });
        });
        let address = told.recv().expect("an address");
        Self { inner, address }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages of a room, in the order in which they were sent.
    pub fn messages(&self, room: i64) -> Vec<Message> {
        self.lock().messages.values().filter(|m| m.room == room).cloned().collect()
    }

    /// Messages whose text begins like a card of this task.
    pub fn cards(&self, room: i64, item: &str) -> Vec<Message> {
        let head = format!("<b>{item}</b>");
        let card = |m: &Message| m.texts.iter().any(|t| t.starts_with(&head));
        self.messages(room).into_iter().filter(card).collect()
    }

    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// What happens to the next requests.
    pub fn faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults.extend(faults);
    }

    /// Every request is answered with this status from now on; `None`: as it should be.
    pub fn down(&self, status: Option<u16>) {
        self.lock().down = status;
    }

    /// The group becomes a supergroup.
    pub fn migrate(&self, from: i64, to: i64) {
        self.lock().moved.insert(from, to);
    }

    /// The bot is thrown out of every room.
    pub fn thrown_out(&self) {
        self.lock().outside = true;
    }

    /// Somebody deletes all messages.
    pub fn delete_all(&self) {
        self.lock().messages.clear();
    }
}

fn refuse(status: u16, description: &str, parameters: Option<Json>) -> (u16, Json) {
    let mut answer = json!({"ok": false, "error_code": status, "description": description});
    if let Some(parameters) = parameters {
        answer["parameters"] = parameters;
    }
    (status, answer)
}

async fn call(State(shared): State<Shared>, Path((bot, method)): Path<(String, String)>, body: Bytes) -> Response {
    let mut inner = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let fault = inner.faults.pop_front();
    let lost = matches!(fault, Some(Fault::Lost));
    let (status, answer) = inner.answer(&bot, &method, &body, fault);
    inner.calls.push(Call {
        at: Instant::now(),
        method,
        status,
    });
    drop(inner);
    let status = StatusCode::from_u16(status).expect("a status");
    if lost {
        // Longer announced than it is: the reader finds the connection broken.
        return (
            [("content-length", "1000")],
            axum::body::Body::from_stream(futures_util::stream::empty::<Result<Bytes, std::io::Error>>()),
        )
            .into_response();
    }
    (status, answer.to_string()).into_response()
}

impl Inner {
    fn answer(&mut self, bot: &str, method: &str, body: &[u8], fault: Option<Fault>) -> (u16, Json) {
        if bot != format!("bot{TOKEN}") {
            return refuse(401, "Unauthorized", None);
        }
        if let Some(status) = self.down {
            return refuse(
                status,
                if status == 403 {
                    "Forbidden: bot was kicked from the group chat"
                } else {
                    "Internal Server Error"
                },
                None,
            );
        }
        let now = Instant::now();
        if let Some(until) = self.quiet_until.filter(|u| *u > now) {
            let left = (until - now).as_secs().saturating_add(1);
            return refuse(
                429,
                &format!("Too Many Requests: retry after {left}"),
                Some(json!({"retry_after": left})),
            );
        }
        match fault {
            Some(Fault::Status(status)) => return (status, json!("<html>")),
            Some(Fault::Slow(seconds)) => {
                self.quiet_until = Some(now + Duration::from_secs(seconds));
                return refuse(
                    429,
                    &format!("Too Many Requests: retry after {seconds}"),
                    Some(json!({"retry_after": seconds})),
                );
            }
            Some(Fault::Markup) => {
                return refuse(
                    400,
                    "Bad Request: can't parse entities: Can't find end tag corresponding to start tag b",
                    None,
                );
            }
            Some(Fault::Lost) | None => {}
        }
        let Ok(body) = serde_json::from_slice::<Json>(body) else {
            return refuse(400, "Bad Request: wrong request", None);
        };
        self.put(method, &body)
    }

    fn put(&mut self, method: &str, body: &Json) -> (u16, Json) {
        if method == "getMe" {
            let me = json!({"id": 123_456_789, "is_bot": true, "first_name": "Orch", "username": "orch_bot"});
            return (200, json!({"ok": true, "result": me}));
        }
        if self.outside {
            return refuse(400, "Bad Request: chat not found", None);
        }
        let Some(room) = body["chat_id"].as_i64() else {
            return refuse(400, "Bad Request: chat not found", None);
        };
        if let Some(to) = self.moved.get(&room) {
            return refuse(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                Some(json!({"migrate_to_chat_id": to})),
            );
        }
        if method == "getChat" {
            return (
                200,
                json!({"ok": true, "result": {"id": room, "title": "Orch", "type": "supergroup"}}),
            );
        }
        let text = body["text"].as_str().unwrap_or_default().to_owned();
        let seen = match body["parse_mode"].as_str() {
            Some("HTML") => match parse(&text) {
                Ok(seen) => seen,
                Err(why) => return refuse(400, &format!("Bad Request: can't parse entities: {why}"), None),
            },
            _ => text.clone(),
        };
        if seen.trim().is_empty() {
            return refuse(400, "Bad Request: message text is empty", None);
        }
        if seen.encode_utf16().count() > LIMIT {
            return refuse(400, "Bad Request: message is too long", None);
        }
        if body["link_preview_options"]["is_disabled"] != true {
            return refuse(400, "Bad Request: the test wants no previews", None);
        }
        let id = match method {
            "sendMessage" => {
                self.next += 1;
                self.next + 4710
            }
            "editMessageText" => {
                let id = body["message_id"].as_i64().unwrap_or_default();
                match self.messages.get(&id) {
                    Some(old) if old.room == room && old.seen == seen && old.text == text => {
                        let same =
                            "Bad Request: message is not modified: specified new message content and reply markup are exactly the same";
                        return refuse(400, same, None);
                    }
                    Some(old) if old.room == room => id,
                    _ => return refuse(400, "Bad Request: message to edit not found", None),
                }
            }
            _ => return refuse(404, "Not Found", None),
        };
        let mut texts = self.messages.remove(&id).map(|m| m.texts).unwrap_or_default();
        texts.push(text.clone());
        self.messages.insert(id, Message { room, text, seen, texts });
        (
            200,
            json!({"ok": true, "result": {"message_id": id, "chat": {"id": room, "type": "supergroup"}, "date": 1_779_271_200}}),
        )
    }
}

/// What is seen of an HTML text, as strictly as the real one reads it.
fn parse(html: &str) -> Result<String, String> {
    let (mut seen, mut open) = (String::new(), Vec::new());
    let mut rest = html;
    while let Some(first) = rest.chars().next() {
        match first {
            '<' => {
                let end = rest.find('>').ok_or("Unclosed start tag")?;
                let tag = &rest[1..end];
                match tag.strip_prefix('/') {
                    Some(name) if open.last() == Some(&name) => drop(open.pop()),
                    Some(name) => return Err(format!("Unexpected end tag {name}")),
                    None => {
                        let name = tag.split(' ').next().unwrap_or_default();
                        if !TAGS.contains(&name) {
                            return Err(format!("Unsupported start tag \"{name}\""));
                        }
                        open.push(name);
                    }
                }
                rest = &rest[end + 1..];
            }
            '&' => {
                let known = [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&'), ("&quot;", '"')];
                match known.iter().find(|(name, _)| rest.starts_with(name)) {
                    Some((name, c)) => {
                        seen.push(*c);
                        rest = &rest[name.len()..];
                    }
                    None => return Err("a bare ampersand, which the test does not let pass".to_owned()),
                }
            }
            c => {
                seen.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    match open.pop() {
        Some(name) => Err(format!("Can't find end tag corresponding to start tag {name}")),
        None => Ok(seen),
    }
}
