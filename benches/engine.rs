//! What the pure engine costs: a step without a script and with one, the script alone, scheduling.
//!
//! `cargo bench --bench engine` prints times and, per call, what is allocated.

use std::collections::BTreeMap;
use std::sync::Arc;

use divan::{AllocProfiler, Bencher, black_box};
use signalbox::engine::model::{
    Actor, At, Body, CheckFact, CheckState, Decision, Event, Fact, FactKey, Facts, FileFact, FrontmatterFact, Head, HeadFact, Issue, JobId,
    MergeFact, Millis, Name, Phase, Repo, RepoId, RunEnd, RunId, RunReport, Seat, Seq, Slot, Task, TaskId, Usage, Value, Visit,
};
use signalbox::engine::rules::{Ruleset, load};
use signalbox::engine::schedule::{Bounds, OpenRun, Queue, WaitingJob, schedule, waits};
use signalbox::engine::script::ScriptArg;
use signalbox::engine::step::{needs, step};
use signalbox::shell::embedded::embedded;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

const T0: Millis = Millis(1_700_000_000_000);
const NONCE: &str = "0192f0c1-0000-7000-8000-000000000000";

fn main() {
    for (scene, what, stage, goal) in [
        (
            Scene::new("review", "reviewer", "verdict", "APPROVED"),
            "without a script",
            "testing",
            3.0,
        ),
        (
            Scene::new("deploy-staging", "deployer", "staging_status", "SUCCESS"),
            "with a script",
            "deploy",
            10.0,
        ),
    ] {
        println!("P5: one step {what:<18} {:>8.2} µs   goal ≤ {goal} µs", scene.micros(stage));
    }
    divan::main();
}

/// The shipped `orch`, bound to a project.
fn rules() -> Arc<Ruleset> {
    let mut files = embedded();
    let config = "schema = 1\n[projects.p]\npipeline = \"orch\"\nprefix = \"ORCH\"\ntracker = { kind = \"local\" }\n\
                  forge = { kind = \"local\", source = \"../p\" }\nset = { \"agents.*.run\" = [\"./agent.sh\"] }\n";
    files.insert("signalbox.toml", config, "signalbox.toml");
    Arc::clone(&load(&files).rulesets["p"])
}

fn head(commit: u32) -> Head {
    Head {
        sha: format!("{commit:040x}"),
        subject: format!("{:064x}", 7),
    }
}

/// A task half way, its agent at work at `stage`.
fn task(rules: &Ruleset, id: i64, stage: &str, slot: &str) -> Task {
    let mut task = Task::unborn("p".into(), RepoId(1), "issue-1", &rules.hash);
    task.id = TaskId(id);
    task.item = format!("ORCH-{id:03}");
    task.title = "Add a map of the yards".to_owned();
    task.branch = format!("feature/ORCH-{id:03}-add-a-map");
    task.control.phase = Phase::Live;
    task.control.stage = stage.into();
    task.control.at = At::Work;
    task.control.slots.insert(slot.into(), Slot::default());
    task.control.counters = rules.counters.keys().map(|c| (c.clone(), 0)).collect();
    task.ledger.visit = Visit { number: 9, entered_at: T0 };
    task.ledger.head = Some(head(4));
    task.ledger.round_base = Some(head(4).sha);
    for passed in ["analysis", "architecture", "development", "review", "testing"] {
        task.ledger.passed.insert(passed.into(), head(4).subject);
    }
    task
}

fn repo() -> Repo {
    let seat = Seat {
        task: TaskId(1),
        item: "ORCH-001".to_owned(),
        inside: true,
        passed: Vec::new(),
        since: T0,
    };
    Repo {
        id: RepoId(1),
        lane: vec![seat],
        ..Repo::default()
    }
}

fn event(body: Body) -> Event {
    Event {
        seq: Seq(90),
        at: T0,
        cause: None,
        actor: Actor::Service,
        body,
    }
}

/// The agent of the stage ended well.
fn ended(slot: &str) -> Event {
    event(Body::RunEnded(RunReport {
        run: RunId(12),
        job: JobId(12),
        visit: 9,
        slot: slot.into(),
        end: RunEnd::Ok,
        start: Some(head(4).sha),
        head: Some(head(5)),
        nonce: NONCE.to_owned(),
        wrote: vec!["docs/work-items/ORCH-001/12-review.md".to_owned()],
        usage: Usage::default(),
        heard: Seq(0),
    }))
}

