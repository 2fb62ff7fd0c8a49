//! Runs outlive the service, and what is killed is gone.

mod asking;
mod containing;
mod killing;
mod odd;
mod stopping;
mod streams;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use signalbox::engine::model::RunId;
use signalbox::shell::process::{
    Alive, Containment, Evidence, Exit, Outcome, RUN_DIR_VAR, RunSpec, SpawnError, Supervisor, start_time, tail,
};

const EXE: &str = env!("CARGO_BIN_EXE_signalbox");
const LONG: Duration = Duration::from_secs(300);

/// A data directory with one run in it; whatever the test leaves running is found and ended.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a directory"),
        }
    }

    fn run_dir(&self) -> PathBuf {
        self.dir.path().join("runs/7")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn spec(&self, program: &[&str]) -> RunSpec {
        let vars = [("PATH", std::env::var("PATH").unwrap_or_default()), ("SIGNALBOX_RUN", "7".into())];
        RunSpec {
            run: RunId(7),
            program: program.iter().map(|s| (*s).to_owned()).collect(),
            cwd: self.dir.path().to_owned(),
            env: vars.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
            stdin: None,
            log: self.path("7.log"),
            log_max_bytes: 1 << 20,
            deadline_ms: 60_000,
            grace_ms: 10_000,
            containment: Containment::Pidns,
        }
    }

    fn sh(&self, script: &str) -> RunSpec {
        self.spec(&["sh", "-c", script])
    }

    /// The scripted agent playing one part.
    fn scripted(&self, part: &str) -> RunSpec {
        let context = self.path("context.json");
        let task = serde_json::json!({"id": 1, "item": "ORCH-001"});
        let text = serde_json::json!({"task": task, "stage": "review", "agent": "reviewer", "run": 7, "artefacts": "docs",
            "expects": [{"file": "12-review.md", "key": "verdict", "values": ["APPROVED", "REQUEST_CHANGES"]}]});
        fs::write(&context, text.to_string()).expect("the context");
        let script = self.path("script.toml");
        fs::write(&script, format!("[agents.reviewer]\ndo = [\"{part}\"]\n")).expect("the script");
        let mut spec = self.spec(&[EXE, "scripted-agent", "--script", &script.to_string_lossy()]);
        spec.env.insert("SIGNALBOX_CONTEXT".into(), context.to_string_lossy().into_owned());
        spec
    }

    async fn spawn(&self, spec: &RunSpec) -> Alive {
        supervisor().spawn(&self.run_dir(), spec).await.expect("spawned")
    }

    async fn exit(&self, alive: &Alive) -> Exit {
        match tokio::time::timeout(LONG, supervisor().wait(alive, &self.run_dir())).await {
            Ok(Outcome::Exited(exit)) => exit,
            other => panic!("no exit: {other:?}"),
        }
    }

    fn log(&self) -> String {
        tail(&self.path("7.log"), 1 << 20).unwrap_or_default()
    }

    /// Processes of the run, by the tag alone: another way than the one under test.
    fn tagged(&self) -> Vec<i32> {
        let entry = format!("{RUN_DIR_VAR}={}", fs::canonicalize(self.run_dir()).unwrap_or_default().display());
        let carries = |pid: &i32| {
            let env = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            env.split(|b| *b == 0).any(|e| e == entry.as_bytes())
        };
        pids().into_iter().filter(carries).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for pid in self.tagged() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
        }
    }
}

fn supervisor() -> Supervisor {
    Supervisor::new(EXE.into(), Containment::Tagged)
}

fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect()
}

