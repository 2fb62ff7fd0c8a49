//! What may be said on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Runs coding agents through gated pipelines, unattended, safely.
#[derive(Debug, Parser)]
#[command(
    name = "signalbox",
    version,
    disable_help_subcommand = true,
    after_help = "First steps: `signalbox demo` shows a whole run without any set-up; `signalbox init` prepares the repository you are in; \
                  `signalbox serve` starts the service; `signalbox task new \"Title\"` gives it work.\n\n\
                  Exit codes: 0 ok, 1 failure, 2 usage, 3 no service answers, 4 refused, 5 not found, 10 and 11 findings of validate and doctor."
)]
pub struct Args {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of every command.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Global {
    /// The configuration; else signalbox.toml or .signalbox/signalbox.toml here or in a folder above
    #[arg(long, global = true, value_name = "FILE", env = "SIGNALBOX_CONFIG", conflicts_with = "dir")]
    pub config: Option<PathBuf>,
    /// The folder that holds the configuration
    #[arg(long, global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Talk to the service at this address instead of the local socket; the token is SIGNALBOX_TOKEN
    #[arg(long, global = true, value_name = "URL", env = "SIGNALBOX_SERVER")]
    pub server: Option<String>,
    /// Print JSON with a stable shape
    #[arg(long, global = true)]
    pub json: bool,
    /// Colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Colour,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service
    Serve(Serve),
    /// Prepare the repository you are in: write .signalbox/signalbox.toml
    Init(Init),
    /// Show a whole run in a scratch folder, with scripted agents: no set-up, no money
    Demo(super::demo::DemoArgs),
    /// Check the configuration and its rules
    Validate(Validate),
    /// Compare the rules with this machine, the tracker, the forge and the chat, and say what to do
    Doctor(super::doctor::DoctorArgs),
    /// Set up what peers need
    Setup(super::setup::SetupArgs),
    /// Play the scenario tests of the rules: tests/rules/*.toml beside the configuration
    Test(Test),
    /// Print what a pipeline decides: stage, standing, event and outcome, one decision a line
    Table {
        /// A pipeline, or a project: its pipeline with what the project sets
        pipeline: String,
    },
    /// Draw a pipeline
    Graph(super::picture::Graph),
    /// What needs me, what moves, what waits
    #[command(visible_alias = "st")]
    Status,
    /// Everything about a task
    Show {
        /// ORCH-001, ORCH-001~1 (an older one), #7 (row id) or project#3 (issue)
        item: String,
        /// Take ITEM as a project or pipeline: print every value in force and the line it comes from
        #[arg(long)]
        origin: bool,
    },
    /// Why a task waits, and who can clear it
    Why {
        /// The task
        item: String,
    },
    /// Read the logs of a task's agents
    Logs(Logs),
    /// Make and edit issues on the service's own board
    Task(Task),
    /// Approve what waits for approval at the task's stage
    Approve {
        /// The task
        item: String,
        /// Send this signal instead of the one that the stage waits for
        #[arg(long, value_name = "NAME")]
        signal: Option<String>,
        /// A word with it
        text: Option<String>,
    },
    /// Send a task back, with the reason for its agent
    Reject {
        /// The task
        item: String,
        /// The reason
        reason: String,
    },
    /// Answer the open question of a task
    Answer {
        /// The task
        item: String,
        /// The answer
        text: String,
    },
    /// Stop a task: its agents are ended, its checkout and branch go, its artefacts are archived
    ///
    /// The artefacts (documents) are copied to archive/tN in the data directory. Code is not: what was pushed to the
    /// branch stays in the service's own copy of the repository (vaults/) by its commit id, what was never committed is
    /// lost. A branch that holds somebody else's commits is left alone. While a merge is under way the stop is put off until it has
    /// ended. To begin anew, start the issue again: `signalbox task status ITEM "To Analyse"` on the service's own board.
    Stop {
        /// The task
        item: String,
        /// Why
        reason: Option<String>,
    },
    /// Take an escalated or failed task up again
    Retry {
        /// The task
        item: String,
        /// A note for its agents
        note: Option<String>,
    },
    /// Have a task wait until another is over (done or stopped)
    Depend(Depend),
    /// Review a task's change on the service's own forge, or report a check of it
    Change(Change),
    /// Hold a repository back: no merge and no new task, or nothing at all
    Freeze {
        /// Why
        reason: String,
        /// The project; needed where there are several
        #[arg(short, long)]
        project: Option<String>,
        /// How much is held back
        #[arg(long, value_enum, default_value_t)]
        level: FreezeLevel,
    },
    /// Lift the freeze of a repository
    Unfreeze {
        /// Why
        reason: Option<String>,
        /// The project; needed where there are several
        #[arg(short, long)]
        project: Option<String>,
    },
    /// Jobs: what runs, what waits and why
    Queue,
    /// Runs of agents and gate commands, newest first
    Runs(super::spending::Runs),
    /// What agents cost, and how the budgets stand
    Cost(super::spending::Cost),
    /// Let a task go on that its budget, or the same failure again, holds back
    Allow(super::spending::Allow),
    /// The breakers of agents' commands: what they hold back; closes one
    Breaker(super::breaker::Breaker),
    /// Have the running service read its configuration and rules again: all of it is taken over, or nothing is
    Reload,
    /// Copy the data directory to a new folder, while the service works
    Backup {
        /// The folder; it must not be there yet
        to: PathBuf,
    },
    /// Put a back-up in the place of the data directory; the service must not run
    Restore(super::backup::Restore),
    /// Print a completion script for your shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Play an agent from a script
    #[command(hide = true)]
    ScriptedAgent {
        /// Its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

/// Arguments of the hidden `run-shim`. Every run starts it twice, and does not wait until all other commands are put together.
#[derive(Debug, Parser)]
#[command(name = "signalbox run-shim")]
pub struct RunShim {
    /// The run's folder
    pub dir: Option<PathBuf>,
    /// Be the first process of the run's namespace
    #[arg(long)]
    pub init: bool,
    /// Tell by the exit status whether this level of containment can be had
    #[arg(long, value_name = "LEVEL")]
    pub probe: Option<String>,
    /// Ask the program that standard input names for its version
    #[arg(long)]
    pub ask: bool,
}

/// Arguments of `depend`.
#[derive(Debug, Clone, clap::Args)]
pub struct Depend {
    /// The task that waits
    pub item: String,
    /// The task or issue that it waits for
    #[arg(long, value_name = "OTHER", required_unless_present = "remove", conflicts_with = "remove")]
    pub on: Option<String>,
    /// It waits for this one no more, wherever that was declared
    #[arg(long, value_name = "OTHER")]
    pub remove: Option<String>,
}

/// Arguments of `serve`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Serve {
    /// Listen here instead of where the configuration says
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<std::net::SocketAddr>,
    /// Write the log as JSON
    #[arg(long)]
    pub log_json: bool,
    /// On the first SIGTERM or SIGINT start nothing new, and end when no run is left
    #[arg(long)]
    pub drain: bool,
    /// Leave the proof out, now and at reloads: rules that `validate` refuses may then be in force
    #[arg(long)]
    pub no_proof: bool,
}

/// Arguments of `init`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Init {
    /// The repository; else the one you are in
    pub dir: Option<PathBuf>,
    /// The agent's command, as you would type it; it reads its task from standard input
    #[arg(long, value_name = "COMMAND")]
    pub agent: Option<String>,
    /// The command that tests the code, as you would type it
    #[arg(long, value_name = "COMMAND")]
    pub test: Option<String>,
    /// The pipeline
    #[arg(long, value_enum)]
    pub pipeline: Option<Pipeline>,
    /// What work item ids begin with
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// Write over an earlier configuration
    #[arg(long)]
    pub force: bool,
}

/// A pipeline that ships.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pipeline {
    /// One developer, a reviewer, your tests, your approval.
    Local,
    /// From analysis to deploy, with a person at three gates.
    Orch,
    /// An ordinary application: no staging, no self-deploy.
    Enduro,
    /// Documents: written, read by two reviewers, published after a day.
    Docs,
}

