//! Freezing and unfreezing a repository.

use crate::engine::model::{Actor, Body, Freeze, FreezeLevel, Name, Repo, Role, Via};
use crate::shell::service::{Project, Service};
use crate::shell::store::{NewEvent, Note, StoreError, Target};

use super::{DoorError, check_text, require};

/// How often a change is decided again when the repository moves meanwhile.
const TRIES: usize = 20;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// The project.
    pub project: Name,
    /// Whether a freeze was lifted.
    pub cleared: bool,
    /// The freeze in force now.
    pub freeze: Option<Freeze>,
}

impl Service {
    /// An operator freezes a project's repository; one that is frozen already stays as it is,
    /// unless the new level holds back more.
    ///
    /// # Errors
    /// [`DoorError`]; nothing was changed then.
    pub async fn freeze(&self, project: Option<&str>, level: FreezeLevel, reason: &str, actor: &Actor) -> Result<Frozen, DoorError> {
        require(actor, &[Role::Operator], "freeze a repository")?;
        check_text(reason, "the reason", true)?;
        let project = self.project_named(project)?;
        let now = self.now();
        let freeze = Freeze {
            level,
            reason: reason.trim().to_owned(),
            since: now,
            by: actor.label(),
        };
        let wider = |repo: &Repo| {
            repo.freeze
                .as_ref()
                .is_none_or(|f| f.level == FreezeLevel::Merge && level == FreezeLevel::All)
        };
        self.change(project, actor, reason.trim(), |repo| {
            if wider(repo) {
                repo.freeze = Some(freeze.clone());
            }
        })
        .await
    }

    /// An operator lifts the freeze of a project's repository; idempotent.
    ///
    /// # Errors
    /// [`DoorError`]; nothing was changed then.
    pub async fn unfreeze(&self, project: Option<&str>, reason: Option<&str>, actor: &Actor) -> Result<Frozen, DoorError> {
        require(actor, &[Role::Operator], "lift a freeze")?;
        check_text(reason.unwrap_or_default(), "the reason", false)?;
        let project = self.project_named(project)?;
        let reason = reason.map(str::trim).filter(|r| !r.is_empty()).unwrap_or("none given");
        let thaw = |repo: &mut Repo| {
            // Whoever lifts it has looked: what failed before counts no more.
            if repo.freeze.take().is_some() {
                repo.failures = 0;
            }
        };
        let changed = self.change(project, actor, reason, thaw).await?;
        if changed.cleared {
            tracing::info!(project = %project.name, by = actor.label(), reason, "the freeze is lifted");
        }
        Ok(changed)
    }

    async fn change(&self, project: &Project, actor: &Actor, reason: &str, change: impl Fn(&mut Repo)) -> Result<Frozen, DoorError> {
        for _ in 0..TRIES {
            let before = self.store.repo_by_id(project.repo).await?;
            let mut after = before.clone();
            change(&mut after);
            let frozen = Frozen {
                project: project.name.clone(),
                cleared: before.freeze.is_some() && after.freeze.is_none(),
                freeze: after.freeze.clone(),
            };
            if after == before {
                return Ok(frozen);
            }
            let wake = if frozen.cleared {
                self.looks(project, &after, actor)
            } else {
                Vec::new()
            };
            let note = Note {
                at: self.now(),
                who: actor.label(),
                reason: reason.to_owned(),
                evidence: door(actor).to_owned(),
                seq: None,
            };
            match self.store.change_repo(after, before.version, note, wake).await {
                Ok(()) => {
                    self.wake();
                    return Ok(frozen);
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(DoorError::not_now("the repository is being changed all the time", "try again"))
    }

    /// Every unfinished task of the repository looks again: what waited for the thaw goes on.
    fn looks(&self, project: &Project, repo: &Repo, actor: &Actor) -> Vec<NewEvent> {
        let target = |task| Target {
            project: project.name.clone(),
            repo: project.repo,
            task: Some(task),
            issue: None,
        };
        let event = |task| NewEvent {
            target: target(task),
            at: self.now(),
            cause: None,
            actor: actor.clone(),
            body: Body::Poked {
                by: Name::new("the freeze was lifted"),
            },
            dedupe: None,
        };
        repo.lane.iter().map(|seat| event(seat.task)).collect()
    }
}

/// How the person came, as the history of freezes tells it.
fn door(actor: &Actor) -> &'static str {
    match actor {
        Actor::Person { via: Via::Cli, .. } => "said on the command line",
        Actor::Person { via: Via::Api, .. } => "said through the API",
        Actor::Person { via: Via::Tracker, .. } => "said on the board",
        Actor::Person { via: Via::Forge, .. } => "said on the forge",
        Actor::Agent(_) | Actor::Service => "decided by the service",
    }
}
