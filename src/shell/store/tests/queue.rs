//! The queue: claims are exclusive, whoever tries.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn of_many_claimants_one_gets_the_job() {
    let world = World::new().await;
    let mut jobs = Vec::new();
    for n in 1..=4 {
        let task = world.task(&format!("i{n}"), n).await;
        jobs.push(world.only_job(&task).await.id);
    }
    let mut calls = Vec::new();
    for n in 0..32 {
        for job in &jobs {
            let (store, claim) = (world.store.clone(), claim(*job, &format!("checkout-{job}-{n}")));
            calls.push(tokio::spawn(async move { store.claim(claim).await }));
        }
    }
    let mut won = Vec::new();
    for call in calls {
        match call.await.unwrap() {
            Ok(run) => won.push(run.job),
            Err(e) => assert_eq!(e, StoreError::Conflict),
        }
    }
    won.sort();
    assert_eq!(won, jobs);
    assert_eq!(world.store.open_runs().await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_checkout_holds_one_run_at_a_time() {
    let world = World::new().await;
    let (one, two) = (world.task("i1", 1).await, world.task("i2", 2).await);
    let run = world.claim(world.only_job(&one).await.id, "same").await.unwrap();
    let job = world.only_job(&two).await;
    assert_eq!(world.claim(job.id, "same").await, Err(StoreError::Conflict));
    assert_eq!(world.only_job(&two).await, job, "a refused claim leaves the job as it was");
    world.store.end_run(run.id, RunEnd::Lost, None, None, T0).await.unwrap();
    let next = world.claim(job.id, "same").await.unwrap();
    assert!(next.id > run.id);
    assert_eq!(
        (next.state, next.job, next.host.as_str(), next.claimed_at),
        (RunState::Starting, job.id, "box", at(10))
    );
}

/// A claim of which nothing was begun is no try; one that was begun is, even when it was lost.
#[tokio::test]
async fn b_q_9_a_claim_that_never_began_is_no_try_of_its_job() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let job = world.only_job(&task).await.id;
    let run = world.claim(job, "c").await.unwrap();
    assert_eq!(world.only_job(&task).await.attempts, 1);
    assert!(world.store.never_began(run.id, at(20)).await.unwrap());
    assert_eq!(world.only_job(&task).await.attempts, 0);
    assert_eq!(world.store.run(run.id).await.unwrap().unwrap().end, Some(RunEnd::Lost));
    assert!(!world.store.never_began(run.id, at(30)).await.unwrap(), "it had ended");
    assert_eq!(world.only_job(&task).await.attempts, 0);
}

/// What was put back waits; a service that starts anew tries it at once, and only that.
#[tokio::test]
async fn what_was_put_back_is_due_at_a_start() {
    let world = World::new().await;
    let (one, two) = (world.task("i1", 1).await, world.task("i2", 2).await);
    let wait = Some(Millis::secs(600));
    for (task, why) in [(&one, format!("{NOT_LAUNCHED}the key is refused")), (&two, "a limit".to_owned())] {
        let run = world.claim(world.only_job(task).await.id, &task.item).await.unwrap();
        assert!(world.store.put_back(run.id, &why, wait, at(20)).await.unwrap());
        assert_eq!(world.only_job(task).await.available_at, at(20).plus(Millis::secs(600)));
    }
    world.store.hurry_put_back(at(30)).await.unwrap();
    assert_eq!(world.only_job(&one).await.available_at, at(30));
    assert_eq!(world.only_job(&two).await.available_at, at(20).plus(Millis::secs(600)));
}

#[tokio::test]
async fn an_entry_writes_the_repository_or_nothing() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let job = world.only_job(&task).await;
    let mut seen = world.repo_now().await;
    seen.lane[0].inside = true;
    let stale = Repo {
        version: seen.version - 1,
        ..seen.clone()
    };
    let entry = |repo| Claim {
        guard: None,
        repo: Some(repo),
        ..claim(job.id, "c")
    };
    assert_eq!(world.store.claim(entry(stale)).await, Err(StoreError::Conflict));
    assert_eq!(world.counts(JobState::Queued).await, 1);
    world.store.claim(entry(seen.clone())).await.unwrap();
    let now = world.repo_now().await;
    assert_eq!(
        now,
        Repo {
            version: seen.version + 1,
            ..seen
        }
    );
    assert!(now.seat(task.id).unwrap().inside);
}