impl Pipeline {
    /// Its file's name, without `.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Orch => "orch",
            Self::Enduro => "enduro",
            Self::Docs => "docs",
        }
    }
}

/// Arguments of `validate`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Validate {
    /// The folder that holds the configuration
    pub dir: Option<PathBuf>,
    /// Warnings count: exit 11
    #[arg(long)]
    pub strict: bool,
    /// Check, too, that agents' commands can be run on this machine
    #[arg(long)]
    pub here: bool,
    /// Only load: do not prove. What the proof finds is an error here, but does not keep the service from starting
    #[arg(long)]
    pub no_proof: bool,
    /// Prove anew, whatever was proved before
    #[arg(long)]
    pub no_cache: bool,
    /// Give a proof up after so many seconds: what is not decided by then is skipped, with a warning
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub proof_time: u64,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: super::validate::Format,
    /// Print the page of a code
    #[arg(long, value_name = "CODE")]
    pub explain: Option<String>,
}

/// Arguments of `test`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Test {
    /// Scenario files or folders of them; else tests/rules/ in the configuration's folder
    pub paths: Vec<PathBuf>,
    /// Show which edges, outcomes and points of stop no scenario visits
    #[arg(long)]
    pub coverage: bool,
}

/// Arguments of `logs`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Logs {
    /// The task
    pub item: Option<String>,
    /// Wait for more until the run ends
    #[arg(short, long)]
    pub follow: bool,
    /// This run; else the task's latest
    #[arg(long, value_name = "N")]
    pub run: Option<i64>,
    /// The latest run of this stage
    #[arg(long, value_name = "NAME", conflicts_with = "run")]
    pub stage: Option<String>,
    /// Everything, not only the last 1000 lines
    #[arg(long)]
    pub all: bool,
    /// As the agent wrote it, control characters included
    #[arg(long)]
    pub raw: bool,
}

