//! What only an operator clears in the queue: budgets and the same failure again, and breakers.

use crate::engine::budget::Sum;
use crate::engine::model::{Actor, Role};
use crate::shell::service::Service;
use crate::shell::store::Allowance;

use super::signal::done;
use super::{Done, DoorError, check_text, require};

/// Most dollars that are allowed at once: a slip of the pen ends here.
const USD_MOST: f64 = 10_000.0;
/// Most runs that are allowed at once.
const RUNS_MOST: u32 = 1_000;

impl Service {
    /// An operator lets a task go on: with more money or runs than its budget, and with its
    /// failures counted anew.
    ///
    /// # Errors
    /// [`DoorError`]; nothing was changed then.
    pub async fn allow(&self, target: &str, more: Sum, why: &str, actor: &Actor) -> Result<Done, DoorError> {
        require(actor, &[Role::Operator], "let a task go on beyond its budget")?;
        check_text(why, "the reason", true)?;
        if !(0.0..=USD_MOST).contains(&more.usd) || more.runs > RUNS_MOST {
            return Err(DoorError::bad(format!(
                "what is allowed at once is $0 to ${USD_MOST:.0} and at most {RUNS_MOST} runs"
            )));
        }
        let found = self.find(target).await?;
        let Some(task) = found.task.as_ref().filter(|t| !t.terminal()) else {
            return Err(DoorError::NotNow {
                why: format!("{} is no task at work: nothing of it waits", found.label),
                help: None,
            });
        };
        let allowance = Allowance {
            task: task.id,
            more,
            who: actor.label(),
            why: why.trim().to_owned(),
        };
        self.store.allow(allowance, self.now()).await?;
        tracing::info!(task = %task.item, by = actor.label(), usd = more.usd, runs = more.runs, why, "allowed to go on");
        self.wake();
        let beyond = match (more.usd > 0.0, more.runs) {
            (false, 0) => String::new(),
            (true, 0) => format!(", ${:.2} beyond its budget", more.usd),
            (false, runs) => format!(", {runs} runs beyond its budget"),
            (true, runs) => format!(", ${:.2} and {runs} runs beyond its budget", more.usd),
        };
        Ok(done(&found, format!("may go on{beyond}; its failures are counted anew"), None))
    }

    /// An operator closes the breaker of an agent command and forgets its usage limit; idempotent.
    /// Whether anything was held back by it.
    ///
    /// # Errors
    /// [`DoorError`]; nothing was changed then.
    pub async fn close_breaker(&self, command: &str, actor: &Actor) -> Result<bool, DoorError> {
        require(actor, &[Role::Operator], "close a breaker")?;
        let closed = self.store.close_breaker(command, self.now()).await?;
        let Some(closed) = closed else {
            let known: Vec<String> = self.store.queue(self.now()).await?.breakers.into_keys().collect();
            return Err(DoorError::NotFound {
                what: format!("no run of {command:?} ever failed by weather"),
                help: if known.is_empty() {
                    "there is no breaker to close".to_owned()
                } else {
                    format!("breakers are known of: {}", known.join(", "))
                },
            });
        };
        if closed {
            tracing::info!(command, by = actor.label(), "its breaker is closed by hand");
        }
        self.wake();
        Ok(closed)
    }
}
