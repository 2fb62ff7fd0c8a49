//! The zero-throughput alarm: a task that nothing holds back and that nothing moves. A service that
//! answers is alive; that is not the same as work getting on.

use crate::engine::model::{Blocker, Code, Millis, Who};
use crate::shell::clock;
use crate::shell::service::Service;
use crate::shell::store::StoreError;

/// The notice's key.
const KEY: &str = "stalled";
/// Most tasks that an alarm names.
const NAMED: usize = 5;

/// Looks whether work stands still without a reason, and tells operators once.
///
/// # Errors
/// As all of the store.
pub async fn look(service: &Service) -> Result<(), StoreError> {
    look_at(service, clock::now()).await
}

async fn look_at(service: &Service, now: Millis) -> Result<(), StoreError> {
    let limit = service.config().stalled_after;
    let view = service.store.queue(now).await?;
    let blockers = service.blockers(&view.tasks).await?;
    let mut stalled = Vec::new();
    for task in &view.tasks {
        let at_work = view.open_runs.iter().any(|r| r.task == task.id);
        if at_work || blockers.get(&task.id).is_some_and(|b| explained(b)) {
            continue;
        }
        let last = service.store.last_activity(task.id).await?.unwrap_or(task.created_at);
        if now.since(last) > limit {
            stalled.push((task, last));
        }
    }
    let known = view.notices.iter().any(|n| n.key == KEY);
    match stalled.iter().min_by_key(|(_, last)| *last) {
        Some((oldest, last)) if !known => {
            let items: Vec<&str> = stalled.iter().take(NAMED).map(|(t, _)| t.item.as_str()).collect();
            service
                .store
                .raise(KEY, oldest.id, &text(&items, stalled.len(), now.since(*last)), now)
                .await?;
        }
        None if known => {
            service
                .store
                .lower(KEY, Some("work that stood still without a reason moves again"), now)
                .await?;
        }
        _ => {}
    }
    Ok(())
}

/// Whether something is said to hold the task that can last: what is only about to happen does not.
fn explained(blockers: &[Blocker]) -> bool {
    let passing = |b: &Blocker| b.who == Who::Itself && matches!(b.code, Code::GateWait | Code::ActionRunning);
    blockers.iter().any(|b| !passing(b))
}

fn text(items: &[&str], count: usize, idle: Millis) -> String {
    let more = count.saturating_sub(items.len());
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "work stands still and nothing says why: nothing has moved {}{rest} for {} min. The service's log and `signalbox why {}` tell more; a restart harms nothing",
        items.join(", "),
        idle.0 / 60_000,
        items.first().copied().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::engine::model::{At, Mode, Name, SlotState};
    use crate::shell::door::tests::World;

    #[tokio::test]
    async fn work_that_nothing_moves_and_nothing_explains_is_told_of_once_until_it_moves() {
        let world = World::with("stalled_after = \"5m\"", "", "").await;
        let service = &*world.service;
        let at_work = |task: &mut crate::engine::model::Task| {
            task.control.at = At::Work;
            task.control.slots.entry(Name::new("developer")).or_default().state = SlotState::Queued;
        };
        let standing = world.task(at_work).await;
        let parked = world
            .task(|task| {
                task.control.mode = Mode::Escalated;
                task.ledger.escalated = Some(("for a person".to_owned(), Millis(0)));
            })
            .await;
        let later = |minutes: i64| clock::now().plus(Millis::secs(minutes * 60));
        let known = async || {
            service
                .store
                .notices()
                .await
                .unwrap()
                .into_iter()
                .map(|n| (n.task, n.text))
                .collect::<Vec<_>>()
        };
        look_at(service, later(4)).await.unwrap();
        assert_eq!(known().await, [], "not yet");
        look_at(service, later(6)).await.unwrap();
        look_at(service, later(7)).await.unwrap();
        let found = known().await;
        assert_eq!(found.len(), 1);
        assert!(found[0].0 == standing.id && found[0].1.contains(&standing.item), "{found:?}");
        assert!(
            !found[0].1.contains(&parked.item),
            "what waits for a person is explained: {found:?}"
        );
        // The clock of the last look is now: something happened a moment ago.
        look_at(service, later(0)).await.unwrap();
        assert_eq!(known().await, [], "it moved");
    }

    fn blocker(code: Code, who: Who) -> Blocker {
        Blocker {
            code,
            text: String::new(),
            since: Millis(0),
            who,
            clear: None,
        }
    }

    #[test]
    fn what_is_about_to_happen_explains_nothing() {
        assert!(!explained(&[]));
        assert!(!explained(&[
            blocker(Code::ActionRunning, Who::Itself),
            blocker(Code::GateWait, Who::Itself)
        ]));
        assert!(explained(&[blocker(Code::GateWait, Who::Anyone)]));
        assert!(explained(&[
            blocker(Code::ActionRunning, Who::Itself),
            blocker(Code::Backoff, Who::Itself)
        ]));
        assert!(explained(&[blocker(Code::Escalated, Who::Operator)]));
    }

    #[test]
    fn an_alarm_names_a_few_tasks() {
        let said = text(&["A-1", "A-2"], 9, Millis::secs(660));
        assert!(
            said.contains("nothing has moved A-1, A-2 and 7 more for 11 min") && said.contains("signalbox why A-1"),
            "{said}"
        );
    }
}
