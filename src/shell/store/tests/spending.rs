//! Money, what is wrong now, and what was tried before.

use super::*;
use crate::engine::budget::{Budget, Sum};
use crate::engine::model::{Name, Role, Via};

fn allowance(task: &Task, usd: f64, runs: u32) -> Allowance {
    Allowance {
        task: task.id,
        more: Sum { usd, runs },
        who: "ann".to_owned(),
        why: "worth it".to_owned(),
    }
}

async fn end(world: &World, run: &RunRow, usd: f64, now: Millis) {
    let mut report = report(run, RunEnd::Ok);
    report.usage.cost_usd = usd;
    world.store.end_run(run.id, RunEnd::Ok, Some(report), None, now).await.unwrap();
}

#[tokio::test]
async fn b_run_5_runs_and_money_are_summed_where_they_are_counted() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let first = world.running(&task).await;
    end(&world, &first, 0.25, at(20)).await;
    end(&world, &first, 99.0, at(21)).await;
    let task = world.decide(&task, vec![Decision::Enqueue(spec(2, "developer"))]).await;
    let next = world.store.jobs(task.id).await.unwrap().pop().unwrap();
    let second = world.claim(next.id, "c2").await.unwrap();
    end(&world, &second, 0.5, at(30)).await;
    let task = world.decide(&task, vec![Decision::Enqueue(spec(3, "developer"))]).await;
    let view = world.store.queue(T0).await.unwrap();
    let spent = view.spent[&task.id];
    assert_eq!(spent.sum, Sum { usd: 0.75, runs: 2 }, "a late ending costs nothing");
    assert_eq!((spent.dearest, spent.allowed), (Some((second.id, 0.5)), Sum::default()));
    assert_eq!((view.day, view.spent_today[&Name::from(PROJECT)]), (day(T0), spent.sum));
    assert!(day_ends(view.day) > T0 && day_ends(view.day - 1) <= T0);
    // An operator allows more: the dearest run is looked at anew, the sums stay.
    world.store.allow(allowance(&task, 2.0, 3), at(40)).await.unwrap();
    world.store.allow(allowance(&task, 0.5, 0), at(41)).await.unwrap();
    let world = world.reopen().await;
    let after = world.store.queue(T0).await.unwrap().spent[&task.id];
    assert_eq!((after.sum, after.allowed), (spent.sum, Sum { usd: 2.5, runs: 3 }));
    assert_eq!((after.dearest, after.allowed_at), (None, Some(at(41))));
    let gone = world
        .store
        .allow(
            Allowance {
                task: TaskId(99),
                ..allowance(&task, 1.0, 0)
            },
            at(42),
        )
        .await;
    assert_eq!(gone, Err(StoreError::Gone));
    // The bill says the same, however it is made out.
    for (by, key) in [(By::Task, "ORCH-001"), (By::Project, PROJECT), (By::Day, "2023-11-14")] {
        let rows = world.store.costs(by, T0).await.unwrap();
        assert_eq!(rows.len(), 1, "{by:?}: {rows:?}");
        let row = &rows[0];
        assert_eq!((row.key.as_str(), row.runs, row.input_tokens, row.usd), (key, 2, 20, 0.75));
    }
    let agents = world.store.costs(By::Agent, T0).await.unwrap();
    assert_eq!(
        agents.iter().map(|r| r.key.as_str()).collect::<Vec<_>>(),
        ["developer", "analyst"],
        "the dearest first"
    );
    assert_eq!(world.store.costs(By::Task, at(1000)).await.unwrap(), []);
}

