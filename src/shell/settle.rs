//! After the process: what a run's end means, which of its commits are accepted, and the event.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::engine::model::{AgentNotes, Head, JobKind, Millis, RunEnd, RunId, RunReport, Seq, Task, Usage};
use crate::engine::rules::{Output, Ruleset};
use crate::shell::commands::{self, Asked};
use crate::shell::git::{Collected, Expected, Identity, Joined, Push, Work};
use crate::shell::launch::LaunchError;
use crate::shell::mask::Mask;
use crate::shell::process::report::{self, Report};
use crate::shell::process::{Exit, Outcome, TAIL, classify, files, judged, limited_at_last, tail};
use crate::shell::service::{Project, Service};
use crate::shell::store::{NOT_LAUNCHED, OutboxRow, RunRow, RunState, StoreError};
use crate::shell::{clock, crash, left, secret, unsettled};

/// Most paths kept in a report.
const WROTE_MAX: usize = 1000;
/// Times that a settling may begin and come to no end, before what it would take over counts as poison.
const BEGINNINGS: u64 = 5;
/// From how many such beginnings on it is made alone.
const SUSPECT: u64 = 2;

/// Records the end of a run's process: its settling follows as an effect, or at once where
/// nothing of it can count. While something of it lives that cannot be ended, or what it left may not be read, it is not over:
/// it stays open, people are told, and whoever looks for runs without a follower comes here again.
pub async fn exited(service: &Arc<Service>, run: &RunRow, outcome: Outcome) -> Result<(), StoreError> {
    let dir = service.run_dir(run.id);
    let left = match &outcome {
        Outcome::Gone => {
            crash::hold("sweeping").await;
            service.supervisor.sweep(&dir).await.left
        }
        Outcome::Exited(exit) => service.supervisor.left(&dir, exit).await,
        Outcome::Barred(why) => return left::barred(service, run, why).await,
    };
    if left > 0 {
        return left::tell(service, run, left).await;
    }
    left::over(service, run).await?;
    let kill = service.store.run(run.id).await?.and_then(|r| r.kill);
    match (outcome, kill) {
        (Outcome::Gone, kill) => end_without_work(service, run, kill.map_or(RunEnd::Lost, RunEnd::Killed)).await,
        (Outcome::Exited(_), Some(why)) => end_without_work(service, run, RunEnd::Killed(why)).await,
        (Outcome::Exited(exit), None) => {
            let exit = serde_json::to_value(exit).unwrap_or_default();
            service.store.run_exited(run.id, exit, clock::now()).await
        }
        (Outcome::Barred(_), _) => Ok(()),
    }
}

/// Ends a run of which nothing is accepted; what its agent cost was paid all the same.
pub async fn end_without_work(service: &Service, run: &RunRow, end: RunEnd) -> Result<(), StoreError> {
    let usage = spent(service, run).await?;
    // Before the end is on record: nobody looks at the files of a run that has ended.
    service.forget_run_files(run).await;
    let end = scrubbed(end);
    let mut report = report(run, end.clone(), usage);
    // Whoever followed it may have read its row before it was prepared: what it starts from says whether it began.
    report.start = service.store.run(run.id).await?.and_then(|row| row.start_sha);
    service.store.end_run(run.id, end, Some(report), None, clock::now()).await?;
    if run.state == RunState::Exited {
        unsettled::over(service, run, "it counts for nothing any more").await;
    }
    Ok(())
}

/// What the run's agent says in its log that it has cost so far.
async fn spent(service: &Service, run: &RunRow) -> Result<Usage, StoreError> {
    if run.kind == JobKind::Command {
        return Ok(Usage::default());
    }
    let rules = match service.store.task(run.task).await? {
        Some(task) => service.rules_of(&task).await,
        None => None,
    };
    let agent = rules.as_ref().and_then(|rules| rules.agents.get(&run.slot));
    let output = agent.map(|a| a.output).unwrap_or_default();
    Ok(told(service.log_path(run.id), output).await.usage)
}

