//! A counter-example told as a story, with the places in the rules that it goes by.

use crate::engine::rules::{Origin, Origins};
use crate::engine::step::Outcome;

use super::expand::{Expander, Taken};
use super::graph::Graph;
use super::report::{At, Story};
use super::state::VISIT;

/// The story of a way through the graph, and of what is found at its end.
pub(super) fn tell(graph: &Graph, expander: &Expander<'_>, origins: Option<&Origins>, way: &[(u32, u32)], end: &str) -> Story {
    let mut lines = Vec::new();
    let mut at = None;
    for (n, (state, leaf)) in way.iter().enumerate() {
        let mut count = 0;
        let mut found = None;
        expander.each(graph.local(*state), true, &mut |taken| {
            if count == *leaf {
                found = Some((origins.and_then(|o| place(o, &taken)), line(&taken)));
            }
            count += 1;
        });
        let Some((place, line)) = found else { continue };
        let shown = place.as_ref().map_or_else(String::new, |p| format!("  [{}:{}]", p.file, p.line));
        lines.push(format!("{}. {line}{shown}", n + 1));
        at = place.or(at);
    }
    lines.push(end.to_owned());
    let last = way.last().map(|(state, _)| graph.local(*state).control.stage.as_str());
    let stage = || first(origins?, &format!("stages.{}", last?)).map(At::of);
    let at = at.or_else(stage);
    Story { lines, at }
}

fn line(taken: &Taken<'_>) -> String {
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
    let mut told = format!("{words} → {}", why.join("; "));
    // Visits are not counted here: each is the present one, or before or behind it.
    for visit in [VISIT - 1, VISIT, VISIT + 1] {
        told = told
            .replace(&format!(" (visit {visit})"), "")
            .replace(&format!("visit {visit}"), "the visit");
    }
    // The task of a story has no name.
    told.replace("  ", " ").trim_end_matches([':', ' ']).to_owned()
}

/// The edge that was taken, else the gate that decided.
fn place(origins: &Origins, taken: &Taken<'_>) -> Option<At> {
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
    let found = edge.or_else(gate)?;
    Some(At::of(found))
}

impl At {
    fn of(found: &Origin) -> Self {
        Self {
            file: found.file.clone(),
            line: found.line,
            column: found.column,
        }
    }
}

/// Where the first line of a table, or a value, was written.
pub(super) fn first<'o>(origins: &'o Origins, path: &str) -> Option<&'o Origin> {
    let below = |p: &str| p == path || p.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    let found = origins.0.iter().filter(|(p, o)| below(p) && o.line > 0);
    found.map(|(_, o)| o).min_by_key(|o| o.line)
}
