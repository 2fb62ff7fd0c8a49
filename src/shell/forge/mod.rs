//! Forges: where branches meet the default branch.

mod hub;
pub mod local;

pub use hub::{Forge, HubError};
pub use local::{ForgeError, LocalForge, MergeAnswer, Synced};
