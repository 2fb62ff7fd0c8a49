//! Words of people reach the agents: all of them, each with its author, in the order in which they were said.

use super::*;

fn alice() -> Actor {
    person("alice", &[Role::Approver, Role::Operator])
}

fn bob() -> Actor {
    person("bob", &[Role::Approver, Role::Operator])
}

/// The analyst has asked, and alice has answered.
fn answered() -> World {
    let mut w = World::at("orch", "analysis");
    w.writes("analyst", &["01-questions.md"]);
    assert_eq!(w.mode(), Mode::Question, "{}", w.why());
    w.signal(alice(), "answer", Some("A: red"));
    assert_eq!((w.mode(), w.queued()), (Mode::Active, vec!["analyst"]));
    w
}

/// What jobs that have not begun are told besides.
fn told(w: &World) -> Vec<(u32, String)> {
    let words = |d: &Decision| match d {
        Decision::Tell { visit, words } => Some((*visit, words.join("|"))),
        _ => None,
    };
    w.decisions.iter().filter_map(words).collect()
}

fn note(w: &World) -> String {
    w.enqueued()[0].note.clone().unwrap_or_default()
}

/// Whether these stand in `text` one behind the other.
fn in_order(text: &str, parts: &[&str]) -> bool {
    let mut rest = text;
    parts.iter().all(|part| {
        let found = rest.split_once(part).map(|(_, behind)| behind);
        rest = found.unwrap_or_default();
        found.is_some()
    })
}

/// The analysis is written by a run that was told nothing after `heard`; alice approves it.
fn approved_after(w: &mut World, heard: Seq) {
    let mut report = w.report("analyst", RunEnd::Ok);
    (report.head, report.heard) = (Some(w.commit(false)), heard);
    for file in BRD {
        w.artefact(file, BTreeMap::new(), "");
    }
    w.event(Actor::Agent(9), Body::RunEnded(report));
    w.signal(alice(), "approve", None);
    assert_eq!(w.stage(), "architecture", "{}", w.why());
}

#[test]
fn b_start_6_a_second_answer_is_told_with_the_first() {
    let mut w = answered();
    let visit = w.visit();
    w.signal(bob(), "answer", Some("B: size 5"));
    assert_eq!((w.visit(), w.queued().len()), (visit, 0), "no round of its own");
    let told = told(&w);
    assert_eq!((told.len(), told[0].0), (1, visit), "{}", w.why());
    assert!(
        in_order(&told[0].1, &["alice answered", "A: red", "bob answered", "B: size 5"]),
        "{told:?}"
    );
    assert!(w.why().contains("bob adds to the answer"), "{}", w.why());
    approved_after(&mut w, Seq(i64::MAX));
    assert_eq!(note(&w), "", "whoever was told need not be told again");
}

#[test]
fn b_start_6_an_answer_that_the_run_missed_is_told_to_the_next_run() {
    let mut w = answered();
    let first = w.task.ledger.said[0].seq;
    w.signal(bob(), "answer", Some("B: size 5"));
    approved_after(&mut w, first);
    assert!(in_order(&note(&w), &["bob answered", "B: size 5"]), "{:?}", note(&w));
    assert!(!note(&w).contains("A: red"), "{:?}", note(&w));
    // In another stage a comment answers nothing.
    w.signal(bob(), "answer", Some("by the way"));
    assert!(told(&w).is_empty() && w.why().contains("no question is open"), "{}", w.why());
}

#[test]
fn b_start_6_an_answer_that_a_run_missed_goes_along_when_it_is_tried_again() {
    let mut w = answered();
    w.signal(bob(), "answer", Some("B: size 5"));
    let mut report = w.report("analyst", RunEnd::Lost);
    report.heard = w.task.ledger.said[0].seq;
    w.event(Actor::Agent(9), Body::RunEnded(report));
    assert!(in_order(&told(&w)[0].1, &["A: red", "B: size 5"]), "{:?}", told(&w));
}

#[test]
fn b_start_6_a_comment_after_the_round_is_no_answer() {
    let mut w = answered();
    w.writes("analyst", BRD);
    w.signal(bob(), "answer", Some("nice"));
    assert!(told(&w).is_empty(), "{:?}", w.decisions);
    assert_eq!(w.task.ledger.last_comment.as_deref(), Some("nice"));
}

/// B-ADV, the table: the reason of a rejection is passed to the agent.
#[test]
fn the_reasons_of_two_rejections_are_both_told() {
    let mut w = World::at("orch", "analysis");
    w.writes("analyst", BRD);
    w.signal(alice(), "reject", Some("ONE"));
    assert!(in_order(&note(&w), &["alice rejected", "ONE"]), "{}", note(&w));
    w.signal(bob(), "reject", Some("TWO"));
    assert!(
        in_order(&note(&w), &["alice rejected", "ONE", "bob rejected", "TWO"]),
        "{}",
        note(&w)
    );
    w.writes("analyst", BRD);
    w.signal(bob(), "reject", Some("THREE"));
    assert!(!note(&w).contains("ONE"), "a run that ended well was told: {}", note(&w));
}

#[test]
fn a_rejection_without_words_takes_no_words_back() {
    for stage in ["development", "review"] {
        let mut w = World::at("orch", stage);
        w.signal(alice(), "reject", Some("the wrong shop"));
        w.signal(bob(), "reject", None);
        let parts = ["alice rejected", "the wrong shop", "bob rejected", "without giving a reason"];
        assert!(in_order(&note(&w), &parts), "{stage}: {}", note(&w));
    }
}

#[test]
fn words_outlive_runs_that_failed() {
    let mut w = answered();
    for _ in 0..2 {
        w.ends("analyst", RunEnd::Permanent { detail: "x".to_owned() });
    }
    assert_eq!(w.mode(), Mode::Escalated, "{}", w.why());
    let words = Some("mind the tests".to_owned());
    w.event(bob(), Body::Retried { note: words });
    assert!(in_order(&note(&w), &["A: red", "mind the tests"]), "{}", note(&w));
}
