//! Birth, entry into stages, advance, and the end.

use std::collections::BTreeMap;

use crate::engine::model::{At, Body, CleanUp, Decision, Mode, Phase, Seat, Signal, StopState, Visit};
use crate::engine::render;

use super::draft::{Draft, Say};
use super::{actions, depends, look, stop};

/// An issue without a task: only `start` gives it one.
pub(super) fn unborn(draft: &mut Draft<'_>) {
    match &draft.event.body {
        Body::Signalled(signal) if signal.name == "start" => {
            if draft.task.ledger.stopped_before.is_some_and(|stopped| signal.acted_at < stopped) {
                return draft.because("the start is older than the stop of the issue's last task: it is not resurrected");
            }
            born(draft);
        }
        other => draft.because(format!("`{}` on an issue that is no task: nothing to do", other.kind())),
    }
}

fn born(draft: &mut Draft<'_>) {
    let Some(issue) = draft.facts.issue().cloned() else {
        return draft.because("the issue could not be read: no task");
    };
    let reasons = entry_check(draft, &issue.title, &issue.description);
    if !reasons.is_empty() {
        draft.because(format!("entry check failed: {}", reasons.join("; ")));
        draft.task.title.clone_from(&issue.title);
        let detail = reasons.iter().map(|r| format!("- {r}")).collect::<Vec<_>>().join("\n");
        draft.comment(
            "entry_failed",
            Say {
                detail: &detail,
                ..Say::default()
            },
        );
        if let Some(status) = draft.rules.entry.refused_status.clone() {
            draft.status(&status);
        }
        return;
    }
    let now = draft.now();
    let task = &mut draft.task;
    if let Some(number) = issue.number {
        task.item = format!("{}-{number:03}", draft.rules.prefix);
    }
    task.title.clone_from(&issue.title);
    task.created_at = now;
    task.control.phase = Phase::Live;
    task.control.stage = draft.rules.flow.get(1).cloned().unwrap_or_default();
    task.control.at = At::Entering;
    task.control.counters = draft.rules.counters.keys().map(|c| (c.clone(), 0)).collect();
    task.ledger.visit = Visit {
        number: 1,
        entered_at: now,
    };
    let values = BTreeMap::from([
        ("id", task.item.clone()),
        ("slug", render::slug(&issue.title)),
        ("project", task.project.to_string()),
    ]);
    let wanted = render::path_template(&draft.rules.branch.task, &values).unwrap_or_else(|_| format!("task/{}", task.item));
    task.branch = free(&wanted, &std::mem::take(&mut task.ledger.taken));
    let elsewhere = if task.branch == wanted {
        String::new()
    } else {
        format!(
            "branch {wanted} is on the forge still, with the commits that were left there: the work is done on {}, from the default branch",
            task.branch
        )
    };
    draft.because(format!("{} began: {}", draft.task.item, issue.title));
    let seat = Seat {
        task: draft.task.id,
        item: draft.task.item.clone(),
        inside: false,
        passed: Vec::new(),
        since: now,
    };
    draft.repo_mut().lane.push(seat);
    draft.decide(Decision::Create);
    depends::read(draft);
    if !elsewhere.is_empty() {
        draft.because(elsewhere.clone());
    }
    draft.comment(
        "started",
        Say {
            detail: &elsewhere,
            ..Say::default()
        },
    );
    draft.follow(Body::Entered { visit: 1 });
}

