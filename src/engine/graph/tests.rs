//! Pictures of the shipped pipelines, and of names that formats could take for their own words.

use std::path::PathBuf;

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
