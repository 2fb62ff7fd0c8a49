//! The shell: effects. It may wait, it may fail, it decides nothing.

pub mod clock;
pub mod commands;
pub mod config;
pub mod crash;
pub mod door;
pub mod embedded;
mod first_start;
pub mod forge;
pub mod front_matter;
mod gather;
pub mod git;
pub mod intake;
mod launch;
mod perform;
pub mod process;
mod queue;
pub mod reload;
pub mod run;
pub mod secret;
pub mod service;
mod settle;
pub mod store;
mod sweep;
pub mod tracker;
pub mod view;
pub mod web;
