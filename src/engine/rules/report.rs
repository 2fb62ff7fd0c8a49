//! Findings for people and for programs.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::json;

use super::diagnostic::{Diagnostic, Severity, clamp, position};
use super::files::Files;

/// Findings shown at most.
pub const SHOWN: usize = 100;

/// Findings as rustc shows them: place, source line, what is wrong, how to mend it.
#[must_use]
pub fn render_human(found: &[Diagnostic], files: &Files, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(120);
    let mut out = String::new();
    for one in found.iter().take(SHOWN) {
        out.push_str(&renderer.render(&report(one, files)));
        out.push_str("\n\n");
    }
    if found.len() > SHOWN {
        out.push_str(&format!("… and {} more\n\n", found.len() - SHOWN));
    }
    out.push_str(&summary(found));
    out.push('\n');
    out
}

/// One line: how many errors and warnings.
#[must_use]
pub fn summary(found: &[Diagnostic]) -> String {
    let errors = found.iter().filter(|d| d.severity == Severity::Error).count();
    let count = |n: usize, what: &str| if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") };
    format!("{}, {}", count(errors, "error"), count(found.len() - errors, "warning"))
}

/// Findings as one JSON object: `{errors, warnings, diagnostics: […], omitted}`.
#[must_use]
pub fn render_json(found: &[Diagnostic]) -> String {
    let errors = found.iter().filter(|d| d.severity == Severity::Error).count();
    let shown: Vec<&Diagnostic> = found.iter().take(SHOWN).collect();
    let value = json!({
        "errors": errors,
        "warnings": found.len() - errors,
        "diagnostics": shown,
        "omitted": found.len().saturating_sub(SHOWN),
    });
    format!("{value:#}\n")
}

fn report<'a>(d: &'a Diagnostic, files: &'a Files) -> Vec<Group<'a>> {
    let level = if d.severity == Severity::Error {
        Level::ERROR
    } else {
        Level::WARNING
    };
    let title = level.primary_title(d.message.as_str()).id(d.code);
    let text = |shown: &str| files.0.values().find(|s| s.shown == shown).map(|s| s.text.as_str());
    let mut group = match (&d.span, text(&d.file)) {
        (Some(span), Some(source)) => {
            let primary = AnnotationKind::Primary.span(clamp(source, span)).label(d.label.as_str());
            let near = d.related.iter().filter(|r| r.file == d.file);
            let context = near.map(|r| AnnotationKind::Context.span(clamp(source, &r.span)).label(r.label.as_str()));
            title.element(
                Snippet::source(source)
                    .path(d.file.as_str())
                    .annotation(primary)
                    .annotations(context),
            )
        }
        _ => title.element(Origin::path(d.file.as_str())),
    };
    let mut far = Vec::new();
    for r in d.related.iter().filter(|r| r.file != d.file || d.span.is_none()) {
        if let Some(source) = text(&r.file).filter(|s| !s.is_empty()) {
            let (line, _) = position(source, r.span.start);
            let snippet = Snippet::source(source).path(r.file.as_str());
            let there = snippet.annotation(AnnotationKind::Primary.span(clamp(source, &r.span)).label(r.label.as_str()));
            far.push(Level::NOTE.secondary_title(format!("see line {line} of {}", r.file)).element(there));
        }
    }
    if let Some(help) = &d.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let mut groups = vec![group];
    groups.append(&mut far);
    groups
}
