//! `signalbox init`: a first configuration for the repository you are in.

mod ask;
mod config;
mod repository;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use super::args::{self, Pipeline};
use super::exit::{self, Failure};
use super::{find, out};
use crate::engine::rules::{load, render_human};
use crate::shell::embedded::embedded;

use config::Choices;
use repository::Repository;

/// Writes the configuration, or says why not.
#[must_use]
pub fn run(args: &args::Init) -> ExitCode {
    match init(args) {
        Ok(text) => match out::print(&text) {
            Ok(()) => ExitCode::from(exit::OK),
            Err(failure) => ExitCode::from(failure.code),
        },
        Err(failure) => {
            out::failure(&failure);
            ExitCode::from(failure.code)
        }
    }
}

fn init(args: &args::Init) -> Result<String, Failure> {
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => std::env::current_dir().map_err(|e| Failure::other(format!("the current folder cannot be read: {e}")))?,
    };
    let repository = Repository::of(&dir)?;
    let folder = repository.top.join(find::FOLDER);
    let file = folder.join(find::FILE);
    if file.exists() && !args.force {
        return Err(Failure::usage(format!("{} is there already", file.display())).help("edit it, or write over it with --force"));
    }
    let choices = choose(args, &repository)?;
    let text = config::text(&repository, &choices);
    check(&text)?;
    write(&folder, &file, &text, args.force)?;
    Ok(next_steps(&repository, &choices, &file))
}

/// What the flags say; where they say nothing, what the person says, or what the repository looks like.
fn choose(args: &args::Init, repository: &Repository) -> Result<Choices, Failure> {
    let silent = args.agent.is_some() || args.test.is_some() || args.pipeline.is_some() || args.prefix.is_some();
    let guess = Choices {
        agent: config::guess_agent(),
        test: config::guess_test(&repository.top),
        pipeline: Pipeline::Local,
        prefix: config::guess_prefix(&repository.name),
    };
    if !silent && ask::possible() {
        return ask::all(guess);
    }
    Ok(Choices {
        agent: args
            .agent
            .as_deref()
            .map(|words| command(words, "--agent"))
            .transpose()?
            .or(guess.agent),
        test: args
            .test
            .as_deref()
            .map(|words| command(words, "--test"))
            .transpose()?
            .or(guess.test),
        pipeline: args.pipeline.unwrap_or(guess.pipeline),
        prefix: args.prefix.clone().unwrap_or(guess.prefix),
    })
}

/// A command line, split as a shell would split it; it runs without one.
fn command(words: &str, what: &str) -> Result<Vec<String>, Failure> {
    match shlex::split(words) {
        Some(split) if !split.is_empty() => Ok(split),
        Some(_) => Err(Failure::usage(format!("{what} is empty"))),
        None => Err(Failure::usage(format!("{what} {words:?} has an open quotation mark"))),
    }
}

/// What is written must be what the service loads.
fn check(text: &str) -> Result<(), Failure> {
    let mut files = embedded();
    files.insert(find::FILE, text, find::FILE);
    let loaded = load(&files);
    if !loaded.failed() {
        return Ok(());
    }
    let findings = render_human(&loaded.diagnostics, &files, false);
    Err(Failure::usage(format!(
        "that would not be a usable configuration; nothing was written\n\n{}",
        findings.trim_end()
    )))
}

fn write(folder: &Path, file: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let failed = |path: &Path, e: std::io::Error| Failure::other(format!("{} cannot be written: {e}", path.display()));
    fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    // Nothing in this folder belongs into the repository: data, logs, and an address of this machine.
    let ignore = folder.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "*\n").map_err(|e| failed(&ignore, e))?;
    }
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(file).and_then(|mut f| f.write_all(text.as_bytes()));
    written.map_err(|e| failed(file, e))
}

