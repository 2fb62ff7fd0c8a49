//! What a task's card says, read from the task and the store.

use crate::engine::model::{At, Millis, Mode, Phase, StopState, Task, TaskId};
use crate::engine::render::{self, CardWords, Link, Spent, Standing};
use crate::engine::rules::{Forge, Tracker};
use crate::shell::service::Service;
use crate::shell::store::{Entry, RunRow, StoreError};

/// What of a task its card shows: while it is the same, the card is.
#[derive(Debug, PartialEq, Eq)]
struct Face<'a> {
    item: &'a str,
    stage: &'a str,
    visit: u32,
    standing: Standing,
    detail: &'a str,
    review: (Option<Millis>, Millis),
}

fn face(task: &Task) -> Face<'_> {
    let (standing, detail) = standing(task);
    let review = task.ledger.review;
    Face {
        item: &task.item,
        stage: &task.control.stage,
        visit: task.ledger.visit.number,
        standing,
        detail,
        review: (review.started_at, review.total),
    }
}

/// Whether the card shows something else after a step.
#[must_use]
pub fn changes(before: &Task, after: &Task) -> bool {
    after.control.phase != Phase::Unborn && face(before) != face(after)
}

/// How a task stands, and what there is to say about it.
///
/// Only what a step writes down counts here: it stays true until the next step, and no card grows stale.
fn standing(task: &Task) -> (Standing, &str) {
    let (control, ledger) = (&task.control, &task.ledger);
    match (control.phase, control.stop, control.mode) {
        (Phase::Done, ..) => (Standing::Done, ""),
        (Phase::Cancelled, ..) => (Standing::Cancelled, ""),
        (_, StopState::Cleaning, _) => (Standing::Stopping, ""),
        (_, StopState::Deferred, _) => (Standing::StopDeferred, ""),
        (_, _, Mode::Question) => (Standing::Question, words(ledger.question.as_ref())),
        (_, _, Mode::Escalated) => (Standing::Escalated, words(ledger.escalated.as_ref())),
        (_, _, Mode::Active) if ledger.review.started_at.is_some() => (Standing::Review, words(ledger.waiting.as_ref())),
        (_, _, Mode::Active) => match (&control.at, words(ledger.waiting.as_ref())) {
            (At::Updating { .. }, _) => (Standing::Updating, ""),
            (At::Work, _) => (Standing::Work, ""),
            (At::Action { .. }, "") => (Standing::Action, ""),
            (At::Entering | At::Gates, "") => (Standing::Gates, ""),
            (_, detail) => (Standing::Waits, detail),
        },
    }
}

fn words(told: Option<&(String, Millis)>) -> &str {
    told.map_or("", |(text, _)| text)
}

/// The card's HTML as the task stands now; `None` where there is no such task.
///
/// # Errors
/// When the store cannot be read.
pub async fn content(service: &Service, id: TaskId) -> Result<Option<String>, StoreError> {
    let Some(task) = service.store.task(id).await? else {
        return Ok(None);
    };
    let Some(project) = service.project_of(&task) else {
        return Ok(None);
    };
    let entries = service.store.entries(id).await?;
    let runs = service.store.runs(id).await?;
    let change = match task.branch.as_str() {
        "" => None,
        branch => service.store.change_by_branch(task.repo, branch).await?,
    };
    let change = change.map_or(0, |c| c.number);
    let over = task.ledger.ended_at.filter(|_| task.terminal());
    let (standing, detail) = standing(&task);
    let review = task.ledger.review;
    let words = CardWords {
        item: task.item.clone(),
        title: task.title.clone(),
        project: task.project.to_string(),
        stage: task.control.stage.to_string(),
        standing,
        detail: detail.to_owned(),
        since: utc(over.unwrap_or(task.ledger.visit.entered_at)),
        stages: spent(&entries, over),
        total: over.map_or(0, |end| seconds(end.since(task.created_at))),
        review: seconds(review.total),
        review_since: review.started_at.map(utc).unwrap_or_default(),
        cost: cost(&runs),
        branch: task.branch.clone(),
        change,
        links: links(service, &task, change),
    };
    // How it is worded is the service's affair: the rules of today, whatever those of the task are.
    Ok(Some(render::card(&project.rules(), &words)))
}

/// Where to read on about a task: its issue, else its change request or branch.
///
/// # Errors
/// When the store cannot be read.
pub async fn link(service: &Service, id: TaskId) -> Result<Option<String>, StoreError> {
    let task = service.store.task(id).await?;
    Ok(task
        .and_then(|task| links(service, &task, 0).into_iter().next())
        .map(|link| link.url))
}

/// Time per stage that was left, in the order in which the stages were first entered.
fn spent(entries: &[Entry], over: Option<Millis>) -> Vec<Spent> {
    let mut found: Vec<Spent> = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        let Some(left) = entries.get(i.saturating_add(1)).map(|e| e.at).or(over) else {
            break;
        };
        let took = seconds(left.since(entry.at));
        match found.iter_mut().find(|s| s.stage == entry.stage.as_str()) {
            Some(known) => {
                known.seconds = known.seconds.saturating_add(took);
                known.visits = known.visits.saturating_add(1);
            }
            None => found.push(Spent {
                stage: entry.stage.to_string(),
                seconds: took,
                visits: 1,
            }),
        }
    }
    found
}

/// What all runs cost; empty where nothing is known about it.
fn cost(runs: &[RunRow]) -> String {
    let sum: f64 = runs.iter().filter_map(|r| r.usage).map(|u| u.cost_usd).sum();
    if sum > 0.0 { format!("{sum:.2}") } else { String::new() }
}