/// The end without the service's own secrets. What came through the log was masked on its way; what an agent wrote into
/// its exit record, or what git and peers said, was not.
fn scrubbed(end: RunEnd) -> RunEnd {
    let mask = Mask::new(secret::known());
    let clean = |text: String| mask.text(&text);
    match end {
        RunEnd::Exited { code, tail } => RunEnd::Exited { code, tail: clean(tail) },
        RunEnd::Denied { tools } => RunEnd::Denied { tools: clean(tools) },
        RunEnd::Ignored { files, refused } => RunEnd::Ignored {
            files: clean(files),
            refused: refused.map(clean),
        },
        RunEnd::OutOfScope { paths } => RunEnd::OutOfScope {
            paths: paths.into_iter().map(clean).collect(),
        },
        RunEnd::Permanent { detail } => RunEnd::Permanent { detail: clean(detail) },
        RunEnd::Transient { detail, retry_after } => RunEnd::Transient {
            detail: clean(detail),
            retry_after,
        },
        RunEnd::NoRoom { detail } => RunEnd::NoRoom { detail: clean(detail) },
        RunEnd::Limited { detail, until } => RunEnd::Limited {
            detail: clean(detail),
            until,
        },
        RunEnd::Ok | RunEnd::NoOutput | RunEnd::Killed(_) | RunEnd::Lost => end,
    }
}

fn report(run: &RunRow, end: RunEnd, usage: Usage) -> RunReport {
    RunReport {
        run: run.id,
        job: run.job,
        visit: run.visit,
        slot: run.slot.clone(),
        end,
        start: run.start_sha.clone(),
        head: None,
        nonce: run.nonce.clone(),
        wrote: Vec::new(),
        usage,
        heard: Seq(0),
    }
}

/// Settles an exited run: the effect `Settle`. Idempotent: a crash anywhere in it repeats it.
///
/// What an agent leaves behind is the one thing here that a stranger made. Should it bring the
/// service down, it does so at each start: beginnings are counted, on disk, and the run is given up
/// after [`BEGINNINGS`] that came to no end.
pub async fn settle(service: &Arc<Service>, row: &OutboxRow, id: RunId) -> Result<(), LaunchError> {
    let effect = row.id;
    let Some(run) = service.store.run(id).await?.filter(|r| r.state == RunState::Exited) else {
        service.store.effect_done(effect, None, clock::now()).await?;
        return Ok(());
    };
    let result = settle_it(service, row, &run).await;
    unsettled::tell(service, &run, row.attempts, &result).await;
    result
}

async fn settle_it(service: &Arc<Service>, row: &OutboxRow, run: &RunRow) -> Result<(), LaunchError> {
    let (effect, id) = (row.id, run.id);
    if let Some(why) = run.kill {
        let report = report(run, RunEnd::Killed(why), spent(service, run).await?);
        return Ok(end(service, run, RunEnd::Killed(why), Some(report), effect).await?);
    }
    let begun = begun(row);
    if begun >= BEGINNINGS {
        let detail = format!(
            "poison: the service fell over {begun} times while it took over what run {id} had left; nothing of it was taken \
             (its log: {}; the cause: the service's own log)",
            id.log()
        );
        // Nor is its log read for what it cost: that may be what the service fell over.
        return Ok(end(service, run, RunEnd::Permanent { detail }, None, effect).await?);
    }
    // A suspect is settled alone: who falls over with it is not counted for what another left.
    let (_beside, _alone) = match begun < SUSPECT {
        true => (Some(service.settling.read().await), None),
        false => (None, Some(service.settling.write().await)),
    };
    service.store.effect_progress(effect, counted(begun + 1)).await?;
    let result = settled(service, effect, run).await;
    if result.is_err() {
        // It came to an end, if to no good one.
        service.store.effect_progress(effect, counted(begun)).await?;
    }
    result
}

/// How often this settling began without coming to an end.
fn begun(row: &OutboxRow) -> u64 {
    let counted = row.progress.as_ref().and_then(|p| p.get("begun"));
    counted.and_then(serde_json::Value::as_u64).unwrap_or_default()
}

fn counted(begun: u64) -> serde_json::Value {
    serde_json::json!({ "begun": begun })
}

