//! Rules: TOML → a checked [`Ruleset`], all problems at once, each with its place.
//!
//! [`load`] is THE one loader: `validate`, `serve` and every test use it. It reads texts
//! ([`Files`]), never the disk. The stages of its work are the files of this folder: `tree`
//! (TOML with places) → `merge` (`extends`, `set`) → `decode*` (typed, unknown keys found; `later*`:
//! read, checked and refused as not available yet) → `check*` (names, edges, flow, scripts, branches)
//! → [`Ruleset`]. `explain` has a page for every code; `allow` takes away the warnings that comments
//! allow; `report` and `sarif` write findings down.

mod allow;
mod brakes;
mod branches;
mod check;
mod check_agents;
mod check_artefacts;
mod check_classify;
mod check_edges;
mod check_flow;
mod check_gates;
mod check_parts;
mod check_scripts;
mod check_texts;
pub mod codes;
mod comments;
mod config;
mod decode;
mod decode_agents;
mod decode_bound;
mod decode_brakes;
mod decode_commands;
mod decode_config;
mod decode_gates;
mod decode_projects;
mod decode_stages;
mod decode_tables;
mod diagnostic;
mod draft;
mod edge;
mod explain;
mod files;
mod here;
mod inputs;
mod invariant;
mod later;
mod later_config;
mod later_tables;
mod load;
mod merge;
mod origins;
mod patterns;
mod plug;
mod reader;
mod report;
mod sarif;
mod secrets;
mod shared;
mod texts;
mod tree;
mod types;
mod value;
mod walk;

#[cfg(test)]
mod tests;

pub use allow::allowed;
pub use brakes::{DependRules, FreezeRules, LaneScope, SerialGate};
pub use branches::covered;
pub use check_classify::ANSWERS;
pub use config::{Api, Chat, Config, Forge, Gitea, InFlight, Language, Languages, People, Plane, Project, Secret, Tracker};
pub use diagnostic::{Diagnostic, Related, Severity, clamp, suggest};
pub use explain::explain;
pub use files::{Files, MAX_FILE, Source};
pub use here::{Command, commands_here, unreadable};
pub use inputs::{Inputs, Settings, revive};
pub use load::{Loaded, load};
pub use merge::Override;
pub use origins::{DEFAULT, Origin, Origins, origins};
pub use patterns::{Patterns, literal};
pub use report::{SHOWN, render_human, render_json, summary};
pub use sarif::{render_github, render_sarif};
pub use types::*;
pub use value::{parse_duration, show_duration};
