//! `run-shim --ask`: asks a program, held as a run is, and ends everything that belongs to it before it answers.
//!
//! The question is the first line of standard input, the answer goes to standard output. Standard input is a
//! lifeline besides: once whoever asked is gone, or wants to know no more, everything is ended as well.

use std::io::{self, BufRead, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use tokio::net::unix::pipe::Receiver;

use super::cascade::{Cascade, Reaper};
use super::ground::{self, Ground, Line, ended};
use super::record::boottime;
use super::shim::Signals;
use super::stand_apart;
use super::streams::Streams;
use crate::shell::process::procs::{Found, Scope};
use crate::shell::process::{Alive, Answer, RunSpec, asked, start_time};

/// What resists SIGKILL for this long, in milliseconds, is stuck in the kernel; it is told and left.
const CLEAR_MS: i64 = 5_000;
/// Bytes kept of what the program prints.
const KEPT: usize = 4096;
/// Bytes of its first line that are given back.
const LINE: usize = 200;
/// Longest time between two looks.
const PACE: Duration = Duration::from_secs(1);

/// Answers one question.
///
/// # Errors
/// A sentence for people: nothing was started.
pub(super) fn run(me: &Alive) -> Result<(), String> {
    stand_apart(c"signalbox-ask")?;
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|e| format!("what is asked cannot be read: {e}"))?;
    let spec: RunSpec = serde_json::from_str(&line).map_err(|e| format!("what is asked is not understood: {e}"))?;
    let ground = Ground::take(spec.containment, me)?;
    let answer = ground::runtime()?.block_on(ask(me, &spec, &ground));
    ground.leave();
    let mut text = serde_json::to_vec(&answer?).map_err(|e| format!("the answer cannot be given: {e}"))?;
    text.push(b'\n');
    // Whoever is gone hears nothing.
    let _ = io::stdout().write_all(&text).and_then(|()| io::stdout().flush());
    Ok(())
}

async fn ask(me: &Alive, spec: &RunSpec, ground: &Ground) -> Result<Answer, String> {
    let failed = |e: io::Error| format!("the program cannot be watched: {e}; are there too many open files?");
    let mut signals = Signals::new().map_err(failed)?;
    let life = io::stdin().as_fd().try_clone_to_owned().and_then(Receiver::from_owned_fd);
    let life = life.map_err(failed)?;
    let (reader, writer) = io::pipe().map_err(failed)?;
    let mut said = Said::of(reader.into()).map_err(failed)?;
    let scope = Scope {
        shim: Some(me.pid),
        tag: asked(spec),
    };
    let output = Streams::both(writer.into()).map_err(failed)?;
    let started = match ground.start(spec, output) {
        Ok(started) => started,
        Err(why) => return Ok(Answer::refused(why)),
    };
    let child = Found {
        pid: started.child,
        start: start_time(started.child).unwrap_or(0),
    };
    let (mut reaper, mut init) = (Reaper::new(child.pid), started.init);
    let status = until_ended(spec, &mut reaper, &mut init, &mut said, &life, &mut signals).await;
    let cascade = Cascade::new(scope, ground.grasp(child), boottime());
    let left = clear(cascade, &mut reaper, &mut signals).await;
    Ok(Answer {
        status,
        refused: None,
        said: said.line(),
        left,
    })
}

/// Waits for the end of the program, of its time, or of the interest in it. How it ended, if it did.
async fn until_ended(
    spec: &RunSpec,
    reaper: &mut Reaper,
    init: &mut Option<Line>,
    said: &mut Said,
    life: &Receiver,
    signals: &mut Signals,
) -> Option<(Option<i32>, Option<i32>)> {
    let deadline = boottime().saturating_add(spec.deadline_ms);
    loop {
        reaper.reap();
        let status = ended(reaper, init.as_mut());
        let left = deadline.saturating_sub(boottime());
        if status.is_some() || left <= 0 || over(life) {
            return status;
        }
        said.take();
        let word = async {
            tokio::select! {
                () = readable(Some(life)) => (),
                () = readable(said.pipe.as_ref()) => (),
                () = heard(init.as_ref()) => (),
            }
        };
        let pause = PACE.min(Duration::from_millis(left.unsigned_abs()));
        if signals.next(pause, word).await {
            return None;
        }
    }
}

/// Whether nobody waits for the answer any more.
fn over(life: &Receiver) -> bool {
    match life.try_read(&mut [0; 64]) {
        Ok(n) => n == 0,
        Err(e) => !matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
    }
}

async fn readable(pipe: Option<&Receiver>) {
    match pipe {
        Some(pipe) if pipe.readable().await.is_ok() => {}
        _ => std::future::pending().await,
    }
}

async fn heard(init: Option<&Line>) {
    match init {
        Some(line) => line.readable().await,
        None => std::future::pending().await,
    }
}

/// Ends everything that belongs to the question; how many processes are left all the same.
async fn clear(mut cascade: Cascade, reaper: &mut Reaper, signals: &mut Signals) -> usize {
    let until = boottime().saturating_add(CLEAR_MS);
    loop {
        let childless = reaper.reap();
        let round = cascade.round(boottime());
        let late = boottime() >= until;
        let pause = match round {
            Ok(round) if round.over(childless) => return round.living.len(),
            Ok(round) if late => return round.living.len().max(1),
            Ok(round) => round.pause,
            Err(_) if late => return 1,
            Err(_) => Duration::from_millis(250),
        };
        signals.next(pause, std::future::pending()).await;
    }
}

/// The beginning of what the program prints; the rest is read and dropped, so that it does not wait.
struct Said {
    pipe: Option<Receiver>,
    text: Vec<u8>,
}

impl Said {
    fn of(pipe: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            pipe: Some(Receiver::from_owned_fd(pipe)?),
            text: Vec::new(),
        })
    }

    /// Takes one chunk of what has come.
    fn take(&mut self) {
        let mut chunk = [0; KEPT];
        let Some(pipe) = &self.pipe else { return };
        match pipe.try_read(&mut chunk) {
            Ok(n @ 1..) => self.keep(&chunk[..n]),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Ok(_) | Err(_) => self.pipe = None,
        }
    }

    fn keep(&mut self, chunk: &[u8]) {
        let room = KEPT - self.text.len();
        self.text.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }

    /// The first line that says something, once nothing lives that could say more.
    fn line(mut self) -> String {
        let mut chunk = [0; KEPT];
        // The runtime may not have noticed yet what lies in the pipe.
        if let Some(pipe) = self.pipe.take()
            && let Ok(n @ 1..) = nix::unistd::read(&pipe, &mut chunk)
        {
            self.keep(&chunk[..n]);
        }
        let text = String::from_utf8_lossy(&self.text);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        line.chars().take(LINE).collect()
    }
}
