//! Whether a program can be used: it is there, and `--version` ends with 0. Spends no tokens.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Command;

use super::procs::{Scope, signal_all};

/// By this variable it is known what belongs to a preflight.
const MARK: &str = "SIGNALBOX_PREFLIGHT";
/// Looks for what a preflight left behind, at most.
const ROUNDS: usize = 200;
/// Time between two of them.
const PACE: Duration = Duration::from_millis(5);

/// The file that `program` means with this environment, as its execution would find it. `None` for
/// a path that is relative to a checkout: nobody can tell before there is one.
///
/// # Errors
/// A sentence for people: there is no such program.
pub fn locate(program: &str, env: &BTreeMap<String, String>) -> Result<Option<PathBuf>, String> {
    if program.starts_with('/') {
        let path = PathBuf::from(program);
        return usable(&path).map(|()| Some(path));
    }
    if program.contains('/') {
        return Ok(None);
    }
    let path = env.get("PATH").map_or("", String::as_str);
    let mut found = path
        .split(':')
        .filter(|dir| !dir.is_empty())
        .map(|dir| Path::new(dir).join(program));
    found
        .find(|file| usable(file).is_ok())
        .map(Some)
        .ok_or_else(|| format!("no such program in PATH {}", if path.is_empty() { "(not set)" } else { path }))
}

fn usable(path: &Path) -> Result<(), String> {
    match std::fs::metadata(path) {
        Ok(meta) if !meta.is_file() => Err(format!("{} is not a file", path.display())),
        Ok(meta) if meta.permissions().mode() & 0o111 == 0 => Err(format!("{} is not executable: chmod +x it", path.display())),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Asks a program for its version, with this complete environment.
///
/// # Errors
/// A sentence for people.
pub async fn preflight(program: &str, env: &BTreeMap<String, String>, cwd: &Path, limit: Duration) -> Result<(), String> {
    let Some(file) = locate(program, env)? else { return Ok(()) };
    // One at a time for each program: whatever carries this is of this one, or of one whose service was killed.
    let mark = format!("{}:{program}", cwd.display());
    let left = Scope {
        shim: None,
        tag: format!("{MARK}={mark}"),
    };
    clear(&left).await;
    let answer = version(&file, env, cwd, limit, &mark).await;
    clear(&left).await;
    answer
}

async fn version(file: &Path, env: &BTreeMap<String, String>, cwd: &Path, limit: Duration, mark: &str) -> Result<(), String> {
    let mut command = Command::new(file);
    command
        .arg("--version")
        .env_clear()
        .envs(env)
        .env(MARK, mark)
        .current_dir(cwd)
        .process_group(0)
        .kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| format!("{} cannot be started: {e}", file.display()))?;
    match tokio::time::timeout(limit, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("`{} --version` ends with {status}", file.display())),
        Ok(Err(error)) => Err(format!("`{} --version` cannot be waited for: {error}", file.display())),
        Err(_) => Err(format!("`{} --version` does not end within {} s", file.display(), limit.as_secs())),
    }
}

/// Ends what a program left behind that was only asked for its version, until two looks in a row find nothing.
async fn clear(left: &Scope) {
    let mut clean = 0;
    for _ in 0..ROUNDS {
        let scope = left.clone();
        let found = tokio::task::spawn_blocking(move || scope.members()).await;
        let Ok(Ok(found)) = found else { return };
        clean = if found.is_empty() { clean + 1 } else { 0 };
        if clean == 2 {
            return;
        }
        signal_all(&found, Signal::KILL);
        tokio::time::sleep(PACE).await;
    }
    tracing::warn!("what `--version` of an agent's command left behind cannot be ended: {}", left.tag);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(dir: &Path, name: &str, text: &str, mode: u32) {
        std::fs::write(dir.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[tokio::test]
    async fn b_q_7_the_very_file_is_asked_and_every_refusal_says_why() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        script(first.path(), "agent", "exit 3", 0o644);
        script(
            second.path(),
            "agent",
            "test \"$1\" = --version && test \"$ONLY\" = this && test -z \"$HOME\"",
            0o755,
        );
        script(second.path(), "broken", "exit 3", 0o755);
        script(second.path(), "hangs", "setsid sleep 31 & sleep 31", 0o755);
        script(second.path(), "leaves", "setsid sleep 32 >/dev/null 2>&1 &", 0o755);
        let path = format!("{}:{}:/bin:/usr/bin", first.path().display(), second.path().display());
        let env = BTreeMap::from([("PATH".to_owned(), path), ("ONLY".to_owned(), "this".to_owned())]);
        // Patience is what only the one that hangs uses up.
        let ask = async |program: &str| {
            let patience = Duration::from_millis(if program == "hangs" { 300 } else { 60_000 });
            preflight(program, &env, Path::new("/"), patience).await
        };
        // The first that could be executed, as execvp takes it; its environment is the one given.
        assert_eq!(locate("agent", &env), Ok(Some(second.path().join("agent"))));
        assert_eq!(ask("agent").await, Ok(()));
        assert!(ask("broken").await.unwrap_err().contains("exit status: 3"));
        assert!(ask("hangs").await.unwrap_err().contains("does not end"));
        assert!(ask("no-such-agent").await.unwrap_err().contains("no such program in PATH"));
        assert!(
            ask(&first.path().join("agent").display().to_string())
                .await
                .unwrap_err()
                .contains("chmod +x")
        );
        assert!(ask("/nowhere/agent").await.is_err() && ask("/").await.is_err());
        assert_eq!(ask("leaves").await, Ok(()));
        let marked = |scope: &str| {
            Scope {
                shim: None,
                tag: format!("{MARK}={scope}"),
            }
            .members()
            .unwrap()
            .len()
        };
        assert_eq!((marked("/:hangs"), marked("/:leaves")), (0, 0), "nothing of them goes on");
        assert_eq!(ask("tools/agent").await, Ok(()), "relative to a checkout that is not there yet");
    }
}
