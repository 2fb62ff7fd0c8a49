//! `signalbox task`: issues on the service's own board.

use std::io::Read;

use serde_json::json;

use super::args::{Task, TaskCommand};
use super::client::Client;
use super::decide::send;
use super::exit::Failure;
use super::{out, status};
use crate::shell::view::{DoneView, TaskLine, TasksView};

/// Longest text read from standard input.
const MAX_TEXT: u64 = 200 * 1024;

/// Does what is asked.
///
/// # Errors
/// As the service answers, or when it does not.
pub async fn run(client: &Client, task: &Task, as_json: bool) -> Result<(), Failure> {
    match &task.command {
        TaskCommand::New {
            title,
            text,
            project,
            labels,
            no_start,
        } => {
            let text = description(text.as_deref())?;
            let body = json!({ "project": project, "title": title, "text": text, "labels": labels, "start": !no_start });
            let done: DoneView = client.post("/api/tasks", &body).await?;
            if as_json {
                out::json(&done)
            } else {
                out::print(&format!("{}: {}", done.item, out::safe(&done.message)))
            }
        }
        TaskCommand::Comment { item, text } => send(client, item, "comment", &json!({ "text": text }), as_json).await,
        TaskCommand::Status { item, status } => send(client, item, "status", &json!({ "status": status }), as_json).await,
        TaskCommand::Label { item, label, remove } => {
            send(client, item, "label", &json!({ "label": label, "add": !remove }), as_json).await
        }
        TaskCommand::List { all } => list(client, *all, as_json).await,
    }
}

fn description(text: Option<&str>) -> Result<String, Failure> {
    if text != Some("-") {
        return Ok(text.unwrap_or_default().to_owned());
    }
    let mut read = String::new();
    let taken = std::io::stdin().lock().take(MAX_TEXT + 1).read_to_string(&mut read);
    taken.map_err(|e| Failure::other(format!("standard input cannot be read: {e}")))?;
    if read.len() as u64 > MAX_TEXT {
        return Err(Failure::usage(format!("the text is longer than {} KiB", MAX_TEXT / 1024)));
    }
    Ok(read)
}

async fn list(client: &Client, all: bool, as_json: bool) -> Result<(), Failure> {
    let view: TasksView = client.get(if all { "/api/tasks?all=1" } else { "/api/tasks" }).await?;
    if as_json {
        return out::json(&view);
    }
    if view.tasks.is_empty() {
        return out::print(if all {
            "There is no task yet."
        } else {
            "No task is under way; --all shows those that are over."
        });
    }
    let tasks: Vec<&TaskLine> = view.tasks.iter().collect();
    out::print(&status::list(&tasks, view.now.0))
}
