//! Many tasks one after the other through one service, which must stay as small as it was: memory,
//! open files, the write-ahead log, zombies. Run by hand:
//! `cargo test --test it -- --ignored --nocapture soak` (SIGNALBOX_SOAK_TASKS, 200).

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::{LONG, Setup, World};

/// Tasks between two looks; the serial gate lets them in one after the other.
const AT_ONCE: usize = 4;
/// Tasks before the first look: caches are warm then.
const WARM: usize = 40;
/// Memory that a debug build may come to hold beyond what it held when it was warm, in KiB.
const GROWTH: u64 = 24 * 1024;
/// Open files at a quiet moment.
const FILES: usize = 128;
/// Bytes of the write-ahead log at a quiet moment.
const LOG: u64 = 16 * 1024 * 1024;

/// A look at a service that has nothing to do.
#[derive(Debug)]
struct Look {
    resident: u64,
    files: usize,
    log: u64,
}

impl Look {
    fn at(world: &World) -> Self {
        let pid = world.pid().expect("a service");
        let of = |name: &str| PathBuf::from(format!("/proc/{pid}")).join(name);
        let status = fs::read_to_string(of("status")).expect("its status");
        let resident = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("its memory");
        let log = fs::metadata(world.data().join("signalbox.db-wal")).map_or(0, |m| m.len());
        Self {
            resident: resident.trim().trim_end_matches(" kB").parse().expect("a number"),
            files: fs::read_dir(of("fd")).expect("its files").count(),
            log,
        }
    }
}

/// Children of a process that ended and were not waited for.
fn zombies(parent: u32) -> usize {
    let stats = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = stats.filter_map(|e| fs::read_to_string(e.path().join("stat")).ok());
    stats
        .filter(|stat| {
            let mut rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ');
            rest.next() == Some("Z") && rest.next() == Some(parent.to_string().as_str())
        })
        .count()
}

/// Confirms whichever waits for it, until all are done.
fn to_their_ends(world: &mut World, items: &[String]) {
    let (begun, mut open) = (Instant::now(), items.to_vec());
    while !open.is_empty() {
        open.retain(|item| {
            let seen = world.show(item);
            if seen["blockers"].to_string().contains("APPROVAL_WAIT") {
                // Refused where it was confirmed a moment ago.
                let _ = world.post(&format!("/api/tasks/{item}/approve"), &json!({"signal": "confirm_deploy"}));
            }
            seen["task"]["mode"] != "done"
        });
        assert!(begun.elapsed() < LONG * 2, "{open:?} do not end\n{}", world.tail());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[ignore = "minutes: a check by hand, with figures"]
fn soak_a_service_stays_as_small_as_it_was() {
    let wanted: usize = std::env::var("SIGNALBOX_SOAK_TASKS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(200);
    let mut world = World::new(&Setup::default());
    world.start();
    let (mut done, mut first) = (0, None);
    while done < wanted.max(WARM + AT_ONCE) {
        let items: Vec<String> = (done..done + AT_ONCE).map(|n| world.new_task(&format!("Number {n}"))).collect();
        to_their_ends(&mut world, &items);
        done += items.len();
        // One that ended this very moment is about to be waited for.
        world.until("children that ended are waited for", || {
            zombies(world.pid().expect("a service")) == 0
        });
        let look = Look::at(&world);
        println!("soak: {done} tasks, {look:?}");
        assert!(look.files <= FILES, "{} files are open after {done} tasks", look.files);
        assert!(look.log <= LOG, "the write-ahead log has {} bytes after {done} tasks", look.log);
        if done >= WARM {
            let warm = *first.get_or_insert(look.resident);
            assert!(
                look.resident <= warm + GROWTH,
                "{} KiB after {done} tasks, {warm} KiB when it was warm",
                look.resident
            );
        }
    }
    assert_eq!(world.starts, 1, "it never ended");
}
