//! Deliveries that are not what they say, and deliveries while nobody can be asked.

use std::time::{Duration, Instant};

use rusqlite::types::Value;
use serde_json::json;

use super::*;
use crate::world::gitea::signed;
use crate::world::peers::Post;
use crate::world::plane::{self, Fault, Hooks, Kind, PROJECT};

/// A town whose task waits for its approval.
fn waiting() -> (Town, Scenario) {
    let mut scenario = Scenario::load("approvals_on_the_board");
    scenario.steps.truncate(2);
    let mut town = Town::new(&scenario, Policy::Plain);
    town.play(&scenario);
    (town, scenario)
}

/// Everything there is: the database row by row, the board, the repository, what agents did, and
/// what the peers were asked.
fn everything(town: &Town) -> Vec<String> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = town.world.data().join("signalbox.db");
    let conn = rusqlite::Connection::open_with_flags(database, flags).expect("the database");
    let mut names = conn
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        .expect("tables");
    let names: Vec<String> = names
        .query_map([], |row| row.get(0))
        .expect("tables")
        .map(|name| name.expect("a name"))
        .collect();
    let mut all = Vec::new();
    // Numbers of rows that are left out below count on.
    for name in names.into_iter().filter(|name| name != "sqlite_sequence") {
        let mut rows = conn.prepare(&format!("SELECT * FROM \"{name}\"")).expect("a table");
        let columns = rows.column_count();
        let read = rows.query_map([], |row| {
            (0..columns).map(|at| row.get::<_, Value>(at)).collect::<Result<Vec<_>, _>>()
        });
        // That deliveries are refused is told: nothing that they say.
        let rows = read.expect("rows").map(|row| format!("{name} {:?}", row.expect("a row")));
        all.extend(rows.filter(|row| !row.contains("\"deaf-")));
    }
    assert!(all.len() > 20, "{all:#?}");
    let issue = town.issue("ORCH-001");
    all.push(format!("{} {:?}", town.plane.status(&issue), town.plane.comments(&issue)));
    all.push(format!("{:?} {:?}", town.gitea.main(), town.gitea.branches()));
    all.push(format!(
        "{} runs, {} asked, {} asked",
        town.world.ledger().len(),
        town.plane.asked().len(),
        // Whether a branch has moved is looked for now and then by itself.
        town.gitea.asked().iter().filter(|(_, path, _)| !path.contains(".git/")).count()
    ));
    all
}

/// A wrong signature changes nothing, nowhere; the right one on the same bytes does.
#[test]
fn a_wrong_signature_changes_nothing() {
    let (mut town, _) = waiting();
    let issue = town.issue("ORCH-001");
    town.plane.hooks(Hooks::Lost);
    town.plane.person("alice").moves(&issue, "Approved");
    let (event, approved) = town.plane.deliveries().pop().expect("a delivery");
    let green =
        json!({"sha": "a".repeat(40), "context": "ci/test", "state": "success", "repository": {"full_name": "acme/shop"}}).to_string();
    let before = everything(&town);
    let right = plane::sign(plane::SECRET, approved.as_bytes());
    let (short, long, prefixed) = (right[..62].to_owned(), format!("{right}00"), format!("sha256={right}"));
    let others = plane::sign(crate::world::gitea::SECRET, approved.as_bytes());
    for wrong in ["", "00", "zz", &short, &long, &prefixed, &others] {
        let post = Post::plane(&event, &approved, wrong);
        assert_eq!(town.post(&post), 401, "{wrong:?}");
    }
    // What is signed for one door does not open the other.
    for wrong in ["", "00", &signed(plane::SECRET, green.as_bytes())] {
        assert_eq!(town.post(&Post::gitea("status", &green, wrong)), 401, "{wrong:?}");
    }
    let tampered = approved.replacen("Approved", "Confirm Deploy", 1);
    assert_eq!(town.post(&Post::plane(&event, &tampered, &right)), 401);
    std::thread::sleep(Duration::from_millis(300));
    town.settle();
    let after = everything(&town);
    assert_eq!(before, after);
    assert!(town.world.log().contains("signature"), "{}", town.world.tail());
    let told = "SELECT COUNT(*) FROM outbox WHERE kind = 'alert' AND effect LIKE '%deaf-%'";
    assert_eq!(town.world.count(told), 2, "operators are told once of each door");
    assert_eq!(town.post(&Post::plane(&event, &approved, &right)), 200);
    town.world.wait_blocker("ORCH-001", "ESCALATED");
    assert_ne!(everything(&town), after, "it would be seen");
}

