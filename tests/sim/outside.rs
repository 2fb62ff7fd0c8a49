//! The world outside: tracker, forge, agents — with what goes wrong in it, and a ledger of its own of
//! everything that was done to it. It outlives the service.

use std::collections::BTreeMap;

use signalbox::engine::model::{Head, JobId, Millis, RunEnd, RunId, TaskId};

use super::rng::Rng;

/// How likely what is, in thousandths; drawn anew for each seed.
#[derive(Debug, Clone, Default)]
pub struct Odds {
    /// A call does not reach the peer.
    pub unreached: usize,
    /// The peer did it, and its answer is lost.
    pub unanswered: usize,
    /// A peer goes down for a while.
    pub down: usize,
    /// An agent does not end well.
    pub ill: usize,
    /// Of those: its exit is recorded nowhere.
    pub traceless: usize,
    /// What ails them most.
    pub ailment: usize,
    /// A verdict is bad.
    pub picky: usize,
    /// The service dies between two of its acts.
    pub death: usize,
    /// The wall clock jumps.
    pub jump: usize,
    /// A webhook does not arrive.
    pub lost: usize,
    /// A webhook arrives twice.
    pub doubled: usize,
}

impl Odds {
    pub fn of(rng: &mut Rng) -> Self {
        let mut up_to = |most: usize| if rng.chance(300) { 0 } else { rng.below(most) };
        Self {
            unreached: up_to(150),
            unanswered: up_to(150),
            down: up_to(15),
            ill: up_to(1300),
            traceless: up_to(1000),
            ailment: up_to(8),
            picky: up_to(400),
            death: up_to(60),
            jump: up_to(20),
            lost: up_to(500),
            doubled: up_to(500),
        }
    }
}

/// Something a person did on the board.
#[derive(Debug, Clone)]
pub struct Act {
    pub activity: String,
    pub name: &'static str,
    pub at: Millis,
}

#[derive(Debug, Clone, Default)]
pub struct Card {
    pub acts: Vec<Act>,
    pub status: String,
}

#[derive(Debug, Clone)]
pub struct Commit {
    pub n: u32,
    pub subject: u32,
    pub run: Option<RunId>,
}

/// An artefact as a commit wrote it: its front-matter.
pub type Version = (u32, BTreeMap<String, String>);

#[derive(Debug, Clone)]
pub struct Branch {
    pub task: TaskId,
    pub commits: Vec<Commit>,
    /// The default branch's commit that it has.
    pub base: u32,
    pub files: BTreeMap<String, Vec<Version>>,
}

impl Branch {
    pub fn tip(&self) -> &Commit {
        self.commits.last().unwrap()
    }
}

/// How a process is going to end.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    Works {
        code: bool,
        files: Vec<(String, BTreeMap<String, String>)>,
    },
    Ends(RunEnd),
    /// It hangs until its shim ends it.
    Hangs,
    /// It ends, and nobody will ever know how.
    Vanishes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proc {
    Alive,
    Exited,
    Gone,
}

#[derive(Debug, Clone)]
pub struct Process {
    pub job: JobId,
    pub task: TaskId,
    pub checkout: String,
    pub plan: Plan,
    pub ends_at: Millis,
    pub state: Proc,
    pub killed: bool,
}

/// What was done to the world, as the world saw it.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub broken: Vec<String>,
    pub comments: BTreeMap<(String, String), u32>,
    pub merges: BTreeMap<TaskId, u32>,
    pub pushes: BTreeMap<RunId, u32>,
    pub branches: BTreeMap<TaskId, u32>,
    /// Ends by job: failures, weather, lost ones.
    pub ends: BTreeMap<JobId, [u32; 3]>,
    pub starts: u32,
}

/// A call that the caller got no answer to.
pub struct NoAnswer;

pub struct Outside {
    pub t: Millis,
    pub rng: Rng,
    pub odds: Odds,
    pub calm: bool,
    pub forge_down: Millis,
    pub tracker_down: Millis,
    pub cards: BTreeMap<String, Card>,
    pub branches: BTreeMap<String, Branch>,
    pub base: u32,
    commits: u32,
    pub merged: BTreeMap<String, Head>,
    pub procs: BTreeMap<RunId, Process>,
    pub ledger: Ledger,
}

