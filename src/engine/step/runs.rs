//! Runs that ended: success, retries with budgets of their own, failure.

use crate::engine::breaker::believed;
use crate::engine::model::{
    At, CommandResult, Decision, FactKey, Kill, Millis, Mode, Name, RunEnd, RunId, RunRef, RunReport, SlotState, lasting,
};
use crate::engine::rules::{Edge, FilesClause, GateKind, Patterns, Ruleset};

use super::draft::{Draft, Say, clip};
use super::gates::{Answer, Outcome};
use super::{edges, look};

/// Usage limits that a job may meet on no budget. Each costs a run that came to nothing: an agent that
/// names one whatever it is asked would be paid for ever. Twenty of five hours are more than four days of one job.
const LIMITS: u8 = 20;
/// Characters of a command that people are shown with its deadline.
const PROGRAM_SHOWN: usize = 60;
/// Characters of a failure that every text shows: further on, the log's name may be cut off.
const NAMED_WITHIN: usize = 100;

/// A run ended and was settled.
pub(super) fn ended(draft: &mut Draft<'_>, report: &RunReport) {
    if !draft.current(report.visit) {
        return;
    }
    let open = draft
        .task
        .control
        .slots
        .get(&report.slot)
        .is_some_and(|s| s.state == SlotState::Queued);
    if !open {
        draft.because(format!("nobody waits for run {} of {}", report.run, report.slot));
        return;
    }
    match &report.end {
        RunEnd::Ok => worked(draft, report),
        RunEnd::Exited { code, tail } => answered(draft, report, *code, tail),
        RunEnd::Transient { detail, retry_after } => weather(draft, report, detail, *retry_after, Millis(0)),
        RunEnd::NoRoom { detail } => weather(draft, report, detail, None, Millis(0)),
        RunEnd::Limited { detail, until } => limited(draft, report, detail, *until),
        RunEnd::Lost => lost(draft, report),
        RunEnd::Killed(why @ (Kill::Stop | Kill::Superseded)) => forgotten(draft, report, *why),
        RunEnd::NoOutput
        | RunEnd::Denied { .. }
        | RunEnd::Ignored { .. }
        | RunEnd::OutOfScope { .. }
        | RunEnd::Permanent { .. }
        | RunEnd::Killed(_) => failed(draft, report),
    }
}

fn worked(draft: &mut Draft<'_>, report: &RunReport) {
    close(draft, &report.slot, true);
    if let Some(head) = &report.head {
        draft.set_head(head.clone());
    }
    let ledger = &mut draft.task.ledger;
    if ledger.round_base.is_none() {
        ledger.round_base.clone_from(&report.start);
    }
    ledger.runs.insert(
        report.slot.clone(),
        RunRef {
            run: report.run,
            nonce: report.nonce.clone(),
        },
    );
    ledger.failure = None;
    for said in &mut ledger.said {
        said.missed |= said.seq > report.heard;
    }
    draft.because(format!("{} finished (run {})", report.slot, report.run));
    if look::working(draft) {
        draft.because("other agents of the stage are still at work");
        return;
    }
    draft.task.ledger.said.retain(|said| said.missed);
    if draft.task.control.mode == Mode::Active {
        look::ask(draft, true);
    }
}

/// A gate's command answered.
fn answered(draft: &mut Draft<'_>, report: &RunReport, code: i32, tail: &str) {
    close(draft, &report.slot, true);
    draft.because(format!("the command of gate `{}` ended with {code}", report.slot));
    let ran_on_head = match (&draft.task.ledger.head, &report.start) {
        (Some(head), Some(start)) => head.sha == *start,
        _ => true,
    };
    if ran_on_head {
        let result = CommandResult {
            subject: draft.subject(),
            code,
            tail: tail.to_owned(),
        };
        draft.task.ledger.commands.insert(report.slot.clone(), result);
    } else {
        draft.because("the branch has moved since it began: its answer is not about this code");
    }
    if draft.task.control.at == At::Gates && draft.task.control.mode == Mode::Active {
        look::ask(draft, false);
    }
}

