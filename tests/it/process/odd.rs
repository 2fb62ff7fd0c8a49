//! Shims that are stopped, agents that print for ever, words that are no words.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::{Duration, Instant};

use nix::sys::signal::{SIGCONT, SIGSTOP};
use signalbox::engine::model::Kill;
use signalbox::shell::process::{Evidence, Outcome, tail};

use super::{World, signal, supervisor, until};

/// How the run ends when the service looks after its deadline as well.
async fn watched(world: &World, alive: &signalbox::shell::process::Alive, margin: Duration) -> Outcome {
    let (service, dir) = (supervisor(), world.run_dir());
    let both = async {
        tokio::select! {
            outcome = service.wait(alive, &dir) => outcome,
            never = service.overdue(alive, &dir, margin) => match never {},
        }
    };
    tokio::time::timeout(super::LONG, both).await.expect("in time")
}

/// ★ SIGSTOP past the deadline: the service makes it go on, and it keeps what it promised.
#[tokio::test]
async fn a_stopped_shim_is_made_to_go_on_past_its_deadline() {
    let world = World::new();
    let mut spec = world.scripted("hang");
    (spec.deadline_ms, spec.grace_ms) = (300, 100);
    let alive = world.spawn(&spec).await;
    signal(alive.pid, SIGSTOP);
    match watched(&world, &alive, Duration::from_millis(500)).await {
        Outcome::Exited(exit) => assert_eq!(exit.killed, Some(Kill::Deadline)),
        Outcome::Gone | Outcome::Barred(_) => panic!("it was to end by itself"),
    }
    assert_eq!(world.tagged(), Vec::<i32>::new());
}

/// An order to end a run that its shim does not carry out is seen to long before the deadline.
#[tokio::test]
async fn a_stopped_shim_is_made_to_go_on_after_an_order() {
    let world = World::new();
    let mut spec = world.scripted("hang");
    (spec.deadline_ms, spec.grace_ms) = (3_600_000, 100);
    let alive = world.spawn(&spec).await;
    supervisor()
        .stop(&alive, &world.run_dir(), Kill::Stop, None)
        .await
        .expect("the order");
    // Stopped again after it was told, as an agent may do that hears of its end.
    signal(alive.pid, SIGSTOP);
    match watched(&world, &alive, Duration::from_secs(3_600)).await {
        Outcome::Exited(exit) => assert_eq!(exit.killed, Some(Kill::Stop)),
        Outcome::Gone | Outcome::Barred(_) => panic!("it was to end by itself"),
    }
    assert_eq!(world.tagged(), Vec::<i32>::new());
}

/// ★ One that does not go on is given up with all of its run: there is nobody left who could come late.
#[tokio::test]
async fn a_stopped_shim_that_stays_stopped_is_given_up_and_nothing_of_it_comes_late() {
    let world = World::new();
    let mut spec = world.scripted("hang");
    (spec.deadline_ms, spec.grace_ms) = (300, 100);
    let alive = world.spawn(&spec).await;
    let (pid, mut ended) = (alive.pid, false);
    signal(pid, SIGSTOP);
    let stop_again = async {
        for round in 0_u64.. {
            // Whoever lets it go on is too late: it is stopped before it runs a thousandth of a second.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), SIGSTOP);
            tokio::time::sleep(Duration::from_micros(50)).await;
            // Unless that was time enough to end its agent: the service lets it write that down.
            if round % 64 == 0 && supervisor().alone(&alive, &world.run_dir()).await {
                supervisor().go_on(&alive);
                return std::future::pending().await;
            }
        }
    };
    let outcome = tokio::select! {
        outcome = watched(&world, &alive, Duration::from_millis(400)) => outcome,
        () = stop_again => unreachable!("it goes on for ever"),
    };
    supervisor().sweep(&world.run_dir()).await;
    // Whether it won the race for that moment or not: it is over, and once.
    if let Outcome::Exited(exit) = &outcome {
        assert_eq!(exit.killed, Some(Kill::Deadline), "{exit:?}");
        ended = true;
    }
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), SIGCONT);
    assert_eq!(world.tagged(), Vec::<i32>::new());
    assert_eq!(world.run_dir().join("exit.json").exists(), ended, "nothing came late: {outcome:?}");
}

