//! What each level of containment promises, at every level that this host has (B-RUN 3).

use std::fs;
use std::time::{Duration, Instant};

use signalbox::engine::model::Kill;
use signalbox::shell::process::{Alive, Containment, Evidence, Exit, Outcome, RunSpec, Supervisor, start_time};

use super::{EXE, World, pids, signal, until};
use crate::world::copied;

/// The levels that this host has; `tagged` is always among them.
async fn levels() -> Vec<Containment> {
    let mut found = Vec::new();
    for level in Containment::ALL {
        if Supervisor::probed(EXE.into(), level).await.containment() == level {
            found.push(level);
        }
    }
    assert!(found.contains(&Containment::Tagged));
    eprintln!("levels of this host: {found:?}");
    found
}

/// A run at a level.
struct Held {
    world: World,
    supervisor: Supervisor,
    level: Containment,
}

impl Held {
    fn at(level: Containment) -> Self {
        Self {
            world: World::new(),
            supervisor: Supervisor::new(EXE.into(), level),
            level,
        }
    }

    async fn spawn(&self, spec: &RunSpec) -> Alive {
        self.supervisor.spawn(&self.world.run_dir(), spec).await.expect("spawned")
    }

    async fn stop(&self, alive: &Alive, grace: u64) -> Exit {
        let grace = Some(Duration::from_millis(grace));
        let dir = self.world.run_dir();
        self.supervisor.stop(alive, &dir, Kill::Stop, grace).await.expect("ordered");
        self.world.exit(alive).await
    }

    /// Processes that name `mark` on their command line, whatever else they dropped.
    fn marked(mark: &str) -> Vec<i32> {
        let carries = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(mark)
        };
        pids()
            .into_iter()
            .filter(|pid| carries(pid) && start_time(*pid).is_some())
            .collect()
    }

    fn record(&self) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.world.run_dir().join("shim.json")).expect("shim.json")).expect("json")
    }
}

/// A script that leaves processes behind which dropped group, session, parent and environment.
fn escaping(mark: &str) -> String {
    format!(
        "for i in 1 2 3; do (env -i setsid /bin/sh -c 'trap \"\" TERM; /bin/sleep {mark} & /bin/sleep {mark}; wait' &) & done; sleep 0.05; sleep {mark}"
    )
}

#[tokio::test]
async fn b_run_3_exit_signal_and_launch_error_are_kept_at_every_level() {
    for level in levels().await {
        let held = Held::at(level);
        let mut spec = held.world.sh("cat; echo $SIGNALBOX_RUN; exit 7");
        spec.stdin = Some(held.world.path("prompt"));
        fs::write(held.world.path("prompt"), "do it well\n").expect("prompt");
        let alive = held.spawn(&spec).await;
        let exit = held.world.exit(&alive).await;
        assert_eq!(
            (exit.code, exit.signal, exit.killed, exit.survivors),
            (Some(7), None, None, 0),
            "{level:?}"
        );
        assert_eq!(exit.containment, level, "what was promised is on record");
        assert_eq!(held.world.log(), "do it well\n7\n", "{level:?}");
        assert_eq!(held.supervisor.held(&held.world.run_dir()).await, Some(level));
        let held = Held::at(level);
        let alive = held.spawn(&held.world.sh("kill -SEGV $$")).await;
        let exit = held.world.exit(&alive).await;
        assert_eq!((exit.code, exit.signal, exit.killed), (None, Some(11), None), "{level:?}");
        // The end of its output is not its end.
        let held = Held::at(level);
        let alive = held.spawn(&held.world.sh("echo before; exec >&- 2>&-; sleep 0.2; exit 3")).await;
        assert_eq!(held.world.exit(&alive).await.code, Some(3), "{level:?}");
        assert_eq!(held.world.log(), "before\n", "{level:?}");
        let held = Held::at(level);
        let alive = held.spawn(&held.world.spec(&["no-such-agent"])).await;
        let error = held.world.exit(&alive).await.launch_error.unwrap_or_default();
        assert!(
            error.contains("no-such-agent") && error.contains("install it"),
            "{level:?}: {error}"
        );
    }
}

