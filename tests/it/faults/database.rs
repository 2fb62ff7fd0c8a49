//! Old data directories and migrations that are killed, and databases that are moved away or replaced, with the whole service.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{begun, done, ends, world};
use crate::world::World;

/// The first schema there ever was, with an issue in it.
fn oldest(data: &Path) {
    fs::create_dir_all(data).expect("a folder");
    let conn = rusqlite::Connection::open(data.join("signalbox.db")).expect("a database");
    let first = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/shell/store/migrations/0001_initial.sql");
    conn.execute_batch(&fs::read_to_string(first).expect("the first schema"))
        .expect("made");
    conn.execute_batch(
        "PRAGMA application_id = 0x73676278; PRAGMA user_version = 1; PRAGMA journal_mode = WAL;
         INSERT INTO issues (id, project, number, title, description, status, author, created_at, updated_at)
             VALUES ('0190a000-0000-7000-8000-000000000001', 'it', 1, 'From long ago', 'Please.', 'Backlog', 'ann', 1, 1);",
    )
    .expect("filled");
}

/// ★ Each start comes one step further and dies before the next; what was in it is in it, and work goes on.
#[test]
fn a_migration_is_killed_before_each_step() {
    let mut world = world("[developer]\ndo = [\"ok\"]", "");
    oldest(&world.data());
    world.crash = Some("migration:2".to_owned());
    world.start();
    let version = world.count("PRAGMA user_version");
    assert!(
        version >= 8 && i64::from(world.starts) == version - 1,
        "{} starts to version {version}",
        world.starts
    );
    world.crash = None;
    let seen = world.show("it#1");
    assert!(seen.to_string().contains("From long ago"), "{seen}");
    let item = world.new_task("Add a greeting");
    done(&mut world, &item);
    world.nothing_is_left();
}

const FILES: [&str; 3] = ["signalbox.db", "signalbox.db-wal", "signalbox.db-shm"];

fn shift(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for file in FILES {
        fs::rename(from.join(file), to.join(file)).expect("moved");
    }
}

/// A copy of a closed database.
fn copy(world: &World, name: &str) -> PathBuf {
    let to = world.path(name);
    fs::copy(world.data().join("signalbox.db"), &to).expect("a copy");
    to
}

fn put(world: &World, database: &Path) {
    fs::copy(database, world.data().join("signalbox.db")).expect("in place");
}

/// What the service says of its database.
fn said(world: &World) -> String {
    world.ask("/health").body["database"].as_str().unwrap_or_default().to_owned()
}

/// ★ I1: nothing is acknowledged, and nobody paid, once the database is not where it was; the same files moved back mend it.
#[test]
fn a_database_that_is_moved_away_or_replaced_under_the_service_is_noticed() {
    let mut world = world("[developer]\ndo = [\"ok\"]", "");
    world.start();
    world.stop();
    let older = copy(&world, "older.db");
    world.start();
    let item = world.new_task("Add a greeting");
    done(&mut world, &item);
    let paid = world.begun().len();
    let refused = |world: &World| {
        let answer = world
            .post("/api/tasks", &json!({"title": "More", "text": "Please."}))
            .expect("an answer");
        assert_eq!(answer.status, 503, "{answer:?}");
    };
    let (data, aside) = (world.data(), world.path("elsewhere"));
    shift(&data, &aside);
    // Nobody asks for anything to be recorded.
    world.until("degraded", || world.ask("/health").status == 503);
    assert!(said(&world).contains("data/signalbox.db was moved away"), "{}", said(&world));
    refused(&world);
    put(&world, &older);
    world.until("the other file noticed", || said(&world).contains("was replaced by another file"));
    refused(&world);
    fs::remove_file(data.join("signalbox.db")).expect("removed");
    shift(&aside, &data);
    world.until("in order again", || world.ask("/health").status == 200);
    assert_eq!(world.begun().len(), paid, "nothing was started meanwhile");
    let second = world.new_task("Add another");
    done(&mut world, &second);
    assert_eq!(world.count("SELECT COUNT(*) FROM tasks"), 2, "what was refused was not recorded");
    assert_eq!(world.starts, 2, "{}", world.tail());
    world.nothing_is_left();
}

