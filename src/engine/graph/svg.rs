//! SVG, without any program: what [`super::layout`] placed.

use std::fmt::Write as _;

use super::Graph;
use super::label::{waits, xml};
use super::layout::{BOX, COLUMN, LINE, Layout, MARGIN, Placed, Way, columns, count, layout};

/// Colours of edges, dark enough to be read as text.
const COLOURS: &[&str] = &[
    "#1f5fa8", "#a83232", "#2f7a3d", "#7a3fa0", "#a35c00", "#00737a", "#8a2b62", "#55611a",
];
/// Colour of people's signals.
const SIGNAL: &str = "#555555";
/// Radius of an edge's corners.
const BEND: f32 = 6.0;

const STYLE: &str = "text{font-family:'DejaVu Sans',Verdana,Arial,sans-serif;font-size:12px;fill:#1f2328}\
.name{font-size:15px;font-weight:bold}.about{fill:#6a737d;font-size:11px}.edge{font-size:11px}\
.box{fill:#f6f8fa;stroke:#57606a}.waits{fill:#fff8e1;stroke:#b58900}.end{fill:#eaeef2;stroke:#57606a}\
.chip{fill:#ddf4ff;stroke:#54aeff}.way{fill:none;stroke-width:1.5}.on{stroke:#1f2328;stroke-width:2.5;fill:none}";

/// The picture as SVG.
// Writing to a string cannot fail: the results of `write!` say nothing.
#[must_use]
pub fn svg(graph: &Graph) -> String {
    let placed = layout(graph);
    let (w, h) = (placed.width, placed.height);
    let title = xml(&graph.title);
    let mut out = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" role=\"img\">\n");
    let _ = writeln!(out, "<title>pipeline {title}</title>\n<style>{STYLE}</style>");
    arrows(&mut out);
    let _ = writeln!(out, "<rect width=\"{w}\" height=\"{h}\" fill=\"#ffffff\"/>");
    let middle = placed.left + BOX / 2.0;
    let _ = writeln!(
        out,
        "<text class=\"name\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">pipeline {title}</text>",
        MARGIN + 10.0
    );
    for pair in placed.boxes.windows(2) {
        let (from, to) = (pair[0].y + pair[0].height, pair[1].y);
        let _ = writeln!(
            out,
            "<path class=\"on\" marker-end=\"url(#on)\" d=\"M{middle} {from}V{}\"/>",
            to - 2.0
        );
    }
    for (nth, way) in placed.ways.iter().enumerate() {
        draw_way(&mut out, way, &placed, nth);
    }
    for stage in &placed.boxes {
        draw_stage(&mut out, stage, placed.left);
    }
    last(&mut out, graph, &placed);
    out.push_str("</svg>\n");
    out
}

/// One arrow head per colour.
fn arrows(out: &mut String) {
    out.push_str("<defs>\n");
    let heads = COLOURS.iter().enumerate().map(|(n, c)| (format!("c{n}"), *c));
    for (id, colour) in heads.chain([("signal".to_owned(), SIGNAL), ("on".to_owned(), "#1f2328")]) {
        let _ = writeln!(
            out,
            "<marker id=\"{id}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"9\" markerHeight=\"9\" \
             markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0 0L10 5L0 10z\" fill=\"{colour}\"/></marker>"
        );
    }
    out.push_str("</defs>\n");
}

