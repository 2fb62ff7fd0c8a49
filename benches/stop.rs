//! P10: from a stop to the moment at which the service has verified that the run is dead.
//!
//! `cargo bench --bench stop` runs a service with the scripted agent, stops a task again and again while
//! its agent is at work, and prints how long it took until the run was settled and until the task was
//! cancelled, its clean-up verified. One agent ends at SIGTERM, the other ignores it and is killed
//! after its grace. `SIGNALBOX_BENCH_ROUNDS` (20) says how often.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use signalbox::engine::model::{Actor, Role, Task, Via};
use signalbox::engine::rules::load;
use signalbox::shell::config::read_dir;
use signalbox::shell::embedded::embedded;
use signalbox::shell::service::{Service, Settings};
use signalbox::shell::store::RunState;
use tokio_util::sync::CancellationToken;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const EXE: &str = env!("CARGO_BIN_EXE_signalbox");
/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(1);

fn main() -> Outcome<()> {
    let rounds = std::env::var("SIGNALBOX_BENCH_ROUNDS")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(20);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for (agent, what, goal) in [
        ("hang", "a cooperative agent", Duration::from_millis(200)),
        ("deaf", "one that ignores SIGTERM", GRACE + Duration::from_millis(300)),
    ] {
        let (mut dead, mut over) = runtime.block_on(stops(agent, rounds))?;
        println!("STOP of {what}, {rounds} times");
        told(&format!("P10: stop → verified dead, {what}"), &mut dead);
        told("stop → cancelled, cleaned up", &mut over);
        println!("goal for the first, at most                 {:>8} ms\n", goal.as_millis());
    }
    Ok(())
}

fn told(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |percent: usize| {
        times
            .get((times.len() * percent / 100).min(times.len().saturating_sub(1)))
            .map_or(0, Duration::as_millis)
    };
    println!("{what:<56} p50 {:>6} ms, worst {:>6} ms", at(50), at(100));
}

fn git(dir: &Path, args: &[&str]) -> Outcome<()> {
    let mut command = Command::new("git");
    command
        .args(["-c", "user.name=bench", "-c", "user.email=bench@example.com"])
        .args(args);
    let out = command.current_dir(dir).env("GIT_CONFIG_GLOBAL", "/dev/null").output()?;
    if out.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&out.stderr).into())
    }
}

/// A folder with a configuration, a repository of one commit and an agent that does `what`.
fn laid_out(dir: &Path, what: &str) -> Outcome<()> {
    let repository = dir.join("repository");
    std::fs::create_dir_all(&repository)?;
    std::fs::write(repository.join("README.md"), "# Shop\n")?;
    git(&repository, &["init", "--quiet", "--initial-branch=main"])?;
    git(&repository, &["add", "--all"])?;
    git(&repository, &["commit", "--quiet", "-m", "first"])?;
    let script = dir.join("script.toml");
    std::fs::write(&script, format!("[agents.developer]\ndo = [\"{what}\"]\n"))?;
    let text = format!(
        "schema = 1\nlisten = \"127.0.0.1:0\"\n[projects.shop]\npipeline = \"local\"\nprefix = \"SHOP\"\n\
         tracker = {{ kind = \"local\" }}\nforge = {{ kind = \"local\", source = \"repository\", default_branch = \"main\" }}\n\
         [projects.shop.set]\n\"agents.*.run\" = [\"{EXE}\", \"scripted-agent\", \"--script\", \"{}\"]\n\"agents.*.grace\" = \"{}s\"\n",
        script.display(),
        GRACE.as_secs()
    );
    Ok(std::fs::write(dir.join("signalbox.toml"), text)?)
}

/// How long each stop took until the run was settled, and until the task was over.
async fn stops(what: &str, rounds: usize) -> Outcome<(Vec<Duration>, Vec<Duration>)> {
    let dir = tempfile::tempdir()?;
    laid_out(dir.path(), what)?;
    let files = read_dir(dir.path(), &embedded())?;
    let settings = Settings {
        loaded: load(&files),
        dir: dir.path().to_owned(),
        exe: EXE.into(),
        agent_env: std::collections::BTreeMap::new(),
    };
    let service = Service::open(settings).await?;
    let (its, end) = (Arc::clone(&service), CancellationToken::new());
    let stop = end.clone();
    let working = tokio::spawn(async move { its.work(stop).await });
    let (mut dead, mut over) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let (settled, cancelled) = one(&service, round, dir.path()).await?;
        dead.push(settled);
        over.push(cancelled);
    }
    end.cancel();
    working.await??;
    service.store.clone().close().await;
    Ok((dead, over))
}

async fn one(service: &Arc<Service>, round: usize, dir: &Path) -> Outcome<(Duration, Duration)> {
    let boss = || Actor::Person {
        name: "bench".to_owned(),
        via: Via::Cli,
        roles: vec![Role::Viewer, Role::Operator, Role::Approver],
    };
    let item = service.issue_new("shop", "Add a map", "please", &[], true, boss()).await?.item;
    // The agent itself says that it is at work: only then it can be deaf.
    let ledger = dir.join("script.toml.ledger");
    let patience = Instant::now() + Duration::from_mins(1);
    while std::fs::read_to_string(&ledger).unwrap_or_default().lines().count() <= round {
        if Instant::now() > patience {
            return Err(format!("the agent of {item} does not begin").into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let task = service.store.task_by_item(&item).await?.ok_or("the task is gone")?;
    let mut commits = service.store.commits();
    let begun = Instant::now();
    service.signal(&item, "stop", None, boss()).await?;
    let mut settled = None;
    loop {
        commits.borrow_and_update();
        let ended = service.store.runs(task.id).await?.iter().all(|run| run.state == RunState::Ended);
        if ended {
            settled.get_or_insert(begun.elapsed());
        }
        if let (Some(settled), true) = (settled, service.store.task(task.id).await?.is_some_and(|t: Task| t.terminal())) {
            return Ok((settled, begun.elapsed()));
        }
        commits.changed().await?;
    }
}
