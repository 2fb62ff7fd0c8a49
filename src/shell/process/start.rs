//! Starting a shim, and making sure of it.

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::timeout;

use super::sweep::sweep;
use super::wait::ended;
use super::{Alive, Handover, Owner, RUN_DIR_VAR, RunSpec, SpawnError, boot_id, files, handle, names, own, signal};

/// A shim that has not taken its run after this long never will.
pub(super) const START_LIMIT: Duration = Duration::from_secs(20);

/// Prepares the run directory and starts the shim. Returns the directory's absolute path.
pub(super) fn start(exe: &Path, dir: &Path, mut spec: RunSpec) -> Result<(PathBuf, Alive), SpawnError> {
    let given = dir.to_owned();
    let prepare = |source| SpawnError::Prepare {
        dir: given.clone(),
        source,
    };
    let private = |dir: &Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    private(dir).map_err(prepare)?;
    let dir = fs::canonicalize(dir).map_err(prepare)?;
    if dir.join(names::OWNER).exists() {
        return Err(SpawnError::Taken { dir });
    }
    let tmp = dir.join(names::TMP);
    private(&tmp).map_err(prepare)?;
    spec.env.insert(RUN_DIR_VAR.into(), dir.to_string_lossy().into_owned());
    spec.env.insert("TMPDIR".into(), tmp.to_string_lossy().into_owned());
    if let Some(home) = spec.env.get("HOME").map(PathBuf::from).filter(|home| home.starts_with(&dir)) {
        private(&home).map_err(prepare)?;
    }
    let handover = Handover::take(&mut spec).file().map_err(prepare)?;
    files::write_json(&dir.join(names::SPEC), &spec).map_err(prepare)?;
    let errors = File::create(dir.join(names::ERRORS)).map_or_else(|_| Stdio::null(), Stdio::from);
    let exe = std::path::absolute(exe).map_err(|source| SpawnError::Start {
        exe: exe.to_owned(),
        source,
    })?;
    let mut command = Command::new(&exe);
    command.arg("run-shim").arg(&dir).env_clear().current_dir("/");
    let child = command.stdin(handover).stdout(Stdio::null()).stderr(errors).spawn();
    let child = child.map_err(|source| SpawnError::Start { exe: exe.clone(), source })?;
    let pid = child.id().cast_signed();
    // The child was not reaped, so its pid is still its own. A shim that has already ended shows
    // as a zombie, whose start time is as good.
    let start = super::stat(pid).map_or(0, |s| s.start);
    Ok((
        dir,
        Alive {
            pid,
            start,
            boot_id: boot_id(),
        },
    ))
}

/// The shim ended, or says nothing: makes sure that nothing of the run is left or can begin.
pub(super) async fn refused(dir: &Path, alive: &Alive, dead: bool) -> SpawnError {
    let taken = own(dir, &Owner::Abandoned);
    if !dead {
        let _ = signal(alive.pid, alive.start, Signal::KILL);
    }
    if let Ok(Some(fd)) = handle(alive.pid, alive.start) {
        let _ = timeout(Duration::from_secs(5), ended(fd)).await;
    }
    let owner = files::read_json::<Owner>(&dir.join(names::OWNER));
    if !matches!(taken, Ok(true)) && matches!(owner, Ok(Some(Owner::Shim(shim))) if shim == *alive) {
        sweep(dir).await;
    }
    if !dead {
        return SpawnError::Silent { dir: dir.to_owned() };
    }
    let said = files::read_small(&dir.join(names::ERRORS)).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let detail = match said.trim() {
        "" => "it said nothing: was it killed, or is the disk full?".to_owned(),
        text => text.chars().take(500).collect(),
    };
    SpawnError::Died {
        dir: dir.to_owned(),
        detail,
    }
}