/// Rate limit, overload, network: tried again later, on a budget of its own, and not before `least` is over.
fn weather(draft: &mut Draft<'_>, report: &RunReport, detail: &str, retry_after: Option<Millis>, least: Millis) {
    let retry = &draft.rules.retry;
    let slot = draft.task.control.slots.entry(report.slot.clone()).or_default();
    if slot.transient >= retry.transient {
        draft.because(format!("the budget of {} retries for weather is spent", retry.transient));
        return give_up(draft, report);
    }
    slot.transient += 1;
    let nth = slot.transient;
    let back_off = Millis(retry.base.0.saturating_mul(1_i64 << u32::from(nth.min(30)))).min(retry.max);
    let wait = retry_after.map_or(back_off, |asked| asked.min(retry.max).max(back_off)).max(least);
    draft.task.ledger.failure = Some(detail.to_owned());
    let why = format!("{}: retry {nth} of {}: {detail}", report.slot, retry.transient);
    requeue(draft, &report.slot, draft.now().plus(wait), why);
}

/// The account's usage limit: tried again when it ends, on no budget at all. What the agent says of that time is
/// bounded, and how often it is believed: a limit that is over already, and one too many, are weather.
fn limited(draft: &mut Draft<'_>, report: &RunReport, detail: &str, until: Millis) {
    let over = until <= draft.now();
    let wait = believed(until, draft.now());
    let slot = draft.task.control.slots.entry(report.slot.clone()).or_default();
    if over || slot.limits >= LIMITS {
        draft.because(if over {
            "it names a usage limit that is over already: that is weather".to_owned()
        } else {
            format!("{} has met {LIMITS} usage limits: one more is weather", report.slot)
        });
        let report = RunReport {
            end: RunEnd::Transient {
                detail: detail.to_owned(),
                retry_after: None,
            },
            ..report.clone()
        };
        return weather(draft, &report, detail, None, if over { Millis(0) } else { wait });
    }
    slot.limits += 1;
    draft.task.ledger.failure = Some(detail.to_owned());
    let why = format!("{}: the usage limit is reached: {detail}", report.slot);
    requeue(draft, &report.slot, draft.now().plus(wait), why);
}

/// The process is gone without a word: rescued, on a budget of its own.
fn lost(draft: &mut Draft<'_>, report: &RunReport) {
    let retry = &draft.rules.retry;
    // What it starts from is on record before anything is begun.
    let begun = report.start.is_some();
    let slot = draft.task.control.slots.entry(report.slot.clone()).or_default();
    if slot.rescues >= retry.rescues {
        let times = retry.rescues.saturating_add(1);
        // It may be this very job that ends them: nobody else is to pay for another try.
        let how = if begun {
            "without a word: the service or the machine died, or someone killed their processes or removed their folders"
        } else {
            "the last of them before any process of it began: the service or the machine died while it was launched"
        };
        let poison = format!(
            "poison: {times} runs of {} were lost, {how}. It is not tried again by itself: see the service's log around run {}",
            report.slot, report.run
        );
        return give_up_for(draft, report, poison);
    }
    slot.rescues += 1;
    let nth = slot.rescues;
    let how = if begun {
        "was lost with its process"
    } else {
        "was lost before it began"
    };
    let why = format!("{}: run {} {how}; rescue {nth} of {}", report.slot, report.run, retry.rescues);
    requeue(draft, &report.slot, draft.now(), why);
}

/// A try is used up.
fn failed(draft: &mut Draft<'_>, report: &RunReport) {
    let mut detail = overtime(draft.rules, report).unwrap_or_else(|| report.end.detail());
    // One that leaves everything as it was says nothing of what is wrong with it: the try before it does.
    let before = draft.task.ledger.failure.take();
    if let (RunEnd::NoOutput | RunEnd::Ignored { .. }, Some(before)) = (&report.end, before)
        && before.starts_with("no_output: gate")
    {
        detail = format!("{detail}; the try before it: {before}");
    }
    draft.task.ledger.failure = Some(detail.clone());
    if !another_try(draft, &report.slot, &detail) {
        give_up_for(draft, report, detail);
    }
}

