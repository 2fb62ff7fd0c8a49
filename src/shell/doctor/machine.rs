//! What depends on this machine: git, room on the disk, agents' commands, the person's repository.

use std::fmt::Write as _;
use std::path::Path;

use crate::engine::model::Name;
use crate::engine::rules::Config;
use crate::shell::git::{Git, GitError, NEEDED};
use crate::shell::process::{Containment, Supervisor};
use crate::shell::volume::{self, Room};

use super::{Ask, Notes};

/// Less room than this is worth a warning, in bytes: checkouts and logs take it in a day.
const LITTLE: u64 = 1 << 30;
/// The same of inodes: a checkout of a large repository takes as many.
const FEW: u64 = 50_000;

/// Git and the data directory.
pub(super) async fn look(ask: Ask<'_>, config: &Config) -> Notes {
    let mut notes = Notes::of(None);
    let why = "every checkout, push and merge is git's work";
    let mend = format!("install git {NEEDED} or newer where the service's PATH finds it");
    match Git::find().await {
        Ok(git) => match git.version().await {
            Ok(version) => notes.ok("machine.git", format!("git {version} at {}", git.program().display())),
            Err(error) => notes.problem("machine.git", error.to_string(), why, &mend),
        },
        Err(error @ (GitError::Missing | GitError::TooOld { .. })) => notes.problem("machine.git", error.to_string(), why, &mend),
        Err(error) => notes.problem("machine.git", format!("git does not run: {error}"), why, &mend),
    }
    disk(&mut notes, &ask.dir.join(&config.data));
    containment(&mut notes, config.containment).await;
    notes
}

/// How firmly runs can be held, and why not more firmly.
async fn containment(notes: &mut Notes, bound: Containment) {
    let Ok(exe) = std::env::current_exe() else {
        return notes.unknown(
            "machine.containment",
            "how firmly runs can be held cannot be tried out: the program's own file is unknown",
            "",
        );
    };
    let (level, refused) = Supervisor::survey(&exe, bound).await;
    let mut what = format!("runs are held at level `{}`", level.as_str());
    for (better, why) in &refused {
        let _ = write!(what, "; not `{}`: {why}", better.as_str());
    }
    if bound < Containment::Pidns && refused.is_empty() {
        let _ = write!(what, ", and `containment` of signalbox.toml bounds it");
    }
    if level > Containment::Tagged || bound == Containment::Tagged {
        return notes.ok("machine.containment", what);
    }
    notes.warning(
        "machine.containment",
        what,
        "a process that drops its environment and outlives its run's shim is not found when the run is ended",
        "allow user namespaces for the service's user (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0), \
         or give the service a cgroup of its own: Delegate=yes in its unit; docs/operations.md, Containment",
    );
}

/// Room where the data directory is or will be.
fn disk(notes: &mut Notes, data: &Path) {
    let Some(there) = data.ancestors().find(|p| p.is_dir()) else {
        return;
    };
    let Ok(room) = volume::room(there) else {
        return notes.unknown("machine.disk", format!("how much room {} has cannot be told", there.display()), "");
    };
    judge(notes, room, data);
}

fn judge(notes: &mut Notes, room: Room, data: &Path) {
    let why = "without room nothing can be recorded, and the service stops taking work";
    let mend = "make room (`df -h` and `df -i` tell of what), or put `data` on another disk";
    if room.full() {
        let what = format!("the disk of {} is full ({})", data.display(), room.left());
        return notes.problem("machine.disk", what, why, mend);
    }
    let what = format!("{} MiB are free for {}", room.free >> 20, data.display());
    match room.files.filter(|files| *files < FEW) {
        Some(files) => notes.warning("machine.disk", format!("{what}, and {files} inodes"), why, mend),
        None if room.free < LITTLE => notes.warning("machine.disk", what, why, mend),
        None => notes.ok("machine.disk", what),
    }
}

/// The programs of the project's agents.
pub(super) async fn commands(ask: Ask<'_>, project: &Name) -> Notes {
    let mut notes = Notes::of(Some(project.as_str()));
    let mut programs: Vec<(&str, Vec<&str>)> = Vec::new();
    for command in ask.loaded.commands.iter().filter(|c| c.project == *project) {
        match programs.iter_mut().find(|(program, _)| *program == command.program) {
            Some((_, agents)) => agents.push(command.agent.as_str()),
            None => programs.push((&command.program, vec![command.agent.as_str()])),
        }
    }
    for (program, agents) in programs {
        let agents = agents.join(", ");
        if executable(ask.dir, program) {
            notes.ok("agents.command", format!("{program} can be executed ({agents})"));
        } else {
            notes.problem(
                "agents.command",
                format!("{program:?} cannot be executed here ({agents})"),
                "every run of these agents fails at once",
                "install it, correct the path, or make it executable: chmod +x",
            );
        }
    }
    notes
}

/// Whether a program can be executed here: `./…` from the directory of the rules, as the service
/// does it, a plain name from PATH.
#[must_use]
pub fn executable(dir: &Path, program: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let runs = |path: &Path| std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if program.contains('/') {
        return runs(&dir.join(program));
    }
    std::env::var_os("PATH").is_some_and(|paths| std::env::split_paths(&paths).any(|p| runs(&p.join(program))))
}

/// The person's repository that the local forge begins with.
pub(super) async fn source(ask: Ask<'_>, source: &str, mut notes: Notes) -> Notes {
    let path = ask.dir.join(source);
    // A checkout has `.git`, as a folder or (a worktree) as a file; a bare one has `HEAD`.
    if path.join(".git").exists() || path.join("HEAD").is_file() {
        notes.ok("forge", format!("the service's own forge, over {}", path.display()));
    } else {
        notes.problem(
            "forge.repository",
            format!("{} is no git repository", path.display()),
            "the local forge begins with its default branch",
            "set `forge.source` to the repository's folder, or make one there: git init",
        );
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::doctor::Level;

    #[test]
    fn a_full_disk_is_a_problem_and_one_with_little_room_a_warning() {
        let level = |free: u64, files: Option<u64>| {
            let mut notes = Notes::of(None);
            let room = Room {
                free,
                total: 1 << 40,
                files,
            };
            judge(&mut notes, room, Path::new("/data"));
            let found = notes.findings.remove(0);
            (found.level, found.what)
        };
        let full = |left: &str| (Level::Problem, format!("the disk of /data is full ({left})"));
        assert_eq!(level(0, Some(1 << 20)), full("0 MiB free"));
        assert_eq!(level(1 << 40, Some(0)), full("1048576 MiB and 0 inodes free"));
        assert_eq!(level(LITTLE - 1, None).0, Level::Warning);
        assert_eq!(level(LITTLE, Some(FEW - 1)).0, Level::Warning);
        assert_eq!(level(LITTLE - 1, Some(FEW)).0, Level::Warning);
        assert_eq!(level(LITTLE, Some(FEW)), (Level::Ok, "1024 MiB are free for /data".to_owned()));
    }
}
