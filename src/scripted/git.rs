//! git, as a real agent calls it: inside its checkout, with the identity of its environment.

use std::process::Command;

use super::Failure;

/// Runs git in the working directory.
pub(super) fn git(args: &[&str]) -> Result<(), Failure> {
    let out = Command::new("git")
        .args(args)
        .output()
        .map_err(|e| Failure::new(69, format!("cannot run git: {e}")))?;
    if out.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&out.stderr);
    Err(Failure::new(70, format!("git {} failed: {}", args.join(" "), said.trim())))
}

/// Commits these paths, if they differ from the head.
pub(super) fn commit(paths: &[String], message: &str) -> Result<(), Failure> {
    let with = |head: &[&str]| {
        head.iter()
            .map(|s| (*s).to_owned())
            .chain(paths.iter().cloned())
            .collect::<Vec<_>>()
    };
    let refs = |args: &[String]| git(&args.iter().map(String::as_str).collect::<Vec<_>>());
    refs(&with(&["add", "--all", "--"]))?;
    let unchanged = Command::new("git")
        .args(with(&["diff", "--cached", "--quiet", "--"]))
        .status()?
        .success();
    if unchanged {
        return Ok(());
    }
    refs(&with(&["commit", "--quiet", "--message", message, "--"]))
}
