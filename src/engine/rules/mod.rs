//! Rules: TOML → a checked [`Ruleset`], all problems at once, each with its place.

mod types;

pub use types::*;
