//! Texts beside the pipelines: messages, prompts and scripts.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::model::Name;

use super::codes;
use super::config::{Language, Languages};
use super::diagnostic::{Place, Problem, Sink, quoted};
use super::files::Files;
use super::plug;
use super::reader::{Reader, wrong_type};
use super::tree::{Entry, Value, parse};

const SECTIONS: &[&str] = &["note", "comment", "ask", "alert", "text", "card"];
/// Sections in the language of the chat.
const CHAT: &[&str] = &["alert.", "card."];

/// The messages of one file, `section.key` → template.
pub fn messages(path: &str, text: &str, sink: &Sink) -> BTreeMap<Name, String> {
    let file: Arc<str> = Arc::from(path);
    let mut out = BTreeMap::new();
    let Some(root) = parse(&file, text, sink) else { return out };
    let Some(table) = root.table() else { return out };
    let r = Reader::new(table, &Place::start(&file), "a file of messages", sink);
    r.entry("schema");
    for section in SECTIONS {
        for entry in r.entries(section) {
            let Value::Str(template) = &entry.node.value else {
                wrong_type(sink, &entry.node, &quoted(&entry.key), "a string");
                continue;
            };
            sink.good_once(&format!("message {template}"), || message_is_good(section, entry, template, sink));
            out.insert(Name::from(format!("{section}.{}", entry.key)), template.clone());
        }
    }
    r.finish();
    out
}

fn message_is_good(section: &str, entry: &Entry, template: &str, sink: &Sink) -> bool {
    let checked = match section {
        "card" => plug::check_card(template),
        _ => plug::check_message(template),
    };
    let Err(why) = checked else { return true };
    let words = format!("the template {} is wrong: {why}", quoted(&format!("{section}.{}", entry.key)));
    sink.push(Problem::error(codes::MESSAGE, &entry.node.place, words).label("this template"));
    false
}

/// The paths of the messages of a language: what the language lacks is said in English.
fn paths_of(language: Language) -> Vec<String> {
    let mut paths = vec!["messages/en.toml".to_owned()];
    if language != Language::En {
        paths.push(format!("messages/{}.toml", language.code()));
    }
    paths
}

/// The paths of the messages of these languages.
pub fn message_paths(languages: Languages) -> Vec<String> {
    let mut paths = paths_of(languages.texts);
    paths.extend(paths_of(languages.chat));
    paths.sort();
    paths.dedup();
    paths
}

/// The messages of these languages: alerts and cards in the chat's.
pub fn all_messages(files: &Files, languages: Languages, sink: &Sink) -> BTreeMap<Name, String> {
    let read = |language: Language| -> BTreeMap<Name, String> {
        let sources = paths_of(language).into_iter().filter_map(|path| Some((files.get(&path)?, path)));
        sources.flat_map(|(source, path)| messages(&path, &source.text, sink)).collect()
    };
    let mut found = read(languages.texts);
    if languages.chat != languages.texts {
        let chat = read(languages.chat);
        found.extend(chat.into_iter().filter(|(key, _)| CHAT.iter().any(|s| key.as_str().starts_with(s))));
    }
    found
}

/// Checks every file of messages, every prompt and every script, used or not.
pub fn check_all(files: &Files, sink: &Sink) {
    let languages: Vec<String> = files.names("messages", "toml").map(str::to_owned).collect();
    for name in languages {
        let path = format!("messages/{name}.toml");
        if let Some(source) = files.get(&path) {
            messages(&path, &source.text, sink);
        }
    }
    for name in files.names("prompts", "md") {
        let path = format!("prompts/{name}.md");
        let Some(source) = files.get(&path) else { continue };
        if let Err(why) = plug::check_prompt(&source.text) {
            let at = Place {
                file: Arc::from(path.as_str()),
                span: 0..0,
            };
            sink.push(Problem::error(codes::PROMPT, &at, format!("the prompt {} is wrong: {why}", quoted(name))).whole_file());
        }
    }
    for name in files.names("rules", "rhai") {
        let mut one = BTreeMap::new();
        if let Some(source) = files.get(&format!("rules/{name}.rhai")) {
            one.insert(format!("{name}.rhai"), source.text.clone());
        }
        report_scripts(plug::compile(&one).1, files, sink);
    }
}

/// Says what is wrong with scripts.
pub fn report_scripts(issues: Vec<plug::ScriptIssue>, files: &Files, sink: &Sink) {
    for issue in issues {
        let path = format!("rules/{}", issue.file);
        let start = files.get(&path).map_or(0, |s| offset(&s.text, issue.line, issue.column));
        let at = Place {
            file: Arc::from(path.as_str()),
            span: start..start.saturating_add(1),
        };
        sink.push(Problem::error(issue.code, &at, issue.message).label("here"));
    }
}

/// The byte of a line and column, both from 1.
pub fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default();
    start + rest.char_indices().nth(column.saturating_sub(1)).map_or(0, |(i, _)| i)
}
