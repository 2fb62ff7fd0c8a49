//! What lies beside the database: runs that it ought to know of. A database that is gone, empty or older than they are is
//! noticed by them, and no number of a run is given a second time.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};

use super::codec::first;
use super::open::refused;
use super::{OpenError, Result, Store, migrations, notices};
use crate::engine::model::{Millis, RunId, TaskId};

/// How folders begin that a restore moved aside.
pub const REPLACED: &str = "replaced-";
/// The notice's key.
const KEY: &str = "older database";

/// A run whose shim is at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtWork {
    /// Its number.
    pub run: RunId,
    /// Its folder.
    pub dir: PathBuf,
    /// The process id of its shim.
    pub pid: i32,
}

/// Asks of a run's folder who is at work in it: the process id of its shim.
pub type Asked<'a> = &'a dyn Fn(&Path) -> Option<i32>;

/// What the operator is told: which they are, and how they are ended.
#[must_use]
pub fn told(runs: &[AtWork]) -> String {
    let names: Vec<String> = runs
        .iter()
        .map(|r| format!("run {} (its shim is process {})", r.run, r.pid))
        .collect();
    let orders: Vec<String> = runs.iter().map(|r| quoted(&r.dir.join("abandon"))).collect();
    format!(
        "{}. To end them: touch {}    # each within its `grace`; then try again",
        names.join(", "),
        orders.join(" ")
    )
}

/// A path as a shell takes it.
#[must_use]
pub fn quoted(path: &Path) -> String {
    let plain = path.display().to_string();
    shlex::try_quote(&plain).map_or_else(|_| plain.clone(), std::borrow::Cow::into_owned)
}

/// A number that lies in a folder of runs, as a folder, a log or both.
fn numbers(runs: &Path) -> Vec<i64> {
    let number = |name: &str| name.split('.').next()?.parse::<i64>().ok().filter(|n| *n > 0);
    // One that cannot be read is named by whoever is to write there.
    let entries = fs::read_dir(runs).into_iter().flatten().flatten();
    entries.filter_map(|entry| number(&entry.file_name().to_string_lossy())).collect()
}

/// The highest number that a run of this data directory ever had, as far as folders and logs tell, with those that
/// restores moved aside.
#[must_use]
pub fn highest_run(data: &Path) -> Option<RunId> {
    let entries = fs::read_dir(data).into_iter().flatten().flatten();
    let aside = entries
        .filter(|e| e.file_name().to_string_lossy().starts_with(REPLACED))
        .map(|e| e.path());
    let all = aside.chain([data.to_owned()]).flat_map(|folder| numbers(&folder.join("runs")));
    all.max().map(RunId)
}

/// Refuses to begin anew beside what a database that is gone once led to: its numbers would be given out again.
pub(super) fn orphaned(data: &Path, path: &Path) -> Result<(), OpenError> {
    if numbers(&data.join("runs")).is_empty() {
        return Ok(());
    }
    Err(OpenError::Gone {
        path: path.to_owned(),
        data: data.to_owned(),
    })
}

