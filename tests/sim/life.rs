//! One life: a few issues, people, faults; then calm, and everything must come to an end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use signalbox::engine::model::{JobId, Millis, Phase, RepoId, Seq, Task, TaskId};
use signalbox::engine::rules::{Ruleset, load};
use signalbox::shell::clock::Watch;
use signalbox::shell::embedded::embedded;
use signalbox::shell::store::Target;

use super::disk::Disk;
use super::outside::{Card, Outside};
use super::people::Deed;
use super::service::{Memory, PROJECT, Work};
use super::twin::Twin;

/// A moment to count from.
const T0: Millis = Millis(1_700_000_000_000);
/// Acts of the service, of people and of chance before everything calms down: so many, from and to.
const TURBULENT: (i64, i64) = (60, 450);
/// Most acts of a life; one that goes on for longer goes round in a circle.
const MOST: u32 = 6_000;

pub struct Life {
    pub rules: Arc<Ruleset>,
    pub disk: Disk,
    pub out: Outside,
    pub twin: Twin,
    pub mem: Option<Memory>,
    /// How far the wall clock is from where it should be.
    pub offset: i64,
    /// What the service knows of that.
    pub clock: Watch,
    pub deeds: BTreeMap<(Millis, u64), Deed>,
    pub count: u64,
    pub rounds: u32,
    log: VecDeque<String>,
    pub broken: Vec<String>,
    pub acknowledged: BTreeSet<Seq>,
    /// Deliveries the sender was told are taken, by key.
    pub taken: BTreeSet<String>,
    pub over: BTreeMap<TaskId, Phase>,
    pub cancelled: BTreeSet<JobId>,
    pub turns: u32,
    turbulent: u32,
}

/// The rules of all lives: the shipped pipeline `local`, without what no step branches on.
pub fn rules() -> Arc<Ruleset> {
    let text = "schema = 1\n[projects.p]\npipeline = \"local\"\nprefix = \"P\"\ntracker = { kind = \"local\" }\n\
                forge = { kind = \"local\", source = \"../p\" }\nset = { \"agents.*.run\" = [\"./agent.sh\"], \"retry.transient\" = 2 }\n\
                [people]\napprover = [\"alice\"]\n";
    let mut files = embedded();
    files.insert("signalbox.toml", text, "signalbox.toml");
    let loaded = load(&files);
    assert!(!loaded.failed(), "{:#?}", loaded.diagnostics);
    let rules = Ruleset::clone(&loaded.rulesets["p"]);
    Arc::new(Ruleset {
        prompts: BTreeMap::new(),
        messages: BTreeMap::new(),
        ..rules
    })
}

impl Life {
    pub fn new(rules: &Arc<Ruleset>, seed: u64, twin: Twin, mirrored: bool) -> Self {
        let mut life = Self {
            rules: Arc::clone(rules),
            disk: Disk::new(mirrored),
            out: Outside::new(seed),
            twin,
            mem: None,
            offset: 0,
            clock: Watch::new(0),
            deeds: BTreeMap::new(),
            count: 0,
            rounds: 0,
            log: VecDeque::new(),
            broken: Vec::new(),
            acknowledged: BTreeSet::new(),
            taken: BTreeSet::new(),
            over: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            turns: 0,
            turbulent: 0,
        };
        life.turbulent = u32::try_from(life.out.rng.between(TURBULENT.0, TURBULENT.1)).unwrap();
        life.begins();
        life.plan(Millis(600_000), Deed::Care);
        for n in 0..life.out.rng.between(1, 4) {
            let issue = format!("i{n}");
            life.out.cards.insert(issue.clone(), Card::default());
            life.people(&issue);
        }
        life
    }

    pub fn plan(&mut self, wait: Millis, deed: Deed) {
        self.count += 1;
        self.deeds.insert((self.out.t.plus(wait), self.count), deed);
    }

    /// What the service takes for the time: the wall clock, as far as it followed that.
    pub fn now(&self) -> Millis {
        let ahead = match self.twin {
            Twin::TrustsTheClock => self.offset,
            _ => self.clock.ahead(),
        };
        T0.plus(self.out.t).plus(Millis(ahead))
    }

