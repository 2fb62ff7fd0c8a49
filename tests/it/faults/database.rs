//! Old data directories and migrations that are killed, with the whole service.

use std::fs;
use std::path::Path;

use super::{done, world};

/// The first schema there ever was, with an issue in it.
fn oldest(data: &Path) {
    fs::create_dir_all(data).expect("a folder");
    let conn = rusqlite::Connection::open(data.join("signalbox.db")).expect("a database");
    let first = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/shell/store/migrations/0001_initial.sql");
    conn.execute_batch(&fs::read_to_string(first).expect("the first schema"))
        .expect("made");
    conn.execute_batch(
        "PRAGMA application_id = 0x73676278; PRAGMA user_version = 1; PRAGMA journal_mode = WAL;
         INSERT INTO issues (id, project, number, title, description, status, author, created_at, updated_at)
             VALUES ('0190a000-0000-7000-8000-000000000001', 'it', 1, 'From long ago', 'Please.', 'Backlog', 'ann', 1, 1);",
    )
    .expect("filled");
}

/// ★ Each start comes one step further and dies before the next; what was in it is in it, and work goes on.
#[test]
fn a_migration_is_killed_before_each_step() {
    let mut world = world("[developer]\ndo = [\"ok\"]", "");
    oldest(&world.data());
    world.crash = Some("migration:2".to_owned());
    world.start();
    let version = world.count("PRAGMA user_version");
    assert!(
        version >= 8 && i64::from(world.starts) == version - 1,
        "{} starts to version {version}",
        world.starts
    );
    world.crash = None;
    let seen = world.show("it#1");
    assert!(seen.to_string().contains("From long ago"), "{seen}");
    let item = world.new_task("Add a greeting");
    done(&mut world, &item);
    world.nothing_is_left();
}
