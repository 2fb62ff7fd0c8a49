//! What the proof says.

use serde::{Deserialize, Serialize};

/// The proof of one pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// States found.
    pub states: usize,
    /// Transitions between them.
    pub transitions: u64,
    /// Steps of the engine taken: a step asks of a counter only whether it is spent, so one step
    /// stands for the transitions of many combinations of counters.
    pub steps: u64,
    /// Bytes held per state, estimated.
    pub bytes: usize,
    /// How often agents are run at most, between two acts of people that ask for another round.
    pub bound: Option<Bound>,
    /// Each property.
    pub properties: Vec<Property>,
    /// What was not looked at.
    pub not_covered: Vec<String>,
}

/// How often agents are run at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// When nothing is repeated for weather or a lost process.
    pub runs: u32,
    /// With all of these.
    pub with_weather: u32,
}

/// A property and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Property {
    /// Which.
    pub kind: Kind,
    /// In one sentence; of an invariant with its name.
    pub claim: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, where it does not hold or was not looked at.
    pub why: String,
    /// A shortest counter-example.
    pub story: Option<Story>,
}

/// What a property is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `done` can be reached; whatever waits is woken.
    Arrives,
    /// STOP ends a task and leaves nothing.
    Stops,
    /// No job, lease or merge that must not be.
    Safe,
    /// What a task costs is bounded.
    Bounded,
    /// An invariant of the project.
    Own,
}

/// What became of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It holds in every state.
    Held,
    /// There is a counter-example.
    Violated,
    /// It holds because nothing ever reaches it.
    Vacuous,
    /// It was not looked at.
    Skipped,
}

/// A counter-example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    /// What happens, a line each, from the beginning.
    pub lines: Vec<String>,
    /// The place in the rules that it ends at.
    pub at: Option<At>,
}

/// A place in the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// File, as people see it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Proof {
    /// Properties that do not hold.
    pub fn violated(&self) -> impl Iterator<Item = &Property> {
        self.properties.iter().filter(|p| p.verdict == Verdict::Violated)
    }

    /// Properties that were not looked at.
    pub fn skipped(&self) -> impl Iterator<Item = &Property> {
        self.properties.iter().filter(|p| p.verdict == Verdict::Skipped)
    }

    /// One line for people.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |v: Verdict| self.properties.iter().filter(|p| p.verdict == v).count();
        let mut words = format!("{} held", count(Verdict::Held));
        for (verdict, word) in [
            (Verdict::Violated, "violated"),
            (Verdict::Vacuous, "vacuous"),
            (Verdict::Skipped, "skipped"),
        ] {
            if count(verdict) > 0 {
                words += &format!(", {} {word}", count(verdict));
            }
            if verdict == Verdict::Vacuous {
                let of = self.properties.iter().filter(|p| p.verdict == verdict).map(|p| p.claim.as_str());
                let of: Vec<&str> = of.collect();
                if !of.is_empty() {
                    words += &format!(" ({})", of.join("; "));
                }
            }
        }
        let bound = self.bound.map_or_else(String::new, |b| {
            format!(
                "; at most {} agent runs ({} with every retry for weather) between two acts of people",
                b.runs, b.with_weather
            )
        });
        format!("tier 1, {} states, {} transitions: {words}{bound}", self.states, self.transitions)
    }
}
