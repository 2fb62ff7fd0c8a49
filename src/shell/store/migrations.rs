//! The schema and its history. A migration that was released is never changed.

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use crate::shell::crash;

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
    M::up(include_str!("migrations/0009_clock.sql")),
    M::up(include_str!("migrations/0010_growth.sql")),
    M::up(include_str!("migrations/0011_examined.sql")),
    M::up(include_str!("migrations/0012_probe.sql")),
    M::up(include_str!("migrations/0013_boards.sql")),
    M::up(include_str!("migrations/0014_alerts.sql")),
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
    for step in usize::try_from(version(conn)?).unwrap_or_default()..STEPS.len() {
        crash::point("migration");
        to(conn, step + 1)?;
    }
    Ok(())
}

/// Brings the schema up to this version.
fn to(conn: &mut Connection, version: usize) -> rusqlite::Result<()> {
    Migrations::from_slice(STEPS).to_version(conn, version).map_err(|e| match e {
        rusqlite_migration::Error::RusqliteError { err, .. } => err,
        // The other variants cannot come up: the version was compared before, and there are no hooks.
        other => rusqlite::Error::ToSqlConversionFailure(Box::new(other)),
    })
}

/// A file of an older version, as its binary left it.
#[cfg(test)]
pub(super) fn old(conn: &mut Connection, version: usize) -> rusqlite::Result<()> {
    conn.pragma_update(None, "application_id", APPLICATION)?;
    to(conn, version)
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

    /// What was spent before the sums were kept is in them, and the runs stay fenced.
    #[test]
    fn what_runs_cost_before_is_summed_up() {
        let mut conn = Connection::open_in_memory().unwrap();
        Migrations::from_slice(STEPS).to_version(&mut conn, 6).unwrap();
        conn.execute_batch(
            "INSERT INTO repos (id, key, version, state) VALUES (1, 'r', 1, '{}');
             INSERT INTO tasks (id, version, host, project, repo, item, issue, branch, title, phase, stage, stopping, terminal, rules, control, ledger, created_at)
                 VALUES (1, 1, 'h', 'shop', 1, 'SHOP-001', 'i', 'b', 't', 'live', 's', 0, 0, 'r', '{}', '{}', 0);
             INSERT INTO jobs (id, host, task, seq, visit, slot, kind, stage, entry, state, attempts, available_at, created_at)
                 VALUES (1, 'h', 1, 1, 1, 'dev', 'agent', 's', 0, 'done', 1, 0, 0);",
        )
        .unwrap();
        let run = "INSERT INTO runs (host, job, task, visit, slot, kind, stage, nonce, checkout, state, claimed_at, \"end\", usage) \
                   VALUES ('h', 1, 1, 1, 'dev', ?1, 's', 'n', ?2, 'ended', 86400000, '\"ok\"', ?3)";
        for (kind, usage) in [
            ("agent", Some("{\"cost_usd\":1.5}")),
            ("agent", Some("{\"cost_usd\":0}")),
            ("agent", None),
            ("command", None),
        ] {
            conn.execute(run, rusqlite::params![kind, "c", usage]).unwrap();
        }
        super::run(&mut conn).unwrap();
        let task: (i64, f64) = conn
            .query_row("SELECT runs, usd FROM spent_tasks WHERE task = 1", [], |r| {
                Ok((r.get(0)?, r.get(1)?))
            })
            .unwrap();
        let day: (i64, i64, f64) = conn
            .query_row("SELECT day, runs, usd FROM spent_days WHERE project = 'shop'", [], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?))
            })
            .unwrap();
        assert_eq!((task, day), ((3, 1.5), (1, 3, 1.5)));
    }

    /// A board of before is known since the first that is known of its project, less an hour; of the service's own none is.
    #[test]
    fn boards_of_before_are_known_since_before() {
        let mut conn = Connection::open_in_memory().unwrap();
        Migrations::from_slice(STEPS).to_version(&mut conn, 11).unwrap();
        conn.execute_batch(
            "INSERT INTO projections (project, issue, changed_at) VALUES ('shop', 'i1', 3600007), ('own', 'i2', 3600007);
             INSERT INTO issues (id, project, number, title, description, status, author, created_at, updated_at)
                 VALUES ('i2', 'own', 1, 't', '', 's', 'ann', 0, 0);
             INSERT INTO deliveries (peer, event, projects, body, digest, at, state, attempts, due, why)
                 VALUES ('plane', 'issue', '[\"shop\",\"et\"]', x'00', 'a', 3600009, 'pending', 0, 0, ''),
                        ('gitea', 'push', '[\"forge\"]', x'00', 'b', 3600009, 'pending', 0, 0, '');",
        )
        .unwrap();
        super::run(&mut conn).unwrap();
        let mut all = conn.prepare("SELECT project, since, heard FROM boards ORDER BY project").unwrap();
        let all: Vec<(String, i64, i64)> = all
            .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(all, [("et".to_owned(), 9, 3_600_009), ("shop".to_owned(), 7, 3_600_009)]);
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
