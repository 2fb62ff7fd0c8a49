//! Opening the database: every way it can be refused is told apart before anything is changed.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::statfs;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::lock::{Lock, files, unusable};
use super::place::Place;
use super::witness::Witness;
use super::{OpenError, beside, check, migrations, restoring};
use crate::shell::{folder, limit};

/// The database's name in the data directory.
pub(super) const FILE: &str = "signalbox.db";
/// The oldest SQLite that does not damage the file when the write-ahead log is reset.
const OLDEST_SQLITE: i32 = 3_051_003;
/// How long SQLite waits for a program that holds the file.
const BUSY: Duration = Duration::from_secs(5);
/// Statements kept compiled per connection.
const STATEMENTS: usize = 160;

/// An opened data directory.
pub(super) struct Opened {
    pub lock: Lock,
    pub writer: Connection,
    pub readers: Vec<Connection>,
    /// Which files these are.
    pub place: Place,
    /// Whether every page of it was read.
    pub whole: bool,
    /// Whether whoever used it last ended in good order.
    pub in_order: bool,
}

/// Opens or creates the database of a data directory. Of runs that it does not know it is asked who is at work in them.
pub(super) fn open(data: &Path, readers: usize, at_work: beside::Asked<'_>) -> Result<Opened, OpenError> {
    let path = data.join(FILE);
    if rusqlite::version_number() < OLDEST_SQLITE {
        let why = format!(
            "SQLite {} can damage it; build with the bundled SQLite, 3.51.3 or newer",
            rusqlite::version()
        );
        return Err(OpenError::Unsupported { path, why });
    }
    folder::private(data).map_err(|e| unusable(data, &e))?;
    local(data)?;
    let lock = Lock::take(data)?;
    restored(data)?;
    files(&path)?;
    let fresh = sniff(&path)?;
    if fresh || fs::metadata(&path).is_ok_and(|found| found.len() == 0) {
        beside::orphaned(data, &path)?;
    }
    let witness = Witness::look(data, &path)?;
    let whole = check::at_once(&path);
    let later = |conn: &Connection| beside::look(conn, &path, data, at_work);
    let opened = set_up(&path, &witness, whole, &later).and_then(|writer| {
        let readers = (0..readers).map(|_| reader(&path)).collect::<Result<Vec<_>, _>>()?;
        // It has been written to: log and all are there.
        let place = Place::of(&path).map_err(|e| unusable(&path, &e))?;
        Ok((writer, readers, place))
    });
    match opened {
        Ok((writer, readers, place)) => Ok(Opened {
            lock,
            writer,
            readers,
            place,
            whole,
            in_order: witness.in_order,
        }),
        Err(e) => {
            if fresh {
                // It was not there before and we hold the lock: nobody can miss it.
                for suffix in ["", "-wal", "-shm", "-journal"] {
                    let _ = fs::remove_file(data.join(format!("{FILE}{suffix}")));
                }
            }
            Err(e)
        }
    }
}

/// Refuses what a restore left that was cut off, and tells of what takes only room.
fn restored(data: &Path) -> Result<(), OpenError> {
    if let Some(refused) = restoring::unfinished(data) {
        return Err(refused);
    }
    if let Some(left) = restoring::left_over(data) {
        tracing::warn!(
            "{} is an unfinished copy of a restore that was cut off before it changed anything: it takes room only, remove it",
            left.display()
        );
    }
    Ok(())
}

fn local(data: &Path) -> Result<(), OpenError> {
    // SMB and CIFS have no constants in nix.
    const NETWORK: [(i64, &str); 6] = [
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB"),
        (0x7375_7245, "Coda"),
        (0x5346_414f, "AFS"),
    ];
    let Ok(stat) = statfs::statfs(data) else { return Ok(()) };
    #[allow(clippy::unnecessary_cast, clippy::cast_lossless, reason = "the type differs between platforms")]
    let magic = stat.filesystem_type().0 as i64 & 0xffff_ffff;
    match NETWORK.iter().find(|(m, _)| *m == magic) {
        Some((_, kind)) => Err(OpenError::NetworkFileSystem {
            path: data.to_owned(),
            kind,
        }),
        None => Ok(()),
    }
}

