//! Which jobs start, and every reason why one does not.

use super::*;
use crate::engine::model::{Freeze, Head, Mode, Phase, Seat, Slot, Visit};
use crate::engine::step::tests::{T0, rules_with};

mod bounds;
mod lanes;
mod orders;

struct House {
    waiting: Vec<WaitingJob>,
    open: Vec<OpenRun>,
    tasks: BTreeMap<TaskId, Task>,
    repos: BTreeMap<RepoId, Repo>,
    depends: Vec<Dependency>,
    limit: u32,
    projects: BTreeMap<Name, u32>,
    commands: BTreeMap<JobId, Command>,
    bounds: Bounds,
    rules: Option<Arc<Ruleset>>,
    now: Millis,
}

impl House {
    fn new() -> Self {
        Self {
            waiting: Vec::new(),
            open: Vec::new(),
            tasks: BTreeMap::new(),
            repos: BTreeMap::from([(
                RepoId(1),
                Repo {
                    id: RepoId(1),
                    ..Repo::default()
                },
            )]),
            depends: Vec::new(),
            limit: 10,
            projects: BTreeMap::new(),
            commands: BTreeMap::new(),
            bounds: Bounds::default(),
            rules: Some(rules_with("orch", "")),
            now: T0,
        }
    }

    fn repo(&mut self) -> &mut Repo {
        self.repos.get_mut(&RepoId(1)).unwrap()
    }

    /// A task with a waiting job, in the lane, inside or before it.
    fn task(mut self, id: i64, slot: &str, inside: bool) -> Self {
        let mut task = Task::unborn("p".into(), RepoId(1), &format!("i-{id}"), "rules");
        task.id = TaskId(id);
        task.item = format!("ORCH-{id:03}");
        task.control.phase = Phase::Live;
        task.control.stage = "analysis".into();
        task.control.at = At::Work;
        task.control.slots.insert(slot.into(), Slot::default());
        task.ledger.visit = Visit { number: 1, entered_at: T0 };
        self.tasks.insert(TaskId(id), task);
        self.repo().lane.push(Seat {
            task: TaskId(id),
            item: format!("ORCH-{id:03}"),
            inside,
            passed: Vec::new(),
            since: T0,
        });
        self.waiting.push(WaitingJob {
            id: JobId(id),
            task: TaskId(id),
            slot: slot.into(),
            stage: if inside { "development" } else { "analysis" }.into(),
            available_at: T0,
            since: T0,
            why: None,
            limited: None,
        });
        self
    }

    fn running(mut self, task: i64, slot: &str) -> Self {
        self.open.push(OpenRun {
            run: RunId(task * 10),
            task: TaskId(task),
            slot: slot.into(),
            since: T0,
            ending: false,
        });
        self
    }

    fn verdicts(&self) -> Vec<(i64, Vec<Blocker>)> {
        let queue = Queue {
            waiting: &self.waiting,
            open: &self.open,
            tasks: &self.tasks,
            depends: &self.depends,
            repos: &self.repos,
            rules: &|_| self.rules.clone(),
            limit: self.limit,
            project_limits: &self.projects,
            commands: &self.commands,
            bounds: &self.bounds,
        };
        let found = schedule(&queue, self.now);
        found.iter().flat_map(|(_, all)| all).for_each(names_the_command);
        found.into_iter().map(|(job, found)| (job.0, found)).collect()
    }

    /// Each job with the codes of what holds it.
    fn codes(&self) -> Vec<(i64, Vec<&'static str>)> {
        let codes = |found: Vec<Blocker>| found.iter().map(|b| b.code.as_str()).collect();
        self.verdicts().into_iter().map(|(job, found)| (job, codes(found))).collect()
    }
}

#[test]
fn a_job_without_blockers_starts() {
    assert_eq!(House::new().task(1, "analyst", false).codes(), [(1, vec![])]);
}

