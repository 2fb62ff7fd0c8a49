//! ★ Old data directories with the new binary, and a migration that is interrupted at each statement.

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;

use super::*;

/// The text of each step, in order.
fn steps() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/shell/store/migrations");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len() as i64, migrations::known(), "each file is a step");
    files.iter().map(|f| fs::read_to_string(f).unwrap()).collect()
}

/// The statements of a step: SQLite itself says where one ends, so that triggers stay whole.
fn statements(text: &str) -> Vec<String> {
    let (mut found, mut one) = (Vec::new(), String::new());
    for line in text.lines().filter(|l| !l.trim_start().starts_with("--")) {
        one.push_str(line);
        one.push('\n');
        let ends = one.trim_end().ends_with(';') && (!one.contains("BEGIN") || one.trim_end().ends_with("END;"));
        if ends {
            found.push(std::mem::take(&mut one));
        }
    }
    assert!(one.trim().is_empty(), "{one}");
    found
}

/// A folder in memory where there is one: so many openings would mostly wait for the disk.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A data directory of this version with a task at work, an issue and its comment in it.
fn old(version: usize) -> (tempfile::TempDir, Task) {
    let dir = folder();
    let mut conn = Connection::open(dir.path().join("signalbox.db")).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    migrations::old(&mut conn, version).unwrap();
    let mut task = Task::unborn(PROJECT.into(), RepoId(1), "i1", "rules-1");
    (task.id, task.version, task.item, task.title) = (TaskId(1), 1, "ORCH-001".to_owned(), "A title".to_owned());
    (task.branch, task.created_at, task.control.phase) = ("feature/ORCH-001".to_owned(), T0, Phase::Live);
    task.control.stage = "analysis".into();
    conn.execute(
        "INSERT INTO repos (id, key, version, state) VALUES (1, 'r', 1, ?1)",
        [text(&Repo::default())],
    )
    .unwrap();
    conn.execute(
        "INSERT INTO tasks (id, version, host, project, repo, item, item_number, issue, branch, title, phase, stage, stopping, terminal, rules, control, \
         ledger, created_at) VALUES (1, 1, 'box', ?1, 1, 'ORCH-001', 1, 'i1', 'feature/ORCH-001', 'A title', 'live', 'analysis', 0, 0, 'rules-1', ?2, ?3, ?4)",
        rusqlite::params![PROJECT, text(&task.control), text(&task.ledger), T0.0],
    )
    .unwrap();
    conn.execute_batch(
        "INSERT INTO jobs (id, host, task, seq, visit, slot, kind, stage, entry, state, attempts, available_at, created_at)
             VALUES (1, 'box', 1, 1, 1, 'analyst', 'agent', 'analysis', 1, 'running', 1, 0, 0);
         INSERT INTO runs (id, host, job, task, visit, slot, kind, stage, nonce, checkout, state, claimed_at)
             VALUES (7, 'box', 1, 1, 1, 'analyst', 'agent', 'analysis', 'n', 't1/analyst', 'starting', 5);
         UPDATE jobs SET run = 7;
         INSERT INTO issues (id, project, number, title, description, status, author, created_at, updated_at)
             VALUES ('i1', 'orch', 1, 'A title', '', 'Analysis', 'ann', 0, 0);
         INSERT INTO issue_comments (id, issue, author, body, created_at) VALUES ('c1', 'i1', 'ann', 'please', 0);
         INSERT INTO timers (task, visit, timer, due) VALUES (1, 1, 'look', 99);",
    )
    .unwrap();
    (dir, task)
}

fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// Everything that was in it is in it still, and can be worked with.
async fn whole(data: &Path, task: &Task, context: &str) {
    let store = Store::open(data, "box").unwrap_or_else(|e| panic!("{context}: {e}"));
    let found = store.task(task.id).await.unwrap().unwrap();
    assert_eq!(
        (&found.item, &found.control, found.version),
        (&task.item, &task.control, 1),
        "{context}"
    );
    let runs = store.open_runs().await.unwrap();
    assert_eq!(
        runs.iter().map(|r| (r.id, r.state)).collect::<Vec<_>>(),
        [(RunId(7), RunState::Starting)],
        "{context}"
    );
    assert_eq!(store.timers(task.id).await.unwrap(), [("look".into(), Millis(99))], "{context}");
    assert!(store.end_run(RunId(7), RunEnd::Lost, None, None, at(5)).await.unwrap(), "{context}");
    let comments: i64 = store
        .read(|conn| codec::one(conn, "SELECT COUNT(*) FROM issue_comments WHERE body = 'please'", []))
        .await
        .unwrap();
    assert_eq!(comments, 1, "{context}");
    store.close().await;
}

#[tokio::test]
async fn a_data_directory_of_every_older_version_is_taken_up() {
    for version in 1..=steps().len() {
        let (dir, task) = old(version);
        whole(dir.path(), &task, &format!("version {version}")).await;
        assert_eq!(glance::<i64>(dir.path(), "PRAGMA user_version"), migrations::known());
    }
}

/// The files as a process leaves them that is killed in the middle of a step: its transaction not
/// ended, what it wrote in the log as far as a tiny cache could not hold it.
#[tokio::test]
async fn a_migration_killed_at_each_statement_is_made_again_whole() {
    let mut tried = 0;
    for (before, text) in steps().iter().enumerate().skip(1) {
        let all = statements(text);
        assert!(!all.is_empty(), "step {} has statements", before + 1);
        for killed_after in 0..=all.len() {
            let (dir, task) = old(before);
            let left = folder();
            let conn = Connection::open(dir.path().join("signalbox.db")).unwrap();
            conn.execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN IMMEDIATE")
                .unwrap();
            for statement in &all[..killed_after] {
                conn.execute_batch(statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
            }
            for suffix in ["", "-wal", "-shm"] {
                let name = format!("signalbox.db{suffix}");
                fs::copy(dir.path().join(&name), left.path().join(&name)).unwrap();
            }
            drop(conn);
            whole(
                left.path(),
                &task,
                &format!("step {} killed after {killed_after} statements", before + 1),
            )
            .await;
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried} places");
}
