//! Words of the picture, and how they are written so that no format takes them for its own.

use super::{Back, Check, Node};

/// The lines inside a stage's box: what they are about, and the words.
pub(super) fn lines(node: &Node) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(status) = &node.status {
        lines.push(("board", status.clone()));
    }
    if node.guarded {
        lines.push(("entry", "one task at a time".to_owned()));
    }
    if !node.work.is_empty() {
        lines.push(("work", node.work.join(" ∥ ")));
    }
    let checks: Vec<String> = node.pass.iter().map(check).collect();
    if !checks.is_empty() {
        lines.push(("pass", checks.join(" → ")));
    }
    if !node.actions.is_empty() {
        lines.push(("do", node.actions.join(" → ")));
    }
    lines.extend(node.stays.iter().map(|stay| ("stay", format!("{}: {}", stay.outcome, stay.then))));
    lines
}

fn check(check: &Check) -> String {
    match &check.waits {
        Some(waits) => format!("{} (waits: {waits})", check.name),
        None => check.name.clone(),
    }
}

/// Whether a person or time is awaited at the stage's gates.
pub(super) fn waits(node: &Node) -> bool {
    node.pass.iter().any(|check| check.waits.is_some())
}

/// The words at an edge.
pub(super) fn words(back: &Back) -> Vec<String> {
    let mut words = if back.signal {
        vec![format!("signal {}", back.outcomes.join(", "))]
    } else {
        back.outcomes.clone()
    };
    let mut tail = Vec::new();
    if let Some((counter, max)) = &back.counter {
        tail.push(format!("{counter} ≤ {max}"));
    }
    if back.update {
        tail.push("update first".to_owned());
    }
    if !tail.is_empty() {
        words.push(format!("[{}]", tail.join(", ")));
    }
    words
}

/// Columns that a character takes: those of the East are twice as wide.
pub(super) fn wide(c: char) -> usize {
    if matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}')
    {
        2
    } else {
        1
    }
}

/// A text in at most `width` columns a line: at spaces where there are some, else anywhere.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0);
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()) {
        let needs: usize = word.chars().map(wide).sum();
        if used > 0 && used + 1 + needs > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        for c in word.chars() {
            if used + wide(c) > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(c);
            used += wide(c);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// For XML, text and attributes alike; what XML may not hold at all becomes a replacement character.
pub(super) fn xml(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' | '\r' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
