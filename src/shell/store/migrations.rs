//! The schema and its history. A migration that was released is never changed.

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

/// Marks the file as ours in its header: "sgbx".
pub(super) const APPLICATION: i32 = 0x7367_6278;

const STEPS: &[M<'static>] = &[
    M::up(include_str!("migrations/0001_initial.sql")),
    M::up(include_str!("migrations/0002_deliveries.sql")),
    M::up(include_str!("migrations/0003_run_notes.sql")),
    M::up(include_str!("migrations/0004_dependencies.sql")),
    M::up(include_str!("migrations/0005_chat.sql")),
    M::up(include_str!("migrations/0006_board.sql")),
    M::up(include_str!("migrations/0007_breaker.sql")),
];

/// The newest schema version that this binary knows.
pub(super) fn known() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// Brings the schema up to date, each step in a transaction of its own.
///
/// # Errors
/// SQLite's error; a step that failed has left nothing behind.
pub(super) fn run(conn: &mut Connection) -> rusqlite::Result<()> {
    if version(conn)? == known() {
        return Ok(());
    }
    conn.pragma_update(None, "application_id", APPLICATION)?;
    Migrations::from_slice(STEPS).to_latest(conn).map_err(|e| match e {
        rusqlite_migration::Error::RusqliteError { err, .. } => err,
        // The other variants cannot come up: the version was compared before, and there are no hooks.
        other => rusqlite::Error::ToSqlConversionFailure(Box::new(other)),
    })
}

/// The schema version of the file; 0 when there is no schema.
pub(super) fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_valid() {
        Migrations::from_slice(STEPS).validate().unwrap();
    }

    #[test]
    fn every_table_is_strict() {
        let mut conn = Connection::open_in_memory().unwrap();
        run(&mut conn).unwrap();
        let mut lax = conn
            .prepare("SELECT name FROM pragma_table_list WHERE schema = 'main' AND strict = 0 AND name NOT LIKE 'sqlite_%'")
            .unwrap();
        let lax: Vec<String> = lax.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(lax, Vec::<String>::new());
    }

    #[test]
    fn a_migration_that_fails_half_way_leaves_nothing() {
        let mut conn = Connection::open_in_memory().unwrap();
        // The last table of the first migration exists already.
        conn.execute_batch("CREATE TABLE commit_statuses (x)").unwrap();
        assert!(run(&mut conn).is_err());
        let tables: i64 = conn
            .query_row("SELECT COUNT(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!((tables, version(&conn).unwrap()), (1, 0));
        conn.execute_batch("DROP TABLE commit_statuses").unwrap();
        run(&mut conn).unwrap();
        assert_eq!(version(&conn).unwrap(), known());
    }
}
