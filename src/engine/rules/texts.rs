//! Texts beside the pipelines: messages, prompts and scripts.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::model::Name;

use super::codes;
use super::config::Language;
use super::diagnostic::{Place, Problem, Sink, quoted};
use super::files::Files;
use super::plug;
use super::reader::{Reader, wrong_type};
use super::tree::{Entry, Value, parse};

const SECTIONS: &[&str] = &["note", "comment", "ask", "alert", "text"];

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
    let Err(why) = plug::check_message(template) else { return true };
    let words = format!("the template {} is wrong: {why}", quoted(&format!("{section}.{}", entry.key)));
    sink.push(Problem::error(codes::MESSAGE, &entry.node.place, words).label("this template"));
    false
}

/// The paths of the messages of a language: what the language lacks is said in English.
pub fn message_paths(language: Language) -> Vec<String> {
    let mut paths = vec!["messages/en.toml".to_owned()];
    if language != Language::En {
        paths.push(format!("messages/{}.toml", language.code()));
    }
    paths
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
