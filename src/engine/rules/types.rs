//! The checked rules of one project: what the loader produces and `step` reads.

use std::collections::BTreeMap;

use crate::engine::breaker::Limits;
use crate::engine::budget::Budget;
use crate::engine::model::{FactKey, FreezeLevel, Millis, Name};
use crate::engine::script::Scripts;

use super::{DependRules, FreezeRules, Patterns, SerialGate};

/// A pipeline bound to a project, resolved, checked and compiled. Immutable.
#[derive(Debug, Clone)]
pub struct Ruleset {
    /// Name of the pipeline file, without `.toml`.
    pub pipeline: Name,
    /// Content hash of everything it was made from: SHA-256, hex.
    pub hash: String,
    /// Work item id prefix, `ORCH`.
    pub prefix: String,
    /// Artefact folder template, `docs/work-items/{id}`.
    pub artefacts: String,
    /// Branch names.
    pub branch: BranchRules,
    /// Stages in order; the first is `created`, the last `done`: both without work.
    pub flow: Vec<Name>,
    /// The stage of cancelled tasks.
    pub sink: Name,
    /// Stages that the flow reaches.
    pub stages: BTreeMap<Name, Stage>,
    /// Gates that a stage asks, directly or through another gate.
    pub gates: BTreeMap<Name, Gate>,
    /// Agents that work in some stage.
    pub agents: BTreeMap<Name, Agent>,
    /// Counters.
    pub counters: BTreeMap<Name, Counter>,
    /// Edges of every stage.
    pub on: BTreeMap<Name, Edge>,
    /// What people's acts on the board and in comments mean.
    pub signals: Signals,
    /// Retry policy.
    pub retry: Retry,
    /// The breaker of agent commands; none where it is switched off.
    pub breaker: Option<Limits>,
    /// The check of an agent's command before it is claimed; none where it is switched off.
    pub preflight: Option<Preflight>,
    /// What agents may cost.
    pub budget: Budget,
    /// So often in a row may the same happen; none where nobody counts.
    pub no_progress: Option<u32>,
    /// Function that classifies a failed run of an agent, `file.rhai::function`.
    pub classify: Option<Name>,
    /// Serial gate.
    pub serial_gate: SerialGate,
    /// Freezing after failures in a row, where that is switched on.
    pub freeze: Option<FreezeRules>,
    /// Dependencies between tasks.
    pub depends: DependRules,
    /// STOP.
    pub stop: StopRules,
    /// Labels that pass a human gate, by the gate's `auto` name.
    pub auto: BTreeMap<Name, AutoRule>,
    /// Entry check QG-0.
    pub entry: Entry,
    /// What must hold whenever something happens, by name.
    pub invariants: BTreeMap<Name, Invariant>,
    /// Compiled scripts.
    pub scripts: Scripts,
    /// Prompt templates, by file name without `.md`.
    pub prompts: BTreeMap<Name, String>,
    /// Texts people read, in the project's language: `section.key` → template.
    pub messages: BTreeMap<Name, String>,
    /// Free values for templates, from the project's `vars`.
    pub vars: BTreeMap<String, String>,
}

/// Branch names.
#[derive(Debug, Clone)]
pub struct BranchRules {
    /// Template of task branches, `feature/{id}-{slug}`.
    pub task: String,
    /// Patterns of branches that are never deleted or pushed to.
    pub protected: Vec<String>,
}

/// A stage: `work` → `pass` → `do` → the next in the flow.
#[derive(Debug, Clone, Default)]
pub struct Stage {
    /// What the board shows; `None` leaves the board alone.
    pub status: Option<String>,
    /// Agents, side by side.
    pub work: Vec<Name>,
    /// Gates, in order.
    pub pass: Vec<Name>,
    /// Engine actions, in order, under the merge lease.
    pub actions: Vec<Action>,
    /// Edges by `gate.outcome`, `action.outcome`, `work.failed`, `*.outcome` or `signal.NAME`.
    pub on: BTreeMap<Name, Edge>,
}

/// An engine action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The forge merges the change, with the content check.
    Merge,
}

impl Action {
    /// Its name, as edges and events spell it.
    #[must_use]
    pub fn name(&self) -> Name {
        match self {
            Self::Merge => Name::new("merge"),
        }
    }

    /// Outcomes besides `ok`.
    #[must_use]
    pub fn outcomes(&self) -> &'static [&'static str] {
        match self {
            Self::Merge => &["conflict", "base_moved", "head_moved", "refused", "mismatch"],
        }
    }
}