fn frontmatter(key: &str, value: &str) -> Fact {
    let values = [
        ("work_item", "ORCH-001"),
        ("stage", "x"),
        ("run", NONCE),
        ("model_used", "m"),
        (key, value),
    ];
    let values = values.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    Fact::Known(Value::Frontmatter(FrontmatterFact { values }))
}

/// What the step asks for, answered: all is well, the artefact says `value`.
fn facts(rules: &Ruleset, task: &Task, event: &Event, key: &str, value: &str) -> Facts {
    let files = [
        "01-brd.md",
        "02-trz.md",
        "03-acceptance-criteria.md",
        "04-test-plan.yaml",
        "06-adr/1.md",
        "12-review.md",
        "15-staging-log.md",
    ];
    let file = |path: &str| FileFact {
        path: path.to_owned(),
        id: format!("{:040x}", path.len()),
        fresh: true,
    };
    let answer = |key_of: &FactKey| match key_of {
        FactKey::Issue => Fact::Known(Value::Issue(Issue::default())),
        FactKey::Head => Fact::Known(Value::Head(HeadFact {
            head: Some(head(5)),
            base: head(1).sha,
            descends: true,
            touched: vec!["src/map.rs".to_owned(); 20],
            commits: vec!["abc a change".to_owned(); 5],
        })),
        FactKey::Files => Fact::Known(Value::Files(files.iter().map(|f| file(f)).collect())),
        FactKey::Frontmatter(_) => frontmatter(key, value),
        FactKey::Checks => Fact::Known(Value::Checks(vec![CheckFact {
            context: "ci/test".to_owned(),
            state: if key == "pending" {
                CheckState::Pending
            } else {
                CheckState::Success
            },
        }])),
        FactKey::Reviews => Fact::Known(Value::Reviews(Vec::new())),
        FactKey::Mergeable => Fact::Known(Value::Mergeable(MergeFact {
            conflicts: Vec::new(),
            behind: false,
            base: head(1).sha,
        })),
        FactKey::Json(_) | FactKey::Text(_) => Fact::Absent,
    };
    Facts(
        needs(rules, task, event)
            .into_iter()
            .map(|key| (key.clone(), answer(&key)))
            .collect(),
    )
}

struct Scene {
    rules: Arc<Ruleset>,
    task: Task,
    repo: Repo,
    event: Event,
    facts: Facts,
}

impl Scene {
    fn new(stage: &str, slot: &str, key: &str, value: &str) -> Self {
        let rules = rules();
        let task = task(&rules, 1, stage, slot);
        let event = ended(slot);
        let facts = facts(&rules, &task, &event, key, value);
        Self {
            rules,
            task,
            repo: repo(),
            event,
            facts,
        }
    }

    /// Microseconds that the step takes, the quickest of many tenths of a second.
    fn micros(&self, leads_to: &str) -> f64 {
        let once = || step(black_box(&self.rules), black_box(&self.task), &self.repo, &self.event, &self.facts);
        assert_eq!(once().task.control.stage, leads_to);
        let tries = (0..10).map(|_| {
            let (began, mut times) = (std::time::Instant::now(), 0_u32);
            while began.elapsed().as_millis() < 100 {
                (0..100).for_each(|_| drop(black_box(once())));
                times += 100;
            }
            began.elapsed().as_secs_f64() * 1e6 / f64::from(times)
        });
        tries.fold(f64::INFINITY, f64::min)
    }

    fn run(&self, bencher: Bencher<'_, '_>, leads_to: &str) {
        let once = step(&self.rules, &self.task, &self.repo, &self.event, &self.facts);
        assert_eq!(once.task.control.stage, leads_to, "{:?}", once.because);
        bencher.bench(|| step(black_box(&self.rules), black_box(&self.task), &self.repo, &self.event, &self.facts));
    }
}

/// A verdict is read and the task advances.
#[divan::bench]
fn step_without_script(bencher: Bencher<'_, '_>) {
    Scene::new("review", "reviewer", "verdict", "APPROVED").run(bencher, "testing");
}

/// A gate looks for files by pattern and the task advances.
#[divan::bench]
fn step_with_file_patterns(bencher: Bencher<'_, '_>) {
    Scene::new("architecture", "architect", "x", "y").run(bencher, "development");
}

/// A webhook: the checks are still pending.
#[divan::bench]
fn step_that_waits(bencher: Bencher<'_, '_>) {
    let mut scene = Scene::new("development", "developer", "pending", "");
    let ended = step(&scene.rules, &scene.task, &scene.repo, &scene.event, &scene.facts);
    scene.task = ended.task;
    assert_eq!(scene.task.control.at, At::Gates);
    scene.event = event(Body::Poked { by: "webhook".into() });
    scene.facts = facts(&scene.rules, &scene.task, &scene.event, "pending", "");
    scene.run(bencher, "development");
}

