//! The Rhai sandbox: the only user of rhai.
use crate::engine::model::FileFact;
use std::collections::BTreeMap;

/// Compiled functions, by `file.rhai::function`.
#[derive(Debug, Default)]
pub struct Scripts {}
/// Stub
pub enum ScriptArg<'a> {
    /// a
    Frontmatter(Option<&'a BTreeMap<String, String>>),
    /// a
    Json(Option<&'a serde_json::Value>),
    /// a
    Text(Option<&'a str>),
    /// a
    Files(&'a [FileFact]),
}
impl Scripts {
    /// a
    pub fn call(&self, _key: &str, _params: &[(&str, ScriptArg<'_>)], _args: &serde_json::Value) -> Result<String, String> {
        Ok("ok".into())
    }
}
