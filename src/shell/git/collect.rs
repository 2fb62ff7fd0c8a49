//! Taking over what a run left in its checkout: its commits, and its work that is not committed.
//!
//! git runs in the vault only, under the vault's configuration. The agent's repository contributes
//! a commit id, read by the service itself, and objects, which are checked and hashed again on the
//! way in; its work tree contributes files.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::engine::model::{Millis, RunId};

use super::agent;
use super::bare::one_id;
use super::error::{GitError, no_room, printable, short_for_now};
use super::layout::blocking;
use super::names::{Identity, object_id};
use super::vault::Vault;

/// How much a run's commits may weigh, packed, bytes.
const IMPORT_MAX: u64 = 2 << 30;
/// How long one step of the import or of the snapshot may take.
pub(super) const PATIENCE: Duration = Duration::from_mins(10);
/// Up to this many objects are unpacked, so that small runs do not leave a pack each.
const LOOSE_MAX: u32 = 500;

/// Says of a path whether a run may write it.
pub type Allow<'a> = dyn Fn(&str) -> bool + Send + Sync + 'a;

/// What became of a run's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collected {
    /// It is in the vault, under `refs/runs/<run>`.
    Accepted {
        /// Its last commit; the start when the run changed nothing.
        head: String,
        /// Paths that differ between start and head.
        wrote: Vec<String>,
    },
    /// It touched paths it may not; all of it is kept under `refs/leftover/<run>`, none accepted.
    OutOfScope {
        /// Those paths.
        paths: Vec<String>,
    },
    /// The checkout is not a repository that can be accepted.
    Broken {
        /// Why.
        why: String,
    },
}

/// Work that a run left: where, since when, whose.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// Its checkout.
    pub dir: &'a Path,
    /// The commit it started from.
    pub start: &'a str,
    /// The task's artefact folder: what it holds is work although `.gitignore` covers it.
    pub folder: &'a str,
    /// The run.
    pub run: RunId,
    /// A directory of the service for temporary files; created when missing.
    pub scratch: &'a Path,
    /// Message of the commit for work that the agent did not commit.
    pub message: &'a str,
    /// Its author: the agent.
    pub who: &'a Identity,
    /// Its date; the same date on every call makes the answer the same.
    pub at: Millis,
}

impl Work<'_> {
    /// Creates the directory for temporary files.
    pub(super) async fn room(&self) -> Result<(), GitError> {
        let scratch = self.scratch.to_owned();
        blocking(move || std::fs::create_dir_all(&scratch).map_err(GitError::io(format!("cannot create {}", scratch.display())))).await
    }

    /// A place for an index. A name of its own: a git of a service that was killed may still be writing the one before.
    pub(super) fn index(&self) -> PathBuf {
        self.scratch.join(format!("index-{}-{}", self.run, uuid::Uuid::now_v7().simple()))
    }
}

/// A failure that is the agent's doing, or one of ours.
pub(super) enum Fault {
    Agent(String),
    Ours(GitError),
}

impl From<GitError> for Fault {
    fn from(error: GitError) -> Self {
        Self::Ours(error)
    }
}

impl Vault {
    /// Takes over a run's work, once all its processes are gone. `allow` says which paths the run
    /// may touch; `.signalbox` never. What is ignored stays away, but for what it may write of the
    /// artefact folder. Called again — after a crash, or with the checkout gone — it gives the same
    /// answer. Up to fourteen processes, seven when nothing was committed.
    ///
    /// # Errors
    /// Only failures of the service's own side; what the agent did is an answer.
    pub async fn collect(&self, work: Work<'_>, allow: &Allow<'_>) -> Result<Collected, GitError> {
        object_id(work.start)?;
        let (accepted, leftover) = (format!("refs/runs/{}", work.run), format!("refs/leftover/{}", work.run));
        let mut known = self.refs(&[&accepted, &leftover]).await?.into_iter();
        if let Some(head) = known.next().flatten() {
            return Ok(Collected::Accepted {
                wrote: self.changed(work.start, &head).await?,
                head,
            });
        }
        let head = match known.next().flatten() {
            Some(head) => head,
            None => match self.gather(work, allow, true).await {
                Ok(head) => head,
                // Ours, and over when there is room again, although git met it in the agent's files.
                Err(Fault::Agent(why)) if no_room(&why) => {
                    return Err(GitError::io("its work cannot be taken over")(
                        std::io::ErrorKind::StorageFull.into(),
                    ));
                }
                Err(Fault::Agent(what)) if short_for_now(&what) => {
                    let source = std::io::Error::other(what);
                    let what = "its work cannot be taken over".to_owned();
                    return Err(GitError::Io { what, source });
                }
                Err(Fault::Agent(why)) => return Ok(Collected::Broken { why }),
                Err(Fault::Ours(error)) => return Err(error),
            },
        };
        let wrote = match self.changed(work.start, &head).await {
            Err(GitError::TooLarge { .. }) => {
                return Ok(Collected::Broken {
                    why: "it touches more paths than can be listed".to_owned(),
                });
            }
            other => other?,
        };
        let paths: Vec<String> = wrote.iter().filter(|p| ours(p) || !allow(p)).cloned().collect();
        if !paths.is_empty() {
            self.point(&leftover, &head).await?;
            return Ok(Collected::OutOfScope { paths });
        }
        self.point(&accepted, &head).await?;
        Ok(Collected::Accepted { head, wrote })
    }

