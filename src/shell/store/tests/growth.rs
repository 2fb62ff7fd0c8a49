//! What is read at each commit costs what is open, not what ever was.

use super::*;
use crate::shell::store::{depends as declared, jobs, outbox, runs as begun};

/// How SQLite would carry the statement out, step by step.
async fn plan(world: &World, sql: &str) -> Vec<String> {
    let sql = format!("EXPLAIN QUERY PLAN {sql}");
    let steps = world.store.read(move |conn| codec::list(conn, &sql, [], |row| Ok(row.get(3)?)));
    steps.await.unwrap()
}

#[tokio::test]
async fn what_is_read_at_each_commit_scans_no_table_of_history() {
    let world = World::new().await;
    // An index of a part of a table, the open one, may be gone through whole.
    let sql = "SELECT ' ' || name FROM sqlite_schema WHERE type = 'index' AND sql LIKE '% WHERE %'";
    let parts: Vec<String> = world
        .store
        .read(|conn| codec::list(conn, sql, [], |row| Ok(row.get(0)?)))
        .await
        .unwrap();
    let (job, waiting, heads) = (jobs::SELECT, jobs::WAITING, outbox::HEADS);
    for sql in [
        format!("{job} WHERE {waiting} ORDER BY j.id"),
        format!("{job} WHERE j.state = 'running' ORDER BY j.id"),
        format!("{job} WHERE j.state = 'queued' AND j.id > 1 ORDER BY j.id LIMIT 4"),
        format!("{} WHERE r.state <> 'ended' ORDER BY r.id", begun::SELECT),
        format!("{heads} ORDER BY o.next_at, o.id LIMIT 1"),
        outbox::OPEN.to_owned(),
        declared::ALL.to_owned(),
    ] {
        let plan = plan(&world, &sql).await;
        let whole = |step: &&String| step.starts_with("SCAN") && !parts.iter().any(|part| step.ends_with(part));
        assert_eq!(plan.iter().find(whole), None, "{sql}: {plan:?}");
    }
    let all = plan(&world, &format!("{job} WHERE j.state IN ('scheduled', 'queued') ORDER BY j.id")).await;
    assert!(all.contains(&"SCAN j".to_owned()), "what this looks for is told so: {all:?}");
}
