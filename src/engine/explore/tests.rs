use super::*;
use crate::engine::model::{Decision, Event, Facts, Repo, RunEnd, StopState, Task};
use crate::engine::step::tests::{rules_of, rules_with};
use crate::engine::step::{Answers, Step};

/// A step function that is the engine's own, but for what `spoil` does to its result.
fn broken(spoil: impl Fn(&Task, &Event, &mut Step) + 'static) -> impl Fn(&Ruleset, &Task, &Repo, &Event, &Facts, &dyn Answers) -> Step {
    move |rules, task, repo, event, facts, answers| {
        let mut step = step_by(rules, task, repo, event, facts, answers);
        spoil(task, event, &mut step);
        step
    }
}

/// A pipeline small enough to be proved many times.
const SMALL: &str = "schema = 1\nextends = \"local\"\nflow = [\"created\", \"development\", \"deploy\", \"done\"]\n\
     [stages.development]\npass = []\non.\"local_tests.red\" = \"unset\"\n\
     [stages.deploy]\non.\"merge.base_moved\" = { to = \"development\", uses = \"rebase\", update = true }\n\
     on.\"merge.head_moved\" = { to = \"development\", uses = \"rebase\" }\n";

fn small() -> std::sync::Arc<Ruleset> {
    rules_of(&[("pipelines/mine.toml", SMALL)], "mine", "")
}

fn kinds(proof: &Proof) -> Vec<Kind> {
    proof.violated().map(|p| p.kind).collect()
}

fn holds(name: &str) {
    let begun = std::time::Instant::now();
    let proof = prove(&rules_with(name, ""), None, LIMIT);
    println!(
        "{name}: {} {:?}, {} steps, {} bytes",
        proof.summary(),
        begun.elapsed(),
        proof.steps,
        proof.bytes
    );
    let bad: Vec<_> = proof
        .properties
        .iter()
        .filter(|p| matches!(p.verdict, Verdict::Violated | Verdict::Skipped))
        .collect();
    assert!(bad.is_empty(), "{name}: {bad:#?}");
    assert!(proof.bound.is_some() && proof.states > 500, "{name}");
}

