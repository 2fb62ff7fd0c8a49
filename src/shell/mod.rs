//! The shell: effects. It may wait, it may fail, it decides nothing.

pub mod config;
pub mod embedded;
pub mod forge;
pub mod git;
pub mod process;
pub mod store;
pub mod tracker;
