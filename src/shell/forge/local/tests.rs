use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::engine::model::Millis;
use crate::shell::git::{Deleted, Expected, Git, Identity, Push, TaskBranch, Vault};

use super::{ForgeError, LocalForge, MergeAnswer, Synced};

const AT: Millis = Millis(1_700_000_000_000);

fn who() -> Identity {
    Identity {
        name: "signalbox".to_owned(),
        email: "signalbox@localhost".to_owned(),
    }
}

fn try_sh(dir: &Path, args: &[&str]) -> (bool, String) {
    let out = Command::new("git")
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs([
            ("GIT_AUTHOR_NAME", "P"),
            ("GIT_AUTHOR_EMAIL", "p@x"),
            ("GIT_COMMITTER_NAME", "P"),
            ("GIT_COMMITTER_EMAIL", "p@x"),
        ])
        .output()
        .unwrap();
    (
        out.status.success(),
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
            .trim()
            .to_owned(),
    )
}

fn sh(dir: &Path, args: &[&str]) -> String {
    let (ok, text) = try_sh(dir, args);
    assert!(ok, "git {args:?}: {text}");
    text
}

fn commit(dir: &Path, path: &str, text: &str) -> String {
    std::fs::write(dir.join(path), text).unwrap();
    sh(dir, &["add", "-A"]);
    sh(dir, &["commit", "-qm", path]);
    sh(dir, &["rev-parse", "HEAD"])
}

/// A person's repository on branch `trunk` with one commit.
fn person(tmp: &TempDir) -> std::path::PathBuf {
    sh(tmp.path(), &["init", "-q", "-b", "trunk", "person"]);
    let dir = tmp.path().join("person");
    commit(&dir, "a.txt", "one\n");
    dir
}

async fn open(tmp: &TempDir, source: Option<&Path>, branch: Option<&str>) -> Result<LocalForge, ForgeError> {
    LocalForge::open(Git::find().await.unwrap(), &tmp.path().join("forge/p.git"), source, branch).await
}

struct World {
    tmp: TempDir,
    person: std::path::PathBuf,
    forge: LocalForge,
    vault: Vault,
}

async fn world() -> World {
    let tmp = tempfile::tempdir().unwrap();
    let person = person(&tmp);
    let forge = open(&tmp, Some(&person), None).await.unwrap();
    let vault = Vault::open(Git::find().await.unwrap(), &tmp.path().join("vault.git"), forge.remote())
        .await
        .unwrap();
    vault.fetch().await.unwrap();
    World { tmp, person, forge, vault }
}

impl World {
    /// A task branch one commit ahead of the default branch; gives its head.
    async fn branch(&self, name: &str, path: &str, text: &str) -> String {
        let base = self.vault.base().await.unwrap();
        let files = [(path.to_owned(), text.as_bytes().to_vec())];
        let head = self.vault.commit_files(&base, &files, path, &who(), AT).await.unwrap();
        let branch = TaskBranch::new(name, "trunk", &[]).unwrap();
        assert_eq!(self.vault.push(&head, &branch, &Expected::Absent).await.unwrap(), Push::Done);
        head
    }

    async fn merge(&self, branch: &str, head: &str) -> MergeAnswer {
        self.forge.merge(branch, head, "Title (T-1)", &who(), AT).await.unwrap()
    }
}

#[tokio::test]
async fn it_is_seeded_from_the_branch_that_head_names_and_opens_again() {
    let world = world().await;
    assert_eq!(world.forge.default_branch(), "trunk");
    let head = sh(&world.person, &["rev-parse", "HEAD"]);
    assert_eq!(world.forge.branch("trunk").await.unwrap(), Some(head.clone()));
    assert_eq!(world.vault.base().await.unwrap(), head);
    sh(&world.person, &["checkout", "-q", "-b", "elsewhere"]);
    let again = open(&world.tmp, Some(&world.person), None).await.unwrap();
    assert_eq!(again.default_branch(), "trunk", "what it was seeded with");
    assert_eq!(again.branch("--upload-pack=x").await.unwrap(), None);
}

