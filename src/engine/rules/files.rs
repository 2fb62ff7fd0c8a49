//! What the loader reads: texts by path, no file system.

use std::collections::BTreeMap;

/// Largest file that is read, in bytes.
pub const MAX_FILE: usize = 1024 * 1024;

/// A text and where people find it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The text.
    pub text: String,
    /// Its path as people see it.
    pub shown: String,
}

/// All texts that rules are made of, by path relative to the rules directory with `/` between
/// the parts: `signalbox.toml`, `pipelines/orch.toml`, `rules/staging.rhai`,
/// `prompts/analyst.md`, `messages/en.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(pub BTreeMap<String, Source>);

impl Files {
    /// Adds a text; an earlier one at the same path is replaced.
    pub fn insert(&mut self, path: &str, text: impl Into<String>, shown: impl Into<String>) {
        let source = Source {
            text: text.into(),
            shown: shown.into(),
        };
        self.0.insert(path.to_owned(), source);
    }

    /// The source at this path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Source> {
        self.0.get(path)
    }

    /// Names of the files in `folder` with this extension, without both.
    pub fn names<'a>(&'a self, folder: &'a str, ext: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0.keys().filter_map(move |path| {
            let name = path.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(ext)?.strip_suffix('.')?;
            (!name.is_empty() && !name.contains('/')).then_some(name)
        })
    }

    /// How people see this path.
    #[must_use]
    pub fn shown<'a>(&'a self, path: &'a str) -> &'a str {
        self.0.get(path).map_or(path, |s| s.shown.as_str())
    }
}
