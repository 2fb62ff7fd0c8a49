//! The one place where the loader meets the script sandbox and the template renderer.

use std::collections::BTreeMap;

use crate::engine::render;
use crate::engine::script::{ProblemKind, ScriptProblem, Scripts};

use super::codes;

/// How the parser says that a limit is exceeded.
const LIMITS: &[&str] = &["at most", "exceed", "too large", "too many", "Too many", "maximum"];

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
    /// Its code.
    pub code: &'static str,
}

impl From<ScriptProblem> for ScriptIssue {
    fn from(problem: ScriptProblem) -> Self {
        let code = match problem.kind {
            // The parser has one kind for all that it refuses; limits are told apart by its words.
            ProblemKind::Syntax if LIMITS.iter().any(|w| problem.message.contains(w)) => codes::SCRIPT_LIMIT,
            ProblemKind::Syntax | ProblemKind::Misplaced => codes::SCRIPT,
            ProblemKind::UnknownFunction => codes::UNKNOWN_CALL,
            ProblemKind::WrongArity => codes::CALL_ARITY,
            ProblemKind::MixedComparison => codes::MIXED,
        };
        Self {
            code,
            file: problem.file,
            line: problem.line.max(1),
            column: problem.column.max(1),
            message: problem.message,
        }
    }
}

/// Compiles these scripts, by file name, and looks through them for calls that cannot work. What
/// cannot be compiled is left out; the issues are of all files.
pub fn compile(sources: &BTreeMap<String, String>) -> (Scripts, Vec<ScriptIssue>) {
    let mut issues: Vec<ScriptIssue> = Vec::new();
    let scripts = Scripts::compile(sources).unwrap_or_else(|found| {
        issues.extend(found.into_iter().map(ScriptIssue::from));
        let broken = |file: &String| issues.iter().any(|i| i.file == *file);
        let good = sources
            .iter()
            .filter(|(f, _)| !broken(f))
            .map(|(f, t)| (f.clone(), t.clone()))
            .collect();
        Scripts::compile(&good).unwrap_or_default()
    });
    issues.extend(scripts.files().flat_map(|file| scripts.problems(file)).map(ScriptIssue::from));
    (scripts, issues)
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

/// Checks the template of a card.
pub fn check_card(text: &str) -> Result<(), String> {
    render::check_card(text)
}

/// Checks the template of a prompt.
pub fn check_prompt(text: &str) -> Result<(), String> {
    render::check_prompt(text)
}