#[test]
fn b_sg_1_the_lane_is_first_in_first_out() {
    let house = House::new()
        .task(1, "analyst", false)
        .task(2, "analyst", false)
        .task(3, "analyst", false);
    assert_eq!(house.codes(), [(1, vec![]), (2, vec!["LANE_HELD"]), (3, vec!["LANE_HELD"])]);
    let found = &house.verdicts()[1].1[0];
    assert!(
        found.text.contains("ORCH-001") && found.clear.as_deref().unwrap_or_default().contains("signalbox stop ORCH-001"),
        "{found:?}"
    );
    assert_eq!(found.who, Who::OtherTask);
}

#[test]
fn b_sg_1_whoever_is_inside_is_not_held() {
    let house = House::new().task(1, "developer", true).task(2, "reviewer", true);
    assert_eq!(house.codes(), [(1, vec![]), (2, vec![])]);
}

#[test]
fn b_sg_1_an_earlier_task_without_a_job_holds_the_lane_until_it_is_over() {
    let mut house = House::new().task(1, "developer", true).task(2, "analyst", false);
    house.waiting.remove(0);
    assert_eq!(house.codes(), [(2, vec!["LANE_HELD"])]);
    house.repo().lane.remove(0);
    assert_eq!(house.codes(), [(2, vec![])]);
}

#[test]
fn b_sg_1_a_later_task_that_got_in_does_not_hold_an_earlier_one() {
    let house = House::new().task(1, "analyst", false).task(2, "developer", true);
    assert_eq!(house.codes(), [(1, vec![]), (2, vec![])]);
}

#[test]
fn b_sg_1_switched_off_it_is_absent() {
    let mut house = House::new().task(1, "analyst", false).task(2, "analyst", false);
    house.rules = Some(rules_with("orch", ", \"serial_gate.enabled\" = false"));
    assert_eq!(house.codes(), [(1, vec![]), (2, vec![])]);
}

#[test]
fn b_sg_2_a_freeze_of_level_merge_holds_entries_only() {
    let mut house = House::new().task(1, "developer", true).task(2, "analyst", false);
    house.repo().lane.remove(0);
    house.repo().freeze = Some(Freeze {
        level: FreezeLevel::Merge,
        reason: "tree".to_owned(),
        since: T0,
        by: "olga".to_owned(),
    });
    assert_eq!(house.codes(), [(1, vec![]), (2, vec!["FROZEN"])]);
    let found = &house.verdicts()[1].1[0];
    assert!(found.text.contains("olga") && found.text.contains("tree"), "{found:?}");
    house.repo().freeze.as_mut().unwrap().level = FreezeLevel::All;
    assert_eq!(house.codes(), [(1, vec!["FROZEN"]), (2, vec!["FROZEN"])]);
}

#[test]
fn all_blockers_are_listed_not_only_the_first() {
    let mut house = House::new()
        .task(1, "analyst", true)
        .task(2, "analyst", false)
        .running(2, "analyst");
    house.limit = 1;
    house.projects.insert("p".into(), 1);
    house.now = T0;
    house.waiting[1].available_at = T0.plus(Millis::secs(30));
    house.repo().freeze = Some(Freeze {
        level: FreezeLevel::All,
        reason: "x".to_owned(),
        since: T0,
        by: "olga".to_owned(),
    });
    let codes = house.codes();
    assert_eq!(
        codes[1].1,
        ["FROZEN", "LANE_HELD", "BACKOFF", "RUNNER_BUSY", "RUNNER_BUSY", "RUNNER_BUSY"]
    );
}

#[test]
fn places_are_counted_with_those_just_given_away() {
    let mut house = House::new()
        .task(1, "developer", true)
        .task(2, "developer", true)
        .task(3, "developer", true)
        .running(9, "x");
    house.limit = 3;
    assert_eq!(house.codes(), [(1, vec![]), (2, vec![]), (3, vec!["RUNNER_BUSY"])]);
    house.limit = 10;
    house.projects.insert("p".into(), 1);
    assert_eq!(house.codes(), [(1, vec![]), (2, vec!["RUNNER_BUSY"]), (3, vec!["RUNNER_BUSY"])]);
    house.projects.insert("p".into(), 0);
    assert_eq!(house.codes()[0].1, ["RUNNER_BUSY"]);
}