/// ★ I2: an agent of which the database knows nothing would be followed and stopped by nobody.
#[test]
fn a_start_on_an_older_database_is_refused_while_a_later_run_is_at_work() {
    let mut world = world("[developer]\ndo = [\"held\"]", "");
    world.start();
    world.stop();
    let older = copy(&world, "older.db");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    world.stop();
    let newer = copy(&world, "newer.db");
    put(&world, &older);
    let out = world.command(&["serve", "--no-proof"]).output().expect("it ends");
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success(), "{told}");
    for words in [
        "is older than the runs beside it",
        "run 1 (its shim is process ",
        "runs/1/abandon",
        "Nothing was started",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    put(&world, &newer);
    world.let_go();
    world.start();
    let seen = done(&mut world, &item);
    assert_eq!(ends(&seen)[0], "ok", "{}", seen["runs"]);
    assert_eq!(begun(&world, &item, "developer"), 1, "it was adopted: paid once");
    world.nothing_is_left();
}

/// ★ I2: whoever cannot start the service is told who is at work without one, and how that is ended.
#[test]
fn a_start_that_is_refused_names_the_agents_at_work() {
    let mut world = world("[developer]\ndo = [\"held\"]", "");
    world.start();
    let item = world.new_task("Add a greeting");
    world.wait_agent(&item, "developer", 1);
    world.stop();
    let good = copy(&world, "good.db");
    let bad = world.path("bad.db");
    fs::write(&bad, "this is no database, and was none\n".repeat(40)).expect("written");
    put(&world, &bad);
    let refused = |world: &World| {
        let out = world.command(&["serve", "--no-proof"]).output().expect("it ends");
        assert!(!out.status.success());
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    let told = refused(&world);
    for words in [
        "is not a signalbox database",
        "without a service: run 1 (its shim is process ",
        "runs/1/abandon",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    fs::write(world.data().join("runs/1/abandon"), "").expect("as it is told");
    // A shim that lives counts until its record is there.
    world.until("the end of the agent and its shim", || world.processes().is_empty());
    let told = refused(&world);
    assert!(
        told.contains("is not a signalbox database") && !told.contains("without a service"),
        "{told}"
    );
    put(&world, &good);
    world.let_go();
    world.start();
    done(&mut world, &item);
    world.nothing_is_left();
}

/// ★ I3: where nobody is at work it goes on above the numbers that were given, and people are told what they have before them.
#[test]
fn a_start_on_an_older_database_goes_on_above_the_runs_beside_it() {
    let mut world = world("[developer]\ndo = [\"ok\"]", "");
    world.start();
    let first = world.new_task("Add a greeting");
    done(&mut world, &first);
    world.stop();
    let older = copy(&world, "older.db");
    world.start();
    let second = world.new_task("Add another");
    done(&mut world, &second);
    world.stop();
    let before: Vec<i64> = world.begun().iter().map(|e| e.run).collect();
    put(&world, &older);
    world.start();
    let warned = "is older than the runs beside it";
    assert!(world.log().contains(warned), "{}", world.tail());
    assert!(world.get("/status")["problems"].to_string().contains(warned));
    let third = world.new_task("Add a third");
    let seen = world.wait_for(&third, "the end of its developer", |seen| {
        seen["runs"][0]["outcome"].is_string() && seen["task"]["stage"] != "development"
    });
    assert_eq!(ends(&seen)[0], "ok", "{}", seen["runs"]);
    let all: Vec<i64> = world.begun().iter().map(|e| e.run).collect();
    let (last, fresh) = (before.iter().max().expect("a run"), &all[before.len()..]);
    assert!(
        !fresh.is_empty() && fresh.iter().all(|run| run > last),
        "{before:?}, then {fresh:?}"
    );
    world.stop();
    world.start();
    assert!(!world.get("/status")["problems"].to_string().contains(warned), "told once");
}

/// A folder of another run in the way is nobody's failure: no attempt is used, nothing of it is touched.
#[test]
fn a_run_directory_in_the_way_is_left_alone_and_costs_nothing() {
    let mut world = world("[developer]\ndo = [\"ok\"]", "");
    world.start();
    let theirs = world.data().join("runs/1");
    fs::create_dir_all(&theirs).expect("a folder");
    fs::write(theirs.join("owner"), "\"abandoned\"").expect("written");
    let item = world.new_task("Add a greeting");
    let seen = done(&mut world, &item);
    assert_eq!(ends(&seen)[..2], ["transient", "ok"], "{}", seen["runs"]);
    assert_eq!(
        (&seen["jobs"][0]["id"], &seen["jobs"][0]["attempts"]),
        (&seen["runs"][0]["job"], &json!(1)),
        "{}",
        seen["jobs"]
    );
    let left: Vec<_> = fs::read_dir(&theirs).expect("a folder").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["owner"]);
    assert!(world.log().contains("is there already"), "{}", world.tail());
    assert!(!world.log().contains("free disk space"), "{}", world.tail());
}
