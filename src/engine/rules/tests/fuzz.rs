//! Whatever the files hold, the loader answers.

use proptest::prelude::*;

use super::super::{Files, render_human, render_json};
use super::{TWO, load, with_projects};
use crate::engine::model::Name;

/// A change of one file.
#[derive(Debug, Clone)]
enum Edit {
    /// A byte becomes another one.
    Byte(prop::sample::Index, u8),
    /// Some bytes go.
    Cut(prop::sample::Index, usize),
    /// Two words change places.
    Swap(prop::sample::Index, prop::sample::Index),
    /// A word becomes another thing that means something.
    Word(prop::sample::Index, &'static str),
}

const WORDS: &[&str] = &[
    "\"unset\"",
    "\"*\"",
    "[]",
    "{}",
    "true",
    "-1",
    "99999999999999999999",
    "\"previous\"",
    "\"\"",
    "1979-05-27",
    "nan",
    "\"created\"",
    "\u{202e}",
    "'''",
    "[[x]]",
    "\"a.b\"",
];

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(i, b)| Edit::Byte(i, b)),
        (at(), 1_usize..80).prop_map(|(i, n)| Edit::Cut(i, n)),
        (at(), at()).prop_map(|(a, b)| Edit::Swap(a, b)),
        (at(), prop::sample::select(WORDS)).prop_map(|(i, w)| Edit::Word(i, w)),
    ]
}

fn words(text: &str) -> Vec<String> {
    text.split_inclusive([' ', '\n', ',', '=', '.', '{', '}', '[', ']'])
        .map(str::to_owned)
        .collect()
}

fn apply(text: &str, edit: &Edit) -> String {
    match edit {
        Edit::Byte(i, b) => {
            let mut bytes = text.as_bytes().to_vec();
            if !bytes.is_empty() {
                let at = i.index(bytes.len());
                bytes[at] = *b;
            }
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Edit::Cut(i, n) => {
            let mut bytes = text.as_bytes().to_vec();
            if !bytes.is_empty() {
                let at = i.index(bytes.len());
                bytes.drain(at..(at + n).min(bytes.len()));
            }
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Edit::Swap(a, b) => {
            let mut words = words(text);
            if !words.is_empty() {
                let (a, b) = (a.index(words.len()), b.index(words.len()));
                words.swap(a, b);
            }
            words.concat()
        }
        Edit::Word(i, w) => {
            let mut words = words(text);
            if !words.is_empty() {
                let at = i.index(words.len());
                words[at] = (*w).to_owned();
            }
            words.concat()
        }
    }
}

fn check(files: &Files) -> Result<(), TestCaseError> {
    let loaded = load(files);
    let text = render_human(&loaded.diagnostics, files, false);
    prop_assert!(text.ends_with("warnings\n") || text.ends_with("warning\n"));
    let json: serde_json::Value = serde_json::from_str(&render_json(&loaded.diagnostics)).unwrap();
    prop_assert!(json["errors"].is_u64());
    if !loaded.failed() {
        let projects: Vec<Name> = loaded.config.iter().flat_map(|c| c.projects.keys().cloned()).collect();
        prop_assert_eq!(projects, loaded.rulesets.keys().cloned().collect::<Vec<_>>());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), edit()), 1..6)) {
        let mut files = with_projects(TWO);
        // Most of the language is in these; texts and prompts are changed in their turn.
        let rules: Vec<String> = files.0.keys().filter(|p| p.ends_with(".toml") && !p.starts_with("messages")).cloned().collect();
        let all: Vec<String> = files.0.keys().cloned().collect();
        for (n, (which, edit)) in edits.iter().enumerate() {
            let pool = if n % 4 == 3 { &all } else { &rules };
            let path = &pool[which.index(pool.len())];
            let source = files.0.get_mut(path).unwrap();
            source.text = apply(&source.text, edit);
        }
        check(&files)?;
    }

    #[test]
    fn any_text_never_panics(text in "\\PC{0,200}", config in "[a-z\\[\\]{}\"'=.,# \\n*1-9]{0,300}") {
        let mut files = with_projects(&config);
        files.insert("pipelines/any.toml", text, "any");
        check(&files)?;
    }
}
