//! From a claim to a running agent: branch, private checkout, prompt, shim; then its exit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::engine::model::{Issue, JobKind, Kill, Millis, RunEnd, Task};
use crate::engine::render::{self, Expect, PromptWords};
use crate::engine::rules::{GateKind, Input, Ruleset};
use crate::shell::forge::{ForgeError, HubError};
use crate::shell::git::{Expected, GitError, Push, keeps_out, no_leave, passes};
use crate::shell::process::{Alive, Evidence, Outcome, RunSpec, SpawnError, environment};
use crate::shell::refused::{self, Peer};
use crate::shell::service::{Project, Service};
use crate::shell::store::{JobRow, NOT_LAUNCHED, ProcessId, RunRow, RunState, StoreError};
use crate::shell::tracker::TrackerError;
use crate::shell::{clock, crash, credentials, degraded, older, settle, unwritten};

/// Most that is kept of a run's log, in bytes.
const LOG_MAX: u64 = 64 * 1024 * 1024;
/// A shim has this much longer than its deadline and grace before it is helped along.
const OVERDUE: Duration = Duration::from_secs(30);
/// File with the task's text in the checkout; never committed.
const TASK_FILE: &str = ".signalbox/task.md";
/// What the agent may know about its run, as JSON, beside it.
const CONTEXT_FILE: &str = ".signalbox/context.json";

