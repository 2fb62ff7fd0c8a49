//! Relations between issues of the board are dependencies of their tasks.

use super::*;
use crate::world::plane::{Fault, Kind};

/// B-SG 3 and 4: what the board says blocks an issue is waited for, started or not, and its stop frees.
#[test]
fn b_sg_3_a_relation_on_the_board_holds_a_task_until_the_other_is_stopped() {
    let mut ground = Ground::new("orch", "");
    let alice = ground.plane.person("alice");
    let first = alice.creates("Add a door", "<p>Say hello.</p>");
    let second = alice.creates("Add a handle", "<p>To the door.</p>");
    ground.plane.blocks(&first, &second);
    ground.plane.person("alice").moves(&second, "To Analyse");
    let seen = ground.world.wait_blocker("ORCH-002", "DEP_OPEN");
    assert!(seen["blockers"].to_string().contains("a relation on the board"), "{seen}");
    ground.plane.person("alice").moves(&first, "To Analyse");
    ground.plane.until_status(&first, "In Review");
    ground.still();
    assert_eq!(ground.runs("analyst"), 1, "the second one waits");
    let seen = ground.world.wait_blocker("ORCH-002", "DEP_OPEN");
    assert!(seen["blockers"].to_string().contains("it waits for ORCH-001"), "{seen}");
    ground.plane.person("alice").moves(&first, "STOP");
    ground.plane.until_status(&second, "In Review");
    assert_eq!(ground.runs("analyst"), 2);
}

/// A server that knows no relations is asked once, and nothing waits for it.
#[test]
fn a_board_that_tells_no_relations_is_not_asked_again_and_again() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.plane.person("alice").moves(&issue, "Approved");
    ground.until_stage("ORCH-001", "deploy");
    let asked = ground.plane.asked();
    assert_eq!(asked.iter().filter(|(_, path, _)| path.contains("/relations/")).count(), 1);
}

/// One that knows them and fails is asked again: what a task waits for is never taken for nothing.
#[test]
fn relations_that_cannot_be_read_are_asked_for_again() {
    let mut ground = Ground::laid_out("orch", "");
    let alice = ground.plane.person("alice");
    let first = alice.creates("Add a door", "<p>Say hello.</p>");
    let second = alice.creates("Add a handle", "<p>To the door.</p>");
    ground.plane.blocks(&first, &second);
    ground.plane.fault(Fault {
        method: "GET",
        path: "relations/",
        times: 3,
        kind: Kind::Status(503, json!({"error": "down"})),
    });
    ground.world.start();
    ground.plane.person("alice").moves(&second, "To Analyse");
    ground.world.wait_blocker("ORCH-002", "DEP_OPEN");
    assert_eq!(ground.runs("analyst"), 0);
}
