use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::{Auth, Git, GitError, Remote};
use super::executable;

/// A program that stands in for git.
fn script(dir: &Path, text: &str) -> PathBuf {
    let file = dir.join("git");
    executable(&file, &format!("#!/bin/sh\n{text}\n"));
    file
}

#[tokio::test]
async fn an_old_git_is_named_with_what_is_needed() {
    let tmp = tempfile::tempdir().unwrap();
    let error = Git::at_path(&script(tmp.path(), "echo git version 2.37.9")).await.unwrap_err();
    assert!(matches!(&error, GitError::TooOld { found, .. } if found == "2.37.9"), "{error}");
    assert!(error.to_string().contains("2.38 or newer is needed"), "{error}");
    assert!(Git::at_path(&script(tmp.path(), "echo nonsense")).await.is_err());
    for good in ["2.38.0", "2.47.3 (Apple Git-1)", "3.0.0-rc1"] {
        Git::at_path(&script(tmp.path(), &format!("echo git version '{good}'")))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_missing_git_is_named() {
    let error = Git::at_path(Path::new("/nonexistent/git")).await.unwrap_err();
    assert!(matches!(error, GitError::Missing), "{error}");
    assert!(error.to_string().contains("install git 2.38"));
    assert!(
        Git::find()
            .await
            .unwrap()
            .version()
            .await
            .unwrap()
            .starts_with(|c: char| c.is_ascii_digit())
    );
}

#[tokio::test]
async fn a_command_that_hangs_dies_with_its_children() {
    let tmp = tempfile::tempdir().unwrap();
    let pid = tmp.path().join("pid");
    let body = format!(
        "case \"$*\" in *--version*) echo git version 2.40.0;; *) sleep 600 & echo $! > {}; wait;; esac",
        pid.display()
    );
    let git = Git::at_path(&script(tmp.path(), &body)).await.unwrap();
    let begun = Instant::now();
    let error = git.call("hang").timeout(Duration::from_secs(3)).ok().await.unwrap_err();
    assert!(matches!(error, GitError::Timeout { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(60));
    let child = std::fs::read_to_string(&pid).unwrap().trim().to_owned();
    // Dead or a zombie that nobody has reaped yet; SIGKILL is on its way, so this is bounded.
    let gone = || std::fs::read_to_string(format!("/proc/{child}/stat")).map_or(true, |s| s.contains(") Z ") || s.contains(") X "));
    while !gone() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the child outlived its command");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn too_much_output_is_an_error_not_memory() {
    let git = Git::find().await.unwrap();
    let error = git.call("--version").cap(3).ok().await.unwrap_err();
    assert!(matches!(error, GitError::TooLarge { limit: 3, .. }), "{error}");
}

#[tokio::test]
async fn the_environment_of_the_service_does_not_reach_git() {
    let tmp = tempfile::tempdir().unwrap();
    let body = "case \"$*\" in *--version*) echo git version 2.40.0;; *) env;; esac";
    let git = Git::at_path(&script(tmp.path(), body)).await.unwrap();
    let env = String::from_utf8(git.call("env").ok().await.unwrap()).unwrap();
    assert!(env.contains("GIT_CONFIG_NOSYSTEM=1") && env.contains("GIT_CONFIG_GLOBAL=/dev/null") && env.contains("HOME=/nonexistent"));
    assert!(!env.contains("CARGO"), "inherited: {env}");
}

#[tokio::test]
async fn a_credential_travels_in_the_environment_only() {
    let tmp = tempfile::tempdir().unwrap();
    let body = "case \"$*\" in *--version*) echo git version 2.40.0;; *) echo \"ARGS $*\"; env;; esac";
    let git = Git::at_path(&script(tmp.path(), body)).await.unwrap();
    let remote = Remote::new("https://x.org/a.git", "main", Some(Auth::basic("u", "s3cret"))).unwrap();
    let said = remote.reach(git.call("fetch").arg(remote.url()), tmp.path()).ok().await.unwrap();
    let said = String::from_utf8(said).unwrap();
    let (args, env): (Vec<&str>, Vec<&str>) = said.lines().partition(|l| l.starts_with("ARGS"));
    let header = "GIT_CONFIG_VALUE_0=Authorization: Basic dTpzM2NyZXQ=";
    assert!(
        env.contains(&header) && env.contains(&"GIT_CONFIG_KEY_0=http.https://x.org/a.git.extraHeader"),
        "{env:?}"
    );
    assert!(!args.concat().contains("dTpz"), "{args:?}");
    let local = Remote::new("/srv/a.git", "main", None).unwrap();
    let said = String::from_utf8(local.reach(git.call("fetch"), &tmp.path().join("trust")).ok().await.unwrap()).unwrap();
    assert!(said.contains("/trust\n") && !said.contains("GIT_CONFIG_VALUE_0"), "{said}");
}
