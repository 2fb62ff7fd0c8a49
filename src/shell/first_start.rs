//! A first start that is refused leaves nothing behind.

use std::path::{Path, PathBuf};

/// What was in a data directory before the service came.
pub struct FirstStart {
    data: PathBuf,
    /// What is removed when the start is refused; nothing where the service had been before.
    made: Vec<PathBuf>,
    folder_made: bool,
}

impl FirstStart {
    /// Looks at the directory; changes nothing.
    #[must_use]
    pub fn look(data: &Path) -> Self {
        let parts = [
            "signalbox.db",
            "signalbox.db-wal",
            "signalbox.db-shm",
            "signalbox.lock",
            "forge",
            "vaults",
        ];
        let first = !data.join("signalbox.db").exists();
        let made = parts.iter().map(|p| data.join(p)).filter(|p| first && !p.exists()).collect();
        Self {
            data: data.to_path_buf(),
            made,
            folder_made: !data.exists(),
        }
    }

    /// Removes what the refused start made. The store must be closed.
    pub fn undo(self) {
        for path in &self.made {
            let removed = if path.is_dir() {
                std::fs::remove_dir_all(path)
            } else {
                std::fs::remove_file(path)
            };
            if let Err(error) = removed
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(%error, "{} could not be removed again", path.display());
            }
        }
        // Only where it is empty: whatever else is there is not ours.
        if self.folder_made && std::fs::remove_dir(&self.data).is_err() {
            tracing::debug!("{} is kept", self.data.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_first_start_leaves_nothing_and_a_later_one_everything() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let first = FirstStart::look(&data);
        std::fs::create_dir_all(data.join("vaults/1.git")).unwrap();
        std::fs::write(data.join("signalbox.db"), "").unwrap();
        first.undo();
        assert!(!data.exists());
        std::fs::create_dir_all(data.join("vaults")).unwrap();
        std::fs::write(data.join("signalbox.db"), "").unwrap();
        FirstStart::look(&data).undo();
        assert!(data.join("signalbox.db").exists() && data.join("vaults").exists());
    }
}
