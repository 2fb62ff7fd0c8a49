//! Tasks at a glance: `/status`, `/api/tasks/{item}/why`, `/health`, `/api/projects`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::engine::model::{Blocker, FreezeLevel, Millis, Phase, StopState, Task, TaskId, Who};
use crate::engine::rules::Ruleset;
use crate::shell::deaf;
use crate::shell::degraded::Trouble;
use crate::shell::door::Found;
use crate::shell::left_board;
use crate::shell::service::Service;
use crate::shell::store::{RunState, StoreError};
use crate::shell::volume::{self, Room};

use super::show::run_view;
use super::unheard;
use super::words::{mode, place, who};
use super::{BlockerView, CounterView, HealthView, ProblemView, ProjectView, ProjectsView, StatusView, TaskLine, TasksView, WhyView};

/// Why each of these tasks waits, most decisive first.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn reasons(service: &Service, tasks: &[Task]) -> Result<BTreeMap<TaskId, Vec<BlockerView>>, StoreError> {
    let found = service.blockers(tasks).await?;
    Ok(found
        .into_iter()
        .map(|(id, blockers)| (id, blockers.iter().map(blocker).collect()))
        .collect())
}

/// A blocker as it is shown.
#[must_use]
pub(super) fn blocker(b: &Blocker) -> BlockerView {
    BlockerView {
        code: b.code.as_str().to_owned(),
        text: b.text.clone(),
        since: b.since.into(),
        who: who(b.who).to_owned(),
        clear: b.clear.clone(),
    }
}

/// Whether a person is to clear it.
fn calls(b: &BlockerView) -> bool {
    [Who::Approver, Who::Anyone, Who::Operator].iter().any(|w| who(*w) == b.who)
}

/// A task on one line.
#[must_use]
pub fn line(task: &Task, label: String, rules: Option<&Ruleset>, blocker: Option<BlockerView>, now: Millis) -> TaskLine {
    let max = |name: &str| rules.and_then(|r| r.counters.get(name)).map(|c| c.max);
    let review = task.ledger.review;
    let open = review.started_at.map_or(Millis(0), |since| now.since(since));
    let ended = task.ledger.ended_at.filter(|_| task.terminal());
    let since = ended.unwrap_or(task.ledger.visit.entered_at);
    TaskLine {
        id: task.id.0,
        item: label,
        project: task.project.to_string(),
        title: task.title.clone(),
        stage: task.control.stage.to_string(),
        visit: task.ledger.visit.number,
        mode: mode(task).to_owned(),
        at: place(task).to_owned(),
        since: since.into(),
        blocker,
        counters: task
            .control
            .counters
            .iter()
            .map(|(n, used)| (n.to_string(), CounterView { used: *used, max: max(n) }))
            .collect(),
        review_ms: review.total.plus(open).0,
    }
}

/// Tasks that are not over.
///
/// # Errors
/// When the store cannot be read.
pub async fn status(service: &Service) -> Result<StatusView, StoreError> {
    let tasks = service.store.tasks(false).await?;
    let mut lines = lines(service, &tasks).await?;
    let attention = lines.iter().filter(|l| l.blocker.as_ref().is_some_and(calls)).count();
    // Whatever waits for a person comes first; a stable sort keeps the order of ids.
    lines.sort_by_key(|l| !l.blocker.as_ref().is_some_and(calls));
    Ok(StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now: service.now().into(),
        attention,
        containment: service.supervisor.containment().as_str().to_owned(),
        tasks: lines,
        problems: problems(service).await?,
    })
}

/// What a database out of order means for whoever waits.
fn meaning(why: &str) -> String {
    format!("{why}; until then nothing is started and nothing can be recorded, agents at work go on, and it is tried again every second")
}

/// What is wrong with the database now, and what that means; nothing while it is in order.
pub(super) fn degraded(service: &Service) -> Option<ProblemView> {
    service.trouble().map(|t| ProblemView {
        text: meaning(&t.why),
        since: t.since.into(),
    })
}

