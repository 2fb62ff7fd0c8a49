//! `signalbox show --origin PROJECT|PIPELINE`: every value in force, and the line it was written on.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::validate::{CLEAN, ERRORS, INTERNAL, USAGE};
use crate::engine::rules::{self, Files, Severity, load};
use crate::shell::config::{ReadProblem, read_dir};

/// Prints the values of a project or pipeline of the rules in `dir` (the working directory by
/// default) with their origins. Returns the exit status, as `validate` has it.
pub fn run(dir: Option<&Path>, what: &str, as_json: bool, embedded: &Files) -> i32 {
    let (text, status) = answer(dir.unwrap_or(Path::new(".")), what, as_json, embedded);
    let written = if status == CLEAN {
        std::io::stdout().lock().write_all(text.as_bytes())
    } else {
        std::io::stderr().lock().write_all(text.as_bytes())
    };
    match written {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => INTERNAL,
        _ => status,
    }
}

fn answer(dir: &Path, what: &str, as_json: bool, embedded: &Files) -> (String, i32) {
    let files = match read_dir(dir, embedded) {
        Ok(files) => files,
        // One may look at what is built in without any rules of one's own.
        Err(ReadProblem::Nothing { .. }) => embedded.clone(),
        Err(problem @ ReadProblem::Files { .. }) => return (format!("error: {problem}\n"), ERRORS),
        Err(problem) => return (format!("error: {problem}\n"), USAGE),
    };
    let loaded = load(&files);
    if let Some(origins) = rules::origins(&loaded, what) {
        let text = if as_json {
            format!("{:#}\n", json!({ "of": what, "values": origins.json() }))
        } else {
            origins.text()
        };
        return (text, CLEAN);
    }
    let known: Vec<&str> = loaded
        .origins
        .keys()
        .chain(loaded.pipeline_origins.keys())
        .map(|n| n.as_str())
        .collect();
    if loaded.diagnostics.iter().any(|d| d.severity == Severity::Error) {
        let found = rules::render_human(&loaded.diagnostics, &files, false);
        return (
            format!("{found}error: `{what}` is not loaded; first mend what stands above\n"),
            ERRORS,
        );
    }
    (
        format!("error: there is no project or pipeline `{what}`; there is {}\n", known.join(", ")),
        USAGE,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::embedded::embedded;

    const MINE: &str = "schema = 1\nextends = \"local\"\n[counters.rework]\nmax = 4\n";
    const PROJECT: &str = r#"schema = 1
[projects.p]
pipeline = "mine"
prefix = "P"
tracker = { kind = "local" }
forge = { kind = "local", source = "." }
set = { "agents.*.run" = ["./agent.sh"], "agents.tester.timeout" = "1h" }
"#;

    fn ask(files: &[(&str, &str)], what: &str, as_json: bool) -> (String, i32) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("pipelines")).unwrap();
        for (path, text) in files {
            std::fs::write(dir.path().join(path), text).unwrap();
        }
        let (text, status) = answer(dir.path(), what, as_json, &embedded());
        (text.replace(&format!("{}/", dir.path().display()), ""), status)
    }

    #[test]
    fn each_value_has_the_line_that_decides() {
        let files = [("signalbox.toml", PROJECT), ("pipelines/mine.toml", MINE)];
        let (text, status) = ask(&files, "p", true);
        assert_eq!(status, CLEAN, "{text}");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let at = |path: &str| {
            let v = &json["values"][path];
            (
                v["value"].clone(),
                v["file"].as_str().unwrap_or("default").to_owned(),
                v["line"].as_u64(),
            )
        };
        assert_eq!(at("counters.rework.max"), (json!(4), "pipelines/mine.toml".into(), Some(4)));
        assert_eq!(at("agents.tester.run"), (json!(["./agent.sh"]), "signalbox.toml".into(), Some(7)));
        assert_eq!(at("agents.tester.timeout"), (json!("1h"), "signalbox.toml".into(), Some(7)));
        assert_eq!(at("agents.developer.timeout").1, "pipelines/base.toml (built in)");
        assert_eq!(at("agents.developer.prompt"), (json!("developer"), "default".into(), None));
        assert_eq!(at("flow").1, "pipelines/local.toml (built in)");
        assert_eq!(at("projects.p.prefix"), (json!("P"), "signalbox.toml".into(), Some(4)));
        for gone in ["agents.analyst.run", "stages.analysis.status", "gates.brd.files", "agents.*.run"] {
            assert!(json["values"][gone].is_null(), "{gone} is not part of this flow");
        }
    }

    #[test]
    fn the_text_has_one_line_per_value() {
        let (text, status) = ask(&[("pipelines/mine.toml", MINE)], "mine", false);
        assert_eq!(status, CLEAN);
        let line = text.lines().find(|l| l.starts_with("counters.rework.max ")).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["counters.rework.max", "4", "pipelines/mine.toml:4"]);
        assert!(text.contains(" default\n"), "{text}");
    }

    #[test]
    fn shipped_pipelines_need_no_directory_of_rules() {
        let (text, status) = ask(&[], "orch", false);
        assert!(status == CLEAN && text.contains("pipelines/orch.toml (built in):"), "{text}");
    }

    #[test]
    fn what_is_not_there_is_told() {
        assert_eq!(ask(&[], "nowhere", false).1, USAGE);
        let (text, status) = ask(
            &[("pipelines/mine.toml", "schema = 1\nextends = \"local\"\nx = 1\n")],
            "mine",
            false,
        );
        assert!(status == ERRORS && text.contains("SB0103"), "{text}");
    }
}
