//! P9 and P11, and how P2, P8 and P10 grow: with a long history, at 1×, 10× and 100× of a small one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction};

use crate::figures::Times;
use crate::raw::exponent;
use crate::world::World;
use crate::{Outcome, number, runs, town};

/// Tasks started, and stopped, with each length of the history.
const ROUNDS: u64 = 10;

/// P9: start to ready with so many rows of history and so many live runs to adopt.
pub fn adopt() -> Outcome<()> {
    let live = number("SIGNALBOX_BENCH_RUNS", 50);
    let whole = number("SIGNALBOX_BENCH_HISTORY", 100_000);
    let mut world = town::many("", "");
    world.start();
    let first = town::tasks(&world, 1).remove(0);
    world.wait_mode(&first, "done");
    town::play(&world, "[developer]\ndo = ['hang']")?;
    let items = town::tasks(&world, live);
    for item in &items {
        world.wait_agent(item, "developer", 1);
    }
    let (mut have, mut costs) = (0, Vec::new());
    for history in [whole / 100, whole / 10, whole] {
        world.kill();
        lengthen(&world, have, history)?;
        have = history;
        let before = world.log().matches(" adopted").count();
        let began = Instant::now();
        world.start();
        let ready = began.elapsed();
        world.until("all adopted", || world.log().matches(" adopted").count() - before == items.len());
        println!(
            "P9: start to ready, {history:>8} rows, {live} live runs    {:>8.1} ms; all adopted {:>8.1} ms   goal ≤ 500 ms",
            ready.as_secs_f64() * 1e3,
            began.elapsed().as_secs_f64() * 1e3
        );
        costs.push(ready.as_secs_f64());
    }
    println!("P9: grows with the history to the power of {:.2}", exponent(&costs));
    Ok(())
}

/// P11: what the API answers with a long history.
pub fn answers() -> Outcome<()> {
    let whole = number("SIGNALBOX_BENCH_HISTORY", 100_000);
    let mut world = town::many("", "");
    world.start();
    let first = town::tasks(&world, 1).remove(0);
    world.wait_mode(&first, "done");
    let item = format!("{first}-1");
    let (mut have, mut costs): (u64, BTreeMap<String, Vec<f64>>) = (0, BTreeMap::new());
    for history in [whole / 100, whole / 10, whole] {
        world.stop();
        lengthen(&world, have, history)?;
        have = history;
        world.start();
        println!("{history} jobs, runs, steps; {} tasks", history / 100);
        let one = format!("/api/tasks/{item}");
        let why = format!("/api/tasks/{item}/why");
        let (tasks, queue, line) = ("/api/tasks".to_owned(), "/queue".to_owned(), "/api/timeline".to_owned());
        let all = format!("{tasks}?all=true");
        for path in ["/status".to_owned(), tasks, all, queue, one, why, line] {
            let times = (0..100).map(|_| {
                let began = Instant::now();
                let answer = world.get(&path);
                assert!(answer["refused"].is_null(), "{path}: {answer}");
                began.elapsed()
            });
            let times: Vec<Duration> = times.collect();
            let times = Times::of(times);
            times.show(&format!("P11: {path}"), "goal p99 ≤ 50 ms");
            costs.entry(path).or_default().push(times.quantile(0.5).as_secs_f64());
        }
    }
    for (path, costs) in costs {
        println!("P11: {path} grows with the history to the power of {:.2}", exponent(&costs));
    }
    Ok(())
}

/// P2, P8 and P10 as the history grows: starts of runs, standing by, and stops.
pub fn growth() -> Outcome<()> {
    let whole = number("SIGNALBOX_BENCH_HISTORY", 100_000);
    let (mut world, stamps) = runs::stamped()?;
    world.start();
    let first = town::tasks(&world, 1).remove(0);
    world.wait_mode(&first, "done");
    let (mut have, mut costs): (u64, BTreeMap<&str, Vec<f64>>) = (0, BTreeMap::new());
    for history in [whole / 100, whole / 10, whole] {
        world.stop();
        lengthen(&world, have, history)?;
        have = history;
        town::play(&world, "")?;
        world.start();
        // After a start that did not follow on an end in good order the whole database is read once, beside the work.
        std::thread::sleep(Duration::from_secs(1) + Duration::from_micros(10 * history));
        let service = runs::pid_of(&world, " serve")?;
        let used = runs::measured(service, Duration::from_secs(3))?;
        let memory = runs::rss(service)?;
        println!("P8: idle service, {history:>8} rows of history   {memory:>8.1} MB  {used:>6.2} % of a core");
        let newest = begun(&world, &stamps)?.keys().max().copied().unwrap_or(0);
        for _ in 0..ROUNDS {
            let item = town::tasks(&world, 1).remove(0);
            world.wait_mode(&item, "done");
        }
        let started = begun(&world, &stamps)?.into_iter().filter(|(run, _)| *run > newest);
        let started = Times::of(started.map(|(_, took)| took).collect());
        started.show(&format!("P2: later runs, {history} rows of history"), "");
        let stopped = Times::of(stops(&mut world)?);
        stopped.show(&format!("P10: stop → ended on record, {history} rows"), "");
        let found = [
            ("P2", started.quantile(0.5).as_secs_f64()),
            ("P8", memory),
            ("P10", stopped.quantile(0.5).as_secs_f64()),
        ];
        found.into_iter().for_each(|(what, cost)| costs.entry(what).or_default().push(cost));
    }
    for (what, costs) in costs {
        println!("{what}: grows with the history to the power of {:.2}", exponent(&costs));
    }
    Ok(())
}

