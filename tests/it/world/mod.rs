//! A world: the real binary with a repository, a configuration and a scripted agent of its own.

mod format;
pub mod gitea;
mod http;
mod outcome;
pub mod peers;
pub mod plane;
mod play;
mod procs;
pub mod telegram;
mod transcript;

use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use signalbox::scripted::{Entry, Phase};

pub use format::{Scenario, Step};
pub use http::Answer;
pub use outcome::{Outcome, check, end_of};
pub use play::{Mode, blocked, play};
pub use transcript::transcript;

pub const EXE: &str = env!("CARGO_BIN_EXE_signalbox");
/// Longest time anything that is waited for may take.
pub const LONG: Duration = Duration::from_secs(300);
/// Starts after crashes that one scenario may need at most, unless it says so.
const MAX_STARTS: u32 = 400;
/// The project's own test command: what is in `src/` must not say BROKEN.
const TEST: &str = "#!/bin/sh\nset -eu\nif grep -rl BROKEN src; then echo 'it is broken' >&2; exit 1; fi\necho 'all good'\n";

/// The last address that was given away.
static GIVEN: AtomicU16 = AtomicU16::new(0);

/// Says why a test cannot be tried on this host; where `SIGNALBOX_NO_SKIP` is set, that is a failure.
pub fn skipped(why: &str) {
    assert!(
        std::env::var_os("SIGNALBOX_NO_SKIP").is_none_or(|set| set.is_empty()),
        "{why}, and with SIGNALBOX_NO_SKIP set nothing is skipped"
    );
    eprintln!("skipped: {why}");
}

/// An address that nobody listens on, for a service that is started, and started again, later: none that the system gives
/// away by itself meanwhile, and each once.
pub fn free() -> SocketAddr {
    // Other runs of these tests begin elsewhere.
    let first = 12_000 + u16::try_from(std::process::id() % 16_000).unwrap_or(0);
    loop {
        let nth = GIVEN.fetch_add(1, Ordering::Relaxed);
        assert!(nth < 4000, "no port is free");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, first + nth));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// What a world is made of.
#[derive(Default)]
pub struct Setup {
    /// The pipeline; `local` where it says nothing.
    pub pipeline: String,
    /// The scripted agent's parts, as its script has them.
    pub agents: toml::Table,
    /// The project's `set`.
    pub set: toml::Table,
    /// Keys of `signalbox.toml` besides.
    pub config: toml::Table,
    /// The project's forge; the local one where it is empty.
    pub forge: toml::Table,
    /// Files of rules beside `signalbox.toml`, over the shipped ones.
    pub rules: Vec<(String, String)>,
    /// The project's tracker; the service's own board where it says nothing.
    pub tracker: Option<toml::Table>,
}

/// A running world. Dropped, it ends everything that it started.
pub struct World {
    dir: tempfile::TempDir,
    service: Option<Child>,
    /// The crash point of every start from now on, as `SIGNALBOX_CRASH` has it.
    pub crash: Option<String>,
    /// Whether only the first start has it.
    pub crash_once: bool,
    /// Whether the service is to wait for its runs when it is told to end.
    pub drain: bool,
    /// What the service finds in its environment besides.
    pub env: Vec<(String, String)>,
    /// The program that is started as the service; the one under test where it says nothing.
    pub exe: Option<PathBuf>,
    /// Where the service's log goes; `service.log` of the world where it says nothing.
    pub log_to: Option<PathBuf>,
    /// Starts of the service so far.
    pub starts: u32,
    /// Starts that it may need at most.
    pub most_starts: u32,
    prefix: String,
}

impl World {
    /// Lays out a world; its service is not started.
    pub fn new(setup: &Setup) -> Self {
        let dir = tempfile::Builder::new().prefix("signalbox-world-").tempdir().expect("a folder");
        let pipeline = if setup.pipeline.is_empty() { "local" } else { &setup.pipeline };
        let prefix = match pipeline {
            "enduro" => "ET",
            "local" => "LOC",
            _ => "ORCH",
        };
        let world = Self {
            dir,
            service: None,
            crash: None,
            crash_once: false,
            drain: false,
            env: Vec::new(),
            exe: None,
            log_to: None,
            starts: 0,
            most_starts: MAX_STARTS,
            prefix: prefix.to_owned(),
        };
        world.lay_out(setup, pipeline);
        world
    }

