//! Each single delivery lost. Most are made good by a later one about the same issue or branch.
//! Where nothing else is to come, only another occasion to look brings the task on: those that may
//! need one are named here, and a comment that says nothing is the occasion. Which of them do
//! depends on what else the service happened to look at.

use super::*;

/// Plays the scenario once for each delivery, without it; each time all ends as it should. Those
/// that took another occasion are among `may`, and `must` is among those.
fn lost(scenario: &'static str, may: &[&str], must: &[&str]) {
    let took = each_lost(scenario);
    let strange: Vec<_> = took.iter().filter(|t| !may.contains(&t.as_str())).collect();
    assert!(strange.is_empty(), "nothing else made these good: {strange:?}");
    for one in must {
        assert!(
            took.iter().any(|t| t == one),
            "{one} was made good by itself: is it delivered at all? {took:?}"
        );
    }
}

/// The board: that an issue was made need not be told; the start and the answers are found at the
/// next occasion.
#[test]
fn each_lost_word_on_the_board() {
    // The start, where the making of the issue was told before; both answers.
    let answer = "alice: issue_comment created";
    lost("questions", &["alice: issue updated state_id", answer], &[answer]);
}

/// The forge: what CI said, and the review that is waited for. The review that came before the
/// reviewer had ended is read when it is needed, whether it was told or not.
#[test]
fn each_lost_word_of_the_forge() {
    let review = "bob: pull_request_review_approved reviewed";
    let may = ["alice: issue updated state_id", "ci: status pending", "ci: status success", review];
    lost("ci_and_forge_review", &may, &[review]);
}
