//! Every lane of four tasks with two guards, and every way in which they can wait for each other:
//! some job may start, whatever the scope.

use super::*;

/// How many tasks stand in the lanes.
const TASKS: usize = 4;

/// The guards, in order, and where the job of a task stands that is past so many of them.
const GUARDS: [&str; 2] = ["development", "testing"];

/// All sets of "waits for" without a circle, as pairs of places.
fn depends() -> Vec<Vec<(usize, usize)>> {
    let pairs: Vec<(usize, usize)> = (0..TASKS)
        .flat_map(|a| (0..TASKS).map(move |b| (a, b)))
        .filter(|(a, b)| a != b)
        .collect();
    let sets = (0_u32..1 << pairs.len()).map(|bits| {
        let chosen = pairs.iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0);
        chosen.map(|(_, pair)| *pair).collect::<Vec<_>>()
    });
    sets.filter(|set| straight(set)).collect()
}

/// Whether nobody waits for itself round some corners: what nobody waits for is taken away until
/// nothing is left.
fn straight(set: &[(usize, usize)]) -> bool {
    let mut left: Vec<(usize, usize)> = set.to_vec();
    loop {
        let before = left.len();
        let waited: Vec<usize> = left.iter().map(|(_, on)| *on).collect();
        left.retain(|(task, _)| waited.contains(task));
        if left.len() == before {
            return left.is_empty();
        }
    }
}

fn lanes(set: &str, repos: &[i64; TASKS]) -> usize {
    let rules = rules_with("local", set);
    let mut house = House::new();
    house.rules = Some(rules);
    for id in 1..=TASKS {
        house = house.task(i64::try_from(id).unwrap(), "developer", false);
    }
    let seats: Vec<Seat> = house.repo().lane.drain(..).collect();
    for id in 1..=2 {
        house.repos.insert(
            RepoId(id),
            Repo {
                id: RepoId(id),
                ..Repo::default()
            },
        );
    }
    let all = depends();
    let mut tried = 0;
    for places in 0..3_usize.pow(u32::try_from(TASKS).unwrap()) {
        for repo in house.repos.values_mut() {
            repo.lane.clear();
        }
        for (n, seat) in seats.iter().enumerate() {
            let past = places / 3_usize.pow(u32::try_from(n).unwrap()) % 3;
            let mut seat = seat.clone();
            GUARDS.iter().take(past).for_each(|guard| seat.enter(&Name::new(guard)));
            house.waiting[n].stage = GUARDS[past.min(GUARDS.len() - 1)].into();
            house.tasks.get_mut(&seat.task).unwrap().repo = RepoId(repos[n]);
            house.repos.get_mut(&RepoId(repos[n])).unwrap().lane.push(seat);
        }
        for set in &all {
            let id = |n: usize| i64::try_from(n + 1).unwrap();
            house.depends = set.iter().map(|(a, b)| waits_for(id(*a), Some(id(*b)), "x")).collect();
            let verdicts = house.verdicts();
            let free = verdicts.iter().any(|(_, found)| found.is_empty());
            assert!(free, "all wait for each other: {:?} {:?} {verdicts:#?}", house.repos, house.depends);
            tried += 1;
        }
    }
    tried
}

#[test]
fn b_sg_1_no_lane_of_four_tasks_can_deadlock() {
    let tried = lanes(", \"serial_gate.guards\" = [\"development\", \"testing\"]", &[1; TASKS]);
    assert_eq!(tried, 81 * 543, "543 sets without a circle, 81 ways to stand");
}

#[test]
fn b_sg_1_no_lanes_over_two_repositories_can_deadlock() {
    let set = ", \"serial_gate.guards\" = [\"development\", \"testing\"], \"serial_gate.scope\" = \"service\"";
    assert_eq!(lanes(set, &[1, 2, 1, 2]), 81 * 543);
}
