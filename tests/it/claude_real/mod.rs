//! The real Claude Code in a real service, against a stand-in for the model: `bash tests/claude/run`.
//!
//! Not part of the default suite: it needs the agent's package. What the agent wrote in such runs
//! is kept under `tests/fixtures/agents/` and read there by the parser's own tests.

mod stand_in;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use signalbox::engine::model::{Body, Millis, Phase, RunEnd, Task};
use signalbox::shell::store::RunRow;

use super::house::{House, Running};
use stand_in::{Mode, StandIn};

/// One agent, one artefact.
const PIPELINE: &str = r#"
schema = 1
extends = "base"
flow = ["created", "review", "done"]
[stages.review]
pass = ["review_doc"]
on."verdict.changes" = "unset"
on."review_doc.changes" = { rerun = "reviewer", uses = "rework", note = "fix_review" }
on."signal.reject" = { rerun = "reviewer", note = "rejected" }
[serial_gate]
guards = ["review"]
"#;

struct Scene {
    house: House,
    model: StandIn,
}

impl Scene {
    async fn new(mode: Mode) -> Self {
        let model = StandIn::start(mode).await;
        let set = "\"agents.reviewer.program\" = \"claude\"\n\"agents.reviewer.grace\" = \"3s\"";
        let mut house = House::new("tiny", "", "", set, "");
        house.write("pipelines/tiny.toml", PIPELINE);
        let vars = [
            ("ANTHROPIC_BASE_URL", model.url.as_str()),
            ("ANTHROPIC_API_KEY", "none"),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("DISABLE_AUTOUPDATER", "1"),
            // Ten tries take three minutes; two show the same.
            ("CLAUDE_CODE_MAX_RETRIES", "1"),
        ];
        house.agent_env = BTreeMap::from(vars.map(|(k, v)| (k.to_owned(), v.to_owned())));
        Self { house, model }
    }

    /// Starts a task; waits until the ends of `enough` of its runs have been answered.
    async fn play(&self, enough: usize) -> (Running, Task, Vec<RunRow>) {
        let running = self.house.start().await;
        let item = running.new_task("Look at it").await;
        for _ in 0..900 {
            if running.steps(&item, |b| matches!(b, Body::RunEnded(_))).await.len() >= enough {
                let task = running.task(&item).await.expect("a task");
                let runs = running.service.store.runs(task.id).await.expect("the store");
                return (running, task, runs);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no end in 90 s: {}", self.log());
    }

    fn log(&self) -> String {
        let logs = fs::read_dir(self.house.path("data/runs")).map(|d| d.flatten().map(|e| e.path()).collect::<Vec<_>>());
        let logs = logs
            .unwrap_or_default()
            .into_iter()
            .filter(|p| p.extension().is_some_and(|e| e == "log"));
        let all: Vec<char> = logs
            .flat_map(|p| fs::read_to_string(p).unwrap_or_default().chars().collect::<Vec<_>>())
            .collect();
        all[all.len().saturating_sub(4000)..].iter().collect()
    }
}

/// Processes that know of this folder: by their environment, or by where they are.
fn processes_of(folder: &Path) -> Vec<String> {
    let mine = std::process::id();
    let folder = folder.to_string_lossy().into_owned();
    let all = fs::read_dir("/proc").expect("/proc").flatten();
    let found = all.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok().filter(|p| *p != mine)?;
        let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
        let cwd = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let knows = String::from_utf8_lossy(&environ).contains(&folder) || cwd.to_string_lossy().contains(&folder);
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        knows.then(|| format!("{pid} {}", String::from_utf8_lossy(&line).replace('\0', " ")))
    });
    found.collect()
}

