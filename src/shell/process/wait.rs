//! Waiting for a shim without polling.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Waits on a pidfd and reaps the process if it is our own child: exactly this one, by its
/// descriptor, so that nobody else's child is taken.
pub(super) async fn ended(fd: OwnedFd) -> io::Result<()> {
    // Its successor is `unsafe` for types that may change their descriptor; an `OwnedFd` cannot.
    #[expect(deprecated, reason = "sound for OwnedFd, and its successor is unsafe, which this crate forbids")]
    let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
    let _ready = fd.readable().await?;
    // Not our child after a restart: then there is nothing to reap.
    let _ = waitid(WaitId::PidFd(fd.get_ref().as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    Ok(())
}