#[test]
fn a_checkout_has_one_run_at_a_time() {
    let mut house = House::new().task(1, "developer", true).running(1, "developer");
    house.open[0].ending = true;
    assert_eq!(house.codes(), [(1, vec!["RUNNER_BUSY"])]);
    assert!(house.verdicts()[0].1[0].text.contains("run 10"));
    let house = House::new().task(1, "developer", true).running(1, "reviewer");
    assert_eq!(house.codes(), [(1, vec![])], "another agent has a checkout of its own");
}

#[test]
fn back_off_says_how_long_and_why() {
    let mut house = House::new().task(1, "reviewer", true);
    house.waiting[0].available_at = T0.plus(Millis(20_001));
    house.tasks.get_mut(&TaskId(1)).unwrap().ledger.failure = Some("429 Too Many Requests".to_owned());
    let found = house.verdicts().remove(0).1.remove(0);
    assert_eq!(found.code, Code::Backoff);
    assert!(found.text.contains("in 21 s") && found.text.contains("429"), "{}", found.text);
    assert_eq!(found.clear, None, "it is over by itself");
    house.waiting[0].limited = Some("claude".to_owned());
    let clear = house.verdicts().remove(0).1.remove(0).clear;
    assert_eq!(
        clear.as_deref(),
        Some("signalbox breaker close claude    # or wait"),
        "whatever command it would run now"
    );
    house.now = T0.plus(Millis(20_001));
    assert_eq!(house.codes(), [(1, vec![])]);
}

#[test]
fn rules_that_cannot_be_used_start_nothing() {
    let mut house = House::new().task(1, "developer", true);
    house.rules = None;
    let found = house.verdicts().remove(0).1.remove(0);
    assert_eq!((found.code, found.who), (Code::RulesError, Who::Operator));
    assert!(found.clear.unwrap_or_default().contains("signalbox stop ORCH-001"));
}

#[test]
fn no_job_of_a_task_that_is_over_or_being_stopped_starts() {
    let mut house = House::new().task(1, "developer", true);
    house.tasks.get_mut(&TaskId(1)).unwrap().control.stop = StopState::Cleaning;
    assert_eq!(house.codes(), [(1, vec!["STOPPING"])]);
    house.tasks.clear();
    assert_eq!(house.codes(), [(1, vec!["RULES_ERROR"])]);
}

/// A live task and the repository, changed by `how`; the code of what it waits for.
fn waits_with(how: impl FnOnce(&mut Task, &mut Repo)) -> Vec<&'static str> {
    let mut house = House::new().task(1, "developer", true);
    let mut task = house.tasks[&TaskId(1)].clone();
    task.control.slots.clear();
    task.ledger.head = Some(Head {
        sha: "a".to_owned(),
        subject: "s".to_owned(),
    });
    how(&mut task, house.repo());
    let found = waits(&rules_with("orch", ""), &task, &house.repos[&RepoId(1)]);
    found.iter().for_each(names_the_command);
    found.iter().map(|b| b.code.as_str()).collect()
}

/// `why`: whoever must act is told the command; what clears by itself needs none.
fn names_the_command(found: &Blocker) {
    let command = found.clear.as_deref().unwrap_or_default();
    let due = found.who != Who::Itself;
    assert!(command.starts_with("signalbox ") || (!due && command.is_empty()), "{found:?}");
}

fn waiting(task: &mut Task, sentence: &str) {
    task.control.at = At::Gates;
    task.ledger.waiting = Some((sentence.to_owned(), T0));
}

#[test]
fn whoever_waits_for_a_task_is_shown_what_that_waits_for_and_not_to_stop_it_twice() {
    let mut house = House::new().task(1, "analyst", false).task(2, "analyst", false);
    let clear = |house: &House| house.verdicts()[1].1[0].clear.clone().unwrap_or_default();
    assert!(clear(&house).starts_with("signalbox why ORCH-001"), "{}", clear(&house));
    house.tasks.get_mut(&TaskId(1)).unwrap().control.stop = StopState::Cleaning;
    assert!(!clear(&house).contains("signalbox stop"), "{}", clear(&house));
}

