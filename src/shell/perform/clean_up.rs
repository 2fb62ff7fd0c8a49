//! Cleaning up after a task: processes first, then archive, checkouts, branch.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::model::{Actor, Body, CleanUp, Kill, Millis, RunEnd, Task, TaskId};
use crate::engine::render::{self, Words};
use crate::engine::rules::Ruleset;
use crate::shell::forge::Note;
use crate::shell::git::Deleted;
use crate::shell::service::{Project, Service};
use crate::shell::store::{NewEvent, OutboxRow, RunRow, RunState};
use crate::shell::{clock, crash, settle};

use super::{Failure, unfinished};

/// How soon it is looked at again while processes are still being ended; commits wake it sooner.
const AGAIN: Millis = Millis(250);

pub(super) async fn clean_up(service: &Arc<Service>, row: &OutboxRow, what: &CleanUp) -> Result<(), Failure> {
    let id = row
        .target
        .task
        .ok_or_else(|| Failure::Never("the clean-up names no task".to_owned()))?;
    let task = service
        .store
        .task(id)
        .await?
        .ok_or_else(|| Failure::Never("its task is gone".to_owned()))?;
    let project = service
        .project_of(&task)
        .ok_or_else(|| Failure::Later(format!("no project `{}` is configured", task.project)))?;
    let rules = service
        .rules_of(&task)
        .await
        .ok_or_else(|| Failure::Later("its rules cannot be used".to_owned()))?;
    let runs = service.store.runs(id).await?;
    processes_gone(service, &runs).await?;
    crash::point("processes-gone");
    let report = steps(
        service,
        row,
        &Cleaning {
            project,
            rules: &rules,
            task: &task,
            what,
            runs: &runs,
        },
    )
    .await?;
    crash::point("cleaned");
    let event = what.report.then(|| NewEvent {
        target: row.target.clone(),
        at: clock::now(),
        cause: Some(row.seq),
        actor: Actor::Service,
        body: Body::CleanedUp { report },
        dedupe: Some(format!("cleaned-{}", row.id)),
    });
    Ok(service.store.effect_done(row.id, event, clock::now()).await?)
}

/// What a clean-up is about.
struct Cleaning<'a> {
    project: &'a Project,
    rules: &'a Ruleset,
    task: &'a Task,
    what: &'a CleanUp,
    runs: &'a [RunRow],
}

/// What is done of a clean-up, kept with the effect: a service that dies in its middle goes on, and
/// tells in the end what it did before.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Progress {
    /// The commit that it is about; found once, for it is gone with the branch.
    tip: Option<Option<String>>,
    archived: Option<Vec<String>>,
    removed: bool,
    /// The branch is about to be deleted: when it is gone later, it was we who did it.
    deleting: bool,
    branch: Option<String>,
}

/// Archive, checkouts, branch; what was done, in words.
async fn steps(service: &Service, row: &OutboxRow, it: &Cleaning<'_>) -> Result<String, Failure> {
    let known = row.progress.clone().and_then(|p| serde_json::from_value(p).ok());
    let mut done: Progress = known.unwrap_or_default();
    let keep = async |done: &Progress| {
        let progress = serde_json::to_value(done).unwrap_or_default();
        service.store.effect_progress(row.id, progress).await
    };
    let tip = match &done.tip {
        Some(tip) => tip.clone(),
        None => {
            let found = tip(service, it.project, it.task, it.what).await?;
            done.tip = Some(found.clone());
            keep(&done).await?;
            found
        }
    };
    if it.what.archive && done.archived.is_none() {
        let mut words = vec![archive(service, it.project, it.rules, it.task, tip.as_deref()).await?];
        words.extend(unfinished(service, it.project, it.rules, it.task).await?);
        done.archived = Some(words);
        keep(&done).await?;
        crash::point("archived");
    }
    if it.what.checkout {
        remove(&service.data.join("checkouts").join(format!("t{}", it.task.id))).await?;
        done.removed = true;
    }
    if it.what.branch && done.branch.is_none() {
        let foreign = match tip.as_deref() {
            Some(tip) => foreign(service, it, tip).await?,
            None => None,
        };
        let ours = done.deleting;
        if !ours {
            done.deleting = true;
            keep(&done).await?;
        }
        let branch = delete_branch(it, tip.as_deref(), foreign.as_deref(), ours).await?;
        done.branch = Some(match landed(service, it, tip.as_deref()).await? {
            Some(commit) => format!("{branch}; its change was merged all the same, as {commit}: its work is on the default branch"),
            None => branch,
        });
        crash::point("branch-gone");
        keep(&done).await?;
    }
    let mut report = vec!["processes gone".to_owned()];
    report.extend(done.archived.unwrap_or_default());
    report.extend(done.removed.then(|| "checkouts removed".to_owned()));
    report.extend(done.branch);
    Ok(report.join("; "))
}

