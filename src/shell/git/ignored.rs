//! What `.gitignore` covers of the work: below the task's artefact folder it is taken over all the same, elsewhere people
//! are told of it where a run has nothing else to show.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::agent;
use super::collect::{Allow, Fault, PATIENCE, Work, blame, ours};
use super::error::{GitError, printable};
use super::layout::blocking;
use super::nested::split;
use super::vault::Vault;

/// How long git may look for what is ignored only to tell of it.
const LOOK: Duration = Duration::from_secs(30);
/// Rules that people are told of, each with a file.
const TOLD: usize = 3;
/// Places in which a file is looked for, and entries of folders that are read there.
const PLACES: usize = 50;
const ENTRIES: usize = 1000;
/// Characters of a path or of a rule.
const SHOWN: usize = 200;

impl Vault {
    /// Adds to the index what is ignored below the artefact folder, as far as the run may write it: what a tool leaves there
    /// besides stays away. `apart` are repositories within, which are passed over. One process, two where there is any.
    pub(super) async fn add_ignored(&self, work: Work<'_>, allow: &Allow<'_>, index: &Path, apart: &[Vec<u8>]) -> Result<(), Fault> {
        let call = self.call("ls-files").work_tree(work.dir).env("GIT_INDEX_FILE", index).literal();
        let call = call.args(["-o", "-i", "--exclude-standard", "-z", "--", work.folder]);
        let listed = call.timeout(PATIENCE).ok().await.map_err(blame("its artefacts cannot be listed"))?;
        let due: Vec<&[u8]> = split(&listed)
            .filter(|path| !path.ends_with(b"/") && !apart.iter().any(|repository| below(path, repository)))
            .filter(|path| below(path, work.folder.as_bytes()) && may(allow, path))
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let call = self.call("add").work_tree(work.dir).env("GIT_INDEX_FILE", index).literal();
        let call = call.args(["-f", "--ignore-errors", "--pathspec-from-file=-", "--pathspec-file-nul"]);
        let call = call.stdin(due.join(&0)).timeout(PATIENCE);
        call.ok().await.map(drop).map_err(blame("its artefacts cannot be read"))
    }

    /// Names files that lie ignored in the checkout of a run that has nothing to show, where it may write: for each rule
    /// that covers some, one of them; at most three. `None` when there are none, or they cannot be told. Three processes.
    pub async fn passed_over(&self, work: Work<'_>, allow: &Allow<'_>) -> Option<String> {
        match self.look_over(work, allow).await {
            Ok(told) => Some(told).filter(|t| !t.is_empty()),
            Err(Fault::Agent(why)) => {
                tracing::info!(run = %work.run, why, "what is ignored in its checkout cannot be told");
                None
            }
            Err(Fault::Ours(error)) => {
                tracing::warn!(run = %work.run, %error, "what is ignored in its checkout cannot be told");
                None
            }
        }
    }

    async fn look_over(&self, work: Work<'_>, allow: &Allow<'_>) -> Result<String, Fault> {
        let dir = work.dir.to_owned();
        // Nothing that would hang git is in there then.
        let apart = blocking(move || Ok(agent::nested(&dir))).await?.map_err(Fault::Agent)?;
        work.room().await?;
        let index = work.index();
        let read = self.call("read-tree").env("GIT_INDEX_FILE", &index).end().arg(work.start);
        read.ok().await?;
        let call = self.call("ls-files").work_tree(work.dir).env("GIT_INDEX_FILE", &index);
        let call = call.args(["-o", "-i", "--exclude-standard", "--directory", "-z"]);
        let listed = call.timeout(LOOK).ok().await.map_err(blame("it cannot be listed"));
        let _ = blocking(move || std::fs::remove_file(&index).map_err(GitError::io("index"))).await;
        let places: Vec<Vec<u8>> = split(&listed?)
            .filter(|path| !ours(&lossy(path.strip_suffix(b"/").unwrap_or(path))))
            .filter(|path| !apart.iter().any(|repository| below(path, repository)))
            .take(PLACES)
            .map(<[u8]>::to_vec)
            .collect();
        let dir = work.dir.to_owned();
        let found = blocking(move || Ok(places.iter().map(|place| files(&dir, place)).collect::<Vec<_>>())).await?;
        let mut files: Vec<Vec<u8>> = found
            .into_iter()
            .filter_map(|files| files.into_iter().find(|path| may(allow, path)))
            .collect();
        if files.is_empty() {
            return Ok(String::new());
        }
        // A file that is covered by itself says less than the others.
        files.sort_by_key(|path| path.ends_with(b".gitignore"));
        let call = self.call("check-ignore").work_tree(work.dir);
        let call = call.args(["-v", "-z", "--stdin", "--no-index"]).stdin(files.join(&0));
        let out = call.timeout(LOOK).run().await?;
        match out.code {
            0 | 1 => Ok(told(&out.stdout)),
            _ => Err(blame("it cannot be explained")(out.failed("check-ignore"))),
        }
    }
}

/// What `check-ignore -v -z` answers in words: source, line, pattern and path of each.
fn told(answer: &[u8]) -> String {
    let fields: Vec<&[u8]> = answer.split(|b| *b == 0).collect();
    let (mut seen, mut text) = (BTreeSet::new(), String::new());
    for fields in fields.chunks_exact(4) {
        let [source, line, pattern, path] = fields else { continue };
        if pattern.starts_with(b"!") || seen.len() == TOLD || !seen.insert((*source, *line)) {
            continue;
        }
        let comma = if text.is_empty() { "" } else { ", " };
        let (source, line, pattern, path) = (shown(source), shown(line), shown(pattern), shown(path));
        let _ = write!(text, "{comma}`{path}` (line {line} of `{source}`: `{pattern}`)");
    }
    text
}

fn shown(bytes: &[u8]) -> String {
    printable(bytes).chars().take(SHOWN).collect()
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn may(allow: &Allow<'_>, path: &[u8]) -> bool {
    let path = lossy(path);
    !ours(&path) && allow(&path)
}

/// Whether the path is this folder or lies in it.
fn below(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Regular files of a place, which is one itself or a folder (its name ends with `/`), in the order of their names; no link
/// is followed, no repository entered.
fn files(dir: &Path, place: &[u8]) -> Vec<Vec<u8>> {
    let place = place.strip_suffix(b"/").unwrap_or(place);
    let (mut found, mut left) = (Vec::new(), ENTRIES);
    let mut pending = vec![dir.join(OsStr::from_bytes(place))];
    while let Some(at) = pending.pop() {
        let Ok(kind) = std::fs::symlink_metadata(&at).map(|meta| meta.file_type()) else {
            continue;
        };
        if kind.is_file() {
            found.extend(at.strip_prefix(dir).ok().map(|path| path.as_os_str().as_bytes().to_vec()));
        } else if kind.is_dir() && !at.join(".git").exists() {
            let mut inner = entries(&at, left);
            left -= inner.len();
            // The last one is looked at next.
            inner.sort_unstable_by(|a, b| b.cmp(a));
            pending.append(&mut inner);
        }
    }
    found
}

/// At most so many entries of a folder; none where it cannot be read.
fn entries(dir: &Path, most: usize) -> Vec<PathBuf> {
    let read = std::fs::read_dir(dir).into_iter().flatten().flatten();
    read.take(most).map(|entry| entry.path()).collect()
}
