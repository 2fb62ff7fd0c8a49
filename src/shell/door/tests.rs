use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::*;
use crate::engine::model::{At, Body, Card, Decision, Facts, JobKind, JobSpec, Millis, Mode, Name, Phase, StopState, Task, Via, Visit};
use crate::engine::rules::load;
use crate::shell::embedded::embedded;
use crate::shell::service::{Service, Settings};
use crate::shell::store::{Pending, StepCommit};

/// A service over a real store and a real repository, with nothing at work.
pub(crate) struct World {
    pub service: Arc<Service>,
    _dir: tempfile::TempDir,
}

fn git(dir: &Path, args: &[&str]) {
    let mut command = Command::new("git");
    command.args([
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.com",
        "-c",
        "init.defaultBranch=main",
    ]);
    let out = command.args(args).current_dir(dir).output().unwrap();
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

impl World {
    /// With this text after the project's settings in `signalbox.toml`.
    pub async fn new(more: &str) -> Self {
        Self::with("", "", more).await
    }

    /// With settings at the top and of the project, too.
    pub async fn with(top: &str, set: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("shop");
        std::fs::create_dir(&source).unwrap();
        git(&source, &["init", "-q"]);
        git(&source, &["commit", "-q", "--allow-empty", "-m", "first"]);
        let text = format!(
            "schema = 1\n{top}\n[projects.shop]\npipeline = \"local\"\nprefix = \"SHOP\"\ntracker = {{ kind = \"local\" }}\n\
             forge = {{ kind = \"local\", source = \"shop\", default_branch = \"main\" }}\n\
             [projects.shop.set]\n\"agents.*.run\" = [\"true\"]\n{set}\n{more}\n"
        );
        let mut files = embedded();
        files.insert("signalbox.toml", text, "signalbox.toml");
        let loaded = load(&files);
        assert!(!loaded.failed(), "{:#?}", loaded.diagnostics);
        let settings = Settings {
            loaded,
            dir: dir.path().to_owned(),
            exe: "/bin/true".into(),
            agent_env: Default::default(),
        };
        Self {
            service: Service::open(settings).await.unwrap(),
            _dir: dir,
        }
    }

    /// A task brought to where `edit` says, through the store's own commit.
    pub async fn task(&self, edit: impl FnOnce(&mut Task)) -> Task {
        self.task_with(edit, vec![Decision::Create]).await
    }

    /// A task with a job for this agent.
    pub async fn queued(&self, agent: &str) -> Task {
        let job = JobSpec {
            visit: 1,
            slot: Name::new(agent),
            kind: JobKind::Agent,
            stage: Name::new("development"),
            note: None,
            available_at: Millis(0),
            entry: false,
        };
        self.task_with(|_| (), vec![Decision::Create, Decision::Enqueue(job)]).await
    }

    /// The same, with what else was decided then.
    pub async fn task_with(&self, edit: impl FnOnce(&mut Task), decisions: Vec<Decision>) -> Task {
        let done = self
            .service
            .issue_new("shop", "Say hello", "to everyone", &[], true, everyone())
            .await
            .unwrap();
        let Pending { target, seq, .. } = self.service.store.pending().await.unwrap().remove(0);
        let project = self.service.projects.get("shop").unwrap();
        let mut task = Task::unborn(Name::new("shop"), target.repo, &target.issue.unwrap(), &project.rules().hash);
        task.item = done.item.clone();
        task.title = "Say hello".to_owned();
        task.branch = format!("feature/{}-say-hello", task.item);
        task.control.phase = Phase::Live;
        task.control.stage = Name::new("development");
        task.control.at = At::Work;
        task.ledger.visit = Visit {
            number: 1,
            entered_at: self.service.now(),
        };
        edit(&mut task);
        self.commit(
            seq,
            (0, self.service.store.repo_by_id(target.repo).await.unwrap().version),
            task,
            decisions,
        )
        .await;
        self.service.store.task_by_item(&done.item).await.unwrap().unwrap()
    }

    /// Commits a step of the task upon the event `seq`; `before` are the versions of task and repository that it was decided on.
    pub async fn commit(&self, seq: Seq, before: (i64, i64), task: Task, decisions: Vec<Decision>) {
        let repo = self.service.store.repo_by_id(task.repo).await.unwrap();
        let commit = StepCommit {
            seq,
            before,
            stage_before: task.control.stage.clone(),
            task,
            repo,
            decisions,
            because: vec!["the test says so".into()],
            facts: Facts::default(),
            follow: None,
            now: self.service.now(),
            semantics: 1,
            host: "test".to_owned(),
            card: false,
        };
        self.service.store.commit_step(commit).await.unwrap();
    }

    /// Bodies of the events that wait, oldest first by target.
    pub async fn waiting(&self) -> Vec<Body> {
        let mut bodies = Vec::new();
        for pending in self.service.store.pending().await.unwrap() {
            bodies.push(self.service.store.next_event(&pending.target, false).await.unwrap().unwrap().body);
        }
        bodies
    }

    /// The one signal that waits: its name and text.
    pub async fn signal(&self) -> (String, Option<String>) {
        match self.waiting().await.as_slice() {
            [Body::Signalled(signal)] => (signal.name.to_string(), signal.text.clone()),
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn everyone() -> Actor {
    with(&[Role::Viewer, Role::Operator, Role::Approver])
}

fn with(roles: &[Role]) -> Actor {
    Actor::Person {
        name: "ann".to_owned(),
        via: Via::Cli,
        roles: roles.to_vec(),
    }
}

/// Stands before the human gate of `deploy`, its card shown.
pub(crate) fn at_deploy(task: &mut Task) {
    task.control.stage = Name::new("deploy");
    task.control.at = At::Gates;
    let card = Card {
        subject: "s".into(),
        base: "b".into(),
        rules: task.rules.clone(),
        at: task.ledger.visit.entered_at,
    };
    task.ledger.cards.insert(Name::new("confirmed"), card);
    task.ledger.waiting = Some(("confirmed.waiting: nobody has confirmed".to_owned(), task.ledger.visit.entered_at));
}

fn not_now(result: Result<Done, DoorError>) -> String {
    match result {
        Err(DoorError::NotNow { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn approve_sends_the_signal_that_the_stage_waits_for_once() {
    let world = World::new("").await;
    let task = world.task(at_deploy).await;
    let done = world.service.signal(&task.item, "approve", None, everyone()).await.unwrap();
    assert!(done.seq.is_some());
    assert_eq!(world.signal().await, ("confirm_deploy".to_owned(), None));
    let second = world.service.signal(&task.item, "approve", None, everyone()).await;
    assert!(not_now(second).contains("a moment ago"));
    assert_eq!(world.waiting().await.len(), 1);
    let bob = Actor::Person {
        name: "bob".into(),
        via: Via::Cli,
        roles: vec![Role::Approver],
    };
    let other = world.service.signal(&task.item, "approve", None, bob).await;
    assert!(other.is_ok(), "a quorum takes several people: {other:?}");
}

#[tokio::test]
async fn approve_says_why_nothing_is_to_be_approved() {
    let world = World::new("").await;
    let task = world.task(|_| {}).await;
    let why = not_now(world.service.signal(&task.item, "approve", None, everyone()).await);
    assert_eq!(why, "SHOP-001 stands at development, agents are at work; nothing to approve");
    let why = not_now(world.service.signal(&task.item, "confirm_deploy", None, everyone()).await);
    assert!(why.ends_with("nothing waits for `confirm_deploy` there"), "{why}");
    assert!(world.waiting().await.is_empty(), "nothing was recorded");
}

#[tokio::test]
async fn roles_are_asked_for_before_anything_is_recorded() {
    let world = World::new("").await;
    let task = world.task(at_deploy).await;
    for (act, role) in [("approve", Role::Operator), ("stop", Role::Approver), ("reject", Role::Viewer)] {
        let refused = world.service.signal(&task.item, act, Some("because"), with(&[role])).await;
        assert!(matches!(refused, Err(DoorError::Forbidden { .. })), "{act}: {refused:?}");
    }
    let refused = world
        .service
        .issue_label(&task.item, "auto:deploy", true, with(&[Role::Operator]))
        .await;
    assert!(
        matches!(refused, Err(DoorError::Forbidden { .. })),
        "the label is a standing approval"
    );
    let refused = world
        .service
        .issue_status(&task.item, "Confirm Deploy", with(&[Role::Operator]))
        .await;
    assert!(matches!(refused, Err(DoorError::Forbidden { .. })));
    let refused = world.service.issue_comment(&task.item, "hello", with(&[Role::Viewer])).await;
    assert!(matches!(refused, Err(DoorError::Forbidden { .. })));
    assert!(world.waiting().await.is_empty());
}

#[tokio::test]
async fn a_stop_of_a_task_that_is_over_is_no_event() {
    let world = World::new("").await;
    let over = |t: &mut Task| {
        t.control.phase = Phase::Cancelled;
        t.control.stage = Name::new("cancelled");
        t.ledger.ended_at = Some(t.ledger.visit.entered_at);
    };
    let task = world.task(over).await;
    let done = world.service.signal(&task.item, "stop", None, everyone()).await.unwrap();
    assert_eq!((done.item.as_str(), done.seq), ("SHOP-001~1", None));
    assert!(done.message.contains("already over"));
    assert!(world.waiting().await.is_empty());
    // A start goes to the issue, which may become a task again.
    world.service.signal(&task.item, "start", None, everyone()).await.unwrap();
    let pending = world.service.store.pending().await.unwrap().remove(0);
    assert_eq!((pending.target.task, pending.target.issue), (None, Some(task.issue)));
}

#[tokio::test]
async fn a_task_being_stopped_takes_nothing_but_a_start() {
    let world = World::new("").await;
    let stopping = |t: &mut Task| {
        t.control.stop = StopState::Deferred;
        t.ledger.stop = Some(("bob".to_owned(), t.created_at, None));
    };
    let task = world.task(stopping).await;
    assert!(not_now(world.service.retry(&task.item, None, everyone()).await).contains("as bob asked"));
    let again = world.service.signal(&task.item, "stop", None, everyone()).await.unwrap();
    assert!(again.message.contains("already being stopped, as bob asked") && again.seq.is_none());
    assert!(again.message.contains("put off since"), "{}", again.message);
}

#[tokio::test]
async fn answers_need_a_question_and_rejects_a_reason() {
    let world = World::new("").await;
    let task = world.task(|_| {}).await;
    assert!(not_now(world.service.signal(&task.item, "answer", Some("42"), everyone()).await).contains("no question is open"));
    for text in [None, Some("  ")] {
        let refused = world.service.signal(&task.item, "reject", text, everyone()).await;
        assert!(matches!(refused, Err(DoorError::Bad { .. })), "{refused:?}");
    }
    let asked = World::new("").await;
    let task = asked.task(|t| t.control.mode = Mode::Question).await;
    asked.service.signal("shop-001", "answer", Some(" 42 "), everyone()).await.unwrap();
    assert_eq!(asked.signal().await, ("answer".to_owned(), Some("42".to_owned())), "{}", task.item);
}

#[tokio::test]
async fn statuses_are_signals_by_name_and_strangers_are_refused() {
    let world = World::new("").await;
    let task = world.task(at_deploy).await;
    let done = world.service.issue_status("shop#1", "confirm deploy", everyone()).await.unwrap();
    assert!(
        done.message.contains("\"Confirm Deploy\"; that is the signal `confirm_deploy`"),
        "{}",
        done.message
    );
    assert_eq!(world.signal().await.0, "confirm_deploy");
    let again = world.service.issue_status(&task.item, "Confirm Deploy", everyone()).await.unwrap();
    assert!(again.message.contains("already"));
    assert_eq!(world.waiting().await.len(), 1, "one change on the board is one signal");
    let by_hand = world.service.issue_status(&task.item, "Review", everyone()).await.unwrap();
    assert!(by_hand.message.contains("launches nothing"));
    match world.service.issue_status(&task.item, "Aproved", everyone()).await {
        Err(DoorError::Bad { help: Some(help), .. }) => assert!(help.starts_with("did you mean \"Approved\"? statuses: "), "{help}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn where_stops_are_off_the_board_has_no_stop() {
    let world = World::with("", "\"stop.enabled\" = false", "").await;
    let task = world.task(|_| {}).await;
    let refused = world.service.issue_status(&task.item, "STOP", everyone()).await;
    assert!(matches!(refused, Err(DoorError::Bad { .. })), "{refused:?}");
    world.service.signal(&task.item, "stop", None, everyone()).await.unwrap();
    assert_eq!(world.signal().await.0, "stop", "an operator can always stop");
}

#[tokio::test]
async fn comments_are_signals_by_their_marker() {
    let world = World::new("").await;
    let task = world.task(at_deploy).await;
    let done = world
        .service
        .issue_comment(&task.item, ":REJECTED: no tests", everyone())
        .await
        .unwrap();
    assert!(done.message.contains("`reject`"), "{}", done.message);
    assert_eq!(world.signal().await, ("reject".to_owned(), Some("no tests".to_owned())));
    let comments = world.service.store.comments("shop", &task.issue).await.unwrap();
    assert_eq!(comments.last().map(|c| c.body.as_str()), Some(":REJECTED: no tests"));
    let other = World::new("").await;
    let task = other.task(|_| {}).await;
    other.service.issue_comment(&task.item, "nice", everyone()).await.unwrap();
    assert_eq!(other.signal().await, ("answer".to_owned(), Some("nice".to_owned())));
}

#[tokio::test]
async fn what_is_unknown_is_told_with_what_is_near() {
    let world = World::new("").await;
    world.task(|_| {}).await;
    for what in ["SHOP-002", "SHOP-0001x", "shop#9"] {
        match world.service.find(what).await {
            Err(DoorError::NotFound { help, .. }) => assert!(help.contains("SHOP-001") || help.contains("shop#1"), "{what}: {help}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    for what in ["", "#", "#999", "#-1", "nope#1", "\u{0}", "~", "SHOP-99999999999999999999"] {
        assert!(
            matches!(world.service.find(what).await, Err(DoorError::NotFound { .. })),
            "{what:?}"
        );
    }
    assert_eq!(world.service.find("#1").await.unwrap().label, "SHOP-001");
    assert_eq!(world.service.find("SHOP-1").await.unwrap().label, "SHOP-001");
}

#[tokio::test]
async fn a_retry_needs_something_to_retry() {
    let world = World::new("").await;
    let queued = |t: &mut Task| {
        t.control.slots.insert(Name::new("developer"), Default::default());
    };
    let task = world.task(queued).await;
    assert!(not_now(world.service.retry(&task.item, None, everyone()).await).contains("nothing to retry"));
    let parked = World::new("").await;
    let task = parked.task(|t| t.control.mode = Mode::Escalated).await;
    parked.service.retry(&task.item, Some("with care"), everyone()).await.unwrap();
    assert!(matches!(parked.waiting().await.as_slice(), [Body::Retried { note: Some(note) }] if note == "with care"));
}

#[tokio::test]
async fn an_act_that_was_dropped_undecided_can_be_done_again() {
    let world = World::new("").await;
    let task = world.task(at_deploy).await;
    let done = world.service.signal(&task.item, "approve", None, everyone()).await.unwrap();
    world
        .service
        .store
        .drop_event(done.seq.unwrap(), "the test says so", world.service.now())
        .await
        .unwrap();
    world.service.signal(&task.item, "approve", None, everyone()).await.unwrap();
    assert_eq!(world.signal().await.0, "confirm_deploy");
}

#[tokio::test]
async fn new_issues_are_checked_and_named() {
    let world = World::new("").await;
    for title in ["", "  ", "two\nlines", &"x".repeat(501)] {
        let refused = world.service.issue_new("shop", title, "t", &[], false, everyone()).await;
        assert!(matches!(refused, Err(DoorError::Bad { .. })), "{title:?}");
    }
    let stranger = world.service.issue_new("sho", "x", "t", &[], false, everyone()).await;
    assert!(matches!(stranger, Err(DoorError::NotFound { .. })));
    let done = world.service.issue_new("shop", "x", "t", &[], false, everyone()).await.unwrap();
    assert_eq!((done.item.as_str(), done.number), ("SHOP-001", 1));
    assert!(world.waiting().await.is_empty(), "not started");
    let done = world.service.issue_new("shop", "y", "", &[], true, everyone()).await.unwrap();
    assert!(done.message.contains("will not start"), "{}", done.message);
}
