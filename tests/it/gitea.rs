//! The service on a Gitea: the real binary, real git over HTTP, real signatures, a fake API.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::world::gitea::{BOT, Gitea, How, SECRET, TOKEN, Version};
use crate::world::{Setup, World};

mod hooks;
mod merging;
mod people;
mod settling;
mod stopping;
mod weather;

/// Development waits for CI on the forge, review for the people there.
const GATED: &str = r#"
schema = 1
extends = "local"
[stages.development]
pass = ["ci"]
on."ci.none" = { stay = true }
on."ci.red"  = { rerun = "developer", uses = "rework", note = "fix_ci" }
"#;
const TEST: &str = "#!/bin/sh\nset -eu\nif grep -rl BROKEN src; then exit 1; fi\n";
const FILES: &[(&str, &str)] = &[("README.md", "# Greetings\n"), ("src/greeting.txt", "hello\n"), ("test.sh", TEST)];

/// A world on a Gitea.
struct Site {
    world: World,
    gitea: Gitea,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Site {
    fn new(version: Version, pipeline: &str) -> Self {
        Self::with(version, pipeline, "")
    }

    /// `set` stands among the project's overrides.
    fn with(version: Version, pipeline: &str, set: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let gitea = Gitea::start(dir.path(), version, FILES);
        let port = crate::world::free().port();
        let mut config = toml::Table::new();
        config.insert("listen".into(), format!("127.0.0.1:{port}").into());
        let world = World::new(&Setup {
            pipeline: pipeline.to_owned(),
            rules: vec![("pipelines/gated.toml".to_owned(), GATED.to_owned())],
            forge: gitea.forge(dir.path()),
            set: set.parse().expect("settings"),
            config,
            ..Setup::default()
        });
        for name in ["gitea-token", "gitea-secret"] {
            std::fs::copy(dir.path().join(name), world.path(name)).expect("a secret");
        }
        gitea.hook(port);
        Self {
            world,
            gitea,
            port,
            _dir: dir,
        }
    }

    /// A started task before checks that have not passed; with its branch.
    fn at_checks(&mut self) -> (String, String) {
        self.begun("CHECKS_FAILED")
    }

    /// A started task at the place where a person's confirmation is awaited.
    fn at_deploy(&mut self) -> (String, String) {
        self.begun("APPROVAL_WAIT")
    }

    /// A site whose developer is at work until it is let go on; with the task and its branch.
    fn at_work() -> (Self, String, String) {
        let mut site = Self::new(Version::V1_25, "local");
        let script = site.world.path("script.toml");
        let text = std::fs::read_to_string(&script).expect("a script");
        let held = "[agents.developer]\ndo = [\"held\"]\n";
        std::fs::write(&script, format!("{}\n{held}", text.replace("[agents]", ""))).expect("written");
        site.world.start();
        let item = site.world.new_task("Add a greeting");
        site.world.wait_agent(&item, "developer", 1);
        let branch = site.branch(&item);
        (site, item, branch)
    }

    fn begun(&mut self, until: &str) -> (String, String) {
        self.world.start();
        let item = self.world.new_task("Add a greeting");
        self.world.wait_blocker(&item, until);
        let branch = self.branch(&item);
        (item, branch)
    }

    /// Stops what is still alive, waits until the server has told of that too, and looks for
    /// anything that was left behind.
    fn nothing_is_left(&mut self) {
        self.world.stop_all();
        let begun = std::time::Instant::now();
        let waiting = "SELECT (SELECT COUNT(*) FROM deliveries WHERE state = 'pending') + (SELECT COUNT(*) FROM inbox WHERE state = 'pending') \
                       + (SELECT COUNT(*) FROM outbox WHERE state = 'open') + (SELECT COUNT(*) FROM runs WHERE state <> 'ended')";
        // Twice: what was done in between is told of in its turn.
        while !(0..2).all(|_| self.world.count(waiting) == 0 && self.gitea.all_sent()) {
            assert!(
                begun.elapsed() < crate::world::LONG,
                "things stay under way:\n{}",
                self.world.tail()
            );
            std::thread::sleep(Duration::from_millis(25));
        }
        self.world.nothing_is_left();
    }

    fn branch(&mut self, item: &str) -> String {
        self.world.show(item)["branch"].as_str().expect("a branch").to_owned()
    }

    fn confirm(&self, item: &str) {
        self.act(item, "approve", &json!({"signal": "confirm_deploy"}));
    }

    fn act(&self, item: &str, verb: &str, body: &Json) {
        let answer = self.world.post(&format!("/api/tasks/{item}/{verb}"), body).expect("an answer");
        assert!(answer.ok(), "{answer:?}");
    }

    fn head(&self, branch: &str) -> String {
        self.gitea.branch(branch).expect("the branch")
    }

    /// Sends a webhook to the endpoint: event, body, signature. Gives the status.
    fn deliver(&self, event: &str, body: &[u8], signature: &str) -> u16 {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).expect("the service listens");
        let head = format!(
            "POST /webhook/gitea HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             X-GitHub-Event: {event}\r\nX-Gitea-Event-Type: {event}\r\nX-Gitea-Signature: {signature}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(body).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status")
    }