#[test]
fn every_code_can_be_reached() {
    let action = At::Action { index: 0, running: false };
    let lease = |repo: &mut Repo| {
        repo.lease = Some(crate::engine::model::Lease {
            task: TaskId(2),
            item: "ORCH-002".to_owned(),
            visit: 1,
            since: T0,
            queue: Vec::new(),
        });
    };
    let freeze = Freeze {
        level: FreezeLevel::Merge,
        reason: "x".to_owned(),
        since: T0,
        by: "olga".to_owned(),
    };
    let mut reached: Vec<&str> = Vec::new();
    reached.extend(waits_with(|t, r| {
        t.control.at = action.clone();
        lease(r);
        r.freeze = Some(freeze.clone());
    }));
    assert_eq!(reached, ["FROZEN", "LEASE_HELD"], "both are said");
    reached.extend(waits_with(|t, _| t.control.at = action.clone()));
    reached.extend(waits_with(|t, _| t.control.at = At::Action { index: 0, running: true }));
    reached.extend(waits_with(|t, _| t.control.at = At::Updating { edge: "x".into() }));
    reached.extend(waits_with(|t, _| t.control.at = At::Entering));
    reached.extend(waits_with(|t, _| t.control.at = At::Gates));
    reached.extend(waits_with(|t, _| waiting(t, "approved.waiting: signal")));
    reached.extend(waits_with(|t, _| waiting(t, "forge_review.waiting: rita")));
    reached.extend(waits_with(|t, _| waiting(t, "ci.pending: check")));
    reached.extend(waits_with(|t, _| waiting(t, "ci.unreachable: no answer")));
    reached.extend(waits_with(|t, _| waiting(t, "built.red: exit status 1")));
    reached.extend(waits_with(|t, _| {
        t.control.mode = Mode::Question;
        t.ledger.question = Some(("\n\nWhich?\nmore".to_owned(), T0));
    }));
    reached.extend(waits_with(|t, _| {
        t.control.mode = Mode::Escalated;
        t.ledger.escalated = Some(("spent".to_owned(), T0));
    }));
    reached.extend(waits_with(|t, _| t.control.stop = StopState::Deferred));
    reached.extend(waits_with(|t, _| t.control.stop = StopState::Cleaning));
    reached.extend(["DEP_OPEN", "LANE_HELD", "RUNNER_BUSY", "BACKOFF", "RULES_ERROR"]); // of `schedule`, above
    reached.extend(["BREAKER_OPEN", "USAGE_LIMIT", "PREFLIGHT", "BUDGET", "NO_PROGRESS"]); // of `schedule`, in `bounds`
    reached.sort_unstable();
    reached.dedup();
    let all = [
        Code::LaneHeld,
        Code::DepOpen,
        Code::LeaseHeld,
        Code::Frozen,
        Code::GateWait,
        Code::ApprovalWait,
        Code::NeedsInput,
        Code::RunnerBusy,
        Code::Backoff,
        Code::ChecksPending,
        Code::ChecksFailed,
        Code::ForgeUnreachable,
        Code::StopDeferred,
        Code::Stopping,
        Code::Escalated,
        Code::ActionRunning,
        Code::BreakerOpen,
        Code::UsageLimit,
        Code::Preflight,
        Code::Budget,
        Code::NoProgress,
        Code::RulesError,
    ];
    let mut all: Vec<&str> = all.iter().map(|c| c.as_str()).collect();
    all.sort_unstable();
    assert_eq!(reached, all);
}

#[test]
fn a_task_that_is_over_waits_for_nothing() {
    assert!(waits_with(|t, _| t.control.phase = Phase::Done).is_empty());
    assert!(waits_with(|t, _| t.control.phase = Phase::Cancelled).is_empty());
}

fn waits_for(task: i64, on: Option<i64>, name: &str) -> Dependency {
    Dependency {
        task: TaskId(task),
        on: on.map(TaskId),
        name: name.to_owned(),
        source: crate::engine::model::Source::Text,
        since: T0,
    }
}

