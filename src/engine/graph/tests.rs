//! Pictures of the shipped pipelines, and of names that formats could take for their own words.

use std::path::PathBuf;

use super::layout::{BOX, COLUMN, columns, count, layout};
use super::{Back, Check, Graph, Node, Stay, dot, mermaid, of, svg};
use crate::engine::rules::load;
use crate::shell::embedded::embedded;

fn shipped() -> Vec<Graph> {
    let loaded = load(&embedded());
    loaded.pipelines.values().map(|rules| of(rules)).collect()
}

#[test]
fn every_shipped_pipeline_is_drawn_in_every_format() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("snapshots/graphs"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _guard = settings.bind_to_scope();
    let all = shipped();
    assert_eq!(all.len(), 4);
    for graph in &all {
        insta::assert_snapshot!(format!("{}-mermaid", graph.title), mermaid(graph));
        insta::assert_snapshot!(format!("{}-dot", graph.title), dot(graph));
        insta::assert_snapshot!(format!("{}-svg", graph.title), svg(graph));
    }
}

/// Names that the loader would refuse, in places where texts of people come in, too.
const NASTY: &str = "a\"b'<c>&d\n--> #35; {{x}} \\l |e| `f` ]]> Проверка漢字\u{1}";

fn nasty() -> Graph {
    let long = format!("{NASTY} {}", "x".repeat(200));
    let node = |end| Node {
        name: NASTY.to_owned(),
        status: Some(long.clone()),
        work: vec![NASTY.to_owned(), "Второй".to_owned()],
        pass: vec![Check {
            name: NASTY.to_owned(),
            waits: Some(long.clone()),
        }],
        actions: vec![NASTY.to_owned()],
        stays: vec![Stay {
            outcome: long.clone(),
            then: NASTY.to_owned(),
        }],
        guarded: true,
        end,
    };
    let back = |from, to, signal| Back {
        from,
        to,
        outcomes: vec![NASTY.to_owned(), long.clone()],
        counter: Some((NASTY.to_owned(), 2)),
        update: true,
        signal,
    };
    Graph {
        title: NASTY.to_owned(),
        stages: vec![node(true), node(false), node(false)],
        sink: NASTY.to_owned(),
        back: vec![
            back(2, 1, false),
            back(2, 2, false),
            back(1, 1, true),
            back(2, 1, true),
            back(1, 1, false),
        ],
        notes: vec![long.clone()],
    }
}

#[test]
fn no_name_becomes_a_word_of_the_format() {
    let graph = nasty();
    let picture = svg(&graph);
    let known = [
        "svg", "/svg", "title", "/title", "style", "/style", "defs", "/defs", "marker", "/marker", "path", "rect", "text", "/text",
    ];
    for tag in picture.split('<').skip(1) {
        let name = tag.split([' ', '>', '/']).find(|t| !t.is_empty()).unwrap();
        assert!(known.contains(&name), "<{tag}");
    }
    for entity in picture.split('&').skip(1) {
        assert!(
            ["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|e| entity.starts_with(e)),
            "&{entity}"
        );
    }
    assert!(!picture.contains('\u{1}') && picture.contains("Проверка"), "{picture}");
    // Of a label, only what Mermaid takes for text is left: everything inside quotes is plain or a number.
    for line in mermaid(&graph)
        .lines()
        .filter(|l| l.trim_start().starts_with('s') && !l.contains("style"))
    {
        assert_eq!(line.matches('"').count() % 2, 0, "{line}");
        let inside: String = line.split('"').skip(1).step_by(2).collect();
        let left = inside.replace("<br/>", "").replace("<b>", "").replace("</b>", "");
        assert!(!left.contains(['<', '>', '&', '`', '|', '{', '\\']), "{left}");
    }
    for line in dot(&graph).lines() {
        let quotes = line.replace("\\\\", "").replace("\\\"", "").matches('"').count();
        assert_eq!(quotes % 2, 0, "{line}");
    }
}

#[test]
fn nothing_lies_over_anything_else() {
    for graph in shipped().iter().chain([&nasty()]) {
        let placed = layout(graph);
        for pair in placed.boxes.windows(2) {
            assert!(pair[0].y + pair[0].height < pair[1].y, "{}: two stages", graph.title);
        }
        for (nth, way) in placed.ways.iter().enumerate() {
            let stage = &placed.boxes[way.back.from];
            assert!(way.from_y > stage.y && way.from_y < stage.y + stage.height, "it leaves its stage");
            let room = if way.back.signal {
                placed.left - way.x
            } else {
                way.x - placed.left - BOX
            };
            let widest = way.words.iter().map(|w| columns(w)).max().unwrap_or(0);
            assert!(
                count(widest) * COLUMN < room,
                "{}: words reach the lanes: {:?}",
                graph.title,
                way.words
            );
            assert!(way.x > 0.0 && way.x < placed.width);
            for other in placed.ways.iter().skip(nth + 1).filter(|o| o.back.signal == way.back.signal) {
                let span = |w: &super::layout::Way<'_>| (w.from_y.min(w.to_y), w.from_y.max(w.to_y));
                let ((a, b), (c, d)) = (span(way), span(other));
                assert!(way.x != other.x || b < c || d < a, "{}: two edges in one lane", graph.title);
                assert!((way.from_y - other.from_y).abs() > 15.0, "{}: two edges in one row", graph.title);
            }
        }
    }
}