/// B-RUN 5: what databases hold from before claims were looked at neither blocks a day nor breaks a bill.
#[tokio::test]
async fn b_run_5_costs_that_cannot_be_are_no_money_in_old_databases_either() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let first = world.running(&task).await;
    end(&world, &first, 0.25, at(20)).await;
    let task = world.decide(&task, vec![Decision::Enqueue(spec(2, "developer"))]).await;
    let next = world.store.jobs(task.id).await.unwrap().pop().unwrap();
    let second = world.claim(next.id, "c2").await.unwrap();
    end(&world, &second, 1e308, at(30)).await;
    let task = world.decide(&task, vec![Decision::Enqueue(spec(3, "developer"))]).await;
    // As it was counted once.
    let conn = rusqlite::Connection::open(world.dir.path().join("signalbox.db")).unwrap();
    for sql in [
        "UPDATE spent_tasks SET usd = 9e999, dearest = 2, dearest_usd = 1e308",
        "UPDATE spent_days SET usd = 1e308",
    ] {
        conn.execute(sql, []).unwrap();
    }
    let view = world.store.queue(T0).await.unwrap();
    let spent = view.spent[&task.id];
    assert_eq!((spent.sum.usd, spent.dearest), (0.25, Some((first.id, 0.25))));
    assert_eq!(view.spent_today[&Name::from(PROJECT)].usd, 0.25);
    for by in [By::Task, By::Project, By::Agent, By::Day] {
        let usd: f64 = world.store.costs(by, T0).await.unwrap().iter().map(|row| row.usd).sum();
        assert_eq!(usd, 0.25, "{by:?}");
    }
    let usage = world.store.usage(Some(task.id), None, T0).await.unwrap();
    assert_eq!(usage.cost_usd, 0.25);
    let shown: Vec<f64> = world
        .store
        .runs(task.id)
        .await
        .unwrap()
        .iter()
        .filter_map(|r| Some(r.usage?.cost_usd))
        .collect();
    assert_eq!(shown, [0.25, 0.0]);
}

/// What the project has cost on the day of this moment, as the scheduler and as the bill's last line see it.
async fn today(world: &World, now: Millis) -> Sum {
    let project = Name::from(PROJECT);
    let view = world.store.queue(now).await.unwrap();
    let line = world.store.spent_on(day(now), [project.clone()].into()).await.unwrap();
    assert_eq!(view.spent_today, line);
    line.get(&project).copied().unwrap_or_default()
}

const DAY: Millis = Millis::secs(86_400);

#[tokio::test]
async fn b_run_5_a_day_costs_what_its_own_runs_did_whatever_days_lie_ahead() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let first = world.running(&task).await;
    // By a clock that runs a day ahead; then it is put right.
    end(&world, &first, 1.25, at(20).plus(DAY)).await;
    let task = world.decide(&task, vec![Decision::Enqueue(spec(2, "developer"))]).await;
    let next = world.store.jobs(task.id).await.unwrap().pop().unwrap();
    let second = world.claim(next.id, "c2").await.unwrap();
    end(&world, &second, 0.5, at(30)).await;
    world.decide(&task, vec![Decision::Enqueue(spec(3, "developer"))]).await;
    let world = world.reopen().await;
    assert_eq!(today(&world, at(40)).await, Sum { usd: 0.5, runs: 2 });
    assert_eq!(today(&world, at(40).plus(DAY)).await, Sum { usd: 1.25, runs: 0 });
    assert_eq!(today(&world, at(40).plus(DAY).plus(DAY)).await, Sum::default());
    let bill = world.store.costs(By::Day, T0).await.unwrap();
    let lines: Vec<_> = bill.iter().map(|row| (row.key.as_str(), row.usd)).collect();
    assert_eq!(lines, [("2023-11-14", 0.5), ("2023-11-15", 1.25)], "the table says the same");
}

/// What has not ended counts on the day on which it was begun by the clock of now.
#[tokio::test]
async fn b_run_5_runs_at_work_move_to_their_day_when_the_clock_is_set() {
    let world = World::new().await;
    let (one, two) = (world.task("i1", 1).await, world.task("i2", 2).await);
    let (first, second) = (world.running(&one).await, world.running(&two).await);
    world.decide(&one, vec![Decision::Enqueue(spec(2, "developer"))]).await;
    let runs = async || (today(&world, T0).await.runs, today(&world, T0.plus(DAY)).await.runs);
    end(&world, &second, 0.0, at(20)).await;
    assert_eq!(runs().await, (2, 0));
    world.store.shift(DAY, at(20), "boot", 0).await.unwrap();
    assert_eq!(runs().await, (1, 1), "what has ended stays where it is");
    assert!(world.store.put_back(first.id, "git is away", None, at(30).plus(DAY)).await.unwrap());
    assert_eq!(runs().await, (1, 0), "and what was not launched is taken from where it is counted");
}

