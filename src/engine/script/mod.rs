//! The Rhai sandbox: the only user of rhai.

/// Compiled functions, by `file.rhai::function`.
#[derive(Debug, Default)]
pub struct Scripts {}
