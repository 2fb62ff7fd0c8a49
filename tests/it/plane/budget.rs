//! Sixty requests a minute, shared by all: a person's word goes first, and the service asks no more than it needs.

use std::time::{Duration, Instant};

use super::*;
use crate::world::plane::{Fault, Kind};

/// Deliveries that wait.
const PENDING: &str = "SELECT COUNT(*) FROM deliveries WHERE state = 'pending'";
impl Ground {
    /// How often the issue itself was read.
    fn read(&self, issue: &str) -> usize {
        let own = |path: &str| path.ends_with(&format!("{issue}/"));
        self.plane
            .asked()
            .iter()
            .filter(|(method, path, status)| method == "GET" && own(path) && *status == 200)
            .count()
    }
}

/// Deliveries about one card that wait together are served by one look that begins after the last of them.
#[test]
fn deliveries_about_one_card_that_wait_together_are_served_by_one_look() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.still();
    ground.world.until("all is understood", || ground.world.count(PENDING) == 0);
    ground.plane.hooks(Hooks::Lost);
    let (from, before) = (ground.plane.deliveries().len(), ground.read(&issue));
    for _ in 0..6 {
        ground.plane.person("alice").drags(&issue);
    }
    ground.plane.person("alice").moves(&issue, "STOP");
    let held = ground.plane.deliveries().split_off(from);
    let slow = Kind::Slow(Duration::from_secs(6));
    ground.plane.fault(Fault::once("GET", "/work-items/", slow));
    for (nth, (event, body)) in held.iter().enumerate() {
        ground.deliver(event, body);
        if nth == 0 {
            let under_way = |plane: &Plane| plane.asked().iter().any(|(.., status)| *status == 0);
            ground.plane.until("a look under way", under_way);
        }
    }
    ground.world.wait_mode("ORCH-001", "cancelled");
    ground.world.until("all is understood", || ground.world.count(PENDING) == 0);
    // One for the first, one for all that came while that was under way; the stop may be shown by then.
    let reads = ground.read(&issue) - before;
    assert!((2..=4).contains(&reads), "{reads} readings for {} deliveries", held.len());
}

/// A delivery for which there is no room waits until the time that the server names, once, and people are told why.
#[test]
fn a_delivery_without_room_waits_for_the_time_that_is_named() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.still();
    ground.plane.fault(Fault::once("GET", "/work-items/", Kind::Full(8)));
    let begun = Instant::now();
    ground.plane.person("alice").moves(&issue, "STOP");
    let waits = format!("{PENDING} AND attempts > 0");
    ground.world.until("it waits", || ground.world.count(&waits) == 1);
    let said = ground.world.get("/status")["problems"].to_string();
    assert!(
        said.contains("1 delivery of plane for project it waits: the key's requests of this minute are used up"),
        "{said}"
    );
    let why = ground.world.get("/api/tasks/ORCH-001/why");
    let last = why["blockers"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
    assert_eq!(last["code"], "UNHEARD", "{why:#}");
    let text = last["text"].to_string();
    assert!(
        text.contains("1 delivery of plane about this task waits: the key's requests"),
        "{text}"
    );
    ground.world.wait_mode("ORCH-001", "cancelled");
    assert!(begun.elapsed() >= Duration::from_secs(8));
    assert_eq!(
        ground.world.count("SELECT MAX(attempts) FROM deliveries"),
        1,
        "{}",
        ground.world.tail()
    );
    assert_eq!(ground.world.log().matches("a delivery waits").count(), 1);
}

/// However often there is no room: that is not the source's failing, for which there are so many tries, each later.
#[test]
fn a_delivery_that_waits_for_room_uses_up_no_tries() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.still();
    ground.plane.fault(Fault {
        times: 4,
        ..Fault::once("GET", "/work-items/", Kind::Full(1))
    });
    ground.plane.person("alice").moves(&issue, "STOP");
    ground.world.wait_mode("ORCH-001", "cancelled");
    let log = ground.world.log();
    assert!(log.matches("a delivery waits").count() >= 4, "{}", ground.world.tail());
    assert_eq!(ground.world.count("SELECT MAX(attempts) FROM deliveries"), 1);
}

/// A key that is refused is no server that does not answer.
#[test]
fn deliveries_that_wait_are_told_with_the_true_reason() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.still();
    let other = ground.started("Add another");
    ground.plane.until_status(&other, "Analysis");
    for (kind, words) in [
        (
            Kind::Status(403, json!({"detail": "Given API token is not valid"})),
            "the server does not accept the key",
        ),
        (Kind::Page, "is `url` the Plane server itself?"),
    ] {
        ground.plane.fault(Fault::always(kind));
        ground.plane.person("alice").drags(&issue);
        ground
            .world
            .until(words, || ground.world.count(&format!("{PENDING} AND attempts > 0")) > 0);
        let said = ground.world.get("/status")["problems"].to_string();
        assert!(
            said.contains("of plane for project it wait") && said.contains(words) && !said.contains("does not answer"),
            "{said}"
        );
        let why = |ground: &mut Ground, item: &str| ground.world.get(&format!("/api/tasks/{item}/why"))["blockers"].to_string();
        let (own, others) = (why(&mut ground, "ORCH-001"), why(&mut ground, "ORCH-002"));
        assert!(own.contains("about this task wait") && own.contains(words), "{own}");
        assert!(others.contains("about its project wait"), "{others}");
        ground.plane.mend();
        ground.world.until("all is understood", || ground.world.count(PENDING) == 0);
    }
    assert!(!ground.world.get("/api/tasks/ORCH-001/why").to_string().contains("UNHEARD"));
}

/// Prints what a task costs, by the server's own count; `cargo test --test it -- --ignored what_a_task_costs --nocapture`.
#[test]
#[ignore = "prints numbers"]
fn what_a_task_costs() {
    let mut ground = Ground::new("orch", "");
    let costs = |ground: &Ground, from: usize, what: &str| {
        let mut by: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
        for (method, path, _) in ground.plane.asked().split_off(from) {
            let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            let kind = if last.contains("-4000-8000-") { "ITEM" } else { last };
            *by.entry(format!("{method} {kind}")).or_default() += 1;
        }
        println!("{what}: {} {by:?}", by.values().sum::<usize>());
        ground.plane.asked().len()
    };
    let issue = ground.asked("Add a greeting");
    ground.still();
    let from = costs(&ground, 0, "start to the question");
    ground.plane.person("alice").labels(&issue, &["one"]);
    ground.plane.person("alice").labels(&issue, &["one", "auto:approve"]);
    ground.plane.until_status(&issue, "Awaiting Deploy");
    ground.plane.until_comment(&issue, "waits for your confirmation");
    ground.still();
    let from = costs(&ground, from, "two labels, and the way from analysis to deploy");
    ground.plane.person("alice").moves(&issue, "Confirm Deploy");
    ground.plane.until_status(&issue, "Done");
    ground.still();
    costs(&ground, from, "confirmation to done");
    let shown = ground.plane.moves(&issue).iter().filter(|(by, _)| by == "signalbox-bot").count();
    println!("{} requests in all, {shown} statuses shown", ground.plane.asked().len());
}
