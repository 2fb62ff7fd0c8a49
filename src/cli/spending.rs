//! `signalbox runs`, `cost`, `allow`: what ran, what it cost, and what lets it go on.

use std::fmt::Write as _;

use serde_json::json;

use super::client::{Client, part};
use super::decide::send;
use super::exit::Failure;
use super::out::{self, BAD, FAINT, GOOD, STRONG, Table, cell};
use super::span::{ago, span};
use crate::engine::model::{Millis, lasting};
use crate::shell::view::{BudgetView, CostView, RunView, RunsView};

/// Arguments of `runs`.
#[derive(Debug, Clone, clap::Args)]
pub struct Runs {
    /// The task; else all of them
    pub item: Option<String>,
    /// Only those that have not ended
    #[arg(long)]
    pub open: bool,
    /// At most this many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
}

/// Arguments of `cost`.
#[derive(Debug, Clone, clap::Args)]
pub struct Cost {
    /// What is summed up
    #[arg(long, value_parser = ["task", "project", "agent", "day"], default_value = "task")]
    pub by: String,
    /// So many days, today (UTC) included; 0 for all
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=36_500))]
    pub days: u32,
}

/// Arguments of `allow`.
#[derive(Debug, Clone, clap::Args)]
pub struct Allow {
    /// The task
    pub item: String,
    /// Why
    pub reason: String,
    /// Dollars beyond its budget
    #[arg(long, value_name = "DOLLARS", default_value_t = 0.0)]
    pub usd: f64,
    /// Runs beyond its budget
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub runs: u32,
}

/// Shows runs.
///
/// # Errors
/// As the service answers, or when it does not.
pub async fn runs(client: &Client, args: &Runs, as_json: bool) -> Result<(), Failure> {
    let mut path = format!("/api/runs?limit={}", args.limit);
    if args.open {
        path.push_str("&open=1");
    }
    if let Some(item) = &args.item {
        let _ = write!(path, "&item={}", part(item));
    }
    let view: RunsView = client.get(&path).await?;
    if as_json {
        return out::json(&view);
    }
    out::print(&runs_text(&view))
}

fn runs_text(view: &RunsView) -> String {
    if view.runs.is_empty() {
        return "No runs. `signalbox queue` shows what waits, and why.\n".to_owned();
    }
    let now = view.now.0;
    let mut table = Table::new(&["RUN", "ITEM", "STAGE", "AGENT", "STATE", "CLAIMED", "TOOK", "COST", "HELD"]);
    for run in &view.runs {
        let outcome = run.outcome.as_deref().unwrap_or(&run.state);
        let style = match outcome {
            "ok" | "exited" => GOOD,
            "starting" | "running" => STRONG,
            "transient" | "limited" | "lost" => FAINT,
            _ => BAD,
        };
        let mut row: Vec<_> = [run.id.to_string(), run.item.clone(), run.stage.clone(), run.slot.clone()]
            .into_iter()
            .map(cell)
            .collect();
        row.extend([(outcome.to_owned(), style), cell(ago(run.claimed_at.0, now)), cell(took(run, now))]);
        row.extend([cell(dollars(run.cost_usd)), cell(run.containment.clone().unwrap_or_default())]);
        table.row(row);
    }
    table.text()
}

fn took(run: &RunView, now: Millis) -> String {
    let end = run.ended_at.map_or(now, |e| e.0);
    run.started_at.map_or_else(|| "–".to_owned(), |s| span(end.since(s.0).0))
}

fn dollars(usd: f64) -> String {
    if usd > 0.0 { format!("${usd:.2}") } else { "–".to_owned() }
}

/// Shows what agents cost.
///
/// # Errors
/// As the service answers, or when it does not.
pub async fn cost(client: &Client, args: &Cost, as_json: bool) -> Result<(), Failure> {
    let path = format!("/api/cost?by={}&days={}", args.by, args.days);
    let view: CostView = client.get(&path).await?;
    if as_json {
        return out::json(&view);
    }
    out::print(&cost_text(&view, &args.by))
}

fn cost_text(view: &CostView, by: &str) -> String {
    let mut out = String::new();
    if view.lines.is_empty() {
        out.push_str("No agent has ended a run in this time.\n");
    } else {
        let mut table = Table::new(&[by.to_uppercase().as_str(), "RUNS", "TOKENS READ", "WRITTEN", "COST"]);
        for line in &view.lines {
            let cells = [
                line.key.clone(),
                line.runs.to_string(),
                line.input_tokens.to_string(),
                line.output_tokens.to_string(),
                dollars(line.cost_usd),
            ];
            table.row(cells.into_iter().map(cell).collect());
        }
        let _ = writeln!(out, "{}{STRONG}{} runs, ${:.2}{STRONG:#}", table.text(), view.runs, view.cost_usd);
    }
    view.budgets.iter().for_each(|b| out.push_str(&budget(b, view.now.0)));
    out
}

fn budget(b: &BudgetView, now: Millis) -> String {
    let of = |max: Option<f64>| max.map_or_else(|| "no bound".to_owned(), |max| format!("of ${max:.2}"));
    // As blockers say it.
    let left = lasting(b.day_ends.0.since(now));
    let today = format!("today ${:.2} {}, {left} left of the day (UTC)", b.day_usd, of(b.max_day_usd));
    let may = |what: &str, max: Option<f64>| max.map(|max| format!("; a {what} may cost ${max:.2}")).unwrap_or_default();
    format!(
        "{}: {today}{}{}\n",
        b.project,
        may("task", b.max_task_usd),
        may("run", b.max_run_usd)
    )
}

/// Lets a task go on.
///
/// # Errors
/// As the service answers, or when it does not.
pub async fn allow(client: &Client, args: &Allow, as_json: bool) -> Result<(), Failure> {
    if !args.usd.is_finite() {
        let wrong = format!("--usd {} is no amount of money", args.usd);
        return Err(Failure::usage(wrong).help("name dollars, as in: --usd 20"));
    }
    let body = json!({ "usd": args.usd, "runs": args.runs, "reason": args.reason });
    send(client, &args.item, "allow", &body, as_json).await
}
