//! Admission: whether tasks in flight would find their way under other rules.
//!
//! It looks at where each task stands: its stage, its agents, the commands of its gates, the action at work,
//! its counters, an open question, its id and branch. It can refuse a reload, never a start.

use crate::engine::model::{At, Life, Mode, Name, SlotState, StopState, Task};
use crate::engine::rules::{GateKind, Ruleset, Stage, covered};

/// A task that other rules would strand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Its work item id.
    pub item: String,
    /// Why.
    pub why: Why,
}

/// Why rules do not fit a task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Its project is not configured any more.
    Project(Name),
    /// Work item ids begin with something else.
    Prefix(String),
    /// What its stages wrote would be looked for in another folder.
    Folder(String),
    /// Its branch would be protected.
    Branch(String),
    /// They do not have its stage.
    Stage(Name),
    /// Its stage has an agent that would never be started in this visit.
    NewAgent(Name, Name),
    /// An agent that is queued or at work does not belong to its stage.
    Agent(Name, Name),
    /// The command of a gate is queued or at work, and they have no such gate.
    Gate(Name),
    /// An action is next or at work that its stage does not have.
    Action(Name),
    /// It has used a counter that they do not have.
    Counter(Name),
    /// It has used a counter more often than they allow.
    Above(Name, u8, u8),
    /// A question is open, and no answer would be understood.
    Answer(Name),
}

impl Why {
    /// What follows "ORCH-001 …" or "3 tasks …".
    fn tell(&self, many: bool) -> String {
        let verb = |one: &'static str, more: &'static str| if many { more } else { one };
        let stand = verb("stands", "stand");
        match self {
            Self::Project(name) => format!(
                "{} to project `{name}`, which the configuration does not have any more",
                verb("belongs", "belong")
            ),
            Self::Prefix(new) => format!("{} an id that does not begin with `{new}`, the new prefix", verb("has", "have")),
            Self::Folder(new) => format!(
                "{} artefacts outside of `{new}`, where the new rules look for them",
                verb("has", "have")
            ),
            Self::Branch(branch) => format!("{} on branch `{branch}`, which the new rules protect", verb("works", "work")),
            Self::Stage(stage) => format!("{stand} at stage `{stage}`, which the new rules do not have"),
            Self::NewAgent(agent, stage) => {
                format!(
                    "{stand} at stage `{stage}`, where the new rules want agent `{agent}` at work: it would never be started in this visit"
                )
            }
            Self::Agent(agent, stage) => {
                format!(
                    "{} for agent `{agent}` at stage `{stage}`, which the new rules do not have there",
                    verb("waits", "wait")
                )
            }
            Self::Gate(gate) => format!(
                "{} for the command of gate `{gate}`, which the new rules do not have",
                verb("waits", "wait")
            ),
            Self::Action(stage) => format!("{stand} before an action of stage `{stage}` which the new rules do not have there"),
            Self::Counter(counter) => format!(
                "{} counter `{counter}`, which the new rules do not have",
                verb("has used", "have used")
            ),
            Self::Above(counter, used, max) => {
                format!(
                    "{} counter `{counter}` {used} times, the new rules allow {max}",
                    verb("has used", "have used")
                )
            }
            Self::Answer(stage) => {
                format!("{stand} at stage `{stage}` with an open question, and the new rules understand no answer there")
            }
        }
    }
}

/// The tasks of one project that `rules` would strand, and why, in the order of the tasks.
#[must_use]
pub fn admit(rules: &Ruleset, tasks: &[Task]) -> Vec<Misfit> {
    let of = |task: &Task| {
        let whys = misfits(rules, task).into_iter();
        let item = task.item.clone();
        whys.map(move |why| Misfit { item: item.clone(), why }).collect::<Vec<_>>()
    };
    tasks.iter().flat_map(of).collect()
}

/// Every reason why `rules` would strand `task`; nothing can strand one that is over or being stopped.
#[must_use]
pub fn misfits(rules: &Ruleset, task: &Task) -> Vec<Why> {
    let control = &task.control;
    if control.phase.life() != Life::Live || control.stop == StopState::Cleaning {
        return Vec::new();
    }
    let mut found = Vec::new();
    if !task.item.strip_prefix(&rules.prefix).is_some_and(|rest| rest.starts_with('-')) {
        found.push(Why::Prefix(rules.prefix.clone()));
    }
    if covered(&rules.branch.protected, &task.branch) {
        found.push(Why::Branch(task.branch.clone()));
    }
    counters(rules, task, &mut found);
    match rules.stages.get(&control.stage).filter(|_| rules.flow.contains(&control.stage)) {
        Some(stage) => visit(rules, stage, task, &mut found),
        None => found.push(Why::Stage(control.stage.clone())),
    }
    found
}

