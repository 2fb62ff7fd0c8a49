use super::super::{Git, GitError, Joined, MergeTree, Remote, Vault};
use super::{AT, World, sh, who, write};

#[tokio::test]
async fn an_empty_remote_is_said_to_be_empty() {
    let tmp = tempfile::tempdir().unwrap();
    sh(tmp.path(), &["init", "-q", "--bare", "r.git"]);
    let remote = Remote::new(tmp.path().join("r.git").to_str().unwrap(), "main", None).unwrap();
    let vault = Vault::open(Git::find().await.unwrap(), &tmp.path().join("v.git"), remote)
        .await
        .unwrap();
    vault.fetch().await.unwrap();
    let error = vault.base().await.unwrap_err();
    assert!(
        matches!(error, GitError::NoBranch { .. }) && error.to_string().contains("push a first commit"),
        "{error}"
    );
}

#[tokio::test]
async fn a_remote_that_is_gone_is_an_error_of_the_remote() {
    let world = World::new().await;
    std::fs::rename(world.path("remote.git"), world.path("elsewhere")).unwrap();
    assert!(matches!(world.vault.fetch().await, Err(GitError::Remote { .. })));
    assert!(matches!(world.vault.remote_branch("main").await, Err(GitError::Remote { .. })));
    world.vault.base().await.unwrap();
}

/// As when a page of HTML comes in its place: git finds no branch in it. Nothing was deleted.
#[tokio::test]
async fn a_remote_that_lists_nothing_any_more_has_deleted_nothing() {
    let world = World::new().await;
    sh(&world.person(), &["push", "-q", "origin", "main:refs/heads/x"]);
    world.vault.fetch().await.unwrap();
    std::fs::rename(world.path("remote.git"), world.path("elsewhere")).unwrap();
    sh(&world.path(""), &["init", "-q", "--bare", "remote.git"]);
    let error = world.vault.fetch().await.unwrap_err();
    assert!(
        matches!(error, GitError::Remote { .. }) && error.to_string().contains("it lists no branch `main`"),
        "{error}"
    );
    assert!(matches!(world.vault.remote_branch("x").await, Err(GitError::Remote { .. })));
    assert!(world.vault.branch("x").await.unwrap().is_some(), "it is still known");
}

#[tokio::test]
async fn fetch_follows_and_forgets_branches() {
    let world = World::new().await;
    sh(
        &world.person(),
        &["push", "-q", "origin", "main:refs/heads/x", "main:refs/heads/y/refs/heads/x"],
    );
    assert_eq!(world.vault.branch("x").await.unwrap(), None);
    assert!(world.vault.remote_branch("x").await.unwrap().is_some());
    world.vault.fetch().await.unwrap();
    assert_eq!(world.vault.branch("x").await.unwrap(), Some(world.vault.base().await.unwrap()));
    sh(&world.person(), &["push", "-q", "origin", ":x"]);
    world.vault.fetch().await.unwrap();
    assert_eq!(world.vault.branch("x").await.unwrap(), None);
    assert_eq!(
        world.vault.remote_branch("x").await.unwrap(),
        None,
        "y/refs/heads/x is another branch"
    );
    assert_eq!(world.vault.branch("--upload-pack=x").await.unwrap(), None);
    assert_eq!(world.vault.remote_branch("--upload-pack=x").await.unwrap(), None);
}

#[tokio::test]
async fn a_poisoned_vault_configuration_is_put_right_on_open() {
    let world = World::new().await;
    std::fs::write(world.path("vault.git/config"), "[core]\n\tbare = maybe\n").unwrap();
    std::fs::write(world.path("vault.git/info/attributes"), "* filter=x\n").unwrap();
    let again = Vault::open(Git::find().await.unwrap(), &world.path("vault.git"), world.vault.remote().clone())
        .await
        .unwrap();
    again.fetch().await.unwrap();
    assert_eq!(again.base().await.unwrap(), world.vault.base().await.unwrap());
    assert!(!world.path("vault.git/info/attributes").exists());
}

