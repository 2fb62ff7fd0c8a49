//! Dependencies between tasks, as written.

use crate::engine::model::Source;

use super::DependRules;
use super::codes;
use super::diagnostic::Problem;
use super::later_tables::one_of;
use super::reader::Reader;

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
