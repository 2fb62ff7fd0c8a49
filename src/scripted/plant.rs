//! Traps in the checkout's own repository, for whoever runs git there next.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::git::git;
use super::work::ok;
use super::{Failure, Stage, USAGE};

/// Good work first, then traps: a file system monitor, a clean filter, hooks, a rewritten URL. Each
/// names itself in the marker file when it is sprung.
pub(super) fn plant(stage: &Stage) -> Result<i32, Failure> {
    let marker = marker(stage)?;
    // Before the traps are there: its own git must not spring them.
    let code = ok(stage)?;
    let dir = fs::canonicalize(".git")?;
    let trap = |name: &str, then: &str| trap(&dir, &marker, name, then);
    let monitor = trap("fsmonitor", "exit 0")?;
    let filter = trap("filter", "cat")?;
    let upload = trap("upload-pack", "exit 1")?;
    // The blank ends the program's name: what is left of the rewritten URL becomes its argument.
    let rewritten = format!("url.ext::{} .insteadOf", trap("url", "exit 1")?);
    fs::create_dir_all(dir.join("hooks"))?;
    for hook in [
        "pre-push",
        "pre-commit",
        "post-checkout",
        "post-commit",
        "reference-transaction",
        "post-merge",
    ] {
        trap(&format!("hooks/{hook}"), "exit 0")?;
    }
    fs::write(".gitattributes", "* filter=planted\n")?;
    for (key, value) in [
        ("filter.planted.clean", filter.as_str()),
        ("filter.planted.smudge", &filter),
        ("core.hooksPath", &dir.join("hooks").to_string_lossy()),
        ("remote.origin.uploadpack", &upload),
        (&rewritten, "https://"),
        (&rewritten, "http://"),
        (&rewritten, "file://"),
        (&rewritten, "/"),
        ("protocol.ext.allow", "always"),
        ("core.fsmonitor", &monitor),
    ] {
        git(&["config", "--local", "--add", key, value])?;
    }
    println!("All quiet.");
    Ok(code)
}

/// Good work first, then `.git` is a file that leads nowhere.
pub(super) fn break_git(stage: &Stage) -> Result<i32, Failure> {
    let code = ok(stage)?;
    if Path::new(".git").is_dir() {
        fs::remove_dir_all(".git")?;
    } else {
        fs::remove_file(".git")?;
    }
    fs::write(".git", "gitdir: /nonexistent/repository\n")?;
    Ok(code)
}

fn marker(stage: &Stage) -> Result<PathBuf, Failure> {
    let from_env = std::env::var_os("SIGNALBOX_MARKER").filter(|v| !v.is_empty()).map(PathBuf::from);
    let marker = stage.script.marker.clone().or(from_env);
    marker.ok_or_else(|| Failure::new(USAGE, "`plant` needs a file to mark: `marker` in the script, or SIGNALBOX_MARKER"))
}

/// A program that marks and goes on as if nothing were.
fn trap(dir: &Path, marker: &Path, name: &str, then: &str) -> Result<String, Failure> {
    let path = dir.join(if name.contains('/') {
        name.to_owned()
    } else {
        format!("planted-{name}")
    });
    let quoted = marker.to_string_lossy().replace('\'', r"'\''");
    fs::write(&path, format!("#!/bin/sh\necho '{name}' >> '{quoted}'\n{then}\n"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path.to_string_lossy().into_owned())
}
