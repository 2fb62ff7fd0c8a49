//! Names that reach git: object ids, branch names, identities.

use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::error::{GitError, printable};

/// Checks that the text is a full object id (SHA-1 or SHA-256, lower case).
///
/// # Errors
/// [`GitError::BadId`].
pub fn object_id(text: &str) -> Result<&str, GitError> {
    let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if digits && matches!(text.len(), 40 | 64) {
        Ok(text)
    } else {
        Err(GitError::BadId(printable(text.as_bytes())))
    }
}

/// Says which rule a short branch name breaks: those of `git check-ref-format --branch`, and a
/// length that leaves room for lock files.
///
/// # Errors
/// The rule, as a clause.
pub fn branch_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("it is empty");
    }
    if name.len() > 240 {
        return Err("it is longer than 240 bytes");
    }
    if name.starts_with('-') {
        return Err("it begins with `-`");
    }
    if name == "@" || name == "HEAD" || name.starts_with("refs/") {
        return Err("git gives that name a meaning of its own");
    }
    if name.contains("..") || name.contains("@{") {
        return Err("it contains `..` or `@{`");
    }
    if name
        .chars()
        .any(|c| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\'))
    {
        return Err("it contains a space, a control character or one of ~ ^ : ? * [ \\");
    }
    if name.ends_with('.') {
        return Err("it ends with `.`");
    }
    for part in name.split('/') {
        if part.is_empty() {
            return Err("it begins or ends with `/` or contains `//`");
        }
        if part.starts_with('.') {
            return Err("a part of it begins with `.`");
        }
        if part.to_ascii_lowercase().ends_with(".lock") {
            return Err("a part of it ends with `.lock`");
        }
    }
    Ok(())
}

/// A branch that the service may push to and delete: legal, not the default, not protected.
/// There is no other way to push, so a push to a protected branch does not compile.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaskBranch(String);

impl TaskBranch {
    /// Checks the short name against the default branch and the protected patterns (globs in
    /// which `*` also matches `/`; letter case does not matter).
    ///
    /// # Errors
    /// [`GitError::Name`], saying which rule it breaks or which pattern is none.
    pub fn new(short: &str, default: &str, protected: &[String]) -> Result<Self, GitError> {
        let refuse = |why: String| GitError::Name {
            name: printable(short.as_bytes()),
            why,
        };
        branch_name(short).map_err(|why| refuse(why.to_owned()))?;
        if short.eq_ignore_ascii_case(default) {
            return Err(refuse("it is the default branch".to_owned()));
        }
        let patterns = patterns(protected).map_err(|e| refuse(format!("a protected pattern cannot be read: {e}")))?;
        match patterns.matches(short).first().and_then(|i| protected.get(*i)) {
            Some(pattern) => Err(refuse(format!("it matches the protected pattern `{pattern}`"))),
            None => Ok(Self(short.to_owned())),
        }
    }

    /// The short name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full name, `refs/heads/…`.
    #[must_use]
    pub fn full(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

impl fmt::Display for TaskBranch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn patterns(globs: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        set.add(GlobBuilder::new(glob).case_insensitive(true).literal_separator(false).build()?);
    }
    set.build()
}

/// Who a commit is by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name.
    pub name: String,
    /// Address.
    pub email: String,
}

impl Identity {
    /// The name as git accepts it: without angle brackets and control characters, never empty.
    pub(crate) fn clean_name(&self) -> String {
        clean(&self.name, "signalbox")
    }

    /// The address as git accepts it.
    pub(crate) fn clean_email(&self) -> String {
        clean(&self.email, "signalbox@localhost")
    }
}

fn clean(text: &str, otherwise: &str) -> String {
    let kept: String = text.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).collect();
    // git strips these from both ends and refuses a name of nothing else.
    let kept = kept.trim_matches(|c: char| c.is_whitespace() || matches!(c, '.' | ',' | ':' | ';' | '"' | '\\' | '\''));
    if kept.is_empty() { otherwise.to_owned() } else { kept.to_owned() }
}
