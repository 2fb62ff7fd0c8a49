//! Thousands of lives, and for each promise a service that breaks it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::life::{Life, rules};
use super::twin::Twin;

/// Lives of each run of the test; `SIM_SEEDS` says otherwise.
const SEEDS: u64 = 2_000;
/// Lives that the real store is taken through as well; `SIM_STORE_SEEDS` says otherwise.
const STORE_SEEDS: u64 = 6;
/// Within so many lives each broken twin must be caught.
const TWIN_SEEDS: u64 = 500;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Lives through the seeds, or through the one that `SIM_SEED` names.
fn all(most: u64, mirrored: bool) {
    let rules = rules();
    let seeds = env("SIM_SEED").map_or(0..most, |seed| seed..seed + 1);
    let (mut done, mut stopped, mut starts, mut turns) = (0, 0, 0, 0_u64);
    for seed in seeds {
        let mut life = Life::new(&rules, seed, Twin::Sound, mirrored);
        let lived = catch_unwind(AssertUnwindSafe(|| life.lives()));
        if lived.is_err() || !life.broken.is_empty() {
            eprintln!("{}SIM_SEED={seed} plays it again: {:#?}", life.story(), life.broken);
        }
        lived.unwrap_or_else(|panic| resume_unwind(panic));
        assert!(life.broken.is_empty(), "seed {seed}: {:#?}", life.broken);
        for task in &life.disk.is.tasks {
            let arrived = task.control.phase == signalbox::engine::model::Phase::Done;
            (done, stopped) = (done + u32::from(arrived), stopped + u32::from(!arrived));
        }
        (starts, turns) = (starts + life.out.ledger.starts, turns + u64::from(life.turns));
    }
    eprintln!("{done} tasks done, {stopped} stopped, {starts} processes, {turns} turns");
    if env("SIM_SEED").is_none() {
        assert!(done > 0 && stopped > 0 && starts > 0, "nothing much happened");
    }
}

#[test]
fn whatever_goes_wrong_the_promises_hold() {
    all(env("SIM_SEEDS").unwrap_or(SEEDS), false);
}

#[test]
fn the_store_stands_as_its_model_does() {
    all(env("SIM_STORE_SEEDS").unwrap_or(STORE_SEEDS), true);
}

#[test]
fn a_life_is_the_same_each_time() {
    let rules = rules();
    let story = |seed| {
        let mut life = Life::new(&rules, seed, Twin::Sound, false);
        life.lives();
        (life.story(), life.turns)
    };
    assert_eq!(story(7), story(7));
    assert_ne!(story(7), story(8));
}

/// Which promise each twin breaks, as the check that notices names it.
const TWINS: [(Twin, &str); 17] = [
    (Twin::LosesJobs, "I1"),
    (Twin::AnswersEarly, "I1"),
    (Twin::QueuesNothing, "I1"),
    (Twin::RescuedAlive, "I2"),
    (Twin::Unfenced, "I3"),
    (Twin::CountsNoRescue, "I4"),
    (Twin::CountsNoWeather, "I4"),
    (Twin::Revives, "I5"),
    (Twin::CleansEarly, "I6"),
    (Twin::KillsNobody, "liveness"),
    (Twin::ConsumesTwice, "I7"),
    (Twin::NotPolled, "I7"),
    (Twin::CommentsBlindly, "I8"),
    (Twin::MergesBlindly, "I8"),
    (Twin::PushesBlindly, "I8"),
    (Twin::NeverPromoted, "liveness"),
    (Twin::TrustsTheClock, "liveness"),
];

#[test]
fn each_broken_twin_is_caught() {
    let rules = rules();
    for (twin, promise) in TWINS {
        let caught = (0..TWIN_SEEDS).find_map(|seed| {
            let mut life = Life::new(&rules, seed, twin, false);
            life.lives();
            life.broken.first().map(|what| (seed, what.clone()))
        });
        let (seed, what) = caught.unwrap_or_else(|| panic!("{twin:?} was not caught"));
        assert!(what.starts_with(promise), "{twin:?} was taken for another at seed {seed}: {what}");
    }
}