    fn lay_out(&self, setup: &Setup, pipeline: &str) {
        let repository = self.path("repository");
        write(&repository.join("README.md"), "# Greetings\n");
        write(&repository.join("src/greeting.txt"), "hello\n");
        write(&repository.join("test.sh"), TEST);
        self.git(&["init", "--quiet", "--initial-branch=main"]);
        self.commit_all("A small project");
        let mut script = toml::Table::new();
        script.insert("ledger".into(), self.text("ledger").into());
        script.insert("marker".into(), self.text("marker").into());
        script.insert("agents".into(), setup.agents.clone().into());
        write(&self.path("script.toml"), &script.to_string());
        write(&self.path("signalbox.toml"), &self.config(setup, pipeline).to_string());
        for (path, text) in &setup.rules {
            write(&self.path(path), text);
        }
    }

    fn config(&self, setup: &Setup, pipeline: &str) -> toml::Table {
        let agent: Vec<String> = vec![EXE.into(), "scripted-agent".into(), "--script".into(), self.text("script.toml")];
        let mut set = toml::Table::new();
        set.insert("agents.*.run".into(), agent.into());
        set.insert(
            "gates.local_tests.command.run".into(),
            vec!["sh".to_owned(), "test.sh".to_owned()].into(),
        );
        set.extend(setup.set.clone());
        let local = |kind: &[(&str, &str)]| kind.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect::<toml::Table>();
        let mut project = local(&[("pipeline", pipeline), ("prefix", &self.prefix)]);
        let tracker = setup.tracker.clone().unwrap_or_else(|| local(&[("kind", "local")]));
        project.insert("tracker".into(), tracker.into());
        let forge = local(&[("kind", "local"), ("source", "repository"), ("default_branch", "main")]);
        let forge = if setup.forge.is_empty() { forge } else { setup.forge.clone() };
        project.insert("forge".into(), forge.into());
        project.insert("set".into(), set.into());
        let mut config = local(&[("data", "data"), ("listen", "127.0.0.1:0")]);
        config.insert("schema".into(), 1.into());
        config.extend(setup.config.clone());
        let mut projects = toml::Table::new();
        projects.insert("it".into(), project.into());
        config.insert("projects".into(), projects.into());
        config
    }

