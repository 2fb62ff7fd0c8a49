//! Services that break a promise each.

use signalbox::engine::model::{Decision, Life, Phase, Task};
use signalbox::shell::store::StepCommit;

/// What is broken: where this is asked for in the simulation's own files, never in the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twin {
    Sound,
    /// I1: a job that runs when the service dies is forgotten.
    LosesJobs,
    /// I1: a delivery is acknowledged before it is written down.
    AnswersEarly,
    /// I1: a step's job is not queued.
    QueuesNothing,
    /// I2: a run that lives is taken for lost after a restart.
    RescuedAlive,
    /// I3: the end of a run that has ended counts once more.
    Unfenced,
    /// I4: rescues are not counted.
    CountsNoRescue,
    /// I4: tries for weather are not counted.
    CountsNoWeather,
    /// I5: a task that is over is poked to life.
    Revives,
    /// I6: it is cleaned up under living processes.
    CleansEarly,
    /// I6: the order to kill is dropped.
    KillsNobody,
    /// I7: a delivery that comes twice counts twice.
    ConsumesTwice,
    /// I7: what was missed is never looked for.
    NotPolled,
    /// I8: what was said, merged or pushed is not looked for before it is done again.
    CommentsBlindly,
    MergesBlindly,
    PushesBlindly,
    /// Liveness: what was put off is never taken up.
    NeverPromoted,
    /// Liveness: nobody notices that the clock was put back.
    TrustsTheClock,
}

impl Twin {
    /// Spoils what a step is about to write.
    pub fn spoils_step(self, before: &Task, step: &mut StepCommit) {
        let slots = step.task.control.slots.values_mut();
        match self {
            Self::CountsNoRescue => slots.for_each(|s| s.rescues = 0),
            Self::CountsNoWeather => slots.for_each(|s| s.transient = 0),
            Self::QueuesNothing => step.decisions.retain(|d| !matches!(d, Decision::Enqueue(_))),
            Self::Revives if before.control.phase.life() == Life::Over => step.task.control.phase = Phase::Live,
            _ => {}
        }
    }
}
