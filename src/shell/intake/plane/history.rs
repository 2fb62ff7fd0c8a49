//! An issue's history, as the board keeps it: who did what, in order. It is written a moment after the change itself, so
//! that it may be behind what the board shows. Nobody is named as the doer whom it does not name.

use crate::engine::model::Millis;
use crate::shell::clock;
use crate::shell::store::Projection;
use crate::shell::tracker::plane::{Activity, Item, Ref, time};

/// How long the history may be behind before it is waited for no longer, in milliseconds.
pub(super) const PATIENCE: i64 = 20_000;
/// After so long, in milliseconds, what the history does not tell it never will: then an issue was made with its labels.
const NEVER: i64 = 300_000;
/// Times of one change differ by less than this, in milliseconds: the history counts in seconds.
const SECOND: i64 = 1000;
/// An issue that was changed so soon after it was made, in milliseconds, was made so.
const AT_ONCE: i64 = 50;
/// The same change is told of at most so long after it, in milliseconds.
const TOLD_LATE: i64 = 600_000;

/// The history of one issue, the newest first.
pub(super) struct History<'k> {
    all: Vec<Activity>,
    known: &'k Projection,
}

impl<'k> History<'k> {
    pub fn new(all: Vec<Activity>, known: &'k Projection) -> Self {
        Self { all, known }
    }

    /// Moves of the issue from one status to another, the newest first.
    fn moves(&self) -> impl DoubleEndedIterator<Item = &Activity> {
        self.all.iter().filter(|a| a.field.as_deref() == Some("state"))
    }

    /// Whether it was examined before. Where nobody has examined any, those of before the last known change count as it.
    fn examined(&self, entry: &Activity) -> bool {
        match (&self.known.examined, self.known.seen) {
            (Some(ids), _) => ids.contains(&entry.key()),
            (None, Some(seen)) => entry.made().is_none_or(|at| at.saturating_add(SECOND) <= seen.0),
            (None, None) => self.moves().next().is_some_and(|newest| newest.key() != entry.key()),
        }
    }

    /// What was not examined, the oldest first.
    pub fn news(&self) -> Vec<&Activity> {
        self.moves().rev().filter(|entry| !self.examined(entry)).collect()
    }

    /// The newest move, if it is news.
    pub fn newest(&self) -> Option<&Activity> {
        self.moves().next().filter(|entry| !self.examined(entry))
    }

    /// Whether nobody has ever moved the issue.
    fn unmoved(&self) -> bool {
        self.moves().next().is_none()
    }

    /// Whether the issue was made where it stands. What touches it later without an entry, as a comment does, leaves that
    /// open for a while: then it was, unless it was seen elsewhere before.
    pub fn made_so(&self, item: &Item, skew: i64) -> bool {
        let changed = item.updated_at.as_deref().and_then(time).unwrap_or_default();
        let new_here = self.known.stands.is_none() && age(changed, skew) >= PATIENCE;
        self.unmoved() && (new_here || self.settled(item, skew))
    }

    /// Our own move to this status that is news, and what is older than that, the oldest first.
    pub fn up_to_ours(&self, status: &str, own: &[String]) -> Option<Vec<&Activity>> {
        let to_it = |entry: &Activity| entry.new_value.as_deref() == Some(status) && entry.by(own) && !self.examined(entry);
        let ours = self.moves().position(to_it)?;
        let mut all: Vec<&Activity> = self.moves().skip(ours).filter(|entry| !self.examined(entry)).collect();
        all.reverse();
        Some(all)
    }

    /// Whether it holds a move that was told of: to this state, by this person, not long before.
    pub fn tells(&self, state: &str, by: &str, told: i64) -> bool {
        let times = told.saturating_sub(TOLD_LATE)..=told.saturating_add(2 * SECOND);
        self.moves().any(|entry| {
            entry.leads_to(state) && entry.actor.as_ref().is_some_and(|r| r.id() == by) && entry.made().is_none_or(|at| times.contains(&at))
        })
    }