#[tokio::test]
async fn a_job_waits_for_its_time() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let later = JobSpec {
        available_at: at(5000),
        ..spec(1, "reviewer")
    };
    let task = world.decide(&task, vec![Decision::Enqueue(later)]).await;
    let job = world.store.jobs(task.id).await.unwrap().remove(1);
    assert_eq!((job.state, job.available_at), (JobState::Scheduled, at(5000)));
    assert_eq!(world.claim(job.id, "c").await, Err(StoreError::Conflict));
    assert_eq!(world.store.next_due().await.unwrap(), Some(at(5000)));
    assert_eq!(world.store.promote(at(4999)).await, Ok(0));
    assert_eq!(world.store.promote(at(5000)).await, Ok(1));
    assert_eq!(world.store.next_due().await.unwrap(), None);
    assert_eq!(
        world.claim(job.id, "c").await,
        Err(StoreError::Conflict),
        "the claim's own time decides"
    );
    world
        .store
        .claim(Claim {
            guard: None,
            now: at(5000),
            ..claim(job.id, "c")
        })
        .await
        .unwrap();
    assert_eq!(world.claim(JobId(99), "d").await, Err(StoreError::Gone));
}

#[tokio::test]
async fn the_view_shows_everything_once() {
    let world = World::new().await;
    let (one, two) = (world.task("i1", 1).await, world.task("i2", 2).await);
    let done = world.task("i3", 3).await;
    world.phase(&done, Phase::Done, vec![]).await;
    let run = world.running(&one).await;
    let view = world.store.queue(T0).await.unwrap();
    assert_eq!(view.waiting.iter().map(|j| j.task).collect::<Vec<_>>(), vec![two.id]);
    assert_eq!(
        view.running.iter().map(|j| (j.task, j.run, j.attempts)).collect::<Vec<_>>(),
        vec![(one.id, Some(run.id), 1)]
    );
    assert_eq!(view.tasks, vec![one, two.clone()]);
    assert_eq!(view.repos, vec![world.repo_now().await]);
    assert_eq!(view.open_runs, vec![run]);
    let counts: Vec<_> = view.counts.iter().map(|(state, n)| (state.as_str(), *n)).collect();
    assert_eq!(
        counts,
        vec![
            ("cancelled", 1),
            ("done", 0),
            ("failed", 0),
            ("queued", 1),
            ("running", 1),
            ("scheduled", 0)
        ]
    );
    assert_eq!(
        world.store.recent_jobs(2).await.unwrap().iter().map(|j| j.task).collect::<Vec<_>>(),
        vec![done.id, two.id]
    );
}

/// I5: a job that has ended stays so; the try after it, which its round turns out to need, is one of its own.
#[tokio::test]
async fn i5_a_job_that_has_ended_is_never_queued_again() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let run = world.running(&task).await;
    world.store.end_run(run.id, RunEnd::Ok, None, None, T0).await.unwrap();
    let slot = || crate::engine::model::Name::new("analyst");
    let (visit, why) = (1, "it wrote nothing".to_owned());
    let close = Decision::CloseJob {
        visit,
        slot: slot(),
        ok: true,
    };
    let again = Decision::Requeue {
        visit,
        slot: slot(),
        available_at: T0,
        why,
    };
    // In the step that ends it nobody has seen it as over.
    let task = world.decide(&task, vec![close.clone(), again.clone()]).await;
    assert_eq!(world.only_job(&task).await.state, JobState::Queued);
    let task = world.decide(&task, vec![close]).await;
    let ended = world.only_job(&task).await;
    assert_eq!(ended.state, JobState::Done);
    let seq = world.poke(&task).await;
    let mut step = world.step(&task, seq, vec![again]).await;
    step.now = step.now.plus(Millis(5));
    world.store.commit_step(step).await.unwrap();
    let jobs = world.store.jobs(task.id).await.unwrap();
    assert_eq!(jobs[0], ended);
    let next = &jobs[1];
    assert_eq!(
        (next.state, next.attempts, next.run, next.why.as_deref()),
        (JobState::Queued, 1, None, Some("it wrote nothing"))
    );
}