/// A clock that is set back onto an earlier day brings no second budget, whatever that day had cost by itself.
#[tokio::test]
async fn b_run_5_a_day_is_spent_once_when_the_clock_is_set_back() {
    for (before, after) in [(0.25, 2.0), (3.0, 3.0)] {
        let world = World::new().await;
        let (one, two, three) = (world.task("i1", 1).await, world.task("i2", 2).await, world.task("i3", 3).await);
        let (first, second, open) = (world.running(&one).await, world.running(&two).await, world.running(&three).await);
        end(&world, &first, before, at(20)).await;
        end(&world, &second, 2.0, at(20).plus(DAY)).await;
        world.decide(&one, vec![Decision::Enqueue(spec(2, "developer"))]).await;
        let back = Millis(-DAY.0);
        world.store.shift(back, at(30).plus(DAY), "boot", 0).await.unwrap();
        assert_eq!(today(&world, at(30)).await.usd, after, "{before}");
        assert_eq!(today(&world, at(30).plus(DAY)).await.usd, 2.0, "what it was when it comes");
        world.store.shift(DAY, at(40), "boot", 0).await.unwrap();
        assert_eq!(today(&world, at(40).plus(DAY)).await.usd, 2.0, "put right");
        let claimed = world.store.run(open.id).await.unwrap().unwrap().claimed_at;
        assert_eq!(claimed, open.claimed_at);
        assert_eq!(today(&world, at(40)).await.runs, 3, "no run is counted twice");
    }
}

/// What a look found to be free may be taken when it is claimed: the claim itself holds the bounds, by the day of its own moment.
#[tokio::test]
async fn b_run_5_a_claim_holds_the_budget_whatever_was_read_before_it() {
    let world = World::new().await;
    let mut jobs = Vec::new();
    for n in 1..=4 {
        let task = world.task(&format!("i{n}"), n).await;
        jobs.push(world.only_job(&task).await.id);
    }
    let take = async |job: usize, budget: Budget, now: Millis| {
        let guard = Guard {
            command: "claude".to_owned(),
            limits: None,
            budget,
        };
        let claim = Claim {
            guard: Some(guard),
            now,
            ..claim(jobs[job], &format!("c{job}"))
        };
        world.store.claim(claim).await.map(|run| run.id.0)
    };
    let runs = |most| Budget {
        day_runs: Some(most),
        ..Budget::default()
    };
    assert_eq!(take(0, runs(2), at(10)).await, Ok(1));
    assert_eq!(take(1, runs(2), at(10)).await, Ok(2));
    assert_eq!(take(2, runs(2), at(10)).await, Err(StoreError::Conflict));
    assert_eq!(take(2, runs(1), at(10).plus(DAY)).await, Ok(3), "a new day");
    assert_eq!(take(3, runs(1), at(10).plus(DAY)).await, Err(StoreError::Conflict));
    let run = world.store.run(RunId(1)).await.unwrap().unwrap();
    end(&world, &run, 0.75, at(20).plus(DAY)).await;
    let money = |most| Budget {
        day_usd: Some(most),
        ..Budget::default()
    };
    assert_eq!(take(3, money(0.75), at(30).plus(DAY)).await, Err(StoreError::Conflict));
    assert_eq!(take(3, money(0.76), at(30).plus(DAY)).await, Ok(4));
}

