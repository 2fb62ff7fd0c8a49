//! How a conversation with the server can fail: one variant per reaction of the caller.

/// Why the server did not do what was asked. It never holds the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GiteaError {
    /// Nobody answers, or the conversation was cut off: whether it happened is unknown.
    #[error("the forge does not answer ({what}): {why}")]
    Unreachable {
        /// What was asked.
        what: String,
        /// The innermost reason.
        why: String,
    },
    /// No answer within the time limit: whether it happened is unknown.
    #[error("the forge does not answer within {seconds} s ({what})")]
    Timeout {
        /// What was asked.
        what: String,
        /// The limit.
        seconds: u64,
    },
    /// 401: it does not know the token.
    #[error("the forge refuses the token ({what}): give the project's `token` a valid one")]
    Unauthorized {
        /// What was asked.
        what: String,
    },
    /// 403: the token may not do this.
    #[error(
        "the forge forbids it ({what}): {message}; the token needs the scopes write:repository, write:issue and read:user, and its user write access"
    )]
    Forbidden {
        /// What was asked.
        what: String,
        /// The server's words.
        message: String,
    },
    /// 404: absent, or hidden from the token's user.
    #[error("the forge has no such thing ({what}): {message}")]
    NotFound {
        /// What was asked.
        what: String,
        /// The server's words.
        message: String,
    },
    /// 409: it is in another state than the request supposes.
    #[error("the forge is in another state ({what}): {message}")]
    Conflict {
        /// What was asked.
        what: String,
        /// The server's words.
        message: String,
    },
    /// 422: it makes no sense to the server.
    #[error("the forge cannot take it ({what}): {message}")]
    Unprocessable {
        /// What was asked.
        what: String,
        /// The server's words.
        message: String,
    },
    /// Any other status without success.
    #[error("the forge answers {status} ({what}): {message}")]
    Status {
        /// What was asked.
        what: String,
        /// HTTP status.
        status: u16,
        /// The server's words.
        message: String,
    },
    /// An answer that is not understood.
    #[error("the forge's answer is not understood ({what}): {why}")]
    Malformed {
        /// What was asked.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// No client can be made.
    #[error("no client for the forge can be made: {0}")]
    Client(String),
}

impl GiteaError {
    /// The error that a status without success is.
    pub(super) fn of_status(what: &str, status: u16, message: String) -> Self {
        let what = what.to_owned();
        match status {
            401 => Self::Unauthorized { what },
            403 => Self::Forbidden { what, message },
            404 => Self::NotFound { what, message },
            409 => Self::Conflict { what, message },
            422 => Self::Unprocessable { what, message },
            300..=399 => Self::Status {
                what,
                status,
                message: "it redirects: name the repository (`owner`, `repo`) as it is called now, if it was renamed or moved, and the server (`url`) as it names itself".to_owned(),
            },
            _ => Self::Status { what, status, message },
        }
    }
}
