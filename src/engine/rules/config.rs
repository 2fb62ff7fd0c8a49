//! `signalbox.toml`: where things are, which projects there are, who may decide.

use std::collections::BTreeMap;

use crate::engine::model::{Containment, Millis, Name};

use super::merge::Override;

/// The service's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Data directory, relative to the configuration's own folder unless absolute.
    pub data: String,
    /// Where the HTTP interface listens.
    pub listen: core::net::SocketAddr,
    /// Agents at work at the same time, over all projects.
    pub max_concurrency: u32,
    /// Work that nothing holds back and nothing moves for this long is told of.
    pub stalled_after: Millis,
    /// The best level of containment that runs may be given.
    pub containment: Containment,
    /// Language of the texts that people read.
    pub language: Language,
    /// The HTTP interface.
    pub api: Api,
    /// Projects by name.
    pub projects: BTreeMap<Name, Project>,
    /// Who may decide.
    pub people: People,
    /// Where alerts and cards are shown besides the tracker.
    pub chat: Option<Chat>,
}

/// A chat: one room of a bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// Address of the bot interface, without a slash at the end.
    pub url: String,
    /// The bot's token.
    pub token: Secret,
    /// The room: a number, or `@name` of a public one.
    pub room: String,
    /// Language of what is written there.
    pub language: Language,
}

/// A language that ships.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Russian.
    Ru,
}

impl Language {
    /// Its code, as in `messages/en.toml`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ru => "ru",
        }
    }
}

/// Languages of the texts: what is written on the board, and what is written in the chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Languages {
    /// Of everything but alerts and cards.
    pub texts: Language,
    /// Of alerts and cards.
    pub chat: Language,
}

impl Config {
    /// The languages in use; without a chat alerts are in the language of all texts.
    #[must_use]
    pub fn languages(&self) -> Languages {
        Languages {
            texts: self.language,
            chat: self.chat.as_ref().map_or(self.language, |c| c.language),
        }
    }
}

/// The HTTP interface.
#[derive(Debug, Clone, Default)]
pub struct Api {
    /// Bearer token; without one only loopback is listened on.
    pub token: Option<Secret>,
    /// Names accepted in the `Host` header besides the listen address.
    pub hosts: Vec<String>,
}

/// Where a secret is to be had; its value never stands in a file of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// The variable that holds it.
    Env(String),
    /// The file that holds it.
    File(String),
}

/// A project: a pipeline bound to a tracker and a forge.
#[derive(Debug, Clone)]
pub struct Project {
    /// Name of its pipeline.
    pub pipeline: Name,
    /// Work item id prefix.
    pub prefix: String,
    /// Tracker.
    pub tracker: Tracker,
    /// Forge.
    pub forge: Forge,
    /// Free values for templates.
    pub vars: BTreeMap<String, String>,
    /// Overrides of the pipeline.
    pub set: Vec<Override>,
    /// Agents at work at the same time in this project.
    pub max_concurrency: Option<u32>,
    /// Its jobs start before those of projects with less; −100 to 100.
    pub priority: i32,
    /// What changed rules mean for tasks that have begun.
    pub in_flight: InFlight,
}

/// What changed rules mean for tasks that have begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InFlight {
    /// They keep the rules they began with.
    #[default]
    Pin,
    /// They go on under the new rules; a reload that would strand one of them is refused.
    Follow,
}

impl InFlight {
    /// As the configuration spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Follow => "follow",
        }
    }
}

/// A tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tracker {
    /// The service's own board.
    Local,
    /// A project on a Plane server.
    Plane(Plane),
}

/// A project on a Plane server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plane {
    /// Address of the server, without a slash at the end.
    pub url: String,
    /// Slug of the workspace.
    pub workspace: String,
    /// Id (UUID) of the project.
    pub project: String,
    /// Key under which the service reads and writes.
    pub token: Secret,
    /// What webhooks are signed with.
    pub secret: Secret,
    /// Keys of the agents that write their comments under a name of their own.
    pub agents: BTreeMap<Name, Secret>,
}

/// A forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forge {
    /// The service's own forge over a repository of this machine.
    Local {
        /// The person's repository.
        source: String,
        /// Its default branch.
        default_branch: String,
    },
    /// A repository on a Gitea (or Forgejo) server.
    Gitea(Gitea),
}

/// A repository on a Gitea (or Forgejo) server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gitea {
    /// Address of the server, without a slash at the end.
    pub url: String,
    /// Owner of the repository: a login name or an organisation.
    pub owner: String,
    /// Name of the repository.
    pub repo: String,
    /// Its default branch.
    pub default_branch: String,
    /// Token under which the service reads and writes.
    pub token: Secret,
    /// What webhooks are signed with.
    pub secret: Secret,
}

impl Forge {
    /// The default branch.
    #[must_use]
    pub fn default_branch(&self) -> &str {
        match self {
            Self::Local { default_branch, .. } => default_branch,
            Self::Gitea(gitea) => &gitea.default_branch,
        }
    }
}

/// Who may decide: login names by role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// May approve, reject, confirm.
    pub approver: Vec<String>,
    /// May stop, retry, freeze.
    pub operator: Vec<String>,
    /// May look.
    pub viewer: Vec<String>,
}
