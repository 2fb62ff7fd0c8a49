//! What can be known of the world outside when a gate asks for it.

use signalbox::engine::model::{
    Event, Fact, FactKey, Facts, FileFact, FrontmatterFact, Head, HeadFact, Issue, Kill, MergeFact, Millis, RunEnd, Task, Value,
};
use signalbox::engine::rules::Ruleset;
use signalbox::engine::step::{needs, reading};
use signalbox::shell::store::RunRow;

use super::outside::{Outside, head, number, sha};

impl Outside {
    pub fn facts(&mut self, rules: &Ruleset, task: &Task, event: &Event, now: Millis) -> Facts {
        let (at, base) = reading(task, event);
        let mut facts = Facts::default();
        for key in needs(rules, task, event) {
            let dark = match key {
                FactKey::Issue => self.tracker(|_| ()).is_err(),
                FactKey::Head | FactKey::Mergeable | FactKey::Reviews | FactKey::Checks => self.forge(|_| ()).is_err(),
                _ => false,
            };
            let fact = if dark {
                Fact::Unreachable {
                    since: now,
                    why: "no answer".to_owned(),
                }
            } else {
                self.fact(&key, task, at.as_ref(), base.as_deref())
            };
            facts.0.insert(key, fact);
        }
        facts
    }

    pub fn fact(&self, key: &FactKey, task: &Task, at: Option<&Head>, base: Option<&str>) -> Fact {
        let branch = self.branches.get(&task.branch).filter(|b| b.task == task.id);
        let place = at.map_or(0, |h| number(&h.sha));
        let from = base.map_or(0, number);
        match key {
            FactKey::Issue => Fact::Known(Value::Issue(Issue {
                id: task.issue.clone(),
                number: Some(i64::try_from(self.cards.keys().position(|k| *k == task.issue).unwrap_or(0)).unwrap() + 1),
                title: format!("Work {}", task.issue),
                description: "What is wanted.".to_owned(),
                ..Issue::default()
            })),
            FactKey::Head => Fact::Known(Value::Head(HeadFact {
                head: branch.map(|b| head(b.tip())),
                base: sha(self.base),
                descends: branch.is_none_or(|b| place == 0 || b.commits.iter().any(|c| c.n == place)),
                touched: Vec::new(),
                commits: Vec::new(),
            })),
            FactKey::Files => {
                let files = branch.iter().flat_map(|b| &b.files).filter_map(|(path, all)| {
                    let (n, _) = all.iter().rev().find(|(n, _)| *n <= place)?;
                    Some(FileFact {
                        path: path.clone(),
                        id: format!("{path}@{n}"),
                        fresh: *n > from,
                    })
                });
                Fact::Known(Value::Files(files.collect()))
            }
            FactKey::Frontmatter(file) => {
                let all = branch.and_then(|b| b.files.get(file));
                let found = all.and_then(|all| all.iter().rev().find(|(n, _)| *n <= place));
                found.map_or(Fact::Absent, |(_, values)| {
                    Fact::Known(Value::Frontmatter(FrontmatterFact { values: values.clone() }))
                })
            }
            FactKey::Checks => Fact::Known(Value::Checks(Vec::new())),
            FactKey::Reviews => Fact::Known(Value::Reviews(Vec::new())),
            FactKey::Mergeable => Fact::Known(Value::Mergeable(MergeFact {
                conflicts: Vec::new(),
                behind: branch.is_some_and(|b| b.base != self.base),
                base: sha(self.base),
            })),
            FactKey::Json(_) | FactKey::Text(_) => Fact::Absent,
        }
    }

    /// Notes how an agent's run was settled, for its job.
    pub fn settled(&mut self, run: &RunRow, end: &RunEnd) {
        let ends = self.ledger.ends.entry(run.job).or_default();
        match end {
            RunEnd::Lost => ends[2] += 1,
            RunEnd::Transient { .. } if run.started_at.is_some() => ends[1] += 1,
            RunEnd::NoOutput | RunEnd::OutOfScope { .. } | RunEnd::Permanent { .. } | RunEnd::Killed(Kill::Foreign | Kill::Deadline) => {
                ends[0] += 1;
            }
            _ => {}
        }
    }
}
