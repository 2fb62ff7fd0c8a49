use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::engine::model::RunId;

use super::super::{Collected, Git, GitError, Remote, Vault, Work};
use super::{AT, BRANCH, FOLDER, World, accepted, broken, executable, sh, who, write};

fn agent_commits(world: &World, path: &str, text: &str) -> String {
    write(&world.checkout(), path, text);
    sh(&world.checkout(), &["add", "-f", path]);
    sh(&world.checkout(), &["commit", "-qm", path]);
    sh(&world.checkout(), &["rev-parse", "HEAD"])
}

#[tokio::test]
async fn a_checkout_is_ready_to_work_in() {
    let world = World::new().await;
    let base = world.begin().await;
    let dir = world.checkout();
    assert_eq!(
        sh(&dir, &["status", "--porcelain=v2", "--branch"]),
        format!("# branch.oid {base}\n# branch.head {BRANCH}")
    );
    assert_eq!(sh(&dir, &["rev-parse", "origin/main"]), base);
    assert_eq!(sh(&dir, &["config", "user.name"]), "Agent dev");
    assert_eq!(std::fs::read_to_string(dir.join("src/a.txt")).unwrap(), "one\n");
    sh(&dir, &["fsck", "--strict"]);
    write(&dir, ".signalbox/prompt.md", "x");
    assert_eq!(sh(&dir, &["status", "--porcelain"]), "");
    // Made again: nothing of the old one is left.
    write(&dir, "junk", "x");
    world.begin().await;
    assert!(!dir.join("junk").exists() && !dir.join(".signalbox").exists());
    assert!(world.vault.checkout(&dir, &base, "--upload-pack=x", &who()).await.is_err());
    Vault::remove_checkout(&dir).await.unwrap();
    Vault::remove_checkout(&dir).await.unwrap();
    assert!(!dir.exists());
}

#[tokio::test]
async fn commits_and_leftovers_are_taken_over_and_again() {
    let world = World::new().await;
    let start = world.begin().await;
    let committed = agent_commits(&world, "src/b.txt", "b");
    write(&world.checkout(), "src/c d.txt", "c");
    write(&world.checkout(), "ignored/x", "x");
    write(&world.checkout(), ".signalbox/note", "x");
    std::fs::remove_file(world.checkout().join("src/a.txt")).unwrap();
    let (head, wrote) = accepted(world.collect(&start, 1).await);
    assert_eq!(wrote, ["src/a.txt", "src/b.txt", "src/c d.txt"]);
    assert_eq!(world.vault.changed(&committed, &head).await.unwrap(), ["src/a.txt", "src/c d.txt"]);
    let author = sh(&world.path("vault.git"), &["log", "-1", "--format=%an %at %s", &head]);
    assert_eq!(author, "Agent dev 1700000000 leftovers");
    // Again after a crash before the ref was written, then after one behind it.
    sh(&world.path("vault.git"), &["update-ref", "-d", "refs/runs/1"]);
    assert_eq!(accepted(world.collect(&start, 1).await), (head.clone(), wrote.clone()));
    write(&world.checkout(), "src/late.txt", "too late");
    assert_eq!(accepted(world.collect(&start, 1).await), (head.clone(), wrote.clone()));
    Vault::remove_checkout(&world.checkout()).await.unwrap();
    assert_eq!(accepted(world.collect(&start, 1).await), (head.clone(), wrote));
    sh(&world.path("vault.git"), &["fsck", "--strict", "--connectivity-only", &head]);
}

#[tokio::test]
async fn a_run_that_changed_nothing_has_its_start_as_head() {
    let world = World::new().await;
    let start = world.begin().await;
    assert_eq!(accepted(world.collect(&start, 1).await), (start.clone(), Vec::new()));
    assert_eq!(world.keep(&start, 2).await, None);
}

