//! Who may name whom: the path of a source file answers "may this touch the world?".

use std::fs;
use std::path::{Path, PathBuf};

/// A Rust source file without comments, and without what follows its `#[cfg(test)]`.
struct Source {
    path: String,
    code: String,
    whole: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    walk(&root.join("src"), &mut found);
    assert!(found.len() > 50, "the sources were not found");
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let whole: String = text.lines().map(strip).collect::<Vec<_>>().join("\n");
            let code = whole.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
            let path = path.strip_prefix(root).unwrap().display().to_string();
            Source { path, code, whole }
        })
        .collect()
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// A line without its comment. A `//` inside a string ends the line too: that can only hide a
/// name from the rules when it stands behind it on the same line.
fn strip(line: &str) -> String {
    line.split("//").next().unwrap_or_default().to_owned()
}

impl Source {
    fn below(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// Whether the code names `path` (`std::fs`), directly or inside `std::{fs, …}`.
    fn names(&self, path: &str) -> bool {
        let (root, member) = path.split_once("::").unwrap_or((path, ""));
        let direct = if member.is_empty() {
            format!("{root}::")
        } else {
            format!("{root}::{member}")
        };
        if self.words(&direct) {
            return true;
        }
        self.code.match_indices(&format!("{root}::{{")).any(|(at, open)| {
            let rest = &self.code[at + open.len()..];
            let group = rest.split(';').next().unwrap_or_default();
            group
                .split(['{', '}', ','])
                .any(|m| m.trim().split("::").next() == Some(member) && !member.is_empty())
        })
    }

    /// Whether `text` stands in the code at the border of a word.
    fn words(&self, text: &str) -> bool {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        self.code.match_indices(text).any(|(at, _)| {
            let before = self.code[..at].chars().next_back();
            let after = self.code[at + text.len()..].chars().next();
            !before.is_some_and(|c| word(c) || c == ':' || c == '.') && (text.ends_with(':') || !after.is_some_and(word))
        })
    }
}

fn offenders(rule: impl Fn(&Source) -> Option<String>) -> Vec<String> {
    sources()
        .iter()
        .filter(|s| !s.is_test())
        .filter_map(|s| rule(s).map(|why| format!("{}: {why}", s.path)))
        .collect()
}

#[test]
fn the_engine_touches_nothing_outside() {
    let banned = [
        "tokio",
        "axum",
        "rusqlite",
        "reqwest",
        "nix",
        "rustix",
        "tracing",
        "std::fs",
        "std::env",
        "std::net",
        "std::process",
        "std::thread",
        "std::time",
        "std::os",
        "crate::shell",
        "crate::cli",
        "crate::scripted",
    ];
    let found = offenders(|s| {
        s.below("src/engine/")
            .then(|| banned.iter().find(|b| s.names(b)).map(|b| format!("names {b}")))
            .flatten()
    });
    assert!(found.is_empty(), "{found:#?}");
    let found =
        offenders(|s| (s.below("src/engine/") && (s.words("async fn") || s.code.contains(".await"))).then(|| "is async".to_owned()));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn sql_and_scripts_have_one_home_each() {
    let found = offenders(|s| (!s.below("src/shell/store") && s.names("rusqlite")).then(|| "names rusqlite".to_owned()));
    assert!(found.is_empty(), "{found:#?}");
    let found = offenders(|s| (!s.below("src/engine/script") && s.names("rhai")).then(|| "names rhai".to_owned()));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn adapters_do_not_know_one_another() {
    // Rows of the local tracker and forge live in the store; the local forge is made of git.
    let allowed: [(&str, &[&str]); 6] = [
        ("store", &[]),
        ("git", &[]),
        ("process", &[]),
        ("chat", &[]),
        ("tracker", &["store"]),
        ("forge", &["git", "store"]),
    ];
    for (adapter, may) in allowed {
        let others = [
            "store", "git", "process", "chat", "tracker", "forge", "perform", "run", "web", "door", "view",
        ];
        let found = offenders(|s| {
            let own = format!("src/shell/{adapter}");
            (s.below(&own))
                .then(|| {
                    others
                        .iter()
                        .filter(|o| **o != adapter && !may.contains(o))
                        .find(|o| s.words(&format!("crate::shell::{o}")) || s.words(&format!("crate::shell::{o}::")))
                        .map(|o| format!("names {o}"))
                })
                .flatten()
        });
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn only_the_loop_calls_step_and_only_the_queue_calls_schedule() {
    let calls = |s: &Source, call: &str| s.words(call);
    let step =
        offenders(|s| (!s.below("src/engine/") && s.path != "src/shell/run.rs" && calls(s, "step::step")).then(|| "calls step".to_owned()));
    assert!(step.is_empty(), "{step:#?}");
    let schedule = offenders(|s| {
        (!s.below("src/engine/") && s.path != "src/shell/queue.rs" && s.names("crate::engine::schedule"))
            .then(|| "names schedule".to_owned())
    });
    assert!(schedule.is_empty(), "{schedule:#?}");
}

#[test]
fn the_command_line_reaches_the_world_through_the_shell() {
    let found = offenders(|s| (s.below("src/shell/") && s.words("crate::cli")).then(|| "names the command line".to_owned()));
    assert!(found.is_empty(), "{found:#?}");
}

/// What of the code names two phases in one breath, compares with "live", or hides their names: a
/// second definition of "over". Match arms of their own are none.
fn second_terminal(code: &str) -> Option<String> {
    let hidden = ["Phase::*", "Phase::{", "== Phase::Live", "!= Phase::Live", "(Phase::Live)"];
    if let Some(word) = hidden.iter().find(|w| code.contains(**w)) {
        return Some(format!("{word}: ask Task::terminal or Phase::life"));
    }
    let phases = ["Phase::Unborn", "Phase::Live", "Phase::Done", "Phase::Cancelled"];
    let arms = code.replace("=>", ";");
    let two = arms
        .split([';', '{', '}'])
        .find(|piece| phases.iter().filter(|p| piece.contains(**p)).count() > 1)?;
    Some(format!("two phases in one breath: {}", two.trim()))
}

#[test]
fn terminal_is_defined_once() {
    let found = offenders(|s| {
        let asks = s.path != "src/engine/model/task.rs" && !s.below("src/scripted/");
        asks.then(|| second_terminal(&s.code)).flatten()
    });
    assert!(found.is_empty(), "a second definition of \"over\": {found:#?}");
    for second in [
        "matches!(t.phase, Phase::Done | Phase::Cancelled)",
        "t.phase == Phase::Cancelled || t.phase == Phase::Done",
        "!matches!(t.phase, Phase::Unborn | Phase::Live)",
        "t.phase != Phase::Live",
        "use Phase::*; x",
        "match p { Phase::Done\n| Phase::Cancelled => true, _ => false }",
    ] {
        assert!(second_terminal(second).is_some(), "{second}");
    }
    assert_eq!(second_terminal("match p { Phase::Done => 1, Phase::Cancelled => 2, _ => 3 }"), None);
}

/// In SQL, too, "over" is asked of one column, which the schema itself ties to the phase. Whether
/// a task has given its keys back is another question: `phase = 'cancelled'`.
fn second_in_sql(code: &str) -> Option<String> {
    let text = code.replace([' ', '"', '\\', '\n'], "");
    let free = text.replace("phase='cancelled'", "").replace("phase<>'cancelled'", "");
    let words = ["phaseIN(", "phaseNOTIN(", "phase='", "phase<>", "phase!='", "phase=?"];
    let word = words.iter().find(|w| free.contains(**w))?;
    Some(format!("{word}…: asks for phases instead of `terminal`"))
}

#[test]
fn terminal_is_one_column_of_the_store() {
    let found = offenders(|s| {
        let writes = s.path == "src/shell/store/tasks.rs";
        let code = if writes {
            s.code.replace("phase = ?10", "")
        } else {
            s.code.clone()
        };
        s.below("src/shell/").then(|| second_in_sql(&code)).flatten()
    });
    assert!(found.is_empty(), "{found:#?}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/shell/store/migrations");
    let mut schema: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    schema.sort();
    let schema: String = schema.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let tied = "CHECK (terminal = (phase IN ('done', 'cancelled')))";
    assert_eq!(schema.matches(tied).count(), 1);
    assert_eq!(second_in_sql(&schema.replace(tied, "")), None, "the schema asks once");
    for second in [
        "WHERE phase IN ('done', 'cancelled')",
        "phase = 'done' OR phase = 'cancelled'",
        "t.phase <> 'live'",
        "phase = ?1",
    ] {
        assert!(second_in_sql(second).is_some(), "{second}");
    }
}

#[test]
fn nothing_is_left_unfinished() {
    let marks = ["todo!(", "unimplemented!(", "dbg!("];
    let found: Vec<String> = sources()
        .iter()
        .filter_map(|s| marks.iter().find(|m| s.whole.contains(*m)).map(|m| format!("{}: {m}", s.path)))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// Whoever meets a code looks it up: what it means, who clears it, and how.
#[test]
fn every_code_of_why_is_explained() {
    let read = |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let model = read("src/engine/model/reason.rs");
    let (_, codes) = model.split_once("impl Code {").unwrap();
    let (codes, _) = codes.split_once("\n}\n").unwrap();
    let mut codes: Vec<&str> = codes
        .lines()
        .filter_map(|line| line.split_once("=> \"")?.1.strip_suffix("\","))
        .collect();
    assert!(codes.len() > 20, "{codes:?}");
    // Of no one task: views add them.
    codes.extend(["DEGRADED", "UNHEARD"]);
    let page = read("docs/operations.md");
    let (_, page) = page.split_once("## Why a task waits\n").unwrap();
    let (page, _) = page.split_once("\n## ").unwrap();
    for code in codes {
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with(&format!("| `{code}` | "))).collect();
        let told = rows
            .iter()
            .all(|row| row.split('|').filter(|cell| !cell.trim().is_empty()).count() == 3);
        assert!(rows.len() == 1 && told, "{code}: {rows:?}");
    }
}