fn signal(pid: i32, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("signalled");
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < LONG, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits for a pid that a script wrote.
async fn pid_in(path: &Path) -> i32 {
    until(&format!("a pid in {}", path.display()), || {
        let text = fs::read_to_string(path).ok()?;
        text.ends_with('\n').then(|| text.trim().parse().ok()).flatten()
    })
    .await
}

#[tokio::test]
async fn the_exit_status_is_kept_and_the_environment_is_what_was_given() {
    let world = World::new();
    let mut spec = world.sh("cat; env; sleep 0.01; exit 7");
    spec.stdin = Some(world.path("prompt"));
    fs::write(world.path("prompt"), "do it well\n").expect("prompt");
    let alive = world.spawn(&spec).await;
    let exit = world.exit(&alive).await;
    assert_eq!((exit.code, exit.signal, exit.killed, exit.survivors), (Some(7), None, None, 0));
    assert!(exit.ended_at > exit.started_at, "{exit:?}");
    assert_eq!(exit.log_bytes, fs::metadata(world.path("7.log")).expect("log").len());
    let log = world.log();
    assert!(log.starts_with("do it well\n"), "{log}");
    let mut names: Vec<&str> = log.lines().skip(1).filter_map(|l| l.split_once('=')).map(|(k, _)| k).collect();
    names.retain(|n| !matches!(*n, "PWD" | "OLDPWD" | "SHLVL" | "_"));
    names.sort_unstable();
    assert_eq!(names, ["PATH", "SIGNALBOX_RUN", "SIGNALBOX_RUN_DIR", "TMPDIR"]);
    // Whether it ended while nobody looked or not: the record stays, the zombie does not.
    assert_eq!(supervisor().evidence(&world.run_dir()).await, Evidence::Exited(exit));
    assert!(!Path::new(&format!("/proc/{}", alive.pid)).exists(), "the shim was not reaped");
}

#[tokio::test]
async fn a_run_is_adopted_by_the_next_service() {
    let world = World::new();
    let go = world.path("go");
    let alive = world
        .spawn(&world.sh(&format!("while ! test -e {}; do sleep 0.02; done; exit 3", go.display())))
        .await;
    let Evidence::Alive(adopted) = supervisor().evidence(&world.run_dir()).await else {
        panic!("not alive")
    };
    assert_eq!(adopted, alive);
    fs::write(go, "").expect("go");
    assert_eq!(world.exit(&adopted).await.code, Some(3));
}

#[tokio::test]
async fn one_that_ended_in_the_gap_is_known() {
    let world = World::new();
    let alive = world.spawn(&world.sh("exit 4")).await;
    until("the end of its shim", || (start_time(alive.pid) != Some(alive.start)).then_some(())).await;
    let Evidence::Exited(exit) = supervisor().evidence(&world.run_dir()).await else {
        panic!("not exited")
    };
    assert_eq!(exit.code, Some(4));
}

#[tokio::test]
async fn the_shim_outlives_hangup_interrupt_and_its_terminal() {
    let world = World::new();
    let alive = world
        .spawn(&world.sh(&format!(
            "echo $$ > {}; while ! test -e {}; do sleep 0.02; done; exit 5",
            world.path("pid").display(),
            world.path("go").display()
        )))
        .await;
    let agent = pid_in(&world.path("pid")).await;
    let sessions = [alive.pid, agent, std::process::id().cast_signed()].map(|p| nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(p))));
    assert_eq!(sessions[0], sessions[1]);
    assert_ne!(sessions[0], sessions[2]);
    for s in [nix::sys::signal::SIGHUP, nix::sys::signal::SIGINT, nix::sys::signal::SIGQUIT] {
        signal(alive.pid, s);
    }
    fs::write(world.path("go"), "").expect("go");
    assert_eq!(world.exit(&alive).await.code, Some(5));
}

#[tokio::test]
async fn who_takes_the_run_first_decides() {
    let world = World::new();
    fs::create_dir_all(world.run_dir()).expect("run dir");
    assert_eq!(supervisor().evidence(&world.run_dir()).await, Evidence::NeverStarted);
    assert_eq!(supervisor().evidence(&world.run_dir()).await, Evidence::NeverStarted, "it stays so");
    // A shim that comes late starts nothing.
    let ran = world.path("ran");
    let spec = world.sh(&format!("touch {}", ran.display()));
    fs::write(world.run_dir().join("spec.json"), serde_json::to_vec(&spec).expect("json")).expect("spec");
    let status = tokio::process::Command::new(EXE)
        .arg("run-shim")
        .arg(world.run_dir())
        .status()
        .await
        .expect("a shim");
    assert!(status.success());
    assert!(!ran.exists() && !world.run_dir().join("exit.json").exists(), "it ran after all");
    let again = supervisor().spawn(&world.run_dir(), &spec).await;
    assert!(matches!(again, Err(SpawnError::Taken { .. })), "{again:?}");
    // One whose directory was never made did not start either.
    assert_eq!(supervisor().evidence(&world.path("runs/8")).await, Evidence::NeverStarted);
}

#[tokio::test]
async fn racing_shims_and_services_agree() {
    for _ in 0..10 {
        let world = World::new();
        let spec = world.sh("exit 0");
        fs::create_dir_all(world.run_dir()).expect("run dir");
        fs::write(world.run_dir().join("spec.json"), serde_json::to_vec(&spec).expect("json")).expect("spec");
        let mut shim = tokio::process::Command::new(EXE)
            .arg("run-shim")
            .arg(world.run_dir())
            .spawn()
            .expect("a shim");
        let evidence = supervisor().evidence(&world.run_dir()).await;
        shim.wait().await.expect("ended");
        let ran = world.run_dir().join("exit.json").exists();
        assert_eq!(ran, evidence != Evidence::NeverStarted, "{evidence:?}");
    }
}

