//! `signalbox queue`.

use std::fmt::Write as _;

use super::client::Client;
use super::exit::Failure;
use super::out::{self, BAD, FAINT, GOOD, STRONG, Table, cell};
use super::span::ago;
use crate::engine::model::Millis;
use crate::shell::view::{JobView, Part, QueueView, StatusView};

/// Shows the queue.
///
/// # Errors
/// As the service answers, or when it does not.
pub async fn run(client: &Client, json: bool) -> Result<(), Failure> {
    let view: QueueView = client.get("/queue").await?;
    if json {
        return out::json(&view);
    }
    // The queue itself carries no clock; ages are told by the service's, not by ours.
    let now = client.get::<StatusView>("/status").await?.now.0;
    out::print(&text(&view, now))
}

fn text(view: &QueueView, now: Millis) -> String {
    let mut out = String::new();
    if let Some(held) = &view.held {
        let _ = write!(out, "{BAD}Nothing is started{BAD:#}: {}", out::problem(held, now));
    }
    match &view.counts {
        Part::Known(counts) => {
            let words: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {state}")).collect();
            let _ = writeln!(out, "Jobs: {}; {} at a time", words.join(", "), view.max_concurrency);
        }
        Part::Failed { error } => failed("jobs", error, &mut out),
    }
    match &view.waiting {
        Part::Known(waiting) if waiting.is_empty() => out.push_str("Nothing waits.\n"),
        Part::Known(waiting) => {
            let _ = writeln!(out, "\n{STRONG}Waiting{STRONG:#}");
            for job in waiting {
                let _ = writeln!(
                    out,
                    "{} {} for {}, {}",
                    job.job.slot,
                    job.job.id,
                    job.job.item,
                    ago(job.job.created_at.0, now)
                );
                if job.blockers.is_empty() {
                    let _ = writeln!(out, "  {GOOD}starts now{GOOD:#}");
                }
                job.blockers.iter().for_each(|b| out.push_str(&out::blocker(b, now)));
            }
        }
        Part::Failed { error } => failed("waiting jobs", error, &mut out),
    }
    gates(view, &mut out);
    stops(view, now, &mut out);
    match &view.recent {
        Part::Known(jobs) => recent(jobs, now, &mut out),
        Part::Failed { error } => failed("recent jobs", error, &mut out),
    }
    out
}

fn gates(view: &QueueView, out: &mut String) {
    let projects = match &view.serial_gate {
        Part::Known(projects) => projects,
        Part::Failed { error } => return failed("serial gate", error, out),
    };
    for (name, gate) in projects {
        if let Some(frozen) = &gate.frozen {
            let _ = writeln!(out, "{BAD}{name} is frozen{BAD:#}: {}", out::safe(frozen));
        }
        if let Some(lease) = &gate.lease {
            let _ = writeln!(out, "{name}: {lease} holds the merge lease");
        }
        if gate.enabled && !gate.waiting.is_empty() {
            let _ = writeln!(
                out,
                "{name}: one task at a time; inside {}, waiting {}",
                if gate.inside.is_empty() {
                    "nobody".to_owned()
                } else {
                    gate.inside.join(", ")
                },
                gate.waiting.join(", ")
            );
        }
    }
}

fn stops(view: &QueueView, now: Millis, out: &mut String) {
    let stop = match &view.stop {
        Part::Known(stop) => stop,
        Part::Failed { error } => return failed("stops", error, out),
    };
    for (one, how) in stop
        .stopping
        .iter()
        .map(|s| (s, "is being stopped"))
        .chain(stop.deferred.iter().map(|s| (s, "is to be stopped, which is put off")))
    {
        let _ = writeln!(
            out,
            "{} {how}, as {} asked {}",
            one.item,
            out::safe(&one.who),
            ago(one.since.0, now)
        );
    }
}

fn recent(jobs: &[JobView], now: Millis, out: &mut String) {
    if jobs.is_empty() {
        return;
    }
    let mut table = Table::new(&["JOB", "ITEM", "STAGE", "AGENT", "STATE", "QUEUED"]);
    for job in jobs {
        let style = match job.state.as_str() {
            "done" => GOOD,
            "failed" => BAD,
            "cancelled" => FAINT,
            _ => STRONG,
        };
        let mut row: Vec<_> = [job.id.to_string(), job.item.clone(), job.stage.clone(), job.slot.clone()]
            .into_iter()
            .map(cell)
            .collect();
        row.extend([(job.state.clone(), style), cell(ago(job.created_at.0, now))]);
        table.row(row);
    }
    let _ = write!(out, "\n{STRONG}Last jobs{STRONG:#}\n{}", table.text());
}

fn failed(what: &str, error: &str, out: &mut String) {
    let _ = writeln!(out, "{BAD}{what} cannot be shown{BAD:#}: {}", out::safe(error));
}
