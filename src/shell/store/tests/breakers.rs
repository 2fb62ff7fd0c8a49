//! What a claim is checked against in its own transaction: the breaker of its command, and its usage limit.

use super::*;
use crate::engine::breaker::Limits;
use crate::engine::budget::Budget;

const HOUR: i64 = 3_600_000;

/// The claim of the task's one job for the command `claude`; its breaker, if there is one, opens at the first failure.
async fn claimed(world: &World, task: &Task, breaker: bool, now: Millis) -> Result<RunRow> {
    let limits = breaker.then_some(Limits {
        failures: 1,
        pause: Millis::secs(60),
    });
    let guard = Guard {
        command: "claude".to_owned(),
        limits,
        budget: Budget::default(),
    };
    let job = world.only_job(task).await;
    let claim = Claim {
        guard: Some(guard),
        now,
        ..claim(job.id, &format!("t{}", task.id))
    };
    world.store.claim(claim).await
}

async fn ended(world: &World, run: &RunRow, end: RunEnd, now: Millis) {
    assert!(world.store.end_run(run.id, end, None, None, now).await.unwrap());
}

/// B-Q 8: the probe is one until it is settled, whatever happens to the clock meanwhile.
#[tokio::test]
async fn b_q_8_a_probe_that_is_being_settled_is_one_when_the_clock_is_set() {
    for by in [HOUR, -HOUR] {
        let world = World::new().await;
        let mut tasks = Vec::new();
        for n in 1..=3 {
            tasks.push(world.task(&format!("i{n}"), n).await);
        }
        let first = claimed(&world, &tasks[0], true, at(10)).await.unwrap();
        let weather = RunEnd::Transient {
            detail: "overloaded".to_owned(),
            retry_after: None,
        };
        ended(&world, &first, weather, at(20)).await;
        assert_eq!(
            claimed(&world, &tasks[1], true, at(60_019)).await,
            Err(StoreError::Conflict),
            "it is open"
        );
        let probe = claimed(&world, &tasks[1], true, at(60_020)).await.unwrap();
        world.store.run_exited(probe.id, serde_json::json!({}), at(60_030)).await.unwrap();
        world.store.shift(Millis(by), at(60_030), "boot", by).await.unwrap();
        let kept = world.store.run(probe.id).await.unwrap().unwrap().claimed_at;
        assert_eq!(kept, probe.claimed_at, "its commits are made with it");
        let now = at(60_040 + by.max(0));
        let breakers = world.store.queue(T0).await.unwrap().breakers;
        assert_eq!(breakers["claude"].probe, Some(probe.id));
        let half_open = at(60_040 + by);
        assert_eq!(
            claimed(&world, &tasks[2], true, now.max(half_open)).await,
            Err(StoreError::Conflict),
            "one probe at a time"
        );
        ended(&world, &probe, RunEnd::Ok, now).await;
        claimed(&world, &tasks[2], true, now).await.unwrap();
    }
}

/// B-Q 4: the usage limit suspends the command for those, too, whose rules switch the breaker off.
#[tokio::test]
async fn b_q_4_a_usage_limit_holds_without_a_breaker() {
    let world = World::new().await;
    let (one, two) = (world.task("i1", 1).await, world.task("i2", 2).await);
    let run = claimed(&world, &one, false, at(10)).await.unwrap();
    let limited = RunEnd::Limited {
        detail: "resets 15:45".to_owned(),
        until: at(HOUR),
    };
    ended(&world, &run, limited, at(20)).await;
    assert_eq!(world.store.breaker_due(at(20)).await.unwrap(), Some(at(HOUR)));
    for breaker in [false, true] {
        assert_eq!(claimed(&world, &two, breaker, at(HOUR - 1)).await, Err(StoreError::Conflict));
    }
    let told: i64 = glance(
        world.dir.path(),
        "SELECT COUNT(*) FROM outbox WHERE kind = 'alert' AND effect LIKE '%usage limit%'",
    );
    assert_eq!(told, 1);
    claimed(&world, &two, false, at(HOUR)).await.unwrap();
}

/// The task's one job waits for the end of a usage limit of an hour, as the engine has it wait.
async fn suspended(world: &World, task: &Task, now: Millis) -> JobId {
    let run = claimed(world, task, false, now).await.unwrap();
    let limited = RunEnd::Limited {
        detail: "resets 15:45".to_owned(),
        until: at(HOUR),
    };
    ended(world, &run, limited, now).await;
    requeued(world, task, at(HOUR)).await;
    run.job
}

/// The task's one job is put back until then.
async fn requeued(world: &World, task: &Task, available_at: Millis) {
    let current = world.store.task(task.id).await.unwrap().unwrap();
    let back = Decision::Requeue {
        visit: 1,
        slot: "analyst".into(),
        available_at,
        why: "it waits".to_owned(),
    };
    world.decide(&current, vec![back]).await;
}

/// B-Q 4: the usage limit suspends the command. Where it is lifted, those wait no longer who met it; whoever waits for something else does.
#[tokio::test]
async fn b_q_4_lifting_a_usage_limit_frees_the_jobs_that_met_it() {
    let world = World::new().await;
    let (one, two) = (world.task("i1", 1).await, world.task("i2", 2).await);
    let job = suspended(&world, &one, at(10)).await;
    let other = world.only_job(&two).await;
    requeued(&world, &two, at(HOUR)).await;
    assert_eq!(world.store.promote(at(20)).await.unwrap(), 0);
    assert_eq!(world.store.close_breaker("no-such", at(20)).await.unwrap(), None);
    assert_eq!(world.store.close_breaker("claude", at(20)).await.unwrap(), Some(true));
    assert_eq!(world.store.promote(at(20)).await.unwrap(), 1, "one of them");
    let state = async |task: &Task| world.only_job(task).await.state;
    assert_eq!((state(&one).await, state(&two).await), (JobState::Queued, JobState::Scheduled));
    assert_eq!((world.only_job(&one).await.id, world.only_job(&two).await.id), (job, other.id));
    assert_eq!(
        world.store.close_breaker("claude", at(20)).await.unwrap(),
        Some(false),
        "idempotent"
    );
    claimed(&world, &one, false, at(20)).await.unwrap();
}

/// A run that began before the limit says nothing about it: whoever waits for its end waits on.
#[tokio::test]
async fn b_q_4_a_good_run_from_before_a_usage_limit_frees_nobody() {
    let world = World::new().await;
    let (one, two) = (world.task("i1", 1).await, world.task("i2", 2).await);
    let earlier = claimed(&world, &two, true, at(5)).await.unwrap();
    suspended(&world, &one, at(10)).await;
    ended(&world, &earlier, RunEnd::Ok, at(20)).await;
    assert_eq!(world.store.promote(at(20)).await.unwrap(), 0);
    assert_eq!(world.store.breaker_due(at(20)).await.unwrap(), Some(at(HOUR)));
    assert_eq!(world.store.promote(at(HOUR)).await.unwrap(), 1, "its end does");
}
