//! The built-in tracker and forge.

use super::*;
use crate::engine::model::{CheckState, ReviewState};

fn new_issue(title: &str) -> NewIssue {
    let (title, description) = (title.to_owned(), "why".to_owned());
    NewIssue {
        project: PROJECT.into(),
        title,
        description,
        status: "To Analyse".to_owned(),
        labels: vec!["b".into(), "a".into()],
        author: "ann".into(),
        now: T0,
    }
}

#[tokio::test]
async fn an_issue_comes_with_its_activity_and_its_start() {
    let world = World::new().await;
    let target = world.issue("");
    let maker: EventMaker = Box::new(move |issue, activity| {
        assert!(!activity.is_empty());
        event(
            Target {
                issue: Some(issue.id.clone()),
                ..target
            },
            signalled("start"),
        )
    });
    let issue = world.store.issue_create(new_issue("one"), Some(maker)).await.unwrap();
    assert_eq!((issue.number, issue.labels.as_slice()), (1, &["a".to_owned(), "b".to_owned()][..]));
    let acts = world.store.activities(PROJECT, &issue.id).await.unwrap();
    assert_eq!((acts.len(), acts[0].field.as_str(), acts[0].actor.as_str()), (1, "created", "ann"));
    let start = world.store.next_event(&world.issue(&issue.id), false).await.unwrap().unwrap();
    assert!(matches!(&start.body, Body::Signalled(s) if s.activity == acts[0].id), "{start:?}");
    let second = world.store.issue_create(new_issue("two"), None).await.unwrap();
    assert_eq!(second.number, 2);
    assert_eq!(world.store.issues(PROJECT).await.unwrap(), vec![issue.clone(), second]);
    assert_eq!(world.store.issue_by_number(PROJECT, 1).await.unwrap(), Some(issue.clone()));
    assert_eq!(world.store.issue("other", &issue.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_change_of_status_is_one_activity_and_one_signal() {
    let world = World::new().await;
    let id = world.store.issue_create(new_issue("one"), None).await.unwrap().id;
    let signal = || Some(event(world.issue(&id), signalled("stop")));
    let set = |to: &'static str, event| world.store.issue_set_status(PROJECT, &id, to, "bob", event, at(5));
    let activity = set("STOP", signal()).await.unwrap().unwrap();
    assert_eq!(set("STOP", signal()).await.unwrap(), None, "the same status is no signal");
    let acts = world.store.activities(PROJECT, &id).await.unwrap();
    let last = acts.last().unwrap();
    assert_eq!(
        (acts.len(), &last.id, last.old.as_deref(), last.new.as_deref()),
        (2, &activity, Some("To Analyse"), Some("STOP"))
    );
    let pending = world.store.pending().await.unwrap();
    assert!(pending.len() == 1 && pending[0].stop, "{pending:?}");
    let stop = world.store.next_event(&world.issue(&id), true).await.unwrap().unwrap();
    assert!(matches!(stop.body, Body::Signalled(s) if s.activity == activity));
    let issue = world.store.issue(PROJECT, &id).await.unwrap().unwrap();
    assert_eq!((issue.status.as_str(), issue.updated_at), ("STOP", at(5)));
    assert_eq!(
        world.store.issue_set_status(PROJECT, "nope", "x", "bob", None, T0).await,
        Err(StoreError::Gone)
    );
}

#[tokio::test]
async fn labels_and_comments_happen_once() {
    let world = World::new().await;
    let id = world.store.issue_create(new_issue("one"), None).await.unwrap().id;
    let label = |add| world.store.issue_label(PROJECT, &id, "auto", add, "bob", None, at(1));
    assert!(label(true).await.unwrap().is_some());
    assert!(label(true).await.unwrap().is_none());
    assert_eq!(world.store.issue(PROJECT, &id).await.unwrap().unwrap().labels, ["a", "auto", "b"]);
    assert!(label(false).await.unwrap().is_some());
    assert!(label(false).await.unwrap().is_none());
    let say = |key: Option<&str>, body: &str| {
        let new = NewComment {
            key: key.map(str::to_owned),
            author: "signalbox".to_owned(),
            body: body.to_owned(),
        };
        world
            .store
            .issue_comment(PROJECT, &id, new, Some(event(world.issue(&id), poked())), at(2))
    };
    let first = say(Some("k"), "one").await.unwrap();
    assert_eq!(say(Some("k"), "two").await.unwrap(), first);
    say(None, "three").await.unwrap();
    say(None, "three").await.unwrap();
    let bodies: Vec<_> = world
        .store
        .comments(PROJECT, &id)
        .await
        .unwrap()
        .into_iter()
        .map(|c| c.body)
        .collect();
    assert_eq!(bodies, ["one", "three", "three"]);
    assert_eq!(glance::<i64>(world.dir.path(), "SELECT COUNT(*) FROM inbox"), 3);
    assert_eq!(world.store.activities(PROJECT, &id).await.unwrap().len(), 6);
}

fn new_change(world: &World, branch: &str, head: &str) -> NewChange {
    let [branch, head, base, title, body] = [branch, head, "main", "t", "b"].map(str::to_owned);
    NewChange {
        repo: world.repo,
        branch,
        base,
        title,
        body,
        head,
        now: T0,
    }
}

#[tokio::test]
async fn a_branch_has_one_open_change_request() {
    let world = World::new().await;
    let store = &world.store;
    let first = store.change_open(new_change(&world, "f/1", "aaa")).await.unwrap();
    let again = store.change_open(new_change(&world, "f/1", "bbb")).await.unwrap();
    assert_eq!((first.number, again.number, again.head.as_str()), (1, 1, "bbb"));
    let merged = store.change_merged(world.repo, 1, "mmm", at(3)).await.unwrap();
    assert_eq!((merged.state, merged.merged_sha.as_deref()), (ChangeState::Merged, Some("mmm")));
    assert_eq!(store.change_merged(world.repo, 1, "mmm", at(4)).await.unwrap(), merged);
    assert_eq!(store.change_merged(world.repo, 1, "other", at(4)).await, Err(StoreError::Conflict));
    assert_eq!(store.change_closed(world.repo, 1, at(4)).await, Err(StoreError::Conflict));
    assert_eq!(
        store.change_by_branch(world.repo, "f/1").await.unwrap(),
        Some(merged),
        "the latest, where none is open"
    );
    let second = store.change_open(new_change(&world, "f/1", "ccc")).await.unwrap();
    assert_eq!((second.number, second.state), (2, ChangeState::Open));
    assert_eq!(store.change_closed(world.repo, 2, at(5)).await.unwrap().state, ChangeState::Closed);
    assert_eq!(store.change_merged(world.repo, 2, "x", at(5)).await, Err(StoreError::Conflict));
    assert_eq!(store.changes(world.repo).await.unwrap().len(), 2);
    assert_eq!(store.change(world.repo, 9).await.unwrap(), None);
    let nowhere = NewChange {
        repo: RepoId(9),
        ..new_change(&world, "f", "a")
    };
    assert_eq!(store.change_open(nowhere).await, Err(StoreError::Gone));
}

#[tokio::test]
async fn reviews_add_up_and_the_newest_status_of_a_context_counts() {
    let world = World::new().await;
    let store = &world.store;
    store.change_open(new_change(&world, "f/1", "aaa")).await.unwrap();
    let review = |number| NewReview {
        repo: world.repo,
        number,
        author: "eve".into(),
        state: ReviewState::Changes,
        commit: "aaa".into(),
        body: "no".into(),
        now: T0,
    };
    let wrote = store.review_add(review(1), Some(event(world.issue("i1"), poked()))).await.unwrap();
    assert_eq!(store.review_add(review(8), None).await, Err(StoreError::Gone));
    store.review_dismiss(wrote.id, None).await.unwrap();
    assert_eq!(store.review_dismiss(99, None).await, Err(StoreError::Gone));
    assert_eq!(
        store.reviews(world.repo, 1).await.unwrap(),
        vec![ReviewRow { dismissed: true, ..wrote }]
    );
    let status = |context: &str, state, ms| NewStatus {
        repo: world.repo,
        sha: "aaa".into(),
        context: context.into(),
        state,
        description: String::new(),
        now: at(ms),
    };
    store.status_set(status("ci", CheckState::Pending, 1), None).await.unwrap();
    store.status_set(status("lint", CheckState::Success, 1), None).await.unwrap();
    store
        .status_set(status("ci", CheckState::Failure, 2), Some(event(world.issue("i1"), poked())))
        .await
        .unwrap();
    let statuses: Vec<_> = store
        .statuses(world.repo, "aaa")
        .await
        .unwrap()
        .into_iter()
        .map(|s| (s.context, s.state))
        .collect();
    assert_eq!(
        statuses,
        vec![("ci".to_owned(), CheckState::Failure), ("lint".to_owned(), CheckState::Success)]
    );
    assert_eq!(store.statuses(world.repo, "bbb").await.unwrap(), vec![]);
    assert_eq!(glance::<i64>(world.dir.path(), "SELECT COUNT(*) FROM inbox"), 2);
}
