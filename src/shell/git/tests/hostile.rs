//! What an agent may plant in its checkout, and that none of it runs or gets out.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::super::{Deleted, Expected, Push, Vault};
use super::poison::{poison, trap};
use super::{World, accepted, broken, sh, task_branch, write};

/// A repository inside the checkout, poisoned as well.
fn nested(world: &World, path: &str, trap: &Path) {
    let inner = world.checkout().join(path);
    std::fs::create_dir_all(&inner).unwrap();
    sh(&inner, &["init", "-q"]);
    write(&inner, "inner.txt", "x");
    write(&inner, ".gitattributes", "* filter=x diff=x\n");
    sh(&inner, &["add", "-A"]);
    sh(&inner, &["commit", "-qm", "inner"]);
    poison(&inner.join(".git"), trap);
}

#[tokio::test]
async fn nothing_that_an_agent_planted_is_executed() {
    let world = World::new().await;
    let (trap, marker) = trap(&world);
    let start = world.begin().await;
    let dir = world.checkout();
    // A committed submodule, a nested repository beside it, and one inside a tracked folder.
    nested(&world, "sub", &trap);
    write(&dir, ".gitattributes", "* filter=x diff=x merge=x text\n");
    write(&dir, ".gitmodules", "[submodule \"sub\"]\n\tpath = sub\n\turl = ./sub\n");
    sh(
        &dir,
        &["-c", "advice.addEmbeddedRepo=false", "add", "sub", ".gitmodules", ".gitattributes"],
    );
    sh(&dir, &["commit", "-qm", "submodule"]);
    nested(&world, "other/deep", &trap);
    nested(&world, "src", &trap);
    nested(&world, "ignored/module", &trap);
    nested(&world, "^odd[*]\\name", &trap);
    write(&dir.join("sub"), "inner.txt", "changed: a dirty submodule makes git look inside");
    write(&dir, "docs/left.txt", "left\n");
    poison(&dir.join(".git"), &trap);
    // The trap works: git in this repository runs it.
    let _ = std::process::Command::new("git")
        .args(["-c", "core.worktree=", "status"])
        .current_dir(&dir)
        .output()
        .unwrap();
    let _ = std::process::Command::new("git")
        .args(["status"])
        .current_dir(dir.join("src"))
        .output()
        .unwrap();
    assert!(marker.exists(), "the trap is set");
    std::fs::remove_file(&marker).unwrap();

    let (head, wrote) = accepted(world.collect(&start, 1).await);
    // What they hold is taken over as plain files; the submodule stays one, and what is ignored stays away.
    let odd = "^odd[*]\\name";
    assert_eq!(
        wrote,
        [
            ".gitattributes".to_owned(),
            ".gitmodules".to_owned(),
            format!("{odd}/.gitattributes"),
            format!("{odd}/inner.txt"),
            "docs/left.txt".to_owned(),
            "other/deep/.gitattributes".to_owned(),
            "other/deep/inner.txt".to_owned(),
            "src/.gitattributes".to_owned(),
            "src/inner.txt".to_owned(),
            "sub".to_owned(),
        ]
    );
    assert!(
        !marker.exists(),
        "collect executed {}",
        std::fs::read_to_string(&marker).unwrap_or_default()
    );
    world.keep(&start, 2).await.unwrap();
    let branch = task_branch();
    assert_eq!(world.vault.push(&head, &branch, &Expected::Absent).await.unwrap(), Push::Done);
    world.vault.fetch().await.unwrap();
    world.vault.merge_tree(&start, &head).await.unwrap();
    // Made anew at the agent's own commit: its .gitattributes are in force, its filters are not.
    world.vault.checkout(&dir, &head, "feature/again", &super::who()).await.unwrap();
    assert_eq!(std::fs::read_to_string(dir.join("docs/left.txt")).unwrap(), "left\n");
    assert_eq!(accepted(world.collect(&head, 3).await).1, Vec::<String>::new());
    assert_eq!(world.vault.delete_branch(&branch, &head).await.unwrap(), Deleted::Done);
    Vault::remove_checkout(&dir).await.unwrap();
    assert!(
        !marker.exists(),
        "executed: {}",
        std::fs::read_to_string(&marker).unwrap_or_default()
    );
}

