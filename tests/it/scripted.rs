//! The scripted agent plays its parts in real checkouts.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use signalbox::engine::model::{Millis, RunEnd};
use signalbox::engine::rules::Output as Written;
use signalbox::scripted::{Entry, Phase};
use signalbox::shell::process::{Exit, classify, report};

struct Checkout {
    dir: tempfile::TempDir,
}

impl Checkout {
    fn new() -> Self {
        let checkout = Self {
            dir: tempfile::tempdir().expect("a directory"),
        };
        fs::create_dir(checkout.path("co")).expect("checkout");
        checkout.git(&["init", "-q", "-b", "main"]);
        checkout.git(&["commit", "-q", "--allow-empty", "-m", "first"]);
        checkout
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path("co"))
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default());
        command.env("HOME", self.dir.path()).env("SIGNALBOX_MARKER", self.path("marker"));
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "agent")
                .env(format!("GIT_{who}_EMAIL"), "agent@example.org");
        }
        command
    }

    fn git(&self, args: &[&str]) -> String {
        let out = self.command("git").args(args).output().expect("git");
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Runs an agent with these acts; the ledger counts across calls.
    fn run(&self, agent: &str, run: i64, acts: &[&str], expects: Value) -> Output {
        let context = json!({"task": {"id": 7, "item": "ORCH-001", "title": "a title"}, "stage": "review", "visit": 2, "agent": agent,
            "run": run, "attempt": 1, "nonce": format!("n{run}"), "artefacts": "docs/work-items/ORCH-001", "expects": expects});
        fs::write(self.path("context.json"), context.to_string()).expect("context");
        let script = self.path("script.toml");
        fs::write(
            &script,
            format!("ledger = {:?}\n[agents.{agent}]\ndo = {acts:?}\n", self.path("ledger")),
        )
        .expect("script");
        let mut command = self.command(env!("CARGO_BIN_EXE_signalbox"));
        command
            .args(["scripted-agent", "--script"])
            .arg(script)
            .env("SIGNALBOX_CONTEXT", self.path("context.json"));
        command.output().expect("an agent")
    }

    fn review(&self, run: i64, act: &str) -> Output {
        let expects = json!([{"file": "12-review.md", "key": "verdict", "values": ["APPROVED", "REQUEST_CHANGES"]}]);
        self.run("reviewer", run, &[act], expects)
    }

    fn artefact(&self, name: &str) -> String {
        fs::read_to_string(self.path("co/docs/work-items/ORCH-001").join(name)).unwrap_or_default()
    }

    fn header(&self, name: &str) -> Value {
        let text = self.artefact(name);
        let header = text
            .strip_prefix("---\n")
            .and_then(|t| t.split_once("---\n"))
            .map(|(h, _)| h.to_owned());
        yaml_serde::from_str(&header.unwrap_or(text)).expect("a readable header")
    }

    fn ledger(&self) -> Vec<Entry> {
        let text = fs::read_to_string(self.path("ledger")).unwrap_or_default();
        text.lines().map(|l| serde_json::from_str(l).expect("a ledger line")).collect()
    }
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn it_writes_what_is_expected_and_commits_every_other_time() {
    let checkout = Checkout::new();
    let expects = json!([{"file": "01-brd.md"}, {"file": "04-test-plan.yaml"}, {"glob": "06-adr/*.md"}]);
    assert_eq!(code(&checkout.run("analyst", 3, &["ok"], expects.clone())), Some(0));
    let header = checkout.header("06-adr/0001-scripted.md");
    assert_eq!(
        (&header["run"], &header["work_item"], &header["author_agent"]),
        (&json!("n3"), &json!("ORCH-001"), &json!("analyst"))
    );
    assert_eq!(checkout.header("04-test-plan.yaml")["stage"], "review");
    assert_eq!(
        checkout.git(&["rev-list", "--count", "HEAD"]).trim(),
        "1",
        "an odd run leaves its files"
    );
    assert_eq!(code(&checkout.run("analyst", 4, &["ok"], expects)), Some(0));
    assert_eq!(checkout.git(&["rev-list", "--count", "HEAD"]).trim(), "2");
    assert_eq!(checkout.git(&["status", "--porcelain"]), "", "an even run commits them");
}

#[test]
fn a_developer_commits_as_who_the_environment_says() {
    let checkout = Checkout::new();
    for run in [1, 2] {
        assert_eq!(code(&checkout.run("developer", run, &["ok"], json!([]))), Some(0));
    }
    assert_eq!(checkout.git(&["log", "-2", "--format=%an"]), "agent\nagent\n");
    assert_eq!(
        fs::read_to_string(checkout.path("co/src/feature-ORCH-001.txt"))
            .expect("code")
            .lines()
            .count(),
        2
    );
    assert_eq!(code(&checkout.run("developer", 5, &["forge_verdict"], json!([]))), Some(0));
    assert_eq!(checkout.header("12-review.md")["verdict"], "APPROVED");
}

#[test]
fn the_ledger_counts_runs_and_the_last_act_repeats() {
    let checkout = Checkout::new();
    let expects = json!([{"file": "12-review.md", "key": "verdict", "values": ["APPROVED", "REQUEST_CHANGES"]}]);
    let mut verdicts = Vec::new();
    for run in 1..=4 {
        let out = checkout.run("reviewer", run, &["changes", "crash", "ok"], expects.clone());
        verdicts.push((
            code(&out),
            checkout.header("12-review.md")["verdict"].as_str().unwrap_or_default().to_owned(),
        ));
    }
    let want = [
        (Some(0), "REQUEST_CHANGES"),
        (None, "REQUEST_CHANGES"),
        (Some(0), "APPROVED"),
        (Some(0), "APPROVED"),
    ];
    assert_eq!(verdicts, want.map(|(c, v)| (c, v.to_owned())));
    let ends: Vec<i64> = checkout.ledger().iter().filter(|e| e.phase == Phase::End).map(|e| e.run).collect();
    let starts: Vec<i64> = checkout
        .ledger()
        .iter()
        .filter(|e| e.phase == Phase::Start)
        .map(|e| e.run)
        .collect();
    assert_eq!((starts, ends), (vec![1, 2, 3, 4], vec![1, 3, 4]), "one that crashed has no end");
}

#[test]
fn lies_are_told_as_scripted() {
    let checkout = Checkout::new();
    checkout.review(1, "ok");
    let before = checkout.artefact("12-review.md");
    assert_eq!(code(&checkout.review(3, "stale_verdict")), Some(0));
    assert_eq!(checkout.artefact("12-review.md"), before);
    assert!(checkout.artefact("12-review-notes.md").contains("n3"));
    checkout.review(5, "wrong_nonce");
    assert_eq!(checkout.header("12-review.md")["run"], "not-this-run");
    checkout.review(7, "body_quote");
    assert_eq!(checkout.header("12-review.md")["verdict"], "APPROVED");
    assert!(checkout.artefact("12-review.md").contains("\nverdict: REQUEST_CHANGES\n"));
    checkout.review(9, "outside");
    assert!(checkout.path("co/src/hacked.txt").exists());
    checkout.review(11, "questions");
    checkout.review(13, "conflict");
    assert!(checkout.artefact("01-questions.md").contains('?') && checkout.artefact("10-conflict.md").contains("contradict"));
}

#[test]
fn exits_and_noise() {
    let checkout = Checkout::new();
    assert_eq!(code(&checkout.review(1, "exit:9")), Some(9));
    assert_eq!(code(&checkout.review(1, "nothing")), Some(0));
    assert_eq!(checkout.artefact("12-review.md"), "");
    assert_eq!(code(&checkout.review(1, "slow:20")), Some(0));
    for unknown in ["sing", "exit", "exit:soon", "ok:1"] {
        let out = checkout.review(1, unknown);
        assert_eq!(code(&out), Some(64), "{unknown}");
        assert!(String::from_utf8_lossy(&out.stderr).contains(unknown), "{unknown}");
    }
    let noisy = checkout.review(1, "noisy:10");
    assert!(noisy.status.success() && std::str::from_utf8(&noisy.stdout).is_err());
}

#[test]
fn rate_limits_are_classified_as_they_were_meant() {
    let checkout = Checkout::new();
    let patterns = [regex::Regex::new("(?i)429|rate.limit|timeout").expect("a pattern")];
    let end = |out: &Output| {
        let tail = String::from_utf8_lossy(&[&out.stdout[..], &out.stderr].concat()).into_owned();
        classify(
            &Exit {
                code: code(out),
                ..Exit::default()
            },
            "1.log",
            Some(&tail),
            &report::of(tail.as_bytes(), Written::Auto),
            Written::Auto,
            &patterns,
        )
    };
    let limited = end(&checkout.review(1, "429"));
    assert!(
        matches!(
            limited,
            RunEnd::Transient {
                retry_after: Some(Millis(1000)),
                ..
            }
        ),
        "{limited:?}"
    );
    assert_eq!(end(&checkout.review(1, "mention_429_ok")), RunEnd::Ok);
}

#[test]
fn traps_are_live_in_the_checkout_and_harmless_to_their_maker() {
    let checkout = Checkout::new();
    checkout.run("developer", 2, &["plant"], json!([]));
    let marker = || fs::read_to_string(checkout.path("marker")).unwrap_or_default();
    assert_eq!(marker(), "", "its own git sprang them");
    checkout.git(&["status", "--porcelain"]);
    assert!(marker().contains("fsmonitor"), "{}", marker());
    checkout.git(&["add", "-A"]);
    checkout.git(&["commit", "-q", "-m", "naive"]);
    let fetch = checkout
        .command("git")
        .args(["ls-remote", "/some/vault.git"])
        .output()
        .expect("git");
    assert!(!fetch.status.success());
    for trap in ["filter", "hooks/pre-commit", "hooks/reference-transaction", "url"] {
        assert!(marker().lines().any(|l| l == trap), "{trap} is not live: {}", marker());
    }
}

#[test]
fn a_broken_repository_is_broken() {
    let checkout = Checkout::new();
    assert_eq!(code(&checkout.run("developer", 2, &["break_git"], json!([]))), Some(0));
    assert!(checkout.path("co/.git").is_file());
    assert!(!checkout.command("git").args(["status"]).output().expect("git").status.success());
}

#[test]
fn without_a_context_it_says_what_is_missing() {
    let out = Command::new(env!("CARGO_BIN_EXE_signalbox"))
        .arg("scripted-agent")
        .env_clear()
        .output()
        .expect("an agent");
    assert_eq!(code(&out), Some(66));
    assert!(String::from_utf8_lossy(&out.stderr).contains("SIGNALBOX_CONTEXT"));
}
