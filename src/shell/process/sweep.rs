//! Ending what is left of a run whose shim is gone.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::cgroup::Leaf;
use super::procs::{Scope, signal_all};
use super::{ShimRecord, Swept, boot_id, files, names, signal, start_time, tag};

/// What is left gets this long between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// A sweep that cannot finish within this long says so; the run stays open, and it is swept after again.
const LIMIT: Duration = Duration::from_secs(10);

/// Ends everything that carries the tag of this run directory: SIGTERM, a short grace, SIGKILL
/// until two walks in a row find nothing. For runs whose shim is gone.
pub(super) async fn sweep(dir: &Path) -> Swept {
    let scope = scope(dir);
    let hold = Hold::of(dir);
    let begun = Instant::now();
    let (mut known, mut left, mut clean) = (HashSet::new(), Vec::new(), 0);
    while clean < 2 && begun.elapsed() < LIMIT {
        let kill = begun.elapsed() >= GRACE;
        let round = scope.clone();
        let walked = tokio::task::spawn_blocking(move || round.members())
            .await
            .unwrap_or_else(|e| Err(io::Error::other(e)));
        let Ok(members) = walked else {
            sleep(Duration::from_millis(200)).await;
            continue;
        };
        if kill {
            hold.kill();
        }
        let fresh: Vec<_> = members.iter().filter(|m| known.insert(**m)).collect();
        signal_all(
            if kill { members.iter().collect() } else { fresh },
            if kill { Signal::KILL } else { Signal::TERM },
        );
        clean = if members.is_empty() && hold.empty(members.is_empty()) {
            clean + 1
        } else {
            0
        };
        left = members;
        sleep(Duration::from_millis(20)).await;
    }
    if clean == 2 {
        hold.remove();
    }
    Swept {
        found: count(known.len()),
        left: if clean < 2 { count(left.len()).max(1) } else { 0 },
    }
}

/// What holds a run besides its tag, as its shim recorded it.
struct Hold {
    cgroup: Option<Leaf>,
    /// The init of its namespace, which dies with its shim unless it is stuck, and the agent: another user's shows no tag.
    named: Vec<(i32, u64)>,
}

impl Hold {
    fn of(dir: &Path) -> Self {
        let record = files::read_json::<ShimRecord>(&dir.join(names::SHIM)).ok().flatten();
        let record = record.filter(|r| !r.boot_id.is_empty() && r.boot_id == boot_id());
        let agent = record.as_ref().and_then(|r| r.agent_pid.zip(r.agent_start));
        let (cgroup, init) = record.map_or((None, None), |r| (r.cgroup, r.init));
        Self {
            cgroup: cgroup.map(Leaf::at),
            named: init.into_iter().chain(agent).collect(),
        }
    }

    fn kill(&self) {
        if let Some(leaf) = &self.cgroup {
            let _ = leaf.kill();
        }
        for (pid, start) in &self.named {
            let _ = signal(*pid, *start, Signal::KILL);
        }
    }

    /// Whether nothing is left in it. What is found in no other way got no SIGTERM and needs no grace.
    fn empty(&self, rest_gone: bool) -> bool {
        let empty = self.cgroup.as_ref().is_none_or(|leaf| leaf.empty().unwrap_or(false))
            && self.named.iter().all(|(pid, start)| start_time(*pid) != Some(*start));
        if !empty && rest_gone {
            self.kill();
        }
        empty
    }

    fn remove(&self) {
        if let Some(leaf) = &self.cgroup {
            leaf.remove();
        }
    }
}

/// What belongs to the run of this directory, as seen from the service.
pub(super) fn scope(dir: &Path) -> Scope {
    Scope {
        shim: None,
        tag: tag(&absolute(dir)),
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The path as the start of the run wrote it into the tag, even when the directory is gone.
fn absolute(dir: &Path) -> PathBuf {
    if let Ok(path) = fs::canonicalize(dir) {
        return path;
    }
    let parent = dir.parent().and_then(|p| fs::canonicalize(p).ok());
    match (parent, dir.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => dir.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::process::Containment;

    #[tokio::test]
    async fn an_agent_that_shows_no_tag_is_found_by_its_record() {
        let dir = tempfile::tempdir().unwrap();
        let mut agent = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = agent.id().cast_signed();
        let record = ShimRecord {
            pid: 1,
            pid_start: 1,
            boot_id: boot_id(),
            agent_pid: Some(pid),
            agent_start: start_time(pid),
            containment: Containment::Tagged,
            init: None,
            cgroup: None,
        };
        files::write_json(&dir.path().join(names::SHIM), &record).unwrap();
        let swept = sweep(dir.path()).await;
        let ended = start_time(pid).is_none();
        let _ = agent.kill();
        agent.wait().unwrap();
        assert!(ended && swept.left == 0, "{swept:?}");
    }
}
