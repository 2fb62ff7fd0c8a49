//! What holds the run: the best level of containment that can be had here.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use super::cascade::{Grasp, Reaper};
use super::init::Word;
use super::launch::launch;
use super::namespace::{self, Refusal};
use super::streams::Streams;
use crate::shell::limit;
use crate::shell::process::cgroup::Leaf;
use crate::shell::process::procs::Found;
use crate::shell::process::{Alive, Containment, RunSpec};

/// This program, whatever lies at its path by now.
const SELF: &str = "/proc/self/exe";

/// What was taken, before anything was started.
pub(super) enum Ground {
    /// The next child is the init of a new PID namespace.
    Pidns,
    /// A cgroup.
    Cgroup(Leaf),
    /// Nothing but what everything of the run carries along.
    Tagged,
}

/// What was started.
pub(super) struct Started {
    /// Our child: the agent, or the init that started it.
    pub(super) child: i32,
    /// The way to the init, where there is one.
    pub(super) init: Option<Line>,
}

/// The way between shim and init. Closed, it ends the init.
pub(super) struct Line {
    words: tokio::net::UnixStream,
    rest: Vec<u8>,
}

impl Ground {
    /// Takes the best level up to `bound`. Before the runtime, and before any thread.
    ///
    /// # Errors
    /// When this process is of no further use.
    pub(super) fn take(bound: Containment, me: &Alive) -> Result<Self, String> {
        if bound >= Containment::Pidns {
            match namespace::enter() {
                Ok(()) => return Ok(Self::Pidns),
                Err(Refusal::NotHere(_)) => {}
                Err(Refusal::HalfWay(error)) => {
                    return Err(format!(
                        "a user namespace was made but cannot be used: {error}; set `containment = \"cgroup\"` in signalbox.toml"
                    ));
                }
            }
        }
        if bound >= Containment::Cgroup
            && let Ok(leaf) = Leaf::create(&leaf_name(me))
        {
            // To be told now, not when the agent is to begin.
            if leaf.inside(|| ()).is_ok() {
                return Ok(Self::Cgroup(leaf));
            }
            leaf.remove();
        }
        Ok(Self::Tagged)
    }

    pub(super) fn level(&self) -> Containment {
        match self {
            Self::Pidns => Containment::Pidns,
            Self::Cgroup(_) => Containment::Cgroup,
            Self::Tagged => Containment::Tagged,
        }
    }

    pub(super) fn cgroup(&self) -> Option<&Path> {
        match self {
            Self::Cgroup(leaf) => Some(leaf.dir()),
            Self::Pidns | Self::Tagged => None,
        }
    }

    /// What holds it from now on: `child` is what was started on it.
    pub(super) fn grasp(&self, child: Found) -> Grasp {
        match self {
            Self::Pidns => Grasp::Init(child),
            Self::Cgroup(leaf) => Grasp::Cgroup(leaf.clone()),
            Self::Tagged => Grasp::Tag,
        }
    }

    /// Nothing is on it any more.
    pub(super) fn leave(&self) {
        if let Self::Cgroup(leaf) = self {
            leaf.remove();
        }
    }

    /// Starts the agent on it, its output going to `output`.
    ///
    /// # Errors
    /// A sentence for people.
    pub(super) fn start(&self, spec: &RunSpec, output: Streams) -> Result<Started, String> {
        let alone = |child| Started { child, init: None };
        match self {
            Self::Tagged => launch(spec, output).map(alone),
            Self::Cgroup(leaf) => leaf
                .inside(|| launch(spec, output))
                .map_err(|e| format!("the cgroup {} cannot be used: {e}", leaf.dir().display()))?
                .map(alone),
            Self::Pidns => init(Some((spec, output))),
        }
    }
}

