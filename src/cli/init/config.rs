//! The text of the configuration: commented, for it is the manual.

use std::path::Path;

use toml::Value;

use super::repository::Repository;
use crate::cli::args::Pipeline;

/// What was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choices {
    /// The agent's command.
    pub agent: Option<Vec<String>>,
    /// The test command.
    pub test: Option<Vec<String>>,
    /// The pipeline.
    pub pipeline: Pipeline,
    /// What work item ids begin with.
    pub prefix: String,
}

/// Programs that the pipelines know how to call: their names there and on this machine.
const AGENTS: &[&str] = &["claude", "codex", "gemini", "opencode"];

/// How code is tested, by the file that gives it away.
const TESTS: &[(&str, &str)] = &[
    ("Cargo.toml", "cargo test"),
    ("go.mod", "go test ./..."),
    ("package.json", "npm test"),
    ("pyproject.toml", "python -m pytest -q"),
    ("Makefile", "make test"),
];

/// The first known agent that is installed.
pub fn guess_agent() -> Option<Vec<String>> {
    let paths = std::env::var_os("PATH")?;
    let installed = |name: &str| std::env::split_paths(&paths).any(|dir| dir.join(name).is_file());
    let found = AGENTS.iter().find(|name| installed(name))?;
    Some(vec![(*found).to_owned()])
}

/// How agents are called, as lines of the configuration: a known program by its name alone is called
/// as the pipeline says; a command line is called as it was typed.
fn agent_lines(agent: &[String]) -> String {
    if let [program] = agent
        && AGENTS.contains(&program.as_str())
    {
        return format!(
            "\"agents.*.program\" = {}   # called as `programs.{program}` says; `agents.*.run = [\"./agent.sh\"]` for a command line of your own\n\
             # \"agents.*.home\" = \"service\"      # your own HOME instead of a fresh one: the program's login is let through as it is\n",
            quoted(program)
        );
    }
    let known = agent
        .first()
        .is_some_and(|program| AGENTS.iter().any(|name| program.ends_with(name)));
    let (home, why) = if known {
        ("", "it finds its login there")
    } else {
        ("# ", "if your agent keeps a login there")
    };
    // A command that nobody knows may take `--version` for work to be done.
    let preflight = if known {
        ""
    } else {
        "\"preflight.enabled\" = false         # true, if your agent answers --version with exit 0 and does nothing else\n"
    };
    format!(
        "\"agents.*.run\" = {}   # any program; the prompt comes on standard input; no shell\n\
         {home}\"agents.*.home\" = \"service\"        # your own HOME instead of a fresh one: {why}\n{preflight}",
        list(agent)
    )
}

/// The usual test command of such a repository.
pub fn guess_test(top: &Path) -> Option<Vec<String>> {
    TESTS
        .iter()
        .find(|(file, _)| top.join(file).is_file())
        .and_then(|(_, line)| shlex::split(line))
}

/// A prefix made from the repository's name: at most six capital letters and digits.
pub fn guess_prefix(name: &str) -> String {
    let upper: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let prefix: String = upper.trim_start_matches(|c: char| c.is_ascii_digit()).chars().take(6).collect();
    if prefix.is_empty() { "TASK".to_owned() } else { prefix }
}

/// A project name made from the repository's: `project-…` where the name itself cannot be one.
fn project(name: &str) -> String {
    let slug: String = slug::slugify(name).chars().take(30).collect();
    let slug = slug.trim_end_matches('-');
    if slug.starts_with(|c: char| c.is_ascii_lowercase()) {
        slug.to_owned()
    } else {
        format!("project-{slug}").trim_end_matches('-').to_owned()
    }
}

