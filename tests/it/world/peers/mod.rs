//! A project as most have it: its board on a Plane, its repository on a Gitea, and everything
//! between them and the service on the wire.

mod courier;
mod outcome;
mod play;

use std::net::SocketAddr;

use serde_json::{Value as Json, json};

pub use courier::{Courier, Policy, Post};

use super::gitea::{Gitea, Version};
use super::plane::{ANALYST, Hooks, KEY, PROJECT, Plane, SECRET, STATES, WORKSPACE};
use super::{Scenario, World};

const FILES: &[(&str, &str)] = &[
    ("README.md", "# Greetings\n"),
    ("src/greeting.txt", "hello\n"),
    ("test.sh", super::TEST),
];

/// A service between its peers. Alice approves and stops, Bob stops, everyone else has no say.
pub struct Town {
    pub world: World,
    pub plane: Plane,
    pub gitea: Gitea,
    pub courier: Courier,
    /// The service's own address, past the courier.
    pub hook: SocketAddr,
    /// What had to be nudged, because nothing else would have told of what was lost.
    pub nudged: Vec<String>,
    _dir: tempfile::TempDir,
}

impl Town {
    /// The world of a scenario; its service is not started.
    pub fn new(scenario: &Scenario, policy: Policy) -> Self {
        // A board of `enduro` has neither.
        let lacks = |state: &&str| scenario.pipeline == "enduro" && ["STOP", "Confirm Deploy"].contains(state);
        let states: Vec<&str> = STATES.into_iter().filter(|s| !lacks(s)).collect();
        let plane = Plane::new(&states);
        let dir = tempfile::tempdir().expect("a folder");
        let gitea = Gitea::start(dir.path(), Version::V1_25, FILES);
        let hook = super::free();
        let tracker = format!(
            "kind = 'plane'\nurl = '{}'\nworkspace = '{WORKSPACE}'\nproject = '{PROJECT}'\ntoken = {{ file = 'plane.key' }}\n\
             secret = {{ file = 'plane.secret' }}\nagents = {{ analyst = {{ token = {{ file = 'analyst.key' }} }} }}",
            plane.url()
        );
        let mut setup = scenario.setup();
        setup.tracker = Some(tracker.parse().expect("a tracker"));
        setup.forge = gitea.forge(dir.path());
        setup.config.insert("listen".into(), hook.to_string().into());
        // Whoever runs the tests may act at the service's own door.
        let me = super::transcript::me();
        let people = format!("approver = ['alice', '{me}']\noperator = ['alice', 'bob', '{me}']");
        let people: toml::Table = people.parse().expect("people");
        setup.config.entry("people").or_insert(people.into());
        let keys = [("plane.key", KEY), ("plane.secret", SECRET), ("analyst.key", ANALYST)];
        setup.rules.extend(keys.map(|(file, text)| (file.to_owned(), format!("{text}\n"))));
        let world = World::new(&setup);
        for name in ["gitea-token", "gitea-secret"] {
            std::fs::copy(dir.path().join(name), world.path(name)).expect("a secret");
        }
        let courier = Courier::new(hook, policy);
        plane.hooks(Hooks::To(courier.address));
        gitea.hook(courier.address.port());
        Self {
            world,
            plane,
            gitea,
            courier,
            hook,
            nudged: Vec::new(),
            _dir: dir,
        }
    }

    /// The id of the issue that `item` is about: `ORCH-001`, `ORCH-001~1`, `it#1`.
    pub fn issue(&self, item: &str) -> String {
        let digits: String = item
            .split(['-', '#'])
            .nth(1)
            .unwrap_or_default()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        self.plane.issue(digits.parse().expect("a number"))
    }

    /// What the service shows of a task, with what people see on the board.
    pub fn show(&mut self, item: &str) -> Json {
        let mut seen = self.world.show(item);
        let issue = self.issue(item);
        if seen.get("task").is_none() {
            seen = json!({"task": {"mode": "no_task"}});
        }
        seen["status"] = self.plane.status(&issue).into();
        seen["labels"] = self.plane.labels(&issue).into();
        let comments = self.plane.comments(&issue).into_iter().map(|(by, html)| {
            let by = if by.ends_with("-bot") { "signalbox".to_owned() } else { by };
            json!({"author": by, "text": words(&html)})
        });
        seen["comments"] = comments.collect();
        seen
    }

    /// Posts a delivery past the courier; the status of the answer.
    pub fn post(&self, post: &Post) -> u16 {
        post.send(self.hook)
    }

    /// Everything that was decided is shown, and everything that arrived is understood. Runs may be
    /// under way, and so may be what the courier carries.
    fn shown(&self) -> bool {
        self.world.count(
            "SELECT (SELECT COUNT(*) FROM deliveries WHERE state = 'pending') + (SELECT COUNT(*) FROM inbox WHERE state = 'pending') \
             + (SELECT COUNT(*) FROM outbox WHERE state = 'open')",
        ) == 0
    }

    /// Nothing is on its way or under way: whatever is to come has to come from outside.
    fn still(&self) -> bool {
        let under_way = "SELECT (SELECT COUNT(*) FROM runs WHERE state <> 'ended') + (SELECT COUNT(*) FROM jobs WHERE state IN ('queued', 'scheduled', 'running'))";
        let told = || self.plane.all_sent() && self.gitea.all_sent() && self.courier.idle();
        // Twice: what was shown in between is told of in its turn.
        told() && self.shown() && self.world.count(under_way) == 0 && told() && self.shown()
    }

    /// Stops what is still alive, waits until the peers have told of that too, and looks for
    /// anything that was left behind.
    pub fn nothing_is_left(&mut self) {
        self.world.stop_all();
        self.settle();
        self.world.nothing_is_left();
    }

    /// Waits until nothing is on its way or under way.
    pub fn settle(&mut self) {
        let begun = std::time::Instant::now();
        while !self.still() {
            assert!(begun.elapsed() < super::LONG, "things stay under way:\n{}", self.world.tail());
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
    }
}

/// What a person reads of a comment.
fn words(html: &str) -> String {
    let breaks = regex::Regex::new(r"(?i)</(p|li|h\d|pre|blockquote)>|<br\s*/?>").expect("a pattern");
    let tags = regex::Regex::new(r"<[^>]*>").expect("a pattern");
    let blank = regex::Regex::new(r"\n(\s*\n)+").expect("a pattern");
    let text = breaks.replace_all(html, "\n");
    let text = tags.replace_all(&text, "");
    let text = blank.replace_all(&text, "\n\n");
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    entities.iter().fold(text.into_owned(), |text, (from, to)| text.replace(from, to))
}
