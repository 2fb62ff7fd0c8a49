//! A shim that does not enforce its deadline: someone stopped it, or it is stuck. The service is
//! the second to look, and later than the shim by far.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::sleep;

use super::sweep::scope;
use super::{Alive, KillOrder, RunSpec, ShimRecord, Supervisor, files, names, signal, start_time};

/// Clock ticks of `/proc` in a second: the same wherever Linux runs that this is built for.
const TICKS: u64 = 100;
/// Time between two looks for an order to end a run, and how much longer than its grace that may take.
const ORDER: Duration = Duration::from_secs(5);
/// Longest sleep: timers of the runtime stand still while the machine is suspended, deadlines do not.
const LOOK: Duration = Duration::from_secs(60);

impl Supervisor {
    /// Sees to it that a run ends whose shim does not end it, and never returns: whoever waits for the
    /// shim learns of it. Over its deadline, its grace and this `margin` (sooner after an order to end), a shim
    /// that is merely stopped is made to go on, and ends its run as it should; after a second margin it is
    /// killed, which leaves the run to be swept as any other whose shim is gone.
    pub async fn overdue(&self, alive: &Alive, dir: &Path, margin: Duration) -> Infallible {
        let spec = files::read_json::<RunSpec>(&dir.join(names::SPEC)).ok().flatten();
        let Some(spec) = spec else { return std::future::pending().await };
        let begun = Duration::from_millis(alive.start.saturating_mul(1000 / TICKS));
        let (deadline, grace) = (millis(spec.deadline_ms), millis(spec.grace_ms));
        let margin = tokio::select! {
            () = until(begun + deadline + grace + margin) => margin,
            () = ordered(dir, grace) => ORDER,
        };
        tracing::warn!(run = %spec.run, pid = alive.pid, "a run was to be over and its shim does nothing: it is made to go on");
        self.go_on(alive);
        sleep(margin).await;
        // One whose run is gone only waits for room to write down how it ended: it is left alone.
        while !scope(dir).members().is_ok_and(|m| m.iter().any(|found| found.pid != alive.pid)) {
            sleep(margin).await;
        }
        tracing::error!(run = %spec.run, pid = alive.pid, "a shim does not end its run: it is killed, and what is left of the run with it");
        let _ = signal(alive.pid, alive.start, Signal::KILL);
        std::future::pending().await
    }
}

impl Supervisor {
    /// Whether the shim lives and nothing else of its run does: what is left to it is to write down how that ended.
    pub async fn alone(&self, alive: &Alive, dir: &Path) -> bool {
        let (shim, dir) = (alive.clone(), dir.to_owned());
        let look = move || {
            // First what is cheap: most agents are at work whenever somebody looks.
            let agent = match files::read_json::<ShimRecord>(&dir.join(names::SHIM)) {
                Ok(Some(record)) => record.agent_pid,
                Ok(None) => return false,
                Err(_) => None,
            };
            let at_work = agent.is_some_and(|pid| start_time(pid).is_some());
            !at_work && shim.alive() && scope(&dir).members().is_ok_and(|m| m.iter().all(|found| found.pid == shim.pid))
        };
        tokio::task::spawn_blocking(look).await.unwrap_or(false)
    }

    /// Makes a shim go on that somebody has stopped; nothing to one that runs.
    pub fn go_on(&self, alive: &Alive) {
        let _ = signal(alive.pid, alive.start, Signal::CONT);
    }

    /// Ends a shim that is [alone](Self::alone): whoever waits for it finds its run gone.
    pub fn give_up(&self, alive: &Alive) {
        let _ = signal(alive.pid, alive.start, Signal::KILL);
    }
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// Returns when the run was ordered to end and has had its grace for it, and some time more.
async fn ordered(dir: &Path, grace: Duration) {
    let granted = loop {
        match granted(dir, grace) {
            Some(granted) => break granted,
            None => sleep(ORDER).await,
        }
    };
    sleep(granted + ORDER).await;
}

/// The time that an order to end the run gives it, else its own grace; none without an order.
fn granted(dir: &Path, grace: Duration) -> Option<Duration> {
    // The shim puts aside what it has read; a later order is the one that counts.
    let orders = [names::KILL, names::KILL_TAKEN].map(|name| dir.join(name));
    let order = orders.iter().find(|order| order.symlink_metadata().is_ok())?;
    let order = KillOrder::parse(&files::read_small(order).unwrap_or_default());
    Some(order.grace_ms.map_or(grace, millis))
}

/// Sleeps until this much time has passed since the machine was started.
async fn until(due: Duration) {
    loop {
        let now = clock_gettime(ClockId::Boottime);
        let now = Duration::new(now.tv_sec.unsigned_abs(), 0);
        match due.checked_sub(now) {
            Some(left) if !left.is_zero() => sleep(left.min(LOOK)).await,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_order_has_the_grace_that_it_names_else_that_of_the_run() {
        let dir = tempfile::tempdir().expect("a folder");
        let granted = || super::granted(dir.path(), Duration::from_secs(20)).map(|d| d.as_secs());
        assert_eq!(granted(), None);
        for (file, text, secs) in [
            (names::KILL_TAKEN, r#""stop""#, 20),
            (names::KILL_TAKEN, r#"{"why":"stop","grace_ms":0}"#, 0),
            (names::KILL, r#"{"why":"stop","grace_ms":60000}"#, 60),
            (names::KILL, "", 20),
        ] {
            fs::write(dir.path().join(file), text).expect("written");
            assert_eq!(granted(), Some(secs), "{file}: {text}");
        }
    }
}
