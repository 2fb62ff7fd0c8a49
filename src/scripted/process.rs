//! How it lives and dies.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, setsid};

use super::work::ok;
use super::{Failure, Stage, USAGE};

/// Nothing sleeps longer, lest a broken test leave it behind for ever.
const LONG: Duration = Duration::from_secs(600);

/// Takes its time.
pub(super) fn slow(stage: &Stage, ms: u64) -> Result<i32, Failure> {
    sleep(Duration::from_millis(ms).min(LONG));
    ok(stage)
}

/// Is at work until the file `go` lies beside the ledger: whoever tests decides when, and no clock.
pub(super) fn held(stage: &Stage) -> Result<i32, Failure> {
    let ledger = super::ledger_path(stage.script)
        .ok_or_else(|| Failure::new(USAGE, "`held` waits for a file `go` beside the ledger, and there is no ledger"))?;
    let (go, begun) = (ledger.with_file_name("go"), Instant::now());
    while !go.exists() && begun.elapsed() < LONG {
        sleep(Duration::from_millis(5));
    }
    ok(stage)
}

/// Never ends by itself; SIGTERM ends it.
pub(super) fn hang() -> Result<i32, Failure> {
    println!("Waiting for something that will not come.");
    sleep(LONG);
    Ok(0)
}

/// Does not hear SIGTERM, nor does its child, which is in a session of its own.
pub(super) fn deaf() -> Result<i32, Failure> {
    stop_listening()?;
    start("deaf")?;
    println!("I cannot hear you.");
    sleep(LONG);
    Ok(0)
}

/// Leaves a process in the background, two forks and a session away, and does well.
pub(super) fn orphan(stage: &Stage) -> Result<i32, Failure> {
    let mut between = start("between")?;
    between.wait()?;
    ok(stage)
}

/// Is gone without a word.
pub(super) fn crash() -> Result<i32, Failure> {
    kill(Pid::this(), Signal::SIGKILL).map_err(std::io::Error::from)?;
    // The signal is there before the call returns.
    Ok(137)
}

/// Kills whoever started it, which at the weakest containment is its shim, and goes on.
pub(super) fn kill_parent() -> Result<i32, Failure> {
    // Nobody hears it afterwards.
    println!("Soon nobody watches me.");
    kill(Pid::parent(), Signal::SIGKILL).map_err(std::io::Error::from)?;
    sleep(LONG);
    Ok(0)
}

/// The parts of its children.
pub(super) fn child(role: &str) -> Result<i32, Failure> {
    match role {
        "between" => start("sleeper").map(|_| 0),
        "sleeper" | "deaf" => {
            if role == "deaf" {
                stop_listening()?;
            }
            setsid().map_err(std::io::Error::from)?;
            sleep(LONG);
            Ok(0)
        }
        _ => Err(Failure::new(USAGE, format!("there is no child `{role}`"))),
    }
}

fn stop_listening() -> Result<(), Failure> {
    let mut deaf_to = SigSet::empty();
    deaf_to.add(Signal::SIGTERM);
    // Blocked for good is as good as ignored, and children inherit it.
    deaf_to.thread_block().map_err(|e| std::io::Error::from(e).into())
}

fn start(role: &str) -> Result<std::process::Child, Failure> {
    let exe = std::env::current_exe()?;
    let mut command = Command::new(exe);
    command.arg0(format!("scripted-{role}")).args(["scripted-agent", "--child", role]);
    Ok(command.stdin(Stdio::null()).spawn()?)
}
