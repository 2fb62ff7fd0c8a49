//! What people did to a task's change request on the forge while its merge is awaited: nothing that is confirmed now can be
//! merged, and nobody is asked for a verdict as if it could.

use crate::engine::model::{At, Blocker, Code, Mode, StopState, Task, Who};
use crate::engine::rules::Ruleset;
use crate::shell::store::{ChangeRow, ChangeState};

/// Whether the task stands where a merge is next, so that its change request matters.
pub fn awaits(rules: &Ruleset, task: &Task) -> bool {
    let control = &task.control;
    let merges = rules
        .stages
        .get(&control.stage)
        .is_some_and(|s| s.actions.iter().any(|a| a.name() == "merge"));
    // A merge that came out otherwise than computed is the service's own.
    let mismatch = task
        .ledger
        .escalated
        .as_ref()
        .is_some_and(|(why, _)| why.starts_with("merge.mismatch"));
    merges && !mismatch && control.at == At::Gates && control.stop == StopState::No && control.mode != Mode::Question
}

/// What the state of the change request, as last known, means for such a task, and what clears it.
pub fn blocker(task: &Task, change: &ChangeRow, default_branch: &str) -> Option<Blocker> {
    let (item, number) = (&task.item, change.number);
    let then = match task.control.mode {
        Mode::Escalated => "retry",
        _ => "confirm",
    };
    let (text, clear) = match change.state {
        ChangeState::Open if change.base == default_branch => return None,
        ChangeState::Open => (
            format!(
                "pull request #{number} goes into `{}` now, and not into `{default_branch}`: somebody changed its base, and it is not merged there",
                change.base
            ),
            format!("change its base back to `{default_branch}` on the forge, then {then}    # or: signalbox stop {item}"),
        ),
        ChangeState::Merged => (
            format!(
                "pull request #{number} was merged on the forge, and not by this service: its work is on {}, there is nothing left to decide",
                change.base
            ),
            format!("signalbox stop {item}    # what is merged stays merged"),
        ),
        ChangeState::Closed if task.control.mode == Mode::Escalated => (
            format!("pull request #{number} was closed on the forge without a merge: it is not merged while it is closed"),
            format!("signalbox retry {item}    # when it is reopened on the forge; or: signalbox stop {item}"),
        ),
        ChangeState::Closed => (
            format!("pull request #{number} was closed on the forge without a merge: what is confirmed now is not merged"),
            format!("reopen it on the forge, then confirm    # or: signalbox stop {item}"),
        ),
    };
    Some(Blocker {
        code: Code::GateWait,
        text,
        since: change.updated_at,
        who: Who::Operator,
        clear: Some(clear),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::{Millis, Name, RepoId};
    use crate::shell::door::tests::World;

    fn change(state: ChangeState) -> ChangeRow {
        ChangeRow {
            repo: RepoId(1),
            number: 2,
            branch: "feature/x".to_owned(),
            base: "main".to_owned(),
            title: String::new(),
            body: String::new(),
            state,
            head: "a".repeat(40),
            merged_sha: None,
            created_at: Millis(1),
            updated_at: Millis(2),
        }
    }

    #[tokio::test]
    async fn a_request_that_people_closed_or_merged_is_said_where_a_merge_is_next() {
        let world = World::with("", "", "").await;
        let at = |stage: &'static str| {
            move |task: &mut Task| {
                task.control.stage = Name::new(stage);
                task.control.at = At::Gates;
            }
        };
        let mut task = world.task(at("deploy")).await;
        let rules = world.service.rules_of(&task).await.unwrap();
        assert!(awaits(&rules, &task));
        assert!(!awaits(&rules, &world.task(at("review")).await), "nothing is merged there");
        assert_eq!(blocker(&task, &change(ChangeState::Open), "main"), None);
        let elsewhere = blocker(&task, &change(ChangeState::Open), "trunk").unwrap();
        assert!(
            elsewhere.text.contains("goes into `main` now, and not into `trunk`"),
            "{elsewhere:?}"
        );
        let said = |task: &Task, state| blocker(task, &change(state), "main").map(|b| (b.text, b.clear.unwrap_or_default()));
        let (text, clear) = said(&task, ChangeState::Merged).unwrap();
        assert!(
            text.contains("#2 was merged on the forge") && clear.starts_with("signalbox stop "),
            "{text} {clear}"
        );
        let (_, clear) = said(&task, ChangeState::Closed).unwrap();
        assert!(clear.starts_with("reopen it on the forge, then confirm"), "{clear}");
        task.control.mode = Mode::Escalated;
        let (_, clear) = said(&task, ChangeState::Closed).unwrap();
        assert!(clear.starts_with("signalbox retry "), "{clear}");
        task.ledger.escalated = Some(("merge.mismatch: another tree".to_owned(), Millis(3)));
        assert!(!awaits(&rules, &task), "that merge was the service's own");
    }
}