#[test]
#[ignore = "needs the package: bash tests/claude/run"]
fn claude_real_says_its_version() {
    // B-Q 7: the very check that costs nothing.
    let out = Command::new("claude").arg("--version").output().expect("claude is on the path");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success() && said.starts_with("2.1."), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the package: bash tests/claude/run"]
async fn claude_real_good_run() {
    let scene = Scene::new(Mode::Good).await;
    let (running, task, runs) = scene.play(1).await;
    assert_eq!(runs[0].end, Some(RunEnd::Ok), "{}", scene.log());
    let task = running.until(&task.item, "done", |t| t.control.phase == Phase::Done).await;
    // B-RUN 5.
    let (usage, notes) = (runs[0].usage.expect("usage"), runs[0].notes.clone().expect("notes"));
    assert_eq!((usage.input_tokens, usage.output_tokens), (2 * 6500, 50), "two turns");
    assert!(
        usage.cost_usd > 0.0 && notes.turns == 2 && notes.denied == 0 && notes.session.is_some(),
        "{notes:?}"
    );
    assert!(notes.model.is_some_and(|m| m.starts_with("claude")));
    assert_eq!(scene.model.asked(), 2);
    assert_eq!(runs.len(), 1, "one run was enough for {}", task.item);
    running.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the package: bash tests/claude/run"]
async fn claude_real_refused_tool() {
    let scene = Scene::new(Mode::Refused).await;
    let (running, task, runs) = scene.play(2).await;
    for run in &runs {
        assert!(
            matches!(&run.end, Some(RunEnd::Denied { tools }) if tools == "WebFetch (1 call)"),
            "{:?}\n{}",
            run.end,
            scene.log()
        );
        assert_eq!(
            run.exit.as_ref().map(|e| e["code"].clone()),
            Some(0.into()),
            "exit 0, and no success"
        );
    }
    assert!(
        task.ledger.failure.is_some_and(|f| f.contains("WebFetch")),
        "people are told which tool"
    );
    running.close().await;

    let scene = Scene::new(Mode::RefusedThenGood).await;
    let (running, task, runs) = scene.play(1).await;
    assert_eq!(runs[0].end, Some(RunEnd::Ok), "what was due is there");
    assert_eq!(runs[0].notes.clone().expect("notes").denials, ["WebFetch"], "and it shows");
    running.until(&task.item, "done", |t| t.control.phase == Phase::Done).await;
    running.close().await;
}

/// The run was weather and the job waits; how long.
async fn weather(scene: &Scene, status: &str) -> Millis {
    let (running, task, runs) = scene.play(1).await;
    let end = runs[0].end.clone();
    assert!(
        matches!(&end, Some(RunEnd::Transient { detail, .. }) if detail.contains(status)),
        "{end:?}\n{}",
        scene.log()
    );
    let slot = &task.control.slots["reviewer"];
    assert_eq!((slot.transient, slot.attempts), (1, 0), "no attempt is used up");
    let jobs = running.service.store.jobs(task.id).await.expect("the store");
    let wait = jobs[0].available_at.since(runs[0].ended_at.expect("ended"));
    running.end(&task.item).await;
    running.close().await;
    wait
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the package: bash tests/claude/run"]
async fn claude_real_overload() {
    let scene = Scene::new(Mode::Overloaded).await;
    let wait = weather(&scene, "529").await;
    assert!(scene.model.asked() >= 2, "it tried again itself");
    assert!(wait >= Millis::secs(19), "{wait:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the package: bash tests/claude/run"]
async fn claude_real_rate_limit() {
    let scene = Scene::new(Mode::Limited).await;
    let wait = weather(&scene, "429").await;
    assert_eq!(scene.model.asked(), 1, "told to wait for more than a minute, it leaves that to us");
    // It does not pass on for how long: our own back-off has to do.
    assert!(wait >= Millis::secs(19) && wait <= Millis::secs(21), "{wait:?}");
    let told = Scene::new(Mode::LimitedInWords).await;
    let wait = weather(&told, "429").await;
    assert!(wait >= Millis::secs(119), "{wait:?}");
}

/// Stops the task while its agent is at work; nothing of it is left.
async fn stopped(mode: Mode, at_work: impl Fn(&[String]) -> bool) {
    let scene = Scene::new(mode).await;
    let folder = scene.house.path("data");
    let running = scene.house.start().await;
    let item = running.new_task("Look at it").await;
    let mut seen = Vec::new();
    for _ in 0..300 {
        seen = processes_of(&folder);
        if scene.model.asked() > 0 && at_work(&seen) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(at_work(&seen), "{seen:#?}\n{}", scene.log());
    running.end(&item).await;
    assert_eq!(processes_of(&folder), Vec::<String>::new(), "a stop is over when they are gone");
    let task = running.task(&item).await.expect("a task");
    let runs = running.service.store.runs(task.id).await.expect("the store");
    assert!(runs.iter().all(|r| matches!(r.end, Some(RunEnd::Killed(_)))), "{:?}", runs[0].end);
    running.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the package: bash tests/claude/run"]
async fn claude_real_stop_in_the_middle_of_an_answer() {
    stopped(Mode::Slow, |seen| seen.iter().any(|p| p.contains("claude"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the package: bash tests/claude/run"]
async fn claude_real_stop_in_the_middle_of_a_tool() {
    let both = |seen: &[String]| {
        ["tail -f /dev/null", "tail -F /dev/null"]
            .iter()
            .all(|s| seen.iter().any(|p| p.contains(s)))
    };
    stopped(Mode::Hang, both).await;
}
