//! How a run ended, as it reaches the engine.

use serde::{Deserialize, Serialize};

use super::{JobId, Kill, Millis, Name, RunId, Seq};

/// A commit of the task branch and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Head {
    /// Commit id: serves only calls to the forge.
    pub sha: String,
    /// Hash of the tree *without* the artefact folder: what verdicts and approvals bind to.
    pub subject: String,
}

/// The largest cost of one run that is believed, United States dollars.
pub const COST_MOST: f64 = 10_000.0;

/// Whether one run can have cost this many dollars: what an agent says of that is a claim.
#[must_use]
pub fn plausible(usd: f64) -> bool {
    (0.0..=COST_MOST).contains(&usd)
}

/// What a run cost, as far as its output tells.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// United States dollars; [`plausible`].
    #[serde(deserialize_with = "dollars")]
    pub cost_usd: f64,
}

impl Usage {
    /// Both together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(more.input_tokens),
            output_tokens: self.output_tokens.saturating_add(more.output_tokens),
            cost_usd: self.cost_usd + more.cost_usd,
        }
    }
}

/// What was written down before claims were looked at may be anything.
fn dollars<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let told = f64::deserialize(from)?;
    Ok(if plausible(told) { told } else { 0.0 })
}

/// What an agent's own output tells besides its cost. Claims of the agent, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentNotes {
    /// The model that did most of the work.
    pub model: Option<String>,
    /// The agent's own name for its session.
    pub session: Option<String>,
    /// Turns between agent and model.
    pub turns: u32,
    /// Milliseconds that the agent says it worked.
    pub millis: u64,
    /// Tokens read that came from a cache; among [`Usage::input_tokens`].
    pub cached_tokens: u64,
    /// Calls of tools that were refused.
    pub denied: u32,
    /// The tools of the first of them.
    pub denials: Vec<String>,
    /// The cost that it claims, where that is not plausible and counts for nothing.
    pub doubted: Option<String>,
}

impl AgentNotes {
    /// The refused tools in one phrase, `Bash, Write (3 calls)`; `None` when there are none.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        let mut tools: Vec<&str> = self.denials.iter().map(String::as_str).collect();
        tools.sort_unstable();
        tools.dedup();
        let calls = if self.denied == 1 { "call" } else { "calls" };
        (self.denied > 0).then(|| format!("{} ({} {calls})", tools.join(", "), self.denied))
    }
}

/// A run ended; its commits, if accepted, are in the vault and on the forge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The run: the fencing token.
    pub run: RunId,
    /// Its job.
    pub job: JobId,
    /// The visit the job belongs to.
    pub visit: u32,
    /// The agent, or the gate of a gate command.
    pub slot: Name,
    /// How it ended.
    pub end: RunEnd,
    /// The commit the run started from.
    pub start: Option<String>,
    /// The branch's head after the run's commits were accepted; `None` where none were.
    pub head: Option<Head>,
    /// The nonce that the run's prompt carried; a verdict must repeat it.
    pub nonce: String,
    /// Paths that the run's accepted commits touched, at most 1000 of them.
    pub wrote: Vec<String>,
    /// What it cost.
    pub usage: Usage,
    /// The event of the last words of people that it was told ([`super::Said`]); 0 where there were none.
    #[serde(default, skip_serializing_if = "nothing")]
    pub heard: Seq,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn nothing(heard: &Seq) -> bool {
    *heard == Seq(0)
}

/// How a run ended, classified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// Exit 0 and something to show for it.
    Ok,
    /// A gate's command ended with this status; for a gate that is an answer, not a failure.
    Exited {
        /// Exit status.
        code: i32,
        /// The last lines it printed.
        tail: String,
    },
    /// Exit 0, but nothing was written where something was due.
    NoOutput,
    /// Exit 0 and nothing written, and tools had been refused to it: an outcome `no_output` that says why.
    Denied {
        /// The tools.
        tools: String,
    },
    /// Exit 0, and all that was written is ignored and was not taken over: an outcome `no_output` that says so.
    Ignored {
        /// Some of the files, and the rules that cover them.
        files: String,
        /// Tools that were refused to it.
        refused: Option<String>,
    },
    /// It wrote outside the paths its agent declares; nothing of it was accepted.
    OutOfScope {
        /// The first of those paths.
        paths: Vec<String>,
    },
    /// It failed.
    Permanent {
        /// Why, with the log's name.
        detail: String,
    },
    /// Weather: rate limit, overload, network.
    Transient {
        /// Why.
        detail: String,
        /// Not before this long from now, where the log said so.
        retry_after: Option<Millis>,
    },
    /// It failed while the disk was full: tried again as weather is, but of ours, and says nothing about the command.
    NoRoom {
        /// Why.
        detail: String,
    },
    /// The usage limit of the agent's account is reached: nobody's failure, tried again when it ends.
    Limited {
        /// Why.
        detail: String,
        /// When the limit ends.
        until: Millis,
    },
    /// It was killed.
    Killed(Kill),
    /// The process is gone and left no exit status: the service or the machine died.
    Lost,
}

/// What is said of a run whose outcome is `no_output`.
const NOTHING: &str = "the run ended well but wrote nothing that was due";

impl RunEnd {
    /// The outcome's name, as an edge `work.NAME` and people read it.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Exited { .. } => "exited",
            Self::NoOutput | Self::Denied { .. } | Self::Ignored { .. } => "no_output",
            Self::OutOfScope { .. } => "out_of_scope",
            Self::Permanent { .. } => "failed",
            Self::Transient { .. } | Self::NoRoom { .. } => "transient",
            Self::Limited { .. } => "limited",
            Self::Killed(_) => "killed",
            Self::Lost => "lost",
        }
    }

    /// What people should know about it; empty for a good end.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Ok | Self::Lost => String::new(),
            Self::Exited { code, tail } => format!("exit {code}: {tail}"),
            Self::NoOutput => NOTHING.to_owned(),
            Self::Denied { tools } => format!("{NOTHING}; tools were refused to it: {tools}"),
            Self::Ignored { files, refused } => {
                let refused = refused.as_ref().map(|t| format!("; tools were refused to it: {t}"));
                format!(
                    "{NOTHING}; files that git ignores are not taken over: {files}{}",
                    refused.unwrap_or_default()
                )
            }
            Self::OutOfScope { paths } => format!("wrote outside its declared paths: {}", paths.join(", ")),
            Self::Permanent { detail } | Self::Transient { detail, .. } | Self::NoRoom { detail } | Self::Limited { detail, .. } => {
                detail.clone()
            }
            Self::Killed(by) => format!("killed: {}", by.label()),
        }
    }
}
