//! Back-up and restore of a data directory.
//!
//! A back-up is a folder: the database as of one moment, the vaults, the local forge's
//! repositories, logs and archives, and a manifest. The database is copied first. What the
//! repositories hold beyond it is what a service finds after a crash, and is dealt with as then.
//! Checkouts are not in it: they are made anew; nor is what was an agent's alone, its HOME and
//! temporary files. Only its user may read it.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::store::{FRESH, OpenError, check_database, copy_database, highest_run, keep_out, pass_over_runs, told};
use super::{clock, folder};

mod old_runs;
mod sparse;
mod swap;

pub use super::store::AtWork;

/// The manifest's name.
const MANIFEST: &str = "backup.json";
/// The database's name.
const DATABASE: &str = "signalbox.db";
/// Folders of bare repositories.
const REPOSITORIES: [&str; 2] = ["vaults", "forge"];
/// Folders that are copied as they are.
const FOLDERS: [&str; 2] = ["runs", "archive"];
/// Folders of a run that are its agent's alone: scratch files, caches, perhaps credentials. Nobody needs them after it.
const SCRATCH: [&str; 2] = ["home", "tmp"];
/// What others may do with a copy: nothing.
const OTHERS: u32 = 0o077;
/// All that is put in place, the database last: what is moved is in this order.
const PARTS: [&str; 5] = ["archive", "runs", "forge", "vaults", DATABASE];
/// Version of the layout.
const LAYOUT: u32 = 1;

