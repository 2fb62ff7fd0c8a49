//! B-Q 7: how long an answer about a program counts.

use super::*;
use crate::engine::model::RunEnd;
use crate::shell::door::tests::World;
use crate::shell::store::Claim;

const PROGRAM: &str = "true";

#[tokio::test]
async fn b_q_7_an_answer_counts_for_45_s_and_is_asked_for_again() {
    let world = World::new("").await;
    let rules = world.service.projects.get("shop").unwrap().rules();
    let cache = rules.preflight.unwrap().cache;
    assert_eq!(cache, Millis::secs(45), "what is shipped");
    let commands = Commands::default();
    let known = |forced: i64, now: i64| commands.known(PROGRAM, cache, Millis(forced), Millis(now));
    assert_eq!(known(0, 0), (Preflight::Unknown, true), "nobody has looked");
    commands.note(PROGRAM, cache, Ok(()), Millis(1_000));
    assert_eq!(known(0, 1_000), (Preflight::Good, false));
    assert_eq!(known(0, 45_999), (Preflight::Good, false));
    assert_eq!(known(0, 46_000), (Preflight::Unknown, true), "nothing is claimed on an old answer");
    assert_eq!(known(0, 999), (Preflight::Unknown, true), "the clock was put back");
    assert_eq!(
        known(1_001, 2_000),
        (Preflight::Unknown, true),
        "it is half open since a moment that is later"
    );
    assert_eq!(known(1_000, 2_000), (Preflight::Good, false));
    assert_eq!(
        commands.due(Millis(2_000)),
        None,
        "a good one is looked at when somebody asks for it"
    );

    let bad = |since: i64| Preflight::Bad {
        why: "gone".to_owned(),
        since: Millis(since),
    };
    for at in [3_000, 60_000] {
        commands.note(PROGRAM, cache, Err("gone".to_owned()), Millis(at));
        assert_eq!(known(0, at + 44_999), (bad(3_000), false), "not asked over and over");
        assert_eq!(known(0, at + 45_000), (bad(3_000), true), "held back until it is known to be good");
        assert_eq!(
            commands.due(Millis(at)),
            Some(Millis(at + 45_000)),
            "it is looked at again by itself"
        );
    }
    assert_eq!(
        commands.unusable().into_iter().next(),
        Some((PROGRAM.to_owned(), "gone".to_owned()))
    );
    commands.note(PROGRAM, cache, Ok(()), Millis(200_000));
    assert_eq!(known(0, 200_000), (Preflight::Good, false));
}

/// What is known of the command of the task's waiting job: whether it can be used, and whether a look is due.
async fn of(world: &World, task: TaskId) -> (JobId, Known) {
    let view = world.service.store.queue(clock::now()).await.unwrap();
    let rules = world.service.projects.get("shop").unwrap().rules();
    let job = view.waiting.iter().find(|job| job.task == task).unwrap().id;
    let known = of_waiting(&world.service, &view, |_| Some(Arc::clone(&rules)))
        .remove(&job)
        .unwrap();
    (job, known)
}

/// B-Q 7, B-Q 8: however fresh the answer is, the probe of a half-open breaker begins with another look.
#[tokio::test]
async fn b_q_7_a_half_open_breaker_asks_for_a_look_of_its_own() {
    let world = World::with("max_concurrency = 3", "\"breaker.failures\" = 1\n\"breaker.pause\" = \"1s\"", "").await;
    let (first, waits) = (world.queued("developer").await.id, world.queued("developer").await.id);
    let (job, known) = of(&world, first).await;
    let failed = clock::now().plus(Millis::secs(-10));
    let claim = Claim {
        job,
        nonce: "n".to_owned(),
        checkout: "c".to_owned(),
        guard: Some(known.guard),
        seen: 0,
        repo: None,
        now: failed,
    };
    let run = world.service.store.claim(claim).await.unwrap();
    let weather = RunEnd::Transient {
        detail: "429".to_owned(),
        retry_after: None,
    };
    // Opened ten seconds ago for one: half open for nine.
    assert!(world.service.store.end_run(run.id, weather, None, None, failed).await.unwrap());
    let note = |at: Millis| world.service.commands.note(PROGRAM, Millis::secs(45), Ok(()), at);
    note(failed.plus(Millis(500)));
    let (_, known) = of(&world, waits).await;
    assert_eq!(known.command.preflight, Preflight::Unknown, "seen before it was half open");
    assert!(known.look.is_some());
    note(clock::now());
    let (_, known) = of(&world, waits).await;
    assert_eq!(known.command.preflight, Preflight::Good);
    assert!(known.look.is_none());
}
