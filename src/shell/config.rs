//! Reading a directory of rules.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::engine::rules::{Files, MAX_FILE};

/// Folders that are read, and what is read in them.
const FOLDERS: &[(&str, &str)] = &[("pipelines", "toml"), ("rules", "rhai"), ("prompts", "md"), ("messages", "toml")];

/// Files read per folder at most: a directory with more is not a directory of rules.
const MAX_FILES: usize = 500;

/// Bytes read in all at most.
const MAX_TOTAL: usize = 16 * MAX_FILE;

/// A file that cannot be read, and why in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{shown}: {why}")]
pub struct FileProblem {
    /// Its path, as people see it.
    pub shown: String,
    /// Why, and how to mend it.
    pub why: String,
}

/// Why a directory of rules cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadProblem {
    /// It is not there, or is no directory.
    #[error("{}: {why}", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Why.
        why: String,
    },
    /// There are no rules in it.
    #[error("{}: there are no rules here: neither signalbox.toml nor pipelines/*.toml; `signalbox init` writes a first set", dir.display())]
    Nothing {
        /// The directory.
        dir: PathBuf,
    },
    /// Some of its files cannot be read.
    #[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Files {
        /// What could be read.
        read: Files,
        /// What could not.
        problems: Vec<FileProblem>,
    },
}

/// Reads `dir`'s rules over the embedded ones: a file at the same path replaces the shipped one.
/// Never waits: a pipe, socket or device is refused, not opened for reading.
///
/// # Errors
/// See [`ReadProblem`].
pub fn read_dir(dir: &Path, embedded: &Files) -> Result<Files, ReadProblem> {
    let refuse = |why: String| ReadProblem::Directory { dir: dir.to_owned(), why };
    let meta = fs::metadata(dir).map_err(|e| refuse(plain(&e)))?;
    if !meta.is_dir() {
        return Err(refuse("this is no directory; name the one that holds signalbox.toml".to_owned()));
    }
    let mut files = embedded.clone();
    let mut problems = Vec::new();
    let (mut own, mut total) = (0_usize, 0_usize);
    let mut take = |path: &str, problems: &mut Vec<FileProblem>| {
        let place = dir.join(path);
        let shown = place.strip_prefix(".").unwrap_or(&place).display().to_string();
        if total > MAX_TOTAL {
            let why = "the files before this one are larger than 16 MiB in all; is this the right directory?".to_owned();
            // Once is enough: all others that follow are not read either.
            if problems.last().is_none_or(|p: &FileProblem| p.why != why) {
                problems.push(FileProblem { shown, why });
            }
            return;
        }
        match read_file(&place) {
            Ok(None) => {}
            Ok(Some(text)) => {
                own += 1;
                total = total.saturating_add(text.len());
                files.insert(path, text, shown);
            }
            Err(why) => problems.push(FileProblem { shown, why }),
        }
    };
    take("signalbox.toml", &mut problems);
    for (folder, ext) in FOLDERS {
        match names(&dir.join(folder), ext) {
            Ok(names) => names.iter().for_each(|name| take(&format!("{folder}/{name}"), &mut problems)),
            Err(why) => problems.push(FileProblem {
                shown: dir.join(folder).display().to_string(),
                why,
            }),
        }
    }
    if !problems.is_empty() {
        return Err(ReadProblem::Files { read: files, problems });
    }
    if own == 0 {
        return Err(ReadProblem::Nothing { dir: dir.to_owned() });
    }
    Ok(files)
}

/// Names in a folder with this extension, sorted; hidden ones (editors' leftovers) left out.
fn names(folder: &Path, ext: &str) -> Result<Vec<String>, String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(plain(&e)),
    };
    let mut out = Vec::new();
    for entry in entries {
        let name = entry.map_err(|e| plain(&e))?.file_name();
        let fits = Path::new(&name).extension().is_some_and(|e| e == ext);
        if !fits || name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let Some(name) = name.to_str() else {
            return Err(format!("the name {:?} is not UTF-8; rename the file", name.to_string_lossy()));
        };
        out.push(name.to_owned());
        if out.len() > MAX_FILES {
            return Err(format!(
                "there are more than {MAX_FILES} .{ext} files here; is this the right directory?"
            ));
        }
    }
    out.sort_unstable();
    Ok(out)
}

