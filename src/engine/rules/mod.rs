//! Rules: TOML → a checked [`Ruleset`], all problems at once, each with its place.
//!
//! [`load`] is THE one loader: `validate`, `serve` and every test use it. It reads texts
//! ([`Files`]), never the disk. The stages of its work are the files of this folder: `tree`
//! (TOML with places) → `merge` (`extends`, `set`) → `decode*` (typed, unknown keys found) →
//! `check*` (names, edges, branches) → [`Ruleset`]; `explain` has a page for every code.

mod branches;
mod check;
mod check_edges;
mod check_gates;
mod check_parts;
pub mod codes;
mod config;
mod decode;
mod decode_config;
mod decode_gates;
mod decode_stages;
mod decode_tables;
mod diagnostic;
mod draft;
mod edge;
mod explain;
mod files;
mod inputs;
mod load;
mod merge;
mod origins;
mod patterns;
mod plug;
mod reader;
mod report;
mod secrets;
mod texts;
mod tree;
mod types;
mod value;

#[cfg(test)]
mod tests;

pub use branches::covered;
pub use config::{Api, Config, Forge, InFlight, Language, People, Project, Secret, Tracker};
pub use diagnostic::{Diagnostic, Related, Severity, clamp, suggest};
pub use explain::explain;
pub use files::{Files, MAX_FILE, Source};
pub use inputs::{Inputs, Settings, revive};
pub use load::{Loaded, load};
pub use merge::Override;
pub use origins::{Origin, Origins};
pub use patterns::{Patterns, literal};
pub use report::{SHOWN, render_human, render_json, summary};
pub use types::*;
pub use value::parse_duration;
