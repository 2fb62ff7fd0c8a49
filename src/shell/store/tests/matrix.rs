//! The STOP matrix: every stage of the loaded rules, in every state that its jobs can be in, meets
//! a stop in every way — the real `step` over a real store, effects carried out by hand.
//!
//! After each cell: nothing that ended changes any more (I3), no terminal state is left (I5), and
//! no run, job, timer, lease or seat remains (I6).

mod rig;
mod stand;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use rig::{Rig, Way};
use stand::{State, states};

use super::*;
use crate::engine::model::Name;
use crate::engine::rules::Ruleset;
use crate::engine::step::tests::rules_with;

/// All cells of a pipeline, and their table: the stages side by side, each with a store of its own.
async fn matrix(pipeline: &str) -> String {
    let rules = rules_with(pipeline, "");
    let ways: Vec<&str> = Way::ALL.iter().map(|w| w.word()).collect();
    let mut table = format!("stage / state | {}\n", ways.join(" | "));
    let inner = rules.flow.len().saturating_sub(2);
    let stages: Vec<_> = rules.flow.iter().skip(1).take(inner).cloned().collect();
    let rows: Vec<_> = stages
        .into_iter()
        .map(|stage| tokio::spawn(of_stage(Arc::clone(&rules), stage)))
        .collect();
    let mut cells = 0;
    for row in rows {
        let (text, tried) = row.await.unwrap();
        table.push_str(&text);
        cells += tried;
    }
    let _ = writeln!(table, "{cells} cells");
    table
}

/// The rows of one stage, and how many cells they have.
async fn of_stage(rules: Arc<Ruleset>, stage: Name) -> (String, u32) {
    let mut rig = Rig::new(rules);
    let mut rows = String::new();
    for state in states(&rig.rules, &stage) {
        let mut row = Vec::new();
        for way in Way::ALL {
            row.push(rig.cell(&stage, state, way).await);
        }
        let _ = writeln!(rows, "{stage} / {} | {}", state.word(), row.join(" | "));
    }
    (rows, rig.cells)
}

async fn snapshot(pipeline: &str) {
    let table = matrix(pipeline).await;
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/stop"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(pipeline, table));
}

#[tokio::test]
async fn b_stop_matrix_of_orch() {
    snapshot("orch").await;
}

#[tokio::test]
async fn b_stop_matrix_of_enduro() {
    snapshot("enduro").await;
}

#[tokio::test]
async fn b_stop_matrix_of_local() {
    snapshot("local").await;
}

#[tokio::test]
async fn b_stop_matrix_of_docs() {
    snapshot("docs").await;
}

#[test]
fn every_state_is_met_somewhere() {
    let mut met: Vec<State> = Vec::new();
    for pipeline in ["orch", "enduro", "local", "docs"] {
        let rules = rules_with(pipeline, "");
        met.extend(rules.flow.iter().flat_map(|stage| states(&rules, stage)));
    }
    for state in State::ALL {
        assert!(met.contains(&state), "no stage of a shipped pipeline can be {}", state.word());
    }
}
