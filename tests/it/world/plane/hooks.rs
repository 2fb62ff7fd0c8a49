//! Webhooks: one delivery per changed field, signed over the very bytes that are sent.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::{Value as Json, json};
use sha2::Sha256;

use super::board::Board;
use super::{PROJECT, SECRET};

/// Where deliveries go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hooks {
    /// To this address. Where nobody listens they are tried again (the real one waits for minutes).
    To(SocketAddr),
    /// Nowhere: lost, as when the webhook is switched off.
    Lost,
    /// The server is gone.
    Ended,
}

/// A delivery that was made.
pub struct Delivery {
    pub event: String,
    pub body: String,
    sent: bool,
}

/// JSON as Python writes it: blanks after commas and colons, and nothing but ASCII.
struct Python;

impl serde_json::ser::Formatter for Python {
    fn begin_array_value<W: ?Sized + Write>(&mut self, w: &mut W, first: bool) -> std::io::Result<()> {
        w.write_all(if first { b"" } else { b", " })
    }
    fn begin_object_key<W: ?Sized + Write>(&mut self, w: &mut W, first: bool) -> std::io::Result<()> {
        w.write_all(if first { b"" } else { b", " })
    }
    fn begin_object_value<W: ?Sized + Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        w.write_all(b": ")
    }
    fn write_string_fragment<W: ?Sized + Write>(&mut self, w: &mut W, fragment: &str) -> std::io::Result<()> {
        for unit in fragment.encode_utf16() {
            match u8::try_from(unit).ok().filter(u8::is_ascii) {
                Some(byte) => w.write_all(&[byte])?,
                None => write!(w, "\\u{unit:04x}")?,
            }
        }
        Ok(())
    }
}

fn dumps(json: &Json) -> String {
    let mut out = Vec::new();
    json.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Python))
        .expect("JSON");
    String::from_utf8(out).expect("ASCII")
}

impl Board {
    /// Tells of an issue. The data are those of now, as the real one's are those of when its worker
    /// came to it.
    pub fn tell_issue(&mut self, issue: &str, by: &str, action: &str, change: Option<(&str, Json, Json)>) {
        let item = self.items.iter().find(|i| i.id == issue).expect("the issue");
        let labels = self.label_list.iter().filter(|l| item.labels.contains(&l.id));
        let labels: Vec<Json> = labels.map(|l| json!({"id": l.id, "name": l.name, "color": "#0ea5e9"})).collect();
        let (field, new, old) = change.map_or((None, Json::Null, Json::Null), |(f, n, o)| (Some(f), n, o));
        let body = json!({"event": "issue", "action": action, "webhook_id": "3c2c32ac-82df-48b3-be2a-a3e21dbe8692",
            "workspace_id": "d2d97c94-a6ad-4012-b526-5577c0d7c769",
            "data": {"id": item.id, "labels": labels, "assignees": [], "state": self.state_json(&item.state), "created_at": item.created_at,
                "updated_at": item.updated_at, "name": item.name, "description_html": item.html, "sequence_id": item.number,
                "created_by": item.created_by, "updated_by": item.updated_by, "project": PROJECT},
            "activity": {"field": field, "new_value": new, "old_value": old, "actor": self.user_json(by), "old_identifier": null, "new_identifier": null}});
        self.queue("issue", &body);
    }

    pub fn tell_comment(&mut self, at: usize, action: &str) {
        let comment = self.comment_json(at);
        let by = self.comments[at].actor.clone();
        let field = (action == "updated").then_some("comment_html");
        let body = json!({"event": "issue_comment", "action": action, "webhook_id": "3c2c32ac-82df-48b3-be2a-a3e21dbe8692",
            "workspace_id": "d2d97c94-a6ad-4012-b526-5577c0d7c769", "data": comment,
            "activity": {"field": field, "new_value": null, "old_value": null, "actor": self.user_json(&by), "old_identifier": null, "new_identifier": null}});
        self.queue("issue_comment", &body);
    }

    /// Whether every delivery is sent.
    pub fn all_sent(&self) -> bool {
        self.deliveries.iter().all(|d| d.sent)
    }

    fn queue(&mut self, event: &str, body: &Json) {
        let sent = !matches!(self.hooks, Hooks::To(_));
        self.deliveries.push(Delivery {
            event: event.to_owned(),
            body: dumps(body),
            sent,
        });
    }
}

/// Sends what is made, until the server is gone.
pub fn deliver(board: &Arc<Mutex<Board>>) {
    loop {
        std::thread::sleep(Duration::from_millis(5));
        let Ok(locked) = board.lock() else { return };
        let to = match locked.hooks {
            Hooks::Ended => return,
            Hooks::Lost => continue,
            Hooks::To(to) => to,
        };
        let Some(at) = locked.deliveries.iter().position(|d| !d.sent) else {
            continue;
        };
        let (event, body) = (locked.deliveries[at].event.clone(), locked.deliveries[at].body.clone());
        drop(locked);
        // Any answer counts as delivered, whatever it says.
        if post(to, &event, &body, Some(&sign(SECRET, body.as_bytes()))).is_ok()
            && let Ok(mut locked) = board.lock()
        {
            locked.deliveries[at].sent = true;
        }
    }
}

/// The signature of a body.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    hex::encode(mac.chain_update(body).finalize().into_bytes())
}

/// Posts a delivery as the server does; the status of the answer.
pub fn post(to: SocketAddr, event: &str, body: &str, signature: Option<&str>) -> std::io::Result<u16> {
    post_at(to, "/webhook/plane", event, body, signature)
}

/// The same at another path.
pub fn post_at(to: SocketAddr, path: &str, event: &str, body: &str, signature: Option<&str>) -> std::io::Result<u16> {
    answer_to(to, path, event, body, signature)?
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .ok_or_else(|| std::io::Error::other("no status"))
}

/// The same; gives the whole answer.
pub fn answer_to(to: SocketAddr, path: &str, event: &str, body: &str, signature: Option<&str>) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let signed = signature.map(|s| format!("X-Plane-Signature: {s}\r\n")).unwrap_or_default();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: Autopilot\r\nContent-Type: application/json\r\nX-Plane-Delivery: {}\r\n\
         X-Plane-Event: {event}\r\n{signed}Content-Length: {}\r\nConnection: close\r\n\r\n",
        uuid::Uuid::now_v7(),
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
