//! Repositories that an agent made inside its checkout, as tools that lay out a project do: their files are work like any
//! other. git would leave them out without a word, and a link to a commit that is nowhere else is of no use to anybody.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::agent;
use super::collect::{Fault, Work, blame};
use super::error::GitError;
use super::layout::blocking;
use super::vault::Vault;

/// How deep repositories are looked for within those that were taken apart.
const DEPTH: usize = 10;

impl Vault {
    /// Makes plain directories of the repositories inside the checkout, so that their files are taken over: their own
    /// `.git` goes, and with it their history. What is ignored, and submodules that `.gitmodules` of `head` names, are
    /// left alone: gives their paths. Two processes where there are any, none otherwise.
    pub(super) async fn absorb(&self, work: Work<'_>, head: &str, index: &Path) -> Result<Vec<Vec<u8>>, Fault> {
        for _ in 0..DEPTH {
            let dir = work.dir.to_owned();
            let found = blocking(move || Ok(agent::nested(&dir))).await?.map_err(Fault::Agent)?;
            if found.is_empty() {
                return Ok(found);
            }
            let mut apart = self.ignored(work.dir, &found).await?;
            apart.extend(self.submodules(head).await?);
            let (apart, plain): (Vec<_>, Vec<_>) = found.into_iter().partition(|path| apart.contains(path));
            if plain.is_empty() {
                return Ok(apart);
            }
            for path in &plain {
                let name = String::from_utf8_lossy(path).into_owned();
                tracing::warn!(run = %work.run, path = name, "a git repository inside the checkout: its files are taken over, its history is not");
            }
            self.unlink(work.dir, index, &plain).await?;
            let dir = work.dir.to_owned();
            let gone = move || Ok(plain.iter().try_for_each(|path| open_up(&dir.join(OsStr::from_bytes(path)))));
            blocking(gone)
                .await?
                .map_err(|e| Fault::Agent(format!("a repository inside the checkout cannot be made a plain folder: {e}")))?;
        }
        Err(Fault::Agent(format!(
            "there are repositories within repositories, more than {DEPTH} deep"
        )))
    }

    /// Which of these paths `.gitignore` covers.
    async fn ignored(&self, dir: &Path, paths: &[Vec<u8>]) -> Result<BTreeSet<Vec<u8>>, Fault> {
        let call = self.call("check-ignore").work_tree(dir).args(["-z", "--stdin", "--no-index"]);
        let out = call.stdin(paths.join(&0)).run().await?;
        match out.code {
            0 | 1 => Ok(split(&out.stdout).map(<[u8]>::to_vec).collect()),
            _ => Err(blame("what it ignores cannot be read")(out.failed("check-ignore"))),
        }
    }

    /// The paths that `.gitmodules` of the commit names.
    async fn submodules(&self, head: &str) -> Result<BTreeSet<Vec<u8>>, GitError> {
        let blob = format!("--blob={head}:.gitmodules");
        let call = self
            .call("config")
            .args([blob.as_str(), "-z", "--get-regexp", r"^submodule\..*\.path$"]);
        // Any other status: there is no such file, or none that can be read.
        let out = call.run().await?;
        let lines = if out.code == 0 { out.stdout } else { Vec::new() };
        let path = |line: &[u8]| Some(line.get(line.iter().position(|b| *b == b'\n')? + 1..)?.to_vec());
        Ok(split(&lines).filter_map(path).collect())
    }

    /// Takes links to their commits out of the index: what is a link there stays one, whatever lies in its place.
    async fn unlink(&self, dir: &Path, index: &Path, paths: &[Vec<u8>]) -> Result<(), Fault> {
        let listed = self.call("ls-files").env("GIT_INDEX_FILE", index).args(["-s", "-z"]).ok().await?;
        let links: Vec<Vec<u8>> = split(&listed)
            .filter(|entry| entry.starts_with(b"160000 "))
            .filter_map(|entry| Some(entry.get(entry.iter().position(|b| *b == b'\t')? + 1..)?.to_vec()))
            .filter(|path| paths.contains(path))
            .collect();
        if links.is_empty() {
            return Ok(());
        }
        let call = self.call("update-index").work_tree(dir).env("GIT_INDEX_FILE", index);
        let call = call.args(["--force-remove", "-z", "--stdin"]).stdin(links.join(&0));
        call.ok().await.map(drop).map_err(blame("its last commit cannot be read"))
    }
}

/// Parts that zeros end.
pub(super) fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|b| *b == 0).filter(|part| !part.is_empty())
}

/// Removes what makes a repository of a directory; a link in its place goes, what it leads to stays.
fn open_up(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_name().eq_ignore_ascii_case(".git") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
