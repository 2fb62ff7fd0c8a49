//! STOP from the board.

use std::time::{Duration, Instant};

use super::*;
use crate::world::plane::{Fault, Kind};

/// B-STOP 1: what cannot be read is not "no STOP": the delivery is kept and tried again.
#[test]
fn b_stop_1_a_stop_that_cannot_be_read_is_kept_and_tried_again() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.plane.fault(Fault {
        method: "GET",
        ..Fault::always(Kind::Status(503, json!({"error": "down"})))
    });
    ground.plane.person("alice").moves(&issue, "STOP");
    ground.until_log("a delivery is tried again");
    assert_eq!(ground.stage("ORCH-001"), "analysis", "nobody knows yet what was moved where");
    ground.plane.mend();
    ground.world.wait_mode("ORCH-001", "cancelled");
}

/// B-STOP 1: a board without the status has no such signal; nothing fails, and an operator stops all the same.
#[test]
fn b_stop_1_a_board_without_the_status_has_no_stop_and_the_operator_has_one() {
    let mut ground = Ground::laid_out("orch", "");
    ground.plane.drops_state("STOP");
    ground.world.start();
    ground.asked("Add a greeting");
    ground.act("ORCH-001", "stop");
    ground.world.wait_mode("ORCH-001", "cancelled");
}

/// What is over cannot be stopped: the card does not stay where nothing follows from it.
#[test]
fn b_stop_3_a_stop_of_what_is_done_does_not_stand_on_the_board() {
    let mut ground = Ground::new("local", "");
    let issue = ground.started("Add a greeting");
    ground.plane.until_status(&issue, "Awaiting Deploy");
    ground.plane.person("alice").moves(&issue, "Confirm Deploy");
    ground.world.wait_mode("LOC-001", "done");
    ground.plane.until_status(&issue, "Done");
    ground.plane.person("bob").moves(&issue, "STOP");
    ground.until_log("moved to \"STOP\", where there is nothing to do any more");
    ground.plane.until_status(&issue, "Done");
    assert_eq!(ground.world.show("LOC-001")["task"]["mode"], "done");
}

/// B-STOP 1: other people's starts may have used up their part of the minute, too: a STOP is heard all the same.
#[test]
fn b_stop_1_a_stop_is_heard_at_once_though_the_minute_is_nearly_used_up() {
    let mut ground = Ground::new("orch", "[analyst]\ndo = [\"hang\"]");
    let first = ground.started("Add a greeting");
    ground.world.until("an agent at work", || ground.runs("analyst") == 1);
    ground.still();
    ground.plane.limits(60);
    let from = ground.plane.asked().len();
    for n in 0..20 {
        ground.started(&format!("Add another, {n}"));
    }
    let used = |ground: &Ground| ground.plane.asked().len() - from;
    ground.world.until("what people may use is used up", || used(&ground) >= 54);
    let begun = Instant::now();
    ground.plane.person("alice").moves(&first, "STOP");
    ground.world.wait_mode("ORCH-001", "cancelled");
    let took = begun.elapsed();
    assert!(
        took < Duration::from_secs(40),
        "{} used, took {took:?}\n{}",
        used(&ground),
        ground.world.tail()
    );
}
