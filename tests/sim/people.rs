//! What comes from outside: people at the board, at the command line and at the forge, webhooks, and
//! somebody who starts the service again.

use std::collections::BTreeSet;

use signalbox::engine::model::{Actor, Blocker, Body, Code, Millis, Role, Signal, Task, Via, Who};
use signalbox::engine::schedule::waits;
use signalbox::shell::store::NewEvent;

use super::life::Life;
use super::outside::{Act, Proc};
use super::twin::Twin;

/// How often people look after their tasks once it is calm.
const ROUND: Millis = Millis::secs(1_800);
/// So many rounds they wait before they stop what is left, and so many more it may take.
const PATIENCE: u32 = 12;

pub fn everybody() -> Actor {
    Actor::Person {
        name: "alice".to_owned(),
        via: Via::Tracker,
        roles: vec![Role::Viewer, Role::Operator, Role::Approver],
    }
}

/// Something that comes from outside at its time.
#[derive(Debug, Clone)]
pub enum Deed {
    /// On the board: a webhook follows.
    Board {
        issue: String,
        name: &'static str,
    },
    /// At the command line: answered once it is written down.
    Said {
        issue: String,
        name: &'static str,
    },
    Retry {
        issue: String,
    },
    Push {
        issue: String,
    },
    Webhook {
        issue: String,
        key: String,
    },
    /// The service is started again.
    Start,
    /// People look after their tasks.
    Care,
}

impl Life {
    /// What people do of this issue, and when.
    pub fn people(&mut self, issue: &str) {
        let rng = &mut self.out.rng;
        let begin = rng.between(0, 600_000);
        let mut deeds = vec![(
            begin,
            Deed::Board {
                issue: issue.to_owned(),
                name: "start",
            },
        )];
        for _ in 0..rng.below(6) {
            let at = begin + rng.between(0, 5_400_000);
            let name = *rng.one(&["stop", "confirm_deploy", "confirm_deploy", "reject", "start", "answer"]);
            let issue = issue.to_owned();
            deeds.push((
                at,
                match rng.below(5) {
                    0 => Deed::Said { issue, name },
                    1 => Deed::Retry { issue },
                    2 => Deed::Push { issue },
                    _ => Deed::Board { issue, name },
                },
            ));
        }
        for (at, deed) in deeds {
            self.plan(Millis(at), deed);
        }
    }

    pub fn deed(&mut self, deed: Deed) {
        self.log(format!("{deed:?}"));
        match deed {
            Deed::Board { issue, name } => {
                let activity = format!("{issue} {}", self.count);
                let act = Act {
                    activity: activity.clone(),
                    name,
                    at: self.now(),
                };
                self.out.cards.get_mut(&issue).unwrap().acts.push(act);
                let (wait, odds) = (self.out.rng.between(1, 20_000), self.out.odds.clone());
                self.plan(
                    Millis(wait),
                    Deed::Webhook {
                        issue: issue.clone(),
                        key: activity.clone(),
                    },
                );
                if self.out.rng.chance(odds.doubled) {
                    let wait = self.out.rng.between(1, 60_000);
                    self.plan(Millis(wait), Deed::Webhook { issue, key: activity });
                }
            }
            Deed::Webhook { issue, key } => self.webhook(issue, key),
            Deed::Said { issue, name } if self.mem.is_some() => {
                let (at, acted_at) = (self.now(), self.now());
                let signal = Signal {
                    name: name.into(),
                    text: Some("words".to_owned()),
                    activity: String::new(),
                    acted_at,
                };
                let target = self.at(&issue);
                let event = NewEvent {
                    target,
                    at,
                    cause: None,
                    actor: everybody(),
                    body: Body::Signalled(signal),
                    dedupe: None,
                };
                let seq = self.disk.record(event);
                self.acknowledged.extend(seq);
            }
            Deed::Retry { issue } if self.mem.is_some() => {
                let task = self.disk.is.by_issue(&issue).map(|t| t.id);
                if let Some(id) = task {
                    let (target, at) = (self.disk.is.of_task(id), self.now());
                    let event = NewEvent {
                        target,
                        at,
                        cause: None,
                        actor: everybody(),
                        body: Body::Retried { note: None },
                        dedupe: None,
                    };
                    let seq = self.disk.record(event);
                    self.acknowledged.extend(seq);
                }
            }
            Deed::Push { issue } => {
                if let Some(branch) = self.disk.is.by_issue(&issue).map(|t| t.branch.clone()) {
                    self.out.foreign_push(&branch);
                }
            }
            Deed::Start if self.mem.is_none() => self.begins(),
            Deed::Care => self.care(),
            // A door that is closed takes nothing, and says so.
            Deed::Said { .. } | Deed::Retry { .. } | Deed::Start => {}
        }
    }

