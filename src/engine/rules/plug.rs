//! The one place where the loader meets the script sandbox and the template renderer.

use std::collections::BTreeMap;

use crate::engine::script::Scripts;

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

/// Compiles these scripts, by file name.
pub fn compile(sources: &BTreeMap<String, String>) -> Result<Scripts, Vec<ScriptIssue>> {
    let issues: Vec<ScriptIssue> = sources.iter().filter_map(|(file, text)| unmatched(file, text)).collect();
    if issues.is_empty() { Ok(Scripts::default()) } else { Err(issues) }
}

/// The first bracket that closes another one than was opened.
fn unmatched(file: &str, text: &str) -> Option<ScriptIssue> {
    let mut open = Vec::new();
    for (row, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (column, c) in code.chars().enumerate() {
            let due = match c {
                '(' => '(',
                '{' => '{',
                ')' if open.pop() != Some('(') => 'x',
                '}' if open.pop() != Some('{') => 'x',
                _ => continue,
            };
            if due == 'x' {
                let message = format!("`{c}` closes nothing that is open here");
                return Some(ScriptIssue {
                    file: file.to_owned(),
                    line: row + 1,
                    column: column + 1,
                    message,
                });
            }
            open.push(due);
        }
    }
    None
}

/// The names of a function's parameters, in order; `None` where there is no such function.
pub fn parameters(sources: &BTreeMap<String, String>, _scripts: &Scripts, file: &str, function: &str) -> Option<Vec<String>> {
    let text = sources.get(file)?;
    let (_, list) = text.split_once(&format!("fn {function}("))?;
    let (list, _) = list.split_once(')')?;
    Some(list.split(',').map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect())
}

/// The functions of a file, for suggestions.
pub fn functions(sources: &BTreeMap<String, String>, _scripts: &Scripts, file: &str) -> Vec<String> {
    let text = sources.get(file).map_or("", String::as_str);
    text.split("fn ")
        .skip(1)
        .filter_map(|rest| rest.split_once('('))
        .map(|(name, _)| name.trim().to_owned())
        .collect()
}

/// Checks the template of a text that people read.
pub fn check_message(text: &str) -> Result<(), String> {
    balanced(text)
}

/// Checks the template of a prompt.
pub fn check_prompt(text: &str) -> Result<(), String> {
    balanced(text)
}

fn balanced(text: &str) -> Result<(), String> {
    for (open, close) in [("{{", "}}"), ("{%", "%}")] {
        if text.matches(open).count() != text.matches(close).count() {
            return Err(format!("`{open}` and `{close}` do not match"));
        }
    }
    Ok(())
}
