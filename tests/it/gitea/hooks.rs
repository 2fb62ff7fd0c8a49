//! Webhooks: the recorded bodies through the real endpoint with real signatures, and what people
//! do on the server while a task waits.

use super::*;
use crate::world::gitea::signed;

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gitea")
}

/// Documented signatures of the documented bodies, and the captured ones with the signatures computed anew: all
/// taken, all understood or dropped with a reason, none changes a task.
#[test]
fn recorded_deliveries_are_taken_by_the_real_endpoint() {
    let vectors = [
        (
            "push",
            "gitea_push",
            "d1bfc00bce8fbb33727883800d414376a2813c83dc014ba73c6be85f37fd27b2",
        ),
        (
            "push",
            "gitea_push_branch_deleted",
            "7df4ff2b67298e797af1d5653c7a6097b73bdd1fac5b9dd340d4227fb9480736",
        ),
        (
            "create",
            "gitea_create_branch",
            "fcacb69807500ba2fdad9fc2a6d33d56ef37420a93a7ef54112424e6e4472c65",
        ),
        (
            "delete",
            "gitea_delete_branch",
            "0d5045c2b3fae0c1d43134c5b16dc93a1d6bc4225cb2d303bed0e8fa102af717",
        ),
        (
            "pull_request",
            "gitea_pull_request_opened",
            "1d475ad49e8a6b2c0692946dcfb9e25c82c4205311e6b4a3dc48cd73edd5795a",
        ),
        (
            "pull_request_sync",
            "gitea_pull_request_synchronized",
            "f2809c1af687860c105d0ba9492a085aaf70f9ad3151901906367d754b9c68df",
        ),
        (
            "pull_request",
            "gitea_pull_request_closed_unmerged",
            "c054e1709476d056cc3106cdaddb5b1f82147ec4921f9a5344dc44ae9f43db85",
        ),
        (
            "pull_request",
            "gitea_pull_request_merged",
            "c497cf7cf6abf60fbd2603066b59a18edfa59d6c244046b117e1ec6d83da275f",
        ),
        (
            "pull_request",
            "gitea_pull_request_merged_branch_deleted",
            "1585a1e8a4b8a5d7da8768930e9bf09c111327da308c843429cb6dae4ab6afa9",
        ),
        (
            "pull_request_review_approved",
            "gitea_pull_request_approved",
            "3da742497a83b9cf8ab057c839b20387e61dc47e970b65530893ecb1da508782",
        ),
        (
            "pull_request_review_rejected",
            "gitea_pull_request_rejected",
            "4ca17315ca52595deeefc6fff09b08db87bc0d7331c67d7f953237567ffbaeda",
        ),
        (
            "pull_request_review_comment",
            "gitea_pull_request_comment",
            "6cde70eee38e8d6028ae9362fe3e773bf91cd4f62a4473e8ef131fd5423914dd",
        ),
        (
            "pull_request_comment",
            "gitea_issue_comment_on_pr",
            "e9f22a822bea43a6ab5847b2631072b63420248768709b02b7d41a59b519d046",
        ),
        (
            "status",
            "gitea_status_success",
            "14c45d290cdab91d0398bbbdfd0af0c4db94cf89ee181b181dceb1f755ab00b2",
        ),
        (
            "status",
            "gitea_status_failure",
            "b1f05858ff4766c6c73bb7b3d2f8b66c61a6e76f1112a70c4be7adf5359ec70a",
        ),
        (
            "workflow_run",
            "gitea_workflow_run_completed",
            "42afa1b48459c8b1c2d900c4937658f2da1345d3f55d5b1870d321f58bd99787",
        ),
        (
            "workflow_job",
            "gitea_workflow_job_completed",
            "747fcd05565df5db03b370aadffd53365932c12bf085bd3e671a39eaf736e84d",
        ),
    ];
    let mut site = Site::new(Version::V1_25, "local");
    site.at_deploy();
    site.understood();
    let before = site.events();
    for (event, name, signature) in vectors {
        let body = std::fs::read(fixtures().join(format!("{name}.json"))).expect("a fixture");
        assert_eq!(signed(SECRET, &body), signature, "{name}");
        assert_eq!(site.deliver(event, &body, signature), 200, "{name}");
        assert_eq!(site.deliver(event, &body, signature), 200, "{name} again, with another id");
    }
    let mut captured = 0;
    for entry in std::fs::read_dir(fixtures().join("captured")).expect("captures") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a capture");
        let json: Json = serde_json::from_str(&text).expect("JSON");
        let body = json["raw"].as_str().expect("the signed text").as_bytes();
        let event = json["headers"]["X-Gitea-Event-Type"].as_str().expect("an event");
        assert_eq!(site.deliver(event, body, &signed(SECRET, body)), 200, "{event}");
        captured += 1;
    }
    assert_eq!(captured, 11);
    let unknown = "no project has the repository";
    site.understood();
    // They speak of acme/orch and lab/demo, which this service does not have.
    let dropped = site.world.count(&format!(
        "SELECT COUNT(*) FROM deliveries WHERE state = 'dropped' AND why LIKE '{unknown}%'"
    ));
    assert_eq!(dropped, 17 + 11);
    assert!(site.world.log().contains("a delivery about a repository that no project has"));
    assert_eq!(site.events(), before, "nothing followed");
}

