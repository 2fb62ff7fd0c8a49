//! Comments below a pull request.
//!
//! To the server a pull request is an issue: its comments are those of the issue of its number. The list of them comes whole,
//! whatever page and limit are asked for.

use reqwest::Method;
use serde_json::json;

use super::Gitea;
use super::error::GiteaError;
use super::wire::Comment;

/// A comment that is written once, whoever repeats the request.
#[derive(Debug, Clone, Copy)]
pub struct Note<'a> {
    /// What it is about, `stopped t7`: the comment carries it where people do not see it.
    pub key: &'a str,
    /// Its text, Markdown.
    pub text: &'a str,
}

impl Note<'_> {
    /// Stands in the text as a comment of HTML, which the server keeps and does not show.
    fn marker(&self) -> String {
        format!("<!-- signalbox: {} -->", self.key)
    }
}

impl Gitea {
    /// Writes the note below a request, unless the token's user has done so before.
    ///
    /// # Errors
    /// The server; whether it was written is then unknown, and asking again is harmless.
    pub(super) async fn note(&self, number: i64, note: &Note<'_>) -> Result<(), GiteaError> {
        let (number, marker) = (number.to_string(), note.marker());
        let path = ["issues", number.as_str(), "comments"];
        let me = self.me().await?;
        let all: Vec<Comment> = self.client.get(&path).await?;
        // Somebody who quotes it has not written it.
        let mine = |c: &Comment| c.user.as_ref().is_some_and(|u| u.login.eq_ignore_ascii_case(me));
        if all.iter().any(|c| mine(c) && c.body.contains(&marker)) {
            return Ok(());
        }
        let body = json!({"body": format!("{}\n\n{marker}", note.text)});
        self.client.write::<Comment>(Method::POST, &path, &body).await.map(drop)
    }
}
