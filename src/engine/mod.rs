//! The engine: pure, synchronous, total, deterministic.
//!
//! No clock, no input or output, no `async`; time enters by `Event::at` and the `now` of
//! [`schedule`]. `tests/it/imports.rs` enforces it.

pub mod admit;
pub mod breaker;
pub mod budget;
pub mod explore;
pub mod graph;
pub mod model;
pub mod progress;
pub mod render;
pub mod rules;
pub mod scenario;
pub mod schedule;
pub mod script;
pub mod step;
pub mod table;

/// The version of the engine's meaning: replay is promised within one version only.
pub const SEMANTICS: u32 = 1;