#[tokio::test]
async fn the_subject_is_the_tree_without_the_artefacts() {
    let world = World::new().await;
    let (vault, folder) = (&world.vault, "docs/work-items/T-1");
    let base = vault.base().await.unwrap();
    let file = |path: &str, text: &str| vec![(path.to_owned(), text.as_bytes().to_vec())];
    let artefact = vault
        .commit_files(&base, &file("docs/work-items/T-1/12-review.md", "ok"), "a", &who(), AT)
        .await
        .unwrap();
    let other = vault
        .commit_files(&base, &file("docs/work-items/T-2/x.md", "ok"), "b", &who(), AT)
        .await
        .unwrap();
    let source = vault.commit_files(&base, &file("src/a.txt", "two"), "c", &who(), AT).await.unwrap();
    let back = vault
        .commit_files(&source, &file("src/a.txt", "one\n"), "d", &who(), AT)
        .await
        .unwrap();
    let subject = vault.subject(&base, folder).await.unwrap();
    assert_eq!(vault.subject(&artefact, folder).await.unwrap(), subject);
    assert_eq!(vault.subject(&artefact, "docs/work-items/T-1/").await.unwrap(), subject);
    assert_eq!(vault.subject(&back, folder).await.unwrap(), subject);
    assert_ne!(vault.subject(&source, folder).await.unwrap(), subject);
    assert_ne!(vault.subject(&other, folder).await.unwrap(), subject);
    assert_ne!(
        vault.subject(&artefact, "none").await.unwrap(),
        vault.subject(&base, "none").await.unwrap()
    );
    // The folder was all that `docs` held: with it gone, `docs` is as if it never was.
    sh(&world.person(), &["rm", "-rq", "docs"]);
    let without = world.person_commits("src/a.txt", "one\n");
    vault.fetch().await.unwrap();
    assert_eq!(vault.subject(&without, folder).await.unwrap(), subject);
    // A file in the folder's place is no artefact.
    let file_there = world.person_commits("docs", "a file");
    vault.fetch().await.unwrap();
    assert_ne!(vault.subject(&file_there, folder).await.unwrap(), subject);
    assert!(vault.subject(&"0".repeat(40), folder).await.is_err());
}

#[tokio::test]
async fn files_and_contents_are_read_from_the_tree() {
    let world = World::new().await;
    let person = world.person();
    write(&person, "art/b c.md", "text");
    write(&person, "art/sub/d\ne.md", "x");
    write(&person, "art/:(glob)*", "magic");
    std::os::unix::fs::symlink("/etc/passwd", person.join("art/link.md")).unwrap();
    std::fs::write(
        person.join("art").join(std::ffi::OsStr::new(&*String::from_utf8_lossy(b"ok.md"))),
        "",
    )
    .unwrap();
    world.person_commits("art2/z", "z");
    world.vault.fetch().await.unwrap();
    let (vault, sha) = (&world.vault, world.vault.base().await.unwrap());
    assert_eq!(
        vault.files(&sha, "art").await.unwrap(),
        [":(glob)*", "b c.md", "ok.md", "sub/d\ne.md"]
    );
    assert_eq!(vault.files(&sha, "nothing").await.unwrap(), Vec::<String>::new());
    assert_eq!(vault.read(&sha, "art/b c.md", 4).await.unwrap().unwrap(), b"text");
    assert_eq!(vault.read(&sha, "art/:(glob)*", 10).await.unwrap().unwrap(), b"magic");
    assert_eq!(vault.read(&sha, "art/ok.md", 10).await.unwrap().unwrap(), b"");
    assert!(matches!(
        vault.read(&sha, "art/b c.md", 3).await,
        Err(GitError::TooLarge { limit: 3, .. })
    ));
    for absent in [
        "art/link.md",
        "art",
        "art/sub",
        "art/no",
        "../x",
        "/etc/passwd",
        "",
        "art/../art2/z",
    ] {
        assert_eq!(vault.read(&sha, absent, 99).await.unwrap(), None, "{absent}");
    }
    assert!(matches!(vault.read("HEAD", "a", 9).await, Err(GitError::BadId(_))));
}

