//! Whatever the files hold, the loader answers.

use proptest::prelude::*;

use super::super::{Files, Loaded, Severity, allowed, render_github, render_human, render_json, render_sarif, revive};
use super::{TWO, load, with_projects};

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

/// What `serve` does with a directory of rules: every project has a ruleset, and what is stored of
/// it makes the same one again.
fn serve_loads(loaded: &Loaded) -> Result<(), String> {
    if loaded.failed() {
        return Err("refused".to_owned());
    }
    let config = loaded.config.as_ref().ok_or("there is no configuration")?;
    for (project, settings) in &config.projects {
        let rules = loaded.rulesets.get(project).ok_or(format!("{project} has no ruleset"))?;
        if rules.agents.values().any(|a| a.run.is_empty()) {
            return Err(format!("an agent of {project} has no command"));
        }
        let inputs = loaded.inputs.get(project).ok_or(format!("{project} has no inputs"))?;
        let stored = inputs.stored().to_string();
        let back = serde_json::from_str(&stored).map_err(|e| e.to_string())?;
        let revived = revive(&back).map_err(|found| format!("{project} cannot be revived: {:?}", found.first()))?;
        if revived.hash != rules.hash || format!("{revived:?}") != format!("{rules:?}") {
            return Err(format!("{project} comes back as another one"));
        }
        if rules.prefix != settings.prefix {
            return Err(format!("{project} has another prefix"));
        }
    }
    Ok(())
}

/// Validate passes if and only if serve loads; and everything that is found can be shown.
fn check(files: &Files) -> Result<bool, TestCaseError> {
    let loaded = load(files);
    let found = allowed(loaded.diagnostics.clone(), files, jiff::civil::date(2026, 6, 1));
    let text = render_human(&found, files, false);
    prop_assert!(text.ends_with("warnings\n") || text.ends_with("warning\n"));
    for json in [render_json(&found), render_sarif(&found, files)] {
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
    }
    prop_assert!(render_github(&found).lines().all(|l| l.starts_with("::")));
    // The exit status of `validate` depends on this alone.
    let passes = !found.iter().any(|d| d.severity == Severity::Error);
    let served = serve_loads(&loaded);
    if files.get("signalbox.toml").is_some() {
        prop_assert_eq!(passes, served.is_ok(), "{:?}\n{}", served, text);
    }
    Ok(passes)
}

/// Edits as people make them: most leave the rules whole, some do not.
const EDITS: &[(&str, &str)] = &[
    ("max = 2", "max = 3"),
    ("max = 3", "max = 0"),
    ("\"30m\"", "\"45m\""),
    ("\"30m\"", "\"45\""),
    ("enabled = true", "enabled = false"),
    ("attempts = 2", "attempts = 1"),
    ("\"12-review.md\"", "\"review.md\""),
    ("\"ci/test\"", "\"ci/build\", \"ci/lint\""),
    ("stay = true", "stay = true, alert = true"),
    ("alert = true", "alert = false"),
    (", escalate = true", ""),
    ("uses = \"rework\"", "uses = \"rebase\""),
    ("uses = \"rework\"", "uses = \"rewrok\""),
    ("to = \"development\"", "to = \"review\""),
    ("work = [\"tester\"]", "work = [\"tester\", \"reviewer\"]"),
    ("work = [\"tester\"]", "work = [\"tester\", \"developer\"]"),
    ("pass = [\"tests\", \"local_tests\", \"mergeable\"]", "pass = [\"tests\"]"),
    ("pass = [\"verdict\"]", "pass = [\"verdict\", \"built\"]"),
    ("quorum = 1", "quorum = 2"),
    ("\"approve\"", "\"consent\""),
    ("\"Approved\" = ", "\"Rejected \" = "),
    ("\"main\", ", ""),
    ("feature/{id}", "task/{id}"),
    ("feature/{id}-{slug}", "main"),
    ("returns = [\"ok\", \"red\"]", "returns = [\"ok\", \"red\", \"amber\"]"),
    ("return \"red\"", "return \"rad\""),
    ("log.staging_status", "log.status"),
    ("{{ title", "{{ vars.health"),
    ("{{ item }}", "{{ vars.gone }}"),
    ("verdict", "opinion"),
    (
        "[counters.rework]",
        "# signalbox: allow SB0211 until 2030-01-01: for later\n[counters.spare]\nmax = 1\n[counters.rework]",
    ),
    ("note = ", "x-note = "),
    ("schema = 1", "schema = 1\nx-mine = 1"),
    ("\"local\" }", "\"plane\" }"),
];

#[test]
fn edits_of_people_are_told_apart() {
    // The property below would be empty if nearly all of these broke the rules, or hardly any.
    let whole = with_projects(TWO);
    let (mut fine, mut refused) = (0, 0);
    for (old, new) in EDITS {
        let mut files = whole.clone();
        let path = files.0.iter().find(|(_, s)| s.text.contains(old)).map(|(p, _)| p.clone());
        let source = files.0.get_mut(&path.unwrap_or_else(|| panic!("{old:?} is in no file"))).unwrap();
        source.text = source.text.replacen(old, new, 1);
        if check(&files).unwrap() { fine += 1 } else { refused += 1 }
    }
    assert!(fine >= 12 && refused >= 8, "{fine} fine, {refused} refused");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

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
    fn validate_passes_if_and_only_if_serve_loads(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::sample::select(EDITS)), 1..4)) {
        let mut files = with_projects(TWO);
        for (which, place, (old, new)) in &edits {
            let paths: Vec<String> = files.0.iter().filter(|(_, s)| s.text.contains(old)).map(|(p, _)| p.clone()).collect();
            if paths.is_empty() {
                continue;
            }
            let source = files.0.get_mut(&paths[which.index(paths.len())]).unwrap();
            let places: Vec<usize> = source.text.match_indices(old).map(|(i, _)| i).collect();
            let at = places[place.index(places.len())];
            source.text.replace_range(at..at + old.len(), new);
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
