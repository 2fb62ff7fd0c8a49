//! What someone means: `ORCH-001`, `ORCH-001~1`, `#7`, `project#3`.

use crate::engine::model::{Name, Phase, RepoId, Task, TaskId};
use crate::shell::service::Service;
use crate::shell::store::{IssueRow, Target};

use super::DoorError;

/// What was meant.
#[derive(Debug, Clone)]
pub struct Found {
    /// The project.
    pub project: Name,
    /// Its repository.
    pub repo: RepoId,
    /// The task, where there is one.
    pub task: Option<Task>,
    /// The issue, where the service's own board has it.
    pub issue: Option<IssueRow>,
    /// How people call it: `ORCH-001`, `ORCH-001~1`, `project#3`.
    pub label: String,
}

impl Found {
    /// Where an event about it goes.
    #[must_use]
    pub fn target(&self) -> Target {
        let live = self.task.as_ref().filter(|t| t.control.phase != Phase::Cancelled);
        let issue = self
            .issue
            .as_ref()
            .map(|i| i.id.clone())
            .or_else(|| self.task.as_ref().map(|t| t.issue.clone()));
        Target {
            project: self.project.clone(),
            repo: self.repo,
            task: live.map(|t| t.id),
            issue,
        }
    }
}

impl Service {
    /// The task or issue that is meant.
    ///
    /// # Errors
    /// [`DoorError::NotFound`] with what might have been meant.
    pub async fn find(&self, what: &str) -> Result<Found, DoorError> {
        let what = what.trim();
        let found = if let Some(id) = what.strip_prefix('#').and_then(|n| n.parse().ok()) {
            match self.store.task(TaskId(id)).await? {
                Some(task) => Some(self.of_task(task).await?),
                None => None,
            }
        } else if let Some((project, number)) = what.split_once('#') {
            match number.parse() {
                Ok(number) => self.by_number(project, number).await?,
                Err(_) => None,
            }
        } else {
            self.by_item(what).await?
        };
        match found {
            Some(found) => Ok(found),
            None => Err(self.unknown(what).await?),
        }
    }

    async fn by_item(&self, what: &str) -> Result<Option<Found>, DoorError> {
        for item in spellings(what) {
            if let Some(task) = self.store.task_by_item(&item).await? {
                return Ok(Some(self.of_task(task).await?));
            }
        }
        // An issue that became no task yet is called by the id it would have.
        let Some((prefix, number)) = what.rsplit_once('-') else {
            return Ok(None);
        };
        let project = self.projects.values().find(|p| p.prefix().eq_ignore_ascii_case(prefix));
        match (project, number.parse()) {
            (Some(project), Ok(number)) => self.by_number(&project.name, number).await,
            _ => Ok(None),
        }
    }

    async fn by_number(&self, project: &str, number: i64) -> Result<Option<Found>, DoorError> {
        let Some(known) = self.projects.get(project) else { return Ok(None) };
        let Some(issue) = self.store.issue_by_number(project, number).await? else {
            return Ok(None);
        };
        let task = self.store.live_task_by_issue(project, &issue.id).await?;
        let label = match &task {
            Some(task) => task.item.clone(),
            None => format!("{project}#{number}"),
        };
        Ok(Some(Found {
            project: known.name.clone(),
            repo: known.repo,
            task,
            issue: Some(issue),
            label,
        }))
    }

    async fn of_task(&self, task: Task) -> Result<Found, DoorError> {
        let issue = self.store.issue(&task.project, &task.issue).await?;
        let label = self.store.item_label(task.id).await?.unwrap_or_else(|| task.item.clone());
        Ok(Found {
            project: task.project.clone(),
            repo: task.repo,
            issue,
            label,
            task: Some(task),
        })
    }

    /// The error for something that there is not, with what is nearest to it.
    async fn unknown(&self, what: &str) -> Result<DoorError, DoorError> {
        let mut names: Vec<String> = self.store.tasks(true).await?.into_iter().rev().map(|t| t.item).collect();
        for name in self.projects.keys() {
            names.extend(self.store.issues(name).await?.iter().rev().map(|i| format!("{name}#{}", i.number)));
        }
        names.dedup();
        let near = near(what, &names);
        let shown: String = what.chars().take(80).collect();
        Ok(DoorError::NotFound {
            what: format!("there is no task or issue {shown:?}"),
            help: match near.as_slice() {
                [] if names.is_empty() => "there is none at all yet: signalbox task new \"Title\"".to_owned(),
                [] => {
                    "tasks are called ORCH-001, ORCH-001~1 (an older one) or #7, issues project#3; see signalbox task list --all".to_owned()
                }
                _ => format!("did you mean {}?", near.join(" or ")),
            },
        })
    }
}

/// What a person may have meant by an id: its case and the zeros before its number do not matter.
fn spellings(what: &str) -> Vec<String> {
    let upper = what.to_uppercase();
    let mut all = vec![what.to_owned(), upper.clone()];
    let (id, older) = upper.split_once('~').map_or((upper.as_str(), None), |(id, n)| (id, Some(n)));
    if let Some((prefix, number)) = id.rsplit_once('-')
        && let Ok(number) = number.parse::<u64>()
    {
        let older = older.map(|n| format!("~{n}")).unwrap_or_default();
        all.push(format!("{prefix}-{number:03}{older}"));
    }
    all
}

/// The names nearest to `what`, at most three; none that is far.
pub(crate) fn near(what: &str, names: &[String]) -> Vec<String> {
    let wanted = what.to_lowercase();
    let mut scored: Vec<(f64, &String)> = names
        .iter()
        .map(|n| (strsim::jaro_winkler(&wanted, &n.to_lowercase()), n))
        .filter(|(score, _)| *score > 0.84)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut out: Vec<String> = Vec::new();
    for (_, name) in scored {
        if !out.contains(name) && out.len() < 3 {
            out.push(name.clone());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{near, spellings};

    #[test]
    fn zeros_before_the_number_do_not_matter() {
        for (meant, item) in [
            ("ORCH-91", "ORCH-091"),
            ("orch-0091", "ORCH-091"),
            ("ORCH-1~2", "ORCH-001~2"),
            ("MY-APP-7", "MY-APP-007"),
            ("ORCH-01234", "ORCH-1234"),
        ] {
            assert!(spellings(meant).contains(&item.to_owned()), "{meant}: {:?}", spellings(meant));
        }
        assert_eq!(spellings("ORCH-x").last().map(String::as_str), Some("ORCH-X"));
        assert_eq!(spellings("~1").len(), 2);
    }

    #[test]
    fn near_names_are_few_and_near() {
        let names: Vec<String> = ["ORCH-001", "ORCH-002", "ORCH-002", "ORCH-010", "ORCH-011", "shop#1"]
            .map(String::from)
            .into();
        let found = near("orch-0010", &names);
        assert_eq!(found.first().map(String::as_str), Some("ORCH-001"));
        assert!(found.len() <= 3);
        assert!(near("xyz", &names).is_empty());
    }
}
