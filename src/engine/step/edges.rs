//! Edges: what follows from an outcome that is not `ok`.

use crate::engine::model::{ActionIntent, At, Decision, Freeze, FreezeLevel, JobKind, Mode, Name};
use crate::engine::rules::{Edge, Ruleset, To};

use super::draft::{Draft, Say, clip};
use super::gates::Answer;

/// The edge for `gate.outcome` at `stage`: by the gate the stage names, by the member that decided,
/// by wildcard; of the stage before those of every stage.
pub(super) fn find<'r>(rules: &'r Ruleset, stage: &Name, gate: &str, by: &str, outcome: &str) -> Option<(&'r Name, &'r Edge)> {
    let keys = [format!("{gate}.{outcome}"), format!("{by}.{outcome}"), format!("*.{outcome}")];
    let own = rules.stages.get(stage).map(|s| &s.on);
    [own, Some(&rules.on)]
        .into_iter()
        .flatten()
        .filter(|on| !on.is_empty())
        .find_map(|on| keys.iter().find_map(|k| on.get_key_value(k.as_str())))
}

/// Takes the edge of a gate's outcome; without one the task stays and people are told.
pub(super) fn outcome(draft: &mut Draft<'_>, gate: &Name, outcome: &Name, answer: &Answer) {
    let key = Name::from(format!("{gate}.{outcome}"));
    draft.because(format!("gate `{gate}` says {outcome}: {}", answer.detail));
    draft.task.ledger.reviews.extend(answer.reviews.iter().cloned());
    match draft.edge(gate, &answer.by, outcome) {
        Some((name, edge)) => take(draft, (name, edge), &key, answer),
        None => follow(draft, &fallback(), &key, answer),
    }
}

/// `unreadable`, `error` and whatever has no edge: stay, and tell the operators.
fn fallback() -> Edge {
    Edge {
        stay: true,
        alert: true,
        comment: Some(Name::new("gate_reason")),
        ..Edge::default()
    }
}

/// Takes an edge, found under `name` in the rules.
pub(super) fn take(draft: &mut Draft<'_>, (name, edge): (&Name, &Edge), key: &Name, answer: &Answer) {
    if edge.update {
        return update(draft, name, key, answer);
    }
    follow(draft, edge, key, answer);
}

/// Takes an edge whose update, if it asks for one, is done.
pub(super) fn follow(draft: &mut Draft<'_>, edge: &Edge, key: &Name, answer: &Answer) {
    let leaves = edge.to.is_some() || edge.rerun.is_some();
    if !leaves && draft.task.control.reported.as_ref() == Some(key) {
        draft.wait(format!("{key}: {}", answer.detail));
        draft.because("reported before: silent");
        return;
    }
    let spent = uses(draft, edge);
    tell(draft, edge, key, answer);
    if let Some(level) = edge.freeze {
        freeze(draft, level, key, answer);
    }
    draft.task.ledger.note = edge.note.as_ref().map(|note| render_note(draft, edge, note, key, answer));
    let spent_counter = spent.then(|| edge.uses.clone()).flatten();
    if let Some(counter) = spent_counter {
        return gave_out(draft, edge, &counter, key, answer);
    }
    if let Some(to) = &edge.to {
        let to = target(draft, to);
        draft.because(format!("`{key}` leads to {to}"));
        draft.calm();
        draft.enter(&to);
    } else if let Some(agent) = &edge.rerun {
        draft.because(format!("`{key}` runs {agent} again"));
        rerun(draft, agent);
    } else {
        stay(draft, edge, key, answer);
    }
}

fn stay(draft: &mut Draft<'_>, edge: &Edge, key: &Name, answer: &Answer) {
    draft.task.control.reported = Some(key.clone());
    draft.wait(format!("{key}: {}", answer.detail));
    if edge.ask.is_some() {
        let text = if answer.text.is_empty() {
            answer.detail.clone()
        } else {
            clip(&answer.text, 2000)
        };
        draft.task.control.mode = Mode::Question;
        draft.task.ledger.question = Some((text, draft.now()));
        draft.because("a question is open: an answer is awaited");
    }
    if edge.escalate {
        draft.escalate(&format!("{key}: {}", answer.detail));
        // Its reason is told once.
        if edge.comment.is_none() {
            draft.comment(
                "escalated",
                Say {
                    outcome: key,
                    detail: &answer.detail,
                    ..Say::default()
                },
            );
        }
    }
}

