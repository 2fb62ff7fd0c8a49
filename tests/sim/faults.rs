//! What goes wrong between two acts: the service dies, peers go down, the clock is set, somebody who
//! was away too long tells of what is over.

use signalbox::engine::model::{Millis, RunEnd};
use signalbox::shell::store::{JobState, RunState};

use super::life::Life;
use super::people::Deed;
use super::twin::Twin;

impl Life {
    pub fn chance(&mut self) {
        let odds = self.out.odds.clone();
        let t = self.out.t;
        if self.mem.is_some() && self.out.rng.chance(odds.death) {
            return self.dies();
        }
        if self.out.rng.chance(odds.down) {
            let until = t.plus(Millis(self.out.rng.between(1_000, 900_000)));
            let peer = if self.out.rng.chance(500) {
                &mut self.out.forge_down
            } else {
                &mut self.out.tracker_down
            };
            *peer = until;
            self.log("a peer goes down".to_owned());
        }
        if self.out.rng.chance(odds.jump) {
            let hour = 3_600_000;
            self.offset += self.out.rng.between(-hour, hour);
            self.log(format!("the clock jumps: it is {} off", self.offset));
        }
        if !self.disk.is.runs.is_empty() && self.out.rng.chance(10) {
            self.stale();
        }
    }

    pub fn dies(&mut self) {
        self.log("the service dies".to_owned());
        self.mem = None;
        self.disk.crash();
        if self.twin == Twin::LosesJobs {
            let running = self.disk.is.jobs.iter_mut().filter(|j| j.state == JobState::Running);
            running.for_each(|j| j.state = JobState::Done);
        }
        let wait = if self.out.rng.chance(500) {
            100
        } else {
            self.out.rng.between(1_000, 1_200_000)
        };
        self.plan(Millis(wait), Deed::Start);
    }

    /// I3: somebody who was away too long tells of a run that has ended.
    pub fn stale(&mut self) {
        let all: Vec<_> = self
            .disk
            .is
            .runs
            .iter()
            .filter(|r| r.state == RunState::Ended)
            .map(|r| r.id)
            .collect();
        if all.is_empty() {
            return;
        }
        let run = *self.out.rng.one(&all);
        let before = self.disk.is.clone();
        self.end_run(run, &RunEnd::Ok, None, None);
        let started = self.disk.run_started(run, self.now()).is_ok() | self.disk.run_prepared(run, "0").is_ok();
        if started || before != self.disk.is {
            self.breaks(format!("I3: what run {run} told after its end changed something"));
        }
    }
}