#[tokio::test]
async fn a_requeued_job_keeps_its_attempts_and_a_closed_one_stays_closed() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let run = world.running(&task).await;
    world.store.end_run(run.id, RunEnd::Lost, None, None, T0).await.unwrap();
    let back = |available_at| Decision::Requeue {
        visit: 1,
        slot: "analyst".into(),
        available_at,
        why: "lost".to_owned(),
    };
    let task = world.decide(&task, vec![back(at(7000))]).await;
    let job = world.only_job(&task).await;
    assert_eq!(
        (job.state, job.attempts, job.run, job.why.as_deref()),
        (JobState::Scheduled, 1, None, Some("lost"))
    );
    let task = world.decide(&task, vec![back(T0)]).await;
    let again = world.running(&task).await;
    assert!(again.id > run.id);
    assert_eq!(world.only_job(&task).await.attempts, 2);
    let close = |ok| Decision::CloseJob {
        visit: 1,
        slot: "analyst".into(),
        ok,
    };
    let task = world.decide(&task, vec![close(true)]).await;
    let task = world
        .decide(
            &task,
            vec![
                close(false),
                Decision::CloseJob {
                    visit: 9,
                    slot: "nobody".into(),
                    ok: true,
                },
            ],
        )
        .await;
    assert_eq!(world.only_job(&task).await.state, JobState::Done);
}

#[tokio::test]
async fn the_head_of_the_queue_has_what_the_whole_of_it_has() {
    let world = World::new().await;
    let mut all = Vec::new();
    for n in 1..=5 {
        all.push(world.task(&format!("i{n}"), n).await);
    }
    let run = world.running(&all[1]).await;
    let whole = world.store.queue(T0).await.unwrap();
    assert_eq!(
        world.store.crowd(9).await.unwrap(),
        Crowd {
            waiting: 4,
            runs: 1,
            notices: 0
        }
    );
    assert_eq!(world.store.crowd(3).await.unwrap().waiting, 3, "no more are counted than matters");
    let others = || Among::Others(vec!["site".into()]);
    let head = world.store.queue_head(others(), JobId(0), 2, T0).await.unwrap();
    assert_eq!(head.waiting, whole.waiting[..2]);
    assert_eq!(
        head.tasks,
        [all[0].clone(), all[1].clone(), all[2].clone()],
        "and whose run is at work"
    );
    assert_eq!(
        (&head.open_runs, &head.repos, head.newest),
        (&vec![run], &whole.repos, whole.newest)
    );
    let rest = world.store.queue_head(others(), head.waiting[1].id, 9, T0).await.unwrap();
    assert_eq!(rest.waiting, whole.waiting[2..]);
    let ours = world
        .store
        .queue_head(Among::These(vec![PROJECT.into()]), JobId(0), 9, T0)
        .await
        .unwrap();
    assert_eq!(ours.waiting, whole.waiting);
    for none in [Among::Others(vec![PROJECT.into()]), Among::These(vec!["site".into()])] {
        assert_eq!(world.store.queue_head(none, JobId(0), 9, T0).await.unwrap().waiting, []);
    }
}

/// The sums of jobs that have ended are kept beside them: they must say what counting would.
#[tokio::test]
async fn ended_jobs_are_counted_when_they_end() {
    let world = World::new().await;
    let (one, two) = (world.task("i1", 1).await, world.task("i2", 2).await);
    let run = world.running(&one).await;
    world.store.end_run(run.id, RunEnd::Ok, None, None, at(1)).await.unwrap();
    world.phase(&two, Phase::Done, vec![]).await;
    let kept = world.store.queue(T0).await.unwrap().counts;
    let conn = rusqlite::Connection::open(world.dir.path().join("signalbox.db")).unwrap();
    for (state, kept) in kept {
        let counted: i64 = conn
            .query_row("SELECT COUNT(*) FROM jobs WHERE state = ?1", [&state], |row| row.get(0))
            .unwrap();
        assert_eq!(kept, counted, "{state}");
    }
}

#[tokio::test]
async fn what_people_say_is_told_to_jobs_that_have_not_begun_and_once() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let before = world.only_job(&task).await.note.map(|n| format!("{n}\n\n")).unwrap_or_default();
    let tell = |visit, words: &[&str]| Decision::Tell {
        visit,
        words: words.iter().map(|w| (*w).to_owned()).collect(),
    };
    let task = world.decide(&task, vec![tell(1, &["alice: red"]), tell(2, &["nobody"])]).await;
    let task = world.decide(&task, vec![tell(1, &["alice: red", "bob: size 5"])]).await;
    let told = format!("{before}alice: red\n\nbob: size 5");
    assert_eq!(world.only_job(&task).await.note.as_ref(), Some(&told));
    world.running(&task).await;
    let task = world.decide(&task, vec![tell(1, &["carol: late"])]).await;
    assert_eq!(world.only_job(&task).await.note, Some(told), "its prompt is written");
}