/// Nothing that is not signed, signed for us, or JSON changes anything.
#[test]
fn what_is_not_ours_changes_nothing() {
    let mut site = Site::new(Version::V1_25, "local");
    let (item, branch) = site.at_deploy();
    site.understood();
    let before = site.events();
    let ours = |rest: Json| {
        let mut body = json!({"repository": {"full_name": "ACME/Shop"}, "sender": {"login": "bob"}});
        body.as_object_mut()
            .expect("an object")
            .extend(rest.as_object().expect("an object").clone());
        body.to_string()
    };
    let deleted = ours(json!({"ref": branch, "ref_type": "branch"}));
    let right = signed(SECRET, deleted.as_bytes());
    for wrong in [
        String::new(),
        format!("sha256={right}"),
        right[..62].to_owned(),
        format!("{right}00"),
        signed("another-secret", deleted.as_bytes()),
    ] {
        assert_eq!(site.deliver("delete", deleted.as_bytes(), &wrong), 401, "{wrong:?}");
    }
    let no_json = b"repository=acme%2Fshop";
    assert_eq!(site.deliver("push", no_json, &signed(SECRET, no_json)), 400);
    for said in [
        "a signed delivery is no JSON: refused",
        "a delivery with a wrong or missing signature was refused",
    ] {
        site.world.until(said, || site.world.log().contains(said));
    }
    let taken = [
        ("sparkle", ours(json!({}))),
        ("push", ours(json!({"ref": null, "after": 3}))),
        (
            "push",
            ours(json!({"ref": format!("refs/heads/{branch}"), "before": "a", "after": "a"})),
        ),
        (
            "pull_request_label",
            ours(json!({"action": "label_updated", "pull_request": {"labels": null, "head": {"label": branch}}})),
        ),
        (
            "workflow_run",
            ours(json!({"action": "requested", "workflow_run": {"head_sha": "a"}})),
        ),
        // The service's own doing.
        (
            "pull_request",
            ours(json!({"action": "opened", "sender": {"login": "orch-bot"}, "pull_request": {"head": {"label": branch}}})),
        ),
    ];
    for (event, body) in &taken {
        assert_eq!(
            site.deliver(event, body.as_bytes(), &signed(SECRET, body.as_bytes())),
            200,
            "{event}"
        );
    }
    site.understood();
    assert_eq!(site.events(), before, "nothing followed");
    assert_eq!(site.world.show(&item)["task"]["mode"], "active");
}

/// A body that comes twice is one delivery, and may be told of two events all the same: what happened between the two is
/// seen, and a repetition by itself moves nothing.
#[test]
fn b_rec_1_a_second_change_with_the_same_body_is_seen() {
    let mut site = Site::new(Version::V1_25, "gated");
    let (item, branch) = site.at_checks();
    let head = site.head(&branch);
    site.gitea.unhook();
    let body = json!({
        "sha": head, "context": "ci/test", "state": "success", "updated_at": "2026-05-20T10:00:00Z",
        "repository": {"full_name": "acme/shop"}, "sender": {"login": "ci"},
    });
    let body = body.to_string();
    let told = |site: &Site| {
        assert_eq!(site.deliver("status", body.as_bytes(), &signed(SECRET, body.as_bytes())), 200);
        site.understood();
    };
    let rows = |site: &Site| site.world.count("SELECT COUNT(*) FROM deliveries WHERE event = 'status'");
    told(&site);
    told(&site);
    assert_eq!(
        (rows(&site), site.world.show(&item)["task"]["stage"].as_str()),
        (1, Some("development"))
    );
    site.gitea.ci(&head, "ci/test", "success");
    told(&site);
    let seen = site.world.wait_blocker(&item, "APPROVAL_WAIT");
    told(&site);
    assert_eq!(rows(&site), 1, "one delivery");
    let visits = |s: &Json| s["timeline"].as_array().map(Vec::len);
    assert_eq!(visits(&site.world.show(&item)), visits(&seen), "one transition");
}

