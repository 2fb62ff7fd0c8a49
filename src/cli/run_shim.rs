//! `run-shim <run dir>` (hidden): owns one run, from its start to its recorded exit.
//!
//! The service may be stopped, killed or replaced meanwhile: the shim starts the agent, bounds its
//! log, enforces its deadline, ends everything that belongs to the run and writes `exit.json`.
//! It lives in a session of its own and is the sub-reaper of whatever the agent starts.

mod cascade;
mod launch;
mod log_cap;
mod orders;
mod record;
mod shim;

use std::path::Path;

use crate::shell::process::{Alive, Owner, own};

/// Runs what `dir` says. Exit status: 0 when the run was carried out and recorded, or belongs to
/// someone else; 1 when nothing was started.
#[must_use]
pub fn run(dir: &Path) -> i32 {
    match carry_out(dir) {
        Ok(()) => 0,
        Err(error) => {
            // Read back by the service from `shim.err`.
            eprintln!("{error}");
            1
        }
    }
}

fn carry_out(dir: &Path) -> Result<(), String> {
    let me = Alive::me().ok_or("cannot read /proc/self/stat: is /proc mounted?")?;
    // Before anything else: a service that took the run for never started must not be wrong.
    if !own(dir, &Owner::Shim(me.clone())).map_err(|e| format!("cannot take {}: {e}", dir.display()))? {
        return Ok(());
    }
    // Fails only for the leader of a group, which a terminal made: then it has a group at least.
    let _ = rustix::process::setsid();
    nix::sys::prctl::set_child_subreaper(true).map_err(|e| format!("cannot become sub-reaper: {e}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("cannot start: {e}"))?;
    runtime.block_on(shim::run(dir, me))
}
