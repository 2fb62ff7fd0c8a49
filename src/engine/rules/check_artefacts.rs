//! What gates read is written by somebody: a misspelt file would never be there, and a gate that
//! takes absence for `ok` would pass everything.

use std::collections::BTreeSet;

use crate::engine::model::FactKey;

use super::check::Scope;
use super::check_parts::Reached;
use super::codes;
use super::diagnostic::{Place, Problem, list, quoted};
use super::draft::{ClauseDraft, Draft, KindDraft};
use super::reader::Sp;

/// Checks the files of all gates that stages ask.
pub fn written(draft: &Draft, reached: &Reached, scope: &Scope) {
    let agents = reached.iter().flat_map(|(_, _, s)| &s.work);
    let agents = agents.filter_map(|name| draft.agents.get(&name.v));
    let all: Vec<&str> = agents.flat_map(|a| &a.v.artefacts).map(String::as_str).collect();
    let mut seen = BTreeSet::new();
    for gate in reached.iter().flat_map(|(_, _, s)| &s.pass) {
        of_gate(&gate.v, draft, &all, &mut seen, scope);
    }
}

fn of_gate<'a>(name: &'a str, draft: &'a Draft, all: &[&str], seen: &mut BTreeSet<&'a str>, scope: &Scope) {
    let Some(gate) = draft.gates.get(name).filter(|_| seen.insert(name)) else {
        return;
    };
    match &gate.v.0 {
        Some(KindDraft::FirstOf(members) | KindDraft::AllOf(members)) => {
            for member in members {
                of_gate(&member.v, draft, all, seen, scope);
            }
        }
        Some(kind) => {
            for (file, at) in files(kind) {
                if !all.iter().any(|pattern| meet(pattern, file)) {
                    nobody(name, file, at.unwrap_or(&gate.at), all, scope);
                }
            }
        }
        None => {}
    }
}

/// The files that a gate asks for, and where each was written, if that is known.
fn files(kind: &KindDraft) -> Vec<(&str, Option<&Place>)> {
    match kind {
        KindDraft::Files(clauses) => {
            let patterns = clauses.iter().filter_map(|c| match c {
                ClauseDraft::Any(patterns, _) | ClauseDraft::All(patterns, _) => Some(patterns),
                ClauseDraft::Else(_) => None,
            });
            patterns.flatten().map(|p| (p.as_str(), None)).collect()
        }
        KindDraft::Frontmatter { file, .. } => vec![(file.v.as_str(), Some(&file.at))],
        KindDraft::Script { reads, .. } => {
            let files = reads.values().filter_map(|fact| match fact {
                FactKey::Frontmatter(file) | FactKey::Json(file) | FactKey::Text(file) => Some(file.as_str()),
                _ => None,
            });
            files.map(|f| (f, None)).collect()
        }
        _ => Vec::new(),
    }
}

fn nobody(gate: &str, file: &str, at: &Place, all: &[&str], scope: &Scope) {
    let words = format!(
        "the gate {} asks for {}, which no agent of this flow may write",
        quoted(gate),
        quoted(file)
    );
    let near = scope.sink.nearest(file, all.iter().copied());
    let help = near.map_or_else(
        || match all.is_empty() {
            true => "add it to the `artefacts` of the agent that is to write it".to_owned(),
            false => format!("add it to the `artefacts` of an agent; agents may write {}", list(all)),
        },
        |near| format!("did you mean {}? Agents may write what their `artefacts` name", quoted(near)),
    );
    scope.sink.push(
        Problem::error(codes::UNWRITTEN, at, words)
            .label("this file will never be there")
            .help(help),
    );
}

/// A script's own arguments: what it reads of them is given, and what is given is read.
pub fn arguments(function: &Sp<String>, args: &serde_json::Value, scope: &Scope) {
    let Some((fields, only_fields)) = scope.compiled.arguments(&function.v) else {
        return;
    };
    let given: Vec<&str> = args.as_object().map(|o| o.keys().map(String::as_str).collect()).unwrap_or_default();
    for field in fields.iter().filter(|f| !given.contains(&f.as_str())) {
        let words = format!("{} reads `args.{field}`, which the gate does not give", quoted(&function.v));
        let help = scope.sink.nearest(field, given.iter().copied());
        let help = help.map_or_else(
            || format!("args = {{ {field} = … }}"),
            |n| format!("`args` has {}: one of the two is misspelt", quoted(n)),
        );
        scope.sink.push(
            Problem::error(codes::SCRIPT_ARGS, &function.at, words)
                .label("not in `args`")
                .help(help),
        );
    }
    for name in given.iter().filter(|n| only_fields && !fields.iter().any(|f| f == *n)) {
        let words = format!("`args.{name}` is given, and {} never reads it", quoted(&function.v));
        let problem = Problem::error(codes::SCRIPT_ARGS, &function.at, words).label("given for nothing");
        scope.sink.push(problem.help("remove it from `args`, or look for a misspelt word"));
    }
}

