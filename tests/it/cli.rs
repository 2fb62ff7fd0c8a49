//! Bad input at the start: one clear sentence with the remedy, the right exit code, nothing half-written.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::world::{Setup, World, executable, free, skipped};

/// What `serve` said when it refused.
struct Refusal {
    code: i32,
    said: String,
}

fn refused(mut command: Command) -> Refusal {
    let out: Output = command.env("RUST_LOG", "off").output().expect("the program runs");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    Refusal {
        code: out.status.code().unwrap_or(-1),
        said,
    }
}

impl Refusal {
    fn says(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}", self.said);
        for word in words {
            assert!(self.said.contains(word), "it does not say {word:?}: {}", self.said);
        }
        assert!(!self.said.contains("panicked") && !self.said.contains("Error {"), "{}", self.said);
    }

    /// One error, one line of it, and at most a line of help.
    fn in_one_sentence(&self) {
        let lines: Vec<&str> = self.said.lines().filter(|l| !l.trim().is_empty()).collect();
        assert!((1..=2).contains(&lines.len()), "more than a sentence and its remedy: {}", self.said);
    }
}

fn world() -> World {
    World::new(&Setup::default())
}

fn edit(world: &World, change: impl Fn(String) -> String) {
    let path = world.path("signalbox.toml");
    let text = fs::read_to_string(&path).expect("the configuration");
    fs::write(path, change(text)).expect("written");
}

/// A refused first start leaves no database behind.
fn nothing_written(world: &World) {
    let data = world.data();
    let left: Vec<_> = fs::read_dir(&data).into_iter().flatten().flatten().map(|e| e.file_name()).collect();
    let database = left.iter().any(|name| name.to_string_lossy().starts_with("signalbox.db"));
    assert!(!database, "{} holds {left:?}", data.display());
}

#[test]
fn an_unknown_key_is_shown_with_its_place() {
    let world = world();
    edit(&world, |text| format!("max_concurency = 3\n{text}"));
    let refusal = refused(world.command(&["serve", "--no-proof"]));
    refusal.says(10, &["signalbox.toml:1:1", "max_concurency", "max_concurrency"]);
    nothing_written(&world);
}

#[test]
fn a_broken_pipeline_is_shown_with_its_place() {
    let world = world();
    fs::create_dir_all(world.path("pipelines")).expect("a folder");
    fs::write(
        world.path("pipelines/local.toml"),
        "schema = 1\nextends = \"base\"\nflow = [\"created\", \"devlopment\", \"done\"]\n",
    )
    .expect("written");
    let refusal = refused(world.command(&["serve", "--no-proof"]));
    refusal.says(10, &["pipelines/local.toml:3:", "devlopment"]);
    nothing_written(&world);
    let validated = refused(world.command(&["--validate"]));
    validated.says(10, &[]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let world = world();
    fs::create_dir_all(world.path("pipelines/mine.toml")).expect("a folder where a file is expected");
    let refusal = refused(world.command(&["serve", "--no-proof"]));
    refusal.says(10, &["pipelines/mine.toml"]);
    nothing_written(&world);
}

#[test]
fn a_missing_repository_is_named_with_the_remedy() {
    let world = world();
    fs::remove_dir_all(world.path("repository")).expect("removed");
    let refusal = refused(world.command(&["serve", "--no-proof"]));
    refusal.says(1, &["repository", "project `it`"]);
    refusal.in_one_sentence();
    nothing_written(&world);
}

#[test]
fn a_folder_that_is_no_repository_is_said_to_be_none() {
    let world = world();
    fs::remove_dir_all(world.path("repository/.git")).expect("removed");
    let refusal = refused(world.command(&["serve", "--no-proof"]));
    refusal.says(1, &["repository"]);
    nothing_written(&world);
}

#[test]
fn without_git_it_says_so() {
    let world = world();
    let empty = world.path("empty");
    fs::create_dir(&empty).expect("a folder");
    let mut command = world.command(&["serve", "--no-proof"]);
    command.env("PATH", &empty);
    let refusal = refused(command);
    refusal.says(1, &["git"]);
    refusal.in_one_sentence();
    nothing_written(&world);
}

#[test]
fn an_old_git_is_told_from_a_new_one() {
    let world = world();
    let bin = world.path("bin");
    fs::create_dir(&bin).expect("a folder");
    executable(&bin.join("git"), "#!/bin/sh\necho 'git version 2.30.2'\n");
    let mut command = world.command(&["serve", "--no-proof"]);
    command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default()));
    let refusal = refused(command);
    refusal.says(1, &["2.30", "git"]);
    refusal.in_one_sentence();
    nothing_written(&world);
}

#[test]
fn a_port_in_use_is_said_to_be() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("an address").to_string();
    let world = world();
    edit(&world, |text| text.replace("127.0.0.1:0", &address));
    let refusal = refused(world.command(&["serve", "--no-proof"]));
    refusal.says(1, &[&address, "in use", "listen"]);
    refusal.in_one_sentence();
    nothing_written(&world);
}

#[test]
fn a_second_instance_is_kept_out() {
    let mut world = world();
    world.start();
    let refusal = refused(world.command(&["serve", "--no-proof"]));
    refusal.says(1, &["in use by another signalbox", "process"]);
    refusal.in_one_sentence();
    let item = world.new_task("The first one goes on");
    world.wait_for(&item, "development", |seen| seen["task"]["stage"] == "development");
    world.nothing_is_left();
}

