//! B-SG 2 and 3: dependencies never close a circle and are bound to tasks; freezes are remembered.

use super::*;
use crate::engine::model::{Freeze, FreezeLevel, Source, Wanted};

impl World {
    async fn depend(&self, task: &Task, on: &str) -> Declared {
        let said = event(self.aimed(task), poked());
        self.store.depend(task.id, on, "olga", said).await.unwrap()
    }

    async fn undepend(&self, task: &Task, on: &str) -> bool {
        let said = event(self.aimed(task), poked());
        self.store.undepend(task.id, on, "olga", said).await.unwrap()
    }

    /// Who waits for whom, by row ids.
    async fn edges(&self) -> Vec<(i64, Option<i64>, Source)> {
        let all = self.store.dependencies().await.unwrap();
        all.into_iter().map(|d| (d.task.0, d.on.map(|t| t.0), d.source)).collect()
    }

    /// The task's issue names these now.
    async fn names(&self, task: &Task, wanted: &[Wanted]) -> Task {
        self.decide(task, vec![Decision::Depend(wanted.to_vec())]).await
    }
}

fn item(text: &str) -> Wanted {
    Wanted::Item(text.to_owned())
}

#[tokio::test]
async fn b_sg_3_a_circle_is_refused_and_spelled_out() {
    let world = World::new().await;
    let (a, b, c) = (world.task("i1", 1).await, world.task("i2", 2).await, world.task("i3", 3).await);
    assert_eq!(world.depend(&a, "ORCH-002").await, Declared::Made);
    assert_eq!(world.depend(&b, "ORCH-003").await, Declared::Made);
    assert_eq!(world.depend(&b, "ORCH-003").await, Declared::Already);
    let circle = |names: &[&str]| Declared::Circle(names.iter().map(|n| (*n).to_owned()).collect());
    assert_eq!(
        world.depend(&c, "ORCH-001").await,
        circle(&["ORCH-003", "ORCH-001", "ORCH-002", "ORCH-003"])
    );
    assert_eq!(world.depend(&b, "ORCH-001").await, circle(&["ORCH-002", "ORCH-001", "ORCH-002"]));
    assert_eq!(world.depend(&a, "ORCH-001").await, circle(&["ORCH-001", "ORCH-001"]));
    assert_eq!(world.edges().await, [(1, Some(2), Source::Command), (2, Some(3), Source::Command)]);
    // Whoever is over is in nobody's way.
    world
        .phase(&world.store.task(b.id).await.unwrap().unwrap(), Phase::Cancelled, Vec::new())
        .await;
    assert_eq!(world.depend(&c, "ORCH-001").await, Declared::Made);
}

#[tokio::test]
async fn b_sg_3_a_circle_of_an_issue_comes_back_as_an_event() {
    let world = World::new().await;
    let (a, b) = (world.task("i1", 1).await, world.task("i2", 2).await);
    world.names(&a, &[item("ORCH-002")]).await;
    let b = world.names(&b, &[item("ORCH-001"), item("ORCH-009")]).await;
    let told = world.store.next_event(&world.aimed(&b), false).await.unwrap().unwrap();
    let circle = ["ORCH-002", "ORCH-001", "ORCH-002"].map(str::to_owned).to_vec();
    assert_eq!(told.body, Body::CircleRefused { circle });
    assert_eq!(world.edges().await, [(1, Some(2), Source::Text), (2, None, Source::Text)]);
}

#[tokio::test]
async fn b_sg_3_what_was_not_started_is_bound_when_it_is_born() {
    let world = World::new().await;
    let a = world.task("i1", 1).await;
    let by_relation = Wanted::Issue("i3".to_owned());
    let a = world.names(&a, &[item("ORCH-002"), by_relation]).await;
    assert_eq!(world.edges().await, [(1, None, Source::Text), (1, None, Source::Relation)]);
    world.task("i2", 2).await;
    let third = world.task("i3", 3).await;
    assert_eq!(world.edges().await, [(1, Some(2), Source::Text), (1, Some(3), Source::Relation)]);
    // Stopped, it is over for good: a fresh task of the same issue is not waited for.
    world.phase(&third, Phase::Cancelled, Vec::new()).await;
    world.task("i3", 3).await;
    assert_eq!(world.edges().await, [(1, Some(2), Source::Text), (1, Some(3), Source::Relation)]);
    // Of tasks that are over themselves nothing is asked any more.
    world.phase(&a, Phase::Done, Vec::new()).await;
    assert_eq!(world.edges().await, []);
}

