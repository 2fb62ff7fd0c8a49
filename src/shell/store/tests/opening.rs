//! Opening: refused in so many ways, and nothing is changed by it.

use std::fs;

use super::*;

fn refusal(data: &Path) -> OpenError {
    Store::open(data, "box").err().expect("opening is refused")
}

#[tokio::test]
async fn a_second_instance_is_kept_out_until_the_first_is_closed() {
    let world = World::new().await;
    let refused = refusal(world.dir.path());
    assert!(
        matches!(refused, OpenError::Locked { pid: Some(pid), .. } if pid == std::process::id()),
        "{refused}"
    );
    let clone = world.store.clone();
    let world = world.reopen().await;
    assert_eq!(clone.repos().await, Err(StoreError::Closed));
    assert_eq!(clone.promote(T0).await, Err(StoreError::Closed));
    assert_eq!(world.store.repos().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_lock_is_given_back_when_the_last_clone_is_dropped() {
    let World { dir, store, .. } = World::new().await;
    let mut commits = store.commits();
    drop(store);
    // The writer's thread ends its side of the channel, then closes the database, then the lock.
    while commits.changed().await.is_ok() {}
    let (mut opened, begun) = (Store::open(dir.path(), "box"), std::time::Instant::now());
    while opened.is_err() && begun.elapsed().as_secs() < 60 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        opened = Store::open(dir.path(), "box");
    }
    opened.expect("the lock is free");
}

#[tokio::test]
async fn opening_twice_in_sequence_keeps_everything() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let world = world.reopen().await.reopen().await;
    assert_eq!(world.store.task(task.id).await.unwrap().unwrap(), task);
    let wal = world.dir.path().join("signalbox.db-wal");
    world.store.close().await;
    assert!(!wal.exists(), "closing moves the log into the database");
}

