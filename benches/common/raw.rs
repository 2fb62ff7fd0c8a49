//! What the disk can do at all: rows handed to one thread that commits whatever has come together.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A row: what is kept, and its unique key.
pub type Row = (Vec<u8>, String);

/// What is written, by how many producers.
pub struct Rows {
    /// The statements that make the table.
    pub table: &'static str,
    /// The statement that inserts a row, `?1` its body, `?2` its key.
    pub insert: &'static str,
    /// Producers; each waits until its row is on disk before it makes the next.
    pub producers: u64,
    /// Makes the row of this number, in the producer's own thread.
    pub row: fn(u64) -> Row,
}

/// Rows a second that are on disk, each answered.
pub fn group_commit(path: &Path, span: Duration, rows: &Rows) -> Outcome<f64> {
    let conn = Connection::open(path)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.execute_batch(rows.table)?;
    let (insert, row) = (rows.insert, rows.row);
    let (send, receive) = mpsc::sync_channel::<(Row, mpsc::SyncSender<()>)>(1024);
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let producers: Vec<_> = (0..rows.producers)
        .map(|producer| {
            let (send, stop, done) = (send.clone(), Arc::clone(&stop), Arc::clone(&done));
            std::thread::spawn(move || {
                let (answer, answered) = mpsc::sync_channel(1);
                let mut number = producer << 40;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    if send.send((row(number), answer.clone())).is_err() || answered.recv().is_err() {
                        return;
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    drop(send);
    let writer = std::thread::spawn(move || -> Outcome<()> {
        while let Ok(first) = receive.recv() {
            let mut batch = vec![first];
            batch.extend(receive.try_iter().take(255));
            conn.execute_batch("BEGIN IMMEDIATE")?;
            for ((body, key), _) in &batch {
                conn.prepare_cached(insert)?.execute(params![body, key])?;
            }
            conn.execute_batch("COMMIT")?;
            for (_, answer) in batch {
                // A producer that has gone does not mind.
                let _ = answer.send(());
            }
        }
        Ok(())
    });
    let began = Instant::now();
    std::thread::sleep(span);
    let (count, took) = (done.load(Ordering::Relaxed), began.elapsed());
    stop.store(true, Ordering::Relaxed);
    for producer in producers {
        producer.join().map_err(|_| "a producer panicked")?;
    }
    writer.join().map_err(|_| "the writer panicked")??;
    Ok(count as f64 / took.as_secs_f64())
}

/// How often the disk confirms a small write in a second: nothing durable is quicker, alone.
pub fn fdatasyncs(dir: &Path, span: Duration) -> Outcome<f64> {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = std::fs::File::create(dir.join("sync"))?;
    let page = [7_u8; 4096];
    let (began, mut done) = (Instant::now(), 0_u32);
    while began.elapsed() < span {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&page)?;
        file.sync_data()?;
        done += 1;
    }
    Ok(f64::from(done) / began.elapsed().as_secs_f64())
}

/// By which power of the history a cost grows, from its cost at 1×, 10× and 100×: the slope of
/// logarithms; 0 is no growth, 1 is in proportion.
#[allow(dead_code, reason = "not every bench has a history")]
pub fn exponent(costs: &[f64]) -> f64 {
    match costs {
        [first, .., last] if *first > 0.0 => (last / first).log10() / (costs.len() as f64 - 1.0),
        _ => 0.0,
    }
}