#[tokio::test]
async fn b_sg_3_the_issue_is_read_again_and_a_person_has_the_last_word() {
    let world = World::new().await;
    let a = world.task("i1", 1).await;
    world.task("i2", 2).await;
    world.task("i3", 3).await;
    let a = world.names(&a, &[item("ORCH-002"), item("ORCH-003")]).await;
    assert!(world.undepend(&a, "ORCH-002").await);
    assert!(!world.undepend(&a, "ORCH-002").await, "it is gone already");
    let a = world.names(&a, &[item("ORCH-002"), item("ORCH-003"), item("ORCH-004")]).await;
    assert_eq!(
        world.edges().await,
        [(1, Some(3), Source::Text), (1, None, Source::Text)],
        "what a person took away stays away"
    );
    let a = world.names(&a, &[]).await;
    assert_eq!(world.edges().await, []);
    let a = world.names(&a, &[item("ORCH-003")]).await;
    assert_eq!(
        world.edges().await,
        [(1, Some(3), Source::Text)],
        "what the issue took back it may name again"
    );
    assert_eq!(
        world.depend(&a, "ORCH-002").await,
        Declared::Made,
        "and a person may change their mind"
    );
    world.names(&a, &[]).await;
    assert_eq!(
        world.edges().await,
        [(1, Some(2), Source::Command)],
        "the issue takes back only its own"
    );
}

#[tokio::test]
async fn b_sg_3_a_job_is_not_claimed_past_a_dependency_that_nobody_looked_at() {
    let world = World::new().await;
    let a = world.task("i1", 1).await;
    world.task("i2", 2).await;
    let seen = world.store.queue(T0).await.unwrap().newest;
    world.depend(&a, "ORCH-002").await;
    let job = world.only_job(&a).await.id;
    let late = |seen| Claim { seen, ..claim(job, "c") };
    assert_eq!(world.store.claim(late(seen)).await, Err(StoreError::Conflict));
    let seen = world.store.queue(T0).await.unwrap().newest;
    world.store.claim(late(seen)).await.unwrap();
}

#[tokio::test]
async fn b_sg_2_every_freeze_and_thaw_is_remembered_with_its_evidence() {
    let world = World::new().await;
    let task = world.task("i1", 1).await;
    let freeze = |level, reason: &str, by: &str| {
        Some(Freeze {
            level,
            reason: reason.to_owned(),
            since: at(5),
            by: by.to_owned(),
        })
    };
    // By a step: its reasons are the evidence.
    let seq = world.poke(&task).await;
    let mut step = world.step(&task, seq, Vec::new()).await;
    step.repo.freeze = freeze(FreezeLevel::Merge, "the tree differs", "ORCH-001");
    step.because = vec![Because::from("merge.mismatch"), Because::from("tree 1 is not tree 2")];
    world.store.commit_step(step).await.unwrap();
    // By a person: more of it, then none.
    let note = |reason: &str| Note {
        at: at(9),
        who: "olga".to_owned(),
        reason: reason.to_owned(),
        evidence: "said on the command line".to_owned(),
        seq: None,
    };
    for (freeze, reason) in [(freeze(FreezeLevel::All, "worse", "olga"), ""), (None, "mended"), (None, "again")] {
        let before = world.repo_now().await;
        let after = Repo { freeze, ..before.clone() };
        world
            .store
            .change_repo(after, before.version, note(reason), Vec::new())
            .await
            .unwrap();
    }
    let rows = world.store.freezes(world.repo, 10).await.unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|r| {
            (
                r.what.as_str(),
                r.level,
                r.reason.as_str(),
                r.who.as_str(),
                r.evidence.as_str(),
                r.seq,
            )
        })
        .collect();
    let said = "said on the command line";
    assert_eq!(
        told,
        [
            ("lifted", FreezeLevel::All, "mended", "olga", said, None),
            ("changed", FreezeLevel::All, "worse", "olga", said, None),
            (
                "set",
                FreezeLevel::Merge,
                "the tree differs",
                "ORCH-001",
                "merge.mismatch; tree 1 is not tree 2",
                Some(seq)
            ),
        ]
    );
    for sql in ["UPDATE freezes SET who = 'x'", "DELETE FROM freezes"] {
        let refused = world.store.write(move |conn| codec::exec(conn, sql, [])).await;
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{sql}: {refused:?}");
    }
}
