//! Rules are reloaded while tasks are in flight.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use signalbox::engine::model::{Actor, At, Body, Phase, Task};
use signalbox::shell::proof::Prover;
use signalbox::shell::reload::{ReloadError, Reloaded};
use signalbox::shell::service::Service;

use super::house::{EXE, House, Running, boss};

const MINE: &str = "schema = 1\nextends = \"local\"\n[stages.development]\npass = []\non.\"local_tests.red\" = \"unset\"\n[stages.testing]\npass = [\"tests\", \"mergeable\"]\non.\"local_tests.red\" = \"unset\"\n[serial_gate]\nenabled = false\n";
/// `testing` is gone; everything that led there leads to `review`.
const NO_TESTING: &str = "flow = [\"created\", \"development\", \"review\", \"deploy\", \"done\"]\n[stages.deploy]\n\
                          on.\"merge.base_moved\" = { to = \"review\", uses = \"rebase\", update = true }\n";

fn house(project: &str, set: &str, script: &str) -> House {
    let house = House::new("mine", "", project, set, script);
    house.write("pipelines/mine.toml", MINE);
    house
}

/// The pipeline as it is edited: with this besides.
fn edited(house: &House, head: &str, more: &str) {
    house.write(
        "pipelines/mine.toml",
        &MINE
            .replace("extends = \"local\"\n", &format!("extends = \"local\"\n{head}"))
            .replace("[serial_gate]", &format!("{more}\n[serial_gate]")),
    );
}

fn waits_for_confirmation(task: &Task) -> bool {
    task.control.stage == "deploy" && task.control.at == At::Gates && task.ledger.cards.contains_key("confirmed")
}

fn done(task: &Task) -> bool {
    task.control.phase == Phase::Done
}

fn current(service: &Service) -> String {
    service.projects["shop"].rules().hash.clone()
}

async fn reload(running: &Running) -> Reloaded {
    running.service.reload(&boss()).await.expect("reloaded")
}

async fn refused(running: &Running) -> ReloadError {
    let before = (current(&running.service), running.service.config().max_concurrency);
    let refusal = running.service.reload(&boss()).await.expect_err("refused");
    assert_eq!(
        (current(&running.service), running.service.config().max_concurrency),
        before,
        "nothing was changed"
    );
    refusal
}

