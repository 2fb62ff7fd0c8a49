//! A restore that was cut off, as the data directory shows it. Between its first move and its last, what lies there is
//! neither what was there nor what is to come: no service begins on it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::OpenError;
use super::beside::quoted;
use super::open::FILE;

/// The file that lies in a data directory from before the first move of a restore until after its last.
pub const MARK: &str = "signalbox.restoring";
/// The folder in which a restore gathers what it then puts in place.
pub const FRESH: &str = ".restoring";

/// What the mark says: enough to take every move back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoring {
    /// The back-up.
    pub from: PathBuf,
    /// The folder in the data directory that `old` is moved to.
    pub aside: String,
    /// Names in the data directory of what was there before.
    pub old: Vec<String>,
}

/// What keeps a service from beginning on a data directory whose restore came to no end.
#[must_use]
pub fn unfinished(data: &Path) -> Option<OpenError> {
    let mark = data.join(MARK);
    if mark.symlink_metadata().is_ok() {
        let said = fs::read(&mark)
            .ok()
            .and_then(|text| serde_json::from_slice::<Restoring>(&text).ok());
        return Some(OpenError::Restoring {
            data: data.to_owned(),
            lies: lies(&mark, said.as_ref()),
            again: again(said.as_ref()),
        });
    }
    let fresh = data.join(FRESH);
    if fresh.is_dir() && data.join(FILE).symlink_metadata().is_err() {
        return Some(OpenError::Restoring {
            data: data.to_owned(),
            lies: format!("there is no database, and {} holds a copy that was to become it", fresh.display()),
            again: again(None),
        });
    }
    None
}

/// What a restore left that was cut off before it moved anything: it is of no use to anyone.
#[must_use]
pub fn left_over(data: &Path) -> Option<PathBuf> {
    let fresh = data.join(FRESH);
    (fresh.is_dir() && unfinished(data).is_none()).then_some(fresh)
}

fn lies(mark: &Path, said: Option<&Restoring>) -> String {
    let aside = said.map_or_else(|| "replaced-TIME".to_owned(), |said| said.aside.clone());
    format!(
        "{} lies there, and what was there before may be in part in {aside}, what is to come in {FRESH}",
        mark.display()
    )
}

fn again(said: Option<&Restoring>) -> String {
    let from = said.map_or_else(|| "FOLDER".to_owned(), |said| quoted(&said.from));
    format!("signalbox restore {from} --replace")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_is_told_apart_from_what_only_takes_room() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path();
        assert!(unfinished(data).is_none() && left_over(data).is_none());
        fs::create_dir(data.join(FRESH)).unwrap();
        let told = unfinished(data).unwrap().to_string();
        assert!(
            told.contains(FRESH) && told.contains("signalbox restore FOLDER --replace"),
            "{told}"
        );
        assert_eq!(left_over(data), None);
        fs::write(data.join(FILE), "").unwrap();
        assert!(unfinished(data).is_none(), "nothing of what was there was moved");
        assert_eq!(left_over(data), Some(data.join(FRESH)));
        let mark = Restoring {
            from: "/backups/of monday".into(),
            aside: "replaced-7".to_owned(),
            old: vec!["runs".to_owned()],
        };
        fs::write(data.join(MARK), serde_json::to_vec(&mark).unwrap()).unwrap();
        let told = unfinished(data).unwrap().to_string();
        assert!(
            told.contains("replaced-7") && told.contains("signalbox restore '/backups/of monday' --replace"),
            "{told}"
        );
        assert_eq!(left_over(data), None);
        fs::write(data.join(MARK), "").unwrap();
        assert!(unfinished(data).is_some(), "whatever it says, it is there");
    }
}
