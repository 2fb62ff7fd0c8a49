//! What agents may cost, and what they have cost: a bound that is reached stops further launches,
//! and nothing that is under way.

use std::collections::BTreeMap;

use crate::engine::model::{Blocker, Code, JobId, Millis, RunId, TaskId, Who, lasting};
use crate::engine::progress::Stuck;

/// What is advised to allow beyond what is missing: dollars, and runs.
const MORE_USD: f64 = 20.0;
const MORE_RUNS: u32 = 5;

/// Bounds on what agents cost, in United States dollars and in runs; `None` bounds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Budget {
    /// Dollars that one run may cost.
    pub run_usd: Option<f64>,
    /// Dollars that all runs of a task may cost.
    pub task_usd: Option<f64>,
    /// Runs that a task may have.
    pub task_runs: Option<u32>,
    /// Dollars that a project may cost on one day (UTC).
    pub day_usd: Option<f64>,
    /// Runs that a project may have on one day (UTC).
    pub day_runs: Option<u32>,
}

impl Budget {
    /// What holds where the rules say nothing.
    pub const USUAL: Self = Self {
        run_usd: Some(20.0),
        task_usd: Some(100.0),
        task_runs: None,
        day_usd: Some(300.0),
        day_runs: None,
    };
}

/// What runs cost together.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sum {
    /// Dollars.
    pub usd: f64,
    /// Runs.
    pub runs: u32,
}

/// What a task and its project have cost, and what they may cost.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spent {
    /// The bounds.
    pub budget: Budget,
    /// The task's runs.
    pub task: Sum,
    /// What an operator allowed the task beyond the bounds.
    pub allowed: Sum,
    /// Its run that cost most since then.
    pub dearest: Option<(RunId, f64)>,
    /// The project's runs of this day.
    pub day: Sum,
    /// When the day ends.
    pub day_ends: Millis,
}

/// What bounds jobs besides places and lanes; what is not in it is not bounded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bounds {
    /// What the tasks of waiting jobs have cost.
    pub spent: BTreeMap<TaskId, Spent>,
    /// Waiting jobs that would only repeat what was done before.
    pub stuck: BTreeMap<JobId, Stuck>,
    /// Why nothing at all is launched now.
    pub held: Option<Held>,
}

/// Why nothing at all is launched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What kind of reason it is.
    pub code: Code,
    /// One sentence.
    pub text: String,
    /// Since when.
    pub since: Millis,
    /// Whether it is over by itself some time; else an operator must act.
    pub passes: bool,
}

impl Spent {
    /// Every bound that is reached.
    #[must_use]
    pub fn blockers(&self, item: &str, project: &str, since: Millis, now: Millis) -> Vec<Blocker> {
        let mut found = self.of_task(item, since);
        found.extend(self.of_day(project, since, now));
        found
    }

    /// The same with runs that are about to begin: so many of the task, so many of the project.
    #[must_use]
    pub fn and_runs(&self, task: u32, day: u32) -> Self {
        let mut sum = self.clone();
        sum.task.runs = sum.task.runs.saturating_add(task);
        sum.day.runs = sum.day.runs.saturating_add(day);
        sum
    }

    /// Whether no bound of the task's own is reached: what holds it back holds the whole project back.
    #[must_use]
    pub fn within_its_own(&self) -> bool {
        self.of_task("", Millis(0)).is_empty()
    }

    fn of_task(&self, item: &str, since: Millis) -> Vec<Blocker> {
        let mut found = Vec::new();
        let budget = &self.budget;
        let allow = |what: &str, key: &str| {
            Some(format!(
                "signalbox allow {item} {what} \"why\"    # or raise {key}, then: signalbox reload"
            ))
        };
        let mut add = |text: String, clear: Option<String>| found.push(reached(text, clear, since));
        let bound = budget
            .task_usd
            .map(|max| max + self.allowed.usd)
            .filter(|max| self.task.usd >= *max);
        // What lets it go on, not only nearer to that: once said, it lifts the bound of a run as well.
        let more = bound.map_or(0.0, |max| (self.task.usd - max).floor() + MORE_USD);
        if let (Some(max), Some((run, cost))) = (budget.run_usd, self.dearest)
            && cost > max
        {
            // To the cent both may look the same.
            let digits = if format!("{cost:.2}") == format!("{max:.2}") { 4 } else { 2 };
            let text = format!("run {run} of {item} cost ${cost:.digits$}, and one run may cost ${max:.digits$}");
            add(text, allow(&format!("--usd {more}"), "budget.run.max_cost_usd"));
        }
        if let Some(max) = bound {
            let text = format!("{item} has cost ${:.2}, and may cost ${max:.2}", self.task.usd);
            add(text, allow(&format!("--usd {more}"), "budget.task.max_cost_usd"));
        }
        if let Some(max) = budget.task_runs.map(|max| max.saturating_add(self.allowed.runs))
            && self.task.runs >= max
        {
            let text = format!("{item} has had {} runs, and may have {max}", self.task.runs);
            let more = self.task.runs.saturating_sub(max).saturating_add(MORE_RUNS);
            add(text, allow(&format!("--runs {more}"), "budget.task.max_runs"));
        }
        found
    }

