//! `ORCH` differs from `enduro` by its pipeline file, and by nothing else.

use std::path::{Path, PathBuf};

/// What a pipeline file says and no source may know: names of pipelines, stages, agents, statuses.
const SAID_IN_TOML: [&str; 14] = [
    "orch",
    "enduro",
    "ORCH",
    "ET",
    "analysis",
    "architecture",
    "development",
    "testing",
    "deploy-staging",
    "analyst",
    "deployer",
    "In Review",
    "Awaiting Deploy",
    "Confirm Deploy",
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.to_string_lossy().contains("test") {
            found.push(path);
        }
    }
}

/// Neither the engine nor the shell names what only one of the pipelines has: with another TOML
/// file the same program is another project's.
#[test]
fn no_source_knows_what_a_pipeline_file_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root.join("engine"), &mut files);
    sources(&root.join("shell"), &mut files);
    assert!(files.len() > 100, "{} sources", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in text.lines() {
            let code = line.split("//").next().unwrap_or_default();
            // An example of a prefix, to try a template with where no project is at hand.
            if code.contains("prefix.unwrap_or(") {
                continue;
            }
            for word in SAID_IN_TOML {
                assert!(!code.contains(&format!("\"{word}\"")), "{} names {word:?}: {line}", file.display());
            }
        }
    }
}