/// The merge that the forge made of a task that is being stopped, though it had not been seen when the stop was carried out:
/// a server may still work on what was asked of it when it seemed to have failed. Its change is closed by now.
async fn landed(service: &Service, it: &Cleaning<'_>, tip: Option<&str>) -> Result<Option<String>, Failure> {
    let Some(tip) = tip else { return Ok(None) };
    let ledger = &it.task.ledger;
    if ledger.stop.is_none() || ledger.ended_at.is_some() || !service.store.acted(it.task.id).await? {
        return Ok(None);
    }
    Ok(it.project.forge.merged(&it.task.branch, tip).await?)
}

/// A commit in the history of `tip` that the service neither made nor began from: what a run found on
/// the branch, or what the task took over from there, without the service having put it there and
/// without its being on the default branch.
async fn foreign(service: &Service, it: &Cleaning<'_>, tip: &str) -> Result<Option<String>, Failure> {
    let vault = &it.project.vault;
    let found = it.runs.iter().filter_map(|r| r.start_sha.as_deref());
    let mut seen: Vec<&str> = found.chain(it.task.ledger.adopted.iter().map(String::as_str)).collect();
    seen.sort_unstable();
    seen.dedup();
    let mut base = None;
    for sha in seen {
        if service.store.pushed(it.task.id, sha).await? {
            continue;
        }
        let base = match &base {
            Some(base) => base,
            None => base.insert(vault.base().await?),
        };
        // What cannot be read is kept rather than lost.
        if !vault.is_ancestor(sha, base).await.unwrap_or(false) && vault.is_ancestor(sha, tip).await.unwrap_or(true) {
            return Ok(Some(sha.to_owned()));
        }
    }
    Ok(None)
}

/// Tells operators once when a clean-up has failed twice; it is tried again all the same. When it is
/// done the notice goes.
pub(super) async fn tell(service: &Service, task: TaskId, attempts: u32, failure: Option<&Failure>) {
    let key = format!("clean-up t{task}");
    let told = match failure {
        None => service.store.lower(&key, None, clock::now()).await,
        Some(Failure::Later(why)) if attempts == 1 => {
            let item = service.label(task).await;
            let text =
                format!("{item}: the clean-up fails, and is tried again every minute at least: {why}. `signalbox why {item}` tells more");
            service.store.raise(&key, task, &text, clock::now()).await
        }
        Some(_) => return,
    };
    if let Err(error) = told {
        tracing::warn!(%error, task = %task, "a clean-up's failure could not be told");
    }
}

/// The commit that the clean-up is about: where the branch is now, if the service put it there,
/// else the one recorded for the task. Somebody else's commit is never archived or deleted.
async fn tip(service: &Service, project: &Project, task: &Task, what: &CleanUp) -> Result<Option<String>, Failure> {
    let recorded = what.sha.clone().or_else(|| task.ledger.head.as_ref().map(|h| h.sha.clone()));
    let Some(now) = project.vault.remote_branch(&task.branch).await? else {
        return Ok(recorded);
    };
    // What is archived is read from the vault, and a later start must know what is left on the forge.
    project.vault.fetch().await?;
    if recorded.as_deref() == Some(now.as_str()) || service.store.pushed(task.id, &now).await? {
        return Ok(Some(now));
    }
    Ok(recorded)
}

/// Nothing is removed under a living process. A run that has exited and waits to be settled
/// counts for nothing any more: it is closed here.
async fn processes_gone(service: &Arc<Service>, runs: &[RunRow]) -> Result<(), Failure> {
    let mut open = false;
    for run in runs.iter().filter(|r| r.state != RunState::Ended) {
        if run.state == RunState::Exited {
            settle::end_without_work(service, run, RunEnd::Killed(run.kill.unwrap_or(Kill::Stop))).await?;
        } else {
            open = true;
        }
    }
    if open { Err(Failure::NotYet(AGAIN)) } else { Ok(()) }
}

