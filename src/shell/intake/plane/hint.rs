//! What a delivery says, in whichever version of the format.

use serde_json::Value as Json;

use crate::shell::tracker::plane::{User, time};

/// Longest id that is believed, in bytes: Plane's are UUIDs.
const ID_MAX: usize = 64;

/// Where to look, and who made us look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// Plane's id of the project; a deletion names none.
    pub project: Option<String>,
    /// The issue.
    pub issue: Option<String>,
    /// What is said to have changed.
    pub what: What,
    /// Who is said to have changed it.
    pub actor: Option<User>,
    /// When, by Plane's clock, in milliseconds; not before it.
    pub at: Option<i64>,
}

/// What is said to have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The issue was made.
    Made,
    /// It was moved to this state: an id, in old versions a name.
    State(Option<String>),
    /// Its labels.
    Labels,
    /// This comment was written; without an id, one was edited.
    Comment(Option<String>),
    /// Something else of it, told beside a move that may have been lost.
    Other,
    /// It was deleted or archived.
    Gone,
    /// Nothing that we react to; what it was.
    Noise(String),
}

/// Reads a delivery.
///
/// # Errors
/// Why nothing can be made of it.
pub fn read(event: &str, body: &[u8]) -> Result<Hint, String> {
    let body: Json = serde_json::from_slice(body).map_err(|e| format!("the body is no JSON: {e}"))?;
    if !body.is_object() {
        return Err("the body is no object".to_owned());
    }
    // Only the later format names its version; whatever comes after is taken for its like.
    match body.get("version").and_then(Json::as_str) {
        None | Some("v1") => Ok(first(event, &body)),
        Some(_) => Ok(second(&body)),
    }
}

/// An id, a text: never empty, and never the word that one version writes for nothing.
fn text(of: Option<&Json>) -> Option<String> {
    let text = of?.as_str()?;
    (!text.is_empty() && text != "None").then(|| text.to_owned())
}

fn id(of: Option<&Json>) -> Option<String> {
    text(of).filter(|id| id.len() <= ID_MAX)
}

/// The one that the community edition sends: `event`, `action`, `data`, `activity`.
fn first(event: &str, body: &Json) -> Hint {
    let (data, activity) = (&body["data"], &body["activity"]);
    let event = body["event"].as_str().unwrap_or(event);
    // Old pages of the manual write the action without its ending.
    let action = body["action"].as_str().unwrap_or_default();
    let action = action.strip_suffix('d').unwrap_or(action);
    let what = match (event, action) {
        ("issue", "create") => What::Made,
        ("issue", "delete") => What::Gone,
        ("issue", "update") => changed(activity),
        ("issue_comment", "create") => What::Comment(id(data.get("id"))),
        ("issue_comment", "update") => What::Comment(None),
        _ => What::Noise(format!("{} {} is nothing that we react to", clip(event), clip(action))),
    };
    let issue = if event == "issue_comment" { &data["issue"] } else { &data["id"] };
    Hint {
        project: id(data.get("project")),
        issue: id(Some(issue)),
        what,
        actor: serde_json::from_value::<User>(activity["actor"].clone())
            .ok()
            .filter(|u| !u.id.is_empty()),
        at: text(data.get("updated_at")).as_deref().and_then(time),
    }
}

fn changed(activity: &Json) -> What {
    // The board's page and the REST interface call the same thing by two names.
    match activity["field"].as_str() {
        Some("state_id" | "state") => What::State(id(activity.get("new_value"))),
        Some("label_ids" | "labels") => What::Labels,
        Some(_) => What::Other,
        None => What::State(None),
    }
}

/// The later one: `event` with dots, `entity_id`, `previous_attributes`, and `"None"` for nothing.
fn second(body: &Json) -> Hint {
    let data = &body["data"];
    let event = body["event"].as_str().unwrap_or_default().to_lowercase().replace(['_', '.'], "");
    let comment = event.contains("comment");
    let before = body["previous_attributes"].as_object();
    let had = |key: &str| before.is_none_or(|b| b.contains_key(key));
    let what = match () {
        () if comment && event.ends_with("created") => What::Comment(id(data.get("id")).or_else(|| id(body.get("entity_id")))),
        () if comment && event.ends_with("updated") => What::Comment(None),
        () if !event.contains("workitem") && !event.contains("issue") || comment => {
            What::Noise(format!("{} is nothing that we react to", clip(&event)))
        }
        () if event.ends_with("created") => What::Made,
        () if event.ends_with("deleted") || event.ends_with("archived") => What::Gone,
        () if had("state_id") => What::State(id(data.get("state_id"))),
        () if had("label_ids") => What::Labels,
        () => What::Other,
    };
    let of_comment = ["issue_id", "issue", "work_item_id"].iter().find_map(|key| id(data.get(*key)));
    let who = if what == What::Made { "created_by_id" } else { "updated_by_id" };
    let who = if comment {
        id(data.get("actor_id")).or_else(|| id(data.get("created_by_id")))
    } else {
        id(data.get(who))
    };
    Hint {
        project: id(data.get("project_id")).or_else(|| id(data.get("project"))),
        issue: if comment {
            of_comment
        } else {
            id(body.get("entity_id")).or_else(|| id(data.get("id")))
        },
        what,
        actor: who.map(|id| User { id, ..User::default() }),
        at: text(data.get("updated_at")).as_deref().and_then(time),
    }
}

fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
#[path = "hint_tests.rs"]
mod tests;
