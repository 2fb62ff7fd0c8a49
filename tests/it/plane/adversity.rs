//! A board that changes under our hands, and a server that fails.

use std::time::Duration;

use super::*;
use crate::world::plane::{Fault, Kind};

/// A start depends on no peer; what was to be shown is shown when it is back.
#[test]
fn the_service_starts_while_its_tracker_is_away() {
    let mut ground = Ground::laid_out("local", "");
    ground.plane.fault(Fault::always(Kind::Status(502, json!({}))));
    ground.world.start();
    assert_eq!(ground.world.get("/health")["status"], "ok");
    let issue = ground.started("Add a greeting");
    ground.until_log("a delivery is tried again");
    let held = |ground: &Ground, sql: &str| {
        ground
            .world
            .count(&format!("SELECT COUNT(*) FROM deliveries WHERE state = 'pending' {sql}"))
    };
    ground.world.until("a try is recorded", || held(&ground, "AND attempts > 0") > 0);
    let said = ground.world.get("/status")["problems"].to_string();
    assert!(said.contains("of plane for project it wait") && said.contains("starts"), "{said}");
    assert_eq!(ground.world.get("/status")["tasks"], json!([]));
    ground.plane.mend();
    ground.plane.until_status(&issue, "Awaiting Deploy");
    ground.world.until("nothing is held any more", || held(&ground, "") == 0);
    assert_eq!(ground.world.get("/status")["problems"], json!([]));
}

/// What people did while the service was down, and nobody told it of: it is found when the service is back.
#[test]
fn what_was_missed_while_the_service_was_down_is_taken_up_at_its_start() {
    let mut ground = Ground::new("orch", "");
    let stopped = ground.asked("Add a greeting");
    ground.world.stop();
    ground.plane.hooks(Hooks::Lost);
    let alice = ground.plane.person("alice");
    alice.moves(&stopped, "STOP");
    let new = alice.creates("Add another", "<p>Say hello.</p>");
    alice.moves(&new, "To Analyse");
    // The server is away when the service comes back, and whoever asks is told.
    ground.plane.fault(Fault::always(Kind::Status(502, json!({}))));
    ground.world.start();
    let told = "what changed on the board of project it while nobody listened cannot be read yet";
    ground.world.until("that it is told", || {
        ground.world.ask("/status").body["problems"].to_string().contains(told)
    });
    let why = ground.world.get("/api/tasks/ORCH-001/why");
    let unheard = |b: &Json| b["code"] == "UNHEARD" && b["text"].as_str().is_some_and(|t| t.contains(told));
    assert!(why["blockers"].as_array().expect("blockers").iter().any(unheard), "{why}");
    ground.plane.mend();
    ground.world.wait_mode("ORCH-001", "cancelled");
    ground.plane.until_status(&new, "In Review");
    ground.until_log("missed meanwhile");
    ground.world.until("that nothing is missed", || {
        ground.world.ask("/status").body["problems"] == json!([])
    });
}

/// The same for a standing order: a label is told of once, too.
#[test]
fn a_label_that_was_missed_while_the_service_was_down_is_taken_up_at_its_start() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.still();
    ground.world.stop();
    ground.plane.hooks(Hooks::Lost);
    ground.plane.person("alice").labels(&issue, &["auto:approve"]);
    ground.world.start();
    ground.until_stage("ORCH-001", "deploy");
    ground.until_log("missed meanwhile: looked again: a label of its issue");
}

/// What a person put on the board meanwhile is decided before ours is shown: STOP is never erased.
#[test]
fn a_stop_that_nobody_told_of_is_found_before_it_is_written_over() {
    let mut ground = Ground::new("orch", "[architect]\ndo = ['held']");
    let issue = ground.asked("Add a greeting");
    ground.plane.fault(Fault {
        method: "PATCH",
        path: "",
        times: usize::MAX,
        kind: Kind::Status(503, json!({"error": "down"})),
    });
    ground.plane.person("alice").comments(&issue, "<p>:approved:</p>");
    ground.world.wait_agent("ORCH-001", "architect", 1);
    ground.until_log("an effect failed and is tried again");
    ground.plane.hooks(Hooks::Lost);
    ground.plane.person("alice").moves(&issue, "STOP");
    ground.plane.mend();
    ground.world.wait_mode("ORCH-001", "cancelled");
    assert_eq!(ground.plane.status(&issue), "STOP");
    let after: Vec<_> = ground.plane.moves(&issue).into_iter().skip_while(|(_, to)| to != "STOP").collect();
    assert_eq!(after.len(), 1, "{after:?}");
}

