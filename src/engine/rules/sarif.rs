//! Findings for other programs: SARIF 2.1.0, and the workflow commands of GitHub.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::diagnostic::{Diagnostic, Severity, clamp, position};
use super::explain::explain;
use super::files::Files;
use super::report::SHOWN;

/// Findings in a SARIF log at most; services that read them take few thousand.
const RESULTS: usize = 1000;

/// Findings as a SARIF 2.1.0 log with one run.
#[must_use]
pub fn render_sarif(found: &[Diagnostic], files: &Files) -> String {
    let shown = &found[..found.len().min(RESULTS)];
    let codes: BTreeSet<&'static str> = shown.iter().map(|d| d.code).collect();
    let codes: Vec<&'static str> = codes.into_iter().collect();
    let results: Vec<Json> = shown.iter().map(|d| result(d, &codes, files)).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "signalbox",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(|c| rule(c)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
            "properties": { "omitted": found.len().saturating_sub(RESULTS) },
        }],
    });
    format!("{log:#}\n")
}

fn rule(code: &str) -> Json {
    let page = explain(code).unwrap_or_default();
    let (title, text) = page.split_once('\n').unwrap_or((page, page));
    json!({
        "id": code,
        "shortDescription": { "text": title },
        "fullDescription": { "text": text },
        "help": { "text": format!("{text}\n\nsignalbox validate --explain {code}") },
    })
}

fn result(d: &Diagnostic, codes: &[&str], files: &Files) -> Json {
    let mut message = d.message.clone();
    if let Some(help) = &d.help {
        message.push_str("\nhelp: ");
        message.push_str(help);
    }
    let related = d.related.iter().enumerate().map(|(i, r)| {
        let mut there = location(&r.file, Some(&r.span), files);
        there["id"] = json!(i);
        there["message"] = json!({ "text": r.label });
        there
    });
    json!({
        "ruleId": d.code,
        "ruleIndex": codes.iter().position(|c| *c == d.code),
        "level": if d.severity == Severity::Error { "error" } else { "warning" },
        "message": { "text": message },
        "locations": [location(&d.file, d.span.as_ref(), files)],
        "relatedLocations": related.collect::<Vec<_>>(),
    })
}

fn location(file: &str, span: Option<&core::ops::Range<usize>>, files: &Files) -> Json {
    let mut place = json!({ "artifactLocation": { "uri": uri(file) } });
    let source = files.0.values().find(|s| s.shown == file);
    if let (Some(span), Some(source)) = (span, source) {
        let span = clamp(&source.text, span);
        let (start, end) = (position(&source.text, span.start), position(&source.text, span.end));
        place["region"] = json!({ "startLine": start.0, "startColumn": start.1, "endLine": end.0, "endColumn": end.1 });
    }
    json!({ "physicalLocation": place })
}

/// The path of a file, without what is said about it to people.
fn path(file: &str) -> &str {
    file.split_once(" (").map_or(file, |(path, _)| path)
}

/// A path as a relative reference: everything but plain characters is escaped.
fn uri(file: &str) -> String {
    let mut out = String::new();
    for byte in path(file).bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Findings as workflow commands: GitHub shows them at the lines of a change.
#[must_use]
pub fn render_github(found: &[Diagnostic]) -> String {
    let mut out = String::new();
    for d in found.iter().take(SHOWN) {
        let level = if d.severity == Severity::Error { "error" } else { "warning" };
        let mut text = d.message.clone();
        if let Some(help) = &d.help {
            text.push_str("\nhelp: ");
            text.push_str(help);
        }
        let place = if d.line > 0 {
            format!(",line={},col={}", d.line, d.column)
        } else {
            String::new()
        };
        let file = escaped(path(&d.file), true);
        out.push_str(&format!(
            "::{level} file={file}{place},title={}::{}\n",
            d.code,
            escaped(&text, false)
        ));
    }
    if found.len() > SHOWN {
        out.push_str(&format!("::notice::and {} more findings\n", found.len().saturating_sub(SHOWN)));
    }
    out
}

/// Text of a workflow command; in a property commas and colons end it.
fn escaped(text: &str, property: bool) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    if property {
        text.replace(':', "%3A").replace(',', "%2C")
    } else {
        text
    }
}