    /// Alerts so far that say this.
    fn alerts(&self, words: &str) -> i64 {
        let sql = format!("SELECT COUNT(*) FROM outbox WHERE kind = 'alert' AND effect LIKE '%{words}%'");
        self.world.count(&sql)
    }

    /// Comments decided so far on the task's issue that say this.
    fn comments(&self, item: &str, words: &str) -> i64 {
        let sql = format!(
            "SELECT COUNT(*) FROM outbox o JOIN tasks t ON t.id = o.task WHERE t.item = '{item}' AND o.kind = 'comment' AND o.effect LIKE '%{words}%'"
        );
        self.world.count(&sql)
    }

    /// Events about tasks so far, decided or not.
    fn events(&self) -> i64 {
        self.world.count("SELECT COUNT(*) FROM inbox")
    }

    /// Waits until every delivery was understood.
    fn understood(&self) {
        self.world.until("all of them understood", || {
            self.world.count("SELECT COUNT(*) FROM deliveries WHERE state = 'pending'") == 0
        });
    }

    /// The token stands nowhere: not in the database, logs, artefacts, checkouts, configuration of git.
    fn no_token_anywhere(&self) {
        let coded = {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.encode(format!("signalbox:{TOKEN}"))
        };
        let mut files = Vec::new();
        walk(self.world.dir(), &mut files);
        assert!(files.len() > 20);
        for path in files.iter().filter(|p| !p.ends_with("gitea-token")) {
            let bytes = std::fs::read(path).unwrap_or_default();
            for canary in [TOKEN, &coded] {
                let found = bytes.windows(canary.len()).any(|w| w == canary.as_bytes());
                assert!(!found, "the token stands in {}", path.display());
            }
        }
    }
}

fn walk(dir: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&path, files),
            Ok(kind) if kind.is_file() => files.push(path),
            _ => {}
        }
    }
}

/// The whole way: CI on the exact head, a person's changes cost a round, the merge names the head.
#[test]
fn a_task_goes_all_the_way_on_a_gitea() {
    let mut site = Site::new(Version::V1_16, "gated");
    let (item, branch) = site.at_checks();
    let (pull, head) = (site.gitea.open_pull(&branch), site.head(&branch));
    assert_eq!(site.world.show(&item)["change"]["number"], pull);

    // A green of another commit, here the default branch's, is no green of this head.
    let main = site.head("main");
    site.gitea.ci(&main, "ci/test", "success");
    site.gitea.wait_delivered("status", 1);
    site.gitea.ci(&head, "ci/test", "pending");
    let seen = site.world.wait_blocker(&item, "CHECKS_PENDING");
    assert!(seen["blockers"].to_string().contains("check `ci/test` is pending"), "{seen:#}");
    assert_eq!(site.world.show(&item)["task"]["stage"], "development");

    let bob = site.gitea.person("bob");
    bob.remarks(pull, "Two lines, please.", &[("src/a.txt", 7, "This one twice?")]);
    site.gitea.person("eve").reading_only().approves(pull);
    site.gitea.ci(&head, "ci/test", "success");
    site.world.wait_agent(&item, "developer", 2);
    site.world.wait_for(&item, "the second build", |s| {
        s["task"]["counters"]["rework"]["used"] == 1 && s["blockers"].to_string().contains("CHECKS_FAILED")
    });
    let run = site
        .world
        .begun()
        .into_iter()
        .rfind(|e| e.agent == "developer")
        .expect("a second build")
        .run;
    let prompt = std::fs::read_to_string(site.world.data().join(format!("runs/{run}/prompt.md"))).expect("its prompt");
    assert!(prompt.contains("> Two lines, please.\n> src/a.txt:7: This one twice?"), "{prompt}");
    let second = site.head(&branch);
    assert_ne!(second, head);
    site.gitea.ci(&second, "ci/test", "success");
    let seen = site.world.wait_for(&item, "review", |s| {
        s["task"]["stage"] == "review" && s["blockers"].to_string().contains("GATE_WAIT")
    });
    assert_eq!(seen["task"]["counters"]["rework"]["used"], 1, "one round");
    // Nobody but the task knows that he has to look again: people are told, once.
    let renewed = "it stands until dismissed or renewed";
    let told = |site: &Site| (site.alerts(renewed), site.comments(&item, renewed));
    site.world.until("it is said", || told(&site) != (0, 0));
    assert_eq!(told(&site), (1, 1));
    // A comment of his takes nothing back; his approval does.
    site.gitea.person("bob").comments(pull, "Better.");
    site.gitea.person("bob").approves(pull);
    site.world.wait_for(&item, "deploy", |s| {
        s["task"]["stage"] == "deploy" && s["blockers"].to_string().contains("APPROVAL_WAIT")
    });
    assert_eq!(told(&site), (1, 1), "told once");
    let confirmed = site.head(&branch);
    site.confirm(&item);
    let seen = site.world.wait_mode(&item, "done");
    assert_eq!(seen["change"]["state"], "merged");
    let asked = site.gitea.merges_asked();
    assert_eq!(asked, [json!({"Do": "merge", "head_commit_id": confirmed})]);
    assert!(
        site.gitea.published("src/feature-ORCH-001.txt").contains("ORCH-001"),
        "it is on the default branch"
    );
    site.world.nothing_is_left();
    site.no_token_anywhere();
}

