//! A decision in one line.

use crate::engine::model::{ActionIntent, At, CleanUp, Decision, Freeze, JobKind, JobSpec, Millis, Mode, Phase, StopState, Task};
use crate::engine::rules::show_duration;

use super::standing::waits_for;
use super::world::{Played, World};

/// What follows, as people read it. Left out: jobs closed and timers dropped, which go with every end of a run and every round.
pub(super) fn then(before: &World<'_>, played: &Played<'_>) -> String {
    let after = &played.after;
    let mut parts = Vec::new();
    parts.extend(place(&before.task, &after.task));
    parts.extend(mode(before, after));
    parts.extend(counters(&before.task, &after.task, played));
    let told: Vec<String> = played.decisions().filter_map(|d| decision(d, &before.task, after)).collect();
    parts.extend(told);
    parts.extend(shared(before, after));
    parts.extend(approvals(&before.task, &after.task));
    if parts.is_empty() {
        return "–".to_owned();
    }
    parts.join("; ")
}

/// Where it goes.
fn place(before: &Task, after: &Task) -> Option<String> {
    let (from, to) = (&before.control, &after.control);
    if from.phase == Phase::Unborn && to.phase != Phase::Unborn {
        return Some(format!("a task → {}", to.stage));
    }
    if from.stage != to.stage || from.phase != to.phase {
        return Some(format!("→ {}", to.stage));
    }
    let again = before.ledger.visit.number != after.ledger.visit.number;
    again.then(|| "another round".to_owned())
}

/// How it stands there.
fn mode(before: &World<'_>, after: &World<'_>) -> Vec<String> {
    let (from, to) = (&before.task.control, &after.task.control);
    let mut parts = Vec::new();
    let moved = before.task.ledger.visit.number != after.task.ledger.visit.number;
    match to.stop {
        StopState::Deferred if from.stop != to.stop => parts.push("stop put off".to_owned()),
        StopState::Cleaning if from.stop != to.stop => return vec!["stopping".to_owned()],
        _ => {}
    }
    let words = match to.mode {
        Mode::Escalated => "escalated",
        Mode::Question => "asks",
        Mode::Active => "moves on",
    };
    if from.mode != to.mode && !(moved && to.mode == Mode::Active) {
        parts.push(words.to_owned());
    }
    let waiting = waits_for(after).filter(|_| !matches!(to.at, At::Updating { .. }));
    if let Some(key) = waiting.filter(|key| moved || Some(key) != waits_for(before).as_ref()) {
        let declared = key.split_once('.').is_some_and(|(gate, outcome)| waits(after, gate, outcome));
        parts.push(match (key.contains(' '), declared) {
            (true, _) => format!("waits, {key}"),
            (false, true) => format!("waits for {key}"),
            (false, false) => format!("stays, {key}"),
        });
    }
    match (&before.task.ledger.restart, &after.task.ledger.restart) {
        (None, Some(_)) => parts.push("the start is kept".to_owned()),
        (Some(_), None) if to.stop != StopState::No => parts.push("the start is dropped".to_owned()),
        _ => {}
    }
    parts
}

/// Whether it is a waiting outcome, not one that is stayed at.
fn waits(world: &World<'_>, gate: &str, outcome: &str) -> bool {
    outcome == "unreachable" || world.rules.gates.get(gate).is_some_and(|g| g.waits.iter().any(|w| w == outcome))
}

fn counters(before: &Task, after: &Task, played: &Played<'_>) -> Vec<String> {
    let rules = played.after.rules;
    let used = |task: &Task, name: &str| task.control.counters.get(name).copied().unwrap_or(0);
    let mut parts = Vec::new();
    for (name, counter) in &rules.counters {
        let (was, is) = (used(before, name), used(after, name));
        if before.control.phase == Phase::Unborn {
            continue;
        }
        if was != is {
            parts.push(format!("uses {name} {is}/{}", counter.max));
        }
        let sentence = format!("counter `{name}` is spent");
        if played.because().any(|b| b.starts_with(&sentence)) {
            parts.push(format!("{name} is spent"));
        }
    }
    parts
}

