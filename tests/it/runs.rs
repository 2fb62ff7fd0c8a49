//! What is promised of a run's surroundings (B-RUN): its prompt, its checkout, its commits, the person's own repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::world::{Setup, World};

/// A world whose agents do this, any number of them at the same time.
fn world(agents: &str) -> World {
    let mut set = toml::Table::new();
    set.insert("serial_gate.enabled".to_owned(), false.into());
    World::new(&Setup {
        agents: toml::from_str(agents).expect("agents"),
        set,
        config: toml::from_str("max_concurrency = 9").expect("config"),
        ..Setup::default()
    })
}

/// Everything below a folder: contents, modes, targets of links.
fn everything(dir: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let meta = fs::symlink_metadata(&path).expect("what it is");
            let bytes = if meta.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else if meta.is_symlink() {
                fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).expect("a file")
            };
            found.insert(path, (meta.permissions().mode(), bytes));
        }
    }
    found
}

/// A program in the place of a hook: it says that it was run.
fn hook(world: &World, path: &Path) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, format!("#!/bin/sh\necho sprung >> {}\n", world.path("marker").display())).expect("a hook");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
}

/// B-RUN 1: the person's repository is read and nothing else: not one byte of it changes, whatever it looks like.
#[test]
fn b_run_1_the_persons_own_repository_stays_as_it_is_to_the_byte() {
    let mut world = world("[developer]\ndo = [\"plant\"]\n[reviewer]\ndo = [\"changes\", \"ok\"]");
    let own = world.path("repository");
    for name in ["pre-commit", "post-checkout", "reference-transaction", "pre-push", "post-update"] {
        hook(&world, &own.join(".git/hooks").join(name));
    }
    // In the middle of work: staged, changed and new files, on a branch of their own.
    world.git(&["-c", "core.hooksPath=/dev/null", "switch", "--quiet", "--create", "mine"]);
    fs::write(own.join("staged.txt"), "staged\n").expect("a file");
    world.git(&["-c", "core.hooksPath=/dev/null", "add", "staged.txt"]);
    fs::write(own.join("README.md"), "# Not yet\n").expect("a file");
    fs::write(own.join("new.txt"), "new\n").expect("a file");
    fs::remove_file(world.path("marker")).unwrap_or_default();
    let before = everything(&own);
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_blocker(&item, "APPROVAL_WAIT");
    let answer = world.post(&format!("/api/tasks/{item}/approve"), &json!({})).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    world.wait_mode(&item, "done");
    let stopped = world.new_task("Another");
    world.wait_blocker(&stopped, "APPROVAL_WAIT");
    world.nothing_is_left();
    assert!(world.main().contains_key("src/feature-LOC-001.txt"), "merged in the forge");
    assert!(
        !world.path("marker").exists(),
        "no hook of theirs was run, and none that an agent planted"
    );
    let after = everything(&own);
    let moved: Vec<_> = before
        .keys()
        .chain(after.keys())
        .filter(|path| before.get(*path) != after.get(*path))
        .collect();
    assert!(moved.is_empty(), "{moved:?}");
}

