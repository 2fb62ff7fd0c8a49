//! The command line: one file per command.
//!
//! Every command but `init`, `validate`, `serve` and `demo` talks to a running service and holds
//! no logic of its own: what it may do and why not is the service's to say.

pub mod args;
pub mod client;
pub mod exit;
pub mod find;
pub mod out;
pub mod span;

pub mod completions;
pub mod decide;
pub mod demo;
pub mod init;
pub mod logs;
pub mod queue;
pub mod run_shim;
pub mod serve;
pub mod show;
pub mod status;
pub mod task;
pub mod validate;
pub mod why;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Args, Command};
use client::Client;

/// Reads the arguments and does what they say.
#[must_use]
pub fn main() -> ExitCode {
    match Args::try_parse_from(spelled(std::env::args_os())) {
        Ok(args) => run(args),
        Err(e) => {
            // Help and version are asked for: they go to standard output and are no failure.
            let _ = e.print();
            ExitCode::from(if e.use_stderr() { exit::USAGE } else { exit::OK })
        }
    }
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
        Command::Demo(demo) => demo::run(&global, &demo),
        Command::Init(init) => init::run(&init),
        Command::Completions { shell } => completions::run(shell),
        Command::Status => talk(&global, |c| status::run(c, global.json)),
        Command::Show { item } => talk(&global, |c| show::run(c, &item, global.json)),
        Command::Why { item } => talk(&global, |c| why::run(c, &item, global.json)),
        Command::Queue => talk(&global, |c| queue::run(c, global.json)),
        Command::Logs(logs) => talk(&global, |c| logs::run(c, &logs, global.json)),
        Command::Task(task) => talk(&global, |c| task::run(c, &task, global.json)),
        Command::Approve { item, signal, text } => talk(&global, |c| decide::approve(c, &item, signal.as_deref(), text.as_deref(), global.json)),
        Command::Reject { item, reason } => talk(&global, |c| decide::act(c, &item, "reject", Some(&reason), global.json)),
        Command::Answer { item, text } => talk(&global, |c| decide::act(c, &item, "answer", Some(&text), global.json)),
        Command::Stop { item, reason } => talk(&global, |c| decide::act(c, &item, "stop", reason.as_deref(), global.json)),
        Command::Retry { item, note } => talk(&global, |c| decide::act(c, &item, "retry", note.as_deref(), global.json)),
        other => local(&global, other),
    }
}

/// Commands that need no service.
fn local(global: &args::Global, command: Command) -> ExitCode {
    let status = match command {
        Command::Validate(args) => {
            let dir = args.dir.as_deref().or(global.dir.as_deref());
            let format = if global.json { validate::Format::Json } else { args.format };
            let dir = dir.map_or_else(|| find::rules(global), |d| Some(d.to_owned()));
            validate::run(dir.as_deref(), format, args.strict, args.explain.as_deref(), &crate::shell::embedded::embedded())
        }
        Command::RunShim { dir } => run_shim::run(&dir),
        Command::ScriptedAgent { words } => crate::scripted::main(&words),
        _ => i32::from(exit::USAGE),
    };
    ExitCode::from(u8::try_from(status).unwrap_or(exit::FAILURE))
}

/// Has `act` talk to the service; whatever goes wrong is told once, here.
fn talk(global: &args::Global, act: impl AsyncFnOnce(&Client) -> Result<(), exit::Failure>) -> ExitCode {
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| exit::Failure::other(format!("the command cannot start: {e}")))
        .and_then(|runtime| {
            let client = Client::of(global)?;
            runtime.block_on(act(&client))
        });
    match outcome {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) => {
            out::failure(&failure);
            ExitCode::from(failure.code)
        }
    }
}
