//! What else may be the case when something happens: each is tried by itself, and told where it matters.

use crate::engine::model::{Actor, Body, Role};
use crate::engine::rules::Ruleset;

use super::standing::Chance;
use super::world::person;

/// Another state of the world around the same event.
pub(super) struct Given<'a> {
    /// How people read it.
    pub words: String,
    /// The keys of the rules that it is about.
    pub keys: Vec<String>,
    /// Whether it is about such an event at all.
    pub fits: fn(&Chance<'_>) -> bool,
    /// Whether standings that only come about so are looked at, too.
    pub leads_on: bool,
    /// How the world and the event change.
    pub change: Box<dyn Fn(&mut Chance<'_>) + 'a>,
}

/// Everything that may be otherwise.
pub(super) fn all(rules: &Ruleset) -> Vec<Given<'_>> {
    let mut found: Vec<Given<'_>> = Vec::new();
    for (name, counter) in &rules.counters {
        found.push(Given {
            words: format!("{name} used up"),
            keys: vec![format!("counters.{name}")],
            fits: |_| true,
            leads_on: true,
            change: Box::new(move |c| {
                c.world.task.control.counters.insert(name.clone(), counter.max);
            }),
        });
    }
    let retry = &rules.retry;
    found.push(Given {
        words: "tries used up".to_owned(),
        keys: vec!["retry".to_owned()],
        fits: |c| matches!(c.what.body, Body::RunEnded(_)),
        leads_on: true,
        change: Box::new(move |c| {
            for slot in c.world.task.control.slots.values_mut() {
                slot.attempts = retry.attempts.saturating_sub(1);
                slot.transient = retry.transient;
                slot.rescues = retry.rescues;
            }
        }),
    });
    found.push(plain("repository frozen", |c| c.world.freeze()));
    found.push(plain("lease held elsewhere", |c| {
        if c.world.repo.lease.is_none() {
            c.world.lease_elsewhere();
        }
    }));
    labels(rules, &mut found);
    for (words, roles) in [("by an operator", &[Role::Operator][..]), ("by a viewer", &[Role::Viewer])] {
        found.push(plain(words, move |c| {
            if matches!(c.what.actor, Actor::Person { .. }) {
                c.what.actor = person(roles);
            }
        }));
    }
    found
}

fn plain<'a>(words: &str, change: impl Fn(&mut Chance<'_>) + 'a) -> Given<'a> {
    Given {
        words: words.to_owned(),
        keys: Vec::new(),
        fits: |_| true,
        leads_on: true,
        change: Box::new(change),
    }
}

/// Labels are read when gates are asked; once is enough to show.
fn evaluates(chance: &Chance<'_>) -> bool {
    matches!(chance.what.body, Body::RunEnded(_) | Body::Entered { .. } | Body::TimerFired { .. })
        || chance.when == "looked again, gates ok"
}

/// Labels that pass human gates, in force and suspended by what the change touches.
fn labels<'a>(rules: &'a Ruleset, found: &mut Vec<Given<'a>>) {
    for (name, rule) in &rules.auto {
        let keys = vec![format!("auto.{name}")];
        found.push(Given {
            words: format!("label {}", rule.label),
            keys: keys.clone(),
            fits: evaluates,
            leads_on: false,
            change: Box::new(|c| c.world.issue.labels.push(rule.label.clone())),
        });
        // A path for the pattern: what stands for anything is given a name.
        let path = rule.suspended_by.first().map(|glob| glob.replace("**", "a").replace('*', "a"));
        if let Some(path) = path.filter(|p| rule.suspended_by.matches(p)) {
            found.push(Given {
                words: format!("label {}, {path} touched", rule.label),
                keys,
                fits: evaluates,
                leads_on: false,
                change: Box::new(move |c| {
                    c.world.issue.labels.push(rule.label.clone());
                    c.world.touched.push(path.clone());
                }),
            });
        }
    }
}
