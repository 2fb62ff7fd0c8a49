//! Random SIGKILLs over many small runs, with a fixed seed; and how long a stop takes. Run by hand:
//! `cargo test --test it -- --ignored --nocapture chaos` (SIGNALBOX_CHAOS_KILLS, 1000, SIGNALBOX_CHAOS_SEED, 1).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use signalbox::scripted::{Entry, Phase};

use crate::world::{Setup, World};

/// Tasks at the same time.
const SIDE_BY_SIDE: usize = 4;

/// SplitMix64: the same kills for the same seed, as far as timing allows.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// What a process of the world is, by its command line.
fn role(line: &str) -> &'static str {
    match line {
        l if l.contains("run-shim --init") => "init",
        l if l.contains("run-shim") => "shim",
        l if l.contains("--child") => "child",
        l if l.contains("scripted-agent") => "agent",
        l if l.contains(" serve") => "service",
        _ => "other",
    }
}

fn number(name: &str, or: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(or)
}

/// A kill of something random; what it was.
fn strike(world: &mut World, random: &mut Random) -> Option<&'static str> {
    let wanted = ["service", "shim", "init", "agent", "child"][usize::try_from(random.below(5)).expect("small")];
    if wanted == "service" {
        world.kill();
        if random.below(2) == 0 {
            std::thread::sleep(Duration::from_millis(random.below(300)));
        }
        world.start();
        return Some(wanted);
    }
    let found: Vec<i32> = world
        .processes()
        .into_iter()
        .filter(|(_, l)| role(l) == wanted)
        .map(|(pid, _)| pid)
        .collect();
    let victim = found.get(usize::try_from(random.below(found.len().max(1) as u64)).expect("small"))?;
    kill(Pid::from_raw(*victim), Signal::SIGKILL).ok().map(|()| wanted)
}

/// Checkouts in which two runs are at work at this moment, by the processes themselves.
fn beside(world: &World) -> Vec<String> {
    let agents = || {
        let all = world.processes();
        all.into_iter()
            .filter(|(_, l)| role(l) == "agent")
            .map(|(pid, _)| pid)
            .collect::<BTreeSet<i32>>()
    };
    let run = |pid: i32| {
        let checkout = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
        let env = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
        let run = env.split(|b| *b == 0).find_map(|e| e.strip_prefix(b"SIGNALBOX_RUN="))?;
        Some((checkout, String::from_utf8_lossy(run).into_owned(), pid))
    };
    let found: Vec<_> = agents().into_iter().filter_map(run).collect();
    // What has ended meanwhile was not beside what was read after it.
    let still = agents();
    let mut runs: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for (checkout, run, _) in found.into_iter().filter(|(.., pid)| still.contains(pid)) {
        runs.entry(checkout).or_default().insert(run);
    }
    let twice = runs.into_iter().filter(|(_, runs)| runs.len() > 1);
    twice
        .map(|(checkout, runs)| format!("{} is worked on by runs {runs:?}", checkout.display()))
        .collect()
}

/// Runs that began twice, and runs of one slot that were at work at the same time.
fn doubled(ledger: &[Entry]) -> Vec<String> {
    let mut begun = BTreeSet::new();
    let mut newest: BTreeMap<(String, String), i64> = BTreeMap::new();
    let mut found = Vec::new();
    for entry in ledger {
        let slot = (entry.item.clone(), entry.agent.clone());
        match entry.phase {
            Phase::Start => {
                if !begun.insert(entry.run) {
                    found.push(format!("run {} began twice", entry.run));
                }
                newest.insert(slot, entry.run);
            }
            Phase::End if newest.get(&slot).is_some_and(|run| *run != entry.run) => {
                found.push(format!("run {} of {slot:?} went on beside run {:?}", entry.run, newest.get(&slot)));
            }
            Phase::End => {}
        }
    }
    found
}

/// Work that ended, was accepted, and was paid for again all the same.
fn repeated(world: &mut World, items: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for item in items {
        let seen = world.show(item);
        let mut good: BTreeMap<(String, i64), u32> = BTreeMap::new();
        for run in seen["runs"].as_array().into_iter().flatten().filter(|r| r["outcome"] == "ok") {
            let slot = run["slot"].as_str().unwrap_or_default().to_owned();
            *good.entry((slot, run["visit"].as_i64().unwrap_or_default())).or_default() += 1;
        }
        found.extend(
            good.iter()
                .filter(|(_, n)| **n > 1)
                .map(|(slot, n)| format!("{item}: {slot:?} was accepted {n} times")),
        );
    }
    found
}