#[tokio::test]
async fn packed_refs_other_branches_and_detached_heads_are_followed() {
    let world = World::new().await;
    let start = world.begin().await;
    sh(&world.checkout(), &["checkout", "-q", "-b", "agent/own"]);
    let head = agent_commits(&world, "src/b.txt", "b");
    sh(&world.checkout(), &["gc", "-q"]);
    assert!(!world.checkout().join(".git/refs/heads/agent/own").exists(), "the refs are packed");
    assert_eq!(accepted(world.collect(&start, 1).await).0, head);
    sh(&world.checkout(), &["checkout", "-q", "--detach"]);
    assert_eq!(accepted(world.collect(&start, 2).await).0, head);
}

#[tokio::test]
async fn many_commits_arrive_as_a_pack() {
    let world = World::new().await;
    let start = world.begin().await;
    for i in 0..700 {
        write(&world.checkout(), &format!("many/{i}.txt"), &i.to_string());
    }
    sh(&world.checkout(), &["add", "-A"]);
    sh(&world.checkout(), &["commit", "-qm", "many"]);
    let (head, wrote) = accepted(world.collect(&start, 1).await);
    assert_eq!(wrote.len(), 700);
    Vault::remove_checkout(&world.checkout()).await.unwrap();
    sh(&world.path("vault.git"), &["fsck", "--strict", &head]);
}

#[tokio::test]
async fn work_outside_the_declared_paths_is_kept_but_not_accepted() {
    let world = World::new().await;
    let start = world.begin().await;
    agent_commits(&world, "docs/fine.md", "x");
    write(&world.checkout(), "src/not fine.txt", "x");
    let allow = |path: &str| path.starts_with("docs/");
    let expected = Collected::OutOfScope {
        paths: vec!["src/not fine.txt".to_owned()],
    };
    assert_eq!(world.collect_scoped(&start, 1, &allow).await, expected);
    Vault::remove_checkout(&world.checkout()).await.unwrap();
    assert_eq!(
        world.collect_scoped(&start, 1, &allow).await,
        expected,
        "again, without the checkout"
    );
    let refs = sh(&world.path("vault.git"), &["for-each-ref", "--format=%(refname)"]);
    assert!(refs.contains("refs/leftover/1") && !refs.contains("refs/runs/1"), "{refs}");
    let kept = sh(&world.path("vault.git"), &["ls-tree", "-r", "--name-only", "refs/leftover/1"]);
    assert!(kept.contains("src/not fine.txt") && kept.contains("docs/fine.md"), "{kept}");
}

#[tokio::test]
async fn the_services_own_folder_is_never_accepted() {
    let world = World::new().await;
    let start = world.begin().await;
    agent_commits(&world, ".signalbox/spec.json", "forged");
    let answer = world.collect(&start, 1).await;
    assert_eq!(
        answer,
        Collected::OutOfScope {
            paths: vec![".signalbox/spec.json".to_owned()]
        }
    );
}

#[tokio::test]
async fn a_history_that_does_not_descend_from_the_start_is_broken() {
    let world = World::new().await;
    let old = world.vault.base().await.unwrap();
    let start = world.person_commits("src/new.txt", "x");
    world.vault.fetch().await.unwrap();
    world.begin().await;
    sh(&world.checkout(), &["reset", "-q", "--hard", &old]);
    assert!(broken(world.collect(&start, 1).await).contains("does not descend"));
    sh(&world.checkout(), &["checkout", "-q", "--orphan", "fresh"]);
    assert!(broken(world.collect(&start, 2).await).contains("names no commit"));
    agent_commits(&world, "src/b.txt", "b");
    assert!(broken(world.collect(&start, 3).await).contains("does not descend"));
}

#[tokio::test]
async fn leftovers_of_a_failed_run_are_kept_whatever_its_repository_is() {
    let world = World::new().await;
    let start = world.begin().await;
    let committed = agent_commits(&world, "src/b.txt", "b");
    write(&world.checkout(), "src/c.txt", "c");
    let kept = world.keep(&start, 1).await.unwrap();
    assert_eq!(world.vault.changed(&start, &kept).await.unwrap(), ["src/b.txt", "src/c.txt"]);
    assert!(world.vault.is_ancestor(&committed, &kept).await.unwrap());
    assert_eq!(world.keep(&start, 1).await.unwrap(), kept);
    std::fs::remove_dir_all(world.checkout().join(".git")).unwrap();
    let kept = world.keep(&start, 2).await.unwrap();
    assert_eq!(world.vault.changed(&start, &kept).await.unwrap(), ["src/b.txt", "src/c.txt"]);
    Vault::remove_checkout(&world.checkout()).await.unwrap();
    assert_eq!(world.keep(&start, 3).await, None);
}

