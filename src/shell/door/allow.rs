//! What only an operator clears in the queue: budgets and the same failure again, and breakers.

use crate::engine::budget::Sum;
use crate::engine::model::{Actor, Blocker, Role, Task, Who};
use crate::shell::service::Service;
use crate::shell::store::Allowance;

use super::signal::done;
use super::{Done, DoorError, check_text, require};

/// Most dollars that are allowed at once: a slip of the pen ends here.
const USD_MOST: f64 = 10_000.0;
/// Most runs that are allowed at once.
const RUNS_MOST: u32 = 1_000;

/// What was allowed, and what holds the task back all the same, each with what clears it.
fn answer(more: Sum, held: &[Blocker]) -> String {
    let beyond = match (more.usd > 0.0, more.runs) {
        (false, 0) => String::new(),
        (true, 0) => format!("${:.2} beyond its budget", more.usd),
        (false, runs) => format!("{runs} runs beyond its budget"),
        (true, runs) => format!("${:.2} and {runs} runs beyond its budget", more.usd),
    };
    if held.is_empty() {
        let beyond = if beyond.is_empty() { beyond } else { format!(", {beyond}") };
        return format!("may go on{beyond}; its failures are counted anew");
    }
    let allowed = if beyond.is_empty() {
        "its failures are counted anew".to_owned()
    } else {
        format!("has {beyond}, and its failures are counted anew")
    };
    let still: Vec<String> = held.iter().map(still).collect();
    format!("{allowed}; it does not go on yet: {}", still.join("; "))
}

fn still(blocker: &Blocker) -> String {
    let clear = blocker.clear.as_ref().map(|clear| format!(" (cleared by: {clear})"));
    format!("{}{}", blocker.text, clear.unwrap_or_default())
}

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
        let held = self.held_still(task).await;
        Ok(done(&found, answer(more, &held), None))
    }

    /// What holds the task back all the same and is not over by itself. It is allowed already: where that cannot be told,
    /// nothing is said of it.
    async fn held_still(&self, task: &Task) -> Vec<Blocker> {
        let found = self.blockers(std::slice::from_ref(task)).await;
        let mut held = found.ok().and_then(|mut all| all.remove(&task.id)).unwrap_or_default();
        held.retain(|blocker| blocker.who != Who::Itself);
        held
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::budget::Budget;
    use crate::engine::model::{Decision, JobKind, JobSpec, Millis, SlotState};
    use crate::shell::door::tests::{World, everyone};
    use crate::shell::store::{Claim, Guard};

    async fn queued(world: &World) -> Task {
        let job = JobSpec {
            visit: 1,
            slot: "developer".into(),
            kind: JobKind::Agent,
            stage: "development".into(),
            note: None,
            available_at: Millis(0),
            entry: false,
        };
        let waits = |task: &mut Task| task.control.slots.entry("developer".into()).or_default().state = SlotState::Queued;
        world.task_with(waits, vec![Decision::Create, Decision::Enqueue(job)]).await
    }

    /// The task's one job is claimed: its project has had a run today.
    async fn claimed(world: &World, task: &Task) {
        let store = &world.service.store;
        let claim = Claim {
            job: store.jobs(task.id).await.unwrap().remove(0).id,
            nonce: "n".to_owned(),
            checkout: format!("t{}", task.id),
            guard: Some(Guard {
                command: "true".to_owned(),
                limits: None,
                budget: Budget::default(),
            }),
            seen: i64::MAX,
            repo: None,
            now: world.service.now(),
        };
        store.claim(claim).await.unwrap();
    }

    #[tokio::test]
    async fn b_run_5_what_is_allowed_says_what_holds_the_task_back_all_the_same() {
        let set = "\"preflight.enabled\" = false\n\"serial_gate.enabled\" = false\n\"budget.day.max_runs\" = 2";
        let world = World::with("max_concurrency = 3", set, "").await;
        let (first, second, third) = (queued(&world).await, queued(&world).await, queued(&world).await);
        let allow = async |usd| {
            let more = Sum { usd, runs: 0 };
            world.service.allow(&second.item, more, "go", &everyone()).await.unwrap().message
        };
        assert_eq!(allow(0.0).await, "may go on; its failures are counted anew");
        claimed(&world, &first).await;
        claimed(&world, &third).await;
        let said = allow(5.0).await;
        let start = "has $5.00 beyond its budget, and its failures are counted anew; it does not go on yet: \
                     shop has had 2 runs of agents today (UTC), and may have 2 a day (cleared by: signalbox reload";
        assert!(said.starts_with(start), "{said}");
        assert!(
            said.contains("raising budget.day.max_runs; else it goes on at midnight UTC, in "),
            "{said}"
        );
    }
}
