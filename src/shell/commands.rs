//! What is known of the commands of waiting jobs: breakers from the store, and whether the
//! programs can be used, looked at in the background and remembered for a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::breaker::{Command, Preflight, Stand};
use crate::engine::model::{JobId, JobKind, Millis, Name, Task, TaskId};
use crate::engine::rules::{self, Agent, Ruleset};
use crate::shell::clock;
use crate::shell::process::environment;
use crate::shell::service::Service;
use crate::shell::store::{Guard, QueueView, StoreError};

/// What was seen of programs.
#[derive(Default)]
pub struct Commands {
    seen: Mutex<BTreeMap<String, Seen>>,
    /// Looks under way.
    looks: TaskTracker,
    /// The service ends: looks are given up.
    ending: CancellationToken,
}

struct Seen {
    at: Millis,
    cache: Millis,
    /// Why it cannot be used, and since when.
    bad: Option<(String, Millis)>,
}

impl Commands {
    fn seen(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up the looks under way; returns once nothing of the programs that were asked lives any more.
    pub async fn end(&self) {
        self.ending.cancel();
        self.looks.close();
        self.looks.wait().await;
    }

    /// Whether a program can be used, as seen after `forced`; the second answer: whether to look (again).
    fn known(&self, program: &str, cache: Millis, forced: Millis, now: Millis) -> (Preflight, bool) {
        let all = self.seen();
        let Some(seen) = all.get(program) else {
            return (Preflight::Unknown, true);
        };
        // A clock that was put back makes nothing fresher.
        let fresh = seen.at >= forced && seen.at <= now && now < seen.at.plus(cache);
        match &seen.bad {
            Some((why, since)) => {
                let (why, since) = (why.clone(), *since);
                (Preflight::Bad { why, since }, !fresh)
            }
            None if fresh => (Preflight::Good, false),
            None => (Preflight::Unknown, true),
        }
    }

    fn note(&self, program: &str, cache: Millis, answer: Result<(), String>, now: Millis) {
        let mut all = self.seen();
        let before = all.get(program).and_then(|s| s.bad.as_ref().map(|(_, since)| *since));
        match (&answer, before) {
            (Err(why), None) => tracing::error!(program, why, "an agent's command cannot be used: nothing is started with it"),
            (Ok(()), Some(_)) => tracing::info!(program, "an agent's command can be used again"),
            _ => {}
        }
        let bad = answer.err().map(|why| (why, before.unwrap_or(now)));
        all.insert(program.to_owned(), Seen { at: now, cache, bad });
    }

    /// The programs that cannot be used, and why.
    pub fn unusable(&self) -> BTreeMap<String, String> {
        let all = self.seen();
        let bad = all
            .iter()
            .filter_map(|(program, s)| Some((program.clone(), s.bad.as_ref()?.0.clone())));
        bad.collect()
    }

    /// When a program that cannot be used is worth another look.
    pub fn due(&self, now: Millis) -> Option<Millis> {
        let all = self.seen();
        let again = all.values().filter(|s| s.bad.is_some()).map(|s| s.at.plus(s.cache));
        again.filter(|at| *at > now).min()
    }
}

/// A waiting job's command, and how it is looked at.
pub struct Known {
    /// What scheduling reads.
    pub command: Command,
    /// What a claim says of it.
    pub guard: Guard,
    look: Option<Look>,
}

/// A look that is due.
struct Look {
    /// The task for which it is asked: through it people are told.
    task: TaskId,
    /// Whether people were told that it cannot be used.
    told: bool,
    program: String,
    env: Vec<String>,
    check: rules::Preflight,
}

/// The commands of waiting jobs that run agents.
pub fn of_waiting(service: &Service, view: &QueueView, rules: impl Fn(&Task) -> Option<Arc<Ruleset>>) -> BTreeMap<JobId, Known> {
    let now = clock::now();
    let agents = view.waiting.iter().filter(|job| job.kind == JobKind::Agent);
    agents
        .filter_map(|job| {
            let task = view.task(job.task)?;
            let rules = rules(task)?;
            let agent = rules.agents.get(&job.slot)?;
            let mut known = known(service, view, task, &rules, agent, now)?;
            known.command.newer = newer(service, task, &job.slot, &known.command.name);
            Some((job.id, known))
        })
        .collect()
}

/// What the rules in force run for the agent, where the task keeps older ones and they differ in that.
fn newer(service: &Service, task: &Task, slot: &Name, program: &str) -> Option<String> {
    let project = service.project_of(task)?;
    let rules = project.rules();
    if rules.hash == task.rules {
        return None;
    }
    let run = rules.agents.get(slot)?.run.clone();
    project.resolve_program(run).into_iter().next().filter(|now| now != program)
}

fn known(service: &Service, view: &QueueView, task: &Task, rules: &Ruleset, agent: &Agent, now: Millis) -> Option<Known> {
    let program = service.project_of(task)?.resolve_program(agent.run.clone()).into_iter().next()?;
    let breaker = view.breakers.get(&program).map(|b| b.under(rules.breaker));
    let half_open = match breaker.as_ref().map(|b| b.stand(now)) {
        Some(Stand::HalfOpen(pause)) => Some(pause.until),
        _ => None,
    };
    let open = |run| view.open_runs.iter().any(|r| r.id == run);
    let probing = breaker.as_ref().and_then(|b| b.probing(now, open));
    let (state, look) = match rules.preflight {
        None => (Preflight::Good, None),
        Some(check) => {
            let (state, due) = service.commands.known(&program, check.cache, half_open.unwrap_or(Millis(0)), now);
            let (program, env) = (program.clone(), agent.env.clone());
            let told = view.notices.iter().any(|n| n.key == key(&program));
            let look = Look {
                task: task.id,
                told,
                program,
                env,
                check,
            };
            (state, due.then_some(look))
        }
    };
    Some(Known {
        command: Command {
            name: program.clone(),
            breaker,
            probing,
            preflight: state,
            newer: None,
        },
        guard: Guard {
            command: program,
            limits: rules.breaker,
            budget: service.project_of(task)?.rules().budget,
        },
        look,
    })
}

/// Under which key people are told that a program cannot be used.
fn key(program: &str) -> String {
    format!("preflight-{program}")
}

/// Tells operators once that a program cannot be used, and once that it can be again.
async fn tell(service: &Service, program: &str, task: TaskId, told: bool, answer: &Result<(), String>) -> Result<(), StoreError> {
    let (key, now) = (key(program), clock::now());
    match answer {
        Err(why) if !told => {
            let text = format!(
                "`{program}` cannot be used, and nothing is started with it: {why}. To mend it: signalbox doctor    # `{program} --version` must end with 0"
            );
            service.store.raise(&key, task, &text, now).await.map(drop)
        }
        Ok(()) if told => {
            let text = format!("`{program}` can be used again");
            service.store.lower(&key, Some(&text), now).await.map(drop)
        }
        _ => Ok(()),
    }
}

/// Looks at the command of a job that only waits for that, in a task of its own.
pub fn look(service: &Arc<Service>, known: &Known) {
    let Some(look) = &known.look else { return };
    let Some(held) = service.busy.take(format!("preflight {}", look.program)) else {
        return;
    };
    let (program, names, check) = (look.program.clone(), look.env.clone(), look.check);
    let (task, told) = (look.task, look.told);
    let service = Arc::clone(service);
    let looks = service.commands.looks.clone();
    looks.spawn(async move {
        let answer = ask(&service, &program, &names, check).await;
        if service.commands.ending.is_cancelled() {
            return;
        }
        if let Err(error) = tell(&service, &program, task, told, &answer).await {
            tracing::error!(%error, program, "whether an agent's command can be used could not be told");
        }
        service.commands.note(&program, check.cache, answer, clock::now());
        drop(held);
        service.wake();
    });
}

/// Asks the program for its version now, whatever is remembered of it.
async fn ask(service: &Service, program: &str, names: &[String], check: rules::Preflight) -> Result<(), String> {
    // A HOME that no agent has: asking for a version leaves nothing behind in one.
    let home = service.data.join("preflight");
    tokio::fs::create_dir_all(&home)
        .await
        .map_err(|error| format!("{} cannot be made: {error}", home.display()))?;
    let env = environment(names, &home, service.agent_env.clone());
    let limit = Duration::from_millis(check.timeout.0.unsigned_abs());
    service
        .supervisor
        .preflight(program, &env, &home, limit, &service.commands.ending)
        .await
}

/// What asking a program says with which a run could not be started.
pub enum Asked {
    /// It cannot be used: that is remembered and told, and nothing more is started with it until it can.
    Bad(String),
    /// It answers well, or the rules ask no program: what went wrong is the run's own.
    Good,
    /// The service ends, and nobody knows.
    Ending,
}

/// Asks the agent's program, with which a run of the task could not be started, past a good answer that is remembered: the
/// program may have gone, or become another, since it was given.
///
/// # Errors
/// As all of the store: nothing could be told then.
pub async fn ask_anew(service: &Service, task: &Task, rules: &Ruleset, slot: &Name) -> Result<Asked, StoreError> {
    let project = service.project_of(task);
    let found = rules.preflight.zip(rules.agents.get(slot)).zip(project);
    let Some(((check, agent), project)) = found else {
        return Ok(Asked::Good);
    };
    let Some(program) = project.resolve_program(agent.run.clone()).into_iter().next() else {
        return Ok(Asked::Good);
    };
    // An orderly end waits for it, as for any other look.
    let asking = ask(service, &program, &agent.env, check);
    let answer = service.commands.looks.track_future(asking).await;
    if service.commands.ending.is_cancelled() {
        return Ok(Asked::Ending);
    }
    let Err(why) = &answer else { return Ok(Asked::Good) };
    let why = why.clone();
    // Before it is told: whoever looks at the queue meanwhile claims nothing more.
    service.commands.note(&program, check.cache, answer.clone(), clock::now());
    tell(service, &program, task.id, false, &answer).await?;
    Ok(Asked::Bad(why))
}

#[cfg(test)]
mod tests;