pub fn sha(n: u32) -> String {
    format!("{n:040x}")
}

pub fn number(sha: &str) -> u32 {
    u32::from_str_radix(sha, 16).unwrap_or_default()
}

pub fn head(commit: &Commit) -> Head {
    Head {
        sha: sha(commit.n),
        subject: format!("s{}", commit.subject),
    }
}

impl Outside {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let odds = Odds::of(&mut rng);
        Self {
            t: Millis(0),
            rng,
            odds,
            calm: false,
            forge_down: Millis(0),
            tracker_down: Millis(0),
            cards: BTreeMap::new(),
            branches: BTreeMap::new(),
            base: 1,
            commits: 1,
            merged: BTreeMap::new(),
            procs: BTreeMap::new(),
            ledger: Ledger::default(),
        }
    }

    /// A call to a peer: it may not reach it, and its answer may be lost.
    pub fn call<T>(&mut self, down: Millis, act: impl FnOnce(&mut Self) -> T) -> Result<T, NoAnswer> {
        if self.t < down || (!self.calm && self.rng.chance(self.odds.unreached)) {
            return Err(NoAnswer);
        }
        let done = act(self);
        if !self.calm && self.rng.chance(self.odds.unanswered) {
            Err(NoAnswer)
        } else {
            Ok(done)
        }
    }

    pub fn forge<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> Result<T, NoAnswer> {
        self.call(self.forge_down, act)
    }

    pub fn tracker<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> Result<T, NoAnswer> {
        self.call(self.tracker_down, act)
    }

    pub fn commit(&mut self) -> u32 {
        self.commits += 1;
        self.commits
    }

    // ---- forge

    /// The task's branch with its first commit; not made where there is one of that task.
    pub fn make_branch(&mut self, name: &str, task: TaskId) -> Option<String> {
        if let Some(there) = self.branches.get(name) {
            return (there.task == task).then(|| sha(there.commits[0].n));
        }
        let n = self.commit();
        let first = Commit { n, subject: n, run: None };
        let branch = Branch {
            task,
            commits: vec![first],
            base: self.base,
            files: BTreeMap::new(),
        };
        self.branches.insert(name.to_owned(), branch);
        *self.ledger.branches.entry(task).or_default() += 1;
        Some(sha(n))
    }

    /// What a run wrote comes onto the branch; what it brought before is found again unless `blind`.
    pub fn push(&mut self, name: &str, run: RunId, blind: bool) -> Option<Head> {
        let Plan::Works { code, files } = self.procs[&run].plan.clone() else {
            return None;
        };
        let known = self.branches.get(name)?.commits.iter().find(|c| c.run == Some(run)).cloned();
        if let (Some(known), false) = (known, blind) {
            return Some(head(&known));
        }
        let n = self.commit();
        let branch = self.branches.get_mut(name)?;
        let subject = if code { n } else { branch.tip().subject };
        branch.commits.push(Commit {
            n,
            subject,
            run: Some(run),
        });
        for (path, values) in files {
            branch.files.entry(path).or_default().push((n, values));
        }
        *self.ledger.pushes.entry(run).or_default() += 1;
        self.branches.get(name).map(|b| head(b.tip()))
    }

    /// Somebody else pushes code.
    pub fn foreign_push(&mut self, name: &str) {
        let n = self.commit();
        if let Some(branch) = self.branches.get_mut(name) {
            branch.commits.push(Commit { n, subject: n, run: None });
        }
    }

    pub fn update(&mut self, name: &str) -> Option<Head> {
        let n = self.commit();
        let base = self.base;
        let branch = self.branches.get_mut(name)?;
        if branch.base != base {
            branch.base = base;
            branch.commits.push(Commit { n, subject: n, run: None });
        }
        Some(head(branch.tip()))
    }

    pub fn merge(&mut self, name: &str, task: TaskId) {
        let n = self.commit();
        if let Some(branch) = self.branches.get(name) {
            self.merged.insert(name.to_owned(), head(branch.tip()));
            self.base = n;
            *self.ledger.merges.entry(task).or_default() += 1;
        }
    }
}
