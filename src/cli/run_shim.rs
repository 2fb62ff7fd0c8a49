//! `run-shim <run dir>` (hidden): owns one run, from its start to its recorded exit.
//!
//! The service may be stopped, killed or replaced meanwhile: the shim starts the agent, masks and bounds
//! what it prints, enforces its deadline, ends everything that belongs to the run and writes `exit.json`.
//! It lives in a session of its own and is the sub-reaper of whatever the agent starts; where it
//! may, it gives the run a PID namespace or a cgroup of its own, and `--init` is then the first
//! process in that namespace. `--probe LEVEL` tells whether a level can be had; `--ask` asks a program for
//! its version, held in the same way.

mod ask;
mod cascade;
mod ground;
mod held;
mod init;
mod launch;
mod log_cap;
mod merge;
mod namespace;
mod orders;
mod output;
mod record;
mod shim;
mod streams;

use std::ffi::CStr;
use std::path::Path;

use super::args::RunShim;
use crate::shell::process::{Alive, Containment, Handover, Owner, RunSpec, files, names, own};
use ground::Ground;

/// Does what the arguments of `run-shim` say. Exit status: 0 when the run was carried out and
/// recorded, or belongs to someone else, or the level can be had, or the answer was given; 1 when
/// nothing was started.
#[must_use]
pub fn run(args: &RunShim) -> i32 {
    let done = match (&args.dir, &args.probe) {
        _ if args.init => return init::run(),
        _ if args.ask => me().and_then(|me| ask::run(&me)),
        (_, Some(level)) => try_out(level),
        (Some(dir), None) => carry_out(dir),
        (None, None) => Err("which run?".to_owned()),
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            // Read back by the service from `shim.err`.
            super::out::note(&error);
            1
        }
    }
}

fn try_out(level: &str) -> Result<(), String> {
    let level = Containment::named(level).ok_or_else(|| format!("there is no level `{level}`"))?;
    ground::probe(level, &me()?)
}

fn me() -> Result<Alive, String> {
    Alive::me().ok_or_else(|| "cannot read /proc/self/stat: is /proc mounted?".to_owned())
}

/// A session of its own, a name, and every orphan of what is started from now on.
fn stand_apart(name: &CStr) -> Result<(), String> {
    // Fails only for the leader of a group, which a terminal made: then it has a group at least.
    let _ = rustix::process::setsid();
    // It was started by a name that says nothing to people who list processes.
    let _ = nix::sys::prctl::set_name(name);
    nix::sys::prctl::set_child_subreaper(true).map_err(|e| format!("cannot become sub-reaper: {e}"))
}

fn carry_out(dir: &Path) -> Result<(), String> {
    let me = me()?;
    let runtime = ground::runtime()?;
    let handover = Handover::receive();
    // Before anything else: a service that took the run for never started must not be wrong.
    if !own(dir, &Owner::Shim(me.clone())).map_err(|e| format!("cannot take {}: {e}", dir.display()))? {
        return Ok(());
    }
    let handover = handover.map_err(|e| format!("cannot read what the run was given: {e}"))?;
    stand_apart(c"signalbox-shim")?;
    let spec: Option<RunSpec> =
        files::read_json(&dir.join(names::SPEC)).map_err(|e| format!("cannot read {}/{}: {e}", dir.display(), names::SPEC))?;
    let spec = spec.ok_or_else(|| format!("{} has no {}", dir.display(), names::SPEC))?;
    let ground = Ground::take(spec.containment, &me)?;
    runtime.block_on(shim::run(dir, me, spec, handover, ground))
}
