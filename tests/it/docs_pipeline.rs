//! The pipeline `docs`, end to end: two reviewers side by side, a day to cool down.

use std::time::{Duration, Instant};

use signalbox::engine::model::{At, Body, Millis, Name, Phase, SlotState, Task};

use super::house::House;
use crate::world::LONG;

/// The reviewer of style asks for changes once. Where both are to be seen at work together they are held the second time,
/// for one may begin long after the other.
fn one_change(at_a_time: u32) -> String {
    let last = if at_a_time > 1 { "held" } else { "slow:50" };
    format!("[agents.style]\ndo = [\"changes\", \"{last}\"]\n[agents.accuracy]\ndo = [\"slow:50\", \"{last}\"]\n")
}

/// Lets the reviewers go, once both have begun for the second time.
async fn let_go(house: &House) {
    let begun = Instant::now();
    let again = |who: &str| {
        let ledger = house.ledger().into_iter();
        ledger.filter(|(agent, phase, _)| agent == who && phase == "start").count() == 2
    };
    while !(again("style") && again("accuracy")) {
        assert!(begun.elapsed() < LONG, "not both are at work: {:?}", house.ledger());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    house.write("go", "");
}

fn done(task: &Task) -> bool {
    task.control.phase == Phase::Done
}

fn cooling(task: &Task) -> bool {
    task.control.stage == "cooling" && task.control.at == At::Gates
}

fn house(at_a_time: u32, wait: &str, script: &str) -> House {
    let top = format!("max_concurrency = {at_a_time}");
    House::new("docs", &top, "", &format!("\"gates.day.wait.for\" = \"{wait}\""), script)
}

/// Whether two reviews were at work at the same time.
fn overlapped(house: &House) -> bool {
    let mut open = 0;
    for (agent, phase, _) in house.ledger() {
        if agent == "writer" {
            continue;
        }
        open += if phase == "start" { 1 } else { -1 };
        if open > 1 {
            return true;
        }
    }
    false
}

/// One request for changes by one of two reviewers, a restart while it cools down; then published.
async fn all_the_way(at_a_time: u32) -> House {
    let house = house(at_a_time, "3s", &one_change(at_a_time));
    let running = house.start().await;
    let item = running.new_task("Say how to begin").await;
    if at_a_time > 1 {
        let_go(&house).await;
    }
    let task = running.until(&item, "cooling down", cooling).await;
    assert_eq!(task.control.counters["rework"], 1, "one of two asked for changes, once");
    assert!(task.ledger.passed.contains_key("review"));
    let since = task.ledger.visit.entered_at;
    running.close().await;

    let running = house.start().await;
    let task = running.until(&item, "published", done).await;
    let entered = running.steps(&item, |b| matches!(b, Body::Entered { .. })).await;
    let stages: Vec<&str> = entered.iter().map(|s| s.stage_after.as_str()).collect();
    assert_eq!(stages, ["draft", "review", "draft", "review", "cooling", "publish", "done"]);
    let cooled = entered[5].at.since(since);
    assert!(cooled >= Millis::secs(3), "it cooled down for {cooled:?} only");
    assert!(task.control.slots.values().all(|s| s.state == SlotState::Ok));
    for file in ["style.md", "accuracy.md"] {
        let text = house.published(&format!("docs/work-items/{item}/{file}"));
        assert!(text.contains("verdict: \"OK\""), "{file}: {text}");
    }
    assert!(
        house.published(&format!("src/feature-{item}.txt")).lines().count() == 2,
        "two rounds of writing"
    );
    let runs = running.service.store.runs(task.id).await.unwrap();
    assert_eq!(runs.len(), 6, "nothing was paid for twice");
    running.close().await;
    house
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_reviewers_at_the_same_time() {
    let house = all_the_way(2).await;
    assert!(overlapped(&house), "{:?}", house.ledger());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_reviewers_one_after_the_other() {
    let house = all_the_way(1).await;
    assert!(!overlapped(&house), "{:?}", house.ledger());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_outlives_a_restart() {
    let house = house(2, "24h", "");
    let running = house.start().await;
    let item = running.new_task("Say how to begin").await;
    let before = running.until(&item, "cooling down", cooling).await;
    let due = before.ledger.visit.entered_at.plus(Millis::secs(24 * 3600));
    let timers = vec![(Name::new("day"), due)];
    assert_eq!(running.service.store.timers(before.id).await.unwrap(), timers);
    running.close().await;

    let running = house.start().await;
    assert_eq!(
        running.service.store.timers(before.id).await.unwrap(),
        timers,
        "a restart neither loses nor shifts it"
    );
    assert!(cooling(&running.task(&item).await.unwrap()));
    // What wakes the task tomorrow; the gate goes by the event's time.
    running.service.store.fire_timers(due).await.unwrap();
    running.until(&item, "published", done).await;
    running.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_reviewer_leaves_unwritten_is_asked_of_that_one() {
    let house = house(2, "10ms", "[agents.accuracy]\ndo = [\"stale_verdict\", \"ok\"]\n");
    let running = house.start().await;
    let item = running.new_task("Say how to begin").await;
    let task = running.until(&item, "published", done).await;
    let runs = running.service.store.runs(task.id).await.unwrap();
    let of = |slot: &str| runs.iter().filter(|r| r.slot == *slot).count();
    assert_eq!((of("writer"), of("style"), of("accuracy")), (1, 1, 2));
    running.close().await;
}