/// The remedy is not a right to write.
#[test]
fn a_folder_in_the_place_of_a_file_is_said_to_be_one() {
    for name in ["signalbox.db", "signalbox.db-wal", "signalbox.db-shm", "signalbox.lock"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::create_dir(&path).unwrap();
        let refused = refusal(dir.path());
        assert!(matches!(&refused, OpenError::Folder { path: found } if *found == path), "{refused}");
        assert!(path.is_dir(), "it is left where it is");
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let refused = refusal(&file.join("data"));
    assert!(matches!(&refused, OpenError::Directory { .. }), "{refused}");
    assert!(refused.to_string().contains("file/data"), "{refused}");
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signalbox.db");
    for content in ["hello, this is my diary and no database at all", "short"] {
        fs::write(&path, content).unwrap();
        let refused = refusal(dir.path());
        assert!(matches!(refused, OpenError::NotADatabase { .. }), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signalbox.db");
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE notes (x)").unwrap();
    drop(conn);
    let before = fs::read(&path).unwrap();
    let refused = refusal(dir.path());
    assert!(matches!(refused, OpenError::NotADatabase { .. }), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_both_versions() {
    let World { dir, store, .. } = World::new().await;
    store.close().await;
    let path = dir.path().join("signalbox.db");
    rusqlite::Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let before = fs::read(&path).unwrap();
    let refused = refusal(dir.path());
    assert!(
        matches!(refused, OpenError::NewerSchema { found: 99, known, .. } if known == migrations::known()),
        "{refused}"
    );
    assert!(refused.to_string().contains("99"), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_database_that_another_program_holds_is_refused() {
    let World { dir, store, .. } = World::new().await;
    store.close().await;
    let other = rusqlite::Connection::open(dir.path().join("signalbox.db")).unwrap();
    other.execute_batch("PRAGMA journal_mode = WAL; BEGIN IMMEDIATE").unwrap();
    let data = dir.path().to_owned();
    let refused = tokio::task::spawn_blocking(move || refusal(&data)).await.unwrap();
    assert!(matches!(refused, OpenError::Busy { .. }), "{refused}");
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    Store::open(dir.path(), "box").unwrap();
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_kept() {
    let world = World::new().await;
    for n in 1..=40 {
        world.task(&format!("i{n}"), n).await;
    }
    let World { dir, store, .. } = world;
    store.close().await;
    let path = dir.path().join("signalbox.db");
    let mut bytes = fs::read(&path).unwrap();
    let (from, to) = (bytes.len() / 3, bytes.len() / 2);
    bytes[from..to].fill(0x5a);
    fs::write(&path, &bytes).unwrap();
    let refused = refusal(dir.path());
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_refused_first_start_leaves_no_database() {
    let dir = tempfile::tempdir().unwrap();
    // The log cannot be made where this leads: the database cannot be set up.
    std::os::unix::fs::symlink(dir.path().join("missing/log"), dir.path().join("signalbox.db-wal")).unwrap();
    let refused = refusal(dir.path());
    assert!(
        matches!(refused, OpenError::Directory { .. } | OpenError::Unsupported { .. }),
        "{refused}"
    );
    assert!(!dir.path().join("signalbox.db").exists());
}

#[tokio::test]
async fn the_file_is_set_up_for_safety() {
    let world = World::new().await;
    let (mode, sync, keys) = world
        .store
        .write(|conn| {
            let pragma = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
            Ok((pragma("journal_mode")?, pragma("synchronous")?, pragma("foreign_keys")?))
        })
        .await
        .unwrap();
    use rusqlite::types::Value::{Integer, Text};
    assert_eq!((mode, sync, keys), (Text("wal".to_owned()), Integer(2), Integer(1)));
}

#[tokio::test]
async fn readers_cannot_write() {
    let world = World::new().await;
    let refused = world.store.read(|conn| codec::exec(conn, "UPDATE meta SET opens = 0", [])).await;
    assert!(refused.is_err());
}

const LEFT: [&str; 4] = ["signalbox.db", "signalbox.db-wal", "signalbox.db-shm", "signalbox.open"];

/// A data directory as `kill -9` leaves it, with work that is in the log alone.
async fn killed() -> (tempfile::TempDir, Task) {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    world.running(&task).await;
    let left = tempfile::tempdir().unwrap();
    for file in LEFT {
        fs::copy(world.dir.path().join(file), left.path().join(file)).unwrap();
    }
    world.store.close().await;
    (left, task)
}

fn bytes(data: &Path) -> Vec<Option<Vec<u8>>> {
    LEFT.iter().map(|file| fs::read(data.join(file)).ok()).collect()
}

#[tokio::test]
async fn what_a_kill_leaves_is_taken_up_and_a_good_end_leaves_no_mark() {
    let (left, task) = killed().await;
    // Its shared index is made anew from the log.
    fs::remove_file(left.path().join("signalbox.db-shm")).unwrap();
    let store = Store::open(left.path(), "box").unwrap();
    assert_eq!(store.task(task.id).await.unwrap().unwrap(), task);
    assert_eq!(store.open_runs().await.unwrap().len(), 1);
    store.close().await;
    assert!(!left.path().join("signalbox.open").exists());
    Store::open(left.path(), "box").unwrap();
}

/// An empty database beside runs is no new installation: their numbers would be given out again.
#[tokio::test]
async fn a_database_that_is_gone_or_empty_beside_its_runs_is_noticed() {
    let left = tempfile::tempdir().unwrap();
    Store::open(left.path(), "box").unwrap().close().await;
    fs::create_dir_all(left.path().join("runs")).unwrap();
    fs::write(left.path().join("signalbox.db"), "").unwrap();
    Store::open(left.path(), "box").unwrap().close().await;
    fs::write(left.path().join("runs/1.log"), "").unwrap();
    let spoils: [fn(&Path); 2] = [|db| fs::write(db, "").unwrap(), |db| fs::remove_file(db).unwrap()];
    for spoil in spoils {
        spoil(&left.path().join("signalbox.db"));
        let refused = refusal(left.path());
        assert!(matches!(refused, OpenError::Gone { .. }), "{refused}");
        assert!(refused.to_string().contains("signalbox restore"), "{refused}");
    }
}

/// A database with a task in it, closed, and beside it what later runs left.
async fn older() -> tempfile::TempDir {
    let world = World::new().await;
    world.task("i1", 1).await;
    let World { dir, store, .. } = world;
    store.close().await;
    fs::create_dir_all(dir.path().join("runs/7")).unwrap();
    fs::write(dir.path().join("runs/9.log"), "").unwrap();
    dir
}

#[tokio::test]
async fn a_database_older_than_a_run_at_work_is_refused_and_left_as_it_is() {
    let dir = older().await;
    let before = bytes(dir.path());
    let asked = |run: &Path| run.ends_with("runs/7").then_some(4711);
    let refused = Store::open_beside(dir.path(), "box", &asked).err().expect("refused");
    assert!(matches!(refused, OpenError::Older { known: 0, .. }), "{refused}");
    let said = refused.to_string();
    for words in [
        "run 7 (its shim is process 4711)",
        "touch ",
        "runs/7/abandon",
        "Nothing was started",
        "knows of no run",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(bytes(dir.path())[0], before[0]);
    assert_eq!(bytes(dir.path())[3], None, "it was not taken into use");
    Store::open_beside(dir.path(), "box", &|_| None).unwrap();
}

#[tokio::test]
async fn numbers_of_later_runs_are_passed_over_and_people_are_told_once() {
    let dir = older().await;
    let store = Store::open(dir.path(), "box").unwrap();
    assert_eq!(store.later_runs().await.unwrap(), [dir.path().join("runs/7")]);
    let text = store.pass_over_beside(T0).await.unwrap().expect("something is told");
    assert!(
        text.contains("older than the runs beside it") && text.contains("new runs begin with 10"),
        "{text}"
    );
    assert_eq!(store.pass_over_beside(T0).await.unwrap(), None);
    let notices = store.notices().await.unwrap();
    assert_eq!(notices.iter().map(|n| &n.text).collect::<Vec<_>>(), [&text]);
    store.close().await;
    let number = |sql| glance::<i64>(dir.path(), sql);
    assert_eq!(number("SELECT seq FROM sqlite_sequence WHERE name = 'runs'"), 9);
    assert_eq!(number("SELECT COUNT(*) FROM outbox WHERE kind = 'alert'"), 1);
    let store = Store::open(dir.path(), "box").unwrap();
    store.knows_all_beside(T0).await.unwrap();
    assert_eq!(store.notices().await.unwrap(), []);
}

/// Paid work that is missing is told, not done again: ★ a log that is deleted, cut off or damaged.
#[tokio::test]
async fn committed_work_that_is_missing_from_the_log_is_noticed() {
    type Spoil = fn(&Path);
    let spoils: [(&str, Spoil); 4] = [
        ("deleted", |wal| fs::remove_file(wal).unwrap()),
        ("emptied", |wal| fs::write(wal, "").unwrap()),
        ("cut off", |wal| {
            let half = fs::metadata(wal).unwrap().len() / 2;
            fs::File::options().write(true).open(wal).unwrap().set_len(half).unwrap();
        }),
        ("one bit", |wal| {
            let mut all = fs::read(wal).unwrap();
            let at = all.len() * 2 / 3;
            all[at] ^= 4;
            fs::write(wal, all).unwrap();
        }),
    ];
    for (what, spoil) in spoils {
        let (left, _) = killed().await;
        spoil(&left.path().join("signalbox.db-wal"));
        let before = bytes(left.path());
        let refused = refusal(left.path());
        assert!(matches!(refused, OpenError::LogMissing { .. }), "{what}: {refused}");
        assert!(refused.to_string().contains("signalbox restore"), "{refused}");
        assert_eq!(bytes(left.path())[0], before[0], "{what}: the database is as it was");
        assert_eq!(bytes(left.path())[1].is_some(), before[1].is_some(), "{what}: so is its log");
        assert_eq!(
            refusal(left.path()).to_string().split('(').next(),
            refused.to_string().split('(').next(),
            "{what}: it stays refused"
        );
        // Whoever accepts the loss may go on.
        fs::remove_file(left.path().join("signalbox.open")).unwrap();
        Store::open(left.path(), "box").unwrap();
    }
}

/// ★ A program that had the database open closes it after the service was killed: what is harmless is told before what is not, with
/// what tells them apart, and looking changes nothing.
#[tokio::test]
async fn a_log_that_another_program_took_in_is_said_to_be_no_loss() {
    let (left, task) = killed().await;
    let other = rusqlite::Connection::open(left.path().join("signalbox.db")).unwrap();
    let at: i64 = other
        .query_row("SELECT at FROM inbox ORDER BY seq DESC LIMIT 1", [], |row| row.get(0))
        .unwrap();
    other.close().unwrap();
    let before = bytes(left.path());
    assert_eq!((&before[1], &before[2]), (&None, &None), "it took the log in");
    let told = refusal(left.path()).to_string();
    assert!(told.contains("may be missing") && told.contains(&Millis(at).utc()), "{told}");
    let (harmless, harm) = (told.find("nothing is missing"), told.find("signalbox restore"));
    assert!(harmless.is_some() && harmless < harm, "{told}");
    assert_eq!(bytes(left.path()), before);
    fs::remove_file(left.path().join("signalbox.open")).unwrap();
    let store = Store::open(left.path(), "box").unwrap();
    assert_eq!(store.task(task.id).await.unwrap().unwrap(), task);
    assert_eq!(store.open_runs().await.unwrap().len(), 1);
}

/// `no service has run` would send people to look elsewhere.
#[tokio::test]
async fn a_copy_of_a_database_that_was_removed_under_its_service_says_so() {
    let World { dir, store, .. } = World::new().await;
    fs::remove_file(dir.path().join("signalbox.db")).unwrap();
    let told = || copy_database(dir.path(), &dir.path().join("copy.db")).unwrap_err();
    assert!(
        matches!(told(), OpenError::Removed { pid: Some(pid), .. } if pid == std::process::id()),
        "{}",
        told()
    );
    assert!(told().to_string().contains("was moved away or removed"), "{}", told());
    store.close().await;
    assert!(matches!(told(), OpenError::Missing { .. }), "{}", told());
}

#[tokio::test]
async fn a_bit_of_the_header_is_noticed() {
    for at in [3, 16, 20, 68] {
        let World { dir, store, .. } = World::new().await;
        store.close().await;
        let path = dir.path().join("signalbox.db");
        let mut all = fs::read(&path).unwrap();
        all[at] ^= 0x41;
        fs::write(&path, &all).unwrap();
        let refused = refusal(dir.path());
        let told = matches!(
            refused,
            OpenError::Damaged { .. } | OpenError::NotADatabase { .. } | OpenError::Unsupported { .. }
        );
        assert!(told, "byte {at}: {refused}");
        assert_eq!(fs::read(&path).unwrap(), all);
    }
}

/// ★ One bit anywhere: the start is refused with the way back, or the run that was at work is still known, so that nothing is
/// paid twice. No bit makes it panic.
#[tokio::test]
async fn a_bit_anywhere_is_noticed_or_hides_no_run() {
    let (left, _) = killed().await;
    Store::open(left.path(), "box").unwrap().close().await;
    let good = fs::read(left.path().join("signalbox.db")).unwrap();
    let (mut refused, mut opened) = (0, 0);
    // A step without a common divisor with the length walks through all of the file.
    let step = good.len() * 8 / 300 + 1;
    for bit in (0..good.len() * 8).step_by(step) {
        let spoiled = tempfile::tempdir().unwrap();
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(spoiled.path().join("signalbox.db"), &bytes).unwrap();
        match Store::open(spoiled.path(), "box") {
            Err(error) => {
                refused += 1;
                let way = error.to_string();
                let ways = ["signalbox restore", "is not a signalbox database", "schema"];
                assert!(ways.iter().any(|w| way.contains(w)), "bit {bit}: {way}");
                assert_eq!(
                    fs::read(spoiled.path().join("signalbox.db")).unwrap(),
                    bytes,
                    "bit {bit}: it is as it was"
                );
            }
            Ok(store) => {
                opened += 1;
                if let Ok(runs) = store.open_runs().await {
                    assert_eq!(runs.len(), 1, "bit {bit} hides the run");
                }
                store.close().await;
            }
        }
    }
    assert!(refused >= 10 && opened > 30, "{refused} refused, {opened} opened");
}

/// Makes the database too large to be read whole before the start.
fn grow(data: &Path) {
    let conn = rusqlite::Connection::open(data.join("signalbox.db")).unwrap();
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 192) \
               INSERT INTO deliveries (peer, event, projects, body, digest, at, state, attempts, due, why) \
               SELECT 'plane', 'e', '[]', zeroblob(131072), 'd' || i, 0, 'pending', 0, 9999999999999, '' FROM n";
    conn.execute(sql, []).unwrap();
}

#[tokio::test]
async fn a_large_database_is_used_while_it_is_read_whole() {
    let World { dir, store, .. } = World::new().await;
    store.close().await;
    grow(dir.path());
    let store = Store::open(dir.path(), "box").unwrap();
    assert_eq!(*store.integrity().borrow(), Integrity::UnderWay);
    store.check();
    store.repo("another").await.unwrap();
    let mut integrity = store.integrity();
    integrity.wait_for(|known| *known == Integrity::Whole).await.unwrap();
    store.close().await;
    // One that is closed at once does not wait for its reading.
    let store = Store::open(dir.path(), "box").unwrap();
    store.check();
    store.close().await;
    let store = Store::open(dir.path(), "box").unwrap();
    assert!(store.repo("another").await.unwrap().id.0 > 0);
}

#[tokio::test]
async fn damage_found_in_a_large_database_stops_every_write_and_names_the_way_back() {
    let World { dir, store, .. } = World::new().await;
    store.close().await;
    grow(dir.path());
    let path = dir.path().join("signalbox.db");
    let mut bytes = fs::read(&path).unwrap();
    let (from, to) = (bytes.len() / 2, bytes.len() * 2 / 3);
    bytes[from..to].fill(0x5a);
    fs::write(&path, &bytes).unwrap();
    let store = Store::open(dir.path(), "box").unwrap();
    store.check();
    let mut integrity = store.integrity();
    let found = integrity.wait_for(|known| *known != Integrity::UnderWay).await.unwrap().clone();
    let Integrity::Damaged { why } = found else { panic!("{found:?}") };
    assert!(why.contains("signalbox restore FOLDER --replace"), "{why}");
    let refused = store.promote(T0).await.unwrap_err();
    assert_eq!(refused, StoreError::Degraded { why });
    assert!(store.tasks(true).await.is_ok(), "whoever asks is answered");
}
