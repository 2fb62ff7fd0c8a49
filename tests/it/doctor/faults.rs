//! One thing is wrong at a time, and is named; the rest stays well.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Clinic, GITEA_TOKEN, HOOK, Said, URL};
use crate::world::gitea::{How, Version, everything, fine};
use crate::world::plane::{ANALYST, Fault, KEY, Kind};

/// What is done to the world, the level and check that tell of it, and words that it says.
type Case = (&'static str, fn(&Clinic), &'static str, &'static str, &'static [&'static str]);

fn each(cases: &[Case]) {
    for (name, harm, level, check, words) in cases {
        let clinic = Clinic::new();
        harm(&clinic);
        named(name, &clinic.doctor(&["--json", "--url", URL]), level, check, words);
    }
}

fn named(name: &str, said: &Said, level: &str, check: &str, words: &[&str]) {
    let found = said.counting();
    let code = if level == "problem" { 10 } else { 11 };
    assert_eq!(said.code, code, "{name}: {found:#?}");
    assert_eq!(found.len(), 1, "{name}: {found:#?}");
    assert_eq!((found[0].0.as_str(), found[0].1.as_str()), (level, check), "{name}: {found:#?}");
    for word in words {
        assert!(found[0].2.contains(word), "{name}: it does not say {word:?}: {found:#?}");
    }
}

fn lose(clinic: &Clinic, file: &str) {
    std::fs::remove_file(clinic.world.path(file)).expect("it was there");
}

#[test]
fn on_the_board() {
    each(&[
        (
            "no key",
            |c| lose(c, "plane.key"),
            "problem",
            "tracker.secret",
            &["tracker.token", "plane.key"],
        ),
        (
            "no secret",
            |c| lose(c, "plane.secret"),
            "problem",
            "tracker.secret",
            &["tracker.secret"],
        ),
        (
            "a wrong key",
            |c| c.plane.gives_key(KEY, None),
            "problem",
            "tracker.key",
            &["not valid", "API tokens"],
        ),
        (
            "401",
            |c| {
                c.plane.fault(Fault::always(Kind::Status(
                    401,
                    json!({"detail": "Authentication credentials were not provided."}),
                )))
            },
            "problem",
            "tracker.key",
            &["not provided"],
        ),
        (
            "no member",
            |c| c.plane.leaves("signalbox-bot"),
            "problem",
            "tracker.access",
            &["permission", "member"],
        ),
        (
            "no project",
            |c| {
                c.plane.fault(Fault::once(
                    "GET",
                    "projects",
                    Kind::Status(404, json!({"error": "The requested resource does not exist."})),
                ))
            },
            "problem",
            "tracker.project",
            &["no such workspace or project"],
        ),
        ("archived", |c| c.plane.archives(), "problem", "tracker.project", &["archived"]),
        (
            "another prefix",
            |c| c.plane.identifies("SHOP"),
            "warning",
            "tracker.prefix",
            &["SHOP-7", "ORCH-007"],
        ),
        (
            "a proxy's page",
            |c| c.plane.fault(Fault::always(Kind::Page)),
            "problem",
            "tracker.address",
            &["not with JSON"],
        ),
        (
            "used up",
            |c| c.plane.fault(Fault::always(Kind::Full(30))),
            "problem",
            "tracker.reach",
            &["used up"],
        ),
        (
            "no STOP",
            |c| c.plane.drops_state("STOP"),
            "warning",
            "tracker.status",
            &["the board's STOP does not exist; `signalbox stop` still works"],
        ),
        (
            "no start",
            |c| c.plane.drops_state("To Analyse"),
            "problem",
            "tracker.status",
            &["To Analyse", "`start`", "nothing starts work"],
        ),
        (
            "no approval",
            |c| c.plane.drops_state("Approved"),
            "warning",
            "tracker.status",
            &["`approve`", ":approved:", "signalbox approve ITEM"],
        ),
        (
            "no confirmation",
            |c| c.plane.drops_state("Confirm Deploy"),
            "warning",
            "tracker.status",
            &["--signal confirm_deploy"],
        ),
        (
            "no stage",
            |c| c.plane.drops_state("Architecture"),
            "warning",
            "tracker.status",
            &["Architecture", "not shown at the stage architecture"],
        ),
        (
            "another spelling",
            |c| c.plane.renames_state("STOP", "Stop"),
            "warning",
            "tracker.status",
            &["rename the state \"Stop\" to \"STOP\""],
        ),
        (
            "no label",
            |c| c.plane.drops_label("auto:deploy"),
            "warning",
            "tracker.label",
            &["auto:deploy"],
        ),
        (
            "a person left",
            |c| c.plane.leaves("bob"),
            "warning",
            "tracker.people",
            &["bob@example.com", "operator"],
        ),
        (
            "namesakes",
            |c| c.plane.calls_themselves("mallory", "alice"),
            "warning",
            "tracker.people",
            &["2 members", "alice", "nobody"],
        ),
        (
            "an agent's wrong key",
            |c| c.plane.gives_key(ANALYST, None),
            "problem",
            "tracker.agent",
            &["analyst", "refused"],
        ),
        (
            "two agents in one",
            |c| c.plane.gives_key(ANALYST, Some("signalbox-bot")),
            "warning",
            "tracker.agent",
            &["same user", "signalbox"],
        ),
        (
            "an agent left",
            |c| c.plane.leaves("analyst-bot"),
            "problem",
            "tracker.agent",
            &["analyst-bot", "no member"],
        ),
    ]);
}

#[test]
fn on_the_forge() {
    each(&[
        (
            "no token",
            |c| lose(c, "gitea-token"),
            "problem",
            "forge.secret",
            &["forge.token", "gitea-token"],
        ),
        (
            "no secret",
            |c| lose(c, "gitea-secret"),
            "problem",
            "forge.secret",
            &["forge.secret"],
        ),
        (
            "a wrong token",
            |c| std::fs::write(c.world.path("gitea-token"), "gta_another").expect("written"),
            "problem",
            "forge.token",
            &["refuses the token", "write:repository"],
        ),
        (
            "no read:user",
            |c| {
                c.gitea.fails(
                    "GET",
                    "/api/v1/user",
                    1,
                    How::Status(403, "token does not have at least one of required scope(s): [read:user]"),
                )
            },
            "problem",
            "forge.scope",
            &["[read:user]"],
        ),
        (
            "no write:issue",
            |c| {
                c.gitea.fails(
                    "GET",
                    "/issues",
                    1,
                    How::Status(403, "token does not have at least one of required scope(s): [read:issue]"),
                )
            },
            "problem",
            "forge.scope",
            &["issues", "write:issue"],
        ),
        (
            "no repository",
            |c| {
                c.gitea
                    .fails("GET", "/repos/", 1, How::Status(404, "The target couldn't be found."))
            },
            "problem",
            "forge.repository",
            &["forge.owner"],
        ),
        (
            "archived",
            |c| c.gitea.settings(json!({"archived": true})),
            "problem",
            "forge.repository",
            &["archived"],
        ),
        (
            "empty",
            |c| c.gitea.settings(json!({"empty": true})),
            "problem",
            "forge.repository",
            &["empty"],
        ),
        (
            "mirror",
            |c| c.gitea.settings(json!({"mirror": true})),
            "problem",
            "forge.repository",
            &["mirror"],
        ),
        (
            "read only",
            |c| {
                c.gitea
                    .settings(json!({"permissions": {"admin": true, "push": false, "pull": true}}))
            },
            "problem",
            "forge.access",
            &["may not write"],
        ),
        (
            "no pull requests",
            |c| c.gitea.settings(json!({"has_pull_requests": false})),
            "problem",
            "forge.repository",
            &["pull requests"],
        ),
        (
            "no merge commits",
            |c| c.gitea.settings(json!({"allow_merge_commits": false})),
            "problem",
            "forge.merge",
            &["merge commits"],
        ),
        (
            "deletes branches",
            |c| c.gitea.settings(json!({"default_delete_branch_after_merge": true})),
            "warning",
            "forge.merge",
            &["deletes branches"],
        ),
        (
            "another default",
            |c| c.gitea.settings(json!({"default_branch": "trunk"})),
            "warning",
            "forge.default_branch",
            &["trunk", "main"],
        ),
        (
            "no branch",
            |c| c.gitea.fails("GET", "/branches/main", 1, How::Status(404, "branch does not exist")),
            "problem",
            "forge.default_branch",
            &["no branch \"main\""],
        ),
        (
            "not protected",
            |c| c.gitea.unprotect(),
            "warning",
            "forge.branch.open",
            &["main is not protected"],
        ),
        (
            "no merging",
            |c| c.gitea.guards(json!({"user_can_merge": false})),
            "problem",
            "forge.branch.merge",
            &["may not merge into main"],
        ),
        (
            "approvals",
            |c| c.gitea.guards(json!({"required_approvals": 2})),
            "warning",
            "forge.branch.approvals",
            &["2 approvals"],
        ),
        (
            "a check nobody waits for",
            |c| {
                c.gitea
                    .guards(json!({"enable_status_check": true, "status_check_contexts": ["ci/*", "lint / all"]}))
            },
            "warning",
            "forge.branch.checks",
            &["\"lint / all\"", "ci/test", "405"],
        ),
        (
            "tasks' branches protected",
            |c| c.gitea.rule(json!({"rule_name": "feature/*", "branch_name": "feature/*"})),
            "problem",
            "forge.branch.tasks",
            &["feature/*", "feature/ORCH-001-example"],
        ),
        (
            "signatures",
            |c| c.gitea.rule(json!({"rule_name": "main", "require_signed_commits": true})),
            "warning",
            "forge.branch.signed",
            &["signed commits"],
        ),
        (
            "no webhook",
            |c| c.gitea.edits_hooks(Vec::clear),
            "problem",
            "forge.webhook",
            &[HOOK, "setup webhooks"],
        ),
        (
            "a webhook to somewhere else",
            |c| {
                c.gitea
                    .edits_hooks(|h| h[0].url = "https://elsewhere.example/webhook/gitea".to_owned())
            },
            "problem",
            "forge.webhook",
            &[HOOK],
        ),
        (
            "inactive",
            |c| c.gitea.edits_hooks(|h| h[0].active = false),
            "problem",
            "forge.webhook.inactive",
            &["not active"],
        ),
        (
            "push only",
            |c| c.gitea.edits_hooks(|h| h[0].events = fine(&[], Version::V1_25)),
            "problem",
            "forge.webhook.events",
            &["pull_request_review", "status"],
        ),
        (
            "a form",
            |c| c.gitea.edits_hooks(|h| h[0].content_type = "form".to_owned()),
            "problem",
            "forge.webhook.form",
            &["\"form\""],
        ),
        (
            "some branches",
            |c| c.gitea.edits_hooks(|h| h[0].filter = "main".to_owned()),
            "problem",
            "forge.webhook.filter",
            &["\"main\""],
        ),
        (
            "told twice",
            |c| {
                c.gitea.edits_hooks(|h| {
                    let twin = h[0].clone();
                    h.push(twin);
                });
            },
            "warning",
            "forge.webhook.twice",
            &["2 webhooks"],
        ),
    ]);
}

#[test]
fn in_the_chat_and_on_the_machine() {
    each(&[
        ("no token", |c| lose(c, "chat-token"), "problem", "chat.secret", &["chat.token"]),
        (
            "a wrong token",
            |c| std::fs::write(c.world.path("chat-token"), "1:other").expect("written"),
            "problem",
            "chat.bot",
            &["Unauthorized", "BotFather"],
        ),
        (
            "not in the room",
            |c| c.telegram.thrown_out(),
            "problem",
            "chat.room",
            &["chat not found"],
        ),
        (
            "a supergroup",
            |c| c.telegram.migrate(super::ROOM, -1_009),
            "warning",
            "chat.room",
            &["chat = \"-1009\""],
        ),
        (
            "the chat is down",
            |c| c.telegram.down(Some(502)),
            "problem",
            "chat.reach",
            &["does not answer"],
        ),
    ]);
    let clinic = Clinic::with(Version::V1_25, "\"agents.developer.run\" = [\"./no-such-agent\"]", "");
    named(
        "no agent",
        &clinic.doctor(&["--json"]),
        "problem",
        "agents.command",
        &["./no-such-agent", "developer"],
    );
}

/// A check that every task must have, and nothing on the default branch that reports it.
#[test]
fn a_check_that_nothing_reports() {
    let needed = r#"
        "gates.built.first_of" = "unset"
        "gates.built.all_of" = ["ci"]
        'stages.development.on."built.none"' = { stay = true }
        'stages.deploy-staging.on."built.none"' = { stay = true }
    "#;
    let clinic = Clinic::with(Version::V1_25, needed, "");
    let said = || clinic.doctor(&["--json", "--url", URL]);
    let words = ["ci/test", ".gitea/workflows", "Actions report"];
    named("no workflow", &said(), "warning", "forge.checks", &words);
    let bob = clinic.gitea.person("bob");
    bob.pushes("main", ".forgejo/workflows/build.yml", "name: build\non: [push]\n");
    named(
        "another workflow",
        &said(),
        "warning",
        "forge.checks",
        &["ci/test", ".forgejo/workflows/build.yml"],
    );
    let head = clinic.gitea.branch("main").expect("the default branch");
    clinic.gitea.ci(&head, "ci/test", "success");
    assert_eq!(said().counting(), vec![], "another CI reports it");
    bob.pushes("main", ".gitea/workflows/test.yaml", "name: test\n# reports ci/test\n");
    assert_eq!(said().counting(), vec![], "a workflow reports it");
    assert!(said().out.contains("can be reported"));
}

#[test]
fn in_the_rules() {
    let clinic = Clinic::with(Version::V1_25, "", "approver = ['alice', 'signalbox-bot']");
    named(
        "the service decides",
        &clinic.doctor(&["--json"]),
        "warning",
        "tracker.people",
        &["own user"],
    );
    // Who uses the command line of the machine is listed, too: nobody is to be added to the board for that.
    let clinic = Clinic::with(Version::V1_25, "", "approver = ['alice', 'root', 'rooot']");
    let told = clinic.doctor(&["--json"]).out;
    assert!(
        told.contains("login name of this machine") && told.contains("knows no \\\"rooot\\\""),
        "{told}"
    );
    assert!(!told.contains("knows no \\\"root\\\""), "{told}");
    let clinic = Clinic::with(Version::V1_25, "", "approver = []");
    named(
        "nobody",
        &clinic.doctor(&["--json"]),
        "problem",
        "tracker.people",
        &["nobody is listed"],
    );
    let world = Clinic::new();
    let path = world.world.path("signalbox.toml");
    let text = std::fs::read_to_string(&path).expect("the configuration");
    let twice = "[projects.it.set]\n\"stages.architecture.status\" = \"Approved\"\n";
    std::fs::write(&path, text.replacen("[projects.it.set]\n", twice, 1)).expect("written");
    named(
        "twice",
        &world.doctor(&["--json"]),
        "problem",
        "configuration",
        &["`Approved`", "signal"],
    );
}

#[test]
fn what_only_administrators_see_is_unknown_and_does_not_count() {
    let clinic = Clinic::new();
    clinic.gitea.no_admin();
    let said = clinic.doctor(&["--json"]);
    assert_eq!((said.code, said.counting()), (0, vec![]), "{}", said.whole());
    assert_eq!(said.json()["unknown"], 3, "{}", said.out);
    assert!(said.out.contains("--token-env"), "{}", said.out);
}

#[test]
fn an_older_gitea_tells_statuses_only_to_those_who_hear_of_everything() {
    let clinic = Clinic::with(Version::V1_23, "", "");
    named(
        "1.23",
        &clinic.doctor(&["--json"]),
        "warning",
        "forge.webhook.status",
        &["All events"],
    );
    clinic.gitea.edits_hooks(|h| h[0].events = everything(Version::V1_23));
    let said = clinic.doctor(&["--json"]);
    assert_eq!((said.code, said.counting()), (0, vec![]), "{}", said.whole());
}

#[test]
fn peers_that_are_down_are_named_and_the_rest_is_told() {
    let mut clinic = Clinic::new();
    clinic.gitea.down();
    clinic.plane.fault(Fault::always(Kind::Slow(Duration::from_secs(60))));
    let begun = Instant::now();
    let said = clinic.doctor(&["--json", "--timeout", "5"]);
    // Less than its slow peer takes; the others have time enough.
    assert!(begun.elapsed() < Duration::from_secs(55), "{:?}", begun.elapsed());
    let found: Vec<(String, String)> = said.counting().into_iter().map(|(level, check, _)| (level, check)).collect();
    let problem = |check: &str| ("problem".to_owned(), check.to_owned());
    assert_eq!(found, [problem("tracker.reach"), problem("forge.reach")], "{}", said.whole());
    assert_eq!(said.code, 10);
    for check in ["machine.git", "chat.room"] {
        let ok = |f: &serde_json::Value| f["check"] == check && f["level"] == "ok";
        assert!(
            said.json()["findings"].as_array().is_some_and(|all| all.iter().any(ok)),
            "{check}: {}",
            said.out
        );
    }
}

#[test]
fn a_peer_that_repeats_the_token_does_not_have_it_repeated() {
    let clinic = Clinic::new();
    clinic.gitea.fails("GET", "/api/v1/user", 1, How::Status(403, GITEA_TOKEN));
    named("an echo", &clinic.doctor(&["--json"]), "problem", "forge.scope", &["***"]);
}
