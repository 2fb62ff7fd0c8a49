//! `signalbox test`: plays the scenario tests of rules; needs no service and touches nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::Test;
use super::exit::{self, Failure};
use super::out;
use crate::engine::model::Name;
use crate::engine::rules::{Files, Loaded, MAX_FILE, load, render_human};
use crate::engine::scenario::coverage::{Coverage, Share, Visited};
use crate::engine::scenario::{Finding, Report, play};
use crate::shell::config::read_dir;

/// Where scenarios are, below the configuration's folder.
const FOLDER: &str = "tests/rules";

/// All that came of it.
#[derive(Debug, Serialize)]
struct Results {
    passed: usize,
    failed: usize,
    files: Vec<Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<BTreeMap<String, Coverage>>,
}

/// Plays the scenarios over the rules in `dir`. Exit 0: all went as told; 1: one did not; 2: there are none, or the rules have errors.
pub fn run(dir: &Path, args: &Test, json: bool, embedded: &Files) -> u8 {
    let played = results(dir, args, embedded).and_then(|results| {
        let failed = results.failed > 0;
        let text = if json { out::json(&results) } else { out::print(&human(&results)) };
        text.map(|()| if failed { exit::FAILURE } else { exit::OK })
    });
    played.unwrap_or_else(|failure| {
        out::failure(&failure);
        failure.code
    })
}

fn results(dir: &Path, args: &Test, embedded: &Files) -> Result<Results, Failure> {
    let files = read_dir(dir, embedded).map_err(|e| Failure::usage(e.to_string()))?;
    let loaded = load(&files);
    if loaded.failed() {
        let text = render_human(&loaded.diagnostics, &files, false);
        return Err(
            Failure::usage(format!("the rules have errors: nothing was played\n\n{text}")).help("`signalbox validate` shows them, too")
        );
    }
    let mut visited = BTreeMap::new();
    let mut reports = Vec::new();
    for path in scenarios(dir, &args.paths)? {
        let text = read(&path)?;
        let shown = path.strip_prefix("./").unwrap_or(&path).display().to_string();
        reports.push(play(&loaded, &shown, &text, &mut visited));
    }
    let told = reports.iter().flat_map(|r| &r.scenarios);
    let passed = told.filter(|t| t.finding.is_none()).count();
    let all: usize = reports.iter().map(|r| r.scenarios.len() + usize::from(r.broken.is_some())).sum();
    Ok(Results {
        passed,
        failed: all - passed,
        files: reports,
        coverage: args.coverage.then(|| coverage(&loaded, &visited)),
    })
}

fn coverage(loaded: &Loaded, visited: &BTreeMap<Name, Visited>) -> BTreeMap<String, Coverage> {
    let of = |(name, visited): (&Name, &Visited)| {
        let rules = loaded.pipelines.get(name).or_else(|| loaded.rulesets.get(name))?;
        Some((name.to_string(), visited.coverage(rules)))
    };
    visited.iter().filter_map(of).collect()
}

