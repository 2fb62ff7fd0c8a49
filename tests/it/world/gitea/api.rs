//! The API below `/api/v1`, as far as it is asked. Each function names what it keeps to.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::server::Reply;
use super::state::{Pull, State, Version};
use super::{BOT, Shared, admin, contents, hooks, merge};

/// Longest page.
const PAGE_MAX: usize = 50;

pub fn answer(shared: &Arc<Shared>, method: &str, path: &str, query: &str, body: &[u8]) -> Reply {
    let rest = path.trim_start_matches("/api/v1/");
    let parts: Vec<String> = rest.split('/').map(decoded).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let sent: Json = serde_json::from_slice(body).unwrap_or(Json::Null);
    let number = |text: &str| text.parse::<i64>().unwrap_or(-1);
    match (method, parts.as_slice()) {
        ("GET", ["user"]) => Reply::json(200, &json!({"id": 7, "login": BOT, "username": BOT})),
        ("GET", ["version"]) => Reply::json(200, &json!({"version": shared.state().version.words()})),
        (method, ["repos", owner, repo, rest @ ..])
            if owner.eq_ignore_ascii_case(super::OWNER) && repo.eq_ignore_ascii_case(super::REPO) =>
        {
            if let Some(reply) = admin::answer(&mut shared.state(), method, rest, &sent) {
                return reply;
            }
            match (method, rest) {
                ("GET", []) => admin::repository(&shared.state()),
                ("GET", ["issues"]) => listed(Vec::new(), query),
                ("GET", ["branches", branch @ ..]) => branch_of(shared, &branch.join("/")),
                ("GET", ["pulls"]) => pulls(shared, query),
                ("POST", ["pulls"]) => open(shared, &sent),
                ("GET", ["pulls", n]) => pull(shared, number(n)),
                ("PATCH", ["pulls", n]) if sent["state"] == "closed" => patch(shared, number(n)),
                ("GET", ["pulls", n, "reviews"]) => reviews(shared, number(n), query),
                ("GET", ["pulls", _, "reviews", id, "comments"]) => remarks(shared, number(id)),
                ("POST", ["pulls", n, "merge"]) => {
                    let (status, body) = merge::merge(shared, number(n), &sent, BOT);
                    Reply { status, body, total: None }
                }
                ("GET", ["issues", n, "comments"]) => contents::comments(shared, number(n)),
                ("POST", ["issues", n, "comments"]) => contents::say(shared, number(n), &sent, BOT),
                ("GET", ["contents", path @ ..]) => contents::at(shared, &path.join("/"), query),
                ("GET", ["commits", sha, "status"]) => statuses(shared, sha, query),
                ("GET", ["git", "commits", sha]) => commit(shared, sha),
                _ => Reply::error(404, "not found"),
            }
        }
        _ => Reply::error(404, "not found"),
    }
}

