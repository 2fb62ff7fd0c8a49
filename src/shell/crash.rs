//! Crash points and faults: tests make the service die at a named place, or its disk fail, to see
//! what survives.
//!
//! `SIGNALBOX_CRASH=event:1` kills the process, as `kill -9` would, right after the first event
//! it commits. `SIGNALBOX_FAULT=FILE` has commits fail while FILE says so: `full:3` lets two more
//! through, and fails all from the third on as on a full disk (`ioerr`, `nomem`, `corrupt`
//! likewise), until FILE is empty or gone. `SIGNALBOX_HOLD=FOLDER` has whoever comes to a named place
//! wait there while a file of that name lies in FOLDER. Unset, each costs one relaxed load.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

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

static HOLDS: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::var_os("SIGNALBOX_HOLD").map(PathBuf::from));

/// Waits here while a file of this name lies in the folder that was named; `NAME.reached` beside it says that somebody does.
pub async fn hold(name: &str) {
    let Some(folder) = HOLDS.as_ref() else { return };
    while folder.join(name).exists() {
        if let Err(error) = std::fs::write(folder.join(format!("{name}.reached")), "") {
            tracing::error!(%error, "a place where tests wait could not be marked");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

static FAULT: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::var_os("SIGNALBOX_FAULT").map(PathBuf::from));

/// What was ordered last, and how many commits went through since.
static ORDERED: Mutex<(String, i64)> = Mutex::new((String::new(), 0));

/// How the present commit is to fail, if it is: a word of the list above.
pub fn commit_fails(writes: bool) -> Option<&'static str> {
    let order = std::fs::read_to_string(FAULT.as_ref().filter(|_| writes)?).unwrap_or_default();
    let mut ordered = ORDERED.lock().unwrap_or_else(PoisonError::into_inner);
    if ordered.0 != order {
        *ordered = (order, 0);
    }
    ordered.1 += 1;
    let (word, from) = ordered.0.trim().split_once(':')?;
    let known = ["full", "ioerr", "nomem", "corrupt"].into_iter().find(|w| *w == word)?;
    (ordered.1 >= from.parse().ok()?).then_some(known)
}
