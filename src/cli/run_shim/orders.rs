//! What the shim is told from outside, as files in the run directory.

use std::fs;
use std::io;
use std::path::Path;

use crate::engine::model::Kill;
use crate::shell::process::{KillOrder, files, names};

/// What was found in the run directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing new.
    Nothing,
    /// End the run.
    End(KillOrder),
    /// End it: nobody wants it any more; the directory itself may be gone.
    Abandoned(KillOrder),
}

/// Looks for orders. A `kill` is taken, so that a later one can be told from it.
pub(super) fn look(dir: &Path) -> Told {
    if let Some(order) = read(&dir.join(names::KILL)) {
        let _ = fs::rename(dir.join(names::KILL), dir.join(names::KILL_TAKEN));
        return Told::End(order);
    }
    if let Some(order) = read(&dir.join(names::ABANDON)) {
        return Told::Abandoned(order);
    }
    if vanished(dir) {
        return Told::Abandoned(KillOrder {
            why: Kill::Foreign,
            grace_ms: None,
        });
    }
    Told::Nothing
}

/// Whether the run directory is provably gone; any other trouble with it proves nothing.
pub(super) fn vanished(dir: &Path) -> bool {
    fs::metadata(dir).is_err_and(|e| matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}

fn read(path: &Path) -> Option<KillOrder> {
    if let Some(order) = KillOrder::of_link(path) {
        return Some(order);
    }
    match files::read_small(path) {
        Ok(bytes) => Some(KillOrder::parse(&bytes)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
        // It is there but cannot be read: an order all the same.
        Err(_) => path.symlink_metadata().is_ok().then(|| KillOrder::parse(b"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_taken_once() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        assert_eq!(look(dir.path()), Told::Nothing);
        fs::write(dir.path().join(names::KILL), "\"stop\"")?;
        assert_eq!(
            look(dir.path()),
            Told::End(KillOrder {
                why: Kill::Stop,
                grace_ms: None
            })
        );
        assert_eq!(look(dir.path()), Told::Nothing);
        // Where there is no room for a file.
        KillOrder::link(dir.path().join(names::KILL).as_path(), Kill::Stop)?;
        let told = look(dir.path());
        assert!(matches!(told, Told::End(order) if order.why == Kill::Stop && order.grace_ms.is_none()));
        assert_eq!(look(dir.path()), Told::Nothing);
        // A pipe that nobody writes to is an order like any other, and nothing to wait for.
        nix::unistd::mkfifo(&dir.path().join(names::KILL), nix::sys::stat::Mode::S_IRWXU)?;
        assert!(matches!(look(dir.path()), Told::End(_)));
        fs::write(dir.path().join(names::ABANDON), "")?;
        assert!(matches!(look(dir.path()), Told::Abandoned(_)));
        assert!(matches!(look(&dir.path().join("gone")), Told::Abandoned(_)));
        Ok(())
    }
}
