//! `signalbox show`.

use std::fmt::Write as _;

use super::client::{Client, part};
use super::exit::Failure;
use super::out::{self, BAD, CALL, FAINT, GOOD, STRONG, Table, cell, safe};
use super::span::{ago, clock, span};
use crate::shell::view::{RunView, ShowView};

/// Runs of which is shown what their agents told, the last ones.
const TOLD: usize = 10;

/// Shows everything about a task.
///
/// # Errors
/// As the service answers, or when it does not.
pub async fn run(client: &Client, item: &str, json: bool) -> Result<(), Failure> {
    let view: ShowView = client.get(&format!("/api/tasks/{}", part(item))).await?;
    if json {
        return out::json(&view);
    }
    out::print(&text(&view))
}

// Writing to a string cannot fail: the results of `write!` say nothing.
fn text(view: &ShowView) -> String {
    let mut out = head(view);
    if let Some(question) = &view.question {
        let _ = write!(out, "\n{CALL}Question{CALL:#}\n{}\n", indent(question));
    }
    if !view.blockers.is_empty() {
        let _ = writeln!(out, "\n{STRONG}Waits for{STRONG:#}");
        view.blockers.iter().for_each(|b| out.push_str(&out::blocker(b, view.now.0)));
    }
    timeline(view, &mut out);
    runs(view, &mut out);
    comments(view, &mut out);
    acts(view, &mut out);
    out
}

fn head(view: &ShowView) -> String {
    let task = &view.task;
    let mut out = format!("{STRONG}{}{STRONG:#}  {}\n", task.item, safe(&task.title));
    let mode = if task.mode == "active" {
        task.at.clone()
    } else {
        task.mode.clone()
    };
    let style = out::mode_style(&task.mode);
    let _ = writeln!(
        out,
        "  stage     {STRONG}{}{STRONG:#} ({style}{mode}{style:#}), since {}",
        task.stage,
        ago(task.since.0, view.now.0)
    );
    if let Some(status) = &view.status {
        let _ = writeln!(out, "  board     {}", safe(status));
    }
    let labels = if view.labels.is_empty() {
        String::new()
    } else {
        format!(", labels {}", safe(&view.labels.join(", ")))
    };
    let _ = writeln!(out, "  issue     {}{labels}", safe(&view.issue));
    if !view.branch.is_empty() {
        let head = view
            .head
            .as_deref()
            .map(|h| format!(" at {}", h.get(..10).unwrap_or(h)))
            .unwrap_or_default();
        let _ = writeln!(out, "  branch    {}{head}", safe(&view.branch));
    }
    if let Some(change) = &view.change {
        // One that was closed went into nothing.
        let way = if change.state == "closed" { "against" } else { "into" };
        let _ = writeln!(out, "  change    #{} {} {way} {}", change.number, change.state, safe(&change.base));
        // The branch of a task that was stopped is gone, or is not its own any more.
        if let Some(repository) = view
            .repository
            .as_ref()
            .filter(|_| change.merged.is_some() || task.mode != "cancelled")
        {
            let (verb, what) = if change.merged.is_some() {
                ("pull", &change.base)
            } else {
                ("fetch", &view.branch)
            };
            let _ = writeln!(out, "  get it    git {verb} {} {}", safe(repository), safe(what));
        }
    }
    if let Some(stop) = &view.stop {
        let reason = stop.reason.as_deref().map(|r| format!(": {}", safe(r))).unwrap_or_default();
        let _ = writeln!(
            out,
            "  stop      asked for by {} {}{reason}",
            safe(&stop.who),
            ago(stop.since.0, view.now.0)
        );
    }
    let counters: Vec<String> = task
        .counters
        .iter()
        .map(|(name, c)| match c.max {
            Some(max) => format!("{name} {}/{max}", c.used),
            None => format!("{name} {}", c.used),
        })
        .collect();
    if !counters.is_empty() {
        let _ = writeln!(out, "  returns   {}", counters.join(", "));
    }
    if task.review_ms > 0 {
        let _ = writeln!(out, "  people    looked at it for {}{}", span(task.review_ms), review(view));
    }
    if view.cost_usd > 0.0 {
        let _ = writeln!(out, "  cost      {:.2} USD", view.cost_usd);
    }
    out
}

/// Whether a verdict is awaited, or when the last one was given.
fn review(view: &ShowView) -> String {
    match (view.review_started_at, view.review_ended_at) {
        (Some(since), _) => format!(", a verdict is awaited since {}", clock(since.0, view.now.0)),
        (None, Some(end)) => format!(", until {}", clock(end.0, view.now.0)),
        (None, None) => String::new(),
    }
}

