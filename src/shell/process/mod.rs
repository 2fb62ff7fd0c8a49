//! Supervision of agents: runs outlive the service, and what is killed is verified gone.
//!
//! Every run has a directory. The service writes `spec.json` there and starts a *shim* (this same
//! binary, `run-shim`), which owns the run from then on: it starts the agent, enforces the
//! deadline, ends everything that belongs to the run and records the exit durably. The service
//! only watches; when it is started again it finds the shim by boot id, pid and start time.
//!
//! ```text
//! spec.json   what to run, without its secrets     (service, before the shim starts)
//! owner       who decides about the run            (shim or service: whoever makes it first)
//! shim.json   identity of shim and agent           (shim)
//! kill        an order to end the run              (service, or a person)
//! abandon     nobody wants this run any more       (service, or a person)
//! exit.json   how it ended; the shim's last act    (shim)
//! ```

pub(crate) mod cgroup;
mod classify;
mod environment;
mod evidence;
pub(crate) mod files;
mod handover;
mod identity;
mod judged;
mod log;
mod outcome;
mod overdue;
mod preflight;
pub(crate) mod procs;
pub mod report;
mod retry_after;
mod rundir;
mod start;
mod supervisor;
mod sweep;
mod wait;
mod whose;

pub use crate::engine::model::Containment;
pub use classify::{TAIL, classify, limited_at_last, tail};
pub use environment::environment;
pub(crate) use evidence::look as evidence;
pub(crate) use handover::Handover;
pub use identity::{Alive, boot_id, start_time};
pub(crate) use identity::{Stat, handle, signal, stat};
pub use judged::judged;
pub use log::{defuse, read_from};
pub use outcome::{Evidence, Outcome, SpawnError, StopError, Swept};
pub(crate) use preflight::{Answer, asked};
pub use preflight::{locate, resolve};
pub use rundir::{Exit, KillOrder, Owner, RUN_DIR_VAR, RunSpec, ShimRecord};
pub(crate) use rundir::{names, own, tag};
pub use supervisor::Supervisor;
pub use whose::run_of;
