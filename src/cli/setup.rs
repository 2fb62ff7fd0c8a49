//! `signalbox setup webhooks`: has Gitea tell the service what happens, and says what to do in Plane.

use std::fmt::Write as _;

use clap::Subcommand;

use super::args::Global;
use super::exit::{self, Failure};
use super::{doctor, out};
use crate::engine::rules::{Files, Secret as From, suggest};
use crate::shell::doctor::{Base, Done, HookSetup, NotDone, Outcome, Steps, setup};
use crate::shell::secret::Secret;

/// Arguments of `setup`.
#[derive(Debug, Clone, clap::Args)]
pub struct SetupArgs {
    /// What is to be set up.
    #[command(subcommand)]
    pub command: SetupCommand,
}

/// What is to be set up.
#[derive(Debug, Clone, Subcommand)]
pub enum SetupCommand {
    /// Make or mend the webhooks of Gitea's repositories, and say what to enter in Plane
    Webhooks(Webhooks),
}

/// Arguments of `setup webhooks`.
#[derive(Debug, Clone, clap::Args)]
pub struct Webhooks {
    /// The address at which the peers reach the service, such as https://signalbox.example
    #[arg(long, value_name = "URL")]
    pub url: Base,
    /// This project only
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
    /// Say what would be done; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The variable that holds a token to be used instead of the projects' own: making webhooks takes an administrator of the repository
    #[arg(long, value_name = "NAME")]
    pub token_env: Option<String>,
    /// Longest wait for one answer of a peer
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
}

/// Sets up what was asked for. Returns the exit code.
pub fn run(global: &Global, args: &SetupArgs, embedded: &Files) -> u8 {
    let SetupCommand::Webhooks(args) = &args.command;
    webhooks(global, args, embedded).unwrap_or_else(|failure| {
        out::failure(&failure);
        failure.code
    })
}

fn webhooks(global: &Global, args: &Webhooks, embedded: &Files) -> Result<u8, Failure> {
    let read = doctor::read(global, embedded)?.map_err(|broken| {
        let first = broken.first().map(|f| f.what.clone()).unwrap_or_default();
        Failure {
            code: exit::INVALID,
            ..Failure::other(first)
        }
        .help("`signalbox validate` shows every mistake with its place")
    })?;
    let Some(config) = &read.loaded.config else {
        return Err(Failure::usage("there is no configuration"));
    };
    if let Some(name) = &args.project
        && !config.projects.contains_key(name.as_str())
    {
        let names: Vec<&str> = config.projects.keys().map(|n| n.as_str()).collect();
        let near = suggest(name, names.iter().copied())
            .map(|n| format!("did you mean {n:?}? "))
            .unwrap_or_default();
        let help = format!("{near}projects: {}", names.join(", "));
        return Err(Failure::usage(format!("there is no project {name:?}")).help(help));
    }
    let token = args
        .token_env
        .as_ref()
        .map(|name| Secret::read(&From::Env(name.clone()), &read.dir));
    let token = token.transpose().map_err(|why| Failure::usage(format!("--token-env: {why}")))?;
    let work = setup(
        read.ask(Some(&args.url), args.timeout),
        config,
        &args.url,
        args.project.as_deref(),
        token.as_ref(),
        args.dry_run,
    );
    let done = doctor::runtime()?.block_on(work);
    if global.json {
        out::json(&done)?;
    } else {
        out::print(&human(&done))?;
    }
    let failed = done.gitea.iter().any(|g| matches!(g.outcome, Outcome::Failed(_)));
    Ok(if failed { exit::FAILURE } else { exit::OK })
}

fn human(done: &HookSetup) -> String {
    let mut text = String::new();
    let strong = out::STRONG;
    for of in &done.gitea {
        let _ = write!(text, "{strong}{}{strong:#}: ", of.project);
        match &of.outcome {
            Outcome::Done(one) => gitea(&mut text, one, done.dry_run),
            Outcome::Failed(why) => failed(&mut text, why),
        }
    }
    for steps in &done.plane {
        plane(&mut text, steps);
    }
    if text.is_empty() {
        text.push_str("no project has a Gitea or a Plane: there are no webhooks to be set up\n");
    }
    if done.dry_run {
        text.push_str("nothing was written\n");
    }
    text
}

fn gitea(text: &mut String, done: &Done, dry_run: bool) {
    let number = done.id.map(|id| format!(" {id}")).unwrap_or_default();
    let said = match (done.action, dry_run) {
        ("created", false) => "is made",
        ("created", true) => "would be made",
        ("mended", false) => "is mended",
        ("mended", true) => "would be mended",
        (_, false) => "was right; it is kept",
        (_, true) => "is right; it would be kept",
    };
    let _ = writeln!(text, "webhook{number} of Gitea to {} {said}", done.url);
    for fault in &done.mended {
        let _ = writeln!(text, "  {}", out::safe(fault));
    }
    for note in &done.notes {
        let _ = writeln!(text, "  {faint}note{faint:#} {}", out::safe(note), faint = out::FAINT);
    }
}

fn failed(text: &mut String, why: &NotDone) {
    let (bad, faint) = (out::BAD, out::FAINT);
    let _ = writeln!(text, "{bad}not done{bad:#}: {}", out::safe(&why.error));
    let _ = writeln!(text, "  {faint}help{faint:#} {}", why.help);
}

fn plane(text: &mut String, steps: &Steps) {
    let strong = out::STRONG;
    let _ = writeln!(
        text,
        "{strong}{}{strong:#}: in Plane, by hand (no key may do it):",
        steps.projects.join(", ")
    );
    let _ = writeln!(text, "  1. open {} and choose \"Add webhook\"", steps.page);
    let _ = writeln!(text, "  2. payload URL: {}", steps.url);
    let _ = writeln!(text, "  3. choose \"individual events\" and tick: {}", steps.events.join(", "));
    let _ = writeln!(
        text,
        "  4. create it; Plane shows its own secret (plane_wh_…) once: put it into {}",
        steps.secret.join(" and ")
    );
    let _ = writeln!(text, "  5. restart the service");
    let allow = steps.allow.join(" or ");
    if !allow.is_empty() {
        let _ = writeln!(
            text,
            "  Plane 1.3.1 and newer drops such addresses without a word: set {allow} for Plane's API and worker"
        );
    }
}
