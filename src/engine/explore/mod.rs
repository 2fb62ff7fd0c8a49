//! The proof: the engine's own `step`, explored exhaustively over the rules of one pipeline, with
//! the world as adversary.
//!
//! Tier 1: one task, every counter to its limit, all outcomes, STOP, freeze and the merge lease of
//! others, pushes, repeated and late events, at every point. A crash loses what was not committed
//! and has it asked again, which is the same state once more; a lost event is one that never comes.
//! Of the Ledger only relations are kept ([`state`]); gates are answered by choice ([`choice`]).

mod choice;
mod expand;
mod findings;
mod graph;
mod properties;
mod report;
mod scc;
mod state;
mod story;
mod world;

#[cfg(test)]
mod tests;

use crate::engine::rules::{Origins, Ruleset};
use crate::engine::step::step_by;

use expand::{Expander, StepFn, quiet};
use graph::Graph;

pub use findings::findings;
pub use report::{At, Bound, Kind, Proof, Property, Story, Verdict};

/// States after which the exploration gives up: what is not decided by then is `skipped`.
pub const LIMIT: usize = 2_000_000;

/// Proves one pipeline. `origins` tells where its values were written.
#[must_use]
pub fn prove(rules: &Ruleset, origins: Option<&Origins>, limit: usize) -> Proof {
    prove_while(rules, origins, limit, &|_| true)
}

/// [`prove`], given up when `go_on`, told from time to time how many states there are, says no.
#[must_use]
pub fn prove_while(rules: &Ruleset, origins: Option<&Origins>, limit: usize, go_on: &dyn Fn(usize) -> bool) -> Proof {
    prove_by(rules, origins, limit, go_on, &step_by)
}

/// [`prove`] of another step function: tests break the engine's own.
fn prove_by(rules: &Ruleset, origins: Option<&Origins>, limit: usize, go_on: &dyn Fn(usize) -> bool, step: StepFn<'_>) -> Proof {
    let quiet = quiet(rules);
    let expander = Expander::new(&quiet, step);
    let graph = Graph::explore(&expander, limit, go_on);
    let (properties, bound) = properties::all(&graph, &expander, origins);
    Proof {
        states: graph.states.len(),
        transitions: graph.transitions,
        steps: graph.steps,
        bytes: graph.bytes(),
        bound,
        properties,
        not_covered: NOT_COVERED.iter().map(|s| (*s).to_owned()).collect(),
    }
}

/// What tier 1 does not look at.
const NOT_COVERED: &[&str] = &[
    "tier 2: two tasks of one repository at a time",
    "hooks and watches, which this version does not have",
    "money, places, breakers: what keeps a job from starting",
    "rules that change while a task is on its way",
    "a branch that returns to code it had before, or that is pushed over",
    "what scripts compute: each declared outcome is taken to be possible",
];
