//! Forges: where branches meet the default branch.

pub mod local;

pub use local::{ForgeError, LocalForge, MergeAnswer, Synced};