/// One way of spoiling a repository, and a word of the answer.
type Spoil = (&'static str, fn(&Path), &'static str);

fn replace(path: &Path, with: impl FnOnce(&Path)) {
    let aside = path.with_extension("aside");
    std::fs::rename(path, &aside).unwrap();
    with(path);
}

const SPOILS: &[Spoil] = &[
    (
        ".git replaced by a file",
        |d| replace(&d.join(".git"), |p| std::fs::write(p, "gitdir: /tmp").unwrap()),
        "replaced by a file",
    ),
    (
        ".git replaced by a link",
        |d| replace(&d.join(".git"), |p| symlink(p.with_extension("aside"), p).unwrap()),
        "symbolic link",
    ),
    (".git gone", |d| std::fs::remove_dir_all(d.join(".git")).unwrap(), "gone"),
    (
        "objects replaced by a link",
        |d| replace(&d.join(".git/objects"), |p| symlink(p.with_extension("aside"), p).unwrap()),
        "symbolic link",
    ),
    (
        "pack folder replaced by a link",
        |d| replace(&d.join(".git/objects/pack"), |p| symlink("/tmp", p).unwrap()),
        "neither a file",
    ),
    (
        "an object that is a link",
        |d| symlink("/etc/passwd", d.join(".git/objects/info/packs")).unwrap(),
        "neither a file",
    ),
    (
        "an object that is a pipe",
        |d| pipe(&d.join(".git/objects/pack/pack-x.idx")),
        "neither a file",
    ),
    (
        "alternates changed",
        |d| std::fs::write(d.join(".git/objects/info/alternates"), "/etc\n").unwrap(),
        "was changed",
    ),
    (
        "alternates gone",
        |d| std::fs::remove_file(d.join(".git/objects/info/alternates")).unwrap(),
        "was changed",
    ),
    (
        "alternates a link",
        |d| replace(&d.join(".git/objects/info/alternates"), |p| symlink("/etc/passwd", p).unwrap()),
        "cannot be read",
    ),
    (
        "HEAD a pipe",
        |d| {
            std::fs::remove_file(d.join(".git/HEAD")).unwrap();
            pipe(&d.join(".git/HEAD"));
        },
        "not a regular file",
    ),
    (
        "HEAD a link",
        |d| replace(&d.join(".git/HEAD"), |p| symlink("/etc/passwd", p).unwrap()),
        "cannot be read",
    ),
    (
        "HEAD gone",
        |d| std::fs::remove_file(d.join(".git/HEAD")).unwrap(),
        "names no commit",
    ),
    (
        "HEAD nonsense",
        |d| std::fs::write(d.join(".git/HEAD"), b"\xff\x00--all").unwrap(),
        "holds no commit",
    ),
    (
        "HEAD endless",
        |d| std::fs::write(d.join(".git/HEAD"), vec![b'a'; 1 << 20]).unwrap(),
        "too large",
    ),
    (
        "HEAD out of refs",
        |d| std::fs::write(d.join(".git/HEAD"), "ref: ../../../etc/passwd").unwrap(),
        "outside of refs/",
    ),
    (
        "HEAD climbing",
        |d| std::fs::write(d.join(".git/HEAD"), "ref: refs/../../src/a.txt").unwrap(),
        "outside of refs/",
    ),
    (
        "HEAD in a circle",
        |d| {
            write(d, ".git/refs/a", "ref: refs/b\n");
            write(d, ".git/refs/b", "ref: refs/a\n");
            std::fs::write(d.join(".git/HEAD"), "ref: refs/a").unwrap();
        },
        "without end",
    ),
    (
        "HEAD on an object that is nowhere",
        |d| std::fs::write(d.join(".git/HEAD"), "1234567890123456789012345678901234567890").unwrap(),
        "cannot be read",
    ),
    (
        "HEAD of another algorithm",
        |d| std::fs::write(d.join(".git/HEAD"), "a".repeat(64)).unwrap(),
        "another hash algorithm",
    ),
    (
        "HEAD on a tree",
        |d| {
            let tree = sh(d, &["write-tree"]);
            std::fs::write(d.join(".git/HEAD"), tree).unwrap();
        },
        "",
    ),
    (
        "refs a link",
        |d| replace(&d.join(".git/refs"), |p| symlink("/etc", p).unwrap()),
        "cannot be read",
    ),
];

