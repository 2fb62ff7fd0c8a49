//! What a commit is about, whatever its artefacts say.
//!
//! The subject covers every tree object from the root down to the artefact folder, each without
//! the entry that leads on towards it. A folder that held nothing but the artefacts counts as
//! absent, as git itself has no empty folders. SHA-256, since no one looks the subject up in git.

use sha2::{Digest, Sha256};

use super::bare::{Bare, inner_path};
use super::error::GitError;

/// One `cat-file --batch` for all trees on the way.
pub(super) async fn compute(bare: &Bare, sha: &str, artefacts: &str) -> Result<String, GitError> {
    let parts: Vec<&str> = inner_path(artefacts).map(|p| p.split('/').collect()).unwrap_or_default();
    let mut wanted = format!("{sha}^{{tree}}\0");
    for depth in 1..=parts.len() {
        wanted.push_str(&format!("{sha}:{}\0", parts[..depth].join("/")));
    }
    let out = bare.call("cat-file").args(["--batch", "-z"]).stdin(wanted).ok().await?;
    let trees = parse(&out).ok_or_else(|| GitError::Odd {
        command: "cat-file".to_owned(),
        what: format!("no tree for {sha}"),
    })?;
    let hash_len = sha.len() / 2;
    let mut digest = Sha256::new();
    for (depth, tree) in trees.iter().enumerate() {
        // The folder itself is the last of the trees: nothing of it counts.
        if depth == parts.len() {
            break;
        }
        // Only a folder leads on: a file of that name stays part of the subject.
        let leads_on = trees.get(depth + 1).and(parts.get(depth));
        let rest = without(tree, hash_len, leads_on.map(|name| name.as_bytes())).ok_or_else(|| GitError::Odd {
            command: "cat-file".to_owned(),
            what: format!("a damaged tree in {sha}"),
        })?;
        if depth == 0 || !rest.is_empty() {
            digest.update(u64::try_from(depth).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(u64::try_from(rest.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(&rest);
        }
    }
    if parts.is_empty() {
        digest.update(trees.first().map(Vec::as_slice).unwrap_or_default());
    }
    Ok(hex::encode(digest.finalize()))
}

/// The leading trees of the answer: the first must be there, the others up to the first that is
/// missing or no tree.
fn parse(out: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut trees = Vec::new();
    let mut rest = out;
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let head = String::from_utf8_lossy(rest.get(..end)?);
        let mut words = head.rsplit(' ');
        let (Some(size), Some("tree")) = (words.next().and_then(|w| w.parse::<usize>().ok()), words.next()) else {
            break;
        };
        let body = rest.get(end + 1..)?;
        trees.push(body.get(..size)?.to_vec());
        rest = body.get(size + 1..)?;
    }
    (!trees.is_empty()).then_some(trees)
}

/// The tree's entries without the one of this name.
fn without(tree: &[u8], hash_len: usize, name: Option<&[u8]>) -> Option<Vec<u8>> {
    let mut kept = Vec::with_capacity(tree.len());
    let mut rest = tree;
    while !rest.is_empty() {
        let space = rest.iter().position(|b| *b == b' ')?;
        let nul = space + rest.get(space..)?.iter().position(|b| *b == 0)?;
        let end = nul + 1 + hash_len;
        let entry = rest.get(..end)?;
        if name.is_none_or(|name| rest.get(space + 1..nul) != Some(name)) {
            kept.extend_from_slice(entry);
        }
        rest = rest.get(end..)?;
    }
    Some(kept)
}
