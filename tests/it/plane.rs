//! A project on a Plane board: the real client, the real webhook, a server that remembers.

mod adversity;
mod at_once;
mod budget;
mod deliveries;
mod people;
mod relations;
mod start;
mod stopping;

use std::net::SocketAddr;

use serde_json::{Value as Json, json};

use crate::world::plane::{ANALYST, Hooks, KEY, PROJECT, Plane, SECRET, STATES, WORKSPACE};
use crate::world::{Setup, World};

/// A service beside its board. Alice approves and stops, Bob stops, everyone else has no say.
struct Ground {
    world: World,
    plane: Plane,
    hook: SocketAddr,
}

/// Who runs the tests: the person at the command line.
fn login() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid());
    user.ok().flatten().expect("a user").name
}

impl Ground {
    /// A board, and a service that is not started yet.
    fn laid_out(pipeline: &str, agents: &str) -> Self {
        let (plane, hook) = (Plane::new(&STATES), crate::world::free());
        let tracker = format!(
            "kind = 'plane'\nurl = '{}'\nworkspace = '{WORKSPACE}'\nproject = '{PROJECT}'\ntoken = {{ file = 'plane.key' }}\n\
             secret = {{ file = 'plane.secret' }}\nagents = {{ analyst = {{ token = {{ file = 'analyst.key' }} }} }}",
            plane.url()
        );
        let config = format!(
            "listen = '{hook}'\n[people]\napprover = ['alice', '{0}']\noperator = ['alice', 'bob@example.com', '{0}']",
            login()
        );
        let setup = Setup {
            pipeline: pipeline.to_owned(),
            agents: toml::from_str(agents).expect("agents"),
            set: toml::from_str("\"retry.base\" = \"10ms\"").expect("overrides"),
            config: toml::from_str(&config).expect("a configuration"),
            rules: [("plane.key", KEY), ("plane.secret", SECRET), ("analyst.key", ANALYST)]
                .map(|(file, text)| (file.to_owned(), format!("{text}\n")))
                .into(),
            tracker: Some(toml::from_str(&tracker).expect("a tracker")),
            ..Setup::default()
        };
        plane.hooks(Hooks::To(hook));
        Self {
            world: World::new(&setup),
            plane,
            hook,
        }
    }

    fn new(pipeline: &str, agents: &str) -> Self {
        let mut ground = Self::laid_out(pipeline, agents);
        ground.world.start();
        ground
    }

    /// An issue that Alice made and started; its id.
    fn started(&self, title: &str) -> String {
        let alice = self.plane.person("alice");
        let issue = alice.creates(title, "<p>Say hello.</p>");
        alice.moves(&issue, "To Analyse");
        issue
    }

    /// The same, until a person is asked for approval at `analysis`.
    fn asked(&mut self, title: &str) -> String {
        let issue = self.started(title);
        self.plane.until_comment(&issue, ":approved:");
        self.plane.until_status(&issue, "In Review");
        issue
    }

    /// The task is there, and stands at this stage.
    fn until_stage(&mut self, item: &str, stage: &str) -> Json {
        self.world.wait_for(item, stage, |seen| seen["task"]["stage"] == stage)
    }

    fn stage(&mut self, item: &str) -> String {
        self.world.show(item)["task"]["stage"].as_str().unwrap_or_default().to_owned()
    }

    /// Runs of an agent that began.
    fn runs(&self, agent: &str) -> usize {
        self.world.begun().iter().filter(|e| e.agent == agent).count()
    }

    /// Comments of the issue that contain `text`.
    fn said(&self, issue: &str, text: &str) -> usize {
        self.plane.comments(issue).iter().filter(|(_, html)| html.contains(text)).count()
    }

    fn act(&mut self, item: &str, verb: &str) {
        let answer = self
            .world
            .post(&format!("/api/tasks/{item}/{verb}"), &json!({}))
            .expect("an answer");
        assert!(answer.ok(), "{answer:?}");
    }

    /// Waits until the log says so.
    fn until_log(&self, words: &str) {
        self.world.until(words, || self.world.log().contains(words));
    }

    /// Events that were decided so far: anything that was to follow has, when this does not grow.
    fn still(&mut self) {
        // A delivery of its own, that nothing follows from, comes after all others.
        let marker = format!("cycle{}", uuid::Uuid::now_v7().simple());
        let body = format!("{{\"event\": \"{marker}\", \"action\": \"created\", \"data\": {{}}}}");
        self.deliver(&marker, &body);
        self.until_log(&format!("{marker} create is nothing"));
        let open = "SELECT (SELECT COUNT(*) FROM inbox WHERE state = 'pending') \
                    + (SELECT COUNT(*) FROM outbox WHERE state = 'open' AND attempts = 0 AND kind <> 'clean_up')";
        self.world.until("what follows is done", || self.world.count(open) == 0);
        std::thread::sleep(std::time::Duration::from_millis(500));
    }