/// ★ A hung agent is one that does not end, whatever it prints.
#[tokio::test]
async fn an_agent_that_prints_for_ever_meets_its_deadline() {
    let world = World::new();
    let mut spec = world.sh("trap '' TERM; while :; do echo still at it; done");
    (spec.deadline_ms, spec.grace_ms, spec.log_max_bytes) = (2000, 100, 64 * 1024);
    let alive = world.spawn(&spec).await;
    let exit = world.exit(&alive).await;
    assert_eq!((exit.killed, exit.signal), (Some(Kill::Deadline), Some(9)));
    assert!(world.log().contains("still at it"));
}

/// A burst of a million lines: counted whole, kept within the bound, beginning and end.
#[tokio::test]
async fn a_burst_of_a_million_lines_is_bounded() {
    let world = World::new();
    let mut spec = world.sh("seq 1000000");
    spec.log_max_bytes = 256 * 1024;
    let alive = world.spawn(&spec).await;
    let exit = world.exit(&alive).await;
    assert_eq!((exit.code, exit.log_truncated, exit.log_bytes), (Some(0), true, 6_888_896));
    let used = fs::metadata(world.path("7.log")).expect("log").blocks() * 512;
    assert!(used <= 256 * 1024 + 8192, "{used} bytes on disk");
    let mut head = [0; 6];
    let mut file = fs::File::open(world.path("7.log")).expect("log");
    std::io::Read::read_exact(&mut file, &mut head).expect("a beginning");
    assert_eq!(&head, b"1\n2\n3\n");
    assert!(tail(&world.path("7.log"), 100).expect("tail").ends_with("\n1000000\n"));
}

/// Bytes that are no text are kept as they are, and shown as what can be shown.
#[tokio::test]
async fn a_log_that_is_no_utf_8_is_read_all_the_same() {
    let world = World::new();
    let alive = world
        .spawn(&world.sh("printf 'before \\377\\376\\303\\050 after\\n'; exit 3"))
        .await;
    assert_eq!(world.exit(&alive).await.code, Some(3));
    let log = world.log();
    assert!(
        log.contains("before") && log.contains("after") && log.contains('\u{fffd}'),
        "{log:?}"
    );
}

/// Not executable, or no program at all: said, and no attempt to guess.
#[tokio::test]
async fn a_program_that_cannot_be_executed_says_so() {
    for (name, text, mode) in [("plain", "#!/bin/sh\nexit 0\n", 0o644), ("odd", "\u{1}\u{2} no program\n", 0o755)] {
        let world = World::new();
        let program = world.path(name);
        fs::write(&program, text).expect("a file");
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).expect("mode");
        let alive = world.spawn(&world.spec(&[&program.to_string_lossy()])).await;
        let exit = world.exit(&alive).await;
        let error = exit.launch_error.unwrap_or_default();
        assert!(error.contains(name), "{name}: {error:?}");
        assert_eq!((exit.code, exit.signal), (None, None));
    }
}

/// ★ A folder in the place of the exit record delays nothing.
#[tokio::test]
async fn a_folder_in_the_place_of_the_exit_record_is_put_aside() {
    let world = World::new();
    let alive = world.spawn(&world.sh("mkdir -p \"$SIGNALBOX_RUN_DIR/exit.json/x\"; exit 3")).await;
    assert_eq!(world.exit(&alive).await.code, Some(3));
    assert!(world.run_dir().join("exit.json.moved-0/x").is_dir(), "it is kept for a look");
}

/// ★ Pipes in the place of an order, of the log: nobody waits for a writer who never comes.
#[tokio::test]
async fn pipes_in_the_place_of_files_are_not_waited_for() {
    let world = World::new();
    let mut spec = world.sh("rm -f ../7.log; mkfifo ../7.log; mkfifo \"$SIGNALBOX_RUN_DIR/kill\"; sleep 60");
    spec.cwd = world.path("cwd");
    fs::create_dir(&spec.cwd).expect("a folder");
    let alive = world.spawn(&spec).await;
    let exit = world.exit(&alive).await;
    assert_eq!(exit.killed, Some(Kill::Foreign), "an order like any other");
    assert!(tail(&world.path("7.log"), 100).is_err(), "no log");
}

