//! What was answered is on disk; what failed left nothing behind; nobody stands in another's way.

use std::collections::BTreeSet;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_all_kept_and_twins_only_once() {
    let world = World::new().await;
    let calls = (0..600).map(|n| {
        let (store, target) = (world.store.clone(), world.issue(&format!("i{}", n % 7)));
        // Each key comes three times.
        let event = NewEvent {
            dedupe: Some(format!("key-{}", n % 200)),
            ..event(target, poked())
        };
        tokio::spawn(async move { store.record(event).await.unwrap() })
    });
    let mut seqs = BTreeSet::new();
    let mut twins = 0;
    for call in calls.collect::<Vec<_>>() {
        match call.await.unwrap() {
            Some(seq) => assert!(seqs.insert(seq), "{seq} was given twice"),
            None => twins += 1,
        }
    }
    assert_eq!((seqs.len(), twins), (200, 400));
    let commits = *world.store.commits().borrow();
    assert!(commits < 200, "{commits} commits for 200 events: they are not grouped");
    let world = world.reopen().await;
    assert_eq!(glance::<i64>(world.dir.path(), "SELECT COUNT(*) FROM inbox"), 200);
    let again = NewEvent {
        dedupe: Some("key-3".to_owned()),
        ..event(world.issue("i1"), poked())
    };
    assert_eq!(world.store.record(again).await, Ok(None), "a twin is known after a restart");
}

