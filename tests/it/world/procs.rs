//! Processes, found by what is in their environment: everything a world starts names its folder.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Processes whose environment or command line names `dir`, this one excepted.
pub fn of(dir: &Path) -> Vec<(i32, String)> {
    let needle = dir.as_os_str().as_encoded_bytes();
    let names = |file: std::path::PathBuf| fs::read(file).is_ok_and(|bytes| bytes.windows(needle.len()).any(|w| w == needle));
    let me = std::process::id().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|e| e.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()) && e.file_name().to_string_lossy() != me)
        .filter(|e| names(e.path().join("environ")) || names(e.path().join("cmdline")))
        .filter(|e| !zombie(&e.path()))
        .filter_map(|e| {
            let line = fs::read(e.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            Some((e.file_name().to_string_lossy().parse().ok()?, line))
        })
        .collect()
}

fn zombie(proc: &Path) -> bool {
    let stat = fs::read_to_string(proc.join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Ends every process of `dir`, until two looks in a row find none.
pub fn end_all(dir: &Path) {
    let (begun, mut clean) = (Instant::now(), 0);
    while clean < 2 && begun.elapsed() < Duration::from_secs(10) {
        let found = of(dir);
        clean = if found.is_empty() { clean + 1 } else { 0 };
        for (pid, _) in found {
            // One that is gone already is what is wanted.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}
