//! Inline exceptions: `# signalbox: allow SB0211 until 2027-03-31: reason` silences a warning on
//! its line, or on the line after it when it stands alone, until that day.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::codes;
use super::comments::{Comment, comments};
use super::diagnostic::{Diagnostic, Severity, position, quoted};
use super::files::Files;

/// An exception that somebody wrote.
struct Allow {
    code: String,
    until: Date,
    /// The line whose findings it silences.
    line: u32,
}

/// Takes the warnings away that comments allow until `today` or later, and adds what is wrong with
/// these comments. Errors cannot be allowed.
#[must_use]
pub fn allowed(found: Vec<Diagnostic>, files: &Files, today: Date) -> Vec<Diagnostic> {
    let mut kept = found;
    for (path, source) in files.0.iter().filter(|(p, _)| p.ends_with(".toml")) {
        // Most files have none: do not look through their comments.
        if !source.text.contains(MARK) {
            continue;
        }
        let mut notes = Vec::new();
        for comment in comments(&source.text).into_iter().filter(|c| is_allow(c.text)) {
            let at = finding(path, files, &comment);
            match read(&source.text, &comment) {
                Ok(allow) => apply(&allow, &source.shown, today, &mut kept, &mut notes, &at),
                Err((code, words)) => notes.push(at(code, words)),
            }
        }
        kept.extend(notes);
    }
    kept.sort_by(|a, b| {
        let key = |d: &Diagnostic| (d.file.clone(), d.span.clone().map_or(0, |s| s.start), d.severity, d.code);
        key(a).cmp(&key(b))
    });
    kept
}

/// How these comments begin, after the `#`.
const MARK: &str = "signalbox:";

fn is_allow(comment: &str) -> bool {
    let text = comment.trim_start_matches('#').trim_start();
    text.strip_prefix(MARK)
        .is_some_and(|rest| rest.trim_start().to_ascii_lowercase().starts_with("al"))
}

/// Makes findings about a comment.
fn finding<'a>(path: &'a str, files: &'a Files, comment: &Comment<'_>) -> impl Fn(&'static str, String) -> Diagnostic + use<'a> {
    let span = comment.span.clone();
    move |code, message| {
        let text = files.get(path).map_or("", |s| s.text.as_str());
        let (line, column) = position(text, span.start);
        Diagnostic {
            code,
            severity: Severity::Warning,
            message,
            file: files.shown(path).to_owned(),
            span: Some(span.clone()),
            line,
            column,
            label: "this comment".to_owned(),
            help: Some(help(code).to_owned()),
            related: Vec::new(),
        }
    }
}

fn help(code: &str) -> &'static str {
    match code {
        codes::ALLOW_FORM => "the form is: # signalbox: allow SB0211 until 2027-03-31: why it is allowed",
        codes::ALLOW_EXPIRED => "mend what it allowed, or look at the reason anew and set a later date",
        _ => "remove the comment",
    }
}

fn read(text: &str, comment: &Comment<'_>) -> Result<Allow, (&'static str, String)> {
    let form = |words: &str| (codes::ALLOW_FORM, format!("this comment allows nothing: {words}"));
    let rest = comment
        .text
        .trim_start_matches('#')
        .trim_start()
        .strip_prefix(MARK)
        .unwrap_or_default();
    let rest = rest
        .trim_start()
        .strip_prefix("allow ")
        .ok_or_else(|| form("`allow` does not follow"))?;
    let (code, rest) = rest.trim_start().split_once(' ').ok_or_else(|| form("the date is missing"))?;
    let rest = rest
        .trim_start()
        .strip_prefix("until ")
        .ok_or_else(|| form("`until` and a date are missing"))?;
    let (date, reason) = rest.split_once(':').unwrap_or((rest, ""));
    let until = date
        .trim()
        .parse::<Date>()
        .map_err(|_| form(&format!("{} is no date", quoted(date.trim()))))?;
    if reason.trim().is_empty() {
        return Err(form("the reason is missing"));
    }
    if !codes::ALL.contains(&code) {
        return Err((codes::ALLOW_CODE, format!("there is no code {}", quoted(code))));
    }
    if !codes::WARNINGS.contains(&code) {
        return Err((
            codes::ALLOW_CODE,
            format!("{} is an error: it must be mended, it cannot be allowed", quoted(code)),
        ));
    }
    Ok(Allow {
        code: code.to_owned(),
        until,
        line: if comment.alone {
            next_line(text, comment)
        } else {
            position(text, comment.span.start).0
        },
    })
}

/// The line after the comment that is neither empty nor itself a comment.
fn next_line(text: &str, comment: &Comment<'_>) -> u32 {
    let (line, _) = position(text, comment.span.start);
    let after = text.get(comment.span.end..).unwrap_or_default().lines().skip(1);
    let skipped = after
        .take_while(|l| l.trim_start().is_empty() || l.trim_start().starts_with('#'))
        .count();
    line.saturating_add(1).saturating_add(u32::try_from(skipped).unwrap_or(u32::MAX))
}

fn apply(
    allow: &Allow,
    file: &str,
    today: Date,
    kept: &mut Vec<Diagnostic>,
    notes: &mut Vec<Diagnostic>,
    at: &impl Fn(&'static str, String) -> Diagnostic,
) {
    let meant = |d: &Diagnostic| d.file == file && d.line == allow.line && d.code == allow.code;
    let severities: BTreeSet<Severity> = kept.iter().filter(|d| meant(d)).map(|d| d.severity).collect();
    if severities.is_empty() {
        notes.push(at(
            codes::ALLOW_UNUSED,
            format!("nothing on line {} needs this exception from {}", allow.line, quoted(&allow.code)),
        ));
    } else if allow.until < today {
        notes.push(at(codes::ALLOW_EXPIRED, format!("this exception ended on {}", allow.until)));
    } else if severities.contains(&Severity::Error) {
        notes.push(at(
            codes::ALLOW_CODE,
            format!("{} is an error here: it must be mended, it cannot be allowed", quoted(&allow.code)),
        ));
    } else {
        kept.retain(|d| !meant(d));
    }
}
