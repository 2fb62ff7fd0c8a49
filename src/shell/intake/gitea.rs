//! What Gitea tells. Each delivery only says where to look: the tasks concerned are poked, and the
//! state is read from the forge when they are decided.

mod read;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::engine::model::{Actor, Body, FactKey, Name, Task};
use crate::engine::rules;
use crate::engine::step;
use crate::shell::service::{Project, Service};
use crate::shell::store::{DeliveryRow, NewEvent, StoreError, Target};
use crate::shell::{clock, sweep};

use super::Understood;
use read::{About, Told};

/// Reads a delivery and does what follows from it.
///
/// # Errors
/// The database.
pub(super) async fn understand(service: &Arc<Service>, delivery: &DeliveryRow) -> Result<Understood, StoreError> {
    let told = match read::read(&delivery.event, &delivery.body) {
        Ok(told) => told,
        Err(why) => return Ok(Understood::Nothing(why)),
    };
    let Some((name, branch)) = project_of(service, delivery, &told) else {
        let of = format!("{}/{}", told.owner, told.repo);
        tracing::warn!(delivery = delivery.id, repository = %of, "a delivery about a repository that no project has");
        return Ok(Understood::Nothing(format!("no project has the repository {of}")));
    };
    let Some(project) = service.projects.get(&name) else {
        return Ok(Understood::Nothing(format!("project `{name}` is not open")));
    };
    let mut hint = Hint {
        service,
        project,
        delivery,
        tasks: service.store.tasks(false).await?,
    };
    hint.tasks.retain(|t| t.project == name);
    hint.follow(&told, &branch).await
}

/// The project whose repository it is, among those whose secret signed it, and its default branch.
fn project_of(service: &Service, delivery: &DeliveryRow, told: &Told) -> Option<(Name, String)> {
    let config = service.config();
    delivery.projects.iter().find_map(|name| match &config.projects.get(name)?.forge {
        rules::Forge::Gitea(at) if at.owner.eq_ignore_ascii_case(&told.owner) && at.repo.eq_ignore_ascii_case(&told.repo) => {
            Some((name.clone(), at.default_branch.clone()))
        }
        _ => None,
    })
}

/// A delivery and where it may lead.
struct Hint<'a> {
    service: &'a Arc<Service>,
    project: &'a Project,
    delivery: &'a DeliveryRow,
    /// Tasks of the project that are not over.
    tasks: Vec<Task>,
}