/// Where an edge leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// To this stage.
    Stage(Name),
    /// To the stage before, in the flow, in which agents work.
    Previous,
}

/// What follows from an outcome that is not `ok`, or from a signal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    /// Leave for that stage.
    pub to: Option<To>,
    /// Counter that the return uses up.
    pub uses: Option<Name>,
    /// Message (section `note`) for the agents of the next round.
    pub note: Option<Name>,
    /// Message (section `comment`) for people.
    pub comment: Option<Name>,
    /// Message (section `ask`) put to people; the task waits for an answer.
    pub ask: Option<Name>,
    /// Run this agent of the stage again.
    pub rerun: Option<Name>,
    /// Merge the base into the branch first.
    pub update: bool,
    /// Show this status.
    pub status: Option<String>,
    /// Tell the operators.
    pub alert: bool,
    /// Stay at the stage.
    pub stay: bool,
    /// Park the task for a person.
    pub escalate: bool,
    /// Freeze the repository at this level.
    pub freeze: Option<FreezeLevel>,
}

/// A gate.
#[derive(Debug, Clone)]
pub struct Gate {
    /// What it checks.
    pub kind: GateKind,
    /// Facts it reads, declared or implied by its kind; of the gates it is made of, too.
    pub reads: Vec<FactKey>,
    /// Outcomes besides `ok`, waiting ones not included.
    pub outcomes: Vec<Name>,
    /// Waiting outcomes.
    pub waits: Vec<Name>,
}

/// What a gate checks.
#[derive(Debug, Clone)]
pub enum GateKind {
    /// Which files lie in the artefact folder; the first clause that holds decides.
    Files(Vec<FilesClause>),
    /// An entry of an artefact's front-matter. Outcomes: the map's values, and `unreadable`
    /// (absent, without this round's nonce, unparsable, or a value that is not in the map).
    Frontmatter {
        /// Artefact, below the artefact folder.
        file: String,
        /// Key.
        key: String,
        /// Value → outcome.
        map: BTreeMap<String, Name>,
    },
    /// Commit statuses of the head. Outcomes `ok`, `red`, `none`; waits `pending`.
    Checks {
        /// Contexts that are required.
        contexts: Vec<String>,
    },
    /// Reviews on the forge: outcome `changes` while changes are requested on this code;
    /// waits `waiting` while a request on older code has not been dismissed or renewed.
    Review {
        /// Outcome when changes are requested.
        changes: Name,
    },
    /// Whether the head merges. Outcomes `ok`, `conflict`, `behind`.
    Mergeable,
    /// A command in the task's checkout. Outcomes `ok` (exit 0), `red`; waits `pending`.
    Command {
        /// Program and arguments; no shell.
        run: Vec<String>,
        /// It is killed after this long.
        timeout: Millis,
        /// Names of variables it inherits besides the built-in allow-list.
        env: Vec<String>,
        /// Whether HOME is the service's own instead of a fresh folder.
        share_home: bool,
    },
    /// A person. Waits `waiting`.
    Human {
        /// The signal that approves.
        signal: Name,
        /// The role it must come from: `approver` or `operator`.
        from: Name,
        /// How many different people.
        quorum: u32,
        /// Entry of `auto` whose label passes the gate without a person.
        auto: Option<Name>,
    },
    /// Time. Waits `pending`.
    Wait {
        /// How long after the stage was entered.
        span: Millis,
        /// Whether the time begins anew when the subject moves.
        restart_on_move: bool,
    },
    /// The first gate whose outcome is not `none` decides.
    FirstOf(Vec<Name>),
    /// The first gate whose outcome is not `ok` decides.
    AllOf(Vec<Name>),
    /// A function of a script. Outcomes as declared, and `error`.
    Script {
        /// Key into [`Scripts`], `file.rhai::function`.
        function: Name,
        /// Parameter → fact.
        reads: BTreeMap<String, FactKey>,
        /// Constant arguments.
        args: serde_json::Value,
    },
}

/// A clause of a `files` gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilesClause {
    /// Holds when this round wrote at least one file matching one of the patterns.
    Any(Patterns, Name),
    /// Holds when every pattern matches a file and this round wrote at least one of all of them.
    All(Patterns, Name),
    /// Holds always.
    Else(Name),
}

