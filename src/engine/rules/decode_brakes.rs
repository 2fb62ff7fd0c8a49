//! What holds tasks of a repository back, as written: serial gate, freeze, dependencies.

use crate::engine::model::{FreezeLevel, Source};

use super::codes;
use super::diagnostic::Problem;
use super::draft::SerialDraft;
use super::later_tables::one_of;
use super::reader::Reader;
use super::{DependRules, FreezeRules, LaneScope};

/// How lines begin that name dependencies, where the rules do not say.
const LINES: &[&str] = &["depends on", "blocked by"];

/// `depends`; absent, tasks do not wait for one another.
pub fn depends(r: &Reader) -> DependRules {
    let Some(t) = r.table("depends", "`depends`") else {
        return DependRules::default();
    };
    let known = [("relation", Source::Relation), ("text", Source::Text), ("command", Source::Command)];
    let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
    let enabled = t.truth("enabled").unwrap_or(true);
    let sources = match t.texts("sources") {
        Some(written) => {
            written.v.iter().for_each(|word| one_of(word, &words, "`sources`", &t));
            let named = |word: &str| known.iter().find(|(w, _)| *w == word).map(|(_, source)| *source);
            written.v.iter().filter_map(|word| named(&word.v)).collect()
        }
        None => known.iter().map(|(_, source)| *source).collect(),
    };
    let lines = match t.texts("lines") {
        Some(written) => {
            for line in written.v.iter().filter(|l| l.v.trim().is_empty()) {
                let problem = Problem::error(
                    codes::EMPTY,
                    &line.at,
                    "`lines` holds an empty text: every line would begin with it",
                );
                t.sink.push(problem.label("empty").help("lines = [\"Depends on\"]"));
            }
            written
                .v
                .into_iter()
                .map(|l| l.v.trim().to_owned())
                .filter(|l| !l.is_empty())
                .collect()
        }
        None => LINES.iter().map(|l| (*l).to_owned()).collect(),
    };
    t.finish();
    DependRules { enabled, sources, lines }
}

/// `serial_gate`; absent, tasks do not wait for one another.
pub fn serial_gate(r: &Reader) -> SerialDraft {
    let Some(g) = r.table("serial_gate", "`serial_gate`") else {
        return SerialDraft::default();
    };
    let enabled = g.truth("enabled").unwrap_or(true);
    let guards = g.texts("guards").map(|t| t.v).unwrap_or_default();
    let words = LaneScope::ALL.map(|(word, _)| word);
    let word = g.choice("scope", &words);
    let scope = LaneScope::ALL.iter().find(|(w, _)| Some(*w) == word).map(|(_, scope)| *scope);
    g.finish();
    SerialDraft {
        enabled,
        guards,
        scope: scope.unwrap_or_default(),
    }
}

/// `freeze`; absent or switched off, failures freeze nothing.
pub fn freeze(r: &Reader) -> Option<FreezeRules> {
    let t = r.table("freeze", "`freeze`")?;
    let enabled = t.truth("enabled").unwrap_or(true);
    let after = t.int("after_failures", 1..=100).and_then(|n| u32::try_from(n).ok());
    let level = match t.choice("level", &["merge", "all"]) {
        Some("all") => FreezeLevel::All,
        _ => FreezeLevel::Merge,
    };
    if enabled && !t.has("after_failures") {
        t.missing("after_failures", "how many failures in a row: after_failures = 3");
    }
    t.finish();
    after
        .filter(|_| enabled)
        .map(|after_failures| FreezeRules { after_failures, level })
}
