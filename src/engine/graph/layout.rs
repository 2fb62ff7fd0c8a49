//! Where everything stands: one column of stages; edges back run in lanes of their own beside it, rules on the right,
//! people's signals on the left.
//!
//! Each edge leaves its stage in a row of its own, in which its words stand; between the column
//! and the lanes there is nothing else, so that no words meet a line that is not theirs.

use super::label::{lines, words, wrap};
use super::{Back, Graph, Node};

/// Width of a stage's box.
pub(super) const BOX: f32 = 440.0;
/// Height of a line of text.
pub(super) const LINE: f32 = 16.0;
/// Between two stages.
const GAP: f32 = 38.0;
/// Between two lanes.
const LANE: f32 = 14.0;
/// Around everything.
pub(super) const MARGIN: f32 = 24.0;
/// Columns of text in a box, beside the word that tells what a line is about.
const COLUMNS: usize = 50;
/// Columns of text at an edge.
const EDGE_COLUMNS: usize = 34;
/// Width of a column of text, generously.
pub(super) const COLUMN: f32 = 7.0;

/// A stage's box.
pub(super) struct Placed<'g> {
    pub node: &'g Node,
    pub y: f32,
    pub height: f32,
    pub rows: Vec<Row>,
}

/// A line in a box.
pub(super) struct Row {
    /// What it is about, where it begins something.
    pub about: &'static str,
    pub text: String,
}

/// An edge back.
pub(super) struct Way<'g> {
    pub back: &'g Back,
    pub words: Vec<String>,
    /// Where it leaves.
    pub from_y: f32,
    /// Where it arrives.
    pub to_y: f32,
    /// Its lane's place.
    pub x: f32,
}

/// The whole.
pub(super) struct Layout<'g> {
    pub width: f32,
    pub height: f32,
    /// Left border of the column.
    pub left: f32,
    pub boxes: Vec<Placed<'g>>,
    pub ways: Vec<Way<'g>>,
    pub sink_y: f32,
    pub notes: Vec<String>,
}

/// Columns that a text takes.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(super::label::wide).sum()
}

/// Places everything.
pub(super) fn layout(graph: &Graph) -> Layout<'_> {
    let told: Vec<Vec<String>> = graph
        .back
        .iter()
        .map(|b| words(b).iter().flat_map(|w| wrap(w, EDGE_COLUMNS)).collect())
        .collect();
    let mut y = MARGIN + 34.0;
    let (mut boxes, mut leaves): (Vec<Placed<'_>>, Vec<f32>) = (Vec::new(), vec![0.0; graph.back.len()]);
    for (at, node) in graph.stages.iter().enumerate() {
        let rows = rows(node);
        let text = count(rows.len()) * LINE + 40.0;
        let mut sides = [0.0_f32; 2];
        for (nth, back) in graph.back.iter().enumerate().filter(|(_, b)| b.from == at) {
            let side = &mut sides[usize::from(back.signal)];
            *side += count(told.get(nth).map_or(1, Vec::len)) * LINE + 8.0;
            leaves[nth] = y + 24.0 + *side;
        }
        let height = if node.end && rows.is_empty() {
            40.0
        } else {
            text.max(sides[0].max(sides[1]) + 40.0)
        };
        boxes.push(Placed { node, y, height, rows });
        y += height + GAP;
    }
    let gutter = |signal: bool| {
        let of = graph.back.iter().zip(&told).filter(|(b, _)| b.signal == signal);
        let widest = of.flat_map(|(_, words)| words).map(|w| columns(w)).max();
        widest.map_or(0.0, |w| count(w) * COLUMN + 26.0)
    };
    let gutters = [gutter(false), gutter(true)];
    let (left_lanes, right_lanes) = (lanes(graph, &leaves, &boxes, true), lanes(graph, &leaves, &boxes, false));
    let used = |lanes: &[Option<usize>]| lanes.iter().flatten().max().map_or(0.0, |most| count(most + 1) * LANE);
    let left = MARGIN + used(&left_lanes) + gutters[1];
    let right = left + BOX + gutters[0];
    let ways = graph.back.iter().zip(told).enumerate().map(|(nth, (back, words))| {
        let lane = left_lanes.get(nth).copied().flatten().or(right_lanes.get(nth).copied().flatten());
        let offset = count(lane.unwrap_or(0)) * LANE + LANE / 2.0;
        Way {
            back,
            words,
            from_y: leaves[nth],
            to_y: arrives(&boxes, back.to),
            x: if back.signal { left - gutters[1] - offset } else { right + offset },
        }
    });
    let notes: Vec<String> = graph.notes.iter().flat_map(|n| wrap(n, 90)).collect();
    Layout {
        width: right + used(&right_lanes) + MARGIN,
        height: y + 40.0 + MARGIN + count(notes.len()) * LINE + MARGIN,
        left,
        ways: ways.collect(),
        boxes,
        sink_y: y,
        notes,
    }
}

/// A number of things as a length's factor; pictures are far smaller than where this loses precision.
#[expect(clippy::cast_precision_loss, reason = "counts of lines and columns are small")]
pub(super) fn count(n: usize) -> f32 {
    n as f32
}

/// Where edges arrive at a stage.
fn arrives(boxes: &[Placed<'_>], stage: usize) -> f32 {
    boxes.get(stage).map_or(0.0, |b| b.y + 16.0)
}

fn rows(node: &Node) -> Vec<Row> {
    let mut rows = Vec::new();
    for (about, words) in lines(node) {
        for (nth, text) in wrap(&words, COLUMNS).into_iter().enumerate() {
            rows.push(Row {
                about: if nth == 0 { about } else { "" },
                text,
            });
        }
    }
    rows
}

/// The lane of each edge of one side, by its place: short ones inside, none two over one another.
fn lanes(graph: &Graph, leaves: &[f32], boxes: &[Placed<'_>], signal: bool) -> Vec<Option<usize>> {
    let span = |nth: usize, back: &Back| {
        let (a, b) = (arrives(boxes, back.to), leaves[nth]);
        (a.min(b) - 6.0, a.max(b) + 6.0)
    };
    let mut all: Vec<(usize, (f32, f32))> = Vec::new();
    for (nth, back) in graph.back.iter().enumerate().filter(|(_, b)| b.signal == signal) {
        all.push((nth, span(nth, back)));
    }
    all.sort_by(|a, b| (a.1.1 - a.1.0).total_cmp(&(b.1.1 - b.1.0)));
    let mut taken: Vec<Vec<(f32, f32)>> = Vec::new();
    let mut out = vec![None; graph.back.len()];
    for (nth, (top, bottom)) in all {
        let free = |lane: &Vec<(f32, f32)>| lane.iter().all(|(t, b)| bottom < *t || top > *b);
        let lane = taken.iter().position(free).unwrap_or(taken.len());
        if lane == taken.len() {
            taken.push(Vec::new());
        }
        taken[lane].push((top, bottom));
        out[nth] = Some(lane);
    }
    out
}
