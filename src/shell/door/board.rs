//! The service's own board: issues, their comments, labels and statuses.
//!
//! A change and the event that follows from it are written in one transaction; the change's
//! activity is what makes the event once-only.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::model::{Actor, Body, Millis, Name, Role, Signal, Task};
use crate::engine::rules::{GateKind, Ruleset};
use crate::shell::service::{Project, Service};
use crate::shell::store::{EventMaker, IssueRow, NewComment, NewEvent, NewIssue, Target};
use crate::shell::tracker::Tracker;

use super::find::near;
use super::signal::done;
use super::{Done, DoorError, Found, check_text, require};

/// The status of an issue that nobody has started.
pub const INITIAL: &str = "Backlog";
/// Longest title and label, in characters; the rules may ask for less.
const MAX_LINE: usize = 500;
/// Most labels of a new issue.
const MAX_LABELS: usize = 50;

/// An issue was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The work item id that its task has or will have.
    pub item: String,
    /// Its number on the board.
    pub number: i64,
    /// What was done, in one sentence.
    pub message: String,
}

impl Service {
    /// A person makes an issue, and starts it where `start` says so.
    ///
    /// # Errors
    /// [`DoorError`]; nothing was recorded then.
    pub async fn issue_new(
        &self,
        project: &str,
        title: &str,
        text: &str,
        labels: &[String],
        start: bool,
        actor: Actor,
    ) -> Result<Made, DoorError> {
        require(&actor, &[Role::Operator, Role::Approver], "make issues")?;
        let project = self.project_named(Some(project))?;
        if !matches!(project.tracker, Tracker::Local(_)) {
            return Err(DoorError::not_now(
                format!("the issues of {} are not on the service's own board", project.name),
                "make it on the project's board, and move it to the status that starts work",
            ));
        }
        check_line(title, "the title")?;
        check_text(text, "the text", false)?;
        if labels.len() > MAX_LABELS {
            return Err(DoorError::bad(format!("an issue has at most {MAX_LABELS} labels")));
        }
        for label in labels {
            check_line(label, "a label")?;
            may_label(project, label, &actor)?;
        }
        let starting = start_status(&project.rules()).unwrap_or_else(|| INITIAL.to_owned());
        let row = NewIssue {
            project: project.name.clone(),
            title: title.trim().to_owned(),
            description: text.to_owned(),
            status: if start { starting.clone() } else { INITIAL.to_owned() },
            labels: labels.iter().map(|l| l.trim().to_owned()).collect(),
            author: actor.label(),
            now: self.now(),
        };
        let warning = entry_warning(&project.rules(), &row);
        let event = start.then(|| started(project, actor, self.now()));
        let issue = self.store.issue_create(row, event).await?;
        self.wake();
        let item = format!("{}-{:03}", project.prefix(), issue.number);
        let message = match (start, warning) {
            (true, None) => format!("started; follow it with signalbox show {item}"),
            (true, Some(why)) => format!("made, but it will not start: {why}"),
            (false, _) => format!("made; start it with signalbox task status {item} {starting:?}"),
        };
        Ok(Made {
            item,
            number: issue.number,
            message,
        })
    }

    /// A person comments on an issue.
    ///
    /// # Errors
    /// [`DoorError`]; nothing was recorded then.
    pub async fn issue_comment(&self, target: &str, text: &str, actor: Actor) -> Result<Done, DoorError> {
        let actor = &actor;
        require(actor, &[Role::Operator, Role::Approver], "comment")?;
        check_text(text, "the comment", true)?;
        let found = self.find(target).await?;
        let (issue, rules) = self.on_board(&found)?;
        let meant = comment_signal(&rules, text);
        if let Some((name, _)) = &meant {
            may_signal(&rules, found.task.as_ref(), name, actor)?;
        }
        let event = meant
            .as_ref()
            .map(|(name, said)| self.board_event(&found, name, Some(said.clone()), actor));
        let comment = NewComment {
            key: None,
            author: actor.label(),
            body: text.to_owned(),
        };
        self.store
            .issue_comment(&found.project, &issue.id, comment, event, self.now())
            .await?;
        self.wake();
        let message = match meant {
            Some((name, _)) if name != "answer" => format!("commented; that is the signal `{name}`"),
            _ => "commented".to_owned(),
        };
        Ok(done(&found, message, None))
    }

