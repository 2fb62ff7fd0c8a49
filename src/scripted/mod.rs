//! The scripted agent: a small program that plays every role in a real checkout.
//!
//! It is run like any agent, as `signalbox scripted-agent [--script FILE]`, for tests and for
//! the demonstration. Without a script it does its stage's work well; a script says, per agent
//! and run, how it misbehaves. Its ledger, fsynced and outside the service, is what proves that
//! nothing was paid twice.

mod context;
mod git;
mod ledger;
mod lies;
mod noise;
mod plant;
mod process;
mod script;
mod work;

use std::io::Read;
use std::path::{Path, PathBuf};

pub use context::{Context, Expect, Task};
pub use ledger::{Entry, Phase};

use ledger::Ledger;
use script::Script;

/// Wrong usage, or a behaviour that does not exist.
const USAGE: i32 = 64;
/// What it was to work on is not there.
const NO_INPUT: i32 = 66;

/// Runs it; returns its exit status.
#[must_use]
pub fn main(args: &[String]) -> i32 {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        [] => play(None),
        ["--script", file] => play(Some(Path::new(file))),
        ["--child", role] => process::child(role),
        _ => Err(Failure::new(
            USAGE,
            "usage: scripted-agent [--script FILE] < prompt, with SIGNALBOX_CONTEXT set",
        )),
    };
    result.unwrap_or_else(|failure| {
        eprintln!("scripted agent: {}", failure.sentence);
        failure.code
    })
}

/// Why it could not play its part, and the exit status that says so.
#[derive(Debug)]
struct Failure {
    code: i32,
    sentence: String,
}

impl Failure {
    fn new(code: i32, sentence: impl Into<String>) -> Self {
        Self {
            code,
            sentence: sentence.into(),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(74, error.to_string())
    }
}

/// What a behaviour is given.
struct Stage<'a> {
    context: &'a Context,
    script: &'a Script,
}

fn play(script: Option<&Path>) -> Result<i32, Failure> {
    let context = Context::load()?;
    let script = script.map_or_else(|| Ok(Script::default()), Script::load)?;
    let ledger = ledger_path(&script).map(Ledger::new);
    let nth = match &ledger {
        Some(ledger) => ledger.begun(&context)?,
        None => 0,
    };
    let what = script.behaviour(&context.agent, nth).to_owned();
    if let Some(ledger) = &ledger {
        ledger.append(&Entry::new(Phase::Start, &context, &what))?;
    }
    greet(&context);
    let code = perform(
        &what,
        &Stage {
            context: &context,
            script: &script,
        },
    )?;
    if let Some(ledger) = &ledger {
        ledger.append(&Entry::new(Phase::End, &context, &what))?;
    }
    Ok(code)
}

fn ledger_path(script: &Script) -> Option<PathBuf> {
    let from_env = std::env::var_os("SIGNALBOX_LEDGER").filter(|v| !v.is_empty()).map(PathBuf::from);
    script.ledger.clone().or(from_env).or_else(|| script.default_ledger())
}

fn greet(context: &Context) {
    let mut prompt = String::new();
    // A prompt that cannot be read is none; it plays its part by its context alone.
    let _ = std::io::stdin().lock().take(10 << 20).read_to_string(&mut prompt);
    let task = &context.task;
    println!(
        "{} here, for {} \"{}\": {} (visit {}, run {}, attempt {})",
        context.agent, task.item, task.title, context.stage, context.visit, context.run, context.attempt
    );
    println!("I was given {} characters to read.", prompt.chars().count());
    if let Some(note) = context.note.as_deref().filter(|n| !n.is_empty()) {
        println!("Noted: {}", note.lines().next().unwrap_or_default());
    }
}

/// Carries out one behaviour by name, `name` or `name:NUMBER`.
fn perform(what: &str, stage: &Stage) -> Result<i32, Failure> {
    let (name, number) = match what.split_once(':') {
        Some((name, number)) => {
            let number = number.trim().parse::<u64>();
            (
                name,
                Some(number.map_err(|_| Failure::new(USAGE, format!("`{what}`: what follows the colon must be a number")))?),
            )
        }
        None => (what, None),
    };
    match (name, number) {
        ("ok", None) => work::ok(stage),
        ("changes" | "fail", None) => work::changes(stage),
        ("questions", None) => work::questions(stage),
        ("conflict", None) => work::conflict(stage),
        ("nothing", None) => Ok(0),
        ("exit", Some(code)) => Ok(i32::try_from(code.min(255)).unwrap_or(255)),
        ("slow", Some(ms)) => process::slow(stage, ms),
        ("held", None) => process::held(stage),
        ("hang", None) => process::hang(),
        ("deaf", None) => process::deaf(),
        ("orphan", None) => process::orphan(stage),
        ("crash", None) => process::crash(),
        ("kill_parent", None) => process::kill_parent(),
        ("outside", None) => lies::outside(stage),
        ("stale_verdict", None) => lies::stale_verdict(stage),
        ("forge_verdict", None) => lies::forge_verdict(stage),
        ("wrong_nonce", None) => lies::wrong_nonce(stage),
        ("body_quote", None) => lies::body_quote(stage),
        ("429", None) => Ok(noise::limited()),
        ("mention_429_ok", None) => noise::mention(stage),
        ("noisy", Some(lines)) => noise::noisy(stage, lines),
        ("plant", None) => plant::plant(stage),
        ("break_git", None) => plant::break_git(stage),
        _ => Err(Failure::new(
            USAGE,
            format!("there is no behaviour `{what}`; look into the manual's list for the scripted agent"),
        )),
    }
}
