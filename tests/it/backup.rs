//! Back-up and restore: taken while agents work, put back on another disk, and gone on with.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Output;

use crate::world::{Setup, World};

fn world(set: &str) -> World {
    World::new(&Setup {
        agents: "[reviewer]\ndo = ['held']".parse().expect("agents"),
        set: set.parse().expect("settings"),
        ..Setup::default()
    })
}

fn run(world: &World, args: &[&str]) -> Output {
    world.command(args).output().expect("it runs")
}

fn refusal(world: &World, args: &[&str]) -> String {
    let out = run(world, args);
    assert_eq!(out.status.code(), Some(1), "{args:?}: {out:?}");
    String::from_utf8_lossy(&out.stderr).into_owned()
}

fn good(world: &World, args: &[&str]) -> String {
    let out = run(world, args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// A world with one task done and one under review, and a back-up of it.
fn backed_up() -> (World, String, String) {
    backed_up_with("")
}

fn backed_up_with(set: &str) -> (World, String, String) {
    let mut world = world(set);
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "reviewer", 1);
    let folder = world.path("copy").display().to_string();
    let told = good(&world, &["backup", &folder]);
    assert!(told.contains("files") && told.contains("signalbox restore"), "{told}");
    (world, item, folder)
}

/// A bare name lies in the current folder, whose path as a parent is empty.
#[test]
fn a_copy_may_be_named_by_its_name_alone() {
    let (mut world, _, _) = backed_up();
    world.let_go();
    world.stop();
    world.until("the end of the agents", || world.processes().is_empty());
    let here = world.path("here");
    fs::create_dir(&here).expect("a folder");
    for args in [["backup", "bk1"], ["restore", "bk1"]] {
        let mut command = world.command(&args);
        let out = command.current_dir(&here).args((args[0] == "restore").then_some("--replace"));
        let out = out.output().expect("it runs");
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        let whole = format!("signalbox restore {}", here.join("bk1").display());
        let told = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(
            args[0] == "restore" || told.contains(&whole),
            "the advice holds wherever it is followed: {told}"
        );
    }
    let there: Vec<_> = fs::read_dir(&here).expect("here").flatten().map(|e| e.file_name()).collect();
    assert_eq!(there, ["bk1"]);
}

/// Ends everything, as the loss of a machine does.
fn lose(world: &mut World) {
    world.kill();
    for (pid, _) in world.processes() {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    // One that is dying still writes.
    world.until("the end of everything", || world.processes().is_empty());
    fs::remove_dir_all(world.data()).expect("the data directory");
}

#[test]
fn what_is_put_back_goes_on_where_the_copy_was_made() {
    let (mut world, item, folder) = backed_up();
    lose(&mut world);
    world.let_go();
    good(&world, &["restore", &folder]);
    world.start();
    world.wait_blocker(&item, "APPROVAL_WAIT");
    let begun = world.begun();
    let count = |agent: &str| begun.iter().filter(|e| e.agent == agent).count();
    assert_eq!(count("developer"), 1, "what was paid for is not paid for again: {begun:?}");
    assert_eq!(count("reviewer"), 2, "what was under way is tried again: {begun:?}");
}

#[test]
fn what_is_there_is_moved_aside_and_kept() {
    let (mut world, item, folder) = backed_up();
    world.let_go();
    world.wait_blocker(&item, "APPROVAL_WAIT");
    let told = refusal(&world, &["restore", &folder, "--replace"]);
    assert!(
        told.contains("in use") || told.contains("another"),
        "a running service is left alone: {told}"
    );
    world.stop();
    assert!(refusal(&world, &["restore", &folder]).contains("--replace"));
    let told = good(&world, &["restore", &folder, "--replace"]);
    assert!(told.contains("replaced-"), "{told}");
    let aside = fs::read_dir(world.data()).expect("data").flatten().map(|e| e.path());
    let aside = aside.filter(|p| p.to_string_lossy().contains("replaced-")).collect::<Vec<_>>();
    assert!(aside.len() == 1 && aside[0].join("signalbox.db").exists(), "{aside:?}");
    world.start();
    world.wait_blocker(&item, "APPROVAL_WAIT");
}

/// Agents outlive the service: nothing is put in the place of a directory in which one is at work.
#[test]
fn nothing_is_replaced_under_an_agent_that_is_at_work() {
    let (mut world, item, folder) = backed_up();
    world.kill();
    let run = world.begun().iter().map(|e| e.run).max().expect("a run");
    let database = fs::metadata(world.data().join("signalbox.db")).expect("a database").ino();
    let told = refusal(&world, &["restore", &folder, "--replace"]);
    assert!(told.contains(&format!("run {run} ")) && told.contains("abandon"), "{told}");
    assert_eq!(fs::metadata(world.data().join("signalbox.db")).expect("a database").ino(), database);
    let aside = fs::read_dir(world.data()).expect("data").flatten();
    assert_eq!(aside.filter(|e| e.file_name().to_string_lossy().contains("replaced-")).count(), 0);
    // What it says is to be done does it.
    let (_, order) = told.split_once("To end them: ").expect("a command");
    let done = std::process::Command::new("sh").args(["-c", order]).status().expect("sh");
    assert!(done.success(), "{order}");
    world.until("the end of the agents", || world.processes().is_empty());
    good(&world, &["restore", &folder, "--replace"]);
    world.let_go();
    world.start();
    world.wait_blocker(&item, "APPROVAL_WAIT");
}

/// A run's number is its fencing token: none is given a second time, whatever the copy knows of.
#[test]
fn no_number_of_a_run_is_given_again_after_a_restore() {
    let (mut world, item, folder) = backed_up_with("\"serial_gate.enabled\" = false");
    world.let_go();
    world.wait_blocker(&item, "APPROVAL_WAIT");
    let later = world.new_task("Add another greeting");
    world.wait_agent(&later, "developer", 1);
    world.wait_for(&later, "the end of its developer", |seen| seen["task"]["stage"] != "development");
    world.stop();
    world.until("the end of the agents", || world.processes().is_empty());
    let before: Vec<i64> = world.begun().iter().map(|e| e.run).collect();
    for _ in 0..2 {
        // The second time, the folders of then are not in `runs` any more.
        good(&world, &["restore", &folder, "--replace"]);
    }
    world.start();
    world.wait_blocker(&item, "APPROVAL_WAIT");
    let begun: Vec<i64> = world.begun().iter().map(|e| e.run).collect();
    let fresh = &begun[before.len()..];
    let last = before.iter().max().expect("a run");
    assert!(
        !fresh.is_empty() && fresh.iter().all(|run| run > last),
        "{before:?}, then {fresh:?}"
    );
}

#[test]
fn what_cannot_be_copied_or_put_back_is_told_and_nothing_is_changed() {
    let (mut world, _, folder) = backed_up();
    assert!(refusal(&world, &["backup", &folder]).contains("is there already"));
    for inside in ["runs/copy", "archive/../copy"] {
        let inside = world.data().join(inside);
        let told = refusal(&world, &["backup", &inside.display().to_string()]);
        assert!(told.contains("lies in the data directory"), "{told}");
        assert!(!inside.exists() && !world.data().join("copy.partial").exists());
    }
    lose(&mut world);
    assert!(refusal(&world, &["restore", "nowhere"]).contains("no back-up"));
    let spoil = |name: &str, how: &dyn Fn(&Path)| {
        let bad = world.path(name);
        let out = std::process::Command::new("cp")
            .arg("-r")
            .arg(&folder)
            .arg(&bad)
            .output()
            .expect("cp");
        assert!(out.status.success());
        how(&bad);
        refusal(&world, &["restore", &bad.display().to_string()])
    };
    let layout = |dir: &Path| {
        let text = fs::read_to_string(dir.join("backup.json")).expect("a manifest");
        fs::write(dir.join("backup.json"), text.replace("\"layout\": 1", "\"layout\": 9")).expect("a manifest");
    };
    assert!(spoil("newer", &layout).contains("its layout is 9"));
    let cut = |dir: &Path| fs::remove_file(dir.join("vaults").join("1.git").join("HEAD")).expect("a file");
    assert!(spoil("incomplete", &cut).contains("its manifest says"));
    let damage = |dir: &Path| {
        let mut bytes = fs::read(dir.join("signalbox.db")).expect("a database");
        let (from, to) = (bytes.len() / 3, bytes.len() / 2);
        bytes[from..to].fill(0x5a);
        fs::write(dir.join("signalbox.db"), bytes).expect("a database");
    };
    assert!(spoil("damaged", &damage).contains("damaged"));
    assert!(!world.data().join("signalbox.db").exists(), "nothing was put in place");
    good(&world, &["restore", &folder]);
    world.start();
}

/// What lies in a data directory, by name: of the database only that it is there, and of what was moved aside nothing.
fn lying(data: &Path) -> Vec<String> {
    let out = std::process::Command::new("find")
        .args([".", "-type", "f", "-not", "-path", "./replaced-*"])
        .current_dir(data)
        .output()
        .expect("find");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut all: Vec<String> = text.lines().map(str::to_owned).collect();
    all.sort();
    all.retain(|name| name != "./signalbox.lock");
    all
}

/// ★ Killed behind each thing that it changes: no service begins on what is half there, and said again it comes to its end, with
/// what was there before whole in one folder. So too when it is killed in the same place once more.
#[test]
fn a_restore_that_is_killed_anywhere_is_taken_up_again() {
    let (mut world, item, folder) = backed_up();
    world.let_go();
    world.wait_blocker(&item, "APPROVAL_WAIT");
    world.stop();
    let copy = |from: &Path, to: &Path| {
        let _ = fs::remove_dir_all(to);
        let done = std::process::Command::new("cp").arg("-a").args([from, to]).status().expect("cp");
        assert!(done.success());
    };
    let (data, before) = (world.data(), world.path("before"));
    copy(&data, &before);
    let old = lying(&before);
    good(&world, &["restore", &folder, "--replace"]);
    let new = lying(&data);
    let mut refused = 0;
    for nth in 1.. {
        assert!(nth < 99, "it comes to an end");
        copy(&before, &data);
        let restore = || {
            let mut command = world.command(&["restore", &folder, "--replace"]);
            command
                .env("SIGNALBOX_CRASH", format!("restoring:{nth}"))
                .output()
                .expect("it runs")
                .status
        };
        if restore().success() {
            break;
        }
        if !data.join("signalbox.restoring").exists() {
            assert_eq!(lying(&data), new, "{nth}: all is done");
            continue;
        }
        refused += 1;
        let told = refusal(&world, &["serve", "--no-proof"]);
        assert!(
            told.contains("was cut off") && told.contains(&format!("signalbox restore {folder} --replace")),
            "{nth}: {told}"
        );
        let doctor = run(&world, &["doctor"]);
        assert!(String::from_utf8_lossy(&doctor.stdout).contains("was cut off"), "{nth}: {doctor:?}");
        restore();
        good(&world, &["restore", &folder, "--replace"]);
        assert_eq!(lying(&data), new, "{nth}");
        let aside = fs::read_dir(&data).expect("data").flatten().map(|e| e.path());
        let aside: Vec<_> = aside.filter(|p| p.to_string_lossy().contains("replaced-")).collect();
        // Where the second one came to its end before it was killed, the third put aside what that had put in place.
        assert!(aside.iter().any(|aside| lying(aside) == old), "{nth}: {aside:?}");
    }
    assert!(refused > 6, "{refused} places in which it is half done");
    world.start();
    world.wait_blocker(&item, "APPROVAL_WAIT");
}