/// ★ I2: an exit record that an agent wrote itself ends nothing while its shim lives.
#[tokio::test]
async fn a_forged_exit_record_does_not_stand_against_a_living_shim() {
    let world = World::new();
    let forged = r#"{"code":1,"signal":null,"killed":null,"launch_error":null,"started_at":1,"ended_at":2,"log_bytes":0,"log_truncated":false,"survivors":0}"#;
    let script = format!(
        "printf '%s' '{forged}' > \"$SIGNALBOX_RUN_DIR/exit.tmp\"; mv \"$SIGNALBOX_RUN_DIR/exit.tmp\" \"$SIGNALBOX_RUN_DIR/exit.json\"; while ! test -e {}; do sleep 0.02; done; exit 3",
        world.path("go").display()
    );
    let alive = world.spawn(&world.sh(&script)).await;
    until("the forged record", || world.run_dir().join("exit.json").exists().then_some(())).await;
    assert_eq!(supervisor().evidence(&world.run_dir()).await, Evidence::Alive(alive.clone()));
    fs::write(world.path("go"), "").expect("go");
    assert_eq!(world.exit(&alive).await.code, Some(3), "the shim has the last word");
}

/// ★ 10 GB without a newline, at the bound that a service gives.
#[tokio::test]
#[ignore = "a minute, and 10 GB through the disk"]
async fn ten_gigabytes_without_a_newline_are_bounded() {
    let world = World::new();
    let mut spec = world.sh("head -c 10000000000 /dev/zero | tr '\\0' x");
    (spec.log_max_bytes, spec.deadline_ms) = (64 << 20, 600_000);
    let begun = Instant::now();
    let alive = world.spawn(&spec).await;
    let (mut most, path) = (0, world.path("7.log"));
    until("the end", || {
        most = most.max(fs::metadata(&path).map_or(0, |m| m.blocks() * 512));
        world.run_dir().join("exit.json").exists().then_some(())
    })
    .await;
    let exit = world.exit(&alive).await;
    assert_eq!((exit.code, exit.log_bytes, exit.log_truncated), (Some(0), 10_000_000_000, true));
    let used = fs::metadata(&path).expect("log").blocks() * 512;
    println!(
        "10 GB in {:.0} s; at most {} MB on disk while it was written, {} MB after",
        begun.elapsed().as_secs_f64(),
        most >> 20,
        used >> 20
    );
    assert!(used <= (64 << 20) + 8192, "{used}");
}

/// The limit on the size of files ends neither the shim nor the run: beginning and end of the log are kept below it.
#[tokio::test]
async fn a_file_size_limit_ends_no_shim() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let world = World::new();
    let go = world.path("go");
    let printed = "head -c 400000 /dev/zero | tr '\\0' x; echo; echo the end";
    let text = format!(
        "echo the beginning; while ! test -e {}; do sleep 0.02; done; {printed}; exit 3",
        go.display()
    );
    let alive = world.spawn(&world.sh(&text)).await;
    until("its first word", || world.log().contains("the beginning").then_some(())).await;
    let limit = Rlimit {
        current: Some(100 * 1024),
        maximum: None,
    };
    prlimit(Pid::from_raw(alive.pid), Resource::Fsize, limit).expect("a limit");
    fs::write(go, "").expect("go");
    let exit = world.exit(&alive).await;
    assert_eq!((exit.code, exit.signal, exit.log_truncated), (Some(3), None, true), "{exit:?}");
    let log = world.log();
    assert!(
        log.starts_with("the beginning\n") && log.ends_with("\nthe end\n"),
        "{} bytes",
        log.len()
    );
    assert!(
        log.contains("bytes of output were dropped here") && log.len() <= 100 * 1024,
        "{} bytes",
        log.len()
    );
}