/// Neither the board nor the forge can be reached: whoever tells is answered at once all the same,
/// and what was told is understood when they are back.
#[test]
fn a_webhook_is_answered_while_nobody_can_be_asked() {
    let (mut town, _) = waiting();
    let issue = town.issue("ORCH-001");
    town.plane.hooks(Hooks::Lost);
    town.plane.person("alice").moves(&issue, "Approved");
    let (event, approved) = town.plane.deliveries().pop().expect("a delivery");
    // A server that takes the call and says nothing is the worst of them.
    town.plane.fault(Fault::always(Kind::Slow(Duration::from_secs(15))));
    town.gitea.down();
    let mut took = Vec::new();
    for nth in 0..5 {
        let body = approved.replacen("{", &format!("{{\"nth\": {nth}, "), 1);
        let post = Post::plane(&event, &body, &plane::sign(plane::SECRET, body.as_bytes()));
        let begun = Instant::now();
        assert_eq!(town.post(&post), 200);
        took.push(begun.elapsed());
    }
    // The machine may be busy now and then; none waits for the servers.
    assert!(took.iter().min().is_some_and(|t| *t < Duration::from_secs(2)), "{took:?}");
    assert!(took.iter().all(|t| *t < Duration::from_secs(12)), "{took:?}");
    assert_eq!(town.world.show("ORCH-001")["task"]["stage"], "analysis");
    town.plane.mend();
    town.gitea.up();
    town.world
        .wait_for("ORCH-001", "architecture", |seen| seen["task"]["stage"] == "architecture");
    // What a delivery came to is told after its event is recorded, which may be decided before that.
    let pending = "SELECT COUNT(*) FROM deliveries WHERE state = 'pending'";
    town.world.until("all of them understood", || town.world.count(pending) == 0);
    let approvals = town.world.log().matches("moved to \"Approved\": the signal `approve`").count();
    assert_eq!(approvals, 1, "five deliveries, one signal:\n{}", town.world.tail());
}

/// What is strange is answered, changes no task, and is told in one clear line each.
#[test]
fn strange_deliveries_are_told_in_a_line_and_change_no_task() {
    let (mut town, _) = waiting();
    let issue = town.issue("ORCH-001");
    let branch = town.world.show("ORCH-001")["branch"].as_str().expect("a branch").to_owned();
    let steps = |town: &Town| town.world.count("SELECT COUNT(*) FROM steps");
    let before = steps(&town);
    let elsewhere = "00000000-0000-4000-8000-000000000000";
    let board = |project: &str, rest: &str| {
        format!("{{\"event\": \"issue\", \"action\": \"updated\", \"data\": {{\"id\": \"{issue}\", \"project\": \"{project}\"}}{rest}}}")
    };
    let of = |repository: &str, rest: &str| {
        format!("{{\"repository\": {{\"full_name\": \"{repository}\"}}, \"sender\": {{\"login\": \"bob\"}}{rest}}}")
    };
    let cases = [
        // An unknown project, and an unknown repository.
        (
            true,
            "issue",
            board(elsewhere, ""),
            "no project here is bound to Plane's project 00000000",
        ),
        (
            false,
            "push",
            of("acme/other", ", \"ref\": \"refs/heads/x\", \"before\": \"a\", \"after\": \"b\""),
            "a repository that no project has",
        ),
        // An unknown event.
        (
            true,
            "sprint",
            format!("{{\"event\": \"sprint\", \"action\": \"created\", \"data\": {{\"id\": \"{issue}\", \"project\": \"{PROJECT}\"}}}}"),
            "sprint create is nothing that we react to",
        ),
        (false, "sparkle", of("acme/shop", ""), "such events decide nothing"),
        // Payloads of other versions, as far as they can be read.
        (
            true,
            "issue",
            format!("{{\"version\": \"v9\", \"event\": {{}}, \"data\": {{\"id\": \"{issue}\", \"project\": \"{PROJECT}\"}}}}"),
            "means nothing here",
        ),
        (
            true,
            "issue",
            "{\"version\": \"v2\", \"event\": \"workitem.updated\"}".to_owned(),
            "it names no issue",
        ),
        (false, "push", of("acme/shop", ", \"ref\": null, \"after\": 3"), "it lacks /ref"),
        (
            false,
            "status",
            of("acme/shop", ", \"commit\": {\"id\": 7}"),
            "it lacks /sha and /commit/id",
        ),
        (
            false,
            "pull_request",
            of(
                "acme/shop",
                &format!(", \"action\": \"sung\", \"pull_request\": {{\"head\": {{\"label\": \"{branch}\"}}}}"),
            ),
            "labels, assignments and requests to review decide nothing",
        ),
        (false, "push", "{\"after\": \"b\"}".to_owned(), "it names no repository"),
        // A branch and an issue that nobody here knows.
        (
            false,
            "delete",
            of("acme/shop", ", \"ref\": \"gone\", \"ref_type\": \"branch\""),
            "no task under way has the branch gone",
        ),
    ];
    for (nth, (board, event, body, said)) in cases.iter().enumerate() {
        let post = if *board {
            Post::plane(event, body, &plane::sign(plane::SECRET, body.as_bytes()))
        } else {
            Post::gitea(event, body, &signed(crate::world::gitea::SECRET, body.as_bytes()))
        };
        let known = town.world.log().lines().filter(|l| l.contains(said)).count();
        assert_eq!(town.post(&post), 200, "case {nth}: {body}");
        town.world
            .until(said, || town.world.log().lines().filter(|l| l.contains(said)).count() > known);
    }
    for (event, body) in [("issue", "not json"), ("push", "repository=acme%2Fshop")] {
        assert_eq!(
            town.post(&Post::plane(event, body, &plane::sign(plane::SECRET, body.as_bytes()))),
            400
        );
        assert_eq!(
            town.post(&Post::gitea(event, body, &signed(crate::world::gitea::SECRET, body.as_bytes()))),
            400
        );
    }
    town.settle();
    assert_eq!(steps(&town), before, "{}", town.world.tail());
}