async fn settled(service: &Arc<Service>, effect: i64, run: &RunRow) -> Result<(), LaunchError> {
    let id = run.id;
    let exit: Exit = serde_json::from_value(run.exit.clone().unwrap_or_default())
        .map_err(|e| LaunchError::Refused(format!("the exit record of run {id} cannot be read: {e}")))?;
    let task = service
        .store
        .task(run.task)
        .await?
        .ok_or_else(|| LaunchError::Refused("its task is gone".to_owned()))?;
    let Some(rules) = service.rules_of(&task).await else {
        return Err(LaunchError::Refused("its rules cannot be used".to_owned()));
    };
    let Some(project) = service.project_of(&task) else {
        return Err(LaunchError::Refused(format!("no project `{}` is configured", task.project)));
    };
    crash::point("settling");
    crash::point(&format!("settling-{id}"));
    crash::hold("before-settling").await;
    let settling = Settling {
        service,
        project,
        rules: &rules,
        task: &task,
        run,
    };
    if let Some(why) = settling.never_started(&exit).await? {
        service.forget_run_files(run).await;
        service.store.put_back(id, &why, Some(Millis(0)), clock::now()).await?;
        service.store.effect_done(effect, None, clock::now()).await?;
        return Ok(());
    }
    let report = settling.report(&exit).await?;
    crash::point("before-end");
    end(service, run, report.end.clone(), Some(report), effect).await?;
    crash::point("ended");
    Ok(())
}

async fn end(service: &Service, run: &RunRow, end: RunEnd, report: Option<RunReport>, effect: i64) -> Result<(), StoreError> {
    let end = scrubbed(end);
    let mut report = report.unwrap_or_else(|| self::report(run, end.clone(), Usage::default()));
    report.end = end.clone();
    tracing::info!(run = %run.id, slot = %run.slot, outcome = end.outcome(), detail = end.detail(), "ended");
    // Before the end is on record: nobody looks at the files of a run that has ended.
    service.forget_run_files(run).await;
    service.store.end_run(run.id, end, Some(report), Some(effect), clock::now()).await?;
    Ok(())
}

struct Settling<'a> {
    service: &'a Arc<Service>,
    project: &'a Project,
    rules: &'a Ruleset,
    task: &'a Task,
    run: &'a RunRow,
}

