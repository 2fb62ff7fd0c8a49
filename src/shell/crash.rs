//! Crash points: tests make the service die at a named place to see what survives.
//!
//! `SIGNALBOX_CRASH=event:1` kills the process, as `kill -9` would, right after the first event
//! it commits. Unset, this costs one relaxed load.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};

struct Point {
    name: String,
    left: AtomicI64,
}

static POINT: LazyLock<Option<Point>> = LazyLock::new(|| {
    let spec = std::env::var("SIGNALBOX_CRASH").ok()?;
    let (name, count) = spec.split_once(':')?;
    Some(Point {
        name: name.to_owned(),
        left: AtomicI64::new(count.parse().ok()?),
    })
});

/// Dies here if this place was named and its count is used up.
pub fn point(name: &str) {
    let Some(point) = POINT.as_ref().filter(|p| p.name == name) else {
        return;
    };
    if point.left.fetch_sub(1, Ordering::SeqCst) == 1 {
        let me = nix::unistd::Pid::this();
        if let Err(error) = nix::sys::signal::kill(me, nix::sys::signal::Signal::SIGKILL) {
            tracing::error!(%error, "a crash point could not kill the process");
        }
    }
}

/// The place after each committed event.
pub fn after_event() {
    point("event");
}