/// A stop deletes the branch at its recorded commit only, and closes the request.
#[test]
fn a_stop_deletes_the_branch_only_where_the_service_left_it() {
    let mut site = Site::new(Version::V1_25, "local");
    let (item, branch) = site.at_deploy();
    let pull = site.gitea.open_pull(&branch);
    // Somebody quotes what the service would write: that is not its word.
    site.gitea.person("eve").says(pull, "<!-- signalbox: stopped t1 -->");
    // The first try is written, and its answer is lost with the answer to the closing.
    site.gitea.fails("POST", "/comments", 1, How::DoneThenHangUp);
    site.gitea.fails("PATCH", "/pulls/", 1, How::Status(502, "bad gateway"));
    site.act(&item, "stop", &json!({}));
    site.world.wait_mode(&item, "cancelled");
    assert_eq!(site.gitea.branch(&branch), None, "its own branch is deleted");
    assert_eq!(site.gitea.pulls(&branch), [(pull, false, false)]);
    let said: Vec<String> = site
        .gitea
        .comments(pull)
        .into_iter()
        .filter(|(who, _)| who == BOT)
        .map(|(_, text)| text)
        .collect();
    assert_eq!(said.len(), 1, "said once: {said:?}");
    assert!(
        said[0].starts_with(&format!("**{item}** was stopped")) && said[0].contains(&branch),
        "{said:?}"
    );

    let second = site.world.new_task("Add another");
    site.world.wait_blocker(&second, "APPROVAL_WAIT");
    let branch = site.branch(&second);
    site.gitea.unhook();
    let theirs = site.gitea.person("bob").pushes(&branch, "src/bob.txt", "mine\n");
    site.act(&second, "stop", &json!({}));
    site.world.wait_mode(&second, "cancelled");
    assert_eq!(site.gitea.branch(&branch), Some(theirs), "somebody else's commit is left alone");

    let third = site.world.new_task("Add a third");
    site.world.wait_blocker(&third, "APPROVAL_WAIT");
    let branch = site.branch(&third);
    site.gitea.protect(&branch);
    // A conversation that is locked holds up no stop.
    site.gitea.fails("POST", "/comments", 99, How::Status(403, "issue is locked"));
    site.act(&third, "stop", &json!({}));
    site.world.wait_mode(&third, "cancelled");
    assert!(site.gitea.branch(&branch).is_some(), "what the forge protects is left alone");
    let world = &site.world;
    // The log says it a moment after the end can be seen.
    world.until("why it is left alone", || world.log().contains("protected on the forge"));

    let fourth = site.world.new_task("Add a fourth");
    site.world.wait_blocker(&fourth, "APPROVAL_WAIT");
    let branch = site.branch(&fourth);
    site.gitea.settings(json!({ "default_branch": branch }));
    site.act(&fourth, "stop", &json!({}));
    site.world.wait_mode(&fourth, "cancelled");
    assert!(
        site.gitea.branch(&branch).is_some(),
        "what became the default branch there is left alone"
    );
}
