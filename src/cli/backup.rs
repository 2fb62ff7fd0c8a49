//! `signalbox backup` and `signalbox restore`: the data directory, copied while in use and put back.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::Global;
use super::exit::Failure;
use super::{find, out};
use crate::shell::backup::{back_up, restore};

/// Arguments of `restore`.
#[derive(Debug, Clone, clap::Args)]
pub struct Restore {
    /// The folder that `backup` made
    pub from: PathBuf,
    /// Move what is in the data directory aside, and restore
    #[arg(long)]
    pub replace: bool,
}

/// Copies the data directory to a new folder.
///
/// # Errors
/// What keeps it from being done.
pub fn make(global: &Global, to: &Path) -> Result<(), Failure> {
    let data = data(global)?;
    let manifest = back_up(&data, to).map_err(|e| Failure::other(e.to_string()))?;
    if global.json {
        return out::json(&manifest);
    }
    // Whoever needs it is elsewhere by then.
    let whole = std::path::absolute(to).unwrap_or_else(|_| to.to_owned());
    out::print(&format!(
        "{} files, {} KiB, copied to {}\nIt holds what agents and people wrote, and no secret of the configuration. Put it back: signalbox restore {}",
        manifest.files,
        manifest.bytes.div_ceil(1024),
        to.display(),
        whole.display()
    ))
}

/// Puts a back-up in the place of the data directory.
///
/// # Errors
/// What keeps it from being done.
pub fn put_back(global: &Global, args: &Restore) -> Result<(), Failure> {
    let data = data(global)?;
    let (manifest, aside) = restore(&args.from, &data, args.replace).map_err(|e| Failure::other(e.to_string()))?;
    if global.json {
        return out::json(&json!({"manifest": manifest, "replaced": aside}));
    }
    let moved = aside.map(|a| format!("\nWhat was there is in {}", a.display())).unwrap_or_default();
    out::print(&format!(
        "{} restored from {}{moved}\nStart the service: runs that were under way when the copy was made are tried again.",
        data.display(),
        args.from.display()
    ))
}

/// The data directory that the configuration names.
fn data(global: &Global) -> Result<PathBuf, Failure> {
    let socket = find::socket(&find::configuration(global)?)?;
    Ok(socket.parent().map(Path::to_owned).unwrap_or_default())
}
