//! B-START 1 to 7, from the board.

use std::time::Duration;

use super::*;

/// B-START 1: the entry check answers on the board, and there is no task.
#[test]
fn b_start_1_an_issue_that_says_nothing_is_refused_with_every_reason() {
    let mut ground = Ground::new("orch", "");
    let alice = ground.plane.person("alice");
    let issue = alice.creates(&"long ".repeat(50), "<p><br></p>");
    alice.moves(&issue, "To Analyse");
    ground.plane.until_status(&issue, "Needs Input");
    ground.plane.until_comment(&issue, "description is empty");
    ground.plane.until_comment(&issue, "at most 200");
    assert_eq!(ground.runs("analyst"), 0);
    assert_eq!(ground.world.get("/api/tasks")["tasks"].as_array().map(Vec::len), Some(0));
}

/// B-START 2: one task, one comment, one job, however often and from wherever it is told.
#[test]
fn b_start_2_a_start_that_is_told_many_times_at_once_is_one() {
    let mut ground = Ground::new("orch", "");
    ground.plane.hooks(Hooks::Lost);
    let issue = ground.started("Add a greeting");
    let told = ground.plane.deliveries();
    let (event, body) = told.last().expect("a delivery").clone();
    std::thread::scope(|scope| {
        for n in 0..16 {
            // Each one different to the byte, as after a change of something else.
            let body = body.replacen("\"updated_at\"", &format!("\"n{n}\": 1, \"updated_at\""), 1);
            let (ground, event) = (&ground, &event);
            scope.spawn(move || ground.deliver(event, &body));
        }
    });
    ground.plane.until_status(&issue, "In Review");
    ground.still();
    assert_eq!((ground.runs("analyst"), ground.said(&issue, "has started")), (1, 1));
    let history = ground.world.show("ORCH-001");
    assert_eq!(history["task"]["stage"], "analysis");
}

/// B-START 3 and 6: an answer, or a start again, puts the analyst to work with what was said.
#[test]
fn b_start_3_and_6_what_a_person_says_on_needs_input_is_the_answer() {
    let ground = Ground::new("orch", "[analyst]\ndo = ['questions', 'questions', 'ok']");
    let issue = ground.started("Make it faster");
    ground.plane.until_status(&issue, "Needs Input");
    ground.plane.until_comment(&issue, "Which of the two readings");
    ground.plane.person("alice").comments(&issue, "<p>The start page.</p>");
    ground.world.wait_agent("ORCH-001", "analyst", 2);
    ground.plane.until("a second question", |plane| {
        plane.moves(&issue).iter().filter(|(_, to)| to == "Needs Input").count() == 2 && plane.status(&issue) == "Needs Input"
    });
    ground.plane.person("alice").moves(&issue, "To Analyse");
    ground.plane.until_status(&issue, "In Review");
    assert_eq!(ground.runs("analyst"), 3);
    // What an agent asks, it asks under its own name.
    let asked = ground
        .plane
        .comments(&issue)
        .into_iter()
        .find(|(_, html)| html.contains("Which of the two readings"));
    assert_eq!(asked.map(|(by, _)| by).as_deref(), Some("analyst-bot"));
}

/// B-START 3: with an active job a start is silent.
#[test]
fn b_start_3_a_start_while_the_analyst_is_at_work_is_silent() {
    let mut ground = Ground::new("orch", "[analyst]\ndo = ['held']");
    let issue = ground.started("Add a greeting");
    ground.world.wait_agent("ORCH-001", "analyst", 1);
    ground.plane.until_status(&issue, "Analysis");
    ground.plane.person("alice").moves(&issue, "To Analyse");
    ground.still();
    ground.world.let_go();
    ground.plane.until_status(&issue, "In Review");
    ground.still();
    assert_eq!(ground.runs("analyst"), 1);
    assert_eq!(
        ground.said(&issue, "nothing was started"),
        0,
        "{:#?}",
        ground.plane.comments(&issue)
    );
}