/// The highest number that the database has given to a run.
fn given(conn: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'runs'";
    Ok(conn.query_row(sql, [], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Sees to it that no run will ever have this number, or a lower one that is free.
pub(super) fn pass_over(conn: &Connection, run: RunId) -> rusqlite::Result<()> {
    let raised = "UPDATE sqlite_sequence SET seq = MAX(seq, ?1) WHERE name = 'runs'";
    if conn.execute(raised, [run.0])? == 0 {
        // Before the first run there is no row.
        conn.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('runs', ?1)", [run.0])?;
    }
    Ok(())
}

/// Looks for runs that came after all that the database knows of. Nothing is changed.
///
/// # Errors
/// [`OpenError::Older`] where somebody is at work in one of them: nobody would follow, find or end it.
pub(super) fn look(conn: &Connection, path: &Path, data: &Path, at_work: Asked<'_>) -> Result<(), OpenError> {
    let refuse = |e: rusqlite::Error| refused(path, &e);
    let known = if migrations::version(conn).map_err(refuse)? == 0 {
        0
    } else {
        given(conn).map_err(refuse)?
    };
    let found = later(&data.join("runs"), known).into_iter().filter_map(|(n, dir)| {
        let pid = at_work(&dir)?;
        Some(AtWork { run: RunId(n), dir, pid })
    });
    let runs: Vec<AtWork> = found.collect();
    if runs.is_empty() {
        return Ok(());
    }
    Err(OpenError::Older {
        path: path.to_owned(),
        known,
        runs,
    })
}

/// Numbers of runs that lie in a folder and came after this one, in order.
fn later(folder: &Path, known: i64) -> Vec<(i64, PathBuf)> {
    let mut later: Vec<i64> = numbers(folder).into_iter().filter(|n| *n > known).collect();
    later.sort_unstable();
    later.dedup();
    let all = later.into_iter().map(|n| (n, folder.join(n.to_string())));
    all.filter(|(_, dir)| dir.is_dir()).collect()
}

impl Store {
    /// Folders of runs that came after all that the database knows of.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn later_runs(&self) -> Result<Vec<PathBuf>> {
        let folder = self.0.place.database.with_file_name("runs");
        let known = self.read(|conn| Ok(given(conn)?)).await?;
        let looked = tokio::task::spawn_blocking(move || later(&folder, known)).await;
        // A panic was told; what it did not find is found at the next start.
        Ok(looked.unwrap_or_default().into_iter().map(|(_, dir)| dir).collect())
    }

    /// Passes over the numbers of runs that lie beside the database and that it does not know of, and tells people once
    /// that it is older than they are. Gives what they are told; nothing where it knows them all, as it must.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn pass_over_beside(&self, now: Millis) -> Result<Option<String>> {
        let database = self.0.place.database.clone();
        self.write(move |conn| {
            let data = database.parent().unwrap_or(Path::new("/"));
            let known = given(conn)?;
            let Some(highest) = highest_run(data).filter(|highest| highest.0 > known) else {
                return Ok(None);
            };
            pass_over(conn, highest)?;
            let text = older(&database, known, highest);
            notices::lower(conn, KEY, None, now)?;
            // Whoever is told of a task hears of it.
            let task = first(conn, "SELECT id FROM tasks ORDER BY terminal, id DESC LIMIT 1", [], |row| {
                Ok(TaskId(row.get(0)?))
            })?;
            if let Some(task) = task {
                notices::raise(conn, KEY, task, &text, now)?;
            }
            Ok(Some(text))
        })
        .await
    }

    /// The database knows all that lies beside it: it is no news any more that it once did not.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn knows_all_beside(&self, now: Millis) -> Result<()> {
        self.lower(KEY, None, now).await.map(drop)
    }
}

/// What it knows, in words.
pub(super) fn last(known: i64) -> String {
    if known == 0 {
        return "it knows of no run".to_owned();
    }
    format!("the last that it knows is run {known}")
}

fn older(database: &Path, known: i64, highest: RunId) -> String {
    let runs = database.with_file_name("runs");
    let first = known + 1;
    let which = if first == highest.0 {
        format!("run {highest} lies")
    } else {
        format!("runs up to {highest} lie")
    };
    format!(
        "{} is older than the runs beside it: {}, but {which} in {}. An older database was put in its \
         place, and tasks, answers and costs that came after it are not in it. Nothing of those runs is at work; they are left as they \
         are, and new runs begin with {}. If that was not meant, end the service and put the newer database back, or \
         `signalbox restore FOLDER --replace`",
        database.display(),
        last(known),
        runs.display(),
        highest.0 + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_that_were_moved_aside_and_other_names_do_not() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path();
        assert_eq!(highest_run(data), None);
        for name in ["runs/9", "runs/notes", "runs/10", "replaced-5/runs/31", "elsewhere/runs/99"] {
            fs::create_dir_all(data.join(name)).unwrap();
        }
        assert_eq!(highest_run(data), Some(RunId(31)));
        fs::write(data.join("runs/33.log"), "").unwrap();
        assert_eq!(highest_run(data), Some(RunId(33)), "a log alone is of a run as well");
    }
}