/// How much a freeze holds back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum FreezeLevel {
    /// No merge, no entry of new tasks.
    #[default]
    Merge,
    /// Nothing starts.
    All,
}

impl FreezeLevel {
    /// As the API spells it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::All => "all",
        }
    }
}

/// Arguments of `change`.
#[derive(Debug, clap::Args)]
pub struct Change {
    /// What to do.
    #[command(subcommand)]
    pub command: ChangeCommand,
}

/// A command of `change`.
#[derive(Debug, Subcommand)]
pub enum ChangeCommand {
    /// Review the change as it stands now
    Review {
        /// The task
        item: String,
        /// What the review says
        #[arg(value_enum)]
        verdict: Verdict,
        /// Its text; needed with `changes`
        text: Option<String>,
    },
    /// Report a check (a commit status) of the change as it stands now
    Check {
        /// The task
        item: String,
        /// Its name, as the rules require it: ci/test
        context: String,
        /// How it stands
        #[arg(value_enum)]
        state: CheckWord,
        /// A word with it
        text: Option<String>,
    },
}

/// What a review says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Verdict {
    /// Fine.
    Approved,
    /// Not yet.
    Changes,
}

impl Verdict {
    /// As the API spells it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Changes => "changes",
        }
    }
}

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckWord {
    /// It passed.
    Success,
    /// It has not ended.
    Pending,
    /// It failed.
    Failure,
}

impl CheckWord {
    /// As the API spells it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Pending => "pending",
            Self::Failure => "failure",
        }
    }
}

/// Arguments of `task`.
#[derive(Debug, clap::Args)]
pub struct Task {
    /// What to do.
    #[command(subcommand)]
    pub command: TaskCommand,
}

/// A command of `task`.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// Make an issue and start work on it
    New {
        /// Title
        title: String,
        /// What is to be done; `-` reads standard input
        #[arg(short = 'm', long = "text", value_name = "TEXT")]
        text: Option<String>,
        /// The project; needed where there are several
        #[arg(short, long)]
        project: Option<String>,
        /// A label, such as auto:approve; may be given several times
        #[arg(short, long = "label", value_name = "LABEL")]
        labels: Vec<String>,
        /// Only make the issue
        #[arg(long)]
        no_start: bool,
    },
    /// Comment on the issue
    Comment {
        /// Task or issue
        item: String,
        /// The comment
        text: String,
    },
    /// Move the issue to a status of the board
    Status {
        /// Task or issue
        item: String,
        /// The status
        status: String,
    },
    /// Add or remove a label
    Label {
        /// Task or issue
        item: String,
        /// The label
        label: String,
        /// Take it off
        #[arg(long)]
        remove: bool,
    },
    /// All tasks
    List {
        /// Those that are over, too
        #[arg(long)]
        all: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn global_options_stand_anywhere() {
        let args = parse("signalbox status --json --dir here").unwrap();
        assert!(args.global.json && matches!(args.command, Some(Command::Status)));
        assert!(parse("signalbox --config a --dir b status").is_err(), "one of the two");
    }

    #[test]
    fn acts_take_their_words() {
        let args = parse("signalbox approve ORCH-001 --signal confirm_deploy").unwrap();
        let Some(Command::Approve { item, signal, text }) = args.command else {
            panic!("{args:?}")
        };
        assert_eq!((item.as_str(), signal.as_deref(), text), ("ORCH-001", Some("confirm_deploy"), None));
        assert!(parse("signalbox reject ORCH-001").is_err(), "a reject needs its reason");
        assert!(parse("signalbox logs ORCH-001 --run 1 --stage review").is_err(), "one of the two");
    }

    #[test]
    fn b_sg_3_a_dependency_names_its_task_and_one_other() {
        let args = parse("signalbox depend A-2 --on A-1").unwrap();
        let Some(Command::Depend(depend)) = args.command else {
            panic!("{args:?}")
        };
        assert_eq!(
            (depend.item.as_str(), depend.on.as_deref(), depend.remove),
            ("A-2", Some("A-1"), None)
        );
        let args = parse("signalbox depend A-2 --remove A-1").unwrap();
        assert!(matches!(args.command, Some(Command::Depend(d)) if d.remove.as_deref() == Some("A-1") && d.on.is_none()));
        assert!(parse("signalbox depend A-2").is_err(), "neither");
        assert!(parse("signalbox depend A-2 --on A-1 --remove A-1").is_err(), "both");
    }

    #[test]
    fn an_agent_takes_hyphens() {
        let args = parse("signalbox scripted-agent --role developer -x").unwrap();
        assert!(matches!(args.command, Some(Command::ScriptedAgent { words }) if words == ["--role", "developer", "-x"]));
    }
}