    fn of_day(&self, project: &str, since: Millis, now: Millis) -> Vec<Blocker> {
        let mut found = Vec::new();
        let budget = &self.budget;
        let mut add = |text: String, clear: Option<String>| found.push(reached(text, clear, since));
        let left = lasting(self.day_ends.since(now));
        let day = |key: &str| {
            Some(format!(
                "signalbox reload    # after raising {key}; else it goes on at midnight UTC, in {left}"
            ))
        };
        if let Some(max) = budget.day_usd
            && self.day.usd >= max
        {
            let text = format!(
                "agents of {project} have cost ${:.2} today (UTC), and may cost ${max:.2} a day",
                self.day.usd
            );
            add(text, day("budget.day.max_cost_usd"));
        }
        if let Some(max) = budget.day_runs
            && self.day.runs >= max
        {
            let text = format!(
                "{project} has had {} runs of agents today (UTC), and may have {max} a day",
                self.day.runs
            );
            add(text, day("budget.day.max_runs"));
        }
        found
    }
}

fn reached(text: String, clear: Option<String>, since: Millis) -> Blocker {
    Blocker {
        code: Code::Budget,
        text,
        since,
        who: Who::Operator,
        clear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(budget: Budget) -> Spent {
        Spent {
            budget,
            task: Sum { usd: 12.5, runs: 7 },
            allowed: Sum::default(),
            dearest: Some((RunId(3), 9.0)),
            day: Sum { usd: 40.0, runs: 30 },
            day_ends: Millis::secs(7200),
        }
    }

    fn texts(spent: &Spent) -> Vec<String> {
        let found = spent.blockers("ORCH-001", "shop", Millis(0), Millis::secs(1));
        assert!(found.iter().all(|b| b.code == Code::Budget && b.clear.is_some()), "{found:?}");
        found.into_iter().map(|b| b.text).collect()
    }

    #[test]
    fn b_run_5_each_bound_stops_by_itself_and_says_which_it_is() {
        let cases = [
            (
                Budget {
                    run_usd: Some(8.99),
                    ..Budget::default()
                },
                "run 3 of ORCH-001 cost $9.00, and one run may cost $8.99",
            ),
            (
                Budget {
                    run_usd: Some(8.9988),
                    ..Budget::default()
                },
                "run 3 of ORCH-001 cost $9.0000, and one run may cost $8.9988",
            ),
            (
                Budget {
                    task_usd: Some(12.5),
                    ..Budget::default()
                },
                "ORCH-001 has cost $12.50, and may cost $12.50",
            ),
            (
                Budget {
                    task_runs: Some(7),
                    ..Budget::default()
                },
                "ORCH-001 has had 7 runs, and may have 7",
            ),
            (
                Budget {
                    day_usd: Some(40.0),
                    ..Budget::default()
                },
                "agents of shop have cost $40.00 today (UTC), and may cost $40.00 a day",
            ),
            (
                Budget {
                    day_runs: Some(30),
                    ..Budget::default()
                },
                "shop has had 30 runs of agents today (UTC), and may have 30 a day",
            ),
        ];
        for (budget, text) in cases {
            assert_eq!(texts(&spent(budget)), [text]);
        }
        let wide = Budget {
            run_usd: Some(9.0),
            task_usd: Some(12.51),
            task_runs: Some(8),
            day_usd: Some(40.01),
            day_runs: Some(31),
        };
        assert_eq!(texts(&spent(wide)), [""; 0]);
        assert_eq!(texts(&spent(Budget::default())), [""; 0], "without bounds nothing is bounded");
    }

    /// As `signalbox cost` says it.
    #[test]
    fn b_run_5_a_day_says_how_long_it_lasts_to_the_second_at_its_end() {
        let spent = spent(Budget {
            day_runs: Some(30),
            ..Budget::default()
        });
        let clear = |now: Millis| {
            spent
                .blockers("ORCH-001", "shop", Millis(0), now)
                .remove(0)
                .clear
                .unwrap_or_default()
        };
        for (now, left) in [(Millis(0), "2 h"), (Millis::secs(1800), "1 h 30 min"), (Millis::secs(7186), "14 s")] {
            let said = clear(now);
            assert!(said.ends_with(&format!("it goes on at midnight UTC, in {left}")), "{said}");
        }
    }

    /// Whoever follows the advice once is done.
    #[test]
    fn b_run_5_what_is_advised_is_enough() {
        let budget = Budget {
            run_usd: Some(5.0),
            task_usd: Some(2.0),
            task_runs: Some(3),
            ..Budget::default()
        };
        let mut spent = spent(budget);
        spent.task = Sum { usd: 9999.99, runs: 40 };
        let clear = |spent: &Spent| -> Vec<String> {
            let found = spent.blockers("ORCH-001", "shop", Millis(0), Millis::secs(1));
            found.into_iter().filter_map(|b| b.clear).collect()
        };
        let advised = clear(&spent);
        assert!(advised[0].starts_with("signalbox allow ORCH-001 --usd 10017 "), "{advised:?}");
        assert!(advised[1].starts_with("signalbox allow ORCH-001 --usd 10017 "), "{advised:?}");
        assert!(advised[2].starts_with("signalbox allow ORCH-001 --runs 42 "), "{advised:?}");
        spent.allowed = Sum { usd: 10017.0, runs: 42 };
        spent.dearest = None;
        assert_eq!(clear(&spent), [""; 0]);
    }

    #[test]
    fn b_run_5_what_an_operator_allowed_counts_on_top() {
        let mut spent = spent(Budget {
            task_usd: Some(10.0),
            task_runs: Some(5),
            ..Budget::default()
        });
        assert_eq!(texts(&spent).len(), 2);
        spent.allowed = Sum { usd: 2.6, runs: 3 };
        assert_eq!(texts(&spent), [""; 0]);
    }
}