#[tokio::test]
async fn runs_are_listed_newest_first_in_pieces() {
    let world = World::new().await;
    let (one, two) = (world.task("i1", 1).await, world.task("i2", 2).await);
    let first = world.running(&one).await;
    let second = world.running(&two).await;
    end(&world, &first, 0.0, at(20)).await;
    let ids = |rows: Vec<RunRow>| rows.into_iter().map(|r| r.id).collect::<Vec<_>>();
    let list = async |task, open, before, limit| ids(world.store.recent_runs(task, open, before, limit).await.unwrap());
    assert_eq!(list(None, false, None, 10).await, [second.id, first.id]);
    assert_eq!(list(None, false, None, 1).await, [second.id]);
    assert_eq!(list(None, false, Some(second.id), 1).await, [first.id]);
    assert_eq!(list(None, true, None, 10).await, [second.id]);
    assert_eq!(list(Some(one.id), false, None, 10).await, [first.id]);
    assert_eq!(list(Some(one.id), true, None, 10).await, []);
    assert!(world.store.last_activity(one.id).await.unwrap() >= Some(at(20)));
}

#[tokio::test]
async fn what_is_wrong_is_told_once_across_restarts_until_it_is_over() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    assert!(world.store.raise("stalled", task.id, "it stands", at(1)).await.unwrap());
    let world = world.reopen().await;
    assert!(!world.store.raise("stalled", task.id, "it still stands", at(2)).await.unwrap());
    let known = world.store.notices().await.unwrap();
    assert_eq!(
        known.iter().map(|n| (n.text.as_str(), n.since)).collect::<Vec<_>>(),
        [("it stands", at(1))]
    );
    assert!(world.store.lower("stalled", Some("it moves"), at(3)).await.unwrap());
    assert!(!world.store.lower("stalled", Some("it moves"), at(4)).await.unwrap());
    assert!(world.store.raise("stalled", task.id, "again", at(5)).await.unwrap());
    let alerts: i64 = glance(world.dir.path(), "SELECT COUNT(*) FROM outbox WHERE kind = 'alert'");
    assert_eq!(alerts, 3, "begun, over, begun again");
}

/// A job that is queued by an event of `actor`, sent back with a note.
async fn sent_back(world: &World, task: &Task, visit: u32, note: &str, actor: Actor) -> Task {
    let said = NewEvent {
        actor,
        ..event(world.aimed(task), poked())
    };
    let seq = world.store.record(said).await.unwrap().unwrap();
    let job = JobSpec {
        note: Some(note.to_owned()),
        ..spec(visit, "developer")
    };
    let mut step = world.step(task, seq, vec![Decision::Enqueue(job)]).await;
    step.now = at(i64::from(visit) * 1000);
    world.store.commit_step(step).await.unwrap();
    world.store.task(task.id).await.unwrap().unwrap()
}

#[tokio::test]
async fn no_progress_counts_from_the_last_word_of_a_person_or_an_allowance() {
    let world = World::new().await;
    let mut task = world.task("i1", 1).await;
    let person = Actor::Person {
        name: "ann".to_owned(),
        via: Via::Cli,
        roles: vec![Role::Operator],
    };
    let notes = async |task: &Task| {
        let view = world.store.queue(T0).await.unwrap();
        let job = view.waiting.iter().filter(|j| j.task == task.id).max_by_key(|j| j.id).unwrap();
        view.past[&job.id].notes.iter().map(|(_, n)| n.clone()).collect::<Vec<_>>()
    };
    for (visit, note) in [(2, "a"), (3, "b")] {
        task = sent_back(&world, &task, visit, note, Actor::Service).await;
    }
    assert_eq!(notes(&task).await, ["b", "a"]);
    task = sent_back(&world, &task, 4, "do it so", person).await;
    assert_eq!(notes(&task).await, [""; 0], "what a person asks for repeats nothing");
    for (visit, note) in [(5, "c"), (6, "d")] {
        task = sent_back(&world, &task, visit, note, Actor::Service).await;
    }
    assert_eq!(notes(&task).await, ["d", "c"]);
    world.store.allow(allowance(&task, 0.0, 0), at(5500)).await.unwrap();
    assert_eq!(notes(&task).await, ["d"]);
}
