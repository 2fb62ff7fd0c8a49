//! A real service over a scratch folder: real git, real processes, the scripted agent.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use signalbox::engine::model::{Actor, Body, Role, Task, Via};
use signalbox::engine::rules::load;
use signalbox::shell::config::read_dir;
use signalbox::shell::embedded::embedded;
use signalbox::shell::service::{Service, Settings};
use signalbox::shell::store::StepRow;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::whole_lines;

pub const EXE: &str = env!("CARGO_BIN_EXE_signalbox");
/// Longest wait for anything.
const LONG: Duration = Duration::from_secs(300);

/// The folder of a service.
pub struct House {
    dir: tempfile::TempDir,
    /// What every agent finds in its environment besides.
    pub agent_env: BTreeMap<String, String>,
}

/// A service at work.
pub struct Running {
    pub service: Arc<Service>,
    stop: CancellationToken,
    working: JoinHandle<()>,
}

pub fn boss() -> Actor {
    let roles = vec![Role::Viewer, Role::Operator, Role::Approver];
    Actor::Person {
        name: "ann".to_owned(),
        via: Via::Cli,
        roles,
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
        .args(args)
        .current_dir(dir);
    let out = command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().expect("git");
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

impl House {
    /// One project `shop` with this pipeline; `top` stands at the top of signalbox.toml, `project` among the project's
    /// keys, `set` among its overrides; `script` is the agent's.
    pub fn new(pipeline: &str, top: &str, project: &str, set: &str, script: &str) -> Self {
        let house = Self {
            dir: tempfile::tempdir().expect("a folder"),
            agent_env: BTreeMap::new(),
        };
        let repo = house.path("repository");
        house.write("repository/README.md", "# Shop\n");
        git(&repo, &["init", "--quiet", "--initial-branch=main"]);
        git(&repo, &["add", "--all"]);
        git(&repo, &["commit", "--quiet", "-m", "first"]);
        house.write("script.toml", script);
        let script = house.path("script.toml");
        house.write(
            "signalbox.toml",
            &format!(
                "schema = 1\nlisten = \"127.0.0.1:0\"\n{top}\n[projects.shop]\npipeline = \"{pipeline}\"\nprefix = \"SHOP\"\n{project}\n\
                 tracker = {{ kind = \"local\" }}\nforge = {{ kind = \"local\", source = \"repository\", default_branch = \"main\" }}\n\
                 [projects.shop.set]\n\"agents.*.run\" = [\"{EXE}\", \"scripted-agent\", \"--script\", \"{}\"]\n{set}\n",
                script.display()
            ),
        );
        house
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("written");
    }

    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).expect("read");
        assert!(text.contains(from), "{from:?} is not in {name}");
        self.write(name, &text.replace(from, to));
    }

    /// The agents' own record: agent, phase, visit, in the order in which it was written.
    pub fn ledger(&self) -> Vec<(String, String, u64)> {
        let text = whole_lines(&self.path("script.toml.ledger"));
        let line = |l: &str| {
            let v: serde_json::Value = serde_json::from_str(l).expect("a line of the ledger");
            let word = |k: &str| v[k].as_str().unwrap_or_default().to_owned();
            (word("agent"), word("phase"), v["visit"].as_u64().unwrap_or(0))
        };
        text.lines().map(line).collect()
    }

    /// A file of the default branch as the forge has it.
    pub fn published(&self, path: &str) -> String {
        git(&self.path("data/forge/shop.git"), &["show", &format!("main:{path}")])
    }

    /// Opens the service; nothing is at work yet.
    pub async fn open(&self) -> Arc<Service> {
        let files = read_dir(self.dir.path(), &embedded()).expect("files");
        let loaded = load(&files);
        assert!(!loaded.failed(), "{:#?}", loaded.diagnostics);
        let settings = Settings {
            loaded,
            dir: self.dir.path().to_owned(),
            exe: EXE.into(),
            agent_env: self.agent_env.clone(),
        };
        Service::open(settings).await.expect("opened")
    }

    /// Opens the service and sets it to work.
    pub async fn start(&self) -> Running {
        let (service, stop) = (self.open().await, CancellationToken::new());
        let (its, end) = (Arc::clone(&service), stop.clone());
        let working = tokio::spawn(async move { its.work(end).await.expect("it works") });
        Running { service, stop, working }
    }
}

impl Running {
    /// Ends the service in good order; agents go on.
    pub async fn close(self) {
        self.stop.cancel();
        self.working.await.expect("it ended well");
        // Whatever was spawned may still hold the store for a moment: closing waits for it.
        self.service.store.clone().close().await;
    }

    pub async fn new_task(&self, title: &str) -> String {
        self.service
            .issue_new("shop", title, "please", &[], true, boss())
            .await
            .expect("made")
            .item
    }

    pub async fn task(&self, item: &str) -> Option<Task> {
        self.service.store.task_by_item(item).await.expect("the store")
    }

    /// Waits until the task is as it should be.
    pub async fn until(&self, item: &str, what: &str, is: impl Fn(&Task) -> bool) -> Task {
        let mut commits = self.service.store.commits();
        let deadline = tokio::time::Instant::now() + LONG;
        loop {
            commits.borrow_and_update();
            let task = self.task(item).await;
            if let Some(task) = task.as_ref().filter(|t| is(t)) {
                return task.clone();
            }
            if tokio::time::timeout_at(deadline, commits.changed()).await.is_err() {
                let because: Vec<_> = self.history(item).await.into_iter().flat_map(|s| s.because).collect();
                panic!("{item} is not {what}: {:#?}\n{because:#?}", task.map(|t| t.control));
            }
        }
    }

    pub async fn history(&self, item: &str) -> Vec<StepRow> {
        let Some(task) = self.task(item).await else { return Vec::new() };
        self.service.store.history(task.id).await.expect("the store")
    }

    /// Steps of the task that followed from such an event.
    pub async fn steps(&self, item: &str, is: impl Fn(&Body) -> bool) -> Vec<StepRow> {
        self.history(item).await.into_iter().filter(|s| is(&s.body)).collect()
    }

    /// Stops the task and waits until nothing of it is left.
    pub async fn end(&self, item: &str) {
        self.service.signal(item, "stop", None, boss()).await.expect("stopped");
        self.until(item, "over", Task::terminal).await;
    }
}
