//! Gates that read artefacts: which files lie there, what their front-matter says, scripts.

use std::collections::BTreeMap;

use crate::engine::model::{Fact, FactKey, FileFact, Name, Value};
use crate::engine::rules::{FilesClause, Gate};
use crate::engine::script::ScriptArg;

use super::super::draft::clip;
use super::{Answer, Asking, Read};

impl Asking<'_> {
    #[expect(clippy::result_large_err, reason = "the answer is the result here, not a rare failure")]
    pub(super) fn all_files(&self) -> Result<&[FileFact], Answer> {
        match self.read(&FactKey::Files) {
            Read::Value(Value::Files(files)) => Ok(files),
            Read::Instead(answer) => Err(answer),
            Read::Unreadable(why) => Err(Answer::other(self.name, "unreadable", why)),
            Read::Value(_) | Read::Absent => Ok(&[]),
        }
    }

    pub(super) fn files(&self, clauses: &[FilesClause]) -> Answer {
        let files = match self.all_files() {
            Ok(files) => files,
            Err(answer) => return answer,
        };
        for clause in clauses {
            match clause {
                FilesClause::Any(patterns, outcome) => {
                    if let Some(found) = files.iter().find(|f| f.fresh && patterns.matches(&f.path)) {
                        return Answer {
                            detail: found.path.clone(),
                            text: self.text_of(&found.path),
                            ..Answer::named(self.name, outcome)
                        };
                    }
                }
                FilesClause::All(patterns, outcome) => {
                    let paths = || files.iter().map(|f| f.path.as_str());
                    let complete = patterns.unmatched(paths).next().is_none();
                    if complete && files.iter().any(|f| f.fresh && patterns.matches(&f.path)) {
                        return Answer::named(self.name, outcome);
                    }
                }
                FilesClause::Else(outcome) => {
                    let missing = missing(clauses, files);
                    return Answer {
                        detail: missing,
                        nothing_due: true,
                        ..Answer::named(self.name, outcome)
                    };
                }
            }
        }
        Answer {
            nothing_due: true,
            ..Answer::other(self.name, "unreadable", "no clause of the gate holds")
        }
    }

    pub(super) fn text_of(&self, file: &str) -> String {
        match self.from.facts.get(&FactKey::Text(file.to_owned())) {
            Some(Fact::Known(Value::Text(text))) => text.clone(),
            _ => String::new(),
        }
    }

    pub(super) fn frontmatter(&self, file: &str, key: &str, map: &BTreeMap<String, Name>) -> Answer {
        let due = |detail: String| Answer {
            nothing_due: true,
            ..Answer::other(self.name, "unreadable", detail)
        };
        match self.read(&FactKey::Frontmatter(file.to_owned())) {
            Read::Instead(answer) => answer,
            Read::Unreadable(why) => Answer::other(self.name, "unreadable", format!("{file}: {why}")),
            Read::Value(Value::Frontmatter(fact)) => {
                if !self.credible(&fact.values) {
                    return due(format!(
                        "{file} does not carry the `run:` of this round's run: it counts for nothing"
                    ));
                }
                match fact.values.get(key).map(|v| (v, map.get(v))) {
                    Some((value, Some(outcome))) => Answer {
                        detail: format!("{file}: {key}: {value}"),
                        ..Answer::named(self.name, outcome)
                    },
                    Some((value, None)) => Answer::other(
                        self.name,
                        "unreadable",
                        format!("{file}: `{key}: {}` is none of the known values", clip(value, 60)),
                    ),
                    None => Answer::other(self.name, "unreadable", format!("{file} has no `{key}` in its front-matter")),
                }
            }
            Read::Value(_) | Read::Absent => due(format!("{file} was not written")),
        }
    }

    /// Whether a front-matter repeats the nonce of a run of this round.
    pub(super) fn credible(&self, values: &BTreeMap<String, String>) -> bool {
        let Some(nonce) = values.get("run") else { return false };
        self.task.ledger.runs.values().any(|run| run.nonce == *nonce && !nonce.is_empty())
    }

    pub(super) fn script(&self, gate: &Gate, function: &Name, reads: &BTreeMap<String, FactKey>, args: &serde_json::Value) -> Answer {
        let files = match self.all_files() {
            Ok(files) => files,
            Err(answer) => return answer,
        };
        let mut params = Vec::with_capacity(reads.len());
        for (name, key) in reads {
            match self.script_arg(key, files) {
                Ok(arg) => params.push((name.as_str(), arg)),
                Err(answer) => return answer,
            }
        }
        match self.from.rules.scripts.call_named(function, &params, args) {
            Ok(outcome) if outcome == "ok" => Answer::ok(self.name),
            Ok(outcome) if gate.outcomes.iter().any(|o| *o == outcome.as_str()) => {
                Answer::other(self.name, &outcome, format!("`{function}` says {outcome}"))
            }
            Ok(outcome) => Answer::other(
                self.name,
                "error",
                format!("`{function}` returned `{}`, which it does not declare", clip(&outcome, 60)),
            ),
            Err(error) => Answer::other(self.name, "error", format!("`{function}`: {error}")),
        }
    }

    #[expect(clippy::result_large_err, reason = "the answer is the result here, not a rare failure")]
    pub(super) fn script_arg<'b>(&'b self, key: &FactKey, files: &'b [FileFact]) -> Result<ScriptArg<'b>, Answer> {
        let fresh = |file: &str| files.iter().any(|f| f.path == file && f.fresh);
        match (key, self.read(key)) {
            (_, Read::Instead(answer)) => Err(answer),
            (_, Read::Unreadable(why)) => Err(Answer::other(self.name, "unreadable", format!("{key}: {why}"))),
            (FactKey::Frontmatter(file), Read::Value(Value::Frontmatter(fact))) => {
                if self.credible(&fact.values) {
                    return Ok(ScriptArg::Frontmatter(Some(&fact.values)));
                }
                let detail = format!("{file} does not carry the `run:` of this round's run: it counts for nothing");
                Err(Answer {
                    nothing_due: true,
                    ..Answer::other(self.name, "unreadable", detail)
                })
            }
            (FactKey::Frontmatter(file), _) => Err(Answer {
                nothing_due: true,
                ..Answer::other(self.name, "unreadable", format!("{file} was not written"))
            }),
            (FactKey::Json(file), Read::Value(Value::Json(json))) if fresh(file) => Ok(ScriptArg::Json(Some(json))),
            (FactKey::Json(_), _) => Ok(ScriptArg::Json(None)),
            (FactKey::Text(file), Read::Value(Value::Text(text))) if fresh(file) => Ok(ScriptArg::Text(Some(text))),
            (FactKey::Text(_), _) => Ok(ScriptArg::Text(None)),
            (FactKey::Files, _) => Ok(ScriptArg::Files(files)),
            _ => Err(Answer::other(self.name, "error", format!("scripts cannot read `{key}`"))),
        }
    }
}

/// Names what a `files` gate misses, for the agent that is to write it.
fn missing(clauses: &[FilesClause], files: &[FileFact]) -> String {
    let paths = || files.iter().map(|f| f.path.as_str());
    let all = clauses.iter().filter_map(|clause| match clause {
        FilesClause::All(patterns, _) => Some(patterns),
        _ => None,
    });
    let missing: Vec<&str> = all.flat_map(|patterns| patterns.unmatched(paths)).collect();
    if missing.is_empty() {
        "nothing was written in this round".to_owned()
    } else {
        format!("missing: {}", missing.join(", "))
    }
}