    /// Entries of status that are examined once these are.
    pub fn with(&self, more: &[&Activity]) -> Vec<String> {
        let moves = self.moves().filter(|entry| self.examined(entry)).map(Activity::key);
        moves.chain(more.iter().map(|entry| entry.key())).collect()
    }

    /// Whether everything that was done to the issue until it was last changed is in here, as far as can be told: what the
    /// issue itself shows and no entry explains, it was made with.
    pub fn settled(&self, item: &Item, skew: i64) -> bool {
        let of = |text: &Option<String>| text.as_deref().and_then(time);
        let (Some(made), Some(changed)) = (of(&item.created_at), of(&item.updated_at)) else {
            return true;
        };
        let newest = self.all.iter().filter_map(|entry| of(&entry.created_at)).max();
        changed.saturating_sub(made) <= AT_ONCE || newest.is_some_and(|at| at >= changed) || age(changed, skew) >= NEVER
    }

    /// The newest entry about this label.
    fn about(&self, label: &str) -> Option<&Activity> {
        let is = |value: &Option<String>| value.as_deref() == Some(label);
        let labels = |entry: &Activity| matches!(entry.field.as_deref(), Some("labels" | "label"));
        let mut all = self.all.iter();
        all.find(|entry| labels(entry) && (is(&entry.new_value) || is(&entry.old_value)))
    }

    /// What tells from all others the time that somebody put this label on the issue; none where it cannot be told (yet) who did.
    pub fn putting(&self, label: &str, item: &Item, skew: i64) -> Option<String> {
        self.labelled(label, item, skew)?;
        Some(self.about(label).map_or_else(|| "made".to_owned(), Activity::key))
    }

    /// Who put this label on the issue last: nobody, where it was made with it; `None` where that cannot be told (yet).
    pub fn labelled(&self, label: &str, item: &Item, skew: i64) -> Option<Option<&Ref>> {
        match self.about(label) {
            // Taken away, and there all the same: it was put back since.
            Some(last) if last.new_value.as_deref() != Some(label) => None,
            Some(last) => last.actor.as_ref().map(Some),
            None => self.settled(item, skew).then_some(None),
        }
    }
}

/// How long ago something was, by the board's clock, in milliseconds.
pub(super) fn age(at: i64, skew: i64) -> i64 {
    clock::now().since(Millis(at.saturating_add(skew))).0
}

impl Activity {
    /// What tells it from all others of its issue.
    pub(super) fn key(&self) -> String {
        if !self.id.is_empty() {
            return self.id.clone();
        }
        let by = self.actor.as_ref().map_or("", |by| by.id());
        let to = self.new_identifier.as_deref().or(self.new_value.as_deref()).unwrap_or_default();
        format!("{to} {by} {}", self.created_at.as_deref().unwrap_or_default())
    }

    /// Whether it leads to this state: its id, in old versions its name.
    pub(super) fn leads_to(&self, state: &str) -> bool {
        self.new_identifier.as_deref() == Some(state) || self.new_value.as_deref() == Some(state)
    }

    /// Whether one of these users did it.
    pub(super) fn by(&self, users: &[String]) -> bool {
        self.actor.as_ref().is_some_and(|actor| users.iter().any(|user| user == actor.id()))
    }