#[tokio::test]
async fn a_source_that_cannot_be_used_is_named_with_a_remedy() {
    let tmp = tempfile::tempdir().unwrap();
    let missing = tmp.path().join("missing");
    let error = open(&tmp, Some(&missing), None).await.unwrap_err();
    assert!(
        matches!(error, ForgeError::SourceMissing(_)) && error.to_string().contains("git init"),
        "{error}"
    );
    let plain = tmp.path().join("plain");
    std::fs::create_dir(&plain).unwrap();
    assert!(matches!(
        open(&tmp, Some(&plain), None).await,
        Err(ForgeError::NotARepository { .. })
    ));
    sh(tmp.path(), &["init", "-q", "empty"]);
    assert!(matches!(
        open(&tmp, Some(&tmp.path().join("empty")), None).await,
        Err(ForgeError::NoCommits(_))
    ));
    let person = person(&tmp);
    sh(&person, &["checkout", "-q", "--detach"]);
    let error = open(&tmp, Some(&person), None).await.unwrap_err();
    assert!(
        matches!(error, ForgeError::Detached(_)) && error.to_string().contains("default_branch"),
        "{error}"
    );
    assert!(matches!(
        open(&tmp, Some(&person), Some("no")).await,
        Err(ForgeError::NoBranch { .. })
    ));
    assert!(matches!(
        open(&tmp, Some(&person), Some("--x")).await,
        Err(ForgeError::BadBranch { .. })
    ));
    // None of the attempts above stands in the way of the right one.
    assert_eq!(open(&tmp, Some(&person), Some("trunk")).await.unwrap().default_branch(), "trunk");
}

#[tokio::test]
async fn without_a_source_it_starts_empty() {
    let tmp = tempfile::tempdir().unwrap();
    let forge = open(&tmp, None, None).await.unwrap();
    assert_eq!(forge.branch("main").await.unwrap(), None);
    assert_eq!(forge.sync().await.unwrap(), Synced::Same);
    let answer = forge.merge("x", &"a".repeat(40), "t", &who(), AT).await.unwrap();
    assert!(matches!(answer, MergeAnswer::Refused { .. }), "{answer:?}");
}

#[tokio::test]
async fn sync_only_moves_forward_and_only_here() {
    let world = world().await;
    let (forge, person) = (&world.forge, &world.person);
    assert_eq!(forge.sync().await.unwrap(), Synced::Same);
    let from = sh(person, &["rev-parse", "HEAD"]);
    let to = commit(person, "b.txt", "b");
    assert_eq!(forge.sync().await.unwrap(), Synced::Forwarded { from, to: to.clone() });
    assert_eq!(forge.sync().await.unwrap(), Synced::Same);
    world.vault.fetch().await.unwrap();
    let head = world.branch("feature/x", "c.txt", "c").await;
    let MergeAnswer::Merged { commit: ours } = world.merge("feature/x", &head).await else {
        panic!("it merges")
    };
    assert_eq!(forge.sync().await.unwrap(), Synced::Same, "ahead of the source");
    let refs = sh(person, &["for-each-ref"]);
    let theirs = commit(person, "d.txt", "d");
    assert_eq!(
        forge.sync().await.unwrap(),
        Synced::Diverged {
            ours: ours.clone(),
            theirs: theirs.clone()
        }
    );
    assert_eq!(forge.branch("trunk").await.unwrap(), Some(ours.clone()));
    assert_eq!(
        refs.replace(&to, &theirs),
        sh(person, &["for-each-ref"]),
        "nothing of ours was written to the person"
    );
    assert_eq!(sh(person, &["status", "--porcelain"]), "");
    // The person takes our side in: strictly ahead again.
    sh(
        person,
        &[
            "pull",
            "-q",
            "--no-rebase",
            "--no-edit",
            world.tmp.path().join("forge/p.git").to_str().unwrap(),
            "trunk",
        ],
    );
    let merged = sh(person, &["rev-parse", "HEAD"]);
    assert_eq!(forge.sync().await.unwrap(), Synced::Forwarded { from: ours, to: merged });
    std::fs::rename(person.join(".git"), world.tmp.path().join("git")).unwrap();
    assert!(matches!(forge.sync().await, Err(ForgeError::NotARepository { .. })));
    std::fs::rename(person, world.tmp.path().join("away")).unwrap();
    assert!(matches!(forge.sync().await, Err(ForgeError::SourceMissing(_))));
    std::fs::remove_dir_all(world.tmp.path().join("forge/p.git")).unwrap();
    assert!(matches!(forge.sync().await, Err(ForgeError::Gone(_))));
}

