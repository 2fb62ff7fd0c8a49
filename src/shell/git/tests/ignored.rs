//! What `.gitignore` covers: artefacts are taken over all the same, of the rest people are told.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::engine::model::RunId;

use super::super::{Allow, Work};
use super::{AT, FOLDER, World, accepted, sh, who, write};

/// What a reviewer may write.
fn review(path: &str) -> bool {
    path == format!("{FOLDER}/12-review.md") || path.starts_with(&format!("{FOLDER}/notes/"))
}

async fn passed_over(world: &World, start: &str, allow: &Allow<'_>) -> Option<String> {
    let (dir, scratch, who) = (world.checkout(), world.path("scratch"), who());
    let work = Work {
        dir: &dir,
        start,
        folder: FOLDER,
        run: RunId(1),
        scratch: &scratch,
        message: "leftovers",
        who: &who,
        at: AT,
    };
    world.vault.passed_over(work, allow).await
}

/// A checkout of a repository that ignores its documents.
async fn begin(world: &World, ignored: &str) -> String {
    world.person_commits(".gitignore", ignored);
    world.vault.fetch().await.unwrap();
    world.begin().await
}

fn pipe(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
}

#[tokio::test]
async fn an_ignored_artefact_is_taken_over_and_nothing_else_that_is_ignored() {
    let world = World::new().await;
    let start = begin(&world, "docs/\n*.md\n*.swp\n").await;
    let folder = world.checkout().join(FOLDER);
    write(&folder, "12-review.md", "verdict: APPROVED\n");
    write(&folder, "notes/deep/a [b]*.md", "x");
    // Neither another task's folder, nor one with a name like it, nor what a tool left beside the artefact.
    for other in ["docs/work-items/T-2/12-review.md", "docs/work-items/T-11/a.md", "top.md"] {
        write(&world.checkout(), other, "x");
    }
    write(&folder, ".12-review.md.swp", "x");
    write(&world.checkout(), ".signalbox/note.md", "x");
    let (head, wrote) = accepted(world.collect_scoped(&start, 1, &review).await);
    assert_eq!(wrote, [format!("{FOLDER}/12-review.md"), format!("{FOLDER}/notes/deep/a [b]*.md")]);
    // Again after a crash it is the same; and once it is there, it is like any other file.
    sh(&world.path("vault.git"), &["update-ref", "-d", "refs/runs/1"]);
    assert_eq!(accepted(world.collect_scoped(&start, 1, &review).await), (head.clone(), wrote));
    let kept = world.keep(&start, 2).await.unwrap();
    assert!(
        world
            .vault
            .changed(&start, &kept)
            .await
            .unwrap()
            .contains(&format!("{FOLDER}/12-review.md"))
    );
    world.vault.checkout(&world.checkout(), &head, super::BRANCH, &who()).await.unwrap();
    write(&folder, "12-review.md", "verdict: REQUEST_CHANGES\n");
    std::fs::remove_dir_all(folder.join("notes")).unwrap();
    assert_eq!(accepted(world.collect_scoped(&head, 3, &review).await).1.len(), 2);
}

/// The agent's own `.gitignore` counts as the repository's does.
#[tokio::test]
async fn what_ignores_itself_hides_no_artefact() {
    let world = World::new().await;
    let start = world.begin().await;
    write(&world.checkout(), &format!("{FOLDER}/.gitignore"), "*\n");
    write(&world.checkout(), &format!("{FOLDER}/12-review.md"), "x");
    assert_eq!(
        accepted(world.collect_scoped(&start, 1, &review).await).1,
        [format!("{FOLDER}/12-review.md")]
    );
}

