//! One step, one transaction: event, task, repository, jobs, timers, effects and the record of why.

use rusqlite::{Connection, params};

use super::codec::{exec, first, json};
use super::{
    Committed, Effect, NewEvent, Note, Result, StepCommit, Store, StoreError, Target, depends, inbox, jobs, outbox, repos, runs, tasks,
    timers,
};
use crate::engine::model::{Actor, Body, Decision, Fact, Facts, Kill, Millis, Phase, Repo, Seq, Task, TaskId};

impl Store {
    /// Commits a step: the event is applied, task and repository move on, decisions become jobs,
    /// timers and effects, and all of it is recorded with its reasons — or nothing is.
    ///
    /// With [`Decision::Create`] the task is born: its id goes into its seat, and the pending
    /// events of its issue are aimed at it. A task that is over keeps no open job and no timer,
    /// whatever was decided. A step may leave an issue without a task; then it may only speak.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the event was applied meanwhile, the task or repository has
    /// moved, or the new task's keys are taken; [`StoreError::Refused`] when the decisions need a
    /// task and there is none.
    pub async fn commit_step(&self, step: StepCommit) -> Result<Committed> {
        self.write(move |conn| commit(conn, step)).await
    }
}

/// What the decisions of a step are carried out on.
struct Ground<'a> {
    conn: &'a Connection,
    target: Target,
    seq: Seq,
    now: Millis,
    host: &'a str,
    /// Nothing is queued for a task that is over.
    over: bool,
}

impl Ground<'_> {
    fn task(&self) -> Result<TaskId> {
        self.target
            .task
            .ok_or_else(|| StoreError::refused("a decision needs a task, and the step created none"))
    }

    fn effect(&self, effect: &Effect) -> Result<()> {
        outbox::push(self.conn, &self.target, effect, self.seq, self.now)
    }

    fn event(&self, target: Target, body: Body) -> Result<()> {
        let event = NewEvent {
            target,
            at: self.now,
            cause: Some(self.seq),
            actor: Actor::Service,
            body,
            dedupe: None,
        };
        inbox::insert(self.conn, &event).map(|_| ())
    }
}

fn commit(conn: &Connection, step: StepCommit) -> Result<Committed> {
    if step.repo.id != step.task.repo {
        return Err(StoreError::refused(format!(
            "the step is about repository {}, its task about {}",
            step.repo.id, step.task.repo
        )));
    }
    expect_pending(conn, &step)?;
    let task = save_task(conn, &step)?;
    let note = Note {
        at: step.now,
        who: step.task.item.clone(),
        reason: String::new(),
        evidence: step.because.iter().map(|b| b.0.as_str()).collect::<Vec<_>>().join("; "),
        seq: Some(step.seq),
    };
    repos::save(conn, &seated(step.repo, task), step.before.1, &note)?;
    if let (Some(id), true) = (task, step.decisions.contains(&Decision::Create)) {
        depends::born(conn, id, &step.task)?;
    }
    let target = Target {
        project: step.task.project.clone(),
        repo: step.task.repo,
        task,
        issue: Some(step.task.issue.clone()),
    };
    let over = step.task.terminal();
    let ground = Ground {
        conn,
        target,
        seq: step.seq,
        now: step.now,
        host: &step.host,
        over,
    };
    apply_event(&ground)?;
    for decision in &step.decisions {
        carry_out(&ground, decision)?;
    }
    if step.card && task.is_some() {
        ground.effect(&Effect::Card)?;
    }
    if let (true, Some(id)) = (over, task) {
        let why = if step.task.control.phase == Phase::Cancelled {
            Kill::Stop
        } else {
            Kill::Superseded
        };
        withdraw(&ground, id, None, why)?;
        timers::drop_all(conn, id)?;
    }
    if let Some(id) = task
        && takes_events(&step.task)
    {
        inbox::adopt(conn, id, &step.task.project, &step.task.issue)?;
    }
    if let Some(body) = step.follow {
        ground.event(ground.target.clone(), body)?;
    }
    let record = Record {
        stage_before: &step.stage_before,
        task: &step.task,
        facts: &step.facts,
        semantics: step.semantics,
        decisions: json(&step.decisions)?,
        because: json(&step.because)?,
    };
    record.write(&ground)?;
    Ok(Committed {
        task: task.unwrap_or_default(),
    })
}