/// An agent: any program.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Program and arguments; no shell. `{prompt}` is replaced where `input` is `argument`.
    pub run: Vec<String>,
    /// Prompt template's name.
    pub prompt: Name,
    /// How the prompt reaches it.
    pub input: Input,
    /// It is killed after this long.
    pub timeout: Millis,
    /// Between SIGTERM and SIGKILL.
    pub grace: Millis,
    /// Paths (globs below the checkout) that it may write besides its artefacts.
    pub writes: Vec<String>,
    /// Artefacts (globs below the artefact folder) that it may write.
    pub artefacts: Patterns,
    /// Names of variables it inherits besides the built-in allow-list.
    pub env: Vec<String>,
    /// Whether HOME is the service's own instead of a fresh folder.
    pub share_home: bool,
    /// Files below the service's HOME that a fresh one links to.
    pub credentials: Vec<String>,
    /// How its output is read.
    pub output: Output,
    /// Runs of it at the same time, in its project.
    pub max_concurrency: Option<u32>,
}

/// How an agent's output is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// The result of any agent that is known, if there is one; else the exit status.
    #[default]
    Auto,
    /// The exit status alone.
    Text,
    /// Claude Code, `--output-format json` or `stream-json`.
    Claude,
    /// Codex, `exec --json`.
    Codex,
    /// Gemini CLI, `--output-format json` or `stream-json`.
    Gemini,
    /// OpenCode, `run --format json`.
    OpenCode,
}

impl Output {
    /// All of them, as the rules write them.
    pub const ALL: [(&'static str, Self); 6] = [
        ("auto", Self::Auto),
        ("text", Self::Text),
        ("claude", Self::Claude),
        ("codex", Self::Codex),
        ("gemini", Self::Gemini),
        ("opencode", Self::OpenCode),
    ];

    /// As the rules write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, o)| *o == self).map_or("auto", |(word, _)| word)
    }
}

/// How a prompt reaches an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// On standard input, which is then closed.
    Stdin,
    /// In place of `{prompt}` in the arguments; standard input is empty.
    Argument,
}

/// A counter bounds returns.
#[derive(Debug, Clone)]
pub struct Counter {
    /// Returns allowed; never reset.
    pub max: u8,
    /// What happens besides when one more is due.
    pub spent: Edge,
}

/// What people's acts mean.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// Board status → signal.
    pub status: BTreeMap<String, Name>,
    /// Comment prefix → signal, longest first.
    pub comment: Vec<(String, Name)>,
    /// Signal of any other comment of a person.
    pub other_comment: Option<Name>,
}

/// Retry policy of runs.
#[derive(Debug, Clone)]
pub struct Retry {
    /// Tries of a job, the first included.
    pub attempts: u8,
    /// Requeues for weather.
    pub transient: u8,
    /// Requeues after a lost process.
    pub rescues: u8,
    /// First factor of the back-off: `min(2^n · base, max)`.
    pub base: Millis,
    /// Longest back-off, and cap of a `Retry-After`.
    pub max: Millis,
    /// Case-insensitive patterns of weather in the log's tail.
    pub patterns: Vec<String>,
}

/// The check of an agent's command before anything is claimed for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preflight {
    /// How long `--version` may take.
    pub timeout: Millis,
    /// How long an answer holds.
    pub cache: Millis,
}

/// STOP.
#[derive(Debug, Clone)]
pub struct StopRules {
    /// Off removes the board's signal, not the operator's.
    pub enabled: bool,
    /// Action → how long a stop may be put off while it is at work.
    pub critical: BTreeMap<Name, Millis>,
    /// Copy the artefact folder to the archive.
    pub archive: bool,
    /// Remove the checkouts.
    pub checkout: bool,
    /// Delete the remote task branch.
    pub branch: bool,
}

/// A standing order by label.
#[derive(Debug, Clone)]
pub struct AutoRule {
    /// The label.
    pub label: String,
    /// Globs of paths whose change suspends the order.
    pub suspended_by: Patterns,
}

/// Entry check QG-0.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Longest title, in characters.
    pub title_max: u32,
    /// Whether a description must be present.
    pub description: bool,
    /// Status shown when the check fails.
    pub refused_status: Option<String>,
}

/// What the project says must hold at a moment: `never = { action = "merge", without = … }`, or
/// the same said with `always` and `with`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invariant {
    /// The moment.
    pub moment: Moment,
    /// `gate`, `outcome` that must have come out before, each of them.
    pub needs: Vec<(Name, Name)>,
    /// Whether they must have come out on the same subject, not on an older one.
    pub same_subject: bool,
}

/// A moment that an invariant speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// An action begins.
    Action(Name),
    /// A stage is entered.
    Stage(Name),
}