async fn confirm(running: &Running, item: &str, who: &str) {
    let mut actor = boss();
    if let Actor::Person { name, .. } = &mut actor {
        who.clone_into(name);
    }
    running
        .service
        .signal(item, "confirm_deploy", None, actor)
        .await
        .expect("confirmed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pinned_tasks_keep_their_rules_and_new_ones_take_the_new() {
    let house = house("", "", "");
    let running = house.start().await;
    let first = running.new_task("Before").await;
    let old = running.until(&first, "waiting", waits_for_confirmation).await.rules;
    assert_eq!(reload(&running).await, Reloaded::default(), "nothing is different");

    edited(&house, "", "[counters.rework]\nmax = 3\n");
    house.edit("signalbox.toml", "schema = 1\n", "schema = 1\nmax_concurrency = 2\n");
    let told = reload(&running).await;
    let [change] = told.projects.as_slice() else { panic!("{told:?}") };
    assert_eq!(
        (change.before.as_str(), change.after.as_str()),
        (old.as_str(), current(&running.service).as_str())
    );
    assert_eq!(
        (change.files.as_slice(), change.pinned.as_slice()),
        (&["pipelines/mine.toml".to_owned()][..], &[first.clone()][..])
    );
    assert_eq!(told.settings, ["max_concurrency: 1 → 2"]);

    let second = running.new_task("After").await;
    let new = running.until(&second, "waiting", waits_for_confirmation).await;
    assert_ne!(new.rules, old);
    assert_eq!(running.task(&first).await.unwrap().rules, old);
    confirm(&running, &first, "ann").await;
    running.until(&first, "done", done).await;
    // The first moved the default branch: the second is tested and confirmed once more, under its own rules.
    confirm(&running, &second, "ann").await;
    let again = |t: &Task| done(t) || (waits_for_confirmation(t) && t.ledger.visit.number > new.ledger.visit.number);
    if !done(&running.until(&second, "asked again", again).await) {
        confirm(&running, &second, "ann").await;
    }
    running.until(&second, "done", done).await;
    running.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_tasks_move_and_their_gate_is_asked_again() {
    let house = house(
        "in_flight = \"follow\"",
        "\"gates.confirmed.human.quorum\" = 2\n[people]\napprover = [\"ann\", \"bob\", \"boss\"]\noperator = [\"boss\"]",
        "",
    );
    let running = house.start().await;
    let item = running.new_task("Follow me").await;
    running.until(&item, "waiting", waits_for_confirmation).await;
    confirm(&running, &item, "ann").await;
    let old = running
        .until(&item, "half confirmed", |t| !t.ledger.approvals.is_empty())
        .await
        .rules;

    edited(
        &house,
        "",
        "[counters.rework]\nmax = 3\n[counters.detours]\nmax = 1\nspent = { escalate = true }\n[stages.review]\non.\"verdict.changes\" = { uses = \"detours\" }\n",
    );
    let told = reload(&running).await;
    assert_eq!(told.projects[0].following, std::slice::from_ref(&item));
    let new = current(&running.service);
    let task = running
        .until(&item, "under the new rules", |t| {
            t.rules == new && t.ledger.cards["confirmed"].rules == new
        })
        .await;
    assert_eq!(
        task.control.counters.get("detours"),
        Some(&0),
        "counters of the new rules are there"
    );
    let [step] = running
        .steps(&item, |b| matches!(b, Body::RulesChanged { .. }))
        .await
        .try_into()
        .unwrap();
    assert_eq!(
        step.body,
        Body::RulesChanged {
            from: old,
            to: new.clone()
        }
    );
    assert_eq!((step.actor, step.rules), (boss(), new));

    // What ann said under the old rules does not count: it takes two again.
    confirm(&running, &item, "bob").await;
    running
        .until(&item, "half confirmed again", |t| {
            t.ledger.approvals["confirmed"].iter().any(|a| a.by == "bob")
        })
        .await;
    assert!(waits_for_confirmation(&running.task(&item).await.unwrap()));
    confirm(&running, &item, "ann").await;
    running.until(&item, "done", done).await;
    running.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_would_strand_a_task_is_refused_and_names_it_and_a_start_is_not() {
    let house = house("in_flight = \"follow\"", "", "[agents.tester]\ndo = [\"hang\"]\n");
    let running = house.start().await;
    let item = running.new_task("In the way").await;
    let task = running
        .until(&item, "at testing", |t| t.control.stage == "testing" && t.control.at == At::Work)
        .await;

    let (flow, edges) = NO_TESTING.split_once('\n').unwrap();
    edited(&house, &format!("{flow}\n"), edges);
    let told = refused(&running).await.to_string();
    assert!(
        told.contains(&format!("{item} stands at stage `testing`, which the new rules do not have")),
        "{told}"
    );
    assert_eq!(running.task(&item).await.unwrap().rules, task.rules);
    running.close().await;

    // The service starts all the same: the task keeps its rules, new ones take the new.
    let running = house.start().await;
    assert_ne!(current(&running.service), task.rules);
    running.end(&item).await;
    assert_eq!(running.task(&item).await.unwrap().rules, task.rules);
    assert_eq!(running.steps(&item, |b| matches!(b, Body::RulesChanged { .. })).await.len(), 0);
    running.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_has_tasks_follow_that_fit() {
    let house = house("in_flight = \"follow\"", "", "");
    let running = house.start().await;
    let item = running.new_task("Follow me").await;
    running.until(&item, "waiting", waits_for_confirmation).await;
    running.close().await;
    edited(&house, "", "[counters.rework]\nmax = 3\n");
    let running = house.start().await;
    let new = current(&running.service);
    running.until(&item, "under the new rules", |t| t.rules == new).await;
    confirm_when_shown(&running, &item, &new).await;
    running.close().await;
}

async fn confirm_when_shown(running: &Running, item: &str, rules: &str) {
    running
        .until(item, "asked again", |t| {
            t.ledger.cards.get("confirmed").is_some_and(|c| c.rules == rules)
        })
        .await;
    confirm(running, item, "ann").await;
    running.until(item, "done", done).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_broken_changes_nothing_and_only_operators_reload() {
    let house = house("", "", "");
    let running = house.start().await;
    house.write(
        "pipelines/mine.toml",
        "schema = 1\nextends = \"local\"\n[stages.review]\non.\"verdict.changes\" = { to = \"revue\", uses = \"rework\" }\n",
    );
    let told = refused(&running).await.to_string();
    assert!(
        told.contains("SB0204") && told.contains("pipelines/mine.toml:4") && told.contains("did you mean"),
        "{told}"
    );
    house.write("pipelines/mine.toml", MINE);
    house.write("signalbox.toml", "schema = 1\n[projects.sho");
    assert!(matches!(refused(&running).await, ReloadError::Invalid(_)));
    let mut actor = boss();
    if let Actor::Person { roles, .. } = &mut actor {
        roles.retain(|r| *r != signalbox::engine::model::Role::Operator);
    }
    let refusal = running.service.reload(&actor).await.unwrap_err();
    assert!(refusal.to_string().contains("operator"), "{refusal}");
    running.close().await;
}

/// What `validate` refuses never runs: neither by a reload nor at a start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_that_the_proof_refuses_reach_no_service() {
    let house = house("", "", "");
    let cache = house.path("cache");
    let running = house.start().await;
    running.service.prove_reloads(Prover {
        cache: Some(cache.join("signalbox/proof")),
        ..Prover::default()
    });
    // Review asks a person, and nothing there takes the answer.
    edited(
        &house,
        "",
        "[stages.review]\non.\"verdict.changes\" = { to = \"unset\", uses = \"unset\", note = \"unset\", ask = \"questions\", status = \"Needs Input\" }\n",
    );
    let told = refused(&running).await.to_string();
    assert!(told.contains("SB0801") && told.contains("review"), "{told}");
    let (_, why) = running.service.refused_rules().expect("it is known that they are refused");
    assert!(why.contains("SB0801"), "{why}");
    running.close().await;

    let serve = |more: &[&str]| {
        let mut command = Command::new(EXE);
        command
            .arg("serve")
            .args(more)
            .current_dir(house.path("."))
            .env("XDG_CACHE_HOME", &cache);
        command.env("RUST_LOG", "info").stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    let out = serve(&[]).output().expect("it ends by itself");
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(10), "{told}");
    assert!(told.contains("SB0801") && told.contains("--no-proof"), "{told}");

    edited(&house, "", "");
    let running = house.start().await;
    running.service.prove_reloads(Prover {
        cache: Some(cache),
        ..Prover::default()
    });
    edited(&house, "", "[counters.rework]\nmax = 3\n");
    assert_eq!(reload(&running).await.projects.len(), 1);
    assert_eq!(running.service.refused_rules(), None);
    running.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_with_tasks_cannot_be_taken_away() {
    let house = house("", "", "");
    let running = house.start().await;
    let item = running.new_task("Here").await;
    running.until(&item, "waiting", waits_for_confirmation).await;
    house.edit("signalbox.toml", "projects.shop", "projects.store");
    let told = refused(&running).await.to_string();
    assert!(told.contains(&format!("{item} belongs to project `shop`")), "{told}");
    running.end(&item).await;
    let told = reload(&running).await;
    assert_eq!(told.next_start.len(), 2, "{told:?}");
    running.close().await;
}

/// The program itself, with its log in a file.
struct Program<'h> {
    house: &'h House,
    child: Child,
}

impl<'h> Program<'h> {
    fn serve(house: &'h House) -> Self {
        let log = fs::File::create(house.path("serve.log")).unwrap();
        let mut command = Command::new(EXE);
        command
            .args(["serve", "--no-proof", "--listen", "127.0.0.1:0", "--dir"])
            .arg(house.path(""));
        let child = command
            .env("NO_COLOR", "1")
            .env("RUST_LOG", "signalbox=debug")
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let program = Self { house, child };
        program.until_logged("listening", 1);
        program
    }

    /// Waits until the log says so, so many times.
    fn until_logged(&self, words: &str, times: usize) {
        let deadline = Instant::now() + Duration::from_secs(300);
        loop {
            let log = fs::read_to_string(self.house.path("serve.log")).unwrap();
            if log.matches(words).count() >= times {
                return;
            }
            assert!(Instant::now() < deadline, "{words:?} is not {times} times in:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn reload(&self) -> (i32, String) {
        let out = Command::new(EXE)
            .args(["reload", "--dir"])
            .arg(self.house.path(""))
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        (
            out.status.code().unwrap(),
            String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned(),
        )
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn files_signals_and_the_command_reload() {
    let house = house("", "", "");
    let program = Program::serve(&house);
    // A changed file, then a broken one: the old rules stay in force.
    edited(&house, "", "[counters.rework]\nmax = 3\n");
    program.until_logged("a changed file: new rules are in force: pipelines/mine.toml", 1);
    house.write("pipelines/mine.toml", "schema = 1\nextends = \"loc");
    program.until_logged("a changed file: the rules have errors: nothing was changed", 1);
    let (status, told) = program.reload();
    assert!(
        status == 10 && told.contains("SB0101") && told.contains("mine.toml:2"),
        "{status}: {told}"
    );
    edited(&house, "", "[counters.rework]\nmax = 3\n");
    let (status, told) = program.reload();
    assert!(status == 0 && told.contains("nothing is different"), "{status}: {told}");

    // A folder that was not there before is watched as soon as it is, and a file replaced by another is noticed.
    house.write("prompts/developer.md", "{{ common }}\nBe brief.\n");
    program.until_logged("new rules are in force: prompts/developer.md", 1);
    house.write(
        "next.toml",
        &MINE.replace("[serial_gate]", "[counters.rework]\nmax = 1\n[serial_gate]"),
    );
    fs::rename(house.path("next.toml"), house.path("pipelines/mine.toml")).unwrap();
    program.until_logged("new rules are in force: pipelines/mine.toml", 2);

    // Neither of these is a file that is watched: only the signal has it read.
    let pid = nix::unistd::Pid::from_raw(i32::try_from(program.child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).unwrap();
    program.until_logged("SIGHUP: nothing is different", 1);
}