    pub fn at(&self, issue: &str) -> Target {
        Target {
            project: PROJECT.into(),
            repo: RepoId(1),
            task: None,
            issue: Some(issue.to_owned()),
        }
    }

    pub fn log(&mut self, line: String) {
        if self.log.len() == 60 {
            self.log.pop_front();
        }
        self.log.push_back(format!("{:>9} {line}", self.out.t.0));
    }

    pub fn breaks(&mut self, what: String) {
        self.log(format!("BROKEN {what}"));
        self.broken.push(what);
    }

    /// The last things that happened.
    pub fn story(&self) -> String {
        self.log.iter().map(|l| format!("{l}\n")).collect()
    }

    // ---- time

    /// Lives until nothing is left to do or something is broken; whether all ended.
    pub fn lives(&mut self) {
        while self.broken.is_empty() && self.turns < MOST {
            self.turns += 1;
            if self.turns >= self.turbulent && !self.out.calm {
                self.calms();
            }
            if !self.turn() {
                break;
            }
            self.out.ends();
            self.broken.append(&mut self.out.ledger.broken);
        }
        if self.turns == MOST {
            self.breaks("liveness: it goes on for ever".to_owned());
        }
        if self.broken.is_empty() {
            self.ended();
        }
    }

    /// One act of somebody; false when nothing will ever happen any more.
    pub fn turn(&mut self) -> bool {
        if !self.out.calm {
            self.chance();
        }
        let due = self.deeds.first_key_value().is_some_and(|((at, _), _)| *at <= self.out.t);
        let wakes = self.wakes();
        let ready: Vec<usize> = match &self.mem {
            Some(mem) => (0..mem.work.len()).filter(|n| self.is_ready(&mem.work[*n])).collect(),
            None => Vec::new(),
        };
        let ways = ready.len() + usize::from(due) + usize::from(wakes);
        if ways == 0 {
            return self.time_passes();
        }
        let pick = self.out.rng.below(ways);
        if let Some(n) = ready.get(pick) {
            let work = self.mem.as_mut().unwrap().work.remove(*n);
            self.works(work);
        } else if wakes && pick == ready.len() {
            self.works(Work::Look(0));
        } else if let Some((_, deed)) = self.deeds.pop_first() {
            self.deed(deed);
        }
        true
    }

    pub fn time_passes(&mut self) -> bool {
        if self.out.calm && self.quiet() {
            return false;
        }
        let mem = self.mem.as_ref();
        let later = mem.and_then(|m| m.later.iter().map(|(at, _)| *at).min());
        let nap = mem.and_then(|m| m.nap_until);
        // Only people who look after what does not move.
        let idle = !self.out.calm && self.quiet() && self.deeds.values().all(|d| matches!(d, Deed::Care));
        let deed = self.deeds.first_key_value().map(|((at, _), _)| *at).filter(|_| !idle);
        let Some(next) = [later, nap, deed, self.out.next_end()].into_iter().flatten().min() else {
            let idle = !self.out.calm;
            if idle {
                self.calms();
            }
            return idle;
        };
        self.out.t = self.out.t.max(next);
        let t = self.out.t;
        if let Some(mem) = &mut self.mem {
            let (due, later) = std::mem::take(&mut mem.later)
                .into_iter()
                .partition::<Vec<_>, _>(|(at, _)| *at <= t);
            mem.later = later;
            mem.work.extend(due.into_iter().map(|(_, work)| work));
        }
        true
    }

    /// Whether everything is over and told.
    pub fn quiet(&self) -> bool {
        let is = &self.disk.is;
        let told = is.outbox.iter().all(|o| o.state != "open") && is.inbox.iter().all(|k| k.applied);
        let webhooks = self.deeds.values().any(|d| matches!(d, Deed::Webhook { .. }));
        self.mem.is_some() && told && !webhooks && is.deliveries.iter().all(|d| !d.open) && is.tasks.iter().all(Task::terminal)
    }

    pub fn calms(&mut self) {
        self.log("calm".to_owned());
        self.out.calm = true;
        (self.out.forge_down, self.out.tracker_down) = (Millis(0), Millis(0));
        self.deeds.retain(|_, deed| !matches!(deed, Deed::Care));
        self.plan(Millis(1), Deed::Care);
    }
}