impl Settling<'_> {
    /// Why an agent's job goes back into the queue and nothing is used up: its command could not be started, and cannot be
    /// used now that it is asked again. One that answers well all the same has failed: it would be started for ever.
    async fn never_started(&self, exit: &Exit) -> Result<Option<String>, LaunchError> {
        let Some(error) = exit.launch_error.as_ref().filter(|_| self.run.kind == JobKind::Agent) else {
            return Ok(None);
        };
        match commands::ask_anew(self.service, self.task, self.rules, &self.run.slot).await? {
            Asked::Good => Ok(None),
            Asked::Ending => Err(LaunchError::Refused(format!(
                "the service ended before the command was asked again: {error}"
            ))),
            Asked::Bad(why) => {
                let why = Mask::new(secret::known()).text(&format!("{NOT_LAUNCHED}{error}; asked again: {why}"));
                tracing::warn!(run = %self.run.id, slot = %self.run.slot, "put back into the queue: {why}");
                Ok(Some(why))
            }
        }
    }

    async fn report(&self, exit: &Exit) -> Result<RunReport, LaunchError> {
        let log = self.service.log_path(self.run.id);
        let path = log.clone();
        let text = tokio::task::spawn_blocking(move || tail(&path, TAIL))
            .await
            .ok()
            .and_then(Result::ok);
        let shown = self.run.id.log();
        if self.run.kind == JobKind::Command {
            return Ok(self.command(exit, text.as_deref(), &shown));
        }
        let output = self.rules.agents.get(&self.run.slot).map(|a| a.output).unwrap_or_default();
        let told = told(log, output).await;
        let patterns = self.service.patterns(self.rules);
        let end = classify(exit, &shown, text.as_deref(), &told, output, &patterns);
        let end = judged(self.rules, exit, text.as_deref(), &told, end);
        self.note(&told.notes).await?;
        let mut report = report(self.run, end, told.usage);
        if report.end == RunEnd::Ok {
            self.accept(&mut report).await?;
            let limited = limited_at_last(exit, &shown, text.as_deref(), &told, output);
            report.end = explained(report.end, limited, told.notes.refused());
        } else {
            self.keep().await;
        }
        Ok(report)
    }

    /// Keeps what the agent told of itself. A second settling writes the same.
    async fn note(&self, notes: &AgentNotes) -> Result<(), StoreError> {
        if let Some(doubted) = &notes.doubted {
            tracing::warn!(run = %self.run.id, slot = %self.run.slot, "it claims to have cost {doubted}, which cannot be: no money is counted for it");
        }
        if *notes == AgentNotes::default() {
            return Ok(());
        }
        self.service.store.note_run(self.run.id, notes.clone()).await
    }

    /// A gate's command: its exit status is an answer, anything else a failure to run.
    fn command(&self, exit: &Exit, text: Option<&str>, shown: &str) -> RunReport {
        let end = match exit.code {
            Some(code) if exit.killed.is_none() && exit.launch_error.is_none() => RunEnd::Exited {
                code,
                tail: last_lines(text.unwrap_or_default(), 20),
            },
            _ => classify(exit, shown, text, &Report::default(), Output::Text, &[]),
        };
        let mut report = report(self.run, end, Usage::default());
        report.head.clone_from(&self.task.ledger.head);
        report
    }

    /// Takes over what a good run wrote, if it kept to its paths: into the vault, onto the branch.
    async fn accept(&self, report: &mut RunReport) -> Result<(), LaunchError> {
        let Some(start) = self.run.start_sha.clone() else {
            report.end = RunEnd::Permanent {
                detail: "the commit it started from was not recorded".to_owned(),
            };
            return Ok(());
        };
        let folder = self.project.folder(self.rules, self.task);
        let scope = Scope::of(self.rules, self.run, &folder);
        let who = self.project.agent_identity(&self.run.slot);
        let collected = self.collect(&start, &folder, &scope, &who).await?;
        let (head, wrote) = match collected {
            Collected::Accepted { head, wrote } => (head, wrote),
            Collected::OutOfScope { paths } => {
                report.end = RunEnd::OutOfScope {
                    paths: paths.into_iter().take(20).collect(),
                };
                return Ok(());
            }
            Collected::Broken { why } => {
                report.end = RunEnd::Permanent {
                    detail: format!("its checkout cannot be used: {why}"),
                };
                return Ok(());
            }
        };
        if wrote.is_empty() {
            let passed_over = self.passed_over(&start, &folder, &scope, &who).await?;
            report.end = passed_over.map_or(RunEnd::NoOutput, |files| RunEnd::Ignored { files, refused: None });
            return Ok(());
        }
        match self.publish(&start, &head, &folder, &who).await? {
            Ok(head) => report.head = Some(head),
            Err(end) => report.end = end,
        }
        report.wrote = wrote.into_iter().collect::<BTreeSet<_>>().into_iter().take(WROTE_MAX).collect();
        Ok(())
    }

    /// Why what the run made cannot be brought to where the branch is now; nothing where it can be tried.
    async fn apart(&self, start: &str, head: &str, now: &str, folder: &str) -> Result<Option<String>, LaunchError> {
        let vault = &self.project.vault;
        let was = vault.subject(start, folder).await?;
        if vault.subject(now, folder).await? == was {
            return Ok(None);
        }
        // To join what somebody rewrote would bring back what they took away.
        if !vault.is_ancestor(start, now).await? {
            return Ok(Some(format!("the branch was rewritten to {now} while the run was at work")));
        }
        let wrote_code = vault.subject(head, folder).await? != was;
        Ok((!wrote_code).then(|| format!("the branch moved to {now} with other code while the run was at work")))
    }

    async fn collect(&self, start: &str, folder: &str, scope: &Scope, who: &Identity) -> Result<Collected, LaunchError> {
        let (scratch, message) = (
            self.scratch()?,
            format!("{}: {} ({})", self.task.item, self.run.stage, self.run.slot),
        );
        let (checkout, allow) = (self.checkout(), |path: &str| scope.allows(path));
        let work = self.work(&checkout, start, folder, &scratch, &message, who);
        Ok(self.project.vault.collect(work, &allow).await?)
    }

    /// What lies ignored in the checkout of a run that has nothing to show.
    async fn passed_over(&self, start: &str, folder: &str, scope: &Scope, who: &Identity) -> Result<Option<String>, LaunchError> {
        let (checkout, scratch) = (self.checkout(), self.scratch()?);
        let allow = |path: &str| scope.allows(path);
        let work = self.work(&checkout, start, folder, &scratch, "", who);
        Ok(self.project.vault.passed_over(work, &allow).await)
    }

    fn checkout(&self) -> PathBuf {
        self.service.data.join("checkouts").join(&self.run.checkout)
    }

    fn work<'w>(&self, dir: &'w Path, start: &'w str, folder: &'w str, scratch: &'w Path, message: &'w str, who: &'w Identity) -> Work<'w> {
        Work {
            dir,
            start,
            folder,
            run: self.run.id,
            scratch,
            message,
            who,
            at: self.run.claimed_at,
        }
    }

    /// A folder to take its work over in, whatever an agent made of it.
    fn scratch(&self) -> Result<PathBuf, LaunchError> {
        let dir = self.service.scratch_dir(self.run.id);
        let wrap = |path: &Path| {
            let path = path.to_owned();
            move |error| LaunchError::File { path, error }
        };
        if let Some(all) = dir.parent() {
            files::folder(all).map_err(wrap(all))?;
        }
        files::folder(&dir).map_err(wrap(&dir))?;
        Ok(dir)
    }

    /// Pushes the run's head to the task branch and ensures a change request.
    ///
    /// What others pushed on top meanwhile is joined, when it left the code alone or the run wrote code
    /// itself; a verdict on code that has moved since is no verdict.
    async fn publish(&self, start: &str, head: &str, folder: &str, who: &Identity) -> Result<Result<Head, RunEnd>, LaunchError> {
        let vault = &self.project.vault;
        let branch = self.project.task_branch(self.rules, self.task)?;
        let remote = vault.remote_branch(&self.task.branch).await?;
        let now = match remote {
            Some(now) => now,
            // Its work was paid for and is in the vault: it waits there until the branch is back, or a stop.
            None => {
                return Err(LaunchError::BranchGone {
                    branch: self.task.branch.clone(),
                    sha: self.task.ledger.head.as_ref().map_or(start, |head| &head.sha).to_owned(),
                });
            }
        };
        let mut target = head.to_owned();
        if now != head && now != start {
            // Somebody's commit, which is not here yet.
            vault.fetch().await?;
        }
        if now != head && vault.is_ancestor(head, &now).await? {
            // Pushed before a crash, by itself or joined.
            target.clone_from(&now);
        } else if now != start && !vault.is_ancestor(&now, head).await? {
            if let Some(detail) = self.apart(start, head, &now, folder).await? {
                return Ok(Err(RunEnd::Permanent { detail }));
            }
            let message = format!("{}: join {} (run {})", self.task.item, self.run.slot, self.run.id);
            match vault.join(&now, start, head, &message, who, self.run.claimed_at).await? {
                Joined::Clean { head } => target = head,
                Joined::Conflict { files } => {
                    let detail = format!("in conflict with what was pushed meanwhile: {}", files.join(", "));
                    return Ok(Err(RunEnd::Permanent { detail }));
                }
            }
        }
        crash::hold("before-push").await;
        // Since it was looked at last a person may have decided otherwise: what is withdrawn reaches nobody, least of all the
        // run that follows, which begins from the branch.
        if let Some(why) = self.service.store.run(self.run.id).await?.and_then(|run| run.kill) {
            return Ok(Err(RunEnd::Killed(why)));
        }
        self.service.store.record_push(self.task.id, &target).await?;
        match vault.push(&target, &branch, &Expected::At(now)).await? {
            Push::Done | Push::Same => {}
            Push::Moved { .. } => return Err(LaunchError::Refused("the branch moved while it was pushed to".to_owned())),
            Push::Refused { why } => {
                return Ok(Err(RunEnd::Permanent {
                    detail: format!("the forge refuses the push: {why}"),
                }));
            }
        }
        let title = format!("{}: {}", self.task.item, self.task.title);
        self.project.forge.ensure_change(&self.task.branch, &title, &target).await?;
        let subject = vault.subject(&target, folder).await?;
        Ok(Ok(Head { sha: target, subject }))
    }

    /// Leftovers of a failed run are kept under a ref of their own; best effort.
    async fn keep(&self) {
        let Some(start) = &self.run.start_sha else { return };
        let checkout = self.checkout();
        let scratch = match self.scratch() {
            Ok(scratch) => scratch,
            Err(error) => return tracing::warn!(run = %self.run.id, %error, "its leftovers could not be kept"),
        };
        let who = self.project.agent_identity(&self.run.slot);
        let message = format!("{}: leftovers of run {}", self.task.item, self.run.id);
        let folder = self.project.folder(self.rules, self.task);
        let scope = Scope::of(self.rules, self.run, &folder);
        let allow = |path: &str| scope.allows(path);
        let work = self.work(&checkout, start, &folder, &scratch, &message, &who);
        if let Err(error) = self.project.vault.keep_leftovers(work, &allow).await {
            tracing::warn!(run = %self.run.id, %error, "its leftovers could not be kept");
        }
    }
}