#[tokio::test]
async fn odd_file_names_do_not_panic() {
    let world = World::new().await;
    let start = world.begin().await;
    for name in [
        &b"new\nline"[..],
        b"in\xff\xfevalid",
        b"-rf",
        b":(exclude)x",
        b"\"quoted\"",
        b"sp ace\t",
        b"\x01",
    ] {
        std::fs::write(world.checkout().join(OsStr::from_bytes(name)), "x").unwrap();
    }
    let (head, wrote) = accepted(world.collect(&start, 1).await);
    assert_eq!(wrote.len(), 7, "{wrote:?}");
    assert!(wrote.iter().any(|p| p == "new\nline") && wrote.iter().any(|p| p.contains('\u{fffd}')));
    let refused = world.collect_scoped(&start, 1, &|p| p.starts_with("src/")).await;
    assert_eq!(accepted(refused).0, head, "accepted stays accepted");
}

/// Tools that lay out a project make a repository of it: its files are work like any other, committed as a link or not.
#[tokio::test]
async fn repositories_within_are_taken_over_as_plain_files() {
    let world = World::new().await;
    let start = world.begin().await;
    let dir = world.checkout();
    for inner in ["site", "site/themes/plain", "linked", "ignored/cache"] {
        write(&dir.join(inner), "code.txt", inner);
        sh(&dir.join(inner), &["init", "-q"]);
    }
    sh(&dir.join("linked"), &["add", "-A"]);
    sh(&dir.join("linked"), &["commit", "-qm", "inner"]);
    sh(&dir, &["-c", "advice.addEmbeddedRepo=false", "add", "linked"]);
    sh(&dir, &["commit", "-qm", "a link that leads nowhere"]);
    let (head, wrote) = accepted(world.collect(&start, 1).await);
    assert_eq!(wrote, ["linked/code.txt", "site/code.txt", "site/themes/plain/code.txt"]);
    let listed = sh(&world.path("vault.git"), &["ls-tree", "-r", &head]);
    assert!(!listed.contains("160000"), "{listed}");
    assert!(dir.join("ignored/cache/.git").is_dir(), "what is ignored is left alone");
    // Asked again it is the same, also where nothing else was written.
    assert_eq!(accepted(world.collect(&start, 1).await).1, wrote);
}

/// A git of ours that is ended from outside says nothing about the work: it is taken over at the next try.
#[tokio::test]
async fn a_git_that_is_killed_costs_no_work() {
    let world = World::new().await;
    let start = world.begin().await;
    write(&world.checkout(), "src/new.txt", "new");
    let real = Git::find().await.unwrap();
    let (script, marker) = (world.path("git"), world.path("killed"));
    for step in [" add ", " read-tree ", " write-tree"] {
        let text = format!(
            "#!/bin/sh\ncase \"$*\" in *'{step}'*) if [ ! -e {marker} ]; then : > {marker}; kill -9 $$; fi;; esac\nexec {} \"$@\"\n",
            real.program().display(),
            marker = marker.display(),
        );
        executable(&script, &text);
        let _ = std::fs::remove_file(&marker);
        let remote = Remote::new(world.path("remote.git").to_str().unwrap(), "main", None).unwrap();
        let git = Git::at_path(&script).await.unwrap();
        let vault = Vault::open(git, &world.path("vault.git"), remote).await.unwrap();
        let (dir, scratch, who) = (world.checkout(), world.path("scratch"), who());
        let work = Work {
            dir: &dir,
            start: &start,
            folder: FOLDER,
            run: RunId(7),
            scratch: &scratch,
            message: "leftovers",
            who: &who,
            at: AT,
        };
        let error = vault.collect(work, &|_| true).await.unwrap_err();
        assert!(matches!(error, GitError::Ended { signal: 9, .. }), "{step}: {error}");
    }
    assert_eq!(accepted(world.collect(&start, 7).await).1, ["src/new.txt"]);
}