#[tokio::test]
async fn what_was_answered_survives_without_a_clean_end() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    world.running(&task).await;
    // The files as a killed process leaves them: the log not moved into the database.
    let copy = tempfile::tempdir().unwrap();
    for file in ["signalbox.db", "signalbox.db-wal"] {
        std::fs::copy(world.dir.path().join(file), copy.path().join(file)).unwrap();
    }
    let store = Store::open(copy.path(), "box").unwrap();
    assert_eq!(store.task(task.id).await.unwrap().unwrap(), task);
    assert_eq!(store.open_runs().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_fails_or_panics_takes_no_other_with_it() {
    let world = World::new().await;
    let mut calls = Vec::new();
    for n in 0..60 {
        let store = world.store.clone();
        let fine = event(world.issue("i1"), poked());
        calls.push(tokio::spawn(async move {
            let outcome = store
                .write(move |conn| {
                    inbox::insert(conn, &fine)?;
                    match n % 3 {
                        0 => Err(StoreError::Conflict),
                        1 => panic!("a test panics"),
                        _ => Ok(()),
                    }
                })
                .await;
            (n, outcome)
        }));
    }
    for call in calls {
        let (n, outcome) = call.await.unwrap();
        match n % 3 {
            0 => assert_eq!(outcome, Err(StoreError::Conflict)),
            1 => assert!(matches!(outcome, Err(StoreError::Refused { .. })), "{outcome:?}"),
            _ => assert_eq!(outcome, Ok(())),
        }
    }
    assert_eq!(glance::<i64>(world.dir.path(), "SELECT COUNT(*) FROM inbox"), 20);
}

#[tokio::test]
async fn only_changes_wake_those_who_follow_commits() {
    let world = World::new().await;
    let mut commits = world.store.commits();
    commits.mark_unchanged();
    assert_eq!(world.store.promote(T0).await, Ok(0));
    assert_eq!(world.store.fire_timers(T0).await, Ok(0));
    assert_eq!(world.store.due_effects(T0, 10).await, Ok(vec![]));
    world.store.drop_event(Seq(99), "none", T0).await.unwrap_err();
    assert!(!commits.has_changed().unwrap());
    world.signal(world.issue("i1"), "start").await;
    commits.changed().await.unwrap();
}

#[tokio::test]
async fn a_delivery_wakes_only_those_who_read_deliveries() {
    let world = World::new().await;
    let (mut commits, mut deliveries) = (world.store.commits(), world.store.deliveries());
    commits.mark_unchanged();
    deliveries.mark_unchanged();
    let new = NewDelivery {
        peer: Peer::Plane,
        event: "issue".to_owned(),
        projects: vec![],
        body: vec![],
        digest: "d".to_owned(),
        again: false,
        at: T0,
    };
    world.store.record_delivery(new).await.unwrap();
    deliveries.changed().await.unwrap();
    let due = world.store.deliveries_due(T0, 1).await.unwrap();
    world.store.delivery_closed(&due[0], true, "", T0).await.unwrap();
    deliveries.changed().await.unwrap();
    assert!(!commits.has_changed().unwrap());
    world.signal(world.issue("i1"), "start").await;
    commits.changed().await.unwrap();
    assert!(!deliveries.has_changed().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_got_over() {
    let world = World::new().await;
    // SQLite's own limit of pages stands in for a full disk: the same error, from the same place.
    let pages: i64 = world.store.write(|conn| codec::one(conn, "PRAGMA page_count", [])).await.unwrap();
    let limit = |n: i64| {
        world
            .store
            .write(move |conn| codec::one::<i64>(conn, &format!("PRAGMA max_page_count = {n}"), []))
    };
    limit(pages).await.unwrap();
    let mut trouble = world.store.trouble();
    assert_eq!(*trouble.borrow_and_update(), None);
    let big = |n: usize| NewEvent {
        dedupe: Some("x".repeat(n)),
        ..event(world.issue("i1"), poked())
    };
    let refused = world.store.record(big(500_000)).await;
    assert!(
        matches!(&refused, Err(StoreError::Degraded { why }) if why.contains("full")),
        "{refused:?}"
    );
    assert!(trouble.borrow_and_update().is_some());
    limit(1_000_000).await.unwrap();
    assert!(world.store.record(big(500_000)).await.unwrap().is_some());
    assert_eq!(*trouble.borrow_and_update(), None, "a commit says that all is well again");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_program_that_holds_the_database_is_told_and_got_over() {
    let world = World::new().await;
    world
        .store
        .write(|conn| Ok(conn.busy_timeout(std::time::Duration::from_millis(20))?))
        .await
        .unwrap();
    let other = rusqlite::Connection::open(world.dir.path().join("signalbox.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = world.store.record(event(world.issue("i1"), poked())).await;
    assert!(
        matches!(&refused, Err(StoreError::Degraded { why }) if why.contains("another program")),
        "{refused:?}"
    );
    let path = world.dir.path().join("signalbox.db");
    assert!(refused.unwrap_err().to_string().contains(&format!("`fuser {}`", path.display())));
    assert!(world.store.trouble().borrow().as_ref().is_some_and(|t| t.contains("`fuser /")));
    assert!(world.store.repos().await.is_ok(), "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    world.store.probe().await.unwrap();
    assert_eq!(*world.store.trouble().borrow(), None);
}

#[tokio::test]
async fn closing_carries_out_what_is_queued() {
    let world = World::new().await;
    let mut calls = Vec::new();
    for _ in 0..50 {
        let (store, event) = (world.store.clone(), event(world.issue("i1"), poked()));
        calls.push(tokio::spawn(async move { store.record(event).await }));
    }
    tokio::task::yield_now().await;
    let dir = world.dir;
    world.store.close().await;
    let mut kept = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => kept += 1,
            Err(e) => assert_eq!(e, StoreError::Closed),
        }
    }
    assert!(kept > 0);
    assert_eq!(glance::<i64>(dir.path(), "SELECT COUNT(*) FROM inbox"), kept);
}

#[tokio::test]
async fn a_back_up_is_a_database_of_its_own() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let copy = tempfile::tempdir().unwrap();
    let file = copy.path().join("signalbox.db");
    world.store.backup(&file).await.unwrap();
    assert!(
        matches!(world.store.backup(&file).await, Err(StoreError::Refused { .. })),
        "it overwrites nothing"
    );
    let store = Store::open(copy.path(), "box").unwrap();
    assert_eq!(store.task(task.id).await.unwrap().unwrap(), task);
}

#[tokio::test]
async fn a_row_that_cannot_be_names_table_and_id() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    world
        .store
        .write(|conn| codec::exec(conn, "UPDATE tasks SET control = '{\"phase\":\"flying\"}'", []))
        .await
        .unwrap();
    let refused = world.store.task(task.id).await;
    assert!(
        matches!(&refused, Err(StoreError::Corrupt { table: "tasks", id, .. }) if *id == task.id.to_string()),
        "{refused:?}"
    );
}

/// Where the child of the test below finds its directory.
const CHILD: &str = "SIGNALBOX_TEST_STORE";

/// Records events for ever and says which were answered, until it is killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child of `a_killed_process_loses_nothing_it_was_answered`"]
async fn record_until_killed() {
    let Some(data) = std::env::var_os(CHILD) else { return };
    let store = Store::open(Path::new(&data), "box").unwrap();
    let repo = store.repo("r").await.unwrap().id;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let store = store.clone();
        writers.spawn(async move {
            let target = Target {
                project: PROJECT.into(),
                repo,
                task: None,
                issue: Some(format!("i{writer}")),
            };
            while let Ok(Some(seq)) = store.record(event(target.clone(), poked())).await {
                println!("\nanswered {seq}");
            }
        });
    }
    writers.join_all().await;
}

#[test]
fn a_killed_process_loses_nothing_it_was_answered() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().unwrap();
    let mut answered = BTreeSet::new();
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "shell::store::tests::durability::record_until_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = |line: String| {
            line.strip_prefix("answered ")
                .map(|seq| answered.insert(seq.parse::<i64>().unwrap()))
        };
        let first: usize = lines
            .by_ref()
            .map_while(std::result::Result::ok)
            .filter_map(&mut told)
            .take(round * 50)
            .count();
        assert_eq!(first, round * 50, "the child ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said before it died.
        lines.map_while(std::result::Result::ok).filter_map(&mut told).for_each(drop);
        // Reading only: closing it would take the log into the database.
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let conn = rusqlite::Connection::open_with_flags(dir.path().join("signalbox.db"), flags).unwrap();
        let kept: BTreeSet<i64> = conn
            .prepare("SELECT seq FROM inbox")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(std::result::Result::unwrap)
            .collect();
        let lost: Vec<_> = answered.difference(&kept).collect();
        assert!(lost.is_empty(), "answered and lost: {lost:?}");
    }
}
