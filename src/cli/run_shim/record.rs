//! What the shim writes down. A full disk delays it; it does not end it.

use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use super::ground::Ground;
use super::orders::vanished;
use crate::engine::model::Millis;
use crate::shell::process::{Alive, Exit, ShimRecord, files, names, start_time};

/// Pace of tries while the disk is full.
const PAUSE: Duration = Duration::from_millis(500);

/// Who was started.
pub(super) struct Begun {
    /// The agent.
    pub(super) agent: i32,
    /// The init of its namespace, with its start time.
    pub(super) init: Option<(i32, u64)>,
}

/// Tells who runs the run, and who the agent is once it runs.
pub(super) fn write_shim(dir: &Path, me: &Alive, ground: &Ground, started: Option<&Begun>) -> std::io::Result<()> {
    let agent = started.map(|s| s.agent);
    let record = ShimRecord {
        pid: me.pid,
        pid_start: me.start,
        boot_id: me.boot_id.clone(),
        agent_pid: agent,
        agent_start: agent.and_then(start_time),
        containment: ground.level(),
        init: started.and_then(|s| s.init),
        cgroup: ground.cgroup().map(Path::to_owned),
    };
    files::write_json(&dir.join(names::SHIM), &record)
}

/// Writes the exit record, however long that takes; gives up only when the run directory is gone.
pub(super) async fn write_exit(dir: &Path, exit: &Exit) {
    while files::write_json(&dir.join(names::EXIT), exit).is_err() && !vanished(dir) {
        sleep(PAUSE).await;
    }
}

/// Wall time, for what people see.
pub(super) fn wall() -> Millis {
    Millis(jiff::Timestamp::now().as_millisecond())
}

/// Milliseconds since boot, suspended time included: deadlines are not moved by a changed wall clock.
pub(super) fn boottime() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000)
}
