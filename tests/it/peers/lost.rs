//! Each single delivery lost. Most are made good by a later one about the same issue or branch.
//! Where nothing else is to come, only another occasion to look brings the task on: those are named
//! here, and here a comment that says nothing is the occasion.

use super::*;

/// The board: that an issue was made need not be told; the start and the answers are found at the
/// next occasion.
#[test]
fn each_lost_word_on_the_board() {
    assert_eq!(
        each_lost("questions"),
        [
            // The start, where the making of the issue was told before.
            "alice: issue updated state_id",
            // Both answers.
            "alice: issue_comment created",
            "alice: issue_comment created",
        ]
    );
}

/// The forge: what CI said, and the review that is waited for. The review that came before the
/// reviewer had ended is read when it is needed, whether it was told or not.
#[test]
fn each_lost_word_of_the_forge() {
    assert_eq!(
        each_lost("ci_and_forge_review"),
        [
            "alice: issue updated state_id",
            "ci: status pending",
            "ci: status success",
            "ci: status success",
            "bob: pull_request_review_approved reviewed",
        ]
    );
}
