//! Comments below requests, and files over the API.

use std::sync::Arc;

use base64::Engine as _;
use serde_json::{Value as Json, json};

use super::api::decoded;
use super::server::Reply;
use super::state::Comment;
use super::{Shared, hooks};

/// `GET …/issues/{n}/comments`: all of them, oldest first; `page` and `limit` are ignored here, on every version.
pub fn comments(shared: &Shared, number: i64) -> Reply {
    let state = shared.state();
    if state.pull(number).is_none() {
        return Reply::error(404, "issue does not exist");
    }
    let mine: Vec<Json> = state.comments.iter().filter(|c| c.issue == number).map(comment_json).collect();
    Reply {
        total: Some(mine.len()),
        ..Reply::json(200, &Json::Array(mine))
    }
}

/// `POST …/issues/{n}/comments`: 201 and the comment, its text as it was sent, comments of HTML included; 422 without
/// a text. The webhook goes out as for a person's.
pub fn say(shared: &Arc<Shared>, number: i64, sent: &Json, who: &str) -> Reply {
    let text = sent["body"].as_str().unwrap_or_default().to_owned();
    let reply = {
        let mut state = shared.state();
        if state.pull(number).is_none() {
            return Reply::error(404, "issue does not exist");
        }
        if text.is_empty() {
            return Reply::error(422, "[Body]: Required");
        }
        let comment = Comment {
            id: state.next_id(),
            issue: number,
            user: who.to_owned(),
            body: text.clone(),
        };
        let reply = Reply::json(201, &comment_json(&comment));
        state.comments.push(comment);
        reply
    };
    hooks::comment(shared, number, who, &text);
    reply
}

fn comment_json(comment: &Comment) -> Json {
    json!({
        "id": comment.id, "body": comment.body, "user": {"id": 7, "login": comment.user}, "original_author": "",
        "issue_url": "", "pull_request_url": format!("https://git.example.com/acme/shop/pulls/{}", comment.issue),
        "created_at": "2026-05-20T10:00:00Z", "updated_at": "2026-05-20T10:00:00Z", "assets": [],
    })
}

/// `GET …/contents/{path}?ref=`: an array for a folder, without texts; an object for a file, its text in base64; 404 for
/// what is not there.
pub fn at(shared: &Shared, path: &str, query: &str) -> Reply {
    let asked = query.split('&').find_map(|pair| pair.strip_prefix("ref="));
    let commit = decoded(asked.unwrap_or("main"));
    let missing = || Reply::error(404, "object does not exist");
    let line = |args: &[&str]| shared.repo.try_git(args);
    let (found, listed) = line(&["ls-tree", &commit, path]);
    let Some((meta, _)) = listed.split_once('\t').filter(|_| found) else {
        return missing();
    };
    let entry = |meta: &str, path: &str| {
        let kind = if meta.contains(" tree ") { "dir" } else { "file" };
        json!({
            "name": path.rsplit('/').next(), "path": path, "sha": meta.split(' ').nth(2), "type": kind,
            "size": 0, "encoding": null, "content": null, "target": null, "submodule_git_url": null,
        })
    };
    if meta.contains(" tree ") {
        let (_, inside) = line(&["ls-tree", &commit, &format!("{path}/")]);
        let entries: Vec<Json> = inside
            .lines()
            .filter_map(|l| l.split_once('\t'))
            .map(|(m, p)| entry(m, p))
            .collect();
        return Reply::json(200, &Json::Array(entries));
    }
    let mut file = entry(meta, path);
    let text = shared.repo.git(&["show", &format!("{commit}:{path}")]);
    file["encoding"] = "base64".into();
    file["content"] = base64::engine::general_purpose::STANDARD.encode(text).into();
    Reply::json(200, &file)
}
