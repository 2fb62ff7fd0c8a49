//! What came from people and is not understood yet, with the true reason: deliveries that wait, starts that are held, boards
//! on which something was missed.

use std::collections::BTreeMap;

use crate::engine::model::{Millis, Name, Task, Who};
use crate::shell::service::Service;
use crate::shell::store::{HeldDelivery, StoreError};

use super::words::who;
use super::{BlockerView, ProblemView};

/// A start that is not decided for so long is held.
const HELD_AFTER: Millis = Millis::secs(3);
/// Most of them that are shown.
const HELD_SHOWN: usize = 5;

/// Deliveries that wait, by who sent them, and starts of issues that have no task yet.
pub(super) async fn starts_held(service: &Service) -> Result<Vec<ProblemView>, StoreError> {
    let mut by_peer: BTreeMap<(String, String), Vec<HeldDelivery>> = BTreeMap::new();
    for held in service.store.deliveries_held().await? {
        by_peer.entry((held.peer.clone(), spoken_for(&held))).or_default().push(held);
    }
    let text = |peer: &str, projects: &str, held: &[HeldDelivery]| {
        format!(
            "{}: {}; starts and other words of people may be among them; they are taken up by themselves then",
            wait(held.len(), peer, projects),
            reason(held)
        )
    };
    let mut found: Vec<ProblemView> = by_peer
        .iter()
        .map(|((peer, projects), held)| ProblemView {
            text: text(peer, projects, held),
            since: first(held).into(),
        })
        .collect();
    found.extend(service.missed.all().into_iter().map(|(project, (since, why))| ProblemView {
        text: format!(
            "{}; starts and other words of people may be among it; it is taken up by itself then",
            missed(&project, &why)
        ),
        since: since.into(),
    }));
    for pending in service.store.pending().await? {
        let Some(issue) = pending.target.issue.as_ref().filter(|_| pending.target.task.is_none()) else {
            continue;
        };
        let Some(event) = service.store.next_event(&pending.target, false).await? else {
            continue;
        };
        if service.now().since(event.at) < HELD_AFTER {
            continue;
        }
        let project = &pending.target.project;
        found.push(ProblemView {
            text: format!(
                "a start is held: issue {issue} of project {project} cannot be read yet: its tracker does not answer, or takes no more requests now; it is taken up by itself then"
            ),
            since: event.at.into(),
        });
        if found.len() >= HELD_SHOWN {
            break;
        }
    }
    Ok(found)
}

/// What may hold a person's word about a task: deliveries that wait, and its board where that could not be read since the start.
pub(super) async fn about(service: &Service, task: &Task) -> Result<Vec<BlockerView>, StoreError> {
    let mut found: Vec<BlockerView> = deliveries(service, task).await?.into_iter().collect();
    if let Some((since, why)) = service.missed.of(&task.project) {
        found.push(unheard(
            format!("{}; a person's word may be among it", missed(&task.project, &why)),
            since,
        ));
    }
    Ok(found)
}

fn missed(project: &Name, why: &str) -> String {
    format!("what changed on the board of project {project} while nobody listened cannot be read yet: {why}")
}

fn unheard(text: String, since: Millis) -> BlockerView {
    BlockerView {
        code: "UNHEARD".to_owned(),
        text,
        since: since.into(),
        who: who(Who::Itself).to_owned(),
        clear: None,
    }
}

/// Deliveries that wait and name the task's issue; where none do, those that speak for its project.
async fn deliveries(service: &Service, task: &Task) -> Result<Option<BlockerView>, StoreError> {
    let mut held = service.store.deliveries_held_about(&task.project, &task.issue).await?;
    let own = held.iter().any(|held| held.own);
    held.retain(|held| held.own == own);
    let Some(peer) = held.last().map(|held| held.peer.clone()) else {
        return Ok(None);
    };
    held.retain(|held| held.peer == peer);
    let what = if own { " about this task" } else { " about its project" };
    let text = format!(
        "{}: {}; a person's word may be among them",
        wait(held.len(), &peer, what),
        reason(&held)
    );
    Ok(Some(unheard(text, first(&held))))
}

/// ` for project orch`, ` for projects enduro, orch`; nothing where it speaks for none that is known.
fn spoken_for(held: &HeldDelivery) -> String {
    let names: Vec<&str> = held.projects.iter().map(Name::as_str).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => format!(" for project {one}"),
        more => format!(" for projects {}", more.join(", ")),
    }
}

fn wait(count: usize, peer: &str, about: &str) -> String {
    match count {
        1 => format!("1 delivery of {peer}{about} waits"),
        more => format!("{more} deliveries of {peer}{about} wait"),
    }
}

/// Why they wait: as of the last try.
fn reason(held: &[HeldDelivery]) -> &str {
    held.last().map_or("", |held| held.why.as_str())
}

fn first(held: &[HeldDelivery]) -> Millis {
    held.iter().map(|held| held.at).min().unwrap_or_default()
}