#[tokio::test]
async fn a_merge_is_a_merge_commit_with_the_computed_tree_and_happens_once() {
    let world = world().await;
    let base = world.vault.base().await.unwrap();
    let head = world.branch("feature/x", "b.txt", "b").await;
    let MergeAnswer::Merged { commit } = world.merge("feature/x", &head).await else {
        panic!("it merges")
    };
    assert_eq!(world.forge.branch("trunk").await.unwrap(), Some(commit.clone()));
    let bare = world.tmp.path().join("forge/p.git");
    assert_eq!(
        sh(&bare, &["log", "-1", "--format=%P|%s|%an", &commit]),
        format!("{base} {head}|Title (T-1)|signalbox")
    );
    assert_eq!(
        world.merge("feature/x", &head).await,
        MergeAnswer::AlreadyMerged { commit: commit.clone() }
    );
    // With others merged behind it and the branch gone, it still names the commit that brought it.
    let other = world.branch("feature/y", "c.txt", "c").await;
    assert!(matches!(world.merge("feature/y", &other).await, MergeAnswer::Merged { .. }));
    let branch = TaskBranch::new("feature/x", "trunk", &[]).unwrap();
    assert_eq!(world.vault.delete_branch(&branch, &head).await.unwrap(), Deleted::Done);
    assert_eq!(world.merge("feature/x", &head).await, MergeAnswer::AlreadyMerged { commit });
    assert_eq!(world.merge("feature/z", &base).await, MergeAnswer::AlreadyMerged { commit: base });
}

#[tokio::test]
async fn a_merge_that_must_not_happen_says_why() {
    let world = world().await;
    let head = world.branch("feature/x", "a.txt", "theirs\n").await;
    assert_eq!(world.merge("feature/none", &head).await, MergeAnswer::HeadMoved { now: None });
    let unknown = "b".repeat(40);
    assert_eq!(
        world.merge("feature/x", &unknown).await,
        MergeAnswer::HeadMoved { now: Some(head.clone()) }
    );
    commit(&world.person, "a.txt", "ours\n");
    world.forge.sync().await.unwrap();
    assert_eq!(
        world.merge("feature/x", &head).await,
        MergeAnswer::Conflict {
            files: vec!["a.txt".to_owned()]
        }
    );
    for name in ["trunk", "--upload-pack=x", ""] {
        assert!(matches!(world.merge(name, &head).await, MergeAnswer::Refused { .. }), "{name}");
    }
    let bare = world.tmp.path().join("forge/p.git");
    let orphan = sh(&bare, &["commit-tree", "-m", "orphan", &format!("{head}^{{tree}}")]);
    sh(&bare, &["update-ref", "refs/heads/orphan", &orphan]);
    assert!(matches!(world.merge("orphan", &orphan).await, MergeAnswer::Refused { .. }));
}

#[tokio::test]
async fn merges_at_the_same_time_do_not_lose_one() {
    let world = world().await;
    let (x, y) = (
        world.branch("feature/x", "x.txt", "x").await,
        world.branch("feature/y", "y.txt", "y").await,
    );
    let (a, b) = tokio::join!(world.merge("feature/x", &x), world.merge("feature/y", &y));
    for (answer, branch, head) in [(a, "feature/x", &x), (b, "feature/y", &y)] {
        match answer {
            MergeAnswer::Merged { .. } => {}
            MergeAnswer::BaseMoved => assert!(matches!(world.merge(branch, head).await, MergeAnswer::Merged { .. })),
            other => panic!("{other:?}"),
        }
    }
    let bare = world.tmp.path().join("forge/p.git");
    assert_eq!(sh(&bare, &["ls-tree", "--name-only", "trunk"]), "a.txt\nx.txt\ny.txt");
}

#[tokio::test]
async fn a_swap_against_an_old_base_changes_nothing() {
    let world = world().await;
    let base = world.vault.base().await.unwrap();
    let head = world.branch("feature/x", "b.txt", "b").await;
    let bare = &world.forge.bare;
    assert!(bare.swap("refs/heads/trunk", &head, &base).await.unwrap());
    assert!(!bare.swap("refs/heads/trunk", &base, &base).await.unwrap());
    assert_eq!(world.forge.branch("trunk").await.unwrap(), Some(head));
}

#[tokio::test]
async fn the_forge_itself_refuses_force_and_the_loss_of_its_default_branch() {
    let world = world().await;
    let url = world.tmp.path().join("forge/p.git");
    let url = url.to_str().unwrap();
    let person = &world.person;
    let old = sh(person, &["rev-parse", "HEAD"]);
    commit(person, "b.txt", "b");
    sh(person, &["push", "-q", url, "HEAD:refs/heads/feature/x"]);
    assert!(
        !try_sh(person, &["push", "-f", url, &format!("{old}:refs/heads/feature/x")]).0,
        "a forced push was accepted"
    );
    assert!(
        !try_sh(person, &["push", url, ":refs/heads/trunk"]).0,
        "the default branch was deleted"
    );
    sh(person, &["push", "-q", url, ":refs/heads/feature/x"]);
}