#[tokio::test]
async fn a_launch_failure_says_what_and_how_to_mend_it() {
    let world = World::new();
    let alive = world.spawn(&world.spec(&["no-such-agent", "--now"])).await;
    let exit = world.exit(&alive).await;
    let error = exit.launch_error.unwrap_or_default();
    assert!(error.contains("no-such-agent") && error.contains("install it"), "{error}");
    assert_eq!((exit.code, exit.signal, exit.killed), (None, None, None));
}

#[tokio::test]
async fn a_shim_that_cannot_be_started_is_an_error_of_its_own() {
    let world = World::new();
    let none = Supervisor::new(world.path("no-binary"), Containment::Tagged)
        .spawn(&world.run_dir(), &world.sh("exit 0"))
        .await;
    assert!(matches!(none, Err(SpawnError::Start { .. })), "{none:?}");
    assert_eq!(supervisor().evidence(&world.run_dir()).await, Evidence::NeverStarted);
    let other = World::new();
    let wrong = Supervisor::new("/bin/false".into(), Containment::Tagged)
        .spawn(&other.run_dir(), &other.sh("exit 0"))
        .await;
    assert!(matches!(wrong, Err(SpawnError::Died { .. })), "{wrong:?}");
    assert_eq!(supervisor().evidence(&other.run_dir()).await, Evidence::NeverStarted);
}

#[tokio::test]
async fn a_log_is_bounded_while_it_is_written() {
    use std::os::unix::fs::MetadataExt;
    let world = World::new();
    let mut spec = world.sh("echo the beginning; head -c 60000000 /dev/zero | tr '\\0' x; echo; echo the end");
    spec.log_max_bytes = 256 * 1024;
    let alive = world.spawn(&spec).await;
    let exit = world.exit(&alive).await;
    assert_eq!((exit.code, exit.log_truncated, exit.log_bytes), (Some(0), true, 60_000_023));
    let used = fs::metadata(world.path("7.log")).expect("log").blocks() * 512;
    assert!(used <= 256 * 1024 + 8192, "{used} bytes on disk");
    let (head, _) = signalbox::shell::process::read_from(&world.path("7.log"), 0, 100_000)
        .await
        .expect("read");
    let head = String::from_utf8_lossy(&head).into_owned();
    assert!(
        head.starts_with("the beginning\n") && head.contains("[signalbox:"),
        "{}",
        head.len()
    );
    assert!(tail(&world.path("7.log"), 16 * 1024).expect("tail").ends_with("\nthe end\n"));
}

#[tokio::test]
async fn an_exit_that_cannot_be_written_is_written_later() {
    let world = World::new();
    let alive = world
        .spawn(&world.sh(&format!(
            "while ! test -e {}; do sleep 0.02; done; exit 6",
            world.path("go").display()
        )))
        .await;
    // As good as a full disk: none of the files that the record is first written to can be made.
    let obstacle = |n: u32| world.run_dir().join(format!("exit.json.{}.{n}.tmp", alive.pid));
    for n in 0..1000 {
        fs::create_dir(obstacle(n)).expect("obstacle");
    }
    fs::write(world.path("go"), "").expect("go");
    until("the agent's end", || world.tagged().is_empty().then_some(())).await;
    assert!(
        matches!(supervisor().evidence(&world.run_dir()).await, Evidence::Alive(_)),
        "the shim gave up"
    );
    for n in 0..1000 {
        // A failed try takes away what it can: that is no folder.
        fs::remove_dir(obstacle(n)).expect("removed");
    }
    assert_eq!(world.exit(&alive).await.code, Some(6));
}

#[tokio::test]
async fn many_runs_side_by_side_keep_their_own_exits() {
    let world = World::new();
    let mut waits = tokio::task::JoinSet::new();
    for n in 0..12_i32 {
        let dir = world.path(&format!("many/{n}"));
        let mut spec = world.sh(&format!("sleep 0.0{n}; exit {n}"));
        spec.log = world.path(&format!("{n}.log"));
        waits.spawn(async move {
            let alive = supervisor().spawn(&dir, &spec).await.expect("spawned");
            (n, supervisor().wait(&alive, &dir).await)
        });
    }
    let mut seen = BTreeMap::new();
    while let Some(done) = waits.join_next().await {
        let (n, outcome) = done.expect("joined");
        let Outcome::Exited(exit) = outcome else {
            panic!("{n}: {outcome:?}")
        };
        seen.insert(n, exit.code);
    }
    assert_eq!(seen, (0..12).map(|n| (n, Some(n))).collect());
}
