//! Values with a form of their own: durations, names, globs, paths, patterns.

use std::ops::RangeInclusive;

use crate::engine::model::Millis;

use super::codes;
use super::diagnostic::{Place, Problem, Sink, quoted};
use super::reader::{Sp, wrong_type};
use super::tree::{Node, Value};

/// Longest text of a single value, in bytes.
const MAX_TEXT: usize = 16 * 1024;

/// A text that can be used: not empty, no control characters, not huge.
pub fn usable(text: &str, place: &Place, key: &str, sink: &Sink) -> Option<Sp<String>> {
    let wrong = if text.trim().is_empty() {
        "must not be empty"
    } else if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        "must not hold control characters"
    } else if text.len() > MAX_TEXT {
        "is longer than 16 KiB"
    } else {
        return Some(Sp {
            v: text.to_owned(),
            at: place.clone(),
        });
    };
    sink.push(Problem::error(codes::EMPTY, place, format!("{} {wrong}", quoted(key))).label("cannot be used"));
    None
}

/// Parses `90s`, `20m`, `24h`, `500ms`, `7d`.
pub fn parse_duration(text: &str) -> Option<Millis> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor).map(Millis)
}

/// A duration as people write it.
pub fn show_duration(span: Millis) -> String {
    for (unit, factor) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if span.0 >= factor && span.0 % factor == 0 {
            return format!("{}{unit}", span.0 / factor);
        }
    }
    format!("{}ms", span.0)
}

/// A duration of this range, or a finding.
pub fn duration(node: &Node, key: &str, range: &RangeInclusive<Millis>, sink: &Sink) -> Option<Millis> {
    let Value::Str(text) = &node.value else {
        wrong_type(sink, node, &quoted(key), "a duration, such as \"20m\"");
        return None;
    };
    let Some(span) = parse_duration(text) else {
        let problem = Problem::error(codes::DURATION, &node.place, format!("{} is no duration", quoted(text)));
        sink.push(
            problem
                .label("not a duration")
                .help("a whole number and a unit: `500ms`, `90s`, `20m`, `24h`, `7d`"),
        );
        return None;
    };
    if range.contains(&span) {
        return Some(span);
    }
    let words = format!(
        "{} must be between {} and {}",
        quoted(key),
        show_duration(*range.start()),
        show_duration(*range.end())
    );
    sink.push(Problem::error(codes::RANGE, &node.place, words).label("out of range"));
    None
}

/// Words that edges and events use themselves.
const RESERVED: &[&str] = &["work", "merge", "update", "signal", "hook", "entry", "previous", "unset", "ok"];

/// Whether a word can name a stage, gate, agent, counter or signal: edges join names with dots,
/// folders and branches may carry them.
pub fn check_name(word: &str, place: &Place, kind: &str, sink: &Sink) -> bool {
    let good = word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.len() <= 40
        && word
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if good && !RESERVED.contains(&word) {
        return true;
    }
    let why = if good { "this word has a meaning of its own" } else { "not a name" };
    let problem = Problem::error(codes::BAD_NAME, place, format!("{} cannot name {kind}", quoted(word))).label(why);
    sink.push(problem.help("a name begins with a small letter; small letters, digits, `-` and `_` follow, 40 in all at most"));
    false
}

/// A path below a folder: relative, no `..`, no backslash.
pub fn check_path(path: &Sp<String>, folder: &str, sink: &Sink) -> bool {
    let text = path.v.as_str();
    let bad = text.starts_with('/') || text.starts_with('~') || text.contains(['\\', '\n', '\t']);
    let drive = text.as_bytes().get(1) == Some(&b':');
    let git = text.split('/').next().is_some_and(|first| first.eq_ignore_ascii_case(".git"));
    let dots = text.split('/').any(|part| part == ".." || part == "." || part.is_empty());
    if !(bad || drive || dots || git) {
        return true;
    }
    let problem = Problem::error(codes::PATH, &path.at, format!("{} leaves {folder}", quoted(text)));
    sink.push(
        problem
            .label("not below the folder")
            .help("a relative path with `/` between its parts, without `.`, `..` and `.git`"),
    );
    false
}

