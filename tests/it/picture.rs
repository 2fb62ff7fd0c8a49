//! `signalbox table` and `signalbox graph` from the outside.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::house::EXE;

fn ask(dir: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(EXE);
    command.args(words).current_dir(dir).env_remove("SIGNALBOX_CONFIG");
    command.output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_shipped_pipeline_is_shown_without_any_rules_of_one_s_own() {
    let dir = tempfile::tempdir().expect("a folder");
    let table = ask(dir.path(), &["table", "orch"]);
    assert_eq!(table.status.code(), Some(0), "{}", text(&table.stderr));
    assert!(text(&table.stdout).contains("tester ok, tests fail"), "{}", text(&table.stdout));
    for (format, begins) in [("mermaid", "---\ntitle"), ("dot", "digraph"), ("svg", "<svg")] {
        let drawn = ask(dir.path(), &["graph", "orch", "--format", format]);
        assert_eq!(drawn.status.code(), Some(0), "{}", text(&drawn.stderr));
        assert!(text(&drawn.stdout).starts_with(begins), "{format}: {}", text(&drawn.stdout));
    }
    assert!(
        text(&ask(dir.path(), &["graph", "orch"]).stdout).contains("flowchart TD"),
        "mermaid is the default"
    );
    let json = ask(dir.path(), &["table", "orch", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert!(json["rows"].as_array().is_some_and(|rows| rows.len() > 100) && json["rows"][0]["then"].is_string());
}

#[test]
fn rules_of_one_s_own_are_read_where_they_are_named() {
    let (dir, here) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    fs::create_dir(dir.path().join("pipelines")).expect("a folder");
    let mine = "schema = 1\nextends = \"local\"\n[stages.review]\nstatus = \"Eyes <&> \\\"open\\\"\"\n";
    fs::write(dir.path().join("pipelines/mine.toml"), mine).expect("written");
    let folder = dir.path().to_str().expect("a path");
    let table = ask(here.path(), &["table", "mine", "--dir", folder]);
    assert!(
        text(&table.stdout).contains("status \"Eyes <&>"),
        "{}{}",
        text(&table.stdout),
        text(&table.stderr)
    );
    let svg = ask(here.path(), &["graph", "mine", "--format", "svg", "--dir", folder]);
    assert!(
        text(&svg.stdout).contains("Eyes &lt;&amp;&gt; &quot;open&quot;"),
        "{}",
        text(&svg.stderr)
    );
}

#[test]
fn what_is_not_there_is_told_with_what_may_be_meant() {
    let dir = tempfile::tempdir().expect("a folder");
    for command in ["table", "graph"] {
        let out = ask(dir.path(), &[command, "orhc"]);
        let said = text(&out.stderr);
        assert!(
            out.status.code() == Some(2) && said.contains("`orhc`") && said.contains("orch"),
            "{said}"
        );
        assert!(out.stdout.is_empty());
        let base = ask(dir.path(), &[command, "base"]);
        assert!(
            base.status.code() == Some(2) && text(&base.stderr).contains("extended"),
            "{}",
            text(&base.stderr)
        );
    }
}

#[test]
fn broken_rules_are_explained_and_nothing_is_shown() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir(dir.path().join("pipelines")).expect("a folder");
    fs::write(dir.path().join("pipelines/mine.toml"), "schema = 1\nextends = \"loc\"\n").expect("written");
    for command in ["table", "graph"] {
        let out = ask(dir.path(), &[command, "local"]);
        let said = text(&out.stderr);
        assert!(
            out.status.code() == Some(10) && said.contains("SB0108") && said.contains("mine.toml:2"),
            "{said}"
        );
        assert!(out.stdout.is_empty());
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let dir = tempfile::tempdir().expect("a folder");
    for words in [["table", "orch"], ["graph", "orch"]] {
        let mut command = Command::new(EXE);
        command.args(words).current_dir(dir.path()).env_remove("SIGNALBOX_CONFIG");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        drop(child.stdout.take());
        let out = child.wait_with_output().expect("ended");
        let said = text(&out.stderr);
        assert!(out.status.code() == Some(0) && said.is_empty(), "{:?}: {said}", out.status);
    }
}
