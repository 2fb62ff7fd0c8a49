//! Walks the stages in order; in each, from its entry to every standing that can be reached there.

use std::collections::BTreeSet;

use crate::engine::model::{Body, Control, Mode, Name, Phase, StopState};
use crate::engine::rules::Ruleset;
use crate::engine::scenario::answers::Said;

use super::given::{self, Given};
use super::standing::{Chance, Standing, chances, name, signals};
use super::world::{Happening, Played, World, anyone};
use super::{Row, is_target, keys, then};

/// Standings of one stage that are looked at; a stage has a handful.
const STANDINGS_MAX: usize = 60;

pub(super) fn rows(rules: &Ruleset) -> Vec<Row> {
    let given = given::all(rules);
    let mut walk = Walk {
        rules,
        given: &given,
        rows: Vec::new(),
    };
    walk.board();
    walk.birth();
    let (first, last) = (rules.flow.first(), rules.flow.last());
    for stage in rules.flow.iter().filter(|s| Some(*s) != first && Some(*s) != last) {
        walk.stage(stage);
    }
    if let Some(stage) = rules.flow.get(1) {
        walk.stopping(stage);
    }
    if let Some(last) = last {
        walk.over(last, Phase::Done);
    }
    walk.over(&rules.sink, Phase::Cancelled);
    walk.rows
}

struct Walk<'r, 'g> {
    rules: &'r Ruleset,
    given: &'g [Given<'g>],
    rows: Vec<Row>,
}

