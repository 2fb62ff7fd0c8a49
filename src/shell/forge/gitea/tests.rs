use std::path::Path;

use super::merge::{Said, said};
use super::verdicts::{checks, counting, fact};
use super::wire::{Branch, Pull, Remark, Review, Statuses};
use crate::engine::model::{CheckState, ReviewFact, ReviewState};

fn fixture<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gitea").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The table of answers to a merge, as the versions give them.
#[test]
fn each_answer_to_a_merge_is_understood() {
    let errors: serde_json::Value = fixture("gitea_rest_errors.json");
    let named = |key: &str| errors[key].to_string().into_bytes();
    let words = |text: &str| format!(r#"{{"message":"{text}","url":"u"}}"#).into_bytes();
    let cases = [
        (200, Vec::new(), Said::Done),
        (201, Vec::new(), Said::Scheduled),
        (404, named("404"), Said::Absent),
        (404, named("404_v1_25_and_older"), Said::Absent),
        (405, Vec::new(), Said::Before),
        (405, named("405_already_merged"), Said::Before),
        (405, named("405_try_again"), Said::TryAgain),
        (405, words("The head branch is behind the base branch"), Said::BaseMoved),
        (409, named("409_head_moved"), Said::HeadMoved),
        (409, words("merge push out of date"), Said::BaseMoved),
        (
            409,
            named("409_merge_conflict_raw_go_struct"),
            Said::Conflict(vec!["src/login.rs".to_owned()]),
        ),
        (409, Vec::new(), Said::Unknown("409 ".to_owned())),
        (
            409,
            words("PushRejected by a hook"),
            Said::Unknown("409 PushRejected by a hook".to_owned()),
        ),
        (500, named("500_non_admin"), Said::Unknown("500".to_owned())),
        (502, b"<html>".to_vec(), Said::Unknown("502 <html>".to_owned())),
    ];
    for (status, body, expected) in cases {
        assert_eq!(said(status, &body), expected, "{status} {}", String::from_utf8_lossy(&body));
    }
    for text in [
        "Not all required status checks successful",
        "Does not have enough approvals",
        "User not allowed to merge PR",
        "merge is not allowed an allowed merge style for this repository",
    ] {
        assert!(
            matches!(said(405, &words(text)), Said::Refused(why) if why.contains(text)),
            "{text}"
        );
    }
    assert!(matches!(said(423, b""), Said::Refused(why) if why.contains("423")));
    assert!(matches!(said(403, b""), Said::Refused(_)));
}

#[test]
fn the_latest_status_of_each_context_counts() {
    let page: Statuses = fixture("gitea_rest_combined_status.json");
    let found = checks(page.statuses);
    let state = |context: &str| found.iter().find(|c| c.context == context).map(|c| c.state);
    assert_eq!(state("ci / test (pull_request)"), Some(CheckState::Success));
    assert_eq!(state("orchestrator/review"), Some(CheckState::Pending));
    let empty: Statuses = fixture("gitea_rest_combined_status_empty_1_24.json");
    assert!(checks(empty.statuses).is_empty(), "no status is not a green one");
    let text = r#"{"state":"success","statuses":[
        {"id":7,"context":"ci","status":"failure"},{"id":9,"context":"ci","status":"pending"},{"id":8,"context":"ci","status":"success"},
        {"id":1,"context":"w","status":"warning"},{"id":2,"context":"s","status":"skipped"},{"id":3,"context":"n","status":null}]}"#;
    let page: Statuses = serde_json::from_str(text).unwrap();
    let found: Vec<(String, CheckState)> = checks(page.statuses).into_iter().map(|c| (c.context, c.state)).collect();
    let expected = [
        ("ci", CheckState::Pending),
        ("n", CheckState::Failure),
        ("s", CheckState::Failure),
        ("w", CheckState::Failure),
    ];
    assert_eq!(found, expected.map(|(c, s)| (c.to_owned(), s)));
}

