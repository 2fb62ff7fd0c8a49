//! A program that is only asked for its version leaves nothing behind, whatever becomes of whoever asked.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use signalbox::shell::process::locate;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::world::{copied, executable};

/// Programs to be asked, in a folder of their own.
struct Bin {
    dir: tempfile::TempDir,
}

impl Bin {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        copied("/bin/sleep", &dir.path().join("sleeper"));
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn script(&self, name: &str, text: &str, mode: u32) {
        let text = text.replace("SLEEPER", &self.path("sleeper").display().to_string());
        executable(&self.path(name), &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).expect("mode");
    }

    /// Sleepers that live: by what was executed, whatever their environment.
    fn sleepers(&self) -> Vec<i32> {
        let own = |pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == self.path("sleeper"));
        pids().into_iter().filter(own).collect()
    }

    fn env(&self) -> BTreeMap<String, String> {
        let path = format!("{}:/bin:/usr/bin", self.dir.path().display());
        BTreeMap::from([("PATH".to_owned(), path), ("ONLY".to_owned(), "this".to_owned())])
    }

    async fn ask(&self, level: Containment, program: &str, limit: Duration) -> Result<(), String> {
        let supervisor = Supervisor::probed(EXE.into(), level).await;
        let ending = CancellationToken::new();
        supervisor.preflight(program, &self.env(), self.dir.path(), limit, &ending).await
    }
}

impl Drop for Bin {
    fn drop(&mut self) {
        for pid in self.sleepers() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
        }
    }
}

/// Sleeps itself, and leaves two behind that nobody finds by their environment or their parents.
const LEAVES: &str = "env -i setsid -f SLEEPER 991\nenv -i setsid SLEEPER 992 >/dev/null 2>&1 &";
/// Patience that is not used up.
const PATIENT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn b_q_7_the_very_file_is_asked_and_every_refusal_says_why() {
    let (bin, other) = (Bin::new(), Bin::new());
    other.script("agent", "exit 3", 0o644);
    bin.script(
        "agent",
        "test \"$1\" = --version && test \"$ONLY\" = this && test -z \"$HOME\"",
        0o755,
    );
    bin.script("broken", "echo; echo no such option; exit 3", 0o755);
    bin.script("silent", "kill -9 $$", 0o755);
    bin.script("loud", "yes | head -c 300000", 0o755);
    let mut env = bin.env();
    let path = format!("{}:{}", other.dir.path().display(), env["PATH"]);
    env.insert("PATH".to_owned(), path);
    // The first that could be executed, as execvp takes it; its environment is the one given.
    assert_eq!(locate("agent", &env), Ok(Some(bin.path("agent"))));
    let ask = async |program: &str| bin.ask(Containment::Pidns, program, PATIENT).await;
    assert_eq!(ask("agent").await, Ok(()));
    let broken = ask("broken").await.unwrap_err();
    assert!(broken.ends_with("ends with exit status: 3; it says: no such option"), "{broken}");
    assert!(ask("silent").await.unwrap_err().contains("signal: 9"));
    assert_eq!(ask("loud").await, Ok(()), "nobody waits because nobody reads");
    assert!(ask("no-such-agent").await.unwrap_err().contains("no such program in PATH"));
    let plain = other.path("agent").display().to_string();
    assert!(ask(&plain).await.unwrap_err().contains("chmod +x"));
    assert!(ask("/nowhere/agent").await.is_err() && ask("/").await.is_err());
    assert_eq!(ask("tools/agent").await, Ok(()), "relative to a checkout that is not there yet");
}

#[tokio::test]
async fn b_q_7_what_version_leaves_behind_is_ended_at_every_level() {
    let bin = Bin::new();
    bin.script("leaves", LEAVES, 0o755);
    bin.script("hangs", &format!("{LEAVES}\nSLEEPER 993 & exec SLEEPER 994"), 0o755);
    for level in Containment::ALL {
        assert_eq!(bin.ask(level, "leaves", PATIENT).await, Ok(()), "{level:?}");
        assert_eq!(bin.sleepers(), [0; 0], "{level:?}");
        let late = bin.ask(level, "hangs", Duration::from_millis(300)).await.unwrap_err();
        assert!(late.contains("does not end within"), "{level:?}: {late}");
        assert_eq!(bin.sleepers(), [0; 0], "{level:?}");
    }
}

#[tokio::test]
async fn b_q_7_a_question_that_is_dropped_or_given_up_ends_all_of_it() {
    let bin = Bin::new();
    bin.script("hangs", &format!("{LEAVES}\nSLEEPER 993 & exec SLEEPER 994"), 0o755);
    for level in Containment::ALL {
        let supervisor = Supervisor::probed(EXE.into(), level).await;
        let (env, ending) = (bin.env(), CancellationToken::new());
        let asked = async || supervisor.preflight("hangs", &env, bin.dir.path(), PATIENT, &ending).await;
        let all = || (bin.sleepers().len() == 4).then_some(());
        tokio::select! {
            answer = asked() => panic!("{level:?}: {answer:?}"),
            () = until("the sleepers", all) => {}
        }
        until("their end", || bin.sleepers().is_empty().then_some(())).await;
        let give_up = async {
            until("the sleepers again", all).await;
            ending.cancel();
        };
        let (answer, ()) = tokio::join!(asked(), give_up);
        assert!(answer.is_err(), "{level:?}");
        assert_eq!(bin.sleepers(), [0; 0], "{level:?}: it returns once all of it has ended");
    }
}