/// A person's change between our reading and our writing is lost on the board, not on us.
#[test]
fn a_stop_that_we_wrote_over_in_the_same_moment_still_stops() {
    let mut ground = Ground::new("orch", "[architect]\ndo = ['held']");
    let issue = ground.asked("Add a greeting");
    ground
        .plane
        .fault(Fault::once("PATCH", "", Kind::Slow(Duration::from_millis(1500))));
    ground.plane.person("alice").comments(&issue, "<p>:approved:</p>");
    ground
        .plane
        .until("our writing", |plane| plane.asked().iter().any(|(.., status)| *status == 0));
    ground.plane.person("alice").moves(&issue, "STOP");
    ground.world.wait_mode("ORCH-001", "cancelled");
    assert!(
        ground
            .plane
            .moves(&issue)
            .contains(&("signalbox-bot".to_owned(), "Architecture".to_owned()))
    );
}

/// The same where Plane never tells of it: the issue's history does.
#[test]
fn a_stop_that_we_wrote_over_and_nobody_told_of_still_stops() {
    let mut ground = Ground::new("orch", "[architect]\ndo = ['held']");
    let issue = ground.asked("Add a greeting");
    ground.plane.fault(Fault::once("PATCH", "", Kind::Slow(Duration::from_secs(5))));
    ground.act("ORCH-001", "approve");
    ground
        .plane
        .until("our writing", |plane| plane.asked().iter().any(|(.., status)| *status == 0));
    ground.plane.hooks(Hooks::Lost);
    ground.plane.person("alice").moves(&issue, "STOP");
    ground.world.wait_mode("ORCH-001", "cancelled");
    ground.until_log("moved to \"STOP\" while we wrote");
}

/// The same where the history is written late, as that server writes it.
#[test]
fn a_stop_that_we_wrote_over_still_stops_when_the_history_tells_of_it_late() {
    let mut ground = Ground::new("orch", "[architect]\ndo = ['held']");
    let issue = ground.asked("Add a greeting");
    ground.plane.history_late(Duration::from_millis(1200));
    ground.plane.fault(Fault::once("PATCH", "", Kind::Slow(Duration::from_secs(5))));
    ground.act("ORCH-001", "approve");
    ground
        .plane
        .until("our writing", |plane| plane.asked().iter().any(|(.., status)| *status == 0));
    ground.plane.hooks(Hooks::Lost);
    ground.plane.person("alice").moves(&issue, "STOP");
    ground.world.wait_mode("ORCH-001", "cancelled");
}

/// A stop counts though the card was moved on before anybody looked, by whomever; so does the start after it.
#[test]
fn a_stop_counts_though_the_card_was_moved_on() {
    let mut ground = Ground::new("orch", "");
    let (first, second) = (ground.asked("Add a greeting"), ground.started("Add another"));
    ground.until_stage("ORCH-002", "analysis");
    ground.plane.until_status(&second, "Analysis");
    ground.plane.hooks(Hooks::Lost);
    ground.plane.person("alice").moves(&first, "STOP");
    ground.plane.person("alice").moves(&second, "STOP");
    ground.plane.hooks(Hooks::To(ground.hook));
    ground.plane.person("mallory").moves(&first, "Todo");
    ground.world.wait_mode("ORCH-001", "cancelled");
    ground.plane.person("alice").moves(&second, "To Analyse");
    ground.until_log("ORCH-002 was stopped by alice");
    ground.plane.until_status(&second, "In Review");
    ground.until_log("moved to \"STOP\" in between");
}

/// A change of a card that means nothing is told beside a move that was lost: it is a reason to look.
#[test]
fn a_move_that_was_lost_is_found_when_anything_is_told_of_its_issue() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.plane.hooks(Hooks::Lost);
    ground.plane.person("alice").moves(&issue, "Approved");
    ground.plane.hooks(Hooks::To(ground.hook));
    ground.plane.person("alice").drags(&issue);
    ground.until_stage("ORCH-001", "deploy");
}

