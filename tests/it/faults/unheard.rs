//! A log that nobody can read: the service goes on without it.

use super::{done, world};

/// Its disk is full while that of the data has room.
#[test]
fn a_log_that_cannot_be_written_costs_nothing_but_the_log() {
    let mut world = world("[developer]\ndo = [\"ok\"]", "\"serial_gate.enabled\" = false");
    world.log_to = Some("/dev/full".into());
    world.start();
    let item = world.new_task("Add a greeting");
    done(&mut world, &item);
    assert_eq!(world.ask("/health").status, 200);
    // What nobody knows is answered as ever, too: a request whose words are logged does not fall over.
    assert_eq!(world.ask("/api/tasks/LOC-999/why").status, 404);
    assert_eq!(world.starts, 1, "it never ends because of it");
    world.nothing_is_left();
}
