//! What a task waits for is always said, with who can end it and how.

use super::*;
use crate::engine::model::{Code, Who};

fn first(w: &World) -> (Code, Who, String) {
    let found = w.waits();
    assert!(!found.is_empty());
    (found[0].code, found[0].who, found[0].clear.clone().unwrap_or_default())
}

#[test]
fn a_task_whose_jobs_move_it_waits_for_nothing_itself() {
    assert!(World::at("orch", "review").waits().is_empty());
    assert!(World::at("orch", "done").waits().is_empty());
}

#[test]
fn every_wait_names_the_command_that_ends_it() {
    let mut w = World::at("orch", "deploy");
    assert_eq!(
        first(&w),
        (Code::ApprovalWait, Who::Approver, "signalbox approve ORCH-090".to_owned())
    );
    w.say("confirm_deploy");
    assert_eq!(first(&w).0, Code::ActionRunning);
    w.action("merge", "refused", "no");
    let (code, who, clear) = first(&w);
    assert_eq!((code, who), (Code::Escalated, Who::Operator));
    assert!(
        clear.starts_with("signalbox retry ORCH-090") && clear.contains("feature/ORCH-090-add-a-map"),
        "{clear}"
    );
}

#[test]
fn a_command_of_a_gate_is_waited_for_as_checks() {
    let mut w = World::at("orch", "development");
    w.writes("developer", &[]);
    assert_eq!(first(&w).0, Code::ChecksPending);
    w.command("local_tests", 1);
    let (code, _, clear) = first(&w);
    assert_eq!((code, clear.starts_with("signalbox retry")), (Code::ChecksFailed, true));
}

#[test]
fn failed_work_that_an_edge_lets_stay_names_a_way_on() {
    let own = "schema = 1\nextends = \"orch\"\n[stages.review]\non.\"work.failed\" = { stay = true }\n";
    let rules = rules_of(&[("pipelines/mine.toml", own)], "mine", "");
    let mut w = World::on(rules).started().up_to("review");
    w.ends("reviewer", RunEnd::NoOutput).ends("reviewer", RunEnd::NoOutput);
    assert_eq!(w.mode(), Mode::Active);
    let (code, who, clear) = first(&w);
    assert_eq!(
        (code, who, clear.starts_with("signalbox retry")),
        (Code::ChecksFailed, Who::Operator, true)
    );
    w.poke();
    assert_eq!(w.stage(), "review");
    w.retry();
    assert_eq!(w.queued(), ["reviewer"]);
}

#[test]
fn since_is_when_the_wait_began_not_when_it_was_looked_at() {
    let mut w = World::at("orch", "deploy");
    let since = w.waits()[0].since;
    w.now = w.now.plus(Millis::secs(500));
    w.poke();
    assert_eq!(w.waits()[0].since, since);
}

#[test]
fn a_gate_of_time_names_when_it_is_over() {
    let own = "schema = 1\nextends = \"local\"\n[gates.soak]\nwait = { for = \"10m\" }\n[stages.testing]\npass = [\"tests\", \"soak\", \"mergeable\"]\n";
    let rules = rules_of(&[("pipelines/mine.toml", own)], "mine", "");
    let mut w = World::on(rules).started().up_to("testing");
    let entered = w.task.ledger.visit.entered_at;
    w.verdict("tester", "13-test-report.md", "result", "PASS");
    assert!(
        w.decisions
            .iter()
            .any(|d| matches!(d, Decision::SetTimer { due, .. } if *due == entered.plus(Millis::secs(600))))
    );
    assert_eq!((w.stage(), first(&w).1), ("testing", Who::Itself));
    w.now = w.now.plus(Millis::secs(600));
    w.timer("soak");
    assert_eq!(w.stage(), "deploy");
}