/// A tracker that is away when a run is to be launched: the job waits, and no attempt is used up.
#[test]
fn an_outage_at_a_launch_uses_up_nothing() {
    for kind in [Kind::Status(502, json!({})), Kind::Full(1)] {
        let mut ground = Ground::new("orch", "");
        ground.asked("Add a greeting");
        ground.plane.fault(Fault::always(kind));
        ground.act("ORCH-001", "approve");
        ground.until_log("put back into the queue");
        ground.world.wait_blocker("ORCH-001", "BACKOFF");
        let put_back = "SELECT COUNT(*) FROM runs WHERE slot = 'architect' AND state = 'ended' AND started_at IS NULL";
        ground.world.until("a second try", || ground.world.count(put_back) >= 2);
        let seen = ground.world.show("ORCH-001");
        assert_eq!(
            (&seen["task"]["mode"], &seen["task"]["stage"]),
            (&json!("active"), &json!("architecture")),
            "{seen:#}"
        );
        ground.plane.mend();
        ground.until_stage("ORCH-001", "deploy");
        assert_eq!(ground.runs("architect"), 1);
        assert_eq!(ground.world.count("SELECT COUNT(*) FROM jobs WHERE attempts > 1"), 0);
        let counted = ground.world.count("SELECT runs FROM spent_tasks");
        assert_eq!(counted, ground.world.begun().len() as i64, "no run of a budget is used up either");
    }
}

/// A key that is refused is for a person to mend, and not about the task: it waits and uses up nothing, `why` names the key
/// and where it is read from, operators are told once, and it goes on by itself when the key is good again.
#[test]
fn a_refused_key_at_a_launch_is_said_to_a_person() {
    let mut ground = Ground::new("orch", "");
    ground.asked("Add a greeting");
    ground
        .plane
        .fault(Fault::always(Kind::Status(403, json!({"detail": "Given API token is not valid"}))));
    ground.act("ORCH-001", "approve");
    let put_back = "SELECT COUNT(*) FROM runs WHERE slot = 'architect' AND state = 'ended' AND started_at IS NULL";
    ground.world.until("a second try", || ground.world.count(put_back) >= 2);
    let seen = ground.world.wait_blocker("ORCH-001", "BACKOFF");
    assert_eq!(
        (&seen["task"]["mode"], &seen["task"]["stage"]),
        (&json!("active"), &json!("architecture")),
        "{seen:#}"
    );
    let said = seen["blockers"].to_string();
    for words in [
        "the server does not accept the key",
        "Settings → API tokens",
        "`projects.it.tracker.token` is read from the file plane.key",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let alerts = |ground: &Ground, words: &str| {
        let sql = format!("SELECT COUNT(*) FROM outbox WHERE kind = 'alert' AND effect LIKE '%{words}%'");
        ground.world.count(&sql)
    };
    assert_eq!(alerts(&ground, "the tracker refuses"), 1, "told once");
    ground.plane.mend();
    ground.until_stage("ORCH-001", "deploy");
    assert_eq!(ground.runs("architect"), 1);
    assert_eq!(ground.world.count("SELECT COUNT(*) FROM jobs WHERE attempts > 1"), 0);
    assert_eq!((alerts(&ground, "the tracker refuses"), alerts(&ground, "key again")), (1, 1));
}

/// An agent's key that has expired is no reason not to hear people: the service writes for it.
#[test]
fn an_agents_key_that_is_refused_makes_nobody_unheard() {
    let mut ground = Ground::laid_out("orch", "");
    ground.plane.gives_key(ANALYST, None);
    ground.world.start();
    let issue = ground.asked("Add a greeting");
    let alice = ground.plane.person("alice");
    alice.comments(&issue, "<p>:approved:</p>");
    ground.until_stage("ORCH-001", "deploy");
    ground.until_log("the agent's own key is refused: who writes under it is not known");
    ground.plane.person("alice").moves(&issue, "STOP");
    ground.world.wait_mode("ORCH-001", "cancelled");
    let refused = ground.plane.asked();
    let refused = refused
        .iter()
        .filter(|(_, path, status)| path.ends_with("users/me/") && *status == 403);
    assert_eq!(refused.count(), 1, "asked once, not at every delivery");
}

/// The server did what was asked and its answer was lost: it is asked again, and done once.
#[test]
fn an_answer_that_is_lost_makes_nothing_twice() {
    let mut ground = Ground::laid_out("local", "");
    ground.plane.fault(Fault {
        times: 3,
        ..Fault::once("POST", "/comments/", Kind::HangUp)
    });
    ground.plane.fault(Fault {
        times: 2,
        ..Fault::once("PATCH", "", Kind::HangUp)
    });
    ground.world.start();
    let issue = ground.started("Add a greeting");
    ground.plane.until_status(&issue, "Awaiting Deploy");
    ground.plane.until_comment(&issue, "waits for your confirmation");
    assert_eq!(ground.said(&issue, "has started"), 1, "{:#?}", ground.plane.comments(&issue));
    let moves = ground.plane.moves(&issue);
    assert!(moves.windows(2).all(|w| w[0].1 != w[1].1), "{moves:?}");
    assert!(
        ground
            .plane
            .asked()
            .iter()
            .any(|(method, path, status)| method == "POST" && path.contains("comments") && *status == 409)
    );
}

/// A status that the board lacks is left out with one line; the task goes on.
#[test]
fn a_status_that_was_renamed_is_left_out_and_the_task_goes_on() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.plane.renames_state("Testing", "QA");
    ground.plane.drops_state("Architecture");
    ground.plane.person("alice").comments(&issue, "<p>:approved:</p>");
    ground.plane.until_status(&issue, "Awaiting Deploy");
    ground.until_stage("ORCH-001", "deploy");
    let log = ground.world.log();
    assert_eq!(
        log.matches("the board has no status \"Architecture\"").count(),
        1,
        "{}",
        ground.world.tail()
    );
}