    /// A person moves an issue to a status.
    ///
    /// # Errors
    /// [`DoorError`]; nothing was recorded then.
    pub async fn issue_status(&self, target: &str, status: &str, actor: Actor) -> Result<Done, DoorError> {
        let actor = &actor;
        require(actor, &[Role::Operator, Role::Approver], "move issues")?;
        let found = self.find(target).await?;
        let (issue, rules) = self.on_board(&found)?;
        let status = known_status(&rules, status)?;
        let meant = rules.signals.status.get(&status).filter(|name| known_signal(&rules, name));
        if let Some(name) = meant {
            may_signal(&rules, found.task.as_ref(), name, actor)?;
        }
        if issue.status == status {
            return Ok(done(&found, format!("it stands at {status:?} already"), None));
        }
        let event = meant.map(|name| self.board_event(&found, name, None, actor));
        let moved = self
            .store
            .issue_set_status(&found.project, &issue.id, &status, &actor.label(), event, self.now())
            .await?;
        self.wake();
        let message = match (moved, meant) {
            (None, _) => format!("it stands at {status:?} already"),
            (Some(_), Some(name)) => format!("moved to {status:?}; that is the signal `{name}`"),
            (Some(_), None) => format!("moved to {status:?}; that is no signal and launches nothing"),
        };
        Ok(done(&found, message, None))
    }

    /// A person adds a label or takes it off.
    ///
    /// # Errors
    /// [`DoorError`]; nothing was recorded then.
    pub async fn issue_label(&self, target: &str, label: &str, add: bool, actor: Actor) -> Result<Done, DoorError> {
        let actor = &actor;
        require(actor, &[Role::Operator, Role::Approver], "label issues")?;
        check_line(label, "the label")?;
        let label = label.trim();
        let found = self.find(target).await?;
        let (issue, _) = self.on_board(&found)?;
        let Some(project) = self.projects.get(&found.project) else {
            return Err(no_board(&found));
        };
        may_label(project, label, actor)?;
        // The label may pass a gate that waits: the task looks again.
        let event = found.task.as_ref().filter(|t| !t.terminal()).map(|_| {
            let by = Name::from(format!("label {label} {}", if add { "added" } else { "removed" }));
            self.event(&found, Body::Poked { by }, actor, None)
        });
        let changed = self
            .store
            .issue_label(&found.project, &issue.id, label, add, &actor.label(), event, self.now())
            .await?;
        self.wake();
        let message = match (changed, add) {
            (Some(_), true) => format!("label {label:?} added"),
            (Some(_), false) => format!("label {label:?} taken off"),
            (None, true) => format!("it has the label {label:?} already"),
            (None, false) => format!("it does not have the label {label:?}"),
        };
        Ok(done(&found, message, None))
    }

    /// The project of this name, or the only one.
    ///
    /// # Errors
    /// [`DoorError::NotFound`] with the names there are, [`DoorError::Bad`] when one must be named.
    pub fn project_named(&self, name: Option<&str>) -> Result<&Project, DoorError> {
        let names = || self.projects.keys().map(ToString::to_string).collect::<Vec<_>>();
        match name {
            Some(name) => self.projects.get(name).ok_or_else(|| DoorError::NotFound {
                what: format!("there is no project {name:?}"),
                help: format!("projects: {}", names().join(", ")),
            }),
            None if self.projects.len() == 1 => self.projects.values().next().ok_or_else(|| DoorError::bad("there is no project")),
            None => Err(DoorError::Bad {
                why: "which project? there are several".to_owned(),
                help: Some(format!("name one with --project: {}", names().join(", "))),
            }),
        }
    }

    /// The issue on the service's own board, and the rules that read it.
    fn on_board<'a>(&'a self, found: &'a Found) -> Result<(&'a IssueRow, Arc<Ruleset>), DoorError> {
        match (&found.issue, self.projects.get(&found.project)) {
            (Some(issue), Some(project)) => Ok((issue, project.rules())),
            _ => Err(no_board(found)),
        }
    }

    /// The event of a signal on the board: its activity is the change's, filled in by the store.
    fn board_event(&self, found: &Found, name: &Name, text: Option<String>, actor: &Actor) -> NewEvent {
        let signal = Signal {
            name: name.clone(),
            text,
            activity: String::new(),
            acted_at: self.now(),
        };
        self.event(found, Body::Signalled(signal), actor, None)
    }
}

/// What makes the event of a new issue's start, once the issue has an id.
fn started(project: &Project, actor: Actor, at: Millis) -> EventMaker {
    let (project, repo) = (project.name.clone(), project.repo);
    Box::new(move |issue, activity| NewEvent {
        target: Target {
            project,
            repo,
            task: None,
            issue: Some(issue.id.clone()),
        },
        at,
        cause: None,
        actor,
        body: Body::Signalled(Signal {
            name: Name::new("start"),
            text: None,
            activity: activity.to_owned(),
            acted_at: at,
        }),
        dedupe: None,
    })
}

fn no_board(found: &Found) -> DoorError {
    DoorError::NotNow {
        why: format!("the issue of {} is not on the service's own board", found.label),
        help: Some("change it where it is".to_owned()),
    }
}