fn counters(rules: &Ruleset, task: &Task, found: &mut Vec<Why>) {
    for (name, used) in task.control.counters.iter().filter(|(_, used)| **used > 0) {
        match rules.counters.get(name) {
            None => found.push(Why::Counter(name.clone())),
            Some(counter) if *used > counter.max => found.push(Why::Above(name.clone(), *used, counter.max)),
            Some(_) => {}
        }
    }
}

/// What is under way in the present visit.
fn visit(rules: &Ruleset, stage: &Stage, task: &Task, found: &mut Vec<Why>) {
    let control = &task.control;
    let name = &control.stage;
    for (slot, _) in control.slots.iter().filter(|(_, s)| s.state == SlotState::Queued) {
        // An agent or a gate's command: names of agents and gates differ within one set of rules.
        let command = matches!(rules.gates.get(slot).map(|g| &g.kind), Some(GateKind::Command { .. }));
        let agents = control.at == At::Work;
        if !stage.work.contains(slot) && !command {
            found.push(if agents {
                Why::Agent(slot.clone(), name.clone())
            } else {
                Why::Gate(slot.clone())
            });
        }
    }
    // A parked task has no agents: all of its stage's are started when it is taken up again.
    let begun = matches!(control.at, At::Work | At::Gates) && !(control.slots.is_empty() && control.mode == Mode::Escalated);
    for agent in stage.work.iter().filter(|agent| begun && !control.slots.contains_key(*agent)) {
        found.push(Why::NewAgent(agent.clone(), name.clone()));
    }
    if let At::Action { index, .. } = control.at
        && stage.actions.get(usize::from(index)).is_none()
    {
        found.push(Why::Action(name.clone()));
    }
    let answer = "signal.answer";
    if control.mode == Mode::Question && !stage.on.contains_key(answer) && !rules.on.contains_key(answer) {
        found.push(Why::Answer(name.clone()));
    }
}

