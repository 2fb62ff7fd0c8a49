//! Credential files in a fresh HOME: links to the service's own, by an allow-list.

use std::path::{Path, PathBuf};

/// Links `files`, paths below the service's HOME, into the folder `home`. What is not there is left
/// out: an agent may have its credentials from a variable instead. Links, not copies: agents renew
/// their tokens, and a renewed one makes the old one void.
///
/// # Errors
/// The path that could not be made, and what the system said.
pub async fn link(files: &[String], home: &Path) -> Result<(), (PathBuf, std::io::Error)> {
    let Some(own) = std::env::var_os("HOME").map(PathBuf::from) else {
        return Ok(());
    };
    link_from(&own, files, home).await
}

async fn link_from(own: &Path, files: &[String], home: &Path) -> Result<(), (PathBuf, std::io::Error)> {
    for file in files {
        let (from, to) = (own.join(file), home.join(file));
        if !tokio::fs::try_exists(&from).await.unwrap_or(false) {
            continue;
        }
        if let Some(parent) = to.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(|e| (parent.to_owned(), e))?;
        }
        match tokio::fs::symlink(&from, &to).await {
            // A launch that was repeated.
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err((to, error)),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_listed_and_there_is_linked() -> std::io::Result<()> {
        let (own, home) = (tempfile::tempdir()?, tempfile::tempdir()?);
        std::fs::create_dir(own.path().join(".codex"))?;
        std::fs::write(own.path().join(".codex/auth.json"), "token")?;
        std::fs::write(own.path().join(".ssh"), "key")?;
        let files = [".codex/auth.json".to_owned(), ".gemini/oauth_creds.json".to_owned()];
        for _ in 0..2 {
            assert!(
                link_from(own.path(), &files, home.path()).await.is_ok(),
                "a second launch does no harm"
            );
        }
        assert_eq!(std::fs::read_to_string(home.path().join(".codex/auth.json"))?, "token");
        let there: Vec<_> = std::fs::read_dir(home.path())?.flatten().map(|e| e.file_name()).collect();
        assert_eq!(there, [".codex"], "nothing else of the service's own home");
        Ok(())
    }
}