pub fn decoded(segment: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = segment.bytes();
    while let Some(b) = rest.next() {
        if b == b'%' {
            let pair: Vec<u8> = rest.by_ref().take(2).collect();
            let text = String::from_utf8_lossy(&pair).into_owned();
            bytes.push(u8::from_str_radix(&text, 16).unwrap_or(b'?'));
        } else {
            bytes.push(b);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `page` from 1, `limit` cut to 50 without a word, 30 without one; `X-Total-Count`.
fn page_of<T>(all: Vec<T>, query: &str) -> (Vec<T>, usize) {
    let value = |key: &str| {
        let found = query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        found.and_then(|v| v.parse::<usize>().ok())
    };
    let limit = value("limit").unwrap_or(30).min(PAGE_MAX);
    let from = value("page").unwrap_or(1).saturating_sub(1) * limit;
    let total = all.len();
    (all.into_iter().skip(from).take(limit).collect(), total)
}

fn listed(all: Vec<Json>, query: &str) -> Reply {
    let (page, total) = page_of(all, query);
    Reply {
        total: Some(total),
        ..Reply::json(200, &Json::Array(page))
    }
}

/// The shape of a fixture.
pub fn shape(name: &str) -> Json {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/gitea")
        .join(name);
    serde_json::from_str(&std::fs::read_to_string(path).expect("a fixture")).expect("JSON")
}

/// `GET …/branches/{branch}`, slashes raw or escaped: commit, protection. 404 when missing.
fn branch_of(shared: &Shared, branch: &str) -> Reply {
    let Some(sha) = shared.repo.commit_of(branch) else {
        return Reply::error(404, "branch does not exist");
    };
    let mut found = shape("gitea_rest_branch.json");
    found["name"] = branch.into();
    found["commit"]["id"] = sha.into();
    let state = shared.state();
    found["protected"] = state.protected.iter().any(|p| p == branch).into();
    if branch == "main" {
        admin::over(&mut found, &state.guard);
    }
    Reply::json(200, &found)
}

/// A pull request in the server's shape. `head.ref` is `refs/pull/N/head` once the branch is gone,
/// and `head.sha` is where the branch is now, also after the merge. Labels are `null` on 1.16.
pub fn pull_json(shared: &Shared, state: &State, pull: &Pull) -> Json {
    let mut json = shape("gitea_pull_request_opened.json")["pull_request"].clone();
    let now = shared.repo.commit_of(&pull.branch);
    let base = shared.repo.commit_of(&pull.base).unwrap_or_default();
    json["number"] = pull.number.into();
    json["title"] = pull.title.clone().into();
    json["state"] = if pull.open { "open" } else { "closed" }.into();
    json["merged"] = pull.merged.is_some().into();
    json["merge_commit_sha"] = pull.merged.clone().into();
    json["mergeable"] = (pull.open && pull.computing == 0 && merge::clean(shared, &base, now.as_deref())).into();
    json["head"]["label"] = pull.branch.clone().into();
    json["head"]["ref"] = match &now {
        Some(_) => pull.branch.clone(),
        None => format!("refs/pull/{}/head", pull.number),
    }
    .into();
    json["head"]["sha"] = now.unwrap_or_else(|| pull.head.clone()).into();
    json["base"]["label"] = pull.base.clone().into();
    json["base"]["ref"] = pull.base.clone().into();
    json["base"]["sha"] = base.into();
    if state.version == Version::V1_16 {
        json["labels"] = Json::Null;
        json["assignees"] = Json::Null;
    }
    json
}

/// `GET …/pulls`: `state` filters, `head` is ignored as any unknown parameter; newest first.
fn pulls(shared: &Shared, query: &str) -> Reply {
    let state = shared.state();
    let wanted = |p: &&Pull| {
        if query.contains("state=open") {
            p.open
        } else {
            !query.contains("state=closed") || !p.open
        }
    };
    let all = state.pulls.iter().rev().filter(wanted);
    listed(all.map(|p| pull_json(shared, &state, p)).collect(), query)
}

/// `POST …/pulls`: 201; 409 when an open one of the same branches exists, 404 for an unknown branch.
fn open(shared: &Arc<Shared>, sent: &Json) -> Reply {
    let text = |key: &str| sent[key].as_str().unwrap_or_default().to_owned();
    let branch = text("head");
    let Some(head) = shared.repo.commit_of(&branch) else {
        return Reply::error(404, "head does not exist");
    };
    let (number, json) = {
        let mut state = shared.state();
        if let Some(old) = state.pulls.iter().find(|p| p.open && p.branch == branch && p.base == text("base")) {
            let words = format!("pull request already exists for these targets [id: 501, issue_id: {}]", old.number);
            return Reply::error(409, &words);
        }
        // Issues share the numbers.
        let number = state.pulls.last().map_or(12, |p| p.number + 2);
        let computing = state.computes_for;
        state.pulls.push(Pull {
            number,
            branch,
            base: text("base"),
            title: text("title"),
            open: true,
            merged: None,
            head,
            computing,
        });
        let state = &*state;
        let made = state.pull(number).expect("made");
        (number, pull_json(shared, state, made))
    };
    hooks::pull(shared, number, "pull_request", "opened", BOT);
    // A stray one with the same commit follows on 1.16.
    if shared.state().version == Version::V1_16 {
        hooks::pull(shared, number, "pull_request_sync", "synchronized", BOT);
    }
    Reply::json(201, &json)
}

/// `GET …/pulls/{n}`: looking at it lets the check of mergeability go on.
fn pull(shared: &Shared, number: i64) -> Reply {
    let mut state = shared.state();
    let Some(found) = state.pull_mut(number) else {
        return Reply::error(404, "not found");
    };
    let before = found.computing;
    found.computing = before.saturating_sub(1);
    let state = &*state;
    let mut json = pull_json(shared, state, state.pull(number).expect("there"));
    if before > 0 {
        json["mergeable"] = false.into();
    }
    Reply::json(200, &json)
}

fn patch(shared: &Arc<Shared>, number: i64) -> Reply {
    if shared.state().pull(number).is_none() {
        return Reply::error(404, "not found");
    }
    close(shared, number, BOT);
    let state = shared.state();
    Reply::json(201, &pull_json(shared, &state, state.pull(number).expect("there")))
}

pub fn close(shared: &Arc<Shared>, number: i64, who: &str) {
    let closed = shared.state().pull_mut(number).is_some_and(|p| std::mem::take(&mut p.open));
    if closed {
        hooks::pull(shared, number, "pull_request", "closed", who);
    }
}

/// `GET …/pulls/{n}/reviews`: oldest first, with requests to review and superseded ones among them.
fn reviews(shared: &Shared, number: i64, query: &str) -> Reply {
    let state = shared.state();
    let of_shape = shape("gitea_rest_reviews.json")[0].clone();
    let mine = state.reviews.iter().filter(|r| r.pull == number);
    let mut all: Vec<Json> = mine
        .map(|r| {
            let mut json = of_shape.clone();
            json["id"] = r.id.into();
            json["user"]["login"] = r.user.clone().into();
            json["state"] = r.word.clone().into();
            json["body"] = r.text.clone().into();
            json["commit_id"] = r.commit.clone().into();
            json["official"] = r.official.into();
            json["dismissed"] = r.dismissed.into();
            json["comments_count"] = r.remarks.len().into();
            json
        })
        .collect();
    let mut asked = of_shape;
    asked["id"] = 1.into();
    asked["state"] = "REQUEST_REVIEW".into();
    asked["user"] = Json::Null;
    all.insert(0, asked);
    listed(all, query)
}

/// `GET …/pulls/{n}/reviews/{id}/comments`: whole, without pages; a line of the old file has `position` 0.
fn remarks(shared: &Shared, review: i64) -> Reply {
    let state = shared.state();
    let Some(review) = state.reviews.iter().find(|r| r.id == review) else {
        return Reply::error(404, "review does not exist");
    };
    let one = |(n, (path, line, text)): (i64, &(String, i64, String))| {
        json!({
            "id": review.id * 100 + n, "body": text, "user": {"login": review.user}, "resolver": null,
            "pull_request_review_id": review.id, "path": path, "commit_id": review.commit,
            "original_commit_id": "", "diff_hunk": "@@ -0,0 +1 @@", "position": line, "original_position": 0,
        })
    };
    let all: Vec<Json> = (0..).zip(&review.remarks).map(one).collect();
    Reply::json(200, &Json::Array(all))
}

/// `GET …/commits/{sha}/status`: the latest of each context; `state` is of the page alone; without
/// any status `statuses` is `null`, and what `state` is differs from version to version.
fn statuses(shared: &Shared, sha: &str, query: &str) -> Reply {
    if !shared.repo.has(sha) {
        return Reply::error(404, "object does not exist");
    }
    let state = shared.state();
    let mut latest: Vec<(&str, i64, &str)> = Vec::new();
    for status in state.statuses.get(sha).into_iter().flatten() {
        latest.retain(|(context, ..)| *context != status.context);
        latest.push((&status.context, status.id, &status.word));
    }
    latest.reverse();
    let (page, total) = page_of(latest, query);
    let list: Vec<Json> = page
        .iter()
        .map(|(context, id, word)| json!({"id": id, "context": context, "status": word, "creator": null}))
        .collect();
    let none = if state.version == Version::Main { "pending" } else { "" };
    // The sum of a page is green as soon as the first is: nobody should read it.
    let body = json!({
        "state": if list.is_empty() { none } else { "success" }, "sha": sha, "total_count": total,
        "statuses": if list.is_empty() { Json::Null } else { Json::Array(list) },
    });
    Reply {
        total: Some(total),
        ..Reply::json(200, &body)
    }
}

/// `GET …/git/commits/{sha}`: its parents.
fn commit(shared: &Shared, sha: &str) -> Reply {
    if !shared.repo.has(sha) {
        return Reply::error(404, "not found");
    }
    let line = shared.repo.git(&["rev-list", "--parents", "-n", "1", sha]);
    let parents: Vec<Json> = line.split(' ').skip(1).map(|p| json!({"sha": p})).collect();
    Reply::json(200, &json!({"sha": sha, "parents": parents}))
}
