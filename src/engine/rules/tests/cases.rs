//! One folder per case under `tests/configs/invalid`, one reviewed snapshot each.

use std::collections::BTreeSet;

use super::super::{Files, Loaded, allowed, codes, commands_here, explain, render_human};
use super::{add, load, root, shipped_files};
use crate::engine::explore;

fn folders(kind: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join("tests/configs").join(kind)).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What `validate --here` finds, on a machine that has every program but one, on a fixed day.
fn checked(files: &Files) -> Loaded {
    let mut loaded = load(files);
    let here = commands_here(&loaded.commands, files, |program| program != "./no-such-agent");
    loaded.diagnostics.extend(here);
    if loaded.diagnostics.is_empty() {
        for (name, rules) in loaded.pipelines.iter().filter(|(name, _)| *name == "mine") {
            let proof = explore::prove(rules, loaded.pipeline_origins.get(name), explore::LIMIT);
            loaded.diagnostics.extend(explore::findings(name, &proof, files));
        }
    }
    loaded.diagnostics = allowed(loaded.diagnostics, files, jiff::civil::date(2026, 6, 1));
    loaded
}

/// Steps of the shortest counter-example, of what only the proof finds. Fewer would be a gap in the
/// engine, more a search that is not breadth first.
const STORIES: &[(&str, usize)] = &[
    ("SB0801-asked-where-nobody-hears", 5),
    ("SB0801-no-answer", 3),
    ("SB0803-merges-again", 9),
    ("SB0805-fixed-after-the-tests", 6),
    ("SB0805-other-checks", 4),
    ("SB0805-stage-too-early", 3),
];

/// Steps that the first finding's story has.
fn steps(loaded: &Loaded) -> usize {
    let help = loaded.diagnostics.first().and_then(|d| d.help.as_deref()).unwrap_or_default();
    help.lines().filter(|l| l.starts_with(|c: char| c.is_ascii_digit())).count()
}

#[test]
fn each_invalid_configuration_is_explained() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(root().join("snapshots/diagnostics"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _guard = settings.bind_to_scope();
    let mut wrong = Vec::new();
    for name in folders("invalid") {
        let mut files = shipped_files();
        add(&mut files, &root().join("tests/configs/invalid").join(&name), "");
        let loaded = checked(&files);
        let (code, _) = name.split_once('-').unwrap();
        if !loaded.diagnostics.iter().any(|d| d.code == code) {
            wrong.push(format!(
                "{name}: {:?}",
                loaded.diagnostics.iter().map(|d| d.code).collect::<Vec<_>>()
            ));
        }
        let story = STORIES.iter().find(|(n, _)| *n == name).map(|(_, steps)| *steps);
        assert_eq!(story.is_some(), code.starts_with("SB08"), "{name} is not among the stories");
        if story.is_some_and(|story| steps(&loaded) != story) {
            wrong.push(format!("{name}: told in {} steps", steps(&loaded)));
        }
        insta::assert_snapshot!(name.as_str(), render_human(&loaded.diagnostics, &files, false));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_valid_configuration_is_accepted() {
    for name in folders("valid") {
        let mut files = shipped_files();
        add(&mut files, &root().join("tests/configs/valid").join(&name), "");
        let loaded = checked(&files);
        assert!(
            loaded.diagnostics.is_empty(),
            "{name}: {}",
            render_human(&loaded.diagnostics, &files, false)
        );
    }
}

#[test]
fn every_code_has_a_page_and_a_case() {
    let cases: BTreeSet<String> = folders("invalid")
        .iter()
        .filter_map(|n| n.split_once('-'))
        .map(|(c, _)| c.to_owned())
        .collect();
    for code in codes::ALL {
        assert!(explain(code).is_some_and(|page| page.contains('\n')), "{code} has no page");
        // What no rules that load can bring about is shown on broken engines: `explore/tests.rs`.
        let made = [codes::NOT_STOPPED, codes::ENDLESS, codes::UNPROVED];
        assert!(cases.contains(*code) || made.contains(code), "{code} has no case");
    }
    assert_eq!(codes::ALL.len(), super::super::explain::PAGES.len());
    assert_eq!(codes::ALL.iter().collect::<BTreeSet<_>>().len(), codes::ALL.len());
}
