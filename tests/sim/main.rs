//! What cannot be shown by playing it once: interleavings of the waking logic (`wake.rs`), and
//! thousands of seeded lives of the service with everything going wrong around it (`lives.rs`).
//!
//! **Real** in a life: the engine, all of it that decides — `step` with `needs` and `reading` over the
//! shipped pipeline `local`, `schedule` and `waits`, the breaker, budgets, the no-progress rule — and the
//! watch over the wall clock. In the seeds of `the_store_stands_as_its_model_does` also the real store, over a file.
//!
//! **Simulated:**
//! - The store, by a model (`model.rs`, `queue.rs`, `runs.rs`, `outbox.rs`, `commit.rs`): each request is
//!   one transaction. It suffices because the real store is taken through such lives beside it, given the
//!   same requests, and must answer alike and stand alike after every one of them, restarts included.
//!   Deliveries are the model's alone (`store/tests/deliveries.rs` has the real ones), and so is their work-off.
//! - The loop, the launching and settling of runs and the effects (`service.rs`, `jobs.rs`, `effects.rs`),
//!   retold in the order of `run.rs`, `queue.rs`, `launch.rs`, `settle.rs` and `perform/`, cut wherever those
//!   commit or call: at any cut the service may die, or somebody else go on. They are retold, not
//!   shared: that the shell does as it is told here is for `tests/it` to show, which kills the real one at
//!   every named step. There is no safety poll here: what only that would notice is found out.
//! - Everything outside (`outside.rs`, `agents.rs`, `known.rs`, `people.rs`), and the clock. Left out: dependencies
//!   between tasks, several repositories, chat, gates' scripts, a change of rules under way, a
//!   disk that fails.
//!
//! `SIM_SEEDS` is the number of lives, `SIM_SEED` plays one again, `SIM_STORE_SEEDS` is the number of those
//! that the real store takes part in. `twin.rs` has a broken service for each promise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod agents;
mod commit;
mod disk;
mod effects;
mod faults;
mod holds;
mod jobs;
mod known;
mod life;
mod lives;
mod model;
mod outbox;
mod outside;
mod people;
mod queue;
mod rng;
mod runs;
mod service;
mod twin;
mod wake;
