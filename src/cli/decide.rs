//! `approve`, `reject`, `answer`, `stop`, `retry`, `depend`.

use serde_json::json;

use super::args::Depend;
use super::client::{Client, part};
use super::exit::Failure;
use super::out;
use crate::shell::view::DoneView;

/// Approves what the task's stage waits for, or sends the signal that is named.
///
/// # Errors
/// As the service answers, or when it does not.
pub async fn approve(client: &Client, item: &str, signal: Option<&str>, text: Option<&str>, as_json: bool) -> Result<(), Failure> {
    send(client, item, "approve", &json!({ "signal": signal, "text": text }), as_json).await
}

/// Does `act` to the task.
///
/// # Errors
/// As the service answers, or when it does not.
pub async fn act(client: &Client, item: &str, act: &str, text: Option<&str>, as_json: bool) -> Result<(), Failure> {
    send(client, item, act, &json!({ "text": text }), as_json).await
}

/// Has a task wait for another, or not any more.
///
/// # Errors
/// As the service answers, or when it does not.
pub async fn depend(client: &Client, args: &Depend, as_json: bool) -> Result<(), Failure> {
    let remove = args.remove.is_some();
    let other = args.on.as_ref().or(args.remove.as_ref());
    send(client, &args.item, "depend", &json!({ "on": other, "remove": remove }), as_json).await
}

/// Sends an act and prints what the service says to it.
///
/// # Errors
/// As the service answers, or when it does not.
pub async fn send(client: &Client, item: &str, act: &str, body: &serde_json::Value, as_json: bool) -> Result<(), Failure> {
    let done: DoneView = client.post(&format!("/api/tasks/{}/{act}", part(item)), body).await?;
    if as_json {
        return out::json(&done);
    }
    out::print(&format!("{}: {}", done.item, out::safe(&done.message)))
}
