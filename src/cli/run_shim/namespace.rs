//! A PID namespace for the run: entered through its next child, who becomes its init.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::thread::{CapabilitySet, capabilities, clear_ambient_capability_set, configure_capability_in_ambient_set, set_capabilities};

/// Why there is no namespace.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It may not be made here, as the kernel says. Nothing has changed: another level can be taken.
    NotHere(Errno),
    /// It was made but cannot be used; this process is of no further use either.
    HalfWay(io::Error),
}

/// Makes the caller's next child the init of a new PID namespace: with the caller's own right
/// to do so, else through a user namespace in which the caller keeps its own ids. The caller
/// itself stays where it is. It must have one thread, and may start no other afterwards.
pub(super) fn enter() -> Result<(), Refusal> {
    if unshare(CloneFlags::CLONE_NEWPID).is_ok() {
        return Ok(());
    }
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID).map_err(Refusal::NotHere)?;
    let map = |file: &str, text: String| fs::write(format!("/proc/self/{file}"), text).map_err(Refusal::HalfWay);
    // Without this the kernel takes no group from someone without rights.
    map("setgroups", "deny".to_owned())?;
    map("uid_map", format!("{user} {user} 1"))?;
    map("gid_map", format!("{group} {group} 1"))?;
    // For the init to mount a /proc of its own; it gives it back before it starts anything.
    // Without it the agent sees the outer /proc, which costs no containment.
    let _ = hand_on(CapabilitySet::SYS_ADMIN);
    Ok(())
}

/// Lets a capability of the caller pass to programs that it starts.
fn hand_on(capability: CapabilitySet) -> rustix::io::Result<()> {
    let mut sets = capabilities(None)?;
    sets.inheritable |= capability;
    set_capabilities(None, sets)?;
    configure_capability_in_ambient_set(capability, true)
}

/// Called by the init of the namespace before it starts anything: a /proc that shows this
/// namespace, where one may be mounted, and no capability that is handed on.
pub(super) fn inside() -> io::Result<()> {
    // Tools look processes up in /proc; where it may not be mounted they see the outer one.
    let _ = own_proc();
    clear_ambient_capability_set()?;
    let mut sets = capabilities(None)?;
    sets.inheritable = CapabilitySet::empty();
    Ok(set_capabilities(None, sets)?)
}

fn own_proc() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    // What is unmounted outside must not stay in use in here.
    let outward = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, outward, None::<&str>)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>)
}
