//! The bare repository, and git's own server side over it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub struct Repo {
    root: PathBuf,
    bare: PathBuf,
}

/// What `git http-backend` answered.
pub struct CgiAnswer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A request to it.
pub struct CgiRequest<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub content_type: &'a str,
    pub encoding: &'a str,
    pub protocol: &'a str,
    pub user: &'a str,
    pub body: &'a [u8],
}

fn clean(command: &mut Command) -> &mut Command {
    let blank = ["GIT_DIR", "GIT_WORK_TREE", "GIT_CONFIG_COUNT"];
    for name in blank {
        command.env_remove(name);
    }
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1")
}

impl Repo {
    pub fn new(dir: &Path, files: &[(&str, &str)]) -> Self {
        let (root, first) = (dir.join("gitea"), dir.join("gitea-first"));
        let bare = root.join(super::OWNER).join(format!("{}.git", super::REPO));
        fs::create_dir_all(&bare).expect("a folder");
        let repo = Self { root, bare };
        repo.git(&["init", "--quiet", "--bare", "--initial-branch=main"]);
        repo.git(&["config", "http.receivepack", "true"]);
        for (path, text) in files {
            let path = first.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        run(&first, &["init", "--quiet", "--initial-branch=main"]);
        run(&first, &["add", "--all"]);
        run(&first, &["commit", "--quiet", "-m", "A small project"]);
        run(&first, &["push", "--quiet", &repo.bare.display().to_string(), "main"]);
        repo
    }

    pub fn git(&self, args: &[&str]) -> String {
        run(&self.bare, args)
    }

    /// Exit status and output of a command that may fail.
    pub fn try_git(&self, args: &[&str]) -> (bool, String) {
        let mut command = Command::new("git");
        clean(&mut command).current_dir(&self.bare).args(args);
        let out = command.output().expect("git");
        (out.status.success(), String::from_utf8_lossy(&out.stdout).trim().to_owned())
    }

    pub fn refs(&self) -> BTreeMap<String, String> {
        let text = self.git(&["for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads"]);
        let line = |l: &str| l.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()));
        text.lines().filter_map(line).collect()
    }

    pub fn commit_of(&self, branch: &str) -> Option<String> {
        let name = format!("refs/heads/{branch}");
        let (found, sha) = self.try_git(&["rev-parse", "--verify", "--quiet", &name]);
        found.then_some(sha)
    }

    pub fn has(&self, sha: &str) -> bool {
        self.try_git(&["cat-file", "-e", &format!("{sha}^{{commit}}")]).0
    }

    /// A person's commit on a branch.
    pub fn commit(&self, branch: &str, file: &str, text: &str, who: &str) -> String {
        let clone = tempfile::tempdir().expect("a folder");
        run(
            clone.path(),
            &["clone", "--quiet", "--branch", branch, &self.bare.display().to_string(), "."],
        );
        let path = clone.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
        run(clone.path(), &["add", "--all"]);
        run(clone.path(), &["commit", "--quiet", "-m", &format!("{who} changes {file}")]);
        run(clone.path(), &["push", "--quiet", "origin", branch]);
        run(clone.path(), &["rev-parse", "HEAD"])
    }

    pub fn serve(&self, request: &CgiRequest<'_>) -> CgiAnswer {
        let mut command = Command::new("git");
        clean(&mut command).arg("http-backend").stdin(Stdio::piped()).stdout(Stdio::piped());
        command
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REQUEST_METHOD", request.method)
            .env("PATH_INFO", request.path)
            .env("QUERY_STRING", request.query)
            .env("CONTENT_TYPE", request.content_type)
            .env("CONTENT_LENGTH", request.body.len().to_string())
            .env("HTTP_CONTENT_ENCODING", request.encoding)
            .env("GIT_PROTOCOL", request.protocol)
            .env("REMOTE_USER", request.user);
        let mut child = command.spawn().expect("git http-backend");
        let (mut stdin, body) = (child.stdin.take().expect("its input"), request.body.to_vec());
        let feeding = std::thread::spawn(move || {
            let _ = stdin.write_all(&body);
        });
        let out = child.wait_with_output().expect("git http-backend");
        feeding.join().expect("it was fed");
        let end = out.stdout.windows(4).position(|w| w == b"\r\n\r\n").expect("headers");
        let head = String::from_utf8_lossy(&out.stdout[..end]).into_owned();
        let mut answer = CgiAnswer {
            status: 200,
            headers: Vec::new(),
            body: out.stdout[end + 4..].to_vec(),
        };
        for (name, value) in head.lines().filter_map(|l| l.split_once(": ")) {
            if name.eq_ignore_ascii_case("status") {
                answer.status = value.split(' ').next().and_then(|s| s.parse().ok()).unwrap_or(500);
            } else {
                answer.headers.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }
}

fn run(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    clean(&mut command)
        .current_dir(dir)
        .args(["-c", "user.name=person", "-c", "user.email=person@example.invalid"])
        .args(args)
        .stdin(Stdio::null());
    let out = command.output().expect("git");
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}