/// Runs an agent of the stage again: another round, in the same stage.
pub(super) fn rerun(draft: &mut Draft<'_>, agent: &Name) {
    draft.calm();
    draft.renew();
    let note = draft.take_note();
    let alone = draft.stage().is_none_or(|s| s.work.len() < 2);
    let ledger = &mut draft.task.ledger;
    let base = ledger.head.as_ref().map(|h| h.sha.clone());
    match base {
        // What the others have written in their last round is not older for it.
        Some(base) if !alone => {
            ledger.bases.insert(agent.clone(), base);
        }
        base => ledger.round_base = base,
    }
    ledger.runs.remove(agent);
    // Whoever else was still at work belongs to the round gone by, and begins anew, too.
    let stage = draft.stage();
    let others = stage.into_iter().flat_map(|s| &s.work).filter(|other| *other != agent);
    for other in others {
        if !draft.task.control.slots.contains_key(other) {
            draft.enqueue(other, JobKind::Agent, note.clone());
        }
    }
    draft.enqueue(agent, JobKind::Agent, note);
    draft.task.control.at = At::Work;
}

/// Uses up one return of the edge's counter; true when none was left.
fn uses(draft: &mut Draft<'_>, edge: &Edge) -> bool {
    let Some(counter) = &edge.uses else { return false };
    let max = draft.rules.counters.get(counter).map_or(0, |c| c.max);
    let used = draft.task.control.counters.entry(counter.clone()).or_insert(0);
    if *used >= max {
        return true;
    }
    *used += 1;
    let used = *used;
    draft.because(format!("counter `{counter}`: {used} of {max}"));
    false
}

/// The counter is spent: the task moves all the same and stands there for a person.
fn gave_out(draft: &mut Draft<'_>, edge: &Edge, counter: &Name, key: &Name, answer: &Answer) {
    let rules = draft.rules;
    let spent = rules.counters.get(counter).map(|c| &c.spent);
    let max = rules.counters.get(counter).map_or(0, |c| u32::from(c.max));
    draft.because(format!("counter `{counter}` is spent ({max})"));
    if let Some(to) = &edge.to {
        let to = target(draft, to);
        draft.enter(&to);
    } else {
        draft.supersede();
        draft.task.control.reported = Some(key.clone());
        draft.task.control.at = if draft.stage().is_some_and(|s| s.work.is_empty()) {
            At::Gates
        } else {
            At::Work
        };
        draft.task.control.slots.clear();
    }
    draft.escalate(&format!("counter `{counter}` is spent; last reason: {key}: {}", answer.detail));
    let say = Say {
        outcome: key,
        detail: &answer.detail,
        text: counter,
        max,
        attempt: max + 1,
        ..Say::default()
    };
    draft.comment("spent", say);
    if let Some(status) = spent.and_then(|s| s.status.clone()) {
        draft.status(&status);
    }
    if spent.is_none_or(|s| s.alert) {
        draft.alert("escalated", say);
    }
}

/// The status, comment, question and alert of an edge.
pub(super) fn tell(draft: &mut Draft<'_>, edge: &Edge, key: &Name, answer: &Answer) {
    let (attempt, max) = rounds(draft, edge);
    let to = edge.to.as_ref().map(|to| target(draft, to)).unwrap_or_default();
    let beginning = clip(&answer.text, 500);
    let first = draft.decided();
    let say = Say {
        outcome: key,
        detail: &answer.detail,
        text: &beginning,
        to: &to,
        attempt,
        max,
        ..Say::default()
    };
    if let Some(status) = &edge.status {
        draft.status(status);
    }
    if let Some(message) = &edge.comment {
        draft.comment(message, say);
    }
    let silent = edge.comment.is_none() && edge.ask.is_none() && !edge.escalate && edge.to.is_none() && edge.rerun.is_none();
    if edge.stay && silent {
        draft.comment("gate_reason", say);
    }
    if let Some(message) = &edge.ask {
        let text = draft.render("ask", message, Say { text: &answer.text, ..say });
        draft.comment_text(text);
    }
    if !answer.text.is_empty() {
        draft.told_by_agent(first);
    }
    if edge.alert {
        draft.alert(alarm(edge, key), say);
    }
}

/// The alert of an edge: what has come of the outcome, in words of its own.
fn alarm(edge: &Edge, key: &str) -> &'static str {
    let outcome = key.split_once('.').map_or(key, |(_, outcome)| outcome);
    match outcome {
        "unreadable" | "error" | "unreachable" => "gate_error",
        _ if edge.freeze.is_some() => "frozen",
        _ if edge.escalate => "escalated",
        _ if edge.to.is_some() || edge.rerun.is_some() => "sent_back",
        _ => "stays",
    }
}

