//! The init of a run's PID namespace: starts the agent, tells how it ended, reaps what is left.
//! When it ends, for whatever reason, the kernel ends everything in the namespace.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use serde::{Deserialize, Serialize};

use super::launch::launch;
use super::namespace;
use super::streams::Streams;
use crate::shell::process::RunSpec;

/// What the init tells the shim, a line each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    /// The agent runs.
    Started,
    /// It could not be started, and why.
    Refused(String),
    /// It has ended.
    Ended {
        /// Its exit status.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
    },
}

/// Is the init of what the shim says, or of a trial. Exit status 0 when all went well.
pub(super) fn run() -> i32 {
    if std::process::id() != 1 {
        crate::cli::out::note("this is not the first process of a namespace");
        return 1;
    }
    // Before anything else reads there.
    let spec = match given() {
        Ok(spec) => spec,
        Err(error) => {
            tell(&Word::Refused(format!("what is to be started did not arrive: {error}")));
            return 1;
        }
    };
    if let Err(error) = namespace::inside().and_then(|()| tie()) {
        tell(&Word::Refused(format!(
            "the namespace of the run cannot be set up: {error}; set `containment = \"cgroup\"` in signalbox.toml"
        )));
        return 1;
    }
    let Some(spec) = spec else {
        tell(&Word::Started);
        return 0;
    };
    match begin(&spec) {
        Ok(agent) => {
            tell(&Word::Started);
            reap(agent);
            0
        }
        Err(why) => {
            tell(&Word::Refused(why));
            1
        }
    }
}

/// What is to be started, from the shim: the first line of what it says. Nothing, for a trial.
fn given() -> io::Result<Option<RunSpec>> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// Ties the namespace's life to the shim's.
fn tie() -> io::Result<()> {
    // The shim has one thread: this is its death and nothing less.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    // It may have died before that; and its end of the way to us dies with it in any case.
    std::thread::Builder::new().name("lifeline".to_owned()).spawn(|| {
        let mut end = [0];
        while io::stdin().read(&mut end).is_ok_and(|n| n > 0) {}
        #[expect(
            clippy::disallowed_methods,
            reason = "the end of this process is what ends the run; it guards nothing else"
        )]
        std::process::exit(1);
    })?;
    Ok(())
}

fn begin(spec: &RunSpec) -> Result<i32, String> {
    // The shim made the run's own pipes this process's output.
    let out = io::stdout().as_fd().try_clone_to_owned();
    let err = io::stderr().as_fd().try_clone_to_owned();
    let output = out.and_then(|out| Ok(Streams { out, err: err? }));
    launch(spec, output.map_err(|e| format!("its output cannot be taken: {e}"))?)
}

/// Reaps until nothing is left in the namespace.
fn reap(agent: i32) {
    loop {
        let (pid, code, signal) = match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, Some(code), None),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, None, Some(signal as i32)),
            Err(Errno::ECHILD) => return,
            // A real-time signal, which nix cannot name, ended a child that is reaped by now.
            Err(Errno::EINVAL) if crate::shell::process::stat(agent).is_none() => {
                tell(&Word::Ended { code: None, signal: None });
                continue;
            }
            Ok(_) | Err(_) => continue,
        };
        if pid.as_raw() == agent {
            tell(&Word::Ended { code, signal });
        }
    }
}

fn tell(word: &Word) {
    let mut line = serde_json::to_vec(word).unwrap_or_default();
    line.push(b'\n');
    // A socket, see `ground::init`. A shim that is gone hears nothing, and ends this process.
    let way = io::stdin().as_fd().try_clone_to_owned();
    let _ = way.and_then(|way| File::from(way).write_all(&line));
}
