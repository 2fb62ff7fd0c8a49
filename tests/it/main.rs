//! Tests of the whole: real processes, real files, one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should say where"
)]

mod breaker;
mod chaos;
mod cli;
mod crash;
mod docs_pipeline;
mod hostile;
mod house;
mod imports;
mod kill;
mod process;
mod reload;
mod scenarios;
mod scripted;
mod world;
