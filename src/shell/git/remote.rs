//! Where a repository comes from, and how the service shows who it is there.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;

use super::command::Call;
use super::error::{GitError, printable};
use super::names::branch_name;

/// A repository that is fetched from and pushed to.
#[derive(Debug, Clone)]
pub struct Remote {
    url: String,
    default_branch: String,
    auth: Option<Auth>,
}

impl Remote {
    /// Checks the URL against the allow-list — `https://`, `http://`, `ssh://`, `user@host:path`, an
    /// absolute path — and the default branch's name.
    ///
    /// # Errors
    /// [`GitError::BadRemote`]: another scheme, credentials in the URL, a header where none is sent.
    pub fn new(url: &str, default_branch: &str, auth: Option<Auth>) -> Result<Self, GitError> {
        let bad = |why: &str| GitError::BadRemote {
            url: without_user(url),
            why: why.to_owned(),
        };
        branch_name(default_branch).map_err(|why| bad(&format!("its default branch `{}`: {why}", printable(default_branch.as_bytes()))))?;
        if url.chars().any(char::is_control) || url.starts_with('-') {
            return Err(bad("it holds a control character or begins with `-`"));
        }
        let web = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if let Some(rest) = web {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            if host.contains('@') {
                return Err(bad(
                    "a user name or password stands in it; give the credential by `env` or `file` instead",
                ));
            }
            if host.is_empty() {
                return Err(bad("it names no host"));
            }
        } else if auth.is_some() {
            return Err(bad("a token can be sent over http and https only"));
        } else if !(url.starts_with("ssh://") || url.starts_with('/') || scp_like(url)) {
            return Err(bad("allowed are https://…, http://…, ssh://…, user@host:path and an absolute path"));
        }
        Ok(Self {
            url: url.to_owned(),
            default_branch: default_branch.to_owned(),
            auth,
        })
    }

    /// The URL or path.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The default branch, short name.
    #[must_use]
    pub fn default_branch(&self) -> &str {
        &self.default_branch
    }

    /// The path, where it is one.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.url.starts_with('/').then(|| PathBuf::from(&self.url))
    }

    /// Lets the command talk to this remote. The credential travels in the environment, not in
    /// the arguments, which every user of the machine can read; it is sent to this URL only.
    pub(crate) fn reach(&self, call: Call, trust: &Path) -> Call {
        let mut call = call.network();
        if self.path().is_some() {
            // The far side is a process of ours in a repository that may belong to someone else.
            call = call.env("GIT_CONFIG_GLOBAL", trust);
        }
        match &self.auth {
            None => call,
            Some(auth) => call
                .env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", format!("http.{}.extraHeader", self.url))
                .env("GIT_CONFIG_VALUE_0", &auth.line),
        }
    }

    /// The error that a failed conversation is.
    pub(crate) fn failed(&self, stderr: &[u8]) -> GitError {
        let why = printable(stderr);
        if let (Some(auth), Some(refusal)) = (&self.auth, refusal(&why)) {
            return GitError::Denied {
                remote: self.url.clone(),
                why: refusal,
                from: auth.from.clone(),
            };
        }
        GitError::Remote {
            remote: self.url.clone(),
            why: if why.is_empty() { "no reason given".to_owned() } else { why },
        }
    }
}

/// What git says where a server refuses the credential that was sent along: it would ask for another one, and may not.
fn refusal(words: &str) -> Option<&'static str> {
    let says = |these: &[&str]| these.iter().any(|text| words.contains(text));
    if says(&[
        "could not read Username",
        "could not read Password",
        "Authentication failed",
        "returned error: 401",
    ]) {
        return Some("it is unknown there, or no longer valid");
    }
    // Servers hide what a user may not see; either way it takes a person.
    if says(&["returned error: 404"]) || says(&["fatal: repository '"]) && says(&["' not found"]) {
        return Some("there is no such repository, or its user may not see it: look at the project's `forge`, too");
    }
    says(&["returned error: 403"]).then_some("its user may not do this there")
}

/// `user@host:path`: a colon before any slash, and nothing that git reads as `helper::address`.
fn scp_like(url: &str) -> bool {
    url.split_once(':').is_some_and(|(host, path)| {
        host.contains('@')
            && !host.contains('/')
            && !host.starts_with('@')
            && !path.is_empty()
            && !path.starts_with(':')
            && !path.starts_with("//")
    })
}

fn without_user(url: &str) -> String {
    let url = printable(url.as_bytes());
    match url.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('/') {
            Some((host, path)) => format!("{scheme}://{}/{path}", host.rsplit('@').next().unwrap_or_default()),
            None => format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default()),
        },
        None => url,
    }
}

/// An HTTP header that shows who the service is. It does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    /// The header.
    line: String,
    /// Where it is read from, for people.
    from: String,
}

impl Auth {
    /// User name and password, or user name and token.
    #[must_use]
    pub fn basic(user: &str, secret: &str) -> Self {
        let coded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{secret}"));
        Self::of(format!("Authorization: Basic {coded}"))
    }

    fn of(line: String) -> Self {
        let from = "see the project's `forge`".to_owned();
        Self { line, from }
    }

    /// The same, with words that say where it is read from.
    #[must_use]
    pub fn read_from(self, from: impl Into<String>) -> Self {
        Self { from: from.into(), ..self }
    }

    /// A complete header line, `Name: value`; `None` when it is not one line of that shape.
    #[must_use]
    pub fn header(line: &str) -> Option<Self> {
        let sound = line.contains(": ") && !line.chars().any(char::is_control);
        sound.then(|| Self::of(line.to_owned()))
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth(…)")
    }
}
