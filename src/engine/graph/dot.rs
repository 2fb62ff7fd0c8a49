//! DOT, for Graphviz.

use std::fmt::Write as _;

use super::label::{lines, waits, words, wrap};
use super::{Graph, Node};

/// Characters a line of a label.
const WIDTH: usize = 48;

/// The picture in the DOT language.
// Writing to a string cannot fail: the results of `write!` say nothing.
#[must_use]
pub fn dot(graph: &Graph) -> String {
    let mut out = format!("digraph {} {{\n", quoted(&graph.title));
    out.push_str("    graph [rankdir=TB, nodesep=0.6, ranksep=0.5, fontname=\"sans-serif\"];\n");
    out.push_str("    node [shape=box, style=\"rounded,filled\", fillcolor=\"#f6f8fa\", fontname=\"sans-serif\", fontsize=11];\n");
    out.push_str("    edge [fontname=\"sans-serif\", fontsize=9];\n");
    for (at, node) in graph.stages.iter().enumerate() {
        let looks = match (node.end, waits(node)) {
            (true, _) => ", shape=oval",
            (false, true) => ", fillcolor=\"#fff3cd\"",
            (false, false) => "",
        };
        let _ = writeln!(out, "    s{at} [label={}{looks}];", label(node));
    }
    let _ = writeln!(out, "    sink [label={}, shape=oval, fillcolor=\"#eeeeee\"];", quoted(&graph.sink));
    for at in 1..graph.stages.len() {
        let _ = writeln!(out, "    s{} -> s{at} [weight=100, penwidth=2];", at - 1);
    }
    for back in &graph.back {
        let label: Vec<String> = words(back).iter().flat_map(|w| wrap(w, WIDTH)).collect();
        let style = if back.signal { ", style=dashed" } else { "" };
        // A line break of its own, left-aligned: the escapes of the text are doubled.
        let label: String = label.iter().map(|l| format!("{}\\l", escaped(l))).collect();
        let _ = writeln!(
            out,
            "    s{} -> s{} [constraint=false, label=\"{label}\"{style}];",
            back.from, back.to
        );
    }
    let notes: String = graph
        .notes
        .iter()
        .flat_map(|n| wrap(n, WIDTH))
        .map(|l| format!("{}\\l", escaped(&l)))
        .collect();
    if !notes.is_empty() {
        let _ = writeln!(
            out,
            "    notes [label=\"{notes}\", shape=note, style=filled, fillcolor=\"#ffffff\"];"
        );
        out.push_str("    notes -> sink [style=invis];\n");
    }
    out.push_str("}\n");
    out
}

fn label(node: &Node) -> String {
    let mut text = escaped(&node.name);
    let lines = lines(node);
    if !lines.is_empty() {
        text.push_str("\\n");
    }
    for (what, words) in lines {
        for line in wrap(&format!("{what}: {words}"), WIDTH) {
            text.push_str(&format!("{}\\l", escaped(&line)));
        }
    }
    format!("\"{text}\"")
}

/// Text inside quotes; a line feed is only ever one of the label's own.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            // Graphviz reads HTML's entities in every text.
            '&' => "&amp;".to_owned(),
            c if c.is_control() => " ".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}
