//! Money, the same failure again, places for one agent (B-Q 3, B-RUN 5).

use super::*;
use crate::engine::breaker::{Breaker, Pause, Preflight};
use crate::engine::budget::{Budget, Held, Spent, Sum};
use crate::engine::progress::Stuck;

#[test]
fn b_q_3_an_agent_has_so_many_places_in_its_project() {
    let mut house = House::new()
        .task(1, "analyst", true)
        .task(2, "analyst", true)
        .task(3, "developer", true);
    house.rules = Some(rules_with("orch", ", \"agents.analyst.max_concurrency\" = 1"));
    assert_eq!(
        house.codes(),
        [(1, vec![]), (2, vec!["RUNNER_BUSY"]), (3, vec![])],
        "the first takes the place within the very call"
    );
    let house = house.running(9, "analyst");
    assert_eq!(
        house.codes()[0],
        (1, vec![]),
        "the run of a task that nobody knows is of no project"
    );
    let text = house.verdicts()[1].1[0].text.clone();
    assert_eq!(text, "1 of 1 places for analyst in project p are taken");
}

#[test]
fn b_run_5_budgets_hold_agents_back_and_no_gate_commands() {
    let mut house = House::new().task(1, "analyst", true).task(2, "built", true);
    let spent = Spent {
        budget: Budget {
            task_usd: Some(5.0),
            ..Budget::default()
        },
        task: Sum { usd: 5.0, runs: 1 },
        ..Spent::default()
    };
    for task in [1, 2] {
        house.bounds.spent.insert(TaskId(task), spent.clone());
    }
    assert_eq!(house.codes(), [(1, vec!["BUDGET"]), (2, vec![])]);
}

/// What one call lets start counts within that very call: after midnight many may start at once.
#[test]
fn b_run_5_runs_are_counted_with_those_just_let_go() {
    let mut house = House::new()
        .task(1, "analyst", true)
        .task(2, "built", true)
        .task(3, "analyst", true)
        .task(4, "analyst", true);
    let budget = |day_runs, task_runs| Spent {
        budget: Budget {
            day_runs,
            task_runs,
            ..Budget::default()
        },
        ..Spent::default()
    };
    for task in 1..=4 {
        house.bounds.spent.insert(TaskId(task), budget(Some(2), None));
    }
    let held = [(1, vec![]), (2, vec![]), (3, vec![]), (4, vec!["BUDGET"])];
    assert_eq!(house.codes(), held, "gate commands are no runs of agents");
    let text = house.verdicts()[3].1[0].text.clone();
    assert_eq!(text, "p has had 2 runs of agents today (UTC), and may have 2 a day");
    // Two agents of one task.
    let mut house = House::new().task(1, "analyst", true);
    house.bounds.spent.insert(TaskId(1), budget(None, Some(1)));
    let second = WaitingJob {
        id: JobId(2),
        slot: "developer".into(),
        ..house.waiting[0].clone()
    };
    house.waiting.push(second);
    assert_eq!(house.codes(), [(1, vec![]), (2, vec!["BUDGET"])]);
}

#[test]
fn no_progress_holds_its_own_job_back_and_names_the_command() {
    let mut house = House::new().task(1, "analyst", true).task(2, "analyst", true);
    let stuck = Stuck {
        times: 3,
        what: "the same thing three times".to_owned(),
        since: T0,
    };
    house.bounds.stuck.insert(JobId(2), stuck);
    assert_eq!(house.codes(), [(1, vec![]), (2, vec!["NO_PROGRESS"])]);
    let clear = house.verdicts()[1].1[0].clear.clone().unwrap_or_default();
    assert!(clear.starts_with("signalbox allow ORCH-002 "), "{clear}");
}

fn pause(until: Millis) -> Option<Pause> {
    Some(Pause {
        since: T0,
        until,
        why: "529 overloaded".to_owned(),
    })
}

/// Two jobs of one command.
fn with(command: Command) -> House {
    let mut house = House::new().task(1, "analyst", true).task(2, "analyst", true);
    for job in [1, 2] {
        house.commands.insert(JobId(job), command.clone());
    }
    house
}

