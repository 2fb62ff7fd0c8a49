//! What came of a scenario, and what may be left of it: nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value as Json, json};
use signalbox::shell::store::{JobState, NewEvent, Store, Target};

use super::transcript::normal;
use super::{Scenario, World};

/// Everything about the end of a scenario that must not depend on crashes or on repeated acts.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// By task or issue: mode, stage, status, counters, change, comments of the service.
    pub tasks: BTreeMap<String, Json>,
    /// The default branch: paths with normalised contents.
    pub main: BTreeMap<String, String>,
    /// Runs that began, by item, agent and what they did.
    pub runs: BTreeMap<String, usize>,
}

impl World {
    /// Waits until nothing is under way, then reads what came of it all.
    pub fn outcome(&mut self) -> Outcome {
        self.settle();
        let list = self.get("/api/tasks?all=1");
        let mut names: Vec<String> = list["tasks"]
            .as_array()
            .expect("tasks")
            .iter()
            .map(|t| t["item"].as_str().unwrap_or_default().to_owned())
            .collect();
        for number in 1..=self.count("SELECT COALESCE(MAX(number), 0) FROM issues") {
            names.push(format!("it#{number}"));
        }
        let tasks = names.iter().map(|name| (name.clone(), end_of(&self.show(name)))).collect();
        Outcome {
            tasks,
            main: self.main(),
            runs: self.runs(),
        }
    }

    /// The default branch of the local forge, without dates, nonces and run numbers.
    pub fn main(&self) -> BTreeMap<String, String> {
        let paths = self.git_in(&self.forge(), &["ls-tree", "-r", "--name-only", "main"]);
        paths
            .lines()
            .map(|path| {
                (
                    path.to_owned(),
                    normal(&self.git_in(&self.forge(), &["show", &format!("main:{path}")])),
                )
            })
            .collect()
    }

    /// Runs that began, by item, agent and what they did.
    pub(super) fn runs(&self) -> BTreeMap<String, usize> {
        let mut runs = BTreeMap::new();
        for entry in self.begun() {
            *runs.entry(format!("{} {} {}", entry.item, entry.agent, entry.what)).or_insert(0) += 1;
        }
        runs
    }

