//! Templates in the context of a project: every variable that they ask for is one of its `vars`.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::model::Name;
use crate::engine::render;

use super::check::{Bound, Scope};
use super::codes;
use super::diagnostic::{Place, Problem, quoted};
use super::{Agent, Edge};

/// Texts that are used by themselves, whatever the edges say.
const ENGINE: &[&str] = &[
    "comment.approval_void",
    "comment.auto_passed",
    "comment.branch_gone",
    "comment.change_closed",
    "comment.depends_circle",
    "comment.done",
    "comment.entry_failed",
    "comment.escalated",
    "comment.gate_reason",
    "comment.merged",
    "comment.not_allowed",
    "comment.relaunch_hole",
    "comment.relaunch_hole_done",
    "comment.run_failed",
    "comment.spent",
    "comment.started",
    "comment.stop_deferred",
    "comment.stopped",
    "comment.stopped_after_done",
    "note.nothing_due",
    "note.relaunched",
];

/// Checks the prompts of these agents and the texts of these edges.
pub fn variables<'a>(agents: impl Iterator<Item = &'a Agent>, edges: impl Iterator<Item = &'a Edge>, scope: &Scope) {
    let Some(bound) = &scope.bound else { return };
    let prompts: BTreeSet<&Name> = agents.map(|a| &a.prompt).collect();
    for prompt in prompts {
        let Some(text) = scope.prompts.get(prompt.as_str()) else { continue };
        let path = format!("prompts/{prompt}.md");
        missing(text, &format!("the prompt {}", quoted(prompt)), &path, bound, scope);
    }
    let mut keys: BTreeSet<String> = ENGINE.iter().map(|k| (*k).to_owned()).collect();
    for edge in edges {
        for (section, name) in [("note", &edge.note), ("comment", &edge.comment), ("ask", &edge.ask)] {
            keys.extend(name.as_ref().map(|n| format!("{section}.{n}")));
        }
    }
    let chat = scope
        .messages
        .keys()
        .filter(|k| ["alert.", "card."].iter().any(|s| k.as_str().starts_with(s)));
    keys.extend(chat.map(|k| k.as_str().to_owned()));
    for key in keys {
        if let Some(text) = scope.messages.get(key.as_str()) {
            missing(text, &format!("the message {}", quoted(&key)), "messages/", bound, scope);
        }
    }
}

fn missing(template: &str, what: &str, path: &str, bound: &Bound, scope: &Scope) {
    for asked in render::placeholders(template) {
        let Some(var) = asked.strip_prefix("vars.") else { continue };
        // A template that asks whether there is such a variable can do without it.
        if bound.vars.contains_key(var) || template.contains(&format!("{asked} is defined")) {
            continue;
        }
        let words = format!("{what} asks for the variable {}, which this project does not define", quoted(var));
        let problem = Problem::error(codes::UNKNOWN_VAR, bound.at, words).label(format!("vars has no {}", quoted(var)));
        let there = Place {
            file: Arc::from(path),
            span: template.find(&asked).map_or(0..0, |at| at..at.saturating_add(asked.len())),
        };
        let problem = if path.ends_with(".md") {
            problem.related(&there, "asked for here")
        } else {
            problem
        };
        scope.sink.push(problem.help(format!(
            "vars = {{ {var} = \"…\" }}, or {{% if {asked} is defined %}} in the template"
        )));
    }
}
