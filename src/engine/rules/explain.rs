//! Pages of codes.

/// The page of a code.
#[must_use]
pub fn explain(_code: &str) -> Option<&'static str> { None }
