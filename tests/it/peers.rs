//! Scenario files between a Plane and a Gitea: real clients, real webhooks, fake servers.
//!
//! Each is played undisturbed, with a transcript of its own. Then with every delivery doubled,
//! reordered or delayed, and with each single one lost; it must come to the same end. The default
//! suite plays and disturbs some of them; `bash .ci/long sweep` plays all, with every loss one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::scenarios::same_end;
use crate::world::peers::{Policy, Town};
use crate::world::{Outcome, Scenario, check};

mod forged;
mod lost;
mod toml_only;

/// What came of a scenario undisturbed, and what was told on the way.
#[derive(Clone)]
struct Played {
    outcome: Outcome,
    transcript: String,
    /// What people and CI did.
    people: Vec<String>,
    /// Deliveries about the service's own doing.
    own: usize,
}

static UNDISTURBED: Mutex<BTreeMap<&'static str, Arc<OnceLock<Played>>>> = Mutex::new(BTreeMap::new());

fn undisturbed(name: &'static str) -> Played {
    let slot = Arc::clone(UNDISTURBED.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default());
    slot.get_or_init(|| {
        let scenario = Scenario::load(name);
        let mut town = Town::new(&scenario, Policy::Plain);
        town.play(&scenario);
        let outcome = town.outcome();
        check(&scenario, &outcome, &town.world);
        let played = Played {
            outcome,
            transcript: town.transcript(&scenario),
            people: town.courier.people(),
            own: town.courier.own(),
        };
        town.nothing_is_left();
        played
    })
    .clone()
}

fn plain(name: &'static str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/transcripts/peers"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let file = name.trim_start_matches("peers/");
    settings.bind(|| insta::assert_snapshot!(file, undisturbed(name).transcript));
}

/// Plays it disturbed, to the same end; gives what had to be nudged.
fn disturbed(name: &'static str, policy: Policy) -> Vec<String> {
    let scenario = Scenario::load(name);
    let mut town = Town::new(&scenario, policy);
    town.play(&scenario);
    let mut outcome = town.outcome();
    if let Policy::Lost(nth) = policy {
        assert!(town.courier.lost().is_some(), "{name}: there is no delivery {nth}");
        // Nothing came after the last of them: something does in the end.
        if outcome != undisturbed(name).outcome && town.nudge_all() {
            outcome = town.outcome();
        }
    }
    check(&scenario, &outcome, &town.world);
    same_end(
        &undisturbed(name).outcome,
        &outcome,
        &format!("{name} {policy:?} (lost: {:?})", town.courier.lost()),
        &town.world.log(),
    );
    town.nothing_is_left();
    town.nudged
}

/// Loses each delivery about what people and CI did, one play for each; which of them only a later
/// event made good, for nothing else was to come.
fn each_lost(name: &'static str) -> Vec<String> {
    let all = undisturbed(name).people.len();
    (1..=all).flat_map(|nth| disturbed(name, Policy::Lost(nth))).collect()
}

macro_rules! peers {
    (default { $($name:ident $file:literal)* } sweep { $($slow:ident $slow_file:literal)* }) => {
        $(mod $name {
            use super::*;
            #[test]
            fn undisturbed() {
                plain($file);
            }
            #[test]
            #[ignore = "part of the full sweep"]
            fn every_disturbance() {
                all_disturbances($file);
            }
        })*
        $(mod $slow {
            use super::*;
            #[test]
            #[ignore = "part of the full sweep"]
            fn undisturbed() {
                plain($slow_file);
            }
            #[test]
            #[ignore = "part of the full sweep"]
            fn every_disturbance() {
                all_disturbances($slow_file);
            }
        })*
        #[test]
        fn every_file_is_played() {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/peers");
            let files = std::fs::read_dir(dir).expect("scenarios").flatten();
            let files: BTreeSet<String> = files.map(|f| format!("peers/{}", f.path().file_stem().expect("a name").to_string_lossy())).collect();
            let all = [$($file,)* $($slow_file),*];
            let played: BTreeSet<String> = all.into_iter().filter(|f| f.starts_with("peers/")).map(str::to_owned).collect();
            assert_eq!(files, played);
        }
    };
}

fn all_disturbances(name: &'static str) {
    for policy in [Policy::Doubled, Policy::Reordered, Policy::Delayed] {
        disturbed(name, policy);
    }
    each_lost(name);
    for nth in 1..=undisturbed(name).own {
        disturbed(name, Policy::OwnLost(nth));
    }
}

// The branches of B-START and B-ADV, and the rows of the table of rollbacks. B-START 2 under many
// deliveries at once, and B-START 7, are in `plane::start`. What only a board and a forge
// outside show is in the default suite; what the local ones show as well is part of the sweep.
peers! {
    default {
    approvals_on_the_board "approvals_on_the_board"             // reject and approve by comments
    ci_red "peers/ci_red"                                       // B-ADV 3
    enduro_whole_way "enduro_whole_way"                         // B-ADV 1; deploy: FAILED
    entry_check "entry_check"                                   // B-START 1
    no_stop_on_the_board "peers/no_stop_on_the_board"           // B-START 4; architecture: missing
    orch_whole_way "orch_whole_way"                             // B-START 2, B-ADV 1; review, testing
    questions "questions"                                       // B-START 6
    start_again "peers/start_again"                             // B-START 3
    start_in_the_middle "peers/start_in_the_middle"             // B-START 4, 5; B-ADV 5
    stop_and_again "stop_and_again"                             // B-STOP 2
    after_done "peers/after_done"                               // B-ADV 5
    approved_is_not_confirmed "peers/approved_is_not_confirmed" // B-ADV 7
    conflict_with_main "peers/conflict_with_main"               // staging, deploy: merge conflict
    gate_error "peers/gate_error"                               // B-ADV 4
    rejected_on_the_board "peers/rejected_on_the_board"         // any: reject
    }
    sweep {
    auto_labels "auto_labels"                                   // auto mode
    base_moved "base_moved"                                     // B-DEP 1
    // Two people act at once here: which of them is heard first is chance, and the transcript tells.
    ci_and_forge_review "ci_and_forge_review"                   // B-ADV 6; review: changes on the forge
    conflict "conflict"                                         // architecture: conflict
    no_output "no_output"                                       // analysis: neither
    person_pushes "person_pushes"                               // B-ADV 6
    reject_at_review "reject_at_review"                         // B-ADV 8
    rework_spent "rework_spent"                                 // the counter is spent
    staging_red "staging_red"                                   // deploy-staging: red
    }
}

#[test]
fn doubled_deliveries_change_nothing() {
    disturbed("ci_and_forge_review", Policy::Doubled);
}

#[test]
fn reordered_deliveries_change_nothing() {
    for name in ["questions", "stop_and_again"] {
        disturbed(name, Policy::Reordered);
    }
}

#[test]
fn delayed_deliveries_change_nothing() {
    disturbed("approvals_on_the_board", Policy::Delayed);
}
