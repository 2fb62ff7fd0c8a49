//! The command line: one file per command.

pub mod demo;
pub mod origin;
pub mod run_shim;
pub mod validate;