/// An issue that was deleted: its task goes on, and people are told where they look.
#[test]
fn a_task_survives_its_issue() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.plane.person("alice").deletes(&issue);
    let gone = format!("{{\"event\": \"issue\", \"action\": \"deleted\", \"data\": {{\"id\": \"{issue}\"}}, \"activity\": null}}");
    ground.deliver("issue", &gone);
    ground.until_log("the issue is gone from the board: the task goes on");
    ground.act("ORCH-001", "approve");
    ground.until_stage("ORCH-001", "deploy");
    ground.world.wait_blocker("ORCH-001", "APPROVAL_WAIT");
    ground.act("ORCH-001", "approve");
    ground.world.wait_mode("ORCH-001", "done");
}

/// A comment that was taken, so to say, without a number, as a page in the server's place may take it: it is written again.
#[test]
fn a_comment_that_was_taken_without_a_number_is_written_again() {
    let mut ground = Ground::laid_out("local", "");
    for body in [json!([]), json!({}), json!(null)] {
        ground.plane.fault(Fault::once("POST", "/comments/", Kind::Status(200, body)));
    }
    ground.world.start();
    let issue = ground.started("Add a greeting");
    ground.plane.until_comment(&issue, "waits for your confirmation");
    assert_eq!(ground.said(&issue, "has started"), 1, "{:#?}", ground.plane.comments(&issue));
}

/// An issue that was deleted while its task waited for its first run: nobody is paid for work on nothing.
#[test]
fn a_task_whose_issue_is_gone_before_it_begins_is_not_worked_on() {
    let mut ground = Ground::new("orch", "[analyst]\ndo = ['held']");
    ground.started("Add a greeting");
    ground.world.until("an agent at work", || ground.runs("analyst") == 1);
    let second = ground.started("Add another");
    ground.until_stage("ORCH-002", "analysis");
    ground.plane.person("alice").deletes(&second);
    // Nobody is told of it, and what was read of an issue serves for a second.
    std::thread::sleep(Duration::from_millis(1200));
    ground.act("ORCH-001", "stop");
    let seen = ground.world.wait_blocker("ORCH-002", "ESCALATED");
    assert!(seen.to_string().contains("its issue is gone from the board"), "{seen:#}");
    assert_eq!(ground.world.begun().iter().filter(|e| e.item == "ORCH-002").count(), 0);
}