fn draw_way(out: &mut String, way: &Way<'_>, placed: &Layout<'_>, nth: usize) {
    let signal = way.back.signal;
    let colour = if signal { SIGNAL } else { COLOURS[nth % COLOURS.len()] };
    let head = if signal {
        "signal".to_owned()
    } else {
        format!("c{}", nth % COLOURS.len())
    };
    // From the column to the lane, along it, and back: to the right for rules, to the left for signals.
    let (edge, out_by) = if signal { (placed.left, -1.0) } else { (placed.left + BOX, 1.0) };
    let (from, to, lane) = (way.from_y, way.to_y, way.x);
    let turn = lane - out_by * BEND;
    let (down, corner) = if to < from { (-BEND, from - BEND) } else { (BEND, from + BEND) };
    let dash = if signal { " stroke-dasharray=\"5 4\"" } else { "" };
    let _ = writeln!(
        out,
        "<path class=\"way\" stroke=\"{colour}\"{dash} marker-end=\"url(#{head})\" d=\"M{edge} {from}H{turn}Q{lane} {from} {lane} {corner}\
         V{}Q{lane} {to} {turn} {to}H{}\"/>",
        to - down,
        edge + out_by * 2.0
    );
    let x = if signal { edge - 12.0 } else { edge + 12.0 };
    let anchor = if signal { " text-anchor=\"end\"" } else { "" };
    for (line, words) in way.words.iter().enumerate() {
        let y = from - 5.0 - count(way.words.len() - 1 - line) * LINE;
        let _ = writeln!(
            out,
            "<text class=\"edge\" x=\"{x}\" y=\"{y}\"{anchor} style=\"fill:{colour}\">{}</text>",
            xml(words)
        );
    }
}

fn draw_stage(out: &mut String, stage: &Placed<'_>, left: f32) {
    let node = stage.node;
    let (class, round) = match (node.end, waits(node)) {
        (true, _) => ("end", 20.0),
        (false, true) => ("waits", 8.0),
        (false, false) => ("box", 8.0),
    };
    let (y, height) = (stage.y, stage.height);
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{left}\" y=\"{y}\" width=\"{BOX}\" height=\"{height}\" rx=\"{round}\"/>"
    );
    let middle = left + BOX / 2.0;
    let name_y = if stage.rows.is_empty() { y + height / 2.0 + 5.0 } else { y + 21.0 };
    let name = super::label::wrap(&node.name, 46).into_iter().next().unwrap_or_default();
    let _ = writeln!(
        out,
        "<text class=\"name\" x=\"{middle}\" y=\"{name_y}\" text-anchor=\"middle\">{}</text>",
        xml(&name)
    );
    for (nth, row) in stage.rows.iter().enumerate() {
        let line = y + 44.0 + count(nth) * LINE;
        if !row.about.is_empty() {
            let _ = writeln!(out, "<text class=\"about\" x=\"{}\" y=\"{line}\">{}</text>", left + 14.0, row.about);
        }
        if row.about == "work" && columns(&row.text) < 44 {
            chips(out, &node.work, left + 60.0, line);
        } else {
            let _ = writeln!(out, "<text x=\"{}\" y=\"{line}\">{}</text>", left + 60.0, xml(&row.text));
        }
    }
}

/// Agents side by side.
fn chips(out: &mut String, agents: &[String], left: f32, line: f32) {
    let mut x = left;
    for agent in agents {
        let width = count(columns(agent)) * COLUMN + 16.0;
        let _ = writeln!(
            out,
            "<rect class=\"chip\" x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"15\" rx=\"7\"/>",
            line - 12.0
        );
        let middle = x + width / 2.0;
        let _ = writeln!(
            out,
            "<text x=\"{middle}\" y=\"{line}\" text-anchor=\"middle\">{}</text>",
            xml(agent)
        );
        x += width + 8.0;
    }
}

/// Where stopped tasks go, and what is true of every stage.
fn last(out: &mut String, graph: &Graph, placed: &Layout<'_>) {
    let (left, y) = (placed.left, placed.sink_y);
    let _ = writeln!(
        out,
        "<rect class=\"end\" x=\"{left}\" y=\"{y}\" width=\"{BOX}\" height=\"40\" rx=\"20\" stroke-dasharray=\"4 3\"/>"
    );
    let middle = left + BOX / 2.0;
    let sink = super::label::wrap(&graph.sink, 46).into_iter().next().unwrap_or_default();
    let _ = writeln!(
        out,
        "<text class=\"name\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        y + 25.0,
        xml(&sink)
    );
    for (nth, note) in placed.notes.iter().enumerate() {
        let _ = writeln!(
            out,
            "<text x=\"{left}\" y=\"{}\">{}</text>",
            y + 66.0 + count(nth) * LINE,
            xml(note)
        );
    }
}
