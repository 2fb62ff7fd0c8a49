//! The git layer against the real git, in temporary directories.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::engine::model::{Millis, RunId};

use super::{Allow, Collected, Git, Identity, Remote, TaskBranch, Vault, Work};

mod basics;
mod collecting;
mod hostile;
mod ignored;
mod names;
mod poison;
mod pushing;
mod runner;

pub(super) const AT: Millis = Millis(1_700_000_000_000);
pub(super) const FOLDER: &str = "docs/work-items/T-1";
pub(super) const BRANCH: &str = "feature/T-1-x";

pub(super) fn who() -> Identity {
    Identity {
        name: "Agent <dev>".to_owned(),
        email: "agent@localhost".to_owned(),
    }
}

/// Runs git as a person or an agent would, with their own settings in force.
pub(super) fn sh(dir: &Path, args: &[&str]) -> String {
    let out = Command::new("git")
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs([
            ("GIT_AUTHOR_NAME", "P"),
            ("GIT_AUTHOR_EMAIL", "p@x"),
            ("GIT_COMMITTER_NAME", "P"),
            ("GIT_COMMITTER_EMAIL", "p@x"),
        ])
        .output()
        .unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

pub(super) fn write(dir: &Path, path: &str, text: &str) {
    let file = dir.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

/// Writes a script that is executed soon. A child writes it: what this process has open for writing may be open in whatever
/// another test starts just then, and cannot be executed so long.
pub(super) fn executable(path: &Path, text: &str) {
    let mut child = Command::new("sh")
        .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success(), "{}", path.display());
}

/// A remote, a person's clone of it, a vault over it, and a place for a checkout.
pub(super) struct World {
    pub tmp: TempDir,
    pub vault: Vault,
}

impl World {
    pub async fn new() -> Self {
        let tmp = tempfile::tempdir().unwrap();
        sh(tmp.path(), &["init", "-q", "--bare", "-b", "main", "remote.git"]);
        sh(tmp.path(), &["init", "-q", "-b", "main", "person"]);
        let person = tmp.path().join("person");
        write(&person, "src/a.txt", "one\n");
        write(&person, "docs/work-items/T-1/old.md", "old\n");
        write(&person, ".gitignore", "ignored/\n");
        sh(&person, &["add", "-A"]);
        sh(&person, &["commit", "-qm", "first"]);
        sh(&person, &["remote", "add", "origin", "../remote.git"]);
        sh(&person, &["push", "-q", "origin", "main"]);
        let remote = Remote::new(tmp.path().join("remote.git").to_str().unwrap(), "main", None).unwrap();
        let vault = Vault::open(Git::find().await.unwrap(), &tmp.path().join("vault.git"), remote)
            .await
            .unwrap();
        vault.fetch().await.unwrap();
        Self { tmp, vault }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    pub fn person(&self) -> PathBuf {
        self.path("person")
    }

    pub fn checkout(&self) -> PathBuf {
        self.path("checkout")
    }

    /// A commit of the person's on main, pushed.
    pub fn person_commits(&self, path: &str, text: &str) -> String {
        write(&self.person(), path, text);
        sh(&self.person(), &["add", "-A"]);
        sh(&self.person(), &["commit", "-qm", path]);
        sh(&self.person(), &["push", "-q", "origin", "HEAD"]);
        sh(&self.person(), &["rev-parse", "HEAD"])
    }

    /// A fresh checkout at main; gives its commit.
    pub async fn begin(&self) -> String {
        let base = self.vault.base().await.unwrap();
        self.vault.checkout(&self.checkout(), &base, BRANCH, &who()).await.unwrap();
        base
    }

    pub async fn collect(&self, start: &str, run: i64) -> Collected {
        self.collect_scoped(start, run, &|_| true).await
    }

    pub async fn collect_scoped(&self, start: &str, run: i64, allow: &Allow<'_>) -> Collected {
        let (dir, scratch, who) = (self.checkout(), self.path("scratch"), who());
        let work = Work {
            dir: &dir,
            start,
            folder: FOLDER,
            run: RunId(run),
            scratch: &scratch,
            message: "leftovers",
            who: &who,
            at: AT,
        };
        self.vault.collect(work, allow).await.unwrap()
    }

    pub async fn keep(&self, start: &str, run: i64) -> Option<String> {
        let (dir, scratch, who) = (self.checkout(), self.path("scratch"), who());
        let work = Work {
            dir: &dir,
            start,
            folder: FOLDER,
            run: RunId(run),
            scratch: &scratch,
            message: "leftovers",
            who: &who,
            at: AT,
        };
        self.vault.keep_leftovers(work, &|_| true).await.unwrap()
    }
}

pub(super) fn accepted(answer: Collected) -> (String, Vec<String>) {
    match answer {
        Collected::Accepted { head, wrote } => (head, wrote),
        other => panic!("not accepted: {other:?}"),
    }
}

pub(super) fn broken(answer: Collected) -> String {
    match answer {
        Collected::Broken { why } => why,
        other => panic!("not broken: {other:?}"),
    }
}

pub(super) fn task_branch() -> TaskBranch {
    TaskBranch::new(BRANCH, "main", &["release/*".to_owned()]).unwrap()
}
