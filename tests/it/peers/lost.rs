//! Each single delivery lost. Most are made good by a later one about the same issue or branch.
//! Where nothing else is to come, only another occasion to look brings the task on: those are named
//! here, and here a comment that says nothing is the occasion.

use super::*;

/// The board: of making the issue and moving it, one is enough; an answer is heard at the next
/// occasion.
#[test]
fn each_lost_word_on_the_board() {
    assert_eq!(
        each_lost("questions"),
        [
            // The start, where the making of the issue was told before it stood there.
            "alice: issue updated state_id",
            // Both answers.
            "alice: issue_comment created",
            "alice: issue_comment created",
        ]
    );
}

/// The forge: what CI said last is what a task waits for; a check that is only pending, and a
/// review while the reviewer is still to come, are read when they are needed.
#[test]
fn each_lost_word_of_the_forge() {
    assert_eq!(each_lost("ci_and_forge_review"), [""]);
}
