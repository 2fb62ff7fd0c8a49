//! Whether a program can be used: it is there, and `--version` ends with 0. Spends no tokens.
//!
//! A process of this program (`run-shim --ask`) asks: it holds what it starts as a run is held, and ends all of it
//! before it answers. Its standard input is its lifeline: whoever drops the question, or dies, ends it so.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{RunSpec, Supervisor};
use crate::engine::model::RunId;
use crate::shell::mask::{Mask, secretive};
use crate::shell::secret;

/// By this variable it is known what belongs to a preflight.
const MARK: &str = "SIGNALBOX_PREFLIGHT";
/// Whoever asks may take this much longer than the program: it clears up first.
const SPARE: Duration = Duration::from_secs(15);

/// What became of a program that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Exit status or signal; none where it did not end in time.
    pub(crate) status: Option<(Option<i32>, Option<i32>)>,
    /// Why it could not be started.
    pub(crate) refused: Option<String>,
    /// The first line of what it printed.
    pub(crate) said: String,
    /// Processes that it left behind and that could not be ended.
    pub(crate) left: usize,
}

impl Answer {
    /// It could not be started.
    pub(crate) fn refused(why: String) -> Self {
        Self {
            status: None,
            refused: Some(why),
            said: String::new(),
            left: 0,
        }
    }
}

/// What everything that belongs to a question carries in its environment, `NAME=value`.
pub(crate) fn asked(spec: &RunSpec) -> String {
    format!("{MARK}={}", spec.env.get(MARK).map_or("", String::as_str))
}

/// A program as it is started for a project: one that begins with `./` or `../` is looked for from the configuration's
/// folder `dir`, any other is left as it is.
#[must_use]
pub fn resolve(dir: &Path, program: &str) -> String {
    if program.starts_with("./") || program.starts_with("../") {
        return dir.join(program).display().to_string();
    }
    program.to_owned()
}

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

impl Supervisor {
    /// Asks a program for its version, with this complete environment, held as firmly as runs are; nothing of it goes on
    /// afterwards. `ending` gives it up, and returns once all of it has ended.
    ///
    /// # Errors
    /// A sentence for people.
    pub async fn preflight(
        &self,
        program: &str,
        env: &BTreeMap<String, String>,
        cwd: &Path,
        limit: Duration,
        ending: &CancellationToken,
    ) -> Result<(), String> {
        let Some(file) = locate(program, env)? else { return Ok(()) };
        let mut spec = RunSpec {
            run: RunId(0),
            program: vec![file.display().to_string(), "--version".to_owned()],
            cwd: cwd.to_owned(),
            env: env.clone(),
            stdin: None,
            log: PathBuf::new(),
            log_max_bytes: 0,
            deadline_ms: i64::try_from(limit.as_millis()).unwrap_or(i64::MAX),
            grace_ms: 0,
            containment: self.containment(),
        };
        // Of this question alone: whoever clears up after another one must not meet it.
        spec.env.insert(MARK.to_owned(), uuid::Uuid::now_v7().to_string());
        let answer = self.ask(&spec, limit, ending).await;
        let answer = answer.map_err(|why| format!("`{} --version` cannot be asked for: {why}", file.display()))?;
        if answer.left > 0 {
            tracing::warn!(program, "{} processes that `--version` left behind cannot be ended", answer.left);
        }
        judge(&file, limit, &answer).map_err(|why| masked(&why, env))
    }

    async fn ask(&self, spec: &RunSpec, limit: Duration, ending: &CancellationToken) -> Result<Answer, String> {
        let mut question = serde_json::to_vec(spec).map_err(|e| e.to_string())?;
        question.push(b'\n');
        let mut command = Command::new(&self.exe);
        command.args(["run-shim", "--ask"]).env_clear().current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|e| format!("{} cannot be started: {e}", self.exe.display()))?;
        let exchange = async {
            let mut life = child.stdin.take();
            if let Some(life) = &mut life {
                // One that is gone already says why.
                let _ = life.write_all(&question).await;
            }
            let mut done = std::pin::pin!(child.wait_with_output());
            tokio::select! {
                output = &mut done => read(&output.map_err(|e| e.to_string())?),
                () = ending.cancelled() => {
                    drop(life);
                    let _ = done.await;
                    Err("it was given up".to_owned())
                }
            }
        };
        let answer = tokio::time::timeout(limit + SPARE, exchange).await;
        answer.unwrap_or_else(|_| Err("no answer came".to_owned()))
    }
}

/// What whoever asked said.
fn read(output: &Output) -> Result<Answer, String> {
    if let Ok(answer) = serde_json::from_slice(&output.stdout) {
        return Ok(answer);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("no answer came");
    Err(format!("{}: {}", output.status, last.trim().chars().take(300).collect::<String>()))
}

fn judge(file: &Path, limit: Duration, answer: &Answer) -> Result<(), String> {
    let what = match (&answer.refused, answer.status) {
        (Some(why), _) => return Err(why.clone()),
        (None, Some((Some(0), _))) => return Ok(()),
        (None, Some((code, signal))) => {
            let status = ExitStatus::from_raw(code.map_or(signal.unwrap_or(0), |code| code << 8));
            format!("`{} --version` ends with {status}", file.display())
        }
        (None, None) => format!("`{} --version` does not end within {} s", file.display(), limit.as_secs()),
    };
    if answer.said.is_empty() {
        return Err(what);
    }
    Err(format!("{what}; it says: {}", answer.said))
}

/// Without any secret that the program was given or could have got hold of.
fn masked(text: &str, env: &BTreeMap<String, String>) -> String {
    let own = env.iter().filter(|(name, _)| secretive(name)).map(|(_, value)| value.clone());
    Mask::new(own.chain(secret::known())).text(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: Option<i32>, signal: Option<i32>, said: &str) -> Answer {
        Answer {
            status: Some((code, signal)),
            said: said.to_owned(),
            ..Answer::refused(String::new())
        }
    }

    #[test]
    fn b_q_7_every_failure_says_what_happened() {
        let judge = |mut answer: Answer| {
            answer.refused = answer.refused.filter(|why| !why.is_empty());
            judge(Path::new("/bin/agent"), Duration::from_secs(5), &answer)
        };
        let failed = |answer: Answer| judge(answer).unwrap_err();
        assert_eq!(judge(answer(Some(0), None, "agent 1.2")), Ok(()));
        assert_eq!(
            failed(answer(Some(4), None, "no such option")),
            "`/bin/agent --version` ends with exit status: 4; it says: no such option"
        );
        assert_eq!(
            failed(answer(None, Some(9), "")),
            "`/bin/agent --version` ends with signal: 9 (SIGKILL)"
        );
        assert_eq!(
            failed(Answer::refused(String::new())),
            "`/bin/agent --version` does not end within 5 s"
        );
        assert_eq!(failed(Answer::refused("cannot start".to_owned())), "cannot start");
        let env = BTreeMap::from([("AGENT_API_KEY".to_owned(), "hunter2-abc".to_owned())]);
        assert_eq!(masked("bad key hunter2-abc", &env), "bad key ***");
    }
}
