//! What statuses and reviews come to. The server's own sums are not used: they are of one page,
//! and differ from version to version.

use std::collections::BTreeMap;

use super::wire::{Remark, Review, Status};
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
pub(super) fn counting(mut reviews: Vec<Review>, me: Option<&str>) -> Vec<Review> {
    reviews.sort_by_key(|review| review.id);
    let mut latest: Vec<Review> = Vec::new();
    for review in reviews {
        let author = review.author().to_owned();
        let of_nobody = author.is_empty() || me.is_some_and(|me| me.eq_ignore_ascii_case(&author));
        if of_nobody || verdict(&review).is_none() || review.dismissed || !review.official {
            continue;
        }
        latest.retain(|known| known.author() != author);
        latest.push(review);
    }
    latest
}

fn verdict(review: &Review) -> Option<ReviewState> {
    match review.state.as_str() {
        "APPROVED" => Some(ReviewState::Approved),
        "REQUEST_CHANGES" => Some(ReviewState::Changes),
        _ => None,
    }
}

/// A review as the engine sees it, with what was remarked at lines of the code below its own text.
/// Whether it is of the code as it stands is not known here.
pub(super) fn fact(review: Review, remarks: &[Remark]) -> Option<ReviewFact> {
    let open = remarks.iter().filter(|remark| remark.resolver.is_none());
    let lines: Vec<String> = std::iter::once(review.body.trim().to_owned())
        .chain(open.map(Remark::line))
        .filter(|line| !line.is_empty())
        .collect();
    Some(ReviewFact {
        author: review.author().to_owned(),
        state: verdict(&review)?,
        commit: review.commit_id,
        current: false,
        body: lines.join("\n").chars().take(TEXT_MAX).collect(),
    })
}

impl Remark {
    /// `src/main.rs:12: say hello`.
    fn line(&self) -> String {
        let text = self.body.trim();
        match (self.position, self.original_position) {
            _ if text.is_empty() => String::new(),
            (0, 0) => format!("{}: {text}", self.path),
            (0, old) => format!("{}:{old} (a line that is gone): {text}", self.path),
            (new, _) => format!("{}:{new}: {text}", self.path),
        }
    }
}
