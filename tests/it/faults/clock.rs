//! ★ The wall clock is set by an hour, either way, while runs are at work and jobs wait.

use serde_json::Value as Json;

use super::{begun, world};
use crate::world::World;

const HOUR: i64 = 3_600_000;

/// Seconds that the job still waits for, as people are told.
fn wait(seen: &Json) -> Option<i64> {
    let all = seen["blockers"].as_array()?;
    let text = all.iter().find(|b| b["code"] == "BACKOFF")?["text"].as_str()?;
    let digits = |w: &str| w.trim_end_matches('s').parse().ok();
    text.split(|c: char| !c.is_alphanumeric()).filter_map(digits).next_back()
}

/// Sets the clock and waits until that was noticed; something has to happen for that to be soon.
fn set(world: &mut World, to: i64, nth: usize) {
    world.set_clock(to);
    world.new_task("Something happens");
    world.until("the new time", || world.log().matches("the wall clock was set").count() == nth);
}

#[test]
fn neither_leases_nor_back_off_nor_breakers_take_an_hour_on_paper_for_one() {
    let mut world = world(
        "[developer]\ndo = [\"held\"]\n[reviewer]\ndo = [\"429\"]",
        "\"serial_gate.enabled\" = false\n\"retry.base\" = \"300s\"\n\"retry.max\" = \"600s\"\n\"breaker.failures\" = 1\n\"breaker.pause\" = \"500s\"\n\
         [config]\nmax_concurrency = 9",
    );
    world.start();
    let waits = world.new_task("Waits for the weather");
    world.wait_agent(&waits, "developer", 1);
    world.let_go();
    world.wait_blocker(&waits, "BACKOFF");
    std::fs::remove_file(world.path("go")).expect("held again");
    let due = |world: &World| world.count("SELECT available_at FROM jobs WHERE state = 'scheduled'");
    let open = |world: &World| world.count("SELECT open_until FROM breakers");
    let (job, breaker) = (due(&world), open(&world));
    let close = |is: i64, was: i64, by: i64| (is - was - by).abs() < 5_000;
    for (nth, (to, by)) in [(HOUR, HOUR), (-HOUR, -2 * HOUR)].into_iter().enumerate() {
        set(&mut world, to, nth + 1);
        assert!(close(due(&world), job, to), "by {by}: {} after {job}", due(&world));
        assert!(close(open(&world), breaker, to), "by {by}: {} after {breaker}", open(&world));
        let seen = world.show(&waits);
        assert!(wait(&seen).is_none_or(|s| (1..=600).contains(&s)), "{}", seen["blockers"]);
        assert_eq!(begun(&world, &waits, "reviewer"), 1, "not tried again early");
    }
    // While nobody looked: it is noticed at the start.
    world.stop();
    world.set_clock(0);
    world.start();
    world.until("the new time", || world.log().matches("the wall clock was set").count() == 3);
    assert!(close(due(&world), job, 0), "{} after {job}", due(&world));
    assert_eq!(begun(&world, &waits, "reviewer"), 1);
    assert!(!world.log().contains("lost"), "nothing was rescued: {}", world.tail());
    world.let_go();
    world.nothing_is_left();
}