#[tokio::test]
async fn b_run_3_a_stop_ends_what_double_forks_and_drops_everything() {
    for (n, level) in levels().await.into_iter().enumerate() {
        let held = Held::at(level);
        let mark = format!("51.{n}{}", std::process::id());
        let mut spec = held.world.sh(&escaping(&mark));
        spec.grace_ms = 120_000;
        let alive = held.spawn(&spec).await;
        until("the escape", || (Held::marked(&format!("sleep\0{mark}")).len() >= 7).then_some(())).await;
        let begun = Instant::now();
        let exit = held.stop(&alive, 200).await;
        assert_eq!(exit.killed, Some(Kill::Stop), "{level:?}");
        assert_eq!(
            Held::marked(&mark),
            Vec::<i32>::new(),
            "{level:?}: alive when the exit was recorded"
        );
        assert!(begun.elapsed() < Duration::from_secs(60), "{level:?}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn b_run_3_a_fork_bomb_is_ended_at_every_level() {
    for (n, level) in levels().await.into_iter().enumerate() {
        let held = Held::at(level);
        let mark = format!("52.{n}{}", std::process::id());
        // Bounded, so that a defect of ours does not take the machine along; it goes on forking while it is killed.
        let bomb =
            format!("trap '' TERM; f() {{ [ $1 -gt 0 ] && {{ f $(($1-1)) & f $(($1-1)) & }}; env -i setsid sleep {mark} & wait; }}; f 6");
        let alive = held.spawn(&held.world.sh(&bomb)).await;
        until("some of the bomb", || (Held::marked(&mark).len() > 10).then_some(())).await;
        let exit = held.stop(&alive, 30).await;
        assert_eq!(exit.killed, Some(Kill::Stop), "{level:?}");
        assert_eq!(Held::marked(&mark), Vec::<i32>::new(), "{level:?}");
    }
}

/// Only the shim dies: in a namespace that ends the run at once; elsewhere the sweep ends it, and
/// with a cgroup also what dropped its tag.
#[tokio::test]
async fn b_run_3_the_death_of_the_shim_leaves_nothing() {
    for (n, level) in levels().await.into_iter().enumerate().filter(|(_, l)| *l > Containment::Tagged) {
        let held = Held::at(level);
        let mark = format!("53.{n}{}", std::process::id());
        let alive = held.spawn(&held.world.sh(&escaping(&mark))).await;
        until("the escape", || (Held::marked(&format!("sleep\0{mark}")).len() >= 7).then_some(())).await;
        signal(alive.pid, nix::sys::signal::SIGKILL);
        assert_eq!(held.supervisor.wait(&alive, &held.world.run_dir()).await, Outcome::Gone);
        if level == Containment::Pidns {
            until("the end of the namespace", || Held::marked(&mark).is_empty().then_some(())).await;
        } else {
            assert!(!Held::marked(&mark).is_empty(), "the agent outlives its shim");
        }
        let swept = held.supervisor.sweep(&held.world.run_dir()).await;
        assert_eq!(swept.left, 0, "{level:?}");
        assert_eq!(Held::marked(&mark), Vec::<i32>::new(), "{level:?}");
        assert_eq!(held.supervisor.evidence(&held.world.run_dir()).await, Evidence::Gone);
        if let Some(cgroup) = held.record()["cgroup"].as_str() {
            assert!(!std::path::Path::new(cgroup).exists(), "the cgroup was left behind");
        }
    }
}

#[tokio::test]
async fn b_run_3_the_death_of_the_init_is_the_end_of_its_run() {
    if !levels().await.contains(&Containment::Pidns) {
        return;
    }
    let held = Held::at(Containment::Pidns);
    let mark = format!("54.{}", std::process::id());
    let alive = held.spawn(&held.world.sh(&escaping(&mark))).await;
    let init = until("the init on record", || held.record()["init"][0].as_i64()).await;
    until("the escape", || (Held::marked(&format!("sleep\0{mark}")).len() >= 7).then_some(())).await;
    signal(i32::try_from(init).expect("a pid"), nix::sys::signal::SIGKILL);
    let exit = held.world.exit(&alive).await;
    assert_eq!((exit.code, exit.signal, exit.killed), (None, Some(9), None));
    assert_eq!(Held::marked(&mark), Vec::<i32>::new());
}

#[tokio::test]
async fn b_run_3_what_is_left_behind_is_counted_and_a_deadline_holds_at_every_level() {
    for level in levels().await {
        let held = Held::at(level);
        let alive = held.spawn(&held.world.scripted("orphan")).await;
        let exit = held.world.exit(&alive).await;
        assert_eq!((exit.code, exit.killed, exit.survivors), (Some(0), None, 1), "{level:?}");
        let held = Held::at(level);
        let mut spec = held.world.scripted("deaf");
        // Long enough for the agent to be deaf by then.
        (spec.deadline_ms, spec.grace_ms) = (6000, 100);
        let alive = held.spawn(&spec).await;
        let exit = held.world.exit(&alive).await;
        assert_eq!((exit.killed, exit.signal), (Some(Kill::Deadline), Some(9)), "{level:?}");
        assert_eq!(held.world.tagged(), Vec::<i32>::new(), "{level:?}");
        // One that listens is ended by SIGTERM, and that is what is recorded.
        let held = Held::at(level);
        let alive = held.spawn(&held.world.scripted("hang")).await;
        until("the agent", || held.world.log().contains("Waiting").then_some(())).await;
        let exit = held.stop(&alive, 30_000).await;
        assert_eq!((exit.killed, exit.signal), (Some(Kill::Stop), Some(15)), "{level:?}");
    }
}

#[tokio::test]
async fn an_agent_in_a_namespace_sees_its_own_processes_only() {
    if !levels().await.contains(&Containment::Pidns) {
        return;
    }
    let held = Held::at(Containment::Pidns);
    let script = format!(
        "test $$ -gt 1 && test -e /proc/$$/stat && ls -d /proc/[0-9]* | wc -l && kill -0 {} 2>&1; :",
        std::process::id()
    );
    let alive = held.spawn(&held.world.sh(&script)).await;
    assert_eq!(held.world.exit(&alive).await.code, Some(0));
    let log = held.world.log();
    let count: usize = log.lines().next().and_then(|l| l.trim().parse().ok()).unwrap_or_default();
    assert!((2..8).contains(&count), "{log}");
    assert!(log.contains("No such process"), "it reaches what is outside: {log}");
}

/// The file of the program is replaced while runs are at work, as an upgrade does.
#[tokio::test]
async fn runs_go_on_when_the_program_is_replaced() {
    for level in levels().await {
        let world = World::new();
        let exe = world.path("signalbox");
        copied(EXE, &exe);
        let held = Held {
            supervisor: Supervisor::new(exe.clone(), level),
            world,
            level,
        };
        let go = held.world.path("go");
        let script = format!("while ! test -e {}; do sleep 0.02; done; (setsid sleep 40 &); exit 5", go.display());
        let alive = held.spawn(&held.world.sh(&script)).await;
        fs::remove_file(&exe).expect("removed");
        fs::write(&exe, "#!/bin/sh\nexit 1\n").expect("another program");
        fs::write(&go, "").expect("go");
        let exit = held.world.exit(&alive).await;
        assert_eq!((exit.code, exit.survivors), (Some(5), 1), "{:?}", held.level);
    }
}

#[tokio::test]
async fn no_level_above_the_bound_is_taken() {
    for bound in Containment::ALL {
        let got = Supervisor::probed(EXE.into(), bound).await.containment();
        assert!(got <= bound, "{got:?} is above {bound:?}");
        // What cannot be had is not pretended: the record says what was really taken.
        let held = Held::at(bound);
        let alive = held.spawn(&held.world.sh("exit 0")).await;
        assert_eq!(held.world.exit(&alive).await.containment, got);
    }
    let wrong = Supervisor::probed("/bin/false".into(), Containment::Pidns).await;
    assert_eq!(wrong.containment(), Containment::Tagged);
}
