//! The database moved away, replaced, or robbed of its log, while the store has it open: nothing is acknowledged into it.

use std::fs;
use std::path::PathBuf;

use super::*;

const FILES: [&str; 3] = ["signalbox.db", "signalbox.db-wal", "signalbox.db-shm"];

fn shift(from: &Path, to: &Path) {
    for file in FILES {
        fs::rename(from.join(file), to.join(file)).unwrap();
    }
}

/// A folder on the same disk.
fn elsewhere(world: &World) -> PathBuf {
    let folder = world.dir.path().join("elsewhere");
    fs::create_dir(&folder).unwrap();
    folder
}

fn degraded<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    match outcome {
        Err(StoreError::Degraded { why }) => why,
        other => panic!("{other:?}"),
    }
}

async fn refused(world: &World) -> String {
    degraded(world.store.record(event(world.issue("i9"), poked())).await)
}

fn recorded(world: &World) -> i64 {
    glance(world.dir.path(), "SELECT COUNT(*) FROM inbox")
}

#[tokio::test]
async fn nothing_is_recorded_in_a_database_that_was_moved_away_or_replaced_until_it_is_back() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let (data, aside) = (world.dir.path().to_owned(), elsewhere(&world));
    let older = data.join("older.db");
    world.store.backup(&older).await.unwrap();
    world.poke(&task).await;
    let before = recorded(&world);

    shift(&data, &aside);
    let why = refused(&world).await;
    let path = data.join("signalbox.db").display().to_string();
    assert!(
        why.starts_with(&format!("{path} was moved away")) && why.contains("Move the same files back"),
        "{why}"
    );
    assert!(world.store.trouble().borrow().as_ref().is_some_and(|t| t.contains(&why)));
    assert!(world.store.task(task.id).await.unwrap().is_some(), "whoever asks is answered");
    fs::copy(&older, data.join("signalbox.db")).unwrap();
    assert!(refused(&world).await.contains("was replaced by another file"));
    degraded(world.store.probe().await);
    fs::remove_file(data.join("signalbox.db")).unwrap();
    // Without its log it is not the same yet.
    fs::rename(aside.join("signalbox.db"), data.join("signalbox.db")).unwrap();
    assert!(refused(&world).await.contains("signalbox.db-wal was moved away"));
    for file in &FILES[1..] {
        fs::rename(aside.join(file), data.join(file)).unwrap();
    }
    world.store.probe().await.unwrap();
    assert_eq!(*world.store.trouble().borrow(), None);
    world.poke(&task).await;
    let world = world.reopen().await;
    assert_eq!(recorded(&world), before + 1, "what was refused was not recorded");
}

#[tokio::test]
async fn a_commit_under_way_while_the_files_go_is_refused() {
    let world = World::new().await;
    let (data, aside) = (world.dir.path().to_owned(), elsewhere(&world));
    let (event, from, to) = (event(world.issue("i1"), poked()), data.clone(), aside.clone());
    let outcome = world
        .store
        .write(move |conn| {
            inbox::insert(conn, &event)?;
            shift(&from, &to);
            Ok(())
        })
        .await;
    assert!(degraded(outcome).contains("was moved away"));
    shift(&aside, &data);
    world.store.probe().await.unwrap();
    let world = world.reopen().await;
    assert_eq!(recorded(&world), 0);
}

#[tokio::test]
async fn a_store_that_is_only_watched_notices_it_as_well() {
    let world = World::new().await;
    let (data, aside) = (world.dir.path().to_owned(), elsewhere(&world));
    let mut commits = world.store.commits();
    commits.mark_unchanged();
    world.store.watch_files().await.unwrap();
    assert!(!commits.has_changed().unwrap(), "a look is no commit");
    shift(&data, &aside);
    degraded(world.store.watch_files().await);
    assert!(world.store.trouble().borrow().is_some());
    shift(&aside, &data);
    world.store.watch_files().await.unwrap();
    world.store.probe().await.unwrap();
    assert_eq!(*world.store.trouble().borrow(), None);
}

/// Closing must not do to what lies at the path by now what belongs to the files that are open.
#[tokio::test]
async fn a_moved_database_is_closed_so_that_nothing_else_is_taken_for_it() {
    let world = World::new().await;
    let (data, aside) = (world.dir.path().to_owned(), elsewhere(&world));
    let older = data.join("older.db");
    world.store.backup(&older).await.unwrap();
    let task = world.task("i1", 1).await;
    shift(&data, &aside);
    refused(&world).await;
    let World { dir: _kept, store, .. } = world;
    store.close().await;
    fs::copy(&older, data.join("signalbox.db")).unwrap();
    let other = Store::open(&data, "box").err().expect("refused");
    assert!(matches!(other, OpenError::LogMissing { .. }), "{other}");
    fs::remove_file(data.join("signalbox.db")).unwrap();
    shift(&aside, &data);
    let store = Store::open(&data, "box").unwrap();
    assert_eq!(store.task(task.id).await.unwrap().unwrap(), task);
}

#[tokio::test]
async fn a_log_that_is_gone_refuses_work_and_a_good_end_saves_what_was_in_it() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    fs::remove_file(world.dir.path().join("signalbox.db-wal")).unwrap();
    let why = refused(&world).await;
    assert!(
        why.contains("signalbox.db-wal was moved away or removed") && why.contains("SIGTERM"),
        "{why}"
    );
    let world = world.reopen().await;
    assert_eq!(world.store.task(task.id).await.unwrap().unwrap(), task);
}