#[test]
fn b_q_7_b_q_8_a_command_that_may_not_run_says_why_and_what_clears_it() {
    let command = |breaker: Breaker| Command {
        name: "claude".to_owned(),
        breaker: Some(breaker),
        ..Command::default()
    };
    let later = T0.plus(Millis::secs(90));
    let open = with(command(Breaker {
        streak: 3,
        open: pause(later),
        ..Breaker::default()
    }));
    assert_eq!(open.codes(), [(1, vec!["BREAKER_OPEN"]), (2, vec!["BREAKER_OPEN"])]);
    let held = open.verdicts()[0].1[0].clone();
    assert!(held.text.contains("in 90 s: 529 overloaded"), "{}", held.text);
    assert!(held.clear.is_some_and(|c| c.starts_with("signalbox breaker close claude ")));
    let half = with(command(Breaker {
        streak: 3,
        open: pause(T0),
        ..Breaker::default()
    }));
    assert_eq!(
        half.codes(),
        [(1, vec![]), (2, vec!["BREAKER_OPEN"])],
        "one probe, whatever the places"
    );
    let limited = with(command(Breaker {
        limit: pause(later),
        ..Breaker::default()
    }));
    let held = limited.verdicts()[1].1[0].clone();
    assert_eq!((held.code, held.since), (Code::UsageLimit, T0));
    assert!(held.text.contains("ends in 2 min") && held.clear.is_some(), "{held:?}");
    let bad = with(Command {
        name: "my agent".to_owned(),
        preflight: Preflight::Bad {
            why: "it ends with 3".to_owned(),
            since: T0,
        },
        ..command(Breaker {
            open: pause(later),
            ..Breaker::default()
        })
    });
    let held = bad.verdicts()[0].1.clone();
    assert_eq!(
        held.iter().map(|b| b.code).collect::<Vec<_>>(),
        [Code::BreakerOpen, Code::Preflight],
        "all is said"
    );
    assert!(held[0].clear.as_ref().is_some_and(|c| c.contains("close 'my agent'")), "{held:?}");
    assert_eq!(held[1].who, Who::Operator);
}

/// A command is looked at when its job could start: before that, nobody looks, and nothing says so.
#[test]
fn a_command_is_looked_at_last() {
    let unseen = Command {
        name: "claude".to_owned(),
        ..Command::default()
    };
    let mut house = with(Command {
        preflight: Preflight::Unknown,
        ..unseen
    });
    assert_eq!(house.codes(), [(1, vec!["PREFLIGHT"]), (2, vec!["PREFLIGHT"])]);
    let later = T0.plus(Millis::secs(23_080));
    house.waiting[0].available_at = later;
    assert_eq!(house.codes(), [(1, vec!["BACKOFF"]), (2, vec!["PREFLIGHT"])]);
    let held = house.verdicts()[0].1[0].clone();
    assert!(held.text.contains("tried again in 6 h 25 min"), "{}", held.text);
    // Since it could have started, not since it was queued.
    house.now = later;
    let held = house.verdicts()[0].1[0].clone();
    assert_eq!((held.code, held.since), (Code::Preflight, later));
}

#[test]
fn nothing_is_launched_on_a_database_that_nobody_has_read_whole() {
    let mut house = House::new().task(1, "analyst", true).task(2, "built", true);
    house.bounds.held = Some(Held {
        code: Code::DbCheck,
        text: "it is being read".to_owned(),
        since: T0,
        passes: true,
    });
    assert_eq!(house.codes(), [(1, vec!["DB_CHECK"]), (2, vec!["DB_CHECK"])]);
    assert_eq!(house.verdicts()[0].1[0].who, Who::Itself);
    house.bounds.held.iter_mut().for_each(|held| held.passes = false);
    let found = house.verdicts().remove(0).1.remove(0);
    assert!(found.who == Who::Operator && found.clear.is_some_and(|c| c.contains("restore")));
}

#[test]
fn what_waits_for_a_service_that_drains_does_not_go_on_by_itself() {
    let mut house = House::new().task(1, "analyst", true);
    house.bounds.held = Some(Held {
        code: Code::Draining,
        text: "the service is ending".to_owned(),
        since: T0,
        passes: true,
    });
    let found = house.verdicts().remove(0).1.remove(0);
    assert!(found.who == Who::Operator && found.clear.is_some_and(|c| c.contains("signalbox serve")));
}
