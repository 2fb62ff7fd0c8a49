use super::super::{Deleted, Expected, Push, TaskBranch, Vault};
use super::{AT, World, executable, sh, task_branch, who, write};

async fn commit(vault: &Vault, parent: &str, text: &str) -> String {
    let files = [("src/p.txt".to_owned(), text.as_bytes().to_vec())];
    vault.commit_files(parent, &files, text, &who(), AT).await.unwrap()
}

fn remote_at(world: &World, branch: &str) -> String {
    sh(
        &world.path("remote.git"),
        &["rev-parse", "--verify", &format!("refs/heads/{branch}")],
    )
}

#[tokio::test]
async fn pushes_are_compare_and_swap() {
    let world = World::new().await;
    let (vault, branch) = (&world.vault, task_branch());
    let base = vault.base().await.unwrap();
    let one = commit(vault, &base, "1").await;
    let two = commit(vault, &one, "2").await;
    assert_eq!(vault.push(&one, &branch, &Expected::Absent).await.unwrap(), Push::Done);
    assert_eq!(
        vault.push(&one, &branch, &Expected::Absent).await.unwrap(),
        Push::Same,
        "repeated after a crash"
    );
    assert_eq!(vault.branch(branch.as_str()).await.unwrap(), Some(one.clone()));
    assert_eq!(
        vault.push(&two, &branch, &Expected::Absent).await.unwrap(),
        Push::Moved { now: Some(one.clone()) }
    );
    assert_eq!(vault.push(&two, &branch, &Expected::At(one.clone())).await.unwrap(), Push::Done);
    assert_eq!(vault.push(&two, &branch, &Expected::At(one.clone())).await.unwrap(), Push::Same);
    let three = commit(vault, &two, "3").await;
    assert_eq!(vault.push(&three, &branch, &Expected::Ancestor).await.unwrap(), Push::Done);
    let side = commit(vault, &one, "side").await;
    for expected in [
        Expected::Ancestor,
        Expected::At(one.clone()),
        Expected::At(three.clone()),
        Expected::Absent,
    ] {
        let answer = vault.push(&side, &branch, &expected).await.unwrap();
        assert_eq!(answer, Push::Moved { now: Some(three.clone()) }, "{expected:?}");
    }
    assert_eq!(remote_at(&world, branch.as_str()), three);
}

#[tokio::test]
async fn a_branch_that_a_person_moved_is_left_alone() {
    let world = World::new().await;
    let (vault, branch) = (&world.vault, task_branch());
    let base = vault.base().await.unwrap();
    let one = commit(vault, &base, "1").await;
    vault.push(&one, &branch, &Expected::Absent).await.unwrap();
    let person = world.person();
    sh(&person, &["checkout", "-q", "-b", "mine"]);
    write(&person, "src/theirs", "x");
    sh(&person, &["add", "-A"]);
    sh(&person, &["commit", "-qm", "theirs"]);
    sh(&person, &["push", "-qf", "origin", &format!("mine:{branch}")]);
    let theirs = sh(&person, &["rev-parse", "mine"]);
    let two = commit(vault, &one, "2").await;
    for expected in [Expected::At(one.clone()), Expected::Ancestor] {
        assert_eq!(
            vault.push(&two, &branch, &expected).await.unwrap(),
            Push::Moved { now: Some(theirs.clone()) }
        );
    }
    assert_eq!(
        vault.delete_branch(&branch, &one).await.unwrap(),
        Deleted::Moved { now: theirs.clone() }
    );
    assert_eq!(remote_at(&world, branch.as_str()), theirs);
    sh(&person, &["push", "-q", "origin", &format!(":{branch}")]);
    assert_eq!(
        vault.push(&two, &branch, &Expected::At(one.clone())).await.unwrap(),
        Push::Moved { now: None }
    );
    assert_eq!(vault.delete_branch(&branch, &one).await.unwrap(), Deleted::Gone);
}

#[tokio::test]
async fn a_branch_is_deleted_only_at_its_recorded_commit() {
    let world = World::new().await;
    let (vault, branch) = (&world.vault, task_branch());
    let base = vault.base().await.unwrap();
    let one = commit(vault, &base, "1").await;
    assert_eq!(vault.delete_branch(&branch, &one).await.unwrap(), Deleted::Gone);
    vault.push(&one, &branch, &Expected::Absent).await.unwrap();
    assert_eq!(
        vault.delete_branch(&branch, &base).await.unwrap(),
        Deleted::Moved { now: one.clone() }
    );
    assert_eq!(vault.delete_branch(&branch, &one).await.unwrap(), Deleted::Done);
    assert_eq!(vault.delete_branch(&branch, &one).await.unwrap(), Deleted::Gone);
    assert_eq!(vault.branch(branch.as_str()).await.unwrap(), None);
    assert_eq!(vault.remote_branch(branch.as_str()).await.unwrap(), None);
}

#[tokio::test]
async fn a_remote_that_refuses_is_quoted() {
    let world = World::new().await;
    let (vault, branch) = (&world.vault, task_branch());
    let hook = world.path("remote.git/hooks/pre-receive");
    executable(&hook, "#!/bin/sh\necho protected by policy 7 >&2\nexit 1\n");
    let one = commit(vault, &vault.base().await.unwrap(), "1").await;
    let Push::Refused { why } = vault.push(&one, &branch, &Expected::Absent).await.unwrap() else {
        panic!("the hook refuses")
    };
    assert!(why.contains("pre-receive hook declined") && why.contains("policy 7"), "{why}");
    std::fs::rename(world.path("remote.git"), world.path("gone")).unwrap();
    assert!(vault.push(&one, &branch, &Expected::Absent).await.is_err());
    assert!(vault.delete_branch(&branch, &one).await.is_err());
}

#[tokio::test]
async fn a_name_in_the_way_is_refused() {
    let world = World::new().await;
    let vault = &world.vault;
    let one = commit(vault, &vault.base().await.unwrap(), "1").await;
    vault
        .push(&one, &TaskBranch::new("feature", "main", &[]).unwrap(), &Expected::Absent)
        .await
        .unwrap();
    let below = TaskBranch::new("feature/x", "main", &[]).unwrap();
    let answer = vault.push(&one, &below, &Expected::Absent).await.unwrap();
    assert!(matches!(answer, Push::Refused { .. }), "{answer:?}");
}
