//! The demo's stage: a small repository, a script for the agent, a configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::engine::rules::Files;
use crate::shell::git::Git;
use crate::shell::service::Service;

use super::{DemoArgs, rules_over, timeline};

/// What the scripted agent does, run by run: one request for changes, one failed test round.
const SCRIPT: &str = r#"[agents.reviewer]
do = ["changes", "ok"]
[agents.tester]
do = ["fail", "ok"]
"#;

/// The demo repository's own test command.
const TEST: &str = "#!/bin/sh\n# Every feature file must hold at least one line.\nset -eu\nfor f in src/*.txt; do test -s \"$f\"; done\necho \"all good\"\n";

/// The stage of a demo.
pub struct Setting {
    dir: Dir,
    /// This binary.
    pub exe: PathBuf,
}

enum Dir {
    Temporary(tempfile::TempDir),
    Given(PathBuf),
}

impl Setting {
    /// Lays out the demo's folder: a repository with one commit, and the agent's script.
    pub async fn make(args: &DemoArgs) -> Result<Self, String> {
        let exe = std::env::current_exe().map_err(|e| format!("cannot find this program's own path: {e}"))?;
        let dir = match &args.at {
            Some(dir) => {
                if dir.exists() {
                    return Err(format!("{} exists already: name a folder that does not", dir.display()));
                }
                std::fs::create_dir_all(dir).map_err(|e| format!("cannot make {}: {e}", dir.display()))?;
                Dir::Given(dir.canonicalize().map_err(|e| format!("cannot use {}: {e}", dir.display()))?)
            }
            None => {
                let made = tempfile::Builder::new().prefix("signalbox-demo-").tempdir();
                Dir::Temporary(made.map_err(|e| format!("cannot make a temporary folder: {e}"))?)
            }
        };
        let setting = Self { dir, exe };
        setting.lay_out().await?;
        Ok(setting)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        match &self.dir {
            Dir::Temporary(dir) => dir.path(),
            Dir::Given(dir) => dir,
        }
    }

    /// Keeps the folder and says where it is.
    pub fn keep(self) -> PathBuf {
        match self.dir {
            Dir::Temporary(dir) => dir.keep(),
            Dir::Given(dir) => dir,
        }
    }

    async fn lay_out(&self) -> Result<(), String> {
        let repo = self.dir().join("repository");
        let write = |path: PathBuf, text: &str| {
            let parent = path.parent().map(Path::to_path_buf).unwrap_or_default();
            std::fs::create_dir_all(parent)
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|e| format!("cannot write {}: {e}", path.display()))
        };
        write(repo.join("README.md"), "# Greetings\n\nA small project for the demo.\n")?;
        write(repo.join("src/greeting.txt"), "hello\n")?;
        write(repo.join("test.sh"), TEST)?;
        write(self.dir().join("script.toml"), SCRIPT)?;
        let git = Git::find().await.map_err(|e| e.to_string())?;
        let run = async |args: &[&str]| {
            let mut command = tokio::process::Command::new(git.program());
            command
                .current_dir(&repo)
                .args(args)
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("GIT_CONFIG_NOSYSTEM", "1");
            let output = command.output().await.map_err(|e| format!("git cannot be run: {e}"))?;
            if output.status.success() {
                Ok(())
            } else {
                Err(format!("git {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr)))
            }
        };
        run(&["init", "--quiet", "--initial-branch=main"]).await?;
        run(&["add", "--all"]).await?;
        run(&[
            "-c",
            "user.name=demo",
            "-c",
            "user.email=demo@signalbox.invalid",
            "commit",
            "--quiet",
            "-m",
            "A small project",
        ])
        .await
    }

    /// Shipped rules, the folder's over them, and the demo's own configuration.
    pub fn files(&self, args: &DemoArgs) -> Result<Files, String> {
        let mut files = rules_over(args)?;
        let quote = |text: &str| serde_json::Value::String(text.to_owned()).to_string();
        let exe = quote(&self.exe.display().to_string());
        let script = quote(&self.dir().join("script.toml").display().to_string());
        let config = format!(
            "schema = 1\ndata = \"data\"\nlisten = \"127.0.0.1:{port}\"\n\n[projects.demo]\npipeline = {pipeline}\nprefix = \"DEMO\"\n\
             tracker = {{ kind = \"local\" }}\nforge = {{ kind = \"local\", source = \"repository\", default_branch = \"main\" }}\n\n\
             [projects.demo.set]\n\"agents.*.run\" = [{exe}, \"scripted-agent\", \"--script\", {script}]\n\
             \"gates.local_tests.command.run\" = [\"sh\", \"test.sh\"]\n",
            port = free_port(),
            pipeline = quote(&args.pipeline),
        );
        std::fs::write(self.dir().join("signalbox.toml"), &config).map_err(|e| format!("cannot write signalbox.toml: {e}"))?;
        files.insert("signalbox.toml", config, self.dir().join("signalbox.toml").display().to_string());
        Ok(files)
    }

    /// Variables the scripted agent needs besides.
    #[must_use]
    pub fn agent_env(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// What came of it, read from the repository.
    pub async fn tell_result(&self, service: &Arc<Service>, item: &str, before: &str) -> Result<(), String> {
        let task = service
            .store
            .task_by_item(item)
            .await
            .map_err(|e| e.to_string())?
            .ok_or("the task is gone")?;
        let project = service.project_of(&task).ok_or("the project is gone")?;
        let base = project.vault.base().await.map_err(|e| e.to_string())?;
        let usage = service
            .store
            .usage(Some(task.id), None, crate::engine::model::Millis(0))
            .await
            .map_err(|e| e.to_string())?;
        let runs = service.store.runs(task.id).await.map_err(|e| e.to_string())?;
        timeline::heading(&format!("{item} is done: merged by {}", base.get(..10).unwrap_or(&base)));
        for line in project.vault.log(before, &base, 40).await.map_err(|e| e.to_string())? {
            timeline::note(&format!("  {line}"));
        }
        timeline::note(&format!(
            "{} runs, {} tokens read, {} written, {:.2} USD (scripted)",
            runs.len(),
            usage.input_tokens,
            usage.output_tokens,
            usage.cost_usd
        ));
        Ok(())
    }

    /// How to talk to a demo that stays up.
    pub fn tell_how(&self, service: &Service, item: &str) {
        let exe = self.exe.display();
        let config = self.dir().join("signalbox.toml");
        timeline::note(&format!("In another terminal:\n\n  export SIGNALBOX_CONFIG={}", config.display()));
        for (command, what) in [
            ("status", "what needs you, what moves, what waits"),
            (&*format!("why {item}"), "everything that holds it back"),
            (
                &*format!("approve {item}"),
                "when it waits for you (the confirmation before the merge, too)",
            ),
            (&*format!("logs -f {item}"), "what the agent prints"),
            (&*format!("stop {item}"), "stop it for certain"),
            ("task new \"Another one\" --text \"…\"", "a second task: it waits its turn"),
        ] {
            timeline::note(&format!("  {exe} {command:<42} # {what}"));
        }
        timeline::note(&format!(
            "\nPages: http://{}/status  http://{}/queue    Ctrl-C ends the demo and removes it.\n",
            service.config().listen,
            service.config().listen
        ));
    }
}

/// The usual port where it is free, else one that is.
fn free_port() -> u16 {
    let usual = 8500;
    if std::net::TcpListener::bind(("127.0.0.1", usual)).is_ok() {
        return usual;
    }
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|l| l.local_addr())
        .map_or(usual, |a| a.port())
}
