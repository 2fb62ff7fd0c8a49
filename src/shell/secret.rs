//! Secrets: read where the configuration says they are, never printed, never stored.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use crate::engine::rules;

/// Longest secret, in bytes: a file that is larger is not a secret.
const LONGEST: usize = 16 * 1024;

/// Every secret that this process has read: what is masked wherever others' words are kept.
static KNOWN: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// The values of all secrets that were read so far.
#[must_use]
pub fn known() -> Vec<String> {
    KNOWN.read().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
}

/// A secret's value. It does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Reads it: from the service's environment, or from a file, relative to the configuration's
    /// folder `dir` unless absolute. White space around it, and a byte order mark before it, are not part of it.
    ///
    /// # Errors
    /// One sentence with the remedy; never the value.
    pub fn read(from: &rules::Secret, dir: &Path) -> Result<Self, String> {
        let text = match from {
            rules::Secret::Env(name) => std::env::var(name).map_err(|_| format!("set the variable {name} for the service"))?,
            rules::Secret::File(path) => {
                let path = dir.join(path);
                std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?
            }
        };
        let place = match from {
            rules::Secret::Env(name) => format!("the variable {name}"),
            rules::Secret::File(path) => path.clone(),
        };
        // Some editors begin a file with a mark that nobody sees.
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Err(format!("{place} is empty"));
        }
        if text.len() > LONGEST || text.chars().any(char::is_control) {
            return Err(format!(
                "{place} does not hold a secret: it is longer than 16 KiB or has several lines"
            ));
        }
        KNOWN.write().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned());
        Ok(Self(text.to_owned()))
    }

    /// A secret at hand.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The value, for the header or key that it is meant for.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// `text` without the secret, should it stand there.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        text.replace(&self.0, "***")
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_from_a_file_beside_the_configuration() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "  abc\n").unwrap();
        let secret = Secret::read(&rules::Secret::File("token".to_owned()), dir.path()).unwrap();
        assert_eq!(secret.reveal(), "abc");
        assert!(known().contains(&"abc".to_owned()));
        assert_eq!(secret.scrub("x abc y"), "x *** y");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn what_is_no_secret_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| Secret::read(&rules::Secret::File(name.to_owned()), dir.path()).unwrap_err();
        std::fs::write(dir.path().join("empty"), "\n").unwrap();
        std::fs::write(dir.path().join("lines"), "a\nb").unwrap();
        std::fs::write(dir.path().join("marked"), "\u{feff}a-key-of-forty\r\n").unwrap();
        let marked = Secret::read(&rules::Secret::File("marked".to_owned()), dir.path()).unwrap();
        assert_eq!(marked.reveal(), "a-key-of-forty");
        assert!(file("empty").contains("is empty"));
        assert!(file("lines").contains("several lines"));
        assert!(file("missing").contains("missing"));
        let unset = Secret::read(&rules::Secret::Env("SIGNALBOX_NO_SUCH_VARIABLE".to_owned()), dir.path());
        assert!(unset.unwrap_err().contains("SIGNALBOX_NO_SUCH_VARIABLE"));
    }
}
