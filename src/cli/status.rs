//! `signalbox status` and the list of tasks.

use super::client::Client;
use super::exit::Failure;
use super::out::{self, CALL, FAINT, STRONG, Table, cell, clip, mode_style, safe};
use super::span::ago;
use crate::engine::model::{Containment, Millis};
use crate::shell::view::{StatusView, TaskLine};

/// Shows the tasks that are not over.
///
/// # Errors
/// As the service answers, or when it does not.
pub async fn run(client: &Client, json: bool) -> Result<(), Failure> {
    let view: StatusView = client.get("/status").await?;
    if json {
        return out::json(&view);
    }
    out::print(&format!("{}{}", text(&view), footer(&view)))
}

/// What is promised about ending what runs: said only where it is less than all.
fn footer(view: &StatusView) -> String {
    match Containment::named(&view.containment) {
        Some(Containment::Pidns) | None => format!("\n{FAINT}containment: {}{FAINT:#}", view.containment),
        Some(level) => format!("\n{FAINT}containment: {}: {}{FAINT:#}", level.as_str(), level.promise()),
    }
}

fn text(view: &StatusView) -> String {
    let problems = view.problems.iter().map(|p| out::problem(p, view.now.0));
    problems.collect::<String>() + tasks(view).as_str()
}

fn tasks(view: &StatusView) -> String {
    if view.tasks.is_empty() && !view.problems.is_empty() {
        return "No task is under way.".to_owned();
    }
    if view.tasks.is_empty() {
        return format!("No task is under way.\n{FAINT}Give it work:{FAINT:#} signalbox task new \"Title\" -m \"What is to be done\"");
    }
    let (calls, rest): (Vec<_>, Vec<_>) = view.tasks.iter().partition(|t| needs_person(t));
    let mut out = String::new();
    if !calls.is_empty() {
        out.push_str(&format!("{CALL}Needs you{CALL:#}\n{}\n", list(&calls, view.now.0)));
        for task in &calls {
            if let Some(clear) = task.blocker.as_ref().and_then(|b| b.clear.as_ref()) {
                out.push_str(&format!("  {FAINT}{}:{FAINT:#} {clear}\n", task.item));
            }
        }
        out.push('\n');
    }
    if !rest.is_empty() {
        out.push_str(&format!("{STRONG}Under way{STRONG:#}\n{}", list(&rest, view.now.0)));
    }
    out
}

/// Whether the task waits for a person.
#[must_use]
pub fn needs_person(task: &TaskLine) -> bool {
    task.blocker
        .as_ref()
        .is_some_and(|b| matches!(b.who.as_str(), "approver" | "anyone" | "operator"))
}

/// Tasks as a table.
#[must_use]
pub fn list(tasks: &[&TaskLine], now: Millis) -> String {
    let mut table = Table::new(&["ITEM", "STAGE", "FOR", "", "TITLE", "WAITS FOR"]);
    for task in tasks {
        let why = task
            .blocker
            .as_ref()
            .map_or_else(String::new, |b| format!("{}: {}", b.code, clip(&safe(&b.text), 80)));
        let mode = if task.mode == "active" {
            task.at.clone()
        } else {
            task.mode.clone()
        };
        let age = ago(task.since.0, now);
        table.row(vec![
            (task.item.clone(), STRONG),
            cell(task.stage.clone()),
            cell(age.trim_end_matches(" ago")),
            (mode, mode_style(&task.mode)),
            cell(clip(&safe(&task.title), 50)),
            cell(why),
        ]);
    }
    table.text()
}