/// Whether events of the task's issue are the task's.
fn takes_events(task: &Task) -> bool {
    task.control.phase != Phase::Cancelled && task.control.stop != crate::engine::model::StopState::Cleaning
}

/// The event must wait still, and be about this very task or issue.
fn expect_pending(conn: &Connection, step: &StepCommit) -> Result<()> {
    let sql = "SELECT state = 'pending', task, project, issue FROM inbox WHERE seq = ?1";
    let found = first(conn, sql, [step.seq.0], |row| {
        let aim: (bool, Option<i64>, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(aim)
    })?;
    let (pending, task, project, issue) = found.ok_or(StoreError::Gone)?;
    let same = match task {
        Some(id) => id == step.task.id.0,
        None => project == step.task.project.as_str() && issue.as_deref() == Some(step.task.issue.as_str()),
    };
    if pending && same { Ok(()) } else { Err(StoreError::Conflict) }
}

/// Writes the task, if there is or comes to be one.
fn save_task(conn: &Connection, step: &StepCommit) -> Result<Option<TaskId>> {
    let next = Task {
        version: step.before.0.saturating_add(1),
        ..step.task.clone()
    };
    let create = step.decisions.contains(&Decision::Create);
    match (create, step.task.id) {
        (true, TaskId(0)) => tasks::insert(conn, &next, &step.host).map(Some),
        (true, id) => Err(StoreError::refused(format!("task {id} was created before"))),
        (false, TaskId(0)) => Ok(None),
        (false, id) => tasks::update(conn, &next, step.before.0).map(|()| Some(id)),
    }
}

/// The repository with the new task's id where the step, which did not know it, wrote 0.
fn seated(mut repo: Repo, task: Option<TaskId>) -> Repo {
    let id = task.unwrap_or_default();
    repo.lane
        .iter_mut()
        .filter(|seat| seat.task == TaskId(0))
        .for_each(|seat| seat.task = id);
    if let Some(lease) = &mut repo.lease {
        lease
            .queue
            .iter_mut()
            .chain([&mut lease.task])
            .filter(|t| **t == TaskId(0))
            .for_each(|t| *t = id);
    }
    repo
}

fn apply_event(ground: &Ground<'_>) -> Result<()> {
    let sql = "UPDATE inbox SET state = 'applied', closed_at = ?2, task = ?3 WHERE seq = ?1";
    exec(
        ground.conn,
        sql,
        params![ground.seq.0, ground.now.0, ground.target.task.map(|t| t.0)],
    )
    .map(|_| ())
}

fn carry_out(ground: &Ground<'_>, decision: &Decision) -> Result<()> {
    match decision {
        // The task was written before everything else.
        Decision::Create => Ok(()),
        Decision::Enqueue(spec) => enqueue(ground, spec),
        Decision::Requeue {
            visit,
            slot,
            available_at,
            why,
        } => {
            let back = jobs::Back {
                available_at: *available_at,
                why,
                over: ground.over,
            };
            jobs::requeue(ground.conn, ground.task()?, *visit, slot, &back, ground.now)
        }
        Decision::Tell { visit, words } => jobs::tell(ground.conn, ground.task()?, *visit, words),
        Decision::CloseJob { visit, slot, ok } => jobs::close(ground.conn, ground.task()?, *visit, slot, *ok, ground.now),
        Decision::Withdraw { visit, why } => match ground.target.task {
            Some(task) => withdraw(ground, task, *visit, *why),
            None => Ok(()),
        },
        Decision::SetTimer { .. } if ground.over => Ok(()),
        Decision::SetTimer { visit, timer, due } => timers::set(ground.conn, ground.task()?, *visit, timer, *due),
        Decision::DropTimers => ground.target.task.map_or(Ok(()), |task| timers::drop_all(ground.conn, task)),
        Decision::ShowStatus { status } => ground.effect(&Effect::Status { status: status.clone() }),
        Decision::Comment { key, text, agent } => ground.effect(&Effect::Comment {
            key: key.clone(),
            text: text.clone(),
            agent: agent.clone(),
        }),
        Decision::Alert { key, text } => ground.effect(&Effect::Alert {
            key: key.clone(),
            text: text.clone(),
        }),
        Decision::Act(intent) => ground.task().and_then(|_| ground.effect(&Effect::Act(intent.clone()))),
        Decision::CleanUp(what) => ground.task().and_then(|_| ground.effect(&Effect::CleanUp(what.clone()))),
        Decision::Restart(signal) => {
            let target = Target {
                task: None,
                ..ground.target.clone()
            };
            ground.event(target, Body::Signalled(signal.clone()))
        }
        Decision::Depend(wanted) => {
            let circles = depends::named_by_issue(ground.conn, ground.task()?, wanted, ground.now)?;
            circles
                .into_iter()
                .try_for_each(|circle| ground.event(ground.target.clone(), Body::CircleRefused { circle }))
        }
        Decision::Wake { task, by } => match inbox::of_task(ground.conn, *task)? {
            Some(target) => ground.event(target, Body::Poked { by: by.clone() }),
            // Ids are never used again: a task that is not there has nothing to look at.
            None => Ok(()),
        },
    }
}

fn enqueue(ground: &Ground<'_>, spec: &crate::engine::model::JobSpec) -> Result<()> {
    let task = ground.task()?;
    for job in jobs::cancel_slot(ground.conn, task, spec, ground.now)? {
        for run in runs::doom_of_job(ground.conn, job, Kill::Superseded)? {
            ground.effect(&Effect::Kill {
                run,
                why: Kill::Superseded,
            })?;
        }
    }
    if ground.over {
        return Ok(());
    }
    jobs::insert(ground.conn, task, spec, ground.seq, ground.now, ground.host)
}

fn withdraw(ground: &Ground<'_>, task: TaskId, visit: Option<u32>, why: Kill) -> Result<()> {
    jobs::cancel(ground.conn, task, visit, why.label(), ground.now)?;
    for run in runs::doom(ground.conn, task, visit, why)? {
        ground.effect(&Effect::Kill { run, why })?;
    }
    Ok(())
}

/// The step as history keeps it.
struct Record<'a> {
    stage_before: &'a str,
    task: &'a Task,
    facts: &'a Facts,
    semantics: u32,
    decisions: String,
    because: String,
}

