//! Who a process is: boot id, pid and start time. A bare pid is never trusted.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// The identity of a process that was alive when we looked: a shim's, for all runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// Process id: means nothing without the rest.
    pub pid: i32,
    /// Start time in clock ticks since boot, as `/proc/<pid>/stat` has it.
    pub start: u64,
    /// The boot it was started in.
    pub boot_id: String,
}

/// What `/proc/<pid>/stat` says, as far as supervision needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: char,
    pub(crate) ppid: i32,
    pub(crate) session: i32,
    pub(crate) threads: i64,
    pub(crate) start: u64,
}

impl Stat {
    /// Whether it has ended and only waits to be reaped. The leader of a threaded process may be
    /// a zombie while other threads go on.
    pub(crate) fn dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x') && self.threads <= 1
    }

    fn parse(text: &str) -> Option<Self> {
        // The second field is the program's name in parentheses and may itself hold any of " ()".
        let rest = &text[text.rfind(')')? + 1..];
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Self {
            state: fields.first()?.chars().next()?,
            ppid: fields.get(1)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            threads: fields.get(17)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }
}

/// Reads a process's `stat`; `None` when there is no such process.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    Stat::parse(&String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
}

/// The id of this boot: a pid and start time of another boot mean nothing. Empty when the kernel does not tell.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|s| s.trim().to_owned())
        .unwrap_or_default()
}

/// Start time of a process in clock ticks since boot; `None` when it has ended.
#[must_use]
pub fn start_time(pid: i32) -> Option<u64> {
    stat(pid).filter(|s| !s.dead()).map(|s| s.start)
}

/// A descriptor of exactly this process, zombie or not; `None` when it is gone or the pid belongs
/// to another one by now.
///
/// # Errors
/// When the kernel refuses for another reason, such as too many open files.
pub(crate) fn handle(pid: i32, start: u64) -> io::Result<Option<OwnedFd>> {
    let Some(raw) = (pid > 0).then(|| Pid::from_raw(pid)).flatten() else {
        return Ok(None);
    };
    let fd = match pidfd_open(raw, PidfdFlags::empty()) {
        Ok(fd) => fd,
        Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    // Looked at after the descriptor was opened: the pid cannot have changed hands in between.
    Ok(stat(pid).filter(|s| s.start == start).map(|_| fd))
}

/// Sends a signal to exactly this process; `false` when it is gone.
///
/// # Errors
/// When it may not be signalled (another user's), or no descriptor could be opened.
pub(crate) fn signal(pid: i32, start: u64, signal: Signal) -> io::Result<bool> {
    let Some(fd) = handle(pid, start)? else { return Ok(false) };
    match pidfd_send_signal(&fd, signal) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

impl Alive {
    /// This very process.
    #[must_use]
    pub fn me() -> Option<Self> {
        let pid = i32::try_from(std::process::id()).ok()?;
        Some(Self {
            pid,
            start: start_time(pid)?,
            boot_id: boot_id(),
        })
    }

    /// Whether it still runs.
    #[must_use]
    pub fn alive(&self) -> bool {
        !self.boot_id.is_empty() && self.boot_id == boot_id() && start_time(self.pid) == Some(self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_parentheses_is_no_trap() {
        let fields: Vec<String> = (4..=22).map(|n| n.to_string()).collect();
        let text = format!("12 (a) R (b)) S {} 0 0", fields.join(" "));
        let stat = Stat::parse(&text).unwrap_or_else(|| panic!("not parsed: {text}"));
        assert_eq!((stat.state, stat.ppid, stat.session, stat.threads, stat.start), ('S', 4, 6, 20, 22));
        assert_eq!(Stat::parse("12 (x"), None);
    }

    #[test]
    fn a_wrong_start_time_or_boot_is_another_process() {
        let me = Alive::me().unwrap_or_else(|| panic!("no identity"));
        assert!(me.alive());
        assert!(
            !Alive {
                start: me.start + 1,
                ..me.clone()
            }
            .alive()
        );
        assert!(
            !Alive {
                boot_id: "other".into(),
                ..me.clone()
            }
            .alive()
        );
        assert!(handle(me.pid, me.start + 1).is_ok_and(|h| h.is_none()));
        assert!(handle(me.pid, me.start).is_ok_and(|h| h.is_some()));
        assert!(handle(-1, 0).is_ok_and(|h| h.is_none()));
    }
}
