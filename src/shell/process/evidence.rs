//! What a run directory and `/proc` say about a run.

use std::path::Path;

use super::sweep::scope;
use super::{Evidence, Exit, Owner, files, names, own};

/// What is known of a run by its directory. One whose shim has not taken it yet is taken from it.
pub(crate) fn look(dir: &Path) -> Evidence {
    // Before the exit record: an agent can write one as well, and go on. A shim that lives has not said its last word.
    let owner = || files::read_json::<Owner>(&dir.join(names::OWNER)).ok().flatten();
    if let Some(Owner::Shim(shim)) = owner().filter(|o| matches!(o, Owner::Shim(shim) if shim.alive())) {
        return Evidence::Alive(shim);
    }
    if let Some(exit) = read_exit(dir) {
        return Evidence::Exited(exit);
    }
    if !dir.exists() {
        return without_dir(dir);
    }
    match own(dir, &Owner::Abandoned) {
        Ok(true) => return Evidence::NeverStarted,
        Ok(false) => {}
        Err(error) => tracing::warn!(dir = %dir.display(), %error, "cannot take a run; judging by what lies there"),
    }
    match owner() {
        Some(Owner::Abandoned) => Evidence::NeverStarted,
        Some(Owner::Shim(shim)) if shim.alive() => Evidence::Alive(shim),
        // It may have ended while we looked.
        _ => read_exit(dir).map_or(Evidence::Gone, Evidence::Exited),
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

/// The exit record, if there is one that can be read.
pub(super) fn read_exit(dir: &Path) -> Option<Exit> {
    files::read_json(&dir.join(names::EXIT)).unwrap_or_else(|error| {
        tracing::warn!(dir = %dir.display(), %error, "a run's exit record cannot be read");
        None
    })
}