fn begun(world: &World, stamps: &std::path::Path) -> Outcome<BTreeMap<i64, Duration>> {
    runs::begun(world, stamps, false)
}

/// From the word to stop to the end of the run on record, of cooperative agents.
fn stops(world: &mut World) -> Outcome<Vec<Duration>> {
    town::play(world, "[developer]\ndo = ['hang']")?;
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let item = town::tasks(world, 1).remove(0);
        world.wait_agent(&item, "developer", 1);
        let open = "SELECT COUNT(*) FROM runs WHERE state <> 'ended'";
        let began = Instant::now();
        world.post(&format!("/api/tasks/{item}/stop"), &serde_json::json!({}))?;
        world.until("its end", || world.count(open) == 0);
        took.push(began.elapsed());
        world.wait_mode(&item, "cancelled");
    }
    Ok(took)
}

/// Lays more history down, behind the service's back: events, steps, jobs and ended runs like those
/// of the first task, which is done, a hundred for each of a hundredth as many tasks like it.
fn lengthen(world: &World, have: u64, want: u64) -> Outcome<()> {
    let mut conn = Connection::open(world.data().join("signalbox.db"))?;
    // Closing it moves the log into the database in good order.
    let _ = std::fs::remove_file(world.data().join("signalbox.open"));
    let tx = conn.transaction()?;
    let one = [
        ("item", "item || '-' || i"),
        ("item_number", "NULL"),
        ("issue", "issue || '-' || i"),
        ("branch", "branch || '-' || i"),
    ];
    let last = |column: &str, table: &str| tx.query_row(&format!("SELECT MAX({column}) FROM {table}"), [], |row| row.get::<_, i64>(0));
    let (tasks, base) = (last("id", "tasks")?, last("seq", "inbox")?);
    copy(&tx, "tasks", (have / 100, want / 100), "phase = 'done'", &one)?;
    // A hundred rows for each of them.
    let task = format!("{tasks} + 1 + (i - {have} - 1) / 100");
    let (seq, visit) = (format!("{base} + i"), "1000 + i");
    let done = [
        ("seq", seq.as_str()),
        ("task", &task),
        ("dedupe", "NULL"),
        ("state", "'applied'"),
        ("closed_at", "at"),
    ];
    copy(&tx, "inbox", (have, want), "", &done)?;
    copy(&tx, "steps", (have, want), "", &[("seq", &seq), ("task", &task)])?;
    copy(&tx, "jobs", (have, want), "state = 'done'", &[("visit", visit), ("task", &task)])?;
    copy(&tx, "runs", (have, want), "state = 'ended'", &[("visit", visit), ("task", &task)])?;
    tx.commit()?;
    Ok(())
}

/// Copies the first row that `of` chooses, numbered from `have` to `want`, with these values changed.
fn copy(tx: &Transaction<'_>, table: &str, (have, want): (u64, u64), of: &str, change: &[(&str, &str)]) -> Outcome<()> {
    let columns: Vec<String> = tx
        .prepare(&format!("SELECT name FROM pragma_table_info('{table}') WHERE name <> 'id'"))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let value = |c: &String| {
        change
            .iter()
            .find(|(name, _)| name == c)
            .map_or_else(|| format!("\"{c}\""), |(_, v)| (*v).to_owned())
    };
    let values: Vec<String> = columns.iter().map(value).collect();
    let names: Vec<String> = columns.iter().map(|c| format!("\"{c}\"")).collect();
    let of = if of.is_empty() { "1" } else { of };
    tx.execute_batch(&format!(
        "WITH RECURSIVE n(i) AS (SELECT {have} + 1 UNION ALL SELECT i + 1 FROM n WHERE i < {want}) \
         INSERT INTO {table} ({}) SELECT {} FROM n, (SELECT * FROM {table} WHERE {of} LIMIT 1)",
        names.join(", "),
        values.join(", ")
    ))?;
    Ok(())
}
