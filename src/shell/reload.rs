//! Reload: the whole set aside, checked, admitted against tasks in flight; then swapped, or refused.
//!
//! A refused reload changes nothing. Tasks in flight keep the rules they began with (`pin`) or move
//! to the new ones by an event of their own (`follow`), as their project says.

mod compare;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::engine::admit::{Misfit, Why, admit, sentences};
use crate::engine::model::{Actor, Body, Millis, Name, Role, Task};
use crate::engine::rules::{Config, Files, InFlight, Inputs, Loaded, Ruleset, Severity, load, render_human};
use crate::shell::config::read_dir;
use crate::shell::door::{DoorError, require};
use crate::shell::embedded::embedded;
use crate::shell::proof::{self, Prover};
use crate::shell::service::{Project, Service, open_room};
use crate::shell::store::{NewEvent, StoreError, Target};

pub use watch::{Watching, begin, keep_up};

/// What reloads share.
#[derive(Default)]
pub struct Reloading {
    turn: tokio::sync::Mutex<()>,
    base: OnceLock<Files>,
    prover: OnceLock<Prover>,
    /// Since when the files are refused, and why.
    refused: Mutex<Option<(Millis, String)>>,
}

/// A reload that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// Projects whose rules have changed, or whose tasks move to them now.
    pub projects: Vec<ProjectChange>,
    /// Settings of signalbox.toml that are different from now on.
    pub settings: Vec<String>,
    /// Changes that take effect at the next start only.
    pub next_start: Vec<String>,
    /// Warnings of the loader, as `validate` counts them.
    pub warnings: usize,
}

/// What became of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectChange {
    /// The project.
    pub project: String,
    /// Its pipeline.
    pub pipeline: String,
    /// Content hash of the rules before.
    pub before: String,
    /// Content hash of the rules for new tasks.
    pub after: String,
    /// What differs: files by path, and `signalbox.toml` for the project's own settings.
    pub files: Vec<String>,
    /// `pin` or `follow`.
    pub in_flight: String,
    /// Tasks that move to the new rules.
    pub following: Vec<String>,
    /// Tasks that keep older ones.
    pub pinned: Vec<String>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Whoever asked may not.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// The rules have errors; they are told as `validate` tells them.
    #[error("the rules have errors: nothing was changed\n\n{0}")]
    Invalid(String),
    /// Tasks in flight would be stranded.
    #[error("the new rules would strand tasks in flight: nothing was changed\n  {}", .0.join("\n  "))]
    Stranded(Vec<String>),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The first lines of a refusal that say something.
fn brief(refusal: &str) -> String {
    let lines = refusal.lines().map(str::trim).filter(|l| !l.is_empty());
    lines.take(2).collect::<Vec<_>>().join(": ")
}

/// What was read for one project that the service has.
struct Fresh<'a> {
    project: &'a Project,
    rules: Arc<Ruleset>,
    inputs: serde_json::Value,
    policy: InFlight,
    /// Tasks in flight that run under other rules.
    others: Vec<Task>,
}

impl Service {
    /// What the files of the configuration's folder are laid over; the shipped ones unless told.
    pub fn lay_over(&self, base: Files) {
        // The first word counts: it is given before anything can be reloaded.
        let _ = self.reloading.base.set(base);
    }

    /// From now on what is reloaded is proved first.
    pub fn prove_reloads(&self, prover: Prover) {
        // The first word counts, as above.
        let _ = self.reloading.prover.set(prover);
    }

