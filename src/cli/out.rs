//! Printing: aligned text for people, JSON for scripts; colours only on a terminal.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::args::Colour;
use super::exit::Failure;
use super::span::ago;
use crate::engine::model::Millis;
use crate::shell::view::{BlockerView, ProblemView};

/// Bold.
pub const STRONG: Style = Style::new().bold();
/// Beside the point.
pub const FAINT: Style = Style::new().dimmed();
/// A person is needed.
pub const CALL: Style = AnsiColor::Yellow.on_default();
/// Something is wrong.
pub const BAD: Style = AnsiColor::Red.on_default();
/// All is well.
pub const GOOD: Style = AnsiColor::Green.on_default();

/// Settles when colours are used.
pub fn colours(when: Colour) {
    match when {
        Colour::Auto => {}
        Colour::Always => anstream::ColorChoice::Always.write_global(),
        Colour::Never => anstream::ColorChoice::Never.write_global(),
    }
}

/// Prints `value` as JSON.
///
/// # Errors
/// When it cannot be written.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::other(format!("the answer cannot be shown as JSON: {e}")))?;
    print(&text)
}

/// Prints a text and a line feed.
///
/// # Errors
/// When it cannot be written.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}", text.trim_end_matches('\n'))?;
    out.flush()?;
    Ok(())
}

/// Tells something on standard error. Where that cannot be written nobody is told, and work goes on.
pub fn note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Tells a failure on standard error.
pub fn failure(failure: &Failure) {
    if failure.error.is_empty() {
        return;
    }
    let mut err = anstream::stderr().lock();
    // There is nobody left to tell when even this cannot be written.
    let _ = writeln!(err, "{BAD}error{BAD:#}: {}", failure.error);
    if let Some(help) = &failure.help {
        for (i, line) in help.lines().enumerate() {
            let head = if i == 0 { "help" } else { "    " };
            let _ = writeln!(err, " {FAINT}{head}{FAINT:#}  {line}");
        }
    }
}

/// The style of a task's mode.
#[must_use]
pub fn mode_style(mode: &str) -> Style {
    match mode {
        "question" | "stop_deferred" => CALL,
        "escalated" => BAD,
        "done" => GOOD,
        "cancelled" | "stopping" => FAINT,
        _ => Style::new(),
    }
}

/// Something that is wrong, on one line.
#[must_use]
pub fn problem(p: &ProblemView, now: Millis) -> String {
    format!("{BAD}{}{BAD:#} {FAINT}(since {}){FAINT:#}\n", safe(&p.text), ago(p.since.0, now))
}

/// A blocker on one or two lines, indented.
#[must_use]
pub fn blocker(b: &BlockerView, now: Millis) -> String {
    let since = ago(b.since.0, now);
    let clear = b
        .clear
        .as_ref()
        .map(|c| format!("\n      {FAINT}clear it:{FAINT:#} {c}"))
        .unwrap_or_default();
    let style = if matches!(b.who.as_str(), "approver" | "anyone" | "operator") {
        CALL
    } else {
        STRONG
    };
    format!(
        "  {style}{}{style:#}  {}  {FAINT}(since {since}; cleared by {}){FAINT:#}{clear}\n",
        b.code,
        safe(&b.text),
        cleared_by(&b.who)
    )
}

fn cleared_by(who: &str) -> &str {
    match who {
        "itself" => "itself, in time",
        "approver" => "someone who may approve",
        "operator" => "an operator",
        "anyone" => "whoever may decide here",
        "other_task" => "the other task",
        other => other,
    }
}

/// Rows under headings, each column as wide as its widest cell; the last one is not padded.
pub struct Table {
    rows: Vec<Vec<(String, Style)>>,
}

impl Table {
    /// A table with these headings.
    #[must_use]
    pub fn new(headings: &[&str]) -> Self {
        Self {
            rows: vec![headings.iter().map(|h| ((*h).to_owned(), FAINT)).collect()],
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<(String, Style)>) {
        self.rows.push(cells);
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |c: usize| {
            self.rows
                .iter()
                .filter_map(|r| r.get(c))
                .map(|(text, _)| text.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            for (c, (text, style)) in row.iter().enumerate() {
                let pad = if c + 1 == row.len() {
                    0
                } else {
                    widths[c] + 2 - text.chars().count()
                };
                out.push_str(&format!("{style}{text}{style:#}{}", " ".repeat(pad)));
            }
            out.push('\n');
        }
        out
    }
}

/// A cell without a style.
#[must_use]
pub fn cell(text: impl Into<String>) -> (String, Style) {
    (text.into(), Style::new())
}

/// At most `max` characters; a cut is shown.
#[must_use]
pub fn clip(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(max.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// A text of someone else on one line, with nothing in it that a terminal would obey.
#[must_use]
pub fn safe(text: &str) -> String {
    crate::shell::process::defuse(text).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let mut table = Table::new(&["A", "B"]);
        table.row(vec![cell("äöü"), cell("x")]);
        table.row(vec![cell("y"), cell("long")]);
        let plain = anstream::adapter::strip_str(&table.text()).to_string();
        assert_eq!(plain, "A    B\näöü  x\ny    long\n");
    }

    #[test]
    fn clipping_counts_characters() {
        assert_eq!(clip("ääää", 4), "ääää");
        assert_eq!(clip("äääää", 4), "äää…");
    }

    #[test]
    fn nothing_a_terminal_would_obey_is_left() {
        assert!(!safe("a\x1b[2Jb\nc").contains(['\x1b', '\n']));
    }
}
