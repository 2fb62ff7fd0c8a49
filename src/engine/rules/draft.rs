//! A pipeline as it was written: typed, every name with its place, nothing resolved yet.

use std::collections::BTreeMap;

use crate::engine::breaker::Limits;
use crate::engine::budget::Budget;
use crate::engine::model::{FactKey, FreezeLevel, Millis};

use super::diagnostic::Place;
use super::later::HookDraft;
use super::reader::Sp;
use super::{AutoRule, DependRules, Entry, FreezeRules, Input, LaneScope, Output, Preflight, Retry};

/// Things by name, each with the place where its name was written.
pub type Named<T> = BTreeMap<String, Sp<T>>;

/// A pipeline as it was written.
#[derive(Debug)]
pub struct Draft {
    /// The file's first byte, for findings about the pipeline as a whole.
    pub at: Place,
    /// `flow`.
    pub flow: Option<Sp<Vec<Sp<String>>>>,
    /// `sink`.
    pub sink: Option<Sp<String>>,
    /// `artefacts`.
    pub artefacts: Option<Sp<String>>,
    /// `branch.task`.
    pub branch: Option<Sp<String>>,
    /// `branch.protected`.
    pub protected: Option<Sp<Vec<Sp<String>>>>,
    /// `signals.status`: status → signal.
    pub statuses: Named<Sp<String>>,
    /// `signals.comment`: prefix → signal.
    pub comments: Named<Sp<String>>,
    /// `on`.
    pub on: Named<EdgeDraft>,
    /// `stages`.
    pub stages: Named<StageDraft>,
    /// `gates`.
    pub gates: Named<GateDraft>,
    /// `counters`.
    pub counters: Named<CounterDraft>,
    /// `agents`, the defaults of `*` laid under each.
    pub agents: Named<AgentDraft>,
    /// `programs`.
    pub programs: Named<ProgramDraft>,
    /// `retry`.
    pub retry: Retry,
    /// `breaker`.
    pub breaker: Option<Limits>,
    /// `preflight`.
    pub preflight: Option<Preflight>,
    /// `budget`.
    pub budget: Budget,
    /// `budget.task.max_runs`, and where it is said.
    pub max_runs: Option<Sp<i64>>,
    /// `breaker.no_progress`.
    pub no_progress: Option<u32>,
    /// `retry.classify`.
    pub classify: Option<Sp<String>>,
    /// `serial_gate`.
    pub serial: SerialDraft,
    /// `freeze`.
    pub freeze: Option<FreezeRules>,
    /// `depends`.
    pub depends: DependRules,
    /// `stop`.
    pub stop: StopDraft,
    /// `auto.enabled`.
    pub auto_on: bool,
    /// `auto`, the rest of it.
    pub auto: Named<AutoRule>,
    /// `entry`.
    pub entry: Entry,
    /// `invariant`; `None` where one could not be read.
    pub invariants: Named<Option<InvariantDraft>>,
    /// Tables that have no engine yet.
    pub later: LaterDraft,
}

/// The serial gate as it was written.
#[derive(Debug, Default)]
pub struct SerialDraft {
    /// `enabled`.
    pub enabled: bool,
    /// `guards`.
    pub guards: Vec<Sp<String>>,
    /// `scope`.
    pub scope: LaneScope,
}

/// Tables that have no engine yet, as far as others refer to them.
#[derive(Debug, Default)]
pub struct LaterDraft {
    /// `hooks`.
    pub hooks: Named<HookDraft>,
    /// `watches`: their texts with placeholders.
    pub watches: Named<Vec<Sp<String>>>,
}

/// An invariant as it was written.
#[derive(Debug)]
pub struct InvariantDraft {
    /// `action` or `stage`.
    pub moment: MomentDraft,
    /// `without`, or `with`.
    pub needs: Vec<Sp<String>>,
    /// `for = "same subject"`.
    pub same_subject: bool,
}

/// The moment of an invariant as it was written.
#[derive(Debug)]
pub enum MomentDraft {
    /// `action`.
    Action(Sp<String>),
    /// `stage`.
    Stage(Sp<String>),
}

/// A stage as it was written.
#[derive(Debug, Default)]
pub struct StageDraft {
    /// `status`.
    pub status: Option<Sp<String>>,
    /// `work`.
    pub work: Vec<Sp<String>>,
    /// `pass`.
    pub pass: Vec<Sp<String>>,
    /// `do`.
    pub actions: Vec<Sp<String>>,
    /// `watch`.
    pub watch: Option<Sp<String>>,
    /// `on`.
    pub on: Named<EdgeDraft>,
}