    /// Since when the files on disk are not those in force because they were refused, and why.
    #[must_use]
    pub fn refused_rules(&self) -> Option<(Millis, String)> {
        self.reloading.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An operator asks for a reload.
    ///
    /// # Errors
    /// See [`ReloadError`]; nothing was changed then.
    pub async fn reload(&self, actor: &Actor) -> Result<Reloaded, ReloadError> {
        require(actor, &[Role::Operator], "reload the rules")?;
        let outcome = self.reload_by(actor).await;
        // Whoever asked may not be there any more.
        watch::report(&format!("reload by {}", actor.label()), &outcome);
        outcome
    }

    /// Reloads for whoever need not be asked: a signal of the system, a changed file.
    pub(super) async fn reload_by(&self, actor: &Actor) -> Result<Reloaded, ReloadError> {
        let _turn = self.reloading.turn.lock().await;
        let outcome = self.reload_now(actor).await;
        let mut refused = self.reloading.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match &outcome {
            Ok(_) if refused.take().is_some() => tracing::info!("the files of rules are right again, and in force"),
            Err(error @ (ReloadError::Invalid(_) | ReloadError::Stranded(_))) => {
                let since = refused.as_ref().map_or_else(|| self.now(), |(since, _)| *since);
                *refused = Some((since, brief(&error.to_string())));
            }
            _ => {}
        }
        drop(refused);
        outcome
    }

    async fn reload_now(&self, actor: &Actor) -> Result<Reloaded, ReloadError> {
        let (loaded, warnings) = self.read_aside().await?;
        let Some(config) = loaded.config.clone() else {
            return Err(ReloadError::Invalid("there is no signalbox.toml any more".to_owned()));
        };
        let tasks = self.store.tasks(false).await?;
        let (fresh, mut misfits) = self.aside(&loaded, &config, &tasks);
        for one in fresh.iter().filter(|f| f.policy == InFlight::Follow) {
            misfits.extend(self.strands(&one.rules, &one.others).await);
        }
        if !misfits.is_empty() {
            return Err(ReloadError::Stranded(sentences(&misfits)));
        }
        let room = open_room(&config, &self.dir).map_err(ReloadError::Invalid)?;
        let mut projects = Vec::new();
        for one in &fresh {
            self.store.save_ruleset(&one.rules.hash, one.inputs.clone(), self.now()).await?;
            projects.extend(self.told(one).await?);
        }
        let old = self.config();
        let settings = compare::settings(&old, &config);
        let next_start = compare::next_start(&old, &config);
        // From here on nothing fails before everything is swapped.
        let used: BTreeSet<String> = tasks.iter().map(|t| t.rules.clone()).collect();
        self.keep_rules(fresh.iter().map(|f| Arc::clone(&f.rules)), &used);
        for one in &fresh {
            one.project.set_rules(Arc::clone(&one.rules));
        }
        self.set_config(compare::in_force(&old, config));
        self.chat.set(room);
        if let Err(error) = self.chat_begins().await {
            // The chat is no reason to leave a reload half done.
            tracing::error!(%error, "cards of tasks in flight are made when the tasks move");
        }
        for one in fresh.iter().filter(|f| f.policy == InFlight::Follow) {
            self.have_follow(&one.rules, &one.others, actor).await?;
        }
        self.wake();
        Ok(Reloaded {
            projects,
            settings,
            next_start,
            warnings,
        })
    }

    /// Reads and checks the folder, as `serve` and `validate` do.
    async fn read_aside(&self) -> Result<(Loaded, usize), ReloadError> {
        let dir = self.dir.clone();
        let base = self.reloading.base.get().cloned().unwrap_or_else(embedded);
        let prover = self.reloading.prover.get().cloned();
        // What is in force has been proved.
        let known: BTreeSet<String> = self.projects.values().map(|p| p.rules().hash.clone()).collect();
        let read = tokio::task::spawn_blocking(move || {
            let files = read_dir(&dir, &base).map_err(|e| e.to_string())?;
            let loaded = load(&files);
            if loaded.failed() {
                return Err(render_human(&loaded.diagnostics, &files, false));
            }
            let mut loaded = loaded;
            if let Some(prover) = prover {
                let proofs = prover.all(&loaded, &known, &|words| tracing::info!("{words}"));
                let found = proof::found(&proofs, &files);
                if found.iter().any(|d| d.severity == Severity::Error) {
                    return Err(render_human(&found, &files, false));
                }
                loaded.diagnostics.extend(found);
            }
            Ok(loaded)
        });
        let loaded = match read.await {
            Ok(read) => read.map_err(ReloadError::Invalid)?,
            Err(defect) => return Err(ReloadError::Invalid(format!("the loader has a defect: {defect}"))),
        };
        let warnings = loaded.diagnostics.iter().filter(|d| d.severity == Severity::Warning).count();
        Ok((loaded, warnings))
    }

    /// What was read, by project of the running service; tasks whose project is gone do not fit.
    fn aside<'a>(&'a self, loaded: &Loaded, config: &Config, tasks: &[Task]) -> (Vec<Fresh<'a>>, Vec<Misfit>) {
        let (mut fresh, mut misfits) = (Vec::new(), Vec::new());
        for (name, project) in &self.projects {
            let mine = tasks.iter().filter(|t| t.project == *name);
            let (Some(rules), Some(settings)) = (loaded.rulesets.get(name), config.projects.get(name)) else {
                misfits.extend(mine.map(|t| Misfit {
                    item: t.item.clone(),
                    why: Why::Project(name.clone()),
                }));
                continue;
            };
            fresh.push(Fresh {
                project,
                rules: Arc::clone(rules),
                inputs: loaded.inputs.get(name).map(Inputs::stored).unwrap_or_default(),
                policy: settings.in_flight,
                others: mine.filter(|t| t.rules != rules.hash).cloned().collect(),
            });
        }
        (fresh, misfits)
    }