impl Hint<'_> {
    async fn follow(&self, told: &Told, default: &str) -> Result<Understood, StoreError> {
        let ours = self.ours(&told.sender).await;
        match &told.about {
            About::Nothing(why) => Ok(Understood::Nothing((*why).to_owned())),
            About::Pushed { branch, sha } if branch == default => self.base_moved(sha).await,
            About::Pushed { branch, sha } => self.pushed(branch, sha, ours).await,
            About::Deleted { branch } => {
                self.branch(branch, &format!("branch {branch} was deleted on the forge"), true)
                    .await
            }
            // Whoever it is said to come from: CI that our own push set off speaks in our name, and
            // the service itself writes no status.
            About::Checked { sha, what } => self.checked(sha, what).await,
            _ if ours => Ok(Understood::Nothing("the service's own doing".to_owned())),
            About::Pull { branch, what } => self.branch(branch, what, true).await,
            About::Reviewed { branch, what } => self.branch(branch, what, false).await,
        }
    }

    /// Whether the token's own user did it. While the server does not say who that is, nobody is:
    /// a look too many changes nothing.
    async fn ours(&self, sender: &str) -> bool {
        let Some(api) = self.project.forge.gitea() else { return false };
        match api.me().await {
            Ok(me) => me.eq_ignore_ascii_case(sender),
            Err(error) => {
                tracing::warn!(%error, "the forge does not say who the service is to it");
                false
            }
        }
    }

    /// A push by the service's token is the service's own only if it recorded the commit: people
    /// may share the account.
    async fn pushed(&self, branch: &str, sha: &str, ours: bool) -> Result<Understood, StoreError> {
        for task in self.tasks.iter().filter(|t| ours && t.branch == branch) {
            if self.service.store.pushed(task.id, sha).await? {
                return Ok(Understood::Nothing("the service's own push".to_owned()));
            }
        }
        self.branch(branch, "a push on the forge", false).await
    }

    async fn base_moved(&self, sha: &str) -> Result<Understood, StoreError> {
        let concerned = self.reading(&FactKey::Mergeable).await;
        let what = format!("the default branch moved to {}", sha.get(..10).unwrap_or(sha));
        self.poke(&concerned, &what).await
    }

    async fn branch(&self, branch: &str, what: &str, refresh: bool) -> Result<Understood, StoreError> {
        let concerned: Vec<&Task> = self.tasks.iter().filter(|t| t.branch == branch).collect();
        if concerned.is_empty() {
            return Ok(Understood::Nothing(format!("no task under way has the branch {branch}")));
        }
        for task in &concerned {
            // What failed for the branch's sake may find it mended.
            self.service.store.effects_now(task.id, clock::now()).await?;
        }
        // What people are shown follows at once; what is decided is read when it is decided.
        if refresh && let Err(error) = self.project.forge.refresh(branch).await {
            tracing::warn!(branch, %error, "its pull request could not be looked at");
        }
        self.poke(&concerned, what).await
    }

    /// A check names a commit and no branch (B-ADV 6): it is looked for among recorded heads, then
    /// on the forge; else it is taken for the only task that waits for checks, if there is one only.
    async fn checked(&self, sha: &str, what: &str) -> Result<Understood, StoreError> {
        let mut concerned: Vec<&Task> = Vec::new();
        for task in &self.tasks {
            let head = task.ledger.head.as_ref().is_some_and(|h| h.sha == sha);
            if head || self.service.store.pushed(task.id, sha).await? {
                concerned.push(task);
            }
        }
        if concerned.is_empty()
            && let Some(api) = self.project.forge.gitea()
        {
            for task in self.tasks.iter().filter(|t| !t.branch.is_empty()) {
                match api.branch_commit(&task.branch).await {
                    Ok(Some(now)) if now == sha => concerned.push(task),
                    Ok(_) => {}
                    Err(error) => return Ok(Understood::Later(error.to_string())),
                }
            }
        }
        if !concerned.is_empty() {
            return self.poke(&concerned, what).await;
        }
        let waiting = self.reading(&FactKey::Checks).await;
        match waiting.as_slice() {
            [] => Ok(Understood::Nothing(format!("no task is at {sha}, and none waits for checks"))),
            [_] => self.poke(&waiting, what).await,
            several => {
                let items: Vec<&str> = several.iter().map(|t| t.item.as_str()).collect();
                let why = format!(
                    "{sha} is on no task's branch, and several tasks wait for checks: {}; nothing is done",
                    items.join(", ")
                );
                tracing::warn!("{why}");
                Ok(Understood::Nothing(why))
            }
        }
    }

    /// Tasks whose present gates would read this.
    async fn reading(&self, key: &FactKey) -> Vec<&Task> {
        let mut found = Vec::new();
        for task in &self.tasks {
            let Some(rules) = self.service.rules_of(task).await else { continue };
            if step::needs(&rules, task, &sweep::look(clock::now())).contains(key) {
                found.push(task);
            }
        }
        found
    }

    async fn poke(&self, tasks: &[&Task], what: &str) -> Result<Understood, StoreError> {
        for task in tasks {
            let event = NewEvent {
                target: Target {
                    project: task.project.clone(),
                    repo: task.repo,
                    task: Some(task.id),
                    issue: Some(task.issue.clone()),
                },
                at: clock::now(),
                cause: None,
                actor: Actor::Service,
                body: Body::Poked {
                    by: Name::from(what.to_owned()),
                },
                // A delivery is one look, also when it is taken up again after a crash; come again, it is another.
                dedupe: Some(format!("gitea {} {} {}", self.delivery.id, self.delivery.at.0, task.id)),
            };
            self.service.store.record(event).await?;
        }
        let items: Vec<&str> = tasks.iter().map(|t| t.item.as_str()).collect();
        if items.is_empty() {
            return Ok(Understood::Nothing(format!("{what}: no task waits for it")));
        }
        Ok(Understood::Done(format!("{what}: {} to look again", items.join(", "))))
    }
}