    /// The world's folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The service's data directory.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    fn socket(&self) -> PathBuf {
        self.data().join("signalbox.sock")
    }

    /// What the service wrote to its log, over all starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("service.log")).unwrap_or_default()
    }

    /// A command of the program, in this world.
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_of(Path::new(EXE), args)
    }

    fn command_of(&self, exe: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(exe);
        command
            .args(args)
            .env("SIGNALBOX_CONFIG", self.path("signalbox.toml"))
            .env_remove("SIGNALBOX_CRASH")
            .stdin(Stdio::null());
        command.current_dir(self.dir());
        command
    }

    /// Starts the service and waits until it answers; one that dies of its crash point is started again.
    pub fn start(&mut self) {
        loop {
            self.launch();
            if self.answers() {
                return;
            }
        }
    }

    fn launch(&mut self) {
        assert!(self.service.is_none(), "the service runs already");
        self.starts += 1;
        assert!(
            self.starts < self.most_starts,
            "{} starts do not bring it to its end:\n{}",
            self.starts,
            self.tail()
        );
        let log = self.log_to.clone().unwrap_or_else(|| self.path("service.log"));
        let log = fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
        // Every world has rules of its own, and proofs are tried elsewhere.
        let exe = self.exe.clone().unwrap_or_else(|| EXE.into());
        let mut command = self.command_of(&exe, &["serve", "--no-proof"]);
        command.args(self.drain.then_some("--drain"));
        if let Some(point) = self.crash.as_ref().filter(|_| self.starts == 1 || !self.crash_once) {
            command.env("SIGNALBOX_CRASH", point);
        }
        command
            .env("SIGNALBOX_FAULT", self.path("fault"))
            .env("SIGNALBOX_HOLD", self.path("hold"))
            .env("SIGNALBOX_CLOCK", self.path("clock"));
        command.envs(self.env.iter().cloned());
        command.env("RUST_LOG", "info").stdout(Stdio::null()).stderr(log);
        self.service = Some(command.spawn().expect("the service starts"));
    }

    /// Waits until the new service answers; false when its crash point came first.
    fn answers(&mut self) -> bool {
        let begun = Instant::now();
        loop {
            if UnixStream::connect(self.socket()).is_ok() {
                return true;
            }
            if self.reap() {
                return false;
            }
            assert!(begun.elapsed() < LONG, "the service does not answer:\n{}", self.tail());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Whether the service has ended; it may only have died of SIGKILL.
    fn reap(&mut self) -> bool {
        let Some(child) = &mut self.service else { return true };
        let Some(status) = child.try_wait().expect("waiting for the service") else {
            return false;
        };
        self.service = None;
        assert_eq!(status.signal(), Some(9), "the service ended by itself ({status}):\n{}", self.tail());
        true
    }

    /// The service has gone away: it is waited for, and started again.
    fn revive(&mut self) {
        let begun = Instant::now();
        while !self.reap() {
            assert!(begun.elapsed() < LONG, "the service neither answers nor ends:\n{}", self.tail());
            std::thread::sleep(Duration::from_millis(2));
            // A child that was about to be executed kept the door of a killed service open for a
            // moment: it was that door which did not answer.
            if begun.elapsed() > Duration::from_secs(1) && UnixStream::connect(self.socket()).is_ok() {
                return;
            }
        }
        self.start();
    }

    /// From its next commits on the disk behaves like this: `full:3`, `ioerr:1` …; well, where it says nothing.
    pub fn fault(&self, order: &str) {
        write(&self.path("fault.new"), order);
        fs::rename(self.path("fault.new"), self.path("fault")).expect("in place");
    }

    /// Whoever comes to this place of the service waits there, until it is let go.
    pub fn hold(&self, place: &str) {
        write(&self.path("hold").join(place), "");
        let _ = fs::remove_file(self.path("hold").join(format!("{place}.reached")));
    }

    /// Waits until somebody waits at the place.
    pub fn wait_held(&self, place: &str) {
        let reached = self.path("hold").join(format!("{place}.reached"));
        self.until(&format!("somebody at {place}"), || reached.exists());
    }

    /// Nobody waits at the place any more.
    pub fn pass(&self, place: &str) {
        fs::remove_file(self.path("hold").join(place)).expect("held");
    }

    /// Sets the wall clock of the service, against the machine's.
    pub fn set_clock(&self, ms: i64) {
        write(&self.path("clock.new"), &ms.to_string());
        fs::rename(self.path("clock.new"), self.path("clock")).expect("in place");
    }

    /// The service's process.
    pub fn pid(&self) -> Option<u32> {
        self.service.as_ref().map(Child::id)
    }

    /// Asks once, whatever the answer.
    pub fn ask(&self, path: &str) -> Answer {
        http::send(&self.socket(), "GET", path, None).expect("an answer")
    }

    /// Ends the service as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.service.take() {
            child.kill().expect("kill -9");
            child.wait().expect("waiting for the service");
        }
    }

    /// Tells the service to end.
    pub fn terminate(&self) {
        let Some(child) = &self.service else { return };
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("SIGTERM");
    }

    /// Ends the service in good order.
    pub fn stop(&mut self) {
        self.terminate();
        self.ended();
    }

    /// Waits until a service that was told to end has done so.
    pub fn ended(&mut self) {
        let Some(mut child) = self.service.take() else { return };
        let status = child.wait().expect("waiting for the service");
        assert!(
            status.success() || (self.crash.is_some() && status.signal() == Some(9)),
            "the service ended with {status}:\n{}",
            self.tail()
        );
    }

    /// Asks for something until it is answered; a service that died meanwhile is started again.
    pub fn get(&mut self, path: &str) -> Json {
        loop {
            match http::send(&self.socket(), "GET", path, None) {
                Ok(answer) if answer.ok() => return answer.body,
                Ok(answer) => return json!({"status": answer.status, "refused": answer.refusal()}),
                Err(_) => self.revive(),
            }
        }
    }

    /// Asks for an act, once.
    pub fn post(&self, path: &str, body: &Json) -> io::Result<Answer> {
        http::send(&self.socket(), "POST", path, Some(body))
    }

    /// Everything about a task.
    pub fn show(&mut self, item: &str) -> Json {
        self.get(&format!("/api/tasks/{}", item.replace('#', "%23")))
    }

    /// Makes an issue and starts it; gives its work item id.
    pub fn new_task(&mut self, title: &str) -> String {
        let answer = self
            .post("/api/tasks", &json!({"title": title, "text": "Please."}))
            .expect("an answer");
        assert!(answer.ok(), "{answer:?}");
        answer.body["item"].as_str().expect("an item").to_owned()
    }

    /// Waits until `holds` of what the service shows about a task; looks again whenever something was decided.
    pub fn wait_for(&mut self, item: &str, what: &str, mut holds: impl FnMut(&Json) -> bool) -> Json {
        let begun = Instant::now();
        let mut place = 0;
        loop {
            let seen = self.show(item);
            if holds(&seen) {
                return seen;
            }
            assert!(
                begun.elapsed() < LONG,
                "{item} does not come to {what}:\n{}\n{}",
                brief(&seen),
                self.tail()
            );
            // Rows are the news; what has none, such as the start of a run, is seen within a second.
            let news = self.get(&format!("/api/timeline?after={place}&wait=1"));
            place = news["next"].as_i64().unwrap_or(place);
        }
    }

    /// Waits until the task is in this mode: `done`, `escalated`, `question` …
    pub fn wait_mode(&mut self, item: &str, mode: &str) -> Json {
        self.wait_for(item, mode, |seen| seen["task"]["mode"] == mode)
    }

    /// Waits until the task has a blocker of this code.
    pub fn wait_blocker(&mut self, item: &str, code: &str) -> Json {
        self.wait_for(item, code, |seen| play::blocked(seen, code))
    }

    /// What the agents themselves recorded, outside the service.
    pub fn ledger(&self) -> Vec<Entry> {
        whole_lines(&self.path("ledger"))
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of the ledger"))
            .collect()
    }

    /// Begun runs, as the ledger has them.
    pub fn begun(&self) -> Vec<Entry> {
        self.ledger().into_iter().filter(|e| e.phase == Phase::Start).collect()
    }

    /// Waits until `holds` of something outside the service.
    pub fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < LONG, "it does not come to {what}:\n{}", self.tail());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until an agent has begun this run of a task: it is really at work.
    pub fn wait_agent(&self, item: &str, agent: &str, nth: usize) {
        let mine = |e: &&Entry| e.item == item && e.agent == agent;
        self.until(&format!("run {nth} of {agent}"), || self.begun().iter().filter(mine).count() >= nth);
    }

    /// Agents that are `held` go on, now and later.
    pub fn let_go(&self) {
        write(&self.path("go"), "");
    }

    /// Processes of this world: service, shims, agents.
    pub fn processes(&self) -> Vec<(i32, String)> {
        procs::of(self.dir())
    }

    /// git in the person's own repository.
    pub fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.path("repository"), args)
    }

    /// git in any folder.
    pub fn git_in(&self, dir: &Path, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command
            .current_dir(dir)
            .args(["-c", "user.name=person", "-c", "user.email=person@example.invalid"])
            .args(args);
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::null());
        let out = command.output().expect("git");
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// The local forge's bare repository.
    pub fn forge(&self) -> PathBuf {
        self.data().join("forge/it.git")
    }

    /// A person's commit on the source repository's default branch.
    pub fn commit_base(&self, file: &str, content: &str) {
        write(&self.path("repository").join(file), content);
        self.commit_all(&format!("A person changes {file}"));
    }

    /// A person's commit on a task's branch, pushed to the forge.
    pub fn push(&self, branch: &str, file: &str, content: &str) {
        let clone = tempfile::tempdir_in(self.dir()).expect("a folder");
        self.git_in(
            clone.path(),
            &["clone", "--quiet", "--branch", branch, &self.forge().display().to_string(), "."],
        );
        write(&clone.path().join(file), content);
        self.git_in(clone.path(), &["add", "--all"]);
        self.git_in(clone.path(), &["commit", "--quiet", "-m", "A person pushes"]);
        self.git_in(clone.path(), &["push", "--quiet", "origin", branch]);
    }

    fn commit_all(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", message]);
    }

    /// The end of the service's log, for the message of a failure.
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.service.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        procs::end_all(self.dir());
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// Writes a script that is executed soon. A child writes it: what this process has open for writing may be open in whatever
/// another test starts just then, and cannot be executed so long.
pub fn executable(path: &Path, text: &str) {
    let mut child = Command::new("sh")
        .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(text.as_bytes()).expect("written");
    drop(input);
    assert!(child.wait().expect("sh").success(), "{}", path.display());
}

/// Copies a program that is executed soon; as above.
pub fn copied(from: &str, to: &Path) {
    let status = Command::new("cp").arg(from).arg(to).status().expect("cp");
    assert!(status.success(), "{}", to.display());
}

/// What others have written to a file so far, up to the last line that is complete.
pub fn whole_lines(path: &Path) -> String {
    let mut bytes = fs::read(path).unwrap_or_default();
    bytes.truncate(bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1));
    String::from_utf8(bytes).expect("text")
}

/// What matters of a task, for the message of a failure.
fn brief(seen: &Json) -> String {
    format!("task {}\nblockers {}\nruns {}", seen["task"], seen["blockers"], seen["runs"])
}
