//! What depends on this machine: git, room on the disk, agents' commands, the person's repository.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::engine::model::Name;
use crate::engine::rules::{Command, Config, Preflight, Ruleset, show_duration};
use crate::shell::git::{Git, GitError, NEEDED};
use crate::shell::limit;
use crate::shell::process::{Containment, Supervisor, environment, resolve};
use crate::shell::store;
use crate::shell::volume::{self, Room};

use super::{Ask, Notes};

/// Less room than this is worth a warning, in bytes: checkouts and logs take it in a day.
const LITTLE: u64 = 1 << 30;
/// The same of inodes: a checkout of a large repository takes as many.
const FEW: u64 = 50_000;
const NOT_EXECUTABLE: &str = "there is no such program, or it is not executable";

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
    restored(&mut notes, &ask.dir.join(&config.data));
    file_size(&mut notes, limit::highest());
    containment(&mut notes, config.containment).await;
    notes
}

/// What a restore left that was cut off. One that is at work now is left alone.
fn restored(notes: &mut Notes, data: &Path) {
    if let Some(refused) = store::unfinished(data).filter(|_| store::in_use(data).is_none()) {
        let why = "the service does not start: what lies there is neither what was there before nor the back-up";
        notes.problem(
            "machine.restore",
            refused.to_string(),
            why,
            "say the same `signalbox restore` again",
        );
    }
    if let Some(left) = store::left_over(data) {
        let what = format!(
            "{} is left of a restore that was cut off, unless one is at work now",
            left.display()
        );
        let mend = format!("rm -r {}", store::quoted(&left));
        notes.warning(
            "machine.restore",
            what,
            "it changed nothing, and takes as much room as the back-up",
            &mend,
        );
    }
}

