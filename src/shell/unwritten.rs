//! Runs whose agent is gone and whose shim cannot write down how it ended: the disk is full or gives errors, or an agent locked
//! its run's folder. The shim goes on trying, so that nothing is lost; people are told once, and a stop does not wait for it.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::shell::clock;
use crate::shell::process::{Alive, names};
use crate::shell::service::Service;
use crate::shell::store::{RunRow, StoreError};
use crate::shell::volume::{self, Room};

/// How keys of such notices begin.
pub const KEY: &str = "unwritten end of run ";
/// Time between two looks.
const LOOK: Duration = Duration::from_secs(5);
/// So long may a shim be alone and still be at it: what it does then takes a moment, also on a slow disk.
const BOUND: Duration = Duration::from_secs(15);
/// What is written to see whether anything can be, in bytes: about as much as the record.
const TRIAL: usize = 4096;

/// Watches over a run's end, and never returns: whoever waits for the shim learns of that.
pub async fn watch(service: &Service, run: &RunRow, alive: &Alive) -> Infallible {
    let dir = service.run_dir(run.id);
    let mut alone = None;
    loop {
        tokio::time::sleep(LOOK).await;
        if !service.supervisor.alone(alive, &dir).await {
            alone = None;
            continue;
        }
        // An agent may have stopped it before it ended.
        service.supervisor.go_on(alive);
        if alone.get_or_insert_with(Instant::now).elapsed() >= BOUND
            && let Err(error) = stands(service, run, alive, &dir).await
        {
            tracing::warn!(run = %run.id, %error, "that the end of a run cannot be written down could not be told");
        }
    }
}

/// It stands: people are told, once, and where the run was to be ended anyway its shim is.
async fn stands(service: &Service, run: &RunRow, alive: &Alive, dir: &Path) -> Result<(), StoreError> {
    let key = key(run);
    if !service.store.notices().await?.iter().any(|notice| notice.key == key) {
        let item = service.label(run.task).await;
        let text = text(&item, &format!("run {} ({})", run.id, run.slot), dir, &cause(dir).await);
        tracing::error!(run = %run.id, "{text}");
        service.store.raise(&key, run.task, &text, clock::now()).await?;
    }
    let ordered = service.store.run(run.id).await?.and_then(|row| row.kill);
    if ordered.is_some() {
        tracing::warn!(run = %run.id, "its shim is ended: nothing else of the run lives, and it was to be ended");
        service.supervisor.give_up(alive);
    }
    Ok(())
}

/// Why the end of a run cannot be written down.
#[derive(Debug, PartialEq, Eq)]
enum Cause {
    /// Nothing more can be written on its disk; what is left on that, or whose bound it is.
    Full(String),
    /// Something else.
    Other(String),
}

/// What people are told. Where only room is missing nothing is to be given up: the work is done and paid for.
fn text(item: &str, run: &str, dir: &Path, cause: &Cause) -> String {
    let ended = format!("{item}: the agent of {run} has ended, but how it ended cannot be written down");
    let dir = dir.display();
    match cause {
        Cause::Full(left) => format!(
            "{ended}: the disk of {dir} is full ({left}). Nothing is lost: its shim goes on trying, and its place is taken until then. Make room \
             on that disk (`df -h {dir}`, `df -i {dir}`), and it goes on by itself"
        ),
        Cause::Other(why) => format!(
            "{ended}: {why}. Its shim goes on trying, and its place is taken until then. Make {dir} writable again (`ls -ld`, `lsattr -d`; then \
             `chmod u+rwx` or `chattr -i`), or give its work up: signalbox stop {item}"
        ),
    }
}

/// What the system says to somebody who does what the shim does.
async fn cause(dir: &Path) -> Cause {
    let trial = dir.join(".trial");
    // Something: a file without content finds room on a full disk.
    let written = tokio::fs::write(&trial, [b' '; TRIAL]).await;
    let removed = tokio::fs::remove_file(&trial).await;
    let lies = dir.join(names::EXIT).symlink_metadata().is_ok();
    judge(dir, written.and(removed), volume::room(dir).ok(), lies)
}

/// `lies`: whether there is anything at the record's place.
fn judge(dir: &Path, tried: io::Result<()>, room: Option<Room>, lies: bool) -> Cause {
    let left = |room: Room| room.left();
    match (tried, room) {
        (Err(error), _) if error.kind() == ErrorKind::QuotaExceeded => Cause::Full(format!("{error}: the quota of the service's user")),
        (Err(error), room) if error.kind() == ErrorKind::StorageFull => Cause::Full(room.map_or_else(|| error.to_string(), left)),
        (_, Some(room)) if room.full() => Cause::Full(room.left()),
        (Err(error), _) => Cause::Other(format!("{}: {error}", dir.display())),
        (Ok(()), _) if lies => Cause::Other(format!(
            "{} itself can be written into, so look at what lies at exit.json in it",
            dir.display()
        )),
        (Ok(()), _) => Cause::Other(format!(
            "{} can be written into by the service, and nothing lies at exit.json in it",
            dir.display()
        )),
    }
}

/// The notice's key.
pub fn key(run: &RunRow) -> String {
    format!("{KEY}{}", run.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(free: u64, files: u64) -> Option<Room> {
        Some(Room {
            free,
            total: 1 << 40,
            files: Some(files),
        })
    }

    fn failed(kind: ErrorKind) -> io::Result<()> {
        Err(kind.into())
    }

    #[test]
    fn a_full_disk_is_named_and_permissions_only_where_there_is_room() {
        let dir = Path::new("/data/runs/7");
        let full = |left: &str| Cause::Full(left.to_owned());
        for (tried, room, left) in [
            (failed(ErrorKind::StorageFull), with(0, 5000), "0 MiB free"),
            (Ok(()), with(0, 5000), "0 MiB free"),
            (failed(ErrorKind::StorageFull), with(812 << 20, 0), "812 MiB and 0 inodes free"),
            (failed(ErrorKind::PermissionDenied), with(812 << 20, 0), "812 MiB and 0 inodes free"),
        ] {
            assert_eq!(judge(dir, tried, room, false), full(left));
        }
        assert!(
            matches!(judge(dir, failed(ErrorKind::QuotaExceeded), with(1 << 30, 5000), false), Cause::Full(why) if why.contains("quota"))
        );
        let other = |tried, lies| match judge(dir, tried, with(1 << 30, 5000), lies) {
            Cause::Other(why) => why,
            Cause::Full(left) => panic!("{left}"),
        };
        assert!(other(failed(ErrorKind::PermissionDenied), false).starts_with("/data/runs/7: "));
        assert!(other(Ok(()), true).contains("look at what lies at exit.json"));
        assert!(other(Ok(()), false).contains("nothing lies at exit.json"));
    }

    #[test]
    fn where_only_room_is_missing_nothing_is_given_up() {
        let dir = Path::new("/data/runs/7");
        let said = |cause: Cause| text("F-001", "run 7 (developer)", dir, &cause);
        let full = said(Cause::Full("0 MiB free".to_owned()));
        assert!(
            full.contains("the disk of /data/runs/7 is full (0 MiB free). Nothing is lost") && full.ends_with("it goes on by itself"),
            "{full}"
        );
        for advice in ["stop", "chmod", "chattr"] {
            assert!(!full.contains(advice), "{full}");
        }
        let other = said(Cause::Other("/data/runs/7: Permission denied".to_owned()));
        assert!(other.contains("chmod u+rwx") && other.ends_with("signalbox stop F-001"), "{other}");
    }

    #[tokio::test]
    async fn what_is_tried_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(cause(dir.path()).await, Cause::Other(_)));
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }
}