/// ★ Somebody tidied up under a service that runs: the directory is its own all the same.
#[test]
fn a_second_instance_is_kept_out_when_lock_and_socket_were_removed() {
    let mut world = world();
    world.start();
    let copy = world.path("copy").display().to_string();
    assert!(world.command(&["backup", &copy]).status().expect("it runs").success());
    for name in ["signalbox.lock", "signalbox.sock"] {
        fs::remove_file(world.data().join(name)).expect("a file");
    }
    for args in [&["serve", "--no-proof"][..], &["restore", &copy, "--replace"]] {
        let refusal = refused(world.command(args));
        refusal.says(1, &["in use by another signalbox", "process"]);
        refusal.in_one_sentence();
        assert!(world.data().join("signalbox.open").exists(), "the mark is of the first one");
        assert!(!world.data().join("signalbox.sock").exists());
    }
    // It runs, and nobody is told to start another.
    let refusal = refused(world.command(&["stop", "LOC-001"]));
    refusal.says(3, &["the service runs (process", "was removed", "agents at work stay at work"]);
}

/// What it says about the data directory must be true under it, and agents and tests need folders for temporary files.
#[test]
fn under_the_shipped_unit_data_and_temporary_files_can_be_written() {
    let unit = include_str!("../../docs/systemd/signalbox.service");
    let values = |key: &str| {
        let lines = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        lines.flat_map(str::split_whitespace).collect::<Vec<_>>()
    };
    let writable = values("ReadWritePaths");
    assert!(["/tmp", "/var/tmp"].iter().all(|dir| writable.contains(dir)), "{writable:?}");
    assert_eq!((values("ProtectSystem"), values("PrivateTmp")), (vec!["strict"], vec![]));
    let data = unit.lines().find_map(|line| line.strip_prefix("#   data = \"")?.strip_suffix('"'));
    let data = Path::new(data.expect("a data directory"));
    assert!(writable.iter().any(|dir| data.starts_with(dir)), "{}", data.display());
    assert!(
        values("WorkingDirectory").iter().all(|dir| data.starts_with(dir)),
        "{}",
        data.display()
    );
}

/// Its address is in use as well: the remedy is with the service that is there, not with the address.
#[test]
fn a_second_instance_at_the_same_address_is_told_of_the_first() {
    let mut world = world();
    let address = free().to_string();
    edit(&world, |text| text.replace("127.0.0.1:0", &address));
    world.start();
    let refusal = refused(world.command(&["serve", "--no-proof"]));
    refusal.says(1, &["in use by another signalbox", "process"]);
    refusal.in_one_sentence();
}

#[test]
fn garbage_in_place_of_the_database_is_left_as_it_is() {
    let world = world();
    fs::create_dir_all(world.data()).expect("a folder");
    let garbage = "this is no database, and someone may want it\n".repeat(100);
    fs::write(world.data().join("signalbox.db"), &garbage).expect("written");
    let refusal = refused(world.command(&["serve", "--no-proof"]));
    refusal.says(1, &["signalbox.db", "not a signalbox database", "move the file away"]);
    refusal.in_one_sentence();
    assert_eq!(fs::read_to_string(world.data().join("signalbox.db")).expect("still there"), garbage);
}

#[test]
fn a_file_in_place_of_the_data_directory_is_said_to_be_one() {
    let world = world();
    fs::write(world.data(), "precious").expect("written");
    let refusal = refused(world.command(&["serve", "--no-proof"]));
    refusal.says(1, &["data", "cannot be used"]);
    refusal.in_one_sentence();
    assert_eq!(fs::read_to_string(world.data()).expect("still there"), "precious");
}

#[test]
fn without_a_configuration_it_says_where_it_looked() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(crate::world::EXE);
    command
        .args(["serve", "--no-proof"])
        .current_dir(dir.path())
        .env_remove("SIGNALBOX_CONFIG");
    let refusal = refused(command);
    refusal.says(2, &["signalbox.toml", "signalbox init"]);
}

#[test]
fn without_a_service_commands_say_how_to_start_it() {
    let world = world();
    let refusal = refused(world.command(&["status"]));
    refusal.says(3, &["not running", "signalbox serve"]);
    let refusal = refused(world.command(&["task", "new", "A title"]));
    refusal.says(3, &["needs the running service", "nothing was done"]);
    nothing_written(&world);
}

#[test]
fn a_full_disk_is_said_to_be_full() {
    let world = world();
    let data = world.data();
    fs::create_dir_all(&data).expect("a folder");
    let Some(_mounted) = Tmpfs::mount(&data) else {
        skipped("a small file system cannot be mounted here");
        return;
    };
    fs::write(data.join("filler"), vec![0_u8; 60 * 1024]).expect("written");
    let refusal = refused(world.command(&["serve", "--no-proof"]));
    refusal.says(1, &["space"]);
    let kept: Vec<_> = fs::read_dir(&data).expect("data").flatten().map(|e| e.file_name()).collect();
    assert!(
        kept.iter().all(|n| !n.to_string_lossy().starts_with("signalbox.db")),
        "half-written: {kept:?}"
    );
}

/// A very small file system, while it lives.
struct Tmpfs(std::path::PathBuf);

impl Tmpfs {
    fn mount(at: &Path) -> Option<Self> {
        let out = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(at)
            .output()
            .ok()?;
        out.status.success().then(|| Self(at.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