#[test]
fn b_sg_3_no_job_starts_before_what_its_task_waits_for_is_over() {
    let mut house = House::new().task(1, "developer", true).task(2, "reviewer", true);
    house.depends = vec![waits_for(2, Some(1), "ORCH-001")];
    assert_eq!(house.codes(), [(1, vec![]), (2, vec!["DEP_OPEN"])]);
    let found = &house.verdicts()[1].1[0];
    assert!(found.text.contains("ORCH-001") && found.text.contains("analysis"), "{found:?}");
    assert!(
        found
            .clear
            .as_deref()
            .unwrap_or_default()
            .starts_with("signalbox depend ORCH-002 --remove ORCH-001"),
        "{found:?}"
    );
    assert_eq!(found.who, Who::OtherTask);
}

#[test]
fn b_sg_4_a_task_that_is_over_holds_nobody() {
    let mut house = House::new().task(1, "developer", true).task(2, "reviewer", true);
    house.depends = vec![waits_for(2, Some(1), "ORCH-001")];
    for phase in [Phase::Done, Phase::Cancelled] {
        house.tasks.get_mut(&TaskId(1)).unwrap().control.phase = phase;
        assert_eq!(house.codes()[1], (2, vec![]), "{phase:?}");
    }
    house.tasks.remove(&TaskId(1));
    assert_eq!(house.codes()[1], (2, vec![]));
}

#[test]
fn b_sg_3_what_nobody_has_started_is_waited_for_and_named() {
    let mut house = House::new().task(1, "developer", true);
    house.depends = vec![waits_for(1, None, "ORCH-009")];
    let found = house.verdicts().remove(0).1.remove(0);
    assert!(found.text.contains("ORCH-009, which nobody has started"), "{}", found.text);
    assert_eq!(found.who, Who::Anyone);
}

#[test]
fn b_sg_1_who_waits_outside_for_another_does_not_hold_the_lane() {
    let mut house = House::new().task(1, "analyst", false).task(2, "analyst", false);
    house.depends = vec![waits_for(1, Some(2), "ORCH-002")];
    assert_eq!(house.codes(), [(1, vec!["DEP_OPEN"]), (2, vec![])]);
}

#[test]
fn b_sg_1_who_waits_inside_for_one_outside_does_not_hold_the_lane() {
    // 1 is inside and waits for 3; 2 came before 3, so 3 waits for 2: 1 must let both in.
    let mut house = House::new()
        .task(1, "developer", true)
        .task(2, "analyst", false)
        .task(3, "analyst", false);
    house.depends = vec![waits_for(1, Some(3), "ORCH-003")];
    assert_eq!(house.codes(), [(1, vec!["DEP_OPEN"]), (2, vec![]), (3, vec!["LANE_HELD"])]);
    // While what it waits for is inside itself, it holds the lane like any other.
    house.repo().lane[2].inside = true;
    assert_eq!(house.codes(), [(1, vec!["DEP_OPEN"]), (2, vec!["LANE_HELD"]), (3, vec![])]);
}

#[test]
fn b_sg_3_switched_off_or_of_another_source_it_is_absent() {
    let mut house = House::new().task(1, "developer", true).task(2, "reviewer", true);
    house.depends = vec![waits_for(2, Some(1), "ORCH-001")];
    house.rules = Some(rules_with("orch", ", \"depends.enabled\" = false"));
    assert_eq!(house.codes()[1], (2, vec![]));
    house.rules = Some(rules_with("orch", ", \"depends.sources\" = [\"command\"]"));
    assert_eq!(house.codes()[1], (2, vec![]));
}

/// A house whose repository is guarded at these stages.
fn guarded(guards: &str) -> House {
    let mut house = House::new();
    house.rules = Some(rules_with("orch", &format!(", \"serial_gate.guards\" = {guards}")));
    house
}

/// Puts the waiting job of a task at a stage, past these guards.
fn stands(house: &mut House, task: i64, stage: &str, passed: &[&str]) {
    let seat = house.repo().lane.iter_mut().find(|s| s.task == TaskId(task)).unwrap();
    seat.inside = !passed.is_empty();
    seat.passed = passed.iter().map(|p| Name::new(p)).collect();
    house.waiting.iter_mut().find(|j| j.task == TaskId(task)).unwrap().stage = stage.into();
}