/// Why a run wrote nothing, where that is so: its last line tells of a limit, or tools were refused to it.
fn explained(end: RunEnd, limited: Option<RunEnd>, refused: Option<String>) -> RunEnd {
    match (end, limited, refused) {
        (RunEnd::NoOutput | RunEnd::Ignored { .. }, Some(limited), _) => limited,
        (RunEnd::NoOutput, None, Some(tools)) => RunEnd::Denied { tools },
        (RunEnd::Ignored { files, .. }, None, refused) => RunEnd::Ignored { files, refused },
        (end, ..) => end,
    }
}

/// What an agent's log tells; nothing when it cannot be read.
async fn told(log: PathBuf, output: Output) -> Report {
    let read = tokio::task::spawn_blocking(move || report::read(&log, output)).await;
    read.ok().and_then(Result::ok).unwrap_or_default()
}

/// The paths a run may write.
struct Scope {
    folder: String,
    code: GlobSet,
    artefacts: GlobSet,
}

impl Scope {
    fn of(rules: &Ruleset, run: &RunRow, folder: &str) -> Self {
        let agent = rules.agents.get(&run.slot);
        Self {
            folder: format!("{folder}/"),
            code: globs(agent.map_or(&[], |a| &a.writes)),
            artefacts: globs(agent.map_or(&[], |a| &a.artefacts)),
        }
    }

