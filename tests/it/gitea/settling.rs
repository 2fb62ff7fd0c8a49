//! The forge is away while an agent's work is taken over: it arrives, once, and nobody is paid again (B-RUN 4).

use super::*;

#[test]
fn b_run_4_work_whose_push_fails_arrives_once_and_its_agent_is_not_run_again() {
    let (mut site, item, branch) = Site::at_work();
    let begun = site.head(&branch);
    // Nobody commits this one: the service does, in the agent's name.
    std::fs::write(site.world.data().join("checkouts/t1/developer/src/left.txt"), "left\n").expect("a file");
    site.gitea.fails("GET", "/info/refs", 1, How::HangUp);
    site.gitea.fails("POST", "/git-receive-pack", 1, How::Status(503, "busy"));
    // It is done, and nobody hears of it.
    site.gitea.fails("POST", "/git-receive-pack", 1, How::DoneThenHangUp);
    site.gitea.fails("POST", "/pulls", 1, How::Status(500, ""));
    site.world.let_go();
    site.world.wait_blocker(&item, "APPROVAL_WAIT");
    let pushes = site
        .gitea
        .asked()
        .into_iter()
        .filter(|(m, p, _)| m == "POST" && p.ends_with("/git-receive-pack"));
    // The branch, the one that fails, the one nobody hears of; review and test.
    assert!(pushes.count() >= 5, "each fault was met");
    let made = site
        .gitea
        .asked()
        .into_iter()
        .filter(|(m, p, _)| m == "POST" && p.ends_with("/pulls"));
    assert_eq!(made.count(), 2, "so was the last");

    let vault = site.world.data().join("vaults/1.git");
    let head = site.head(&branch);
    let log = |path: &str| {
        let range = format!("{begun}..{head}");
        let log = site.world.git_in(&vault, &["log", "--format=%an <%ae>", &range, "--", path]);
        log.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let developer = "signalbox developer <developer@signalbox.invalid>";
    assert_eq!(log(&format!("src/feature-{item}.txt")), [developer], "once");
    assert_eq!(log("src/left.txt"), [developer], "once, in its name");
    assert_eq!(site.gitea.pulls(&branch).len(), 1);
    let seen = site.world.show(&item);
    let runs = seen["runs"].as_array().expect("runs");
    let developers: Vec<&Json> = runs.iter().filter(|r| r["slot"] == "developer").collect();
    assert!(developers.len() == 1 && developers[0]["outcome"] == "ok", "{developers:?}");
    assert_eq!(site.world.begun().iter().filter(|e| e.agent == "developer").count(), 1, "paid once");
    site.nothing_is_left();
}
