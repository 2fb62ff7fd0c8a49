//! What the demo prints: one line per step, as it happens.

use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};

use crate::engine::model::{Actor, Body, Millis};
use crate::shell::store::StepRow;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const STAGE: Style = AnsiColor::Cyan.on_default();
const PERSON: Style = AnsiColor::Yellow.on_default();
const BACK: Style = AnsiColor::Red.on_default();
const GOOD: Style = AnsiColor::Green.on_default();

/// A heading.
pub fn heading(text: &str) {
    anstream::println!("\n{BOLD}{text}{BOLD:#}");
}

/// A line of explanation.
pub fn note(text: &str) {
    anstream::println!("{DIM}{text}{DIM:#}");
}

/// One step: when, where, who, what followed and why.
pub fn step(row: &StepRow, began: Millis) {
    let seconds = row.decided_at.since(began).0;
    let moved = row.stage_before != row.stage_after && !row.stage_before.is_empty();
    let person = matches!(row.actor, Actor::Person { .. });
    let style = if person { PERSON } else { style_of(row) };
    let why = row.because.iter().map(|b| b.0.as_str()).collect::<Vec<_>>().join("; ");
    let stage = if moved {
        format!("{} → {}", row.stage_before, row.stage_after)
    } else {
        row.stage_after.to_string()
    };
    wipe();
    anstream::println!(
        "{DIM}{:>3}.{:01}s{DIM:#}  {STAGE}{stage:<30}{STAGE:#} {style}{why}{style:#}",
        seconds / 1000,
        seconds % 1000 / 100
    );
}

fn style_of(row: &StepRow) -> Style {
    match &row.body {
        Body::RunEnded(_) if row.because.iter().any(|b| b.0.contains("leads to")) => BACK,
        Body::ActionEnded { .. } => GOOD,
        _ => Style::new(),
    }
}

/// On a terminal: what is waited for right now, on a line that is written over.
pub fn progress(text: &str) {
    if std::io::stdout().is_terminal() {
        let short: String = text.chars().take(100).collect();
        anstream::print!("\r\x1b[2K{DIM}  … {short}{DIM:#}");
        flush();
    }
}

fn wipe() {
    if std::io::stdout().is_terminal() {
        anstream::print!("\r\x1b[2K");
    }
}

fn flush() {
    use std::io::Write;
    // A line of progress that cannot be shown is not worth a failure.
    if std::io::stdout().flush().is_err() {}
}
