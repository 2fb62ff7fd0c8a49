//! What asks for a reload by itself: SIGHUP, and a changed file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{ReloadError, Reloaded};
use crate::engine::model::Actor;
use crate::shell::service::Service;

/// Quiet that ends a burst of changes: an editor writes a file in several steps.
const QUIET: Duration = Duration::from_millis(300);
/// Bursts looked at all the same after this many quiet times that did not come.
const PATIENCE: u32 = 20;
/// Folders of rules.
const FOLDERS: [&str; 4] = ["pipelines", "rules", "prompts", "messages"];

/// Watches the files: what changes from now on is noticed, though nobody looks yet.
#[must_use]
pub fn begin(service: &Service) -> Watching {
    let (tell, changed) = mpsc::channel(1);
    let watch = match Watch::begin(&service.dir, tell) {
        Ok(watch) => Some(watch),
        Err(error) => {
            tracing::warn!(%error, "the files of rules are not watched: `signalbox reload` or SIGHUP reads them again");
            None
        }
    };
    Watching { watch, changed }
}

/// Files that are watched.
pub struct Watching {
    watch: Option<Watch>,
    changed: mpsc::Receiver<()>,
}

/// Reloads at every SIGHUP and after every change of the files, until `stop` is cancelled.
pub async fn keep_up(service: Arc<Service>, watching: Watching, stop: CancellationToken) {
    let Watching { mut watch, mut changed } = watching;
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => Some(hangup),
        Err(error) => {
            tracing::warn!(%error, "SIGHUP cannot be listened to");
            None
        }
    };
    loop {
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            Some(()) = next(&mut hangup) => "SIGHUP",
            // None: nothing is watched; then this branch is asked no more than it is answered.
            Some(()) = changed.recv(), if watch.is_some() => {
                settle(&mut changed).await;
                "a changed file"
            }
        };
        if let Some(watch) = &mut watch {
            watch.again();
        }
        report(asked, &service.reload_by(&Actor::Service).await);
    }
}

async fn next(hangup: &mut Option<tokio::signal::unix::Signal>) -> Option<()> {
    match hangup {
        Some(hangup) => hangup.recv().await,
        None => std::future::pending().await,
    }
}

/// Waits until nothing has changed for a while.
async fn settle(changed: &mut mpsc::Receiver<()>) {
    for _ in 0..PATIENCE {
        match tokio::time::timeout(QUIET, changed.recv()).await {
            Ok(Some(())) => {}
            Ok(None) | Err(_) => return,
        }
    }
}

pub(super) fn report(asked: &str, outcome: &Result<Reloaded, ReloadError>) {
    match outcome {
        Ok(done)
            if *done
                == Reloaded {
                    warnings: done.warnings,
                    ..Reloaded::default()
                } =>
        {
            tracing::debug!("{asked}: nothing is different")
        }
        Ok(done) => {
            for p in &done.projects {
                let (following, pinned) = (p.following.len(), p.pinned.len());
                let after = p.after.get(..10).unwrap_or(&p.after);
                tracing::info!(
                    project = p.project,
                    rules = after,
                    following,
                    pinned,
                    "{asked}: new rules are in force: {}",
                    p.files.join(", ")
                );
            }
            for words in done.settings.iter().chain(&done.next_start) {
                tracing::info!("{asked}: {words}");
            }
        }
        Err(refusal) => tracing::error!("{asked}: {refusal}"),
    }
}

/// Watches folders, not files: editors replace a file by another of its name.
struct Watch {
    watcher: RecommendedWatcher,
    dir: PathBuf,
}

impl Watch {
    fn begin(dir: &Path, tell: mpsc::Sender<()>) -> notify::Result<Self> {
        let root = dir.to_path_buf();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let told = match &event {
                Ok(event) => changes(event.kind) && event.paths.iter().any(|path| concerns(&root, path)),
                // Events were lost: whatever they were about is read again.
                Err(_) => true,
            };
            if told {
                // Full means that someone has been told already.
                let _ = tell.try_send(());
            }
        })?;
        let mut watch = Self {
            watcher,
            dir: dir.to_path_buf(),
        };
        watch.watcher.watch(dir, RecursiveMode::NonRecursive)?;
        watch.again();
        Ok(watch)
    }

    /// Watches the folders that are there now: one may have been made, or made anew.
    fn again(&mut self) {
        for folder in FOLDERS.map(|f| self.dir.join(f)) {
            if folder.is_dir()
                && let Err(error) = self.watcher.watch(&folder, RecursiveMode::NonRecursive)
            {
                tracing::warn!(%error, "{} is not watched", folder.display());
            }
        }
    }
}

/// Whether something is different afterwards. Reading is no change: our own would never end.
fn changes(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

/// Whether rules are read from this path: the configuration, a folder of rules, a file in one.
fn concerns(root: &Path, path: &Path) -> bool {
    let Ok(below) = path.strip_prefix(root) else { return false };
    let parts: Vec<&str> = below.iter().filter_map(|p| p.to_str()).collect();
    match parts.as_slice() {
        // How Kubernetes swaps a mounted folder as a whole.
        ["signalbox.toml" | "..data"] => true,
        [folder] => FOLDERS.contains(folder),
        [folder, file] => {
            let ext = Path::new(file).extension().and_then(|e| e.to_str());
            FOLDERS.contains(folder) && !file.starts_with('.') && matches!(ext, Some("toml" | "rhai" | "md"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_rules_concern_us() {
        let root = Path::new("/etc/signalbox");
        let yes = ["signalbox.toml", "pipelines", "pipelines/mine.toml", "rules/a.rhai", "prompts/x.md"];
        for path in yes {
            assert!(concerns(root, &root.join(path)), "{path}");
        }
        for path in [
            "data",
            "data/signalbox.db",
            "pipelines/.mine.toml.swp",
            "pipelines/mine.toml~",
            "prompts/deep/x.md",
            "README.md",
        ] {
            assert!(!concerns(root, &root.join(path)), "{path}");
        }
    }

    #[test]
    fn our_own_reading_is_no_change() {
        assert!(!changes(EventKind::Access(AccessKind::Open(AccessMode::Any))));
        assert!(!changes(EventKind::Access(AccessKind::Close(AccessMode::Read))));
        assert!(changes(EventKind::Access(AccessKind::Close(AccessMode::Write))));
    }
}