    /// Keeps whatever a failed run left, committed or not, under `refs/leftover/<run>`; gives that
    /// commit, or `None` when there was nothing. Best effort: what cannot be read is passed over.
    /// Up to thirteen processes.
    ///
    /// # Errors
    /// Only failures of the service's own side.
    pub async fn keep_leftovers(&self, work: Work<'_>, allow: &Allow<'_>) -> Result<Option<String>, GitError> {
        object_id(work.start)?;
        let leftover = format!("refs/leftover/{}", work.run);
        if let Some(kept) = self.reference(&leftover).await? {
            return Ok(Some(kept));
        }
        match self.gather(work, allow, false).await {
            Ok(head) if head != work.start => {
                self.point(&leftover, &head).await?;
                Ok(Some(head))
            }
            Ok(_) | Err(Fault::Agent(_)) => Ok(None),
            Err(Fault::Ours(error)) => Err(error),
        }
    }

    /// The run's head in the vault: its own commits, and one for the rest. When not `strict`, its
    /// own commits are passed over if they cannot be had.
    async fn gather(&self, work: Work<'_>, allow: &Allow<'_>, strict: bool) -> Result<String, Fault> {
        work.room().await?;
        let head = match self.commits(work).await {
            Err(Fault::Agent(_)) if !strict => work.start.to_owned(),
            other => other?,
        };
        self.snapshot(work, allow, &head, strict).await
    }

    /// The head of the agent's repository, imported and found to descend from the start.
    async fn commits(&self, work: Work<'_>) -> Result<String, Fault> {
        let (dir, objects) = (work.dir.to_owned(), self.objects());
        let head = blocking(move || Ok(agent::head(&dir, &objects))).await?.map_err(Fault::Agent)?;
        if head == work.start {
            return Ok(head);
        }
        if head.len() != work.start.len() {
            return Err(Fault::Agent("HEAD names a commit of another hash algorithm".to_owned()));
        }
        self.import(work, &head).await?;
        match self.is_ancestor(work.start, &head).await {
            Ok(true) => Ok(head),
            Ok(false) => Err(Fault::Agent(format!(
                "its history does not descend from {}, where it started",
                work.start
            ))),
            Err(GitError::Failed { stderr, .. }) => Err(Fault::Agent(format!("HEAD names no commit: {stderr}"))),
            Err(error) => Err(Fault::Ours(error)),
        }
    }

    /// Copies the objects between start and head. They are read with the vault as the repository
    /// and the agent's object directory as a mere alternate; what is written is written without it,
    /// so every object is hashed again, checked, and refused unless all it refers to is here.
    async fn import(&self, work: Work<'_>, head: &str) -> Result<(), Fault> {
        let pack = work.scratch.join(format!("import-{}.pack", work.run));
        let (mut file, sink) = blocking({
            let pack = pack.clone();
            move || open_pair(&pack).map_err(GitError::io(format!("cannot write {}", pack.display())))
        })
        .await?;
        let call = self.call("pack-objects").args(["--revs", "--stdout", "-q", "--delta-base-offset"]);
        let call = call
            .config("core.commitGraph=false")
            .config("core.multiPackIndex=false")
            .config("pack.useBitmaps=false")
            .config("pack.readReverseIndex=false");
        let call = call.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", quoted(&work.dir.join(".git/objects")));
        let call = call.stdin(format!("{head}\n^{}\n", work.start)).stdout_file(sink).timeout(PATIENCE);
        let packed = call.ok().await.map(drop);
        let result = match packed.map_err(blame("its commits cannot be read")) {
            Ok(()) => match object_count(&mut file) {
                Ok(0) => Ok(()),
                Ok(count) => self.unpack(file, count).await,
                Err(source) => Err(Fault::Ours(GitError::Io {
                    what: format!("cannot read {}", pack.display()),
                    source,
                })),
            },
            Err(fault) => Err(fault),
        };
        // A leftover file is overwritten by the next attempt and goes with the scratch directory.
        let _ = blocking(move || std::fs::remove_file(&pack).map_err(GitError::io("pack"))).await;
        result
    }

