//! Words of people reach the agents: what stands in the prompts of a whole service.

use std::time::Duration;

use signalbox::engine::model::{Actor, FreezeLevel, Mode, Role, Task, Via};

use super::house::{House, Running, boss};

/// What an agent that is held waits for: beside the agents' record.
const GO: &str = "go";
/// Longest wait for an agent.
const LONG: Duration = Duration::from_secs(300);
/// The analyst asks; its second run waits for a file `go`.
const ASKS: &str = "[agents.analyst]\ndo = [\"questions\", \"held\"]\n";

fn bob() -> Actor {
    Actor::Person {
        name: "bob".to_owned(),
        via: Via::Cli,
        roles: vec![Role::Viewer, Role::Operator, Role::Approver],
    }
}

/// The prompt of the newest run of `agent`.
async fn prompt(house: &House, running: &Running, task: &Task, agent: &str) -> String {
    let runs = running.service.store.runs(task.id).await.expect("the store");
    let run = runs.iter().filter(|r| r.slot == agent).map(|r| r.id).max().expect("a run");
    std::fs::read_to_string(house.path(&format!("data/runs/{run}/prompt.md"))).expect("its prompt")
}

/// Bob comments: the command for an answer is refused while no question is open.
async fn comments(running: &Running, item: &str, text: &str) {
    running.service.issue_comment(item, text, bob()).await.expect("heard");
}

async fn says(running: &Running, item: &str, actor: Actor, signal: &str, text: Option<&str>) {
    running.service.signal(item, signal, text, actor).await.expect("heard");
}

/// Waits until that many runs of the agent have begun, prompts and all.
async fn at_work(house: &House, running: &Running, item: &str, agent: &str, runs: usize) -> Task {
    let begun = || house.ledger().iter().filter(|(a, phase, _)| a == agent && phase == "start").count();
    let end = tokio::time::Instant::now() + LONG;
    while begun() < runs {
        assert!(
            tokio::time::Instant::now() < end,
            "{agent} did not begin {runs} times: {:?}",
            house.ledger()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    running.task(item).await.expect("the task")
}

/// B-START 6: both answers stand in the prompt of the run that had not begun, one that came later in that of the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b_start_6_every_answer_stands_in_a_prompt() {
    let house = House::new("orch", "", "", "", ASKS);
    let running = house.start().await;
    let item = running.new_task("Paint it").await;
    running.until(&item, "asking", |t| t.control.mode == Mode::Question).await;
    // Nothing starts now: the answers come before the run, however slow they are.
    let held = running.service.freeze(None, FreezeLevel::All, "people talk", &boss()).await;
    held.expect("frozen");
    says(&running, &item, boss(), "answer", Some("A: red")).await;
    running.until(&item, "answered", |t| t.ledger.said.len() == 1).await;
    comments(&running, &item, "B: size 5").await;
    running.until(&item, "answered twice", |t| t.ledger.said.len() == 2).await;
    running
        .service
        .unfreeze(None, Some("they are done"), &boss())
        .await
        .expect("thawed");
    let task = at_work(&house, &running, &item, "analyst", 2).await;
    let first = prompt(&house, &running, &task, "analyst").await;
    let at = |words: &str| first.find(words).unwrap_or_else(|| panic!("{words}: {first}"));
    let places = ["ann answered", "A: red", "bob answered", "B: size 5"].map(at);
    assert!(places.is_sorted(), "{first}");

    comments(&running, &item, "and round").await;
    running.until(&item, "answered late", |t| t.ledger.said.len() == 3).await;
    house.write(GO, "");
    running
        .until(&item, "written", |t| t.control.stage == "analysis" && !t.ledger.cards.is_empty())
        .await;
    says(&running, &item, boss(), "approve", None).await;
    let task = at_work(&house, &running, &item, "architect", 1).await;
    let next = prompt(&house, &running, &task, "architect").await;
    assert!(next.contains("and round") && next.contains("bob answered"), "{next}");
    assert!(!next.contains("A: red") && !next.contains("B: size 5"), "{next}");
    running.end(&item).await;
    running.close().await;
}

/// B-ADV: the reason of a rejection is passed to the agent, however fast the next one comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reason_of_a_rejection_stands_in_the_prompt() {
    let house = House::new("orch", "", "", "", "");
    let running = house.start().await;
    let item = running.new_task("Paint it").await;
    let shown = |t: &Task| !t.ledger.cards.is_empty();
    running.until(&item, "written", shown).await;
    let held = running.service.freeze(None, FreezeLevel::All, "people talk", &boss()).await;
    held.expect("frozen");
    for (n, (who, why)) in [(boss(), Some("ONE")), (bob(), Some("TWO"))].into_iter().enumerate() {
        says(&running, &item, who, "reject", why).await;
        running.until(&item, "sent back", |t| t.ledger.said.len() == n + 1).await;
    }
    running
        .service
        .unfreeze(None, Some("they are done"), &boss())
        .await
        .expect("thawed");
    let task = running.until(&item, "written again", shown).await;
    let text = prompt(&house, &running, &task, "analyst").await;
    let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words}: {text}"));
    let places = ["ann rejected", "ONE", "bob rejected", "TWO"].map(at);
    assert!(places.is_sorted(), "{text}");
    running.end(&item).await;
    running.close().await;
}