/// That the disk of the data is full; nothing while it is not.
fn full(room: Room, data: &Path, now: Millis) -> Option<ProblemView> {
    room.full().then(|| ProblemView {
        text: format!(
            "the disk of {data} is full ({}): hardly anything can be written down, and runs and merges fail or wait. Nothing that was done is \
             lost. Make room on it (`df -h {data}`, `df -i {data}`; `du -xh {data} | sort -h | tail` shows what takes it): it goes on by itself",
            room.left(),
            data = data.display(),
        ),
        since: now.into(),
    })
}

async fn problems(service: &Service) -> Result<Vec<ProblemView>, StoreError> {
    let chat = service.chat.room().and_then(|room| room.problem());
    let view = |p: crate::shell::chat::Problem| ProblemView {
        text: p.text,
        since: p.since.into(),
    };
    let known = service.store.notices().await?.into_iter().map(|n| ProblemView {
        text: n.text,
        since: n.since.into(),
    });
    let rules = service.refused_rules().map(|(since, why)| ProblemView {
        text: format!("the rules on disk are refused, those before stay in force ({why}); `signalbox validate` shows what is wrong"),
        since: since.into(),
    });
    let held = service.held().map(|held| ProblemView {
        text: held.text,
        since: held.since.into(),
    });
    let boards = left_board::problems(service).await?;
    let deaf = deaf::problems(service)
        .into_iter()
        .chain(boards)
        .map(|(text, since)| ProblemView { text, since: since.into() });
    let mut found: Vec<ProblemView> = degraded(service)
        .into_iter()
        .chain(
            volume::room(&service.data)
                .ok()
                .and_then(|room| full(room, &service.data, service.now())),
        )
        .chain(deaf)
        .chain(chat.map(view))
        .chain(held)
        .chain(rules)
        .collect();
    found.extend(unheard::starts_held(service).await?);
    for project in service.projects.values() {
        let freeze = service.store.repo_by_id(project.repo).await?.freeze;
        found.extend(freeze.map(|freeze| ProblemView {
            text: format!(
                "{name} is frozen by {} ({}): {}; lifted by `signalbox unfreeze -p {name} \"why it is safe now\"`",
                freeze.by,
                match freeze.level {
                    FreezeLevel::Merge => "no merge and no entry",
                    FreezeLevel::All => "nothing starts",
                },
                freeze.reason.split_whitespace().collect::<Vec<_>>().join(" "),
                name = project.name
            ),
            since: freeze.since.into(),
        }));
    }
    Ok(found.into_iter().chain(known).collect())
}

/// Tasks, newest first; without `all` those that are not over.
///
/// # Errors
/// When the store cannot be read.
pub async fn tasks(service: &Service, all: bool) -> Result<TasksView, StoreError> {
    let tasks = service.store.tasks(all).await?;
    let mut tasks = lines(service, &tasks).await?;
    tasks.reverse();
    Ok(TasksView {
        now: service.now().into(),
        tasks,
    })
}

async fn lines(service: &Service, tasks: &[Task]) -> Result<Vec<TaskLine>, StoreError> {
    let mut reasons = reasons(service, tasks).await?;
    let now = service.now();
    let mut lines = Vec::with_capacity(tasks.len());
    for task in tasks {
        let rules = service.rules_of(task).await;
        let first = reasons.remove(&task.id).and_then(|b| b.into_iter().next());
        let label = label(service, task).await?;
        lines.push(line(task, label, rules.as_deref(), first, now));
    }
    Ok(lines)
}

/// How people call a task; only cancelled ones carry more than their work item id.
pub(super) async fn label(service: &Service, task: &Task) -> Result<String, StoreError> {
    if task.control.phase != Phase::Cancelled {
        return Ok(task.item.clone());
    }
    Ok(service.store.item_label(task.id).await?.unwrap_or_else(|| task.item.clone()))
}