fn links(service: &Service, task: &Task, change: i64) -> Vec<Link> {
    let config = service.config();
    let project = config.projects.get(&task.project);
    project.map(|p| addresses(&p.tracker, &p.forge, task, change)).unwrap_or_default()
}

/// Where people see a task's issue, and its change request or, before there is one, its branch.
fn addresses(tracker: &Tracker, forge: &Forge, task: &Task, change: i64) -> Vec<Link> {
    let mut found = Vec::new();
    let mut add = |name: &str, url: Option<String>| {
        let name = name.to_owned();
        found.extend(url.map(|url| Link { name, url }));
    };
    if let Tracker::Plane(plane) = tracker {
        let path = [plane.workspace.as_str(), "projects", &plane.project, "issues", &task.issue];
        add("issue", below(&plane.url, &path));
    }
    if let Forge::Gitea(gitea) = forge {
        let number = change.to_string();
        let repo = [gitea.owner.as_str(), gitea.repo.as_str()];
        match (change, task.branch.as_str()) {
            (1.., _) => add("change", below(&gitea.url, &[&repo[..], &["pulls", &number]].concat())),
            (_, "") => {}
            (_, branch) => {
                let parts: Vec<&str> = repo.into_iter().chain(["src", "branch"]).chain(branch.split('/')).collect();
                add("branch", below(&gitea.url, &parts));
            }
        }
    }
    found
}

/// An address below a server's, which may have a path of its own; what an address cannot hold is escaped.
fn below(base: &str, segments: &[&str]) -> Option<String> {
    let mut url = reqwest::Url::parse(base).ok()?;
    url.path_segments_mut().ok()?.pop_if_empty().extend(segments);
    Some(url.into())
}

fn seconds(span: Millis) -> i64 {
    span.0 / 1000
}

/// To the minute, in UTC: people in one room live in several zones.
fn utc(at: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).map(|t| t.strftime("%Y-%m-%d %H:%M").to_string());
    at.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::{Name, RepoId};
    use crate::engine::rules::{Gitea, Plane, Secret};

    #[test]
    fn time_in_a_stage_adds_up_over_its_visits() {
        let entry = |stage: &str, at: i64| Entry {
            stage: Name::new(stage),
            at: Millis(at),
        };
        let entries = [
            entry("dev", 0),
            entry("review", 60_000),
            entry("dev", 90_000),
            entry("done", 100_000),
        ];
        let told =
            |over| -> Vec<(String, i64, u32)> { spent(&entries, over).into_iter().map(|s| (s.stage, s.seconds, s.visits)).collect() };
        let left = vec![("dev".to_owned(), 70, 2), ("review".to_owned(), 30, 1)];
        assert_eq!(told(None), left, "the present one goes on");
        let over = [left, vec![("done".to_owned(), 0, 1)]].concat();
        assert_eq!(told(Some(Millis(100_000))), over);
    }

    #[test]
    fn links_lead_to_the_issue_and_to_the_request_or_the_branch() {
        let secret = || Secret::Env("X".to_owned());
        let tracker = Tracker::Plane(Plane {
            url: "https://plane.example".to_owned(),
            workspace: "acme".to_owned(),
            project: "59e3".to_owned(),
            token: secret(),
            secret: secret(),
            agents: [].into(),
        });
        let forge = Forge::Gitea(Gitea {
            url: "https://example.org/git/".to_owned(),
            owner: "acme".to_owned(),
            repo: "shop".to_owned(),
            default_branch: "main".to_owned(),
            token: secret(),
            secret: secret(),
        });
        let local = || Forge::Local {
            source: "../shop".to_owned(),
            default_branch: "main".to_owned(),
        };
        let mut task = Task::unborn(Name::new("p"), RepoId(1), "775c", "r");
        let to = |tracker: &Tracker, forge: &Forge, task: &Task, change| -> Vec<String> {
            let links = addresses(tracker, forge, task, change).into_iter();
            links.map(|l| format!("{} {}", l.name, l.url)).collect()
        };
        let issue = "issue https://plane.example/acme/projects/59e3/issues/775c".to_owned();
        assert_eq!(to(&tracker, &forge, &task, 0), vec![issue.clone()], "no branch yet");
        task.branch = "feature/ORCH-1-50%#a".to_owned();
        let branch = "branch https://example.org/git/acme/shop/src/branch/feature/ORCH-1-50%25%23a".to_owned();
        assert_eq!(to(&tracker, &forge, &task, 0), [issue.clone(), branch]);
        let change = "change https://example.org/git/acme/shop/pulls/12".to_owned();
        assert_eq!(to(&tracker, &forge, &task, 12), [issue, change.clone()]);
        assert_eq!(to(&Tracker::Local, &forge, &task, 12), [change]);
        assert_eq!(to(&Tracker::Local, &local(), &task, 12), Vec::<String>::new());
    }

    #[test]
    fn a_card_changes_when_what_it_shows_does() {
        let unborn = Task::unborn(Name::new("p"), RepoId(1), "i", "r");
        let mut born = unborn.clone();
        assert!(!changes(&unborn, &born), "an issue without a task has no card");
        born.control.phase = Phase::Live;
        born.item = "P-001".to_owned();
        assert!(changes(&unborn, &born));
        let mut next = born.clone();
        next.version += 1;
        next.ledger.note = Some("for agents".to_owned());
        assert!(!changes(&born, &next));
        next.ledger.review.started_at = Some(Millis(5));
        assert!(changes(&born, &next));
        next = born.clone();
        next.control.mode = Mode::Escalated;
        next.ledger.escalated = Some(("why".to_owned(), Millis(1)));
        assert!(changes(&born, &next));
        assert_eq!(standing(&next), (Standing::Escalated, "why"));
    }
}
