//! What can be seen of a gate's script: what it returns, and what it reads of the facts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::model::FactKey;

use super::check::Scope;
use super::codes;
use super::diagnostic::{Place, Problem, list, quoted};
use super::reader::Sp;

/// Checks the function of a script gate against what the gate declares.
pub fn check(function: &Sp<String>, reads: &BTreeMap<String, FactKey>, returns: &[Sp<String>], scope: &Scope) {
    returned(function, returns, scope);
    for (parameter, fact) in reads {
        fields(function, parameter, fact, scope);
    }
}

fn returned(function: &Sp<String>, returns: &[Sp<String>], scope: &Scope) {
    let found = scope.compiled.literals(&function.v);
    let declared: Vec<&str> = returns.iter().map(|r| r.v.as_str()).collect();
    for (text, line, column) in found.texts.iter().filter(|(t, ..)| !declared.contains(&t.as_str())) {
        let words = format!("{} returns {}, which the gate does not declare", quoted(&function.v), quoted(text));
        let at = place(function, *line, *column, text.len().saturating_add(2), scope);
        let problem = Problem::error(codes::UNDECLARED_OUTCOME, &at, words)
            .label("not in `returns`")
            .related(&function.at, "the gate");
        let help = scope.sink.nearest(text, declared.iter().copied());
        let help = help.map_or_else(
            || format!("add it to `returns`, which has {}", list(&declared)),
            |n| format!("did you mean {}?", quoted(n)),
        );
        scope.sink.push(problem.help(help));
    }
    for (what, line, column) in &found.others {
        let words = format!("{} returns {what}, and an outcome is a text", quoted(&function.v));
        let at = place(function, *line, *column, 1, scope);
        let problem = Problem::error(codes::UNDECLARED_OUTCOME, &at, words)
            .label("no outcome")
            .related(&function.at, "the gate");
        scope.sink.push(problem.help(format!("return one of {}", list(&declared))));
    }
    if found.open {
        return;
    }
    for outcome in returns
        .iter()
        .filter(|r| r.v != "ok" && !found.texts.iter().any(|(t, ..)| *t == r.v))
    {
        let words = format!("{} never returns {}", quoted(&function.v), quoted(&outcome.v));
        let problem = Problem::warning(codes::NEVER_RETURNED, &outcome.at, words).label("declared for nothing");
        scope.sink.push(problem.help("remove it from `returns`, and its edge"));
    }
}

/// Fields of a fact that is one record; `None` where any field may be there.
fn known(fact: &FactKey) -> Option<&'static [&'static str]> {
    match fact {
        FactKey::Issue => Some(&["id", "number", "title", "description", "labels", "author"]),
        FactKey::Head => Some(&["sha", "subject", "base", "descends"]),
        FactKey::Mergeable => Some(&["conflicts", "behind", "base"]),
        // Lists and texts have no fields but their length.
        FactKey::Files | FactKey::Checks | FactKey::Reviews | FactKey::Text(_) => Some(&["len", "is_empty"]),
        FactKey::Frontmatter(_) | FactKey::Json(_) => None,
    }
}

fn fields(function: &Sp<String>, parameter: &str, fact: &FactKey, scope: &Scope) {
    let Some(known) = known(fact) else { return };
    let asked: BTreeSet<String> = scope.compiled.fields(&function.v, parameter).into_iter().map(|f| f.field).collect();
    for field in asked.iter().filter(|f| !known.contains(&f.as_str())) {
        let words = format!(
            "{} reads {}, which the fact {} does not have",
            quoted(&function.v),
            quoted(&format!("{parameter}.{field}")),
            quoted(&fact.to_string())
        );
        let problem = Problem::error(codes::UNKNOWN_FIELD, &function.at, words).label("reads a field that is not there");
        let help = scope.sink.nearest(field, known.iter().copied());
        let help = help.map_or_else(|| format!("there is {}", list(known)), |n| format!("did you mean {}?", quoted(n)));
        scope.sink.push(problem.help(help));
    }
}

/// The place of a line and column of the function's file.
fn place(function: &Sp<String>, line: usize, column: usize, length: usize, scope: &Scope) -> Place {
    let file = function.v.split("::").next().unwrap_or_default();
    let text = scope.scripts.get(file).map_or("", String::as_str);
    let start = super::texts::offset(text, line.max(1), column.max(1));
    Place {
        file: Arc::from(format!("rules/{file}").as_str()),
        span: start..start.saturating_add(length),
    }
}
