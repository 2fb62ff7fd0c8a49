//! Comparing where a story led with what it expects.

use toml::Spanned;

use crate::engine::model::{Name, SlotState, StopState};

use super::check::{self, known};
use super::format::{Expect, Word, Words, line};
use super::player::{self, Player};

/// The first expectation that is not met; `place` is the line it stands in.
pub(super) fn compare(player: &Player<'_>, text: &str, expected: &Expect, place: &mut usize) -> Result<(), String> {
    let mut at = |span: std::ops::Range<usize>| *place = line(text, span.start);
    let task = &player.task;
    if let Some(stage) = &expected.stage {
        at(stage.span());
        let wanted = check::stage(player.rules, stage.get_ref())?;
        same("stage", &wanted, &task.control.stage)?;
    }
    let stop = match task.control.stop {
        StopState::No => "no",
        StopState::Deferred => "deferred",
        StopState::Cleaning => "cleaning",
    };
    let words: [(&str, &Option<Word>, &str, &[&str]); 4] = [
        (
            "phase",
            &expected.phase,
            player::phase(task),
            &["unborn", "live", "done", "cancelled"],
        ),
        ("mode", &expected.mode, player::mode(task), &["active", "question", "escalated"]),
        (
            "at",
            &expected.at,
            player::at(task),
            &["entering", "work", "gates", "action", "updating"],
        ),
        ("stop", &expected.stop, stop, &["no", "deferred", "cleaning"]),
    ];
    for (what, wanted, is, all) in words {
        let Some(wanted) = wanted else { continue };
        at(wanted.span());
        known(what, wanted.get_ref(), all.iter().copied())?;
        same(what, wanted.get_ref(), is)?;
    }
    if let Some(action) = &expected.action {
        at(action.span());
        let under_way = check::action(player.rules, task).map(|(name, _)| name).unwrap_or_default();
        same("action under way", action.get_ref(), &under_way)?;
    }
    for (name, wanted) in &expected.counters {
        at(wanted.span());
        let name = check::counter(player.rules, name)?;
        let used = task.control.counters.get(&name).copied().unwrap_or(0);
        same(&format!("counter `{name}`"), &wanted.get_ref().to_string(), &used.to_string())?;
    }
    if let Some(jobs) = &expected.jobs {
        self::jobs(player, jobs, &mut at)?;
    }
    texts(player, expected)
}

fn jobs(player: &Player<'_>, wanted: &[Spanned<String>], at: &mut impl FnMut(std::ops::Range<usize>)) -> Result<(), String> {
    let mut names: Vec<Name> = Vec::with_capacity(wanted.len());
    for job in wanted {
        at(job.span());
        names.push(check::job(player.rules, job.get_ref())?);
    }
    names.sort();
    let slots = player.task.control.slots.iter();
    let open: Vec<Name> = slots
        .filter(|(_, s)| s.state == SlotState::Queued)
        .map(|(n, _)| n.clone())
        .collect();
    let list = |names: &[Name]| names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
    same("jobs", &list(&names), &list(&open))
}

fn texts(player: &Player<'_>, expected: &Expect) -> Result<(), String> {
    if let Some(status) = &expected.status {
        same("status on the board", status, &player.status)?;
    }
    if let Some(comment) = &expected.comment {
        contains("comment", comment, &player.recent.comments)?;
    }
    if let Some(note) = &expected.note {
        contains("note for the agents", note, &player.recent.notes)?;
    }
    if let Some(waits) = &expected.waits {
        let sentence = player.task.ledger.waiting.as_ref().map(|(s, _)| s.as_str()).unwrap_or_default();
        if waits.is_empty() != sentence.is_empty() || !sentence.contains(waits.as_str()) {
            return Err(format!("expected that it waits for `{waits}`, it waits for `{sentence}`"));
        }
    }
    if let Some(alert) = expected.alert {
        let told = &player.recent.alerts;
        if alert == told.is_empty() {
            let said = if told.is_empty() {
                "the operators were told nothing".to_owned()
            } else {
                format!("they were told: {}", told.join(" | "))
            };
            return Err(format!("expected {} alert; {said}", if alert { "an" } else { "no" }));
        }
    }
    if let Some(frozen) = expected.frozen {
        same("frozen", &frozen.to_string(), &player.repo.freeze.is_some().to_string())?;
    }
    Ok(())
}

fn same(what: &str, wanted: &str, is: &str) -> Result<(), String> {
    if wanted == is {
        return Ok(());
    }
    let or_none = |text: &str| {
        if text.is_empty() {
            "nothing".to_owned()
        } else {
            format!("`{text}`")
        }
    };
    Err(format!("expected {what} {}, it is {}", or_none(wanted), or_none(is)))
}

/// Each of the words must stand in one of the texts; `""` alone means that there is none.
fn contains(what: &str, words: &Words, texts: &[String]) -> Result<(), String> {
    for word in words.each() {
        let there = texts.iter().any(|t| t.contains(word.as_str()));
        let nothing = texts.iter().all(String::is_empty);
        if word.is_empty() != nothing || (!word.is_empty() && !there) {
            let said = if nothing {
                "there is none".to_owned()
            } else {
                format!("there is: {}", texts.join(" | ").replace('\n', " "))
            };
            return Err(format!("expected a {what} with `{word}`; {said}"));
        }
    }
    Ok(())
}