/// The text of `signalbox.toml`.
pub fn text(repository: &Repository, choices: &Choices) -> String {
    let name = project(&repository.name);
    let branch = quoted(&repository.default_branch);
    let agent = choices.agent.clone().unwrap_or_else(|| vec!["claude".to_owned()]);
    let test = choices.test.clone().unwrap_or_else(|| vec!["make".to_owned(), "test".to_owned()]);
    let protected = match repository.default_branch.as_str() {
        "main" | "master" => String::new(),
        _ => format!("\"branch.protected\" = [{branch}, \"main\", \"master\", \"release/*\"]   # never pushed to or deleted\n"),
    };
    format!(
        r##"# Where signalbox finds things, which projects it drives, and who may decide.
# `signalbox validate` checks this file; nothing runs before it is clean.
schema = 1
data   = "data"                        # database, checkouts, logs; relative to this file
listen = "127.0.0.1:8500"              # for pages and scripts; the command line uses a socket in `data`
max_concurrency = 1                    # agents at work at the same time, over all projects
language = "en"                        # of comments, notes and alerts: "en" or "ru"

# [api]                                # acts over HTTP take a token; reading on this machine does not
# token = {{ env = "SIGNALBOX_TOKEN" }}  # or {{ file = "/run/secrets/signalbox" }}; never the token itself
# hosts = ["signalbox.example"]        # names accepted in the Host header besides `listen`

[projects.{name}]
pipeline = {pipeline}                     # built in: local, orch, enduro, docs; your own go into pipelines/*.toml beside this file
prefix   = {prefix}                     # work items are {bare_prefix}-001, {bare_prefix}-002, …
tracker  = {{ kind = "local" }}          # the service's own board: `signalbox task …`
forge    = {{ kind = "local", source = "..", default_branch = {branch} }}   # your repository; it is read, never written to
# max_concurrency = 1                  # of this project alone

# What this project does differently from its pipeline: dotted paths; `*` means every key there.
[projects.{name}.set]
{agent}"gates.local_tests.command.run" = {test}   # run in the task's checkout; exit 0 passes
"gates.local_tests.command.home" = "service"   # with your own HOME: toolchains and caches live there; "fresh" for an empty one
{protected}# "agents.*.env" = ["MY_API_KEY"]      # variables that agents inherit; the environment is empty else
# "agents.developer.timeout" = "1h"
# "counters.rework.max" = 4            # returns before a task is parked for you
# "serial_gate.enabled" = false        # let several tasks start at once

# Login names by role. While all three are empty, you (the user who runs the service) may do everything.
[people]
approver = []                          # approve, reject, confirm
operator = []                          # stop, retry
viewer   = []                          # look
"##,
        pipeline = quoted(choices.pipeline.name()),
        prefix = quoted(&choices.prefix),
        bare_prefix = one_line(&choices.prefix),
        agent = agent_lines(&agent),
        test = list(&test),
    )
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn list(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(", "))
}

/// Fit for a comment: a line feed would end it.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_from_any_folder() {
        assert_eq!(guess_prefix("my-shop.2"), "MYSHOP");
        assert_eq!(guess_prefix("42"), "TASK");
        assert_eq!(guess_prefix("магазин"), "TASK");
        assert_eq!(project("My Shop"), "my-shop");
        assert_eq!(project("42"), "project-42");
        assert_eq!(project(""), "project");
    }

    #[test]
    fn words_are_quoted_for_toml() {
        let text = list(&["a\"b".to_owned(), "c\\d\n".to_owned(), "'".to_owned()]);
        let back: toml::Table = toml::from_str(&format!("x = {text}")).unwrap();
        assert_eq!(back["x"].as_array().unwrap().len(), 3);
        assert_eq!(back["x"][0].as_str(), Some("a\"b"));
        assert_eq!(back["x"][1].as_str(), Some("c\\d\n"));
    }

    #[test]
    fn a_known_program_is_called_as_the_pipeline_says_and_a_command_line_as_typed() {
        for program in AGENTS {
            let lines = agent_lines(&[(*program).to_owned()]);
            assert!(lines.starts_with(&format!("\"agents.*.program\" = \"{program}\"")), "{lines}");
            assert!(
                !lines
                    .lines()
                    .any(|l| l.starts_with("\"agents.*.run\"") || l.starts_with("\"preflight")),
                "{lines}"
            );
        }
        let typed = agent_lines(&["codex".to_owned(), "exec".to_owned(), "--full-auto".to_owned()]);
        assert!(typed.starts_with(r#""agents.*.run" = ["codex", "exec", "--full-auto"]"#), "{typed}");
        assert!(!typed.contains("preflight"), "{typed}");
        assert!(agent_lines(&["./agent.sh".to_owned()]).contains("\"preflight.enabled\" = false"));
    }

    #[test]
    fn tests_are_guessed_from_files() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(guess_test(dir.path()), None);
        std::fs::write(dir.path().join("go.mod"), "").unwrap();
        assert_eq!(guess_test(dir.path()).unwrap(), ["go", "test", "./..."]);
    }
}