    /// Acts of people and issues on record, read beside the service; what it does on the board by itself is none.
    pub(super) fn recorded(&self) -> i64 {
        self.count(r#"SELECT (SELECT COUNT(*) FROM inbox WHERE actor LIKE '{"person"%') + (SELECT COUNT(*) FROM issues) + (SELECT COUNT(*) FROM issue_activities WHERE actor <> 'signalbox')"#)
    }

    /// A number from the database, read beside the service.
    pub fn count(&self, sql: &str) -> i64 {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let conn = rusqlite::Connection::open_with_flags(self.data().join("signalbox.db"), flags).expect("the database");
        conn.busy_timeout(Duration::from_secs(10)).expect("a time-out");
        conn.query_row(sql, [], |row| row.get(0)).expect("a number")
    }

    /// Waits until no event, effect or run is under way.
    fn settle(&mut self) {
        let begun = std::time::Instant::now();
        loop {
            let open = self.count(
                "SELECT (SELECT COUNT(*) FROM inbox WHERE state = 'pending') + (SELECT COUNT(*) FROM outbox WHERE state = 'open') \
                 + (SELECT COUNT(*) FROM runs WHERE state <> 'ended')",
            );
            if open == 0 {
                return;
            }
            assert!(begun.elapsed() < super::LONG, "{open} things stay under way:\n{}", self.tail());
            // Asking starts a service again that died of its last event.
            self.get("/health");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops what is still alive, ends the service, and looks for anything that was left behind.
    pub fn nothing_is_left(&mut self) {
        self.stop_all();
        self.settle();
        self.stop();
        self.crash = None;
        let processes = self.processes();
        assert!(processes.is_empty(), "processes are left: {processes:?}");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let data = self.data();
        runtime.block_on(async {
            let store = Store::open(&data, "test").expect("the store");
            let left = leftovers(&store, &data).await;
            store.close().await;
            assert!(left.is_empty(), "left behind: {left:#?}\n{}", self.tail());
        });
    }

    /// Records every event of the past once more, as if each had come late and twice; the service
    /// must be down. Gives their number.
    pub fn repeat_all_events(&self) -> usize {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let data = self.data();
        runtime.block_on(async {
            let store = Store::open(&data, "test").expect("the store");
            let rows = store.history_since(0, 1000).await.expect("history");
            let mut count = 0;
            for row in rows {
                let Some(id) = row.task else { continue };
                let task = store.task(id).await.expect("a task").expect("a task");
                let target = Target {
                    project: task.project.clone(),
                    repo: task.repo,
                    task: Some(id),
                    issue: Some(task.issue.clone()),
                };
                let event = NewEvent {
                    target,
                    at: row.at,
                    cause: None,
                    actor: row.actor,
                    body: row.body,
                    dedupe: None,
                };
                count += usize::from(store.record(event).await.expect("recorded").is_some());
            }
            store.close().await;
            count
        })
    }

    pub fn stop_all(&mut self) {
        loop {
            let list = self.get("/api/tasks");
            let live: Vec<String> = list["tasks"]
                .as_array()
                .expect("tasks")
                .iter()
                .map(|t| t["item"].as_str().unwrap_or_default().to_owned())
                .collect();
            if live.is_empty() {
                return;
            }
            for item in live {
                if self.post(&format!("/api/tasks/{item}/stop"), &json!({})).is_err() {
                    self.revive();
                }
                self.wait_for(&item, "its end", |seen| {
                    ["done", "cancelled", "no_task"].iter().any(|m| seen["task"]["mode"] == *m)
                });
            }
        }
    }
}

/// What a task or an issue has come to, from what is shown of it.
pub fn end_of(seen: &Json) -> Json {
    let task = &seen["task"];
    let mut comments: Vec<String> = seen["comments"]
        .as_array()
        .expect("comments")
        .iter()
        .filter(|c| c["author"] == "signalbox")
        .map(|c| normal(c["text"].as_str().unwrap_or_default()))
        .collect();
    comments.sort();
    let counters: BTreeMap<String, Json> = task["counters"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.clone(), v["used"].clone()))
        .collect();
    json!({
        "mode": task["mode"], "stage": task["stage"], "status": seen["status"], "counters": counters,
        "blockers": seen["blockers"].as_array().into_iter().flatten().map(|b| b["code"].clone()).collect::<Vec<_>>(),
        "change": seen["change"]["state"], "labels": seen["labels"], "comments": comments,
    })
}

async fn leftovers(store: &Store, data: &Path) -> Vec<String> {
    let mut left = Vec::new();
    left.extend(
        store
            .open_runs()
            .await
            .expect("runs")
            .iter()
            .map(|r| format!("run {} is {:?}", r.id, r.state)),
    );
    left.extend(
        store
            .outbox_open()
            .await
            .expect("outbox")
            .iter()
            .map(|o| format!("effect {:?}", o.effect)),
    );
    left.extend(
        store
            .outbox_given_up(100)
            .await
            .expect("outbox")
            .iter()
            .map(|o| format!("effect given up: {:?}", o.effect)),
    );
    left.extend(
        store
            .pending()
            .await
            .expect("inbox")
            .iter()
            .map(|p| format!("event {} waits", p.seq)),
    );
    left.extend(
        store
            .held()
            .await
            .expect("inbox")
            .iter()
            .map(|p| format!("event {} is held", p.seq)),
    );
    left.extend(
        store
            .next_due()
            .await
            .expect("timers")
            .map(|due| format!("something is due at {}", due.0)),
    );
    for (key, repo) in store.repos().await.expect("repositories") {
        left.extend(repo.lease.iter().map(|l| format!("{key}: {} holds the merge lease", l.item)));
        left.extend(repo.lane.iter().map(|s| format!("{key}: {} has a seat in the lane", s.item)));
        left.extend(repo.freeze.iter().map(|f| format!("{key}: frozen: {}", f.reason)));
    }
    for task in store.tasks(true).await.expect("tasks") {
        if !task.terminal() {
            left.push(format!("{} is not over", task.item));
        }
        let claimable = |s: JobState| matches!(s, JobState::Queued | JobState::Scheduled | JobState::Running);
        left.extend(
            store
                .jobs(task.id)
                .await
                .expect("jobs")
                .iter()
                .filter(|j| claimable(j.state))
                .map(|j| format!("job {} is {:?}", j.id, j.state)),
        );
        let checkout = data.join(format!("checkouts/t{}", task.id));
        left.extend(checkout.exists().then(|| format!("{} is there", checkout.display())));
        for run in store.runs(task.id).await.expect("runs") {
            let dir = data.join("runs").join(run.id.to_string());
            for part in ["home", "scratch", "tmp"] {
                left.extend(
                    dir.join(part)
                        .exists()
                        .then(|| format!("runs/{}/{part} of {} is there", run.id, run.slot)),
                );
            }
        }
    }
    left
}

/// Checks what a scenario promises of its end.
pub fn check(scenario: &Scenario, outcome: &Outcome, world: &World) {
    for then in &scenario.then {
        let name = &then.task;
        let end = outcome
            .tasks
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not there: {:?}", outcome.tasks.keys()));
        let context = || format!("{name}: {end:#}\nruns {:#?}\n{}", outcome.runs, world.tail());
        assert_eq!(end["mode"], then.mode.as_str(), "{}", context());
        if let Some(stage) = &then.stage {
            assert_eq!(end["stage"], stage.as_str(), "{}", context());
        }
        if let Some(status) = &then.status {
            assert_eq!(end["status"], status.as_str(), "{}", context());
        }
        for (counter, used) in &then.counters {
            assert_eq!(end["counters"][counter], *used, "{counter} of {}", context());
        }
        let comments: Vec<&str> = end["comments"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        for text in &then.comments {
            assert!(comments.iter().any(|c| c.contains(text)), "no comment says {text:?}: {}", context());
        }
        for text in &then.no_comments {
            assert!(!comments.iter().any(|c| c.contains(text)), "a comment says {text:?}: {}", context());
        }
        let item = name.split('~').next().unwrap_or(name);
        for (agent, count) in &then.runs {
            let found = world.begun().iter().filter(|e| e.item == item && e.agent == *agent).count();
            assert_eq!(found, *count, "runs of {agent}: {}", context());
        }
    }
    for file in &scenario.main.has {
        assert!(outcome.main.contains_key(file), "{file} is not on main: {:?}", outcome.main.keys());
    }
    for file in &scenario.main.lacks {
        assert!(!outcome.main.contains_key(file), "{file} is on main");
    }
}