/// What a back-up says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of its layout.
    pub layout: u32,
    /// Version of the signalbox that made it.
    pub signalbox: String,
    /// Version of the database's schema.
    pub schema: i64,
    /// When it was made: milliseconds since the Unix epoch.
    pub made_at: i64,
    /// Files in it, the manifest aside.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Why it was not done; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// A file or folder cannot be used.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file cannot be copied.
    #[error("{} cannot be copied to {}: {why}", from.display(), to.display())]
    Copy {
        /// Which.
        from: PathBuf,
        /// Where to.
        to: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The target exists.
    #[error("{} is there already: name a folder that is not, nothing is written over", .0.display())]
    Exists(PathBuf),
    /// The target lies in what is copied.
    #[error("{} lies in the data directory {}: it would be lost with it; name a folder elsewhere, best on another disk", to.display(), data.display())]
    Within {
        /// The target.
        to: PathBuf,
        /// The data directory.
        data: PathBuf,
    },
    /// The data directory is in use by what would be restored over.
    #[error("{} holds a database: `--replace` moves what is there aside and restores", .0.display())]
    Occupied(PathBuf),
    /// Agents are at work in what would be replaced.
    #[error("agents are still at work in {}, which outlive the service: {}", data.display(), told(runs))]
    AtWork {
        /// The data directory.
        data: PathBuf,
        /// Their runs.
        runs: Vec<AtWork>,
    },
    /// It is no back-up, or one of a newer version.
    #[error("{} is no back-up that this version can restore: {why}", path.display())]
    Unknown {
        /// The folder.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

type Result<T> = std::result::Result<T, BackupError>;

/// Copies the data directory `data` to the new folder `to`, while the service works.
///
/// # Errors
/// What cannot be read or written; an unfinished copy is taken away again.
pub fn back_up(data: &Path, to: &Path) -> Result<Manifest> {
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    if within(to, data) {
        return Err(BackupError::Within {
            to: to.to_owned(),
            data: data.to_owned(),
        });
    }
    let partial = beside(to, "partial");
    folder::private(&partial).map_err(failed(&partial))?;
    let made = collect(data, &partial).and_then(|manifest| {
        fs::rename(&partial, to).map_err(failed(to))?;
        sync(folder::of(to))?;
        Ok(manifest)
    });
    if made.is_err() {
        // What is left of a failed copy is of no use to anyone.
        let _ = fs::remove_dir_all(&partial);
    }
    made
}

/// Whether a folder that is to be made would lie in the data directory, by whatever path it is named.
fn within(to: &Path, data: &Path) -> bool {
    let Ok(to) = std::path::absolute(to) else { return false };
    let Ok(data) = fs::canonicalize(data) else { return false };
    let there = to.ancestors().find_map(|above| fs::canonicalize(above).ok());
    there.is_some_and(|there| there.starts_with(data))
}

fn collect(data: &Path, to: &Path) -> Result<Manifest> {
    let schema = copy_database(data, &to.join(DATABASE))?;
    close(&to.join(DATABASE))?;
    let mut tally = Tally::default();
    tally.count(&to.join(DATABASE))?;
    for folder in REPOSITORIES {
        for repository in entries(&data.join(folder))? {
            let target = to.join(folder).join(repository.file_name().unwrap_or_default());
            copy_repository(&repository, &target, &mut tally)?;
        }
    }
    for folder in FOLDERS {
        copy_part(folder, data, to, &mut tally)?;
    }
    let manifest = Manifest {
        layout: LAYOUT,
        signalbox: env!("CARGO_PKG_VERSION").to_owned(),
        schema,
        made_at: clock::now().0,
        files: tally.files,
        bytes: tally.bytes,
    };
    let text = serde_json::to_string_pretty(&manifest).unwrap_or_default();
    fs::write(to.join(MANIFEST), text).map_err(failed(to))?;
    close(&to.join(MANIFEST))?;
    sync(&to.join(MANIFEST))?;
    sync(to)?;
    Ok(manifest)
}

/// Puts the back-up `from` in the place of the data directory `data`. What is there is moved aside,
/// where `replace` allows it; gives the folder that it was moved to.
///
/// # Errors
/// What makes it impossible; `data` is as it was then. One that is killed leaves what was there, what is to come, or a mark
/// beside which no service begins; the next one goes on from there.
pub fn restore(from: &Path, data: &Path, replace: bool) -> Result<(Manifest, Option<PathBuf>)> {
    let manifest = look(from)?;
    folder::private(data).map_err(failed(data))?;
    let kept_out = keep_out(data)?;
    swap::take_back(data)?;
    if data.join(DATABASE).exists() && !replace {
        return Err(BackupError::Occupied(data.to_owned()));
    }
    let runs = old_runs::at_work(data)?;
    if !runs.is_empty() {
        let data = data.to_owned();
        return Err(BackupError::AtWork { data, runs });
    }
    let fresh = data.join(FRESH);
    let give_up = || drop(fs::remove_dir_all(&fresh));
    give_up();
    gather(from, data, &fresh).inspect_err(|_| give_up())?;
    let aside = swap::carry_out(from, data, lying(data))?;
    drop(kept_out);
    Ok((manifest, aside))
}

/// Copies what is put in place to where it is gathered.
fn gather(from: &Path, data: &Path, fresh: &Path) -> Result<()> {
    let mut tally = Tally::default();
    for part in PARTS {
        copy_part(part, from, fresh, &mut tally)?;
    }
    // A copy holds runs that began after its database was copied, too.
    if let Some(last) = highest_run(data).max(highest_run(fresh)) {
        // A number is given once: by it, what comes late from a run of then is told from a run of now.
        pass_over_runs(&fresh.join(DATABASE), last)?;
    }
    Ok(())
}

/// Names of what lies in a data directory and is replaced.
fn lying(data: &Path) -> Vec<String> {
    let companions = ["signalbox.db-wal", "signalbox.db-shm", "signalbox.db-journal", "signalbox.open"];
    let all = companions.into_iter().chain(PARTS).chain(["checkouts"]);
    all.filter(|name| data.join(name).symlink_metadata().is_ok())
        .map(str::to_owned)
        .collect()
}

/// Reads the manifest and looks at the database.
fn look(from: &Path) -> Result<Manifest> {
    let unknown = |why: String| BackupError::Unknown {
        path: from.to_owned(),
        why,
    };
    let text = fs::read_to_string(from.join(MANIFEST)).map_err(|e| unknown(format!("{MANIFEST}: {e}")))?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|e| unknown(format!("{MANIFEST}: {e}")))?;
    if manifest.layout != LAYOUT {
        return Err(unknown(format!(
            "its layout is {}, this version knows {LAYOUT}: use signalbox {}",
            manifest.layout, manifest.signalbox
        )));
    }
    let mut tally = Tally::default();
    tally.tree(from)?;
    // The manifest itself is not in its own count.
    if tally.files != manifest.files + 1 {
        return Err(unknown(format!(
            "it has {} files, its manifest says {}",
            tally.files - 1,
            manifest.files
        )));
    }
    check_database(&from.join(DATABASE))?;
    Ok(manifest)
}

/// Copies a bare repository that is in use: its refs first, and then the objects that they name,
/// which are never deleted.
fn copy_repository(from: &Path, to: &Path, tally: &mut Tally) -> Result<()> {
    for first in ["HEAD", "packed-refs", "refs"] {
        copy(&from.join(first), &to.join(first), tally)?;
    }
    for rest in entries(from)? {
        let name = rest.file_name().unwrap_or_default();
        if ["HEAD", "packed-refs", "refs"].iter().all(|first| name != *first) {
            copy(&rest, &to.join(name), tally)?;
        }
    }
    Ok(())
}

/// Files in use that are of no meaning once whoever wrote them is gone.
fn passing(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".lock") || name.starts_with("tmp_")
}

