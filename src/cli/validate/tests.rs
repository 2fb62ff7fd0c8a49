use std::fs;
use std::time::{Duration, Instant};

use super::*;
use crate::shell::embedded::embedded;

const GOOD: &str = include_str!("../../../tests/configs/valid/local/signalbox.toml");
const WARNED: &str = "schema = 1\nextends = \"local\"\n[counters.idle]\nmax = 1\n";

fn write(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn ask(dir: &Path, strict: bool, format: Format) -> (String, i32) {
    let request = Request {
        dir: Some(dir),
        format,
        strict,
        no_proof: true,
        ..Request::default()
    };
    answer(&request, &embedded(), jiff::civil::date(2026, 6, 1), false)
}

fn validate(files: &[(&str, &str)], strict: bool, format: Format) -> (String, i32) {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(p, t)| (*p, t.as_bytes())).collect();
    ask(write(&files).path(), strict, format)
}

fn json_of(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn good_rules_are_fine() {
    let (text, status) = validate(&[("signalbox.toml", GOOD)], true, Format::Human);
    assert_eq!(status, CLEAN, "{text}");
    assert!(text.contains("1 project, 4 pipelines: fine"), "{text}");
}

#[test]
fn errors_are_10_and_are_shown_with_their_line() {
    let (text, status) = validate(&[("signalbox.toml", "schema = 1\nlisten = 5\n")], false, Format::Human);
    assert_eq!(status, ERRORS);
    assert!(text.contains("SB0106") && text.contains("signalbox.toml:2:10"), "{text}");
}

#[test]
fn warnings_count_only_when_strict() {
    assert_eq!(validate(&[("pipelines/mine.toml", WARNED)], false, Format::Human).1, CLEAN);
    assert_eq!(validate(&[("pipelines/mine.toml", WARNED)], true, Format::Human).1, WARNINGS);
    let allowed = WARNED.replace(
        "[counters.idle]",
        "[counters.idle] # signalbox: allow SB0211 until 2026-06-01: for the test",
    );
    assert_eq!(validate(&[("pipelines/mine.toml", &allowed)], true, Format::Human).1, CLEAN);
}

#[test]
fn json_is_json() {
    let (text, status) = validate(&[("signalbox.toml", "schema = 2")], false, Format::Json);
    assert_eq!((status, &json_of(&text)["diagnostics"][0]["code"]), (ERRORS, &json!("SB0107")));
}

#[test]
fn sarif_has_the_shape_that_readers_need() {
    let own = WARNED
        .replace("idle", "idle1 # ж\nx = 1\n[counters.idle")
        .replace("idle1 # ж", "idle1] # ж");
    let (text, _) = validate(
        &[("pipelines/my own.toml", &own), ("signalbox.toml", "schema = 2\n")],
        false,
        Format::Sarif,
    );
    let log = json_of(&text);
    assert_eq!((&log["version"], log["runs"].as_array().unwrap().len()), (&json!("2.1.0"), 1));
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "signalbox");
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert!(results.len() >= 3);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning"].contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(!uri.contains(' ') && !uri.contains("(built"), "{uri}");
        let region = &place["region"];
        for key in ["startLine", "startColumn", "endLine", "endColumn"] {
            assert!(region[key].as_u64().unwrap() >= 1, "{key}");
        }
    }
    assert!(text.contains("my%20own.toml"), "{text}");
}

