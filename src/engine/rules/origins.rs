//! Where each value of a pipeline was written.

use std::collections::BTreeMap;

use super::diagnostic::position;
use super::files::Files;
use super::tree::{Table, Value};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// File, as people see it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The value, as JSON.
    pub value: String,
}

/// Where every value of a pipeline was written, by dotted path; a key with dots is quoted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(pub BTreeMap<String, Origin>);

impl Origins {
    /// The origins of a merged tree.
    pub(super) fn of(root: &Table, files: &Files) -> Self {
        let mut out = Self::default();
        out.walk("", root, files);
        out
    }

    fn walk(&mut self, above: &str, table: &Table, files: &Files) {
        for entry in &table.0 {
            let key = if entry.key.contains('.') {
                format!("\"{}\"", entry.key)
            } else {
                entry.key.clone()
            };
            let path = if above.is_empty() { key } else { format!("{above}.{key}") };
            if let Value::Table(inner) = &entry.node.value {
                self.walk(&path, inner, files);
                continue;
            }
            let place = &entry.key_place;
            let (line, column) = files.get(&place.file).map_or((0, 0), |s| position(&s.text, place.span.start));
            let value = entry.node.value.to_json().to_string();
            self.0.insert(
                path,
                Origin {
                    file: files.shown(&place.file).to_owned(),
                    line,
                    column,
                    value,
                },
            );
        }
    }
}
