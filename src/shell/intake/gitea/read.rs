//! From a body to what it is about. Names of events are the fine ones (`X-Gitea-Event-Type`): the
//! coarse ones use one word for two things. Fields that are missing or `null` are empty.

use serde_json::Value as Json;

/// What a delivery says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The repository's owner, in the server's spelling.
    pub owner: String,
    /// The repository's name.
    pub repo: String,
    /// Login name of whoever caused it; may be empty.
    pub sender: String,
    /// Where to look.
    pub about: About,
}

/// Where to look.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum About {
    /// A branch is at another commit.
    Pushed { branch: String, sha: String },
    /// A branch is gone.
    Deleted { branch: String },
    /// A pull request was opened, closed, merged, moved.
    Pull { branch: String, what: String },
    /// A pull request was reviewed.
    Reviewed { branch: String, what: String },
    /// Something was found out about a commit.
    Checked { sha: String, what: String },
    /// Nothing that anything here depends on.
    Nothing(&'static str),
}

/// Reads a delivery.
///
/// # Errors
/// It is about no repository, or has not the shape of its event.
pub(super) fn read(event: &str, body: &[u8]) -> Result<Told, String> {
    let json: Json = serde_json::from_slice(body).map_err(|e| format!("the body is no JSON: {e}"))?;
    let text = |path: &str| text(&json, path);
    let full = text("/repository/full_name");
    let (owner, repo) = match full.split_once('/') {
        Some((owner, repo)) => (owner.to_owned(), repo.to_owned()),
        None => (text("/repository/owner/login"), text("/repository/name")),
    };
    if owner.is_empty() || repo.is_empty() {
        return Err("it names no repository".to_owned());
    }
    Ok(Told {
        owner,
        repo,
        sender: text("/sender/login"),
        about: about(event, &json)?,
    })
}

fn about(event: &str, json: &Json) -> Result<About, String> {
    let branch_ref = text(json, "/ref_type") == "branch";
    match event {
        "push" => push(json),
        "create" if branch_ref => Ok(About::Pushed {
            branch: need(json, "/ref")?,
            sha: need(json, "/sha")?,
        }),
        "delete" if branch_ref => Ok(About::Deleted {
            branch: need(json, "/ref")?,
        }),
        "create" | "delete" => Ok(About::Nothing("tags decide nothing")),
        "status" => Ok(About::Checked {
            sha: first(json, &["/sha", "/commit/id"])?,
            what: format!("check {} is {}", text(json, "/context"), text(json, "/state")),
        }),
        "workflow_run" | "workflow_job" => workflow(event, json),
        _ if event.starts_with("action_run_") => Ok(About::Checked {
            sha: first(json, &["/run/commit_sha", "/run/head_sha"])?,
            what: "a workflow ended".to_owned(),
        }),
        _ if event.starts_with("pull_request") => pull(event, json),
        _ => Ok(About::Nothing("such events decide nothing")),
    }
}

fn push(json: &Json) -> Result<About, String> {
    let (name, after) = (need(json, "/ref")?, need(json, "/after")?);
    let Some(branch) = name.strip_prefix("refs/heads/") else {
        return Ok(About::Nothing("only branches matter"));
    };
    let branch = branch.to_owned();
    if after == text(json, "/before") {
        return Ok(About::Nothing("the branch is where it was: a test of the hook"));
    }
    // 40 zeros, or 64 in a repository of SHA-256.
    if after.bytes().all(|b| b == b'0') {
        return Ok(About::Deleted { branch });
    }
    Ok(About::Pushed { branch, sha: after })
}

fn workflow(event: &str, json: &Json) -> Result<About, String> {
    if text(json, "/action") != "completed" {
        return Ok(About::Nothing("the workflow has not ended"));
    }
    Ok(About::Checked {
        sha: need(json, &format!("/{event}/head_sha"))?,
        what: format!(
            "workflow {} ended",
            first(json, &["/workflow/name", "/workflow_job/name"]).unwrap_or_default()
        ),
    })
}

fn pull(event: &str, json: &Json) -> Result<About, String> {
    // One name, two shapes: with `comment` it is a plain comment on the request.
    if json.get("pull_request").is_none_or(Json::is_null) {
        return Ok(About::Nothing("comments on a pull request decide nothing"));
    }
    let number = |path: &str| json.pointer(path).and_then(Json::as_i64);
    let (head, base) = (number("/pull_request/head/repo_id"), number("/pull_request/base/repo_id"));
    if head != base {
        return Ok(About::Nothing("the pull request is of another repository"));
    }
    // `head.ref` is `refs/pull/N/head` once the branch is gone; the label stays.
    let branch = first(json, &["/pull_request/head/label", "/pull_request/head/ref"])?;
    let action = text(json, "/action");
    let of = json
        .pointer("/pull_request/number")
        .and_then(Json::as_i64)
        .map_or_else(String::new, |n| format!(" #{n}"));
    let reviewed = event.contains("_review_approved") || event.contains("_review_rejected") || event.contains("_review_comment");
    if reviewed || action == "reviewed" {
        return Ok(About::Reviewed {
            branch,
            what: format!("pull request{of} was reviewed"),
        });
    }
    let merged = json.pointer("/pull_request/merged").and_then(Json::as_bool).unwrap_or_default();
    let what = match action.as_str() {
        "closed" if merged => "merged",
        "opened" | "reopened" | "closed" | "edited" => action.as_str(),
        "synchronized" | "synchronize" => "moved",
        _ => return Ok(About::Nothing("labels, assignments and requests to review decide nothing")),
    };
    Ok(About::Pull {
        branch,
        what: format!("pull request{of} was {what}"),
    })
}

fn text(json: &Json, path: &str) -> String {
    json.pointer(path).and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn need(json: &Json, path: &str) -> Result<String, String> {
    first(json, &[path])
}

fn first(json: &Json, paths: &[&str]) -> Result<String, String> {
    let found = paths.iter().map(|path| text(json, path)).find(|t| !t.is_empty());
    found.ok_or_else(|| format!("it lacks {}", paths.join(" and ")))
}