#[test]
fn github_gets_one_command_per_finding() {
    let (text, status) = validate(&[("pipelines/mine.toml", WARNED)], true, Format::Github);
    assert_eq!(status, WARNINGS);
    let line = text.lines().next().unwrap();
    assert!(
        line.starts_with("::warning file=") && line.contains("line=3,col=11,title=SB0211::"),
        "{line}"
    );
    assert!(line.contains("%0Ahelp: "), "{line}");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn unreadable_files_are_errors_beside_the_others() {
    let dir = write(&[("signalbox.toml", b"\xff\xfeh\0"), ("pipelines/mine.toml", WARNED.as_bytes())]);
    let (text, status) = ask(dir.path(), false, Format::Json);
    let value = json_of(&text);
    assert_eq!((status, &value["errors"], &value["warnings"]), (ERRORS, &json!(1), &json!(1)));
    let first = value["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .find(|d| d["code"] == "SB0110")
        .unwrap();
    assert!(first["message"].as_str().unwrap().contains("UTF-16"));
    for format in [Format::Human, Format::Sarif, Format::Github] {
        assert!(ask(dir.path(), false, format).0.contains("UTF-16"), "{format:?}");
    }
}

#[test]
fn a_missing_directory_is_a_usage_error_in_every_format() {
    let nowhere = Path::new("/nowhere/at/all");
    for format in [Format::Human, Format::Json, Format::Sarif, Format::Github] {
        let (text, status) = ask(nowhere, false, format);
        assert!(status == USAGE && text.contains("/nowhere/at/all"), "{text}");
    }
}

#[test]
fn pages_are_printed() {
    let page = |code| {
        let request = Request {
            explain: Some(code),
            ..Request::default()
        };
        answer(&request, &embedded(), jiff::civil::date(2026, 6, 1), false)
    };
    let (text, status) = page("sb0303");
    assert!(status == CLEAN && text.starts_with("SB0303: "), "{text}");
    assert_eq!(page("SB9999").1, USAGE);
}

#[test]
fn commands_are_looked_for_only_here() {
    let dir = write(&[("signalbox.toml", GOOD.as_bytes()), ("agent.sh", b"#!/bin/sh\n")]);
    let here = |dir: &Path| {
        let request = Request {
            no_proof: true,
            dir: Some(dir),
            here: true,
            strict: true,
            ..Request::default()
        };
        answer(&request, &embedded(), jiff::civil::date(2026, 6, 1), false)
    };
    assert_eq!(ask(dir.path(), true, Format::Human).1, CLEAN);
    let (text, status) = here(dir.path());
    assert!(
        status == WARNINGS && text.contains("SB0607") && text.contains("0 errors, 1 warning"),
        "{text}"
    );
    fs::set_permissions(dir.path().join("agent.sh"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(here(dir.path()).1, CLEAN);
    fs::write(dir.path().join("signalbox.toml"), GOOD.replace("./agent.sh", "sh")).unwrap();
    assert_eq!(here(dir.path()).1, CLEAN);
}

/// Files that are no rules at all. Each must be answered in a moment and within bounds: neither a
/// hang nor megabytes of text. The bound on time is generous: it tells seconds from minutes.
fn hopeless(dir: &Path, what: &str) -> String {
    let begun = Instant::now();
    let mut human = String::new();
    for format in [Format::Human, Format::Json, Format::Github, Format::Sarif] {
        let (text, status) = ask(dir, false, format);
        assert_eq!(status, ERRORS, "{what}: {}", text.chars().take(2000).collect::<String>());
        assert!(text.len() < 2_000_000, "{what}: {format:?} wrote {} bytes", text.len());
        if format == Format::Human {
            assert!(text.len() < 200_000, "{what}: {} bytes", text.len());
            human = text;
        }
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(120), "{what} took {took:?}");
    human
}

fn hopeless_text(what: &str, text: &[u8]) -> String {
    hopeless(write(&[("pipelines/mine.toml", text)]).path(), what)
}

#[test]
fn a_thousand_errors_are_counted_and_a_hundred_shown() {
    let many: String = (0..1000).map(|i| format!("key{i} = 1\n")).collect();
    let text = hopeless_text("a thousand keys", format!("schema = 1\n{many}").as_bytes());
    assert!(
        text.contains("… and 900 more") && text.contains("1000 errors, 0 warnings"),
        "{text}"
    );
    assert_eq!(text.matches("error[").count(), 100);
}

#[test]
fn too_many_keys_are_refused_as_a_whole() {
    let many: String = (0..60_000).map(|i| format!("key{i} = 1\n")).collect();
    let text = hopeless_text("sixty thousand keys", many.as_bytes());
    assert!(text.contains("more than 4000 keys"), "{text}");
    let nested: String = (0..3000).map(|i| format!("[stages.s{i}]\nwork = [\"a{i}\"]\n")).collect();
    hopeless_text("three thousand stages", format!("schema = 1\n{nested}").as_bytes());
}

#[test]
fn broken_syntax_everywhere_is_bounded() {
    let text = hopeless_text("half a megabyte of signs", "= ] [ \" }\n".repeat(60_000).as_bytes());
    assert!(text.contains("SB0101") && text.contains("more"), "{text}");
    hopeless_text("one key over and over", "schema = 1\n".repeat(20_000).as_bytes());
}

#[test]
fn very_long_lines_are_not_shown() {
    let long = format!("schema = 1\ncolour = \"{}\"\n", "ж".repeat(300_000));
    let text = hopeless_text("a long line", long.as_bytes());
    assert!(text.len() < 4000 && text.contains("pipelines/mine.toml:2:1"), "{text}");
    let list = format!("schema = 1\nflow = [{}]\n", "\"x\", ".repeat(3000));
    hopeless_text("a long list", list.as_bytes());
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{ a = ", " }")] {
        let deep = format!("schema = 1\nx = {}1{}\n", open.repeat(50_000), close.repeat(50_000));
        assert!(hopeless_text("deep nesting", deep.as_bytes()).contains("SB0101"));
    }
    let dotted = format!("schema = 1\n{} = 1\n", vec!["a"; 50_000].join("."));
    hopeless_text("a deep key", dotted.as_bytes());
}

#[test]
fn files_that_are_no_texts_are_refused() {
    assert!(hopeless_text("UTF-16", b"\xff\xfes\0c\0h\0").contains("UTF-16"));
    assert!(hopeless_text("noise", &[0x80; 5000]).contains("not UTF-8"));
    assert!(hopeless_text("zeros", &[0; 5000]).contains("NUL"));
    assert!(hopeless_text("UTF-16 without a mark", b"s\0c\0h\0").contains("UTF-16"));
    let dir = write(&[("signalbox.toml", b"schema = 1\n")]);
    let huge = dir.path().join("pipelines/huge.toml");
    fs::create_dir_all(huge.parent().unwrap()).unwrap();
    fs::File::create(&huge).unwrap().set_len(100 * 1024 * 1024).unwrap();
    assert!(hopeless(dir.path(), "100 MB").contains("1 MiB"));
    fs::remove_file(&huge).unwrap();
    fs::create_dir(&huge).unwrap();
    assert!(hopeless(dir.path(), "a directory").contains("directory"));
    fs::remove_dir(&huge).unwrap();
    nix::unistd::mkfifo(&huge, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(hopeless(dir.path(), "a pipe").contains("pipe"));
}

#[test]
fn scripts_and_texts_without_an_end_are_bounded() {
    let dir = write(&[
        ("pipelines/mine.toml", WARNED.as_bytes()),
        (
            "rules/deep.rhai",
            format!("fn f() {{ {}1{} }}", "(".repeat(20_000), ")".repeat(20_000)).as_bytes(),
        ),
        ("rules/long.rhai", "x ".repeat(400_000).as_bytes()),
        ("prompts/deep.md", "{% if title %}".repeat(20_000).as_bytes()),
        (
            "messages/en.toml",
            format!("[note]\na = \"{}\"\n", "{{ item ".repeat(20_000)).as_bytes(),
        ),
    ]);
    hopeless(dir.path(), "scripts and texts");
}

/// A pipeline that is proved at once.
const SMALL: &str = include_str!("../../../tests/configs/invalid/SB0801-asked-where-nobody-hears/pipelines/mine.toml");

#[test]
fn the_proof_is_an_error_of_its_own_and_is_kept() {
    let cache = tempfile::tempdir().unwrap();
    let broken = SMALL.replace("flow = [", "flow = [ # changed\n");
    let dir = write(&[("signalbox.toml", GOOD.as_bytes()), ("pipelines/mine.toml", broken.as_bytes())]);
    let project = |text: &str| text.replace("pipeline = \"local\"", "pipeline = \"mine\"");
    fs::write(dir.path().join("signalbox.toml"), project(GOOD)).unwrap();
    let ask = |format, no_proof| {
        let request = Request {
            dir: Some(dir.path()),
            format,
            no_proof,
            prover: Prover {
                cache: Some(cache.path().join("deep/er")),
                ..Prover::default()
            },
            ..Request::default()
        };
        answer(&request, &embedded(), jiff::civil::date(2026, 6, 1), false)
    };
    let (skipped, status) = ask(Format::Human, true);
    assert_eq!(status, CLEAN);
    assert!(skipped.contains("proof: skipped"), "{skipped}");
    let (first, status) = ask(Format::Json, false);
    assert_eq!(status, ERRORS, "{first}");
    let value = json_of(&first);
    assert_eq!(value["diagnostics"][0]["code"], "SB0801");
    assert!(
        value["proof"]
            .as_object()
            .unwrap()
            .values()
            .all(|p| p["states"].as_u64().unwrap() > 10)
    );
    // The second time it is read, however it got there; what has another shape is made anew.
    let kept: Vec<_> = fs::read_dir(cache.path().join("deep/er"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    let whole = fs::read(&kept[0]).unwrap();
    fs::write(&kept[0], String::from_utf8_lossy(&whole).replacen("\"states\":", "\"states\":1", 1)).unwrap();
    let (again, _) = ask(Format::Json, false);
    assert_ne!(json_of(&again)["proof"], value["proof"], "it was read");
    fs::write(&kept[0], "{}").unwrap();
    assert_eq!(json_of(&ask(Format::Json, false).0), value);
    assert_eq!(fs::read(&kept[0]).unwrap(), whole);
}