/// Of a run that took too long: what command of a gate it was, how long it may take, and which key of the rules says so.
fn overtime(rules: &Ruleset, report: &RunReport) -> Option<String> {
    if report.end != RunEnd::Killed(Kill::Deadline) {
        return None;
    }
    let slot = &report.slot;
    let (what, timeout, table) = match rules.gates.get(slot).map(|gate| &gate.kind) {
        Some(GateKind::Command { run, timeout, .. }) => (format!("`{}`", clip(&run.join(" "), PROGRAM_SHOWN)), *timeout, "gates"),
        _ => ("it".to_owned(), rules.agents.get(slot)?.timeout, "agents"),
    };
    let allowed = lasting(timeout);
    Some(format!(
        "killed: its deadline passed: {what} may take {allowed} (`{table}.{slot}.timeout`)"
    ))
}

/// Uses up a try of a slot; queues it again and returns true while there is one left.
fn another_try(draft: &mut Draft<'_>, slot: &Name, detail: &str) -> bool {
    let max = draft.rules.retry.attempts;
    let state = draft.task.control.slots.entry(slot.clone()).or_default();
    state.attempts = state.attempts.saturating_add(1);
    let used = state.attempts;
    if used >= max {
        return false;
    }
    state.state = SlotState::Queued;
    let why = format!("{slot}: attempt {used} of {max} failed: {detail}");
    requeue(draft, slot, draft.now(), why);
    true
}

fn requeue(draft: &mut Draft<'_>, slot: &Name, available_at: Millis, why: String) {
    draft.because(why.clone());
    let visit = draft.visit();
    draft.decide(Decision::Requeue {
        visit,
        slot: slot.clone(),
        available_at,
        why,
    });
    draft.tell_waiting();
}

fn close(draft: &mut Draft<'_>, slot: &Name, ok: bool) {
    draft.task.control.slots.entry(slot.clone()).or_default().state = if ok {
        SlotState::Ok
    } else {
        SlotState::Failed(Name::new("failed"))
    };
    let visit = draft.visit();
    draft.decide(Decision::CloseJob {
        visit,
        slot: slot.clone(),
        ok,
    });
}

/// The tries are spent: the edge `work.OUTCOME`, else `work.failed`, else parked for a person.
fn give_up(draft: &mut Draft<'_>, report: &RunReport) {
    give_up_for(draft, report, report.end.detail());
}

/// The same, for a reason of its own.
fn give_up_for(draft: &mut Draft<'_>, report: &RunReport, detail: String) {
    let detail = with_log(report.run, detail);
    let outcome = Name::new(report.end.outcome());
    draft.because(format!(
        "run {} of {} ended {outcome}, and its tries are spent",
        report.run, report.slot
    ));
    close(draft, &report.slot, false);
    draft.task.control.slots.entry(report.slot.clone()).or_default().state = SlotState::Failed(outcome.clone());
    // Poison is parked by itself: what ends the service, or the machine, says nothing of the repository.
    if report.end != RunEnd::Lost {
        edges::one_more_failure(draft, &report.slot, &detail);
    }
    let text = format!("{} (run {})", report.slot, report.run);
    let answer = Answer {
        detail,
        text,
        ..Answer::new(&Name::new("work"), Outcome::Other(outcome.clone()))
    };
    let edge = draft
        .edge_if("work", &report.slot, &outcome, |_| true)
        .or_else(|| draft.edge("work", &report.slot, "failed"));
    let key = Name::from(format!("work.{outcome}"));
    match edge {
        Some((name, edge)) => edges::take(draft, (name, edge), &key, &answer),
        None => park(draft, "run_failed", &key, &answer),
    }
}

