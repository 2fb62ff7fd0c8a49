//! Whether a process belongs to a run of ours.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::RUN_DIR_VAR;
use super::identity::stat;

/// Ancestors that are looked at: more than anybody starts one below the other.
const ANCESTORS: usize = 256;

/// The name of the run, below the folder of all runs, that a process belongs to: its shim is among the process's ancestors, as
/// it takes in what loses its parent, or the process carries the run's tag. `None` for one that belongs to none, or is gone.
#[must_use]
pub fn run_of(pid: i32, runs: &Path) -> Option<String> {
    let mut next = Some(pid);
    for _ in 0..ANCESTORS {
        let pid = next.filter(|pid| *pid > 1)?;
        if let Some(run) = shim_of(pid, runs).or_else(|| tag_of(pid, runs)) {
            return Some(run);
        }
        next = stat(pid).map(|stat| stat.ppid);
    }
    None
}

/// The run whose shim this is: `signalbox run-shim RUN-FOLDER`.
fn shim_of(pid: i32, runs: &Path) -> Option<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = line.split(|byte| *byte == 0);
    (words.nth(1)? == b"run-shim").then(|| below(words.next()?, runs))?
}

/// The run whose tag it carries.
fn tag_of(pid: i32, runs: &Path) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut entries = environment.split(|byte| *byte == 0);
    entries.find_map(|entry| below(entry.strip_prefix(RUN_DIR_VAR.as_bytes())?.strip_prefix(b"=")?, runs))
}

fn below(folder: &[u8], runs: &Path) -> Option<String> {
    let behind = folder.strip_prefix(runs.as_os_str().as_bytes())?.strip_prefix(b"/")?;
    Some(String::from_utf8_lossy(behind).into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};
    use std::process::{Command, Stdio};

    use super::*;

    fn pid(id: u32) -> i32 {
        i32::try_from(id).expect("a pid")
    }

    #[test]
    fn a_process_is_of_the_run_that_it_or_one_above_it_says() -> io::Result<()> {
        let runs = Path::new("/data/runs");
        assert_eq!(run_of(pid(std::process::id()), runs), None);
        let mut shell = Command::new("sh");
        shell.args(["-c", "env -i sleep 50 & echo $!; wait"]);
        let mut shell = shell.env(RUN_DIR_VAR, "/data/runs/7").stdout(Stdio::piped()).spawn()?;
        let mut told = [0; 16];
        let read = shell.stdout.as_mut().expect("a pipe").read(&mut told)?;
        let child: i32 = String::from_utf8_lossy(&told[..read]).trim().parse().expect("a pid");
        let found = [pid(shell.id()), child].map(|pid| run_of(pid, runs));
        let elsewhere = run_of(child, Path::new("/data/ru"));
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL)?;
        shell.wait()?;
        assert_eq!(found, [Some("7".to_owned()), Some("7".to_owned())]);
        assert_eq!(
            (elsewhere, run_of(child, runs)),
            (None, None),
            "another service's, and one that is gone"
        );
        Ok(())
    }
}
