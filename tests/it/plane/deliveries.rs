//! Deliveries: lost, doubled, late, in another order, strange, forged.

use super::*;
use crate::world::plane::{Fault, Kind, post, sign};

/// An address that ends with a slash, as that server's own addresses do.
#[test]
fn an_address_with_a_slash_at_its_end_is_the_same() {
    let ground = Ground::new("orch", "");
    let body = r#"{"event": "project", "action": "created", "data": {"id": "1"}, "activity": null}"#;
    let posted = |path: &str, signature: Option<&str>| {
        crate::world::plane::post_at(ground.hook, path, "project", body, signature).expect("an answer")
    };
    assert_eq!(posted("/webhook/plane/", None), 401);
    assert_eq!(posted("/webhook/plane/", Some(&sign(SECRET, body.as_bytes()))), 200);
    assert_eq!(posted("/webhook/plane", Some(&sign(SECRET, body.as_bytes()))), 200);
}

/// The published signatures of the recorded payloads.
const VECTORS: [(&str, &str, &str); 9] = [
    (
        "plane_issue_created",
        "issue",
        "69a88d0b3ff59303387a49db7c49f1c328541707525babf966aafd4c0af5acba",
    ),
    (
        "plane_issue_updated_state_ui",
        "issue",
        "a93fbd400cce4a30b7b2e2cb99e4f65c8544b567923513e96a2c5c8482a12e72",
    ),
    (
        "plane_issue_updated_sort_order_ui",
        "issue",
        "e1e1a2d14b55150dcfa7145d838a7c48b832edb25c354d529d1a1db013462ad1",
    ),
    (
        "plane_issue_updated_state_api",
        "issue",
        "2a3849e8d805491137d60fb5ebc064f7bb488f5ea9ddd4eb43787969057d1bda",
    ),
    (
        "plane_issue_updated_labels_ui",
        "issue",
        "2b9f5f93d605550a6fd87b14baedc55da7500940c756ef081a96612779b08525",
    ),
    (
        "plane_issue_deleted",
        "issue",
        "233e8033cf3b5cd7c50e449bbb9f740669625201087914f92437565ef93969c7",
    ),
    (
        "plane_issue_comment_created",
        "issue_comment",
        "75fe1569ec3127a7a547422cccd1fc3d06c1ae83dd921416af5fb36c4f5e7090",
    ),
    (
        "plane_issue_comment_updated",
        "issue_comment",
        "d80b4da8193b4e3c87f49c50a3e063132d576970f28070fc9525931c5270265e",
    ),
    (
        "plane_v2_workitem_updated",
        "workitem.updated",
        "befdf90604d5de9fe1cb6f9951b6d82850f18306b1195ab06ed1b398c3e3b734",
    ),
];

/// The same, different to the byte.
fn later(body: &str) -> String {
    let later = body.replacen("\"event\": ", "\"late\": true, \"event\": ", 1);
    assert_ne!(later, body);
    later
}

fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/plane/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Every recorded payload comes through the endpoint with the signature that was published for it;
/// with any other it changes nothing.
#[test]
fn recorded_payloads_are_taken_with_their_own_signatures_only() {
    let ground = Ground::new("orch", "");
    let to = ground.hook;
    for (name, event, signature) in VECTORS {
        let body = fixture(name);
        assert_eq!(sign(SECRET, body.as_bytes()), signature, "{name}");
        let mut flipped = signature.to_owned();
        flipped.replace_range(0..1, if signature.starts_with('0') { "1" } else { "0" });
        let prefixed = format!("sha256={signature}");
        let doubled = format!("{signature}{signature}");
        for wrong in [
            None,
            Some(""),
            Some("00"),
            Some(flipped.as_str()),
            Some(prefixed.as_str()),
            Some(doubled.as_str()),
            Some("zz"),
        ] {
            assert_eq!(post(to, event, &body, wrong).expect("an answer"), 401, "{name} {wrong:?}");
        }
        assert_eq!(
            post(to, event, &body.replacen('a', "b", 1), Some(signature)).expect("an answer"),
            401,
            "{name}"
        );
    }
    assert!(
        !ground.world.log().contains("delivery="),
        "a forged one was recorded:\n{}",
        ground.world.tail()
    );
    for (name, event, signature) in VECTORS {
        let body = fixture(name);
        assert_eq!(post(to, event, &body, Some(signature)).expect("an answer"), 200, "{name}");
        // Sent again under another id: known by its content.
        assert_eq!(post(to, event, &body, Some(signature)).expect("an answer"), 200, "{name}");
    }
    for name in ["001-issue", "002-issue", "003-issue", "006-issue_comment", "007-issue_comment"] {
        let capture: Json = serde_json::from_str(&fixture(&format!("captured/{name}"))).expect("a capture");
        let (event, raw) = (
            capture["headers"]["X-Plane-Event"].as_str().expect("an event"),
            capture["raw"].as_str().expect("a body"),
        );
        ground.deliver(event, raw);
    }
    // Nine and five, each dealt with once; the captured ones are about another project, and a deletion names none.
    // A delivery that had to be tried again is told more than once: what is counted is what came of them.
    ground.world.until("fourteen deliveries", || {
        let log = ground.world.log();
        let of_others = log.matches("no project here is bound").count();
        of_others == 6 && log.matches("means nothing here").count() == 14
    });
    assert_eq!(ground.world.begun().len(), 0);
}

/// B-ADV 7: one change of the board is one signal, however often it is told, and in which order.
#[test]
fn b_adv_7_one_change_is_one_signal_doubled_late_and_in_any_order() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    let from = ground.plane.deliveries().len();
    ground.plane.hooks(Hooks::Lost);
    ground.plane.person("alice").moves(&issue, "Todo");
    ground.plane.person("alice").moves(&issue, "Approved");
    ground.plane.person("alice").drags(&issue);
    ground.deliver_held(from, |held| held.reverse());
    ground.plane.until_status(&issue, "Awaiting Deploy");
    ground.plane.until_comment(&issue, "waits for your confirmation");
    let before = ground.world.begun().len();
    // Again, each different to the byte.
    ground.deliver_held(from, |held| {
        held.retain(|(_, body)| body.contains("Approved"));
        for (_, body) in held {
            *body = later(body);
        }
    });
    ground.plane.hooks(Hooks::To(ground.hook));
    ground.still();
    assert_eq!((ground.stage("ORCH-001").as_str(), ground.world.begun().len()), ("deploy", before));
    // Approve outside a human gate of its own confirms nothing, and does not stand on the board.
    ground.plane.person("alice").moves(&issue, "Approved");
    ground.plane.until_status(&issue, "Awaiting Deploy");
    ground.still();
    assert_eq!(ground.stage("ORCH-001"), "deploy");
    ground.plane.person("alice").moves(&issue, "Confirm Deploy");
    ground.plane.until_status(&issue, "Done");
}

/// B-ADV 7: what a person closed is not STOP, and is left alone.
#[test]
fn b_adv_7_an_issue_closed_by_hand_is_not_stopped_and_left_alone() {
    let mut ground = Ground::new("orch", "[architect]\ndo = ['held']");
    let issue = ground.asked("Add a greeting");
    ground.plane.person("alice").comments(&issue, "<p>:approved:</p>");
    ground.world.wait_agent("ORCH-001", "architect", 1);
    ground.plane.until_status(&issue, "Architecture");
    ground.plane.person("alice").moves(&issue, "Cancelled");
    ground.still();
    ground.world.let_go();
    ground.until_stage("ORCH-001", "deploy");
    ground.until_log("it is left there");
    assert_eq!(ground.plane.status(&issue), "Cancelled");
}

/// A delivery that was lost is made good by the next one about the issue.
#[test]
fn what_was_lost_is_found_at_the_next_occasion() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.plane.hooks(Hooks::Lost);
    ground.plane.person("alice").moves(&issue, "Approved");
    ground.plane.hooks(Hooks::To(ground.hook));
    ground.still();
    assert_eq!(ground.stage("ORCH-001"), "analysis");
    ground.plane.person("mallory").labels(&issue, &["nice"]);
    ground.until_stage("ORCH-001", "deploy");
}