/// It was ended by an order of ours, and nothing on record asked for one: a stop that could not be recorded was lost with the
/// service, or somebody wrote the order. Who wanted an end does not want it paid for again, and nobody else begins it.
fn forgotten(draft: &mut Draft<'_>, report: &RunReport, why: Kill) {
    let detail = format!(
        "its run was ended by an order ({}) that is not on record, so it is not run again by itself: stop the task for good, or retry it",
        why.label()
    );
    let detail = with_log(report.run, detail);
    let outcome = Name::new(report.end.outcome());
    draft.because(format!("run {} of {}: {detail}", report.run, report.slot));
    close(draft, &report.slot, false);
    draft.task.control.slots.entry(report.slot.clone()).or_default().state = SlotState::Failed(outcome.clone());
    draft.task.ledger.failure = Some(detail.clone());
    let answer = Answer {
        detail,
        text: format!("{} (run {})", report.slot, report.run),
        ..Answer::new(&Name::new("work"), Outcome::Other(outcome.clone()))
    };
    park(draft, "escalated", &Name::from(format!("work.{outcome}")), &answer);
}

/// Nothing goes on before a person has looked.
fn park(draft: &mut Draft<'_>, words: &'static str, key: &Name, answer: &Answer) {
    let say = Say {
        outcome: key,
        detail: &answer.detail,
        text: &answer.text,
        ..Say::default()
    };
    draft.alert(words, say);
    let edge = Edge {
        stay: true,
        escalate: true,
        comment: Some(Name::new(words)),
        ..Edge::default()
    };
    edges::follow(draft, &edge, key, answer);
}

/// Why a run failed, with its log's name, which most ends do not have. It stands in front: texts cut what is long at its end.
fn with_log(run: RunId, detail: String) -> String {
    let log = run.log();
    if detail.chars().take(NAMED_WITHIN).collect::<String>().contains(&log) {
        return detail;
    }
    format!("run {run} (log {log}): {detail}")
}

/// The round left unwritten what the gate reads: the failure of the agent that was to write it.
///
/// Returns whether it was given another try.
pub(super) fn nothing_due(draft: &mut Draft<'_>, gate: &Name, answer: &Answer) -> bool {
    let Some(agent) = draft
        .stage()
        .and_then(|s| {
            s.work
                .iter()
                .find(|a| writes(draft.rules, a, &answer.by, 0))
                .or_else(|| s.work.first())
        })
        .cloned()
    else {
        return false;
    };
    let detail = format!("no_output: gate `{gate}`: {}", answer.detail);
    draft.task.ledger.failure = Some(detail.clone());
    let again = another_try(draft, &agent, &detail);
    if again {
        draft.task.control.at = At::Work;
        // It wrote something, and not what was due: only told what was missing it will do otherwise.
        let visit = draft.visit();
        let say = Say {
            detail: &clip(&answer.detail, 500),
            ..Say::default()
        };
        let words = vec![draft.render("note", "nothing_due", say)];
        draft.decide(Decision::Tell { visit, words });
    } else {
        edges::one_more_failure(draft, &agent, &detail);
    }
    again
}

/// Whether `agent` declares an artefact that the gate, or a member of it, reads.
pub(super) fn writes(rules: &Ruleset, agent: &Name, gate: &Name, depth: u8) -> bool {
    let may = |path: &str| rules.agents.get(agent).is_some_and(|a| covers(&a.artefacts, path));
    match rules.gates.get(gate).map(|g| &g.kind) {
        Some(GateKind::Frontmatter { file, .. }) => may(file),
        // What passes the gate is what was due; questions and conflicts may be written, none need be.
        Some(GateKind::Files(clauses)) => clauses.iter().any(|clause| match clause {
            FilesClause::All(patterns, _) => patterns.iter().any(|p| may(p)),
            FilesClause::Any(..) | FilesClause::Else(_) => false,
        }),
        Some(GateKind::Script { reads, .. }) => reads.values().any(|key| match key {
            FactKey::Frontmatter(file) | FactKey::Json(file) | FactKey::Text(file) => may(file),
            _ => false,
        }),
        Some(GateKind::FirstOf(inner) | GateKind::AllOf(inner)) if depth < 16 => {
            inner.iter().any(|member| writes(rules, agent, member, depth + 1))
        }
        _ => false,
    }
}

/// Whether whoever may write `patterns` may write `path`, which may be a pattern, too.
pub(super) fn covers(patterns: &Patterns, path: &str) -> bool {
    patterns.matches(path) || patterns.iter().any(|pattern| pattern == path)
}
