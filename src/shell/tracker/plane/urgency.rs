//! How soon a request is needed, and how long it waits for room.

use std::time::Duration;

/// How soon a request is needed, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A STOP: it is heard though people themselves have used up the rest.
    Stop,
    /// What a person did is read, or said to them in reply.
    Person,
    /// A person waits for it, or sees it.
    Shown,
    /// What the service reads for its own writing: before it, and after it.
    Ours,
    /// Listings and sweeps: when there is room.
    Whenever,
}

impl Urgency {
    /// How many classes there are.
    pub(super) const ALL: usize = 5;

    /// Requests of a window of `limit` that this class and those below it may use. The rest is kept back for those above: a
    /// part, but not more than so many.
    pub(super) fn share(self, limit: usize) -> usize {
        let (part, most) = match self {
            Self::Stop => return limit,
            Self::Person => (6, 6),
            Self::Shown => (4, 15),
            Self::Ours => (3, 20),
            Self::Whenever => (2, 30),
        };
        limit - limit.div_ceil(part).min(most).min(limit.saturating_sub(1))
    }
}

/// How a request stands for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Haste {
    /// How soon it is needed.
    pub urgency: Urgency,
    /// How long it waits for room before it is put off.
    pub patience: Duration,
}

impl Haste {
    /// For a person's STOP.
    pub const STOP: Self = Self::new(Urgency::Stop, 5);
    /// For a person's signal. Others may wait for the same issue meanwhile: it is put off rather than waited for long.
    pub const PERSON: Self = Self::new(Urgency::Person, 5);
    /// For what people see.
    pub const SHOWN: Self = Self::new(Urgency::Shown, 20);
    /// For a decision: the words of people about the same task come after it.
    pub const DECISION: Self = Self::new(Urgency::Shown, 2);
    /// Around the service's own writing. Nobody else looks at the issue meanwhile, so that it never waits.
    pub const OURS: Self = Self::new(Urgency::Ours, 0);
    /// For a listing.
    pub const LISTING: Self = Self::new(Urgency::Whenever, 60);
    /// For one issue of a listing. Nobody else looks at it meanwhile, so that it never waits.
    pub const SWEEP: Self = Self::new(Urgency::Whenever, 0);

    const fn new(urgency: Urgency, seconds: u64) -> Self {
        let patience = Duration::from_secs(seconds);
        Self { urgency, patience }
    }

    /// The same for a writing: someone will see it, whoever caused it.
    pub(super) fn writing(self) -> Self {
        Self {
            urgency: self.urgency.min(Urgency::Shown),
            ..self
        }
    }
}
