//! A key or token that a peer refuses. Whatever is to be launched waits as for an outage, says which secret it is and where
//! that is read from, and operators are told once, until it works again.

use crate::engine::model::{JobKind, Name};
use crate::engine::rules::{self, Config, Secret};
use crate::shell::clock;
use crate::shell::service::Service;
use crate::shell::store::{RunRow, StoreError};

/// Who refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The tracker refuses the key.
    Tracker,
    /// The forge refuses the token.
    Forge,
}

impl Peer {
    fn as_str(self) -> &'static str {
        match self {
            Self::Tracker => "tracker",
            Self::Forge => "forge",
        }
    }

    /// Under which key people are told.
    fn notice(self, project: &Name) -> String {
        format!("refused-{}-{project}", self.as_str())
    }
}

/// Where a secret is read from, in words.
#[must_use]
pub fn place(secret: &Secret) -> String {
    match secret {
        Secret::Env(name) => format!("the variable {name} of the service"),
        Secret::File(path) => format!("the file {path}"),
    }
}

/// What is to be done about a tracker's key. What git says of a forge's token has it already: see [`crate::shell::git::Auth::read_from`].
#[must_use]
pub fn remedy(config: &Config, project: &Name, peer: Peer) -> Option<String> {
    let rules::Tracker::Plane(plane) = &config.projects.get(project)?.tracker else {
        return None;
    };
    (peer == Peer::Tracker).then(|| {
        format!(
            "`projects.{project}.tracker.token` is read from {} when the service starts: with another key there, restart it",
            place(&plane.token)
        )
    })
}

/// Operators are told once that nothing can be launched.
pub async fn tell(service: &Service, run: &RunRow, peer: Peer, why: &str) {
    let told = async {
        let Some(task) = service.store.task(run.task).await? else {
            return Ok(false);
        };
        let text = format!(
            "{}: the {} refuses the service's key, and nothing of project {} is launched: {why}. What waits goes on by itself when it works again",
            task.item,
            peer.as_str(),
            task.project
        );
        service.store.raise(&peer.notice(&task.project), task.id, &text, clock::now()).await
    };
    if let Err(error) = told.await {
        tracing::warn!(run = %run.id, %error, "a refused key could not be told");
    }
}

/// All that a launch needs of the peers was had: whoever was told that a key is refused is told that it works.
///
/// # Errors
/// As all of the store.
pub async fn accepted(service: &Service, project: &Name, kind: JobKind) -> Result<(), StoreError> {
    // The command of a gate is launched without a word to the tracker.
    let asked = if kind == JobKind::Agent {
        &[Peer::Forge, Peer::Tracker][..]
    } else {
        &[Peer::Forge]
    };
    let notices = service.store.notices().await?;
    for peer in asked {
        let key = peer.notice(project);
        if notices.iter().any(|n| n.key == key) {
            let text = format!("the {} of project {project} accepts the service's key again", peer.as_str());
            service.store.lower(&key, Some(&text), clock::now()).await?;
        }
    }
    Ok(())
}
