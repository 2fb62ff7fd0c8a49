//! What the proof found, as findings with places.

use crate::engine::rules::{Diagnostic, Files, Severity, clamp, codes};

use super::report::{Kind, Proof, Property};

/// A finding for each property of a pipeline that does not hold, and one where some were skipped.
#[must_use]
pub fn findings(pipeline: &str, proof: &Proof, files: &Files) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = proof.violated().map(|p| violated(pipeline, p, files)).collect();
    if let Some(skipped) = proof.skipped().next() {
        let message = format!("the proof of `{pipeline}` could not be finished: {}", skipped.why);
        found.push(Diagnostic {
            severity: Severity::Warning,
            help: Some("fewer returns of counters, or fewer agents side by side, make fewer states".to_owned()),
            ..plain(codes::UNPROVED, message, files.shown(&file(pipeline)))
        });
    }
    found
}

fn file(pipeline: &str) -> String {
    format!("pipelines/{pipeline}.toml")
}

fn plain(code: &'static str, message: String, file: &str) -> Diagnostic {
    Diagnostic {
        code,
        severity: Severity::Error,
        message,
        file: file.to_owned(),
        span: None,
        line: 0,
        column: 0,
        label: String::new(),
        help: None,
        related: Vec::new(),
    }
}

fn violated(pipeline: &str, property: &Property, files: &Files) -> Diagnostic {
    let code = match property.kind {
        Kind::Arrives => codes::STUCK,
        Kind::Stops => codes::NOT_STOPPED,
        Kind::Safe => codes::UNSAFE,
        Kind::Bounded => codes::ENDLESS,
        Kind::Own => codes::INVARIANT_BROKEN,
    };
    let message = match property.kind {
        Kind::Own => format!("{} of `{pipeline}` does not hold: {}", property.claim, property.why),
        _ => format!("`{pipeline}`: {}", property.why),
    };
    let mut found = plain(code, message, files.shown(&file(pipeline)));
    let Some(story) = &property.story else { return found };
    found.help = Some(format!("how it comes about:\n{}", story.lines.join("\n")));
    let Some(at) = &story.at else { return found };
    let Some(source) = files.0.values().find(|s| s.shown == at.file) else {
        return found;
    };
    let before: usize = source
        .text
        .split_inclusive('\n')
        .take(at.line.saturating_sub(1) as usize)
        .map(str::len)
        .sum();
    let line = source.text[before..].lines().next().unwrap_or_default();
    let indent: usize = line.chars().take(at.column.saturating_sub(1) as usize).map(char::len_utf8).sum();
    let span = before + indent..before + line.len();
    found.span = Some(clamp(&source.text, &span));
    (found.file, found.line, found.column) = (at.file.clone(), at.line, at.column);
    "the last rule on the way".clone_into(&mut found.label);
    if property.kind == Kind::Own {
        "promised here".clone_into(&mut found.label);
    }
    found
}
