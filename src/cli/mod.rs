//! The command line: one file per command.
//!
//! Every command but `init`, `validate`, `doctor`, `setup`, `test`, `table`, `graph`, `backup`, `restore`, `serve` and `demo` talks to a running service and holds
//! no logic of its own: what it may do and why not is the service's to say.

pub mod args;
pub mod backup;
pub mod breaker;
pub mod change;
pub mod client;
pub mod exit;
pub mod find;
pub mod out;
pub mod span;

pub mod completions;
pub mod decide;
pub mod demo;
pub mod doctor;
pub mod init;
pub mod logs;
pub mod origin;
pub mod picture;
pub mod queue;
pub mod reload;
pub mod run_shim;
pub mod serve;
pub mod setup;
pub mod show;
pub mod spending;
pub mod status;
pub mod task;
pub mod test;
pub mod validate;
pub mod why;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser};

use crate::shell::proof::{self, Prover};

use args::{Args, Command, RunShim};
use client::Client;

/// Reads the arguments and does what they say.
#[must_use]
pub fn main() -> ExitCode {
    let words = spelled(std::env::args_os());
    let does = if words.get(1).is_some_and(|word| word == "run-shim") {
        RunShim::try_parse_from(words.into_iter().skip(1)).map(shim)
    } else {
        parsed(words).map(|(args, named)| named.map_or_else(|| run(args), |command| elsewhere(&command)))
    };
    match does {
        Ok(status) => status,
        Err(e) => {
            // Help and version are asked for: they go to standard output and are no failure.
            let _ = e.print();
            ExitCode::from(if e.use_stderr() { exit::USAGE } else { exit::OK })
        }
    }
}

/// The arguments, and the command's name where it was told of a service that it does not talk to.
fn parsed(words: Vec<OsString>) -> Result<(Args, Option<String>), clap::Error> {
    let matches = Args::command().try_get_matches_from(words)?;
    let args = Args::from_arg_matches(&matches)?;
    // The variable may be set for all that this person does.
    let said = matches.value_source("server") == Some(ValueSource::CommandLine);
    let local = args.command.as_ref().is_some_and(|command| !talks(command));
    let named = matches.subcommand_name().filter(|_| said && local);
    Ok((args, named.map(str::to_owned)))
}

/// Refuses what would be done here although it was asked for elsewhere.
fn elsewhere(command: &str) -> ExitCode {
    let failure = exit::Failure::usage(format!(
        "`signalbox {command}` talks to no service: it is done on this host, whatever `--server` names"
    ));
    out::failure(&failure.help("run it on the host that is meant, without --server"));
    ExitCode::from(exit::USAGE)
}

/// `signalbox --validate [DIR]` and `signalbox --explain CODE` are `signalbox validate …`.
fn spelled(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.collect();
    match words.get(1).and_then(|w| w.to_str()) {
        Some("--validate") => words[1] = "validate".into(),
        Some(explain) if explain == "--explain" || explain.starts_with("--explain=") => words.insert(1, "validate".into()),
        _ => {}
    }
    words
}

fn run(args: Args) -> ExitCode {
    out::colours(args.global.color);
    let Some(command) = args.command else {
        let _ = Args::command().print_help();
        return ExitCode::from(exit::USAGE);
    };
    let global = args.global;
    match command {
        Command::Serve(serve) => serve::run(&global, &serve),
        Command::Demo(demo) => demo::run(&demo),
        Command::Init(init) => init::run(&init),
        Command::Completions { shell } => completions::run(shell),
        command if talks(&command) => talk(&global, &command),
        command => local(&global, command),
    }
}

/// Whether a command is carried out by a running service.
fn talks(command: &Command) -> bool {
    !matches!(
        command,
        Command::Serve(_)
            | Command::Demo(_)
            | Command::Init(_)
            | Command::Completions { .. }
            | Command::Validate(_)
            | Command::Doctor(_)
            | Command::Setup(_)
            | Command::Test(_)
            | Command::Table { .. }
            | Command::Graph(_)
            | Command::Show { origin: true, .. }
            | Command::Backup { .. }
            | Command::Restore(_)
            | Command::ScriptedAgent { .. }
    )
}