/// A part of a pattern.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Char(char),
    /// One character of a name.
    One,
    /// Any part of a name.
    Star,
    /// Anything, folders included.
    Deep,
}

fn parts(pattern: &str) -> Vec<Part> {
    let mut out = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(match c {
            '*' if chars.next_if_eq(&'*').is_some() => Part::Deep,
            '*' => Part::Star,
            '?' => Part::One,
            '[' => {
                chars.by_ref().take_while(|c| *c != ']').for_each(drop);
                Part::One
            }
            '{' => {
                chars.by_ref().take_while(|c| *c != '}').for_each(drop);
                Part::Deep
            }
            '\\' => Part::Char(chars.next().unwrap_or('\\')),
            c => Part::Char(c),
        });
    }
    out
}

/// Whether some path matches both patterns; rather yes where a pattern is intricate.
fn meet(one: &str, other: &str) -> bool {
    let (a, b) = (parts(one), parts(other));
    // Whether what is left of both from each pair of places can meet, from their ends.
    let mut can = vec![vec![false; b.len() + 2]; a.len() + 2];
    for i in (0..=a.len()).rev() {
        for j in (0..=b.len()).rev() {
            can[i][j] = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (x, y) => {
                    let skip_a =
                        matches!(x, Some(Part::Star | Part::Deep)) && (can[i + 1][j] || (folder(&a, i) && can[(i + 2).min(a.len())][j]));
                    let skip_b =
                        matches!(y, Some(Part::Star | Part::Deep)) && (can[i][j + 1] || (folder(&b, j) && can[i][(j + 2).min(b.len())]));
                    skip_a || skip_b || step(x, y).is_some_and(|(di, dj)| can[i + di][j + dj])
                }
            };
        }
    }
    can[0][0]
}

/// `**/` may stand for no folder at all.
fn folder(parts: &[Part], at: usize) -> bool {
    parts.get(at) == Some(&Part::Deep) && parts.get(at + 1) == Some(&Part::Char('/'))
}

/// One character that both can take: how far each goes on.
fn step(a: Option<&Part>, b: Option<&Part>) -> Option<(usize, usize)> {
    let (a, b) = (a?, b?);
    let many = |p: &Part| matches!(p, Part::Star | Part::Deep);
    let takes = |p: &Part, c: char| match p {
        Part::Char(own) => *own == c,
        Part::One | Part::Star => c != '/',
        Part::Deep => true,
    };
    let fits = match (a, b) {
        (Part::Char(c), other) | (other, Part::Char(c)) => takes(other, *c),
        _ => true,
    };
    fits.then(|| (usize::from(!many(a)), usize::from(!many(b))))
        .filter(|step| *step != (0, 0))
}

#[cfg(test)]
mod tests {
    use super::meet;

    #[test]
    fn patterns_meet_where_a_path_matches_both() {
        let meets = [
            ("12-review.md", "12-review.md"),
            ("01-*.md", "01-brd.md"),
            ("01-*.md", "01-b*"),
            ("06-adr/**", "06-adr/*.md"),
            ("06-adr/**", "06-adr/deep/1.md"),
            ("**/x.md", "x.md"),
            ("10-*", "10-conflict.md"),
            ("0[1-3]-?.md", "02-a.md"),
            ("{a,b}.md", "b.md"),
            ("*", "*.md"),
        ];
        for (a, b) in meets {
            assert!(meet(a, b) && meet(b, a), "{a} and {b}");
        }
        let apart = [
            ("12-review.md", "12-reviw.md"),
            ("01-*.md", "02-trz.md"),
            ("06-adr/*", "06-adr/deep/1.md"),
            ("*.md", "a/b.md"),
            ("a", ""),
            ("?", "ab"),
        ];
        for (a, b) in apart {
            assert!(!meet(a, b) && !meet(b, a), "{a} and {b}");
        }
    }
}
