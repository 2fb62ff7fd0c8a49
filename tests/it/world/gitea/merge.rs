//! `POST …/pulls/{n}/merge`, by the table: 200 with an empty body; 404 for closed ones, on 1.16
//! also for merged ones; 405 in words; 409 for another head.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::state::Version;
use super::{Shared, hooks};

fn words(text: &str) -> String {
    json!({"message": text, "url": "https://git.example.com/api/swagger"}).to_string()
}

/// Whether the two merge.
pub fn clean(shared: &Shared, base: &str, head: Option<&str>) -> bool {
    head.is_some_and(|head| shared.repo.try_git(&["merge-tree", "--write-tree", base, head]).0)
}

pub fn merge(shared: &Arc<Shared>, number: i64, sent: &Json, who: &str) -> (u16, String) {
    let (branch, into, title) = {
        let mut state = shared.state();
        let version = state.version;
        let Some(pull) = state.pull_mut(number) else {
            return (404, words("not found"));
        };
        if pull.merged.is_some() {
            return if version == Version::V1_16 {
                (404, words("not found"))
            } else {
                (405, words("The PR is already merged"))
            };
        }
        if !pull.open {
            return (404, words("not found"));
        }
        if pull.computing > 0 {
            pull.computing -= 1;
            return (405, words("Please try again later"));
        }
        (pull.branch.clone(), pull.base.clone(), pull.title.clone())
    };
    let repo = &shared.repo;
    let (Some(base), Some(head)) = (repo.commit_of(&into), repo.commit_of(&branch)) else {
        return (404, words("not found"));
    };
    if !clean(shared, &base, Some(&head)) {
        // The same words as while it computes.
        return (405, words("Please try again later"));
    }
    if sent["head_commit_id"].as_str().is_some_and(|named| named != head) {
        return (409, words("head out of date"));
    }
    if sent["Do"] != "merge" {
        return (422, words("[Do]: Required"));
    }
    let tree = repo.git(&["merge-tree", "--write-tree", &base, &head]);
    let message = format!("Merge pull request '{title}' (#{number}) from {branch} into {into}");
    let commit = repo.git(&["commit-tree", tree.trim(), "-p", &base, "-p", &head, "-m", &message]);
    let before = repo.refs();
    let (done, _) = repo.try_git(&["update-ref", &format!("refs/heads/{into}"), &commit, &base]);
    if !done {
        return (409, words("merge push out of date"));
    }
    if let Some(pull) = shared.state().pull_mut(number) {
        (pull.open, pull.merged, pull.head) = (false, Some(commit), head);
    }
    hooks::pull(shared, number, "pull_request", "closed", who);
    hooks::refs_moved(shared, &before, who);
    (200, String::new())
}
