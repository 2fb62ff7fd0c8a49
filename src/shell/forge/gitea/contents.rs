//! Files of a repository, read over the API: where there is no vault at hand.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::client::Client;
use super::error::GiteaError;
use super::wire::{Branch, Statuses, or_empty};
use super::{branch_path, verdicts};

/// What lies at a path: one file, or what is in a folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Contents {
    /// A folder; its files come without their text.
    Folder(Vec<Entry>),
    /// A file, or something else that is none: a link, a submodule.
    One(Entry),
}

/// An entry of a folder.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Entry {
    /// Last part of its path.
    #[serde(default, deserialize_with = "or_empty")]
    pub name: String,
    /// Whole path.
    #[serde(default, deserialize_with = "or_empty")]
    pub path: String,
    /// `file`, `dir`, `symlink`, `submodule`.
    #[serde(default, rename = "type", deserialize_with = "or_empty")]
    pub kind: String,
    /// How `content` is written down: `base64`, or nothing where there is none.
    #[serde(default, deserialize_with = "or_empty")]
    pub encoding: String,
    /// The file's bytes.
    #[serde(default, deserialize_with = "or_empty")]
    pub content: String,
}

impl Entry {
    /// The text of a file; `None` where the server sent none, or it is no text.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        if self.kind != "file" || self.encoding != "base64" {
            return None;
        }
        // Some servers break the lines of it.
        let packed: String = self.content.split_whitespace().collect();
        String::from_utf8(STANDARD.decode(packed).ok()?).ok()
    }
}

impl Client {
    /// What lies at a path of a branch; `None` when nothing does.
    ///
    /// # Errors
    /// The server.
    pub async fn contents(&self, path: &str, branch: &str) -> Result<Option<Contents>, GiteaError> {
        let segments: Vec<&str> = std::iter::once("contents")
            .chain(path.split('/').filter(|s| !s.is_empty()))
            .collect();
        match self.find(&segments, &[("ref", branch)]).await {
            Ok(found) => Ok(Some(found)),
            Err(GiteaError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Contexts of the statuses that the branch's commit has; none where there is no such branch.
    ///
    /// # Errors
    /// The server.
    pub async fn reported(&self, branch: &str) -> Result<Vec<String>, GiteaError> {
        let commit = match self.get::<Branch>(&branch_path(branch)).await {
            Ok(found) => found.commit.id,
            Err(GiteaError::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut all = Vec::new();
        let take = |page: Statuses| {
            let count = page.statuses.len();
            all.extend(page.statuses);
            (count, false)
        };
        self.pages(&["commits", &commit, "status"], &[], take).await?;
        Ok(verdicts::checks(all).into_iter().map(|check| check.context).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_a_folder_are_told_apart_and_a_text_is_read() {
        let file = r#"{"name":"ci.yml","path":".gitea/workflows/ci.yml","type":"file","encoding":"base64","content":"bmFtZTog\nQ0kK"}"#;
        let Contents::One(entry) = serde_json::from_str(file).unwrap() else {
            panic!("no folder");
        };
        assert_eq!(entry.text().as_deref(), Some("name: CI\n"));
        let folder = r#"[{"name":"ci.yml","path":"a/ci.yml","type":"file","encoding":null,"content":null},{"name":"b","type":"dir"}]"#;
        let Contents::Folder(entries) = serde_json::from_str(folder).unwrap() else {
            panic!("a folder");
        };
        assert_eq!((entries.len(), entries[0].text(), entries[1].kind.as_str()), (2, None, "dir"));
        for odd in ["%%%", "/w=="] {
            let entry = Entry {
                kind: "file".to_owned(),
                encoding: "base64".to_owned(),
                content: odd.to_owned(),
                ..Entry::default()
            };
            assert_eq!(entry.text(), None, "{odd}");
        }
    }
}