/// How far files may grow; the service raises its limit to this one.
fn file_size(notes: &mut Notes, highest: Option<u64>) {
    let Some(what) = highest.and_then(limit::low) else { return };
    notes.warning(
        "machine.limit",
        what,
        "nothing can be recorded once the database has come to that; logs of runs are cut back to their beginning",
        limit::RAISE,
    );
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

/// The programs of the project's agents: asked as the service asks them, where it does.
pub(super) async fn commands(ask: Ask<'_>, config: &Config, project: &Name, rules: &Ruleset) -> Notes {
    let mut notes = Notes::of(Some(project.as_str()));
    let mut programs: Vec<(&Command, &[String], Vec<&str>)> = Vec::new();
    for command in ask.loaded.commands.iter().filter(|c| c.project == *project) {
        // What it is asked with is the agent's own environment.
        let env = rules.agents.get(&command.agent).map_or(&[][..], |agent| &agent.env);
        let same = |(c, e, _): &&mut (&Command, &[String], Vec<&str>)| c.program == command.program && *e == env;
        match programs.iter_mut().find(same) {
            Some((_, _, agents)) => agents.push(command.agent.as_str()),
            None => programs.push((command, env, vec![command.agent.as_str()])),
        }
    }
    let asker = match rules.preflight {
        Some(check) => Some(Asker::new(config, check, &ask.dir.join(&config.data)).await),
        None => None,
    };
    for (command, env, agents) in programs {
        let (program, agents) = (&command.program, agents.join(", "));
        let asked = match &asker {
            Some(Ok(asker)) => asker.ask(&resolve(ask.dir, program), env).await,
            None => executable(ask.dir, program).then_some(()).ok_or_else(|| NOT_EXECUTABLE.to_owned()),
            Some(Err(why)) => {
                notes.unknown(
                    "agents.command",
                    format!("{program:?} ({agents}) cannot be asked for its version: {why}"),
                    "",
                );
                continue;
            }
        };
        match asked {
            Ok(()) if asker.is_some() => notes.ok("agents.command", format!("{program} answers --version ({agents})")),
            Ok(()) => notes.ok("agents.command", format!("{program} can be executed ({agents})")),
            Err(why) => unusable(
                &mut notes,
                &format!("{program:?} cannot be used here ({agents}): {why}"),
                rules.preflight,
            ),
        }
    }
    notes
}

fn unusable(notes: &mut Notes, what: &str, check: Option<Preflight>) {
    let Some(check) = check else {
        let mend = "install it, correct the path, or make it executable: chmod +x";
        return notes.problem("agents.command", what, "every run of these agents fails at once", mend);
    };
    let mend = format!(
        "install it, correct the path, or make it executable; `--version` must end with 0 within {} and do nothing else. \
         For a command that does not know it: preflight.enabled = false",
        show_duration(check.timeout)
    );
    notes.problem("agents.command", what, "nothing is started with it", &mend);
}

/// Asks programs for their version.
struct Asker {
    supervisor: Supervisor,
    /// A HOME that no agent has.
    home: tempfile::TempDir,
    limit: Duration,
}

impl Asker {
    async fn new(config: &Config, check: Preflight, data: &Path) -> Result<Self, String> {
        let exe = std::env::current_exe().map_err(|e| format!("the program's own file is unknown: {e}"))?;
        Ok(Self {
            supervisor: Supervisor::probed(exe, config.containment).await,
            home: scratch(data)?,
            limit: Duration::from_millis(check.timeout.0.unsigned_abs()),
        })
    }

    async fn ask(&self, program: &str, env: &[String]) -> Result<(), String> {
        let home = self.home.path();
        let env = environment(env, home, BTreeMap::new());
        let never = CancellationToken::new();
        self.supervisor.preflight(program, &env, home, self.limit, &never).await
    }
}

/// A folder that goes again with the question: in the data directory, as the service has it, where that is there and can be
/// written; else among the machine's temporary files, which may be read-only.
fn scratch(data: &Path) -> Result<tempfile::TempDir, String> {
    let ours = tempfile::Builder::new().prefix(".doctor-").tempdir_in(data);
    ours.or_else(|ours| {
        let why = |other| {
            format!(
                "no folder can be made for it, neither in the data directory {} ({ours}) nor for temporary files ({other}): let the user \
                 that asks write to one of them",
                data.display()
            )
        };
        tempfile::tempdir().map_err(why)
    })
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

    #[test]
    fn what_is_made_to_ask_a_program_lies_in_the_data_directory_where_there_is_one() {
        let data = tempfile::tempdir().unwrap();
        let made = scratch(data.path()).unwrap();
        assert_eq!(made.path().parent(), Some(data.path()));
        drop(made);
        assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
        let missing = data.path().join("data");
        assert!(scratch(&missing).unwrap().path().is_dir() && !missing.exists());
    }

    #[test]
    fn a_restore_that_was_cut_off_is_a_problem_and_its_copy_alone_a_warning() {
        let data = tempfile::tempdir().unwrap();
        let found = || {
            let mut notes = Notes::of(None);
            restored(&mut notes, data.path());
            notes.findings.into_iter().map(|f| (f.level, f.check)).collect::<Vec<_>>()
        };
        assert_eq!(found(), []);
        std::fs::create_dir(data.path().join(store::FRESH)).unwrap();
        assert_eq!(found(), [(Level::Problem, "machine.restore")]);
        std::fs::write(data.path().join("signalbox.db"), "").unwrap();
        assert_eq!(found(), [(Level::Warning, "machine.restore")]);
        std::fs::write(data.path().join(store::MARK), "").unwrap();
        assert_eq!(found(), [(Level::Problem, "machine.restore")]);
    }

    #[test]
    fn a_low_limit_on_the_size_of_files_is_a_warning() {
        let found = |highest| {
            let mut notes = Notes::of(None);
            file_size(&mut notes, highest);
            notes.findings.into_iter().map(|f| (f.level, f.check, f.what)).collect::<Vec<_>>()
        };
        let low = (Level::Warning, "machine.limit", "files may not grow over 2 MiB".to_owned());
        assert_eq!(found(Some(2 << 20)), [low]);
        assert_eq!((found(Some(limit::LITTLE)), found(None)), (vec![], vec![]));
    }
}
