//! Findings for people and for programs.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};
use serde_json::json;

use super::diagnostic::{Diagnostic, KEPT, Related, Severity, clamp, position};
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
    let more = if found.len() >= KEPT { "at least " } else { "" };
    format!("{more}{}, {}", count(errors, "error"), count(found.len() - errors, "warning"))
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

/// Lines of a snippet at most; places further apart are shown one after the other.
const NEAR: u32 = 60;

/// Longest line that is shown, in bytes.
const LINE: usize = 400;

fn report<'a>(d: &'a Diagnostic, files: &'a Files) -> Vec<Group<'a>> {
    let level = if d.severity == Severity::Error {
        Level::ERROR
    } else {
        Level::WARNING
    };
    let title = level.primary_title(d.message.as_str()).id(d.code);
    let text = |shown: &str| files.0.values().find(|s| s.shown == shown).map(|s| s.text.as_str());
    let mut far: Vec<&Related> = Vec::new();
    let mut group = match (&d.span, text(&d.file)) {
        (Some(span), Some(source)) => {
            let line = |r: &Related| position(source, r.span.start).0;
            let (near, others): (Vec<_>, Vec<_>) = d.related.iter().partition(|r| r.file == d.file && line(r).abs_diff(d.line) <= NEAR);
            far = others;
            let spans: Vec<_> = near.iter().map(|r| (&r.span, r.label.as_str())).collect();
            title.element(snippet(&d.file, source, (span, &d.label), &spans))
        }
        _ => title.element(Origin::path(d.file.as_str())),
    };
    if let Some(help) = &d.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let mut groups = vec![group];
    for r in far {
        if let Some(source) = text(&r.file).filter(|s| !s.is_empty()) {
            let (line, _) = position(source, r.span.start);
            let there = snippet(&r.file, source, (&r.span, &r.label), &[]);
            groups.push(Level::NOTE.secondary_title(format!("see line {line} of {}", r.file)).element(there));
        }
    }
    groups
}

/// The lines around some places of a file. Only they are given to the renderer, which would look
/// through the whole source each time; a line that fills screens is not shown at all.
fn snippet<'a>(file: &'a str, source: &'a str, (span, label): (&Range<usize>, &'a str), near: &[(&Range<usize>, &'a str)]) -> Element<'a> {
    let span = clamp(source, span);
    let first = near.iter().map(|(s, _)| s.start).fold(span.start, usize::min);
    let last = near.iter().map(|(s, _)| s.end).fold(span.end, usize::max);
    let whole = clamp(source, &(first..last));
    let start = source[..whole.start].rfind('\n').map_or(0, |i| i + 1);
    let end = source[whole.end..].find('\n').map_or(source.len(), |i| whole.end + i);
    let lines = &source[start..end];
    let (line, column) = position(source, span.start);
    if lines.lines().any(|l| l.len() > LINE) {
        let line = usize::try_from(line).unwrap_or(usize::MAX);
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        return Origin::path(file).line(line).char_column(column).into();
    }
    let (begins, _) = position(source, start);
    let moved = |s: &Range<usize>| {
        let s = clamp(source, s);
        s.start - start..s.end - start
    };
    let context = near.iter().map(|(s, label)| AnnotationKind::Context.span(moved(s)).label(*label));
    Snippet::source(lines)
        .path(file)
        .line_start(usize::try_from(begins).unwrap_or(1))
        .annotation(AnnotationKind::Primary.span(moved(&span)).label(label))
        .annotations(context)
        .into()
}
