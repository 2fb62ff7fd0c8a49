//! The one place where the loader meets the script sandbox and the template renderer.

use std::collections::BTreeMap;

use crate::engine::render;
use crate::engine::script::{ScriptProblem, Scripts};

/// A problem of a script: line and column from 1.
pub struct ScriptIssue {
    /// File name, `staging.rhai`.
    pub file: String,
    /// Line.
    pub line: usize,
    /// Column in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl From<ScriptProblem> for ScriptIssue {
    fn from(problem: ScriptProblem) -> Self {
        Self {
            file: problem.file,
            line: problem.line.max(1),
            column: problem.column.max(1),
            message: problem.message,
        }
    }
}

/// Compiles these scripts, by file name; what compiles is looked through for calls that cannot work.
pub fn compile(sources: &BTreeMap<String, String>) -> Result<Scripts, Vec<ScriptIssue>> {
    let scripts = Scripts::compile(sources).map_err(|found| found.into_iter().map(ScriptIssue::from).collect::<Vec<_>>())?;
    let found: Vec<ScriptIssue> = scripts
        .files()
        .flat_map(|file| scripts.problems(file))
        .map(ScriptIssue::from)
        .collect();
    if found.is_empty() { Ok(scripts) } else { Err(found) }
}

/// The names of a function's parameters, in order; `None` where there is no such function.
pub fn parameters(_sources: &BTreeMap<String, String>, scripts: &Scripts, file: &str, function: &str) -> Option<Vec<String>> {
    scripts.parameters(file, function).map(<[String]>::to_vec)
}

/// The functions of a file, for suggestions.
pub fn functions(_sources: &BTreeMap<String, String>, scripts: &Scripts, file: &str) -> Vec<String> {
    scripts.functions(file)
}

/// Checks the template of a text that people read.
pub fn check_message(text: &str) -> Result<(), String> {
    render::check_message(text)
}

/// Checks the template of a prompt.
pub fn check_prompt(text: &str) -> Result<(), String> {
    render::check_prompt(text)
}