/// The branch, or with the first number behind it that is free: what was left of a task that was
/// stopped is neither gone on with nor deleted.
fn free(wanted: &str, taken: &[String]) -> String {
    let is_free = |name: &String| !taken.contains(name);
    let numbered = (2_u32..).map(|n| format!("{wanted}-{n}"));
    std::iter::once(wanted.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
}

/// QG-0: every reason why the issue is no task yet.
fn entry_check(draft: &Draft<'_>, title: &str, description: &str) -> Vec<String> {
    let entry = &draft.rules.entry;
    let mut reasons = Vec::new();
    let length = title.trim().chars().count();
    if length == 0 {
        reasons.push("the title is empty".to_owned());
    }
    if length > entry.title_max as usize {
        reasons.push(format!(
            "the title has {length} characters, at most {} are allowed",
            entry.title_max
        ));
    }
    if entry.description && description.trim().is_empty() {
        reasons.push("the description is empty".to_owned());
    }
    reasons
}

/// A stage was entered.
pub(super) fn entered(draft: &mut Draft<'_>, visit: u32) {
    if !draft.current(visit) || draft.task.control.at != At::Entering {
        return;
    }
    let stage_name = draft.task.control.stage.clone();
    draft.because(format!("entered {stage_name} (visit {visit})"));
    let Some(stage) = draft.stage() else {
        draft.escalate(&format!("the rules have no stage `{stage_name}`"));
        return draft.alert(
            "escalated",
            Say {
                detail: "the rules have no such stage",
                ..Say::default()
            },
        );
    };
    let parked = draft.task.control.mode == Mode::Escalated;
    if let (Some(status), false) = (&stage.status, parked) {
        draft.status(status);
    }
    if draft.rules.flow.last() == Some(&stage_name) {
        return arrived(draft);
    }
    if draft.task.control.stop == StopState::Deferred {
        draft.because("the irreversible step has ended: the stop that was put off is applied");
        return stop::full(draft);
    }
    if parked {
        draft.task.control.at = if stage.work.is_empty() { At::Gates } else { At::Work };
        return;
    }
    if stage.work.is_empty() {
        look::ask(draft, false);
    } else {
        draft.enqueue_work();
    }
}

/// Every gate is passed and every action done: on to the next stage.
pub(super) fn advance(draft: &mut Draft<'_>) {
    let stage = draft.task.control.stage.clone();
    let place = draft.rules.flow.iter().position(|s| *s == stage);
    let Some(next) = place.and_then(|i| draft.rules.flow.get(i + 1)).cloned() else {
        return draft.because(format!("stage `{stage}` has no successor in the flow"));
    };
    let subject = draft.subject();
    draft.task.ledger.passed.insert(stage.clone(), subject);
    draft.because(format!("{stage} is passed: on to {next}"));
    if draft.repo().failures > 0 {
        draft.repo_mut().failures = 0;
    }
    draft.task.ledger.note = None;
    draft.enter(&next);
}

/// The last stage: the task is done.
fn arrived(draft: &mut Draft<'_>) {
    draft.task.control.phase = Phase::Done;
    draft.task.control.mode = Mode::Active;
    let stopped = draft.task.ledger.stop.take();
    draft.task.control.stop = StopState::No;
    leave(draft);
    draft.decide(Decision::CleanUp(CleanUp {
        archive: true,
        checkout: true,
        branch: false,
        sha: None,
        report: false,
    }));
    match stopped {
        Some((who, ..)) => {
            draft.comment(
                "stopped_after_done",
                Say {
                    who: &who,
                    ..Say::default()
                },
            );
            draft.because("done before the stop could be applied");
        }
        None => {
            draft.comment("done", Say::default());
            draft.because("done");
        }
    }
    if draft.task.ledger.restart.take().is_some() {
        draft.because("the start that followed the stop finds the task done");
        draft.comment("relaunch_hole_done", Say::default());
    }
}

/// What a task gives back when it is over.
pub(super) fn leave(draft: &mut Draft<'_>) {
    draft.close_review();
    draft.decide(Decision::DropTimers);
    actions::release(draft);
    let id = draft.task.id;
    draft.repo_mut().lane.retain(|seat| seat.task != id);
    draft.task.ledger.ended_at = Some(draft.now());
    draft.task.ledger.waiting = None;
}

/// A task that is over: nothing moves it; a new start on a done one is told what to do.
pub(super) fn over(draft: &mut Draft<'_>) {
    match &draft.event.body {
        Body::Signalled(Signal { name, .. }) if name == "start" && draft.task.control.phase == Phase::Done => {
            draft.because("started again after it was done");
            draft.comment("relaunch_hole_done", Say::default());
        }
        other => draft.because(format!("the task is over: `{}` has no effect", other.kind())),
    }
}
