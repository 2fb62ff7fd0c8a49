//! `enduro` differs from `orch` exactly where their files say so: every row that differs rests on a key that differs, and
//! every key that differs shows in such a row.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Row, table};
use crate::engine::model::Name;
use crate::engine::rules::{Files, Loaded, Ruleset, load};
use crate::shell::embedded::embedded;

/// Keys that no decision shows, by what they begin with, and why.
const INVISIBLE: &[(&str, &str)] = &[
    ("schema", "the version of the language"),
    ("extends", "what it extends is compared key by key"),
    ("gates.deployed.frontmatter.file", "which file a gate reads is not an outcome"),
    ("gates.deployed.frontmatter.key", "which entry of it"),
    (
        "gates.staging.script",
        "which function answers is not an outcome, nor are its arguments",
    ),
];

/// What differs between two pipelines.
struct Compared {
    /// Rows that only one has, or that end otherwise, with what they rest on in either.
    rows: BTreeMap<String, BTreeSet<String>>,
    /// Keys whose values differ; `flow.STAGE` stands for what follows it.
    keys: BTreeSet<String>,
    /// Files in which the differing keys were written.
    files: BTreeMap<String, BTreeSet<String>>,
}

fn compare(loaded: &Loaded, rules: [&Ruleset; 2], names: [&str; 2]) -> Compared {
    let origins = names.map(|name| &loaded.pipeline_origins[name].0);
    let mut out = Compared {
        rows: rows(&table(rules[0]), &table(rules[1])),
        keys: flows(rules),
        files: BTreeMap::new(),
    };
    for path in origins[0].keys().chain(origins[1].keys()) {
        let value = |i: usize| origins[i].get(path).map(|o| &o.value);
        if path == "flow" || value(0) == value(1) {
            continue;
        }
        let files = origins.iter().filter_map(|o| Some(o.get(path)?.file.clone()));
        out.files.entry(path.clone()).or_default().extend(files);
        out.keys.insert(path.clone());
    }
    out
}

/// Stages whose successor differs.
fn flows(rules: [&Ruleset; 2]) -> BTreeSet<String> {
    let next = |rules: &Ruleset, stage: &Name| {
        let at = rules.flow.iter().position(|s| s == stage)?;
        rules.flow.get(at + 1).cloned()
    };
    let all = rules.iter().flat_map(|r| &r.flow);
    let differ = all.filter(|s| next(rules[0], s) != next(rules[1], s));
    differ.map(|s| format!("flow.{s}")).collect()
}

fn rows(left: &[Row], right: &[Row]) -> BTreeMap<String, BTreeSet<String>> {
    let index = |rows: &[Row]| -> BTreeMap<String, Row> { rows.iter().map(|r| (format!("{:?}", r.key()), r.clone())).collect() };
    let standings = |rows: &[Row]| -> BTreeSet<_> { rows.iter().map(|r| (r.stage.clone(), r.standing.clone())).collect() };
    let stand: [BTreeSet<_>; 2] = [standings(left), standings(right)];
    let rests = |row: &Row| {
        // Where both have the standing, how it is reached explains nothing.
        let both = stand.iter().all(|s| s.contains(&(row.stage.clone(), row.standing.clone())));
        let reached = row.reached.iter().filter(move |_| !both).cloned();
        row.keys.iter().cloned().chain(reached).collect::<Vec<_>>()
    };
    let (left, right) = (index(left), index(right));
    let mut out = BTreeMap::new();
    for key in left.keys().chain(right.keys()) {
        // A condition that changes nothing has no row of its own: then the usual one holds.
        let either = |rows: &BTreeMap<String, Row>| rows.get(key).or_else(|| rows.get(&usual(key))).cloned();
        let (a, b) = (either(&left), either(&right));
        if a.as_ref().map(|r| &r.then) != b.as_ref().map(|r| &r.then) {
            let rest = [&a, &b].into_iter().flatten().flat_map(rests);
            out.insert(key.clone(), rest.collect());
        }
    }
    out
}

/// The key of the row of the same event when nothing out of the ordinary is the case.
fn usual(key: &str) -> String {
    key.rsplit_once(", ")
        .map(|(front, _)| format!("{front}, \"\")"))
        .unwrap_or_default()
}

/// Whether one of the two paths leads to the other.
fn along(a: &str, b: &str) -> bool {
    let below = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('.'));
    below(a, b) || below(b, a)
}

