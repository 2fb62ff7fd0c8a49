//! The queue as the service reads it: its order, and how much of a long one is looked at.

use super::*;
use crate::engine::model::{ActionIntent, Decision, JobKind, Millis, RunEnd, Slot};
use crate::shell::door::DoorError;
use crate::shell::door::tests::{World, everyone};
use crate::shell::store::JobState;

#[test]
fn b_q_2_first_in_first_out_among_projects_of_the_same_priority() {
    let job = |id: i64, project: &str| JobRow {
        id: JobId(id),
        task: TaskId(id),
        project: project.into(),
        visit: 1,
        slot: "developer".into(),
        kind: JobKind::Agent,
        stage: "development".into(),
        state: JobState::Queued,
        note: None,
        entry: false,
        attempts: 0,
        available_at: Millis(0),
        created_at: Millis(0),
        ended_at: None,
        why: None,
        run: None,
    };
    let rows = [job(1, "shop"), job(2, "site"), job(3, "urgent"), job(4, "shop"), job(5, "urgent")];
    let ids = |priority: fn(&Name) -> i32| ordered(&rows, priority).into_iter().map(|j| j.id.0).collect::<Vec<_>>();
    assert_eq!(ids(|_| 0), [1, 2, 3, 4, 5]);
    assert_eq!(ids(|p| if p == "urgent" { 5 } else { 0 }), [3, 5, 1, 2, 4]);
    assert_eq!(ids(|p| if p == "shop" { -1 } else { 0 }), [2, 3, 5, 1, 4]);
}

/// A long queue is read by its head: what is started, and in which order, is the same.
#[tokio::test]
async fn b_q_2_the_head_of_a_long_queue_starts_first_in_first_out_until_no_place_is_free() {
    for together in [1, 2, 64] {
        let set = "\"preflight.enabled\" = false\n\"serial_gate.enabled\" = false";
        let world = World::with("max_concurrency = 3", set, "").await;
        let mut tasks = Vec::new();
        for _ in 0..5 {
            tasks.push(world.queued("developer").await.id);
        }
        start_heads(&world.service, together).await.unwrap();
        let mut begun = Vec::new();
        for task in &tasks {
            begun.push(world.service.store.runs(*task).await.unwrap().first().map(|run| run.id.0));
        }
        assert_eq!(begun, [Some(1), Some(2), Some(3), None, None], "{together} together");
    }
}

/// The task's agent meets a usage limit of an hour: nothing more is started with its command.
async fn limited(world: &World, task: &Task) {
    let end = RunEnd::Limited {
        detail: "resets 15:45".to_owned(),
        until: clock::now().plus(Millis::secs(3600)),
    };
    run(world, task, end).await;
}

/// The task's agent runs, and ends so.
async fn run(world: &World, task: &Task, end: RunEnd) {
    let view = world.service.store.queue(clock::now()).await.unwrap();
    let known = commands::of_waiting(&world.service, &view, |_| Some(world.service.projects.get("shop").unwrap().rules()));
    let job = view.waiting.iter().find(|job| job.task == task.id).unwrap();
    let claim = Claim {
        job: job.id,
        nonce: "n".to_owned(),
        checkout: "c".to_owned(),
        guard: known.get(&job.id).map(|k| k.guard.clone()),
        seen: 0,
        repo: None,
        now: clock::now(),
    };
    let run = world.service.store.claim(claim).await.unwrap();
    assert!(world.service.store.end_run(run.id, end, None, None, clock::now()).await.unwrap());
}

