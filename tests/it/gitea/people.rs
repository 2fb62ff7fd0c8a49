//! What people do on the forge under a task's hands: nothing is merged where nobody confirmed it, nothing that was paid is
//! thrown away, and whoever waits goes on.

use super::*;

fn developers(site: &Site) -> usize {
    site.world.begun().iter().filter(|e| e.agent == "developer").count()
}

/// The default branch is not where the request goes any more: what was confirmed is not merged elsewhere.
#[test]
fn b_merge_a_request_that_was_turned_to_another_branch_is_not_merged() {
    let mut site = Site::new(Version::V1_25, "local");
    let (item, branch) = site.at_deploy();
    let (pull, main) = (site.gitea.open_pull(&branch), site.head("main"));
    site.gitea.restores("release/1.0", &main);
    site.gitea.person("ada").turns(pull, "release/1.0");
    let first = |s: &Json| s["blockers"][0].to_string();
    site.world
        .wait_for(&item, "where it goes now", |s| first(s).contains("goes into `release/1.0` now"));
    site.confirm(&item);
    site.world.wait_mode(&item, "escalated");
    assert_eq!(site.gitea.merges_asked(), Vec::<Json>::new(), "the forge was not asked");
    assert_eq!((site.head("release/1.0"), site.head("main")), (main.clone(), main));
    let seen = site.world.show(&item)["blockers"].to_string();
    assert!(seen.contains("change its base back to `main` on the forge, then retry"), "{seen}");
    assert_eq!(site.world.count("SELECT COUNT(*) FROM freezes"), 0, "nothing happened that freezes");
    site.gitea.person("ada").turns(pull, "main");
    site.act(&item, "retry", &json!({}));
    site.world.wait_for(&item, "its end, or the question", |s| {
        s["task"]["mode"] == "done" || s["blockers"].to_string().contains("APPROVAL_WAIT")
    });
    if site.world.show(&item)["task"]["mode"] != "done" {
        site.confirm(&item);
    }
    site.world.wait_mode(&item, "done");
    assert_eq!(site.gitea.pulls(&branch), [(pull, false, true)]);
    site.nothing_is_left();
}

/// A rebase by force: what is on the branch now is looked at, and asked about, again.
#[test]
fn b_adv_a_branch_that_was_rewritten_is_taken_up_as_it_is() {
    let mut site = Site::new(Version::V1_25, "local");
    let (item, branch) = site.at_deploy();
    let now = site.gitea.person("bob").rewrites(&branch, "src/bob.txt", "a line\n");
    let begun = site.world.begun().len();
    site.world.wait_for(&item, "another look at their code", |s| {
        s["task"]["counters"]["rebase"]["used"] == 1
    });
    site.world.wait_blocker(&item, "APPROVAL_WAIT");
    assert!(site.world.begun().len() > begun, "it was looked at again");
    let seen = site.world.show(&item);
    let wasted = seen["runs"]
        .as_array()
        .is_some_and(|all| all.iter().any(|run| run["outcome"] != "ok" && run["outcome"] != "exited"));
    assert!(!wasted, "no run was spent on what it had been: {:#}", seen["runs"]);
    site.confirm(&item);
    site.world.wait_mode(&item, "done");
    let main = site.head("main");
    assert!(site.gitea.published_commits(&main).contains(&now), "their commit was merged");
    site.nothing_is_left();
}

/// Under a run: its work is about what is gone; the next begins where the branch is, and no third is needed.
#[test]
fn b_run_a_branch_rewritten_under_a_run_costs_one_run_and_no_more() {
    let (mut site, item, branch) = Site::at_work();
    site.gitea.person("bob").rewrites(&branch, "src/bob.txt", "a line\n");
    site.world.let_go();
    site.world.wait_blocker(&item, "APPROVAL_WAIT");
    assert_eq!(developers(&site), 2);
    let log = site.world.log();
    assert!(log.contains("the branch was rewritten to"), "{}", site.world.tail());
    site.nothing_is_left();
}

/// A colleague's commit beside a run that writes code: both stay, and nothing is paid again.
#[test]
fn b_run_4_code_that_was_pushed_beside_a_run_that_writes_code_is_joined() {
    let (mut site, item, branch) = Site::at_work();
    let theirs = site.gitea.person("bob").pushes(&branch, "src/bob.txt", "a line\n");
    site.world.let_go();
    site.world.wait_blocker(&item, "APPROVAL_WAIT");
    assert_eq!(developers(&site), 1, "paid once");
    let commits = site.gitea.published_commits(&site.head(&branch));
    assert!(commits.contains(&theirs), "theirs is kept");
    let files = site.gitea.published_files(&branch);
    let own = format!("src/feature-{item}.txt");
    assert!(files.contains(&own) && files.contains(&"src/bob.txt".to_owned()), "{files:?}");
    site.nothing_is_left();
}

/// The branch is deleted under a run: its work waits in the vault until the branch is back; meanwhile nobody is paid.
#[test]
fn b_run_4_work_on_a_branch_that_was_deleted_waits_for_it() {
    let (mut site, item, branch) = Site::at_work();
    let begun = site.head(&branch);
    site.gitea.person("bob").deletes_branch(&branch);
    site.world.let_go();
    let seen = site.world.wait_for(&item, "what it waits for", |s| {
        s["blockers"].to_string().contains("was deleted on the forge")
    });
    assert!(
        seen["blockers"].to_string().contains(&begun),
        "the commit is named: {:#}",
        seen["blockers"]
    );
    site.gitea.restores(&branch, &begun);
    site.world.wait_blocker(&item, "APPROVAL_WAIT");
    assert_eq!(developers(&site), 1, "paid once");
    // The same where a run is only to begin.
    let (head, begun_before) = (site.head(&branch), site.world.begun().len());
    site.gitea.person("bob").deletes_branch(&branch);
    site.world
        .wait_for(&item, "that it is gone", |s| s["blockers"].to_string().contains("branch.gone"));
    site.act(&item, "reject", &json!({"text": "shorter"}));
    site.world.wait_for(&item, "a launch put back", |s| {
        s["blockers"].to_string().contains("was deleted on the forge")
    });
    assert_eq!(site.world.begun().len(), begun_before, "nothing was begun");
    site.gitea.restores(&branch, &head);
    site.world.wait_blocker(&item, "APPROVAL_WAIT");
    assert!(site.world.begun().len() > begun_before);
    site.nothing_is_left();
}

/// A check that ended while the service was down was told to nobody: it is asked for at the start.
#[test]
fn b_rec_1_checks_of_the_time_when_the_service_was_down_are_asked_for_at_its_start() {
    let mut site = Site::new(Version::V1_25, "gated");
    let (item, branch) = site.at_checks();
    let head = site.head(&branch);
    site.world.stop();
    site.gitea.ci(&head, "ci/test", "success");
    site.world.start();
    site.world.wait_blocker(&item, "APPROVAL_WAIT");
    site.nothing_is_left();
}
