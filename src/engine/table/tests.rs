//! Snapshots of every shipped pipeline's table.

mod difference;

use std::path::PathBuf;

use super::{table, text};
use crate::engine::rules::{Loaded, load};
use crate::shell::embedded::embedded;

fn shipped() -> Loaded {
    let loaded = load(&embedded());
    assert!(!loaded.failed(), "{:#?}", loaded.diagnostics);
    loaded
}

#[test]
fn every_shipped_pipeline_has_its_table() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("snapshots/tables"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _guard = settings.bind_to_scope();
    for (name, rules) in &shipped().pipelines {
        insta::assert_snapshot!(name.as_str(), text(&table(rules)));
    }
}
