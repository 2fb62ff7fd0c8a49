//! What the shim writes down. A full disk delays it; what lies in the way is moved; neither ends it.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use super::ground::Ground;
use super::log_cap::LogCap;
use super::orders::vanished;
use crate::engine::model::Millis;
use crate::shell::process::{Alive, Exit, ShimRecord, files, names, start_time};
use crate::shell::volume;

/// Pace of tries while the disk is full.
const PAUSE: Duration = Duration::from_millis(500);

/// Who was started.
pub(super) struct Begun {
    /// The agent.
    pub(super) agent: i32,
    /// The init of its namespace, with its start time.
    pub(super) init: Option<(i32, u64)>,
}

/// Tells who runs the run, and who the agent is once it runs.
pub(super) fn write_shim(dir: &Path, me: &Alive, ground: &Ground, started: Option<&Begun>) -> std::io::Result<()> {
    let agent = started.map(|s| s.agent);
    let record = ShimRecord {
        pid: me.pid,
        pid_start: me.start,
        boot_id: me.boot_id.clone(),
        agent_pid: agent,
        agent_start: agent.and_then(start_time),
        containment: ground.level(),
        init: started.and_then(|s| s.init),
        cgroup: ground.cgroup().map(Path::to_owned),
    };
    files::write_json(&dir.join(names::SHIM), &record)
}

/// Writes the exit record, however long that takes; gives up only when the run directory is gone.
pub(super) async fn write_exit(dir: &Path, exit: &mut Exit) {
    exit.disk_full |= full(dir);
    while let Err(error) = files::write_json(&dir.join(names::EXIT), exit) {
        exit.disk_full |= matches!(
            error.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
        );
        if vanished(dir) {
            return;
        }
        // An agent of the same user can take our rights to the folder; they are ours to take back.
        if error.kind() == ErrorKind::PermissionDenied && files::reclaim(dir).is_ok_and(|mended| mended) {
            continue;
        }
        let obstructed = matches!(
            error.kind(),
            ErrorKind::IsADirectory | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory | ErrorKind::AlreadyExists
        );
        if !(obstructed && put_aside(&dir.join(names::EXIT))) {
            sleep(PAUSE).await;
        }
    }
}

/// Waits until the log has all that is held of it, as long as only room is missing; gives up when the run directory is gone.
pub(super) async fn complete(dir: &Path, log: &mut LogCap) {
    while !log.catch_up() && log.waits_for_room() && !vanished(dir) {
        sleep(PAUSE).await;
    }
}

/// Renames the folder that an agent made in the place of a record; `true` when the place is free now.
fn put_aside(path: &Path) -> bool {
    if !path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return false;
    }
    // A free name, and one that nobody can have taken to be in our way: renaming never replaces a folder with something in it.
    (0..1000).any(|n| {
        let aside = path.with_extension(format!("json.moved-{n}"));
        aside.symlink_metadata().is_err() && std::fs::rename(path, &aside).is_ok()
    })
}

/// Whether nothing more can be written below `dir`.
pub(super) fn full(dir: &Path) -> bool {
    volume::room(dir).is_ok_and(|room| room.full())
}

/// Wall time, for what people see.
pub(super) fn wall() -> Millis {
    Millis(jiff::Timestamp::now().as_millisecond())
}

/// Milliseconds since boot, suspended time included: deadlines are not moved by a changed wall clock.
pub(super) fn boottime() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_in_the_place_of_the_record_is_put_aside() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        let (place, aside) = (dir.path().join(names::EXIT), dir.path().join("exit.json.moved-0"));
        std::fs::create_dir_all(aside.join("taken"))?;
        std::fs::create_dir_all(place.join("x"))?;
        let mut exit = Exit {
            code: Some(3),
            ..Exit::default()
        };
        write_exit(dir.path(), &mut exit).await;
        assert_eq!(files::read_json::<Exit>(&place)?.map(|e| e.code), Some(Some(3)));
        assert!(dir.path().join("exit.json.moved-1/x").is_dir(), "nothing is thrown away");
        Ok(())
    }
}