fn reviews(all: Vec<Review>, me: Option<&str>) -> Vec<ReviewFact> {
    counting(all, me).into_iter().filter_map(|review| fact(review, &[])).collect()
}

#[test]
fn remarks_at_lines_follow_the_text_of_their_review() {
    let review = r#"{"id":1,"user":{"login":"ada"},"state":"REQUEST_CHANGES","body":" See below. ","official":true,"comments_count":4}"#;
    let remarks = r#"[
        {"path":"src/a.rs","position":7,"original_position":0,"body":"why?\n","resolver":null},
        {"path":"src/b.rs","position":0,"original_position":3,"body":"keep it"},
        {"path":"src/c.rs","position":1,"body":"settled","resolver":{"login":"bob"}},
        {"path":"README.md","position":null,"body":"of the whole file"},
        {"path":"x","position":2,"body":null}
    ]"#;
    let remarks: Vec<Remark> = serde_json::from_str(remarks).unwrap();
    let found = fact(serde_json::from_str(review).unwrap(), &remarks).unwrap();
    assert_eq!(
        found.body,
        "See below.\nsrc/a.rs:7: why?\nsrc/b.rs:3 (a line that is gone): keep it\nREADME.md: of the whole file"
    );
}

#[test]
fn reviews_count_by_who_may_and_by_what_is_latest() {
    let all: Vec<Review> = fixture("gitea_rest_reviews.json");
    let found = reviews(all, None);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].author, "ada");
    let review = |id: i64, login: &str, state: &str, more: &str| {
        let text = format!(
            r#"{{"id":{id},"user":{{"login":"{login}"}},"state":"{state}","commit_id":"c{id}","official":true,"dismissed":false{more}}}"#
        );
        serde_json::from_str::<Review>(&text).unwrap()
    };
    let with = |id, login, state, official: bool, dismissed: bool| {
        let mut r = review(id, login, state, "");
        (r.official, r.dismissed) = (official, dismissed);
        r
    };
    let all = vec![
        review(5, "ada", "COMMENT", ""),
        review(4, "ada", "REQUEST_CHANGES", ""),
        review(1, "ada", "APPROVED", ""),
        with(6, "bob", "APPROVED", false, false),
        with(7, "cyd", "REQUEST_CHANGES", true, true),
        review(8, "dan", "PENDING", ""),
        review(9, "eve", "REQUEST_REVIEW", ""),
        review(10, "Bot", "APPROVED", ""),
        serde_json::from_str(r#"{"id":11,"user":null,"state":"APPROVED","official":true,"body":null}"#).unwrap(),
    ];
    let found = reviews(all, Some("bot"));
    let shown: Vec<_> = found.iter().map(|r| (r.author.as_str(), r.state, r.commit.as_str())).collect();
    assert_eq!(shown, [("ada", ReviewState::Changes, "c4")]);
}

#[test]
fn pull_requests_are_found_by_label_and_repository() {
    let pull = |label: &str, head: i64, name: &str| {
        let text = format!(
            r#"{{"number":3,"state":"open","labels":null,"head":{{"label":"{label}","ref":"{name}","sha":"a","repo_id":{head}}},
                "base":{{"ref":"main","sha":"b","repo_id":1}},"merge_commit_sha":null}}"#
        );
        serde_json::from_str::<Pull>(&text).unwrap()
    };
    assert!(pull("feature/x", 1, "feature/x").brings("feature/x", "main"));
    assert!(
        pull("feature/x", 1, "refs/pull/3/head").brings("feature/x", "main"),
        "its branch is gone"
    );
    assert!(!pull("eve:feature/x", 2, "feature/x").brings("feature/x", "main"), "a fork");
    assert!(!pull("feature/x", 1, "feature/x").brings("feature/x", "stable"), "another base");
    let branch: Branch = fixture("gitea_rest_branch.json");
    assert_eq!((branch.commit.id.len(), branch.protected), (40, false));
}
