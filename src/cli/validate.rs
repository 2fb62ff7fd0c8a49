//! `signalbox validate [DIR]`: checks rules, touches nothing.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::Path;

use jiff::civil::Date;
use serde_json::{Value, json};

use crate::engine::rules::{self, Diagnostic, Files, Loaded, Severity, codes, load};
use crate::shell::config::{ReadProblem, read_dir};
use crate::shell::doctor::executable;
use crate::shell::proof::{self, Proved, Prover};

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people, as rustc does it.
    #[default]
    Human,
    /// One JSON object.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Workflow commands: GitHub shows findings at the lines of a change.
    Github,
}

/// What is to be checked, and how it is told.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// The directory; the working directory by default.
    pub dir: Option<&'a Path>,
    /// How findings are written.
    pub format: Format,
    /// Whether warnings count.
    pub strict: bool,
    /// Whether agents' commands must be executable on this machine (a warning).
    pub here: bool,
    /// Whether the proof is left out.
    pub no_proof: bool,
    /// How proofs are made.
    pub prover: Prover,
    /// The code whose page is asked for, instead of a check.
    pub explain: Option<&'a str>,
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

/// Checks rules over the embedded ones, or prints the page of a code. Returns the exit status.
pub fn run(request: &Request, embedded: &Files) -> i32 {
    let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let today = jiff::Zoned::now().date();
    let (text, status) = answer(request, embedded, today, color);
    let mut out = std::io::stdout().lock();
    // Whoever closes the pipe early (`| head`) has seen enough; anything else is a failure of ours.
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => INTERNAL,
        _ => status,
    }
}

/// What [`run`] prints, and its exit status. `today` decides which inline exceptions still count.
#[must_use]
pub fn answer(request: &Request, embedded: &Files, today: Date, color: bool) -> (String, i32) {
    if let Some(code) = request.explain {
        return page(code);
    }
    let dir = request.dir.unwrap_or(Path::new("."));
    let (files, problems) = match read_dir(dir, embedded) {
        Ok(files) => (files, Vec::new()),
        Err(ReadProblem::Files { read, problems }) => (read, problems),
        Err(problem) => return (refusal(request.format, &problem.to_string()), USAGE),
    };
    let mut loaded = load(&files);
    let mut found: Vec<Diagnostic> = problems.iter().map(|p| rules::unreadable(&p.shown, &p.why)).collect();
    found.append(&mut loaded.diagnostics);
    if request.here {
        found.extend(rules::commands_here(&loaded.commands, &files, |program| executable(dir, program)));
    }
    let clean = !found.iter().any(|d| d.severity == Severity::Error);
    let proofs = if clean && !request.no_proof {
        request.prover.all(&loaded, &BTreeSet::new(), &super::out::note)
    } else {
        Vec::new()
    };
    found.extend(proof::found(&proofs, &files));
    let found = rules::allowed(found, &files, today);
    let text = match request.format {
        Format::Human => [human(&loaded, &found, &files, dir, color), told(&proofs, clean, request.no_proof)].concat(),
        Format::Json => as_json(&rules::render_json(&found), &proofs, clean, request.no_proof),
        Format::Sarif => rules::render_sarif(&found, &files),
        Format::Github => rules::render_github(&found),
    };
    (text, status(&found, request.strict))
}

fn page(code: &str) -> (String, i32) {
    let upper = code.trim().to_uppercase();
    match rules::explain(&upper) {
        Some(page) => (format!("{upper}: {page}\n"), CLEAN),
        None => {
            let (first, last) = (codes::ALL.first().unwrap_or(&""), codes::ALL.last().unwrap_or(&""));
            let words = format!("there is no code {code:?}; codes run from {first} to {last}, as findings show them\n");
            (words, USAGE)
        }
    }
}

/// What is said when there is nothing to check, in a form that the reader understands.
fn refusal(format: Format, words: &str) -> String {
    match format {
        Format::Human => format!("error: {words}\n"),
        Format::Json => format!(
            "{:#}\n",
            json!({ "errors": 1, "warnings": 0, "diagnostics": [], "refused": words, "omitted": 0 })
        ),
        Format::Sarif => rules::render_sarif(&[rules::unreadable(".", words)], &Files::default()),
        Format::Github => rules::render_github(&[rules::unreadable(".", words)]),
    }
}

fn status(found: &[Diagnostic], strict: bool) -> i32 {
    if found.iter().any(|d| d.severity == Severity::Error) {
        ERRORS
    } else if strict && !found.is_empty() {
        WARNINGS
    } else {
        CLEAN
    }
}

fn human(loaded: &Loaded, found: &[Diagnostic], files: &Files, dir: &Path, color: bool) -> String {
    let mut out = String::new();
    if !found.is_empty() {
        out.push_str(&rules::render_human(found, files, color));
        out.push_str("`signalbox validate --explain CODE` says more about a code\n");
    }
    if !found.iter().any(|d| d.severity == Severity::Error) {
        let count = |n: usize, what: &str| if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") };
        let (projects, pipelines) = (loaded.rulesets.len(), loaded.pipelines.len());
        let fine = format!(
            "{}: {}, {}: fine\n",
            dir.display(),
            count(projects, "project"),
            count(pipelines, "pipeline")
        );
        out.push_str(&fine);
    }
    out
}

/// A line per proof for people.
fn told(proofs: &[Proved], clean: bool, left_out: bool) -> String {
    if !clean {
        return String::new();
    }
    if left_out {
        return "proof: skipped (--no-proof)\n".to_owned();
    }
    let mut out = String::new();
    for one in proofs {
        out += &format!("proof of {}: {}\n", one.name, one.proof.summary());
    }
    if let Some(first) = proofs.first() {
        out += &format!("not covered: {}\n", first.proof.not_covered.join("; "));
    }
    out
}

/// The findings as JSON, the proofs beside them.
fn as_json(findings: &str, proofs: &[Proved], clean: bool, left_out: bool) -> String {
    let Ok(Value::Object(mut all)) = serde_json::from_str::<Value>(findings) else {
        return findings.to_owned();
    };
    let told = match (clean, left_out) {
        (false, _) => json!({ "skipped": "the rules do not load" }),
        (true, true) => json!({ "skipped": "--no-proof" }),
        (true, false) => {
            let each = proofs
                .iter()
                .map(|p| (p.name.clone(), serde_json::to_value(&p.proof).unwrap_or_default()));
            Value::Object(each.collect())
        }
    };
    all.insert("proof".to_owned(), told);
    format!("{:#}\n", Value::Object(all))
}

#[cfg(test)]
mod tests;