/// B-START 4: a start in the middle launches nothing and says how to begin anew.
#[test]
fn b_start_4_a_start_in_the_middle_of_the_pipeline_launches_nothing() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    ground.plane.person("alice").moves(&issue, "Approved");
    ground.plane.until_status(&issue, "Awaiting Deploy");
    ground.plane.until_comment(&issue, "waits for your confirmation");
    let runs = ground.world.begun().len();
    ground.plane.person("alice").moves(&issue, "To Analyse");
    ground.plane.until_comment(&issue, "nothing was started");
    assert_eq!(ground.said(&issue, "(STOP)"), 1);
    ground.still();
    assert_eq!(ground.world.begun().len(), runs);
    assert_eq!(ground.stage("ORCH-001"), "deploy");
}

/// B-START 5: statuses in the middle are shown, never obeyed.
#[test]
fn b_start_5_a_status_in_the_middle_set_by_hand_launches_nothing() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    for status in ["Architecture", "Development", "Review", "Testing", "Deploying", "Awaiting Deploy"] {
        ground.plane.person("alice").moves(&issue, status);
    }
    let other = ground.plane.person("alice").creates("Another", "<p>x</p>");
    ground.plane.person("alice").moves(&other, "Development");
    ground.still();
    assert_eq!((ground.stage("ORCH-001").as_str(), ground.world.begun().len()), ("analysis", 1));
    assert_eq!(ground.plane.status(&other), "Development");
    // It is in step again as soon as there is something to show.
    ground.plane.person("alice").moves(&issue, "Approved");
    ground.plane.until_status(&issue, "Awaiting Deploy");
}

/// B-START 7: a start that is older than the stop does not bring the task back.
#[test]
fn b_start_7_a_start_older_than_the_stop_is_ignored() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    // Nobody tells of it; the service finds it when it wants to show that the task was stopped.
    ground.plane.hooks(Hooks::Lost);
    ground.plane.person("alice").moves(&issue, "To Analyse");
    std::thread::sleep(std::time::Duration::from_millis(20));
    ground.act("ORCH-001", "stop");
    ground.world.wait_mode("ORCH-001", "cancelled");
    ground.plane.until_status(&issue, "STOP");
    ground.plane.hooks(Hooks::To(ground.hook));
    ground.still();
    assert_eq!(ground.runs("analyst"), 1);
    // A new one is another matter.
    ground.plane.person("alice").moves(&issue, "To Analyse");
    ground.plane.until_status(&issue, "In Review");
    assert_eq!(ground.runs("analyst"), 2);
}

/// What stood in the start status before the service first ran starts nothing by itself: neither when something else is told
/// of it, nor when it is found at a later start. Moved away and back it does; so does what was moved since, told or not.
#[test]
fn what_stood_there_before_the_first_start_starts_when_it_is_moved_again() {
    let mut ground = Ground::laid_out("orch", "");
    ground.plane.hooks(Hooks::Lost);
    let day = Duration::from_secs(24 * 3600);
    let (old, dragged, said) = (
        ground.started("Three minutes"),
        ground.started("A day, dragged"),
        ground.started("A day, spoken of"),
    );
    ground.plane.ages(&old, Duration::from_secs(180));
    ground.plane.ages(&dragged, day);
    ground.plane.ages(&said, day);
    ground.world.start();
    ground.plane.hooks(Hooks::To(ground.hook));
    ground.plane.person("alice").drags(&dragged);
    ground.plane.person("bob").comments(&said, "<p>Shall we?</p>");
    ground.still();
    ground.world.stop();
    // Nobody tells of this one: it is found at the next start.
    ground.plane.hooks(Hooks::Lost);
    let lost = ground.started("Since");
    ground.world.start();
    ground.plane.until_status(&lost, "In Review");
    ground.still();
    assert_eq!(ground.world.begun().len(), 1);
    assert_eq!(ground.world.get("/api/tasks")["tasks"].as_array().map(Vec::len), Some(1));
    for issue in [&old, &dragged, &said] {
        assert_eq!(ground.plane.status(issue), "To Analyse");
    }
    ground.plane.hooks(Hooks::To(ground.hook));
    for (issue, item) in [(&old, "ORCH-001"), (&dragged, "ORCH-002"), (&said, "ORCH-003")] {
        ground.plane.person("alice").moves(issue, "Backlog");
        ground.plane.person("alice").moves(issue, "To Analyse");
        ground.until_stage(item, "analysis");
    }
}