fn decision(decision: &Decision, before: &Task, after: &World<'_>) -> Option<String> {
    Some(match decision {
        Decision::ShowStatus { status } => format!("status {status:?}"),
        Decision::Comment { text, .. } | Decision::Alert { text, .. } => text.clone(),
        Decision::Enqueue(job) => queued(job),
        Decision::Requeue { slot, available_at, .. } => again(slot, available_at.since(after.now), before, after),
        Decision::Withdraw { visit, .. } => if visit.is_some() {
            "jobs of the round withdrawn"
        } else {
            "all jobs withdrawn"
        }
        .to_owned(),
        Decision::Tell { words, .. } => format!("the jobs that have not begun are told: {}", words.join(" ")),
        Decision::SetTimer { timer, due, .. } => format!("timer {timer} in {}", show_duration(due.since(after.now))),
        Decision::Act(ActionIntent { action, .. }) => format!("{action} begins"),
        Decision::Depend(on) => format!("waits for {} task(s)", on.len()),
        Decision::Wake { .. } => "the next in the queue is woken".to_owned(),
        Decision::Restart(_) => "the start is taken up".to_owned(),
        Decision::CleanUp(clean) => clean_up(clean),
        Decision::Create | Decision::CloseJob { .. } | Decision::DropTimers => return None,
    })
}

/// Another try of a job, and which of how many it is.
fn again(slot: &str, wait: Millis, before: &Task, after: &World<'_>) -> String {
    let retry = &after.rules.retry;
    let of = |task: &Task| task.control.slots.get(slot).cloned().unwrap_or_default();
    let (was, is) = (of(before), of(&after.task));
    let nth = if was.attempts != is.attempts {
        format!("try {}/{}", is.attempts.saturating_add(1), retry.attempts)
    } else if was.transient != is.transient {
        format!("weather {}/{}", is.transient, retry.transient)
    } else {
        format!("rescue {}/{}", is.rescues, retry.rescues)
    };
    if wait == Millis(0) {
        return format!("{slot} again at once ({nth})");
    }
    format!("{slot} again in {} ({nth})", show_duration(wait))
}

fn queued(job: &JobSpec) -> String {
    let kind = if job.kind == JobKind::Command { "command " } else { "" };
    let entry = if job.entry { ", at the serial gate" } else { "" };
    let note = job.note.as_ref().map(|note| format!(", {note}")).unwrap_or_default();
    let extra = format!("{note}{entry}");
    let extra = extra.strip_prefix(", ").map(|e| format!(" ({e})")).unwrap_or_default();
    format!("queue {kind}{}{extra}", job.slot)
}

fn clean_up(clean: &CleanUp) -> String {
    let all = [(clean.archive, "archive"), (clean.checkout, "checkout"), (clean.branch, "branch")];
    let chosen: Vec<&str> = all.iter().filter(|(on, _)| *on).map(|(_, what)| *what).collect();
    format!(
        "clean up {}",
        if chosen.is_empty() {
            "nothing".to_owned()
        } else {
            chosen.join(", ")
        }
    )
}

/// What other tasks of the repository notice.
fn shared(before: &World<'_>, after: &World<'_>) -> Vec<String> {
    let mut parts = Vec::new();
    let own = |world: &World<'_>| world.repo.lease.as_ref().is_some_and(|l| l.task == after.task.id);
    match (own(before), own(after)) {
        (false, true) => parts.push("lease taken".to_owned()),
        (true, false) => parts.push("lease given back".to_owned()),
        _ => {}
    }
    if let (None, Some(Freeze { level, .. })) = (&before.repo.freeze, &after.repo.freeze) {
        parts.push(format!("freeze {level:?}").to_lowercase());
    }
    parts
}

/// An approval that counts and is not enough yet.
fn approvals(before: &Task, after: &Task) -> Vec<String> {
    let same = before.ledger.visit.number == after.ledger.visit.number;
    let given = |task: &Task, gate: &str| task.ledger.approvals.get(gate).map_or(0, Vec::len);
    let gates = after
        .ledger
        .approvals
        .keys()
        .filter(|gate| same && given(after, gate) > given(before, gate));
    gates.map(|gate| format!("{gate}: {} person(s)", given(after, gate))).collect()
}
