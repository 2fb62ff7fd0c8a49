//! `signalbox doctor` and `signalbox setup webhooks`: the real binary, and every peer it asks.

mod faults;
mod setup;

use std::process::{Command, Output};

use serde_json::Value as Json;

use crate::world::gitea::{Gitea, SECRET as GITEA_SECRET, TOKEN as GITEA_TOKEN, Version};
use crate::world::plane::STATES;
use crate::world::plane::{ANALYST, KEY, PROJECT, Plane, SECRET, WORKSPACE};
use crate::world::telegram::{TOKEN as BOT_TOKEN, Telegram};
use crate::world::{Setup, World, executable};

const URL: &str = "http://127.0.0.1:8500";
const HOOK: &str = "http://127.0.0.1:8500/webhook/gitea";
const ROOM: i64 = -1_001_234_567_890;
const FILES: &[(&str, &str)] = &[("README.md", "# Greetings\n")];

/// A configuration that names one of every peer; the service is not started.
struct Clinic {
    world: World,
    plane: Plane,
    gitea: Gitea,
    telegram: Telegram,
    _dir: tempfile::TempDir,
}

/// What the command said.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn of(mut command: Command) -> Self {
        let out: Output = command.output().expect("the program runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = Self {
            code: out.status.code().unwrap_or(-1),
            out: text(&out.stdout),
            err: text(&out.stderr),
        };
        for secret in [KEY, ANALYST, SECRET, GITEA_TOKEN, BOT_TOKEN] {
            assert!(!said.whole().contains(secret), "a secret is told: {}", said.whole());
        }
        assert!(!said.whole().contains("panicked"), "{}", said.whole());
        said
    }

    fn whole(&self) -> String {
        format!("{}\n{}", self.out, self.err)
    }

    fn json(&self) -> Json {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.whole()))
    }

    /// Findings that count: level, check, all its words.
    fn counting(&self) -> Vec<(String, String, String)> {
        let json = self.json();
        let of = |f: &Json, key: &str| f[key].as_str().unwrap_or_default().to_owned();
        let counts = |f: &&Json| f["level"] == "warning" || f["level"] == "problem";
        let found = json["findings"].as_array().expect("findings").iter().filter(counts);
        found
            .map(|f| {
                (
                    of(f, "level"),
                    of(f, "check"),
                    format!("{} {} {}", of(f, "what"), of(f, "why"), of(f, "mend")),
                )
            })
            .collect()
    }
}

impl Clinic {
    /// Everything as it should be.
    fn new() -> Self {
        Self::with(Version::V1_25, "", "")
    }

    /// `set` stands among the project's overrides, `people` in place of the usual ones.
    fn with(version: Version, set: &str, people: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let (plane, gitea, telegram) = (Plane::new(&STATES), Gitea::start(dir.path(), version, FILES), Telegram::start());
        for label in ["auto:approve", "auto:deploy"] {
            plane.has_label(label);
        }
        let tracker = format!(
            "kind = 'plane'\nurl = '{}'\nworkspace = '{WORKSPACE}'\nproject = '{PROJECT}'\ntoken = {{ file = 'plane.key' }}\n\
             secret = {{ file = 'plane.secret' }}\nagents = {{ analyst = {{ token = {{ file = 'analyst.key' }} }} }}",
            plane.url()
        );
        let people = if people.is_empty() {
            "approver = ['alice']\noperator = ['alice', 'bob@example.com']"
        } else {
            people
        };
        let config = format!(
            "containment = 'tagged'\n[people]\n{people}\n[chat]\nkind = 'telegram'\ntoken = {{ file = 'chat-token' }}\nchat = '{ROOM}'\nurl = 'http://{}'",
            telegram.address
        );
        let secrets = [
            ("plane.key", KEY),
            ("plane.secret", SECRET),
            ("analyst.key", ANALYST),
            ("chat-token", BOT_TOKEN),
        ];
        let secrets = secrets
            .into_iter()
            .chain([("gitea-token", GITEA_TOKEN), ("gitea-secret", GITEA_SECRET)]);
        let world = World::new(&Setup {
            pipeline: "orch".to_owned(),
            set: toml::from_str(set).expect("overrides"),
            config: toml::from_str(&config).expect("a configuration"),
            rules: secrets.map(|(file, text)| (file.to_owned(), format!("{text}\n"))).collect(),
            tracker: Some(toml::from_str(&tracker).expect("a tracker")),
            forge: gitea.forge(dir.path()),
            ..Setup::default()
        });
        let clinic = Self {
            world,
            plane,
            gitea,
            telegram,
            _dir: dir,
        };
        assert_eq!(clinic.setup(&[]).code, 0);
        clinic
    }

    fn doctor(&self, args: &[&str]) -> Said {
        let bound: &[&str] = if args.contains(&"--timeout") { &[] } else { &["--timeout", "5"] };
        let all = [&["doctor", "--strict"][..], bound, args].concat();
        Said::of(self.world.command(&all))
    }

    fn setup(&self, args: &[&str]) -> Said {
        let all = [&["setup", "webhooks", "--url", URL, "--timeout", "5"][..], args].concat();
        Said::of(self.world.command(&all))
    }

    /// Writing requests that the forge has seen.
    fn written(&self) -> usize {
        self.gitea
            .asked()
            .iter()
            .filter(|(method, path, _)| method != "GET" && path.starts_with("/api/"))
            .count()
    }
}