#[test]
fn b_sg_1_a_guard_in_the_middle_lets_tasks_work_side_by_side_before_it() {
    let mut house = guarded("[\"testing\"]").task(1, "analyst", false).task(2, "analyst", false);
    assert_eq!(house.codes(), [(1, vec![]), (2, vec![])], "before the guard nobody is held");
    stands(&mut house, 2, "testing", &[]);
    assert_eq!(house.codes(), [(1, vec![]), (2, vec!["LANE_HELD"])], "the earlier one is not over");
    assert!(house.verdicts()[1].1[0].text.contains("enters testing"));
    stands(&mut house, 1, "testing", &[]);
    assert_eq!(house.codes(), [(1, vec![]), (2, vec!["LANE_HELD"])]);
    stands(&mut house, 2, "testing", &["testing"]);
    assert_eq!(
        house.codes(),
        [(1, vec![]), (2, vec![])],
        "whoever is inside is not held, nor holds an earlier one"
    );
}

#[test]
fn b_sg_1_each_guard_is_passed_once() {
    let mut house = guarded("[\"analysis\", \"testing\"]")
        .task(1, "analyst", true)
        .task(2, "tester", true);
    stands(&mut house, 1, "testing", &["analysis", "testing"]);
    stands(&mut house, 2, "testing", &["analysis"]);
    assert_eq!(
        house.codes(),
        [(1, vec![]), (2, vec!["LANE_HELD"])],
        "the second guard holds it, too"
    );
    stands(&mut house, 2, "analysis", &["analysis"]);
    assert_eq!(house.codes()[1], (2, vec![]), "sent back behind a guard that it has passed");
}

#[test]
fn b_sg_1_rules_changed_meanwhile_let_nobody_slip_by() {
    // Not inside, and past the only guard by its stage: the rules got a stage in front of it.
    let mut house = guarded("[\"analysis\"]").task(1, "analyst", true).task(2, "architect", false);
    stands(&mut house, 2, "architecture", &[]);
    assert_eq!(house.codes()[1], (2, vec!["LANE_HELD"]));
    // Inside since before there were several guards: past all of them.
    let mut house = guarded("[\"analysis\", \"testing\"]")
        .task(1, "analyst", true)
        .task(2, "tester", true);
    house.waiting[1].stage = "testing".into();
    assert_eq!(house.codes()[1], (2, vec![]));
}

#[test]
fn b_sg_2_a_freeze_of_level_merge_holds_the_entry_to_every_guard() {
    let mut house = guarded("[\"analysis\", \"testing\"]").task(1, "tester", true);
    house.repo().freeze = Some(Freeze {
        level: FreezeLevel::Merge,
        reason: "tree".to_owned(),
        since: T0,
        by: "olga".to_owned(),
    });
    stands(&mut house, 1, "review", &["analysis"]);
    assert_eq!(house.codes(), [(1, vec![])]);
    stands(&mut house, 1, "testing", &["analysis"]);
    assert_eq!(house.codes(), [(1, vec!["FROZEN"])]);
}

#[test]
fn b_sg_1_a_lane_over_all_repositories() {
    let scope = ", \"serial_gate.scope\" = \"service\"";
    let mut house = House::new().task(1, "analyst", false).task(2, "analyst", false);
    house.rules = Some(rules_with("orch", scope));
    // The first one is of another repository.
    let seat = house.repo().lane.remove(0);
    house.tasks.get_mut(&TaskId(1)).unwrap().repo = RepoId(2);
    let other = Repo {
        id: RepoId(2),
        lane: vec![seat],
        ..Repo::default()
    };
    house.repos.insert(RepoId(2), other);
    assert_eq!(house.codes(), [(1, vec![]), (2, vec!["LANE_HELD"])]);
    house.rules = Some(rules_with("orch", ""));
    assert_eq!(house.codes(), [(1, vec![]), (2, vec![])], "each repository has its own lane");
    house.rules = Some(rules_with("orch", scope));
    house.depends = vec![waits_for(1, Some(2), "ORCH-002")];
    assert_eq!(
        house.codes(),
        [(1, vec!["DEP_OPEN"]), (2, vec![])],
        "who waits outside holds nobody elsewhere either"
    );
}