/// A glob below a folder.
pub fn check_glob(glob: &Sp<String>, folder: &str, sink: &Sink) -> bool {
    sink.good_once(&format!("glob {}", glob.v), || glob_is_good(glob, folder, sink))
}

fn glob_is_good(glob: &Sp<String>, folder: &str, sink: &Sink) -> bool {
    if !check_path(glob, folder, sink) {
        return false;
    }
    match globset::GlobBuilder::new(&glob.v).literal_separator(true).build() {
        Ok(_) => true,
        Err(error) => {
            let problem = Problem::error(
                codes::GLOB,
                &glob.at,
                format!("{} is no pattern: {}", quoted(&glob.v), error.kind()),
            );
            sink.push(
                problem
                    .label("not a glob")
                    .help("`*` is any part of a name, `**` any folders, `?` one character"),
            );
            false
        }
    }
}

/// A case-insensitive regular expression that says something.
pub fn check_regex(pattern: &Sp<String>, sink: &Sink) -> bool {
    sink.good_once(&format!("regex {}", pattern.v), || regex_is_good(pattern, sink))
}

fn regex_is_good(pattern: &Sp<String>, sink: &Sink) -> bool {
    let built = regex::RegexBuilder::new(&pattern.v)
        .case_insensitive(true)
        .size_limit(1 << 20)
        .build();
    match built {
        Err(error) => {
            let whole = error.to_string();
            let why = whole.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let problem = Problem::error(
                codes::REGEX,
                &pattern.at,
                format!("this regular expression does not compile: {why}"),
            );
            sink.push(
                problem
                    .label("here")
                    .help("a backslash in a TOML string in double quotes is written twice; or use 'single quotes'"),
            );
            false
        }
        Ok(regex) if regex.is_match("") => {
            let words = format!("{} matches the empty text, and so every text", quoted(&pattern.v));
            let problem = Problem::error(codes::REGEX_EMPTY, &pattern.at, words).label("matches everything");
            sink.push(problem.help("ask for at least one character: `+` instead of `*`, no empty alternative"));
            false
        }
        Ok(_) => true,
    }
}

/// Placeholders in a template, `{name}`: where the braces do not match, `Err`.
pub fn placeholders(template: &str) -> Result<Vec<&str>, ()> {
    let mut out = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find(['{', '}']) {
        let after = rest.get(open + 1..).unwrap_or_default();
        let close = after.find(['{', '}']);
        match (
            rest.as_bytes().get(open),
            close.and_then(|c| after.as_bytes().get(c).map(|b| (c, *b))),
        ) {
            (Some(b'{'), Some((close, b'}'))) => {
                out.push(after.get(..close).unwrap_or_default());
                rest = after.get(close + 1..).unwrap_or_default();
            }
            _ => return Err(()),
        }
    }
    Ok(out)
}

/// Checks the placeholders of a template.
pub fn check_placeholders(template: &Sp<String>, known: &[&str], sink: &Sink) -> bool {
    let shown: Vec<String> = known.iter().map(|k| format!("`{{{k}}}`")).collect();
    let Ok(found) = placeholders(&template.v) else {
        let problem = Problem::error(codes::PLACEHOLDER, &template.at, "a brace of this template has no partner");
        sink.push(
            problem
                .label("unmatched brace")
                .help(format!("placeholders are {}", shown.join(", "))),
        );
        return false;
    };
    let mut good = true;
    for word in found.into_iter().filter(|w| !known.contains(w)) {
        good = false;
        let words = format!("nothing fills the placeholder {}", quoted(&format!("{{{word}}}")));
        let problem = Problem::error(codes::PLACEHOLDER, &template.at, words).label("unknown placeholder");
        sink.push(problem.help(format!("placeholders are {}", shown.join(", "))));
    }
    good
}
