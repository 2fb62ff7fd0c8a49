//! What the disk, the clock, the database, processes and their words can do to a service that nobody watches.
//!
//! The ★ cases of the reliability reference, and where each is tried. `unit:` is
//! `cargo test --lib`, `sim:` `cargo test --test sim`, all else `cargo test --test it`; what takes long is ignored by
//! default and run with `-- --ignored --nocapture`. What this host does not let be tried is skipped with a word, and
//! fails where `SIGNALBOX_NO_SKIP` is set.
//!
//! | ★ | where |
//! |---|---|
//! | `kill -9` at every named step | `crash::*`, `crash::every_step_in_a_loop` (ignored), `faults::database::a_migration_is_killed_before_each_step` |
//! | random kills with a seed; only the shim, the agent, its child | `chaos::chaos_no_run_is_lost_doubled_or_left_running` (ignored) |
//! | stale completion, SIGSTOP past the deadline, rescue, SIGCONT | `process::odd::a_stopped_shim_*`, `faults::runs::a_shim_that_is_stopped_*`, unit: `store::tests::runs::a_late_ending_*`, `faults::processes::a_pid_that_was_used_again_and_the_end_of_a_run_that_was_replaced_*` |
//! | hung agent that still prints | `process::odd::an_agent_that_prints_for_ever_*` |
//! | restart with N live agents, one ended in the gap | `kill::five_runs_*`, `kill::a_run_that_ended_while_*`, `chaos::chaos_two_hundred_runs_are_adopted` (ignored) |
//! | drain, second signal, upgrade | `kill::a_service_that_drains_*`, `kill::a_second_signal_*`, `faults::processes::an_upgrade_*` |
//! | deliveries: duplicate, re-ordered, lost, forged, oversized | `plane::deliveries::*`, `plane::at_once::*` (50 at once, and after a restart), `peers::lost`, `peers::forged`, `gitea::hooks` |
//! | STOP in every stage and state, × crash, × late completion | unit: `store::tests::matrix`, `crash::at_every_place_of_a_stop`, `kill::a_stop_asked_for_*` |
//! | deaf, double-forking, fork-bombing agents; closed stdout; no newline | `process::killing::*`, `process::a_log_is_bounded_*`, `process::odd::ten_gigabytes_*` (ignored), unit: `run_shim::log_cap`, `run_shim::output` |
//! | pid used again | `process::killing::a_wrong_start_time_is_not_trusted`, `faults::processes::a_pid_that_was_used_again_*` |
//! | clock jumps ± 1 h | `faults::clock::*`, unit: `store::tests::clock` |
//! | pipes, folders and devices in the place of logs, orders and records | `hostile::pipes_in_the_place_of_a_log_*`, `process::odd::pipes_in_the_place_*`, `process::odd::a_folder_in_the_place_*` |
//! | a secret that an agent prints in every form | `canary::*`, unit: `mask::tests::*`, `run_shim::output` |
//! | log that cannot be written | `faults::unheard::*` |
//! | disk full at every write | `faults::disk::*`, unit: `store::tests::durability::a_full_disk_*` |
//! | bit flips, truncated or deleted log | unit: `store::tests::opening::*` |
//! | external reader or writer | `faults::disk::another_program_*`, unit: `store::tests::durability::another_program_*` |
//! | breaker survives a restart, one probe | `breaker::b_q_8_*` |
//! | Retry-After in every form | unit: `process::retry_after`, `step::tests::runs::b_q_4_retry_after_*`, `chat`, `plane::client_tests` |
//! | tracker or forge down, slow, 5xx, 429, malformed | `plane::adversity`, `gitea::weather`, `gitea::settling` (while work is taken over), `chat` |
//! | database moved away, replaced or older than its runs | `faults::database::*`, unit: `store::tests::{place,opening}::*` |
//! | migration interrupted at each statement, old data directory | unit: `store::tests::migrating::*`, `faults::database::*` |
//! | STOP while a start cannot be recorded; what cannot be ended; withdrawn work; planned ends; money of killed runs | `faults::runs::*` |
//! | an exit record of the agent's own | `process::odd::a_forged_exit_record_*` |
//! | poison: a job that ends the service each time | `faults::processes::{a_job,what_a_run_leaves}_that_ends_the_service_*`, unit: `b_q_9_*` |
//! | degraded mode: claims, agents, restart, webhooks, who is told | `faults::disk::while_the_database_*`, `plane::adversity::a_delivery_that_finds_the_disk_full_*` |
//! | runs without a follower, no restart (B-Q 10) | unit: `run::tests::b_q_10_*` |
//! | repository missing at a launch (B-Q 6) | `queue::b_q_6_*` |
//! | what an exited run left cannot be taken over | `faults::settling::*` |
//! | a large database is damaged, or read whole beside the service | `damage::*` |
//! | usage limit with a known end, in the running service | `breaker::b_q_4_a_usage_limit_*` |
//! | the queue against an in-memory model | unit: `store::tests::model` |
//! | run, schedule and adapters through lives from a seed; broken twins | sim: `lives::*` |
//! | nothing that is due is slept through, whatever comes between two acts of the loop | sim: `wake::*` |
//! | many tasks one after the other: memory, open files, log, zombies | `soak::*` (ignored) |
//! | bad input | `faults::input::*`, `breaker::b_q_6_*`, `breaker::b_q_7_*`, `hostile::*`, `process::odd::*` |

mod clock;
mod database;
mod disk;
mod input;
mod processes;
mod runs;
mod settling;
mod unheard;

use serde_json::{Value as Json, json};

use crate::world::{Setup, World, blocked};

/// A world whose agents do this; `more` holds settings, and below `[config]` keys of `signalbox.toml`.
fn world(agents: &str, more: &str) -> World {
    let mut set: toml::Table = toml::from_str(more).expect("settings");
    let config = set.remove("config").and_then(|c| c.as_table().cloned()).unwrap_or_default();
    World::new(&Setup {
        agents: toml::from_str(agents).expect("agents"),
        set,
        config,
        ..Setup::default()
    })
}

/// Brings the task to its end.
pub fn done(world: &mut World, item: &str) -> Json {
    loop {
        let seen = world.wait_for(item, "an end or a question", |seen| {
            blocked(seen, "APPROVAL_WAIT") || seen["task"]["mode"] == "done"
        });
        if seen["task"]["mode"] == "done" {
            return seen;
        }
        // Where another was merged meanwhile, it is asked again.
        let answer = world.post(&format!("/api/tasks/{item}/approve"), &json!({})).expect("an answer");
        assert!(answer.ok() || answer.status == 409, "{answer:?}");
        let visit = &seen["task"]["visit"];
        world.wait_for(item, "what follows", |seen| {
            !blocked(seen, "APPROVAL_WAIT") || seen["task"]["visit"] != *visit
        });
    }
}

/// How often this agent began for the task.
fn begun(world: &World, item: &str, agent: &str) -> usize {
    world.begun().iter().filter(|e| e.item == item && e.agent == agent).count()
}

/// How the task's runs ended, in order.
fn ends(seen: &Json) -> Vec<String> {
    let runs = seen["runs"].as_array().expect("runs").iter();
    runs.map(|r| r["outcome"].as_str().unwrap_or_default().to_owned()).collect()
}