/// Whether there is no database yet; refuses a file that is none.
fn sniff(path: &Path) -> Result<bool, OpenError> {
    let mut head = Vec::new();
    match fs::File::open(path) {
        Ok(file) => file.take(16).read_to_end(&mut head).map_err(|e| unusable(path, &e))?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(e) => return Err(unusable(path, &e)),
    };
    if head.is_empty() || head == b"SQLite format 3\0" {
        return Ok(false);
    }
    Err(OpenError::NotADatabase {
        path: path.to_owned(),
        why: "its first bytes are not those of an SQLite file".to_owned(),
    })
}

/// What else must be right before anything is changed.
type Check<'a> = &'a dyn Fn(&Connection) -> Result<(), OpenError>;

fn set_up(path: &Path, witness: &Witness, whole: bool, besides: Check<'_>) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let refuse = |e: rusqlite::Error| refused(path, &e);
    let mut conn = Connection::open_with_flags(path, flags).map_err(refuse)?;
    conn.busy_timeout(BUSY).map_err(refuse)?;
    // Until all is found right, closing must not take what is left of the log into the database.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(refuse)?;
    ours(path, &conn)?;
    conn.pragma_update(None, "foreign_keys", true).map_err(refuse)?;
    // The answer is what counts: the pragma reports no error where it did not take.
    let mode: String = conn
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(refuse)?;
    if mode != "wal" {
        let why = format!("it stays in journal mode {mode}: its file system has no shared memory; use a local disk");
        return Err(OpenError::Unsupported {
            path: path.to_owned(),
            why,
        });
    }
    conn.pragma_update(None, "synchronous", "FULL").map_err(refuse)?;
    in_memory(&conn).map_err(refuse)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.set_transaction_behavior(TransactionBehavior::Immediate);
    if whole {
        check::look(&conn, path)?;
    }
    witness.compare(&conn, path)?;
    besides(&conn)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
        .map_err(refuse)?;
    migrations::run(&mut conn).map_err(refuse)?;
    // A real write: shows now, not later, that the file can be written and nobody holds it.
    conn.execute("UPDATE meta SET opens = opens + 1", []).map_err(refuse)?;
    witness.mark()?;
    Ok(conn)
}

/// Nothing that lasts no longer than a statement goes to a temporary file: that would be slower, may lie on another disk that
/// is full, and there may be no folder for it at all.
fn in_memory(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "temp_store", "MEMORY")
}

/// Refuses a database of another program or of a newer signalbox.
pub(super) fn ours(path: &Path, conn: &Connection) -> Result<(), OpenError> {
    let refuse = |e: rusqlite::Error| refused(path, &e);
    let found = migrations::version(conn).map_err(refuse)?;
    let known = migrations::known();
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(refuse)?;
    let empty: bool = conn
        .query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
        .map_err(refuse)?;
    if application != migrations::APPLICATION && !empty {
        return Err(OpenError::NotADatabase {
            path: path.to_owned(),
            why: "it is an SQLite file of another program".to_owned(),
        });
    }
    if found > known {
        return Err(OpenError::NewerSchema {
            path: path.to_owned(),
            found,
            known,
        });
    }
    Ok(())
}

pub(super) fn reader(path: &Path) -> Result<Connection, OpenError> {
    let refuse = |e: rusqlite::Error| refused(path, &e);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(refuse)?;
    conn.busy_timeout(BUSY).map_err(refuse)?;
    in_memory(&conn).map_err(refuse)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

pub(super) fn refused(path: &Path, e: &rusqlite::Error) -> OpenError {
    let (path, why): (PathBuf, String) = (path.to_owned(), e.to_string());
    match e.sqlite_error_code() {
        Some(ErrorCode::SystemIoFailure) => OpenError::Directory {
            path,
            why: format!("{why}{}", limit::hint(limit::in_force())),
        },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Busy { path, why },
        Some(ErrorCode::DiskFull) => OpenError::DiskFull { path, why },
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase { path, why },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path, why },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => OpenError::Directory { path, why },
        _ => OpenError::Unsupported { path, why },
    }
}