/// Why a task waits.
///
/// # Errors
/// When the store cannot be read.
pub async fn why(service: &Service, found: &Found) -> Result<WhyView, StoreError> {
    let now = service.now();
    let Some(task) = &found.task else {
        return Ok(WhyView {
            now: now.into(),
            item: found.label.clone(),
            stage: found.issue.as_ref().map(|i| i.status.clone()).unwrap_or_default(),
            mode: "no_task".to_owned(),
            sentence: "it is an issue without a task: nobody has started it, or the entry check refused it (see its comments)".to_owned(),
            blockers: Vec::new(),
            runs: Vec::new(),
        });
    };
    let mut blockers = reasons(service, std::slice::from_ref(task))
        .await?
        .remove(&task.id)
        .unwrap_or_default();
    if let Some(trouble) = service.trouble().filter(|_| !task.terminal()) {
        let first = BlockerView {
            code: "DEGRADED".to_owned(),
            text: meaning(&trouble.why),
            since: trouble.since.into(),
            who: who(Who::Operator).to_owned(),
            clear: None,
        };
        blockers.insert(0, first);
    }
    let runs = service.store.runs(task.id).await?;
    let open: Vec<_> = runs
        .iter()
        .filter(|r| r.state != RunState::Ended)
        .map(|r| run_view(r, &found.label))
        .collect();
    let sentence = sentence(service, task, &blockers, open.len()).await?;
    if !task.terminal() {
        blockers.extend(unheard::about(service, task).await?);
    }
    Ok(WhyView {
        now: now.into(),
        item: found.label.clone(),
        stage: task.control.stage.to_string(),
        mode: mode(task).to_owned(),
        sentence,
        blockers,
        runs: open,
    })
}

async fn sentence(service: &Service, task: &Task, blockers: &[BlockerView], runs: usize) -> Result<String, StoreError> {
    if task.terminal() {
        return Ok(format!("it is over ({})", mode(task)));
    }
    if task.control.stop == StopState::No && runs > 0 && blockers.is_empty() {
        return Ok(format!(
            "nothing blocks it; {runs} run{} at work",
            if runs == 1 { " is" } else { "s are" }
        ));
    }
    if let [first, rest @ ..] = blockers {
        let more = if rest.is_empty() {
            String::new()
        } else {
            format!(" (and {} more)", rest.len())
        };
        return Ok(format!("{}{more}", first.text));
    }
    let next = match service.store.next_due().await? {
        Some(due) if due > service.now() => format!("the next look is due in {} s", (due.since(service.now()).0 + 999) / 1000),
        _ => "the next look is due now".to_owned(),
    };
    Ok(format!("nothing blocks it; {next}"))
}

/// Whether the service is well.
#[must_use]
pub fn health(service: &Service, containment: &str) -> HealthView {
    let held = service.held();
    let stopped = held.as_ref().filter(|h| !h.passes).map(|h| Trouble {
        why: h.text.clone(),
        since: h.since,
    });
    let trouble = stopped.or_else(|| service.trouble());
    HealthView {
        status: match (&trouble, service.draining()) {
            (Some(_), _) => "degraded",
            (None, true) => "draining",
            (None, false) => "ok",
        }
        .to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: service.began.elapsed().as_secs().cast_signed(),
        containment: containment.to_owned(),
        since: trouble.as_ref().map(|t| t.since.into()),
        database: trouble.map(|t| t.why).or(held.map(|h| h.text)).unwrap_or_else(|| "ok".to_owned()),
    }
}

/// The projects.
#[must_use]
pub fn projects(service: &Service) -> ProjectsView {
    let projects = service.projects.values().map(|p| ProjectView {
        name: p.name.to_string(),
        prefix: p.prefix(),
        pipeline: p.rules().pipeline.to_string(),
        rules: p.rules().hash.clone(),
        flow: p.rules().flow.iter().map(ToString::to_string).collect(),
        signals: p
            .rules()
            .signals
            .status
            .iter()
            .map(|(status, signal)| (status.clone(), signal.to_string()))
            .collect(),
    });
    ProjectsView {
        projects: projects.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_problem_that_is_told_and_one_with_room_is_none() {
        let said = |free: u64, files: u64| {
            let room = Room {
                free,
                total: 1 << 40,
                files: Some(files),
            };
            full(room, Path::new("/data"), Millis(7)).map(|problem| problem.text)
        };
        assert_eq!(said(1 << 30, 5000), None);
        for (free, files, left) in [(0, 5000, "0 MiB free"), (812 << 20, 0, "812 MiB and 0 inodes free")] {
            let text = said(free, files).unwrap_or_default();
            assert!(text.starts_with(&format!("the disk of /data is full ({left}): ")), "{text}");
        }
    }
}
