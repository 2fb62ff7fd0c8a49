//! What the running service costs: the real binary, loaded from outside, beside what the machine
//! can do at all, in one run.
//!
//! `cargo bench --bench service` measures everything; `-- idle adopt` only what is named. Environment:
//! `SIGNALBOX_BENCH_SECONDS` (5) of load, `SIGNALBOX_BENCH_HISTORY` (100000) rows of history,
//! `SIGNALBOX_BENCH_RUNS` (50) runs at a time. Worlds are laid out in the temporary folder: TMPDIR
//! names another one, on the disk in question. Ratios count, absolute times drift.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that cannot go on should say where, as the tests do whose world it uses"
)]

mod deliveries;
mod figures;
mod history;
mod load;
#[path = "../common/raw.rs"]
mod raw;
mod runs;
mod town;

#[allow(dead_code, unused_imports, reason = "the tests use more of it")]
#[path = "../../tests/it/world/mod.rs"]
mod world;

/// What went wrong.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures something and prints it.
type Measure = fn() -> Outcome<()>;

/// What is measured, by the name that chooses it.
const ALL: [(&str, Measure); 6] = [
    ("deliveries", deliveries::accepted),
    ("start", runs::start),
    ("idle", runs::idle),
    ("adopt", history::adopt),
    ("answers", history::answers),
    ("growth", history::growth),
];

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, file, rest @ ..] = args.as_slice()
        && flag == "--stamp"
    {
        return runs::stamp(file, rest);
    }
    // The service asks it of every agent's program before it starts one.
    if args == ["--version"] {
        return Ok(());
    }
    let chosen: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
    let folder = tempfile::tempdir()?;
    let syncs = raw::fdatasyncs(folder.path(), std::time::Duration::from_secs(2))?;
    println!("{} cores, {syncs:.0} raw fdatasync a second", std::thread::available_parallelism()?);
    for (name, measure) in ALL {
        if chosen.is_empty() || chosen.iter().any(|c| c.as_str() == name) {
            println!("\n== {name}");
            measure()?;
        }
    }
    Ok(())
}

/// A number from the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(otherwise)
}
