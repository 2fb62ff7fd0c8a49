use super::*;

const PROJECT: &str = "59e3be42-87ec-4950-99a3-ae639cf2b089";
const ISSUE: &str = "775c5716-5302-4617-bb9f-2cd843911268";
const PROGRESS: &str = "2c1d9f0e-8a7b-4c6d-9e5f-4a3b2c1d0e02";

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/plane/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn hint(name: &str) -> Hint {
    read("", &fixture(name)).unwrap()
}

#[test]
fn every_fixture_says_where_to_look() {
    let state = What::State(Some(PROGRESS.to_owned()));
    let known = [
        ("plane_issue_created", What::Made),
        ("plane_issue_updated_state_ui", state.clone()),
        ("plane_issue_updated_state_api", state.clone()),
        ("plane_issue_updated_labels_ui", What::Labels),
        ("plane_issue_updated_sort_order_ui", What::Other),
        (
            "plane_issue_comment_created",
            What::Comment(Some("4797f841-c731-4e55-971f-d9cfe1938dfb".to_owned())),
        ),
        ("plane_issue_comment_updated", What::Comment(None)),
        ("plane_v2_workitem_updated", state),
    ];
    for (name, what) in known {
        let hint = hint(name);
        assert_eq!(hint.what, what, "{name}");
        assert_eq!(hint.project.as_deref(), Some(PROJECT), "{name}");
        assert_eq!(hint.issue.as_deref(), Some(ISSUE), "{name}");
        assert!(hint.at.is_some() && hint.actor.is_some(), "{name}: {hint:?}");
    }
    let gone = hint("plane_issue_deleted");
    assert_eq!((gone.what, gone.project, gone.issue.as_deref()), (What::Gone, None, Some(ISSUE)));
}

#[test]
fn who_did_it_is_read_with_all_names() {
    let actor = hint("plane_issue_updated_state_ui").actor.unwrap();
    assert_eq!(actor.id, "16c61a3a-512a-48ac-b0be-b6b46fe6f430");
    assert_eq!(
        (actor.display_name.as_deref(), actor.email.as_deref()),
        (Some("ada"), Some("ada@example.com"))
    );
    assert_eq!(hint("plane_v2_workitem_updated").actor.unwrap().id, actor.id);
}

#[test]
fn what_was_captured_live_is_understood() {
    let known = [
        ("001-issue", What::Made),
        ("002-issue", What::State(Some("94548432-9d52-4eec-94f4-874eec0f3fa7".to_owned()))),
        ("003-issue", What::Other),
        (
            "006-issue_comment",
            What::Comment(Some("7b11fe16-82c2-4682-8056-e95681fb395b".to_owned())),
        ),
        ("007-issue_comment", What::Comment(None)),
    ];
    for (name, what) in known {
        let capture: Json = serde_json::from_slice(&fixture(&format!("captured/{name}"))).unwrap();
        let event = capture["headers"]["X-Plane-Event"].as_str().unwrap();
        let hint = read(event, capture["raw"].as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(hint.what, what, "{name}");
        assert_eq!(hint.issue.as_deref(), Some("78aeed20-db2b-445c-b132-7510111b6f75"), "{name}");
    }
}

fn of(body: &str) -> Hint {
    read("issue", body.as_bytes()).unwrap()
}

#[test]
fn versions_differ_in_words_only() {
    let old = of(r#"{"event":"issue","action":"update","data":{"id":"a"},"activity":{"field":"state","new_value":"Approved"}}"#);
    assert_eq!(old.what, What::State(Some("Approved".to_owned())));
    assert_eq!(old.actor, None);
    let bare = of(r#"{"event":"issue","action":"updated","data":{"id":"a"},"activity":null}"#);
    assert_eq!(bare.what, What::State(None));
    let scope = of(r#"{"version":"v2","event":"WebhookScope.ScopeChoices.WORK_ITEM_DELETED","entity_id":"a","data":{}}"#);
    assert_eq!((scope.what, scope.issue.as_deref()), (What::Gone, Some("a")));
    let comment = of(
        r#"{"version":"v2","event":"workitem.comment.created","entity_id":"c","data":{"id":"c","issue_id":"a","actor_id":"u","project_id":"p"}}"#,
    );
    assert_eq!(
        (comment.what, comment.issue.as_deref()),
        (What::Comment(Some("c".to_owned())), Some("a"))
    );
    assert_eq!(comment.actor.unwrap().id, "u");
    let labels = of(r#"{"version":"v2","event":"workitem.updated","entity_id":"a","data":{},"previous_attributes":{"label_ids":[]}}"#);
    assert_eq!(labels.what, What::Labels);
    let later = of(r#"{"version":"v3","event":"workitem.created","entity_id":"a","data":{"project_id":"None"}}"#);
    assert_eq!((later.what, later.project), (What::Made, None));
}

#[test]
fn nothing_that_is_sent_is_too_strange() {
    for body in ["", "null", "[]", "7", "\"x\"", "{", "\u{feff}{}"] {
        assert!(read("issue", body.as_bytes()).is_err(), "{body:?}");
    }
    for body in [
        "{}",
        r#"{"event":7,"action":[],"data":"x","activity":"y"}"#,
        r#"{"event":"issue","action":"created","data":{"id":7,"project":{}}}"#,
        r#"{"version":"v2"}"#,
        r#"{"event":"cycle","action":"created","data":{"id":"a"}}"#,
        r#"{"event":"module_issue","action":"deleted","data":null}"#,
    ] {
        let hint = of(body);
        assert!(hint.issue.is_none() || matches!(hint.what, What::Noise(_)), "{body}: {hint:?}");
    }
    let long = format!(r#"{{"event":"issue","action":"created","data":{{"id":"{}"}}}}"#, "a".repeat(500));
    assert_eq!(of(&long).issue, None);
}
