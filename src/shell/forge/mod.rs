//! Forges: where branches meet the default branch.

pub mod gitea;
mod hub;
pub mod local;

pub use gitea::{Gitea, GiteaError, Note};
pub use hub::{Forge, HubError};
pub use local::{ForgeError, LocalForge, MergeAnswer, Synced};
