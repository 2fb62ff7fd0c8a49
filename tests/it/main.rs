//! Tests of the whole: real processes, real files, one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should say where"
)]

mod cli;
mod crash;
mod hostile;
mod imports;
mod kill;
mod process;
mod scenarios;
mod scripted;
mod world;
