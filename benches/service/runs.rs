//! P2 and P8: how soon a job runs, and what standing by costs.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::figures::Times;
use crate::world::World;
use crate::{Outcome, number, town};

/// An agent's first act: it notes when it began to execute, and becomes the agent.
pub fn stamp(file: &str, command: &[String]) -> Outcome<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let run = std::env::var("SIGNALBOX_RUN")?;
    let mut out = fs::OpenOptions::new().create(true).append(true).open(file)?;
    out.write_all(format!("{run} {now}\n").as_bytes())?;
    let (program, args) = command.split_first().ok_or("no command")?;
    Err(Command::new(program).args(args).exec().into())
}

/// A world whose agents note when they began to execute, in this file.
pub fn stamped() -> Outcome<(World, PathBuf)> {
    let me = std::env::current_exe()?;
    let world = town::many("", "\"gates.local_tests.command.run\" = ['true']");
    let (stamps, script) = (world.path("stamps"), world.path("script.toml"));
    let agent = [
        &me.display().to_string(),
        "--stamp",
        &stamps.display().to_string(),
        crate::world::EXE,
        "scripted-agent",
        "--script",
        &script.display().to_string(),
    ];
    let path = world.path("signalbox.toml");
    let mut config: toml::Table = fs::read_to_string(&path)?.parse()?;
    let project = config["projects"]["it"].as_table_mut().ok_or("no project")?;
    let set = project["set"].as_table_mut().ok_or("no overrides")?;
    set.insert("agents.*.run".to_owned(), agent.map(toml::Value::from).to_vec().into());
    fs::write(&path, config.to_string())?;
    Ok((world, stamps))
}

/// How long each first attempt of an agent took from its job's being ready to its executing, by run: of tasks' first runs, or of
/// their others.
pub fn begun(world: &World, stamps: &Path, first: bool) -> Outcome<BTreeMap<i64, Duration>> {
    let text = fs::read_to_string(stamps)?;
    let began: BTreeMap<i64, u128> = text
        .lines()
        .filter_map(|l| l.split_once(' '))
        .filter_map(|(run, at)| Some((run.parse().ok()?, at.parse().ok()?)))
        .collect();
    let compare = if first { "=" } else { "<>" };
    let rows = rows(
        world,
        &format!(
            "SELECT r.id, j.created_at FROM runs r JOIN jobs j ON j.id = r.job \
             WHERE r.kind = 'agent' AND j.attempts = 1 AND r.slot {compare} 'developer'"
        ),
    )?;
    let times = rows.iter().filter_map(|(run, ready)| {
        let at = u64::try_from(began.get(run)? / 1000).ok()?;
        let took = at.saturating_sub(u64::try_from(*ready).ok()? * 1000);
        Some((*run, Duration::from_micros(took)))
    });
    Ok(times.collect())
}

/// P2: job committed as ready, to agent executing.
pub fn start() -> Outcome<()> {
    let count = number("SIGNALBOX_BENCH_RUNS", 50);
    let (mut world, stamps) = stamped()?;
    world.start();
    // One after the other: how soon a job runs, not how long many wait for two cores.
    for _ in 0..count {
        let item = town::tasks(&world, 1).remove(0);
        world.wait_mode(&item, "done");
    }
    world.stop();
    for (what, first) in [("P2: a task's first run (with its checkout)", true), ("P2: its later runs", false)] {
        let times = begun(&world, &stamps, first)?.into_values().collect();
        Times::of(times).show(what, "goal p50 ≤ 10 ms, p99 ≤ 50 ms");
    }
    Ok(())
}

/// P8: memory and processor time while nothing happens, and for each run that stands by.
pub fn idle() -> Outcome<()> {
    let count = number("SIGNALBOX_BENCH_RUNS", 50);
    let span = Duration::from_secs(number("SIGNALBOX_BENCH_SECONDS", 5).max(1));
    let mut world = town::many("[developer]\ndo = ['hang']", "");
    world.start();
    std::thread::sleep(Duration::from_secs(1));
    let service = pid_of(&world, " serve")?;
    let used = measured(service, span)?;
    println!(
        "P8: idle service                             {:>8.1} MB  {:>6.2} % of a core   goal ≤ 30 MB, ≤ 0.2 %",
        rss(service)?,
        used
    );
    let items = town::tasks(&world, count);
    for item in &items {
        world.wait_agent(item, "developer", 1);
    }
    let shims: Vec<i32> = all(&world, "run-shim");
    let sizes: Vec<f64> = shims.iter().filter_map(|p| rss(*p).ok()).collect();
    println!(
        "P8: per shim, of {:<4}                        {:>8.1} MB worst  {:>6.1} MB own  goal ≤ 3 MB",
        sizes.len(),
        sizes.iter().copied().fold(0.0, f64::max),
        shims.iter().filter_map(|p| own(*p).ok()).fold(0.0, f64::max)
    );
    let used = measured(service, span)?;
    println!(
        "    service with {count:<3} live runs               {:>8.1} MB  {used:>6.2} % of a core",
        rss(service)?
    );
    Ok(())
}

/// Pairs of numbers from the service's database.
fn rows(world: &World, sql: &str) -> Outcome<Vec<(i64, i64)>> {
    let conn = rusqlite::Connection::open(world.data().join("signalbox.db"))?;
    let mut rows = conn.prepare(sql)?;
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn all(world: &World, word: &str) -> Vec<i32> {
    let found = world.processes().into_iter();
    found.filter(|(_, line)| line.contains(word)).map(|(pid, _)| pid).collect()
}

pub fn pid_of(world: &World, word: &str) -> Outcome<i32> {
    all(world, word).first().copied().ok_or_else(|| format!("no process {word}").into())
}

/// Resident memory, MB.
pub fn rss(pid: i32) -> Outcome<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no size")?.parse::<f64>()? / 1024.0)
}

/// Memory that nobody shares, MB.
fn own(pid: i32) -> Outcome<f64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let sizes = rollup.lines().filter(|l| l.starts_with("Private_"));
    let kb = sizes.filter_map(|l| l.split_whitespace().nth(1)?.parse::<f64>().ok());
    Ok(kb.sum::<f64>() / 1024.0)
}

/// Percent of a core that a process used over `span`.
pub fn measured(pid: i32, span: Duration) -> Outcome<f64> {
    let ticks = || -> Outcome<f64> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields: Vec<&str> = stat.rsplit_once(") ").ok_or("no stat")?.1.split(' ').collect();
        Ok(fields[11].parse::<f64>()? + fields[12].parse::<f64>()?)
    };
    let before = ticks()?;
    std::thread::sleep(span);
    // A tick is a hundredth of a second on every Linux that matters.
    Ok((ticks()? - before) / span.as_secs_f64())
}