    /// The sender repeats what nobody has taken.
    pub fn webhook(&mut self, issue: String, key: String) {
        let lost = !self.out.calm && self.out.rng.chance(self.out.odds.lost);
        if self.mem.is_none() || lost {
            // Senders give up after a while; what was missed then is found by reading the board.
            if self.twin != Twin::NotPolled {
                let wait = self.out.rng.between(60_000, 600_000);
                self.plan(Millis(wait), Deed::Webhook { issue, key });
            }
            return;
        }
        self.taken.insert(key.clone());
        if self.twin == Twin::AnswersEarly && !self.out.calm && self.out.rng.chance(300) {
            return;
        }
        let now = self.now();
        self.disk.record_delivery(&issue, &key, now);
    }

    /// People decide what waits for them; after long patience they stop what is left.
    pub fn care(&mut self) {
        self.rounds += u32::from(self.out.calm);
        if self.rounds > 2 * PATIENCE {
            let left: Vec<_> = self
                .disk
                .is
                .tasks
                .iter()
                .filter(|t| !t.terminal())
                .map(|t| t.item.clone())
                .collect();
            return self.breaks(format!("liveness: stopped, and not over: {left:?}"));
        }
        if self.rounds == PATIENCE {
            self.stuck();
        }
        for task in self.disk.is.tasks.clone().into_iter().filter(|t| !t.terminal()) {
            let approval = self.waits(&task).iter().any(|b| b.code == Code::ApprovalWait);
            let issue = task.issue.clone();
            if self.rounds >= PATIENCE {
                self.plan(Millis(1), Deed::Said { issue, name: "stop" });
            } else if approval {
                self.plan(
                    Millis(1),
                    Deed::Said {
                        issue,
                        name: "confirm_deploy",
                    },
                );
            } else if self.rounds % 4 == 2 && task.ledger.escalated.is_some() {
                self.plan(Millis(1), Deed::Retry { issue });
            }
        }
        let often = if self.out.calm {
            ROUND
        } else {
            Millis(self.out.rng.between(60_000, 1_200_000))
        };
        self.plan(often, Deed::Care);
    }

    /// Everything that holds a task back.
    pub fn waits(&self, task: &Task) -> Vec<Blocker> {
        let mut found = waits(&self.rules, task, &self.disk.is.repo);
        let jobs = self
            .disk
            .is
            .jobs
            .iter()
            .filter(|j| j.task == task.id)
            .map(|j| j.id)
            .collect::<BTreeSet<_>>();
        found.extend(self.verdicts().into_iter().filter(|(j, _)| jobs.contains(j)).flat_map(|(_, b)| b));
        found
    }

    /// It has been calm for hours: whatever is left must wait for a person.
    pub fn stuck(&mut self) {
        for task in self.disk.is.tasks.clone().into_iter().filter(|t| !t.terminal()) {
            let all = self.waits(&task);
            let others = all.iter().any(|b| b.who != Who::Itself);
            let works = self.out.procs.values().any(|p| p.task == task.id && p.state == Proc::Alive);
            if !others && !works && self.entered_long_ago(&task) {
                self.breaks(format!("liveness: {} waits for nobody but itself: {all:?}", task.item));
            }
        }
    }

    /// Whether nothing has happened to the task for hours.
    pub fn entered_long_ago(&self, task: &Task) -> bool {
        let last = self.disk.is.steps.iter().rev().find(|(_, t)| *t == Some(task.id));
        let at = last.map_or(Millis(0), |(seq, _)| {
            self.disk.is.inbox[usize::try_from(seq.0 - 1).unwrap()].event.at
        });
        self.now().since(at) > Millis::secs(7_200)
    }
}
