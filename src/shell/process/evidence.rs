//! What a run directory and `/proc` say about a run.

use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::sweep::scope;
use super::{Evidence, Exit, Owner, files, names, own};

/// What is known of a run by its directory. One whose shim has not taken it yet is taken from it.
pub(crate) fn look(dir: &Path) -> Evidence {
    seen(dir).unwrap_or_else(Evidence::Barred)
}

/// `Err` says what may not be read or taken: that is no evidence of an end.
fn seen(dir: &Path) -> Result<Evidence, String> {
    // Before the exit record: an agent can write one as well, and go on. A shim that lives has not said its last word.
    let owner = || record::<Owner>(dir, names::OWNER);
    if let Some(Owner::Shim(shim)) = owner()?.filter(|o| matches!(o, Owner::Shim(shim) if shim.alive())) {
        return Ok(Evidence::Alive(shim));
    }
    if let Some(exit) = read_exit(dir)? {
        return Ok(Evidence::Exited(exit));
    }
    if !dir.exists() {
        return Ok(without_dir(dir));
    }
    match abandon(dir) {
        Ok(true) => return Ok(Evidence::NeverStarted),
        Ok(false) => {}
        // Somebody may take it yet.
        Err(error) if denied(&error) && owner()?.is_none() => return Err(format!("{}: {error}", dir.display())),
        Err(error) => tracing::warn!(dir = %dir.display(), %error, "cannot take a run; judging by what lies there"),
    }
    Ok(match owner()? {
        Some(Owner::Abandoned) => Evidence::NeverStarted,
        Some(Owner::Shim(shim)) if shim.alive() => Evidence::Alive(shim),
        // It may have ended while we looked.
        _ => read_exit(dir)?.map_or(Evidence::Gone, Evidence::Exited),
    })
}

fn abandon(dir: &Path) -> io::Result<bool> {
    match own(dir, &Owner::Abandoned) {
        Err(error) if denied(&error) && regained(dir) => own(dir, &Owner::Abandoned),
        other => other,
    }
}

/// The service died before it made the directory, or someone removed it under a running shim.
fn without_dir(dir: &Path) -> Evidence {
    if scope(dir).members().is_ok_and(|m| m.is_empty()) {
        Evidence::NeverStarted
    } else {
        Evidence::Gone
    }
}

/// The exit record, if there is one that can be understood. `Err` says that it may not be read.
pub(super) fn read_exit(dir: &Path) -> Result<Option<Exit>, String> {
    record(dir, names::EXIT)
}

/// A record of a run; one that cannot be understood says nothing. `Err` says that it may not be read.
fn record<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<Option<T>, String> {
    let path = dir.join(name);
    let read = match files::read_json(&path) {
        // An agent of the same user can take our rights away; they are ours to take back.
        Err(error) if denied(&error) && [dir, path.as_path()].map(regained).contains(&true) => files::read_json(&path),
        other => other,
    };
    match read {
        Ok(found) => Ok(found),
        Err(error) if denied(&error) => Err(format!("{}: {error}", path.display())),
        Err(error) => {
            tracing::warn!(record = %path.display(), %error, "a record of a run cannot be read");
            Ok(None)
        }
    }
}

fn regained(path: &Path) -> bool {
    files::reclaim(path).is_ok_and(|mended| mended)
}

fn denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown};

    use nix::unistd::{Uid, geteuid, setfsuid};

    use super::*;
    use crate::shell::process::Alive;

    /// What somebody sees who may not do all that root may: our own looking is done as `uid`, in a thread of its own.
    fn as_user<T: Send>(uid: u32, look: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let seen = scope.spawn(|| {
                setfsuid(Uid::from_raw(uid));
                look()
            });
            seen.join().unwrap()
        })
    }

    #[test]
    fn what_another_user_may_not_read_is_no_evidence_of_an_end() {
        if !geteuid().is_root() {
            eprintln!("skipped: only root can look as another user");
            return;
        }
        const OTHER: u32 = 65_534;
        let data = tempfile::tempdir().unwrap();
        fs::set_permissions(data.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let dir = data.path().join("7");
        fs::create_dir(&dir).unwrap();
        let barred = |name: &str| match as_user(OTHER, || look(&dir)) {
            Evidence::Barred(why) => assert!(why.contains(name) && why.contains("ermission denied"), "{why}"),
            other => panic!("{other:?}"),
        };
        // It can be read, and there is nothing in it; nobody can say that nobody will take it.
        barred("/7: ");
        assert!(!dir.join(names::OWNER).exists(), "it is not taken either");
        let me = Owner::Shim(Alive::me().unwrap());
        own(&dir, &me).unwrap();
        barred("/7/owner: ");
        // Who it is can be read; how it ended cannot.
        let gone = Alive {
            start: 1,
            ..Alive::me().unwrap()
        };
        files::write_json(&dir.join(names::OWNER), &Owner::Shim(gone)).unwrap();
        files::write_json(&dir.join(names::EXIT), &Exit::default()).unwrap();
        chown(dir.join(names::OWNER), Some(OTHER), None).unwrap();
        barred("/7/exit.json: ");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        barred("/7/owner: ");
        // Given to them, it goes on.
        for path in [dir.clone(), dir.join(names::EXIT)] {
            chown(path, Some(OTHER), None).unwrap();
        }
        assert_eq!(as_user(OTHER, || look(&dir)), Evidence::Exited(Exit::default()));
    }

    #[test]
    fn what_an_agent_locked_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let (owner, exit) = (dir.path().join(names::OWNER), dir.path().join(names::EXIT));
        let gone = Alive {
            start: 1,
            ..Alive::me().unwrap()
        };
        own(dir.path(), &Owner::Shim(gone)).unwrap();
        assert_eq!(look(dir.path()), Evidence::Gone, "it left no exit");
        files::write_json(&exit, &Exit::default()).unwrap();
        for path in [owner.as_path(), exit.as_path(), dir.path()] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
        }
        assert_eq!(look(dir.path()), Evidence::Exited(Exit::default()));
    }
}
