//! What is ended is gone: cascades, deadlines, orphans, sweeps.

use std::fs;
use std::time::{Duration, Instant};

use signalbox::engine::model::Kill;
use signalbox::shell::process::{Alive, Evidence, Outcome, Owner, start_time};

use super::{LONG, World, pid_in, signal, supervisor, until};

#[tokio::test]
async fn a_killed_shim_is_gone_and_the_sweep_ends_its_agent() {
    let world = World::new();
    let file = world.path("pid");
    // The first sleeper dropped the tag: it is found as a descendant. Both are there when the pid is written.
    let alive = world
        .spawn(&world.sh(&format!("env -i sleep 50 & sleep 50 & echo $$ > {}; wait", file.display())))
        .await;
    let agent = pid_in(&file).await;
    signal(alive.pid, nix::sys::signal::SIGKILL);
    assert_eq!(supervisor().wait(&alive, &world.run_dir()).await, Outcome::Gone);
    assert_eq!(supervisor().evidence(&world.run_dir()).await, Evidence::Gone);
    assert!(start_time(agent).is_some(), "the agent should have survived its shim");
    let swept = supervisor().sweep(&world.run_dir()).await;
    assert_eq!(swept.left, 0);
    assert!(swept.found >= 3, "{swept:?}");
    assert_eq!(start_time(agent), None);
    assert_eq!(world.tagged(), Vec::<i32>::new());
    assert_eq!(supervisor().sweep(&world.run_dir()).await.found, 0);
}

#[tokio::test]
async fn the_deaf_are_killed_after_their_grace_with_all_they_started() {
    let world = World::new();
    let mut spec = world.scripted("deaf");
    spec.grace_ms = 120_000;
    let alive = world.spawn(&spec).await;
    until("the deaf child", || {
        (world.tagged().len() == 2 && world.log().contains("cannot hear")).then_some(())
    })
    .await;
    let begun = Instant::now();
    supervisor()
        .stop(&alive, &world.run_dir(), Kill::Stop, Some(Duration::from_millis(700)))
        .await
        .expect("ordered");
    let exit = world.exit(&alive).await;
    assert!(begun.elapsed() >= Duration::from_millis(700), "no grace was given");
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "the run's own grace was used instead of the order's"
    );
    assert_eq!((exit.killed, exit.signal, exit.code), (Some(Kill::Stop), Some(9), None));
    assert_eq!(world.tagged(), Vec::<i32>::new());
}

#[tokio::test]
async fn a_listener_ends_at_once_and_the_reason_is_kept() {
    let world = World::new();
    let alive = world.spawn(&world.scripted("hang")).await;
    until("the agent", || world.log().contains("Waiting").then_some(())).await;
    supervisor()
        .stop(&alive, &world.run_dir(), Kill::Superseded, Some(LONG))
        .await
        .expect("ordered");
    let exit = world.exit(&alive).await;
    assert_eq!((exit.killed, exit.signal, exit.survivors), (Some(Kill::Superseded), Some(15), 0));
    // An order that comes late changes nothing and is no error.
    supervisor()
        .stop(&alive, &world.run_dir(), Kill::Stop, Some(LONG))
        .await
        .expect("late order");
}

/// An order that comes between an agent's end and its record: the shim is stopped for just so long.
#[tokio::test]
async fn b_run_3_who_was_gone_when_the_order_came_keeps_his_own_exit() {
    let world = World::new();
    let (pid, go) = (world.path("pid"), world.path("go"));
    let script = format!(
        "echo $$ > {}; while ! test -e {}; do sleep 0.02; done; exit 5",
        pid.display(),
        go.display()
    );
    let alive = world.spawn(&world.sh(&script)).await;
    let agent = pid_in(&pid).await;
    signal(alive.pid, nix::sys::signal::Signal::SIGSTOP);
    fs::write(go, "").expect("go");
    until("its end", || start_time(agent).is_none().then_some(())).await;
    supervisor()
        .stop(&alive, &world.run_dir(), Kill::Stop, Some(LONG))
        .await
        .expect("ordered");
    let exit = world.exit(&alive).await;
    assert_eq!((exit.code, exit.signal, exit.killed), (Some(5), None, None));
}

