//! P1: deliveries accepted, beside the same rows inserted raw through one group-committing writer.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::figures::Times;
use crate::world::plane::{ANALYST, KEY, PROJECT, Plane, SECRET, STATES, WORKSPACE};
use crate::world::{Setup, World};
use crate::{Outcome, load, number, raw};

const CLIENTS: u64 = 64;

pub fn accepted() -> Outcome<()> {
    let span = Duration::from_secs(number("SIGNALBOX_BENCH_SECONDS", 5).max(1));
    let plane = Plane::new(&STATES);
    let hook = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let tracker = format!(
        "kind = 'plane'\nurl = '{}'\nworkspace = '{WORKSPACE}'\nproject = '{PROJECT}'\ntoken = {{ file = 'plane.key' }}\n\
         secret = {{ file = 'plane.secret' }}",
        plane.url()
    );
    let files = [("plane.key", KEY), ("plane.secret", SECRET), ("analyst.key", ANALYST)];
    let setup = Setup {
        tracker: Some(tracker.parse()?),
        config: format!("listen = '{hook}'").parse()?,
        rules: files.map(|(file, text)| (file.to_owned(), format!("{text}\n"))).into(),
        ..Setup::default()
    };
    let mut world = World::new(&setup);
    let raw = baseline(&world.path("raw.db"), span)?;
    println!("raw rows through one group commit            {raw:>10.0} /s");
    world.start();
    let full = load::deliver(hook, CLIENTS, span, None)?;
    let rate = full.answered as f64 / full.took.as_secs_f64();
    println!("deliveries accepted, {CLIENTS} senders              {rate:>10.0} /s");
    println!("P1: ratio                                    {:>10.2}   goal ≥ 0.5", rate / raw);
    Times::of(full.times).show("answered, full load", "");
    world.until("everything is understood", || {
        world.count("SELECT COUNT(*) FROM deliveries WHERE state = 'pending'") == 0
    });
    let each = Duration::from_secs_f64(CLIENTS as f64 / (rate / 2.0));
    let half = load::deliver(hook, CLIENTS, span, Some(each))?;
    println!(
        "offered at half of that                      {:>10.0} /s",
        half.answered as f64 / half.took.as_secs_f64()
    );
    Times::of(half.times).show("P1: answered, half load", "goal p99 < 20 ms");
    let kept = world.count("SELECT COUNT(*) FROM deliveries");
    let answered = i64::try_from(full.answered + half.answered)?;
    println!("answered {answered}, on disk {kept}");
    if kept < answered {
        return Err("a delivery was answered and is not on disk".into());
    }
    world.stop();
    Ok(())
}

/// The same rows, by as many producers, with nothing around them.
fn baseline(path: &Path, span: Duration) -> Outcome<f64> {
    let rows = raw::Rows {
        table: "CREATE TABLE deliveries (id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, body BLOB NOT NULL, digest TEXT NOT NULL, \
                state TEXT NOT NULL, due INTEGER NOT NULL) STRICT; CREATE UNIQUE INDEX d ON deliveries (digest); \
                CREATE INDEX u ON deliveries (due) WHERE state = 'pending'",
        insert: "INSERT INTO deliveries (event, body, digest, state, due) VALUES ('cycle', ?1, ?2, 'pending', 0)",
        producers: CLIENTS,
        row: |number| {
            let body = load::body(number);
            let digest = hex::encode(Sha256::digest(&body));
            (body.into_bytes(), digest)
        },
    };
    raw::group_commit(path, span, &rows)
}