/// What is not accounted for: rows without a key that differs, keys that no row shows.
fn unexplained(compared: &Compared) -> Vec<String> {
    let mut found = Vec::new();
    for (row, rests) in &compared.rows {
        if !rests.iter().any(|r| compared.keys.iter().any(|k| along(r, k))) {
            found.push(format!("no key explains {row}: it rests on {rests:?}"));
        }
    }
    let shown: BTreeSet<&String> = compared.rows.values().flatten().collect();
    for key in &compared.keys {
        let invisible = INVISIBLE.iter().any(|(prefix, _)| along(key, prefix));
        if !invisible && !shown.iter().any(|r| along(r, key)) {
            found.push(format!("no row shows {key}"));
        }
    }
    found
}

fn files(change: impl Fn(&str, &str) -> String) -> Files {
    let mut files = embedded();
    for path in ["pipelines/enduro.toml", "pipelines/orch.toml"] {
        let text = files.get(path).unwrap().text.clone();
        files.insert(path, change(path, &text), path);
    }
    files
}

/// With `enduro.toml` changed so.
fn with(change: impl Fn(&str) -> String) -> Compared {
    let loaded = load(&files(
        |path, text| if path.contains("enduro") { change(text) } else { text.to_owned() },
    ));
    assert!(!loaded.failed(), "{:#?}", loaded.diagnostics);
    compare(
        &loaded,
        [&loaded.pipelines["orch"], &loaded.pipelines["enduro"]],
        ["orch", "enduro"],
    )
}

#[test]
fn enduro_differs_from_orch_exactly_where_the_files_say() {
    let compared = with(str::to_owned);
    let found = unexplained(&compared);
    assert!(found.is_empty(), "{found:#?}");
    assert!(
        compared.rows.len() > 100 && compared.keys.len() > 20,
        "there is something to compare"
    );
    // What differs was written in one of the two, but for definitions of base that only one flow reaches.
    let reached = ["gates.", "counters.", "agents.", "stages."];
    for (key, files) in &compared.files {
        let own = files.iter().any(|f| f.contains("enduro.toml") || f.contains("orch.toml"));
        assert!(
            own || reached.iter().any(|r| key.starts_with(r)),
            "{key} differs, written in {files:?}"
        );
    }
    // Stages of which neither file says anything decide alike.
    for stage in ["analysis", "architecture"] {
        let rows = compared.rows.iter().filter(|(row, _)| row.starts_with(&format!("({stage:?}")));
        let other: Vec<_> = rows.filter(|(_, rests)| !rests.iter().any(|r| r.starts_with("signals."))).collect();
        assert!(other.is_empty(), "{other:#?}");
    }
}

#[test]
fn a_difference_that_no_file_tells_of_is_found() {
    let loaded = load(&embedded());
    let orch = &loaded.pipelines["orch"];
    type Plant = fn(&mut Ruleset);
    let plants: [(&str, Plant); 5] = [
        ("a status", |r| {
            r.stages.get_mut("review").unwrap().status = Some("Looking".to_owned())
        }),
        ("an edge", |r| {
            r.stages.get_mut("review").unwrap().on.remove("verdict.changes");
        }),
        ("a bound", |r| r.counters.get_mut("rework").unwrap().max = 3),
        ("tries", |r| r.retry.attempts = 5),
        ("a stop", |r| r.stop.archive = false),
    ];
    for (what, plant) in plants {
        let mut enduro = (*loaded.pipelines["enduro"]).clone();
        plant(&mut enduro);
        let found = unexplained(&compare(&loaded, [orch, &enduro], ["orch", "enduro"]));
        assert!(
            found.iter().any(|f| f.starts_with("no key explains")),
            "{what} went unseen: {found:#?}"
        );
    }
}

#[test]
fn a_key_that_changes_nothing_is_found_and_one_that_does_is_accounted_for() {
    let mute = with(|text| format!("{text}\n[agents.tester]\ntimeout = \"7m\"\n"));
    assert_eq!(unexplained(&mute), ["no row shows agents.tester.timeout"]);
    let before = with(str::to_owned);
    let edge = with(|text| format!("{text}\n[stages.review]\non.\"verdict.changes\" = {{ note = \"fix_tests\" }}\n"));
    assert!(unexplained(&edge).is_empty(), "{:#?}", unexplained(&edge));
    let new: Vec<&String> = edge.rows.keys().filter(|row| !before.rows.contains_key(*row)).collect();
    assert!(!new.is_empty() && new.iter().all(|row| row.contains("changes")), "{new:#?}");
}
