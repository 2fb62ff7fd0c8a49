//! Where the configuration and the service's data are.

use std::path::{Path, PathBuf};

use super::args::Global;
use super::exit::Failure;
use crate::shell::folder;

/// The configuration's file name.
pub const FILE: &str = "signalbox.toml";
/// The folder that `init` makes.
pub const FOLDER: &str = ".signalbox";

/// The configuration: as named, else `signalbox.toml` or `.signalbox/signalbox.toml` here or in
/// a folder above.
///
/// # Errors
/// When there is none, with the places that were looked at.
pub fn configuration(global: &Global) -> Result<PathBuf, Failure> {
    if let Some(file) = &global.config {
        return existing(file.clone());
    }
    if let Some(dir) = &global.dir {
        return [dir.join(FILE), dir.join(FOLDER).join(FILE)]
            .into_iter()
            .find(|p| p.is_file())
            .ok_or_else(|| Failure::usage(format!("there is no {FILE} in {}", dir.display())));
    }
    let here = std::env::current_dir().map_err(|e| Failure::other(format!("the current folder cannot be read: {e}")))?;
    above(&here).ok_or_else(|| {
        Failure::usage(format!("there is no {FILE} or {FOLDER}/{FILE} in {} or above it", here.display()))
            .help("run `signalbox init` in your repository, or name one with --config FILE")
    })
}

fn existing(file: PathBuf) -> Result<PathBuf, Failure> {
    if file.is_file() {
        return Ok(file);
    }
    Err(Failure::usage(format!("there is no file {}", file.display())))
}

fn above(from: &Path) -> Option<PathBuf> {
    from.ancestors()
        .flat_map(|dir| [dir.join(FILE), dir.join(FOLDER).join(FILE)])
        .find(|p| p.is_file())
}

/// The folder of rules to be checked: the configuration's, where one is found; else the current one.
#[must_use]
pub fn rules(global: &Global) -> Option<PathBuf> {
    Some(folder::of(&configuration(global).ok()?).to_owned())
}

/// The service's socket: in the data directory that the configuration names.
///
/// Only this one key is read: a client must reach a running service even while someone edits
/// its rules.
///
/// # Errors
/// When the configuration cannot be read.
pub fn socket(config: &Path) -> Result<PathBuf, Failure> {
    let text = std::fs::read_to_string(config).map_err(|e| Failure::other(format!("{} cannot be read: {e}", config.display())))?;
    let (table, broken) = match toml::from_str::<toml::Table>(&text) {
        Ok(table) => (table, None),
        Err(e) => (alone(&text), Some(e)),
    };
    let socket = in_data(config, table.get("data").and_then(|d| d.as_str()).unwrap_or("data"))?;
    match broken {
        // The service that runs read the file when it was right, and must be reached to stop something.
        Some(e) if !socket.exists() => {
            Err(Failure::other(format!("{} cannot be read: {}", config.display(), e.message())).help("run `signalbox validate`"))
        }
        _ => Ok(socket),
    }
}

/// The key `data` of a file that cannot be read whole, where its line can.
fn alone(text: &str) -> toml::Table {
    let before_tables = text.lines().take_while(|line| !line.trim_start().starts_with('['));
    let mut lines = before_tables.filter_map(|line| toml::from_str::<toml::Table>(line).ok());
    lines.find(|table| table.contains_key("data")).unwrap_or_default()
}

fn in_data(config: &Path, data: &str) -> Result<PathBuf, Failure> {
    let data = std::path::absolute(folder::of(config).join(data)).map_err(|e| Failure::other(format!("{data} is no usable path: {e}")))?;
    Ok(data.join("signalbox.sock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_configuration_above_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(above(&deep), None);
        std::fs::create_dir(dir.path().join(FOLDER)).unwrap();
        let far = dir.path().join(FOLDER).join(FILE);
        std::fs::write(&far, "data = \"run\"").unwrap();
        assert_eq!(above(&deep), Some(far.clone()));
        assert_eq!(socket(&far).unwrap(), dir.path().join(FOLDER).join("run/signalbox.sock"));
        let near = dir.path().join("a").join(FILE);
        std::fs::write(&near, "").unwrap();
        assert_eq!(above(&deep), Some(near.clone()));
        assert_eq!(socket(&near).unwrap(), dir.path().join("a/data/signalbox.sock"));
    }

    /// ★ A stop reaches the service while somebody edits its configuration.
    #[test]
    fn a_running_service_is_found_beside_a_broken_file() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join(FILE);
        for (text, data) in [
            ("data = \"run\"\nbad = [", "run"),
            ("bad = [", "data"),
            ("[a]\ndata = \"run\"\nbad = [", "data"),
        ] {
            std::fs::write(&config, text).unwrap();
            assert!(socket(&config).unwrap_err().error.contains("cannot be read"));
            std::fs::create_dir_all(dir.path().join(data)).unwrap();
            let file = dir.path().join(data).join("signalbox.sock");
            std::fs::write(&file, "").unwrap();
            assert_eq!(socket(&config).unwrap(), file);
            std::fs::remove_file(&file).unwrap();
        }
    }

    /// Tests run in the package's folder.
    #[test]
    fn the_folder_of_a_bare_name_is_the_current_one() {
        let global = Global {
            config: Some("Cargo.toml".into()),
            ..Global::default()
        };
        assert_eq!(rules(&global), Some(PathBuf::from(".")));
    }

    #[test]
    fn a_named_one_must_exist() {
        let dir = tempfile::tempdir().unwrap();
        let global = Global {
            dir: Some(dir.path().to_owned()),
            ..Global::default()
        };
        assert_eq!(configuration(&global).unwrap_err().code, super::super::exit::USAGE);
        let global = Global {
            config: Some(dir.path().join("x.toml")),
            ..Global::default()
        };
        assert!(configuration(&global).unwrap_err().error.contains("x.toml"));
    }
}
