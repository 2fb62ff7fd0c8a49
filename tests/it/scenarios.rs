//! Scenario files: each is played undisturbed, with the service killed after every event, and
//! with every act of a person doubled; it must come to the same end, and nothing may be left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::world::{Mode, Outcome, Scenario, World, check, play, transcript};

/// Plays a scenario once; none when chance made another story of it.
fn once(scenario: &Scenario, mode: Mode) -> Option<(World, Outcome)> {
    let mut world = World::new(&scenario.setup());
    let played = play(&mut world, scenario, mode);
    let outcome = world.outcome();
    played.then_some((world, outcome))
}

/// What came of a scenario, and its transcript; played once.
type Played = Arc<OnceLock<(Outcome, String)>>;

static UNDISTURBED: Mutex<BTreeMap<&'static str, Played>> = Mutex::new(BTreeMap::new());

/// How a scenario ends undisturbed, with its transcript: played once, compared with many times.
pub fn undisturbed(name: &'static str) -> (Outcome, String) {
    let slot = Arc::clone(UNDISTURBED.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default());
    slot.get_or_init(|| {
        let scenario = Scenario::load(name);
        let (mut world, outcome) = once(&scenario, Mode::Plain).expect("played");
        check(&scenario, &outcome, &world);
        let text = transcript(&mut world, &scenario);
        world.nothing_is_left();
        (outcome, text)
    })
    .clone()
}

fn plain(name: &'static str) {
    let (_, text) = undisturbed(name);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/transcripts"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn disturbed(name: &'static str, mode: Mode) {
    let scenario = Scenario::load(name);
    let Some((mut world, outcome)) = (0..20).find_map(|_| once(&scenario, mode)) else {
        panic!("every try was another story")
    };
    check(&scenario, &outcome, &world);
    if mode == Mode::Crashed {
        assert!(world.starts > 1, "the service never died: {} starts", world.starts);
    }
    world.nothing_is_left();
    let log = world.log();
    drop(world);
    same_end(&undisturbed(name).0, &outcome, name, &log);
}

pub fn same_end(expected: &Outcome, found: &Outcome, name: &str, log: &str) {
    // A prompt is longer by a digit where it names a run and a kill has used up numbers before.
    let size = regex::Regex::new(r"I was given \d+ characters").expect("a pattern");
    let plain = |outcome: &Outcome| size.replace_all(&format!("{outcome:#?}"), "I was given N characters").into_owned();
    let (expected, found) = (plain(expected), plain(found));
    if expected == found {
        return;
    }
    let (left, right): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let only = |a: &[&str], b: &[&str], sign: &str| {
        a.iter()
            .filter(|line| a.iter().filter(|l| l == line).count() != b.iter().filter(|l| l == line).count())
            .map(|l| format!("{sign} {l}\n"))
            .collect::<String>()
    };
    panic!(
        "{name} ends otherwise than undisturbed:\n{}{}\n{log}",
        only(&left, &right, "-"),
        only(&right, &left, "+")
    );
}

macro_rules! scenarios {
    ($($name:ident)*) => {
        $(mod $name {
            use super::*;
            #[test]
            fn undisturbed() {
                plain(stringify!($name));
            }
            #[test]
            fn killed_after_every_event() {
                disturbed(stringify!($name), Mode::Crashed);
            }
            #[test]
            fn every_act_doubled() {
                disturbed(stringify!($name), Mode::Doubled);
            }
        })*
        #[test]
        fn every_file_is_played() {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
            let files = std::fs::read_dir(dir).expect("scenarios");
            let files = files.flatten().filter(|f| f.path().extension().is_some_and(|e| e == "toml"));
            let files: BTreeSet<String> = files.map(|f| f.path().file_stem().expect("a name").to_string_lossy().into_owned()).collect();
            let played: BTreeSet<String> = [$(stringify!($name)),*].into_iter().map(str::to_owned).collect();
            assert_eq!(files, played);
        }
    };
}

scenarios! {
    agent_crashes
    approvals_on_the_board
    auto_labels
    base_conflict
    base_moved
    body_quotes
    ci_and_forge_review
    conflict
    depends_stop
    depends_text
    documents_pushed_while_at_work
    enduro_whole_way
    entry_check
    forged_verdict
    guard_in_the_middle
    inserted_stage
    local_tests_red
    local_whole_way
    no_output
    orch_whole_way
    out_of_scope
    person_pushes
    pushed_while_at_work
    pushed_while_reviewed
    questions
    rate_limit
    reject_at_review
    relaunch_hole
    rework_spent
    staging_red
    stale_verdict
    stop_and_again
    stop_deaf
    stop_running
    timeout
    two_tasks
    wrong_nonce
}