    async fn unpack(&self, pack: File, count: u32) -> Result<(), Fault> {
        let limit = format!("--max-input-size={IMPORT_MAX}");
        let call = if count <= LOOSE_MAX {
            self.call("unpack-objects").args(["-q", "--strict", &limit])
        } else {
            self.call("index-pack").args(["--stdin", "--fix-thin", "--strict", &limit])
        };
        call.stdin_file(pack)
            .timeout(PATIENCE)
            .ok()
            .await
            .map(drop)
            .map_err(blame("its commits cannot be accepted"))
    }

    /// Commits what is in the work tree but not in `head`; gives `head` when that is nothing.
    async fn snapshot(&self, work: Work<'_>, allow: &Allow<'_>, head: &str, strict: bool) -> Result<String, Fault> {
        let index = work.index();
        let with_index = |name| self.call(name).env("GIT_INDEX_FILE", &index);
        with_index("read-tree")
            .end()
            .arg(head)
            .ok()
            .await
            .map_err(blame("its last commit cannot be read"))?;
        let nested = self.absorb(work, head, &index).await?;
        let add = with_index("add")
            .work_tree(work.dir)
            .args(["-A", "--ignore-errors", "--pathspec-from-file=-", "--pathspec-file-nul"]);
        let out = add
            .stdin(pathspecs(&nested))
            .timeout(PATIENCE)
            .run()
            .await
            .map_err(blame("its files cannot be read"))?;
        if out.code != 0 && strict {
            return Err(Fault::Agent(format!("its files cannot be read: {}", printable(&out.stderr))));
        }
        match self.add_ignored(work, allow, &index, &nested).await {
            Err(Fault::Agent(_)) if !strict => {}
            other => other?,
        }
        let tree = one_id("write-tree", &with_index("write-tree").ok().await?)?;
        let commit = if tree == self.tree(head).await? {
            head.to_owned()
        } else {
            self.commit(&tree, &[head], work.message, work.who, work.at).await?
        };
        let _ = blocking(move || std::fs::remove_file(&index).map_err(GitError::io("index"))).await;
        Ok(commit)
    }
}

/// Whether the path belongs to the service.
pub(super) fn ours(path: &str) -> bool {
    path == ".signalbox" || path.starts_with(".signalbox/")
}

/// git's own failure and its running out of time are the doing of what it was given to read.
pub(super) fn blame(what: &'static str) -> impl FnOnce(GitError) -> Fault {
    move |error| match error {
        GitError::Failed { stderr, .. } => Fault::Agent(format!("{what}: {stderr}")),
        GitError::Timeout { .. } | GitError::TooLarge { .. } => Fault::Agent(format!("{what}: {error}")),
        other => Fault::Ours(other),
    }
}

/// Everything but the service's own folder and repositories within.
fn pathspecs(nested: &[Vec<u8>]) -> Vec<u8> {
    let mut specs = b":(top)\0".to_vec();
    for path in std::iter::once(&b".signalbox"[..]).chain(nested.iter().map(Vec::as_slice)) {
        for below in [&b""[..], b"/**"] {
            specs.extend_from_slice(b":(top,exclude,glob)");
            specs.extend(pattern(path));
            specs.extend_from_slice(below);
            specs.push(0);
        }
    }
    specs
}

/// A pattern that matches this path only, and begins with a wildcard: of excluded paths that are
/// spelled out git complains when `.gitignore` covers them.
fn pattern(path: &[u8]) -> Vec<u8> {
    let Some((first, rest)) = path.split_first() else {
        return Vec::new();
    };
    let mut out = vec![b'[', b'\\', *first, b']'];
    for byte in rest {
        if matches!(byte, b'*' | b'?' | b'[' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

/// One handle to read the file from its beginning, one to write it.
fn open_pair(path: &Path) -> std::io::Result<(File, File)> {
    let _ = std::fs::remove_file(path);
    let sink = File::options().write(true).create_new(true).open(path)?;
    Ok((File::open(path)?, sink))
}

/// The number of objects in a pack; the handle is left at its beginning.
fn object_count(pack: &mut File) -> std::io::Result<u32> {
    let mut header = [0; 12];
    pack.read_exact(&mut header)?;
    pack.rewind()?;
    let [.., a, b, c, d] = header;
    Ok(u32::from_be_bytes([a, b, c, d]))
}

/// A path as git's list of alternates quotes it.
fn quoted(path: &Path) -> OsString {
    let mut out = vec![b'"'];
    for byte in PathBuf::from(path).into_os_string().into_vec() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
    OsString::from_vec(out)
}