/// Commands that need no service.
fn local(global: &args::Global, command: Command) -> ExitCode {
    let status = match command {
        Command::Validate(args) => {
            let dir = args.dir.as_deref().or(global.dir.as_deref());
            let format = if global.json { validate::Format::Json } else { args.format };
            let dir = dir.map_or_else(|| find::rules(global), |d| Some(d.to_owned()));
            let request = validate::Request {
                dir: dir.as_deref(),
                format,
                strict: args.strict,
                here: args.here,
                no_proof: args.no_proof,
                prover: Prover {
                    cache: (!args.no_cache).then(proof::cache_dir).flatten(),
                    patience: std::time::Duration::from_secs(args.proof_time),
                    again: true,
                },
                explain: args.explain.as_deref(),
            };
            validate::run(&request, &crate::shell::embedded::embedded())
        }
        Command::Doctor(args) => i32::from(doctor::run(global, &args, &crate::shell::embedded::embedded())),
        Command::Setup(args) => i32::from(setup::run(global, &args, &crate::shell::embedded::embedded())),
        Command::Show { item, .. } => {
            let dir = find::rules(global);
            origin::run(dir.as_deref(), &item, global.json, &crate::shell::embedded::embedded())
        }
        Command::Table { pipeline } => i32::from(picture::table(global, &pipeline, &crate::shell::embedded::embedded())),
        Command::Graph(args) => i32::from(picture::graph(global, &args, &crate::shell::embedded::embedded())),
        Command::Test(args) => {
            let dir = global.dir.clone().or_else(|| find::rules(global)).unwrap_or_else(|| ".".into());
            i32::from(test::run(&dir, &args, global.json, &crate::shell::embedded::embedded()))
        }
        Command::Backup { to } => told(backup::make(global, &to)),
        Command::Restore(args) => told(backup::put_back(global, &args)),
        Command::ScriptedAgent { words } => crate::scripted::main(&words),
        _ => i32::from(exit::USAGE),
    };
    code(status)
}

fn shim(args: RunShim) -> ExitCode {
    code(run_shim::run(&args))
}

fn code(status: i32) -> ExitCode {
    ExitCode::from(u8::try_from(status).unwrap_or(exit::FAILURE))
}

/// Tells what went wrong, if anything did; the exit code.
fn told(outcome: Result<(), exit::Failure>) -> i32 {
    let Err(failure) = outcome else { return i32::from(exit::OK) };
    out::failure(&failure);
    i32::from(failure.code)
}

/// Has the command talk to the service; whatever goes wrong is told once, here.
fn talk(global: &args::Global, command: &Command) -> ExitCode {
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| exit::Failure::other(format!("the command cannot start: {e}")))
        .and_then(|runtime| {
            let client = Client::of(global)?;
            runtime.block_on(ask(&client, command, global.json))
        });
    match outcome {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) => {
            out::failure(&failure);
            ExitCode::from(failure.code)
        }
    }
}

async fn ask(client: &Client, command: &Command, json: bool) -> Result<(), exit::Failure> {
    match command {
        Command::Status => status::run(client, json).await,
        Command::Show { item, .. } => show::run(client, item, json).await,
        Command::Why { item } => why::run(client, item, json).await,
        Command::Reload => reload::run(client, json).await,
        Command::Queue => queue::run(client, json).await,
        Command::Runs(args) => spending::runs(client, args, json).await,
        Command::Cost(args) => spending::cost(client, args, json).await,
        Command::Allow(args) => spending::allow(client, args, json).await,
        Command::Breaker(args) => breaker::run(client, args.command.as_ref(), json).await,
        Command::Logs(logs) => logs::run(client, logs, json).await,
        Command::Task(task) => task::run(client, task, json).await,
        Command::Approve { item, signal, text } => decide::approve(client, item, signal.as_deref(), text.as_deref(), json).await,
        Command::Reject { item, reason } => decide::act(client, item, "reject", Some(reason), json).await,
        Command::Answer { item, text } => decide::act(client, item, "answer", Some(text), json).await,
        Command::Stop { item, reason } => decide::act(client, item, "stop", reason.as_deref(), json).await,
        Command::Depend(args) => decide::depend(client, args, json).await,
        Command::Change(change) => change::run(client, &change.command, json).await,
        Command::Freeze { reason, project, level } => change::freeze(client, project.as_deref(), *level, reason, json).await,
        Command::Unfreeze { reason, project } => change::unfreeze(client, project.as_deref(), reason.as_deref(), json).await,
        Command::Retry { item, note } => decide::act(client, item, "retry", note.as_deref(), json).await,
        _ => Err(exit::Failure::usage("this command is not for the service")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> Option<String> {
        parsed(line.split(' ').map(OsString::from).collect()).unwrap().1
    }

    #[test]
    fn a_service_elsewhere_is_not_named_to_what_is_done_here() {
        for command in [
            "backup copy",
            "restore copy",
            "serve",
            "doctor",
            "validate",
            "init",
            "show --origin it",
        ] {
            let name = command.split(' ').next().map(str::to_owned);
            assert_eq!(refused(&format!("signalbox {command} --server http://h:1")), name);
            assert_eq!(refused(&format!("signalbox --server http://h:1 {command}")), name);
            assert_eq!(refused(&format!("signalbox {command}")), None);
        }
        for command in ["status", "show ORCH-1", "stop ORCH-1", "reload"] {
            assert_eq!(refused(&format!("signalbox {command} --server http://h:1")), None);
        }
    }
}
