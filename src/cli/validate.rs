//! `signalbox validate [DIR]`: checks rules, touches nothing.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::path::Path;

use serde_json::json;

use crate::engine::rules::{self, Files, Loaded, Severity, load};
use crate::shell::config::{FileProblem, ReadProblem, read_dir};

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people, as rustc does it.
    #[default]
    Human,
    /// One JSON object.
    Json,
}

/// No findings, or none that count.
pub const CLEAN: i32 = 0;
/// The program itself failed: nothing can be said about the rules.
pub const INTERNAL: i32 = 1;
/// It was called wrongly.
pub const USAGE: i32 = 2;
/// There are errors.
pub const ERRORS: i32 = 10;
/// There are warnings, and `--strict` was given.
pub const WARNINGS: i32 = 11;

/// Checks the rules in `dir` (the working directory by default) over the embedded ones, or
/// prints the page of a code. Returns the exit status.
pub fn run(dir: Option<&Path>, format: Format, strict: bool, explain: Option<&str>, embedded: &Files) -> i32 {
    let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let (text, status) = answer(dir, format, strict, explain, embedded, color);
    let mut out = std::io::stdout().lock();
    // Whoever closes the pipe early (`| head`) has seen enough; anything else is a failure of ours.
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => INTERNAL,
        _ => status,
    }
}

fn answer(dir: Option<&Path>, format: Format, strict: bool, explain: Option<&str>, embedded: &Files, color: bool) -> (String, i32) {
    if let Some(code) = explain {
        return page(code);
    }
    let dir = dir.unwrap_or(Path::new("."));
    let (files, problems) = match read_dir(dir, embedded) {
        Ok(files) => (files, Vec::new()),
        Err(ReadProblem::Files { read, problems }) => (read, problems),
        Err(problem) => return (refusal(format, &problem.to_string()), USAGE),
    };
    let loaded = load(&files);
    let status = status(&loaded, &problems, strict);
    let text = match format {
        Format::Human => human(&loaded, &problems, &files, dir, color),
        Format::Json => with_files(&rules::render_json(&loaded.diagnostics), &problems),
    };
    (text, status)
}

fn page(code: &str) -> (String, i32) {
    let upper = code.trim().to_uppercase();
    match rules::explain(&upper) {
        Some(page) => (format!("{upper}: {page}\n"), CLEAN),
        None => {
            let words = format!("there is no code {code:?}; codes run from SB0101 to SB0606, as findings show them\n");
            (words, USAGE)
        }
    }
}

fn refusal(format: Format, words: &str) -> String {
    match format {
        Format::Human => format!("error: {words}\n"),
        Format::Json => format!(
            "{:#}\n",
            json!({ "errors": 1, "warnings": 0, "diagnostics": [], "unreadable": [words], "omitted": 0 })
        ),
    }
}

fn status(loaded: &Loaded, problems: &[FileProblem], strict: bool) -> i32 {
    if loaded.failed() || !problems.is_empty() {
        ERRORS
    } else if strict && loaded.diagnostics.iter().any(|d| d.severity == Severity::Warning) {
        WARNINGS
    } else {
        CLEAN
    }
}

fn human(loaded: &Loaded, problems: &[FileProblem], files: &Files, dir: &Path, color: bool) -> String {
    let mut out = String::new();
    for problem in problems {
        let _ = writeln!(
            out,
            "error[{}]: this file cannot be read\n --> {}\n  = note: {}\n",
            rules::codes::UNREADABLE_FILE,
            problem.shown,
            problem.why
        );
    }
    if !loaded.diagnostics.is_empty() {
        out.push_str(&rules::render_human(&loaded.diagnostics, files, color));
        out.push_str("`signalbox validate --explain CODE` says more about a code\n");
    }
    if problems.is_empty() && !loaded.failed() {
        let _ = writeln!(
            out,
            "{}: {} projects, {} pipelines: fine",
            dir.display(),
            loaded.rulesets.len(),
            loaded.pipelines.len()
        );
    }
    out
}

/// Adds files that cannot be read to the object of findings.
fn with_files(json: &str, problems: &[FileProblem]) -> String {
    let Ok(mut value) = serde_json::from_str::<serde_json::Value>(json) else {
        return json.to_owned();
    };
    let errors = value["errors"]
        .as_u64()
        .unwrap_or(0)
        .saturating_add(u64::try_from(problems.len()).unwrap_or(0));
    value["errors"] = json!(errors);
    value["unreadable"] = problems
        .iter()
        .map(|p| json!({ "code": rules::codes::UNREADABLE_FILE, "file": p.shown, "message": p.why }))
        .collect();
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::embedded::embedded;

    fn validate(files: &[(&str, &str)], strict: bool, format: Format) -> (String, i32) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        answer(Some(dir.path()), format, strict, None, &embedded(), false)
    }

    const GOOD: &str = include_str!("../../tests/configs/valid/local/signalbox.toml");

    #[test]
    fn good_rules_are_fine() {
        let (text, status) = validate(&[("signalbox.toml", GOOD)], true, Format::Human);
        assert_eq!(status, CLEAN, "{text}");
        assert!(text.contains("1 projects, 4 pipelines: fine"), "{text}");
    }

    #[test]
    fn errors_are_10_and_are_shown_with_their_line() {
        let (text, status) = validate(&[("signalbox.toml", "schema = 1\nlisten = 5\n")], false, Format::Human);
        assert_eq!(status, ERRORS);
        assert!(text.contains("SB0106") && text.contains("signalbox.toml:2:10"), "{text}");
    }

    #[test]
    fn warnings_count_only_when_strict() {
        let own = "schema = 1\nextends = \"local\"\n[counters.idle]\nmax = 1\n";
        assert_eq!(validate(&[("pipelines/mine.toml", own)], false, Format::Human).1, CLEAN);
        assert_eq!(validate(&[("pipelines/mine.toml", own)], true, Format::Human).1, WARNINGS);
    }

    #[test]
    fn json_is_json() {
        let (text, status) = validate(&[("signalbox.toml", "schema = 2")], false, Format::Json);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &value["diagnostics"][0]["code"]), (ERRORS, &json!("SB0107")));
    }

    #[test]
    fn unreadable_files_are_errors_beside_the_others() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("signalbox.toml"), b"\xff\xfe").unwrap();
        let (text, status) = answer(Some(dir.path()), Format::Json, false, None, &embedded(), false);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &value["errors"]), (ERRORS, &json!(1)));
        assert!(value["unreadable"][0]["message"].as_str().unwrap().contains("UTF-16"));
    }

    #[test]
    fn a_missing_directory_is_a_usage_error_and_pages_are_printed() {
        assert_eq!(
            answer(Some(Path::new("/nowhere/at/all")), Format::Human, false, None, &embedded(), false).1,
            USAGE
        );
        let (text, status) = answer(None, Format::Human, false, Some("sb0303"), &embedded(), false);
        assert!(status == CLEAN && text.starts_with("SB0303: "), "{text}");
        assert_eq!(answer(None, Format::Human, false, Some("SB9999"), &embedded(), false).1, USAGE);
    }
}
