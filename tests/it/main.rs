//! Tests of the whole: real processes, real files, one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should say where"
)]

mod backup;
mod brakes;
mod breaker;
mod canary;
mod chaos;
mod chat;
mod claude_real;
mod cli;
mod crash;
mod damage;
mod docs_pipeline;
mod doctor;
mod faults;
mod gitea;
mod hostile;
mod house;
mod imports;
mod kill;
mod peers;
mod picture;
mod plane;
mod process;
mod queue;
mod reload;
mod runs;
mod scenarios;
mod scripted;
mod soak;
mod spending;
mod unit;
mod words;
mod world;
