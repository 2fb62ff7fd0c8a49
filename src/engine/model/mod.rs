//! The nouns: what happened, what is known, what was decided, and why.

mod containment;
mod decision;
mod depend;
mod event;
mod fact;
mod ids;
mod lasting;
mod reason;
mod repo;
mod run;
mod said;
mod task;

pub use containment::Containment;
pub use decision::{ActionIntent, CleanUp, Decision, JobKind, JobSpec, Kill};
pub use depend::{Dependency, Source, Wanted};
pub use event::{Actor, Body, Event, Issue, Role, Signal, Via};
pub use fact::{
    CheckFact, CheckState, Fact, FactKey, Facts, FileFact, FrontmatterFact, HeadFact, MergeFact, ReviewFact, ReviewState, Value,
};
pub use ids::{JobId, Millis, Name, RepoId, RunId, Seq, TaskId};
pub use lasting::lasting;
pub use reason::{Because, Blocker, Code, Who};
pub use repo::{Freeze, FreezeLevel, Lease, Repo, Seat};
pub use run::{AgentNotes, COST_MOST, Head, RunEnd, RunReport, Usage, plausible};
pub use said::Said;
pub use task::{
    Approval, At, Card, CommandResult, Control, Ledger, Life, Mode, Phase, Review, RunRef, Slot, SlotState, StopState, Task, Visit,
};
