//! Runs of a data directory that is about to be replaced. Agents outlive the service: one that is at work would write
//! into what is put in its place, or be taken for a run of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Result, entries};
use crate::engine::model::RunId;
use crate::shell::process::{Owner, files, names, own};
use crate::shell::store::AtWork;

/// Runs of a data directory whose shims are at work, by number. One that has not begun yet never will.
pub(super) fn at_work(data: &Path) -> Result<Vec<AtWork>> {
    let mut found = Vec::new();
    for (run, dir) in numbered(&data.join("runs"))? {
        // Where it cannot be taken, what lies there counts.
        if dir.join(names::EXIT).exists() || own(&dir, &Owner::Abandoned).unwrap_or(false) {
            continue;
        }
        match files::read_json::<Owner>(&dir.join(names::OWNER)) {
            // Its last act comes before its end: who has written it does nothing more.
            Ok(Some(Owner::Shim(shim))) if shim.alive() && !dir.join(names::EXIT).exists() => {
                let pid = shim.pid;
                found.push(AtWork { run, dir, pid });
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Folders that are called by a number, by that number.
fn numbered(dir: &Path) -> Result<Vec<(RunId, PathBuf)>> {
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<i64>().ok().filter(|n| *n > 0);
    let folders = entries(dir)?
        .into_iter()
        .filter(|path| fs::symlink_metadata(path).is_ok_and(|m| m.is_dir()));
    let mut all: Vec<(RunId, PathBuf)> = folders.filter_map(|path| Some((RunId(number(&path)?), path))).collect();
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::process::Alive;
    use crate::shell::store::told;

    fn dir(data: &Path, name: &str) -> PathBuf {
        let dir = data.join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn who_is_at_work_is_found_and_who_has_not_begun_is_kept_from_it() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path();
        let me = Alive::me().unwrap();
        let gone = Alive {
            start: me.start + 1,
            ..me.clone()
        };
        for (name, owner) in [("9", &me), ("10", &me), ("11", &gone)] {
            assert!(own(&dir(data, &format!("runs/{name}")), &Owner::Shim(owner.clone())).unwrap());
        }
        fs::write(data.join("runs/10/exit.json"), "{}").unwrap();
        let late = dir(data, "runs/12");
        let found = at_work(data).unwrap();
        assert_eq!(found.iter().map(|r| r.run).collect::<Vec<_>>(), [RunId(9)]);
        assert!(
            !own(&late, &Owner::Shim(me.clone())).unwrap(),
            "a shim that comes late finds it taken"
        );
        let said = told(&found);
        assert!(
            said.contains("run 9") && said.contains("touch ") && said.contains("runs/9/abandon"),
            "{said}"
        );
    }
}