/// What the edge tells the agents that begin anew for it.
pub(super) fn render_note(draft: &Draft<'_>, edge: &Edge, note: &Name, key: &Name, answer: &Answer) -> String {
    let (attempt, max) = rounds(draft, edge);
    let to = edge.to.as_ref().map(|to| target(draft, to)).unwrap_or_default();
    draft.render(
        "note",
        note,
        Say {
            outcome: key,
            detail: &answer.detail,
            text: &answer.text,
            to: &to,
            attempt,
            max,
            ..Say::default()
        },
    )
}

/// "Attempt n of m" as people count: the first build is attempt one.
fn rounds(draft: &Draft<'_>, edge: &Edge) -> (u32, u32) {
    let Some(counter) = &edge.uses else { return (1, 1) };
    let used = draft.task.control.counters.get(counter).copied().unwrap_or(0);
    let max = draft.rules.counters.get(counter).map_or(0, |c| c.max);
    (u32::from(used) + 1, u32::from(max) + 1)
}

/// The stage an edge leads to.
pub(super) fn target(draft: &Draft<'_>, to: &To) -> Name {
    match to {
        To::Stage(name) => name.clone(),
        To::Previous => previous(draft.rules, &draft.task.control.stage),
    }
}

/// The stage before `stage` in which agents work; `stage` itself when there is none.
fn previous(rules: &Ruleset, stage: &Name) -> Name {
    let place = rules.flow.iter().position(|s| s == stage).unwrap_or(0);
    let works = |s: &&Name| rules.stages.get(*s).is_some_and(|found| !found.work.is_empty());
    rules.flow[..place].iter().rev().find(works).unwrap_or(stage).clone()
}

/// What an edge says to others than the task, which does not take it any more: the freeze and the alert.
pub(super) fn warn(draft: &mut Draft<'_>, edge: &Edge, key: &Name, answer: &Answer) {
    if let Some(level) = edge.freeze {
        freeze(draft, level, key, answer);
    }
    if edge.alert {
        let say = Say {
            outcome: key,
            detail: &answer.detail,
            text: &answer.text,
            ..Say::default()
        };
        draft.alert(alarm(edge, key), say);
    }
}

fn freeze(draft: &mut Draft<'_>, level: FreezeLevel, key: &Name, answer: &Answer) {
    let item = draft.task.item.clone();
    let reason = format!("{item}: {key}: {}", answer.detail);
    hold(draft, level, reason);
}

/// Freezes the repository; one that is frozen already stays as it is.
fn hold(draft: &mut Draft<'_>, level: FreezeLevel, reason: String) {
    draft.because(format!("the repository is frozen: {reason}"));
    let now = draft.now();
    draft.repo_mut().freeze.get_or_insert(Freeze {
        level,
        reason,
        since: now,
        by: "signalbox".to_owned(),
    });
}

/// A job failed for good. So many in a row, and no stage of any task of the repository passed
/// between them, are no accident of one task: where the rules say so, the repository is frozen.
pub(super) fn one_more_failure(draft: &mut Draft<'_>, slot: &Name, detail: &str) {
    let Some(policy) = draft.rules.freeze else { return };
    let failures = draft.repo().failures.saturating_add(1);
    draft.repo_mut().failures = failures;
    if failures > 1 {
        draft.because(format!("{failures} jobs of the repository have failed for good in a row"));
    }
    if failures < policy.after_failures || draft.repo().freeze.is_some() {
        return;
    }
    let reason = format!(
        "{failures} jobs in a row failed for good, the last one {slot} of {}: {detail}",
        draft.task.item
    );
    let say = Say {
        detail: &reason,
        ..Say::default()
    };
    draft.alert("frozen", say);
    hold(draft, policy.level, reason);
}

/// Merges the base into the branch first; the edge is taken when that is done.
fn update(draft: &mut Draft<'_>, name: &Name, key: &Name, answer: &Answer) {
    let Some(head) = draft.task.ledger.head.clone() else {
        draft.because("there is no branch to update");
        return stay(draft, &fallback(), key, answer);
    };
    draft.because(format!("`{key}`: the default branch is merged into the branch first"));
    draft.wait(format!("{key}: {}", answer.detail));
    draft.task.control.at = At::Updating { edge: name.clone() };
    let intent = ActionIntent {
        visit: draft.visit(),
        action: Name::new("update"),
        sha: head.sha,
        subject: head.subject,
    };
    draft.decide(Decision::Act(intent));
}
