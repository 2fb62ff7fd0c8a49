//! A secret that an agent prints in every form it knows is found nowhere afterwards.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::world::{EXE, Setup, World, executable};

/// With something for every escape, and nothing that a shell would obey between single quotes.
const CANARY: &str = "cAnArY/4d1\"f?0+9&b\\7c~e2=a8";
const PERCENT: &str = "cAnArY%2F4d1%22f%3F0%2B9%26b%5C7c~e2%3Da8";
const PERCENT_LOW: &str = "cAnArY%2f4d1%22f%3f0%2b9%26b%5c7c~e2%3da8";

fn json_form() -> String {
    json!(CANARY).to_string().trim_matches('"').to_owned()
}

/// Its base64 without what depends on the bytes beside it, at each alignment.
fn base64_forms() -> Vec<String> {
    let cores = (0..3_usize).map(|shift| {
        let text = format!("{}{CANARY}", "x".repeat(shift));
        let (from, to) = ((shift * 8).div_ceil(6), text.len() * 8 / 6);
        [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)].map(|form| form[from..to].to_owned())
    });
    cores.flatten().collect()
}

/// Everything by which it would be recognised.
fn needles() -> Vec<String> {
    let mut needles = vec![CANARY.to_owned(), PERCENT.to_owned(), PERCENT_LOW.to_owned(), json_form()];
    needles.extend(base64_forms());
    // Whatever the form, half of it is too much.
    needles.push(CANARY[..14].to_owned());
    needles
}

fn search(place: &str, text: &[u8]) {
    for needle in needles() {
        let found = text.windows(needle.len()).any(|w| w == needle.as_bytes());
        assert!(!found, "{needle} stands in {place}");
    }
}

/// Searches all files below a folder; how many.
fn search_files(folder: &Path) -> usize {
    // What the service takes away meanwhile is not there to be found.
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .map(|path| match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => search_files(&path),
            Ok(meta) if meta.is_file() => {
                search(&path.display().to_string(), &fs::read(&path).unwrap_or_default());
                1
            }
            _ => 0,
        })
        .sum()
}

/// A world whose service has the canary in its environment, and whose developer tells it.
fn world() -> World {
    let mut set = toml::Table::new();
    set.insert("agents.developer.env".to_owned(), vec!["CANARY_KEY"].into());
    set.insert("preflight.enabled".to_owned(), false.into());
    let mut world = World::new(&Setup::default());
    let (forms, agent, go) = (world.path("forms"), world.path("agent.sh"), world.path("go"));
    let url = format!("https://u:{CANARY}@host/path https://someone:else@host");
    let lines = [json_form(), PERCENT.to_owned(), PERCENT_LOW.to_owned(), url];
    fs::write(&forms, lines.join("\n") + "\n").expect("forms");
    let script = format!(
        "printf 'plain %s\\n' \"$CANARY_KEY\"\nprintf 'split %s' \"${{CANARY_KEY%??????????}}\"\nprintf '%s\\n' \"${{CANARY_KEY#?????????????????}}\"\n\
         for before in '' x xy; do printf '%s%s' \"$before\" \"$CANARY_KEY\" | base64 -w 0; echo; printf '%s%s' \"$before\" \"$CANARY_KEY\" | base64 -w 0 | tr '+/' '-_'; echo; done\n\
         cat '{forms}'\ncat '{forms}' >&2\necho all was printed\nuntil test -e '{go}'; do sleep 0.02; done\n\
         printf 'cannot log in with %s\\n' \"$CANARY_KEY\" >&2\nexit 3\n",
        forms = forms.display(),
        go = go.display(),
    );
    fs::write(&agent, script).expect("the agent");
    set.insert(
        "agents.developer.run".to_owned(),
        vec!["sh".to_owned(), agent.display().to_string()].into(),
    );
    let wrapper = world.path("service.sh");
    executable(&wrapper, &format!("#!/bin/sh\nCANARY_KEY='{CANARY}' exec '{EXE}' \"$@\"\n"));
    let config = fs::read_to_string(world.path("signalbox.toml")).expect("the configuration");
    let mut config: toml::Table = toml::from_str(&config).expect("the configuration");
    let kept = config["projects"]["it"]["set"].as_table_mut().expect("settings");
    kept.extend(set);
    fs::write(world.path("signalbox.toml"), config.to_string()).expect("the configuration");
    world.exe = Some(wrapper);
    world
}

#[test]
fn a_secret_that_an_agent_prints_is_found_nowhere() {
    let mut world = world();
    world.start();
    let item = world.new_task("Add a greeting");
    let log = world.data().join("runs/1.log");
    let text = || fs::read_to_string(&log).unwrap_or_default();
    world.until("what the agent prints", || text().contains("all was printed"));
    // While it runs: it has the secret, and nobody else shows it.
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let line = entry.path().join("cmdline");
        search(&line.display().to_string(), &fs::read(&line).unwrap_or_default());
    }
    search_files(&world.data().join("runs"));
    fs::write(world.path("go"), "").expect("go");
    let seen = world.wait_for(&item, "the end of a run", |seen| seen["runs"][0]["outcome"] == "failed");
    assert!(seen.to_string().contains("cannot log in with ***"), "its words are kept: {seen}");
    let text = text();
    assert!(text.contains("plain ***\n") && text.contains("split ***\n"), "{text}");
    assert_eq!(
        text.matches("https://***@host/path https://***@host\n").count(),
        2,
        "both streams: {text}"
    );
    for args in [
        &["logs", &item, "--all"][..],
        &["show", &item],
        &["why", &item],
        &["status"],
        &["runs"],
    ] {
        let said = world.command(args).output().expect("an answer");
        search(&args.join(" "), &[said.stdout, said.stderr].concat());
    }
    let answer = world.post(&format!("/api/tasks/{item}/stop"), &json!({})).expect("an answer");
    assert!(answer.ok(), "{answer:?}");
    world.wait_mode(&item, "cancelled");
    search("what show tells", world.show(&item).to_string().as_bytes());
    search("the service's log", world.log().as_bytes());
    assert!(search_files(&world.data()) > 3, "with the database as it is written");
    world.stop();
    search_files(&world.data());
}
