//! The function that classifies failed runs: it is there, takes what it is given, and answers in known words.

use crate::engine::model::Name;

use super::check::Scope;
use super::codes;
use super::diagnostic::{Problem, list, quoted};
use super::draft::Draft;
use super::plug;

/// What it may take.
const GIVEN: [&str; 2] = ["code", "tail"];
/// What it may answer; the first two may be followed by seconds: `"transient 120"`.
pub const ANSWERS: [&str; 4] = ["transient", "limit", "permanent", "unknown"];

/// Checks `retry.classify`.
pub fn classifier(draft: &Draft, scope: &Scope) -> Option<Name> {
    let function = draft.classify.as_ref()?;
    let wrong = |code, words: String, help: Option<String>| {
        let problem = Problem::error(code, &function.at, words).label("cannot classify runs");
        scope.sink.push(problem.maybe_help(help));
        None
    };
    let Some((file, name)) = function
        .v
        .split_once("::")
        .filter(|(file, name)| file.ends_with(".rhai") && !name.is_empty())
    else {
        let help = "file and function: \"retry.rhai::classify\"".to_owned();
        return wrong(
            codes::UNKNOWN_SCRIPT,
            format!("{} names no function", quoted(&function.v)),
            Some(help),
        );
    };
    if !scope.scripts.contains_key(file) {
        let near = scope.sink.suggest(file, scope.scripts.keys().map(String::as_str));
        let help = near.or_else(|| Some("scripts lie in rules/".to_owned()));
        return wrong(codes::UNKNOWN_SCRIPT, format!("there is no script {}", quoted(file)), help);
    }
    // A script that cannot be compiled has been reported itself.
    scope.compiled.files().find(|f| *f == file)?;
    let Some(takes) = plug::parameters(scope.scripts, &scope.compiled, file, name) else {
        let functions = plug::functions(scope.scripts, &scope.compiled, file);
        let help = scope.sink.suggest(name, functions.iter().map(String::as_str));
        return wrong(
            codes::UNKNOWN_SCRIPT,
            format!("{} has no function {}", quoted(file), quoted(name)),
            help,
        );
    };
    if let Some(other) = takes.iter().find(|p| !GIVEN.contains(&p.as_str())) {
        let help = format!("it may take {}: the exit status, and the last 16 KiB of the log", list(&GIVEN));
        return wrong(
            codes::ARITY,
            format!("{} takes {}, which nobody gives it", quoted(name), quoted(other)),
            Some(help),
        );
    }
    let said = scope.compiled.literals(&function.v);
    if let Some((text, ..)) = said
        .texts
        .iter()
        .find(|(text, ..)| !ANSWERS.contains(&text.split(' ').next().unwrap_or_default()))
    {
        let help = format!("it answers {}; `transient` and `limit` may be followed by seconds", list(&ANSWERS));
        return wrong(
            codes::UNDECLARED_OUTCOME,
            format!("{} answers {}", quoted(name), quoted(text)),
            Some(help),
        );
    }
    Some(function.name())
}