    /// The tasks that these rules would strand.
    async fn strands(&self, rules: &Ruleset, tasks: &[Task]) -> Vec<Misfit> {
        let mut misfits = admit(rules, tasks);
        for task in tasks {
            let moved = self.rules_of(task).await.is_some_and(|old| old.artefacts != rules.artefacts);
            if moved {
                misfits.push(Misfit {
                    item: task.item.clone(),
                    why: Why::Folder(rules.artefacts.clone()),
                });
            }
        }
        misfits
    }

    /// What a reload means for one project; nothing where it means nothing.
    async fn told(&self, fresh: &Fresh<'_>) -> Result<Option<ProjectChange>, StoreError> {
        let before = fresh.project.rules();
        let follow = fresh.policy == InFlight::Follow;
        if before.hash == fresh.rules.hash && (!follow || fresh.others.is_empty()) {
            return Ok(None);
        }
        let stored = self.store.ruleset(&before.hash).await?.unwrap_or_default();
        let items = |yes: bool| {
            if yes {
                fresh.others.iter().map(|t| t.item.clone()).collect()
            } else {
                Vec::new()
            }
        };
        Ok(Some(ProjectChange {
            project: fresh.project.name.to_string(),
            pipeline: fresh.rules.pipeline.to_string(),
            before: before.hash.clone(),
            after: fresh.rules.hash.clone(),
            files: compare::files(&stored, &fresh.inputs),
            in_flight: fresh.policy.as_str().to_owned(),
            following: items(follow),
            pinned: items(!follow),
        }))
    }

    /// Tells tasks to follow: each by an event of its own, so that history shows it.
    async fn have_follow(&self, rules: &Ruleset, tasks: &[Task], actor: &Actor) -> Result<(), StoreError> {
        for task in tasks {
            let target = Target {
                project: task.project.clone(),
                repo: task.repo,
                task: Some(task.id),
                issue: Some(task.issue.clone()),
            };
            let body = Body::RulesChanged {
                from: task.rules.clone(),
                to: rules.hash.clone(),
            };
            let event = NewEvent {
                target,
                at: self.now(),
                cause: None,
                actor: actor.clone(),
                body,
                dedupe: None,
            };
            self.store.record(event).await?;
        }
        Ok(())
    }

    /// A start is never refused for tasks in flight: those that are to follow and fit do so, the
    /// others keep their stored rules.
    pub(super) async fn follow_at_start(&self) -> Result<(), StoreError> {
        let tasks = self.store.tasks(false).await?;
        let config = self.config();
        let follows = |name: &Name| config.projects.get(name).is_some_and(|p| p.in_flight == InFlight::Follow);
        let mut by_project: BTreeMap<Name, Vec<Task>> = BTreeMap::new();
        for task in tasks.into_iter().filter(|t| follows(&t.project)) {
            by_project.entry(task.project.clone()).or_default().push(task);
        }
        for (name, tasks) in by_project {
            let Some(rules) = self.projects.get(&name).map(Project::rules) else {
                continue;
            };
            let others: Vec<Task> = tasks.into_iter().filter(|t| t.rules != rules.hash).collect();
            let misfits = self.strands(&rules, &others).await;
            for sentence in sentences(&misfits) {
                tracing::warn!(project = %name, "the rules they began with stay in force for tasks that the new ones would strand: {sentence}");
            }
            let fit: Vec<Task> = others.into_iter().filter(|t| !misfits.iter().any(|m| m.item == t.item)).collect();
            self.have_follow(&rules, &fit, &Actor::Service).await?;
        }
        Ok(())
    }
}
