//! Parts of `signalbox.toml` that have no engine yet: read, checked and refused by name.

use super::reader::Reader;

/// `[limits]`.
pub fn tables(r: &Reader) {
    if let Some(l) = r.table("limits", "`limits`") {
        l.int("disk_free_percent", 1..=90);
        l.int("log_mib", 1..=100_000);
        l.int("keep_runs_days", 1..=3650);
        l.finish();
        r.not_yet(&["limits"]);
    }
}
