//! Events and decisions in words.

use crate::engine::model::{At, Body, Decision, JobKind, Mode, Phase, StopState, Task, Wanted, Who};

/// What happened, on one line.
#[must_use]
pub fn what_happened(body: &Body) -> String {
    match body {
        Body::Signalled(signal) => match signal.text.as_deref().map(first_line).filter(|t| !t.is_empty()) {
            Some(text) => format!("signal {}: {text}", signal.name),
            None => format!("signal {}", signal.name),
        },
        Body::Entered { visit } => format!("visit {visit} began"),
        Body::RunEnded(report) => {
            let detail = report.end.detail();
            let detail = first_line(&detail);
            let tail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
            format!("run {} of {} ended {}{tail}", report.run, report.slot, report.end.outcome())
        }
        Body::ActionEnded {
            action, outcome, detail, ..
        } => {
            let tail = if detail.is_empty() {
                String::new()
            } else {
                format!(": {}", first_line(detail))
            };
            format!("action {action} ended {outcome}{tail}")
        }
        Body::TimerFired { timer, .. } => format!("timer {timer} fired"),
        Body::RulesChanged { from, to } => format!("rules changed: {} → {}", from.get(..10).unwrap_or(from), to.get(..10).unwrap_or(to)),
        Body::Poked { by } => format!("looked again ({by})"),
        Body::Retried { note: Some(note) } => format!("retry asked for: {}", first_line(note)),
        Body::Retried { note: None } => "retry asked for".to_owned(),
        Body::CircleRefused { circle } => format!("a dependency was refused: {}", circle.join(" → ")),
        Body::CleanedUp { report } => format!("cleaned up: {}", first_line(report)),
    }
}

/// A decision, on one line.
#[must_use]
pub fn decision_words(decision: &Decision) -> String {
    match decision {
        Decision::Create => "make the task".to_owned(),
        Decision::Enqueue(job) => match job.kind {
            JobKind::Agent => format!("queue agent {}", job.slot),
            JobKind::Command => format!("queue the command of gate {}", job.slot),
        },
        Decision::Requeue { slot, why, .. } => format!("queue {slot} again: {}", first_line(why)),
        Decision::Tell { words, .. } => {
            let last = words.last().map(String::as_str).unwrap_or_default();
            format!("tell the jobs that have not begun: {}", first_line(last))
        }
        Decision::CloseJob { slot, ok: true, .. } => format!("close the job of {slot} as done"),
        Decision::CloseJob { slot, ok: false, .. } => format!("close the job of {slot} as failed"),
        Decision::Withdraw { visit: Some(visit), why } => format!("withdraw the jobs of visit {visit}: {}", why.label()),
        Decision::Withdraw { visit: None, why } => format!("withdraw all jobs: {}", why.label()),
        Decision::SetTimer { timer, .. } => format!("set timer {timer}"),
        Decision::DropTimers => "drop all timers".to_owned(),
        Decision::ShowStatus { status } => format!("show status {status:?} on the board"),
        Decision::Comment { text, .. } => format!("comment: {}", first_line(text)),
        Decision::Alert { text, .. } => format!("alert: {}", first_line(text)),
        Decision::Act(intent) => format!("carry out {}", intent.action),
        Decision::Wake { task, by } => format!("have task #{task} look again ({by})"),
        Decision::Depend(wanted) if wanted.is_empty() => "wait for nothing that the issue names".to_owned(),
        Decision::Depend(wanted) => {
            let names: Vec<&str> = wanted
                .iter()
                .map(|w| match w {
                    Wanted::Item(name) | Wanted::Issue(name) => name.as_str(),
                })
                .collect();
            format!("wait for {}", names.join(", "))
        }
        Decision::Restart(_) => "take up the start that waited".to_owned(),
        Decision::CleanUp(what) if what.report => "clean up after the stop".to_owned(),
        Decision::CleanUp(_) => "clean up".to_owned(),
    }
}

/// The first line that holds something, at most 200 characters of it.
pub(super) fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    let mut out: String = line.chars().take(200).collect();
    if out.len() < line.len() {
        out.push('…');
    }
    out
}

/// Whether the task moves by itself, in one word.
#[must_use]
pub fn mode(task: &Task) -> &'static str {
    match (task.control.phase, task.control.stop, task.control.mode) {
        (Phase::Done, ..) => "done",
        (Phase::Cancelled, ..) => "cancelled",
        (_, StopState::Cleaning, _) => "stopping",
        (_, StopState::Deferred, _) => "stop_deferred",
        (_, _, Mode::Question) => "question",
        (_, _, Mode::Escalated) => "escalated",
        (_, _, Mode::Active) => "active",
    }
}

/// Where in its stage the task is, in words.
#[must_use]
pub fn place(task: &Task) -> &'static str {
    match &task.control.at {
        _ if task.terminal() => "over",
        At::Entering => "entering",
        At::Work => "agents",
        At::Gates => "gates",
        At::Action { running: true, .. } => "action",
        At::Action { running: false, .. } => "action is next",
        At::Updating { .. } => "taking up the base",
    }
}

/// Who can clear a blocker, as JSON spells it.
#[must_use]
pub fn who(who: Who) -> &'static str {
    match who {
        Who::Itself => "itself",
        Who::Approver => "approver",
        Who::Operator => "operator",
        Who::Anyone => "anyone",
        Who::OtherTask => "other_task",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::{Millis, Name, Signal};

    #[test]
    fn a_signal_is_told_with_the_first_line_of_its_text() {
        let signal = Signal {
            name: Name::new("reject"),
            text: Some("\n  no tests\nat all".to_owned()),
            activity: "1".to_owned(),
            acted_at: Millis(0),
        };
        assert_eq!(what_happened(&Body::Signalled(signal.clone())), "signal reject: no tests");
        let bare = Signal {
            text: Some("  ".to_owned()),
            ..signal
        };
        assert_eq!(what_happened(&Body::Signalled(bare)), "signal reject");
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let cut = first_line(&"ä".repeat(300));
        assert_eq!(cut.chars().count(), 201);
        assert!(cut.ends_with('…'));
    }
}
