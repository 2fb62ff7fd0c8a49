//! Agents: what becomes of each process that is started.

use std::collections::BTreeMap;

use signalbox::engine::model::{JobKind, Kill, Millis, RunEnd, RunId};
use signalbox::engine::rules::Ruleset;
use signalbox::shell::store::RunRow;

use super::outside::{Outside, Plan, Proc, Process};

impl Outside {
    pub fn start(&mut self, rules: &Ruleset, run: &RunRow) {
        let alive = |p: &&Process| p.state == Proc::Alive && (p.job == run.job || p.checkout == run.checkout);
        if let Some(other) = self.procs.values().find(alive) {
            let what = format!(
                "I2: run {} starts in {} while one of job {} lives in {}",
                run.id, run.checkout, other.job, other.checkout
            );
            self.ledger.broken.push(what);
        }
        if self.procs.contains_key(&run.id) {
            self.ledger.broken.push(format!("I2: run {} is started twice", run.id));
        }
        self.ledger.starts += 1;
        let plan = self.plan(rules, run);
        let lasts = self.rng.between(1_000, 900_000);
        let hangs = rules.agents.get(&run.slot).map_or(1_200_000, |a| a.timeout.0 + a.grace.0);
        let ends_at = self.t.plus(Millis(if plan == Plan::Hangs { hangs } else { lasts }));
        self.procs.insert(
            run.id,
            Process {
                job: run.job,
                task: run.task,
                checkout: run.checkout.clone(),
                plan,
                ends_at,
                state: Proc::Alive,
                killed: false,
            },
        );
    }

    pub fn plan(&mut self, rules: &Ruleset, run: &RunRow) -> Plan {
        if !self.calm && self.rng.chance(self.odds.ill) {
            return if self.rng.chance(self.odds.traceless) {
                Plan::Vanishes
            } else {
                self.illness(run)
            };
        }
        let picky = !self.calm && self.rng.chance(self.odds.picky);
        if run.kind == JobKind::Command {
            return Plan::Ends(RunEnd::Exited {
                code: i32::from(picky),
                tail: String::new(),
            });
        }
        let verdict = |key: &str, good: &str, bad: &str| {
            let said = if picky { bad } else { good };
            BTreeMap::from([(key.to_owned(), said.to_owned()), ("run".to_owned(), run.nonce.clone())])
        };
        let files = match run.slot.as_str() {
            "reviewer" => vec![("12-review.md".to_owned(), verdict("verdict", "APPROVED", "REQUEST_CHANGES"))],
            "tester" => vec![("13-test-report.md".to_owned(), verdict("result", "PASS", "FAIL"))],
            _ => Vec::new(),
        };
        Plan::Works {
            code: rules.agents.get(&run.slot).is_some_and(|a| !a.writes.is_empty()),
            files,
        }
    }

    pub fn illness(&mut self, run: &RunRow) -> Plan {
        let detail = format!("exit 1 on try {}", self.rng.one(&["red", "green", "blue"]));
        let until = Millis(1_700_000_000_000).plus(self.t).plus(Millis(self.rng.between(0, 7_200_000)));
        let agent = run.kind == JobKind::Agent;
        let ailment = if self.rng.chance(700) {
            self.odds.ailment
        } else {
            self.rng.below(8)
        };
        Plan::Ends(match ailment {
            0 => return Plan::Hangs,
            1 => RunEnd::Killed(Kill::Foreign),
            2 if agent => RunEnd::NoOutput,
            3 if agent => RunEnd::OutOfScope {
                paths: vec!["x".to_owned()],
            },
            4 if agent => RunEnd::Limited {
                detail: "usage limit".to_owned(),
                until,
            },
            5 | 6 => RunEnd::Transient {
                detail: "429".to_owned(),
                retry_after: None,
            },
            _ => RunEnd::Permanent { detail },
        })
    }

    /// Whatever is due to end ends.
    pub fn ends(&mut self) {
        let t = self.t;
        for process in self.procs.values_mut().filter(|p| p.state == Proc::Alive && p.ends_at <= t) {
            process.state = if process.plan == Plan::Vanishes { Proc::Gone } else { Proc::Exited };
        }
    }

    /// An order to end a run: it dies within its grace.
    pub fn kill(&mut self, run: RunId) {
        let grace = Millis(self.rng.between(1, 20_000));
        let by = self.t.plus(grace);
        if let Some(process) = self.procs.get_mut(&run).filter(|p| p.state == Proc::Alive) {
            process.killed = true;
            process.ends_at = process.ends_at.min(by);
        }
    }

    pub fn next_end(&self) -> Option<Millis> {
        self.procs.values().filter(|p| p.state == Proc::Alive).map(|p| p.ends_at).min()
    }
}