fn pipe(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
}

#[tokio::test]
async fn a_spoilt_repository_is_broken_and_its_files_are_kept() {
    let world = World::new().await;
    let base = world.vault.base().await.unwrap();
    for (run, (name, spoil, word)) in (1..).zip(SPOILS) {
        world.begin().await;
        write(&world.checkout(), "src/b.txt", "b");
        spoil(&world.checkout());
        let why = broken(world.collect(&base, run).await);
        assert!(why.contains(word), "{name}: {why}");
        assert!(!why.contains("root:"), "{name}: another file's content came out: {why}");
        let kept = world.keep(&base, run).await.unwrap();
        assert!(
            world.vault.changed(&base, &kept).await.unwrap().contains(&"src/b.txt".to_owned()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_checkout_that_is_a_link_or_a_file_is_broken() {
    let world = World::new().await;
    let start = world.begin().await;
    std::fs::rename(world.checkout(), world.path("aside")).unwrap();
    symlink(world.path("aside"), world.checkout()).unwrap();
    assert!(broken(world.collect(&start, 1).await).contains("symbolic link"));
    write(&world.path("aside"), "secret.txt", "x");
    assert_eq!(world.keep(&start, 1).await, None, "what the link points at is not read");
    world.begin().await;
    assert!(world.path("aside/src/a.txt").exists(), "what the link pointed at is not removed");
    Vault::remove_checkout(&world.checkout()).await.unwrap();
    std::fs::write(world.checkout(), "x").unwrap();
    assert!(broken(world.collect(&start, 2).await).contains("replaced by a file"));
}

#[tokio::test]
async fn objects_that_lie_about_their_content_are_refused() {
    let world = World::new().await;
    let start = world.begin().await;
    let dir = world.checkout();
    write(&dir, "src/b.txt", "the content that was reviewed");
    sh(&dir, &["add", "-A"]);
    sh(&dir, &["commit", "-qm", "b"]);
    let good = sh(&dir, &["rev-parse", "HEAD:src/b.txt"]);
    write(&world.path("elsewhere"), "evil", "something else");
    let evil = sh(&dir, &["hash-object", "-w", world.path("elsewhere/evil").to_str().unwrap()]);
    let loose = |id: &str| dir.join(".git/objects").join(&id[..2]).join(&id[2..]);
    std::fs::set_permissions(loose(&good), std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::copy(loose(&evil), loose(&good)).unwrap();
    broken(world.collect(&start, 1).await);
    // And one whose content is not there at all.
    std::fs::remove_file(loose(&good)).unwrap();
    broken(world.collect(&start, 2).await);
}

#[tokio::test]
async fn commits_that_refer_to_what_is_not_there_are_refused() {
    let world = World::new().await;
    let start = world.begin().await;
    let dir = world.checkout();
    let missing = "1234567890123456789012345678901234567890";
    std::fs::write(world.path("tree"), format!("100644 blob {missing}\tx\n")).unwrap();
    let out = std::process::Command::new("git")
        .args(["mktree", "--missing"])
        .current_dir(&dir)
        .stdin(std::fs::File::open(world.path("tree")).unwrap())
        .output()
        .unwrap();
    let tree = String::from_utf8(out.stdout).unwrap();
    let commit = sh(&dir, &["commit-tree", "-p", &start, "-m", "x", tree.trim()]);
    std::fs::write(dir.join(".git/HEAD"), commit).unwrap();
    broken(world.collect(&start, 1).await);
    // A tree with an entry called `.git`, which would be written into a checkout.
    let blob = sh(&dir, &["rev-parse", "HEAD~:src/a.txt"]);
    let mut raw = b"100644 .git\0".to_vec();
    raw.extend(hex::decode(blob).unwrap());
    std::fs::write(world.path("raw"), raw).unwrap();
    let tree = sh(
        &dir,
        &[
            "hash-object",
            "--literally",
            "-w",
            "-t",
            "tree",
            world.path("raw").to_str().unwrap(),
        ],
    );
    let commit = sh(&dir, &["commit-tree", "-p", &start, "-m", "x", &tree]);
    std::fs::write(dir.join(".git/HEAD"), commit).unwrap();
    let why = broken(world.collect(&start, 2).await);
    assert!(why.contains("cannot be accepted"), "{why}");
}

#[tokio::test]
async fn grafts_shallow_replacements_and_commit_graphs_of_the_agent_count_for_nothing() {
    let world = World::new().await;
    let old = world.vault.base().await.unwrap();
    let start = world.person_commits("src/new.txt", "x");
    world.vault.fetch().await.unwrap();
    world.begin().await;
    let dir = world.checkout();
    sh(&dir, &["checkout", "-q", "-b", "lie", &old]);
    write(&dir, "src/b.txt", "b");
    sh(&dir, &["add", "-A"]);
    sh(&dir, &["commit", "-qm", "b"]);
    let head = sh(&dir, &["rev-parse", "HEAD"]);
    write(&dir, ".git/info/grafts", &format!("{head} {start}\n"));
    write(&dir, ".git/shallow", &format!("{head}\n"));
    write(&dir, &format!(".git/refs/replace/{head}"), &format!("{start}\n"));
    write(&dir, ".git/objects/info/commit-graph", "CGPH nonsense");
    write(&dir, ".git/objects/pack/multi-pack-index", "MIDX nonsense");
    write(&dir, ".git/commondir", "/tmp");
    assert!(broken(world.collect(&start, 1).await).contains("does not descend"));
}

#[tokio::test]
async fn a_checkout_that_resists_removal_is_removed() {
    let world = World::new().await;
    world.begin().await;
    let mut deep = world.checkout();
    for _ in 0..1500 {
        deep.push("d");
    }
    std::fs::create_dir_all(&deep).unwrap();
    write(&deep, "f", "x");
    let locked = world.checkout().join("locked/inner");
    std::fs::create_dir_all(&locked).unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
    std::fs::set_permissions(world.checkout().join("locked"), std::fs::Permissions::from_mode(0o500)).unwrap();
    Vault::remove_checkout(&world.checkout()).await.unwrap();
    assert!(!world.checkout().exists());
}

#[tokio::test]
async fn pipes_and_unreadable_things_in_the_work_tree_do_not_hang() {
    let world = World::new().await;
    let start = world.begin().await;
    pipe(&world.checkout().join("src/pipe"));
    let _socket = std::os::unix::net::UnixListener::bind(world.checkout().join("src/socket")).unwrap();
    symlink("/etc/passwd", world.checkout().join("src/link")).unwrap();
    symlink("/etc", world.checkout().join("src/folder")).unwrap();
    let (head, wrote) = accepted(world.collect(&start, 1).await);
    assert_eq!(wrote, ["src/folder", "src/link"], "links are kept as links");
    assert_eq!(world.vault.read(&head, "src/link", 9999).await.unwrap(), None);
    for name in [".gitignore", "src/.gitattributes"] {
        world.begin().await;
        let _ = std::fs::remove_file(world.checkout().join(name));
        pipe(&world.checkout().join(name));
        assert!(broken(world.collect(&start, 2).await).contains("no regular file"), "{name}");
        assert_eq!(world.keep(&start, 2).await, None);
    }
    world.begin().await;
    std::fs::remove_file(world.checkout().join("src/a.txt")).unwrap();
    pipe(&world.checkout().join("src/a.txt"));
    assert!(
        broken(world.collect(&start, 3).await).contains("src/a.txt"),
        "a tracked file that became a pipe"
    );
    assert_eq!(world.keep(&start, 3).await, None);
}