/// The tracker is down while it tells: answered at once, understood when it is back.
#[test]
fn a_delivery_is_answered_while_the_tracker_is_down_and_understood_later() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.plane.fault(Fault::always(Kind::Status(503, json!({"error": "down"}))));
    ground.plane.person("alice").comments(&issue, "<p>:approved:</p>");
    ground.until_log("a delivery is tried again");
    assert_eq!(ground.stage("ORCH-001"), "analysis");
    // Neither a page nor half an answer is taken for one.
    ground.plane.mend();
    ground.plane.fault(Fault::once("", "", Kind::Page));
    ground.plane.fault(Fault::once("", "", Kind::Broken));
    ground.until_stage("ORCH-001", "deploy");
    ground.plane.until_status(&issue, "Awaiting Deploy");
    assert_eq!(ground.runs("architect"), 1);
}

/// B-REC 1: what the service itself did comes back as deliveries, and wakes nothing, however often it is told.
#[test]
fn b_rec_1_what_the_service_wrote_wakes_nothing() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.still();
    let events = ground.world.count("SELECT COUNT(*) FROM inbox");
    let own = |ground: &Ground| ground.world.count("SELECT COUNT(*) FROM deliveries WHERE why = 'our own writing'");
    let before = own(&ground);
    assert!(before >= 3, "two statuses and a comment at least: {before}");
    ground.deliver_held(0, |held| {
        held.retain(|(_, body)| body.contains("signalbox-bot"));
        assert!(held.len() >= 3, "{held:?}");
        for (_, body) in held {
            *body = later(body);
        }
    });
    ground.world.until("they were told again", || own(&ground) >= before + 3);
    ground.still();
    assert_eq!(ground.world.count("SELECT COUNT(*) FROM inbox"), events);
    assert_eq!(
        (ground.stage("ORCH-001").as_str(), ground.plane.status(&issue).as_str()),
        ("analysis", "In Review")
    );
}

/// A service that dies with a delivery in its hands has lost nothing.
#[test]
fn what_was_answered_survives_the_service() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.plane.fault(Fault::always(Kind::Status(
        500,
        json!({"error": "Something went wrong please try again later"}),
    )));
    ground.plane.person("alice").moves(&issue, "Approved");
    ground.until_log("a delivery is tried again");
    ground.world.kill();
    ground.plane.mend();
    ground.world.start();
    ground.until_stage("ORCH-001", "deploy");
}

/// What is no JSON is refused; what is about others or nothing known is dropped, with a word.
#[test]
fn strange_deliveries_change_nothing() {
    let mut ground = Ground::new("orch", "");
    for body in ["not json", "", "{", "\u{1}"] {
        let status = post(ground.hook, "issue", body, Some(&sign(SECRET, body.as_bytes()))).expect("an answer");
        assert_eq!(status, 400, "{body:?}");
    }
    ground.until_log("a signed delivery is no JSON: refused");
    let issue = ground.asked("Add a greeting");
    let other = "{\"event\": \"issue\", \"action\": \"updated\", \"data\": {\"id\": \"ISSUE\", \"project\": \"00000000-0000-4000-8000-000000000000\"}, \
                 \"activity\": {\"field\": \"state_id\", \"new_value\": \"x\", \"actor\": null}}";
    ground.deliver("issue", &other.replace("ISSUE", &issue));
    ground.until_log("no project here is bound to Plane's project 00000000");
    for body in ["[]", "7", "{}", "{\"event\": \"sprint\"}", "{\"version\": \"v9\", \"event\": {}}"] {
        ground.deliver("sprint", body);
    }
    // The later format, about an issue of ours: it leads to the board like any other.
    ground.plane.hooks(Hooks::Lost);
    ground.plane.person("alice").moves(&issue, "Approved");
    let later = format!(
        "{{\"version\": \"v2\", \"event\": \"WebhookScope.ScopeChoices.WORK_ITEM_UPDATED\", \"entity_id\": \"{issue}\", \"entity_type\": \"issue\", \
         \"data\": {{\"project_id\": \"{PROJECT}\", \"updated_by_id\": \"None\"}}, \"previous_attributes\": {{\"state_id\": \"None\"}}}}"
    );
    ground.deliver("workitem.updated", &later);
    ground.until_stage("ORCH-001", "deploy");
}