    /// Posts a delivery, signed.
    fn deliver(&self, event: &str, body: &str) {
        let signature = crate::world::plane::sign(SECRET, body.as_bytes());
        let status = crate::world::plane::post(self.hook, event, body, Some(&signature)).expect("an answer");
        assert_eq!(status, 200);
    }

    /// Posts what the server made and did not send, from the `from`th on, in this order.
    fn deliver_held(&self, from: usize, order: impl Fn(&mut Vec<(String, String)>)) {
        let mut held = self.plane.deliveries().split_off(from);
        order(&mut held);
        for (event, body) in held {
            self.deliver(&event, &body);
        }
    }
}

/// B-START 2, B-ADV 1, B-DEP 2, on a board outside.
#[test]
fn a_task_goes_the_whole_way_from_the_board_to_done() {
    let mut ground = Ground::new("orch", "");
    let issue = ground.asked("Add a greeting");
    let alice = ground.plane.person("alice");
    alice.comments(&issue, "<p>:approved: <b>fine</b></p>");
    ground.plane.until_status(&issue, "Awaiting Deploy");
    ground.plane.until_comment(&issue, "waits for your confirmation");
    ground.plane.person("alice").moves(&issue, "Confirm Deploy");
    ground.plane.until_status(&issue, "Done");
    ground.world.wait_mode("ORCH-001", "done");
    let shown: Vec<String> = ground
        .plane
        .moves(&issue)
        .into_iter()
        .map(|(by, to)| format!("{by}: {to}"))
        .collect();
    let own = |to: &str| format!("signalbox-bot: {to}");
    assert_eq!(shown.first().map(String::as_str), Some("alice: To Analyse"));
    for status in ["In Review", "Awaiting Deploy", "Done"] {
        assert!(shown.contains(&own(status)), "{status}: {shown:#?}");
    }
    assert_eq!(ground.said(&issue, "has started"), 1, "{:#?}", ground.plane.comments(&issue));
    for agent in ["analyst", "architect", "developer", "reviewer", "tester", "deployer"] {
        assert_eq!(ground.runs(agent), 1, "{agent}");
    }
    let request = ground.world.git_in(
        &ground.world.forge(),
        &["show", "main:docs/work-items/ORCH-001/00-business-request.md"],
    );
    assert!(request.contains("Add a greeting") && request.contains("Say hello."), "{request}");
    let log = ground.world.log();
    assert!(
        !log.contains(KEY) && !log.contains(ANALYST) && !log.contains(SECRET),
        "a secret is in the log"
    );
    assert!(!log.contains("given up"), "{log}");
}

/// The spelling of paths is found out: an older server knows one only, a newer one the other.
#[test]
fn older_and_newer_servers_are_spoken_to_in_their_own_way() {
    let mut ground = Ground::laid_out("local", "");
    ground.plane.old();
    ground.world.start();
    let issue = ground.started("Add a greeting");
    ground.plane.until_status(&issue, "Awaiting Deploy");
    // The server is brought up to date meanwhile.
    ground.plane.new_paths_only();
    ground.plane.until_comment(&issue, "waits for your confirmation");
    ground.plane.person("alice").comments(&issue, "<p>:confirm:</p>");
    ground.plane.until_status(&issue, "Done");
    let asked = ground.plane.asked();
    assert!(asked.iter().any(|(_, path, status)| path.contains("/issues/") && *status == 200));
    assert!(
        asked
            .iter()
            .any(|(method, path, status)| method == "PATCH" && path.contains("/work-items/") && *status == 200)
    );
}

/// A configuration that names a Plane board is in order.
#[test]
fn a_configuration_with_a_board_is_valid() {
    let ground = Ground::laid_out("orch", "");
    let out = ground.world.command(&["validate", "--no-proof"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(out.status.success(), "{said}");
    assert!(!said.contains("error[") && !said.contains("warning["), "{said}");
}

/// Issues of a board outside are made there.
#[test]
fn the_command_line_makes_no_issue_on_a_board_outside() {
    let ground = Ground::new("orch", "");
    let answer = ground
        .world
        .post("/api/tasks", &json!({"title": "x", "text": "y"}))
        .expect("an answer");
    assert!(
        !answer.ok() && answer.refusal().contains("not on the service's own board"),
        "{answer:?}"
    );
}