fn timeline(view: &ShowView, out: &mut String) {
    if view.timeline.is_empty() {
        return;
    }
    let mut table = Table::new(&["", "STAGE", "ENTERED", "TOOK"]);
    for visit in &view.timeline {
        let took = span(visit.duration_ms);
        let took = if visit.left_at.is_none() { format!("{took} so far") } else { took };
        table.row(vec![
            cell(format!("  {}", visit.visit)),
            (visit.stage.clone(), STRONG),
            cell(clock(visit.entered_at.0, view.now.0)),
            cell(took),
        ]);
    }
    let _ = write!(out, "\n{STRONG}Stages{STRONG:#}\n{}", table.text());
    for gate in &view.gates {
        if let Some(said) = &gate.said {
            let _ = writeln!(out, "  {FAINT}{}{FAINT:#}", safe(said));
        }
    }
}

fn runs(view: &ShowView, out: &mut String) {
    if view.runs.is_empty() {
        return;
    }
    let mut table = Table::new(&["  RUN", "STAGE", "AGENT", "STARTED", "TOOK", "END", ""]);
    for run in &view.runs {
        let end = run.outcome.clone().unwrap_or_else(|| run.state.clone());
        // A gate's command that exits is an answer; which one, its status says.
        let passed = end == "exited" && run.detail.as_deref().is_some_and(|d| d.starts_with("exit 0:"));
        let style = match end.as_str() {
            "ok" => GOOD,
            _ if passed => GOOD,
            "starting" | "running" | "exited" => STRONG,
            _ => BAD,
        };
        let from = run.started_at.unwrap_or(run.claimed_at).0;
        let took = run.ended_at.map_or(view.now.0, |e| e.0).since(from);
        let detail = run.detail.as_deref().map(|d| out::clip(&safe(d), 80)).unwrap_or_default();
        let cells = [
            format!("  {}", run.id),
            run.stage.clone(),
            run.slot.clone(),
            clock(from, view.now.0),
            span(took.0),
        ];
        let mut row: Vec<_> = cells.into_iter().map(cell).collect();
        row.extend([(end, style), cell(detail)]);
        table.row(row);
    }
    let _ = write!(out, "\n{STRONG}Runs{STRONG:#}\n{}", table.text());
    for run in view.runs.iter().rev().take(TOLD).rev() {
        if let Some(told) = told(run) {
            let _ = writeln!(out, "  {FAINT}{} {told}{FAINT:#}", run.id);
        }
    }
    let _ = writeln!(out, "  {FAINT}signalbox logs {} --run N{FAINT:#}", view.task.item);
}

/// What a run's agent told of itself, in one line.
fn told(run: &RunView) -> Option<String> {
    let mut parts = Vec::new();
    parts.extend(run.model.as_deref().map(safe));
    if run.input_tokens > 0 || run.output_tokens > 0 {
        let cached = if run.cached_tokens > 0 {
            format!(" ({} from a cache)", run.cached_tokens)
        } else {
            String::new()
        };
        parts.push(format!("{} tokens in{cached}, {} out", run.input_tokens, run.output_tokens));
    }
    if run.turns > 0 {
        parts.push(format!("{} turn{}", run.turns, if run.turns == 1 { "" } else { "s" }));
    }
    if let Some(doubted) = &run.doubted {
        parts.push(format!("claims to have cost {doubted}, which is not counted"));
    }
    if run.cost_usd > 0.0 {
        parts.push(format!("{:.2} USD", run.cost_usd));
    }
    if run.denied > 0 {
        let mut tools = run.denials.clone();
        tools.dedup();
        parts.push(format!("{} refused: {}", run.denied, safe(&tools.join(", "))));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn comments(view: &ShowView, out: &mut String) {
    if view.comments.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{STRONG}Comments{STRONG:#}");
    for comment in &view.comments {
        let _ = writeln!(
            out,
            "  {FAINT}{}, {}{FAINT:#}\n{}",
            safe(&comment.author),
            ago(comment.at.0, view.now.0),
            indent(&comment.text)
        );
    }
}

fn acts(view: &ShowView, out: &mut String) {
    let _ = writeln!(out, "\n{STRONG}What you can do{STRONG:#}");
    for act in &view.acts {
        let (style, mark) = if act.possible { (GOOD, "+") } else { (FAINT, "-") };
        let _ = writeln!(out, "  {style}{mark} {:<8}{style:#} {}", act.act, safe(&act.why));
    }
}

fn indent(text: &str) -> String {
    crate::shell::process::defuse(text.trim())
        .lines()
        .map(|l| format!("    {l}"))
        .collect::<Vec<_>>()
        .join("\n")
}