/// Where many may not start, only so much of them is read at each look; whoever may start behind them is found when the
/// queue is read whole.
#[tokio::test]
async fn a_long_queue_that_may_not_start_is_not_read_to_its_end_at_each_look() {
    for held in [BARREN - 1, BARREN, 3 * BARREN] {
        let set = "\"preflight.enabled\" = false\n\"serial_gate.enabled\" = false\n\"agents.developer.run\" = [\"sh\"]";
        let world = World::with("max_concurrency = 3", set, "").await;
        let first = world.queued("developer").await;
        for _ in 0..held {
            world.queued("developer").await;
        }
        let last = world.queued("reviewer").await;
        limited(&world, &first).await;
        let begun = async || world.service.store.runs(last.id).await.unwrap().len();
        let reads = start_heads(&world.service, 1).await.unwrap();
        let (most, found) = if held < BARREN { (2 * BARREN, 1) } else { (BARREN, 0) };
        assert!(reads <= most, "{reads} reads of {held}");
        assert_eq!(begun().await, found, "{held} held");
        start_of_all(&world.service).await.unwrap();
        assert_eq!(begun().await, 1, "nobody is left waiting for good");
    }
}

/// B-Q 4: a usage limit holds back where the breaker is switched off, and says so.
#[tokio::test]
async fn b_q_4_a_usage_limit_is_told_where_the_breaker_is_switched_off() {
    for enabled in [false, true] {
        let set = format!("\"preflight.enabled\" = false\n\"breaker.enabled\" = {enabled}");
        let world = World::with("max_concurrency = 3", &set, "").await;
        let (first, waits) = (world.queued("reviewer").await, world.queued("reviewer").await);
        limited(&world, &first).await;
        let found = blockers(&world.service, std::slice::from_ref(&waits)).await.unwrap();
        let codes: Vec<Code> = found[&waits.id].iter().map(|b| b.code).collect();
        assert!(codes.contains(&Code::UsageLimit), "{set}: {codes:?}");
    }
}

/// The end of the task's run puts its job back for an hour.
async fn put_back(world: &World, task: &Task, why: &str) -> Task {
    let store = &world.service.store;
    let seq = store.pending().await.unwrap().remove(0).seq;
    let mut task = store.task(task.id).await.unwrap().unwrap();
    task.control.slots.insert("developer".into(), Slot::default());
    let before = (task.version, store.repo_by_id(task.repo).await.unwrap().version);
    let back = Decision::Requeue {
        visit: 1,
        slot: "developer".into(),
        available_at: clock::now().plus(Millis::secs(3600)),
        why: why.to_owned(),
    };
    let id = task.id;
    world.commit(seq, before, task, vec![back]).await;
    store.task(id).await.unwrap().unwrap()
}

/// What `why` says first of the task, and why it is not retried: the reason, and what helps.
async fn told(world: &World, task: &Task) -> (Blocker, String, String) {
    let found = blockers(&world.service, std::slice::from_ref(task)).await.unwrap();
    let first = found[&task.id][0].clone();
    match world.service.retry(&task.item, None, everyone()).await {
        Err(DoorError::NotNow { why, help }) => (first, why, help.unwrap_or_default()),
        other => panic!("{other:?}"),
    }
}

/// B-Q 4: whoever waits for the end of a usage limit is told what brings it forward, by `why` and where a retry is refused.
#[tokio::test]
async fn b_q_4_a_wait_for_the_end_of_a_usage_limit_names_what_ends_it() {
    let world = World::with("", "\"preflight.enabled\" = false", "").await;
    let task = world.queued("developer").await;
    limited(&world, &task).await;
    let task = put_back(&world, &task, "its limit is reached").await;
    let (first, why, help) = told(&world, &task).await;
    let remedy = "signalbox breaker close true    # or wait";
    assert_eq!((first.code, first.clear.as_deref()), (Code::Backoff, Some(remedy)));
    assert!(
        why.starts_with("SHOP-001 waits at development: developer is tried again in "),
        "{why}"
    );
    assert!(why.ends_with(": its limit is reached; nothing to retry"), "{why}");
    assert_eq!(help, remedy);
    let (store, now) = (&world.service.store, clock::now());
    assert_eq!(store.close_breaker("true", now).await.unwrap(), Some(true));
    assert_eq!(store.promote(now).await.unwrap(), 1, "what it names helps");
    let found = blockers(&world.service, std::slice::from_ref(&task)).await.unwrap();
    assert_eq!(found[&task.id], []);
}

