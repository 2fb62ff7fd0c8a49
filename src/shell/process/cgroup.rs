//! A cgroup (version 2) for one run, below the one that the service itself is in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A run's cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    dir: PathBuf,
}

impl Leaf {
    /// Makes a cgroup of this name below the caller's own, and makes sure that it can be killed.
    ///
    /// # Errors
    /// When there is no cgroup v2, or nothing may be made there.
    pub(crate) fn create(name: &str) -> io::Result<Self> {
        let dir = home()?.join(name);
        fs::create_dir(&dir)?;
        let leaf = Self { dir };
        if let Err(error) = fs::OpenOptions::new().write(true).open(leaf.dir.join("cgroup.kill")) {
            leaf.remove();
            return Err(error);
        }
        Ok(leaf)
    }

    /// One that was made before.
    pub(crate) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Where it is.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Does `work` while the caller is in this cgroup, so that what it starts begins its life there.
    ///
    /// # Errors
    /// When the caller could not move in (nothing was done then), or not back out.
    pub(crate) fn inside<T>(&self, work: impl FnOnce() -> T) -> io::Result<T> {
        let home = home()?;
        enter(&self.dir)?;
        let done = work();
        enter(&home)?;
        Ok(done)
    }

    /// Ends everything in it, at once.
    ///
    /// # Errors
    /// As the kernel says.
    pub(crate) fn kill(&self) -> io::Result<()> {
        fs::write(self.dir.join("cgroup.kill"), "1")
    }

    /// Whether nothing in it or below it lives. One that is not there any more is empty.
    ///
    /// # Errors
    /// When that cannot be told.
    pub(crate) fn empty(&self) -> io::Result<bool> {
        match fs::read_to_string(self.dir.join("cgroup.events")) {
            Ok(events) => Ok(events.lines().any(|line| line == "populated 0")),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound) || e.raw_os_error() == Some(nix::libc::ENODEV) => Ok(true),
            Err(e) => Err(e),
        }
    }

    /// Removes it, with those that the run made below it; one that is not empty stays.
    pub(crate) fn remove(&self) {
        remove(&self.dir, 0);
    }
}

fn remove(dir: &Path, depth: u8) {
    let below = fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in below.filter(|e| depth < 32 && e.file_type().is_ok_and(|t| t.is_dir())) {
        remove(&entry.path(), depth + 1);
    }
    // What remains is empty, and does no harm.
    let _ = fs::remove_dir(dir);
}

fn enter(dir: &Path) -> io::Result<()> {
    fs::write(dir.join("cgroup.procs"), "0")
}

/// The caller's own cgroup in the file system.
fn home() -> io::Result<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    place(&own, &mounts).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no cgroup v2 here"))
}

fn place(own: &str, mounts: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    if path.contains("/..") {
        return None;
    }
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        if after.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = before.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        let below = Path::new(path).strip_prefix(root).ok()?;
        Some(Path::new(at).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroup_is_found_through_any_mount() {
        let mounts = "24 23 0:21 / /proc rw - proc proc rw\n30 29 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
        let found = place("0::/system.slice/signalbox.service\n", mounts);
        assert_eq!(found, Some("/sys/fs/cgroup/system.slice/signalbox.service".into()));
        let hybrid = "30 29 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(place("4:pids:/x\n0::/\n", hybrid), Some("/sys/fs/cgroup/unified/".into()));
        let bound = "30 29 0:26 /pod/one /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        assert_eq!(place("0::/pod/one/two\n", bound), Some("/sys/fs/cgroup/two".into()));
        assert_eq!(place("0::/elsewhere\n", bound), None);
        assert_eq!(place("0::/../above\n", mounts), None);
        assert_eq!(place("4:pids:/x\n", mounts), None);
        assert_eq!(place("0::/\n", "24 23 0:21 / /proc rw - proc proc rw\n"), None);
    }

    #[test]
    fn one_that_is_gone_is_empty() {
        let gone = Leaf::at("/sys/fs/cgroup/no/such/cgroup".into());
        assert!(gone.empty().is_ok_and(|empty| empty));
        assert!(gone.kill().is_err());
    }
}