/// Takes from others what they may do with a file.
fn close(path: &Path) -> Result<()> {
    let mut rights = path.metadata().map_err(failed(path))?.permissions();
    rights.set_mode(rights.mode() & !OTHERS);
    fs::set_permissions(path, rights).map_err(failed(path))
}

/// Copies what is called so in one folder to another one.
fn copy_part(part: &str, from: &Path, to: &Path, tally: &mut Tally) -> Result<()> {
    let (from, to) = (from.join(part), to.join(part));
    if part != "runs" {
        return copy(&from, &to, tally);
    }
    for run in entries(&from)? {
        let to = to.join(run.file_name().unwrap_or_default());
        if run.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            copy_run(&run, &to, tally)?;
        } else {
            copy(&run, &to, tally)?;
        }
    }
    if to.is_dir() { sync(&to) } else { Ok(()) }
}

/// Copies a run's folder without what was its agent's alone.
fn copy_run(from: &Path, to: &Path, tally: &mut Tally) -> Result<()> {
    fs::create_dir_all(to).map_err(failed(to))?;
    for entry in entries(from)? {
        let name = entry.file_name().unwrap_or_default();
        if SCRATCH.iter().all(|scratch| name != *scratch) {
            copy(&entry, &to.join(name), tally)?;
        }
    }
    sync(to)
}

fn copy(from: &Path, to: &Path, tally: &mut Tally) -> Result<()> {
    let Ok(found) = from.symlink_metadata() else { return Ok(()) };
    if found.is_dir() {
        fs::create_dir_all(to).map_err(failed(to))?;
        for entry in entries(from)? {
            copy(&entry, &to.join(entry.file_name().unwrap_or_default()), tally)?;
        }
        return sync(to);
    }
    // Links, sockets and pipes are nobody's data.
    if !found.is_file() || passing(from) {
        return Ok(());
    }
    let parent = folder::of(to);
    fs::create_dir_all(parent).map_err(failed(parent))?;
    match sparse::copy(from, to, !OTHERS) {
        Ok(()) => {
            sync(to)?;
            tally.count(to)
        }
        // It was renamed or put into a pack meanwhile; what it held is copied from there.
        Err(e) if e.kind() == ErrorKind::NotFound && !from.exists() => Ok(()),
        // Either side may be at fault, and the words alone do not tell which.
        Err(e) => Err(BackupError::Copy {
            from: from.to_owned(),
            to: to.to_owned(),
            why: e.to_string(),
        }),
    }
}

#[derive(Default)]
struct Tally {
    files: u64,
    bytes: u64,
}

