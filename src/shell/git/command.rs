//! The one way git is run: the real binary, an empty environment, no shell, nothing that a
//! repository's configuration could make it execute.
//!
//! Each process costs about 5 ms; the operations of this module say how many they start.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::error::{GitError, printable};
use super::locks;
use super::protections::{ENVIRONMENT, NETWORK_ENVIRONMENT, PROTECTIONS};

/// The oldest git that can do what is needed: `merge-tree --write-tree`, `cat-file -z`.
pub const NEEDED: &str = "2.38";
const NEEDED_PARTS: (u32, u32) = (2, 38);
/// How long a command may take that does not say otherwise.
const TIMEOUT: Duration = Duration::from_mins(2);
/// How long a command that talks to a remote may take.
const NETWORK_TIMEOUT: Duration = Duration::from_mins(30);
/// How much a command may print that does not say otherwise, bytes.
const CAP: usize = 64 << 20;
/// Signals that come from outside; of any other one the command's own input may be the reason.
const FOREIGN: [Signal; 4] = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
/// How much of standard error is kept, bytes.
const STDERR_CAP: usize = 16 << 10;

/// The git binary. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Git {
    program: Arc<Path>,
}

impl Git {
    /// The first `git` in `PATH`, if it is new enough. One process.
    ///
    /// # Errors
    /// [`GitError::Missing`], [`GitError::TooOld`], or that it could not be run.
    pub async fn find() -> Result<Self, GitError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join("git"))
            .find(|p| p.is_file());
        Self::at_path(&found.ok_or(GitError::Missing)?).await
    }

    /// The git at this absolute path, if it is new enough. One process.
    ///
    /// # Errors
    /// As [`Git::find`].
    pub async fn at_path(program: &Path) -> Result<Self, GitError> {
        let git = Self {
            program: Arc::from(program),
        };
        let found = git.version().await?;
        if parse_version(&found).is_none_or(|v| v < NEEDED_PARTS) {
            return Err(GitError::TooOld {
                found,
                program: program.to_owned(),
            });
        }
        Ok(git)
    }

    /// What it says it is, for example `2.47.3`. One process.
    ///
    /// # Errors
    /// That it could not be run.
    pub async fn version(&self) -> Result<String, GitError> {
        let out = match self.call("--version").timeout(Duration::from_secs(20)).ok().await {
            Err(GitError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Err(GitError::Missing),
            other => other?,
        };
        let text = String::from_utf8_lossy(&out);
        Ok(text.trim().strip_prefix("git version ").unwrap_or(text.trim()).to_owned())
    }

    /// Where it is.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A command of this git; nothing runs before [`Call::run`] or [`Call::ok`].
    pub(crate) fn call(&self, name: &'static str) -> Call {
        Call {
            program: Arc::clone(&self.program),
            name,
            global: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: PathBuf::from("/"),
            stdin: Vec::new(),
            input: None,
            output: None,
            timeout: TIMEOUT,
            cap: CAP,
            ours: Vec::new(),
        }
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(['.', ' ', '-']).map(|p| p.parse::<u32>().ok());
    Some((parts.next()??, parts.next()??))
}

/// What a command answered.
#[derive(Debug)]
pub(crate) struct Output {
    /// Exit status; -1 when it ended itself by a signal.
    pub code: i32,
    /// All of standard output.
    pub stdout: Vec<u8>,
    /// The beginning of standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// The error that this answer is.
    pub fn failed(&self, command: &str) -> GitError {
        GitError::Failed {
            command: command.to_owned(),
            code: self.code,
            stderr: printable(&self.stderr),
        }
    }
}

/// One git command being put together.
#[derive(Debug)]
pub(crate) struct Call {
    program: Arc<Path>,
    name: &'static str,
    global: Vec<OsString>,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    cwd: PathBuf,
    stdin: Vec<u8>,
    input: Option<File>,
    output: Option<File>,
    timeout: Duration,
    cap: usize,
    ours: Vec<PathBuf>,
}

impl Call {
    /// In this repository, whatever the working directory holds.
    pub fn git_dir(mut self, dir: &Path) -> Self {
        let mut arg = OsString::from("--git-dir=");
        arg.push(dir);
        self.global.push(arg);
        self.locks(dir)
    }

    /// It may lock refs of this repository of ours as well.
    pub fn locks(mut self, dir: &Path) -> Self {
        self.ours.push(dir.to_owned());
        self
    }

    /// With this work tree, which becomes the working directory.
    pub fn work_tree(mut self, dir: &Path) -> Self {
        let mut arg = OsString::from("--work-tree=");
        arg.push(dir);
        self.global.push(arg);
        dir.clone_into(&mut self.cwd);
        self
    }

    /// Paths mean themselves, whatever characters they hold.
    pub fn literal(mut self) -> Self {
        self.global.push("--literal-pathspecs".into());
        self
    }

    /// One more setting for this command.
    pub fn config(mut self, setting: &str) -> Self {
        self.global.push("-c".into());
        self.global.push(setting.into());
        self
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// No option may follow.
    pub fn end(self) -> Self {
        self.arg("--end-of-options")
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// What it reads.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// The file it reads.
    pub fn stdin_file(mut self, file: File) -> Self {
        self.input = Some(file);
        self
    }

    /// The file it writes its standard output to.
    pub fn stdout_file(mut self, file: File) -> Self {
        self.output = Some(file);
        self
    }

    /// How long it may take.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// How much it may print, bytes.
    pub fn cap(mut self, bytes: usize) -> Self {
        self.cap = bytes;
        self
    }

    /// It talks to a remote: proxy, certificate and agent variables, and more time.
    pub fn network(mut self) -> Self {
        for name in NETWORK_ENVIRONMENT {
            if let Some(value) = std::env::var_os(name) {
                self.env.push(((*name).into(), value));
            }
        }
        self.timeout = NETWORK_TIMEOUT;
        self
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Everything that its answer depends on besides the repository.
    pub fn words(&self) -> Vec<OsString> {
        let own = [OsString::from(self.name), OsString::from_vec(self.stdin.clone())];
        own.into_iter().chain(self.global.iter().chain(&self.args).cloned()).collect()
    }

    fn command(&mut self) -> Command {
        let mut command = Command::new(&*self.program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(ENVIRONMENT.iter().copied());
        command.envs(self.env.drain(..));
        for setting in PROTECTIONS {
            command.arg("-c").arg(setting);
        }
        command.args(&self.global).arg(self.name).args(&self.args);
        command.current_dir(&self.cwd);
        // A group of its own, so that its helpers (ssh, remote-https, index-pack) die with it.
        command.process_group(0).kill_on_drop(true);
        command.stdin(match self.input.take() {
            Some(file) => Stdio::from(file),
            None if self.stdin.is_empty() => Stdio::null(),
            None => Stdio::piped(),
        });
        command
            .stdout(self.output.take().map_or_else(Stdio::piped, Stdio::from))
            .stderr(Stdio::piped());
        command
    }

    /// Runs it; any exit status is an answer.
    ///
    /// # Errors
    /// [`GitError::Io`], [`GitError::Timeout`], [`GitError::Ended`], [`GitError::TooLarge`].
    pub async fn run(mut self) -> Result<Output, GitError> {
        let name = self.name;
        let mut child = self
            .command()
            .spawn()
            .map_err(GitError::io(format!("cannot start {}", self.program.display())))?;
        let mut group = Group(child.id());
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let bytes = std::mem::take(&mut self.stdin);
        let feed = async {
            if let Some(mut pipe) = stdin {
                // A command that stops reading early says why by its exit status.
                let _ = pipe.write_all(&bytes).await;
            }
            Ok(())
        };
        let work = async {
            let ((), stdout, stderr) = tokio::try_join!(feed, capture(stdout, name, self.cap), excerpt(stderr, name))?;
            let status = child.wait().await.map_err(GitError::io(format!("cannot wait for `git {name}`")))?;
            if let Some(signal) = status.signal().filter(|s| FOREIGN.iter().any(|f| *f as i32 == *s)) {
                return Err(GitError::Ended {
                    command: name.to_owned(),
                    signal,
                });
            }
            Ok(Output {
                code: status.code().unwrap_or(-1),
                stdout,
                stderr,
            })
        };
        let answer = tokio::time::timeout(self.timeout, work).await;
        match answer {
            Ok(Ok(output)) => {
                group.0 = None;
                if output.code != 0 {
                    locks::clear(&self.ours, &String::from_utf8_lossy(&output.stderr));
                }
                Ok(output)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(GitError::Timeout {
                command: name.to_owned(),
                seconds: self.timeout.as_secs(),
            }),
        }
    }

    /// Runs it and expects exit status 0; gives its standard output.
    ///
    /// # Errors
    /// As [`Call::run`], and [`GitError::Failed`].
    pub async fn ok(self) -> Result<Vec<u8>, GitError> {
        let name = self.name;
        let output = self.run().await?;
        if output.code == 0 {
            Ok(output.stdout)
        } else {
            Err(output.failed(name))
        }
    }
}

/// Kills the process group when dropped: on a time-out, an error, or a cancelled future.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // Not reaped yet, so the id is still its own; gone already is just as well.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

async fn capture(pipe: Option<impl AsyncRead + Unpin>, name: &str, cap: usize) -> Result<Vec<u8>, GitError> {
    let mut bytes = Vec::new();
    let Some(pipe) = pipe else { return Ok(bytes) };
    let limit = u64::try_from(cap).unwrap_or(u64::MAX).saturating_add(1);
    pipe.take(limit)
        .read_to_end(&mut bytes)
        .await
        .map_err(GitError::io(format!("cannot read from `git {name}`")))?;
    if bytes.len() > cap {
        return Err(GitError::TooLarge {
            what: format!("the answer of `git {name}`"),
            limit: cap,
        });
    }
    Ok(bytes)
}

/// The beginning of what it prints; the rest is read and dropped, so that it never blocks.
async fn excerpt(pipe: Option<impl AsyncRead + Unpin>, name: &str) -> Result<Vec<u8>, GitError> {
    let mut kept = Vec::new();
    let Some(mut pipe) = pipe else { return Ok(kept) };
    let mut buffer = [0; 4096];
    loop {
        let n = pipe
            .read(&mut buffer)
            .await
            .map_err(GitError::io(format!("cannot read from `git {name}`")))?;
        if n == 0 {
            return Ok(kept);
        }
        let room = STDERR_CAP.saturating_sub(kept.len()).min(n);
        kept.extend_from_slice(&buffer[..room]);
    }
}