#[tokio::test]
async fn a_second_sigterm_ends_the_grace() {
    let world = World::new();
    let mut spec = world.scripted("deaf");
    spec.grace_ms = 120_000;
    let alive = world.spawn(&spec).await;
    until("the deaf", || world.log().contains("cannot hear").then_some(())).await;
    // Its child, too: whoever dies of the first signal never has it pending.
    let deaf = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|l| l.starts_with("SigBlk") && l.ends_with("4000"))
    };
    until("both deaf", || world.tagged().iter().all(deaf).then_some(())).await;
    signal(alive.pid, nix::sys::signal::SIGTERM);
    // Signals of one kind merge while they are pending: the second one counts once the first was heard.
    let heard = |pid: i32| {
        fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|s| s.lines().any(|l| l.starts_with("ShdPnd") && l.ends_with("4000")))
    };
    let agents = world.tagged();
    until("SIGTERM at the agents", || agents.iter().all(|a| heard(*a)).then_some(())).await;
    signal(alive.pid, nix::sys::signal::SIGTERM);
    let begun = Instant::now();
    let exit = world.exit(&alive).await;
    assert!(begun.elapsed() < Duration::from_secs(60), "the grace of 120 s went on");
    assert_eq!((exit.killed, exit.signal), (Some(Kill::Foreign), Some(9)));
}

#[tokio::test]
async fn a_repeated_order_does_not_end_the_grace() {
    let world = World::new();
    let alive = world.spawn(&world.scripted("deaf")).await;
    until("the deaf", || world.log().contains("cannot hear").then_some(())).await;
    // An order that comes after it would be taken by nobody.
    let grace = Duration::from_secs(5);
    let begun = Instant::now();
    for _ in 0..3 {
        supervisor()
            .stop(&alive, &world.run_dir(), Kill::Stop, Some(grace))
            .await
            .expect("ordered");
        until("the order to be taken", || (!world.run_dir().join("kill").exists()).then_some(())).await;
    }
    let exit = world.exit(&alive).await;
    assert!(begun.elapsed() >= grace, "the grace was cut short");
    assert_eq!(exit.killed, Some(Kill::Stop));
}

/// Orders that are given at the same time are seen once and signalled twice.
#[tokio::test]
async fn an_order_given_twice_at_once_does_not_end_the_grace() {
    let world = World::new();
    let alive = world.spawn(&world.scripted("deaf")).await;
    until("the deaf", || world.log().contains("cannot hear").then_some(())).await;
    let grace = Duration::from_secs(5);
    let begun = Instant::now();
    supervisor()
        .stop(&alive, &world.run_dir(), Kill::Stop, Some(grace))
        .await
        .expect("ordered");
    until("the order to be taken", || (!world.run_dir().join("kill").exists()).then_some(())).await;
    signal(alive.pid, nix::sys::signal::SIGTERM);
    let exit = world.exit(&alive).await;
    assert!(begun.elapsed() >= grace, "the grace was cut short");
    assert_eq!(exit.killed, Some(Kill::Stop));
}

#[tokio::test]
async fn what_an_agent_leaves_behind_is_ended_and_counted() {
    let world = World::new();
    let alive = world.spawn(&world.scripted("orphan")).await;
    let exit = world.exit(&alive).await;
    assert_eq!((exit.code, exit.killed, exit.survivors), (Some(0), None, 1));
    assert_eq!(world.tagged(), Vec::<i32>::new());
}

#[tokio::test]
async fn the_deadline_is_enforced_without_the_service() {
    let world = World::new();
    let mut spec = world.scripted("deaf");
    // Long enough for the agent to be deaf by then.
    (spec.deadline_ms, spec.grace_ms) = (6000, 200);
    let alive = world.spawn(&spec).await;
    let exit = world.exit(&alive).await;
    assert_eq!((exit.killed, exit.signal), (Some(Kill::Deadline), Some(9)));
    assert!(exit.ended_at.since(exit.started_at).0 >= 6200, "{exit:?}");
    assert_eq!(world.tagged(), Vec::<i32>::new());
}

