//! The limit on the size of files (`ulimit -f`): what a write over it does to this process, and how far it can be raised.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// A limit below this is worth a warning, in bytes: databases and logs grow to more.
pub const LITTLE: u64 = 1 << 30;
/// What to do about such a limit.
pub const RAISE: &str = "raise it for the service's user (`ulimit -f unlimited`, `LimitFSIZE=infinity` in its unit)";

/// The limit in force, in bytes; none where files may grow for ever.
#[must_use]
pub fn in_force() -> Option<u64> {
    getrlimit(Resource::Fsize).current
}

/// The limit to which a service raises the one in force, in bytes.
#[must_use]
pub fn highest() -> Option<u64> {
    getrlimit(Resource::Fsize).maximum
}

/// A write over the limit fails from now on ("File too large") and no longer ends this process.
///
/// The signal is listened to, not ignored: what is started from here would inherit that. Within a runtime.
///
/// # Errors
/// When signals cannot be listened to.
pub fn outlive() -> io::Result<()> {
    signal(SignalKind::from_raw(nix::libc::SIGXFSZ)).map(drop)
}

/// What a service does at its start: raises the limit as far as it may, for all that it starts as well, outlives it, and
/// says so where it is low.
pub fn at_start() {
    if let Err(error) = outlive() {
        tracing::warn!(%error, "signals cannot be listened to: a file that reaches the limit on its size ends the service");
    }
    let maximum = highest();
    if in_force() != maximum
        && let Err(error) = setrlimit(Resource::Fsize, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "the limit on the size of files cannot be raised");
    }
    if let Some(what) = in_force().and_then(low) {
        tracing::warn!("{what}: {RAISE}");
    }
}

/// What is to be said of a limit that is low.
#[must_use]
pub fn low(limit: u64) -> Option<String> {
    (limit < LITTLE).then(|| format!("files may not grow over {}", show(limit)))
}

/// Why a write may have failed besides what fails in a disk, and what helps; nothing where there is no limit.
#[must_use]
pub fn hint(limit: Option<u64>) -> String {
    limit.map_or_else(String::new, |limit| {
        format!(
            ", or a file has reached the limit of {} on the size of files (`ulimit -f`): raise it and start the service again",
            show(limit)
        )
    })
}

fn show(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mib => format!("{mib} MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_is_named_and_a_failed_write_names_any() {
        assert_eq!(low(2 << 20).as_deref(), Some("files may not grow over 2 MiB"));
        assert_eq!(low(LITTLE), None);
        assert_eq!(hint(None), "");
        assert!(hint(Some(4096)).contains("limit of 4 KiB on the size of files (`ulimit -f`)"));
    }
}
