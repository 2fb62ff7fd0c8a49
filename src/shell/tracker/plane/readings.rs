//! What was read of an issue, for whoever asks for something that the same reading answers: one look serves all who had
//! heard of the issue before it began.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::model::Issue;

use super::wire::{Activity, Comment, Item};

/// How long readings are kept.
const KEPT: Duration = Duration::from_secs(30);
/// How long a reading serves those who did not hear of the issue.
const MOMENT: Duration = Duration::from_secs(1);

/// The last readings of issues.
#[derive(Default)]
pub(super) struct Readings(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    of: BTreeMap<String, Reading>,
    /// Counts our own writings: what was read across one is not kept.
    writings: u64,
}

/// The last readings of an issue, each with the time at which it was asked for.
#[derive(Default)]
pub(super) struct Reading {
    /// When anything was last heard of it.
    heard: Option<Instant>,
    /// The issue.
    pub item: Option<(Instant, Item)>,
    /// The issue as a task needs it, with what else had to be asked for.
    pub issue: Option<(Instant, Issue)>,
    /// Its history.
    pub activities: Option<(Instant, Vec<Activity>)>,
    /// Its comments from a time on, in milliseconds.
    pub comments: Option<(Instant, (i64, Vec<Comment>))>,
}

/// One kind of reading.
type Part<T> = fn(&mut Reading) -> &mut Option<(Instant, T)>;

/// A reading that has begun.
pub(super) struct Began {
    at: Instant,
    writings: u64,
}

impl Began {
    /// When it was asked for.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// The same, as far as it rests on what was `asked` for before.
    pub fn asked(self, asked: Instant) -> Self {
        Self {
            at: self.at.min(asked),
            ..self
        }
    }
}

impl Readings {
    /// Something was heard of the issue just now: only what is read from then on tells about it.
    pub fn heard(&self, id: &str) -> Instant {
        self.heard_at(id, Instant::now())
    }

    fn heard_at(&self, id: &str, now: Instant) -> Instant {
        let mut inner = self.lock();
        inner.of.entry(id.to_owned()).or_default().heard = Some(now);
        now
    }

    /// Since when a reading of the issue is one of this moment.
    pub fn lately(&self, id: &str) -> Instant {
        self.lately_at(id, Instant::now())
    }

    fn lately_at(&self, id: &str, now: Instant) -> Instant {
        let moment = now.checked_sub(MOMENT).unwrap_or(now);
        let heard = self.lock().of.get(id).and_then(|reading| reading.heard);
        heard.map_or(moment, |heard| heard.max(moment))
    }

    /// What was read of the issue, where that was asked for at `since` or after it, and when.
    pub fn get<T: Clone>(&self, id: &str, part: Part<T>, since: Option<Instant>) -> Option<(Instant, T)> {
        let since = since?;
        let mut inner = self.lock();
        let known = part(inner.of.get_mut(id)?).as_ref()?;
        (known.0 >= since).then(|| known.clone())
    }

    /// A reading begins.
    pub fn begin(&self) -> Began {
        self.begin_at(Instant::now())
    }

    fn begin_at(&self, at: Instant) -> Began {
        let mut inner = self.lock();
        inner.of.retain(|_, reading| {
            let parts = [
                reading.heard,
                reading.item.as_ref().map(|(at, _)| *at),
                reading.issue.as_ref().map(|(at, _)| *at),
                reading.activities.as_ref().map(|(at, _)| *at),
                reading.comments.as_ref().map(|(at, _)| *at),
            ];
            parts.into_iter().flatten().any(|asked| at.duration_since(asked) < KEPT)
        });
        let writings = inner.writings;
        Began { at, writings }
    }

    /// Keeps what was read, unless we wrote meanwhile: then nothing is known.
    pub fn keep<T>(&self, id: &str, part: Part<T>, began: &Began, read: T) {
        let mut inner = self.lock();
        let fits = inner.writings == began.writings;
        let known = part(inner.of.entry(id.to_owned()).or_default());
        if !fits {
            *known = None;
        } else if known.as_ref().is_none_or(|(at, _)| *at <= began.at) {
            *known = Some((began.at, read));
        }
    }

    /// We write to the issue, or have just written: what was read before is not so any more.
    pub fn written(&self, id: &str) {
        let mut inner = self.lock();
        inner.writings = inner.writings.wrapping_add(1);
        if let Some(reading) = inner.of.get_mut(id) {
            let heard = reading.heard;
            *reading = Reading {
                heard,
                ..Reading::default()
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Item {
        serde_json::from_value(serde_json::json!({"id": "a", "name": name})).expect("an item")
    }

    fn item(readings: &Readings, since: Instant) -> Option<String> {
        readings.get("a", |r| &mut r.item, Some(since)).map(|(_, item)| item.name)
    }

    #[test]
    fn a_reading_serves_those_who_heard_before_it_began_and_nobody_after_that() {
        let (readings, early) = (Readings::default(), Instant::now());
        let at = |tenths: u32| early + Duration::from_millis(100) * tenths;
        readings.heard_at("a", early);
        let began = readings.begin_at(at(1));
        let meanwhile = readings.heard_at("a", at(2));
        readings.keep("a", |r| &mut r.item, &began, named("one"));
        assert_eq!(item(&readings, early).as_deref(), Some("one"));
        assert_eq!(item(&readings, meanwhile), None, "it may be older than what was told");
        assert!(
            readings.get("a", |r| &mut r.item, None).is_none(),
            "who wants it as it is now reads it"
        );
        assert!(item(&readings, readings.lately_at("a", at(3))).is_none(), "news of it came since");
        let again = readings.begin_at(at(3));
        readings.keep("a", |r| &mut r.item, &again, named("two"));
        readings.keep("a", |r| &mut r.item, &began, named("one"));
        assert_eq!(
            item(&readings, meanwhile).as_deref(),
            Some("two"),
            "and an older one never takes its place"
        );
        assert_eq!(item(&readings, readings.lately_at("a", at(4))).as_deref(), Some("two"));
        assert!(item(&readings, readings.lately_at("a", at(14))).is_none(), "a moment is a second");
        readings.begin_at(at(290));
        assert!(!readings.lock().of.is_empty());
        readings.begin_at(at(340));
        assert!(readings.lock().of.is_empty(), "nothing is kept for ever");
    }

    #[test]
    fn our_own_writing_ends_what_was_read_before_and_across_it() {
        let readings = Readings::default();
        let since = readings.heard("a");
        readings.keep("a", |r| &mut r.item, &readings.begin(), named("before"));
        let across = readings.begin();
        readings.written("a");
        assert_eq!(item(&readings, since), None);
        readings.keep("a", |r| &mut r.item, &across, named("across"));
        assert_eq!(item(&readings, since), None);
        readings.keep("a", |r| &mut r.item, &readings.begin(), named("after"));
        assert_eq!(item(&readings, since).as_deref(), Some("after"));
    }
}
