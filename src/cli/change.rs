//! `signalbox change`, `freeze`, `unfreeze`: the forge's side of the command line.

use serde_json::json;

use super::args::{ChangeCommand, FreezeLevel};
use super::client::Client;
use super::decide::send;
use super::exit::Failure;
use super::out;
use crate::shell::web::FrozenView;

/// Reviews a change, or reports a check of it.
///
/// # Errors
/// As the service answers, or when it does not.
pub async fn run(client: &Client, command: &ChangeCommand, as_json: bool) -> Result<(), Failure> {
    match command {
        ChangeCommand::Review { item, verdict, text } => {
            let body = json!({ "verdict": verdict.word(), "text": text.as_deref().unwrap_or_default() });
            send(client, item, "review", &body, as_json).await
        }
        ChangeCommand::Check {
            item,
            context,
            state,
            text,
        } => {
            let body = json!({ "context": context, "state": state.word(), "text": text.as_deref().unwrap_or_default() });
            send(client, item, "check", &body, as_json).await
        }
    }
}

/// Freezes a repository.
///
/// # Errors
/// As the service answers, or when it does not.
pub async fn freeze(client: &Client, project: Option<&str>, level: FreezeLevel, reason: &str, as_json: bool) -> Result<(), Failure> {
    let body = json!({ "repo": project, "level": level.word(), "reason": reason });
    tell(&client.post("/serial-gate/freeze", &body).await?, as_json)
}

/// Lifts a freeze.
///
/// # Errors
/// As the service answers, or when it does not.
pub async fn unfreeze(client: &Client, project: Option<&str>, reason: Option<&str>, as_json: bool) -> Result<(), Failure> {
    let body = json!({ "repo": project, "reason": reason });
    tell(&client.post("/serial-gate/unfreeze", &body).await?, as_json)
}

fn tell(view: &FrozenView, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return out::json(view);
    }
    let line = match (&view.frozen, view.cleared) {
        (Some(reason), _) => format!("{} is frozen: {}", view.repo, out::safe(reason)),
        (None, true) => format!("{} is not frozen any more", view.repo),
        (None, false) => format!("{} was not frozen", view.repo),
    };
    out::print(&line)
}