#[tokio::test]
async fn a_fork_bomb_is_ended() {
    let world = World::new();
    // Bounded, so that a defect of ours does not take the machine along; deaf all the same.
    let bomb = "trap '' TERM; f() { [ $1 -gt 0 ] && { f $(($1-1)) & f $(($1-1)) & }; setsid sleep 50 & wait; }; f 6";
    let mut spec = world.sh(bomb);
    spec.grace_ms = 50;
    let alive = world.spawn(&spec).await;
    until("some of the bomb", || (world.tagged().len() > 20).then_some(())).await;
    supervisor()
        .stop(&alive, &world.run_dir(), Kill::Stop, Some(Duration::from_millis(50)))
        .await
        .expect("ordered");
    assert_eq!(world.exit(&alive).await.killed, Some(Kill::Stop));
    assert_eq!(world.tagged(), Vec::<i32>::new());
}

#[tokio::test]
async fn a_wrong_start_time_is_not_trusted() {
    let world = World::new();
    let mut bystander = tokio::process::Command::new("sleep")
        .arg("50")
        .kill_on_drop(true)
        .spawn()
        .expect("sleep");
    let pid = bystander.id().expect("pid").cast_signed();
    let start = start_time(pid).expect("start");
    let alive = world.spawn(&world.sh("exit 0")).await;
    world.exit(&alive).await;
    // As after a pid was used again: its owner file names a process that is another one now.
    let run = world.path("runs/9");
    fs::create_dir_all(&run).expect("dir");
    let reused = Alive {
        pid,
        start: start + 1,
        boot_id: alive.boot_id.clone(),
    };
    fs::write(run.join("owner"), serde_json::to_vec(&Owner::Shim(reused.clone())).expect("json")).expect("owner");
    assert_eq!(supervisor().evidence(&run).await, Evidence::Gone);
    assert_eq!(supervisor().wait(&reused, &run).await, Outcome::Gone);
    supervisor()
        .stop(&reused, &run, Kill::Stop, Some(Duration::ZERO))
        .await
        .expect("nothing to stop");
    // Nor is the same pid and start time of another boot.
    let booted = Alive {
        pid,
        start,
        boot_id: "an-earlier-boot".into(),
    };
    supervisor()
        .stop(&booted, &run, Kill::Stop, Some(Duration::ZERO))
        .await
        .expect("nothing to stop");
    assert_eq!(supervisor().wait(&booted, &run).await, Outcome::Gone);
    assert!(bystander.try_wait().expect("status").is_none(), "a bystander was killed");
}

#[tokio::test]
async fn an_abandoned_run_ends_itself() {
    for vanish in [false, true] {
        let world = World::new();
        let alive = world.spawn(&world.scripted("hang")).await;
        until("the agent", || world.log().contains("Waiting").then_some(())).await;
        let agents = world.tagged();
        assert_eq!(agents.len(), 1);
        if vanish {
            fs::remove_dir_all(world.run_dir()).expect("removed");
        } else {
            fs::write(world.run_dir().join("abandon"), "").expect("abandon");
        }
        let outcome = tokio::time::timeout(LONG, supervisor().wait(&alive, &world.run_dir()))
            .await
            .expect("in time");
        assert_eq!(matches!(outcome, Outcome::Gone), vanish, "{outcome:?}");
        assert_eq!(start_time(agents[0]), None);
    }
}

#[tokio::test]
async fn an_agent_that_kills_its_group_or_itself_is_recorded() {
    let world = World::new();
    let alive = world.spawn(&world.scripted("crash")).await;
    let exit = world.exit(&alive).await;
    assert_eq!((exit.code, exit.signal, exit.killed), (None, Some(9), None));
    let other = World::new();
    let alive = other.spawn(&other.sh("kill -KILL 0")).await;
    let exit = other.exit(&alive).await;
    assert_eq!((exit.signal, exit.killed), (Some(9), None));
}
