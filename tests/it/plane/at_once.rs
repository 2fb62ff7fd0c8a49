//! One delivery, told by many at the same time.

use std::time::{Duration, Instant};

use super::*;
use crate::world::LONG;
use crate::world::plane::{post, sign};

/// Posts the very same delivery fifty times at once.
fn fifty(ground: &Ground, event: &str, body: &str) {
    ground
        .world
        .until("its webhook", || std::net::TcpStream::connect(ground.hook).is_ok());
    let (to, signature) = (ground.hook, sign(SECRET, body.as_bytes()));
    let together = std::sync::Barrier::new(50);
    std::thread::scope(|scope| {
        let one = || {
            together.wait();
            post(to, event, body, Some(&signature)).expect("an answer")
        };
        let all: Vec<_> = (0..50).map(|_| scope.spawn(one)).collect();
        for answered in all {
            assert_eq!(answered.join().expect("a status"), 200);
        }
    });
}

/// ★ I7: the same delivery fifty times at once, and again after a restart, is one event.
#[test]
fn the_same_delivery_fifty_times_at_once_and_after_a_restart_is_one_event() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.still();
    let from = ground.plane.deliveries().len();
    ground.plane.hooks(Hooks::Lost);
    ground.plane.person("alice").moves(&issue, "Approved");
    let mut made = ground.plane.deliveries().split_off(from);
    assert_eq!(made.len(), 1, "{made:?}");
    let (event, body) = made.remove(0);
    let digest = ground.world.count("SELECT COALESCE(MAX(id), 0) FROM deliveries");
    let taken = |ground: &Ground| {
        let sql = format!("SELECT COUNT(*) FROM deliveries WHERE id > {digest} AND CAST(body AS TEXT) LIKE '%Approved%'");
        ground.world.count(&sql)
    };
    let acts = |ground: &Ground| ground.world.count("SELECT COUNT(*) FROM inbox WHERE actor LIKE '{\"person\"%'");
    let before = acts(&ground);
    fifty(&ground, &event, &body);
    ground.until_stage("ORCH-001", "deploy");
    ground.plane.until_status(&issue, "Awaiting Deploy");
    ground.still();
    assert_eq!((taken(&ground), acts(&ground) - before), (1, 1));
    let (begun, events) = (ground.world.begun().len(), ground.world.count("SELECT COUNT(*) FROM inbox"));
    ground.world.kill();
    ground.world.start();
    fifty(&ground, &event, &body);
    ground.still();
    assert_eq!((taken(&ground), acts(&ground) - before), (1, 1), "after a restart, too");
    assert_eq!(ground.world.begun().len(), begun);
    assert_eq!(ground.world.count("SELECT COUNT(*) FROM inbox"), events);
    assert_eq!(ground.stage("ORCH-001"), "deploy");
}

/// ★ I8: what was said and shown on the board, and not written down before the service died, is found there and not done again.
#[test]
fn what_the_board_has_is_not_done_again_after_a_kill() {
    let played = |nth: Option<u32>| {
        let mut ground = Ground::laid_out("orch", "");
        ground.world.crash = nth.map(|nth| format!("effect:{nth}"));
        ground.world.crash_once = true;
        ground.world.start();
        let issue = ground.started("Add a greeting");
        ground.world.wait_blocker("ORCH-001", "APPROVAL_WAIT");
        let starts = 1 + u32::from(nth.is_some());
        // It may have that death before it, and whoever is dead takes no delivery: asking starts it again.
        let begun = Instant::now();
        while ground.world.starts < starts && begun.elapsed() < LONG {
            ground.world.get("/health");
            std::thread::sleep(Duration::from_millis(10));
        }
        ground.still();
        assert_eq!(ground.world.starts, starts, "it dies once at effect {nth:?}");
        assert_eq!(ground.runs("analyst"), 1, "effect {nth:?}: paid once");
        (ground.plane.comments(&issue).len(), ground.plane.moves(&issue))
    };
    let plain = played(None);
    assert!(plain.0 >= 2, "{plain:?}");
    for nth in 1..=3 {
        assert_eq!(played(Some(nth)), plain, "dead at effect {nth}");
    }
}

/// ★ A STOP in the same moment as an approval is told: whichever is first, the stop is carried out and nothing follows it.
#[test]
fn a_stop_and_an_approval_in_the_same_moment_end_in_the_stop() {
    let mut ground = Ground::new("orch", "[developer]\ndo = [\"hang\"]");
    for n in 1..=4 {
        let (item, title) = (format!("ORCH-00{n}"), format!("Add a greeting, {n}"));
        let issue = ground.asked(&title);
        ground.still();
        let from = ground.plane.deliveries().len();
        ground.plane.hooks(Hooks::Lost);
        ground.plane.person("alice").moves(&issue, "Approved");
        let (event, body) = ground.plane.deliveries().split_off(from).remove(0);
        ground.plane.hooks(Hooks::To(ground.hook));
        let (to, signature) = (ground.hook, sign(SECRET, body.as_bytes()));
        let (together, ground_now) = (std::sync::Barrier::new(2), &ground);
        std::thread::scope(|scope| {
            let told = scope.spawn(|| {
                together.wait();
                post(to, &event, &body, Some(&signature)).expect("an answer")
            });
            together.wait();
            let answer = ground_now
                .world
                .post(&format!("/api/tasks/{item}/stop"), &json!({}))
                .expect("an answer");
            assert!(answer.ok(), "{answer:?}");
            assert_eq!(told.join().expect("a status"), 200);
        });
        ground.world.wait_mode(&item, "cancelled");
        ground.still();
        assert_eq!(ground.world.show(&item)["task"]["mode"], "cancelled", "and stays so");
        let open = "SELECT COUNT(*) FROM runs WHERE state <> 'ended'";
        assert_eq!(ground.world.count(open), 0, "{}", ground.world.tail());
        let agents = ground.world.processes();
        assert!(!agents.iter().any(|(_, line)| line.contains("scripted-agent")), "{agents:?}");
    }
    ground.plane.hooks(Hooks::Lost);
    ground.still();
    ground.world.nothing_is_left();
}
