//! Declaring that a task waits for another, and taking that away.

use crate::engine::model::{Actor, Body, Name, Role, Source, Task};
use crate::engine::step;
use crate::shell::service::Service;
use crate::shell::store::{Declared, NewEvent};

use super::signal::done;
use super::{Done, DoorError, Found, require};

impl Service {
    /// An operator has a task wait until another is over; idempotent.
    ///
    /// # Errors
    /// [`DoorError`]; nothing was changed then. A dependency that would close a circle is refused
    /// with the circle spelled out.
    pub async fn depend(&self, target: &str, on: &str, actor: Actor) -> Result<Done, DoorError> {
        require(&actor, &[Role::Operator], "make tasks wait for one another")?;
        let found = self.find(target).await?;
        let task = self.waiting(&found).await?;
        let on = self.named(on).await?;
        let event = self.said(&found, format!("{} has it wait for {on}", actor.label()), &actor);
        let message = match self.store.depend(task.id, &on, &actor.label(), event).await? {
            Declared::Made => format!("waits until {on} is over"),
            Declared::Already => format!("waits for {on} already"),
            Declared::Circle(circle) => {
                return Err(DoorError::not_now(
                    format!("that would close a circle: {}", circle.join(" → ")),
                    "take another dependency of the circle away first: signalbox depend ITEM --remove OTHER",
                ));
            }
        };
        self.wake();
        Ok(done(&found, message, None))
    }

    /// An operator takes a dependency away, wherever it was declared; idempotent. What the issue
    /// says does not bring it back.
    ///
    /// # Errors
    /// [`DoorError`]; nothing was changed then.
    pub async fn undepend(&self, target: &str, on: &str, actor: Actor) -> Result<Done, DoorError> {
        require(&actor, &[Role::Operator], "have tasks not wait for one another")?;
        let found = self.find(target).await?;
        let task = self.waiting(&found).await?;
        // What cannot be found may still be what was named: an issue that is gone, a slip of the pen.
        let on = match self.named(on).await {
            Ok(on) => on,
            Err(DoorError::NotFound { .. }) => step::item(on.trim()).unwrap_or_else(|| on.trim().to_owned()),
            Err(error) => return Err(error),
        };
        let event = self.said(&found, format!("{} has it not wait for {on}", actor.label()), &actor);
        let ended = self.store.undepend(task.id, &on, &actor.label(), event).await?;
        self.wake();
        let message = if ended {
            format!("does not wait for {on} any more")
        } else {
            format!("did not wait for {on}")
        };
        Ok(done(&found, message, None))
    }

    /// The task that is to wait, if it may.
    async fn waiting<'f>(&self, found: &'f Found) -> Result<&'f Task, DoorError> {
        let label = &found.label;
        let Some(task) = &found.task else {
            return Err(DoorError::not_now(
                format!("{label} is an issue without a task: nothing of it can wait yet"),
                "name what it waits for in its description, in a line of its own: Depends on: ORCH-001",
            ));
        };
        if task.terminal() {
            return Err(DoorError::NotNow {
                why: format!("{label} is over: it waits for nothing"),
                help: None,
            });
        }
        let on = self.rules_of(task).await.is_some_and(|rules| rules.depends.counts(Source::Command));
        if !on {
            return Err(DoorError::not_now(
                format!("the rules of project {} know no dependencies declared by command", task.project),
                "[depends] enabled = true, sources = [\"command\"] in its pipeline, or depends.enabled in its `set`",
            ));
        }
        Ok(task)
    }

    /// The work item id of what is named: a task, or an issue that is none yet.
    async fn named(&self, on: &str) -> Result<String, DoorError> {
        let found = self.find(on).await?;
        match (&found.task, &found.issue) {
            (Some(task), _) => Ok(task.item.clone()),
            (None, Some(issue)) => {
                let prefix = self.projects.get(&found.project).map(crate::shell::service::Project::prefix);
                Ok(format!("{}-{:03}", prefix.unwrap_or_default(), issue.number))
            }
            (None, None) => Err(DoorError::bad(format!("{} has no work item id", found.label))),
        }
    }

    /// What goes into the task's history.
    fn said(&self, found: &Found, words: String, actor: &Actor) -> NewEvent {
        self.event(found, Body::Poked { by: Name::from(words) }, actor, None)
    }
}