/// Starts the init, which starts the agent. What it is to start, secrets and all, is in no file: it goes through a socket,
/// the init's standard input, and so do the init's words: its output is the agent's.
fn init(run: Option<(&RunSpec, Streams)>) -> Result<Started, String> {
    let failed = |e: io::Error| format!("the init of the run cannot be started: {e}");
    let mut command = Command::new(SELF);
    command.args(["run-shim", "--init"]);
    let (mut words, theirs) = UnixStream::pair().map_err(failed)?;
    command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
    let mut given = serde_json::to_vec(&run.as_ref().map(|(spec, _)| spec)).map_err(|e| failed(e.into()))?;
    given.push(b'\n');
    if let Some((_, output)) = run {
        command.stdout(output.out).stderr(output.err);
    }
    let child = command.spawn().map_err(failed)?;
    // With our copies of its ends.
    drop(command);
    // One that is gone already says why, or nothing.
    let _ = words.write_all(&given);
    match first(&mut words) {
        Some(Word::Started) => {}
        Some(Word::Refused(why)) => return Err(why),
        Some(Word::Ended { .. }) | None => return Err("the init of the run ended without a word".to_owned()),
    }
    words.set_nonblocking(true).map_err(failed)?;
    let words = tokio::net::UnixStream::from_std(words).map_err(failed)?;
    Ok(Started {
        child: child.id().cast_signed(),
        init: Some(Line { words, rest: Vec::new() }),
    })
}

/// The first line, and not a byte more.
fn first(words: &mut impl Read) -> Option<Word> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while words.read(&mut byte).ok()? == 1 {
        if byte[0] == b'\n' {
            return serde_json::from_slice(&line).ok();
        }
        line.push(byte[0]);
    }
    None
}

impl Line {
    /// How the agent ended, if the init has said so by now; `last` once the init is gone.
    pub(super) fn ended(&mut self, last: bool) -> Option<(Option<i32>, Option<i32>)> {
        let mut chunk = [0; 512];
        while let Ok(n @ 1..) = self.words.try_read(&mut chunk) {
            self.rest.extend_from_slice(&chunk[..n]);
        }
        // The runtime may not have noticed yet what lies in the pipe, and nothing will wake us for it.
        while last && let Ok(n @ 1..) = nix::unistd::read(&self.words, &mut chunk) {
            self.rest.extend_from_slice(&chunk[..n]);
        }
        let said = self
            .rest
            .split(|b| *b == b'\n')
            .find_map(|line| serde_json::from_slice(line).ok())?;
        match said {
            Word::Ended { code, signal } => Some((code, signal)),
            Word::Started | Word::Refused(_) => None,
        }
    }

    /// Waits until there may be a word.
    pub(super) async fn readable(&self) {
        if self.words.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// How the agent ended, exit status or signal, as far as that is known by now.
pub(super) fn ended(reaper: &Reaper, init: Option<&mut Line>) -> Option<(Option<i32>, Option<i32>)> {
    match init {
        None => reaper.status,
        // An init that is gone without a word took the agent along.
        Some(line) => {
            let gone = reaper.status.is_some();
            line.ended(gone).or(gone.then_some((None, Some(9))))
        }
    }
}

/// Whether this level can be had: all of it is tried, but no agent is started.
pub(super) fn probe(level: Containment, me: &Alive) -> Result<(), String> {
    match level {
        Containment::Tagged => Ok(()),
        Containment::Cgroup => {
            let leaf = Leaf::create(&leaf_name(me)).map_err(|e| format!("no cgroup can be made: {e}"))?;
            let tried = leaf.inside(|| ());
            leaf.remove();
            tried.map_err(|e| format!("a cgroup can be made, but not entered: {e}"))
        }
        Containment::Pidns => match namespace::enter() {
            Ok(()) => runtime()?.block_on(async { init(None).map(|_| ()) }),
            Err(Refusal::NotHere(error)) => Err(format!("no user and PID namespace can be made: {error}")),
            Err(Refusal::HalfWay(error)) => Err(format!("a user namespace can be made, but not used: {error}")),
        },
    }
}

/// The name of a run's cgroup.
fn leaf_name(me: &Alive) -> String {
    format!("signalbox-run-{}-{}", me.pid, me.start)
}

/// One thread, and no other: see [`namespace::enter`]. From then on a write over the limit on the size of files fails, and
/// ends nothing. The init needs no such care: it writes to pipes alone.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let failed = |e: io::Error| format!("cannot start: {e}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let inside = runtime.enter();
    limit::outlive().map_err(failed)?;
    drop(inside);
    Ok(runtime)
}