/// Copies the artefact folder, as the branch has it, to the archive.
async fn archive(service: &Service, project: &Project, rules: &Ruleset, task: &Task, sha: Option<&str>) -> Result<String, Failure> {
    let Some(sha) = sha else {
        return Ok("nothing to archive".to_owned());
    };
    let folder = project.folder(rules, task);
    let to = service.data.join("archive").join(format!("t{}", task.id));
    let files = project.vault.files(sha, &folder).await?;
    for file in &files {
        let Some(path) = beneath(&to, file) else { continue };
        // An artefact too large to be read is not archived; it stays in the vault.
        let Ok(Some(bytes)) = project.vault.read(sha, &format!("{folder}/{file}"), 16 * 1024 * 1024).await else {
            continue;
        };
        write(&path, &bytes)
            .await
            .map_err(|e| Failure::Later(format!("cannot write {}: {e}", path.display())))?;
    }
    Ok(format!("{} artefact(s) archived", files.len()))
}

/// Copies what runs that were ended have written into the artefact folder and never committed,
/// beside the rest: `unfinished/AGENT/…`.
async fn unfinished(service: &Service, project: &Project, rules: &Ruleset, task: &Task) -> Result<Option<String>, Failure> {
    let checkouts = service.data.join("checkouts").join(format!("t{}", task.id));
    let to = service.data.join("archive").join(format!("t{}", task.id));
    let folder = project.folder(rules, task);
    let copied = tokio::task::spawn_blocking(move || unfinished::copy(&checkouts, &folder, &to))
        .await
        .map_err(|e| Failure::Later(format!("unfinished artefacts: {e}")))?
        .map_err(|e| Failure::Later(format!("cannot archive unfinished artefacts: {e}")))?;
    Ok((copied > 0).then(|| format!("{copied} unfinished artefact(s) archived")))
}

async fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        tokio::fs::create_dir_all(parent).await?;
    }
    tokio::fs::write(path, bytes).await
}

/// The path below `root`, or nothing for a name that would leave it.
fn beneath(root: &Path, file: &str) -> Option<std::path::PathBuf> {
    let path = Path::new(file);
    let plain = path.components().all(|c| matches!(c, std::path::Component::Normal(_)));
    plain.then(|| root.join(path))
}

async fn remove(dir: &Path) -> Result<(), Failure> {
    match tokio::fs::remove_dir_all(dir).await {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::Later(format!("cannot remove {}: {error}", dir.display()))),
    }
}

/// The remote task branch, only at the commit recorded for it.
async fn delete_branch(it: &Cleaning<'_>, sha: Option<&str>, foreign: Option<&str>, again: bool) -> Result<String, Failure> {
    let Cleaning { project, rules, task, .. } = *it;
    let who = task.ledger.stop.as_ref().map(|(who, ..)| who.as_str()).unwrap_or_default();
    let words = Words {
        item: &task.item,
        title: &task.title,
        stage: &task.control.stage,
        branch: &task.branch,
        who,
        vars: &rules.vars,
        ..Words::default()
    };
    let note = Note {
        key: &format!("stopped t{}", task.id),
        text: &render::message(rules, "comment.change_closed", &words),
    };
    project.forge.close_change(&task.branch, &note).await?;
    let Some(sha) = sha else {
        return Ok("no branch was made".to_owned());
    };
    let Ok(branch) = project.task_branch(rules, task) else {
        return Ok(format!("branch {} is protected and left alone", task.branch));
    };
    if let Some(commit) = foreign {
        return Ok(format!(
            "branch {} holds commits of somebody else ({commit}) and is left alone",
            task.branch
        ));
    }
    if let Some(why) = project.forge.keeps(&task.branch).await? {
        return Ok(format!("branch {} is {why} and left alone", task.branch));
    }
    Ok(match project.vault.delete_branch(&branch, sha).await? {
        Deleted::Done => format!("branch {} deleted at {sha}", task.branch),
        Deleted::Gone if again => format!("branch {} deleted at {sha}", task.branch),
        Deleted::Gone => format!("branch {} was gone already", task.branch),
        Deleted::Moved { now } => format!("branch {} is at {now}, not at {sha}: left alone", task.branch),
        Deleted::Refused { why } => format!("the forge keeps branch {}: {why}", task.branch),
    })
}
