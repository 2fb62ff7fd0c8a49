//! Everything that belongs to a run, found by walking `/proc`.
//!
//! Agents put their tools into groups and sessions of their own and double-fork, so a process
//! group is not enough. A process belongs to the run when it descends from the shim (a
//! sub-reaper: orphans come back to it), is in the shim's session, carries the run's tag in its
//! environment, or descends from one of those.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;

use rustix::process::Signal;

use super::{Stat, signal, stat};

/// A process, beyond doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Found {
    pub(crate) pid: i32,
    pub(crate) start: u64,
}

/// What belongs to a run.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// The shim, when it is the caller: its session and descendants belong to the run.
    pub(crate) shim: Option<i32>,
    /// `NAME=value` in the environment of what belongs to the run.
    pub(crate) tag: String,
}

impl Scope {
    /// Living processes of the run; never the caller itself.
    ///
    /// # Errors
    /// When `/proc` cannot be read: that nothing was found would then prove nothing.
    pub(crate) fn members(&self) -> io::Result<Vec<Found>> {
        let me = std::process::id().cast_signed();
        let all = snapshot()?;
        let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
        for (pid, stat) in &all {
            children.entry(stat.ppid).or_default().push(*pid);
        }
        let mut todo: Vec<i32> = all
            .iter()
            .filter(|(pid, stat)| **pid != me && self.is_seed(**pid, stat))
            .map(|(pid, _)| *pid)
            .collect();
        let mut seen: HashSet<i32> = todo.iter().copied().collect();
        while let Some(pid) = todo.pop() {
            for child in children.get(&pid).into_iter().flatten() {
                if *child != me && seen.insert(*child) {
                    todo.push(*child);
                }
            }
        }
        let living = |pid: &i32| all.get(pid).filter(|s| !s.dead()).map(|s| Found { pid: *pid, start: s.start });
        Ok(seen.iter().filter_map(living).collect())
    }

    fn is_seed(&self, pid: i32, stat: &Stat) -> bool {
        self.shim.is_some_and(|shim| stat.ppid == shim || stat.session == shim) || tagged(pid, self.tag.as_bytes())
    }
}

/// The oldest living child of a process.
pub(crate) fn child_of(parent: i32) -> Option<Found> {
    let all = snapshot().ok()?;
    let children = all.iter().filter(|(_, stat)| stat.ppid == parent && !stat.dead());
    children
        .map(|(pid, stat)| Found {
            pid: *pid,
            start: stat.start,
        })
        .min_by_key(|found| (found.start, found.pid))
}

/// Signals them; those that may not be signalled are returned.
pub(crate) fn signal_all<'a>(found: impl IntoIterator<Item = &'a Found>, sig: Signal) -> Vec<Found> {
    let refused = |f: &&Found| signal(f.pid, f.start, sig).is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied);
    found.into_iter().filter(refused).copied().collect()
}

fn snapshot() -> io::Result<HashMap<i32, Stat>> {
    let mut all = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if let Some(stat) = stat(pid) {
            all.insert(pid, stat);
        }
    }
    Ok(all)
}

/// Whether a process carries the tag. Another user's environment cannot be read; it is not ours then.
fn tagged(pid: i32, tag: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|env| env.split(|b| *b == 0).any(|entry| entry == tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn finds_what_carries_the_tag_and_nothing_else() -> io::Result<()> {
        let sleeper = |tag: &str| {
            Command::new("sleep")
                .arg("60")
                .env("SIGNALBOX_RUN_DIR", tag)
                .stdin(Stdio::null())
                .spawn()
        };
        let (mut mine, mut other) = (sleeper("/x/runs/1")?, sleeper("/x/runs/12")?);
        let scope = Scope {
            shim: None,
            tag: "SIGNALBOX_RUN_DIR=/x/runs/1".into(),
        };
        let pid = mine.id().cast_signed();
        // The tag is visible once the program is executed.
        let found = (0..200).find_map(|_| {
            std::thread::yield_now();
            scope.members().ok().filter(|m| m.iter().any(|f| f.pid == pid))
        });
        assert_eq!(found.as_ref().map(Vec::len), Some(1), "{found:?}");
        assert_eq!(signal_all(&found.unwrap_or_default(), Signal::KILL), vec![]);
        mine.wait()?;
        assert_eq!(scope.members()?, vec![]);
        assert!(other.try_wait()?.is_none(), "the other run's process was killed");
        other.kill()?;
        other.wait()?;
        Ok(())
    }
}