impl<'r> Walk<'r, '_> {
    /// What people's acts mean.
    fn board(&mut self) {
        let signals = &self.rules.signals;
        let status = signals
            .status
            .iter()
            .map(|(s, signal)| (format!("status {s:?}"), format!("status.{}", keys::part(s)), signal));
        let comment = signals.comment.iter();
        let comment = comment.map(|(c, signal)| (format!("comment {c:?}"), format!("comment.{}", keys::part(c)), signal));
        let other = signals.other_comment.iter();
        let other = other.map(|signal| ("any other comment".to_owned(), "comment.*".to_owned(), signal));
        for (when, key, signal) in status.chain(comment).chain(other) {
            self.rows.push(Row {
                stage: "any".to_owned(),
                standing: "the board".to_owned(),
                when,
                given: String::new(),
                then: format!("signal {signal}"),
                keys: [format!("signals.{key}")].into(),
                reached: BTreeSet::new(),
            });
        }
    }

    /// A start on an issue that is no task.
    fn birth(&mut self) {
        let Some(stage) = self.rules.flow.first() else { return };
        let whole = World::unborn(self.rules);
        let long = self.rules.entry.title_max.saturating_add(1) as usize;
        let change = |f: &dyn Fn(&mut World<'r>)| {
            let mut world = whole.clone();
            f(&mut world);
            world
        };
        let start = Name::new("start");
        let worlds = [
            ("signal start", change(&|_| {})),
            ("signal start, no title", change(&|w| w.issue.title.clear())),
            ("signal start, title too long", change(&|w| w.issue.title = "x".repeat(long))),
            ("signal start, no description", change(&|w| w.issue.description.clear())),
            (
                "signal start, older than a stop",
                change(&|w| w.task.ledger.stopped_before = Some(w.now.plus(w.now))),
            ),
        ];
        for (when, world) in worlds {
            self.lone(stage, "no task", when, world, &start);
        }
        for signal in signals(self.rules).iter().filter(|s| **s != start) {
            self.lone(stage, "no task", &format!("signal {signal}"), whole.clone(), signal);
        }
    }

    /// A signal where nothing else is of importance.
    fn lone(&mut self, stage: &Name, standing: &str, when: &str, world: World<'r>, signal: &Name) {
        let what = Happening {
            body: world.signal(signal),
            actor: anyone(),
            said: Said::new(),
        };
        let chance = Chance {
            when: when.to_owned(),
            world,
            what,
            signal: Some(signal.clone()),
        };
        self.plain(stage, standing, &chance);
    }

    fn plain(&mut self, stage: &str, standing: &str, chance: &Chance<'r>) -> Played<'r> {
        let played = chance.world.play(&chance.what);
        self.rows.push(Row {
            stage: stage.to_owned(),
            standing: standing.to_owned(),
            when: chance.when.clone(),
            given: String::new(),
            then: then::then(&chance.world, &played),
            keys: keys::keys(self.rules, chance, &played),
            reached: BTreeSet::new(),
        });
        played
    }

    /// One stage: its entry, then whatever can be reached within it.
    fn stage(&mut self, stage: &Name) {
        let door = World::at(self.rules, stage);
        let before = self
            .rules
            .flow
            .iter()
            .zip(self.rules.flow.iter().skip(1))
            .find(|(_, next)| *next == stage);
        let reached: BTreeSet<String> = before.map(|(before, _)| format!("flow.{before}")).into_iter().collect();
        let mut found = vec![standing(door.clone(), "entering".to_owned(), Said::new(), reached.clone())];
        if is_target(self.rules, stage) {
            let mut parked = door;
            parked.task.control.mode = Mode::Escalated;
            parked.task.ledger.escalated = Some(("a counter is spent".to_owned(), parked.now));
            found.push(standing(parked, "entering, counter spent".to_owned(), Said::new(), reached));
        }
        let (mut at, mut whole_shown) = (0, false);
        while let Some(mut here) = found.get(at).cloned().filter(|_| at < STANDINGS_MAX) {
            at += 1;
            let asks = here.words.starts_with("at ");
            here.whole = asks && !whole_shown;
            whole_shown |= asks;
            for chance in chances(&here) {
                let played = self.plain(stage, &here.words, &chance);
                let row = self.rows.last_mut();
                let keys = row.map(|row| {
                    row.reached.clone_from(&here.reached);
                    row.keys.clone()
                });
                discover(stage, &chance.what.said, &played, keys.unwrap_or_default(), &mut found);
                self.otherwise(stage, &here, &chance, &mut found);
            }
        }
    }

    /// The same event where something else is the case, as far as that changes what follows.
    fn otherwise(&mut self, stage: &Name, here: &Standing<'r>, chance: &Chance<'r>, found: &mut Vec<Standing<'r>>) {
        let usual = self.rows.last().map(|row| row.then.clone()).unwrap_or_default();
        for given in self.given.iter().filter(|g| (g.fits)(chance)) {
            let mut other = Chance {
                when: chance.when.clone(),
                world: chance.world.clone(),
                what: chance.what.clone(),
                signal: chance.signal.clone(),
            };
            (given.change)(&mut other);
            let played = other.world.play(&other.what);
            let then = then::then(&other.world, &played);
            if then == usual {
                continue;
            }
            let mut keys = keys::keys(self.rules, &other, &played);
            keys.extend(given.keys.iter().cloned());
            if given.leads_on {
                discover(stage, &other.what.said, &played, keys.clone(), found);
            }
            self.rows.push(Row {
                stage: stage.to_string(),
                standing: here.words.clone(),
                when: other.when,
                given: given.words.clone(),
                then,
                keys,
                reached: here.reached.clone(),
            });
        }
    }

    /// A task that is being stopped: the same at every stage.
    fn stopping(&mut self, stage: &Name) {
        let mut world = World::at(self.rules, stage);
        world.task.control.stop = StopState::Cleaning;
        world.task.ledger.stop = Some(("ann".to_owned(), world.now, None));
        for signal in signals(self.rules) {
            self.lone(&Name::new("any"), "stopping", &format!("signal {signal}"), world.clone(), &signal);
        }
        let mut again = world.clone();
        if let Body::Signalled(signal) = world.signal("start") {
            again.task.ledger.restart = Some(signal);
        }
        for (when, world) in [("cleaned up", world), ("cleaned up, started again meanwhile", again)] {
            let what = Happening {
                body: Body::CleanedUp { report: String::new() },
                actor: crate::engine::model::Actor::Service,
                said: Said::new(),
            };
            let chance = Chance {
                when: when.to_owned(),
                world,
                what,
                signal: None,
            };
            self.plain("any", "stopping", &chance);
        }
    }

    /// A task that is over.
    fn over(&mut self, stage: &Name, phase: Phase) {
        let mut world = World::at(self.rules, stage);
        world.task.control = Control {
            phase,
            stage: stage.clone(),
            ..Control::default()
        };
        for signal in signals(self.rules) {
            self.lone(stage, "over", &format!("signal {signal}"), world.clone(), &signal);
        }
    }
}

fn standing(world: World<'_>, words: String, said: Said, reached: BTreeSet<String>) -> Standing<'_> {
    Standing {
        words,
        world,
        reached,
        said,
        whole: false,
    }
}

/// Takes note of a standing of the stage that was not known yet.
fn discover<'r>(stage: &Name, said: &Said, played: &Played<'r>, keys: BTreeSet<String>, found: &mut Vec<Standing<'r>>) {
    let world = &played.after;
    if !world.rests(stage) || world.task.control.stop == StopState::Cleaning {
        return;
    }
    let words = name(world);
    if found.iter().any(|s| s.words == words) {
        return;
    }
    let mut world = world.clone();
    // Whoever came to rest past the door was let in.
    world.repo.lane.iter_mut().for_each(|seat| seat.inside = true);
    // However often it has come this way: rows with a counter used up say so.
    world.task.control.counters.values_mut().for_each(|used| *used = 0);
    found.push(standing(world, words, said.clone(), keys));
}
