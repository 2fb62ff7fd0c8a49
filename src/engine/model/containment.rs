//! How firmly a run is held: what is promised about ending all of it.

use serde::{Deserialize, Serialize};

/// A level of containment, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Containment {
    /// Descent from the shim, its session, and a variable that everything inherits. What drops
    /// all of that while its shim is dead is not found any more: best effort.
    #[default]
    Tagged,
    /// A cgroup of its own, killed as a whole by the kernel. What runs as the service's user can
    /// leave it, if it sets out to.
    Cgroup,
    /// A PID namespace of its own: nothing leaves it, and the death of its init ends all of it.
    Pidns,
}

impl Containment {
    /// All levels, best first: the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::Pidns, Self::Cgroup, Self::Tagged];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tagged => "tagged",
            Self::Cgroup => "cgroup",
            Self::Pidns => "pidns",
        }
    }

    /// What it promises, for people.
    #[must_use]
    pub fn promise(self) -> &'static str {
        match self {
            Self::Tagged => "ending a run is best effort: what drops its tag and outlives its shim is not found",
            Self::Cgroup => "the kernel ends a run as a whole; only a process that sets out to can leave it",
            Self::Pidns => "a run ends as a whole: nothing leaves its PID namespace",
        }
    }

    /// The level of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }
}