/// Why a run could not be launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// git.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The forge.
    #[error(transparent)]
    Forge(#[from] HubError),
    /// The tracker.
    #[error(transparent)]
    Tracker(#[from] TrackerError),
    /// A file of the run.
    #[error("cannot write {path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The task's branch is on the forge no longer, so that nothing can be begun from it or brought to it.
    #[error("branch {branch} was deleted on the forge; it was at {sha}: push that commit to it again, or stop the task")]
    BranchGone {
        /// The branch.
        branch: String,
        /// Its last commit that is known.
        sha: String,
    },
    /// The run's folder or its shim.
    #[error(transparent)]
    Spawn(SpawnError),
    /// Its number was another run's: the next try has a number of its own.
    #[error("{0}")]
    Taken(String),
    /// Anything that trying again does not mend.
    #[error("{0}")]
    Refused(String),
    /// The task was stopped or went elsewhere meanwhile.
    #[error("withdrawn before it began")]
    Withdrawn(Kill),
}

/// What is to be done where a folder of the service's own keeps it out.
const OURS: &str = "this belongs to the service, and its user must be able to write there: mend its rights, a mount that is read-only, or \
                    what lies there in the place of a folder; it goes on by itself then";
/// Why mending a prompt and trying again may not be enough.
const PINNED: &str = "a task keeps the rules that it began with: what is mended reaches it by a reload under `in_flight = \"follow\"`, then \
                      retry; or stop it and start it anew";

impl LaunchError {
    /// Whether a peer is only away or full for now, or refuses us altogether, and when it may be asked again if it said so:
    /// nothing was tried, so that nothing is used up. What a person has to mend about the task itself is no weather.
    fn weather(&self) -> Option<Option<Millis>> {
        match self {
            Self::Tracker(TrackerError::Limited(after)) => Some(Some(*after)),
            Self::Tracker(TrackerError::Unreachable(_) | TrackerError::Denied(_))
            | Self::Git(GitError::Remote { .. } | GitError::Denied { .. } | GitError::Ended { .. })
            | Self::Forge(
                HubError::Gitea(_)
                | HubError::Forge(ForgeError::Git(GitError::Remote { .. } | GitError::Timeout { .. } | GitError::Ended { .. })),
            ) => Some(None),
            // Until somebody brings it back: no run is paid for on it meanwhile.
            Self::BranchGone { .. } => Some(None),
            Self::Taken(_) => Some(Some(Millis(0))),
            Self::Store(_) | Self::Withdrawn(_) => None,
            other if other.kept_out() => Some(None),
            // Ours, whoever met it first: the file system, git, or the shim. It passes.
            other => passes(&other.to_string()).then_some(None),
        }
    }

    /// Whether a folder of the service's own cannot be written by its user: for a person to mend, and no fault of the task.
    fn kept_out(&self) -> bool {
        match self {
            Self::File { error, .. } => keeps_out(error),
            Self::Git(error) | Self::Forge(HubError::Forge(ForgeError::Git(error))) => error.kept_out(),
            Self::Spawn(SpawnError::Prepare { source, .. }) => keeps_out(source),
            Self::Spawn(SpawnError::Died { detail, .. }) => no_leave(detail),
            _ => false,
        }
    }

    /// Who refuses the service's key, if that is it.
    fn refused(&self) -> Option<Peer> {
        match self {
            Self::Tracker(TrackerError::Denied(_)) => Some(Peer::Tracker),
            Self::Git(GitError::Denied { .. }) => Some(Peer::Forge),
            _ => None,
        }
    }
}

/// Launches a claimed run and follows it to its end, in a task of its own.
pub fn spawn(service: &Arc<Service>, run: RunRow) {
    let Some(held) = service.busy.take(format!("run {}", run.id)) else {
        return;
    };
    let service = Arc::clone(service);
    tokio::spawn(async move {
        let _held = held;
        match launch(&service, &run).await {
            Ok(alive) => follow(&service, &run, &alive).await,
            Err(error) => failed(&service, &run, error).await,
        }
        service.wake();
    });
}

async fn launch(service: &Arc<Service>, run: &RunRow) -> Result<Alive, LaunchError> {
    crash::point("claimed");
    crash::hold("claimed").await;
    let task = service
        .store
        .task(run.task)
        .await?
        .ok_or_else(|| LaunchError::Refused("its task is gone".to_owned()))?;
    let project = service
        .project_of(&task)
        .ok_or_else(|| LaunchError::Refused(format!("no project `{}` is configured", task.project)))?;
    let rules = service
        .rules_of(&task)
        .await
        .ok_or_else(|| LaunchError::Refused("its rules cannot be used".to_owned()))?;
    let start = start_commit(service, project, &rules, &task).await?;
    withdrawn(service, run).await?;
    let checkout = service.data.join("checkouts").join(&run.checkout);
    let (who, folder) = (project.agent_identity(&run.slot), project.folder(&rules, &task));
    // The prompt lists these files: git, which answers that once, does so beside the checkout.
    let (made, _) = tokio::join!(
        project.vault.checkout(&checkout, &start, &task.branch, &who),
        project.vault.files(&start, &folder)
    );
    made?;
    let dir = service.run_dir(run.id);
    // Before anything is written there: an agent may be at work in it.
    service.supervisor.free(&dir).await.map_err(spawning)?;
    let spec = prepare(service, project, &rules, &task, run, &checkout, &dir, &start).await?;
    refused::accepted(service, &task.project, run.kind).await?;
    withdrawn(service, run).await?;
    service.store.run_prepared(run.id, &start).await?;
    crash::point("before-spawn");
    let alive = service.supervisor.spawn(&dir, &spec).await.map_err(spawning)?;
    crash::point("spawned");
    crash::hold("spawned").await;
    started(service, run, &alive, Some(start)).await?;
    tracing::info!(task = %task.item, run = %run.id, slot = %run.slot, pid = alive.pid, "started");
    Ok(alive)
}

fn spawning(error: SpawnError) -> LaunchError {
    match error {
        SpawnError::Taken { .. } => LaunchError::Taken(error.to_string()),
        other => LaunchError::Spawn(other),
    }
}

/// A stop may have come between claim and spawn: nothing is started for it.
async fn withdrawn(service: &Service, run: &RunRow) -> Result<(), LaunchError> {
    match service.store.run(run.id).await?.and_then(|r| r.kill) {
        Some(why) => Err(LaunchError::Withdrawn(why)),
        None => Ok(()),
    }
}

/// The commit a run starts from: the branch as it stands, made from a fresh base if it does not.
async fn start_commit(service: &Service, project: &Project, rules: &Ruleset, task: &Task) -> Result<String, LaunchError> {
    project.forge.sync().await?;
    project.vault.fetch().await?;
    let remote = project.vault.branch(&task.branch).await?;
    match (&task.ledger.head, remote) {
        // Whoever pushed, on top or in its place: the work goes on from there.
        (_, Some(remote)) => Ok(remote),
        (Some(head), None) => Err(LaunchError::BranchGone {
            branch: task.branch.clone(),
            sha: head.sha.clone(),
        }),
        (None, None) => make_branch(service, project, rules, task).await,
    }
}

/// Branch from fresh base with the business request committed: made when the first stage is
/// really entered, so that neither is stale.
async fn make_branch(service: &Service, project: &Project, rules: &Ruleset, task: &Task) -> Result<String, LaunchError> {
    let base = project.vault.base().await?;
    let issue = project.tracker.issue(&task.issue).await?.ok_or_else(|| {
        let text = "its issue is gone from the board, and nothing has been begun: nobody knows what is to be done; bring it back there, then retry, or stop the task";
        LaunchError::Refused(text.to_owned())
    })?;
    let path = format!("{}/00-business-request.md", project.folder(rules, task));
    let text = format!("# {}\n\n{}\n", issue.title.trim(), issue.description.trim());
    let message = format!("{}: business request", task.item);
    let commit = project
        .vault
        .commit_files(&base, &[(path, text.into_bytes())], &message, &service.identity(), task.created_at)
        .await?;
    let branch = project.task_branch(rules, task)?;
    service.store.record_push(task.id, &commit).await?;
    match project.vault.push(&commit, &branch, &Expected::Absent).await? {
        Push::Done | Push::Same => Ok(commit),
        Push::Moved { now: Some(now) } if now == commit => Ok(commit),
        Push::Moved { .. } => Err(LaunchError::Refused(format!(
            "branch {} exists already and is not ours",
            task.branch
        ))),
        Push::Refused { why } => Err(LaunchError::Refused(format!("the forge refuses the branch {}: {why}", task.branch))),
    }
}

#[allow(clippy::too_many_arguments, reason = "everything a run is made of comes together here, once")]
async fn prepare(
    service: &Service,
    project: &Project,
    rules: &Ruleset,
    task: &Task,
    run: &RunRow,
    checkout: &Path,
    dir: &Path,
    start: &str,
) -> Result<RunSpec, LaunchError> {
    let home = dir.join("home");
    let tmp = dir.join("tmp");
    for folder in [&home, &tmp] {
        tokio::fs::create_dir_all(folder).await.map_err(|error| LaunchError::File {
            path: folder.clone(),
            error,
        })?;
    }
    let who = project.agent_identity(&run.slot);
    let mut extra = BTreeMap::from([
        ("SIGNALBOX_RUN".to_owned(), run.id.to_string()),
        ("SIGNALBOX_CONTEXT".to_owned(), checkout.join(CONTEXT_FILE).display().to_string()),
        ("TMPDIR".to_owned(), tmp.display().to_string()),
        ("GIT_AUTHOR_NAME".to_owned(), who.name.clone()),
        ("GIT_AUTHOR_EMAIL".to_owned(), who.email.clone()),
        ("GIT_COMMITTER_NAME".to_owned(), who.name),
        ("GIT_COMMITTER_EMAIL".to_owned(), who.email),
        ("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned()),
    ]);
    extra.extend(service.agent_env.clone());
    let mut spec = RunSpec {
        run: run.id,
        program: Vec::new(),
        cwd: checkout.to_path_buf(),
        env: BTreeMap::new(),
        stdin: None,
        log: service.log_path(run.id),
        log_max_bytes: LOG_MAX,
        deadline_ms: 0,
        grace_ms: 0,
        containment: service.supervisor.containment(),
    };
    match run.kind {
        JobKind::Command => {
            let Some(GateKind::Command {
                run: program,
                timeout,
                env,
                share_home,
            }) = rules.gates.get(&run.slot).map(|g| &g.kind)
            else {
                return Err(LaunchError::Refused(format!("the rules have no command gate `{}`", run.slot)));
            };
            spec.program.clone_from(program);
            spec.deadline_ms = timeout.0;
            spec.grace_ms = 5000;
            spec.env = environment(env, &home_of(*share_home, home), extra);
        }
        JobKind::Agent => {
            let Some(agent) = rules.agents.get(&run.slot) else {
                return Err(LaunchError::Refused(format!("the rules have no agent `{}`", run.slot)));
            };
            let job = job(service, run).await?;
            let prompt = write_prompt(project, rules, task, run, &job, checkout, dir, start).await?;
            spec.program = agent.run.iter().map(|arg| arg.replace("{prompt}", &prompt)).collect();
            if agent.input == Input::Stdin {
                spec.program.clone_from(&agent.run);
                spec.stdin = Some(dir.join("prompt.md"));
            }
            spec.deadline_ms = agent.timeout.0;
            spec.grace_ms = agent.grace.0;
            if !agent.share_home {
                credentials::link(&agent.credentials, &home)
                    .await
                    .map_err(|(path, error)| LaunchError::File { path, error })?;
            }
            spec.env = environment(&agent.env, &home_of(agent.share_home, home), extra);
        }
    }
    spec.program = project.resolve_program(spec.program);
    Ok(spec)
}

/// The service's own HOME where the rules share it, else the run's fresh one.
fn home_of(shared: bool, fresh: PathBuf) -> PathBuf {
    let own = std::env::var_os("HOME").map(PathBuf::from);
    own.filter(|_| shared).unwrap_or(fresh)
}

async fn job(service: &Service, run: &RunRow) -> Result<JobRow, LaunchError> {
    let jobs = service.store.jobs(run.task).await?;
    jobs.into_iter()
        .find(|j| j.id == run.job)
        .ok_or_else(|| LaunchError::Refused("its job is gone".to_owned()))
}

/// Renders the prompt and writes it, with the context, into the run's folder and the checkout.
#[allow(clippy::too_many_arguments, reason = "everything a prompt is made of comes together here, once")]
async fn write_prompt(
    project: &Project,
    rules: &Ruleset,
    task: &Task,
    run: &RunRow,
    job: &JobRow,
    checkout: &Path,
    dir: &Path,
    start: &str,
) -> Result<String, LaunchError> {
    let folder = project.folder(rules, task);
    let expects = render::expects(rules, &run.stage, &run.slot);
    // One that is gone meanwhile: the request is in the branch, and its title is known.
    let issue = project.tracker.issue(&task.issue).await?.unwrap_or_else(|| Issue {
        title: task.title.clone(),
        ..Issue::default()
    });
    let there = project.vault.files(start, &folder).await?;
    let note = job.note.clone().unwrap_or_default();
    let words = PromptWords {
        item: &task.item,
        title: &issue.title,
        description: &issue.description,
        stage: &run.stage,
        visit: run.visit,
        attempt: job.attempts,
        agent: &run.slot,
        branch: &task.branch,
        artefacts: &folder,
        nonce: &run.nonce,
        note: &note,
        expects: &expects,
        artefact_files: &there,
        vars: &rules.vars,
    };
    let prompt = render::prompt(rules, &run.slot, &words).map_err(|why| LaunchError::Refused(format!("{why}; {PINNED}")))?;
    let context = context(task, run, job, &folder, &expects);
    write(&dir.join("prompt.md"), prompt.as_bytes()).await?;
    write(&checkout.join(TASK_FILE), prompt.as_bytes()).await?;
    write(&checkout.join(CONTEXT_FILE), context.to_string().as_bytes()).await?;
    Ok(prompt)
}

fn context(task: &Task, run: &RunRow, job: &JobRow, folder: &str, expects: &[Expect]) -> serde_json::Value {
    serde_json::json!({
        "task": { "id": task.id, "item": task.item, "title": task.title, "branch": task.branch },
        "stage": run.stage,
        "visit": run.visit,
        "agent": run.slot,
        "run": run.id,
        "attempt": job.attempts,
        "nonce": run.nonce,
        "artefacts": folder,
        "expects": expects,
        "note": job.note,
    })
}

async fn write(path: &Path, bytes: &[u8]) -> Result<(), LaunchError> {
    let wrap = |error| LaunchError::File {
        path: path.to_path_buf(),
        error,
    };
    if let Some(parent) = path.parent() {
        tokio::fs::create_dir_all(parent).await.map_err(wrap)?;
    }
    tokio::fs::write(path, bytes).await.map_err(wrap)
}

/// Waits for the end of a run's process and records it.
pub async fn follow(service: &Arc<Service>, run: &RunRow, alive: &Alive) {
    let dir = service.run_dir(run.id);
    let outcome = tokio::select! {
        outcome = service.supervisor.wait(alive, &dir) => outcome,
        never = service.supervisor.overdue(alive, &dir, OVERDUE) => match never {},
        never = unwritten::watch(service, run, alive) => match never {},
    };
    crash::point("exited");
    if let Err(error) = settle::exited(service, run, outcome).await {
        tracing::error!(run = %run.id, %error, "the end of a run could not be recorded; it is read again at the next start");
    }
}

/// Gives the order to end a run; its end is noticed by whoever follows it.
pub async fn stop(service: &Service, run: &RunRow, alive: &Alive, why: Kill) {
    if let Err(error) = service.supervisor.stop(alive, &service.run_dir(run.id), why, None).await {
        tracing::warn!(run = %run.id, %error, "the order to end a run could not be given");
    }
}

async fn failed(service: &Arc<Service>, run: &RunRow, error: LaunchError) {
    if let Some(after) = error.weather() {
        return put_back(service, run, &error, after).await;
    }
    let end = match error {
        LaunchError::Withdrawn(why) => RunEnd::Killed(why),
        LaunchError::Store(error @ StoreError::Degraded { .. }) => return unrecorded(service, run, error).await,
        // A database that does not serve says nothing about the run: its evidence is read again.
        LaunchError::Store(error) => {
            tracing::error!(run = %run.id, %error, "a run could not be launched; it is looked at again at the next start");
            return;
        }
        other => RunEnd::Permanent {
            detail: format!("it could not be launched: {other}"),
        },
    };
    tracing::warn!(run = %run.id, slot = %run.slot, outcome = end.outcome(), detail = end.detail(), "not launched");
    match settle::end_without_work(service, run, end).await {
        Ok(()) => {}
        Err(error @ StoreError::Degraded { .. }) => unrecorded(service, run, error).await,
        Err(error) => {
            tracing::error!(run = %run.id, %error, "the failed launch could not be recorded; it is looked at again at the next start");
        }
    }
}

/// A launch that met a database out of order: what became of it is looked at once it can be recorded.
/// One that never began is put back: it is nobody's fault, and no rescue from a crash.
async fn unrecorded(service: &Arc<Service>, run: &RunRow, error: StoreError) {
    tracing::error!(run = %run.id, %error, "a run could not be launched; what became of it is looked at when the database is in order");
    service.mended().await;
    let recorded = match service.supervisor.evidence(&service.run_dir(run.id)).await {
        Evidence::NeverStarted => return put_back(service, run, &LaunchError::Store(error), None).await,
        Evidence::Alive(alive) => match started(service, run, &alive, None).await {
            Ok(()) => return follow(service, run, &alive).await,
            Err(error) => Err(error),
        },
        Evidence::Exited(exit) => settle::exited(service, run, Outcome::Exited(exit)).await,
        Evidence::Gone => settle::exited(service, run, Outcome::Gone).await,
        Evidence::Barred(why) => settle::exited(service, run, Outcome::Barred(why)).await,
    };
    if let Err(error) = recorded {
        tracing::error!(run = %run.id, %error, "what became of a run could not be recorded; it is looked at again");
    }
}

/// Records that the run's process is there; told before or not. An order to end it that came before anybody could see that
/// process was closed without a deed: it is looked for afterwards, and carried out.
pub async fn started(service: &Service, run: &RunRow, alive: &Alive, start: Option<String>) -> Result<(), StoreError> {
    let process = ProcessId {
        pid: alive.pid,
        start: alive.start,
        boot_id: alive.boot_id.clone(),
        containment: service.supervisor.held(&service.run_dir(run.id)).await,
    };
    match service.store.run_started(run.id, process, start, clock::now()).await {
        Ok(()) | Err(StoreError::Conflict) => {}
        Err(error) => return Err(error),
    }
    let row = service.store.run(run.id).await?;
    // One that has ended on record is nobody's any more.
    let over = row.as_ref().is_none_or(|r| r.state == RunState::Ended).then_some(Kill::Superseded);
    if let Some(why) = row.and_then(|r| r.kill).or(over) {
        stop(service, run, alive, why).await;
    }
    Ok(())
}

/// The job waits until the peer is there again: an outage or a full minute is no attempt of anybody's.
async fn put_back(service: &Arc<Service>, run: &RunRow, error: &LaunchError, after: Option<Millis>) {
    let mut why = error.to_string();
    if let Some(peer) = error.refused() {
        let task = service.store.task(run.task).await.ok().flatten();
        let remedy = task.and_then(|task| refused::remedy(&service.config(), &task.project, peer));
        why.extend(remedy.map(|remedy| format!("; {remedy}")));
        refused::tell(service, run, peer, &why).await;
    }
    if error.kept_out() {
        why = format!("{why}; {OURS}");
    }
    let detail = format!("{NOT_LAUNCHED}{why}");
    tracing::warn!(run = %run.id, slot = %run.slot, "put back into the queue: {detail}");
    match error {
        // What lies there is not ours to remove.
        LaunchError::Taken(_) => {
            if let Err(error) = older::pass_over(&service.store).await {
                tracing::warn!(run = %run.id, %error, "numbers of other runs could not be passed over");
            }
        }
        _ => service.forget_run_files(run).await,
    }
    let mut recorded = service.store.put_back(run.id, &detail, after, clock::now()).await;
    while let Err(StoreError::Degraded { .. }) = recorded {
        tokio::time::sleep(degraded::PAUSE).await;
        service.mended().await;
        recorded = service.store.put_back(run.id, &detail, after, clock::now()).await;
    }
    if let Err(error) = recorded {
        tracing::error!(run = %run.id, %error, "the run could not be put back; it is looked at again at the next start");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_a_full_minute_or_a_refused_key_is_no_attempt_and_what_is_wrong_with_the_task_is() {
        let of = |error: TrackerError| LaunchError::from(error).weather();
        assert_eq!(of(TrackerError::Limited(Millis::secs(17))), Some(Some(Millis::secs(17))));
        assert_eq!(of(TrackerError::Unreachable("refused".to_owned())), Some(None));
        assert_eq!(of(TrackerError::Denied("the key is refused".to_owned())), Some(None));
        assert_eq!(of(TrackerError::Gone("7".to_owned())), None);
        assert_eq!(of(TrackerError::Refused("no".to_owned())), None);
        let (remote, why) = ("https://git.example/r.git".to_owned(), "timed out".to_owned());
        let away = || GitError::Remote {
            remote: remote.clone(),
            why: why.clone(),
        };
        assert_eq!(LaunchError::Git(away()).weather(), Some(None));
        let killed = || GitError::Ended {
            command: "fetch".to_owned(),
            signal: 9,
        };
        assert_eq!(LaunchError::Git(killed()).weather(), Some(None));
        assert_eq!(LaunchError::Forge(HubError::Forge(killed().into())).weather(), Some(None));
        assert_eq!(LaunchError::Forge(HubError::Forge(away().into())).weather(), Some(None));
        let missing = HubError::Forge(ForgeError::SourceMissing("/srv/shop".into()));
        assert_eq!(LaunchError::Forge(missing).weather(), None, "that does not pass by itself");
        assert_eq!(LaunchError::Refused("its job is gone".to_owned()).weather(), None);
        let dir = PathBuf::from("runs/1");
        let taken = spawning(SpawnError::Taken { dir });
        assert!(
            taken.weather().is_some() && !taken.to_string().contains("free disk space"),
            "{taken}"
        );
        let (path, error) = (PathBuf::from("runs/1/home"), std::io::Error::from_raw_os_error(28));
        assert_eq!(
            LaunchError::File { path, error }.weather(),
            Some(None),
            "a full disk is no attempt either"
        );
    }

    /// What keeps the service out of its own folders passes when somebody mends it, whoever meets it; what a peer says of its
    /// own does not.
    #[test]
    fn rights_that_are_wrong_in_a_folder_of_our_own_are_no_attempt() {
        use nix::errno::Errno;
        let io = |errno: Errno| std::io::Error::from(errno);
        let file = |errno| LaunchError::File {
            path: "runs/14/home".into(),
            error: io(errno),
        };
        for errno in [Errno::EACCES, Errno::EPERM, Errno::EROFS, Errno::ENOTDIR] {
            assert_eq!(file(errno).weather(), Some(None), "{errno}");
        }
        assert_eq!(file(Errno::ENAMETOOLONG).weather(), None);
        let denied = "error: unable to create temporary file: Permission denied";
        let git = |stderr: &str| GitError::Failed {
            command: "commit-tree".to_owned(),
            code: 128,
            stderr: stderr.to_owned(),
        };
        let checkout = GitError::io("cannot set up the checkout c/1")(io(Errno::EROFS));
        let prepare = SpawnError::Prepare {
            dir: "runs/14".into(),
            source: io(Errno::EACCES),
        };
        let died = SpawnError::Died {
            dir: "runs/14".into(),
            detail: "cannot write shim.json: Read-only file system (os error 30)".to_owned(),
        };
        for ours in [
            LaunchError::Git(git(denied)),
            LaunchError::Forge(HubError::Forge(git(denied).into())),
            LaunchError::Git(checkout),
            spawning(prepare),
            spawning(died),
        ] {
            assert_eq!((ours.weather(), ours.kept_out()), (Some(None), true), "{ours}");
        }
        assert_eq!(LaunchError::Git(git("fatal: bad object")).weather(), None);
        let peer = LaunchError::Refused(format!("the forge refuses the branch: {denied}"));
        assert_eq!(peer.weather(), None, "that is another's");
        for why in [denied, "error: remote unpack failed: unable to create temporary object directory"] {
            let away = |remote: &str| {
                LaunchError::Git(GitError::Remote {
                    remote: remote.to_owned(),
                    why: why.to_owned(),
                })
            };
            assert!(away("/data/forge/1.git").kept_out() && !away("git@git.example:r.git").kept_out());
        }
    }
}