    /// When it was done, in milliseconds: the history counts seconds, and is written a while later.
    pub(super) fn done_at(&self) -> Option<i64> {
        let written = self.created_at.as_deref().and_then(time);
        let within = self.made().map(|at| at.saturating_add(SECOND - 1));
        match (written, within) {
            (Some(written), Some(within)) => Some(written.min(within)),
            (one, other) => one.or(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(ago: i64) -> String {
        let at = clock::now().0.saturating_sub(ago);
        jiff::Timestamp::from_millisecond(at).unwrap().to_string()
    }

    /// An issue that was made and last touched so long ago, in milliseconds.
    fn item(made: i64, touched: i64) -> Item {
        let text = serde_json::json!({"id": "i", "created_at": stamp(made), "updated_at": stamp(touched)});
        serde_json::from_value(text).unwrap()
    }

    /// A comment touches an issue without an entry: whoever made the issue started it all the same, after a while.
    #[test]
    fn an_issue_nobody_ever_saw_elsewhere_was_made_where_it_stands() {
        let (fresh, seen) = (
            Projection::default(),
            Projection {
                stands: Some("Backlog".to_owned()),
                ..Projection::default()
            },
        );
        let made_so = |known: &Projection, made: i64, touched: i64| History::new(Vec::new(), known).made_so(&item(made, touched), 0);
        assert!(made_so(&fresh, 1000, 1000), "untouched");
        assert!(!made_so(&fresh, 3000, 1000), "the history may be behind");
        assert!(made_so(&fresh, PATIENCE + 4000, PATIENCE + 2000));
        assert!(
            !made_so(&seen, PATIENCE + 4000, PATIENCE + 2000),
            "it was moved, nobody knows by whom"
        );
        let entry = serde_json::json!({"id": "a", "field": "state", "new_value": "To Analyse", "created_at": stamp(PATIENCE + 3000)});
        let moved = vec![serde_json::from_value(entry).unwrap()];
        assert!(!History::new(moved, &fresh).made_so(&item(PATIENCE + 4000, PATIENCE + 3000), 0));
    }

    /// An entry of so long ago, in milliseconds: this label was put there, or taken away.
    fn entry(id: &str, ago: i64, put: bool, label: &str, by: &str) -> Activity {
        let (old, new) = if put { ("", label) } else { (label, "") };
        let text =
            serde_json::json!({"id": id, "field": "labels", "old_value": old, "new_value": new, "actor": by, "created_at": stamp(ago)});
        serde_json::from_value(text).unwrap()
    }

    /// Who put the label `a` there, and what tells that from other times; `-` where that cannot be told.
    fn labelled(all: Vec<Activity>, item: &Item) -> String {
        let known = Projection::default();
        let history = History::new(all, &known);
        let by = history.labelled("a", item, 0).map(|by| by.map_or("nobody", Ref::id).to_owned());
        let which = history.putting("a", item, 0);
        assert_eq!(by.is_some(), which.is_some());
        format!("{} {}", by.as_deref().unwrap_or("-"), which.as_deref().unwrap_or("-"))
    }

    #[test]
    fn a_label_is_whose_who_put_it_there_last() {
        let touched = item(9000, 1000);
        assert_eq!(
            labelled(
                vec![entry("2", 1000, true, "b", "bob"), entry("1", 2000, true, "a", "ann")],
                &touched
            ),
            "ann 1"
        );
        let again = vec![
            entry("3", 1000, true, "a", "bob"),
            entry("2", 2000, false, "a", "eve"),
            entry("1", 3000, true, "a", "ann"),
        ];
        assert_eq!(labelled(again, &touched), "bob 3");
        // It is there: whoever put it back is not told of yet.
        let taken = vec![entry("2", 1000, false, "a", "eve"), entry("1", 3000, true, "a", "ann")];
        assert_eq!(labelled(taken, &touched), "- -");
    }

    /// Plane writes no entry for labels that an issue was made with.
    #[test]
    fn a_label_that_nobody_put_there_was_there_from_the_start_once_the_history_is_not_behind() {
        assert_eq!(labelled(Vec::new(), &item(1000, 1000)), "nobody made", "never touched");
        assert_eq!(labelled(Vec::new(), &item(9000, 1000)), "- -", "the history may be behind");
        let other = |ago: i64| vec![entry("1", ago, true, "b", "bob")];
        assert_eq!(labelled(other(2000), &item(9000, 1000)), "- -", "it is older than the last change");
        assert_eq!(
            labelled(other(1000), &item(9000, 2000)),
            "nobody made",
            "it tells of the last change"
        );
        assert_eq!(
            labelled(Vec::new(), &item(NEVER + 9000, NEVER + 1000)),
            "nobody made",
            "it tells never"
        );
        assert_eq!(
            labelled(vec![entry("1", 1000, false, "a", "eve")], &item(9000, 2000)),
            "- -",
            "it was taken away"
        );
    }
}