/// Markup without words is no word; an edit of what was heard is not heard again.
#[test]
fn a_comment_that_says_nothing_is_no_answer() {
    let mut ground = Ground::new("orch", "[analyst]\ndo = ['questions', 'ok']");
    let issue = ground.started("Make it faster");
    ground.plane.until_status(&issue, "Needs Input");
    for html in ["<p></p>", "<p><br></p>", "<p>&nbsp;</p>", "<p><img src=\"x\"></p>"] {
        ground.plane.person("alice").comments(&issue, html);
    }
    ground.still();
    ground.until_log("a comment without words says nothing");
    assert_eq!(ground.world.show("ORCH-001")["task"]["mode"], "question");
    ground.plane.person("alice").comments(&issue, "<p>The <b>start</b> page.</p>");
    ground.plane.until_status(&issue, "In Review");
    assert_eq!(ground.runs("analyst"), 2);
}

/// A key without requests left: nobody asks until the server says so, and nothing is lost.
#[test]
fn a_full_minute_is_waited_out() {
    let ground = Ground::new("orch", "");
    ground.plane.fault(Fault::once("", "", Kind::Full(2)));
    let begun = std::time::Instant::now();
    let issue = ground.started("Add a greeting");
    ground.plane.until_status(&issue, "In Review");
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert_eq!(ground.plane.asked().iter().filter(|(.., status)| *status == 429).count(), 1);
}

/// ★ A delivery that cannot be written down is refused in a way that makes its sender try again; what was never sent again
/// is found on the board when there is room.
#[test]
fn a_delivery_that_finds_the_disk_full_is_refused_and_taken_when_there_is_room() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    let body = r#"{"event": "project", "action": "created", "data": {"id": "1"}, "activity": null}"#;
    let signature = crate::world::plane::sign(SECRET, body.as_bytes());
    let hook = ground.hook;
    let post = || crate::world::plane::answer_to(hook, "/webhook/plane", "project", body, Some(&signature)).expect("an answer");
    let known = |ground: &Ground| ground.world.count("SELECT COUNT(*) FROM deliveries WHERE event = 'project'");
    ground.world.fault("full:1");
    for refused in [post(), post()] {
        let begun = refused.is_empty() || refused.starts_with("HTTP/1.1 503 ");
        assert!(begun && !refused.ends_with("0\r\n\r\n"), "it breaks off: {refused}");
    }
    ground.plane.hooks(Hooks::Lost);
    ground.plane.person("alice").moves(&issue, "STOP");
    assert_eq!(known(&ground), 0);
    ground.world.fault("");
    assert!(post().starts_with("HTTP/1.1 200 "));
    assert_eq!(known(&ground), 1);
    ground.world.wait_mode("ORCH-001", "cancelled");
}

/// A question that Plane refuses is waited for by nobody who could see it: operators are told what was not said, and why.
#[test]
fn a_comment_that_is_refused_for_good_is_told_to_operators() {
    let mut ground = Ground::laid_out("orch", "[analyst]\ndo = ['questions']");
    ground.world.start();
    ground.plane.fault(Fault {
        times: usize::MAX,
        ..Fault::once("POST", "/comments/", Kind::Status(400, json!({"error": "Invalid HTML passed"})))
    });
    let issue = ground.started("Make it faster");
    ground.plane.until_status(&issue, "Needs Input");
    let told = "SELECT COUNT(*) FROM outbox WHERE kind = 'alert' AND effect LIKE '%ORCH-001: a comment that begins%these questions need an answer%(400)%'";
    ground.world.until("operators are told", || ground.world.count(told) == 1);
    let given_up = "SELECT COUNT(*) FROM outbox WHERE state = 'given_up'";
    let alerts = "SELECT COUNT(*) FROM outbox WHERE kind = 'alert' AND effect LIKE '%was given up%'";
    ground.still();
    assert_eq!(
        ground.world.count(alerts),
        ground.world.count(given_up),
        "each once, and of alerts none"
    );
    assert_eq!(ground.world.get("/status")["problems"], json!([]));
}
