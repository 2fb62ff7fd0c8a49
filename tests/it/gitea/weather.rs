//! A Gitea that is down, slow or speaks nonsense: nothing depends on it but the work itself.

use super::*;

/// The service starts while the server is down, and works when it is there.
#[test]
fn a_start_needs_no_server() {
    let mut site = Site::new(Version::V1_25, "local");
    site.gitea.down();
    site.world.start();
    let answer = site
        .world
        .post("/api/tasks", &json!({"title": "Add a greeting", "text": "Please."}))
        .expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    let item = answer.body["item"].as_str().expect("an item").to_owned();
    std::thread::sleep(Duration::from_millis(500));
    assert!(site.world.get("/status").is_object(), "it answers meanwhile");
    site.gitea.up();
    // By itself: an outage is nobody's failure.
    site.world.wait_blocker(&item, "APPROVAL_WAIT");
}

/// What is shown does not wait for a server that is down; what is decided says so.
#[test]
fn while_it_is_down_the_last_known_is_shown() {
    let mut site = Site::new(Version::V1_25, "gated");
    let (item, branch) = site.at_checks();
    let (pull, head) = (site.gitea.open_pull(&branch), site.head(&branch));
    site.gitea.down();
    let begun = std::time::Instant::now();
    let seen = site.world.show(&item);
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(seen["change"]["number"], pull);
    // A hint is enough to look, and the look finds nobody.
    let push = json!({
        "ref": format!("refs/heads/{branch}"), "before": "1".repeat(40), "after": "2".repeat(40),
        "repository": {"full_name": "acme/shop"}, "sender": {"login": "bob"},
    });
    let body = push.to_string();
    assert_eq!(
        site.deliver("push", body.as_bytes(), &crate::world::gitea::signed(SECRET, body.as_bytes())),
        200
    );
    site.world.wait_blocker(&item, "FORGE_UNREACHABLE");
    site.gitea.up();
    site.gitea.ci(&head, "ci/test", "success");
    site.world.wait_for(&item, "review", |s| s["task"]["stage"] != "development");
}

/// Errors of every kind on the way to a request and back: each is tried again.
#[test]
fn every_kind_of_error_is_outlived() {
    let mut site = Site::new(Version::Main, "gated");
    for how in [
        How::Status(500, ""),
        How::Status(404, "not found"),
        How::HangUp,
        How::DoneThenHangUp,
    ] {
        site.gitea.fails("POST", "/pulls", 1, how);
    }
    site.gitea.fails("GET", "/status", 1, How::Malformed);
    site.gitea.fails("GET", "/reviews", 1, How::Status(502, "bad gateway"));
    site.gitea.fails("GET", "/user", 2, How::Status(503, "busy"));
    site.gitea.fails("GET", "/pulls", 1, How::Slow(Duration::from_millis(500)));
    site.world.start();
    let item = site.world.new_task("Add a greeting");
    site.world.wait_for(&item, "checks", |s| {
        let blockers = s["blockers"].to_string();
        blockers.contains("CHECKS_FAILED") || blockers.contains("FORGE_UNREACHABLE")
    });
    let branch = site.branch(&item);
    assert_eq!(site.gitea.pulls(&branch).len(), 1, "one request, whatever happened");
    let head = site.head(&branch);
    // More contexts than a page holds, each with an older word that no longer counts.
    for n in 0..60 {
        site.gitea.unhook();
        site.gitea.ci(&head, &format!("ci/other-{n}"), "failure");
    }
    site.gitea.hook(site.port);
    site.gitea.ci(&head, "ci/test", "failure");
    site.gitea.ci(&head, "ci/test", "success");
    site.world.wait_for(&item, "deploy", |s| s["task"]["stage"] == "deploy");
}

/// A token that is refused: said by name, with where it is read from, told once, never shown; nothing is used up, and
/// with a good one the service goes on at its next start.
#[test]
fn a_wrong_token_is_said_and_not_shown() {
    let mut site = Site::new(Version::V1_25, "local");
    site.world_token("gta_wrong_canary");
    site.world.start();
    let item = site.world.new_task("Add a greeting");
    let put_back = "SELECT COUNT(*) FROM runs WHERE state = 'ended' AND started_at IS NULL";
    site.world.until("a second try", || site.world.count(put_back) >= 2);
    let seen = site.world.wait_blocker(&item, "BACKOFF");
    let why = seen["blockers"].to_string();
    let said = "`forge.token` of the project is read from the file gitea-token; put a good one there and restart";
    for text in [&why, &site.world.log()] {
        assert!(
            text.contains("the forge refuses the service's token") && text.contains(said) && !text.contains("could not read Username"),
            "{text}"
        );
    }
    assert!(!site.world.log().contains("gta_wrong_canary"), "{}", site.world.tail());
    assert_eq!(site.alerts("the forge refuses the service''s key"), 1, "told once");
    site.world.stop();
    site.world_token(TOKEN);
    site.world.start();
    site.world.wait_blocker(&item, "APPROVAL_WAIT");
    assert_eq!(site.alerts("accepts the service''s key again"), 1, "told once");
}

/// B-Q 6: a repository that is gone, or hidden from the service's user, is for a person to mend: told once, with what to look at.
#[test]
fn b_q_6_a_repository_that_is_gone_is_said_to_a_person() {
    let mut site = Site::new(Version::V1_25, "local");
    site.gitea.fails("GET", "/info/refs", 3, How::Status(404, ""));
    site.world.start();
    let item = site.world.new_task("Add a greeting");
    site.world.until("the alert", || site.alerts("there is no such repository") == 1);
    site.world.wait_blocker(&item, "APPROVAL_WAIT");
    assert_eq!(site.alerts("there is no such repository"), 1, "told once");
    assert_eq!(site.alerts("accepts the service''s key again"), 1, "and that it is there again");
    let lost = "SELECT COUNT(*) FROM jobs WHERE attempts > 1";
    assert_eq!(site.world.count(lost), 0, "nothing is used up");
}

impl Site {
    fn world_token(&self, token: &str) {
        std::fs::write(self.world.path("gitea-token"), token).expect("a token");
    }
}