/// B-RUN 1: what an agent does to its checkout's own repository reaches no other checkout: of another task, or of its own.
#[test]
fn b_run_1_checkouts_share_no_configuration_hooks_or_refs() {
    let mut world = world("[developer]\ndo = [\"held\"]\n[reviewer]\ndo = [\"hang\"]");
    world.start();
    let items = [world.new_task("Number 1"), world.new_task("Number 2")];
    for item in &items {
        world.wait_agent(item, "developer", 1);
    }
    let checkout = |task: u32, agent: &str| world.data().join(format!("checkouts/t{task}/{agent}"));
    let first = checkout(1, "developer");
    let own = world.git_in(&first, &["rev-parse", "--path-format=absolute", "--git-common-dir"]);
    assert_eq!(
        Path::new(&own),
        fs::canonicalize(first.join(".git")).expect("a folder"),
        "it is no work tree of another"
    );
    world.git_in(&first, &["config", "--local", "mark.left", "yes"]);
    world.git_in(&first, &["update-ref", "refs/heads/marked", "HEAD"]);
    world.git_in(&first, &["update-ref", "refs/tags/marked", "HEAD"]);
    hook(&world, &first.join(".git/hooks/post-checkout"));
    world.let_go();
    for item in &items {
        world.wait_agent(item, "reviewer", 1);
    }
    for (task, agent) in [(2, "developer"), (1, "reviewer"), (2, "reviewer")] {
        let dir = checkout(task, agent);
        let settings = world.git_in(&dir, &["config", "--list"]);
        assert!(!settings.contains("mark.left"), "t{task}/{agent}: {settings}");
        let refs = world.git_in(&dir, &["for-each-ref"]);
        assert!(!refs.contains("marked"), "t{task}/{agent}: {refs}");
        assert!(!dir.join(".git/hooks/post-checkout").exists(), "t{task}/{agent}");
    }
    assert!(!world.git_in(&world.forge(), &["for-each-ref"]).contains("marked"), "nor the forge");
    assert!(!world.path("marker").exists(), "nobody ran its hook");
    world.nothing_is_left();
}

/// B-RUN 2, B-RUN 4: a prompt as an argument arrives as it is, whatever stands in it; what the agent does not commit is
/// committed in its name.
#[test]
fn b_run_2_a_prompt_as_an_argument_arrives_whole_and_standard_input_is_empty() {
    let script = "set -eu\nworld=${PWD%%/data/checkouts/*}\nprintf '%s' \"$2\" > \"$world/argument\"\ncp .signalbox/task.md \"$world/file\"\n\
                  echo \"$#\" > \"$world/count\"\ncat > \"$world/input\"\necho left > src/left.txt\n";
    let run = ["bash", "-c", script, "agent", "--", "{prompt}"];
    let mut set = toml::Table::new();
    set.insert("agents.developer.run".to_owned(), run.to_vec().into());
    set.insert("agents.developer.input".to_owned(), "argument".into());
    let prompt = "--version {{ title }}\n{{ description }}\n";
    let mut world = World::new(&Setup {
        set,
        rules: vec![("prompts/developer.md".to_owned(), prompt.to_owned())],
        ..Setup::default()
    });
    world.start();
    let odd = "it's \"quoted\" $HOME $(touch sprung) `touch sprung` \\ * {prompt} -rf \u{1f600}\n\n\tand on";
    // Nearly as long as a prompt may be.
    let text = format!("{odd}\n{}", "A long line of words. ".repeat(63 * 1024 / 22));
    let body = json!({"title": "Say 'hello'", "text": text});
    let answer = world.post("/api/tasks", &body).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    let item = answer.body["item"].as_str().expect("an item").to_owned();
    let seen = world.wait_for(&item, "the end of its run", |seen| seen["runs"][0]["outcome"].is_string());
    assert_eq!(seen["runs"][0]["outcome"], "ok", "{}", seen["runs"]);
    let read = |name: &str| fs::read(world.path(name)).expect(name);
    let argument = read("argument");
    let whole = fs::read(world.data().join("runs/1/prompt.md")).expect("the prompt");
    assert!(argument == whole, "{} bytes of {}", argument.len(), whole.len());
    assert!(argument == read("file"), "and as a file in the checkout");
    let said = String::from_utf8(argument).expect("UTF-8");
    assert!(
        said.starts_with("--version Say 'hello'\n") && said.contains(odd),
        "{}",
        &said[..200]
    );
    assert!(said.len() > 62 * 1024, "{} bytes", said.len());
    assert_eq!(read("count"), b"2\n", "one argument");
    assert_eq!(read("input"), b"", "nothing on standard input");
    assert!(!world.path("sprung").exists() && !world.data().join("checkouts/t1/developer/sprung").exists());

    let branch = seen["branch"].as_str().expect("a branch").to_owned();
    let by = |path: &str| world.git_in(&world.forge(), &["log", "--format=%an <%ae>, %cn", &branch, "--", path]);
    assert_eq!(
        by("src/left.txt"),
        "signalbox developer <developer@signalbox.invalid>, signalbox developer"
    );
    world.nothing_is_left();
}

