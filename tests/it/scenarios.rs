//! Scenario files: each is played undisturbed, with the service killed after every event, and
//! with every act of a person doubled; it must come to the same end, and nothing may be left.

use std::collections::BTreeSet;
use std::path::Path;

use crate::world::{Mode, Outcome, Scenario, World, check, play, transcript};

/// Plays a scenario once; none when chance made another story of it.
fn once(scenario: &Scenario, mode: Mode) -> Option<(World, Outcome)> {
    let mut world = World::new(&scenario.setup());
    let played = play(&mut world, scenario, mode);
    let outcome = world.outcome();
    played.then_some((world, outcome))
}

fn plain(name: &str) {
    let scenario = Scenario::load(name);
    let (mut world, outcome) = once(&scenario, Mode::Plain).expect("played");
    check(&scenario, &outcome, &world);
    let text = transcript(&mut world, &scenario);
    world.nothing_is_left();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/transcripts"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn disturbed(name: &str, mode: Mode) {
    let scenario = Scenario::load(name);
    let Some((mut world, outcome)) = (0..5).find_map(|_| once(&scenario, mode)) else {
        panic!("every try was another story")
    };
    check(&scenario, &outcome, &world);
    if mode == Mode::Crashed {
        assert!(world.starts > 2, "the service never died: {} starts", world.starts);
    }
    world.nothing_is_left();
    drop(world);
    let (_undisturbed, expected) = once(&scenario, Mode::Plain).expect("played");
    pretty_assertions(&expected, &outcome, name);
}

fn pretty_assertions(expected: &Outcome, found: &Outcome, name: &str) {
    for (task, end) in &expected.tasks {
        assert_eq!(Some(end), found.tasks.get(task), "{name}: the end of {task}");
    }
    assert_eq!(expected.tasks.len(), found.tasks.len(), "{name}: {:?}", found.tasks.keys());
    assert_eq!(expected.main, found.main, "{name}: the default branch");
    assert_eq!(expected.runs, found.runs, "{name}: what was paid for");
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
            let files: BTreeSet<String> = files.flatten().map(|f| f.path().file_stem().expect("a name").to_string_lossy().into_owned()).collect();
            let played: BTreeSet<String> = [$(stringify!($name)),*].into_iter().map(str::to_owned).collect();
            assert_eq!(files, played);
        }
    };
}

scenarios! {
    orch_whole_way
}
