//! A counter-example told as a story, with the places in the rules that it goes by.

use crate::engine::model::Name;
use crate::engine::rules::{Origin, Origins};
use crate::engine::step::Outcome;

use super::expand::{Expander, Taken};
use super::graph::Graph;
use super::report::{At, Story};
use super::state::Local;

/// The story of a way through the graph, and of what is found at its end.
pub(super) fn tell(graph: &Graph, expander: &Expander<'_>, origins: Option<&Origins>, way: &[(u32, u32)], end: &str) -> Story {
    let mut lines = Vec::new();
    let mut at = None;
    for (n, (state, leaf)) in way.iter().enumerate() {
        let mut count = 0;
        let mut found: Option<Taken> = None;
        expander.each(graph.local(*state), &mut |taken| {
            if count == *leaf {
                found = Some(taken);
            }
            count += 1;
        });
        let Some(taken) = found else { continue };
        let place = origins.and_then(|o| place(o, graph.local(*state), &taken));
        let shown = place.as_ref().map_or_else(String::new, |p| format!("  [{}:{}]", p.file, p.line));
        lines.push(format!("{}. {}{shown}", n + 1, line(&taken)));
        at = place.or(at);
    }
    lines.push(end.to_owned());
    Story { lines, at }
}

fn line(taken: &Taken) -> String {
    let mut words = taken.happening.words.clone();
    let said: Vec<String> = taken
        .said
        .iter()
        .filter(|s| s.asked)
        .map(|s| format!("`{}` says {}", s.gate, s.outcome.name()))
        .collect();
    if !said.is_empty() {
        words += &format!("; {}", said.join(", "));
    }
    let why: Vec<&str> = taken
        .step
        .because
        .iter()
        .map(|b| b.0.as_str())
        .filter(|b| !b.starts_with("gate `"))
        .collect();
    format!("{words} → {}", why.join("; "))
}

/// The edge that was taken, else the gate that decided, else the stage.
fn place(origins: &Origins, before: &Local, taken: &Taken) -> Option<At> {
    let edge = taken.step.took.iter().rev().find_map(|took| {
        let edge = took.edge.as_ref()?;
        let own = format!("stages.{}.on.\"{edge}\"", took.stage);
        first(origins, &own).or_else(|| first(origins, &format!("on.\"{edge}\"")))
    });
    let gate = || {
        taken
            .said
            .iter()
            .rev()
            .find(|s| s.outcome != Outcome::Ok)
            .and_then(|s| first(origins, &format!("gates.{}", s.by)))
    };
    let stage = |name: &Name| first(origins, &format!("stages.{name}"));
    let found = edge
        .or_else(gate)
        .or_else(|| stage(&taken.step.task.control.stage))
        .or_else(|| stage(&before.control.stage))?;
    Some(At {
        file: found.file.clone(),
        line: found.line,
        column: found.column,
    })
}

/// Where the first line of a table, or a value, was written.
pub(super) fn first<'o>(origins: &'o Origins, path: &str) -> Option<&'o Origin> {
    let below = |p: &str| p == path || p.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    let found = origins.0.iter().filter(|(p, o)| below(p) && o.line > 0);
    found.map(|(_, o)| o).min_by_key(|o| o.line)
}