/// Refuses a title or label that is empty, long, or more than a line.
fn check_line(text: &str, what: &str) -> Result<(), DoorError> {
    if text.trim().is_empty() {
        return Err(DoorError::bad(format!("{what} is empty")));
    }
    if text.chars().count() > MAX_LINE {
        return Err(DoorError::bad(format!("{what} is longer than {MAX_LINE} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(DoorError::bad(format!("{what} holds a line break or another control character")));
    }
    Ok(())
}

/// A label that passes a human gate is a standing approval: it takes the role.
fn may_label(project: &Project, label: &str, actor: &Actor) -> Result<(), DoorError> {
    let orders = project
        .rules()
        .auto
        .values()
        .any(|order| order.label.eq_ignore_ascii_case(label.trim()));
    if orders {
        require(
            actor,
            &[Role::Approver],
            &format!("set or take off the label {label:?}, which passes a gate"),
        )
    } else {
        Ok(())
    }
}

/// Refuses a signal that the person may not send.
pub(crate) fn may_signal(rules: &Ruleset, task: Option<&Task>, name: &Name, actor: &Actor) -> Result<(), DoorError> {
    let stage = task.map(|t| &t.control.stage);
    let from = rules.gates.values().find_map(|gate| match &gate.kind {
        GateKind::Human { signal, from, .. } if signal == name => Some(from),
        _ => None,
    });
    let what = match stage {
        Some(stage) => format!("send `{name}` at {stage}"),
        None => format!("send `{name}`"),
    };
    match (name.as_str(), from) {
        (_, Some(from)) if from == "operator" => require(actor, &[Role::Operator], &what),
        (_, Some(_)) => require(actor, &[Role::Approver], &what),
        ("stop", None) => require(actor, &[Role::Operator], &what),
        _ => require(actor, &[Role::Approver, Role::Operator], &what),
    }
}

/// Whether the board has this signal: where stops are off, it has none.
pub(crate) fn known_signal(rules: &Ruleset, name: &Name) -> bool {
    rules.stop.enabled || name != "stop"
}

/// The status that starts work.
fn start_status(rules: &Ruleset) -> Option<String> {
    rules
        .signals
        .status
        .iter()
        .find(|(_, signal)| **signal == "start")
        .map(|(status, _)| status.clone())
}

/// Statuses that the project's board has: those of its stages, edges and signals.
#[must_use]
pub fn known_statuses(rules: &Ruleset) -> Vec<String> {
    let mut known: BTreeSet<String> = BTreeSet::from([INITIAL.to_owned()]);
    let edges = rules
        .on
        .values()
        .chain(rules.stages.values().flat_map(|s| s.on.values()))
        .chain(rules.counters.values().map(|c| &c.spent));
    known.extend(edges.filter_map(|e| e.status.clone()));
    known.extend(rules.stages.values().filter_map(|s| s.status.clone()));
    known.extend(rules.entry.refused_status.clone());
    for (status, signal) in &rules.signals.status {
        if known_signal(rules, signal) {
            known.insert(status.clone());
        } else {
            known.remove(status);
        }
    }
    known.into_iter().collect()
}

/// The status as the board spells it.
fn known_status(rules: &Ruleset, asked: &str) -> Result<String, DoorError> {
    let known = known_statuses(rules);
    let asked = asked.trim();
    if let Some(found) = known
        .iter()
        .find(|s| *s == asked)
        .or_else(|| known.iter().find(|s| s.to_lowercase() == asked.to_lowercase()))
    {
        return Ok(found.clone());
    }
    let shown: String = asked.chars().take(80).collect();
    let nearest = near(asked, &known)
        .first()
        .map(|n| format!("did you mean {n:?}? "))
        .unwrap_or_default();
    Err(DoorError::Bad {
        why: format!("the board has no status {shown:?}"),
        help: Some(format!("{nearest}statuses: {}", known.join(", "))),
    })
}

/// The signal of a comment and what it says: by its marker, else the one of any other comment.
pub(crate) fn comment_signal(rules: &Ruleset, text: &str) -> Option<(Name, String)> {
    let said = text.trim();
    for (marker, name) in &rules.signals.comment {
        let head = said.get(..marker.len());
        if head.is_some_and(|h| h.eq_ignore_ascii_case(marker)) && known_signal(rules, name) {
            let rest = said.get(marker.len()..).unwrap_or_default();
            return Some((name.clone(), rest.trim().to_owned()));
        }
    }
    rules
        .signals
        .other_comment
        .clone()
        .filter(|name| known_signal(rules, name))
        .map(|name| (name, said.to_owned()))
}

/// Why the entry check will refuse the issue, as far as that can be told now.
fn entry_warning(rules: &Ruleset, issue: &NewIssue) -> Option<String> {
    let entry = &rules.entry;
    let length = issue.title.chars().count();
    if length > entry.title_max as usize {
        return Some(format!("its title has {length} characters, {} are allowed", entry.title_max));
    }
    (entry.description && issue.description.trim().is_empty())
        .then(|| "it says nothing about what is to be done (give it a text with -m)".to_owned())
}