impl Record<'_> {
    fn write(&self, ground: &Ground<'_>) -> Result<()> {
        let sql = "INSERT INTO steps (seq, task, host, decided_at, stage_before, stage_after, visit, rules, semantics, facts, decisions, because) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        exec(
            ground.conn,
            sql,
            params![
                ground.seq.0,
                ground.target.task.map(|t| t.0),
                ground.host,
                ground.now.0,
                self.stage_before,
                self.task.control.stage.as_str(),
                self.task.ledger.visit.number,
                self.task.rules,
                self.semantics,
                facts(self.facts)?,
                self.decisions,
                self.because,
            ],
        )
        .map(|_| ())
    }
}

/// Facts as JSON that reads back. An artefact that an agent nested deeper than JSON readers go
/// must not keep its task's step from being committed: it is recorded as unreadable.
fn facts(facts: &Facts) -> Result<String> {
    json(facts).or_else(|_| {
        let readable = |(key, fact): (&crate::engine::model::FactKey, &Fact)| {
            let alone = Facts([(key.clone(), fact.clone())].into());
            let why = |e: StoreError| Fact::Unreadable {
                why: format!("it could not be recorded: {e}"),
            };
            (key.clone(), json(&alone).map_or_else(why, |_| fact.clone()))
        };
        json(&Facts(facts.0.iter().map(readable).collect()))
    })
}