/// The text of a file; `None` when there is no such file.
fn read_file(path: &Path) -> Result<Option<String>, String> {
    // Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let file = match OpenOptions::new().read(true).custom_flags(nonblocking).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err("a symbolic link that leads nowhere".to_owned()),
        Err(e) => return Err(plain(&e)),
    };
    let meta = file.metadata().map_err(|e| plain(&e))?;
    if meta.is_dir() {
        return Err("this is a directory, a file is due here".to_owned());
    }
    if !meta.is_file() {
        return Err("this is a pipe, socket or device, a file is due here".to_owned());
    }
    let bytes = read_bounded(file)?;
    decode(bytes).map(Some)
}

fn read_bounded(file: File) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| plain(&e))?;
    if bytes.len() > MAX_FILE {
        return Err("this file is larger than 1 MiB: it cannot be a file of rules".to_owned());
    }
    Ok(bytes)
}

fn decode(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err("this file is UTF-16; save it as UTF-8".to_owned());
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        format!("this file is not UTF-8 (line {line}); save it as UTF-8")
    })?;
    // A mark that some editors put first: TOML allows it, scripts and prompts do not.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn plain(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::NotFound => "there is no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied; let the service's user read it".to_owned(),
        _ => e.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("pipelines")).unwrap();
        dir
    }

    fn problem(name: &str, make: impl FnOnce(&Path)) -> String {
        let dir = dir();
        make(&dir.path().join(name));
        match read_dir(dir.path(), &Files::default()) {
            Err(ReadProblem::Files { problems, .. }) => problems.into_iter().map(|p| p.why).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn own_files_replace_the_embedded_ones() {
        let dir = dir();
        fs::write(dir.path().join("pipelines/base.toml"), "schema = 1").unwrap();
        let mut embedded = Files::default();
        embedded.insert("pipelines/base.toml", "shipped", "built in");
        embedded.insert("pipelines/orch.toml", "shipped", "built in");
        let files = read_dir(dir.path(), &embedded).unwrap();
        assert_eq!(files.get("pipelines/base.toml").unwrap().text, "schema = 1");
        assert!(files.get("pipelines/base.toml").unwrap().shown.ends_with("pipelines/base.toml"));
        assert_eq!(files.get("pipelines/orch.toml").unwrap().text, "shipped");
    }

    #[test]
    fn a_pipe_is_refused_at_once() {
        let why = problem("pipelines/a.toml", |p| {
            nix::unistd::mkfifo(p, nix::sys::stat::Mode::S_IRUSR).unwrap()
        });
        assert!(why.contains("pipe"), "{why}");
    }

    #[test]
    fn odd_files_are_said_to_be_odd() {
        assert!(problem("signalbox.toml", |p| fs::create_dir(p).unwrap()).contains("directory"));
        assert!(problem("signalbox.toml", |p| fs::write(p, b"\xff\xfea\0").unwrap()).contains("UTF-16"));
        assert!(problem("signalbox.toml", |p| fs::write(p, b"a\n\xc3\x28").unwrap()).contains("line 2"));
        assert!(problem("signalbox.toml", |p| fs::write(p, vec![b'#'; MAX_FILE + 1]).unwrap()).contains("1 MiB"));
        assert!(problem("signalbox.toml", |p| std::os::unix::fs::symlink("/nowhere", p).unwrap()).contains("leads nowhere"));
        assert!(
            problem("rules", |p| fs::write(p, b"").unwrap())
                .to_lowercase()
                .contains("directory")
        );
    }

    #[test]
    fn all_files_together_are_bounded() {
        let dir = dir();
        for n in 0..40 {
            fs::write(dir.path().join(format!("pipelines/p{n:02}.toml")), vec![b'#'; MAX_FILE]).unwrap();
        }
        let Err(ReadProblem::Files { read, problems }) = read_dir(dir.path(), &Files::default()) else {
            panic!("forty megabytes were read")
        };
        assert_eq!((read.0.len(), problems.len()), (17, 1), "{problems:?}");
        assert!(problems[0].why.contains("16 MiB in all"));
    }

    #[test]
    fn an_empty_directory_and_a_missing_one_are_told_apart() {
        let dir = dir();
        assert!(matches!(read_dir(dir.path(), &Files::default()), Err(ReadProblem::Nothing { .. })));
        let missing = read_dir(&dir.path().join("x"), &Files::default());
        assert!(matches!(missing, Err(ReadProblem::Directory { .. })));
    }
}