impl Tally {
    fn count(&mut self, path: &Path) -> Result<()> {
        self.files += 1;
        self.bytes += path.metadata().map_err(failed(path))?.len();
        Ok(())
    }

    fn tree(&mut self, path: &Path) -> Result<()> {
        for entry in entries(path)? {
            if entry.is_dir() {
                self.tree(&entry)?;
            } else {
                self.count(&entry)?;
            }
        }
        Ok(())
    }
}

/// What is in a folder, in order; nothing where there is none.
fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = match fs::read_dir(dir) {
        Ok(read) => read,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed(dir)(e)),
    };
    let mut all: Vec<PathBuf> = read.flatten().map(|e| e.path()).collect();
    all.sort();
    Ok(all)
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    path.with_file_name(format!(".{name}.{what}"))
}

fn sync(path: &Path) -> Result<()> {
    fs::File::open(path).and_then(|f| f.sync_all()).map_err(failed(path))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
    |e| BackupError::File {
        path: path.to_owned(),
        why: e.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::store::Store;

    #[test]
    fn what_cannot_be_copied_is_told_with_where_it_was_to_go() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, "x").unwrap();
        fs::create_dir(&to).unwrap();
        let told = copy(&from, &to, &mut Tally::default()).unwrap_err().to_string();
        let both = format!("{} cannot be copied to {}: ", from.display(), to.display());
        assert!(told.starts_with(&both), "{told}");
    }

    /// Every path below a folder whose own rights others have any of.
    fn open_to_others(dir: &Path) -> Vec<PathBuf> {
        let of = |path: &PathBuf| path.metadata().unwrap().permissions().mode() & OTHERS != 0;
        entries(dir).unwrap().into_iter().filter(|p| p.is_file() && of(p)).collect()
    }

    #[tokio::test]
    async fn what_was_an_agents_alone_is_neither_copied_nor_put_back_and_others_may_read_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (data, to, back) = (dir.path().join("data"), dir.path().join("to"), dir.path().join("back"));
        Store::open(&data, "box").unwrap().close().await;
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data), 0o700, "a directory that is made is its user's alone");
        for name in ["home/.netrc", "tmp/core", "exit.json"] {
            let file = data.join("runs/3").join(name);
            fs::create_dir_all(folder::of(&file)).unwrap();
            fs::write(file, "x").unwrap();
        }
        fs::write(data.join("runs/3.log"), "x").unwrap();
        let manifest = back_up(&data, &to).unwrap();
        let names = |dir: &Path| {
            let all = entries(&dir.join("runs/3")).unwrap().into_iter();
            all.filter_map(|p| Some(p.file_name()?.to_str()?.to_owned())).collect::<Vec<_>>()
        };
        assert_eq!((names(&to), manifest.files), (vec!["exit.json".to_owned()], 3));
        assert_eq!(mode(&to), 0o700);
        for folder in [&to, &to.join("runs"), &to.join("runs/3")] {
            assert_eq!(open_to_others(folder), Vec::<PathBuf>::new());
        }
        // One that was made before: it counts what is in it, and that stays there.
        fs::create_dir(to.join("runs/3/home")).unwrap();
        fs::write(to.join("runs/3/home/x"), "x").unwrap();
        let counted = Manifest { files: 4, ..manifest };
        fs::write(to.join(MANIFEST), serde_json::to_string(&counted).unwrap()).unwrap();
        restore(&to, &back, false).unwrap();
        assert_eq!((names(&back), mode(&back)), (vec!["exit.json".to_owned()], 0o700));
    }

    #[test]
    fn without_a_database_there_is_nothing_to_copy_and_nobody_is_sent_to_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let (data, to) = (dir.path().join("data"), dir.path().join("to"));
        fs::create_dir(&data).unwrap();
        let told = back_up(&data, &to).unwrap_err().to_string();
        assert!(told.contains("there is no database") && !told.contains("right to write"), "{told}");
        let left = fs::read_dir(dir.path()).unwrap().flatten().map(|e| e.file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["data"]);
    }
}