/// What the service may hand on of its own environment without being asked; names that begin with `LC_` besides.
const HANDED_ON: [&str; 8] = ["PATH", "LANG", "LANGUAGE", "TERM", "TZ", "USER", "LOGNAME", "SHELL"];

/// What a run is given by the service itself.
const GIVEN: [&str; 10] = [
    "HOME",
    "TMPDIR",
    "SIGNALBOX_RUN",
    "SIGNALBOX_RUN_DIR",
    "SIGNALBOX_CONTEXT",
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "GIT_TERMINAL_PROMPT",
];

/// The environment that an agent began with, in a service with secrets in its own; `home` as the rules have it.
fn environment_of_an_agent(home: &str) -> (World, BTreeMap<String, String>) {
    let mut set: toml::Table =
        toml::from_str("\"retry.attempts\" = 1\n\"agents.developer.env\" = [\"MEANT_FOR_AGENTS\"]").expect("settings");
    set.insert("agents.developer.home".to_owned(), home.into());
    let run = ["bash", "-c", "exec cp /proc/self/environ \"${PWD%%/data/checkouts/*}/environment\""];
    set.insert("agents.developer.run".to_owned(), run.to_vec().into());
    let mut world = World::new(&Setup { set, ..Setup::default() });
    let own = |name: &str| world.path(name).display().to_string();
    let names = [
        ("MEANT_FOR_AGENTS", "yes"),
        ("KEPT_BACK", "no"),
        ("FORGE_TOKEN", "no"),
        ("GIT_DIR", "no"),
    ];
    let env = names.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter();
    world.env = env
        .chain([("HOME".to_owned(), own("home")), ("TMPDIR".to_owned(), own(""))])
        .collect();
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_for(&item, "the end of its run", |seen| seen["runs"][0]["outcome"].is_string());
    let text = fs::read_to_string(world.path("environment")).expect("an environment");
    let pairs = text.split_terminator('\0').filter_map(|pair| pair.split_once('='));
    let found = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    (world, found)
}

/// B-RUN 3: nothing of the service's environment but the allow-list, and a HOME and a TMPDIR of the run's own.
#[test]
fn b_run_3_an_agent_finds_the_allow_list_and_a_home_of_its_own() {
    let (mut world, found) = environment_of_an_agent("fresh");
    let handed_on = std::env::vars().map(|(name, _)| name);
    let handed_on = handed_on.filter(|name| HANDED_ON.contains(&name.as_str()) || name.starts_with("LC_"));
    let mut expected: BTreeSet<String> = handed_on.chain(GIVEN.map(str::to_owned)).collect();
    expected.insert("MEANT_FOR_AGENTS".to_owned());
    // The shell that started the copy adds these.
    let added = ["PWD", "OLDPWD", "SHLVL", "_"];
    let names: BTreeSet<String> = found.keys().filter(|name| !added.contains(&name.as_str())).cloned().collect();
    assert_eq!(names, expected);
    assert_eq!(found["MEANT_FOR_AGENTS"], "yes");
    let own = fs::canonicalize(world.data().join("runs/1")).expect("the run's folder");
    for (name, folder) in [("HOME", "home"), ("TMPDIR", "tmp")] {
        assert_eq!(Path::new(&found[name]), own.join(folder), "{name}");
    }
    world.nothing_is_left();
}

/// B-RUN 3: where the rules share the service's HOME, that alone is shared.
#[test]
fn b_run_3_a_shared_home_is_the_services_and_nothing_else_is() {
    let (mut world, found) = environment_of_an_agent("service");
    assert_eq!(Path::new(&found["HOME"]), world.path("home"));
    let own = fs::canonicalize(world.data().join("runs/1")).expect("the run's folder");
    assert_eq!(Path::new(&found["TMPDIR"]), own.join("tmp"));
    assert!(!found.contains_key("KEPT_BACK") && !found.contains_key("FORGE_TOKEN"), "{found:?}");
    world.nothing_is_left();
}