/// A branch deleted under a task: people are told once, nothing is approved meanwhile, nothing is lost, and the task goes
/// on when branch and request are back. The server closes the request with the branch, and opens it by itself no more.
#[test]
fn a_branch_deleted_under_a_task_is_said_and_may_come_back() {
    let mut site = Site::new(Version::V1_16, "local");
    let (item, branch) = site.at_deploy();
    let (head, pull) = (site.head(&branch), site.gitea.open_pull(&branch));
    site.gitea.person("bob").deletes_branch(&branch);
    let seen = site
        .world
        .wait_for(&item, "that it is gone", |s| s["blockers"].to_string().contains("branch.gone"));
    let said = seen["blockers"].to_string();
    assert!(
        said.contains("GATE_WAIT") && said.contains(&branch) && said.contains(&head) && said.contains("signalbox stop"),
        "{said}"
    );
    let told = |site: &Site| {
        (
            site.alerts("is gone from the forge"),
            site.comments(&item, "was deleted on the forge"),
        )
    };
    assert_eq!(told(&site), (1, 1));
    assert_eq!(seen["review_started_at"], Json::Null, "no verdict is awaited");
    site.confirm(&item);
    site.world
        .until("the confirmation is refused", || site.comments(&item, "does not count") == 1);
    assert_eq!(site.gitea.pulls(&branch), [(pull, false, false)], "the server closed it");
    site.gitea.restores(&branch, &head);
    site.world.wait_for(&item, "the question, and what is in its way", |s| {
        let first = s["blockers"][0].to_string();
        s["blockers"].to_string().contains("APPROVAL_WAIT") && first.contains("was closed on the forge") && first.contains("reopen it")
    });
    site.gitea.person("bob").reopens(pull);
    site.world.wait_for(&item, "the question alone", |s| {
        s["blockers"].as_array().is_some_and(|b| b.len() == 1)
    });
    assert_eq!(told(&site), (1, 1), "told once");
    site.confirm(&item);
    site.world.wait_mode(&item, "done");
    assert_eq!(site.gitea.pulls(&branch), [(pull, false, true)]);
}

/// A person's push to a waiting task is noticed by its webhook: what was approved is asked again.
#[test]
fn a_push_is_noticed_by_its_webhook() {
    let mut site = Site::new(Version::V1_25, "local");
    let (item, branch) = site.at_deploy();
    let runs = site.world.begun().len();
    site.gitea.person("bob").pushes(&branch, "src/bob.txt", "a line\n");
    site.world.wait_for(&item, "another look at their code", |s| {
        s["task"]["counters"]["rebase"]["used"] == 1
    });
    // What a delivery came to is told after its event is recorded, which may be decided before that.
    site.world.until("what was told", || site.gitea.all_sent());
    site.understood();
    assert!(site.world.log().contains("a push on the forge"), "the webhook was first");
    site.world.wait_blocker(&item, "APPROVAL_WAIT");
    assert!(site.world.begun().len() > runs, "it was reviewed again");
}

/// CI that our own push set off speaks in our name: a check counts whoever sent it.
#[test]
fn a_check_under_the_services_own_account_is_looked_at() {
    let mut site = Site::new(Version::V1_25, "gated");
    let (item, branch) = site.at_checks();
    let head = site.head(&branch);
    site.understood();
    site.gitea.unhook();
    site.gitea.ci(&head, "ci/test", "success");
    let body =
        json!({"sha": head, "context": "ci/test", "state": "success", "repository": {"full_name": "acme/shop"}, "sender": {"login": BOT}});
    let body = body.to_string();
    assert_eq!(site.deliver("status", body.as_bytes(), &signed(SECRET, body.as_bytes())), 200);
    site.understood();
    site.world.until("it is looked at", || {
        site.world
            .count("SELECT COUNT(*) FROM deliveries WHERE why LIKE 'check ci/test is success%to look again'")
            == 1
    });
    site.world.wait_for(&item, "review", |s| s["task"]["stage"] != "development");
}

/// B-ADV-6: a check that names no branch, of a commit that is nobody's: with one task waiting for
/// checks it is a hint to that one, with several nothing is done, and it is said.
#[test]
fn a_check_of_an_unknown_commit() {
    let mut site = Site::with(Version::V1_25, "gated", "\"serial_gate.enabled\" = false");
    site.world.start();
    let first = site.world.new_task("Add a greeting");
    site.world.wait_blocker(&first, "CHECKS_FAILED");
    let send = |site: &Site, sha: &str| {
        let body = json!({"sha": sha, "context": "ci/test", "state": "success", "repository": {"full_name": "acme/shop"}, "sender": {"login": "ci"}});
        let body = body.to_string();
        assert_eq!(site.deliver("status", body.as_bytes(), &signed(SECRET, body.as_bytes())), 200);
        site.understood();
    };
    send(&site, &"d".repeat(40));
    site.world
        .until("a look", || site.world.log().contains(&format!("{first} to look again")));
    let second = site.world.new_task("Add another");
    site.world.wait_blocker(&second, "CHECKS_FAILED");
    let before = site.events();
    send(&site, &"e".repeat(40));
    assert_eq!(site.events(), before, "nothing is done");
    site.world
        .until("it is said", || site.world.log().contains("several tasks wait for checks"));
    assert_eq!(site.world.show(&first)["task"]["stage"], "development", "no green, no advance");
}
