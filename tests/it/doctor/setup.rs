//! `setup webhooks`: one webhook per repository, however often it is said, and nothing of other people's lost.

use super::{Clinic, GITEA_SECRET, HOOK, SECRET, Said, URL};
use crate::world::gitea::{How, Version, everything, fine};

#[test]
fn it_makes_one_webhook_however_often_it_is_said() {
    let clinic = Clinic::new();
    clinic.gitea.edits_hooks(Vec::clear);
    let dry = clinic.setup(&["--dry-run"]);
    assert!(
        dry.code == 0 && dry.out.contains("would be made") && dry.out.contains("nothing was written"),
        "{}",
        dry.whole()
    );
    assert_eq!(clinic.gitea.hooks(), []);
    let first = clinic.setup(&[]);
    assert!(first.code == 0 && first.out.contains("is made"), "{}", first.whole());
    let made = clinic.gitea.hooks();
    let [hook] = made.as_slice() else { panic!("{made:?}") };
    assert_eq!(
        (hook.url.as_str(), hook.content_type.as_str(), hook.secret.as_str()),
        (HOOK, "json", GITEA_SECRET)
    );
    assert!(hook.active);
    for event in [
        "push",
        "create",
        "delete",
        "pull_request",
        "pull_request_sync",
        "pull_request_review",
        "status",
        "workflow_run",
        "workflow_job",
    ] {
        assert!(hook.events.iter().any(|e| e == event), "{event}: {hook:?}");
    }
    let again = clinic.setup(&["--json"]);
    assert_eq!(
        (again.code, &again.json()["gitea"][0]["action"]),
        (0, &"kept".into()),
        "{}",
        again.whole()
    );
    assert_eq!(clinic.gitea.hooks(), made, "the same one, as it was");
}

#[test]
fn what_is_wrong_with_a_webhook_is_mended_and_the_rest_is_left() {
    let clinic = Clinic::new();
    clinic.gitea.edits_hooks(|hooks| {
        let mut others = hooks[0].clone();
        (others.id, others.url) = (9000, "https://ci.example/hook".to_owned());
        let ours = &mut hooks[0];
        ours.active = false;
        ours.content_type = "form".to_owned();
        ours.events = fine(&["push", "issues_only", "wiki"], Version::V1_25);
        ours.filter = "main".to_owned();
        ours.header = "Bearer of theirs".to_owned();
        ours.secret = "old".to_owned();
        hooks.push(others);
    });
    let before = clinic.gitea.hooks();
    let dry = clinic.setup(&["--dry-run"]);
    assert!(
        dry.out.contains("would be mended") && dry.out.contains("not active"),
        "{}",
        dry.whole()
    );
    assert_eq!(clinic.gitea.hooks(), before, "a dry run changes nothing");
    let said = clinic.setup(&[]);
    assert!(said.code == 0 && said.out.contains("is mended"), "{}", said.whole());
    let after = clinic.gitea.hooks();
    assert_eq!(after.len(), 2);
    assert_eq!(after[1], before[1], "somebody else's is not touched");
    let hook = &after[0];
    assert_eq!(
        (hook.active, hook.content_type.as_str(), hook.secret.as_str()),
        (true, "json", GITEA_SECRET)
    );
    assert_eq!((hook.filter.as_str(), hook.header.as_str()), ("*", "Bearer of theirs"));
    for event in ["wiki", "issues", "status", "pull_request_review"] {
        assert!(hook.events.iter().any(|e| e == event), "{event}: {hook:?}");
    }
    assert!(
        !hook.events.iter().any(|e| e == "issue_comment"),
        "what was narrow stays narrow: {hook:?}"
    );
    let doctor = clinic.doctor(&["--json", "--url", URL]);
    assert_eq!(doctor.counting(), vec![], "{}", doctor.whole());
}

#[test]
fn on_an_older_gitea_it_says_what_cannot_be_chosen_and_ends_nothing() {
    let clinic = Clinic::with(Version::V1_23, "", "");
    let said = clinic.setup(&[]);
    assert!(
        said.code == 0 && said.out.contains("before 1.24") && said.out.contains("All events"),
        "{}",
        said.whole()
    );
    clinic.gitea.edits_hooks(|h| h[0].events = everything(Version::V1_23));
    let all = clinic.gitea.hooks();
    let said = clinic.setup(&[]);
    assert!(said.out.contains("left as it is"), "{}", said.whole());
    assert_eq!(clinic.gitea.hooks(), all, "it hears of everything still");
}

#[test]
fn it_says_what_to_do_in_plane_and_what_to_allow() {
    let clinic = Clinic::new();
    let said = clinic.setup(&[]);
    let page = format!("{}/acme/settings/webhooks/", clinic.plane.url());
    let words = [
        page.as_str(),
        "http://127.0.0.1:8500/webhook/plane",
        "Issues, Issue comments",
        "plane.secret",
        "WEBHOOK_ALLOWED_IPS=127.0.0.1",
        "ALLOWED_HOST_LIST = loopback",
    ];
    for word in words {
        assert!(said.out.contains(word), "{word}: {}", said.whole());
    }
    assert!(
        !said.whole().contains(SECRET) && !said.whole().contains(GITEA_SECRET),
        "{}",
        said.whole()
    );
}

#[test]
fn what_cannot_be_done_is_said_with_the_remedy() {
    let mut clinic = Clinic::new();
    let with = |clinic: &Clinic, args: &[&str]| Said::of(clinic.world.command(&[&["setup", "webhooks"][..], args].concat()));
    for (url, word) in [
        ("ftp://sb.example", "http://"),
        ("sb.example", "https://signalbox.example"),
        ("http://x/webhook/gitea", "/webhook/"),
    ] {
        let said = with(&clinic, &["--url", url]);
        assert!(said.code == 2 && said.err.contains(word), "{url}: {}", said.whole());
    }
    let said = clinic.setup(&["--project", "ti"]);
    assert!(said.code == 2 && said.err.contains("projects: it"), "{}", said.whole());
    let said = clinic.setup(&["--token-env", "SIGNALBOX_NO_SUCH_VARIABLE"]);
    assert!(
        said.code == 2 && said.err.contains("SIGNALBOX_NO_SUCH_VARIABLE"),
        "{}",
        said.whole()
    );
    let hooks = clinic.gitea.hooks();
    clinic.gitea.fails("POST", "/hooks", 1, How::Status(500, ""));
    clinic.gitea.edits_hooks(Vec::clear);
    let said = clinic.setup(&[]);
    assert!(
        said.code == 1 && said.out.contains("not done") && said.out.contains("500"),
        "{}",
        said.whole()
    );
    clinic.gitea.edits_hooks(|h| *h = hooks);
    clinic.gitea.no_admin();
    let said = clinic.setup(&[]);
    assert!(
        said.code == 1 && said.out.contains("administrators") && said.out.contains("--token-env"),
        "{}",
        said.whole()
    );
    clinic.gitea.down();
    let said = clinic.setup(&[]);
    assert!(said.code == 1 && said.out.contains("does not answer"), "{}", said.whole());
}
