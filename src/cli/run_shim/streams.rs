//! Where a program's output goes: a pipe for each stream.

use std::io;
use std::os::fd::OwnedFd;

/// One end of each stream: for the program to write to, or for the shim to read from.
pub(super) struct Streams {
    /// Standard output.
    pub(super) out: OwnedFd,
    /// Standard error.
    pub(super) err: OwnedFd,
}

impl Streams {
    /// A pipe for each: the ends that are read, and those that are written to.
    ///
    /// # Errors
    /// When no pipe can be made.
    pub(super) fn pipes() -> io::Result<(Self, Self)> {
        let ((out, to_out), (err, to_err)) = (io::pipe()?, io::pipe()?);
        let read = Self {
            out: out.into(),
            err: err.into(),
        };
        let write = Self {
            out: to_out.into(),
            err: to_err.into(),
        };
        Ok((read, write))
    }

    /// Both streams to one place.
    ///
    /// # Errors
    /// When it cannot be shared.
    pub(super) fn both(to: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            out: to.try_clone()?,
            err: to,
        })
    }
}
