//! What all pipelines share: messages, prompts and compiled scripts.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::engine::model::Name;
use crate::engine::script::Scripts;

use super::config::Languages;
use super::diagnostic::Sink;
use super::draft::Draft;
use super::files::Files;
use super::plug;
use super::texts;

/// What all pipelines share, read once.
pub struct Shared {
    /// Texts in the language, `section.key` → template.
    pub messages: BTreeMap<Name, String>,
    /// Prompts by name.
    pub prompts: BTreeMap<Name, String>,
    /// Whether some message is wrong: no pipeline can be used then.
    pub broken: bool,
    /// Scripts compiled together, by the names of their files.
    compiled: RefCell<BTreeMap<Vec<String>, Compiled>>,
}

impl Shared {
    /// Reads messages and prompts.
    pub fn gather(files: &Files, languages: Languages, sink: &Sink) -> Self {
        let before = sink.errors();
        let messages = texts::all_messages(files, languages, sink);
        let prompts = files.names("prompts", "md").filter_map(|n| {
            let source = files.get(&format!("prompts/{n}.md"))?;
            Some((Name::new(n), source.text.clone()))
        });
        Self {
            messages,
            prompts: prompts.collect(),
            broken: sink.errors() != before,
            compiled: RefCell::default(),
        }
    }

    /// The scripts that gates of this pipeline name, and what they compile to.
    pub fn scripts(&self, files: &Files, draft: &Draft, sink: &Sink) -> (BTreeMap<String, String>, Compiled) {
        let named = draft.gates.values().filter_map(|g| match &g.v.0 {
            Some(super::draft::KindDraft::Script { function, .. }) => function.v.split_once("::").map(|(file, _)| file.to_owned()),
            _ => None,
        });
        let classify = draft.classify.as_ref().and_then(|f| f.v.split_once("::"));
        let named = named.chain(classify.map(|(file, _)| file.to_owned()));
        let sources: BTreeMap<String, String> = named
            .filter_map(|file| Some((file.clone(), files.get(&format!("rules/{file}"))?.text.clone())))
            .collect();
        let mut known = self.compiled.borrow_mut();
        let compiled = known.entry(sources.keys().cloned().collect()).or_insert_with(|| {
            let (scripts, issues) = plug::compile(&sources);
            let broken = !issues.is_empty();
            texts::report_scripts(issues, files, sink);
            Compiled { scripts, broken }
        });
        let compiled = compiled.clone();
        (sources, compiled)
    }
}

/// Scripts compiled together.
#[derive(Clone)]
pub struct Compiled {
    /// What could be compiled.
    pub scripts: Scripts,
    /// Whether something is wrong with one of them: the pipeline cannot be used then.
    pub broken: bool,
}
