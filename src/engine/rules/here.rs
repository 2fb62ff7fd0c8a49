//! What depends on this machine, looked at only when asked: agents' commands.

use crate::engine::model::Name;

use super::codes;
use super::diagnostic::{Diagnostic, Place, Problem, Severity, Sink, quoted};
use super::files::Files;

/// The command of an agent of a project, and where it was written.
#[derive(Debug, Clone)]
pub struct Command {
    /// The project.
    pub project: Name,
    /// The agent.
    pub agent: Name,
    /// The program: a path, or a name to be looked for.
    pub program: String,
    pub(super) at: Place,
}

/// Warnings about commands that `executable` says cannot be executed on this machine.
#[must_use]
pub fn commands_here(commands: &[Command], files: &Files, executable: impl Fn(&str) -> bool) -> Vec<Diagnostic> {
    let sink = Sink::new(files);
    for command in commands {
        // One answer for all agents that share a command: the place is the same.
        if executable(&command.program) {
            continue;
        }
        let words = format!(
            "{} of project {} cannot be executed on this machine",
            quoted(&command.program),
            quoted(&command.project)
        );
        let problem = Problem::warning(codes::NOT_EXECUTABLE, &command.at, words).label("not an executable file");
        sink.push(problem.help("install it, correct the path, or make it executable: chmod +x"));
    }
    sink.into_sorted()
}

/// A finding about a file that could not be read.
#[must_use]
pub fn unreadable(shown: &str, why: &str) -> Diagnostic {
    Diagnostic {
        code: codes::UNREADABLE_FILE,
        severity: Severity::Error,
        message: format!("this file cannot be read: {why}"),
        file: shown.to_owned(),
        span: None,
        line: 0,
        column: 0,
        label: String::new(),
        help: None,
        related: Vec::new(),
    }
}
