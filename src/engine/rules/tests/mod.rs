//! The loader as a whole: shipped pipelines, one case per code, no panic on anything.

mod cases;
mod fuzz;
mod languages;
mod programs;
mod shipped;

use std::path::{Path, PathBuf};

use super::{Files, load};

/// The folder of the crate.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The shipped files, read from the source tree.
fn shipped_files() -> Files {
    let mut files = Files::default();
    add(&mut files, &root(), " (built in)");
    files
}

/// Lays the files of a folder of rules over `files`.
fn add(files: &mut Files, dir: &Path, mark: &str) {
    if let Ok(text) = std::fs::read_to_string(dir.join("signalbox.toml")) {
        files.insert("signalbox.toml", text, "signalbox.toml");
    }
    for folder in ["pipelines", "rules", "prompts", "messages"] {
        let Ok(entries) = std::fs::read_dir(dir.join(folder)) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            let text = std::fs::read_to_string(entry.path()).unwrap();
            files.insert(&path, text, format!("{path}{mark}"));
        }
    }
}

/// The shipped files with one of the good configurations.
fn with_projects(signalbox: &str) -> Files {
    let mut files = shipped_files();
    files.insert("signalbox.toml", signalbox, "signalbox.toml");
    files
}

const TWO: &str = r#"
schema = 1
[projects.orch]
pipeline = "orch"
prefix = "ORCH"
tracker = { kind = "local" }
forge = { kind = "local", source = "../orch" }
set = { "agents.*.run" = ["./agent.sh"], "agents.developer.run" = ["claude", "-p"], "serial_gate.enabled" = false }
vars = { health = "http://127.0.0.1:8500/health" }
[projects.enduro]
pipeline = "enduro"
prefix = "ET"
tracker = { kind = "local" }
forge = { kind = "local", source = "../enduro", default_branch = "master" }
set = { "agents.*.run" = ["./agent.sh"] }
[people]
approver = ["alice"]
"#;