/// The files that are meant, sorted.
fn scenarios(dir: &Path, paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let standard = [dir.join(FOLDER)];
    let mut found = Vec::new();
    for path in if paths.is_empty() { &standard[..] } else { paths } {
        if path.is_file() {
            found.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).map_err(|e| {
            let help = "scenarios stand in tests/rules/*.toml beside the configuration, or name them: signalbox test FILE";
            Failure::usage(format!("{} cannot be read: {e}", path.display())).help(help)
        })?;
        let inside = entries.filter_map(|e| e.ok().map(|e| e.path()));
        found.extend(inside.filter(|p| p.extension().is_some_and(|e| e == "toml") && p.is_file()));
    }
    found.sort();
    if found.is_empty() {
        return Err(Failure::usage("there are no scenarios to play").help("docs/rules.md shows how to write one"));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<String, Failure> {
    let fail = |why: String| Failure::usage(format!("{} cannot be read: {why}", path.display()));
    let size = fs::metadata(path).map_err(|e| fail(e.to_string()))?.len();
    if usize::try_from(size).unwrap_or(usize::MAX) > MAX_FILE {
        return Err(fail("it is larger than 1 MiB".to_owned()));
    }
    fs::read_to_string(path).map_err(|e| fail(e.to_string()))
}

fn human(results: &Results) -> String {
    let mut text = String::new();
    for report in &results.files {
        let _ = writeln!(text, "{}", report.file);
        if let Some(finding) = &report.broken {
            told(&mut text, &report.file, "this file tells no story", finding);
        }
        for scenario in &report.scenarios {
            match &scenario.finding {
                None => {
                    let _ = writeln!(text, "  {}ok{:#}    {}", out::GOOD, out::GOOD, scenario.name);
                }
                Some(finding) => told(&mut text, &report.file, &scenario.name, finding),
            }
        }
    }
    for (name, coverage) in results.coverage.iter().flatten() {
        let _ = writeln!(text, "\n{name}");
        share(&mut text, "edges", &coverage.edges);
        share(&mut text, "outcomes", &coverage.outcomes);
        share(&mut text, "points of stop", &coverage.stops);
    }
    let _ = writeln!(text, "\n{} went as told, {} did not", results.passed, results.failed);
    text
}

fn told(text: &mut String, file: &str, name: &str, finding: &Finding) {
    let _ = writeln!(text, "  {}FAIL{:#}  {name}", out::BAD, out::BAD);
    let _ = writeln!(text, "        {file}:{}: {}", finding.line, finding.message);
    for line in &finding.happened {
        let _ = writeln!(text, "          {}{line}{:#}", out::FAINT, out::FAINT);
    }
}

fn share(text: &mut String, what: &str, share: &Share) {
    let _ = writeln!(text, "  {} of {} {what}", share.visited, share.all);
    for one in &share.missing {
        let _ = writeln!(text, "    not {one}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::embedded::embedded;

    const GOOD: &str = "pipeline = \"local\"\n[[scenario]]\nname = \"It begins\"\nsteps = [ { expect = { stage = \"development\" } } ]\n";

    fn played(text: Option<&str>, rules: &str, args: &Test) -> Result<Results, Failure> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(FOLDER)).unwrap();
        fs::create_dir_all(dir.path().join("pipelines")).unwrap();
        fs::write(dir.path().join("pipelines/mine.toml"), rules).unwrap();
        if let Some(text) = text {
            fs::write(dir.path().join(FOLDER).join("a.toml"), text).unwrap();
        }
        results(dir.path(), args, &embedded())
    }

    const MINE: &str = "schema = 1\nextends = \"local\"\n";

    #[test]
    fn what_went_as_told_and_what_did_not_are_counted() {
        let good = played(Some(GOOD), MINE, &Test::default()).unwrap();
        assert_eq!((good.passed, good.failed), (1, 0));
        assert!(human(&good).contains("ok") && human(&good).contains("1 went as told, 0 did not"));
        let bad = played(Some(&GOOD.replace("\"development\"", "\"review\"")), MINE, &Test::default()).unwrap();
        assert_eq!((bad.passed, bad.failed), (0, 1));
        let text = human(&bad);
        assert!(text.contains("a.toml:4: expected stage `review`, it is `development`"), "{text}");
        assert!(text.contains("development: entered development"), "what happened is told: {text}");
    }

    #[test]
    fn coverage_tells_what_no_story_visits() {
        let args = Test {
            coverage: true,
            ..Test::default()
        };
        let text = human(&played(Some(GOOD), MINE, &args).unwrap());
        assert!(text.contains("0 of ") && text.contains("not review: verdict.changes"), "{text}");
        assert!(text.contains("not development: agents at work"), "{text}");
    }

    #[test]
    fn none_at_all_and_broken_rules_are_wrong_usage() {
        assert_eq!(played(None, MINE, &Test::default()).unwrap_err().code, exit::USAGE);
        let broken = played(Some(GOOD), "schema = 1\nextends = \"loc\"\n", &Test::default()).unwrap_err();
        assert!(broken.code == exit::USAGE && broken.error.contains("SB0108"), "{broken:?}");
    }
}