/// B-Q 4: a wait for better weather is over by itself: no agent is at work, and a retry says so.
#[tokio::test]
async fn b_q_4_a_retry_of_a_task_that_is_tried_again_later_says_that_it_waits() {
    let world = World::with("", "\"preflight.enabled\" = false", "").await;
    let task = world.queued("developer").await;
    let weather = RunEnd::Transient {
        detail: "429".to_owned(),
        retry_after: None,
    };
    run(&world, &task, weather).await;
    let task = put_back(&world, &task, "429").await;
    let (first, why, help) = told(&world, &task).await;
    assert_eq!((first.code, first.clear), (Code::Backoff, None));
    assert!(why.contains("developer is tried again in ") && !why.contains("at work"), "{why}");
    assert_eq!(help, "it goes on by itself then: signalbox why SHOP-001");
}

/// An engine action that fails says why, how often, and when it is tried again; operators are called when it goes on so.
#[tokio::test]
async fn an_action_that_fails_says_why_and_when_it_is_tried_again() {
    let world = World::with("", "", "").await;
    let merge = ActionIntent {
        visit: 1,
        action: "merge".into(),
        sha: "a".repeat(40),
        subject: "s".to_owned(),
    };
    let running = |task: &mut Task| task.control.at = At::Action { index: 0, running: true };
    let task = world.task_with(running, vec![Decision::Create, Decision::Act(merge)]).await;
    let store = &world.service.store;
    let effects = store.outbox_open().await.unwrap();
    let row = effects.iter().find(|row| matches!(row.effect, Effect::Act(_))).unwrap().id;
    let shown = async || {
        let found = blockers(&world.service, std::slice::from_ref(&task))
            .await
            .unwrap()
            .remove(&task.id)
            .unwrap();
        assert_eq!(found.iter().map(|b| b.code).collect::<Vec<_>>(), [Code::ActionRunning]);
        (found[0].text.clone(), found[0].who)
    };
    assert_eq!(shown().await, ("its engine action is at work".to_owned(), Who::Itself));
    let why = "git commit-tree failed: No space left on device";
    for times in 1..=unsettled::QUIET + 1 {
        // Some time ahead: how long it takes until it is shown does not matter.
        store.effect_retry(row, why, clock::now().plus(Millis::secs(7200))).await.unwrap();
        let who = if times >= unsettled::QUIET { Who::Operator } else { Who::Itself };
        let text = format!("its engine action is at work; the merge has failed {times} time(s): {why}; the next try is in ");
        let (said, whom) = shown().await;
        assert!(said.starts_with(&text) && whom == who, "{said} {whom:?}");
    }
}

#[test]
fn projects_have_their_turn_by_priority() {
    let of = |priorities: &[(&str, i32)]| {
        let named: Vec<(Name, i32)> = priorities.iter().map(|(n, p)| (Name::new(n), *p)).collect();
        in_turn(named.iter().map(|(n, p)| (n, *p)))
    };
    let these = |names: &[&str]| Among::These(names.iter().map(|n| Name::new(n)).collect());
    let others = |names: &[&str]| Among::Others(names.iter().map(|n| Name::new(n)).collect());
    assert_eq!(of(&[("shop", 0)]), [others(&[])]);
    let all = of(&[("back", -1), ("shop", 0), ("urgent", 5), ("vip", 5)]);
    assert_eq!(
        all,
        [these(&["urgent", "vip"]), others(&["urgent", "vip", "back"]), these(&["back"])]
    );
}

/// B-ADV 2: agents write it without quotes, and YAML must not read a number in it.
#[tokio::test]
async fn b_adv_2_a_nonce_is_a_word_to_whoever_reads_it() {
    let world = crate::shell::door::tests::World::with("", "", "").await;
    for _ in 0..100 {
        let nonce = world.service.nonce();
        let text = format!("---\nrun: {nonce}\n---\n");
        assert!(nonce.starts_with('r') && nonce.len() == 20, "{nonce}");
        assert_eq!(crate::shell::front_matter::parse(text.as_bytes()).unwrap()["run"], nonce);
    }
}
