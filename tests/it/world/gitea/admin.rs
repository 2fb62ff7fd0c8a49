//! Settings of the repository and its webhooks, as the API shows and changes them.
//!
//! True to the source: `active` is false unless said; words that a version does not know are
//! ignored; no word at all means `push`; a change replaces events, filter and header even where it
//! says nothing about them; the secret is never shown; administrators only. Not true: webhooks
//! made here are not sent ([`super::Gitea::hook`] says where deliveries go).

use serde_json::{Value as Json, json};

use super::server::Reply;
use super::state::{State, Version};

/// A webhook, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiHook {
    pub id: i64,
    pub url: String,
    pub content_type: String,
    pub secret: String,
    pub active: bool,
    /// Fine names.
    pub events: Vec<String>,
    pub filter: String,
    pub header: String,
}

const PLAIN: [&str; 7] = ["push", "create", "delete", "fork", "wiki", "repository", "release"];
const PULLS: [&str; 7] = [
    "pull_request",
    "pull_request_assign",
    "pull_request_label",
    "pull_request_milestone",
    "pull_request_comment",
    "pull_request_review_request",
    "pull_request_sync",
];
const KINDS: [&str; 3] = [
    "pull_request_review_approved",
    "pull_request_review_rejected",
    "pull_request_review_comment",
];
const ISSUES: [&str; 5] = ["issues", "issue_assign", "issue_label", "issue_milestone", "issue_comment"];

/// The fine names that a version makes of the words of a request.
pub fn fine(words: &[&str], version: Version) -> Vec<String> {
    let words = if words.is_empty() { &["push"][..] } else { words };
    let newer = version >= Version::V1_25;
    let reviews: &[&str] = if newer { &["pull_request_review"] } else { &KINDS };
    let mut all: Vec<&str> = Vec::new();
    for word in words {
        match *word {
            "pull_request" => all.extend(PULLS.iter().chain(reviews)),
            "pull_request_only" => all.push("pull_request"),
            "pull_request_review" => all.extend(reviews),
            "issues" => all.extend(ISSUES),
            "issues_only" => all.push("issues"),
            "status" | "workflow_run" | "workflow_job" if newer => all.push(word),
            other if PLAIN.contains(&other) || PULLS.contains(&other) || ISSUES.contains(&other) => all.push(other),
            _ => {}
        }
    }
    let mut once: Vec<String> = Vec::new();
    for name in all {
        if !once.iter().any(|o| o == name) {
            once.push(name.to_owned());
        }
    }
    once
}

/// What a webhook that hears of everything lists.
pub fn everything(version: Version) -> Vec<String> {
    let words: Vec<&str> = PLAIN
        .iter()
        .copied()
        .chain(["pull_request", "issues", "status", "workflow_run", "workflow_job"])
        .collect();
    fine(&words, version)
}

fn shown(hook: &ApiHook) -> Json {
    json!({"id": hook.id, "type": "gitea", "branch_filter": hook.filter, "active": hook.active, "events": hook.events,
           "config": {"url": hook.url, "content_type": hook.content_type}, "authorization_header": hook.header,
           "created_at": "2026-05-20T10:30:00Z", "updated_at": "2026-05-20T10:30:00Z"})
}

fn words(sent: &Json) -> Vec<&str> {
    sent["events"].as_array().into_iter().flatten().filter_map(Json::as_str).collect()
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What only administrators of the repository may ask; none for any other request.
pub fn answer(state: &mut State, method: &str, rest: &[&str], sent: &Json) -> Option<Reply> {
    if !matches!(rest.first(), Some(&"hooks" | &"branch_protections")) {
        return None;
    }
    if !state.admin {
        return Some(Reply::error(
            403,
            "user should be an owner or a collaborator with admin write of a repository",
        ));
    }
    Some(match (method, rest) {
        ("GET", ["branch_protections"]) => Reply::json(200, &Json::Array(state.protections.clone())),
        ("GET", ["hooks"]) => Reply {
            total: Some(state.hooks.len()),
            ..Reply::json(200, &state.hooks.iter().map(shown).collect())
        },
        ("POST", ["hooks"]) => make(state, sent),
        ("PATCH", ["hooks", id]) => {
            let version = state.version;
            match state.hooks.iter_mut().find(|h| h.id.to_string() == *id) {
                Some(hook) => change(hook, version, sent),
                None => Reply::error(404, "not found"),
            }
        }
        _ => Reply::error(404, "not found"),
    })
}

fn make(state: &mut State, sent: &Json) -> Reply {
    if sent["type"] != "gitea" {
        return Reply::error(422, &format!("Invalid hook type: {}", text(&sent["type"])));
    }
    for key in ["url", "content_type"] {
        if !sent["config"][key].is_string() {
            return Reply::error(422, &format!("Missing config option: {key}"));
        }
    }
    let hook = ApiHook {
        id: state.next_id(),
        url: text(&sent["config"]["url"]),
        content_type: text(&sent["config"]["content_type"]),
        secret: text(&sent["config"]["secret"]),
        active: sent["active"].as_bool().unwrap_or(false),
        events: fine(&words(sent), state.version),
        filter: text(&sent["branch_filter"]),
        header: text(&sent["authorization_header"]),
    };
    let reply = Reply::json(201, &shown(&hook));
    state.hooks.push(hook);
    reply
}

fn change(hook: &mut ApiHook, version: Version, sent: &Json) -> Reply {
    let config = &sent["config"];
    for (key, slot) in [
        ("url", &mut hook.url),
        ("content_type", &mut hook.content_type),
        ("secret", &mut hook.secret),
    ] {
        if let Some(value) = config[key].as_str() {
            value.clone_into(slot);
        }
    }
    hook.events = fine(&words(sent), version);
    hook.filter = text(&sent["branch_filter"]);
    hook.header = text(&sent["authorization_header"]);
    if let Some(active) = sent["active"].as_bool() {
        hook.active = active;
    }
    Reply::json(200, &shown(hook))
}

/// `GET /repos/{o}/{r}`: the settings that matter, and what somebody changed about them.
pub fn repository(state: &State) -> Reply {
    let mut all = json!({"id": 1, "name": super::REPO, "full_name": "acme/shop", "empty": false, "archived": false, "mirror": false,
           "default_branch": "main", "permissions": {"admin": state.admin, "push": true, "pull": true}, "has_pull_requests": true,
           "allow_merge_commits": true, "allow_rebase": true, "allow_squash_merge": true, "default_delete_branch_after_merge": false});
    over(&mut all, &state.settings);
    Reply::json(200, &all)
}

/// Puts the keys of one object over those of another.
pub fn over(all: &mut Json, with: &Json) {
    for (key, value) in with.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
}