#[test]
#[ignore = "minutes: a check by hand, with figures"]
fn chaos_no_run_is_lost_doubled_or_left_running() {
    let (wanted, seed) = (number("SIGNALBOX_CHAOS_KILLS", 1000), number("SIGNALBOX_CHAOS_SEED", 1));
    let level = std::env::var("SIGNALBOX_CHAOS_LEVEL").unwrap_or_else(|_| "pidns".to_owned());
    let parts = vec!["\"slow:300\", \"orphan\", \"slow:150\""; 20].join(", ");
    let agents = format!("[developer]\ndo = [{parts}]\n[reviewer]\ndo = [\"ok\"]");
    let set = "\"serial_gate.enabled\" = false\n\"retry.attempts\" = 20\n\"retry.rescues\" = 20\n\"retry.transient\" = 20";
    let config = json!({"max_concurrency": SIDE_BY_SIDE, "containment": level});
    let mut world = World::new(&Setup {
        agents: toml::from_str(&agents).expect("agents"),
        set: toml::from_str(set).expect("settings"),
        config: toml::Table::try_from(config).expect("config"),
        ..Setup::default()
    });
    world.most_starts = u32::try_from(wanted).unwrap_or(u32::MAX).saturating_add(10);
    let (mut random, begun) = (Random(seed), Instant::now());
    let mut kills: BTreeMap<&str, u32> = BTreeMap::new();
    let (mut items, mut looks): (Vec<String>, u32) = (Vec::new(), 0);
    world.start();
    let on = |world: &mut World, item: &String| {
        let seen = world.show(item);
        let waits = |code: &str| seen["blockers"].as_array().is_some_and(|b| b.iter().any(|b| b["code"] == code));
        assert!(!waits("ESCALATED"), "{item} was parked: {}\n{}", seen["blockers"], world.tail());
        !waits("APPROVAL_WAIT")
    };
    while u64::from(kills.values().sum::<u32>()) < wanted {
        let batch: Vec<String> = (0..SIDE_BY_SIDE)
            .map(|n| world.new_task(&format!("Number {}", items.len() + n)))
            .collect();
        items.extend(batch.iter().cloned());
        let (first, mut open) = (Instant::now(), batch);
        while !open.is_empty() {
            // Each batch is left alone after a while: it must come to its end by itself.
            if first.elapsed() < Duration::from_secs(12)
                && let Some(what) = strike(&mut world, &mut random)
            {
                *kills.entry(what).or_default() += 1;
            }
            std::thread::sleep(Duration::from_millis(20 + random.below(150)));
            let beside = beside(&world);
            assert!(beside.is_empty(), "{beside:?}\n{}", world.tail());
            looks += 1;
            open.retain(|item| on(&mut world, item));
            assert!(
                first.elapsed() < Duration::from_secs(120),
                "lost: {open:?} do not end\n{}",
                world.tail()
            );
        }
    }
    let ledger = world.ledger();
    let (doubled, repeated) = (doubled(&ledger), repeated(&mut world, &items));
    let starts = ledger.iter().filter(|e| e.phase == Phase::Start).count();
    let total: u32 = kills.values().sum();
    println!(
        "chaos at {level}, seed {seed}: {total} kills {kills:?}, {} tasks, {starts} agent runs, {} starts of the service, {:.0} s; lost 0, doubled {}, accepted twice {}, two in one checkout 0 of {looks} looks",
        items.len(),
        world.starts,
        begun.elapsed().as_secs_f64(),
        doubled.len(),
        repeated.len()
    );
    assert!(doubled.is_empty(), "{doubled:#?}");
    assert!(repeated.is_empty(), "{repeated:#?}");
    world.nothing_is_left();
}

/// ★ A restart with 200 runs at work: all are adopted, none begins twice, exit statuses are right, and
/// those that ended while nobody looked are settled from their records.
#[test]
#[ignore = "minutes: a check by hand, with figures"]
fn chaos_two_hundred_runs_are_adopted() {
    let count = usize::try_from(number("SIGNALBOX_CHAOS_RUNS", 200)).expect("a number");
    let mut world = World::new(&Setup {
        agents: toml::from_str("[developer]\ndo = [\"held\"]\n[reviewer]\ndo = [\"hang\"]").expect("agents"),
        set: toml::from_str("\"serial_gate.enabled\" = false").expect("settings"),
        config: toml::Table::try_from(json!({"max_concurrency": count})).expect("config"),
        ..Setup::default()
    });
    world.start();
    let first = Instant::now();
    let items: Vec<String> = (0..count).map(|n| world.new_task(&format!("Number {n}"))).collect();
    let at_work = |world: &World| world.begun().iter().filter(|e| e.agent == "developer").count();
    while at_work(&world) < count {
        assert!(
            first.elapsed() < Duration::from_secs(900),
            "{} of {count} are at work",
            at_work(&world)
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let began = first.elapsed();
    world.kill();
    // One dies in the gap; its shim, or its namespace with it, leaves a record or none.
    let victim = world.processes().into_iter().find(|(_, l)| role(l) == "agent").expect("an agent").0;
    kill(Pid::from_raw(victim), Signal::SIGKILL).expect("killed");
    world.until("its record", || {
        (1..=count).any(|run| world.data().join(format!("runs/{run}/exit.json")).exists())
    });
    let again = Instant::now();
    world.start();
    let adopted = |world: &World| world.log().matches(" adopted").count();
    while adopted(&world) < count - 1 {
        assert!(
            again.elapsed() < Duration::from_secs(120),
            "{} are adopted\n{}",
            adopted(&world),
            world.tail()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = again.elapsed();
    world.let_go();
    let ended = "SELECT COUNT(*) FROM runs WHERE slot = 'developer' AND state = 'ended' AND json_extract(\"end\", '$') LIKE '%ok%'";
    let last = Instant::now();
    while world.count(ended) < i64::try_from(count).expect("small") {
        assert!(
            last.elapsed() < Duration::from_secs(900),
            "{} ended well\n{}",
            world.count(ended),
            world.tail()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    let ledger = world.ledger();
    assert!(doubled(&ledger).is_empty(), "{:#?}", doubled(&ledger));
    let starts = ledger.iter().filter(|e| e.phase == Phase::Start && e.agent == "developer").count();
    println!(
        "{count} runs at work after {:.0} s; the service killed and started: {} adopted within {:.1} s, one ended in the gap; {starts} runs of developers began in all",
        began.as_secs_f64(),
        adopted(&world),
        took.as_secs_f64()
    );
    assert_eq!(starts, count + 1, "one was killed and is tried again; nobody else");
    assert_eq!(items.len(), count);
}