#[tokio::test]
async fn commits_are_deterministic_and_changes_are_listed() {
    let world = World::new().await;
    let (vault, base) = (&world.vault, world.vault.base().await.unwrap());
    let files = vec![
        ("docs/n w.md".to_owned(), b"x\n\0".to_vec()),
        ("src/new.txt".to_owned(), Vec::new()),
    ];
    let one = vault.commit_files(&base, &files, "message\n\nbody", &who(), AT).await.unwrap();
    let two = vault.commit_files(&base, &files, "message\n\nbody", &who(), AT).await.unwrap();
    assert_eq!(one, two);
    assert_eq!(vault.changed(&base, &one).await.unwrap(), ["docs/n w.md", "src/new.txt"]);
    assert_eq!(vault.read(&one, "docs/n w.md", 99).await.unwrap().unwrap(), b"x\n\0");
    let tree = vault.tree(&one).await.unwrap();
    assert_eq!(
        vault.commit(&tree, &[&base], "message\n\nbody", &who(), AT).await.unwrap(),
        one,
        "both ways give the same commit"
    );
    let shown = sh(&world.path("vault.git"), &["log", "-1", "--format=%an|%ae|%at|%s", &one]);
    assert_eq!(shown, "Agent dev|agent@localhost|1700000000|message");
    assert!(vault.is_ancestor(&base, &one).await.unwrap() && !vault.is_ancestor(&one, &base).await.unwrap());
    assert!(!sh(&world.path("vault.git"), &["for-each-ref"]).contains("refs/signalbox"));
    for bad in [
        "../x",
        "/x",
        "a//b",
        "a\nM 100644 inline b",
        "\"a",
        ".git/config",
        "sub/.GIT/hooks/x",
        "",
    ] {
        let files = [(bad.to_owned(), Vec::new())];
        assert!(vault.commit_files(&base, &files, "m", &who(), AT).await.is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn merges_are_computed_without_touching_anything() {
    let world = World::new().await;
    let (vault, base) = (&world.vault, world.vault.base().await.unwrap());
    let with = async |path: &str, text: &str| {
        let files = [(path.to_owned(), text.as_bytes().to_vec())];
        vault.commit_files(&base, &files, path, &who(), AT).await.unwrap()
    };
    let (ours, theirs, clash) = (
        with("src/a.txt", "ours\n").await,
        with("src/b.txt", "b\n").await,
        with("src/a.txt", "clash\n").await,
    );
    let MergeTree::Clean { tree } = vault.merge_tree(&ours, &theirs).await.unwrap() else {
        panic!("they merge")
    };
    assert_eq!(
        vault.merge_tree(&ours, &clash).await.unwrap(),
        MergeTree::Conflict {
            files: vec!["src/a.txt".to_owned()]
        }
    );
    let join = async |head: &str, start: &str, run: &str| vault.join(head, start, run, "join", &who(), AT).await.unwrap();
    assert_eq!(join(&base, &base, &theirs).await, Joined::Clean { head: theirs.clone() });
    assert_eq!(join(&ours, &base, &base).await, Joined::Clean { head: ours.clone() });
    let Joined::Clean { head } = join(&ours, &base, &theirs).await else {
        panic!("they join")
    };
    assert_eq!(vault.tree(&head).await.unwrap(), tree);
    assert_eq!(
        join(&head, &base, &theirs).await,
        Joined::Clean { head: head.clone() },
        "joining again changes nothing"
    );
    assert_eq!(
        join(&ours, &base, &clash).await,
        Joined::Conflict {
            files: vec!["src/a.txt".to_owned()]
        }
    );
    let orphan = vault.commit(&tree, &[], "orphan", &who(), AT).await.unwrap();
    assert_eq!(
        vault.merge_tree(&ours, &orphan).await.unwrap(),
        MergeTree::Conflict { files: Vec::new() }
    );
    assert!(vault.merge_tree(&ours, &"0".repeat(40)).await.is_err());
}