/// An edge as it was written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EdgeDraft {
    /// `to`.
    pub to: Option<Sp<String>>,
    /// `uses`.
    pub uses: Option<Sp<String>>,
    /// `note`.
    pub note: Option<Sp<String>>,
    /// `comment`.
    pub comment: Option<Sp<String>>,
    /// `ask`.
    pub ask: Option<Sp<String>>,
    /// `rerun`.
    pub rerun: Option<Sp<String>>,
    /// `status`.
    pub status: Option<Sp<String>>,
    /// `update`.
    pub update: bool,
    /// `alert`.
    pub alert: bool,
    /// `stay`.
    pub stay: bool,
    /// `escalate`.
    pub escalate: bool,
    /// `freeze`.
    pub freeze: Option<FreezeLevel>,
}

/// A counter as it was written.
#[derive(Debug)]
pub struct CounterDraft {
    /// `max`.
    pub max: u8,
    /// `spent`.
    pub spent: EdgeDraft,
}

/// A gate as it was written; `None` where its kind could not be read.
#[derive(Debug)]
pub struct GateDraft(pub Option<KindDraft>);

/// A gate's kind as it was written.
#[derive(Debug)]
pub enum KindDraft {
    /// `files`.
    Files(Vec<ClauseDraft>),
    /// `frontmatter`.
    Frontmatter {
        /// `file`.
        file: Sp<String>,
        /// `key`.
        key: String,
        /// `map`.
        map: BTreeMap<String, Sp<String>>,
    },
    /// `checks`.
    Checks(Vec<String>),
    /// `review`.
    Review(Sp<String>),
    /// `mergeable`.
    Mergeable,
    /// `http`: texts with placeholders.
    Http(Vec<Sp<String>>),
    /// `command`.
    Command {
        /// `run`.
        run: Vec<String>,
        /// `timeout`.
        timeout: Millis,
        /// `env`.
        env: Vec<String>,
        /// `home`.
        share_home: bool,
    },
    /// `human`.
    Human {
        /// `signal`.
        signal: Sp<String>,
        /// `from`.
        from: &'static str,
        /// `quorum`.
        quorum: u32,
        /// `auto`.
        auto: Option<Sp<String>>,
    },
    /// `wait`.
    Wait {
        /// `for`.
        span: Millis,
        /// `subject_moves = "restart"`.
        restart: bool,
    },
    /// `first_of`.
    FirstOf(Vec<Sp<String>>),
    /// `all_of`.
    AllOf(Vec<Sp<String>>),
    /// `script`.
    Script {
        /// `fn`.
        function: Sp<String>,
        /// `reads`.
        reads: BTreeMap<String, FactKey>,
        /// `args`.
        args: serde_json::Value,
        /// `returns`.
        returns: Vec<Sp<String>>,
    },
}

/// A clause of a `files` gate as it was written.
#[derive(Debug)]
pub enum ClauseDraft {
    /// `any`.
    Any(Vec<String>, Sp<String>),
    /// `all`.
    All(Vec<String>, Sp<String>),
    /// `else`.
    Else(Sp<String>),
}

/// An agent as it was written, over its defaults.
#[derive(Debug)]
pub struct AgentDraft {
    /// Its command, as far as it is its own.
    pub own: ProgramDraft,
    /// `program`: whose command it uses otherwise.
    pub program: Option<Sp<String>>,
    /// `args`: what is added to the program's.
    pub args: Option<Sp<Vec<String>>>,
    /// `prompt`.
    pub prompt: Option<Sp<String>>,
    /// `timeout`.
    pub timeout: Millis,
    /// `grace`.
    pub grace: Millis,
    /// `max_concurrency`.
    pub max_concurrency: Option<u32>,
    /// `writes`.
    pub writes: Sp<Vec<String>>,
    /// `artefacts`.
    pub artefacts: Vec<String>,
}

/// A command and how it is spoken to: a program, or an agent's own.
#[derive(Debug)]
pub struct ProgramDraft {
    /// `run`.
    pub run: Option<Sp<Vec<String>>>,
    /// `input`.
    pub input: Option<Input>,
    /// `output`.
    pub output: Option<Output>,
    /// `env`.
    pub env: Vec<String>,
    /// `home`; whether it is `"service"`.
    pub share_home: Option<bool>,
    /// `credentials`.
    pub credentials: Vec<String>,
}

/// STOP as it was written.
#[derive(Debug, Default)]
pub struct StopDraft {
    /// `enabled`.
    pub enabled: bool,
    /// `critical`: action → bound.
    pub critical: Named<Millis>,
    /// `clean_up`.
    pub clean_up: Vec<&'static str>,
}
