//! What statuses and reviews come to. The server's own sums are not used: they are of one page,
//! and differ from version to version.

use std::collections::BTreeMap;

use super::wire::{Review, Status};
use crate::engine::model::{CheckFact, CheckState, ReviewFact, ReviewState};

/// Longest text of a review that is kept, in characters.
const TEXT_MAX: usize = 4000;

/// For each context its latest status.
pub(super) fn checks(statuses: Vec<Status>) -> Vec<CheckFact> {
    let mut latest: BTreeMap<String, Status> = BTreeMap::new();
    for status in statuses {
        let newer = latest.get(&status.context).is_none_or(|known| known.id < status.id);
        if newer {
            latest.insert(status.context.clone(), status);
        }
    }
    let fact = |status: Status| CheckFact {
        state: state(&status.status),
        context: status.context,
    };
    latest.into_values().map(fact).collect()
}

/// A check that was skipped has shown nothing, and a word that is not known is no success.
fn state(word: &str) -> CheckState {
    match word {
        "success" => CheckState::Success,
        "pending" => CheckState::Pending,
        _ => CheckState::Failure,
    }
}

/// For each person the review that counts: the latest approval or request for changes that is
/// official (its writer may write to the branch) and was not dismissed. Comments change nothing, nor
/// do requests to review and drafts. The service's own user is no reviewer.
pub(super) fn reviews(mut reviews: Vec<Review>, me: Option<&str>) -> Vec<ReviewFact> {
    reviews.sort_by_key(|review| review.id);
    let mut latest: Vec<ReviewFact> = Vec::new();
    for review in reviews {
        let Some(author) = review.user.map(|u| u.login).filter(|login| !login.is_empty()) else {
            continue;
        };
        let state = match review.state.as_str() {
            "APPROVED" => ReviewState::Approved,
            "REQUEST_CHANGES" => ReviewState::Changes,
            _ => continue,
        };
        if review.dismissed || !review.official || me.is_some_and(|me| me.eq_ignore_ascii_case(&author)) {
            continue;
        }
        latest.retain(|known| known.author != author);
        latest.push(ReviewFact {
            author,
            state,
            commit: review.commit_id,
            current: false,
            body: review.body.chars().take(TEXT_MAX).collect(),
        });
    }
    latest
}
