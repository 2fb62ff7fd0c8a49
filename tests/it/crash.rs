//! The service dies at a named place, on the whole way through orch; it starts again and comes
//! to the same end, with nothing paid for twice.

use crate::scenarios::{same_end, undisturbed};
use crate::world::{Mode, Scenario, World, check, play};

/// Plays the main scenario with the service dying at the `nth` passage of `point`.
fn dies_at(point: &str, nth: u32) {
    let scenario = Scenario::load("orch_whole_way");
    let mut world = World::new(&scenario.setup());
    world.crash = Some(format!("{point}:{nth}"));
    world.crash_once = true;
    assert!(play(&mut world, &scenario, Mode::Crashed), "played");
    let outcome = world.outcome();
    check(&scenario, &outcome, &world);
    assert_eq!(world.starts, 2, "it dies once at {point}");
    world.nothing_is_left();
    let log = world.log();
    same_end(
        &undisturbed("orch_whole_way").0,
        &outcome,
        &format!("orch_whole_way, dead at {point}"),
        &log,
    );
}

macro_rules! points {
    ($($name:ident: $point:literal, $nth:literal;)*) => {
        $(#[test]
        fn $name() {
            dies_at($point, $nth);
        })*
    };
}

points! {
    after_a_claim: "claimed", 3;
    before_the_spawn: "before-spawn", 3;
    after_the_spawn: "spawned", 3;
    after_the_exit: "exited", 3;
    while_settling: "settling", 2;
    after_the_push_before_the_end: "before-end", 3;
    after_the_end: "ended", 3;
    in_the_middle_of_the_end: "finish", 3;
    between_two_effects: "effect", 9;
    with_a_merge_intended: "intent", 1;
    with_the_merge_done_and_not_noted: "merged-on-disk", 1;
    with_the_merge_done: "merged", 1;
    before_the_merge_is_reported: "acted", 1;
    before_the_clean_up: "processes-gone", 1;
    after_the_clean_up: "cleaned", 1;
}

/// A claim that the service died of before anything was begun is no try: nobody is told of an earlier one.
#[test]
fn b_q_9_what_never_began_is_no_earlier_try() {
    for point in ["claimed", "before-spawn"] {
        let scenario = Scenario::load("agent_crashes");
        let mut world = World::new(&scenario.setup());
        world.crash = Some(format!("{point}:1"));
        world.crash_once = true;
        assert!(play(&mut world, &scenario, Mode::Crashed), "played");
        assert_eq!(world.count("SELECT COUNT(*) FROM runs WHERE slot = 'developer'"), 3, "{point}");
        assert_eq!(world.count("SELECT MAX(attempts) FROM jobs WHERE slot = 'developer'"), 2, "{point}");
    }
}

/// Every place of a stop, at its first passage.
#[test]
fn at_every_place_of_a_stop() {
    for point in ["processes-gone", "branch-gone", "cleaned", "effect"] {
        let scenario = Scenario::load("stop_running");
        let mut world = World::new(&scenario.setup());
        world.crash = Some(format!("{point}:1"));
        world.crash_once = true;
        assert!(play(&mut world, &scenario, Mode::Crashed), "played");
        let outcome = world.outcome();
        check(&scenario, &outcome, &world);
        assert_eq!(world.starts, 2, "it dies once at {point}");
        world.nothing_is_left();
        let log = world.log();
        same_end(
            &undisturbed("stop_running").0,
            &outcome,
            &format!("stop_running, dead at {point}"),
            &log,
        );
    }
}

/// ★ All named steps in a loop, at their first passages.
#[test]
#[ignore = "minutes: every step of the main scenario"]
fn every_step_in_a_loop() {
    let steps = [
        "event",
        "claimed",
        "before-spawn",
        "spawned",
        "exited",
        "settling",
        "before-end",
        "finish",
        "ended",
        "effect",
    ];
    for step in steps {
        for nth in 1..=4 {
            dies_at(step, nth);
        }
        println!("{step}: died at its first four passages, the same end each time");
    }
    for step in ["intent", "merged-on-disk", "merged", "acted"] {
        dies_at(step, 1);
    }
}
