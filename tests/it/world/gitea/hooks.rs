//! Webhooks: the fixtures' shapes, signed, delivered once, whatever the answer is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value as Json, json};
use sha2::Sha256;

use super::api::{pull_json, shape};
use super::{OWNER, REPO, SECRET, Shared};

/// The signature of a body.
pub fn signature(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    hex::encode(mac.chain_update(body).finalize().into_bytes())
}

/// The coarse name of an event.
fn coarse(event: &str) -> &str {
    match event {
        "pull_request_sync" => "pull_request",
        "pull_request_review_approved" => "pull_request_approved",
        "pull_request_review_rejected" => "pull_request_rejected",
        "pull_request_review_comment" => "pull_request_comment",
        "pull_request_comment" => "issue_comment",
        other => other,
    }
}

fn send(shared: &Arc<Shared>, event: &str, mut body: Json, sender: &str) {
    let Some(url) = shared.state().hook.clone() else { return };
    body["repository"]["full_name"] = format!("{OWNER}/{REPO}").into();
    body["repository"]["name"] = REPO.into();
    body["sender"]["login"] = sender.into();
    // Two events are never the same to the byte: at least the repository was changed in between.
    let nth = shared.state().next_id();
    body["repository"]["updated_at"] = format!("2026-05-20T{:02}:{:02}:{:02}Z", nth / 3600 % 24, nth / 60 % 60, nth % 60).into();
    let body = body.to_string();
    let signed = signature(SECRET, body.as_bytes());
    let (shared, event) = (Arc::clone(shared), event.to_owned());
    shared.state().sending += 1;
    // Without a runtime at hand: what people do comes from the test's own thread.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let status = runtime.block_on(post(&url, &event, &signed, body));
        let mut state = shared.state();
        state.delivered.push((event, status));
        state.sending -= 1;
    });
}

async fn post(url: &str, event: &str, signed: &str, body: String) -> u16 {
    let client = signalbox::shell::http::builder(url)
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()
        .expect("a client");
    let request = client
        .post(url)
        .header("Content-Type", "application/json")
        .header("X-GitHub-Event", coarse(event))
        .header("X-Gitea-Event", coarse(event))
        .header("X-Gitea-Event-Type", event)
        .header("X-Gitea-Delivery", uuid::Uuid::now_v7().to_string())
        .header("X-Gitea-Signature", signed)
        .body(body);
    request.send().await.map_or(0, |answer| answer.status().as_u16())
}

pub fn pull(shared: &Arc<Shared>, number: i64, event: &str, action: &str, sender: &str) {
    let mut body = shape("gitea_pull_request_opened.json");
    body["action"] = action.into();
    body["number"] = number.into();
    {
        let state = shared.state();
        let Some(pull) = state.pull(number) else { return };
        body["pull_request"] = pull_json(shared, &state, pull);
    }
    send(shared, event, body, sender);
}

/// On 1.16 a comment comes as `pull_request_comment`, with the action of a review.
pub fn review(shared: &Arc<Shared>, number: i64, sender: &str, word: &str, text: &str) {
    let event = match word {
        "APPROVED" => "pull_request_review_approved",
        "REQUEST_CHANGES" => "pull_request_review_rejected",
        _ if shared.state().version == super::Version::V1_16 => "pull_request_comment",
        _ => "pull_request_review_comment",
    };
    let mut body = shape("gitea_pull_request_approved.json");
    body["number"] = number.into();
    body["review"] = json!({"type": event, "content": text});
    {
        let state = shared.state();
        let Some(pull) = state.pull(number) else { return };
        body["pull_request"] = pull_json(shared, &state, pull);
    }
    send(shared, event, body, sender);
}

/// A plain comment below a request: the fine name is that of a review on another version.
pub fn comment(shared: &Arc<Shared>, number: i64, sender: &str, text: &str) {
    let mut body = shape("gitea_issue_comment_on_pr.json");
    body["action"] = "created".into();
    body["issue"]["number"] = number.into();
    body["comment"]["body"] = text.into();
    body["comment"]["user"]["login"] = sender.into();
    send(shared, "pull_request_comment", body, sender);
}

/// No branch: the commit alone.
pub fn status(shared: &Arc<Shared>, sha: &str, context: &str, word: &str) {
    let mut body = shape("gitea_status_success.json");
    body["sha"] = sha.into();
    body["commit"]["id"] = sha.into();
    body["context"] = context.into();
    body["state"] = word.into();
    send(shared, "status", body, "ci");
}

/// What follows from refs that moved: `create`, `push`, `delete`, `synchronized`; the open request
/// of a branch that is gone is closed. A branch deleted over git sends `delete` alone.
pub fn refs_moved(shared: &Arc<Shared>, before: &BTreeMap<String, String>, who: &str) {
    let after = shared.repo.refs();
    let zeros = "0".repeat(40);
    for (branch, sha) in &after {
        let old = before.get(branch).unwrap_or(&zeros);
        if old == sha {
            continue;
        }
        if *old == zeros {
            let mut body = shape("gitea_create_branch.json");
            (body["ref"], body["sha"]) = (branch.clone().into(), sha.clone().into());
            send(shared, "create", body, who);
        }
        let mut body = shape("gitea_push.json");
        body["ref"] = format!("refs/heads/{branch}").into();
        (body["before"], body["after"]) = (old.clone().into(), sha.clone().into());
        body["commits"] = json!([]);
        send(shared, "push", body, who);
        let number = shared
            .state()
            .pulls
            .iter()
            .find(|p| p.open && p.branch == *branch)
            .map(|p| p.number);
        if let Some(number) = number {
            pull(shared, number, "pull_request_sync", "synchronized", who);
        }
    }
    for (branch, sha) in before.iter().filter(|(branch, _)| !after.contains_key(*branch)) {
        let mut body = shape("gitea_delete_branch.json");
        body["ref"] = branch.clone().into();
        send(shared, "delete", body, who);
        let closed = {
            let mut state = shared.state();
            let open = state.pulls.iter_mut().find(|p| p.open && p.branch == *branch);
            open.map(|p| {
                (p.open, p.head) = (false, sha.clone());
                p.number
            })
        };
        if let Some(number) = closed {
            pull(shared, number, "pull_request", "closed", who);
        }
    }
}
