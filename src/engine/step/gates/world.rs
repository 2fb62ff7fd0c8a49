//! Gates that look beyond artefacts: at the forge, a command, a person, the clock.

use crate::engine::model::{CheckState, Fact, FactKey, HeadFact, Millis, Name, ReviewFact, ReviewState, SlotState, Value};

use super::super::draft::short;
use super::{Answer, Asking, Read, approval_subject};

/// What a label orders.
enum Order {
    /// The gate is passed without a person.
    InForce(String),
    /// A person is asked all the same: the change touches what the order does not cover.
    Suspended {
        /// The label.
        label: String,
        /// The path.
        why: String,
    },
}

impl Asking<'_> {
    pub(super) fn checks(&self, contexts: &[String]) -> Answer {
        let statuses = match self.read(&FactKey::Checks) {
            Read::Value(Value::Checks(statuses)) => statuses.as_slice(),
            Read::Instead(answer) => return answer,
            _ => &[],
        };
        let state = |context: &String| statuses.iter().find(|s| s.context == *context).map(|s| s.state);
        if contexts.iter().all(|c| state(c).is_none()) {
            return Answer::other(self.name, "none", "the forge reports none of the required checks");
        }
        if let Some(red) = contexts.iter().find(|c| state(c) == Some(CheckState::Failure)) {
            return Answer::other(self.name, "red", format!("check `{red}` failed"));
        }
        match contexts.iter().find(|c| state(c) != Some(CheckState::Success)) {
            Some(open) => {
                let how = match state(open) {
                    Some(_) => "is pending: it was begun and has not ended yet",
                    None => "has not reported yet",
                };
                Answer::wait(self.name, "pending", format!("check `{open}` {how}"))
            }
            None => Answer::ok(self.name),
        }
    }

    pub(super) fn reviews(&self, changes: &Name) -> Answer {
        let reviews = match self.read(&FactKey::Reviews) {
            Read::Value(Value::Reviews(reviews)) => reviews.as_slice(),
            Read::Instead(answer) => return answer,
            _ => &[],
        };
        let asked = || reviews.iter().filter(|r| r.state == ReviewState::Changes);
        // Each request costs one round, also one that was made before anybody waited for it; then it
        // only holds the gate, until it is dismissed or renewed.
        let told = |r: &&ReviewFact| self.task.ledger.reviews.contains(&r.key());
        let fresh: Vec<&ReviewFact> = asked().filter(|r| r.current || !told(r)).collect();
        if let Some(first) = fresh.first() {
            let names: Vec<&str> = fresh.iter().map(|r| r.author.as_str()).collect();
            let text = match fresh.as_slice() {
                [one] => one.body.clone(),
                several => several
                    .iter()
                    .map(|r| format!("{}:\n{}", r.author, r.body))
                    .collect::<Vec<_>>()
                    .join("\n\n"),
            };
            let on = if first.current {
                String::new()
            } else {
                format!(", on {}", short(&first.commit))
            };
            let verb = if names.len() == 1 { "requests" } else { "request" };
            return Answer {
                detail: format!("{} {verb} changes on the forge{on}", names.join(" and ")),
                text,
                reviews: fresh.iter().map(|r| r.key()).collect(),
                ..Answer::named(self.name, changes)
            };
        }
        match asked().next() {
            Some(old) => Answer::wait(
                self.name,
                "waiting",
                format!(
                    "{} requested changes on {}; it stands until dismissed or renewed",
                    old.author,
                    short(&old.commit)
                ),
            ),
            None => Answer::ok(self.name),
        }
    }

    pub(super) fn mergeable(&self) -> Answer {
        match self.read(&FactKey::Mergeable) {
            Read::Value(Value::Mergeable(fact)) if !fact.conflicts.is_empty() => {
                let files = fact.conflicts.join(", ");
                Answer {
                    text: files.clone(),
                    ..Answer::other(self.name, "conflict", format!("in conflict with the default branch: {files}"))
                }
            }
            Read::Value(Value::Mergeable(fact)) if fact.behind => {
                Answer::other(self.name, "behind", format!("the default branch moved to {}", short(&fact.base)))
            }
            Read::Value(Value::Mergeable(_)) => Answer::ok(self.name),
            Read::Instead(answer) => answer,
            Read::Unreadable(why) => Answer::other(self.name, "error", why),
            Read::Value(_) | Read::Absent => Answer::wait(self.name, "pending", "there is nothing to merge yet"),
        }
    }

    pub(super) fn command(&self) -> Answer {
        let subject = self.task.ledger.head.as_ref().map(|h| h.subject.as_str());
        if let Some(result) = self
            .task
            .ledger
            .commands
            .get(self.name)
            .filter(|r| Some(r.subject.as_str()) == subject)
        {
            return match result.code {
                0 => Answer::ok(self.name),
                code => Answer {
                    text: result.tail.clone(),
                    ..Answer::other(self.name, "red", format!("exit status {code}"))
                },
            };
        }
        match self.task.control.slots.get(self.name).map(|s| &s.state) {
            Some(SlotState::Failed(why)) => Answer::other(self.name, "error", format!("the command could not be run: {why}")),
            Some(SlotState::Queued) => Answer::wait(self.name, "pending", "its command is queued or running"),
            _ => Answer {
                command: Some(self.name.clone()),
                ..Answer::wait(self.name, "pending", "its command is queued or running")
            },
        }
    }

    pub(super) fn human(&self, signal: &Name, quorum: u32, auto: Option<&Name>) -> Answer {
        let order = auto.and_then(|name| self.standing_order(name));
        // An approval covers artefacts, too: without knowing them nobody can be asked.
        let files = self.all_files();
        let subject = approval_subject(self.task, self.from.facts);
        let given = self.task.ledger.approvals.get(self.name).map_or(&[][..], Vec::as_slice);
        let valid = given.iter().filter(|a| a.subject == subject && a.rules == self.task.rules).count();
        // Where people have approved, it is they who did, whatever label is there as well.
        if files.is_ok() && valid >= quorum as usize {
            return Answer::ok(self.name);
        }
        if let Some(Order::InForce(label)) = order {
            return Answer {
                label: Some(label),
                ..Answer::ok(self.name)
            };
        }
        if let Err(answer) = files {
            return answer;
        }
        let more = quorum as usize - valid;
        let waiting = Answer {
            // A standing order that nobody could read is not one that was not given.
            dark: auto.is_some_and(|name| self.unread(name)),
            ..Answer::wait(
                self.name,
                "waiting",
                format!("signal `{signal}` of {more} more person(s) is awaited"),
            )
        };
        match order {
            Some(Order::Suspended { label, why }) => Answer {
                label: Some(label),
                text: why,
                ..waiting
            },
            _ => waiting,
        }
    }

    /// The label that passes a human gate without a person, unless the change suspends it.
    fn standing_order(&self, name: &Name) -> Option<Order> {
        let rule = self.from.rules.auto.get(name)?;
        let issue = self.from.facts.issue()?;
        if !issue.labels.contains(&rule.label) {
            return None;
        }
        let label = rule.label.clone();
        if rule.suspended_by.is_empty() {
            return Some(Order::InForce(label));
        }
        let touched = &self.from.facts.head()?.touched;
        let why = match touched.iter().find(|path| rule.suspended_by.matches(path)) {
            Some(path) => path.clone(),
            // What was cut off may be just what suspends the order.
            None if touched.len() >= HeadFact::TOUCHED_MAX => format!("{} paths or more", touched.len()),
            None => return Some(Order::InForce(label)),
        };
        Some(Order::Suspended { label, why })
    }

    /// Whether it cannot be told whether the label is there.
    fn unread(&self, name: &Name) -> bool {
        match self.from.facts.get(&FactKey::Issue) {
            Some(Fact::Unreachable { .. }) => true,
            Some(Fact::Known(Value::Issue(issue))) => {
                let rule = self.from.rules.auto.get(name);
                rule.is_some_and(|rule| issue.unsettled.contains(&rule.label))
            }
            _ => false,
        }
    }

    pub(super) fn time(&self, span: Millis, restart_on_move: bool) -> Answer {
        let ledger = &self.task.ledger;
        let entered = ledger.visit.entered_at;
        let from = if restart_on_move {
            entered.max(ledger.subject_since)
        } else {
            entered
        };
        let due = from.plus(span);
        if self.from.event.at >= due {
            return Answer::ok(self.name);
        }
        Answer {
            due: Some(due),
            ..Answer::wait(
                self.name,
                "pending",
                format!("its time has not passed yet, but will have by {}", due.utc()),
            )
        }
    }
}