fn next_steps(repository: &Repository, choices: &Choices, file: &Path) -> String {
    let shown = file.strip_prefix(&repository.top).unwrap_or(file).display();
    let mut text = format!(
        "Wrote {shown} (pipeline {}, work items {}-001 …).\n\n",
        choices.pipeline.name(),
        choices.prefix
    );
    if choices.agent.is_none() {
        text.push_str("First: no agent was found on this machine. Name its command in the file: \"agents.*.run\".\n");
    }
    if choices.test.is_none() {
        text.push_str("First: it is not clear how the code is tested. Name the command in the file: \"gates.local_tests.command.run\".\n");
    }
    text.push_str("Next:\n  signalbox validate                 # after every edit of it\n  signalbox serve                    # in a terminal of its own\n");
    text.push_str("  signalbox task new \"Title\" -m \"What is to be done\"\n  signalbox status                   # what needs you, what moves, what waits\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn git(dir: &Path, args: &[&str]) {
        let mut command = Command::new("git");
        command.args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.com",
            "-c",
            "init.defaultBranch=trunk",
        ]);
        assert!(command.args(args).current_dir(dir).output().unwrap().status.success(), "{args:?}");
    }

    fn repository() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q"]);
        git(dir.path(), &["commit", "-q", "--allow-empty", "-m", "first"]);
        dir
    }

    fn flags(dir: &Path) -> args::Init {
        args::Init {
            dir: Some(dir.to_owned()),
            agent: Some("my-agent --say 'two words'".to_owned()),
            test: Some("make check".to_owned()),
            ..args::Init::default()
        }
    }

    #[test]
    fn what_it_writes_loads_and_says_what_was_asked() {
        let dir = repository();
        fs::create_dir(dir.path().join("deep")).unwrap();
        let text = init(&flags(&dir.path().join("deep"))).unwrap();
        assert!(text.contains("signalbox serve"), "{text}");
        let folder = dir.path().join(".signalbox");
        assert_eq!(fs::read_to_string(folder.join(".gitignore")).unwrap(), "*\n");
        let mut files = embedded();
        files.insert("signalbox.toml", fs::read_to_string(folder.join("signalbox.toml")).unwrap(), "it");
        let loaded = load(&files);
        assert!(!loaded.failed(), "{:?}", loaded.diagnostics);
        let rules = loaded.rulesets.values().next().unwrap();
        assert_eq!(rules.agents.get("developer").unwrap().run, ["my-agent", "--say", "two words"]);
        let config = loaded.config.unwrap();
        let project = config.projects.values().next().unwrap();
        assert_eq!(project.forge.default_branch(), "trunk");
    }

    #[test]
    fn a_known_program_by_its_name_is_called_as_the_pipelines_know_it() {
        for program in ["claude", "codex", "gemini", "opencode"] {
            let dir = repository();
            init(&args::Init {
                agent: Some(program.to_owned()),
                ..flags(dir.path())
            })
            .unwrap();
            let mut files = embedded();
            let text = fs::read_to_string(dir.path().join(".signalbox/signalbox.toml")).unwrap();
            files.insert("signalbox.toml", text, "it");
            let loaded = load(&files);
            assert!(!loaded.failed(), "{:?}", loaded.diagnostics);
            let rules = loaded.rulesets.values().next().unwrap();
            let run = &rules.agents.get("developer").unwrap().run;
            assert!(run.first().is_some_and(|p| p == program) && run.len() > 1, "{run:?}");
        }
    }

    #[test]
    fn every_pipeline_that_ships_can_be_chosen() {
        for pipeline in [Pipeline::Local, Pipeline::Orch, Pipeline::Enduro, Pipeline::Docs] {
            let dir = repository();
            let args = args::Init {
                pipeline: Some(pipeline),
                prefix: Some("X9".to_owned()),
                ..flags(dir.path())
            };
            init(&args).unwrap();
        }
    }

    #[test]
    fn it_never_writes_over_without_force() {
        let dir = repository();
        init(&flags(dir.path())).unwrap();
        let file = dir.path().join(".signalbox/signalbox.toml");
        fs::write(&file, "mine").unwrap();
        assert_eq!(init(&flags(dir.path())).unwrap_err().code, exit::USAGE);
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        init(&args::Init {
            force: true,
            ..flags(dir.path())
        })
        .unwrap();
        assert!(fs::read_to_string(&file).unwrap().contains("my-agent"));
    }

    #[test]
    fn a_bad_choice_is_refused_before_anything_is_written() {
        let dir = repository();
        let bad = init(&args::Init {
            prefix: Some("lower case".to_owned()),
            ..flags(dir.path())
        })
        .unwrap_err();
        assert!(bad.error.contains("prefix"), "{}", bad.error);
        assert!(
            init(&args::Init {
                agent: Some("open 'quote".to_owned()),
                ..flags(dir.path())
            })
            .unwrap_err()
            .error
            .contains("quotation")
        );
        assert!(!dir.path().join(".signalbox").exists());
    }

    #[test]
    fn it_needs_a_repository_with_a_commit() {
        let dir = tempfile::tempdir().unwrap();
        let error = init(&flags(dir.path())).unwrap_err();
        assert!(error.error.contains("no git repository"), "{}", error.error);
        git(dir.path(), &["init", "-q"]);
        let error = init(&flags(dir.path())).unwrap_err();
        assert!(error.error.contains("no commit"), "{}", error.error);
    }
}
