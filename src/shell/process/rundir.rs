//! What lies in a run directory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Alive, Containment, files};
use crate::engine::model::{Kill, Millis, RunId};

/// Variable by which everything that a run starts can be recognised: the run directory's absolute
/// path. A run id alone would be the same in the data directory of another service on this host.
pub const RUN_DIR_VAR: &str = "SIGNALBOX_RUN_DIR";

/// File names below a run directory.
pub(crate) mod names {
    pub(crate) const SPEC: &str = "spec.json";
    pub(crate) const OWNER: &str = "owner";
    pub(crate) const SHIM: &str = "shim.json";
    pub(crate) const EXIT: &str = "exit.json";
    pub(crate) const KILL: &str = "kill";
    pub(crate) const KILL_TAKEN: &str = "kill.taken";
    pub(crate) const ABANDON: &str = "abandon";
    pub(crate) const TMP: &str = "tmp";
    pub(crate) const ERRORS: &str = "shim.err";
}

/// What to run, and within which bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// The run.
    pub run: RunId,
    /// Program and arguments; no shell.
    pub program: Vec<String>,
    /// Working directory.
    pub cwd: PathBuf,
    /// The complete environment: nothing is inherited. Variables whose names say that they are secret are
    /// handed to the shim and not written down.
    pub env: BTreeMap<String, String>,
    /// What it reads on standard input; nothing when absent.
    pub stdin: Option<PathBuf>,
    /// Where its output goes, both streams, masked.
    pub log: PathBuf,
    /// Bytes of output that are kept on disk: beginning and end; the middle is dropped.
    pub log_max_bytes: u64,
    /// It is killed this many milliseconds after its start, suspended time included.
    pub deadline_ms: i64,
    /// Milliseconds between SIGTERM and SIGKILL.
    pub grace_ms: i64,
    /// The best level of containment that may be taken for it.
    #[serde(default)]
    pub containment: Containment,
}

/// How a run ended: the shim's last word.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Exit {
    /// Exit status, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it was killed; `None` when it had ended by itself before the order reached it.
    pub killed: Option<Kill>,
    /// Why it could not even be started, and what to do about it.
    pub launch_error: Option<String>,
    /// Wall time.
    pub started_at: Millis,
    /// Wall time; everything that belongs to the run was verified gone.
    pub ended_at: Millis,
    /// Bytes it printed, once masked; the dropped ones included.
    pub log_bytes: u64,
    /// Whether some of its output was dropped: the middle, or what the disk had no room for.
    pub log_truncated: bool,
    /// Bytes of its output that are missing in its log because the disk had no room for them.
    #[serde(default)]
    pub log_lost: u64,
    /// Processes that it left behind when it ended by itself; they were ended.
    pub survivors: u32,
    /// Processes that could not be ended: they run under another user.
    #[serde(default)]
    pub unkillable: u32,
    /// Who they are, as far as there is room: the run is not over before they are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Alive>,
    /// How firmly it was held: what its being gone was verified by.
    #[serde(default)]
    pub containment: Containment,
    /// No room was left on the disk of its directory when it ended: what failed may have failed of that.
    #[serde(default)]
    pub disk_full: bool,
}

/// Identity of a shim and, once it runs, of its agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimRecord {
    /// The shim.
    pub pid: i32,
    /// Its start time, ticks since boot.
    pub pid_start: u64,
    /// The boot both were started in.
    pub boot_id: String,
    /// The agent: leader of its process group.
    pub agent_pid: Option<i32>,
    /// Its start time; `None` when it ended before it could be read.
    pub agent_start: Option<u64>,
    /// How firmly the run is held.
    #[serde(default)]
    pub containment: Containment,
    /// The init of its PID namespace, and its start time: its death ends the run.
    #[serde(default)]
    pub init: Option<(i32, u64)>,
    /// Its cgroup.
    #[serde(default)]
    pub cgroup: Option<PathBuf>,
}

/// An order to end the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KillOrder {
    /// Why.
    pub why: Kill,
    /// Milliseconds between SIGTERM and SIGKILL; the run's own grace when absent.
    pub grace_ms: Option<i64>,
}

impl KillOrder {
    /// Reads an order: an object, or for people just the reason. Whatever else it says, the file is
    /// an order: someone put it there to end the run.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Full { why: Kill, grace_ms: Option<i64> },
            Bare(Kill),
        }
        match serde_json::from_slice(bytes) {
            Ok(Wire::Full { why, grace_ms }) => Self { why, grace_ms },
            Ok(Wire::Bare(why)) => Self { why, grace_ms: None },
            Err(_) => Self {
                why: Kill::Foreign,
                grace_ms: None,
            },
        }
    }
}

impl KillOrder {
    /// Gives an order as the target of a symbolic link, which needs no room on a full disk. It has the run's own grace.
    ///
    /// # Errors
    /// When the link cannot be made; one that is there already is an order as well.
    pub(crate) fn link(path: &Path, why: Kill) -> io::Result<()> {
        let word = serde_json::to_string(&why)?;
        match std::os::unix::fs::symlink(word, path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    /// The order that a link at this place gives, if it is one.
    pub(crate) fn of_link(path: &Path) -> Option<Self> {
        let word = std::fs::read_link(path).ok()?;
        Some(Self::parse(word.as_os_str().as_encoded_bytes()))
    }
}

/// Who decides about a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// This shim.
    Shim(Alive),
    /// The service, which found that it had never started.
    Abandoned,
}

/// Takes the run for `owner`; `false` when someone else was first.
pub(crate) fn own(dir: &Path, owner: &Owner) -> io::Result<bool> {
    files::create_exclusive(&dir.join(names::OWNER), &serde_json::to_vec(owner)?)
}

/// The environment entry that everything started by the run of this directory carries.
pub(crate) fn tag(dir: &Path) -> String {
    format!("{RUN_DIR_VAR}={}", dir.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_in_every_form() {
        let full = KillOrder {
            why: Kill::Stop,
            grace_ms: Some(5),
        };
        let bytes = serde_json::to_vec(&full).unwrap_or_default();
        assert_eq!(KillOrder::parse(&bytes), full);
        assert_eq!(
            KillOrder::parse(b"\"superseded\"\n"),
            KillOrder {
                why: Kill::Superseded,
                grace_ms: None
            }
        );
        assert_eq!(
            KillOrder::parse(b""),
            KillOrder {
                why: Kill::Foreign,
                grace_ms: None
            }
        );
    }
}