/// A script reads two artefacts, then two more gates, and the task advances to a stage of its own.
#[divan::bench]
fn step_with_script(bencher: Bencher<'_, '_>) {
    Scene::new("deploy-staging", "deployer", "staging_status", "SUCCESS").run(bencher, "deploy");
}

/// The task rolls back: a note is rendered from its template.
#[divan::bench]
fn step_with_text(bencher: Bencher<'_, '_>) {
    Scene::new("review", "reviewer", "verdict", "REQUEST_CHANGES").run(bencher, "development");
}

/// The same step on the hundredth and the hundred-thousandth visit: what it allocates is the same.
#[divan::bench(args = [9, 100_000])]
fn step_late_in_a_life(bencher: Bencher<'_, '_>, visit: u32) {
    let mut scene = Scene::new("review", "reviewer", "verdict", "APPROVED");
    scene.task.ledger.visit.number = visit;
    if let Body::RunEnded(report) = &mut scene.event.body {
        report.visit = visit;
    }
    scene.run(bencher, "testing");
}

#[divan::bench]
fn needs_of_a_stage(bencher: Bencher<'_, '_>) {
    let scene = Scene::new("deploy-staging", "deployer", "staging_status", "SUCCESS");
    bencher.bench(|| needs(black_box(&scene.rules), black_box(&scene.task), &scene.event));
}

#[divan::bench]
fn script_call(bencher: Bencher<'_, '_>) {
    let rules = rules();
    let values = BTreeMap::from([
        ("staging_status".to_owned(), "FAILED".to_owned()),
        ("run".to_owned(), NONCE.to_owned()),
    ]);
    let failed = serde_json::json!(["dns", "registry"]);
    let args = serde_json::json!({ "tolerate": true, "waivable": ["registry", "dns"] });
    bencher.bench(|| {
        let given = [
            ("log", ScriptArg::Frontmatter(Some(&values))),
            ("failed", ScriptArg::Json(Some(&failed))),
        ];
        black_box(&rules.scripts).call_named("staging.rhai::verdict", &given, &args)
    });
}

/// Jobs wait in ten repositories, a hundred runs are open.
#[divan::bench(args = [1_000, 10_000])]
fn schedule_waiting_jobs(bencher: Bencher<'_, '_>, jobs: i64) {
    let rules = rules();
    let mut tasks = BTreeMap::new();
    let mut repos: BTreeMap<RepoId, Repo> = BTreeMap::new();
    let mut waiting = Vec::new();
    for id in 1..=jobs {
        let mut one = task(&rules, id, "analysis", "analyst");
        one.repo = RepoId(id % 10);
        let repo = repos.entry(one.repo).or_insert_with(|| Repo {
            id: one.repo,
            ..Repo::default()
        });
        let seat = Seat {
            task: one.id,
            item: one.item.clone(),
            inside: false,
            passed: Vec::new(),
            since: T0,
        };
        repo.lane.push(seat);
        tasks.insert(one.id, one);
        waiting.push(WaitingJob {
            id: JobId(id),
            task: TaskId(id),
            slot: "analyst".into(),
            stage: "analysis".into(),
            available_at: T0,
            since: T0,
            why: None,
            limited: None,
        });
    }
    let open: Vec<OpenRun> = (0..100)
        .map(|run| OpenRun {
            run: RunId(run),
            task: TaskId(run + 1),
            slot: "developer".into(),
            since: T0,
            ending: false,
        })
        .collect();
    let limits: BTreeMap<Name, u32> = BTreeMap::new();
    let queue = Queue {
        waiting: &waiting,
        open: &open,
        tasks: &tasks,
        depends: &[],
        repos: &repos,
        rules: &|_| Some(Arc::clone(&rules)),
        limit: 200,
        project_limits: &limits,
        commands: &BTreeMap::new(),
        bounds: &Bounds::default(),
    };
    bencher.bench_local(|| schedule(black_box(&queue), T0));
}

#[divan::bench]
fn waits_of_a_task(bencher: Bencher<'_, '_>) {
    let scene = Scene::new("development", "developer", "pending", "");
    let taken = step(&scene.rules, &scene.task, &scene.repo, &scene.event, &scene.facts);
    assert!(!taken.decisions.iter().any(|d| matches!(d, Decision::Enqueue(_))));
    bencher.bench(|| waits(black_box(&scene.rules), black_box(&taken.task), &scene.repo));
}