    /// Artefacts by what the agent declares of them, everything else by `writes`.
    fn allows(&self, path: &str) -> bool {
        match path.strip_prefix(&self.folder) {
            Some(artefact) => self.artefacts.is_match(artefact),
            None => self.code.is_match(path),
        }
    }
}

fn globs(patterns: &[String]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for glob in patterns
        .iter()
        .filter_map(|p| GlobBuilder::new(p).literal_separator(true).build().ok())
    {
        set.add(glob);
    }
    set.build().unwrap_or_default()
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b_q_4_a_limit_at_last_and_refused_tools_explain_a_run_only_that_wrote_nothing() {
        let limited = || RunEnd::Limited {
            detail: "limit".to_owned(),
            until: Millis(1),
        };
        let ignored = |refused: Option<&str>| RunEnd::Ignored {
            files: "`gen/a.rs` (line 1 of `.gitignore`: `gen/`)".to_owned(),
            refused: refused.map(str::to_owned),
        };
        let tools = || Some("Write (1 call)".to_owned());
        assert_eq!(explained(RunEnd::Ok, Some(limited()), tools()), RunEnd::Ok);
        for end in [RunEnd::NoOutput, ignored(None)] {
            assert_eq!(explained(end, Some(limited()), tools()), limited());
        }
        assert_eq!(explained(RunEnd::NoOutput, None, None), RunEnd::NoOutput);
        assert_eq!(explained(RunEnd::NoOutput, None, tools()).outcome(), "no_output");
        assert_eq!(explained(ignored(None), None, tools()), ignored(Some("Write (1 call)")));
        assert_eq!(
            explained(ignored(None), None, tools()).detail(),
            "the run ended well but wrote nothing that was due; files that git ignores are not taken over: \
             `gen/a.rs` (line 1 of `.gitignore`: `gen/`); tools were refused to it: Write (1 call)"
        );
    }
}
