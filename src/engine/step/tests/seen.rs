//! What came of an event, in the words tests ask; and the way to a stage.

use super::*;

impl World {
    // ---- what came of it

    pub fn visit(&self) -> u32 {
        self.task.ledger.visit.number
    }

    pub fn stage(&self) -> &str {
        &self.task.control.stage
    }

    pub fn mode(&self) -> Mode {
        self.task.control.mode
    }

    /// The status shown last.
    pub fn status(&self) -> Option<&str> {
        self.decisions.iter().rev().find_map(|d| match d {
            Decision::ShowStatus { status } => Some(status.as_str()),
            _ => None,
        })
    }

    pub fn comments(&self) -> Vec<&str> {
        let texts = self.decisions.iter().filter_map(|d| match d {
            Decision::Comment { text, .. } => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    pub fn alerts(&self) -> usize {
        self.alarms().len()
    }

    /// Texts of the alerts.
    pub fn alarms(&self) -> Vec<&str> {
        let texts = self.decisions.iter().filter_map(|d| match d {
            Decision::Alert { text, .. } => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    pub fn enqueued(&self) -> Vec<&JobSpec> {
        let jobs = self.decisions.iter().filter_map(|d| match d {
            Decision::Enqueue(job) => Some(job),
            _ => None,
        });
        jobs.collect()
    }

    /// The slots of the jobs that the last event queued.
    pub fn queued(&self) -> Vec<&str> {
        self.enqueued().iter().map(|job| job.slot.as_str()).collect()
    }

    /// When the job that was put back may be claimed, from now.
    pub fn back_in(&self) -> Option<Millis> {
        self.decisions.iter().find_map(|d| match d {
            Decision::Requeue { available_at, .. } => Some(available_at.since(self.now)),
            _ => None,
        })
    }

    pub fn acts(&self) -> Vec<&str> {
        let acts = self.decisions.iter().filter_map(|d| match d {
            Decision::Act(intent) => Some(intent.action.as_str()),
            _ => None,
        });
        acts.collect()
    }

    pub fn superseded(&self) -> bool {
        let found = |d: &Decision| {
            matches!(
                d,
                Decision::Withdraw {
                    visit: Some(_),
                    why: crate::engine::model::Kill::Superseded
                }
            )
        };
        self.decisions.iter().any(found)
    }

    pub fn why(&self) -> String {
        self.because.join("; ")
    }

    pub fn waits(&self) -> Vec<Blocker> {
        waits(&self.rules, &self.task, &self.repo)
    }

    pub fn used(&self, counter: &str) -> u8 {
        self.task.control.counters[counter]
    }

    // ---- the way there

    /// The task is born and its first agent queued.
    pub fn started(mut self) -> Self {
        self.say("start");
        self
    }

    /// The task stands at the beginning of `stage`, every stage before it passed.
    pub fn at(pipeline: &str, stage: &str) -> Self {
        Self::new(pipeline).started().up_to(stage)
    }

    pub fn up_to(mut self, stage: &str) -> Self {
        let mut rounds = 0;
        while self.stage() != stage {
            rounds += 1;
            assert!(
                rounds < 30 && self.mode() == Mode::Active,
                "stuck at {}: {}",
                self.stage(),
                self.why()
            );
            self.pass();
        }
        self
    }

    /// Whatever passes the present stage.
    pub fn pass(&mut self) -> &mut Self {
        match self.stage().to_owned().as_str() {
            "analysis" => {
                self.writes("analyst", BRD);
                self.say("approve")
            }
            "architecture" => self.writes("architect", &["06-adr/1.md"]),
            "development" => {
                self.writes("developer", &[]);
                self.command("local_tests", 0)
            }
            "review" => self.verdict("reviewer", "12-review.md", "verdict", "APPROVED"),
            "testing" => self.verdict("tester", "13-test-report.md", "result", "PASS"),
            "deploy-staging" => {
                self.verdict("deployer", "15-staging-log.md", "staging_status", "SUCCESS");
                if self.jobs.is_empty() {
                    self
                } else {
                    self.command("local_tests", 0)
                }
            }
            "deploy" if self.task.control.at == At::Work => self.verdict("deployer", "14-deploy-log.md", "deploy_status", "SUCCESS"),
            "deploy" if self.task.control.at == At::Gates => self.say("confirm_deploy"),
            _ => self.action("merge", "ok", "c9"),
        }
    }
}
