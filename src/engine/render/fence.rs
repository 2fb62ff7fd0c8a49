//! Foreign text inside our own: cleaned, cut and fenced so that it stays a quotation.

/// Longest quotation, in bytes: three of them and a template fit into one rendered text.
pub(super) const LONGEST: usize = 16 * 1024;

/// Longest run of back-quotes that is kept.
const LONGEST_RUN: usize = 60;

/// The text without characters that a reader cannot see but a terminal or a model obeys:
/// control sequences, direction overrides, zero-width and tag characters.
pub(super) fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars()
        .filter(|&c| matches!(c, '\n' | '\t') || !(c.is_control() || invisible(c)))
        .collect()
}

fn invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// At most `limit` bytes of the text, cut between characters, with what was cut named.
pub(super) fn shorten(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let (kept, cut) = text.split_at(end);
    format!("{kept}… [{} more characters]", cut.chars().count())
}

/// The text as HTML shows it: only what HTML needs is escaped.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

/// A Markdown code block that the text cannot close: its fence is longer than any run of
/// back-quotes in the text.
pub(super) fn fenced(text: &str) -> String {
    let text = shorten_runs(&shorten(&clean(text), LONGEST));
    let fence = "`".repeat(longest_run(&text).saturating_add(1).max(3));
    format!("{fence}text\n{}\n{fence}", text.trim_end_matches('\n'))
}

/// A Markdown quotation: each line begins with `> `.
pub(super) fn quoted(text: &str) -> String {
    let text = shorten(&clean(text), LONGEST);
    text.trim()
        .lines()
        .map(|line| format!("> {line}").trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The text in one line, at most 300 bytes of it.
pub(super) fn line(text: &str) -> String {
    let words = clean(text);
    shorten(&words.split_whitespace().collect::<Vec<_>>().join(" "), 300)
}

/// The text in one line that shows as it is: nothing in it is read as Markdown.
pub(super) fn plain(text: &str) -> String {
    let text = line(text);
    let mut out = String::with_capacity(text.len() + 8);
    for (at, c) in text.char_indices() {
        // At the beginning of a line a mark would make a list or a heading; within a word a hyphen is none.
        if "\\`*_[]~|#".contains(c) || at == 0 && "-+=>".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// One line of Markdown code that the text cannot close.
pub(super) fn code(text: &str) -> String {
    let text = shorten_runs(&line(text));
    let fence = "`".repeat(longest_run(&text).saturating_add(1));
    let pad = if text.starts_with('`') || text.ends_with('`') || text.is_empty() {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// Runs of back-quotes cut to a length that no honest text exceeds: the fence repeats the longest
/// run twice, and must not outgrow the text that it protects.
fn shorten_runs(text: &str) -> String {
    let mut run = 0_usize;
    text.chars()
        .filter(|&c| {
            run = if c == '`' { run.saturating_add(1) } else { 0 };
            run <= LONGEST_RUN
        })
        .collect()
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}
