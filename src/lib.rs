//! Signalbox runs coding agents through gated pipelines, unattended and safely.
//!
//! Something happens in the world: it becomes an *event*, written down before anyone is
//! answered. [`engine::step`] — pure, total, one edge at a time — says what follows. Event, new
//! state, jobs and decisions are committed together; decisions are then carried out by adapters
//! and their outcome comes back as another event.
//!
//! ```text
//! webhooks · CLI · API · timers · process exits
//!         │  record (durable), answer
//!         ▼
//!      inbox ──► run: load task, repo, facts ──► engine::step (pure) ──► ONE transaction:
//!                                                                        task, jobs, timers, decisions, outbox
//!         ▲                                                                │
//!         │ events                                                         ▼
//!         └───────── perform: tracker · forge · git · processes ◄──────────┘   (each effect by its class, retried)
//! ```
//!
//! The path answers "may this touch the world?": [`engine`] never does, [`shell`] does and
//! decides nothing, [`cli`] only talks to a service. `docs/architecture.md` has the invariants.

pub mod cli;
pub mod engine;
pub mod scripted;
pub mod shell;
