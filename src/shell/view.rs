//! What people and scripts are shown: JSON with a stable shape, and how it is made.
//!
//! Keys are only ever added. Times are RFC 3339 in UTC, spans are whole milliseconds (`_ms`).

mod cost;
mod deps;
mod history;
mod queue;
mod resilience;
mod show;
mod stamp;
mod status;
mod types;
mod unheard;
mod words;

pub use cost::{cost, runs};
pub use history::{history, timeline};
pub use queue::queue;
pub use show::{run, show};
pub use stamp::Stamp;
pub use status::{health, line, projects, status, tasks, why};
pub use types::*;
pub use words::{decision_words, what_happened};