#[tokio::test]
async fn an_ignored_artefact_folder_lends_nothing_and_hangs_nobody() {
    let world = World::new().await;
    let start = begin(&world, "docs/\n").await;
    let folder = world.checkout().join(FOLDER);
    let outside = world.path("outside");
    write(&outside, "work-items/T-1/secret.md", "secret");
    symlink(&outside, folder.join("away")).unwrap();
    symlink("/etc/passwd", folder.join("12-review.md")).unwrap();
    pipe(&folder.join("pipe.md"));
    // A repository that is ignored is left alone, as everywhere.
    write(&folder, "inner/code.txt", "x");
    sh(&folder.join("inner"), &["init", "-q"]);
    write(&folder, "half/.git/x", "no repository at all");
    write(&folder, "half/code.txt", "x");
    let (head, wrote) = accepted(world.collect(&start, 1).await);
    assert_eq!(wrote, [format!("{FOLDER}/12-review.md"), format!("{FOLDER}/away")]);
    let listed = sh(&world.path("vault.git"), &["ls-tree", "-r", &head, FOLDER]);
    assert_eq!(listed.matches("120000").count(), 2, "links stay links: {listed}");
    // The whole folder a link: what it leads to is not the task's.
    let start = world.begin().await;
    std::fs::remove_dir_all(world.checkout().join("docs")).unwrap();
    symlink(&outside, world.checkout().join("docs")).unwrap();
    let (head, _) = accepted(world.collect(&start, 2).await);
    let listed = sh(&world.path("vault.git"), &["ls-tree", "-r", "--name-only", &head]);
    assert!(!listed.contains("secret"), "{listed}");
}

#[tokio::test]
async fn a_run_that_wrote_only_what_is_ignored_hears_which_rule_covers_it() {
    let world = World::new().await;
    let start = begin(&world, "ignored/\n# made\n/gen/\n!gen/kept\n").await;
    assert_eq!(passed_over(&world, &start, &|_| true).await, None, "nothing was written");
    write(&world.checkout(), ".signalbox/task.md", "x");
    write(&world.checkout(), "src/ignored/deep/new.rs", "x");
    write(&world.checkout(), "gen/b.rs", "x");
    write(&world.checkout(), "gen/a.rs", "x");
    assert_eq!(accepted(world.collect(&start, 1).await).1, Vec::<String>::new());
    assert_eq!(
        passed_over(&world, &start, &|_| true).await.unwrap(),
        "`gen/a.rs` (line 3 of `.gitignore`: `/gen/`), `src/ignored/deep/new.rs` (line 1 of `.gitignore`: `ignored/`)"
    );
    let source = |path: &str| path.starts_with("src/");
    assert_eq!(
        passed_over(&world, &start, &source).await.unwrap(),
        "`src/ignored/deep/new.rs` (line 1 of `.gitignore`: `ignored/`)"
    );
    assert_eq!(passed_over(&world, &start, &review).await, None, "nothing that it may write");
    // What covers itself: another file says more.
    let start = world.begin().await;
    write(&world.checkout(), "app/.gitignore", "*\n");
    write(&world.checkout(), "app/main\n`x`.rs", "x");
    assert_eq!(
        passed_over(&world, &start, &|_| true).await.unwrap(),
        "`app/main `x`.rs` (line 1 of `app/.gitignore`: `*`)"
    );
}

#[tokio::test]
async fn whatever_lies_ignored_telling_of_it_neither_hangs_nor_leaves_the_checkout() {
    let world = World::new().await;
    let start = world.begin().await;
    let dir = world.checkout();
    write(&dir, ".signalbox/x", "x");
    pipe(&dir.join(".signalbox/.gitignore"));
    write(&world.path("outside"), "secret.txt", "x");
    std::fs::create_dir_all(dir.join("ignored/sub")).unwrap();
    symlink(world.path("outside"), dir.join("ignored/link")).unwrap();
    pipe(&dir.join("ignored/pipe"));
    write(&dir, "ignored/inner/code.txt", "x");
    sh(&dir.join("ignored/inner"), &["init", "-q"]);
    assert_eq!(passed_over(&world, &start, &|_| true).await, None);
    for i in 0..3000 {
        write(&dir, &format!("ignored/sub/{i}.txt"), "x");
    }
    let told = passed_over(&world, &start, &|_| true).await.unwrap();
    assert!(
        told.starts_with("`ignored/sub/") && told.ends_with("(line 1 of `.gitignore`: `ignored/`)"),
        "{told}"
    );
    super::super::Vault::remove_checkout(&dir).await.unwrap();
    assert_eq!(passed_over(&world, &start, &|_| true).await, None, "the checkout is gone");
}
