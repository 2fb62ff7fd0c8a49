//! What an issue says that its task waits for.

use crate::engine::model::{Decision, Issue, Source, Wanted};
use crate::engine::rules::{DependRules, Ruleset};

use super::draft::{Draft, Say};

/// Most dependencies that an issue may name; a text with more is no list of them.
const MOST: usize = 50;

/// Takes over what the issue names now, where that has changed since it was read last.
pub(super) fn read(draft: &mut Draft<'_>) {
    let Some(issue) = draft.facts.issue() else { return };
    let now = wanted(draft.rules, issue);
    if now == draft.task.ledger.depends {
        return;
    }
    let names: Vec<&str> = now
        .iter()
        .map(|w| match w {
            Wanted::Item(name) | Wanted::Issue(name) => name.as_str(),
        })
        .collect();
    draft.because(if names.is_empty() {
        "its issue names nothing any more that it waits for".to_owned()
    } else {
        format!("its issue says that it waits for {}", names.join(", "))
    });
    draft.task.ledger.depends.clone_from(&now);
    draft.decide(Decision::Depend(now));
}

/// Whether the issue has to be read for what it depends on.
pub(super) fn reads(rules: &Ruleset) -> bool {
    rules.depends.counts(Source::Text) || rules.depends.counts(Source::Relation)
}

/// The dependency would have closed a circle: it was not made, and people are told.
pub(super) fn refused(draft: &mut Draft<'_>, circle: &[String]) {
    let spelled = circle.join(" → ");
    draft.because(format!("a dependency is refused, it would close a circle: {spelled}"));
    draft.comment(
        "depends_circle",
        Say {
            detail: &spelled,
            ..Say::default()
        },
    );
}

/// What the issue names by text and by relation, each once, in order.
fn wanted(rules: &Ruleset, issue: &Issue) -> Vec<Wanted> {
    let mut all = Vec::new();
    if rules.depends.counts(Source::Relation) {
        all.extend(issue.blocked_by.iter().take(MOST).cloned().map(Wanted::Issue));
    }
    if rules.depends.counts(Source::Text) {
        all.extend(named(&rules.depends, &issue.description).into_iter().take(MOST).map(Wanted::Item));
    }
    all.sort();
    all.dedup();
    all
}

/// Work item ids in lines that begin as the rules say: `Depends on: ORCH-12, ORCH-13`.
///
/// Marks of lists, quotes and emphasis before and around the words do not matter. The list ends with
/// the first word that is no id, so that "depends on whether …" names nothing.
fn named(rules: &DependRules, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.trim_start_matches(|c: char| c.is_whitespace() || "-*+>_#".contains(c));
        let Some(rest) = rules.lines.iter().find_map(|begin| after(line, begin)) else {
            continue;
        };
        let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || ":*_".contains(c));
        for word in rest
            .split(|c: char| c.is_whitespace() || ",;*_`".contains(c))
            .filter(|w| !w.is_empty())
        {
            match item(word.trim_end_matches(['.', ')'])) {
                Some(id) => found.push(id),
                None if word == "&" || word.eq_ignore_ascii_case("and") || word == "и" => {}
                None => break,
            }
        }
    }
    found
}

/// What follows `begin`, whatever the case of its letters.
fn after<'t>(line: &'t str, begin: &str) -> Option<&'t str> {
    let mut rest = line.chars();
    for wanted in begin.chars() {
        let found = rest.next()?;
        if !found.to_lowercase().eq(wanted.to_lowercase()) {
            return None;
        }
    }
    let rest = rest.as_str();
    (!rest.starts_with(char::is_alphanumeric)).then_some(rest)
}

/// The work item id that `word` is, as work item ids are written: `orch-7` is `ORCH-007`.
#[must_use]
pub fn item(word: &str) -> Option<String> {
    let (prefix, number) = word.rsplit_once('-')?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !prefix.starts_with(|c: char| c.is_ascii_alphabetic()) || !prefix.chars().all(fits) || prefix.len() > 32 {
        return None;
    }
    if number.is_empty() || number.len() > 9 || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u32 = number.parse().ok()?;
    Some(format!("{}-{number:03}", prefix.to_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let rules = DependRules {
            enabled: true,
            sources: vec![Source::Text],
            lines: vec!["depends on".to_owned(), "Зависит от".to_owned()],
        };
        named(&rules, text)
    }

    #[test]
    fn lines_of_an_issue_name_work_items() {
        assert_eq!(found("Depends on: ORCH-12"), ["ORCH-012"]);
        assert_eq!(
            found("A map.\n\n- **Depends on:** orch-7, ET-1234 and ORCH-3.\nmore"),
            ["ORCH-007", "ET-1234", "ORCH-003"]
        );
        assert_eq!(found("> depends on ORCH-12 being merged, then ORCH-13"), ["ORCH-012"]);
        assert_eq!(found("зависит от ORCH-5 и ORCH-6"), ["ORCH-005", "ORCH-006"]);
        assert_eq!(found("DEPENDS ON `ORCH-1`"), ["ORCH-001"]);
    }

    #[test]
    fn other_words_name_nothing() {
        for text in [
            "",
            "depends on",
            "Depends on whether ORCH-1 is done",
            "It depends on ORCH-1",
            "Depends onward ORCH-1",
            "Depends on: 12",
            "Depends on: -12",
            "Depends on: ORCH-",
            "Depends on: ORCH-99999999999999999999",
            "Depends on: ORCH-1x",
            "dep\u{131}nds on ORCH-1",
        ] {
            assert_eq!(found(text), Vec::<String>::new(), "{text:?}");
        }
    }
}