#[test]
fn local_holds_everything() {
    holds("local");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes unoptimised: cargo test --release")]
fn enduro_holds_everything() {
    holds("enduro");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes unoptimised: cargo test --release")]
fn orch_holds_everything() {
    holds("orch");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes unoptimised: cargo test --release")]
fn docs_holds_everything() {
    holds("docs");
}

#[test]
fn exploring_twice_finds_the_same() {
    let rules = small();
    let proof = prove(&rules, None, LIMIT);
    assert_eq!(proof, prove(&rules, None, LIMIT));
    assert_eq!(kinds(&proof), [], "{proof:#?}");
}

#[test]
fn what_is_not_decided_is_skipped_and_never_held() {
    let proof = prove(&small(), None, 50);
    assert!(proof.properties.iter().all(|p| p.verdict != Verdict::Held), "{proof:#?}");
    assert!(proof.skipped().count() > 5 && proof.bound.is_none());
}

/// Wherever a limit or somebody's patience cuts it short: at each of the first states, then ever further on.
fn cut_short(rules: &Ruleset) {
    let further = std::iter::successors(Some(60), |limit| Some(limit * 5 / 4)).take_while(|limit| *limit < 3000);
    for limit in (1..60).chain(further) {
        let proof = prove(rules, None, limit);
        assert!(
            proof.properties.iter().all(|p| p.verdict != Verdict::Held) || proof.states < limit,
            "{limit}: {proof:#?}"
        );
    }
}

#[test]
fn one_that_is_cut_short_anywhere_decides_nothing_and_does_not_fall_over() {
    cut_short(&small());
    cut_short(&rules_with("local", ""));
}

#[test]
fn one_of_orch_that_is_cut_short_anywhere_decides_nothing_and_does_not_fall_over() {
    cut_short(&rules_with("orch", ""));
}

#[test]
fn one_that_is_given_up_is_skipped() {
    let proof = prove_while(&small(), None, LIMIT, &|states| states < 100);
    assert!(
        proof.states < 2000 && proof.properties.iter().all(|p| p.verdict != Verdict::Held),
        "{proof:#?}"
    );
}

/// Each mutant of the engine is caught by the property that it breaks.
#[test]
fn a_broken_engine_is_found_out() {
    type Spoil = Box<dyn Fn(&Task, &Event, &mut Step)>;
    let stopping = |step: &Step| step.task.control.stop == StopState::Cleaning;
    let mutants: Vec<(&str, Kind, Spoil)> = vec![
        (
            "timers outlive the task",
            Kind::Stops,
            Box::new(|_, _, s| s.decisions.retain(|d| !matches!(d, Decision::DropTimers))),
        ),
        (
            "a stop leaves the jobs",
            Kind::Stops,
            Box::new(move |_, _, s| {
                if stopping(s) {
                    s.decisions.retain(|d| !matches!(d, Decision::Withdraw { .. }));
                }
            }),
        ),
        (
            "a stop is forgotten",
            Kind::Stops,
            Box::new(|task, _, s| {
                if task.control.stop == StopState::No {
                    s.task.control.stop = StopState::No;
                }
            }),
        ),
        ("follow-ups are lost", Kind::Arrives, Box::new(|_, _, s| s.follow = None)),
        (
            "jobs are not queued",
            Kind::Arrives,
            Box::new(|_, _, s| s.decisions.retain(|d| !matches!(d, Decision::Enqueue(_)))),
        ),
        (
            "the lease is not taken",
            Kind::Safe,
            Box::new(|_, _, s| {
                if let Some(repo) = &mut s.repo {
                    repo.lease = None;
                }
            }),
        ),
        (
            "tries are not counted",
            Kind::Bounded,
            Box::new(|_, event, s| {
                if let crate::engine::model::Body::RunEnded(report) = &event.body
                    && matches!(report.end, RunEnd::Transient { .. })
                    && let Some(slot) = s.task.control.slots.get_mut(&report.slot)
                {
                    slot.transient = 0;
                }
            }),
        ),
    ];
    let rules = small();
    for (name, kind, spoil) in mutants {
        let step = broken(spoil);
        let proof = prove_by(&rules, None, LIMIT, &|_| true, &step);
        assert!(kinds(&proof).contains(&kind), "{name}: {proof:#?}");
    }
}

/// A return without its counter, which the loader refuses: the circle is told.
#[test]
fn a_loop_without_a_counter_is_found() {
    let rules = small();
    let mut loose = quiet(&rules);
    for stage in loose.stages.values_mut() {
        stage.on.values_mut().for_each(|edge| edge.uses = None);
    }
    let proof = prove(&loose, None, LIMIT);
    let endless = proof.violated().find(|p| p.kind == Kind::Bounded).expect("found");
    let story = endless.story.as_ref().expect("told");
    assert!(proof.bound.is_none() && story.lines.len() > 5, "{story:#?}");
}

mod components {
    use super::super::scc::{Edges, components, longest, reaching};

    struct List(Vec<Vec<u32>>);

    impl Edges for List {
        fn len(&self) -> u32 {
            u32::try_from(self.0.len()).expect("small")
        }
        fn next(&self, node: u32, at: u32) -> Option<(u32, u32)> {
            self.0[node as usize].get(at as usize).map(|t| (*t, at + 1))
        }
    }

    #[test]
    fn what_reaches_a_goal_is_found_through_circles() {
        let list = List(vec![vec![1], vec![2, 0], vec![3], vec![], vec![4], vec![4, 0]]);
        assert_eq!(
            reaching(&list, &components(&list), |n| n == 3),
            [true, true, true, true, false, true]
        );
    }

    #[test]
    fn the_longest_path_is_found_and_a_weighted_circle_has_none() {
        let list = List(vec![vec![1, 2], vec![2], vec![3], vec![]]);
        assert_eq!(longest(&list, &components(&list), |_, _| 1), Ok(vec![3, 2, 1, 0]));
        let round = List(vec![vec![1], vec![2], vec![1, 3], vec![]]);
        assert_eq!(longest(&round, &components(&round), |n, _| u32::from(n == 2)), Err(2));
        assert_eq!(longest(&round, &components(&round), |n, _| u32::from(n == 0)), Ok(vec![1, 0, 0, 0]));
    }
}