/// A word whose own delivery was lost is heard at the next one about its issue, whatever that tells.
#[test]
fn a_lost_word_is_heard_at_the_next_delivery_about_its_issue() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.plane.hooks(Hooks::Lost);
    ground.plane.person("alice").comments(&issue, "<p>:approved:</p>");
    ground.plane.hooks(Hooks::To(ground.hook));
    ground.plane.person("bob").drags(&issue);
    ground.until_stage("ORCH-001", "deploy");
}

/// The same for a label that passes the gate: the next delivery makes it good.
#[test]
fn a_lost_label_is_found_at_the_next_delivery_about_its_issue() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.plane.hooks(Hooks::Lost);
    ground.plane.person("alice").labels(&issue, &["auto:approve"]);
    ground.plane.hooks(Hooks::To(ground.hook));
    ground.plane.person("bob").drags(&issue);
    ground.until_stage("ORCH-001", "deploy");
}

/// One that counts for nothing is no reason to look for ever: each time that somebody puts it there is looked at once.
#[test]
fn a_lost_label_is_looked_at_once() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    let looked = |ground: &Ground| ground.world.count("SELECT COUNT(*) FROM inbox WHERE dedupe LIKE '% orders %'");
    let lost = |ground: &Ground, who: &str, labels: &[&str]| {
        ground.plane.hooks(Hooks::Lost);
        ground.plane.person(who).labels(&issue, labels);
        ground.plane.hooks(Hooks::To(ground.hook));
    };
    lost(&ground, "mallory", &["auto:approve"]);
    for _ in 0..3 {
        ground.plane.person("bob").drags(&issue);
        ground.plane.person("bob").comments(&issue, "<p>hmm</p>");
    }
    ground.until_log("counts for nothing: who put it there");
    ground.still();
    assert_eq!((looked(&ground), ground.stage("ORCH-001").as_str()), (1, "analysis"));
    lost(&ground, "alice", &[]);
    lost(&ground, "alice", &["auto:approve"]);
    ground.plane.person("bob").drags(&issue);
    ground.until_stage("ORCH-001", "deploy");
    assert_eq!(looked(&ground), 2);
}

/// A secret that is not the one in Plane makes the service deaf: `status` says so until a delivery is accepted, and operators
/// are told once, however many come.
#[test]
fn refused_deliveries_are_told_until_one_is_accepted() {
    let mut ground = Ground::new("orch", "");
    let body = r#"{"event": "project", "action": "created", "data": {"id": "1"}, "activity": null}"#;
    let refused = |to| assert_eq!(post(to, "project", body, Some("00")).expect("an answer"), 401);
    for _ in 0..3 {
        refused(ground.hook);
    }
    let problems = |ground: &mut Ground| ground.world.get("/status")["problems"].to_string();
    let said = problems(&mut ground);
    for words in [
        "3 deliveries of Plane were refused, the signature is missing or wrong (for project it)",
        "a STOP neither",
        "`projects.it.tracker.secret` (the file plane.secret)",
        "`signalbox setup webhooks`",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let told = "SELECT COUNT(*) FROM outbox WHERE kind = 'alert' AND effect LIKE '%of Plane was refused%'";
    assert_eq!(ground.world.count(told), 1);
    ground.deliver("project", body);
    assert_eq!(problems(&mut ground), "[]");
    refused(ground.hook);
    assert!(problems(&mut ground).contains("a delivery of Plane was refused"));
    assert_eq!(ground.world.count(told), 1, "at most once an hour");
}
