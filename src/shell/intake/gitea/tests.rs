use std::path::Path;

use super::read::{About, Told, read};

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gitea").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn told(event: &str, name: &str) -> Told {
    read(event, &fixture(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A capture's event type and signed text.
fn captured(name: &str) -> Told {
    let json: serde_json::Value = serde_json::from_slice(&fixture(&format!("captured/{name}"))).unwrap();
    let event = json["headers"]["X-Gitea-Event-Type"].as_str().unwrap();
    read(event, json["raw"].as_str().unwrap().as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn branch_of(about: &About) -> &str {
    match about {
        About::Pushed { branch, .. } | About::Deleted { branch } | About::Pull { branch, .. } | About::Reviewed { branch, .. } => branch,
        About::Checked { .. } | About::Nothing(_) => "",
    }
}

const BRANCH: &str = "feature/ORCH-90-login";
const HEAD: &str = "2222222222222222222222222222222222222222";

#[test]
fn every_documented_delivery_leads_where_it_should() {
    let deleted = || About::Deleted { branch: BRANCH.to_owned() };
    let pull = |what: &str| About::Pull {
        branch: BRANCH.to_owned(),
        what: format!("pull request #12 was {what}"),
    };
    let reviewed = || About::Reviewed {
        branch: BRANCH.to_owned(),
        what: "pull request #12 was reviewed".to_owned(),
    };
    let checked = |what: &str| About::Checked {
        sha: HEAD.to_owned(),
        what: what.to_owned(),
    };
    let cases = [
        ("push", "gitea_push_branch_deleted.json", deleted()),
        ("delete", "gitea_delete_branch.json", deleted()),
        (
            "create",
            "gitea_create_branch.json",
            About::Pushed {
                branch: BRANCH.to_owned(),
                sha: "1".repeat(40),
            },
        ),
        ("pull_request", "gitea_pull_request_opened.json", pull("opened")),
        ("pull_request_sync", "gitea_pull_request_synchronized.json", pull("moved")),
        ("pull_request", "gitea_pull_request_closed_unmerged.json", pull("closed")),
        ("pull_request", "gitea_pull_request_merged.json", pull("merged")),
        // head.ref is refs/pull/12/head here.
        ("pull_request", "gitea_pull_request_merged_branch_deleted.json", pull("merged")),
        ("pull_request_review_approved", "gitea_pull_request_approved.json", reviewed()),
        ("pull_request_review_rejected", "gitea_pull_request_rejected.json", reviewed()),
        ("pull_request_review_comment", "gitea_pull_request_comment.json", reviewed()),
        (
            "pull_request_comment",
            "gitea_issue_comment_on_pr.json",
            About::Nothing("comments on a pull request decide nothing"),
        ),
        (
            "status",
            "gitea_status_success.json",
            checked("check ci / test (pull_request) is success"),
        ),
        (
            "status",
            "gitea_status_failure.json",
            checked("check ci / test (pull_request) is failure"),
        ),
        ("workflow_run", "gitea_workflow_run_completed.json", checked("workflow ci ended")),
        ("workflow_job", "gitea_workflow_job_completed.json", checked("workflow test ended")),
    ];
    for (event, name, about) in cases {
        let told = told(event, name);
        assert_eq!((told.owner.as_str(), told.repo.as_str()), ("acme", "orch"), "{name}");
        assert!(!told.sender.is_empty(), "{name}");
        assert_eq!(told.about, about, "{name}");
    }
    assert_eq!(branch_of(&told("push", "gitea_push.json").about), BRANCH);
}

#[test]
fn every_captured_delivery_leads_where_it_should() {
    let cases = [
        ("007-pull_request.json", "feat/x", "opened"),
        ("009-pull_request.json", "feat/x", "moved"),
        ("r2-016-pull_request.json", "feat/z", "moved"),
    ];
    for (name, branch, what) in cases {
        let About::Pull { branch: found, what: said } = captured(name).about else {
            panic!("{name} is about something else");
        };
        assert_eq!(found, branch, "{name}");
        assert!(said.ends_with(what), "{name}: {said}");
    }
    for name in [
        "r3-001-pull_request_approved.json",
        "r3-002-pull_request_rejected.json",
        // A review with a comment only comes as a plain comment with the shape of a request.
        "r3-003-issue_comment.json",
    ] {
        assert!(matches!(captured(name).about, About::Reviewed { .. }), "{name}");
    }
    assert!(matches!(captured("010-issue_comment.json").about, About::Nothing(_)));
    assert_eq!(branch_of(&captured("014-push.json").about), "main");
    assert_eq!(
        captured("015-delete.json").about,
        About::Deleted {
            branch: "feat/x".to_owned()
        }
    );
    assert_eq!(branch_of(&captured("r2-013-create.json").about), "feat/z");
}

#[test]
fn odd_bodies_are_told_apart() {
    let repo = r#""repository":{"full_name":"a/b"}"#;
    let read_as = |event: &str, rest: &str| read(event, format!("{{{repo}{rest}}}").as_bytes());
    let zeros = "0".repeat(64);
    let gone = read_as("push", &format!(r#","ref":"refs/heads/x","before":"ab","after":"{zeros}""#));
    assert_eq!(gone.unwrap().about, About::Deleted { branch: "x".to_owned() });
    let test = read_as("push", r#","ref":"refs/heads/x","before":"ab","after":"ab""#);
    assert!(matches!(test.unwrap().about, About::Nothing(_)), "the test button");
    let tag = read_as("push", r#","ref":"refs/tags/v1","before":"ab","after":"cd""#);
    assert!(matches!(tag.unwrap().about, About::Nothing(_)));
    let fork = r#","action":"opened","pull_request":{"head":{"label":"eve:x","repo_id":2},"base":{"repo_id":1}}"#;
    assert!(matches!(read_as("pull_request", fork).unwrap().about, About::Nothing(_)));
    let labels = r#","action":"label_updated","pull_request":{"labels":null,"head":{"label":"x","repo_id":1},"base":{"repo_id":1}}"#;
    assert!(matches!(read_as("pull_request_label", labels).unwrap().about, About::Nothing(_)));
    assert!(matches!(read_as("sparkle", "").unwrap().about, About::Nothing(_)));
    assert!(read_as("push", "").unwrap_err().contains("/ref"));
    assert!(read_as("status", r#","sha":null"#).unwrap_err().contains("/sha"));
    assert!(read("push", b"{}").unwrap_err().contains("no repository"));
    assert!(read("push", b"[]").unwrap_err().contains("no repository"));
    assert!(read("push", br#"{"repository":null}"#).is_err());
}