#[test]
fn where_all_is_well_it_says_so_and_writes_nothing() {
    let clinic = Clinic::new();
    let written = clinic.written();
    let said = clinic.doctor(&["--json", "--url", URL]);
    assert_eq!((said.code, said.counting()), (0, vec![]), "{}", said.whole());
    let json = said.json();
    let counts = ["ok", "problems", "warnings"].map(|key| json[key].clone());
    assert_eq!(counts, [Json::from(true), Json::from(0), Json::from(0)]);
    let keys = |f: &Json| f.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    for finding in json["findings"].as_array().expect("findings") {
        let mut keys = keys(finding);
        keys.sort();
        assert_eq!(keys, ["check", "level", "mend", "project", "what", "why"]);
    }
    let checks: Vec<&str> = json["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|f| f["check"].as_str())
        .collect();
    let expected = [
        "configuration",
        "machine.git",
        "machine.disk",
        "machine.containment",
        "agents.command",
        "tracker.key",
        "tracker.project",
        "tracker.status",
        "tracker.label",
        "tracker.people",
        "tracker.agent",
        "tracker.webhook",
        "forge.token",
        "forge.repository",
        "forge.branch",
        "forge.webhook",
        "chat.bot",
        "chat.room",
    ];
    for check in expected {
        assert!(checks.contains(&check), "{check}: {checks:?}");
    }
    let human = clinic.doctor(&[]);
    // Plane never tells about its webhooks: that is not said to be well.
    let last = "all that could be looked at is well; 1 thing could not be: see `unknown`\n";
    assert!(human.code == 0 && human.out.ends_with(last), "{}", human.whole());
    assert!(!clinic.world.data().exists(), "it made a data directory");
    assert_eq!(clinic.written(), written, "it wrote to the forge");
    let asked = clinic.plane.asked();
    assert!(asked.iter().all(|(method, ..)| method == "GET"), "it wrote to the board: {asked:?}");
    assert!(clinic.telegram.messages(ROOM).is_empty(), "it wrote to the room");
}

#[test]
fn it_works_beside_a_running_service() {
    let mut clinic = Clinic::new();
    clinic.world.start();
    let said = clinic.doctor(&["--json"]);
    assert_eq!((said.code, said.counting()), (0, vec![]), "{}", said.whole());
    clinic.world.stop();
}

#[test]
fn rules_with_errors_are_a_finding() {
    let clinic = Clinic::new();
    let path = clinic.world.path("signalbox.toml");
    let text = std::fs::read_to_string(&path).expect("the configuration");
    std::fs::write(&path, text.replace("schema = 1", "schema = 1\nlisten_to = 5")).expect("written");
    let said = clinic.doctor(&["--json"]);
    let found = said.counting();
    assert_eq!((said.code, found.len()), (10, 1), "{}", said.whole());
    assert!(found[0].1 == "configuration" && found[0].2.contains("listen_to"), "{found:?}");
    let setup = clinic.setup(&[]);
    assert!(setup.code == 10 && setup.err.contains("listen_to"), "{}", setup.whole());
}

/// How firmly runs can be held here, and for each better level why it cannot be had.
#[tokio::test]
async fn it_tells_the_level_of_containment_and_why_it_is_no_better() {
    use signalbox::shell::process::{Containment, Supervisor};
    let exe = std::path::Path::new(crate::world::EXE);
    for bound in Containment::ALL {
        let world = World::new(&Setup {
            config: toml::from_str(&format!("containment = '{}'", bound.as_str())).expect("a configuration"),
            ..Setup::default()
        });
        let out = Command::new(exe)
            .args(["doctor", "--json", "--dir"])
            .arg(world.path(""))
            .output()
            .expect("a doctor");
        let json: Json = serde_json::from_slice(&out.stdout).expect("json");
        let all = json["findings"].as_array().expect("findings");
        let found = all.iter().find(|f| f["check"] == "machine.containment").expect("a finding");
        let what = found["what"].as_str().unwrap_or_default();
        let (level, refused) = Supervisor::survey(exe, bound).await;
        assert!(what.contains(&format!("level `{}`", level.as_str())), "{what}");
        for (better, why) in refused {
            assert!(
                !why.is_empty() && what.contains(&format!("not `{}`: {why}", better.as_str())),
                "{what}"
            );
        }
        let firm = level > Containment::Tagged || bound == Containment::Tagged;
        assert_eq!((found["level"] == "ok", found["mend"].is_null()), (firm, firm), "{found}");
    }
}

/// What the service says of a program, the doctor says as well: both ask it in the same way.
#[test]
fn b_q_7_a_program_is_asked_as_the_service_asks_it() {
    let clinic = |version: &str, more: &str| {
        let clinic = Clinic::with(Version::V1_25, &format!("\"agents.developer.run\" = [\"./agent\"]\n{more}"), "");
        let agent = clinic.world.path("agent");
        executable(&agent, &format!("#!/bin/sh\n{version}\n"));
        clinic
    };
    let told = |said: Said| {
        let found = said.counting();
        assert_eq!((said.code, found.len()), (10, 1), "{found:#?}");
        assert_eq!((found[0].0.as_str(), found[0].1.as_str()), ("problem", "agents.command"));
        found[0].2.clone()
    };
    let fails = told(clinic("echo not like this; exit 4", "").doctor(&["--json"]));
    assert!(
        fails.contains("agent --version` ends with exit status: 4; it says: not like this"),
        "{fails}"
    );
    let hangs = told(clinic("exec sleep 600", "\"preflight.timeout\" = \"5s\"").doctor(&["--json"]));
    assert!(hangs.contains("agent --version` does not end within 5 s"), "{hangs}");
    let said = clinic("exit 4", "\"preflight.enabled\" = false").doctor(&["--json"]);
    assert_eq!((said.code, said.counting()), (0, vec![]), "{}", said.whole());
}
