//! Mermaid: a flowchart, as Markdown viewers draw it.

use std::fmt::Write as _;

use super::label::{lines, waits, words, wrap};
use super::{Graph, Node};

/// Characters a line of a label.
const WIDTH: usize = 44;

/// The picture as a Mermaid flowchart.
// Writing to a string cannot fail: the results of `write!` say nothing.
#[must_use]
pub fn mermaid(graph: &Graph) -> String {
    let mut out = format!("---\ntitle: \"pipeline {}\"\n---\nflowchart TD\n", front(&graph.title));
    for (at, node) in graph.stages.iter().enumerate() {
        let label = label(node);
        let shape = match (node.end, waits(node)) {
            (true, _) => format!("([\"{label}\"])"),
            (false, true) => format!("{{{{\"{label}\"}}}}"),
            (false, false) => format!("[\"{label}\"]"),
        };
        let _ = writeln!(out, "    s{at}{shape}");
    }
    let _ = writeln!(out, "    sink([\"{}\"])", text(&graph.sink));
    for at in 1..graph.stages.len() {
        let _ = writeln!(out, "    s{} ==> s{at}", at - 1);
    }
    for back in &graph.back {
        let label: Vec<String> = words(back).iter().flat_map(|w| wrap(w, WIDTH)).map(|l| text(&l)).collect();
        let arrow = if back.signal { "-.->" } else { "-->" };
        let _ = writeln!(out, "    s{} {arrow}|\"{}\"| s{}", back.from, label.join("<br/>"), back.to);
    }
    let notes: Vec<String> = graph.notes.iter().flat_map(|n| wrap(n, WIDTH)).map(|l| text(&l)).collect();
    if !notes.is_empty() {
        let _ = writeln!(out, "    notes>\"{}\"]\n    notes ~~~ sink", notes.join("<br/>"));
    }
    for (at, _) in graph.stages.iter().enumerate().filter(|(_, node)| waits(node)) {
        let _ = writeln!(out, "    style s{at} fill:#fff3cd,stroke:#b58900");
    }
    out
}

fn label(node: &Node) -> String {
    let mut all = vec![format!("<b>{}</b>", text(&node.name))];
    for (what, words) in lines(node) {
        let line = format!("{what}: {words}");
        all.extend(wrap(&line, WIDTH).iter().map(|l| text(l)));
    }
    all.join("<br/>")
}

/// Text inside quotes: everything that Mermaid, HTML or Markdown could read is written as a number.
fn text(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            c if c.is_alphanumeric() || " .,:()[]-/→∥≤".contains(c) => out.push(c),
            c if c.is_control() => out.push(' '),
            c => out.push_str(&format!("#{};", u32::from(c))),
        }
    }
    out
}

/// Text inside a quoted string of the front matter.
fn front(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .flat_map(|c| if matches!(c, '"' | '\\') { vec!['\\', c] } else { vec![c] })
        .collect()
}