/// One sentence for each reason, with all the tasks that it strands.
#[must_use]
pub fn sentences(misfits: &[Misfit]) -> Vec<String> {
    let mut whys: Vec<&Why> = misfits.iter().map(|m| &m.why).collect();
    whys.sort();
    whys.dedup();
    let told = whys.into_iter().map(|why| {
        let items: Vec<&str> = misfits.iter().filter(|m| m.why == *why).map(|m| m.item.as_str()).collect();
        match items.as_slice() {
            [item] => format!("{item} {}", why.tell(false)),
            items => format!("{} tasks {}: {}", items.len(), why.tell(true), items.join(", ")),
        }
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::model::{Phase, RepoId, Slot};
    use crate::engine::rules::load;
    use crate::shell::embedded::embedded;

    /// `local`, with this laid over it.
    fn rules(more: &str) -> Arc<Ruleset> {
        let mut files = embedded();
        files.insert("pipelines/mine.toml", format!("schema = 1\nextends = \"local\"\n{more}"), "mine");
        let loaded = load(&files);
        assert!(!loaded.failed(), "{:#?}", loaded.diagnostics);
        Arc::clone(&loaded.pipelines["mine"])
    }

    fn task(stage: &str, edit: impl FnOnce(&mut Task)) -> Task {
        let mut task = Task::unborn("shop".into(), RepoId(1), "1", "old");
        task.item = "-001".to_owned();
        task.branch = "feature/-001-x".to_owned();
        task.control.phase = Phase::Live;
        task.control.stage = stage.into();
        task.control.at = At::Gates;
        edit(&mut task);
        task
    }

    fn queued(task: &mut Task, slot: &str) {
        task.control.slots.insert(slot.into(), Slot::default());
    }

    /// A task at its stage's agent, which is at work.
    fn at_work(stage: &str, agent: &str) -> Task {
        task(stage, |t| {
            t.control.at = At::Work;
            queued(t, agent);
        })
    }

    #[test]
    fn what_stands_where_it_stood_fits() {
        let same = rules("");
        assert_eq!(misfits(&same, &at_work("review", "reviewer")), []);
        assert_eq!(
            misfits(&same, &task("deploy", |t| t.control.at = At::Action { index: 0, running: true })),
            []
        );
        let gone = task("nowhere", |t| t.control.phase = Phase::Done);
        assert_eq!(misfits(&same, &gone), [], "a task that is over needs no stage");
    }

    #[test]
    fn each_way_to_be_stranded_is_found() {
        let fewer = rules(
            "flow = [\"created\", \"development\", \"review\", \"deploy\", \"done\"]\n[stages.deploy]\non.\"merge.base_moved\" = { to = \"review\" , uses = \"rebase\", update = true }\n",
        );
        assert_eq!(misfits(&fewer, &at_work("testing", "tester")), [Why::Stage("testing".into())]);
        let other = rules("[stages.review]\nwork = [\"tester\"]\n");
        let found = misfits(&other, &at_work("review", "reviewer"));
        assert_eq!(
            found,
            [
                Why::Agent("reviewer".into(), "review".into()),
                Why::NewAgent("tester".into(), "review".into())
            ]
        );
        let no_command = rules("[stages.development]\npass = []\n[stages.testing]\npass = [\"tests\"]\n");
        let waiting = task("development", |t| {
            t.control.slots.insert(
                "developer".into(),
                Slot {
                    state: SlotState::Ok,
                    ..Slot::default()
                },
            );
            queued(t, "local_tests");
        });
        assert_eq!(misfits(&no_command, &waiting), [Why::Gate("local_tests".into())]);
        let no_action = task("testing", |t| {
            t.control.at = At::Action { index: 0, running: false };
            t.control.slots.insert("tester".into(), Slot::default());
        });
        assert_eq!(misfits(&rules(""), &no_action), [Why::Action("testing".into())]);
        let asked = task("deploy", |t| t.control.mode = Mode::Question);
        assert_eq!(misfits(&rules(""), &asked), [Why::Answer("deploy".into())]);
        let guarded = rules("[branch]\nprotected = [\"main\", \"master\", \"feature/-001-*\"]\n");
        assert_eq!(misfits(&guarded, &task("deploy", |_| ())), [Why::Branch("feature/-001-x".into())]);
        let renamed = task("deploy", |t| t.item = "SHOP-001".into());
        assert_eq!(misfits(&rules(""), &renamed), [Why::Prefix(String::new())]);
    }

    #[test]
    fn counters_that_are_gone_or_overdrawn_are_found_and_unused_ones_are_not() {
        let used = task("deploy", |t| {
            t.control.counters.insert("rework".into(), 2);
            t.control.counters.insert("conflicts".into(), 0);
            t.control.counters.insert("detours".into(), 1);
        });
        let less = rules("[counters.rework]\nmax = 1\n");
        assert_eq!(
            misfits(&less, &used),
            [Why::Counter("detours".into()), Why::Above("rework".into(), 2, 1)]
        );
    }

    #[test]
    fn a_parked_task_without_agents_takes_new_ones() {
        let more = rules("[stages.review]\nwork = [\"reviewer\", \"second\"]\n[agents.second]\nartefacts = [\"2.md\"]\n");
        let parked = task("review", |t| {
            t.control.mode = Mode::Escalated;
            t.control.at = At::Work;
        });
        assert_eq!(misfits(&more, &parked), []);
        assert_eq!(
            misfits(&more, &at_work("review", "reviewer")),
            [Why::NewAgent("second".into(), "review".into())]
        );
    }

    #[test]
    fn tasks_are_named_together() {
        let fewer = rules(
            "flow = [\"created\", \"development\", \"review\", \"deploy\", \"done\"]\n[stages.deploy]\non.\"merge.base_moved\" = { to = \"review\" , uses = \"rebase\", update = true }\n",
        );
        let mut tasks: Vec<Task> = (1..4).map(|_| at_work("testing", "tester")).collect();
        for (n, task) in tasks.iter_mut().enumerate() {
            task.item = format!("-00{n}");
        }
        let told = sentences(&admit(&fewer, &tasks));
        assert_eq!(
            told,
            ["3 tasks stand at stage `testing`, which the new rules do not have: -000, -001, -002"]
        );
        let told = sentences(&admit(&fewer, &tasks[..1]));
        assert_eq!(told, ["-000 stands at stage `testing`, which the new rules do not have"]);
    }
}
