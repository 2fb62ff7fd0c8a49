//! The doctor: holds the rules against the machine, the tracker, the forge and the chat as they
//! are, and says what to do. It asks the peers itself, writes nothing, and needs no service.
//!
//! Each part of each project is looked at by itself and at the same time as the others: a peer
//! that is down costs one finding, and the rest is told all the same.

mod board;
mod branch;
mod checks;
mod forge;
mod hooks;
mod machine;
mod people;
mod room;
mod setup;
mod statuses;

use std::path::Path;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use reqwest::Url;
use serde::Serialize;

use crate::engine::rules::{Config, Files, Forge, Loaded, Tracker};
use crate::shell::secret::Secret;
use crate::shell::tracker::plane::Budgets;

pub use machine::executable;
pub use setup::{BadAddress, Base, Done, HookSetup, NotDone, OfProject, Outcome, Steps, setup};

/// How a finding is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It cannot be told from here, and the finding says how else; it counts for nothing.
    Unknown,
    /// It works, less well than it could.
    Warning,
    /// Something will not work.
    Problem,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it is to be taken.
    pub level: Level,
    /// What was looked at, `tracker.status`; what stands before the dot is the part. Stable.
    pub check: &'static str,
    /// The project; none for what all of them share.
    pub project: Option<String>,
    /// What is so.
    pub what: String,
    /// Why it matters.
    pub why: Option<String>,
    /// What to do.
    pub mend: Option<String>,
}

/// What is looked at.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// The rules.
    pub loaded: &'a Loaded,
    /// The files that they were read from.
    pub files: &'a Files,
    /// The configuration's folder.
    pub dir: &'a Path,
    /// The address at which peers reach the service, where it was told.
    pub url: Option<&'a Base>,
    /// Longest wait for one answer.
    pub patience: Duration,
}

/// Looks at everything. Findings stand in a fixed order: the machine, then each project's agents,
/// tracker and forge, then the chat.
pub async fn examine(ask: Ask<'_>) -> Vec<Finding> {
    let Some(config) = &ask.loaded.config else {
        return Vec::new();
    };
    let budgets = Budgets::default();
    let mut parts: Vec<BoxFuture<'_, Notes>> = vec![Box::pin(machine::look(ask, config))];
    for (name, project) in &config.projects {
        let Some(rules) = ask.loaded.rulesets.get(name) else { continue };
        let notes = || Notes::of(Some(name.as_str()));
        parts.push(Box::pin(machine::commands(ask, config, name, rules)));
        match &project.tracker {
            Tracker::Plane(plane) => parts.push(Box::pin(board::look(ask, config, plane, rules, &budgets, notes()))),
            Tracker::Local => parts.push(told("tracker", "the service's own board", notes())),
        }
        match &project.forge {
            Forge::Gitea(gitea) => parts.push(Box::pin(forge::look(ask, gitea, rules, notes()))),
            Forge::Local { source, .. } => parts.push(Box::pin(machine::source(ask, source, notes()))),
        }
    }
    if let Some(chat) = &config.chat {
        parts.push(Box::pin(room::look(ask, chat, Notes::of(None))));
    }
    let notes = join_all(parts).await;
    let secrets = secrets(config, ask.dir);
    notes.into_iter().flat_map(|n| n.findings).map(|f| f.scrubbed(&secrets)).collect()
}

fn told<'a>(check: &'static str, what: &'static str, mut notes: Notes) -> BoxFuture<'a, Notes> {
    notes.ok(check, what);
    Box::pin(std::future::ready(notes))
}

/// Every secret that can be read: a peer may repeat one in its words.
fn secrets(config: &Config, dir: &Path) -> Vec<Secret> {
    let mut from = Vec::new();
    for project in config.projects.values() {
        if let Tracker::Plane(plane) = &project.tracker {
            from.extend([&plane.token, &plane.secret]);
            from.extend(plane.agents.values());
        }
        if let Forge::Gitea(gitea) = &project.forge {
            from.extend([&gitea.token, &gitea.secret]);
        }
    }
    from.extend(config.chat.as_ref().map(|c| &c.token));
    from.into_iter().filter_map(|s| Secret::read(s, dir).ok()).collect()
}

impl Finding {
    fn scrubbed(mut self, secrets: &[Secret]) -> Self {
        let texts = [Some(&mut self.what), self.why.as_mut(), self.mend.as_mut()];
        for text in texts.into_iter().flatten() {
            for secret in secrets {
                *text = secret.scrub(text);
            }
        }
        self
    }
}

/// Findings about one thing while it is looked at.
struct Notes {
    project: Option<String>,
    findings: Vec<Finding>,
}

impl Notes {
    fn of(project: Option<&str>) -> Self {
        Self {
            project: project.map(str::to_owned),
            findings: Vec::new(),
        }
    }

    fn add(&mut self, level: Level, check: &'static str, what: impl Into<String>, why: &str, mend: &str) {
        let text = |t: &str| (!t.is_empty()).then(|| t.to_owned());
        self.findings.push(Finding {
            level,
            check,
            project: self.project.clone(),
            what: what.into(),
            why: text(why),
            mend: text(mend),
        });
    }

    fn ok(&mut self, check: &'static str, what: impl Into<String>) {
        self.add(Level::Ok, check, what, "", "");
    }

    fn unknown(&mut self, check: &'static str, what: impl Into<String>, mend: &str) {
        self.add(Level::Unknown, check, what, "", mend);
    }

    fn warning(&mut self, check: &'static str, what: impl Into<String>, why: &str, mend: &str) {
        self.add(Level::Warning, check, what, why, mend);
    }

    fn problem(&mut self, check: &'static str, what: impl Into<String>, why: &str, mend: &str) {
        self.add(Level::Problem, check, what, why, mend);
    }

    /// Whether anything was found wrong so far.
    fn clean(&self) -> bool {
        self.findings.iter().all(|f| f.level < Level::Warning)
    }

    /// Reads a secret of `part`; one that cannot be had is a problem.
    fn secret(&mut self, check: &'static str, key: &str, from: &crate::engine::rules::Secret, dir: &Path) -> Option<Secret> {
        match Secret::read(from, dir) {
            Ok(secret) => Some(secret),
            Err(why) => {
                let what = format!("`{key}` cannot be read: {why}");
                self.problem(
                    check,
                    what,
                    "the service does not start without it",
                    "put the value there, readable by the service's user",
                );
                None
            }
        }
    }
}

/// Waits for an answer, at most as long as `patience`.
async fn timely<T, E>(patience: Duration, answer: impl Future<Output = Result<T, E>>, late: impl FnOnce() -> E) -> Result<T, E> {
    tokio::time::timeout(patience, answer).await.unwrap_or_else(|_| Err(late()))
}

/// Whether two addresses lead to the same place.
fn same_address(one: &str, other: &Url) -> bool {
    let whole = |u: &Url| {
        (
            u.scheme().to_owned(),
            u.host_str().map(str::to_lowercase),
            u.port_or_known_default(),
            u.path().to_owned(),
        )
    };
    Url::parse(one).is_ok_and(|one| whole(&one) == whole(other))
}
