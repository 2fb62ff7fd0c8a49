//! Cleaning up after a task: processes first, then archive, checkouts, branch.

use std::path::Path;
use std::sync::Arc;

use crate::engine::model::{Actor, Body, CleanUp, Kill, Millis, RunEnd, Task};
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
    let mut report = vec!["processes gone".to_owned()];
    let tip = tip(service, project, &task, what).await?;
    if what.archive {
        report.push(archive(service, project, &rules, &task, tip.as_deref()).await?);
        report.extend(unfinished(service, project, &rules, &task).await?);
    }
    if what.checkout {
        remove(&service.data.join("checkouts").join(format!("t{id}"))).await?;
        report.push("checkouts removed".to_owned());
    }
    if what.branch {
        report.push(delete_branch(project, &rules, &task, tip.as_deref()).await?);
    }
    crash::point("cleaned");
    let event = what.report.then(|| NewEvent {
        target: row.target.clone(),
        at: clock::now(),
        cause: Some(row.seq),
        actor: Actor::Service,
        body: Body::CleanedUp { report: report.join("; ") },
        dedupe: Some(format!("cleaned-{}", row.id)),
    });
    Ok(service.store.effect_done(row.id, event, clock::now()).await?)
}

/// The commit that the clean-up is about: where the branch is now, if the service put it there,
/// else the one recorded for the task. Somebody else's commit is never archived or deleted.
async fn tip(service: &Service, project: &Project, task: &Task, what: &CleanUp) -> Result<Option<String>, Failure> {
    let recorded = what.sha.clone().or_else(|| task.ledger.head.as_ref().map(|h| h.sha.clone()));
    let Some(now) = project.vault.remote_branch(&task.branch).await? else {
        return Ok(recorded);
    };
    if recorded.as_deref() == Some(now.as_str()) || service.store.pushed(task.id, &now).await? {
        // What is archived is read from the vault: it must have the commit.
        project.vault.fetch().await?;
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
async fn delete_branch(project: &Project, rules: &Ruleset, task: &Task, sha: Option<&str>) -> Result<String, Failure> {
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
    if let Some(why) = project.forge.keeps(&task.branch).await? {
        return Ok(format!("branch {} is {why} and left alone", task.branch));
    }
    Ok(match project.vault.delete_branch(&branch, sha).await? {
        Deleted::Done => format!("branch {} deleted at {sha}", task.branch),
        Deleted::Gone => format!("branch {} was gone already", task.branch),
        Deleted::Moved { now } => format!("branch {} is at {now}, not at {sha}: left alone", task.branch),
        Deleted::Refused { why } => format!("the forge keeps branch {}: {why}", task.branch),
    })
}
